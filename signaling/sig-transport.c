/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation
 *
 * libwebsockets runs on our libuv loop as a guest. We accept connections ourselves and hand them to
 * lws (lws_adopt_…), because only so are bind errors ours to word, a listening socket may come from
 * elsewhere, and the bounds of sig-gate are checked before lws allocates anything. A SigConn
 * belongs to a struct lws through its opaque user data, from the adoption to
 * LWS_CALLBACK_WSI_DESTROY or CLOSED, whichever comes first.
 *
 * Writing: a SigConn that has frames is put into a list (wake()), and after each round of events,
 * before the loop waits again, all in that list are written to, by one lws_write() each: so much
 * (sig-gather) that a full queue does not hold up the others. Only where the socket takes no more,
 * or that was not all, lws is asked for LWS_CALLBACK_SERVER_WRITEABLE, where it goes on: asking
 * costs four epoll_ctl(), for libuv takes the socket out and puts it in again each time an event is
 * added or removed. lws documents writing outside of that callback as wrong, for it may come amid
 * the rest of what was written before. In lws 4.1.6 that rest is in one place (output.c,
 * buflist_out): while there is any, lws_partial_buffered() says so and we wait; lws itself waits
 * for WRITEABLE then. Besides us it writes pongs and the answer to a close frame, whole frames like
 * all of ours; we use no extension, whose leftovers would be another place. TLS that has to be
 * tried again is such a rest too. lws_send_pipe_choked() would only ask the kernel what the write
 * tells anyway.
 *
 * Closing: the close frame leaves last, after the queue, and the client's answer ends the
 * connection. The frame is ours because lws_close_reason() does nothing here: Debian's lws 4.1.6 is
 * built with _DEBUG, where its libuv service closes each socket a second time as a self-test
 * (service.c, "uv repeat test"), before the frame is written. A connection that does not get that
 * far is aborted by its timer (sig-wheel), and one where a write fails at once: the socket is shut
 * down, and lws notices by itself. We never free a struct lws. When lws closes an open WebSocket,
 * it says CLOSED before it lets go of the socket, so nothing is ever written to another's. From a
 * client's close frame on the writer is SIG_WRITER_ENDED: what follows is lws's.
 *
 * TLS: lws makes the SSL_CTX, without a certificate; ours is put into it, and at a reload replaced
 * there. An SSL that is established keeps what it was shown, so nobody is disturbed.
 *
 * lws's own timers live in one sorted list, which costs O(connections) to insert into: it is used
 * only by lws itself for the HTTP upgrade, bounded by the gate. So lws must not ping: its timer for
 * that would be in the list for each connection, and be moved by each sign of life.
 */
#include "signaling/sig-transport.h"

#include <gio/gio.h>
#include <libwebsockets.h>
#include <string.h>
#include <unistd.h>

#include "signaling/sig-gather.h"
#include "signaling/sig-socket.h"

#define RX_PIECE 1024  /* lws keeps a buffer of this size for each connection */
#define PAGES_MAX 16   /* connections of the operator's at once */
#define PAGE_TIMEOUT 5 /* s */

struct SigTransport {
	uv_loop_t *loop;
	SigHub *hub;
	SigTransportFuncs funcs;
	gpointer user_data;
	const SigTls *first_tls; /* only while the vhost is made */
	SSL_CTX *ssl_ctx;	 /* the vhost's; NULL: plain */
	GError *tls_error;
	struct lws_context *lws;
	struct lws_vhost *agents, *pages;
	GQueue conns, woken; /* links are inside the SigConn */
	uv_prepare_t before_wait;
	GByteArray *batch; /* frames of one connection, behind LWS_PRE bytes */
	guint n_pages;
};

/* What lws allocates for each connection of the pages' vhost, zeroed. */
typedef struct {
	char *text; /* with LWS_PRE bytes before it */
	gsize len;
} Page;

static int on_http(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
		   size_t len);
static int on_ws(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
		 size_t len);
static int on_page(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
		   size_t len);

/* The first is what a connection has before its upgrade, and what plain HTTP gets. */
static const struct lws_protocols agent_protocols[] = {
	{.name = "http", .callback = on_http, .rx_buffer_size = RX_PIECE},
	{.name = SIG_WIRE_SUBPROTOCOL,
	 .callback = on_ws,
	 .rx_buffer_size = RX_PIECE,
	 .tx_packet_size = SIG_GATHER_MAX},
	{.name = NULL},
};

static const struct lws_protocols page_protocols[] = {
	{.name = "http",
	 .callback = on_page,
	 .per_session_data_size = sizeof(Page),
	 .rx_buffer_size = RX_PIECE},
	{.name = NULL},
};

static SigTransport *
transport_of(struct lws *wsi)
{
	return lws_context_user(lws_get_context(wsi));
}

