/* SPDX-License-Identifier: MIT */
/*
 * Each call has a connection of its own, and tells the server so. A connection kept between two
 * polls would save one round trip, but when the tunnel was away meanwhile it may be one that only
 * we still know; libsoup would then send the request again, and a `redeem` is answered 401 the
 * second time.
 *
 * What never ends is stopped in three places: a body by its length, the whole call by its time, and
 * what libsoup reads without giving anything back (headers, interim answers, trailers, which it
 * does for as long as something is there to read, so that no timer of ours would run) by the
 * NatBoundedStream below it, which is allowed more with each piece of the body.
 *
 * Life: a Call is held by the queue of its InnHttp, and by the operation of libsoup under way.
 * `http` is NULL once it has left the queue: nobody is called any more. The InnHttp is held while
 * a callback runs, in which its owner may free it.
 */
#include "agent/innernet/inn-http.h"

#include <libsoup/soup.h>
#include <string.h>

#include "agent/base/nat-log.h"
#include "agent/net/nat-address-list.h"
#include "agent/net/nat-bounded-stream.h"

#define PIECE 16384

typedef struct {
	InnHttp *http;
	char *method, *path;
	GBytes *json; /* NULL: none */
	InnHttpFunc func;
	gpointer user_data;
	SoupSession *session;
	SoupMessage *msg;
	GCancellable *cancellable;
	NatBoundedStream *stream; /* NULL until connected */
	GInputStream *input;
	GByteArray *body;
	guint source; /* the timeout, or what makes a hopeless call fail from the main loop */
} Call;

struct InnHttp {
	WgEndpoint server;
	char name[WG_ENDPOINT_STRLEN];
	char key[WG_KEY_STRLEN];
	GQueue calls; /* of Call; the first one is under way */
	gboolean gone;
};

static void start_next(InnHttp *http);

/* ---- lives ---- */

static void
call_clear(gpointer data)
{
	Call *call = data;

	g_clear_object(&call->input);
	g_clear_object(&call->stream);
	g_clear_object(&call->msg);
	g_clear_object(&call->session);
	g_clear_object(&call->cancellable);
	g_clear_pointer(&call->json, g_bytes_unref);
	g_byte_array_unref(call->body);
	g_free(call->method);
	g_free(call->path);
}

static void
call_unref(Call *call)
{
	g_rc_box_release_full(call, call_clear);
}

/* Ends all that could call back; the reference of the queue is the caller's now. */
static void
call_leave(Call *call)
{
	g_queue_remove(&call->http->calls, call);
	call->http = NULL;
	g_clear_handle_id(&call->source, g_source_remove);
	g_cancellable_cancel(call->cancellable);
	if (call->msg)
		g_signal_handlers_disconnect_by_data(call->msg, call);
}

static void
http_clear(gpointer data)
{
	InnHttp *http = data;

	explicit_bzero(http->key, sizeof http->key);
}

InnHttp *
inn_http_new(const WgEndpoint *server, const WgKey *server_key)
{
	InnHttp *http = g_rc_box_new0(InnHttp);

	http->server = *server;
	wg_endpoint_format(server, http->name);
	wg_key_format(server_key, http->key);
	g_queue_init(&http->calls);
	return http;
}

void
inn_http_free(InnHttp *http)
{
	Call *call;

	if (!http)
		return;
	http->gone = TRUE;
	while ((call = g_queue_peek_head(&http->calls))) {
		call_leave(call);
		call_unref(call);
	}
	g_rc_box_release_full(http, http_clear);
}

guint
inn_http_pending(const InnHttp *http)
{
	return g_queue_get_length((GQueue *)&http->calls);
}

/* ---- the end of a call ---- */

/* With a status or an error, never both. */
static void
finish(Call *call, guint status, const GError *error)
{
	InnHttp *http = g_rc_box_acquire(call->http);
	g_autoptr(GBytes) body = NULL;

	if (error)
		g_byte_array_set_size(call->body, 0);
	body = g_bytes_new(call->body->data, call->body->len);
	call_leave(call);
	call->func(status, body, error, call->user_data);
	call_unref(call);
	if (!http->gone)
		start_next(http);
	g_rc_box_release_full(http, http_clear);
}

G_GNUC_PRINTF(3, 4)
static void
fail(Call *call, int code, const char *format, ...)
{
	g_autoptr(GError) error = NULL;
	va_list args;

	va_start(args, format);
	error = g_error_new_valist(G_IO_ERROR, code, format, args);
	va_end(args);
	finish(call, 0, error);
}

static void
fail_too_long(Call *call)
{
	fail(call, G_IO_ERROR_MESSAGE_TOO_LARGE,
	     "%s sends an answer without end, no innernet server does: check the internal "
	     "endpoint",
	     call->http->name);
}

