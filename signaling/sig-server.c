/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation
 *
 * One thread, one libuv loop; libwebsockets runs on it as a guest. We accept connections ourselves
 * and hand them to lws (lws_adopt_…), because only so are bind errors ours to word, and the bounds
 * of sig-gate checked before lws allocates anything. A SigConn belongs to a struct lws through its
 * opaque user data, from the adoption to LWS_CALLBACK_WSI_DESTROY or CLOSED, whichever comes first.
 *
 * Writing: a SigConn that has frames calls wake(), which asks lws for
 * LWS_CALLBACK_SERVER_WRITEABLE; there the queue is written until it is empty or the socket is
 * full. lws itself never holds more than the rest of one frame.
 *
 * Closing: always from the WRITEABLE callback, after the queue: the close frame leaves last, and
 * the client's answer ends the connection. The frame is ours because lws_close_reason() does
 * nothing here: Debian's lws 4.1.6 is built with _DEBUG, where its libuv service closes each socket
 * a second time as a self-test (service.c, "uv repeat test"), before the frame is written. A
 * connection that does not get that far is aborted by its timer (sig-wheel): the socket is shut
 * down, and lws notices by itself. We never free a struct lws.
 *
 * lws's own timers live in one sorted list, which costs O(connections) to insert into: it is used
 * only by lws itself for the HTTP upgrade, bounded by the gate.
 */
#include "signaling/sig-server.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <libwebsockets.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>
#include <uv.h>

#include "signaling/sig-conn.h"
#include "signaling/sig-socket.h"
#include "signaling/sig-stun.h"

#define ACCEPT_BATCH 64
#define SPARE_FILES 128	  /* besides connections: sockets, pipes, epoll, the journal */
#define STUN_BUCKETS 4096 /* addresses that meet in one share it */
#define DRAIN_GRACE 3	  /* s for the last frames to leave */
#define DRAIN_PER_S 500	  /* clients that may come back in a second */
#define RX_PIECE 1024	  /* lws keeps a buffer of this size for each connection */

G_STATIC_ASSERT(SIG_OUT_ROOM >= LWS_PRE);

typedef struct {
	SigServer *server;
	uv_poll_t poll;
	int fd;
} Socket;

struct SigServer {
	uv_loop_t loop;
	uv_timer_t second;
	uv_signal_t sigterm, sigint;
	struct lws_context *lws;
	struct lws_vhost *vhost;
	GPtrArray *listeners; /* of Socket */
	GPtrArray *stuns;     /* of Socket */
	SigRateLimit *stun_limit;
	SigHub *hub;
	GQueue conns; /* links are inside the SigConn */
	int spare_fd; /* given up for a moment to turn a connection away when files run out */
	gint64 warn_of_files_at; /* not before */
	gboolean paused;	 /* the listeners, until the next second */
	guint draining;		 /* ticks left, 0: not draining */
};

static int on_http(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
		   size_t len);
static int on_ws(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
		 size_t len);

/* The first is what a connection has before its upgrade, and what plain HTTP gets. */
static const struct lws_protocols protocols[] = {
	{.name = "http", .callback = on_http, .rx_buffer_size = RX_PIECE},
	{.name = SIG_WIRE_SUBPROTOCOL, .callback = on_ws, .rx_buffer_size = RX_PIECE},
	{.name = NULL},
};

/* ---- libwebsockets ---- */

static SigServer *
server_of(struct lws *wsi)
{
	return lws_context_user(lws_get_context(wsi));
}

static SigHub *
hub_now(SigServer *server)
{
	server->hub->now = g_get_monotonic_time();
	return server->hub;
}

static void
wake(gpointer transport)
{
	lws_callback_on_writable(transport);
}

static void
forget(struct lws *wsi)
{
	SigConn *conn = lws_get_opaque_user_data(wsi);
	SigServer *server = server_of(wsi);

	if (!conn)
		return;
	lws_set_opaque_user_data(wsi, NULL);
	hub_now(server);
	g_queue_unlink(&server->conns, sig_conn_link(conn));
	sig_conn_free(conn);
	if (server->draining > 0 && server->conns.length == 0)
		uv_stop(&server->loop);
}

