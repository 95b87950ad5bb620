/* SPDX-License-Identifier: MIT */
/* Hostile clients on an open WebSocket: frames that RFC 6455 forbids, floods of what it allows,
 * sizes at the bound and beyond. Each ends as PROTOCOL.md says, and two innocent clients notice
 * nothing. */
#include "tests/unit/net-own.h"
#include "tests/unit/sig-stage.h"

#define CONFIG "[limits]\nlogin-timeout=120\nconnect-rate=0\nunauthenticated-per-address=1000\n"
#define ROUNDS 20 /* of everything, after a first one: what is left after each must not add up */
#define END 0	  /* TCP's, without a close frame */
#define MASK "\x11\x22\x33\x44"

typedef struct {
	const char *what, *bytes;
	gsize len;
	guint close; /* the code of the close frame, or END */
} Bad;

#define BAD(what, bytes, close)                                                                    \
	{                                                                                          \
		what, bytes, sizeof(bytes) - 1, close                                              \
	}

static const Bad bad_frames[] = {
	BAD("RSV1", "\xc1\x80" MASK, 1002),
	BAD("RSV2", "\xa1\x80" MASK, 1002),
	BAD("RSV3 in a ping", "\x99\x80" MASK, 1002),
	BAD("opcode 3", "\x83\x80" MASK, 1002),
	BAD("opcode 7", "\x87\x81" MASK "x", 1002),
	BAD("opcode 11", "\x8b\x80" MASK, 1002),
	BAD("opcode 15", "\x8f\x80" MASK, 1002),
	BAD("ping in fragments", "\x09\x80" MASK, 1002),
	BAD("close in fragments", "\x08\x80" MASK, 1002),
	BAD("ping of 126 bytes", "\x89\xfe\x00\x7e" MASK, END),
	BAD("ping of a 64-bit length", "\x89\xff\0\0\0\0\0\0\0\x01" MASK "x", END),
	BAD("pong of 126 bytes", "\x8a\xfe\x00\x7e" MASK, END),
	BAD("close of 126 bytes", "\x88\xfe\x00\x7e" MASK, END),
	BAD("continuation of nothing", "\x80\x80" MASK, 1002),
	BAD("continuation of nothing, more to come", "\x00\x81" MASK "x", 1002),
	BAD("text inside a text", "\x01\x81" MASK "x\x81\x81" MASK "x", 1002),
	BAD("binary inside a text", "\x01\x81" MASK "x\x82\x81" MASK "x", 1002),
	BAD("nothing, in fragments", "\x01\x80" MASK "\x00\x80" MASK "\x80\x80" MASK, 4000),
	BAD("length with the top bit", "\x82\xff\x80\0\0\0\0\0\0\x01" MASK "x", END),
	BAD("length of 2^62", "\x82\xff\x40\0\0\0\0\0\0\0" MASK "x", 1009),
	BAD("length of 2^32", "\x82\xff\0\0\0\x01\0\0\0\0" MASK "x", 1009),
	BAD("length of 16385", "\x82\xfe\x40\x01" MASK "x", 1009),
	BAD("length of 2 in 16 bits", "\x81\xfe\0\x02" MASK "xx", 4000),
	BAD("length of 2 in 64 bits", "\x81\xff\0\0\0\0\0\0\0\x02" MASK "xx", 4000),
	BAD("length of 0 in 16 bits", "\x81\xfe\0\0" MASK, 4000),
	BAD("length of 0 in 64 bits", "\x82\xff\0\0\0\0\0\0\0\0" MASK, 4000),
	BAD("not masked", "\x81\x02xx", 4000),
	BAD("not masked, length of 0 in 16 bits", "\x82\x7e\0\0xxxxxxxxx", 1002),
	BAD("close of one byte", "\x88\x81" MASK "\x12", END),
	BAD("close with a text that is not UTF-8", "\x88\x84" MASK "\x12\xca\xcc\xbb", END),
	BAD("close 0", "\x88\x82" MASK "\x11\x22", 1002),
	BAD("close 999", "\x88\x82" MASK "\x12\xc5", 1002),
	BAD("close 1005", "\x88\x82" MASK "\x12\xcf", 1002),
	BAD("close 1006", "\x88\x82" MASK "\x12\xcc", 1002),
	BAD("close 1016", "\x88\x82" MASK "\x12\xda", 1002),
	BAD("close 2999", "\x88\x82" MASK "\x1a\x95", 1002),
	BAD("close 1000", "\x88\x82" MASK "\x12\xca", 1000),
	BAD("close 1001, twice", "\x88\x82" MASK "\x12\xcb\x88\x82" MASK "\x12\xcb", 1001),
	BAD("close 4999", "\x88\x82" MASK "\x02\xa5", 4999),
};

