/* SPDX-License-Identifier: MIT */
/* The built nat-signald, end to end: started on loopback ports of the kernel's choice, driven by
 * WebSocket clients of libsoup. */
#include "tests/unit/net-own.h"
#include "tests/unit/sig-client.h"

/* ---- tests ---- */

static void
test_login(void)
{
	Server server = {0};
	Client *client;
	SigHello hello;
	g_auto(SigFrame) welcome = {0};

	server_start(&server, NULL);
	client = client_dial(&server, SIG_WIRE_SUBPROTOCOL);
	g_assert_cmpstr(soup_websocket_connection_get_protocol(client->ws), ==,
			SIG_WIRE_SUBPROTOCOL);
	send_text_take(client, make_login(client, &hello));
	g_assert_cmpuint(hello.n_stun, >=, 1);
	g_assert_cmpuint(hello.stun[0], ==, server.stun[0]);
	client_expect(client, SIG_FRAME_WELCOME, &welcome);
	client_free(client);
	server_stop(&server);
}

static void
test_forged(void)
{
	Server server = {0};
	Client *client;
	g_auto(SigFrame) frame = {0};
	g_autofree char *text = NULL;

	server_start(&server, NULL);
	client = client_dial(&server, SIG_WIRE_SUBPROTOCOL);
	text = make_login(client, NULL);
	g_assert_true(sig_wire_decode(text, strlen(text), &frame, NULL));
	frame.login.key.b[3] ^= 1; /* somebody else's key */
	send_text_take(client, sig_wire_encode_login(&frame.login));
	client_expect_error(client, "login-refused", SIG_CLOSE_LOGIN_REFUSED);
	client_free(client);
	server_stop(&server);
}

static void
test_replayed(void)
{
	Server server = {0};
	Client *first, *second;
	g_autofree char *text = NULL;
	g_auto(SigFrame) welcome = {0};

	server_start(&server, NULL);
	first = client_dial(&server, SIG_WIRE_SUBPROTOCOL);
	second = client_dial(&server, SIG_WIRE_SUBPROTOCOL);
	text = make_login(first, NULL);
	send_text_take(first, g_strdup(text));
	client_expect(first, SIG_FRAME_WELCOME, &welcome);
	send_text_take(second, g_steal_pointer(&text));
	client_expect_error(second, "login-refused", SIG_CLOSE_LOGIN_REFUSED);
	client_free(first);
	client_free(second);
	server_stop(&server);
}

static void
test_foreign_authority(void)
{
	const char *const args[] = {"--name=127.0.0.1", "--name=signal.example:443", NULL};
	Server server = {0};
	Client *good, *foreign;

	server_start(&server, args);
	good = client_new(&server);
	foreign = client_dial(&server, SIG_WIRE_SUBPROTOCOL);
	g_free(foreign->authority);
	foreign->authority = g_strdup("evil.example:443");
	send_text_take(foreign, make_login(foreign, NULL));
	client_expect_error(foreign, "wrong-authority", SIG_CLOSE_WRONG_AUTHORITY);
	client_free(good);
	client_free(foreign);
	server_stop(&server);
}

static void
test_not_logged_in(void)
{
	Server server = {0};
	Client *text, *binary;
	WgKey key = {{1}};

	server_start(&server, NULL);
	text = client_dial(&server, SIG_WIRE_SUBPROTOCOL);
	send_interest(text, &key, NULL);
	client_expect_error(text, "bad-frame", SIG_CLOSE_BAD_FRAME);
	binary = client_dial(&server, SIG_WIRE_SUBPROTOCOL);
	send_message(binary, &key, "x");
	client_expect_error(binary, "bad-frame", SIG_CLOSE_BAD_FRAME);
	client_free(text);
	client_free(binary);
	server_stop(&server);
}

static void
test_subprotocol(void)
{
	Server server = {0};
	Client *other, *http;

	server_start(&server, NULL);
	other = client_dial(&server, "chat");
	g_assert_true(other->failed);
	http = client_dial(&server, "http");
	g_assert_true(http->failed);
	client_free(other);
	client_free(http);
	server_stop(&server);
}

