/* SPDX-License-Identifier: MIT */
/* The signaling client against servers that are none, or mean harm. */
#include <libsoup/soup.h>

#include "tests/unit/signal-agent.h"

/* ---- without a proper server ---- */

static void
test_refused(void)
{
	g_autofree char *url = url_of(free_port());
	g_autoptr(Agent) a = agent_new(url);

	nat_signal_client_start(a->client);
	WAIT_FOR(a->state == NAT_SIGNAL_WAITING);
	g_assert_nonnull(strstr(a->reason, "refuses the connection: is nat-signald running"));
	WAIT_FOR(a->state == NAT_SIGNAL_CONNECTING);
	g_assert_nonnull(strstr(a->reason, "refuses the connection")); /* still to be seen */
}

static void
test_says_nothing(void)
{
	guint16 port = 0;
	int fd = listen_on("127.0.0.1", &port, 8);
	g_autofree char *url = url_of(port);
	g_autoptr(Agent) a = agent_new(url);

	nat_signal_client_start(a->client);
	WAIT_FOR(a->state == NAT_SIGNAL_WAITING);
	g_assert_nonnull(strstr(a->reason, "says nothing"));
	close(fd);
}

/* A WebSocket server of our own that misbehaves as told. */
typedef struct {
	SoupServer *soup;
	SoupWebsocketConnection *conn;
	guint16 port;
	guint texts;
	const char *first, *then; /* sent when the connection opens */
	guint clients;
} Liar;

static void
on_liar_text(SoupWebsocketConnection *conn, int type, GBytes *bytes, gpointer user_data)
{
	((Liar *)user_data)->texts++;
}

static void
on_liar_client(SoupServer *soup, SoupServerMessage *msg, const char *path,
	       SoupWebsocketConnection *conn, gpointer user_data)
{
	Liar *liar = user_data;

	liar->clients++;
	g_set_object(&liar->conn, conn);
	g_signal_connect(conn, "message", G_CALLBACK(on_liar_text), liar);
	if (liar->first)
		soup_websocket_connection_send_text(conn, liar->first);
	if (liar->then)
		soup_websocket_connection_send_text(conn, liar->then);
}

static void
liar_start(Liar *liar, const char *protocol)
{
	char *protocols[] = {(char *)protocol, NULL};
	g_autoptr(GError) error = NULL;

	liar->soup = soup_server_new(NULL, NULL);
	liar->port = free_port();
	soup_server_listen_local(liar->soup, liar->port, SOUP_SERVER_LISTEN_IPV4_ONLY, &error);
	g_assert_no_error(error);
	if (protocol)
		soup_server_add_websocket_handler(liar->soup, "/", NULL, protocols, on_liar_client,
						  liar, NULL);
}

static void
liar_stop(Liar *liar)
{
	g_clear_object(&liar->conn);
	soup_server_disconnect(liar->soup);
	g_clear_object(&liar->soup);
}

/* An agent that dials it. */
static Agent *
meet(Liar *liar, const char *protocol)
{
	g_autofree char *url = NULL;
	Agent *agent;

	liar_start(liar, protocol);
	url = url_of(liar->port);
	agent = agent_new(url);
	nat_signal_client_start(agent->client);
	return agent;
}

static void
test_http_server(void)
{
	Liar liar = {0};
	g_autoptr(Agent) a = meet(&liar, NULL);

	WAIT_FOR(a->state == NAT_SIGNAL_WAITING);
	g_assert_nonnull(strstr(a->reason, "answers HTTP 404, it is not a signaling server"));
	liar_stop(&liar);
}

static void
test_other_protocol(void)
{
	Liar liar = {0};
	g_autoptr(Agent) a = meet(&liar, "chat");

	WAIT_FOR(a->state == NAT_SIGNAL_WAITING);
	g_assert_nonnull(strstr(a->reason, "not a signaling server"));
	liar_stop(&liar);
}

#define WELCOME "{\"t\":\"welcome\",\"seen\":\"203.0.113.7:50122\"}"

static char *
hello_of(gint64 version)
{
	WgKey priv;
	SigHello hello = {.version = version, .n_stun = 1, .stun = {9}};

	wg_key_generate_private(&priv);
	wg_key_public_from_private(&priv, &hello.key);
	return sig_wire_encode_hello(&hello);
}