static guint
send_bad(Stage *stage, const Bad *bad, gboolean logged_in)
{
	Raw *raw = logged_in ? raw_new(&stage->server) : raw_open(&stage->server);

	g_test_message("%s", bad->what);
	raw_send(raw, bad->bytes, bad->len);
	if (bad->close == END)
		raw_expect_end(raw);
	else if (bad->close >= 4000 && bad->close < 4100)
		raw_expect_error(raw, bad->close);
	else
		raw_expect_close(raw, bad->close);
	raw_free(raw);
	return bad->close == 1009 || (bad->close >= 4000 && bad->close < 4100);
}

/* Connections that were refused, with an error frame. */
static guint
send_all_bad(Stage *stage)
{
	guint refused = 0;

	for (guint i = 0; i < G_N_ELEMENTS(bad_frames); i++)
		refused += send_bad(stage, &bad_frames[i], i % 2);
	return refused;
}

static void
test_forbidden(void)
{
	guint refused, once = 0;
	Stage stage = {0};
	Ended ended;

	for (guint i = 0; i < G_N_ELEMENTS(bad_frames); i++)
		once += bad_frames[i].close == 1009 || bad_frames[i].close == 4000;
	stage_open(&stage, CONFIG);
	refused = send_all_bad(&stage);
	stage_clean(&stage);
	stage_measure(&stage);
	for (guint i = 0; i < ROUNDS; i++)
		refused += send_all_bad(&stage);
	g_assert_cmpuint(refused, ==, once * (ROUNDS + 1));
	stage_close(&stage, &ended);
	g_assert_cmpuint(ended.refused, ==, refused);
	g_assert_cmpuint(ended.accepted, ==, 2 + (ROUNDS + 1) * G_N_ELEMENTS(bad_frames));
	g_assert_cmpuint(ended.unavailable, ==, 0);
}

/* Random bytes where frames are expected; we go when we have sent them. */
static void
test_random(void)
{
	Stage stage = {0};
	Ended ended;

	stage_open(&stage, CONFIG);
	for (guint round = 0; round < 200; round++) {
		Raw *raw = round % 2 ? raw_new(&stage.server) : raw_open(&stage.server);
		guint8 data[2000];

		for (guint i = 0; i < sizeof data; i++)
			data[i] = (guint8)g_test_rand_int();
		if (round % 4 < 2) /* else the first two bytes say FIN, text or binary, masked */
			data[0] = 0x81 | (round % 4), data[1] = 0xfe, data[2] &= 0x3f;
		raw_send(raw, data, sizeof data);
		shutdown(raw->fd, SHUT_WR);
		while (raw_fill(raw))
			;
		raw_free(raw);
	}
	stage_close(&stage, &ended);
	g_assert_cmpuint(ended.accepted, ==, 202);
	g_assert_cmpuint(ended.logins, ==, 102);
}

/* ---- sizes, over the wire ---- */

static void
append_fragments(GByteArray *out, const char *text, gsize len, guint n)
{
	for (guint i = 0; i < n; i++) {
		const gsize from = len * i / n, to = len * (i + 1) / n;

		raw_append_frame(out, (i == n - 1 ? RAW_FIN : 0) | (i == 0 ? RAW_TEXT : 0),
				 text + from, to - from);
	}
}