/* libwebsockets would gladly speak HTTP/2 to anybody. */
static void
test_http2(void)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\n"
				      "Connection: Upgrade, HTTP2-Settings\r\n"
				      "HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n";
	g_autoptr(GSocketClient) client = g_socket_client_new();
	g_autoptr(GSocketConnection) conn = NULL;
	Server server = {0};
	char answer[4096] = "";
	gsize len = 0;

	server_start(&server, NULL);
	g_socket_client_set_timeout(client, DEADLINE / G_USEC_PER_SEC);
	conn = g_socket_client_connect_to_host(client, "127.0.0.1", server.port, NULL, NULL);
	g_assert_nonnull(conn);
	g_assert_true(g_output_stream_write_all(g_io_stream_get_output_stream(G_IO_STREAM(conn)),
						request, strlen(request), NULL, NULL, NULL));
	/* up to its end: the server closes */
	g_assert_true(g_input_stream_read_all(g_io_stream_get_input_stream(G_IO_STREAM(conn)),
					      answer, sizeof answer - 1, &len, NULL, NULL));
	g_assert_false(g_str_has_prefix(answer, "HTTP/1.1 101"));
	server_stop(&server);
}

static void
test_mutual_interest(void)
{
	Server server = {0};
	Client *a, *b;
	g_auto(SigFrame) frame = {0};

	server_start(&server, NULL);
	a = client_new(&server);
	b = client_new(&server);
	send_interest(a, &b->key, NULL);
	send_message(a, &b->key, "one-sided");
	client_expect(a, SIG_FRAME_UNAVAILABLE, &frame);
	g_assert_true(wg_key_equal(&frame.unavailable.to.keys[0], &b->key));
	send_interest(b, &a->key, NULL);
	expect_presence(a, &b->key, TRUE);
	expect_presence(b, &a->key, TRUE);
	send_message(a, &b->key, "hello b");
	expect_message(b, &a->key, "hello b");
	send_message(b, &a->key, "");
	expect_message(a, &b->key, "");
	g_assert_cmpuint(b->messages.length, ==, 0); /* the first one never came */
	send_interest(a, NULL, &b->key);
	expect_presence(b, &a->key, FALSE);
	client_free(a);
	client_free(b);
	server_stop(&server);
}

/* Login, interest and a message in one flight, before any answer. */
static void
test_pipelined(void)
{
	Server server = {0};
	Client *a, *b;

	server_start(&server, NULL);
	b = client_new(&server);
	a = client_dial(&server, SIG_WIRE_SUBPROTOCOL);
	send_interest(b, &a->key, NULL);
	send_message(b, &b->key, "barrier");
	WAIT(strchr(b->order->str, 'u'));
	send_text_take(a, make_login(a, NULL));
	send_interest(a, &b->key, NULL);
	send_message(a, &b->key, "early");
	expect_message(b, &a->key, "early");
	expect_presence(a, &b->key, TRUE);
	/* told of a before a's first message */
	g_assert_nonnull(strstr(b->order->str, "pm"));
	client_free(a);
	client_free(b);
	server_stop(&server);
}

static void
test_offline(void)
{
	Server server = {0};
	Client *a, *b;
	g_auto(SigFrame) frame = {0};
	WgKey key;

	server_start(&server, NULL);
	a = client_new(&server);
	b = client_new(&server);
	send_interest(a, &b->key, NULL);
	send_interest(b, &a->key, NULL);
	expect_presence(a, &b->key, TRUE);
	key = b->key;
	client_free(b);
	expect_presence(a, &key, FALSE);
	send_message(a, &key, "x");
	client_expect(a, SIG_FRAME_UNAVAILABLE, &frame);
	client_free(a);
	server_stop(&server);
}