static void
fail_by_transport(Call *call, const GError *cause)
{
	const char *name = call->http->name;

	switch (cause->code) {
	case G_IO_ERROR_CONNECTION_REFUSED:
		fail(call, cause->code,
		     "%s refuses the connection: is innernet-server running there?", name);
		break;
	case G_IO_ERROR_HOST_UNREACHABLE:
	case G_IO_ERROR_NETWORK_UNREACHABLE:
		fail(call, cause->code, "no way to %s: is the tunnel up, and the server its peer?",
		     name);
		break;
	case G_IO_ERROR_TIMED_OUT:
		fail(call, cause->code, "no answer from %s: is the tunnel to the server up?", name);
		break;
	case G_IO_ERROR_PERMISSION_DENIED:
		fail(call, cause->code, "this host's firewall forbids connections to %s", name);
		break;
	case G_IO_ERROR_MESSAGE_TOO_LARGE:
		fail_too_long(call);
		break;
	default: {
		g_autofree char *text = nat_log_escape(cause->message, -1);

		fail(call, cause->code, "the connection to %s broke: %s", name, text);
	}
	}
}

static void
fail_by(Call *call, const GError *cause)
{
	g_autofree char *text = nat_log_escape(cause->message, -1);

	if (cause->domain == G_IO_ERROR)
		fail_by_transport(call, cause);
	else
		fail(call, G_IO_ERROR_INVALID_DATA,
		     "%s takes the connection but does not speak HTTP (%s): check the internal "
		     "endpoint",
		     call->http->name, text);
}

static gboolean
on_timeout(gpointer user_data)
{
	Call *call = user_data;

	call->source = 0;
	if (call->stream)
		fail(call, G_IO_ERROR_TIMED_OUT,
		     "%s takes the connection but does not answer within %d s: look at the "
		     "server, and at what the tunnel carries in one piece (MTU)",
		     call->http->name, INN_HTTP_TIMEOUT_S);
	else
		fail(call, G_IO_ERROR_TIMED_OUT,
		     "no answer from %s within %d s: is the tunnel to the server up?",
		     call->http->name, INN_HTTP_TIMEOUT_S);
	return G_SOURCE_REMOVE;
}

/* ---- the answer ---- */

static void on_piece(GObject *object, GAsyncResult *result, gpointer user_data);

static void
read_piece(Call *call)
{
	g_input_stream_read_bytes_async(call->input, PIECE, G_PRIORITY_DEFAULT, call->cancellable,
					on_piece, g_rc_box_acquire(call));
}

/* libsoup takes the end of the connection for the end of a body, whatever length was announced
 * (3.2.3; those of 204 and 304 are of bodies that are not sent). */
static gboolean
is_cut(const Call *call)
{
	guint status = soup_message_get_status(call->msg);
	SoupMessageHeaders *headers = soup_message_get_response_headers(call->msg);

	return status != SOUP_STATUS_NO_CONTENT && status != SOUP_STATUS_NOT_MODIFIED &&
	       soup_message_headers_get_encoding(headers) == SOUP_ENCODING_CONTENT_LENGTH &&
	       (goffset)call->body->len < soup_message_headers_get_content_length(headers);
}

static void
took_piece(Call *call, GBytes *piece)
{
	gsize len;
	const guint8 *data = g_bytes_get_data(piece, &len);

	if (len == 0 && is_cut(call)) {
		fail(call, G_IO_ERROR_PARTIAL_INPUT,
		     "the connection to %s broke in the middle of the answer", call->http->name);
	} else if (len == 0) {
		finish(call, soup_message_get_status(call->msg), NULL);
	} else if (len > INN_HTTP_MAX - call->body->len) {
		fail_too_long(call);
	} else {
		g_byte_array_append(call->body, data, len);
		/* Half of it may be the seams between chunks: a body of tiny ones would have us
		 * turn for all of the time that a call has. */
		if (call->stream)
			nat_bounded_stream_allow(call->stream, 2 * len);
		read_piece(call);
	}
}

static void
on_piece(GObject *object, GAsyncResult *result, gpointer user_data)
{
	Call *call = user_data;
	g_autoptr(GError) error = NULL;
	g_autoptr(GBytes) piece =
		g_input_stream_read_bytes_finish(G_INPUT_STREAM(object), result, &error);

	if (call->http && piece)
		took_piece(call, piece);
	else if (call->http)
		fail_by(call, error);
	call_unref(call);
}

/* The headers are there. */
static void
answered(Call *call)
{
	guint status = soup_message_get_status(call->msg);
	SoupMessageHeaders *headers = soup_message_get_response_headers(call->msg);

	if (status < 100 || status > 599)
		fail(call, G_IO_ERROR_INVALID_DATA,
		     "%s answers status %u, which HTTP has not: check the internal endpoint",
		     call->http->name, status);
	else if (soup_message_headers_get_encoding(headers) == SOUP_ENCODING_CONTENT_LENGTH &&
		 soup_message_headers_get_content_length(headers) > INN_HTTP_MAX)
		fail_too_long(call);
	else
		read_piece(call);
}