static void
test_other_version(void)
{
	g_autofree char *hello = hello_of(7);
	Liar liar = {.first = hello};
	g_autoptr(Agent) a = meet(&liar, SIG_WIRE_SUBPROTOCOL);

	WAIT_FOR(a->state == NAT_SIGNAL_WAITING);
	g_assert_nonnull(strstr(a->reason, "version 7"));
	liar_stop(&liar);
}

/* Before a hello, after it, and once too much. */
static void
test_hostile(void)
{
	static const char *const junk[] = {
		"",
		"{}",
		"[",
		"nonsense",
		"{\"t\":\"hello\"}",
		"{\"t\":\"presence\",\"online\":[1]}",
		"{\"t\":\"later\"}",
		"{\"t\":\"drain\",\"within_s\":-1}",
		"{\"t\":\"turn\"}",
		"{\"t\":\"turn\",\"uris\":[],\"username\":\"u\",\"password\":\"p\",\"ttl_s\":60}",
		"{\"t\":\"turn\",\"uris\":[\"turn:a b\"],\"username\":\"u\",\"password\":\"p\","
		"\"ttl_s\":60}",
		"{\"t\":\"turn\",\"uris\":[\"turn:a\"],\"username\":\"u\",\"password\":\"p\","
		"\"ttl_s\":0}",
	};
	g_autofree char *hello = hello_of(SIG_WIRE_VERSION);
	g_autofree char *huge = g_strnfill(SIG_WIRE_MAX + 1, ' ');
	Liar liar = {0};
	g_autoptr(Agent) a = meet(&liar, SIG_WIRE_SUBPROTOCOL);

	WAIT_FOR(liar.conn);
	for (guint round = 0; round < 2; round++) {
		for (gsize i = 0; i < G_N_ELEMENTS(junk); i++)
			soup_websocket_connection_send_text(liar.conn, junk[i]);
		soup_websocket_connection_send_binary(liar.conn, "\x01short", 6);
		soup_websocket_connection_send_text(liar.conn, hello);
		soup_websocket_connection_send_text(liar.conn, WELCOME);
		WAIT_FOR(a->state == NAT_SIGNAL_CONNECTED);
	}
	/* all but the unknown one, and the binary one, twice */
	WAIT_FOR(nat_signal_client_dropped(a->client) >= 24);
	g_assert_cmpuint(grants(a), ==, 0);
	g_assert_cmpint(a->state, ==, NAT_SIGNAL_CONNECTED);
	WAIT_FOR(liar.texts == 1); /* one login, no interest */
	soup_websocket_connection_send_text(liar.conn, huge);
	WAIT_FOR(a->state == NAT_SIGNAL_WAITING);
	g_assert_cmpuint(a->received->len, ==, 0);
	liar_stop(&liar);
}

/* Where the server sees the peer; but not where it sees us: that may be its own proxy, and is no
 * more the peer's than ours. */
static void
test_seen(void)
{
#define K1 "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define K2 "AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	g_autofree char *hello = hello_of(SIG_WIRE_VERSION);
	Liar liar = {.first = hello, .then = WELCOME};
	g_autoptr(Agent) a = meet(&liar, SIG_WIRE_SUBPROTOCOL);

	WAIT_FOR(a->state == NAT_SIGNAL_CONNECTED);
	soup_websocket_connection_send_text(
		liar.conn, "{\"t\":\"presence\",\"online\":[\"" K1 "\",\"" K2 "\"],"
			   "\"seen\":[\"203.0.113.7\",\"198.51.100.1\"]}");
	WAIT_FOR(g_hash_table_size(a->online) == 2);
	g_assert_cmpstr(a->seen->str, ==, " 198.51.100.1");
	liar_stop(&liar);
}

