/* SPDX-License-Identifier: MIT */
/* The HTTP of the metrics: what is asked (pure), and a server on the loopback among clients that
 * mean no good. Client and server share one thread: whatever blocks, hangs the test. */
#include <errno.h>
#include <gio/gio.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/status/nat-http-ask.h"
#include "agent/status/nat-metrics-server.h"
#include "tests/unit/net-own.h"

#define DEADLINE_US (60 * G_USEC_PER_SEC)

/* ---- what is asked ---- */

static void
asks(const char *text, NatHttpAsk expected)
{
	gsize len = strlen(text);

	g_test_message("%s", text);
	g_assert_cmpint(nat_http_ask_parse(text, len), ==, expected);
}

static void
requests(void)
{
	asks("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", NAT_HTTP_ASK_METRICS);
	asks("GET /metrics HTTP/1.0\n\n", NAT_HTTP_ASK_METRICS);
	asks("GET /metrics?name[]=a HTTP/1.1\r\n\r\n", NAT_HTTP_ASK_METRICS);
	asks("GET /healthz HTTP/1.1\r\n\r\nrest", NAT_HTTP_ASK_HEALTH);
	asks("GET / HTTP/1.1\r\n\r\n", NAT_HTTP_ASK_NO_SUCH_PAGE);
	asks("GET /metrics/ HTTP/1.1\r\n\r\n", NAT_HTTP_ASK_NO_SUCH_PAGE);
	asks("GET /metric HTTP/1.1\r\n\r\n", NAT_HTTP_ASK_NO_SUCH_PAGE);
	asks("POST /nothing HTTP/1.1\r\n\r\n", NAT_HTTP_ASK_NO_SUCH_PAGE);
	asks("POST /metrics HTTP/1.1\r\n\r\n", NAT_HTTP_ASK_NO_SUCH_METHOD);
	asks("HEAD /healthz HTTP/1.1\r\n\r\n", NAT_HTTP_ASK_NO_SUCH_METHOD);
	asks("GET /metrics HTTP/2\r\n\r\n", NAT_HTTP_ASK_MALFORMED);
	asks("GET /metrics\r\n\r\n", NAT_HTTP_ASK_MALFORMED);
	asks("GET  /metrics HTTP/1.1\r\n\r\n", NAT_HTTP_ASK_MALFORMED);
	asks("GET metrics HTTP/1.1\r\n\r\n", NAT_HTTP_ASK_MALFORMED);
	asks("get /metrics HTTP/1.1\r\n\r\n", NAT_HTTP_ASK_MALFORMED);
	asks("\r\n", NAT_HTTP_ASK_MALFORMED);
	asks("\x16\x03\x01", NAT_HTTP_ASK_MALFORMED); /* TLS, at once */
	asks("GET /\033[2J", NAT_HTTP_ASK_MALFORMED);
	asks("", NAT_HTTP_ASK_MORE);
	asks("GET /metrics HTTP/1.1\r", NAT_HTTP_ASK_MORE);
	asks("GET /metrics HTTP/1.1\r\nHost: x\r\n", NAT_HTTP_ASK_MORE);
}

static void
in_pieces(void)
{
	static const char text[] = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\nPOST";
	gsize whole = strlen(text) - strlen("POST");

	for (gsize len = 0; len <= strlen(text); len++)
		g_assert_cmpint(nat_http_ask_parse(text, len), ==,
				len < whole ? NAT_HTTP_ASK_MORE : NAT_HTTP_ASK_METRICS);
}

static void
too_long(void)
{
	g_autoptr(GString) text = g_string_new("GET /metrics HTTP/1.1\r\nX: ");
	g_autofree char *line = g_strnfill(NAT_HTTP_ASK_MAX, 'G');

	while (text->len < NAT_HTTP_ASK_MAX - 1)
		g_string_append_c(text, 'x');
	g_assert_cmpint(nat_http_ask_parse(text->str, text->len), ==, NAT_HTTP_ASK_MORE);
	g_string_append(text, "x\r\n\r\n");
	g_assert_cmpint(nat_http_ask_parse(text->str, text->len), ==, NAT_HTTP_ASK_TOO_LONG);
	g_assert_cmpint(nat_http_ask_parse(line, NAT_HTTP_ASK_MAX), ==, NAT_HTTP_ASK_TOO_LONG);
}

/* ---- a server ---- */

typedef struct {
	WgEndpoint address;
	NatMetricsServer *server;
	char *body;
	guint made; /* pages */
} Fixture;

static char *
make_page(gpointer user_data)
{
	Fixture *f = user_data;

	f->made++;
	return g_strdup(f->body);
}

static guint16
free_port(void)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof sa;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	g_assert_cmpint(bind(fd, (struct sockaddr *)&sa, sizeof sa), ==, 0);
	g_assert_cmpint(getsockname(fd, (struct sockaddr *)&sa, &len), ==, 0);
	close(fd);
	return ntohs(sa.sin_port);
}

