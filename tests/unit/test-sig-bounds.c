/* SPDX-License-Identifier: MIT */
/* The bounds of nat-signald that need no network, each at its edge: n passes, n + 1 does not. Which
 * bound is tested where: tests/README.md. */
#include "tests/unit/sig-world.h"

#define NEAR "192.0.2.1:5000"
#define FAR "198.51.100.1:5000"

static void
free_all(Agent *const *agents)
{
	for (; *agents; agents++)
		sig_conn_free((*agents)->conn);
}
#define FREE(...) free_all((Agent *const[]){__VA_ARGS__, NULL})

static void
befriend(Agent *a, Agent *b)
{
	name(a, b);
	name(b, a);
	drop_output(a);
	drop_output(b);
}

/* How many of n messages arrive; each other one is answered by unavailable. */
static guint
flood(World *w, Agent *from, Agent *to, guint n)
{
	g_auto(SigFrame) frame = {0};
	const guint64 before = w->hub->stats.routed;
	guint arrived, refused = 0;

	for (guint i = 0; i < n; i++) {
		say(from, to, 1);
		drop_output(to);
	}
	arrived = w->hub->stats.routed - before;
	while (next_frame(from, &frame) == SIG_FRAME_UNAVAILABLE)
		refused++;
	g_assert_cmpuint(arrived + refused, ==, n);
	return arrived;
}

/* ---- a message's size ---- */

static char *
text_of(gsize len)
{
	g_autofree char *filler = g_strnfill(len - strlen("{\"t\":\"later\"}"), ' ');

	return g_strdup_printf("{\"t\":\"later\"%s}", filler);
}

/* In one frame, or in two: the second of which makes it too long. */
static void
test_message_size(void)
{
	World w = {0};
	g_autofree char *text = text_of(SIG_WIRE_MAX);
	const guint8 *p = (const guint8 *)text;
	Agent one, two;

	world_open(&w);
	agent_login(&w, &one);
	agent_login(&w, &two);
	receive_text_take(&one, text_of(SIG_WIRE_MAX));
	sig_conn_receive(two.conn, p, 10000, 0, FALSE, FALSE);
	sig_conn_receive(two.conn, p + 10000, SIG_WIRE_MAX - 10000, 0, TRUE, FALSE);
	g_assert_false(sig_conn_is_closing(one.conn));
	g_assert_false(sig_conn_is_closing(two.conn));
	receive_text_take(&one, text_of(SIG_WIRE_MAX + 1));
	assert_ended(&one, SIG_CLOSE_TOO_BIG);
	sig_conn_receive(two.conn, p, 10000, 0, FALSE, FALSE);
	sig_conn_receive(two.conn, p, 1, SIG_WIRE_MAX - 10000, TRUE, FALSE);
	assert_ended(&two, SIG_CLOSE_TOO_BIG);
	FREE(&one, &two);
	world_close(&w);
}

/* A message may come in 64 frames, each in as many pieces as the network makes of it. */
static void
test_fragments(void)
{
	World w = {0};
	Agent a;

	world_open(&w);
	agent_login(&w, &a);
	for (guint i = 0; i < 1000; i++)
		sig_conn_receive(a.conn, (const guint8 *)" ", 1, 1000 - i, FALSE, FALSE);
	for (guint i = 1; i < SIG_WIRE_FRAGMENTS_MAX; i++)
		sig_conn_receive(a.conn, (const guint8 *)" ", 1, 0, FALSE, FALSE);
	receive_text_take(&a, g_strdup("{\"t\":\"later\"}"));
	g_assert_false(sig_conn_is_closing(a.conn));
	for (guint i = 1; i <= SIG_WIRE_FRAGMENTS_MAX; i++)
		sig_conn_receive(a.conn, NULL, 0, 0, FALSE, FALSE);
	g_assert_false(sig_conn_is_closing(a.conn));
	sig_conn_receive(a.conn, NULL, 0, 0, TRUE, FALSE);
	assert_ended(&a, SIG_CLOSE_BAD_FRAME);
	FREE(&a);
	world_close(&w);
}