static void
test_duplicate_key(void)
{
	Server server = {0};
	Client *a, *b, *clone;

	server_start(&server, NULL);
	a = client_new(&server);
	b = client_new(&server);
	send_interest(a, &b->key, NULL);
	send_interest(b, &a->key, NULL);
	expect_presence(a, &b->key, TRUE);
	clone = client_dial(&server, SIG_WIRE_SUBPROTOCOL);
	clone->private = b->private;
	clone->key = b->key;
	client_log_in(clone);
	client_expect_error(b, "duplicate-key", SIG_CLOSE_DUPLICATE_KEY);
	expect_presence(a, &b->key, FALSE);
	send_interest(clone, &a->key, NULL);
	expect_presence(a, &b->key, TRUE);
	send_message(a, &clone->key, "to the newer");
	expect_message(clone, &a->key, "to the newer");
	client_free(a);
	client_free(b);
	client_free(clone);
	server_stop(&server);
}

static void
test_largest(void)
{
	Server server = {0};
	Client *a, *b;
	g_autofree char *body = g_strnfill(SIG_WIRE_BODY_MAX, 'x');

	server_start(&server, NULL);
	a = client_new(&server);
	b = client_new(&server);
	send_interest(a, &b->key, NULL);
	send_interest(b, &a->key, NULL);
	expect_presence(a, &b->key, TRUE);
	send_message(a, &b->key, body);
	expect_message(b, &a->key, body);
	client_free(a);
	client_free(b);
	server_stop(&server);
}

static void
test_oversize(void)
{
	Server server = {0};
	g_autofree char *body = g_strnfill(SIG_WIRE_MAX + 1, ' ');

	server_start(&server, NULL);
	for (guint i = 0; i < 2; i++) {
		Client *client =
			i == 0 ? client_new(&server) : client_dial(&server, SIG_WIRE_SUBPROTOCOL);

		soup_websocket_connection_send_text(client->ws, body);
		client_expect_error(client, "too-big", SIG_CLOSE_TOO_BIG);
		client_free(client);
	}
	server_stop(&server);
}

static void
test_garbage(void)
{
	static const char *const texts[] = {"",
					    "{",
					    "[[[[[[[[[[[[",
					    "{\"t\":\"interest\",\"add\":[1]}",
					    "{\"t\":\"welcome\"}",
					    "{\"t\":\"login\"}"};
	Server server = {0};

	server_start(&server, NULL);
	for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
		Client *client = client_new(&server);

		soup_websocket_connection_send_text(client->ws, texts[i]);
		client_expect_error(client, "bad-frame", SIG_CLOSE_BAD_FRAME);
		client_free(client);
	}
	server_stop(&server);
}

static void
test_extension(void)
{
	Server server = {0};
	Client *client;
	g_auto(SigFrame) frame = {0};

	server_start(&server, NULL);
	client = client_new(&server);
	soup_websocket_connection_send_text(client->ws, "{\"t\":\"later\",\"x\":[{\"y\":1}]}");
	send_message(client, &client->key, "still here");
	client_expect(client, SIG_FRAME_UNAVAILABLE, &frame);
	client_free(client);
	server_stop(&server);
}

static void
test_drain(void)
{
	Server server = {0};
	Client *client;
	g_auto(SigFrame) frame = {0};

	server_start(&server, NULL);
	client = client_new(&server);
	g_subprocess_send_signal(server.process, SIGTERM);
	client_expect(client, SIG_FRAME_DRAIN, &frame);
	g_assert_cmpuint(frame.drain.within_s, >=, 1);
	WAIT(client->closed);
	g_assert_cmpuint(soup_websocket_connection_get_close_code(client->ws), ==, 1012);
	client_free(client);
	server_stop(&server);
}

