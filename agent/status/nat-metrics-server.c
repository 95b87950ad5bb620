/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation: one GSource for the listening socket and one per client, all below the
 * priority of what the agent is there for. A client is read from until its request is complete,
 * then written to, then gone. A page is a GBytes that all who get it share.
 *
 * Not SoupServer, which is linked: it has no bound for connections, for what it queues and for the
 * time that a request may take.
 */
#include "agent/status/nat-metrics-server.h"

#include <errno.h>
#include <gio/gio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/status/nat-http-ask.h"

#define PRIORITY G_PRIORITY_DEFAULT_IDLE

typedef struct {
	NatMetricsServer *server;
	GSource *source;
	gpointer tag;
	int fd;
	gsize len; /* of request */
	char request[NAT_HTTP_ASK_MAX];
	GBytes *reply; /* NULL: the request is not complete */
	gsize sent;
} Client;

struct NatMetricsServer {
	NatMetricsServerFunc func;
	gpointer user_data;
	int fd;
	GSource *source;
	gpointer tag;
	gint64 second_us; /* in which `accepted` came */
	guint accepted;
	GQueue clients; /* of Client, the oldest first */
	GBytes *page;	/* NULL: none yet */
	gint64 page_us;
};

typedef struct {
	GSource base;
	gpointer owner;
} Source;

static GSource *
watch(GSourceFuncs *funcs, int fd, gpointer owner, gpointer *tag)
{
	GSource *source = g_source_new(funcs, sizeof(Source));

	((Source *)source)->owner = owner;
	*tag = g_source_add_unix_fd(source, fd, G_IO_IN);
	g_source_set_priority(source, PRIORITY);
	g_source_set_static_name(source, "metrics");
	g_source_attach(source, g_main_context_get_thread_default());
	return source;
}

static void
unwatch(GSource *source)
{
	g_source_destroy(source);
	g_source_unref(source);
}

/* However many ask, and however often. */
static GBytes *
make_page(NatMetricsServer *server)
{
	gint64 now = g_get_monotonic_time();

	if (!server->page || now - server->page_us > NAT_METRICS_SERVER_AGE_MS * 1000) {
		g_autofree char *text = server->func(server->user_data);

		g_clear_pointer(&server->page, g_bytes_unref);
		server->page = nat_http_ask_answer(NAT_HTTP_ASK_METRICS, text);
		server->page_us = now;
	}
	return g_bytes_ref(server->page);
}

/* ---- one client ---- */

static void
client_free(Client *client)
{
	g_queue_remove(&client->server->clients, client);
	unwatch(client->source);
	close(client->fd);
	g_clear_pointer(&client->reply, g_bytes_unref);
	g_free(client);
}

/* FALSE: the connection is over. */
static gboolean
read_request(Client *client)
{
	gssize n = recv(client->fd, client->request + client->len,
			sizeof client->request - client->len, 0);
	NatHttpAsk ask;

	if (n <= 0)
		return n < 0 && (errno == EAGAIN || errno == EINTR);
	client->len += (gsize)n;
	ask = nat_http_ask_parse(client->request, client->len);
	client->reply = ask == NAT_HTTP_ASK_METRICS ? make_page(client->server)
						    : nat_http_ask_answer(ask, NULL);
	return TRUE;
}

/* FALSE: the connection is over. */
static gboolean
write_reply(Client *client)
{
	gsize len;
	const char *data = g_bytes_get_data(client->reply, &len);
	gssize n = send(client->fd, data + client->sent, len - client->sent, MSG_NOSIGNAL);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	client->sent += (gsize)n;
	return client->sent < len;
}

static gboolean
client_ready(GSource *source, GSourceFunc unused, gpointer unused_data)
{
	Client *client = ((Source *)source)->owner;
	gboolean alive = g_get_monotonic_time() < g_source_get_ready_time(source);

	if (alive && !client->reply)
		alive = read_request(client);
	if (alive && client->reply)
		alive = write_reply(client);
	if (!alive) {
		client_free(client);
		return G_SOURCE_REMOVE;
	}
	g_source_modify_unix_fd(source, client->tag, client->reply ? G_IO_OUT : G_IO_IN);
	return G_SOURCE_CONTINUE;
}

