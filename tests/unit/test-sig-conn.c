/* SPDX-License-Identifier: MIT */
/* The protocol of one connection without a network: hub and connections, frames in and out. */
#include "tests/unit/sig-world.h"

/* ---- tests ---- */

/* Who may hear of a peer hears where it comes from: an independent word on what it claims. A
 * connection of this host's, perhaps a proxy's, says nothing. */
static void
test_seen(void)
{
	World w = {0};
	Agent a, b, c;
	g_auto(SigFrame) first = {0}, second = {0}, third = {0};
	WgEndpoint of_a, of_b;

	world_open(&w);
	agent_login_from(&w, &a, "203.0.113.7:4000");
	agent_login_from(&w, &b, "[2001:db8::9]:4000");
	agent_login_from(&w, &c, "127.0.0.1:4000");
	g_assert_true(wg_endpoint_parse("203.0.113.7:1", &of_a));
	g_assert_true(wg_endpoint_parse("[2001:db8::9]:1", &of_b));
	name(&a, &b);
	name(&b, &a);
	g_assert_cmpint(next_frame(&a, &first), ==, SIG_FRAME_PRESENCE);
	g_assert_true(wg_endpoint_same_address(&first.presence.seen[0], &of_b));
	g_assert_cmpint(next_frame(&b, &second), ==, SIG_FRAME_PRESENCE);
	g_assert_true(wg_endpoint_same_address(&second.presence.seen[0], &of_a));
	name(&a, &c);
	name(&c, &a);
	g_assert_cmpint(next_frame(&a, &third), ==, SIG_FRAME_PRESENCE);
	g_assert_true(third.presence.seen == NULL || !wg_endpoint_is_set(&third.presence.seen[0]));
	sig_conn_free(a.conn);
	sig_conn_free(b.conn);
	sig_conn_free(c.conn);
	world_close(&w);
}

/* A message in three pieces, then in frames; each piece alone means nothing. */
static void
test_pieces(void)
{
	World w = {0};
	Agent a, b;
	g_autofree char *text = NULL;
	g_auto(SigFrame) frame = {0};
	const guint8 *p;
	gsize len;

	world_open(&w);
	agent_login(&w, &a);
	agent_login(&w, &b);
	name(&b, &a);
	text = sig_wire_encode_interest(&b.key, 1, NULL, 0);
	p = (const guint8 *)text;
	len = strlen(text);
	sig_conn_receive(a.conn, p, 10, len - 10, TRUE, FALSE);
	sig_conn_receive(a.conn, p + 10, 10, len - 20, TRUE, FALSE);
	g_assert_cmpint(next_frame(&a, &frame), ==, SIG_FRAME_UNKNOWN);
	sig_conn_receive(a.conn, p + 20, len - 20, 0, TRUE, FALSE);
	g_assert_cmpint(next_frame(&a, &frame), ==, SIG_FRAME_PRESENCE);
	text[strlen(text) - 1] = ' ';
	sig_conn_receive(a.conn, p, len, 0, FALSE, FALSE);
	sig_conn_receive(a.conn, (const guint8 *)"}", 1, 0, TRUE, FALSE);
	g_assert_false(sig_conn_is_closing(a.conn));
	sig_conn_free(a.conn);
	sig_conn_free(b.conn);
	world_close(&w);
}

static void
test_announced_length(void)
{
	World w = {0};
	Agent a, b;

	world_open(&w);
	agent_login(&w, &a);
	agent_login(&w, &b);
	sig_conn_receive(a.conn, (const guint8 *)"{", 1, SIG_WIRE_MAX, TRUE, FALSE);
	assert_ended(&a, SIG_CLOSE_TOO_BIG);
	sig_conn_receive(b.conn, (const guint8 *)"{", 1, G_MAXSIZE, TRUE, FALSE);
	assert_ended(&b, SIG_CLOSE_TOO_BIG);
	sig_conn_free(a.conn);
	sig_conn_free(b.conn);
	world_close(&w);
}

