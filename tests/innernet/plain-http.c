/* SPDX-License-Identifier: MIT */
#include "plain.h"

#include <gio/gio.h>
#include <string.h>

typedef struct {
	GSocket *socket;
	gint64 deadline;
	GByteArray *in;
} Call;

/* Waits until it is so, or the call's time is over. */
static gboolean
wait_for(Call *call, GIOCondition condition, GError **error)
{
	gint64 left = call->deadline - g_get_monotonic_time();

	if (left <= 0) {
		g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "timed out");
		return FALSE;
	}
	return g_socket_condition_timed_wait(call->socket, condition, left, NULL, error);
}

static gboolean
call_connect(Call *call, const WgEndpoint *server, GError **error)
{
	g_autoptr(GSocketAddress) address =
		g_socket_address_new_from_native((gpointer)server, wg_endpoint_socklen(server));
	g_autoptr(GError) local = NULL;

	call->socket = g_socket_new(g_socket_address_get_family(address), G_SOCKET_TYPE_STREAM,
				    G_SOCKET_PROTOCOL_TCP, error);
	if (call->socket == NULL)
		return FALSE;
	g_socket_set_blocking(call->socket, FALSE);
	if (g_socket_connect(call->socket, address, NULL, &local))
		return TRUE;
	if (!g_error_matches(local, G_IO_ERROR, G_IO_ERROR_PENDING)) {
		g_propagate_error(error, g_steal_pointer(&local));
		return FALSE;
	}
	return wait_for(call, G_IO_OUT, error) &&
	       g_socket_check_connect_result(call->socket, error);
}

static gboolean
call_send(Call *call, const char *text, GError **error)
{
	gsize len = strlen(text), sent = 0;

	while (sent < len) {
		g_autoptr(GError) local = NULL;
		gssize n = g_socket_send(call->socket, text + sent, len - sent, NULL, &local);

		if (n > 0)
			sent += (gsize)n;
		else if (!g_error_matches(local, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK)) {
			g_propagate_error(error, g_steal_pointer(&local));
			return FALSE;
		} else if (!wait_for(call, G_IO_OUT, error))
			return FALSE;
	}
	return TRUE;
}

/* More of the answer; *end where there is none. */
static gboolean
call_receive(Call *call, gboolean *end, GError **error)
{
	char buf[65536];
	gssize n;

	if (!wait_for(call, G_IO_IN, error))
		return FALSE;
	n = g_socket_receive(call->socket, buf, sizeof buf, NULL, error);
	if (n < 0)
		return FALSE;
	*end = n == 0;
	g_byte_array_append(call->in, (const guint8 *)buf, (guint)n);
	return TRUE;
}

/* The whole answer: the server ends it, we asked for that. */
static gboolean
call_read_all(Call *call, GError **error)
{
	gboolean end = FALSE;

	while (!end && call->in->len < PLAIN_HTTP_MAX)
		if (!call_receive(call, &end, error))
			return FALSE;
	if (!end) {
		g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_FAILED, "answer is too long");
		return FALSE;
	}
	g_byte_array_append(call->in, (const guint8 *)"", 1);
	return TRUE;
}

/* The value of a header of the answer's head, NULL: there is none. (transfer full) */
static char *
header(const char *head, const char *name)
{
	g_auto(GStrv) lines = g_strsplit(head, "\r\n", -1);

	for (guint i = 1; lines[i] != NULL; i++) {
		char *colon = strchr(lines[i], ':');

		if (colon == NULL)
			continue;
		*colon = 0;
		if (g_ascii_strcasecmp(lines[i], name) == 0)
			return g_strstrip(g_strdup(colon + 1));
	}
	return NULL;
}

static gint
call_parse(Call *call, char **body, GError **error)
{
	const char *text = (const char *)call->in->data;
	const char *split = strstr(text, "\r\n\r\n");
	g_autofree char *head = split == NULL ? NULL : g_strndup(text, split - text);
	g_autofree char *length = head == NULL ? NULL : header(head, "content-length");
	gsize got = split == NULL ? 0 : call->in->len - 1 - (gsize)(split + 4 - text);

	if (head == NULL || !g_str_has_prefix(head, "HTTP/1.1 ") ||
	    (length != NULL && g_ascii_strtoull(length, NULL, 10) != got)) {
		g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_FAILED,
				    head == NULL ? "no HTTP" : "the answer is cut off");
		return head == NULL ? 0 : -1;
	}
	*body = g_strndup(split + 4, got);
	return (gint)g_ascii_strtoull(head + strlen("HTTP/1.1 "), NULL, 10);
}

static gint
call_run(Call *call, const WgEndpoint *server, const char *request, char **body, GError **error)
{
	if (!call_connect(call, server, error) || !call_send(call, request, error))
		return 0;
	if (!call_read_all(call, error))
		return call->in->len == 0 ? 0 : -1;
	return call_parse(call, body, error);
}

gint
plain_http(const PlainConf *conf, const char *method, const char *path, const char *json,
	   char **body, GError **error)
{
	Call call = {.deadline = g_get_monotonic_time() + PLAIN_HTTP_US, .in = g_byte_array_new()};
	char host[WG_ENDPOINT_STRLEN], key[WG_KEY_STRLEN];
	g_autofree char *more = json == NULL ? NULL
					     : g_strdup_printf("Content-Type: application/json\r\n"
							       "Content-Length: %u\r\n",
							       (guint)strlen(json));
	g_autofree char *request =
		g_strdup_printf("%s /v1%s HTTP/1.1\r\nHost: %s\r\nX-Innernet-Server-Key: %s\r\n%s"
				"Connection: close\r\n\r\n%s",
				method, path, wg_endpoint_format(&conf->internal_endpoint, host),
				wg_key_format(&conf->server_key, key), more == NULL ? "" : more,
				json == NULL ? "" : json);
	gint status;

	*body = NULL;
	status = call_run(&call, &conf->internal_endpoint, request, body, error);
	g_clear_object(&call.socket);
	g_byte_array_unref(call.in);
	return status;
}
