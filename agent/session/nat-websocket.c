/* SPDX-License-Identifier: MIT */
#define G_LOG_DOMAIN "signal"
#include "agent/session/nat-websocket.h"

#include <errno.h>
#include <libsoup/soup.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/base/nat-log.h"
#include "agent/net/nat-address-list.h"
#include "agent/net/nat-bounded-stream.h"
#include "agent/net/nat-certificate.h"

/*
 * A dead connection shows in three ways, whichever comes first: TCP gives up on unacknowledged data
 * (TCP_USER_TIMEOUT), the other side says so, or nothing was heard for HEARD_S although libsoup
 * pinged every PING_S (3.2 sends pings but never asks where the pong is).
 *
 * Life: the owner holds one reference, an unfinished connect and a running signal handler others.
 * `gone` is set by nat_websocket_free() or before the `closed` call: after it nobody is called.
 * libsoup goes on using its connection after a signal, and nothing else may hold it then: while
 * `busy` it is let go from an idle source.
 */
#define OPEN_TIMEOUT_S 10
#define PING_S 14
#define HEARD_S 28
#define WATCH_S 4
#define PROBE_PING_S 1
#define PROBE_S 4
#define TCP_TIMEOUT_MS 14000
#define PONG_SIZE 256
#define UNHEARD_MAX (1024 * 1024)

struct NatWebsocket {
	NatWebsocketFuncs funcs;
	gpointer user_data;
	char *name; /* "host:port", escaped, for reasons */
	char *protocol;
	gsize max;
	guint32 fwmark;
	SoupSession *session;
	SoupMessage *msg;
	GCancellable *cancellable;
	SoupWebsocketConnection *conn;
	NatBoundedStream *stream; /* below conn, and below TLS */
	guint timer;		  /* open timeout, then the watch */
	guint probe;
	gint64 probe_at;
	gint64 heard;
	gsize unheard;		      /* bytes sent since */
	GTlsCertificateFlags refused; /* what is wrong with the server's certificate */
	gboolean tcp_connected;
	gboolean gone;
	guint busy; /* signal handlers running */
};

static void
websocket_clear(gpointer data)
{
	NatWebsocket *ws = data;

	g_clear_object(&ws->msg);
	g_clear_object(&ws->session);
	g_clear_object(&ws->cancellable);
	g_clear_object(&ws->stream);
	g_free(ws->name);
	g_free(ws->protocol);
}

static void
unref(NatWebsocket *ws)
{
	g_rc_box_release_full(ws, websocket_clear);
}

static void
enter(NatWebsocket *ws)
{
	g_rc_box_acquire(ws);
	ws->busy++;
}

static void
leave(NatWebsocket *ws)
{
	ws->busy--;
	unref(ws);
}

/* Ends all that could call back. */
static void
shut(NatWebsocket *ws)
{
	ws->gone = TRUE;
	g_clear_handle_id(&ws->timer, g_source_remove);
	g_clear_handle_id(&ws->probe, g_source_remove);
	g_cancellable_cancel(ws->cancellable);
	if (ws->msg)
		g_signal_handlers_disconnect_by_data(ws->msg, ws);
	if (!ws->conn)
		return;
	g_signal_handlers_disconnect_by_data(ws->conn, ws);
	/* libsoup closes what is dropped. */
	if (ws->busy)
		g_idle_add_once(g_object_unref, g_steal_pointer(&ws->conn));
	else
		g_clear_object(&ws->conn);
}

void
nat_websocket_free(NatWebsocket *ws)
{
	if (!ws)
		return;
	if (!ws->gone)
		shut(ws);
	unref(ws);
}

static void
finish(NatWebsocket *ws, guint code, const char *reason)
{
	if (ws->gone)
		return;
	shut(ws);
	ws->funcs.closed(code, reason, ws->user_data);
}

static void
set_int_option(NatWebsocket *ws, GSocket *socket, int level, int option, const char *name,
	       guint value)
{
	const int fd = g_socket_get_fd(socket);

	if (setsockopt(fd, level, option, &value, sizeof value) < 0)
		g_warning("%s on the connection to %s: %s", name, ws->name, g_strerror(errno));
}