/* Somebody whose messages fill the queue loses them; the receiver loses nothing else. */
static void
test_full_queue(void)
{
	World w = {0};
	Agent a, b, c;
	g_auto(SigFrame) frame = {0};
	guint sent = 0, got = 0;

	world_open(&w);
	agent_login(&w, &a);
	agent_login(&w, &b);
	agent_login(&w, &c);
	name(&a, &b);
	name(&b, &a);
	name(&b, &c);
	drop_output(&a);
	drop_output(&b);
	while (w.hub->stats.unavailable == 0) {
		say(&a, &b, 1000);
		sent++;
	}
	g_assert_cmpuint(sent, >=, 55);
	g_assert_cmpuint(sent, <=, 65);
	/* the one that did not fit is not lost in silence */
	g_assert_cmpint(next_frame(&a, &frame), ==, SIG_FRAME_UNAVAILABLE);
	g_assert_true(wg_key_equal(&frame.unavailable.to.keys[0], &b.key));
	g_assert_cmpuint(w.hub->stats.routed, ==, sent - 1);
	g_assert_cmpuint(w.hub->stats.queue_full, ==, 1);
	for (guint i = 0; i < 600; i++) {
		say(&a, &b, 20);
		drop_output(&a);
	}
	name(&c, &b); /* presence has room of its own */
	g_assert_false(sig_conn_is_closing(b.conn));
	for (SigOut *out; (out = sig_conn_pop(b.conn)); g_free(out))
		got += out->kind != SIG_OUT_MESSAGE;
	g_assert_cmpuint(got, ==, 1);
	sig_conn_free(a.conn);
	sig_conn_free(b.conn);
	sig_conn_free(c.conn);
	world_close(&w);
}

static void
test_slow_reader(void)
{
	World w = {0};
	Agent a, b;
	g_auto(SigFrame) frame = {0};

	world_open(&w);
	agent_login(&w, &a);
	agent_login(&w, &b);
	name(&a, &b);
	name(&b, &a);
	for (guint second = 0; second < 60; second++) {
		w.hub->now += SECOND;
		say(&a, &b, 16000);
		drop_output(&a);
		g_free(sig_conn_pop(b.conn)); /* slow, but it reads */
		say(&a, &b, 16000);
	}
	g_assert_false(sig_conn_is_closing(b.conn));
	g_assert_cmpuint(w.hub->stats.queue_full, >, 40);
	for (guint second = 0; second < 18; second++) {
		w.hub->now += SECOND;
		say(&a, &b, 16000);
	}
	g_assert_false(sig_conn_is_closing(b.conn));
	drop_output(&a);
	for (guint second = 0; second < 4; second++) {
		w.hub->now += SECOND;
		say(&a, &b, 16000);
	}
	assert_ended(&b, SIG_CLOSE_OVERLOAD);
	while (next_frame(&a, &frame) != SIG_FRAME_PRESENCE)
		g_assert_cmpint(frame.type, ==, SIG_FRAME_UNAVAILABLE);
	g_assert_cmpuint(frame.presence.offline.n, ==, 1);
	say(&a, &b, 1);
	while (next_frame(&a, &frame) == SIG_FRAME_UNAVAILABLE)
		;
	g_assert_cmpint(frame.type, ==, SIG_FRAME_UNKNOWN);
	sig_conn_free(a.conn);
	sig_conn_free(b.conn);
	world_close(&w);
}

