/* SPDX-License-Identifier: MIT */
/* Hostile clients before the WebSocket is open: what is no HTTP, wrong requests, wrong upgrades.
 * Each ends as PROTOCOL.md says, and two innocent clients notice nothing. */
#include "tests/unit/net-own.h"
#include "tests/unit/sig-stage.h"

/* So that nothing here ends by the login's time, but for what says so; and as many connections from
 * one address as it takes. */
#define CONFIG "[limits]\nlogin-timeout=120\nconnect-rate=0\nunauthenticated-per-address=1000\n"
#define ROUNDS 20 /* of everything, after a first one: what is left after each must not add up */

#define HOST "Host: localhost\r\n"
#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define VERSION(v) "Sec-WebSocket-Version: " v "\r\n"
#define PROTOCOL(p) "Sec-WebSocket-Protocol: " p "\r\n"
#define TO(what) "Upgrade: " what "\r\nConnection: Upgrade\r\n"
#define OURS PROTOCOL(SIG_WIRE_SUBPROTOCOL)

typedef struct {
	const char *what, *bytes;
	const char *answer; /* how it begins; NULL: the end without one; "": any, after our end */
} Request;

static const Request requests[] = {
	{"newlines", "\r\n\r\n\r\n\r\n", NULL},
	{"get", "GET / HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 404"},
	{"get of 1996", "GET / HTTP/1.0\r\n\r\n", "HTTP/1.0 404"},
	{"post", "POST / HTTP/1.1\r\n" HOST "Content-Length: 1000000\r\n\r\nxxx", "HTTP/1.1 404"},
	{"put", "PUT / HTTP/1.1\r\n" HOST "Content-Length: 4\r\n\r\nxxxx", "HTTP/1.1 404"},
	{"chunked", "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nffffffff\r\nx",
	 "HTTP/1.1 404"},
	{"connect", "CONNECT localhost:22 HTTP/1.1\r\n" HOST "\r\nSSH-2.0-x\r\n", NULL},
	{"another protocol", "SSH-2.0-OpenSSH_9.2\r\n", "HTTP/1.0 403"},
	{"http/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/1.0 403"},
	{"tls", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and some more of a ClientHello", ""},
	{"h2c",
	 "GET / HTTP/1.1\r\n" HOST "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n"
	 "HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
	 NULL},
	{"upgrade to something", "GET / HTTP/1.1\r\n" HOST TO("something") "\r\n", "HTTP/1.0 403"},
	{"version 8", "GET / HTTP/1.1\r\n" HOST TO("websocket") KEY VERSION("8") OURS "\r\n", NULL},
	{"version 14", "GET / HTTP/1.1\r\n" HOST TO("websocket") KEY VERSION("14") OURS "\r\n",
	 NULL},
	{"version 130", "GET / HTTP/1.1\r\n" HOST TO("websocket") KEY VERSION("130") OURS "\r\n",
	 NULL},
	{"version x", "GET / HTTP/1.1\r\n" HOST TO("websocket") KEY VERSION("x") OURS "\r\n", NULL},
	{"no version", "GET / HTTP/1.1\r\n" HOST TO("websocket") KEY OURS "\r\n", NULL},
	{"no key", "GET / HTTP/1.1\r\n" HOST TO("websocket") VERSION("13") OURS "\r\n", NULL},
	{"no host", "GET / HTTP/1.1\r\n" TO("websocket") KEY VERSION("13") OURS "\r\n", NULL},
	{"no subprotocol", "GET / HTTP/1.1\r\n" HOST TO("websocket") KEY VERSION("13") "\r\n",
	 NULL},
	{"another subprotocol",
	 "GET / HTTP/1.1\r\n" HOST TO("websocket") KEY VERSION("13") PROTOCOL("chat") "\r\n", NULL},
	{"the http one", /* libwebsockets' own first protocol */
	 "GET / HTTP/1.1\r\n" HOST TO("websocket") KEY VERSION("13") PROTOCOL("http") "\r\n", NULL},
	{"upgrade by 1.0", "GET / HTTP/1.0\r\n" HOST TO("websocket") KEY VERSION("13") OURS "\r\n",
	 NULL},
	{"upgrade by post",
	 "POST / HTTP/1.1\r\n" HOST TO("websocket") KEY VERSION("13") OURS "\r\n", NULL},
	{"upgrade by options",
	 "OPTIONS / HTTP/1.1\r\n" HOST TO("websocket") KEY VERSION("13") OURS "\r\n", NULL},
};

static void
request(Stage *stage, const Request *r)
{
	g_autoptr(GString) answer = g_string_new(NULL);
	Raw *raw = raw_dial(&stage->server);

	raw_send(raw, r->bytes, strlen(r->bytes));
	if (r->answer && !*r->answer)
		shutdown(raw->fd, SHUT_WR);
	while (raw_fill(raw))
		;
	if (raw->in->len > 0)
		g_string_append_len(answer, (char *)raw->in->data, raw->in->len);
	if (r->answer ? !g_str_has_prefix(answer->str, r->answer) : answer->len > 0)
		g_error("%s: answered by \"%s\"", r->what, answer->str);
	raw_free(raw);
}

/* What has no end of its own: we stop sending, then it has one. */
static void
bytes(Stage *stage, gconstpointer data, gsize len)
{
	Raw *raw = raw_dial(&stage->server);

	raw_send(raw, data, len);
	shutdown(raw->fd, SHUT_WR);
	while (raw_fill(raw))
		;
	g_assert_null(memmem(raw->in->data, raw->in->len, "HTTP/1.1 101", 12));
	raw_free(raw);
}

static void
random_bytes(Stage *stage)
{
	guint8 data[3000];

	for (guint n = 0; n < 20; n++) {
		for (guint i = 0; i < sizeof data; i++)
			data[i] = (guint8)g_test_rand_int();
		bytes(stage, data, 1 + (gsize)g_test_rand_int_range(0, sizeof data));
	}
}

/* A request of a right beginning, cut anywhere. */
static void
half_requests(Stage *stage)
{
	for (gsize len = 0; len < strlen(RAW_UPGRADE); len += 7)
		bytes(stage, RAW_UPGRADE, len);
}

/* before, n times between, after: ended before it is all there. */
static void
giant(Stage *stage, const char *before, const char *between, guint n, const char *after)
{
	GString *s = g_string_new(before);
	Raw *raw = raw_dial(&stage->server);

	for (guint i = 0; i < n; i++)
		g_string_append(s, between);
	g_string_append(s, after);
	raw_send(raw, s->str, s->len);
	while (raw_fill(raw))
		;
	g_assert_null(memmem(raw->in->data, raw->in->len, "HTTP/1.1 101", 12));
	raw_free(raw);
	g_string_free(s, TRUE);
}

#define REST HOST TO("websocket") KEY VERSION("13") OURS "\r\n"

static void
giants(Stage *stage)
{
	giant(stage, "GET /", "a", 300000, " HTTP/1.1\r\n" REST);
	giant(stage, "GET / HTTP/1.1\r\nX-Unknown: ", "a", 300000, "\r\n" REST);
	giant(stage, "GET / HTTP/1.1\r\nCookie: ", "a", 300000, "\r\n" REST);
	giant(stage, "GET / HTTP/1.1\r\n", "A: b\r\n", 50000, REST);
	giant(stage, "GET / HTTP/1.1\r\n", "Accept: text/html\r\n", 20000, REST);
	giant(stage, "GET / HTTP/1.1\r\nSec-WebSocket-Protocol: ", "a,", 3000, "\r\n" REST);
	giant(stage, "GET / HTTP/1.1\r\nSec-WebSocket-Key: ", "a", 200,
	      "\r\n" HOST TO("websocket") VERSION("13") OURS "\r\n");
	giant(stage, "", "G", 300000, "");
}

static void
everything(Stage *stage)
{
	for (guint i = 0; i < G_N_ELEMENTS(requests); i++)
		request(stage, &requests[i]);
	random_bytes(stage);
	half_requests(stage);
	giants(stage);
}

static void
test_requests(void)
{
	Stage stage = {0};
	Ended ended;

	stage_open(&stage, CONFIG);
	everything(&stage);
	stage_clean(&stage);
	stage_measure(&stage);
	for (guint i = 0; i < ROUNDS; i++)
		everything(&stage);
	stage_close(&stage, &ended);
	g_assert_cmpuint(ended.logins, ==, 2);
	g_assert_cmpuint(ended.refused, ==, 0); /* nobody got as far as an error frame */
	g_assert_cmpuint(ended.turned_away, ==, 0);
	g_assert_cmpuint(ended.unavailable, ==, 0);
}

/* What RFC 6455 allows and few send: these are no less welcome. */
static void
test_odd_upgrades(void)
{
	static const char *const odd[] = {
		"GET / HTTP/1.1\r\n" HOST TO("WebSocket") KEY VERSION("13") OURS "\r\n",
		"GET /a/path?with=query HTTP/1.1\r\n" HOST TO("websocket") KEY VERSION("13") OURS
		"\r\n",
		"GET / HTTP/1.1\r\n" HOST TO("websocket") KEY VERSION("13")
			PROTOCOL("chat, " SIG_WIRE_SUBPROTOCOL) "\r\n",
		"GET / HTTP/1.1\r\n" HOST TO("websocket") KEY VERSION("13") OURS
		"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
		"GET / HTTP/1.1\r\n" HOST
		"Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n" KEY VERSION("13") OURS
		"Origin: https://example.org\r\n\r\n",
	};
	Stage stage = {0};
	Ended ended;

	stage_open(&stage, CONFIG);
	for (guint i = 0; i < G_N_ELEMENTS(odd); i++) {
		Raw *raw = raw_dial(&stage.server);
		g_autofree char *answer = NULL;
		g_auto(SigFrame) frame = {0};

		raw_send(raw, odd[i], strlen(odd[i]));
		answer = raw_read_headers(raw);
		g_assert_true(answer && g_str_has_prefix(answer, "HTTP/1.1 101 "));
		g_assert_null(strstr(answer, "xtensions"));
		raw_expect(raw, SIG_FRAME_HELLO, &frame);
		raw->hello = frame.hello;
		raw_log_in(raw);
		raw_free(raw);
	}
	stage_close(&stage, &ended);
	g_assert_cmpuint(ended.logins, ==, 2 + G_N_ELEMENTS(odd));
	g_assert_cmpuint(ended.refused, ==, 0);
}

int
main(int argc, char **argv)
{
	if (!net_own())
		return 1;
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/sig/hostile/http/requests", test_requests);
	g_test_add_func("/sig/hostile/http/odd-upgrades", test_odd_upgrades);
	return g_test_run();
}