/* Good ones, but from a server that has not been told who we are; then one that is heard. */
static void
test_turn_before_hello(void)
{
	static const char grant[] = "{\"t\":\"turn\",\"uris\":[\"turn:a\"],\"username\":\"u\","
				    "\"password\":\"p\",\"ttl_s\":60}";
	g_autofree char *hello = hello_of(SIG_WIRE_VERSION);
	Liar liar = {.first = grant};
	g_autoptr(Agent) a = meet(&liar, SIG_WIRE_SUBPROTOCOL);

	WAIT_FOR(nat_signal_client_dropped(a->client) == 1);
	g_assert_cmpuint(grants(a), ==, 0);
	soup_websocket_connection_send_text(liar.conn, hello);
	soup_websocket_connection_send_text(liar.conn, "{\"t\":\"turn-wanted\"}");
	soup_websocket_connection_send_text(liar.conn, grant);
	WAIT_FOR(grants(a) == 1);
	g_assert_cmpstr(a->turn, ==, "turn:a p");
	g_assert_cmpuint(a->turn_ttl_s, ==, 60);
	g_assert_cmpuint(nat_signal_client_dropped(a->client), ==, 1);
	liar_stop(&liar);
}

static void
on_raw_listening(GObject *object, GAsyncResult *result, gpointer user_data)
{
	*(GSocketConnection **)user_data =
		g_socket_listener_accept_finish(G_SOCKET_LISTENER(object), result, NULL, NULL);
}

/* Accepts one connection and upgrades it; what follows is up to the caller. */
static GSocketConnection *
accept_upgrade(GSocketListener *listener)
{
	GSocketConnection *conn = NULL;
	char request[4096] = "", *key, *accept;
	gsize len = 0;
	g_autoptr(GChecksum) sha = g_checksum_new(G_CHECKSUM_SHA1);
	g_autofree char *reply = NULL;
	guint8 digest[20];
	gsize digest_len = sizeof digest;
	GInputStream *in;

	g_socket_listener_accept_async(listener, NULL, on_raw_listening, &conn);
	WAIT_FOR(conn);
	in = g_io_stream_get_input_stream(G_IO_STREAM(conn));
	while (!strstr(request, "\r\n\r\n")) {
		gssize n;

		WAIT_FOR(g_pollable_input_stream_is_readable(G_POLLABLE_INPUT_STREAM(in)));
		n = g_input_stream_read(in, request + len, sizeof request - 1 - len, NULL, NULL);
		g_assert_cmpint(n, >, 0);
		len += (gsize)n;
	}
	key = strstr(request, "Sec-WebSocket-Key: ");
	g_assert_nonnull(key);
	key = g_strndup(key + 19, 24);
	g_checksum_update(sha, (guint8 *)key, 24);
	g_checksum_update(sha, (const guint8 *)"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", 36);
	g_checksum_get_digest(sha, digest, &digest_len);
	accept = g_base64_encode(digest, digest_len);
	reply = g_strdup_printf("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
				"Connection: Upgrade\r\nSec-WebSocket-Protocol: %s\r\n"
				"Sec-WebSocket-Accept: %s\r\n\r\n",
				SIG_WIRE_SUBPROTOCOL, accept);
	g_free(key);
	g_free(accept);
	g_assert_true(g_output_stream_write_all(g_io_stream_get_output_stream(G_IO_STREAM(conn)),
						reply, strlen(reply), NULL, NULL, NULL));
	return conn;
}

#define ENDLESS_MAX (64 * 1024 * 1024)

/* A message in ever more frames, each of them within the bound, pongs in between. */
static void
test_endless_message(void)
{
	g_autoptr(GSocketListener) listener = g_socket_listener_new();
	guint16 port = g_socket_listener_add_any_inet_port(listener, NULL, NULL);
	g_autofree char *url = url_of(port);
	g_autoptr(Agent) a = agent_new(url);
	g_autoptr(GSocketConnection) conn = NULL;
	g_autofree guint8 *frame = g_malloc0(2 + 4 + 16000);
	gsize sent = 0, done = 2;

	nat_signal_client_start(a->client);
	conn = accept_upgrade(listener);
	g_socket_set_blocking(g_socket_connection_get_socket(conn), FALSE);
	g_assert_cmpint(
		g_socket_send(g_socket_connection_get_socket(conn), "\x01\x00", 2, NULL, NULL), ==,
		2);
	frame[0] = 0x8a; /* pong */
	frame[3] = 0x7e; /* continued, 16000 bytes */
	frame[4] = 16000 >> 8;
	frame[5] = 16000 & 0xff;
	for (done = 0; a->state != NAT_SIGNAL_WAITING && sent < ENDLESS_MAX;) {
		gssize n = g_socket_send(g_socket_connection_get_socket(conn), (char *)frame + done,
					 2 + 4 + 16000 - done, NULL, NULL);

		if (n > 0) {
			sent += (gsize)n;
			done = (done + (gsize)n) % (2 + 4 + 16000);
		}
		g_main_context_iteration(NULL, FALSE);
	}
	g_assert_cmpuint(sent, <, ENDLESS_MAX);
	WAIT_FOR(a->state == NAT_SIGNAL_WAITING);
	g_assert_nonnull(strstr(a->reason, "a message without end"));
}

