/* SPDX-License-Identifier: MIT */
/*
 * A client's connection: requests one after the other, each answered before the next is looked at.
 * A body that its answer did not need is never read: the connection ends then, as in the original,
 * unless all of it was there already.
 */
#include "server.h"

#include <json-glib/json-glib.h>
#include <string.h>

#define READ_SIZE 16384
#define HUGE_SIZE (16 * 1024 * 1024)

typedef struct {
	Server *server;
	GIOStream *stream;
	GByteArray *in; /* not answered yet */
	GString *out;
	gboolean ends;	  /* once `out` is written */
	gboolean endless; /* the body goes on and on */
	gboolean continued;
	WgEndpoint source;
	char buf[READ_SIZE];
} Conn;

static void conn_read(Conn *conn);
static void conn_work(Conn *conn);

void
conn_free(gpointer data)
{
	Conn *conn = data;

	g_io_stream_close(conn->stream, NULL, NULL);
	g_object_unref(conn->stream);
	g_byte_array_unref(conn->in);
	g_string_free(conn->out, TRUE);
	g_free(conn);
}

static const char *
reason(guint status)
{
	switch (status) {
	case 200:
		return "OK";
	case 201:
		return "Created";
	case 204:
		return "No Content";
	case 302:
		return "Found";
	case 400:
		return "Bad Request";
	case 401:
		return "Unauthorized";
	case 404:
		return "Not Found";
	case 410:
		return "Gone";
	case 413:
		return "Payload Too Large";
	case 414:
		return "URI Too Long";
	case 431:
		return "Request Header Fields Too Large";
	case 500:
		return "Internal Server Error";
	default:
		return "Whatever";
	}
}

static void
add_head(Conn *conn, guint status, gssize len, const char *more)
{
	g_autoptr(GDateTime) now = g_date_time_new_now_utc();
	g_autofree char *date = g_date_time_format(now, "%a, %d %b %Y %H:%M:%S GMT");

	g_string_append_printf(conn->out, "HTTP/1.1 %u %s\r\n", status, reason(status));
	if (status == 200 || status == 201)
		g_string_append(conn->out, "content-type: application/json\r\n");
	if (len >= 0 && status != 204)
		g_string_append_printf(conn->out, "content-length: %" G_GSSIZE_FORMAT "\r\n", len);
	g_string_append(conn->out, more);
	if (conn->ends)
		g_string_append(conn->out, "connection: close\r\n");
	g_string_append_printf(conn->out, "date: %s\r\n\r\n", date);
}

static void
on_written(GObject *object, GAsyncResult *result, gpointer data)
{
	Conn *conn = data;

	if (!g_output_stream_write_all_finish(G_OUTPUT_STREAM(object), result, NULL, NULL)) {
		conn_free(conn);
		return;
	}
	if (conn->endless) {
		g_string_assign(conn->out, "1000\r\n");
		for (guint i = 0; i < 0x1000; i++)
			g_string_append_c(conn->out, ' ');
		g_string_append(conn->out, "\r\n");
		g_output_stream_write_all_async(G_OUTPUT_STREAM(object), conn->out->str,
						conn->out->len, G_PRIORITY_LOW, NULL, on_written,
						conn);
		return;
	}
	g_string_truncate(conn->out, 0);
	if (conn->ends)
		conn_free(conn);
	else
		conn_work(conn);
}

static void
conn_write(Conn *conn)
{
	g_output_stream_write_all_async(g_io_stream_get_output_stream(conn->stream), conn->out->str,
					conn->out->len, G_PRIORITY_DEFAULT, NULL, on_written, conn);
}

static void
answer_plainly(Conn *conn, guint status, const char *body)
{
	add_head(conn, status, body == NULL ? 0 : (gssize)strlen(body), "");
	g_string_append(conn->out, body == NULL ? "" : body);
}