static void
test_port_taken(void)
{
	g_autofree char *listen = NULL;
	g_autofree char *err = NULL;
	g_autoptr(GSubprocess) second = NULL;
	Server server = {0};

	server_start(&server, NULL);
	listen = g_strdup_printf("--listen=127.0.0.1:%u", server.port);
	second = g_subprocess_new(G_SUBPROCESS_FLAGS_STDERR_PIPE, NULL, server_program(), listen,
				  "--stun=none", NULL);
	g_assert_true(g_subprocess_communicate_utf8(second, NULL, NULL, NULL, &err, NULL));
	g_assert_cmpint(g_subprocess_get_exit_status(second), ==, 1);
	g_assert_nonnull(strstr(err, listen + strlen("--listen=")));
	g_assert_nonnull(strstr(err, "in use"));
	server_stop(&server);
}

static void
test_bad_value(void)
{
	static const char *const FLAGS[] = {"--listen=nowhere", "--name=a:99999",
					    "--config=/no/file", "--stun-external=10.0.0.4"};

	for (guint i = 0; i < G_N_ELEMENTS(FLAGS); i++) {
		g_autofree char *err = NULL;
		g_autoptr(GSubprocess) server = g_subprocess_new(
			G_SUBPROCESS_FLAGS_STDERR_PIPE, NULL, server_program(), FLAGS[i], NULL);

		g_assert_true(g_subprocess_communicate_utf8(server, NULL, NULL, NULL, &err, NULL));
		g_assert_cmpint(g_subprocess_get_exit_status(server), ==, 2);
		g_assert_nonnull(strstr(err, strchr(FLAGS[i], '=') + 1));
	}
}

/* Relays without a secret to make credentials from, or from a file that holds none. */
static void
test_bad_turn(void)
{
	static const struct {
		const char *flags[3];
		const char *words;
	} tries[] = {
		{{"--turn-uri=turn:192.0.2.7"}, "--turn-secret-file"},
		{{"--turn-secret-file=/dev/null"}, "--turn-uri"},
		{{"--turn-uri=turn:192.0.2.7", "--turn-secret-file=/no/file"}, "/no/file"},
		{{"--turn-uri=turn:192.0.2.7", "--turn-secret-file=/dev/null"}, "is empty"},
		{{"--turn-uri=http:192.0.2.7", "--turn-secret-file=/dev/null"}, "http:192.0.2.7"},
	};

	for (guint i = 0; i < G_N_ELEMENTS(tries); i++) {
		g_autofree char *err = NULL;
		g_autoptr(GSubprocess) server =
			g_subprocess_new(G_SUBPROCESS_FLAGS_STDERR_PIPE, NULL, server_program(),
					 tries[i].flags[0], tries[i].flags[1], NULL);

		g_assert_true(g_subprocess_communicate_utf8(server, NULL, NULL, NULL, &err, NULL));
		g_assert_cmpint(g_subprocess_get_exit_status(server), ==, 2);
		g_assert_nonnull(strstr(err, tries[i].words));
		g_assert_true(strchr(err, '\n') == err + strlen(err) - 1); /* one line */
	}
}

/* ---- bounds, with plain TCP connections ---- */

static GSocket *
tcp_dial(const Server *server)
{
	GSocket *sock = g_socket_new(G_SOCKET_FAMILY_IPV4, G_SOCKET_TYPE_STREAM,
				     G_SOCKET_PROTOCOL_TCP, NULL);
	g_autoptr(GSocketAddress) address =
		g_inet_socket_address_new_from_string("127.0.0.1", server->port);

	g_assert_true(g_socket_connect(sock, address, NULL, NULL));
	return sock;
}

/* Whether the server ends the connection within `seconds`. */
static gboolean
tcp_ended(GSocket *sock, guint seconds)
{
	char byte;

	g_socket_set_timeout(sock, seconds);
	return g_socket_receive(sock, &byte, 1, NULL, NULL) == 0 ||
	       g_socket_condition_check(sock, G_IO_HUP | G_IO_ERR);
}

/* Connections that do not log in: the one too many is turned away, and there is room again when
 * another has gone. */