static int
on_http(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
	switch ((int)reason) {
	case LWS_CALLBACK_HTTP:
		/* curl or a browser: say what this is, and end it */
		lws_return_http_status(wsi, HTTP_STATUS_NOT_FOUND,
				       "This is nat-signald: it speaks WebSocket only.");
		return -1;
	case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
		return -1; /* a WebSocket without our subprotocol */
	case LWS_CALLBACK_WSI_DESTROY:
		forget(wsi);
		return 0;
	default:
		return 0;
	}
}

/* FALSE when the connection is broken. */
static gboolean
write_queue(struct lws *wsi, SigConn *conn)
{
	guint8 ping[LWS_PRE + 1];

	if (sig_conn_take_ping(conn) && lws_write(wsi, ping + LWS_PRE, 0, LWS_WRITE_PING) < 0)
		return FALSE;
	while (!lws_send_pipe_choked(wsi)) {
		g_autofree SigOut *out = sig_conn_pop(conn);

		if (!out)
			return TRUE;
		if (lws_write(wsi, out->data, out->len,
			      out->binary ? LWS_WRITE_BINARY : LWS_WRITE_TEXT) < (int)out->len)
			return FALSE;
	}
	lws_callback_on_writable(wsi);
	return TRUE;
}

static int
on_writable(struct lws *wsi, SigConn *conn)
{
	guint8 frame[LWS_PRE + 4] = {0};
	SigClose why;

	if (!write_queue(wsi, conn))
		return -1;
	why = sig_conn_take_close(conn);
	if (why == SIG_CLOSE_NONE)
		return 0;
	frame[LWS_PRE] = 0x88; /* FIN, close; RFC 6455 §5.5.1 */
	frame[LWS_PRE + 1] = 2;
	frame[LWS_PRE + 2] = why >> 8;
	frame[LWS_PRE + 3] = why & 0xff;
	return lws_write(wsi, frame + LWS_PRE, 4, LWS_WRITE_RAW) < 0 ? -1 : 0;
}

static int
on_ws(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
	SigConn *conn = lws_get_opaque_user_data(wsi);

	if (!conn)
		return 0;
	hub_now(server_of(wsi));
	switch ((int)reason) {
	case LWS_CALLBACK_ESTABLISHED:
		sig_conn_open(conn);
		return 0;
	case LWS_CALLBACK_RECEIVE:
		sig_conn_receive(conn, in, len, lws_remaining_packet_payload(wsi),
				 lws_is_final_fragment(wsi), lws_frame_is_binary(wsi));
		return 0;
	case LWS_CALLBACK_RECEIVE_PONG:
		sig_conn_heard(conn);
		return 0;
	case LWS_CALLBACK_SERVER_WRITEABLE:
		return on_writable(wsi, conn);
	case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
		/* ours was first: this is the answer, and the end; else lws answers */
		return sig_conn_is_closing(conn) ? -1 : 0;
	case LWS_CALLBACK_CLOSED:
		forget(wsi);
		return 0;
	default:
		return 0;
	}
}

/* What lws has to say is about clients' mistakes or its own insides: debug. */
static void
log_lws(int level, const char *line)
{
	g_debug("libwebsockets: %.*s", (int)strcspn(line, "\n"), line);
}

/* ---- accepting ---- */

static void
adopt(SigServer *server, int fd, const WgEndpoint *peer)
{
	SigHub *hub = hub_now(server);
	struct lws *wsi;
	SigConn *conn;

	if (server->conns.length >= hub->limits.connections || !sig_gate_enter(hub->gate, peer)) {
		hub->stats.turned_away++;
		close(fd);
		return;
	}
	wsi = lws_adopt_socket_vhost(server->vhost, fd); /* closes fd when it fails */
	if (!wsi) {
		sig_gate_leave(hub->gate, peer);
		return;
	}
	hub->stats.accepted++;
	conn = sig_conn_new(hub, peer, wsi);
	g_queue_push_tail_link(&server->conns, sig_conn_link(conn));
	lws_set_opaque_user_data(wsi, conn);
}

