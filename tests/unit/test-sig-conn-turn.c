/* SPDX-License-Identifier: MIT */
/* Who is given credentials for relays, and when. */
#include "tests/unit/sig-world.h"

#define NOW 1790000000
#define TTL 600

static const char *const RELAYS[] = {"turn:192.0.2.7:3478", NULL};

static void
on_turn_timer(SigTimer *timer, gpointer user_data)
{
	sig_conn_renew_turn(sig_conn_from_turn_timer(timer));
}

static void
turn_seconds(World *w, guint n)
{
	w->hub->clock += n;
	while (n-- > 0)
		sig_wheel_tick(w->hub->turn_wheel, on_turn_timer, w);
}

static void
world_with_relay(World *w)
{
	world_open(w);
	w->hub->turn = sig_turn_new(RELAYS, "north", TTL);
	w->hub->clock = NOW;
}

static void
world_with_relay_close(World *w)
{
	g_autoptr(SigTurn) turn = (SigTurn *)w->hub->turn;

	world_close(w);
}

/* The next frame is credentials that expire a whole life after `clock`. */
static void
expect_turn(Agent *agent, gint64 clock)
{
	g_auto(SigFrame) frame = {0};
	g_autofree char *expiry = g_strdup_printf("%" G_GINT64_FORMAT ":", clock + TTL);

	g_assert_cmpint(next_frame(agent, &frame), ==, SIG_FRAME_TURN);
	g_assert_cmpstrv(frame.turn.uris, RELAYS);
	g_assert_cmpuint(frame.turn.ttl_s, ==, TTL);
	g_assert_true(g_str_has_prefix(frame.turn.username, expiry));
}

static void
expect_presence(Agent *agent, gboolean online)
{
	g_auto(SigFrame) frame = {0};

	g_assert_cmpint(next_frame(agent, &frame), ==, SIG_FRAME_PRESENCE);
	g_assert_cmpuint(frame.presence.online.n, ==, online);
	g_assert_cmpuint(frame.presence.offline.n, ==, !online);
}

static void
expect_nothing(Agent *agent)
{
	g_autofree SigOut *out = sig_conn_pop(agent->conn);

	g_assert_null(out);
}

static void
want_turn(Agent *agent)
{
	receive_text_take(agent, sig_wire_encode_turn_wanted());
}

static void
unname(Agent *agent, const Agent *other)
{
	receive_text_take(agent, sig_wire_encode_interest(NULL, 0, &other->key, 1));
}

/* Each names the other, b last. */
static void
log_in_both(World *w, Agent *a, Agent *b)
{
	agent_login(w, a);
	agent_login(w, b);
	name(a, b);
	name(b, a);
}

/* Before the presence of the first peer, and not again with the second. */
static void
test_turn_first_peer(void)
{
	World w = {0};
	Agent a, b, c;

	world_with_relay(&w);
	agent_login(&w, &a);
	agent_login(&w, &b);
	agent_login(&w, &c);
	name(&a, &b);
	name(&a, &c);
	expect_nothing(&a);
	name(&b, &a);
	expect_turn(&a, NOW);
	expect_presence(&a, TRUE);
	expect_turn(&b, NOW);
	expect_presence(&b, TRUE);
	name(&c, &a);
	expect_presence(&a, TRUE);
	expect_nothing(&a);
	expect_turn(&c, NOW);
	sig_conn_free(a.conn);
	sig_conn_free(b.conn);
	sig_conn_free(c.conn);
	world_with_relay_close(&w);
}

/* Whoever is logged in but met by nobody has no use for a relay, and gets none. */
static void
test_turn_stranger(void)
{
	World w = {0};
	Agent stranger, one_sided;

	world_with_relay(&w);
	agent_login(&w, &stranger);
	agent_login(&w, &one_sided);
	want_turn(&stranger);
	expect_nothing(&stranger);
	name(&one_sided, &stranger);
	want_turn(&one_sided);
	want_turn(&stranger);
	turn_seconds(&w, TTL);
	expect_nothing(&one_sided);
	expect_nothing(&stranger);
	g_assert_false(sig_conn_is_closing(stranger.conn));
	sig_conn_free(stranger.conn);
	sig_conn_free(one_sided.conn);
	world_with_relay_close(&w);
}