static void
test_gate(void)
{
	Server server = {0};
	GSocket *two[2], *third;
	Client *client;

	server_start_with(&server, "[limits]\nunauthenticated-per-address=2\n");
	two[0] = tcp_dial(&server);
	two[1] = tcp_dial(&server);
	third = tcp_dial(&server);
	g_assert_true(tcp_ended(third, 10));
	g_object_unref(third);
	g_object_unref(two[0]);
	client = client_dial(&server, SIG_WIRE_SUBPROTOCOL);
	while (client->failed) { /* the server has not seen the end of the first yet */
		client_free(client);
		client = client_dial(&server, SIG_WIRE_SUBPROTOCOL);
	}
	client_log_in(client);
	client_free(client);
	g_object_unref(two[1]);
	server_stop(&server);
}

/* A connection that sends nothing, or half a request, is closed when its time is over. */
static void
test_silent(void)
{
	Server server = {0};
	GSocket *silent, *half;

	server_start_with(&server, "[limits]\nlogin-timeout=1\n");
	silent = tcp_dial(&server);
	half = tcp_dial(&server);
	g_assert_cmpint(g_socket_send(half, "GET / HTTP/1.1\r\nHo", 18, NULL, NULL), ==, 18);
	g_assert_true(tcp_ended(silent, 10));
	g_assert_true(tcp_ended(half, 10));
	g_object_unref(silent);
	g_object_unref(half);
	server_stop(&server);
}

static void
test_login_timeout(void)
{
	Server server = {0};
	Client *client;

	server_start_with(&server, "[limits]\nlogin-timeout=1\n");
	client = client_dial(&server, SIG_WIRE_SUBPROTOCOL);
	client_expect_error(client, "login-timeout", SIG_CLOSE_LOGIN_TIMEOUT);
	client_free(client);
	server_stop(&server);
}

static gboolean
on_time(gpointer over)
{
	*(gboolean *)over = TRUE;
	return G_SOURCE_REMOVE;
}

/* A client that says nothing for long and answers every ping stays. */
static void
test_idle(void)
{
	Server server = {0};
	Client *client;
	gboolean over = FALSE;
	g_auto(SigFrame) frame = {0};

	server_start_with(&server, "[limits]\nping=1\npong=5\n");
	client = client_new(&server);
	g_timeout_add(8000, on_time, &over);
	WAIT(over);
	g_assert_false(client->closed);
	send_message(client, &client->key, "still here");
	client_expect(client, SIG_FRAME_UNAVAILABLE, &frame);
	client_free(client);
	server_stop(&server);
}

/* Files run out while it serves: newcomers are turned away, those who are there go on. */
static void
test_out_of_files(void)
{
	g_autoptr(GPtrArray) socks = g_ptr_array_new_with_free_func(g_object_unref);
	Server server = {0};
	Client *a, *later;
	g_auto(SigFrame) frame = {0};

	server_start(&server, NULL);
	a = client_new(&server);
	set_files(&server, files_in_use(&server));
	do { /* a few numbers may be free below the largest */
		g_assert_cmpuint(socks->len, <, 16);
		g_ptr_array_add(socks, tcp_dial(&server));
	} while (!tcp_ended(socks->pdata[socks->len - 1], 1));
	send_message(a, &a->key, "still here");
	client_expect(a, SIG_FRAME_UNAVAILABLE, &frame);
	/* not even the spare one helps */
	set_files(&server, 3);
	g_ptr_array_add(socks, tcp_dial(&server));
	send_message(a, &a->key, "still here");
	client_expect(a, SIG_FRAME_UNAVAILABLE, &frame);
	set_files(&server, 4096);
	later = client_new(&server);
	client_free(a);
	client_free(later);
	server_stop(&server);
}

