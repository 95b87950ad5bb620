/* SPDX-License-Identifier: MIT */
/* Clients that take their time: requests and frames that trickle in or never end, pings that nobody
 * answers, readers that do not read. Two innocent clients notice nothing. */
#include "tests/unit/net-own.h"
#include "tests/unit/sig-stage.h"

#define STEP_MS 100

/* ---- before the login ---- */

typedef struct {
	const char *what;
	gboolean upgraded;
	const char *once;  /* sent at first, in one piece */
	const char *bytes; /* then sent byte by byte, over and over */
	gboolean early;	   /* what has come may end it before its time */
	Raw *raw;
	gint64 began, ended; /* µs */
} Trickler;

#define MASK "\x11\x22\x33\x44"

static Trickler tricklers[] = {
	{"nothing", FALSE, "", ""},
	{"a request", FALSE, "", RAW_UPGRADE},
	{"headers without end", FALSE, "GET / HTTP/1.1\r\n", "A: b\r\n"},
	{"a header without end", FALSE, "GET / HTTP/1.1\r\nCookie: ", "a"},
	{"a method without end", FALSE, "", "G", TRUE},
	{"an open WebSocket", TRUE, "", ""},
	{"the header of a frame", TRUE, "\x81\xff", ""},
	{"a frame", TRUE, "\x81\xfe\x3f\xff" MASK, "x"},
	{"pings", TRUE, "", "\x89\x81" MASK "x"},
	{"fragments", TRUE, "\x01\x81" MASK "x", "\x80\x81" MASK "x", TRUE},
};

static gboolean
is_over(const Raw *raw)
{
	char buffer[256];
	gssize n;

	do
		n = recv(raw->fd, buffer, sizeof buffer, MSG_DONTWAIT);
	while (n > 0);
	return n == 0 || (errno != EAGAIN && errno != EINTR);
}

static void
step(Trickler *t, guint i)
{
	if (t->ended)
		return;
	if (is_over(t->raw))
		t->ended = g_get_monotonic_time();
	else if (*t->bytes)
		raw_send(t->raw, t->bytes + i % strlen(t->bytes), 1);
}

/* Whatever comes and however slowly: without a login it is over when the login's time is. */
static void
test_trickle(void)
{
	const guint seconds = 2;
	guint left = G_N_ELEMENTS(tricklers);
	Stage stage = {0};
	Ended ended;

	stage_open(&stage, "[limits]\nlogin-timeout=2\n");
	for (guint i = 0; i < G_N_ELEMENTS(tricklers); i++) {
		Trickler *t = &tricklers[i];

		t->began = g_get_monotonic_time();
		t->raw = t->upgraded ? raw_open(&stage.server) : raw_dial(&stage.server);
		raw_send(t->raw, t->once, strlen(t->once));
	}
	for (guint n = 0; left > 0; n++) {
		g_usleep(STEP_MS * 1000);
		left = 0;
		for (guint i = 0; i < G_N_ELEMENTS(tricklers); i++) {
			step(&tricklers[i], n);
			left += tricklers[i].ended == 0;
		}
		g_assert_cmpuint(n, <, RAW_DEADLINE_S * 1000 / STEP_MS);
	}
	for (guint i = 0; i < G_N_ELEMENTS(tricklers); i++) {
		Trickler *t = &tricklers[i];
		const gint64 took = t->ended - t->began;

		g_test_message("%s: %d ms", t->what, (int)(took / 1000));
		/* less the server's second that it began in */
		if (!t->early)
			g_assert_cmpint(took, >=, (seconds - 1) * G_USEC_PER_SEC);
		raw_free(t->raw);
	}
	stage_close(&stage, &ended);
	g_assert_cmpuint(ended.logins, ==, 2);
	g_assert_cmpuint(ended.refused, ==, 5); /* those with an open WebSocket are told */
}

/* ---- after it ---- */

/* A frame that was announced and never sent, or not even a byte: gone after ping and pong, and not
 * before; of the first of these seconds the server's may be nearly over. */
static void
test_silence(void)
{
	static const char *const lasts[] = {"", "\x81\xfe\x40\x01" MASK,
					    "\x81\xfe\x3f\xff" MASK "x"};
	const gint64 begin = g_get_monotonic_time();
	Raw *raws[G_N_ELEMENTS(lasts)];
	Stage stage = {0};
	Ended ended;

	stage_open(&stage, "[limits]\nping=2\npong=1\n");
	for (guint i = 0; i < G_N_ELEMENTS(lasts); i++) {
		raws[i] = raw_new(&stage.server);
		raw_send(raws[i], lasts[i], strlen(lasts[i]));
	}
	for (guint i = 0; i < G_N_ELEMENTS(lasts); i++) {
		while (raw_read_frame(raws[i])) /* pings are not answered */
			;
		g_assert_cmpint(g_get_monotonic_time() - begin, >=, 2 * G_USEC_PER_SEC);
		g_assert_cmpuint(raws[i]->op, ==, RAW_PING);
		raw_free(raws[i]);
	}
	stage_close(&stage, &ended);
	g_assert_cmpuint(ended.refused, ==, 0);
}