/* One that greets, and at once says that it is about to end, is not met in a loop. */
static void
test_ever_draining(void)
{
	g_autofree char *drain = sig_wire_encode_drain(0);
	Liar liar = {.first = drain};
	g_autoptr(Agent) a = meet(&liar, SIG_WIRE_SUBPROTOCOL);

	WAIT_FOR(liar.clients == 1);
	run_for(1000);
	g_assert_cmpuint(liar.clients, <=, 6); /* waits of 200 ms at least */
	WAIT_FOR(liar.clients > 1);
	liar_stop(&liar);
}

/* What is said of interest is said once: it must not be lost among messages nobody answers. */
static void
test_interest_behind_messages(void)
{
	g_autofree char *hello = hello_of(SIG_WIRE_VERSION);
	g_autofree char *big = g_strnfill(SIG_WIRE_BODY_MAX, 'x');
	Liar liar = {.first = hello, .then = WELCOME};
	guint sent = 0;
	g_autoptr(Agent) a = meet(&liar, SIG_WIRE_SUBPROTOCOL);

	WAIT_FOR(a->state == NAT_SIGNAL_CONNECTED && liar.texts == 1);
	while (say(a, a, big) || say(a, a, ""))
		g_assert_cmpuint(++sent, <, 1000);
	nat_signal_client_add_interest(a->client, &a->public_key);
	WAIT_FOR(liar.texts == sent + 2); /* login, messages, interest */
	liar_stop(&liar);
}

static void
test_escaped_refusal(void)
{
	g_autofree char *hello = hello_of(SIG_WIRE_VERSION);
	Liar liar = {.first = hello, .then = WELCOME};
	g_autoptr(Agent) a = meet(&liar, SIG_WIRE_SUBPROTOCOL);

	WAIT_FOR(a->state == NAT_SIGNAL_CONNECTED);
	soup_websocket_connection_send_text(
		liar.conn, "{\"t\":\"error\",\"code\":\"bad\",\"text\":\"a\\u001b[31m\\nb\"}");
	soup_websocket_connection_close(liar.conn, 4000, "x\x1b[2J");
	WAIT_FOR(a->state == NAT_SIGNAL_WAITING);
	g_assert_nonnull(strstr(a->reason, "refuses: a\\x1b[31m\\x0ab"));
	liar_stop(&liar);
}

static void
test_bad_arguments(void)
{
	g_autoptr(GError) error = NULL;
	WgKey key, zero = {{0}};

	wg_key_generate_private(&key);
	g_assert_null(nat_signal_client_new("http://host", &key, 0, NULL, &FUNCS, NULL, &error));
	g_assert_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
	g_assert_null(nat_signal_client_new("ws://host", &zero, 0, NULL, &FUNCS, NULL, NULL));
}

int
main(int argc, char **argv)
{
	if (!net_own())
		return 1;
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/signal-client/refused", test_refused);
	g_test_add_func("/signal-client/says-nothing", test_says_nothing);
	g_test_add_func("/signal-client/http-server", test_http_server);
	g_test_add_func("/signal-client/other-protocol", test_other_protocol);
	g_test_add_func("/signal-client/other-version", test_other_version);
	g_test_add_func("/signal-client/hostile", test_hostile);
	g_test_add_func("/signal-client/seen", test_seen);
	g_test_add_func("/signal-client/turn-before-hello", test_turn_before_hello);
	g_test_add_func("/signal-client/endless-message", test_endless_message);
	g_test_add_func("/signal-client/ever-draining", test_ever_draining);
	g_test_add_func("/signal-client/interest-behind-messages", test_interest_behind_messages);
	g_test_add_func("/signal-client/escaped-refusal", test_escaped_refusal);
	g_test_add_func("/signal-client/bad-arguments", test_bad_arguments);
	return g_test_run();
}