/* Each address that is tried has a socket of its own; this comes before its connect(2). */
static void
on_network_event(SoupMessage *msg, GSocketClientEvent event, GIOStream *stream, gpointer user_data)
{
	NatWebsocket *ws = user_data;
	GSocket *socket;

	if (event == G_SOCKET_CLIENT_CONNECTED)
		ws->tcp_connected = TRUE;
	if (event == G_SOCKET_CLIENT_PROXY_NEGOTIATED && NAT_IS_BOUNDED_STREAM(stream))
		g_set_object(&ws->stream, NAT_BOUNDED_STREAM(stream));
	if (event != G_SOCKET_CLIENT_CONNECTING || !G_IS_SOCKET_CONNECTION(stream))
		return;
	socket = g_socket_connection_get_socket(G_SOCKET_CONNECTION(stream));
	if (ws->fwmark)
		set_int_option(ws, socket, SOL_SOCKET, SO_MARK, "SO_MARK (needs CAP_NET_ADMIN)",
			       ws->fwmark);
	set_int_option(ws, socket, IPPROTO_TCP, TCP_NODELAY, "TCP_NODELAY", 1);
	set_int_option(ws, socket, IPPROTO_TCP, TCP_USER_TIMEOUT, "TCP_USER_TIMEOUT",
		       TCP_TIMEOUT_MS);
}

/* Only says why: what is wrong stays refused. */
static gboolean
on_bad_certificate(SoupMessage *msg, GTlsCertificate *cert, GTlsCertificateFlags flags,
		   gpointer user_data)
{
	NatWebsocket *ws = user_data;

	ws->refused = flags;
	return FALSE;
}

static char *
describe_io_error(NatWebsocket *ws, const GError *error)
{
	g_autofree char *text = nat_log_escape(error->message, -1);

	switch (error->code) {
	case G_IO_ERROR_CONNECTION_REFUSED:
		return g_strdup_printf("%s refuses the connection: is nat-signald running there, "
				       "is the port right?",
				       ws->name);
	case G_IO_ERROR_HOST_UNREACHABLE:
	case G_IO_ERROR_NETWORK_UNREACHABLE:
		return g_strdup_printf("no route to %s: check the network and the address",
				       ws->name);
	case G_IO_ERROR_TIMED_OUT:
		return g_strdup_printf("no answer from %s: check the address and firewalls on the "
				       "way",
				       ws->name);
	case G_IO_ERROR_PERMISSION_DENIED:
		return g_strdup_printf("this host's firewall forbids connections to %s", ws->name);
	default:
		return g_strdup_printf("connection to %s failed: %s", ws->name, text);
	}
}

static char *
describe_open_error(NatWebsocket *ws, const GError *error)
{
	g_autofree char *text = nat_log_escape(error->message, -1);
	guint status = soup_message_get_status(ws->msg);

	if (ws->refused)
		return g_strdup_printf("TLS with %s failed: %s", ws->name,
				       nat_certificate_problem(ws->refused));
	if (error->domain == G_TLS_ERROR)
		return g_strdup_printf("TLS with %s failed: %s: check the server's certificate and "
				       "the host in the URL",
				       ws->name, text);
	if (status >= 400 || (status >= 200 && status < 400))
		return g_strdup_printf("%s answers HTTP %u, it is not a signaling server: check "
				       "host, port and path of the URL",
				       ws->name, status);
	if (error->domain == SOUP_WEBSOCKET_ERROR || error->domain == SOUP_SESSION_ERROR ||
	    ws->tcp_connected)
		return g_strdup_printf("%s takes the connection but does not speak WebSocket (%s): "
				       "check host, port and scheme of the URL",
				       ws->name, text);
	if (error->domain == G_IO_ERROR)
		return describe_io_error(ws, error);
	return g_strdup_printf("connection to %s failed: %s", ws->name, text);
}

static gboolean
on_open_timeout(gpointer user_data)
{
	NatWebsocket *ws = user_data;
	g_autofree char *reason =
		ws->tcp_connected
			? g_strdup_printf("%s takes the connection but says nothing: check host, "
					  "port and scheme of the URL",
					  ws->name)
			: g_strdup_printf("no answer from %s within %d s: check the address and "
					  "firewalls on the way",
					  ws->name, OPEN_TIMEOUT_S);

	ws->timer = 0;
	finish(ws, 0, reason);
	return G_SOURCE_REMOVE;
}

static gboolean
on_watch(gpointer user_data)
{
	NatWebsocket *ws = user_data;
	g_autofree char *reason = NULL;

	if (g_get_monotonic_time() - ws->heard < HEARD_S * G_USEC_PER_SEC)
		return G_SOURCE_CONTINUE;
	reason = g_strdup_printf("%s has not been heard of for %d s", ws->name, HEARD_S);
	ws->timer = 0;
	finish(ws, 0, reason);
	return G_SOURCE_REMOVE;
}