/* The state of `body` without the peer of this address. (transfer full) */
static char *
without(const char *body, const WgEndpoint *source)
{
	g_autoptr(JsonParser) parser = json_parser_new();
	char ip[WG_ENDPOINT_STRLEN];
	JsonArray *peers;

	if (body == NULL || !json_parser_load_from_data(parser, body, -1, NULL) ||
	    !JSON_NODE_HOLDS_OBJECT(json_parser_get_root(parser)))
		return g_strdup(body);
	wg_endpoint_format_address(source, ip);
	peers = json_object_get_array_member(json_node_get_object(json_parser_get_root(parser)),
					     "peers");
	for (guint i = json_array_get_length(peers); i-- > 0;)
		if (g_strcmp0(json_object_get_string_member(json_array_get_object_element(peers, i),
							    "ip"),
			      ip) == 0)
			json_array_remove_element(peers, i);
	return json_to_string(json_parser_get_root(parser), FALSE);
}

static char *
huge_body(void)
{
	GString *body = g_string_sized_new(HUGE_SIZE + 64);

	g_string_append(body, "{\"peers\":[],\"cidrs\":[],\"more\":\"");
	while (body->len < HUGE_SIZE)
		g_string_append(body, "0123456789abcdef");
	g_string_append(body, "\"}");
	return g_string_free(body, FALSE);
}

static const char *
stale_body(Fault *fault, const char *peer, const char *body)
{
	if (body == NULL || peer == NULL)
		return body;
	if (!g_hash_table_contains(fault->first, peer))
		g_hash_table_insert(fault->first, g_strdup(peer), g_strdup(body));
	return g_hash_table_lookup(fault->first, peer);
}

static void
answer_half(Conn *conn, const ApiAnswer *answer)
{
	gsize head;

	answer_plainly(conn, answer->status, answer->body);
	head = strstr(conn->out->str, "\r\n\r\n") - conn->out->str;
	g_string_truncate(conn->out, answer->body == NULL ? head / 2 : (head + conn->out->len) / 2);
}

static void
answer_wrongly(Conn *conn, Fault *fault, const char *peer, const ApiAnswer *answer)
{
	static const char noise[] = "\x01\xff{]\"peers\": nothing,,,\x80\x81}";
	g_autofree char *body = NULL;

	switch (fault->kind) {
	case FAULT_STATUS:
		answer_plainly(conn, fault->status, NULL);
		break;
	case FAULT_GARBAGE:
		answer_plainly(conn, 200, noise);
		break;
	case FAULT_BODY:
		g_file_get_contents(fault->file, &body, NULL, NULL);
		answer_plainly(conn, 200, body);
		break;
	case FAULT_HUGE:
		body = huge_body();
		answer_plainly(conn, 200, body);
		break;
	case FAULT_ENDLESS:
		add_head(conn, 200, -1, "transfer-encoding: chunked\r\n");
		conn->endless = TRUE;
		break;
	case FAULT_CUT:
		conn->ends = TRUE;
		answer_half(conn, answer);
		break;
	case FAULT_WITHOUT_CALLER:
		body = without(answer->body, &conn->source);
		answer_plainly(conn, answer->status, body);
		break;
	case FAULT_STALE:
		answer_plainly(conn, answer->status, stale_body(fault, peer, answer->body));
		break;
	case FAULT_NO_HTTP:
		g_string_append(conn->out, "220 mail.lab.test ready\r\n");
		conn->ends = TRUE;
		break;
	case FAULT_REDIRECT:
		add_head(conn, 302, 0, "location: /v1/user/state\r\n");
		break;
	case FAULT_NONE:
	case FAULT_DROP:
	case FAULT_HANG:
		break;
	}
}

