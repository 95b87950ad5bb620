/* SPDX-License-Identifier: MIT */
/*
 * InnHttp against a server that says whatever a test wants, byte by byte: one thread, one
 * connection at a time, on a port of the kernel's choice.
 */
#include "agent/innernet/inn-http.h"
#include "tests/unit/net-util.h"

#include <string.h>
#include <sys/socket.h>

#define PATIENCE_MS 60000
#define MEGABYTE (1024 * 1024)

/* ---- the server ---- */

typedef struct Server Server;
typedef void (*Serve)(Server *server, int fd);

struct Server {
	int listener;
	WgEndpoint addr;
	Serve serve;
	const void *data; /* for `serve` */
	GThread *thread;
	gint connections, requests, ended; /* atomic */
	char *request;			   /* the last one whole; the thread's until joined */
};

/* FALSE: the client has gone. */
static gboolean
say(int fd, const void *data, gsize len)
{
	const char *next = data;

	while (len > 0) {
		gssize n = send(fd, next, len, MSG_NOSIGNAL);

		if (n <= 0)
			return FALSE;
		next += n;
		len -= (gsize)n;
	}
	return TRUE;
}

static gboolean
say_text(int fd, const char *text)
{
	return say(fd, text, strlen(text));
}

static gsize
length_of(const GString *request, const char *end)
{
	const char *header = strstr(request->str, "Content-Length: ");

	return header && header < end ? g_ascii_strtoull(header + 16, NULL, 10) : 0;
}

/* One request with its body. FALSE: none came. */
static gboolean
hear(Server *server, int fd)
{
	g_autoptr(GString) request = g_string_new(NULL);
	const char *end = NULL;
	char buf[4096];

	while (!end || request->len < (gsize)(end + 4 - request->str) + length_of(request, end)) {
		gssize n = recv(fd, buf, sizeof buf, 0);

		if (n <= 0)
			return FALSE;
		g_string_append_len(request, buf, n);
		end = strstr(request->str, "\r\n\r\n");
	}
	g_free(server->request);
	server->request = g_strdup(request->str);
	g_atomic_int_inc(&server->requests);
	return TRUE;
}