/* ---- interest ---- */

static void
add_interest(Agent *a, guint first, guint n)
{
	WgKey keys[SIG_WIRE_KEYS_MAX] = {0};

	for (guint i = 0; i < n; i++) {
		keys[i].b[0] = (first + i) & 0xff;
		keys[i].b[1] = (first + i) >> 8;
		keys[i].b[31] = 1;
	}
	receive_text_take(a, sig_wire_encode_interest(keys, n, NULL, 0));
}

static void
test_interest(void)
{
	World w = {0};
	Agent a;

	world_open(&w);
	g_assert_cmpuint(w.limits.interest, ==, 2048);
	agent_login(&w, &a);
	for (guint i = 0; i < 2048; i += SIG_WIRE_KEYS_MAX)
		add_interest(&a, i, SIG_WIRE_KEYS_MAX);
	add_interest(&a, 0, SIG_WIRE_KEYS_MAX); /* there already */
	g_assert_false(sig_conn_is_closing(a.conn));
	add_interest(&a, 2048, 1);
	assert_ended(&a, SIG_CLOSE_INTEREST_LIMIT);
	FREE(&a);
	world_close(&w);
}

static void
name_keys(Agent *a, guint n)
{
	for (guint i = 0; i < n; i += SIG_WIRE_KEYS_MAX)
		add_interest(a, i, MIN(SIG_WIRE_KEYS_MAX, n - i));
}

/* Many connections of one address, and of all, that name no more than each of them may. */
static void
test_interest_together(void)
{
	World w = {0};
	Agent a, b, c, d, e;

	world_open(&w);
	g_assert_cmpuint(w.limits.interest_per_address, ==, 1 << 19);
	g_assert_cmpuint(w.limits.interest_total, ==, 1 << 22);
	w.hub->limits.interest_per_address = 3000;
	w.hub->limits.interest_total = 4500;
	agent_login_from(&w, &a, "192.0.2.1:1");
	agent_login_from(&w, &b, "192.0.2.1:2");
	agent_login_from(&w, &c, "192.0.2.2:1");
	agent_login_from(&w, &d, "192.0.2.3:1");
	name_keys(&a, 2000);
	name_keys(&b, 1000);
	g_assert_false(sig_conn_is_closing(b.conn));
	add_interest(&b, 1000, 1);
	assert_ended(&b, SIG_CLOSE_INTEREST_LIMIT);
	FREE(&b);
	name_keys(&c, 2000); /* an address of its own */
	name_keys(&d, 500);
	g_assert_false(sig_conn_is_closing(d.conn));
	add_interest(&d, 500, 1);
	assert_ended(&d, SIG_CLOSE_INTEREST_LIMIT);
	FREE(&d);
	/* what is given back may be taken again */
	FREE(&a, &c);
	agent_login_from(&w, &e, "192.0.2.1:3");
	name_keys(&e, 2048);
	g_assert_false(sig_conn_is_closing(e.conn));
	FREE(&e);
	world_close(&w);
}

/* ---- the queue ---- */

