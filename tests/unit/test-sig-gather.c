/* SPDX-License-Identifier: MIT */
/* What is written to a connection's socket, byte by byte, and when its writer is woken. */
#include "signaling/sig-gather.h"

#include "tests/unit/sig-world.h"

/* A frame of the server's in a buffer; `at` moves behind it. */
typedef struct {
	guint8 first;
	const guint8 *payload;
	gsize len;
} Frame;

static Frame
take_frame(const GByteArray *bytes, gsize *at)
{
	const guint8 *p = bytes->data + *at;
	Frame frame = {p[0], p + 2, p[1]};

	g_assert_cmpuint(*at + 2, <=, bytes->len);
	if (p[1] == 126) {
		frame.len = p[2] << 8 | p[3];
		frame.payload = p + 4;
		g_assert_cmpuint(frame.len, >=, 126); /* RFC 6455 §5.2: the shortest form */
	}
	*at = frame.payload + frame.len - bytes->data;
	g_assert_cmpuint(*at, <=, bytes->len);
	return frame;
}

/* Two that know each other, and have read what was said so far. */
static void
open_pair(World *w, Agent *a, Agent *b)
{
	world_open(w);
	agent_login(w, a);
	agent_login(w, b);
	name(a, b);
	name(b, a);
	drop_output(a);
	drop_output(b);
}

static void
close_pair(World *w, Agent *a, Agent *b)
{
	sig_conn_free(a->conn);
	sig_conn_free(b->conn);
	world_close(w);
}

/* Each form of the length, in order, after what is in the buffer already. */
static void
test_frames(void)
{
	static const gsize lens[] = {0, 92, 93, 300, 8000};
	g_autoptr(GByteArray) bytes = g_byte_array_new();
	World w = {0};
	Agent a, b;
	gsize at = 3;

	open_pair(&w, &a, &b);
	g_byte_array_append(bytes, (const guint8 *)"abc", 3);
	g_assert_true(sig_gather(b.conn, bytes));
	g_assert_cmpuint(bytes->len, ==, 3);
	for (guint i = 0; i < G_N_ELEMENTS(lens); i++)
		say(&a, &b, lens[i]);
	g_assert_false(sig_gather(b.conn, bytes)); /* that was a lot */
	g_assert_cmpmem(bytes->data, 3, "abc", 3);
	for (guint i = 0; i < G_N_ELEMENTS(lens); i++) {
		const Frame frame = take_frame(bytes, &at);

		g_assert_cmphex(frame.first, ==, 0x82);
		g_assert_cmpuint(frame.len, ==, SIG_WIRE_BINARY_HEADER + lens[i]);
		g_assert_cmpmem(frame.payload + 1, WG_KEY_LEN, a.key.b, WG_KEY_LEN);
	}
	g_assert_cmpuint(at, ==, bytes->len);
	close_pair(&w, &a, &b);
}

/* A full queue is taken in turns, the largest frames too, and nothing of it is lost. */
static void
test_turns(void)
{
	g_autoptr(GByteArray) bytes = g_byte_array_new();
	guint frames = 0, turns = 0;
	gboolean all = FALSE;
	World w = {0};
	Agent a, b;

	open_pair(&w, &a, &b);
	for (guint i = 0; i < 12; i++)
		say(&a, &b, i % 4 == 3 ? SIG_WIRE_BODY_MAX : 1000);
	g_assert_cmpuint(w.hub->stats.routed, ==, 12);
	for (; !all; turns++) {
		gsize at = 0;

		g_byte_array_set_size(bytes, 0);
		all = sig_gather(b.conn, bytes);
		g_assert_cmpuint(bytes->len, <=, SIG_GATHER_MAX);
		for (; at < bytes->len; frames++)
			take_frame(bytes, &at);
	}
	g_assert_cmpuint(frames, ==, 12);
	g_assert_cmpuint(turns, >, 3);
	close_pair(&w, &a, &b);
}