/* TRUE: there is something to write. FALSE: the connection has been dealt with. */
static gboolean
give(Conn *conn, const Request *request, const ApiAnswer *answer)
{
	const DbPeer *peer = db_peer_by_ip(conn->server->db, &conn->source);
	const char *name = peer == NULL ? NULL : peer->name;
	Fault *last = NULL;
	Fault *fault = fault_take(conn->server->faults, name, request->path, &last);
	FaultKind kind = fault == NULL ? FAULT_NONE : fault->kind;

	server_count(conn->server, name, request, answer->status);
	if (answer->changed)
		server_save(conn->server);
	if (kind == FAULT_NONE)
		answer_plainly(conn, answer->status, answer->body);
	else
		answer_wrongly(conn, fault, name, answer);
	fault_free(last);
	if (kind == FAULT_HANG)
		g_ptr_array_add(conn->server->hung, conn);
	if (kind == FAULT_DROP)
		conn_free(conn);
	return kind != FAULT_DROP && kind != FAULT_HANG;
}

/* The rest of a request's body, if there is one, is not read any more. */
static void
forget(Conn *conn, const Request *request, gsize head)
{
	guint64 len = request->has_length ? request->length : 0;

	conn->continued = FALSE;
	if (!request->keep_alive || request->is_chunked || conn->in->len - head < len) {
		conn->ends = TRUE;
		return;
	}
	g_byte_array_remove_range(conn->in, 0, (guint)(head + len));
}

/* Waits for the body, and says so where the client waits for that. */
static void
want_body(Conn *conn, const Request *request)
{
	if (!request->expects_continue || conn->continued) {
		conn_read(conn);
		return;
	}
	conn->continued = TRUE;
	g_string_append(conn->out, "HTTP/1.1 100 Continue\r\n\r\n");
	conn_write(conn);
}

static void
refuse(Conn *conn, guint status)
{
	conn->ends = TRUE;
	add_head(conn, status, 0, "");
	conn_write(conn);
}

static void
conn_work(Conn *conn)
{
	g_auto(Request) request = {0};
	g_auto(ApiAnswer) reply = {0};
	gssize head = request_parse((const char *)conn->in->data, conn->in->len, &request);
	ApiCall call = {&request, conn->source, NULL, 0, g_get_real_time() / G_USEC_PER_SEC};

	if (head < 0) {
		refuse(conn, (guint)-head);
		return;
	}
	if (head == 0) {
		conn_read(conn);
		return;
	}
	if (request.has_length && conn->in->len - (gsize)head >= request.length) {
		call.body = (const char *)conn->in->data + head;
		call.body_len = request.length;
	}
	api_answer(&conn->server->api, &call, &reply);
	if (reply.status == 0) {
		want_body(conn, &request);
		return;
	}
	forget(conn, &request, (gsize)head);
	if (give(conn, &request, &reply))
		conn_write(conn);
}

static void
on_read(GObject *object, GAsyncResult *result, gpointer data)
{
	Conn *conn = data;
	gssize n = g_input_stream_read_finish(G_INPUT_STREAM(object), result, NULL);

	if (n <= 0) {
		conn_free(conn);
		return;
	}
	g_byte_array_append(conn->in, (const guint8 *)conn->buf, (guint)n);
	conn_work(conn);
}

static void
conn_read(Conn *conn)
{
	g_input_stream_read_async(g_io_stream_get_input_stream(conn->stream), conn->buf,
				  sizeof conn->buf, G_PRIORITY_DEFAULT, NULL, on_read, conn);
}

gboolean
conn_accept(GSocketService *service, GSocketConnection *stream, GObject *source, gpointer data)
{
	g_autoptr(GSocketAddress) remote = g_socket_connection_get_remote_address(stream, NULL);
	struct sockaddr_storage native;
	Conn *conn;

	if (remote == NULL || !g_socket_address_to_native(remote, &native, sizeof native, NULL))
		return TRUE;
	conn = g_new0(Conn, 1);
	conn->server = data;
	conn->stream = g_object_ref(G_IO_STREAM(stream));
	conn->in = g_byte_array_new();
	conn->out = g_string_new(NULL);
	wg_endpoint_from_sockaddr(&conn->source, &native,
				  (gsize)g_socket_address_get_native_size(remote));
	conn_read(conn);
	return TRUE;
}