static gboolean
on_probe_end(gpointer user_data)
{
	NatWebsocket *ws = user_data;
	g_autofree char *reason = NULL;

	ws->probe = 0;
	if (ws->heard > ws->probe_at) {
		soup_websocket_connection_set_keepalive_interval(ws->conn, PING_S);
		return G_SOURCE_REMOVE;
	}
	reason = g_strdup_printf("%s has not been heard of since the network changed", ws->name);
	finish(ws, 0, reason);
	return G_SOURCE_REMOVE;
}

void
nat_websocket_probe(NatWebsocket *ws)
{
	if (!nat_websocket_is_open(ws) || ws->probe)
		return;
	ws->probe_at = g_get_monotonic_time();
	soup_websocket_connection_set_keepalive_interval(ws->conn, PROBE_PING_S);
	ws->probe = g_timeout_add_seconds(PROBE_S, on_probe_end, ws);
}

static void
heard(NatWebsocket *ws)
{
	ws->heard = g_get_monotonic_time();
	ws->unheard = 0;
}

static void
on_message(SoupWebsocketConnection *conn, int type, GBytes *bytes, gpointer user_data)
{
	NatWebsocket *ws = user_data;
	gsize len;
	const guint8 *data = g_bytes_get_data(bytes, &len);

	heard(ws);
	if (ws->stream)
		nat_bounded_stream_allow(ws->stream, NAT_BOUNDED_STREAM_MAX);
	enter(ws);
	if (type == SOUP_WEBSOCKET_DATA_TEXT)
		ws->funcs.text((const char *)data, len, ws->user_data);
	else
		ws->funcs.binary(data, len, ws->user_data);
	leave(ws);
}

static void
on_pong(SoupWebsocketConnection *conn, GBytes *bytes, gpointer user_data)
{
	NatWebsocket *ws = user_data;

	/* A pong that was asked for and what TLS adds to it; a flood of them in the midst of a
	 * message allows nothing. */
	if (ws->stream && g_get_monotonic_time() - ws->heard > G_USEC_PER_SEC / 2)
		nat_bounded_stream_allow(ws->stream, PONG_SIZE);
	heard(ws);
}

static void
ended(NatWebsocket *ws, const char *broken)
{
	guint code = soup_websocket_connection_get_close_code(ws->conn);
	const char *said = soup_websocket_connection_get_close_data(ws->conn);
	g_autofree char *text = nat_log_escape(said ? said : broken ? broken : "", -1);
	g_autofree char *reason = NULL;

	if (said)
		reason = g_strdup_printf("%s closed the connection: %s", ws->name, text);
	else if (code > 0 && code != SOUP_WEBSOCKET_CLOSE_NO_STATUS)
		reason = g_strdup_printf("%s closed the connection (code %u)", ws->name, code);
	else if (broken)
		reason = g_strdup_printf("the connection to %s broke: %s", ws->name, text);
	else
		reason = g_strdup_printf("%s closed the connection", ws->name);
	enter(ws);
	finish(ws, code, reason);
	leave(ws);
}

/* The stream broke, or libsoup does not like what came: among that the close codes of RFC 6455 that
 * it does not know, such as 1012. */
static void
on_error(SoupWebsocketConnection *conn, GError *error, gpointer user_data)
{
	ended(user_data, error->message);
}

/* The other side began the closing handshake ("closing": it may keep TCP open for seconds), or
 * closed TCP ("closed"): nothing more will come. */
static void
on_closed(SoupWebsocketConnection *conn, gpointer user_data)
{
	ended(user_data, NULL);
}

static void
opened(NatWebsocket *ws, SoupWebsocketConnection *conn)
{
	const char *protocol = soup_websocket_connection_get_protocol(conn);
	g_autofree char *reason = NULL;

	ws->conn = conn;
	g_clear_handle_id(&ws->timer, g_source_remove);
	if (g_strcmp0(protocol, ws->protocol) != 0) {
		reason = g_strdup_printf("%s speaks WebSocket but not %s: it is not a signaling "
					 "server, check the URL",
					 ws->name, ws->protocol);
		finish(ws, 0, reason);
		return;
	}
	soup_websocket_connection_set_max_incoming_payload_size(conn, ws->max);
	soup_websocket_connection_set_keepalive_interval(conn, PING_S);
	g_signal_connect(conn, "message", G_CALLBACK(on_message), ws);
	g_signal_connect(conn, "pong", G_CALLBACK(on_pong), ws);
	g_signal_connect(conn, "error", G_CALLBACK(on_error), ws);
	g_signal_connect(conn, "closing", G_CALLBACK(on_closed), ws);
	g_signal_connect(conn, "closed", G_CALLBACK(on_closed), ws);
	heard(ws);
	ws->timer = g_timeout_add_seconds(WATCH_S, on_watch, ws);
}