/* The close frame is the last, even when its error frame had to wait for another turn. */
static void
test_close(void)
{
	g_autoptr(GByteArray) bytes = g_byte_array_new();
	World w = {0};
	Frame frame;
	Agent a, b;
	gsize at = 0;

	open_pair(&w, &a, &b);
	say(&a, &b, SIG_GATHER_BOUND);
	sig_conn_end(b.conn, SIG_CLOSE_RATE_LIMITED, "enough");
	g_assert_false(sig_gather(b.conn, bytes));
	g_assert_cmphex(take_frame(bytes, &at).first, ==, 0x82);
	g_assert_cmpuint(at, ==, bytes->len);
	g_assert_true(sig_gather(b.conn, bytes));
	frame = take_frame(bytes, &at);
	g_assert_cmphex(frame.first, ==, 0x81);
	g_assert_nonnull(g_strstr_len((const char *)frame.payload, frame.len, "rate-limited"));
	frame = take_frame(bytes, &at);
	g_assert_cmphex(frame.first, ==, 0x88);
	g_assert_cmpuint(frame.len, ==, 2);
	g_assert_cmpuint(frame.payload[0] << 8 | frame.payload[1], ==, SIG_CLOSE_RATE_LIMITED);
	g_assert_cmpuint(at, ==, bytes->len);
	g_assert_true(sig_gather(b.conn, bytes)); /* once */
	g_assert_cmpuint(at, ==, bytes->len);
	close_pair(&w, &a, &b);
}

static void
expire(SigTimer *timer, gpointer user_data)
{
	sig_conn_expire(sig_conn_from_timer(timer));
}

static void
test_ping(void)
{
	g_autoptr(GByteArray) bytes = g_byte_array_new();
	World w = {0};
	Agent a, b;
	Frame frame;
	gsize at = 0;

	open_pair(&w, &a, &b);
	for (guint i = 0; i < 2 * w.limits.ping; i++) /* the first tells that it was heard */
		sig_wheel_tick(w.hub->wheel, expire, NULL);
	say(&a, &b, 1);
	g_assert_true(sig_gather(b.conn, bytes));
	frame = take_frame(bytes, &at);
	g_assert_cmphex(frame.first, ==, 0x89);
	g_assert_cmpuint(frame.len, ==, 1); /* lws tells nobody of a pong without payload */
	g_assert_cmphex(take_frame(bytes, &at).first, ==, 0x82);
	g_assert_cmpuint(at, ==, bytes->len);
	close_pair(&w, &a, &b);
}

/* Told once, until it has taken notice; not while it waits for the socket; never after its end. */
static void
test_writer(void)
{
	World w = {0};
	Agent a, b;

	open_pair(&w, &a, &b);
	g_assert_cmpint(sig_conn_set_writer(b.conn, SIG_WRITER_IDLE), ==, SIG_WRITER_WOKEN);
	b.woken = 0;
	say(&a, &b, 1);
	say(&a, &b, 1);
	g_assert_cmpuint(b.woken, ==, 1);
	drop_output(&b);
	say(&a, &b, 1);
	g_assert_cmpuint(b.woken, ==, 1);
	sig_conn_set_writer(b.conn, SIG_WRITER_BLOCKED);
	drop_output(&b);
	say(&a, &b, 1);
	g_assert_cmpuint(b.woken, ==, 1);
	sig_conn_set_writer(b.conn, SIG_WRITER_IDLE);
	say(&a, &b, 1); /* the queue is not empty: it is told all the same */
	g_assert_cmpuint(b.woken, ==, 2);
	sig_conn_set_writer(b.conn, SIG_WRITER_ENDED);
	sig_conn_end(b.conn, SIG_CLOSE_RATE_LIMITED, "enough");
	g_assert_cmpuint(b.woken, ==, 2);
	close_pair(&w, &a, &b);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/sig/gather/frames", test_frames);
	g_test_add_func("/sig/gather/turns", test_turns);
	g_test_add_func("/sig/gather/close", test_close);
	g_test_add_func("/sig/gather/ping", test_ping);
	g_test_add_func("/sig/gather/writer", test_writer);
	return g_test_run();
}