static gpointer
server_run(gpointer data)
{
	Server *server = data;
	int fd;

	while ((fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		g_atomic_int_inc(&server->connections);
		if (hear(server, fd))
			server->serve(server, fd);
		close(fd);
	}
	g_atomic_int_set(&server->ended, 1);
	return NULL;
}

static Server *
server_new(Serve serve, const void *data)
{
	Server *server = g_new0(Server, 1);
	struct sockaddr_in addr = {.sin_family = AF_INET};
	socklen_t len = sizeof addr;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	server->serve = serve;
	server->data = data;
	server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	g_assert_cmpint(bind(server->listener, (struct sockaddr *)&addr, sizeof addr), ==, 0);
	g_assert_cmpint(listen(server->listener, 8), ==, 0);
	getsockname(server->listener, (struct sockaddr *)&addr, &len);
	g_assert_true(wg_endpoint_from_sockaddr(&server->addr, &addr, len));
	server->thread = g_thread_new("server", server_run, server);
	return server;
}

/* A client that is done, or freed, closes its connections with the next turns of the main loop. */
static void
server_join(Server *server)
{
	gint64 end = g_get_monotonic_time() + PATIENCE_MS * G_TIME_SPAN_MILLISECOND;

	if (!server->thread)
		return;
	shutdown(server->listener, SHUT_RDWR);
	while (!g_atomic_int_get(&server->ended)) {
		g_assert_cmpint(g_get_monotonic_time(), <, end);
		if (!g_main_context_iteration(NULL, FALSE))
			g_usleep(1000);
	}
	g_thread_join(g_steal_pointer(&server->thread));
	close(server->listener);
}

static void
server_free(Server *server)
{
	server_join(server);
	g_free(server->request);
	g_free(server);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Server, server_free)

static void
serve_text(Server *server, int fd)
{
	say_text(fd, server->data);
}

/* Until the client closes: a test that ends shows that it did. */
static void
serve_text_and_wait(Server *server, int fd)
{
	char byte;

	say_text(fd, server->data);
	while (recv(fd, &byte, 1, 0) > 0)
		;
}

/* ---- the client ---- */

static const WgKey KEY = {{1, 2, 3}};

typedef struct {
	gboolean done;
	guint calls, status;
	GBytes *body;
	GError *error;
	InnHttp *free_this; /* inside the callback */
} Answer;

static void
answer_clear(Answer *answer)
{
	g_clear_pointer(&answer->body, g_bytes_unref);
	g_clear_error(&answer->error);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Answer, answer_clear)

static void
on_answer(guint status, GBytes *body, const GError *error, gpointer user_data)
{
	Answer *answer = user_data;

	g_assert_nonnull(body);
	g_assert_true((status == 0) == (error != NULL));
	answer->done = TRUE;
	answer->calls++;
	answer->status = status;
	answer->body = g_bytes_ref(body);
	answer->error = error ? g_error_copy(error) : NULL;
	if (answer->free_this)
		inn_http_free(answer->free_this);
}

static void
wait_for(const Answer *answer)
{
	if (!net_wait(&answer->done, PATIENCE_MS))
		g_error("no answer in %d ms", PATIENCE_MS);
}

static Answer
ask_of(const WgEndpoint *addr, const char *method, const char *path, const char *json)
{
	g_autoptr(InnHttp) http = inn_http_new(addr, &KEY);
	Answer answer = {0};

	inn_http_call(http, method, path, json, on_answer, &answer);
	g_assert_false(answer.done);
	g_assert_cmpuint(inn_http_pending(http), ==, 1);
	wait_for(&answer);
	g_assert_cmpuint(inn_http_pending(http), ==, 0);
	g_assert_cmpuint(answer.calls, ==, 1);
	if (answer.error) {
		g_test_message("%s", answer.error->message);
		g_assert_null(strpbrk(answer.error->message, "\r\n\x1b"));
	}
	return answer;
}

static Answer
ask(const Server *server)
{
	return ask_of(&server->addr, "GET", "/v1/user/state", NULL);
}

static void
check_body(const Answer *answer, guint status, const char *body)
{
	gsize len;
	const char *data = g_bytes_get_data(answer->body, &len);

	g_assert_no_error(answer->error);
	g_assert_cmpuint(answer->status, ==, status);
	g_assert_cmpmem(data, len, body, strlen(body));
}

static void
check_text(const char *text, guint status, const char *body)
{
	g_autoptr(Server) server = server_new(serve_text, text);
	g_auto(Answer) answer = ask(server);

	check_body(&answer, status, body);
	g_assert_cmpint(g_atomic_int_get(&server->requests), ==, 1);
}

/* An error that names the server, and no second attempt behind our back. */
static void
check_failure(Serve serve, const char *text)
{
	g_autoptr(Server) server = server_new(serve, text);
	g_auto(Answer) answer = ask(server);
	char name[WG_ENDPOINT_STRLEN];

	g_assert_nonnull(answer.error);
	g_assert_nonnull(strstr(answer.error->message, wg_endpoint_format(&server->addr, name)));
	g_assert_cmpuint(g_bytes_get_size(answer.body), ==, 0);
	server_join(server);
	g_assert_cmpint(server->connections, ==, 1);
	g_assert_cmpint(server->requests, ==, 1);
}

/* ---- what is asked ---- */

static void
test_request(void)
{
	g_autoptr(Server) server =
		server_new(serve_text, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
	g_auto(Answer) answer = ask(server);
	g_autofree char *key = NULL, *host = NULL;
	char text[WG_KEY_STRLEN], name[WG_ENDPOINT_STRLEN];

	check_body(&answer, 200, "{}");
	server_join(server);
	key = g_strdup_printf("\r\nX-Innernet-Server-Key: %s\r\n", wg_key_format(&KEY, text));
	host = g_strdup_printf("\r\nHost: %s\r\n", wg_endpoint_format(&server->addr, name));
	g_assert_true(g_str_has_prefix(server->request, "GET /v1/user/state HTTP/1.1\r\n"));
	g_assert_nonnull(strstr(server->request, key));
	g_assert_nonnull(strstr(server->request, host));
	g_assert_nonnull(strstr(server->request, "\r\nConnection: close\r\n"));
	g_assert_null(strstr(server->request, "Content-Length"));
	g_assert_null(strstr(server->request, "Accept-Encoding"));
}

static void
test_request_body(void)
{
	g_autoptr(Server) server = server_new(serve_text, "HTTP/1.1 204 No Content\r\n\r\n");
	g_auto(Answer) answer =
		ask_of(&server->addr, "PUT", "/v1/user/candidates", "[\"192.0.2.1:7\"]");

	check_body(&answer, 204, "");
	server_join(server);
	g_assert_true(g_str_has_prefix(server->request, "PUT /v1/user/candidates HTTP/1.1\r\n"));
	g_assert_nonnull(strstr(server->request, "\r\nContent-Length: 15\r\n"));
	g_assert_nonnull(strstr(server->request, "\r\nContent-Type: application/json\r\n"));
	g_assert_null(strstr(server->request, "Transfer-Encoding"));
	g_assert_true(g_str_has_suffix(server->request, "\r\n\r\n[\"192.0.2.1:7\"]"));
}

static void
test_request_too_long(void)
{
	g_autoptr(Server) server = server_new(serve_text, "HTTP/1.1 204 No Content\r\n\r\n");
	g_autofree char *fits = g_strnfill(INN_HTTP_BODY_MAX, '1');
	g_autofree char *long_one = g_strnfill(INN_HTTP_BODY_MAX + 1, '1');
	g_auto(Answer) ok = ask_of(&server->addr, "PUT", "/v1/user/candidates", fits);
	g_auto(Answer) refused = ask_of(&server->addr, "PUT", "/v1/user/candidates", long_one);

	g_assert_cmpuint(ok.status, ==, 204);
	g_assert_error(refused.error, G_IO_ERROR, G_IO_ERROR_MESSAGE_TOO_LARGE);
	g_assert_cmpint(g_atomic_int_get(&server->requests), ==, 1);
}

/* main() has put a proxy into the environment that nobody runs; every test shows that it is not
 * asked. Here: IPv6, whose host in the URL stands in brackets. */
static void
test_ipv6(void)
{
	WgEndpoint nobody = net_ep("[::1]:0");
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof nobody;

	/* Bound, but nobody listens there. */
	if (fd < 0 || bind(fd, &nobody.sa, wg_endpoint_socklen(&nobody)) < 0) {
		g_test_skip("needs IPv6");
		return;
	}
	getsockname(fd, &nobody.sa, &len);
	{
		g_auto(Answer) answer = ask_of(&nobody, "GET", "/v1/user/state", NULL);

		g_assert_error(answer.error, G_IO_ERROR, G_IO_ERROR_CONNECTION_REFUSED);
		g_assert_nonnull(strstr(answer.error->message, "[::1]:"));
	}
	close(fd);
}

/* ---- what is answered ---- */

static void
test_statuses(void)
{
	check_text("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", 401, "");
	check_text("HTTP/1.1 500 Internal Server Error\r\n\r\n", 500, "");
	check_text("HTTP/1.1 204 No Content\r\n\r\n", 204, "");
	check_text("HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n", 204, "");
	check_text("HTTP/1.0 200 OK\r\n\r\nuntil the end", 200, "until the end");
	check_text("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nabcmore", 413, "abc");
	check_text("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
		   200, "x");
}

/* None of what a server could make a client do. */
static void
test_not_obeyed(void)
{
	check_text("HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n",
		   302, "");
	check_text("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\n"
		   "Content-Length: 0\r\n\r\n",
		   401, "");
	check_text(
		"HTTP/1.1 407 Proxy\r\nProxy-Authenticate: Negotiate\r\nContent-Length: 0\r\n\r\n",
		407, "");
	check_text("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnone",
		   200, "none");
}

static void
test_cookies(void)
{
	g_autoptr(Server) server = server_new(
		serve_text, "HTTP/1.1 204 No Content\r\nSet-Cookie: a=b; Max-Age=9999\r\n\r\n");
	g_autoptr(InnHttp) http = inn_http_new(&server->addr, &KEY);
	g_auto(Answer) first = {0}, second = {0};

	inn_http_call(http, "GET", "/a", NULL, on_answer, &first);
	inn_http_call(http, "GET", "/b", NULL, on_answer, &second);
	wait_for(&second);
	server_join(server);
	g_assert_cmpint(server->requests, ==, 2);
	g_assert_null(strstr(server->request, "Cookie"));
}

static void
test_chunked(void)
{
	check_text("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
		   "3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n",
		   200, "abc0123456789");
}

static void
serve_bytewise(Server *server, int fd)
{
	int on = 1;

	setsockopt(fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &on, sizeof on);
	for (const char *byte = server->data; *byte && say(fd, byte, 1); byte++)
		g_usleep(500);
}

static void
test_bytewise(void)
{
	g_autoptr(Server) server = server_new(
		serve_bytewise,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
	g_auto(Answer) answer = ask(server);

	check_body(&answer, 200, "abc");
}

static void
test_garbage(void)
{
	static const char *const ANSWERS[] = {
		"SSH-2.0-OpenSSH_9.2\r\n\r\n",
		"\x16\x03\x01\x02\x03\r\n\r\n\r\n",
		"\xff\xfe\x1b[2J\r\n\r\n",
		"HTTP/1.1\r\n\r\n",
		"HTTP/1.1 999 Whatever\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 042 Whatever\r\nContent-Length: 0\r\n\r\n",
	};

	for (gsize i = 0; i < G_N_ELEMENTS(ANSWERS); i++)
		check_failure(serve_text, ANSWERS[i]);
}

/* ---- what never ends ---- */

static void
serve_long(Server *server, int fd)
{
	const gsize *length = server->data;
	g_autofree char *head = g_strdup_printf(
		"HTTP/1.1 200 OK\r\nContent-Length: %" G_GSIZE_FORMAT "\r\n\r\n", *length);
	g_autofree char *body = g_strnfill(*length, 'x');

	if (say_text(fd, head))
		say(fd, body, *length);
}

static void
test_length(void)
{
	static const gsize MOST = INN_HTTP_MAX, MORE = INN_HTTP_MAX + 1, MUCH = 16 * MEGABYTE;
	g_autoptr(Server) server = server_new(serve_long, &MOST);
	g_auto(Answer) answer = ask(server);

	g_assert_cmpuint(answer.status, ==, 200);
	g_assert_cmpuint(g_bytes_get_size(answer.body), ==, MOST);
	check_failure(serve_long, (const void *)&MORE);
	check_failure(serve_long, (const void *)&MUCH);
}

#define X16 "xxxxxxxxxxxxxxxx"
#define X64 X16 X16 X16 X16

typedef struct {
	const char *head, *again;
} Endless;

static void
serve_endless(Server *server, int fd)
{
	const Endless *endless = server->data;
	g_autoptr(GString) block = g_string_new(NULL);

	while (block->len < 65536)
		g_string_append(block, endless->again);
	if (!say_text(fd, endless->head))
		return;
	while (say(fd, block->str, block->len))
		;
}

static void
test_endless(void)
{
	static const Endless ALL[] = {
		{"HTTP/1.1 200 OK\r\n", "X: y\r\n"},
		{"HTTP/1.1 200 OK\r\nX: ", "yyyyyyyy"},
		{"", "HTTP/1.1 100 Continue\r\n\r\n"},
		{"", "a"},
		{"", "\r\n"},
		{"HTTP/1.1 200 OK\r\n\r\n", "body"},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		 "100\r\n" X64 X64 X64 X64 "\r\n"},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nb\r\n"},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;", "x=y;"},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7fffffffffffffff\r\n",
		 "body"},
		{"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", "body"},
		{"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "body"},
	};

	for (gsize i = 0; i < G_N_ELEMENTS(ALL); i++) {
		g_autoptr(Server) server = server_new(serve_endless, &ALL[i]);
		gint64 before = g_get_monotonic_time();
		g_auto(Answer) answer = ask(server);

		g_test_message("%" G_GSIZE_FORMAT ": %d ms", i,
			       (int)((g_get_monotonic_time() - before) / 1000));
		/* refused for what it is, and not for the time it took */
		if (!answer.error ||
		    g_error_matches(answer.error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT))
			g_error("%" G_GSIZE_FORMAT ": %s", i,
				answer.error ? answer.error->message : "taken");
	}
}

/* The body is whole before them. */
static void
test_endless_trailers(void)
{
	static const Endless ENDLESS = {
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n", "X: y\r\n"};
	g_autoptr(Server) server = server_new(serve_endless, &ENDLESS);
	g_auto(Answer) answer = ask(server);

	if (!answer.error)
		check_body(&answer, 200, "x");
	server_join(server);
}

/* A byte now and then: no read ever waits long, the whole does. All of them at a time. */
static void
serve_drip(Server *server, int fd)
{
	const Endless *endless = server->data;

	if (!say_text(fd, endless->head))
		return;
	while (say_text(fd, endless->again))
		g_usleep(20000);
}

static void
test_slow(void)
{
	static const Endless ALL[] = {
		{NULL, NULL}, /* takes the connection and says nothing */
		{"", "H"},
		{"HTTP/1.1 200 OK\r\nX:", "y"},
		{"HTTP/1.1 200 OK\r\n\r\n", "b"},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nb\r\n"},
		{"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", "b"},
	};
	Server *servers[G_N_ELEMENTS(ALL)];
	InnHttp *http[G_N_ELEMENTS(ALL)];
	Answer answers[G_N_ELEMENTS(ALL)] = {0};

	for (gsize i = 0; i < G_N_ELEMENTS(ALL); i++) {
		servers[i] = server_new(i == 0 ? serve_text_and_wait : serve_drip,
					i == 0 ? (const void *)"" : &ALL[i]);
		http[i] = inn_http_new(&servers[i]->addr, &KEY);
		inn_http_call(http[i], "GET", "/", NULL, on_answer, &answers[i]);
	}
	for (gsize i = 0; i < G_N_ELEMENTS(ALL); i++) {
		wait_for(&answers[i]);
		g_assert_error(answers[i].error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
		inn_http_free(http[i]);
		server_free(servers[i]);
		answer_clear(&answers[i]);
	}
}

/* ---- connections that end ---- */

static void
test_closed(void)
{
	static const char *const BEGINNINGS[] = {
		"",
		"HTTP/1.1 2",
		"HTTP/1.1 200 OK\r\nContent-Le",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nbod",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbod",
	};

	for (gsize i = 0; i < G_N_ELEMENTS(BEGINNINGS); i++)
		check_failure(serve_text, BEGINNINGS[i]);
}

/* The server would keep the connection, then gives it up: the next call must not care. */
static void
test_keep_alive(void)
{
	static const Serve SERVES[] = {serve_text, serve_text_and_wait};

	for (gsize i = 0; i < G_N_ELEMENTS(SERVES); i++) {
		g_autoptr(Server) server = server_new(
			SERVES[i], "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nKeep-Alive: "
				   "timeout=600\r\nContent-Length: 2\r\n\r\n{}");
		g_autoptr(InnHttp) http = inn_http_new(&server->addr, &KEY);

		for (int call = 0; call < 3; call++) {
			g_auto(Answer) answer = {0};

			inn_http_call(http, "POST", "/v1/user/redeem", "{}", on_answer, &answer);
			wait_for(&answer);
			check_body(&answer, 200, "{}");
		}
		server_join(server);
		g_assert_cmpint(server->connections, ==, 3);
		g_assert_cmpint(server->requests, ==, 3);
	}
}

static void
test_refused(void)
{
	WgEndpoint nobody = net_ep("127.0.0.1:0");
	int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof nobody;

	/* bound, but nobody listens there */
	g_assert_cmpint(bind(tcp, &nobody.sa, wg_endpoint_socklen(&nobody)), ==, 0);
	getsockname(tcp, &nobody.sa, &len);
	{
		g_auto(Answer) answer = ask_of(&nobody, "GET", "/v1/user/state", NULL);

		g_assert_error(answer.error, G_IO_ERROR, G_IO_ERROR_CONNECTION_REFUSED);
	}
	close(tcp);
}

/* In a thread of its own, because the namespace is the thread's. */
static gpointer
ask_without_network(gpointer data)
{
	WgEndpoint addr = net_ep("192.0.2.1:80");
	Answer *answer = data;

	if (!net_fresh())
		return NULL;
	*answer = ask_of(&addr, "GET", "/v1/user/state", NULL);
	return NULL;
}

static void
test_no_route(void)
{
	g_auto(Answer) answer = {0};

	g_thread_join(g_thread_new("no network", ask_without_network, &answer));
	if (answer.done)
		g_assert_error(answer.error, G_IO_ERROR, G_IO_ERROR_NETWORK_UNREACHABLE);
}

/* ---- order and life ---- */

static void
serve_path(Server *server, int fd)
{
	g_auto(GStrv) words = g_strsplit(server->request, " ", 3);
	g_autofree char *text =
		g_strdup_printf("HTTP/1.1 200 OK\r\nContent-Length: %" G_GSIZE_FORMAT "\r\n\r\n%s",
				strlen(words[1]), words[1]);

	say_text(fd, text);
}

static void
test_order(void)
{
	g_autoptr(Server) server = server_new(serve_path, NULL);
	g_autoptr(InnHttp) http = inn_http_new(&server->addr, &KEY);
	g_autofree char *long_one = g_strnfill(INN_HTTP_BODY_MAX + 1, '1');
	g_auto(Answer) first = {0}, second = {0}, third = {0};

	inn_http_call(http, "GET", "/first", NULL, on_answer, &first);
	inn_http_call(http, "PUT", "/second", long_one, on_answer, &second);
	inn_http_call(http, "GET", "/third", NULL, on_answer, &third);
	g_assert_cmpuint(inn_http_pending(http), ==, 3);
	wait_for(&first);
	g_assert_false(second.done);
	wait_for(&second);
	g_assert_false(third.done);
	wait_for(&third);
	check_body(&first, 200, "/first");
	g_assert_nonnull(second.error);
	check_body(&third, 200, "/third");
}

typedef struct {
	InnHttp *http;
	Answer second;
} Chain;

static void
on_first(guint status, GBytes *body, const GError *error, gpointer user_data)
{
	Chain *chain = user_data;

	g_assert_cmpuint(inn_http_pending(chain->http), ==, 0);
	inn_http_call(chain->http, "GET", "/second", NULL, on_answer, &chain->second);
}

static void
test_call_inside(void)
{
	g_autoptr(Server) server = server_new(serve_path, NULL);
	g_autoptr(InnHttp) http = inn_http_new(&server->addr, &KEY);
	Chain chain = {.http = http};

	inn_http_call(http, "GET", "/first", NULL, on_first, &chain);
	wait_for(&chain.second);
	check_body(&chain.second, 200, "/second");
	g_assert_cmpint(g_atomic_int_get(&server->requests), ==, 2);
	answer_clear(&chain.second);
}

/* Freed in each of the ways a call ends, with more calls behind it. */
static void
check_free_inside(Serve serve, const void *data, const char *json)
{
	g_autoptr(Server) server = server_new(serve, data);
	InnHttp *http = inn_http_new(&server->addr, &KEY);
	g_auto(Answer) first = {.free_this = http}, second = {0};

	inn_http_call(http, "PUT", "/first", json, on_answer, &first);
	inn_http_call(http, "GET", "/second", NULL, on_answer, &second);
	wait_for(&first);
	while (g_main_context_iteration(NULL, FALSE))
		;
	server_join(server);
	g_assert_cmpuint(first.calls, ==, 1);
	g_assert_cmpuint(second.calls, ==, 0);
	g_assert_cmpint(server->requests, <=, 1);
}

static void
test_free_inside(void)
{
	static const Endless ENDLESS = {"HTTP/1.1 200 OK\r\n\r\n", "body"};
	g_autofree char *long_one = g_strnfill(INN_HTTP_BODY_MAX + 1, '1');

	check_free_inside(serve_path, NULL, "{}");
	check_free_inside(serve_text, "nonsense\r\n\r\n", "{}");
	check_free_inside(serve_text_and_wait, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
			  "{}");
	check_free_inside(serve_endless, &ENDLESS, "{}");
	check_free_inside(serve_path, NULL, long_one);
}

/* Freed at once, and while the headers or the body are awaited: the server sees the end. */
static void
check_free_while(const char *beginning, gboolean at_once)
{
	g_autoptr(Server) server = server_new(serve_text_and_wait, beginning);
	InnHttp *http = inn_http_new(&server->addr, &KEY);
	g_auto(Answer) answer = {0};
	gint64 end = g_get_monotonic_time() + PATIENCE_MS * G_TIME_SPAN_MILLISECOND;

	inn_http_call(http, "GET", "/", NULL, on_answer, &answer);
	inn_http_call(http, "GET", "/", NULL, on_answer, &answer);
	while (!at_once && g_atomic_int_get(&server->requests) == 0) {
		g_assert_cmpint(g_get_monotonic_time(), <, end);
		g_main_context_iteration(NULL, FALSE);
	}
	for (int i = 0; !at_once && i < 20; i++) {
		g_main_context_iteration(NULL, FALSE);
		g_usleep(500);
	}
	inn_http_free(http);
	while (g_main_context_iteration(NULL, FALSE))
		;
	server_join(server);
	g_assert_false(answer.done);
}

static void
test_free_while(void)
{
	check_free_while("", TRUE);
	check_free_while("", FALSE);
	check_free_while("HTTP/1.1 200", FALSE);
	check_free_while("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun", FALSE);
	inn_http_free(NULL);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_setenv("http_proxy", "http://127.0.0.1:1/", TRUE);
	g_setenv("all_proxy", "http://127.0.0.1:1/", TRUE);
	g_test_add_func("/inn-http/request", test_request);
	g_test_add_func("/inn-http/request-body", test_request_body);
	g_test_add_func("/inn-http/request-too-long", test_request_too_long);
	g_test_add_func("/inn-http/ipv6", test_ipv6);
	g_test_add_func("/inn-http/statuses", test_statuses);
	g_test_add_func("/inn-http/not-obeyed", test_not_obeyed);
	g_test_add_func("/inn-http/cookies", test_cookies);
	g_test_add_func("/inn-http/chunked", test_chunked);
	g_test_add_func("/inn-http/bytewise", test_bytewise);
	g_test_add_func("/inn-http/garbage", test_garbage);
	g_test_add_func("/inn-http/length", test_length);
	g_test_add_func("/inn-http/endless", test_endless);
	g_test_add_func("/inn-http/endless-trailers", test_endless_trailers);
	g_test_add_func("/inn-http/slow", test_slow);
	g_test_add_func("/inn-http/closed", test_closed);
	g_test_add_func("/inn-http/keep-alive", test_keep_alive);
	g_test_add_func("/inn-http/refused", test_refused);
	g_test_add_func("/inn-http/no-route", test_no_route);
	g_test_add_func("/inn-http/order", test_order);
	g_test_add_func("/inn-http/call-inside", test_call_inside);
	g_test_add_func("/inn-http/free-inside", test_free_inside);
	g_test_add_func("/inn-http/free-while", test_free_while);
	return g_test_run();
}