/* Coming and going, with a word in between: at most two frames of it wait. */
static void
test_toggling(void)
{
	World w = {.limits = {.burst = 100000}};
	Agent a, b;
	g_auto(SigFrame) frame = {0};

	world_open(&w);
	agent_login(&w, &a);
	agent_login(&w, &b);
	name(&a, &b);
	name(&b, &a);
	drop_output(&b);
	say(&a, &b, 7); /* of the time that b knows of */
	for (guint i = 0; i < 5000; i++) {
		receive_text_take(&a, sig_wire_encode_interest(NULL, 0, &b.key, 1));
		name(&a, &b);
		say(&a, &b, 9);
		drop_output(&a);
	}
	g_assert_false(sig_conn_is_closing(b.conn));
	g_assert_cmpint(next_frame(&b, &frame), ==, SIG_FRAME_UNKNOWN);
	g_assert_cmpint(next_frame(&b, &frame), ==, SIG_FRAME_PRESENCE);
	g_assert_cmpuint(frame.presence.offline.n, ==, 1);
	g_assert_cmpint(next_frame(&b, &frame), ==, SIG_FRAME_PRESENCE);
	g_assert_cmpuint(frame.presence.online.n, ==, 1);
	g_assert_cmpint(next_frame(&b, &frame), ==, SIG_FRAME_UNKNOWN);
	g_assert_null(sig_conn_pop(b.conn));
	sig_conn_free(a.conn);
	sig_conn_free(b.conn);
	world_close(&w);
}

#define CLIQUE 200

/* All are mutual, nobody reads, all queues are nearly full: the end of one fills the next one's
 * queue, and so on. */
static void
test_clique(void)
{
	World w = {.limits = {.queue = 32768, .burst = 100000}};
	g_autofree Agent *agents = g_new0(Agent, CLIQUE);
	const Agent stranger = {0};
	g_autofree char *answer = sig_wire_encode_unavailable(&stranger.key, 1);
	const gsize answers = 32768 / (sizeof(SigOut) + 16 + strlen(answer));
	guint ended = 0;

	world_open(&w);
	for (guint i = 0; i < CLIQUE; i++)
		agent_login(&w, &agents[i]);
	for (guint i = 0; i < CLIQUE; i++)
		for (guint j = 0; j < CLIQUE; j++) {
			name(&agents[i], &agents[j]);
			drop_output(&agents[i]);
			drop_output(&agents[j]);
		}
	/* answers that nobody reads */
	for (guint i = 0; i < CLIQUE; i++)
		for (guint j = 0; j < answers; j++)
			say(&agents[i], &stranger, 1);
	for (guint i = 0; i < CLIQUE; i++)
		g_assert_false(sig_conn_is_closing(agents[i].conn));
	say(&agents[0], &stranger, 1);
	for (guint i = 0; i < CLIQUE; i++)
		ended += sig_conn_is_closing(agents[i].conn);
	g_assert_cmpuint(ended, >, 1);
	for (guint i = 0; i < CLIQUE; i++)
		sig_conn_free(agents[i].conn);
	world_close(&w);
}

static void
test_rate(void)
{
	World w = {.limits = {.rate = 10, .burst = 20}};
	Agent a, b;
	g_auto(SigFrame) frame = {0};

	world_open(&w);
	agent_login(&w, &a);
	agent_login(&w, &b);
	name(&a, &b);
	name(&b, &a);
	for (guint i = 0; i < 19; i++)
		say(&a, &b, 1);
	drop_output(&a);
	say(&a, &b, 1); /* too many: undelivered, no more */
	g_assert_cmpint(next_frame(&a, &frame), ==, SIG_FRAME_UNAVAILABLE);
	g_assert_cmpuint(w.hub->stats.rate_limited, ==, 1);
	w.hub->now += SECOND / 10;
	say(&a, &b, 1);
	g_assert_cmpint(next_frame(&a, &frame), ==, SIG_FRAME_UNKNOWN);
	name(&a, &b); /* a control frame cannot be dropped without the two ends disagreeing */
	assert_ended(&a, SIG_CLOSE_RATE_LIMITED);
	sig_conn_free(a.conn);
	sig_conn_free(b.conn);
	world_close(&w);
}