/* Each byte of a message is a sign of life: the message arrives in the end. */
static void
test_slow_message(void)
{
	static const char text[] = "{\"t\":\"later\", \"slowly\": true}";
	g_autoptr(GByteArray) frame = g_byte_array_new();
	g_auto(SigFrame) answer = {0};
	Stage stage = {0};
	Ended ended;
	Raw *raw;

	stage_open(&stage, "[limits]\nping=2\npong=2\n");
	raw = raw_new(&stage.server);
	raw_append_frame(frame, RAW_FIN | RAW_TEXT, text, strlen(text));
	for (guint i = 0; i < frame->len; i++) {
		g_assert_true(raw_send(raw, frame->data + i, 1));
		g_usleep(2 * STEP_MS * 1000);
	}
	raw_send_message(raw, &raw->key, "x", 1);
	raw_expect(raw, SIG_FRAME_UNAVAILABLE, &answer);
	raw_free(raw);
	stage_close(&stage, &ended);
	g_assert_cmpuint(ended.refused, ==, 0);
}

/* ---- who does not read ---- */

/* A small buffer, so that the kernel does not read in our place; a large one to read what came. */
static void
read_buffer(Raw *raw, int size)
{
	setsockopt(raw->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
}

/* Answers that nobody reads: the queue of control frames is full one day, and that is the end. */
static void
test_unread_answers(void)
{
	const WgKey nobody = {{5}};
	g_autoptr(GBytes) message = sig_wire_encode_binary(&nobody, NULL, 0);
	g_autoptr(GByteArray) block = g_byte_array_new();
	g_auto(SigFrame) frame = {0};
	Stage stage = {0};
	Ended ended;
	Raw *raw, *friend;

	stage_open(&stage, NULL);
	raw = raw_new(&stage.server);
	friend = raw_new(&stage.server);
	raw_name(raw, friend);
	raw_name(friend, raw);
	raw_expect(friend, SIG_FRAME_PRESENCE, &frame);
	read_buffer(raw, 4096);
	for (guint i = 0; i < 1000; i++)
		raw_append_frame(block, RAW_FIN | RAW_BINARY, g_bytes_get_data(message, NULL),
				 g_bytes_get_size(message));
	for (guint i = 0; i < 40; i++)
		raw_send(raw, block->data, block->len);
	raw_expect(friend, SIG_FRAME_PRESENCE, &frame);
	g_assert_cmpuint(frame.presence.offline.n, ==, 1);
	if (!g_getenv("NAT_SIGNALD"))
		g_assert_cmpuint(server_memory(&stage.server), <=, stage.memory + LEAK_KB);
	/* within the 5 s that its end may take */
	read_buffer(raw, 1 << 20);
	raw_expect_error(raw, SIG_CLOSE_OVERLOAD);
	raw_free(raw);
	raw_free(friend);
	stage_close(&stage, &ended);
	g_assert_cmpuint(ended.refused, ==, 1);
	g_assert_cmpuint(ended.unavailable, >, 1000);
}

/* Messages that their receiver does not read: the sender hears of each that has no room, and those
 * that have come in order once it reads again; the answer to its ping comes between two of them. */
static void
test_unread_messages(void)
{
	enum { N = 1000 };
	guint8 body[4000] = {0};
	g_auto(SigFrame) frame = {0};
	guint lost = 0, got = 0, next = 0, pongs = 0;
	Stage stage = {0};
	Ended ended;
	Raw *from, *to;

	stage_open(&stage, NULL);
	from = raw_new(&stage.server);
	to = raw_new(&stage.server);
	read_buffer(to, 4096);
	raw_name(from, to);
	raw_name(to, from);
	raw_expect(from, SIG_FRAME_PRESENCE, &frame);
	for (guint i = 0; i < N; i++) {
		memcpy(body, &i, sizeof i);
		g_assert_true(raw_send_message(from, &to->key, body, sizeof body));
	}
	raw_send_message(from, &from->key, "x", 1); /* its answer is the last */
	for (gboolean last = FALSE; !last;) {
		raw_expect(from, SIG_FRAME_UNAVAILABLE, &frame);
		last = wg_key_equal(&frame.unavailable.to.keys[0], &from->key);
		lost += !last;
	}
	g_assert_cmpuint(lost, >, 0);
	if (!g_getenv("NAT_SIGNALD"))
		g_assert_cmpuint(server_memory(&stage.server), <=, stage.memory + LEAK_KB);
	g_assert_true(raw_send_frame(to, RAW_FIN | RAW_PING, "amid", 4));
	read_buffer(to, 1 << 20);
	while (got + lost < N || pongs == 0) {
		guint number;

		g_assert_true(raw_next(to));
		if (to->op == RAW_PONG) {
			g_assert_cmpmem(to->payload->data, to->payload->len, "amid", 4);
			pongs++;
		}
		if (to->op != RAW_BINARY)
			continue;
		memcpy(&number, to->payload->data + SIG_WIRE_BINARY_HEADER, sizeof number);
		g_assert_cmpuint(number, >=, next);
		next = number + 1;
		got++;
	}
	raw_free(from);
	raw_free(to);
	stage_close(&stage, &ended);
	g_assert_cmpuint(ended.queue, ==, lost);
	g_assert_cmpuint(ended.refused, ==, 0);
}

int
main(int argc, char **argv)
{
	if (!net_own())
		return 1;
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/sig/hostile/slow/trickle", test_trickle);
	g_test_add_func("/sig/hostile/slow/silence", test_silence);
	g_test_add_func("/sig/hostile/slow/message", test_slow_message);
	g_test_add_func("/sig/hostile/slow/unread-answers", test_unread_answers);
	g_test_add_func("/sig/hostile/slow/unread-messages", test_unread_messages);
	return g_test_run();
}
