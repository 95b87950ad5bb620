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

#include <gio/gio.h>
#include <libwebsockets.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>
#include <uv.h>

#include "signaling/sig-conn.h"
#include "signaling/sig-ports.h"
#include "signaling/sig-socket.h"

#define SPARE_FILES 128 /* besides connections: sockets, pipes, epoll, the journal */
#define DRAIN_GRACE 3	/* s for the last frames to leave */
#define DRAIN_PER_S 500 /* clients that may come back in a second */
#define RX_PIECE 1024	/* lws keeps a buffer of this size for each connection */

G_STATIC_ASSERT(SIG_OUT_ROOM >= LWS_PRE);

struct SigServer {
	uv_loop_t loop;
	uv_timer_t second;
	uv_signal_t sigterm, sigint;
	struct lws_context *lws;
	struct lws_vhost *vhost;
	SigPorts *ports;
	SigHub *hub;
	GQueue conns;	/* links are inside the SigConn */
	guint draining; /* ticks left, 0: not draining */
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
	server->hub->clock = g_get_real_time() / G_USEC_PER_SEC;
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
	case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
		/* not h2c: HTTP/2 is a lot of code to offer to strangers */
		return in && g_ascii_strcasecmp(in, "websocket") == 0 ? 0 : -1;
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
			      out->kind == SIG_OUT_MESSAGE ? LWS_WRITE_BINARY : LWS_WRITE_TEXT) <
		    (int)out->len)
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
on_accepted(int fd, const WgEndpoint *peer, gpointer user_data)
{
	SigServer *server = user_data;
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

/* ---- time and the end ---- */

static void
on_timer(SigTimer *timer, gpointer user_data)
{
	SigConn *conn = sig_conn_from_timer(timer);

	if (sig_conn_expire(conn))
		sig_socket_abort(lws_get_socket_fd(sig_conn_transport(conn)));
}

static void
on_turn_timer(SigTimer *timer, gpointer user_data)
{
	sig_conn_renew_turn(sig_conn_from_turn_timer(timer));
}

static void
on_second(uv_timer_t *timer)
{
	SigServer *server = timer->data;

	sig_wheel_tick(hub_now(server)->wheel, on_timer, NULL);
	sig_wheel_tick(server->hub->turn_wheel, on_turn_timer, NULL);
	sig_ports_tick(server->ports);
	if (server->draining > 0 && --server->draining == 0)
		uv_stop(&server->loop);
}

static void
drain(SigServer *server)
{
	guint n = server->conns.length;
	guint within = MIN(1 + n / DRAIN_PER_S, server->hub->limits.drain);
	GList *next;

	sig_ports_stop_listening(server->ports);
	server->draining = DRAIN_GRACE;
	hub_now(server);
	for (GList *link = server->conns.head; link; link = next) {
		next = link->next;
		if (!sig_conn_drain(link->data, within))
			sig_socket_abort(lws_get_socket_fd(sig_conn_transport(link->data)));
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
		.options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS,
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

/* lws sizes its tables by the limit of open files: raise it first. */
static guint
make_room(SigServer *server)
{
	guint wanted = server->hub->limits.connections + SPARE_FILES;
	guint files = sig_socket_raise_files(wanted);

	if (files < wanted) {
		guint room = files > 2 * SPARE_FILES ? files - SPARE_FILES : files / 2;

		g_message("room for %u connections only: raise LimitNOFILE (ulimit -n) to %u, or "
			  "lower [limits] connections",
			  room, wanted);
		server->hub->limits.connections = room;
	}
	return files;
}

static gboolean
open_ports(SigServer *server, const SigConfig *config, GError **error)
{
	const guint16 *stun;

	server->ports = sig_ports_new(&server->loop, config, on_accepted, server, error);
	if (!server->ports)
		return FALSE;
	stun = sig_ports_stun(server->ports, &server->hub->n_stun);
	memcpy(server->hub->stun, stun, sizeof server->hub->stun);
	return TRUE;
}

SigServer *
sig_server_new(const SigConfig *config, const SigTurn *turn, GError **error)
{
	g_autoptr(SigServer) server = g_new0(SigServer, 1);
	guint files;

	signal(SIGPIPE, SIG_IGN);
	uv_loop_init(&server->loop);
	start_timers(server);
	server->hub = sig_hub_new(&config->limits, (const char *const *)config->names, wake);
	server->hub->turn = turn;
	files = make_room(server);
	if (!open_ports(server, config, error) || !start_lws(server, files, error))
		return NULL;
	return g_steal_pointer(&server);
}

static void
log_serving(SigServer *server)
{
	gboolean public;
	g_autofree char *text = sig_ports_describe(server->ports, &public);

	if (public)
		g_warning("serving without TLS on a public address: who is on the path sees "
			  "who talks to whom and may drop it; put it behind TLS");
	g_message("serving %s", text);
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
		  " too fast, %" G_GUINT64_FORMAT " to a full queue), %" G_GUINT64_FORMAT
		  " connections refused, %" G_GUINT64_FORMAT " turned away",
		  stats->logins, stats->routed, stats->unavailable, stats->rate_limited,
		  stats->queue_full, stats->refused,
		  stats->turned_away + sig_ports_turned_away(server->ports));
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
	g_clear_pointer(&server->ports, sig_ports_free);
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
	sig_hub_free(server->hub);
	g_free(server);
}