/* What a frame costs grows with what it takes to parse it. */
static void
test_rate_by_length(void)
{
	World w = {.limits = {.rate = 10, .burst = 40}};
	g_autofree char *filler = g_strnfill(15000, ' ');
	Agent a;

	world_open(&w);
	agent_login(&w, &a);
	receive_text_take(&a, g_strdup_printf("{\"t\":\"later\"%s}", filler));
	receive_text_take(&a, g_strdup_printf("{\"t\":\"later\"%s}", filler));
	g_assert_false(sig_conn_is_closing(a.conn));
	receive_text_take(&a, g_strdup_printf("{\"t\":\"later\"%s}", filler));
	assert_ended(&a, SIG_CLOSE_RATE_LIMITED);
	sig_conn_free(a.conn);
	world_close(&w);
}

static void
test_interest_limit(void)
{
	World w = {.limits = {.interest = 2}};
	Agent a, others[3];

	world_open(&w);
	agent_login(&w, &a);
	for (guint i = 0; i < 3; i++) {
		memset(&others[i].key, (int)i + 1, sizeof others[i].key);
		name(&a, &others[i]);
		g_assert_cmpint(sig_conn_is_closing(a.conn), ==, i == 2);
	}
	assert_ended(&a, SIG_CLOSE_INTEREST_LIMIT);
	sig_conn_free(a.conn);
	world_close(&w);
}

static void
test_keepalive(void)
{
	World w = {0};
	Agent a;

	world_open(&w);
	agent_login(&w, &a);
	seconds(&w, w.limits.ping);
	g_assert_false(sig_conn_take_ping(a.conn)); /* the login was a sign of life */
	seconds(&w, w.limits.ping);
	g_assert_true(sig_conn_take_ping(a.conn));
	g_assert_false(sig_conn_take_ping(a.conn));
	sig_conn_ponged(a.conn);
	seconds(&w, w.limits.pong + w.limits.ping);
	g_assert_true(sig_conn_take_ping(a.conn));
	seconds(&w, w.limits.pong - 1);
	g_assert_false(w.killed);
	seconds(&w, 1);
	g_assert_true(w.killed);
	sig_conn_free(a.conn);
	world_close(&w);
}

static void
test_login_time(void)
{
	World w = {0};
	Agent tcp, open;

	world_open(&w);
	agent_accept(&w, &tcp);
	seconds(&w, w.limits.login_timeout);
	g_assert_true(w.killed);
	sig_conn_free(tcp.conn);
	w.killed = FALSE;
	agent_accept(&w, &open);
	sig_conn_open(open.conn);
	seconds(&w, w.limits.login_timeout);
	assert_ended(&open, SIG_CLOSE_LOGIN_TIMEOUT);
	g_assert_false(w.killed);
	seconds(&w, 5); /* its close frame has not gone through */
	g_assert_true(w.killed);
	sig_conn_free(open.conn);
	world_close(&w);
}

static void
test_drain(void)
{
	World w = {0};
	Agent a;
	g_auto(SigFrame) frame = {0};

	world_open(&w);
	agent_login(&w, &a);
	sig_conn_drain(a.conn, 7);
	g_assert_cmpint(next_frame(&a, &frame), ==, SIG_FRAME_DRAIN);
	g_assert_cmpuint(frame.drain.within_s, ==, 7);
	g_assert_cmpint(sig_conn_take_close(a.conn), ==, SIG_CLOSE_RESTART);
	sig_conn_free(a.conn);
	world_close(&w);
}

/* Who was let in just before is told as soon as it can hear. */
static void
test_drain_while_connecting(void)
{
	World w = {0};
	Agent a;
	g_auto(SigFrame) frame = {0};

	world_open(&w);
	agent_accept(&w, &a);
	sig_conn_drain(a.conn, 7);
	g_assert_false(sig_conn_is_closing(a.conn));
	sig_conn_open(a.conn);
	g_assert_cmpint(next_frame(&a, &frame), ==, SIG_FRAME_DRAIN);
	g_assert_cmpint(sig_conn_take_close(a.conn), ==, SIG_CLOSE_RESTART);
	sig_conn_free(a.conn);
	world_close(&w);
}