static void
tick(SigTransport *transport)
{
	transport->funcs.tick(transport->user_data);
}

/* ---- agents ---- */

static void
wake(gpointer wsi)
{
	SigConn *conn = lws_get_opaque_user_data(wsi);

	g_queue_push_tail_link(&transport_of(wsi)->woken, sig_conn_woken_link(conn));
}

static void
set_writer(SigTransport *transport, SigConn *conn, SigWriter writer)
{
	if (sig_conn_set_writer(conn, writer) == SIG_WRITER_WOKEN)
		g_queue_unlink(&transport->woken, sig_conn_woken_link(conn));
}

static void
forget(struct lws *wsi)
{
	SigConn *conn = lws_get_opaque_user_data(wsi);
	SigTransport *transport = transport_of(wsi);

	if (!conn)
		return;
	lws_set_opaque_user_data(wsi, NULL);
	tick(transport);
	set_writer(transport, conn, SIG_WRITER_ENDED);
	g_queue_unlink(&transport->conns, sig_conn_link(conn));
	sig_conn_free(conn);
	if (transport->conns.length == 0)
		transport->funcs.empty(transport->user_data);
}

static int
use_tls(SigTransport *transport, SSL_CTX *ctx)
{
	if (!transport->first_tls)
		return 0;
	transport->ssl_ctx = ctx;
	sig_tls_harden(ctx);
	return sig_tls_use(transport->first_tls, ctx, &transport->tls_error) ? 0 : 1;
}

static int
on_http(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
	switch ((int)reason) {
	case LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS:
		return use_tls(transport_of(wsi), user);
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
	case LWS_CALLBACK_RAW_ADOPT:
	case LWS_CALLBACK_RAW_RX:
		return -1; /* what lws makes of CONNECT */
	case LWS_CALLBACK_WSI_DESTROY:
		forget(wsi);
		return 0;
	default:
		return 0;
	}
}

/* FALSE when the connection is broken. */
static gboolean
write_out(SigTransport *transport, struct lws *wsi, SigConn *conn)
{
	GByteArray *batch = transport->batch;
	gboolean all = FALSE;
	int len;

	set_writer(transport, conn, SIG_WRITER_IDLE);
	if (!lws_partial_buffered(wsi)) {
		g_byte_array_set_size(batch, LWS_PRE);
		all = sig_gather(conn, batch);
		len = batch->len - LWS_PRE;
		if (len > 0 && lws_write(wsi, batch->data + LWS_PRE, len, LWS_WRITE_RAW) < len)
			return FALSE;
	}
	if (!all || lws_partial_buffered(wsi)) {
		set_writer(transport, conn, SIG_WRITER_BLOCKED);
		lws_callback_on_writable(wsi);
	}
	return TRUE;
}

/* Nothing that is written wakes anybody, so this ends. */
static void
write_woken(uv_prepare_t *before_wait)
{
	SigTransport *transport = before_wait->data;

	if (transport->woken.length > 0)
		tick(transport);
	while (transport->woken.length > 0) {
		SigConn *conn = transport->woken.head->data;

		if (write_out(transport, sig_conn_transport(conn), conn))
			continue;
		set_writer(transport, conn, SIG_WRITER_ENDED);
		sig_transport_kill(conn);
	}
}

static int
on_writable(struct lws *wsi, SigConn *conn)
{
	/* lws answers pings by itself and tells nobody, but this follows each answer (ops-ws.c,
	 * rops_handle_POLLOUT_ws: "leave POLLOUT active"). Else it comes once, for the wait. */
	if (sig_conn_writer(conn) == SIG_WRITER_ENDED)
		return -1;
	if (sig_conn_writer(conn) != SIG_WRITER_BLOCKED)
		sig_conn_pinged(conn);
	return write_out(transport_of(wsi), wsi, conn) ? 0 : -1;
}

/* RFC 6455 §4.2.1; lws upgrades whatever the method, the HTTP and the version are. */
static gboolean
is_rfc6455(struct lws *wsi)
{
	char text[16];

	return lws_hdr_total_length(wsi, WSI_TOKEN_GET_URI) > 0 &&
	       lws_hdr_copy(wsi, text, sizeof text, WSI_TOKEN_HTTP) > 0 &&
	       strcmp(text, "HTTP/1.1") == 0 &&
	       lws_hdr_copy(wsi, text, sizeof text, WSI_TOKEN_VERSION) > 0 &&
	       strcmp(text, "13") == 0;
}

/* RFC 6455 §5.5.1: nothing, or a code and a text. Of the code lws takes care. */
static gboolean
close_is_right(const char *payload, gsize len)
{
	return len == 0 || (len >= 2 && g_utf8_validate_len(payload + 2, len - 2, NULL));
}