static void
warn_of_files(SigServer *server)
{
	gint64 now = g_get_monotonic_time();

	if (now < server->warn_of_files_at)
		return;
	server->warn_of_files_at = now + 60 * G_USEC_PER_SEC;
	g_warning("out of file descriptors: connections are turned away; raise LimitNOFILE or "
		  "lower [limits] connections");
}

/* The kernel has nothing left, and the poll would spin on what waits: look again in a second. */
static void
pause_listening(SigServer *server)
{
	for (guint i = 0; i < server->listeners->len; i++)
		uv_poll_stop(&((Socket *)server->listeners->pdata[i])->poll);
	server->paused = TRUE;
}

/* Out of files: the connection would stay in the backlog. Take it with the spare descriptor and let
 * it go: its client backs off. FALSE when there was none (the kernel reports EMFILE before it
 * looks). */
static gboolean
turn_one_away(SigServer *server, int fd)
{
	int conn, err;

	if (server->spare_fd >= 0)
		close(server->spare_fd);
	conn = accept(fd, NULL, NULL);
	err = errno;
	if (conn >= 0)
		close(conn);
	server->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (conn < 0 && err == EAGAIN)
		return FALSE;
	server->hub->stats.turned_away++;
	warn_of_files(server);
	if (conn < 0)
		pause_listening(server);
	return conn >= 0;
}

static gboolean
accept_one(Socket *sock)
{
	WgEndpoint peer = {0};
	int fd = sig_socket_accept(sock->fd, &peer);

	if (fd >= 0) {
		adopt(sock->server, fd, &peer);
		return TRUE;
	}
	if (errno == EMFILE || errno == ENFILE)
		return turn_one_away(sock->server, sock->fd);
	if (errno == ENOBUFS || errno == ENOMEM)
		pause_listening(sock->server);
	return errno == EINTR || errno == ECONNABORTED;
}

static void
on_listener(uv_poll_t *poll, int status, int events)
{
	for (guint i = 0; i < ACCEPT_BATCH && accept_one(poll->data); i++)
		;
}

static void
resume_listening(SigServer *server)
{
	for (guint i = 0; i < server->listeners->len; i++)
		uv_poll_start(&((Socket *)server->listeners->pdata[i])->poll, UV_READABLE,
			      on_listener);
	server->paused = FALSE;
}

static void
on_stun(uv_poll_t *poll, int status, int events)
{
	Socket *sock = poll->data;

	sig_stun_serve(sock->fd, sock->server->stun_limit, g_get_monotonic_time());
}

/* ---- sockets ---- */

static void
socket_closed(uv_handle_t *handle)
{
	Socket *sock = handle->data;

	close(sock->fd);
	g_free(sock);
}

static void
socket_release(gpointer p)
{
	Socket *sock = p;

	uv_close((uv_handle_t *)&sock->poll, socket_closed);
}

static void
watch(SigServer *server, GPtrArray *list, int fd, uv_poll_cb callback)
{
	Socket *sock = g_new0(Socket, 1);

	sock->server = server;
	sock->fd = fd;
	uv_poll_init(&server->loop, &sock->poll, fd);
	sock->poll.data = sock;
	uv_poll_start(&sock->poll, UV_READABLE, callback);
	g_ptr_array_add(list, sock);
}

static gboolean
open_listeners(SigServer *server, const SigConfig *config, GError **error)
{
	for (guint i = 0; i < config->listen->len; i++) {
		const WgEndpoint *address = &g_array_index(config->listen, WgEndpoint, i);
		g_autoptr(GError) local = NULL;
		int fd = sig_socket_listen(address, &local);

		if (fd >= 0) {
			watch(server, server->listeners, fd, on_listener);
		} else if (config->listen_asked || i == 0) {
			g_propagate_error(error, g_steal_pointer(&local));
			return FALSE;
		} else {
			g_message("%s", local->message); /* a host without IPv6 */
		}
	}
	return TRUE;
}

static void
announce_stun(SigHub *hub, guint16 port)
{
	for (guint i = 0; i < hub->n_stun; i++)
		if (hub->stun[i] == port)
			return;
	if (hub->n_stun < SIG_WIRE_STUN_MAX)
		hub->stun[hub->n_stun++] = port;
}