static void
set_up(Fixture *f, gconstpointer unused)
{
	g_autoptr(GError) error = NULL;

	f->body = g_strdup("a 1\n");
	wg_endpoint_parse_address("127.0.0.1", free_port(), &f->address);
	f->server = nat_metrics_server_new(&f->address, make_page, f, &error);
	g_assert_no_error(error);
}

static void
tear_down(Fixture *f, gconstpointer unused)
{
	nat_metrics_server_free(f->server);
	g_free(f->body);
}

/* ---- clients ---- */

static gboolean
is_open(int fd)
{
	struct pollfd wait = {.fd = fd, .events = POLLOUT};

	return poll(&wait, 1, 1) == 1;
}

/* Not before the kernel has room for it: the server runs meanwhile. */
static int
call(const Fixture *f)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	gint64 end = g_get_monotonic_time() + DEADLINE_US;

	g_assert_cmpint(fd, >=, 0);
	if (connect(fd, &f->address.sa, wg_endpoint_socklen(&f->address)) < 0)
		g_assert_cmpint(errno, ==, EINPROGRESS);
	while (!is_open(fd)) {
		g_main_context_iteration(NULL, FALSE);
		g_assert_cmpint(g_get_monotonic_time(), <, end);
	}
	return fd;
}

static gboolean
on_wake(gpointer unused)
{
	return G_SOURCE_CONTINUE;
}

/* Sends all of it while the server runs, or as much as it takes; FALSE: the server closed. */
static gboolean
say(int fd, const char *data, gsize len)
{
	gint64 end = g_get_monotonic_time() + DEADLINE_US;
	gsize sent = 0;

	while (sent < len) {
		gssize n = send(fd, data + sent, len - sent, MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN)
			return FALSE;
		if (n > 0)
			sent += (gsize)n;
		g_main_context_iteration(NULL, FALSE);
		g_assert_cmpint(g_get_monotonic_time(), <, end);
	}
	return TRUE;
}

/* Runs the server until it closes; what it sent. */
static char *
hear(int fd)
{
	GString *heard = g_string_new(NULL);
	gint64 end = g_get_monotonic_time() + DEADLINE_US;
	guint timer = g_timeout_add(20, on_wake, NULL);
	char buf[4096];
	gssize n;

	while ((n = recv(fd, buf, sizeof buf, 0)) > 0 || (n < 0 && errno == EAGAIN)) {
		if (n > 0)
			g_string_append_len(heard, buf, n);
		else
			g_main_context_iteration(NULL, TRUE);
		g_assert_cmpint(g_get_monotonic_time(), <, end);
	}
	g_source_remove(timer);
	close(fd);
	return g_string_free(heard, FALSE);
}

static char *
ask(const Fixture *f, const char *request)
{
	int fd = call(f);

	say(fd, request, strlen(request));
	return hear(fd);
}