static int
on_ws(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
	SigConn *conn = lws_get_opaque_user_data(wsi);

	if (!conn)
		return 0;
	tick(transport_of(wsi));
	switch ((int)reason) {
	case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
		return is_rfc6455(wsi) ? 0 : -1;
	case LWS_CALLBACK_ESTABLISHED:
		sig_conn_open(conn);
		return 0;
	case LWS_CALLBACK_RECEIVE:
		sig_conn_receive(conn, in, len, lws_remaining_packet_payload(wsi),
				 lws_is_final_fragment(wsi), lws_frame_is_binary(wsi));
		return 0;
	case LWS_CALLBACK_RECEIVE_PONG:
		sig_conn_ponged(conn);
		return 0;
	case LWS_CALLBACK_SERVER_WRITEABLE:
		return on_writable(wsi, conn);
	case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
		/* ours was first: this is the answer, and the end; else lws answers with the same
		 */
		set_writer(transport_of(wsi), conn, SIG_WRITER_ENDED);
		return sig_conn_is_closing(conn) || !close_is_right(in, len) ? -1 : 0;
	case LWS_CALLBACK_CLOSED:
		forget(wsi);
		return 0;
	default:
		return 0;
	}
}

void
sig_transport_adopt(SigTransport *transport, int fd, const WgEndpoint *peer)
{
	SigHub *hub = transport->hub;
	struct lws *wsi;
	WgEndpoint own;
	SigConn *conn;

	tick(transport);
	if (!sig_hub_admit(hub, transport->conns.length, peer)) {
		close(fd);
		return;
	}
	wsi = lws_adopt_socket_vhost(transport->agents, fd); /* closes fd when it fails */
	if (!wsi) {
		sig_gate_leave(hub->gate, peer);
		return;
	}
	conn = sig_conn_new(hub, peer, wsi);
	if (sig_socket_address(fd, &own) && wg_endpoint_same_address(&own, peer))
		sig_conn_set_from_here(conn);
	g_queue_push_tail_link(&transport->conns, sig_conn_link(conn));
	lws_set_opaque_user_data(wsi, conn);
}

void
sig_transport_kill(SigConn *conn)
{
	sig_socket_abort(lws_get_socket_fd(sig_conn_transport(conn)));
}

guint
sig_transport_count(const SigTransport *transport)
{
	return transport->conns.length;
}

void
sig_transport_foreach(SigTransport *transport, void (*func)(SigConn *conn, gpointer user_data),
		      gpointer user_data)
{
	GList *next;

	tick(transport);
	for (GList *link = transport->conns.head; link; link = next) {
		next = link->next;
		func(link->data, user_data);
	}
}

static void
drain_one(SigConn *conn, gpointer within_s)
{
	sig_conn_drain(conn, GPOINTER_TO_UINT(within_s));
}

void
sig_transport_drain(SigTransport *transport, guint within_s)
{
	sig_transport_foreach(transport, drain_one, GUINT_TO_POINTER(within_s));
}

/* ---- the operator's pages ---- */

void
sig_transport_adopt_page(SigTransport *transport, int fd)
{
	if (transport->n_pages >= PAGES_MAX)
		close(fd);
	else
		lws_adopt_socket_vhost(transport->pages, fd);
}

guint
sig_transport_count_pages(const SigTransport *transport)
{
	return transport->n_pages;
}

static int
start_page(struct lws *wsi, Page *page, const char *path)
{
	guint8 head[LWS_PRE + 512], *start = head + LWS_PRE, *at = start, *end = head + sizeof head;
	SigTransport *transport = transport_of(wsi);
	g_autofree char *text = NULL;
	gboolean ok = TRUE;

	tick(transport);
	text = transport->funcs.page(path, &ok, transport->user_data);
	if (!text) {
		lws_return_http_status(wsi, HTTP_STATUS_NOT_FOUND, NULL);
		return -1;
	}
	g_free(page->text);
	page->len = strlen(text);
	page->text = g_malloc(LWS_PRE + page->len);
	memcpy(page->text + LWS_PRE, text, page->len);
	if (lws_add_http_common_headers(wsi, ok ? HTTP_STATUS_OK : HTTP_STATUS_SERVICE_UNAVAILABLE,
					"text/plain; version=0.0.4; charset=utf-8", page->len, &at,
					end) ||
	    lws_finalize_write_http_header(wsi, start, &at, end))
		return -1;
	lws_callback_on_writable(wsi);
	return 0;
}

static int
write_page(struct lws *wsi, Page *page)
{
	if (!page->text)
		return 0;
	if (lws_write(wsi, (guint8 *)page->text + LWS_PRE, page->len, LWS_WRITE_HTTP_FINAL) <
	    (int)page->len)
		return -1;
	g_clear_pointer(&page->text, g_free);
	return lws_http_transaction_completed(wsi) ? -1 : 0;
}