/* The file names the relay; the expiry is by this machine's clock. */
static void
test_turn(void)
{
	g_autofree char *secret = write_config("north\n");
	g_autofree char *config = g_strdup_printf("[signald]\nturn-uri=turn:192.0.2.7\n"
						  "turn-secret-file=%s\nturn-ttl=86400\n",
						  secret);
	const gint64 before = g_get_real_time() / G_USEC_PER_SEC;
	Server server = {0};
	Client *a, *b;
	g_auto(SigFrame) frame = {0};
	gint64 expiry;

	server_start_with(&server, config);
	g_unlink(secret);
	a = client_new(&server);
	b = client_new(&server);
	send_text_take(a, sig_wire_encode_turn_wanted()); /* a stranger's wish */
	send_interest(a, &b->key, NULL);
	send_interest(b, &a->key, NULL);
	client_expect(a, SIG_FRAME_TURN, &frame);
	g_assert_cmpuint(frame.turn.ttl_s, ==, 86400);
	expiry = g_ascii_strtoll(frame.turn.username, NULL, 10);
	g_assert_cmpint(expiry, >=, before + 86400);
	g_assert_cmpint(expiry, <=, g_get_real_time() / G_USEC_PER_SEC + 86400);
	expect_presence(a, &b->key, TRUE);
	g_assert_cmpstr(a->order->str, ==, "hwtp");
	send_text_take(b, sig_wire_encode_turn_wanted());
	client_expect(b, SIG_FRAME_TURN, &frame);
	client_expect(b, SIG_FRAME_TURN, &frame);
	client_free(a);
	client_free(b);
	server_stop(&server);
}

/* Asked again where the kernel lost the question or the answer. */
static gssize
udp_exchange(GSocket *asks, GSocket *hears, const guint8 *request, gsize len, guint8 *answer,
	     gsize size)
{
	gssize n = 0;

	g_socket_set_timeout(hears, 3);
	for (int i = 0; i < 10 && n <= 0; i++) {
		g_assert_cmpint(g_socket_send(asks, (const char *)request, len, NULL, NULL), ==,
				(gssize)len);
		n = g_socket_receive(hears, (char *)answer, size, NULL, NULL);
	}
	return n;
}

/* A Binding request by hand; the answer must name our own address. */
static void
ask_stun(guint16 port)
{
	static const guint8 request[20] = {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1,  2,
					   3, 4, 5, 6, 7,    8,	   9,	 10,   11, 12};
	g_autoptr(GSocket) socket = g_socket_new(G_SOCKET_FAMILY_IPV4, G_SOCKET_TYPE_DATAGRAM,
						 G_SOCKET_PROTOCOL_UDP, NULL);
	g_autoptr(GSocketAddress) address =
		g_inet_socket_address_new_from_string("127.0.0.1", port);
	g_autoptr(GSocketAddress) local = NULL;
	guint8 answer[128];
	gssize len;

	g_assert_true(g_socket_connect(socket, address, NULL, NULL));
	local = g_socket_get_local_address(socket, NULL);
	g_assert_cmpint(g_socket_send(socket, (const char *)request, 19, NULL, NULL), ==, 19);
	len = udp_exchange(socket, socket, request, 20, answer, sizeof answer);
	g_assert_cmpint(len, ==, 32);
	g_assert_cmpuint(answer[0] << 8 | answer[1], ==, 0x0101);
	g_assert_cmpmem(answer + 4, 16, request + 4, 16);
	g_assert_cmpuint(answer[20] << 8 | answer[21], ==, 0x0020);
	g_assert_cmpuint((answer[26] << 8 | answer[27]) ^ 0x2112, ==,
			 g_inet_socket_address_get_port(G_INET_SOCKET_ADDRESS(local)));
	g_assert_cmpuint(answer[28] ^ 0x21, ==, 127);
}