#define MESH 500

/* All are mutual and read at once. Each is told to come back later, none that it reads too slowly:
 * those who go first say nothing to the others. */
static void
test_drain_mesh(void)
{
	World w = {.limits = {.burst = 100000}};
	g_autofree Agent *agents = g_new0(Agent, MESH);
	g_autofree WgKey *keys = g_new0(WgKey, MESH);
	g_auto(SigFrame) frame = {0};

	world_open(&w);
	for (guint i = 0; i < MESH; i++) {
		agent_login(&w, &agents[i]);
		keys[i] = agents[i].key;
	}
	for (guint i = 0; i < MESH; i++) {
		receive_text_take(&agents[i], sig_wire_encode_interest(keys, MESH / 2, NULL, 0));
		receive_text_take(&agents[i],
				  sig_wire_encode_interest(keys + MESH / 2, MESH / 2, NULL, 0));
		for (guint j = 0; j < MESH; j++)
			drop_output(&agents[j]);
	}
	for (guint i = 0; i < MESH; i++) {
		sig_conn_drain(agents[i].conn, 7);
		g_assert_true(sig_conn_is_closing(agents[i].conn));
	}
	for (guint i = 0; i < MESH; i++) {
		g_assert_cmpint(next_frame(&agents[i], &frame), ==, SIG_FRAME_DRAIN);
		g_assert_cmpint(sig_conn_take_close(agents[i].conn), ==, SIG_CLOSE_RESTART);
	}
	for (guint i = 0; i < MESH; i++)
		sig_conn_free(agents[i].conn);
	world_close(&w);
}

/* ---- what the log says of an end ---- */

typedef struct {
	char code[32], key[WG_KEY_STRLEN];
} Said;

static GLogWriterOutput
note_end(GLogLevelFlags level, const GLogField *fields, gsize n, gpointer user_data)
{
	Said *said = user_data;

	for (gsize i = 0; i < n; i++) {
		if (g_str_equal(fields[i].key, "SIGNALD_CODE"))
			g_strlcpy(said->code, fields[i].value, sizeof said->code);
		if (g_str_equal(fields[i].key, "SIGNALD_KEY"))
			g_strlcpy(said->key, fields[i].value, sizeof said->key);
	}
	return g_log_writer_default(level, fields, n, NULL);
}

/* key: NULL: none is named. */
static void
assert_said(Said *said, const char *code, const WgKey *key)
{
	char text[WG_KEY_STRLEN] = "";

	if (key)
		wg_key_format_short(key, text);
	g_assert_cmpstr(said->code, ==, code);
	g_assert_cmpstr(said->key, ==, text);
	memset(said, 0, sizeof *said);
}

/* Its key is `private`'s, and it answers the hello of `other`; NULL: its own. What follows is still
 * to be read. */
static void
answer_as(World *w, Agent *agent, const WgKey *private, const SigFrame *other)
{
	g_auto(SigFrame) frame = {0};

	agent_accept(w, agent);
	agent->private = *private;
	wg_key_public_from_private(private, &agent->key);
	sig_conn_open(agent->conn);
	g_assert_cmpint(next_frame(agent, &frame), ==, SIG_FRAME_HELLO);
	receive_text_take(agent, sig_login_answer(other ? &other->hello : &frame.hello, private,
						  "a:1", NULL));
}

static gboolean
admit_nobody(const WgKey *key, const WgEndpoint *address, gboolean from_here,
	     const SigScope **scope, const char **why, gpointer user_data)
{
	*why = "nobody may";
	return FALSE;
}