static gboolean
open_stun(SigServer *server, const WgEndpoint *address, WgEndpoint *bound, GError **error)
{
	int fd = sig_socket_udp(address, error);

	if (fd < 0)
		return FALSE;
	sig_socket_address(fd, bound);
	announce_stun(server->hub, wg_endpoint_port(bound));
	watch(server, server->stuns, fd, on_stun);
	return TRUE;
}

/* Each with the next port beside it, so that an agent can compare its mappings. */
static gboolean
open_stuns(SigServer *server, const SigConfig *config, GError **error)
{
	for (guint i = 0; i < config->stun->len; i++) {
		g_autoptr(GError) local = NULL;
		WgEndpoint bound;

		if (open_stun(server, &g_array_index(config->stun, WgEndpoint, i), &bound,
			      &local)) {
			guint16 next = wg_endpoint_port(&bound) + 1;

			wg_endpoint_set_port(&bound, next);
			if (next != 0)
				open_stun(server, &bound, &bound, NULL);
		} else if (config->stun_asked) {
			g_propagate_error(error, g_steal_pointer(&local));
			return FALSE;
		} else {
			g_warning("%s; agents need another STUN server (or say --stun none)",
				  local->message);
		}
	}
	return TRUE;
}

/* ---- time and the end ---- */

static void
on_timer(SigTimer *timer, gpointer user_data)
{
	SigConn *conn = sig_conn_from_timer(timer);

	if (sig_conn_expire(conn))
		sig_socket_abort(lws_get_socket_fd(sig_conn_transport(conn)));
}

static void
on_second(uv_timer_t *timer)
{
	SigServer *server = timer->data;

	sig_wheel_tick(hub_now(server)->wheel, on_timer, NULL);
	if (server->paused)
		resume_listening(server);
	if (server->draining > 0 && --server->draining == 0)
		uv_stop(&server->loop);
}

static void
drain(SigServer *server)
{
	guint n = server->conns.length;
	guint within = MIN(1 + n / DRAIN_PER_S, server->hub->limits.drain);
	GList *next;

	g_ptr_array_set_size(server->listeners, 0);
	server->draining = DRAIN_GRACE;
	hub_now(server);
	for (GList *link = server->conns.head; link; link = next) {
		next = link->next;
		sig_conn_drain(link->data, within);
	}
	if (n == 0)
		uv_stop(&server->loop);
}

static void
on_signal(uv_signal_t *handle, int number)
{
	SigServer *server = handle->data;

	if (server->draining > 0) {
		uv_stop(&server->loop);
		return;
	}
	g_message("%s: ending, %u connections are told to come back", strsignal(number),
		  server->conns.length);
	sd_notify(0, "STOPPING=1");
	drain(server);
}

/* ---- life ---- */

static gboolean
start_lws(SigServer *server, guint files, GError **error)
{
	void *loops[] = {&server->loop};
	struct lws_context_creation_info info = {
		.port = CONTEXT_PORT_NO_LISTEN,
		.protocols = protocols,
		.options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
			   LWS_SERVER_OPTION_DISABLE_IPV6,
		.foreign_loops = loops,
		.timeout_secs = server->hub->limits.login_timeout,
		.max_http_header_pool2 = MIN(server->hub->limits.unauthenticated + 1, 65535),
		.user = server,
		.gid = -1,
		.uid = -1,
	};

	lws_set_log_level(LLL_ERR | LLL_WARN, log_lws);
	server->lws = lws_create_context(&info);
	if (server->lws)
		server->vhost = lws_create_vhost(server->lws, &info);
	if (server->vhost)
		return TRUE;
	g_set_error(
		error, G_IO_ERROR, G_IO_ERROR_FAILED,
		"libwebsockets does not start (its libuv plugin is the package "
		"libwebsockets-evlib-uv; %u open files allowed): G_MESSAGES_DEBUG=all says more",
		files);
	return FALSE;
}

static void
start_timers(SigServer *server)
{
	uv_timer_init(&server->loop, &server->second);
	uv_signal_init(&server->loop, &server->sigterm);
	uv_signal_init(&server->loop, &server->sigint);
	server->second.data = server->sigterm.data = server->sigint.data = server;
	uv_timer_start(&server->second, on_second, 1000, 1000);
	uv_signal_start(&server->sigterm, on_signal, SIGTERM);
	uv_signal_start(&server->sigint, on_signal, SIGINT);
}