static void
test_queue(void)
{
	const gsize overhead = sizeof(SigOut) + 16;
	const WgKey key = {{1}};
	guint8 body[1000] = {0};
	SigQueue queue;

	/* to the byte, and messages and control frames each for themselves */
	sig_queue_init(&queue, 2 * (overhead + SIG_WIRE_BINARY_HEADER + sizeof body));
	g_assert_true(sig_queue_push_message(&queue, &key, body, sizeof body));
	g_assert_false(sig_queue_push_message(&queue, &key, body, sizeof body + 1));
	g_assert_true(sig_queue_push_message(&queue, &key, body, sizeof body));
	g_assert_false(sig_queue_push_message(&queue, &key, NULL, 0));
	g_assert_true(sig_queue_push_text_take(&queue, g_strnfill(1033, 'x')));
	g_assert_false(sig_queue_push_text_take(&queue, g_strnfill(1034, 'x')));
	g_assert_true(sig_queue_push_text_take(&queue, g_strnfill(1033, 'x')));
	g_assert_false(sig_queue_push_presence(&queue, &key, TRUE, NULL));
	sig_queue_push_last_take(&queue, g_strdup("last words"));
	for (guint i = 0; i < 3; i++) /* one more may come for each that went */
		g_free(sig_queue_pop(&queue));
	g_assert_true(sig_queue_push_message(&queue, &key, body, sizeof body));
	sig_queue_clear(&queue);
	g_assert_cmpuint(queue.control + queue.messages, ==, 0);
}

/* Control frames that nobody reads: the one too many ends the reader. */
static void
test_control_queue(void)
{
	World w = {0};
	const Agent stranger = {0};
	g_autofree char *answer = sig_wire_encode_unavailable(&stranger.key, 1);
	const guint room = 65536 / (sizeof(SigOut) + 16 + strlen(answer));
	Agent a;

	world_open(&w);
	g_assert_cmpuint(w.limits.queue, ==, 65536);
	agent_login(&w, &a);
	for (guint i = 0; i < room; i++)
		say(&a, &stranger, 1);
	g_assert_false(sig_conn_is_closing(a.conn));
	say(&a, &stranger, 1);
	assert_ended(&a, SIG_CLOSE_OVERLOAD);
	FREE(&a);
	world_close(&w);
}

/* ---- rates ---- */

/* What comes for one key, from all its peers together: nobody else's loss. */
static void
test_destination_rate(void)
{
	World w = {.limits = {.destination_rate = 10, .destination_burst = 20}};
	Agent a, b, to, other;

	world_open(&w);
	agent_login(&w, &a);
	agent_login(&w, &b);
	agent_login(&w, &to);
	agent_login(&w, &other);
	befriend(&a, &to);
	befriend(&b, &to);
	befriend(&a, &other);
	g_assert_cmpuint(flood(&w, &a, &to, 15), ==, 15);
	g_assert_cmpuint(flood(&w, &b, &to, 5), ==, 5);
	g_assert_cmpuint(flood(&w, &b, &to, 1), ==, 0);
	g_assert_cmpuint(flood(&w, &a, &to, 1), ==, 0);
	g_assert_cmpuint(w.hub->stats.destination_limited, ==, 2);
	g_assert_cmpuint(flood(&w, &a, &other, 20), ==, 20);
	g_assert_cmpuint(flood(&w, &to, &a, 1), ==, 1); /* what it sends is another matter */
	w.hub->now += SECOND / 10;
	g_assert_cmpuint(flood(&w, &a, &to, 2), ==, 1);
	g_assert_false(sig_conn_is_closing(a.conn) || sig_conn_is_closing(to.conn));
	FREE(&a, &b, &to, &other);
	world_close(&w);
}

#define SHARE 128 /* of a connection beyond its address's rate: at once, one a second */

/* A neighbour floods. What comes from elsewhere is not touched, and whoever shares the address
 * keeps a share. */