static void
on_connected(GObject *object, GAsyncResult *result, gpointer user_data)
{
	NatWebsocket *ws = user_data;
	g_autoptr(GError) error = NULL;
	g_autofree char *reason = NULL;
	SoupWebsocketConnection *conn =
		soup_session_websocket_connect_finish(SOUP_SESSION(object), result, &error);

	if (ws->gone) {
		g_clear_object(&conn);
	} else if (conn) {
		opened(ws, conn);
	} else {
		reason = describe_open_error(ws, error);
		finish(ws, 0, reason);
	}
	/* An open connection is its own: what led to it need not be kept for weeks. */
	g_signal_handlers_disconnect_by_data(ws->msg, ws);
	g_clear_object(&ws->msg);
	g_clear_object(&ws->session);
	unref(ws);
}

NatWebsocket *
nat_websocket_new(const char *url, const char *host, guint16 port, const WgEndpoint *addrs, gsize n,
		  guint32 fwmark, const char *protocol, gsize max, const NatWebsocketFuncs *funcs,
		  gpointer user_data)
{
	NatWebsocket *ws = g_rc_box_new0(NatWebsocket);
	g_autoptr(GSocketConnectable) target = nat_address_list_new(host, port, addrs, n);
	/* never asked, but without one GSocketClient puts nothing over the connection */
	g_autoptr(GProxyResolver) direct = g_simple_proxy_resolver_new("direct://", NULL);
	g_autofree char *shown = nat_log_escape(host, -1);
	char *protocols[] = {(char *)protocol, NULL};

	ws->funcs = *funcs;
	ws->user_data = user_data;
	ws->name = g_strdup_printf(strchr(shown, ':') ? "[%s]:%u" : "%s:%u", shown, port);
	ws->protocol = g_strdup(protocol);
	ws->max = max;
	ws->fwmark = fwmark;
	ws->cancellable = g_cancellable_new();
	ws->session =
		g_object_new(SOUP_TYPE_SESSION, "remote-connectable", target, "proxy-resolver",
			     direct, "user-agent", "nat-agent/" NAT_VERSION, NULL);
	soup_session_remove_feature_by_type(ws->session, SOUP_TYPE_WEBSOCKET_EXTENSION_MANAGER);
	ws->msg = soup_message_new(SOUP_METHOD_GET, url);
	/* A redirect would lead to a host whose addresses are not the given ones. */
	soup_message_add_flags(ws->msg, SOUP_MESSAGE_NO_REDIRECT);
	g_signal_connect(ws->msg, "network-event", G_CALLBACK(on_network_event), ws);
	g_signal_connect(ws->msg, "accept-certificate", G_CALLBACK(on_bad_certificate), ws);
	ws->timer = g_timeout_add_seconds(OPEN_TIMEOUT_S, on_open_timeout, ws);
	soup_session_websocket_connect_async(ws->session, ws->msg, NULL, protocols,
					     G_PRIORITY_DEFAULT, ws->cancellable, on_connected,
					     g_rc_box_acquire(ws));
	return ws;
}

gboolean
nat_websocket_is_open(NatWebsocket *ws)
{
	return ws->conn &&
	       soup_websocket_connection_get_state(ws->conn) == SOUP_WEBSOCKET_STATE_OPEN;
}

/* libsoup queues without a bound, so what nobody was seen to take is bounded here. */
static gboolean
has_room(NatWebsocket *ws, gsize len)
{
	if (!nat_websocket_is_open(ws) || ws->unheard + len > UNHEARD_MAX)
		return FALSE;
	ws->unheard += len;
	return TRUE;
}

gboolean
nat_websocket_send_text(NatWebsocket *ws, const char *text)
{
	if (!nat_websocket_is_open(ws))
		return FALSE;
	soup_websocket_connection_send_text(ws->conn, text);
	return TRUE;
}

gboolean
nat_websocket_send_binary(NatWebsocket *ws, GBytes *data)
{
	if (!has_room(ws, g_bytes_get_size(data)))
		return FALSE;
	soup_websocket_connection_send_message(ws->conn, SOUP_WEBSOCKET_DATA_BINARY, data);
	return TRUE;
}