static void
serves(const Fixture *f)
{
	g_autofree char *page = ask(f, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");

	g_assert_true(g_str_has_prefix(page, "HTTP/1.1 200 OK\r\n"));
	g_assert_true(g_str_has_suffix(page, "\r\n\r\na 1\n"));
}

static void
pages(Fixture *f, gconstpointer unused)
{
	g_autofree char *metrics = ask(f, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
	g_autofree char *health = ask(f, "GET /healthz HTTP/1.0\r\n\r\n");
	g_autofree char *none = ask(f, "GET /x HTTP/1.1\r\n\r\n");
	g_autofree char *post = ask(f, "POST /metrics HTTP/1.1\r\n\r\n");
	g_autofree char *tls = ask(f, "\x16\x03\x01\x02");

	g_assert_cmpstr(metrics, ==,
			"HTTP/1.1 200 OK\r\n"
			"Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
			"Content-Length: 4\r\n"
			"Connection: close\r\n"
			"Cache-Control: no-store\r\n"
			"\r\n"
			"a 1\n");
	g_assert_true(g_str_has_prefix(health, "HTTP/1.1 200 "));
	g_assert_true(g_str_has_suffix(health, "\r\n\r\nok\n"));
	g_assert_true(g_str_has_prefix(none, "HTTP/1.1 404 "));
	g_assert_true(g_str_has_prefix(post, "HTTP/1.1 405 "));
	g_assert_nonnull(strstr(post, "\r\nAllow: GET\r\n"));
	g_assert_true(g_str_has_prefix(tls, "HTTP/1.1 400 "));
}

/* Megabytes of a header: the answer may be lost to the reset, the server is not. */
static void
oversize(Fixture *f, gconstpointer unused)
{
	gsize len = 1 << 20;
	g_autofree char *much = g_strnfill(len, 'x');
	g_autofree char *answer = NULL;
	int fd = call(f);

	g_assert_true(say(fd, "GET /metrics HTTP/1.1\r\nX: ", 26));
	say(fd, much, len);
	answer = hear(fd);
	g_assert_true(*answer == '\0' || g_str_has_prefix(answer, "HTTP/1.1 431 "));
	serves(f);
}

/* Who says nothing goes in time, and meanwhile others are served. */
static void
silent(Fixture *f, gconstpointer unused)
{
	int fd = call(f), half = call(f);
	gint64 began = g_get_monotonic_time();
	g_autofree char *nothing = NULL, *neither = NULL;

	g_assert_true(say(half, "GET /met", 8));
	serves(f);
	nothing = hear(fd);
	neither = hear(half);
	g_assert_cmpstr(nothing, ==, "");
	g_assert_cmpstr(neither, ==, "");
	g_assert_cmpint(g_get_monotonic_time() - began, >=,
			(NAT_METRICS_SERVER_TIME_MS - 1000) * 1000);
}

/* A client that reads nothing yet of a page that does not fit its socket. */
static void
slow_reader(Fixture *f, gconstpointer unused)
{
	static const char request[] = "GET /metrics HTTP/1.1\r\n\r\n";
	gint64 began = g_get_monotonic_time();
	gsize len = 2 << 20;
	g_autofree char *answer = NULL;
	int fd = call(f);

	g_free(f->body);
	f->body = g_strnfill(len, '#');
	g_assert_true(say(fd, request, strlen(request)));
	while (f->made == 0)
		g_main_context_iteration(NULL, TRUE);
	for (int i = 0; i < 3; i++) {
		g_autofree char *health = ask(f, "GET /healthz HTTP/1.1\r\n\r\n");

		g_assert_true(g_str_has_suffix(health, "ok\n"));
	}
	answer = hear(fd);
	/* it was not cut off, unless this machine took longer than the server waits */
	if (g_get_monotonic_time() - began < NAT_METRICS_SERVER_TIME_MS * (gint64)1000)
		g_assert_cmpuint(strlen(answer), >, len);
}

/* More than it holds at once, and more than it takes in a second: it serves on. */
static void
crowd(Fixture *f, gconstpointer unused)
{
	int fds[200];

	for (gsize i = 0; i < G_N_ELEMENTS(fds); i++) {
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		g_assert_cmpint(fds[i], >=, 0);
		if (connect(fds[i], &f->address.sa, wg_endpoint_socklen(&f->address)) < 0)
			g_assert_cmpint(errno, ==, EINPROGRESS);
		g_main_context_iteration(NULL, FALSE);
	}
	for (gsize i = 0; i < 50; i++)
		close(fds[i]);
	serves(f);
	for (gsize i = 50; i < G_N_ELEMENTS(fds); i++)
		close(fds[i]);
	serves(f);
}

/* Half a second's askers get the same page. */
static void
one_page_for_many(Fixture *f, gconstpointer unused)
{
	gint64 began = g_get_monotonic_time();
	guint most;

	for (int i = 0; i < 30; i++)
		serves(f);
	most = 1 + (guint)((g_get_monotonic_time() - began) /
			   (NAT_METRICS_SERVER_AGE_MS * (gint64)1000));
	g_assert_cmpuint(f->made, >=, 1);
	g_assert_cmpuint(f->made, <=, most);
}

static void
taken(Fixture *f, gconstpointer unused)
{
	g_autoptr(GError) error = NULL;
	char text[WG_ENDPOINT_STRLEN];

	g_assert_null(nat_metrics_server_new(&f->address, make_page, f, &error));
	g_assert_error(error, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE);
	g_assert_nonnull(strstr(error->message, wg_endpoint_format(&f->address, text)));
	g_assert_nonnull(strstr(error->message, "--metrics"));
}

/* Freed with clients in every state. */
static void
freed_in_use(Fixture *f, gconstpointer unused)
{
	int idle = call(f), half = call(f);

	g_assert_true(say(half, "GET /", 5));
	close(idle);
	close(half);
}

#define ADD(name, func) g_test_add("/metrics-server/" name, Fixture, NULL, set_up, func, tear_down)

int
main(int argc, char **argv)
{
	if (!net_own())
		return 1;
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/http-ask/requests", requests);
	g_test_add_func("/http-ask/in-pieces", in_pieces);
	g_test_add_func("/http-ask/too-long", too_long);
	ADD("pages", pages);
	ADD("oversize", oversize);
	ADD("silent", silent);
	ADD("slow-reader", slow_reader);
	ADD("crowd", crowd);
	ADD("one-page-for-many", one_page_for_many);
	ADD("taken", taken);
	ADD("freed-in-use", freed_in_use);
	return g_test_run();
}