static void
test_address_rate(void)
{
	World w = {.limits = {.address_rate = 10, .address_burst = 1000, .rate = 1 << 20}};
	Agent bad, good, elsewhere, to;

	world_open(&w);
	agent_login(&w, &bad);
	agent_login(&w, &good);
	agent_login_from(&w, &elsewhere, FAR);
	agent_login_from(&w, &to, FAR);
	befriend(&bad, &to);
	befriend(&good, &to);
	befriend(&elsewhere, &to);
	w.hub->now += 1000 * SECOND;
	g_assert_cmpuint(flood(&w, &bad, &to, 1000), ==, 1000);
	g_assert_cmpuint(flood(&w, &bad, &to, SHARE), ==, SHARE);
	g_assert_cmpuint(flood(&w, &bad, &to, 1), ==, 0);
	g_assert_cmpuint(w.hub->stats.address_limited, ==, 1);
	g_assert_cmpuint(w.hub->stats.rate_limited, ==, 0);
	g_assert_cmpuint(flood(&w, &good, &to, SHARE), ==, SHARE);
	g_assert_cmpuint(flood(&w, &good, &to, 1), ==, 0);
	w.hub->now += SECOND; /* ten for the address, which the bad one takes, and one for each */
	g_assert_cmpuint(flood(&w, &bad, &to, 20), ==, 10 + 1);
	name(&good, &to); /* a control frame */
	g_assert_false(sig_conn_is_closing(good.conn));
	g_assert_cmpuint(flood(&w, &elsewhere, &to, 500), ==, 500);
	name(&bad, &to);
	assert_ended(&bad, SIG_CLOSE_RATE_LIMITED);
	FREE(&bad, &good, &elsewhere, &to);
	world_close(&w);
}

/* The same /64, another /64. */
static void
test_address_v6(void)
{
	World w = {.limits = {.address_rate = 10, .address_burst = 100, .rate = 1 << 20}};
	Agent a, same, other, to;

	world_open(&w);
	agent_login_from(&w, &a, "[2001:db8::1]:5000");
	agent_login_from(&w, &same, "[2001:db8::ffff:2]:5000");
	agent_login_from(&w, &other, "[2001:db8:0:1::1]:5000");
	agent_login_from(&w, &to, FAR);
	befriend(&a, &to);
	befriend(&same, &to);
	befriend(&other, &to);
	w.hub->now += 1000 * SECOND;
	g_assert_cmpuint(flood(&w, &a, &to, 100), ==, 100);
	g_assert_cmpuint(flood(&w, &same, &to, SHARE + 1), ==, SHARE);
	g_assert_cmpuint(flood(&w, &other, &to, 100 + SHARE + 1), ==, 100 + SHARE);
	FREE(&a, &same, &other, &to);
	world_close(&w);
}

/* Before the login a connection has its share only, then what its key has. */
static void
test_pings(void)
{
	World w = {.limits = {.rate = 10, .burst = 50}};
	Agent before, after;

	world_open(&w);
	agent_accept(&w, &before);
	sig_conn_open(before.conn);
	drop_output(&before);
	agent_login(&w, &after);
	for (guint i = 0; i < SHARE; i++)
		i % 2 ? sig_conn_pinged(before.conn) : sig_conn_ponged(before.conn);
	for (guint i = 0; i < 50; i++)
		i % 2 ? sig_conn_pinged(after.conn) : sig_conn_ponged(after.conn);
	g_assert_false(sig_conn_is_closing(before.conn) || sig_conn_is_closing(after.conn));
	sig_conn_pinged(before.conn);
	assert_ended(&before, SIG_CLOSE_RATE_LIMITED);
	sig_conn_ponged(after.conn);
	assert_ended(&after, SIG_CLOSE_RATE_LIMITED);
	sig_conn_pinged(after.conn); /* nothing more comes of it */
	FREE(&before, &after);
	world_close(&w);
}

/* ---- who may come ---- */

static guint
admitted(World *w, const char *from, guint n)
{
	WgEndpoint address;
	guint ok = 0;

	g_assert_true(wg_endpoint_parse(from, &address));
	for (guint i = 0; i < n; i++)
		if (sig_hub_admit(w->hub, 0, &address)) {
			ok++;
			sig_gate_leave(w->hub->gate, &address); /* it logs in at once */
		}
	return ok;
}