static int
on_page(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
	switch ((int)reason) {
	case LWS_CALLBACK_HTTP:
		return lws_hdr_total_length(wsi, WSI_TOKEN_GET_URI) > 0 ? start_page(wsi, user, in)
									: -1;
	case LWS_CALLBACK_HTTP_WRITEABLE:
		return write_page(wsi, user);
	case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
	case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
		return -1;
	case LWS_CALLBACK_WSI_CREATE:
		transport_of(wsi)->n_pages++;
		return 0;
	case LWS_CALLBACK_WSI_DESTROY:
		transport_of(wsi)->n_pages--;
		if (user)
			g_clear_pointer(&((Page *)user)->text, g_free);
		return 0;
	default:
		return 0;
	}
}

/* ---- life ---- */

/* What lws has to say is about clients' mistakes or its own insides: debug. */
static void
log_lws(int level, const char *line)
{
	g_debug("libwebsockets: %.*s", (int)strcspn(line, "\n"), line);
}

static gboolean
make_vhosts(SigTransport *transport, struct lws_context_creation_info *info)
{
	/* lws tells vhosts apart by port, and these have none: two kinds of "none" serve */
	info->vhost_name = "pages";
	info->port = CONTEXT_PORT_NO_LISTEN;
	info->protocols = page_protocols;
	info->keepalive_timeout = PAGE_TIMEOUT;
	info->timeout_secs = PAGE_TIMEOUT;
	transport->pages = lws_create_vhost(transport->lws, info);
	info->vhost_name = "agents";
	info->port = CONTEXT_PORT_NO_LISTEN_SERVER; /* also: make an SSL_CTX */
	info->protocols = agent_protocols;
	info->timeout_secs = transport->hub->limits.login_timeout;
	if (transport->first_tls)
		info->options |= LWS_SERVER_OPTION_CREATE_VHOST_SSL_CTX;
	transport->agents = lws_create_vhost(transport->lws, info);
	return transport->pages && transport->agents;
}

/* No pings of lws's own, by default every 300 s; ours are sig-conn's. */
static const lws_retry_bo_t no_pings;

static gboolean
start(SigTransport *transport)
{
	void *loops[] = {transport->loop};
	struct lws_context_creation_info info = {
		.port = CONTEXT_PORT_NO_LISTEN,
		.options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
			   (transport->first_tls ? LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT : 0),
		.foreign_loops = loops,
		.alpn = "http/1.1", /* not h2 */
		.retry_and_idle_policy = &no_pings,
		.max_http_header_pool2 =
			MIN(transport->hub->limits.unauthenticated + PAGES_MAX, 65535),
		.user = transport,
		.gid = -1,
		.uid = -1,
	};

	lws_set_log_level(LLL_ERR | LLL_WARN, log_lws);
	transport->lws = lws_create_context(&info);
	return transport->lws && make_vhosts(transport, &info);
}

SigTransport *
sig_transport_new(uv_loop_t *loop, SigHub *hub, const SigTls *tls, const SigTransportFuncs *funcs,
		  gpointer user_data, GError **error)
{
	g_autoptr(SigTransport) transport = g_new0(SigTransport, 1);

	transport->loop = loop;
	transport->hub = hub;
	transport->funcs = *funcs;
	transport->user_data = user_data;
	transport->first_tls = tls;
	transport->batch = g_byte_array_sized_new(LWS_PRE + SIG_GATHER_MAX);
	uv_prepare_init(loop, &transport->before_wait);
	transport->before_wait.data = transport;
	uv_prepare_start(&transport->before_wait, write_woken);
	hub->wake = wake;
	if (start(transport) && (!tls || transport->ssl_ctx)) {
		transport->first_tls = NULL;
		return g_steal_pointer(&transport);
	}
	if (transport->tls_error)
		g_propagate_error(error, g_steal_pointer(&transport->tls_error));
	else
		g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_FAILED,
				    "libwebsockets does not start (its libuv plugin is the package "
				    "libwebsockets-evlib-uv): G_MESSAGES_DEBUG=all says more");
	return NULL;
}

gboolean
sig_transport_set_tls(SigTransport *transport, const SigTls *tls, GError **error)
{
	return sig_tls_use(tls, transport->ssl_ctx, error);
}

static void
run_out(uv_loop_t *loop)
{
	for (guint i = 0; i < 100 && uv_run(loop, UV_RUN_NOWAIT); i++)
		;
}

void
sig_transport_free(SigTransport *transport)
{
	uv_close((uv_handle_t *)&transport->before_wait, NULL);
	/* lws closes its handles through the loop, then has to be asked once more */
	if (transport->lws)
		lws_context_destroy(transport->lws);
	run_out(transport->loop);
	if (transport->lws)
		lws_context_destroy(transport->lws);
	g_byte_array_unref(transport->batch);
	g_clear_error(&transport->tls_error);
	g_free(transport);
}