static GSourceFuncs CLIENT_FUNCS = {NULL, NULL, client_ready, NULL};

static void
client_new(NatMetricsServer *server, int fd)
{
	Client *client = g_new0(Client, 1);

	if (g_queue_get_length(&server->clients) >= NAT_METRICS_SERVER_CLIENTS)
		client_free(g_queue_peek_head(&server->clients));
	client->server = server;
	client->fd = fd;
	client->source = watch(&CLIENT_FUNCS, fd, client, &client->tag);
	g_source_set_ready_time(client->source,
				g_get_monotonic_time() + NAT_METRICS_SERVER_TIME_MS * (gint64)1000);
	g_queue_push_tail(&server->clients, client);
}

/* ---- the listening socket ---- */

/* Nobody is accepted until then: the connections wait in the kernel's queue, which is bounded. */
static void
pause_until(NatMetricsServer *server, gint64 us)
{
	g_source_modify_unix_fd(server->source, server->tag, 0);
	g_source_set_ready_time(server->source, us);
}

static gboolean
listener_ready(GSource *source, GSourceFunc unused, gpointer unused_data)
{
	NatMetricsServer *server = ((Source *)source)->owner;
	gint64 now = g_get_monotonic_time();
	int fd;

	if (g_source_get_ready_time(source) >= 0) {
		g_source_set_ready_time(source, -1);
		g_source_modify_unix_fd(source, server->tag, G_IO_IN);
	}
	if (now - server->second_us >= G_USEC_PER_SEC) {
		server->second_us = now;
		server->accepted = 0;
	}
	if (++server->accepted > NAT_METRICS_SERVER_PER_S) {
		pause_until(server, server->second_us + G_USEC_PER_SEC);
		return G_SOURCE_CONTINUE;
	}
	fd = accept4(server->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0)
		client_new(server, fd);
	else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
		pause_until(server, now + G_USEC_PER_SEC / 5);
	return G_SOURCE_CONTINUE;
}

static GSourceFuncs LISTENER_FUNCS = {NULL, NULL, listener_ready, NULL};

static gboolean
open_socket(NatMetricsServer *server, const WgEndpoint *address, GError **error)
{
	char text[WG_ENDPOINT_STRLEN];
	int one = 1;

	server->fd =
		socket(wg_endpoint_family(address), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (server->fd >= 0 &&
	    setsockopt(server->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
	    bind(server->fd, &address->sa, wg_endpoint_socklen(address)) == 0 &&
	    listen(server->fd, 64) == 0)
		return TRUE;
	g_set_error(error, G_IO_ERROR, (int)g_io_error_from_errno(errno),
		    "cannot serve metrics at %s: %s; name another address with --metrics ADDR:PORT",
		    wg_endpoint_format(address, text), g_strerror(errno));
	return FALSE;
}

NatMetricsServer *
nat_metrics_server_new(const WgEndpoint *address, NatMetricsServerFunc func, gpointer user_data,
		       GError **error)
{
	g_autoptr(NatMetricsServer) server = g_new0(NatMetricsServer, 1);

	server->func = func;
	server->user_data = user_data;
	server->fd = -1;
	g_queue_init(&server->clients);
	if (!open_socket(server, address, error))
		return NULL;
	server->source = watch(&LISTENER_FUNCS, server->fd, server, &server->tag);
	return g_steal_pointer(&server);
}

void
nat_metrics_server_free(NatMetricsServer *server)
{
	if (!server)
		return;
	while (!g_queue_is_empty(&server->clients))
		client_free(g_queue_peek_head(&server->clients));
	if (server->source)
		unwatch(server->source);
	if (server->fd >= 0)
		close(server->fd);
	g_clear_pointer(&server->page, g_bytes_unref);
	g_free(server);
}