static void
test_connect_rate(void)
{
	World w = {.limits = {.connect_rate = 5, .connect_burst = 30}};

	world_open(&w);
	g_assert_cmpuint(admitted(&w, NEAR, 30), ==, 30);
	g_assert_cmpuint(admitted(&w, NEAR, 3), ==, 0);
	g_assert_cmpuint(admitted(&w, FAR, 31), ==, 30);
	g_assert_cmpuint(w.hub->stats.accepted, ==, 60);
	g_assert_cmpuint(w.hub->stats.turned_away, ==, 4);
	g_assert_cmpuint(w.hub->stats.connect_limited, ==, 4);
	w.hub->now += SECOND / 5;
	g_assert_cmpuint(admitted(&w, NEAR, 2), ==, 1);
	/* remembered as long as it matters */
	sig_addresses_tick(w.hub->addresses, w.hub->now + 5 * SECOND);
	g_assert_cmpuint(sig_addresses_n_known(w.hub->addresses), ==, 2);
	sig_addresses_tick(w.hub->addresses, w.hub->now + 7 * SECOND);
	g_assert_cmpuint(sig_addresses_n_known(w.hub->addresses), ==, 0);
	world_close(&w);
}

/* Whoever the gate has no room for has cost nothing, and may try again at once. */
static void
test_gate_before_rate(void)
{
	World w = {.limits = {.connect_rate = 1,
			      .connect_burst = 3,
			      .unauthenticated_per_address = 2,
			      .unauthenticated = 3}};
	WgEndpoint near, far;

	world_open(&w);
	g_assert_true(wg_endpoint_parse(NEAR, &near));
	g_assert_true(wg_endpoint_parse(FAR, &far));
	g_assert_true(sig_hub_admit(w.hub, 0, &near));
	g_assert_true(sig_hub_admit(w.hub, 0, &near));
	for (guint i = 0; i < 10; i++)
		g_assert_false(sig_hub_admit(w.hub, 0, &near));
	g_assert_true(sig_hub_admit(w.hub, 0, &far));
	g_assert_false(sig_hub_admit(w.hub, 0, &far)); /* three in all */
	sig_gate_leave(w.hub->gate, &near);
	g_assert_true(sig_hub_admit(w.hub, 0, &near));
	sig_gate_leave(w.hub->gate, &near);
	g_assert_false(sig_hub_admit(w.hub, 0, &near)); /* the fourth of its address */
	g_assert_cmpuint(w.hub->stats.connect_limited, ==, 1);
	g_assert_cmpuint(sig_gate_total(w.hub->gate), ==, 2);
	sig_gate_leave(w.hub->gate, &near);
	sig_gate_leave(w.hub->gate, &far);
	world_close(&w);
}

static void
test_connections(void)
{
	World w = {.limits = {.connections = 7, .connections_per_address = 3}};
	Agent agents[3], other;
	WgEndpoint address;

	world_open(&w);
	g_assert_true(wg_endpoint_parse(NEAR, &address));
	for (guint i = 0; i < 3; i++) {
		g_assert_cmpuint(admitted(&w, NEAR, 1), ==, 1);
		agent_login(&w, &agents[i]);
	}
	g_assert_cmpuint(admitted(&w, NEAR, 1), ==, 0);
	g_assert_cmpuint(admitted(&w, FAR, 1), ==, 1);
	agent_login_from(&w, &other, FAR);
	sig_conn_free(agents[0].conn);
	g_assert_cmpuint(admitted(&w, NEAR, 1), ==, 1);
	/* in all */
	g_assert_true(sig_hub_admit(w.hub, 6, &address));
	g_assert_false(sig_hub_admit(w.hub, 7, &address));
	sig_gate_leave(w.hub->gate, &address);
	FREE(&agents[1], &agents[2], &other);
	world_close(&w);
}