/* Whose connection it was, as soon as that is proved, and no sooner. */
static void
test_log_names_key(gconstpointer user_data)
{
	Said *said = (gpointer)user_data;
	World w = {0};
	Agent a, again, forged, refused, stranger;
	g_auto(SigFrame) foreign = {0};
	WgKey private;

	world_open(&w);
	agent_login(&w, &a);
	answer_as(&w, &again, &a.private, NULL);
	assert_ended(&a, SIG_CLOSE_DUPLICATE_KEY);
	assert_said(said, "duplicate-key", &a.key);
	receive_text_take(&again, g_strdup("no frame"));
	assert_said(said, "bad-frame", &a.key);

	agent_accept(&w, &stranger);
	sig_conn_open(stranger.conn);
	g_assert_cmpint(next_frame(&stranger, &foreign), ==, SIG_FRAME_HELLO);
	foreign.hello.nonce[0] ^= 1;
	answer_as(&w, &forged, &a.private, &foreign);
	assert_ended(&forged, SIG_CLOSE_LOGIN_REFUSED);
	assert_said(said, "login-refused", NULL);

	w.hub->admit = admit_nobody;
	wg_key_generate_private(&private);
	answer_as(&w, &refused, &private, NULL);
	assert_ended(&refused, SIG_CLOSE_NOT_ALLOWED);
	assert_said(said, "not-allowed", &refused.key);
	receive_text_take(&stranger, g_strdup("no frame"));
	assert_said(said, "bad-frame", NULL);
	sig_conn_free(a.conn);
	sig_conn_free(again.conn);
	sig_conn_free(forged.conn);
	sig_conn_free(refused.conn);
	sig_conn_free(stranger.conn);
	world_close(&w);
}

/* ---- configuration ---- */

static void
refused(const char *text, const char *words)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(sig_config_parse(text, strlen(text), "f", &(SigArgs){0}, &error));
	if (!strstr(error->message, words))
		g_error("\"%s\" does not name \"%s\"", error->message, words);
	g_assert_null(strchr(error->message, '\n'));
}

static void
test_config(void)
{
	const char *text = "[signald]\nlisten=127.0.0.1:80;[::1]:80;\nstun=127.0.0.1:3478\n"
			   "name=a;b:1\n[limits]\nqueue=40000\n";
	const char *const listen[] = {"10.0.0.1:1", NULL}, *const none[] = {"none", NULL};
	g_autoptr(GError) error = NULL;
	g_autoptr(SigConfig) file =
		sig_config_parse(text, strlen(text), "f", &(SigArgs){0}, &error);
	g_autoptr(SigConfig) both = sig_config_parse(
		text, strlen(text), "f", &(SigArgs){.listen = listen, .stun = none}, NULL);
	g_autoptr(SigConfig) plain = sig_config_parse(NULL, 0, NULL, &(SigArgs){0}, NULL);

	g_assert_no_error(error);
	g_assert_cmpuint(file->listen->len, ==, 2);
	g_assert_cmpuint(file->stun->len, ==, 1);
	g_assert_true(file->stun_asked);
	g_assert_cmpstr(file->names[1], ==, "b:1");
	g_assert_cmpuint(file->limits.queue, ==, 40000);
	g_assert_cmpuint(both->listen->len, ==, 1);
	g_assert_cmpuint(both->stun->len, ==, 0);
	g_assert_cmpuint(plain->listen->len, ==, 2);
	g_assert_cmpuint(plain->stun->len, ==, 2);
	g_assert_false(plain->stun_asked);
	refused("[signald]\nlisten=example.org:80\n", "example.org:80");
	refused("[signald]\ntls-cert=x\n", "tls-cert");
	refused("[redis]\nurl=x\n", "redis");
	refused("[limits]\nqueue=1\n", "queue");
	refused("[limits]\nqueue=many\n", "many");
	refused("[limits]\nbogus=1\n", "bogus");
	refused("[signald]\nname=a b\n", "a b");
	refused("[signald]\nname=a\\qb\n", "name");
	refused("[signald]\nlisten=\xff\n", "listen");
	refused("[signald]\ntls-cert=/c\\\ntls-key=/k\n", "tls-cert");
	refused("[limits]\nrate=+5\n", "rate");
	refused("junk", "f");
}