/* Whether a text of this length in n frames is taken: a message to oneself is answered then. */
static void
send_sized(Stage *stage, gsize len, guint n, SigClose why)
{
	g_autofree char *filler = g_strnfill(len - strlen("{\"t\":\"later\"}"), ' ');
	g_autofree char *text = g_strdup_printf("{\"t\":\"later\"%s}", filler);
	g_autoptr(GByteArray) out = g_byte_array_new();
	g_auto(SigFrame) frame = {0};
	Raw *raw = raw_new(&stage->server);

	append_fragments(out, text, len, n);
	raw_send(raw, out->data, out->len);
	raw_send_message(raw, &raw->key, "x", 1);
	if (why == SIG_CLOSE_NONE)
		raw_expect(raw, SIG_FRAME_UNAVAILABLE, &frame);
	else
		raw_expect_error(raw, why);
	raw_free(raw);
}

static void
test_sizes(void)
{
	Stage stage = {0};
	Ended ended;

	stage_open(&stage, CONFIG);
	for (guint n = 1; n <= SIG_WIRE_FRAGMENTS_MAX; n = n == 1 ? 2 : n * 4) {
		send_sized(&stage, SIG_WIRE_MAX, n, SIG_CLOSE_NONE);
		send_sized(&stage, SIG_WIRE_MAX + 1, n, SIG_CLOSE_TOO_BIG);
	}
	send_sized(&stage, 1000, SIG_WIRE_FRAGMENTS_MAX, SIG_CLOSE_NONE);
	send_sized(&stage, 1000, SIG_WIRE_FRAGMENTS_MAX + 1, SIG_CLOSE_BAD_FRAME);
	stage_close(&stage, &ended);
	g_assert_cmpuint(ended.refused, ==, 5);
	g_assert_cmpuint(ended.unavailable, ==, 5);
}

/* ---- floods ---- */

/* Pings one by one, each answered, up to what a connection has before its login (128, and one more
 * for each second that the test takes). */
static void
test_pings(void)
{
	const gint64 begin = g_get_monotonic_time();
	guint answered = 0;
	Stage stage = {0};
	Ended ended;
	Raw *raw;

	stage_open(&stage, CONFIG);
	raw = raw_open(&stage.server);
	for (;;) {
		raw_send_frame(raw, RAW_FIN | RAW_PING, &answered, sizeof answered);
		g_assert_true(raw_read_frame(raw));
		if (raw->op != RAW_PONG)
			break;
		g_assert_cmpmem(raw->payload->data, raw->payload->len, &answered, sizeof answered);
		answered++;
	}
	g_assert_cmpint(raw->op, ==, RAW_TEXT);
	g_assert_nonnull(memmem(raw->payload->data, raw->payload->len, "rate-limited", 12));
	raw_expect_close(raw, SIG_CLOSE_RATE_LIMITED);
	/* the answer to the one too many left first */
	g_assert_cmpuint(answered, >=, 128);
	g_assert_cmpint(answered, <=, 130 + (g_get_monotonic_time() - begin) / G_USEC_PER_SEC);
	raw_free(raw);
	stage_close(&stage, &ended);
	g_assert_cmpuint(ended.refused, ==, 1);
}

/* Megabytes of control frames of one kind, whose answers nobody reads. */
static void
flood(Stage *stage, guint8 op)
{
	g_autoptr(GByteArray) block = g_byte_array_new();
	Raw *raw = raw_new(&stage->server);

	while (block->len < 100000)
		raw_append_frame(block, RAW_FIN | op, "0123456789", 10);
	for (guint i = 0; i < 40; i++)
		if (!raw_send(raw, block->data, block->len))
			break;
	raw_free(raw);
}

/* Nothing grows. Of pongs each costs like a frame, of pings each that is answered. */
static void
test_floods(void)
{
	Stage stage = {0};
	Ended ended;

	stage_open(&stage, CONFIG);
	for (guint i = 0; i < 3; i++) {
		flood(&stage, RAW_PING);
		flood(&stage, RAW_PONG);
	}
	stage_close(&stage, &ended);
	g_assert_cmpuint(ended.unavailable, ==, 0);
	g_assert_cmpuint(ended.refused, >=, 3);
}

int
main(int argc, char **argv)
{
	if (!net_own())
		return 1;
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/sig/hostile/frames/forbidden", test_forbidden);
	g_test_add_func("/sig/hostile/frames/random", test_random);
	g_test_add_func("/sig/hostile/frames/sizes", test_sizes);
	g_test_add_func("/sig/hostile/frames/pings", test_pings);
	g_test_add_func("/sig/hostile/frames/floods", test_floods);
	return g_test_run();
}