static void
on_sent(GObject *object, GAsyncResult *result, gpointer user_data)
{
	Call *call = user_data;
	g_autoptr(GError) error = NULL;
	GInputStream *input = soup_session_send_finish(SOUP_SESSION(object), result, &error);

	call->input = input;
	if (call->http && input)
		answered(call);
	else if (call->http)
		fail_by(call, error);
	call_unref(call);
}

/* ---- the request ---- */

static void
on_network_event(SoupMessage *msg, GSocketClientEvent event, GIOStream *stream, gpointer user_data)
{
	Call *call = user_data;

	if (event == G_SOCKET_CLIENT_PROXY_NEGOTIATED && NAT_IS_BOUNDED_STREAM(stream))
		g_set_object(&call->stream, NAT_BOUNDED_STREAM(stream));
}

/* Where to connect is known: the host in the URL only becomes the header, which has no scope. */
static SoupMessage *
message_new(const Call *call)
{
	WgEndpoint host = call->http->server;
	char text[WG_ENDPOINT_STRLEN];
	g_autofree char *url = NULL;
	SoupMessage *msg;

	if (wg_endpoint_family(&host) == AF_INET6)
		host.v6.sin6_scope_id = 0;
	url = g_strdup_printf("http://%s%s", wg_endpoint_format(&host, text), call->path);
	msg = soup_message_new(call->method, url);
	if (!msg)
		return NULL;
	soup_message_add_flags(msg, SOUP_MESSAGE_NO_REDIRECT | SOUP_MESSAGE_NEW_CONNECTION);
	soup_message_headers_append(soup_message_get_request_headers(msg), "Connection", "close");
	soup_message_headers_append(soup_message_get_request_headers(msg), "X-Innernet-Server-Key",
				    call->http->key);
	if (call->json)
		soup_message_set_request_body_from_bytes(msg, "application/json", call->json);
	return msg;
}

/* Without cookies, and nothing that libsoup would do about an answer by itself. */
static SoupSession *
session_new(const InnHttp *http)
{
	char host[WG_ENDPOINT_STRLEN];
	g_autoptr(GSocketConnectable) target =
		nat_address_list_new(wg_endpoint_format_address(&http->server, host),
				     wg_endpoint_port(&http->server), &http->server, 1);
	/* Never asked, but without one GSocketClient puts nothing over the connection; and the
	 * default one would look into the environment. */
	g_autoptr(GProxyResolver) direct = g_simple_proxy_resolver_new("direct://", NULL);
	SoupSession *session =
		g_object_new(SOUP_TYPE_SESSION, "remote-connectable", target, "proxy-resolver",
			     direct, "user-agent", "nat-agent/" NAT_VERSION, NULL);

	soup_session_remove_feature_by_type(session, SOUP_TYPE_CONTENT_DECODER);
	soup_session_remove_feature_by_type(session, SOUP_TYPE_AUTH_MANAGER);
	soup_session_remove_feature_by_type(session, SOUP_TYPE_WEBSOCKET_EXTENSION_MANAGER);
	return session;
}

static gboolean
on_hopeless(gpointer user_data)
{
	Call *call = user_data;

	call->source = 0;
	if (call->json && g_bytes_get_size(call->json) > INN_HTTP_BODY_MAX)
		fail(call, G_IO_ERROR_MESSAGE_TOO_LARGE,
		     "%s %s would take %" G_GSIZE_FORMAT " bytes, an innernet server takes %d",
		     call->method, call->path, g_bytes_get_size(call->json), INN_HTTP_BODY_MAX);
	else
		fail(call, G_IO_ERROR_INVALID_ARGUMENT, "%s %s is no call of an innernet server",
		     call->method, call->path);
	return G_SOURCE_REMOVE;
}

static void
start_next(InnHttp *http)
{
	Call *call = g_queue_peek_head(&http->calls);

	/* A call that the last one's callback made has begun already. */
	if (!call || call->source)
		return;
	if (!call->json || g_bytes_get_size(call->json) <= INN_HTTP_BODY_MAX)
		call->msg = message_new(call);
	if (!call->msg) {
		call->source = g_idle_add(on_hopeless, call);
		return;
	}
	call->session = session_new(http);
	call->cancellable = g_cancellable_new();
	g_signal_connect(call->msg, "network-event", G_CALLBACK(on_network_event), call);
	call->source = g_timeout_add_seconds(INN_HTTP_TIMEOUT_S, on_timeout, call);
	soup_session_send_async(call->session, call->msg, G_PRIORITY_DEFAULT, call->cancellable,
				on_sent, g_rc_box_acquire(call));
}

void
inn_http_call(InnHttp *http, const char *method, const char *path, const char *json,
	      InnHttpFunc func, gpointer user_data)
{
	Call *call = g_rc_box_new0(Call);

	call->http = http;
	call->method = g_strdup(method);
	call->path = g_strdup(path);
	call->json = json ? g_bytes_new(json, strlen(json)) : NULL;
	call->func = func;
	call->user_data = user_data;
	call->body = g_byte_array_new();
	g_queue_push_tail(&http->calls, call);
	start_next(http);
}