/* RESPONSE-PORT: the answer comes to another socket, from the port that was asked. */
static void
ask_stun_to_port(guint16 port)
{
	guint8 request[28] = {0, 1, 0, 8,  0x21, 0x12, 0xa4, 0x42, 1,	 2,    3, 4, 5, 6,
			      7, 8, 9, 10, 11,	 12,   0,    0x27, 0x00, 0x04, 0, 0, 0, 0};
	g_autoptr(GSocket) refused = g_socket_new(G_SOCKET_FAMILY_IPV4, G_SOCKET_TYPE_DATAGRAM,
						  G_SOCKET_PROTOCOL_UDP, NULL);
	g_autoptr(GSocket) asks = g_socket_new(G_SOCKET_FAMILY_IPV4, G_SOCKET_TYPE_DATAGRAM,
					       G_SOCKET_PROTOCOL_UDP, NULL);
	g_autoptr(GSocket) hears = g_socket_new(G_SOCKET_FAMILY_IPV4, G_SOCKET_TYPE_DATAGRAM,
						G_SOCKET_PROTOCOL_UDP, NULL);
	g_autoptr(GSocketAddress) address =
		g_inet_socket_address_new_from_string("127.0.0.1", port);
	g_autoptr(GSocketAddress) local = NULL;
	guint16 to;
	guint8 answer[128];

	g_assert_true(g_socket_connect(refused, address, NULL, NULL));
	g_assert_true(g_socket_connect(asks, address, NULL, NULL));
	g_assert_true(g_socket_connect(hears, address, NULL, NULL));
	local = g_socket_get_local_address(hears, NULL);
	to = g_inet_socket_address_get_port(G_INET_SOCKET_ADDRESS(local));
	/* to port 0 nothing goes, and who asks is told */
	g_assert_cmpint(udp_exchange(refused, refused, request, 28, answer, sizeof answer), ==, 28);
	g_assert_cmpuint(answer[0] << 8 | answer[1], ==, 0x0111);
	request[24] = (guint8)(to >> 8);
	request[25] = (guint8)to;
	g_assert_cmpint(udp_exchange(asks, hears, request, 28, answer, sizeof answer), ==, 32);
	g_assert_cmpmem(answer + 4, 16, request + 4, 16);
	g_assert_false(g_socket_condition_check(asks, G_IO_IN) & G_IO_IN);
}

static void
test_stun(void)
{
	Server server = {0};

	server_start(&server, NULL);
	ask_stun(server.stun[0]);
	ask_stun_to_port(server.stun[0]);
	if (server.stun[1] != 0)
		ask_stun(server.stun[1]);
	server_stop(&server);
}

int
main(int argc, char **argv)
{
	if (!net_own())
		return 1;
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/sig/server/login", test_login);
	g_test_add_func("/sig/server/forged", test_forged);
	g_test_add_func("/sig/server/replayed", test_replayed);
	g_test_add_func("/sig/server/foreign-authority", test_foreign_authority);
	g_test_add_func("/sig/server/not-logged-in", test_not_logged_in);
	g_test_add_func("/sig/server/login-timeout", test_login_timeout);
	g_test_add_func("/sig/server/subprotocol", test_subprotocol);
	g_test_add_func("/sig/server/http2", test_http2);
	g_test_add_func("/sig/server/mutual-interest", test_mutual_interest);
	g_test_add_func("/sig/server/pipelined", test_pipelined);
	g_test_add_func("/sig/server/offline", test_offline);
	g_test_add_func("/sig/server/duplicate-key", test_duplicate_key);
	g_test_add_func("/sig/server/largest", test_largest);
	g_test_add_func("/sig/server/oversize", test_oversize);
	g_test_add_func("/sig/server/garbage", test_garbage);
	g_test_add_func("/sig/server/extension", test_extension);
	g_test_add_func("/sig/server/drain", test_drain);
	g_test_add_func("/sig/server/port-taken", test_port_taken);
	g_test_add_func("/sig/server/bad-value", test_bad_value);
	g_test_add_func("/sig/server/bad-turn", test_bad_turn);
	g_test_add_func("/sig/server/gate", test_gate);
	g_test_add_func("/sig/server/silent", test_silent);
	g_test_add_func("/sig/server/idle", test_idle);
	g_test_add_func("/sig/server/out-of-files", test_out_of_files);
	g_test_add_func("/sig/server/stun", test_stun);
	g_test_add_func("/sig/server/turn", test_turn);
	return g_test_run();
}