static void
test_config_turn(void)
{
	const char *text = "[signald]\nturn-uri=turn:a:1;turns:b;\nturn-secret-file=/s\n"
			   "turn-ttl=60\n";
	const char *const uris[] = {"turn:c", NULL};
	g_autoptr(GError) error = NULL;
	g_autoptr(SigConfig) file =
		sig_config_parse(text, strlen(text), "f", &(SigArgs){0}, &error);
	g_autoptr(SigConfig) both =
		sig_config_parse(text, strlen(text), "f",
				 &(SigArgs){.turn_uris = uris, .turn_secret_file = "/t"}, NULL);
	g_autoptr(SigConfig) plain = sig_config_parse(NULL, 0, NULL, &(SigArgs){0}, NULL);

	g_assert_no_error(error);
	g_assert_cmpuint(g_strv_length(file->turn_uris), ==, 2);
	g_assert_cmpstr(file->turn_uris[1], ==, "turns:b");
	g_assert_cmpstr(file->turn_secret_file, ==, "/s");
	g_assert_cmpuint(file->turn_ttl, ==, 60);
	g_assert_cmpstrv(both->turn_uris, uris);
	g_assert_cmpstr(both->turn_secret_file, ==, "/t");
	g_assert_null(plain->turn_uris);
	g_assert_cmpuint(plain->turn_ttl, ==, 3600);
	refused("[signald]\nturn-uri=turn:a\n", "--turn-secret-file");
	refused("[signald]\nturn-secret-file=/s\n", "--turn-uri");
	refused("[signald]\nturn-uri=\nturn-secret-file=/s\n", "--turn-uri");
	refused("[signald]\nturn-uri=stun:a\nturn-secret-file=/s\n", "stun:a");
	refused("[signald]\nturn-uri=turn:a;turn:a;turn:a;turn:a;turn:a;turn:a;turn:a;turn:a;turn:"
		"a\n"
		"turn-secret-file=/s\n",
		"more than 8");
	refused("[signald]\nturn-ttl=59\n", "59");
	refused("[signald]\nturn-ttl=86401\n", "86401");
	refused("[signald]\nturn-ttl=1h\n", "1h");
	refused("[signald]\nturn-secret=x\n", "turn-secret:");
}

int
main(int argc, char **argv)
{
	Said said = {0};

	g_log_set_writer_func(note_end, &said, NULL);
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/sig/conn/seen", test_seen);
	g_test_add_func("/sig/conn/pieces", test_pieces);
	g_test_add_func("/sig/conn/announced-length", test_announced_length);
	g_test_add_func("/sig/conn/full-queue", test_full_queue);
	g_test_add_func("/sig/conn/slow-reader", test_slow_reader);
	g_test_add_func("/sig/conn/toggling", test_toggling);
	g_test_add_func("/sig/conn/clique", test_clique);
	g_test_add_func("/sig/conn/rate", test_rate);
	g_test_add_func("/sig/conn/rate-by-length", test_rate_by_length);
	g_test_add_func("/sig/conn/interest-limit", test_interest_limit);
	g_test_add_func("/sig/conn/keepalive", test_keepalive);
	g_test_add_func("/sig/conn/login-time", test_login_time);
	g_test_add_func("/sig/conn/drain", test_drain);
	g_test_add_func("/sig/conn/drain-while-connecting", test_drain_while_connecting);
	g_test_add_func("/sig/conn/drain-mesh", test_drain_mesh);
	g_test_add_data_func("/sig/conn/log-names-key", &said, test_log_names_key);
	g_test_add_func("/sig/config/file", test_config);
	g_test_add_func("/sig/config/turn", test_config_turn);
	return g_test_run();
}