static void
test_no_limit(void)
{
	World w = {0};
	Agent a, b;

	world_open(&w);
	w.hub->limits.destination_rate = w.hub->limits.address_rate = 0;
	w.hub->limits.connect_rate = w.hub->limits.connections_per_address = 0;
	w.hub->limits.destination_burst = w.hub->limits.address_burst = 1;
	w.hub->limits.connect_burst = 1;
	agent_login(&w, &a);
	agent_login(&w, &b);
	befriend(&a, &b);
	g_assert_cmpuint(flood(&w, &a, &b, 4000), ==, 4000);
	g_assert_cmpuint(admitted(&w, NEAR, 5000), ==, 5000);
	FREE(&a, &b);
	world_close(&w);
}

/* An office of 500 agents comes back after a restart, each with an interest of 500 and a message to
 * each of the others: nothing of it meets a bound but the gate's, which logins empty. */
static void
test_office(void)
{
	enum { OFFICE = 500 };
	World w = {0};
	g_autofree Agent *agents = g_new0(Agent, OFFICE);
	g_autofree WgKey *keys = g_new0(WgKey, OFFICE);

	world_open(&w);
	for (guint i = 0; i < OFFICE; i++) {
		w.hub->now += SECOND / OFFICE;
		g_assert_cmpuint(admitted(&w, NEAR, 1), ==, 1);
		agent_login(&w, &agents[i]);
		keys[i] = agents[i].key;
	}
	for (guint i = 0; i < OFFICE; i++) {
		receive_text_take(&agents[i], sig_wire_encode_interest(keys, 250, NULL, 0));
		receive_text_take(&agents[i], sig_wire_encode_interest(keys + 250, 250, NULL, 0));
		for (guint j = 0; j < OFFICE; j++)
			drop_output(&agents[j]);
	}
	for (guint i = 0; i < OFFICE; i++)
		for (guint j = 0; j < 100; j++) {
			say(&agents[i], &agents[(i + 1 + j) % OFFICE], 1);
			drop_output(&agents[(i + 1 + j) % OFFICE]);
		}
	g_assert_cmpuint(w.hub->stats.routed, ==, OFFICE * 100);
	g_assert_cmpuint(w.hub->stats.refused + w.hub->stats.turned_away, ==, 0);
	for (guint i = 0; i < OFFICE; i++)
		sig_conn_free(agents[i].conn);
	world_close(&w);
}

/* ---- time ---- */

static void
test_login_time(void)
{
	World w = {0};
	Agent tcp, open;

	world_open(&w);
	agent_accept(&w, &tcp);
	agent_accept(&w, &open);
	seconds(&w, w.limits.login_timeout - 1);
	/* the upgrade gives no time beyond that */
	sig_conn_open(open.conn);
	drop_output(&open);
	g_assert_false(w.killed || sig_conn_is_closing(open.conn));
	seconds(&w, 1);
	g_assert_true(w.killed);
	assert_ended(&open, SIG_CLOSE_LOGIN_TIMEOUT);
	FREE(&tcp, &open);
	world_close(&w);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/sig/bounds/message-size", test_message_size);
	g_test_add_func("/sig/bounds/fragments", test_fragments);
	g_test_add_func("/sig/bounds/interest", test_interest);
	g_test_add_func("/sig/bounds/interest-together", test_interest_together);
	g_test_add_func("/sig/bounds/queue", test_queue);
	g_test_add_func("/sig/bounds/control-queue", test_control_queue);
	g_test_add_func("/sig/bounds/destination-rate", test_destination_rate);
	g_test_add_func("/sig/bounds/address-rate", test_address_rate);
	g_test_add_func("/sig/bounds/address-v6", test_address_v6);
	g_test_add_func("/sig/bounds/pings", test_pings);
	g_test_add_func("/sig/bounds/connect-rate", test_connect_rate);
	g_test_add_func("/sig/bounds/gate-before-rate", test_gate_before_rate);
	g_test_add_func("/sig/bounds/connections", test_connections);
	g_test_add_func("/sig/bounds/no-limit", test_no_limit);
	g_test_add_func("/sig/bounds/office", test_office);
	g_test_add_func("/sig/bounds/login-time", test_login_time);
	return g_test_run();
}