static void
test_turn_wanted(void)
{
	World w = {.limits = {.rate = 1, .burst = 32}};
	Agent a, b;

	world_with_relay(&w);
	log_in_both(&w, &a, &b);
	drop_output(&a);
	turn_seconds(&w, 10);
	want_turn(&a);
	expect_turn(&a, NOW + 10);
	expect_nothing(&a);
	/* renewed half a life after the last ones, not the first */
	turn_seconds(&w, TTL / 2 - 1);
	expect_nothing(&a);
	turn_seconds(&w, 1);
	expect_turn(&a, NOW + 10 + TTL / 2);
	unname(&b, &a);
	expect_presence(&a, FALSE);
	want_turn(&a);
	expect_nothing(&a);
	for (guint i = 0; i < 32; i++)
		want_turn(&a);
	assert_ended(&a, SIG_CLOSE_RATE_LIMITED);
	sig_conn_free(a.conn);
	sig_conn_free(b.conn);
	world_with_relay_close(&w);
}

static void
test_turn_renewed(void)
{
	World w = {0};
	Agent a, b;

	world_with_relay(&w);
	log_in_both(&w, &a, &b);
	drop_output(&a);
	for (guint i = 1; i < 5; i++) {
		turn_seconds(&w, TTL / 2 - 1);
		expect_nothing(&a);
		turn_seconds(&w, 1);
		expect_turn(&a, NOW + i * TTL / 2);
		expect_nothing(&a);
	}
	sig_conn_free(a.conn);
	drop_output(&b);
	turn_seconds(&w, TTL / 2); /* nobody is left for b */
	expect_nothing(&b);
	sig_conn_free(b.conn);
	world_with_relay_close(&w);
}

/* A peer that comes and goes does not make the server hand out more; one that comes after half a
 * life does. */
static void
test_turn_peer_returns(void)
{
	World w = {0};
	Agent a, b;

	world_with_relay(&w);
	log_in_both(&w, &a, &b);
	drop_output(&a);
	unname(&b, &a);
	expect_presence(&a, FALSE);
	name(&b, &a);
	expect_presence(&a, TRUE);
	unname(&b, &a);
	expect_presence(&a, FALSE);
	turn_seconds(&w, TTL / 2);
	expect_nothing(&a);
	name(&b, &a);
	expect_turn(&a, NOW + TTL / 2);
	expect_presence(&a, TRUE);
	sig_conn_free(a.conn);
	sig_conn_free(b.conn);
	world_with_relay_close(&w);
}

/* The evicted connection's peers are the newer one's only when that names them again. */
static void
test_turn_relogin(void)
{
	World w = {0};
	Agent a, b, again;
	g_auto(SigFrame) frame = {0};

	world_with_relay(&w);
	log_in_both(&w, &a, &b);
	drop_output(&b);
	agent_accept(&w, &again);
	again.private = a.private;
	again.key = a.key;
	sig_conn_open(again.conn);
	g_assert_cmpint(next_frame(&again, &frame), ==, SIG_FRAME_HELLO);
	receive_text_take(&again, sig_login_answer(&frame.hello, &again.private, "a:1", NULL));
	g_assert_cmpint(next_frame(&again, &frame), ==, SIG_FRAME_WELCOME);
	want_turn(&again);
	want_turn(&b);
	expect_presence(&b, FALSE);
	expect_nothing(&b);
	turn_seconds(&w, TTL / 2);
	expect_nothing(&again);
	name(&again, &b);
	expect_turn(&again, NOW + TTL / 2);
	expect_presence(&again, TRUE);
	expect_turn(&b, NOW + TTL / 2);
	sig_conn_free(a.conn);
	sig_conn_free(b.conn);
	sig_conn_free(again.conn);
	world_with_relay_close(&w);
}

/* A server without a relay: the wish is heard and nothing comes of it. */
static void
test_turn_none(void)
{
	World w = {0};
	Agent a, b;

	world_open(&w);
	log_in_both(&w, &a, &b);
	expect_presence(&a, TRUE);
	want_turn(&a);
	expect_nothing(&a);
	g_assert_false(sig_conn_is_closing(a.conn));
	/* and what only a server says ends a client */
	receive_text_take(&b, sig_wire_encode_turn(RELAYS, "u", "p", 60));
	expect_presence(&b, TRUE);
	assert_ended(&b, SIG_CLOSE_BAD_FRAME);
	sig_conn_free(a.conn);
	sig_conn_free(b.conn);
	world_close(&w);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/sig/conn/turn/first-peer", test_turn_first_peer);
	g_test_add_func("/sig/conn/turn/stranger", test_turn_stranger);
	g_test_add_func("/sig/conn/turn/wanted", test_turn_wanted);
	g_test_add_func("/sig/conn/turn/renewed", test_turn_renewed);
	g_test_add_func("/sig/conn/turn/peer-returns", test_turn_peer_returns);
	g_test_add_func("/sig/conn/turn/relogin", test_turn_relogin);
	g_test_add_func("/sig/conn/turn/none", test_turn_none);
	return g_test_run();
}