SigServer *
sig_server_new(const SigConfig *config, GError **error)
{
	g_autoptr(SigServer) server = g_new0(SigServer, 1);
	guint files = sig_socket_raise_files(config->limits.connections + SPARE_FILES);

	signal(SIGPIPE, SIG_IGN);
	uv_loop_init(&server->loop);
	start_timers(server);
	server->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	server->listeners = g_ptr_array_new_with_free_func(socket_release);
	server->stuns = g_ptr_array_new_with_free_func(socket_release);
	server->hub = sig_hub_new(&config->limits, (const char *const *)config->names, wake);
	server->stun_limit = sig_rate_limit_new(STUN_BUCKETS, config->limits.stun_rate,
						config->limits.stun_burst);
	if (files < config->limits.connections + SPARE_FILES) {
		g_message("room for %u connections only: raise LimitNOFILE (ulimit -n) to %u for "
			  "%u",
			  files - SPARE_FILES, config->limits.connections + SPARE_FILES,
			  config->limits.connections);
		server->hub->limits.connections = files - SPARE_FILES;
	}
	if (!open_listeners(server, config, error) || !open_stuns(server, config, error) ||
	    !start_lws(server, files, error))
		return NULL;
	return g_steal_pointer(&server);
}

static void
log_serving(SigServer *server)
{
	g_autoptr(GString) line = g_string_new("serving ");
	gboolean public = FALSE;

	for (guint i = 0; i < server->listeners->len; i++) {
		Socket *sock = server->listeners->pdata[i];
		char text[WG_ENDPOINT_STRLEN];
		WgEndpoint address;

		sig_socket_address(sock->fd, &address);
		public |= sig_socket_is_public(&address);
		g_string_append_printf(line, "%sws://%s", i ? ", " : "",
				       wg_endpoint_format(&address, text));
	}
	g_string_append(line, server->hub->n_stun ? "; STUN on UDP" : "; no STUN");
	for (guint i = 0; i < server->hub->n_stun; i++)
		g_string_append_printf(line, "%s%u", i ? ", " : " ", server->hub->stun[i]);
	if (public)
		g_warning("serving without TLS on a public address: who is on the path sees "
			  "who talks to whom and may drop it; put it behind TLS");
	g_message("%s", line->str);
}

/* The loop has ended and its handlers with it: a second SIGTERM must not spoil the exit status. */
static void
block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

void
sig_server_run(SigServer *server)
{
	const SigStats *stats = &server->hub->stats;

	log_serving(server);
	sd_notify(0, "READY=1");
	uv_run(&server->loop, UV_RUN_DEFAULT);
	block_signals();
	g_message("ended: %" G_GUINT64_FORMAT " logins, %" G_GUINT64_FORMAT
		  " messages routed, %" G_GUINT64_FORMAT " not deliverable (%" G_GUINT64_FORMAT
		  " too fast), %" G_GUINT64_FORMAT " connections refused, %" G_GUINT64_FORMAT
		  " turned away",
		  stats->logins, stats->routed, stats->unavailable, stats->rate_limited,
		  stats->refused, stats->turned_away);
}

static void
close_handle(uv_handle_t *handle)
{
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

void
sig_server_free(SigServer *server)
{
	close_handle((uv_handle_t *)&server->second);
	close_handle((uv_handle_t *)&server->sigterm);
	close_handle((uv_handle_t *)&server->sigint);
	g_ptr_array_unref(server->listeners);
	g_ptr_array_unref(server->stuns);
	/* lws closes its handles through the loop, then has to be asked once more */
	if (server->lws) {
		lws_context_destroy(server->lws);
		for (guint i = 0; i < 100 && uv_run(&server->loop, UV_RUN_NOWAIT); i++)
			;
		lws_context_destroy(server->lws);
	}
	for (guint i = 0; i < 100 && uv_run(&server->loop, UV_RUN_NOWAIT); i++)
		;
	uv_loop_close(&server->loop);
	sig_rate_limit_free(server->stun_limit);
	sig_hub_free(server->hub);
	if (server->spare_fd >= 0)
		close(server->spare_fd);
	g_free(server);
}
