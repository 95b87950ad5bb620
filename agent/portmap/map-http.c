/* SPDX-License-Identifier: MIT */
#include "agent/portmap/map-http.h"

#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TIMEOUT_PRIORITY (G_PRIORITY_DEFAULT + 10)
#define PIECE 4096
#define TURN_MAX 4 /* pieces at once: the main loop has others to serve */

struct MapHttp {
	int fd;
	char *request;
	gsize sent;
	GString *answer;
	MapHttpFunc func;
	gpointer user_data;
	guint watch, timeout;
};

/* ---- what was answered: pure ---- */

const char *
map_http_field(const char *text, gsize len, const char *name, gsize *value_len)
{
	gsize name_len = strlen(name);

	for (const char *line = text, *end = text + len; line < end;) {
		const char *eol = memchr(line, '\n', (gsize)(end - line));
		const char *last = eol ? eol : end, *value;

		if ((gsize)(last - line) > name_len && line[name_len] == ':' &&
		    g_ascii_strncasecmp(line, name, name_len) == 0) {
			value = line + name_len + 1;
			while (value < last && (*value == ' ' || *value == '\t'))
				value++;
			while (last > value && g_ascii_isspace(last[-1]))
				last--;
			*value_len = (gsize)(last - value);
			return value;
		}
		line = eol ? eol + 1 : end;
	}
	return NULL;
}

/* A number that ends where its digits end; FALSE: none, or one that no answer of ours has. */
static gboolean
read_number(const char *text, gsize len, guint base, gsize *out)
{
	gsize value = 0, n = 0;

	for (; n < len; n++) {
		int digit = g_ascii_xdigit_value(text[n]);

		if (digit < 0 || digit >= (int)base)
			break;
		value = value * base + (gsize)digit;
		if (value > MAP_HTTP_MAX)
			return FALSE;
	}
	*out = value;
	return n > 0;
}

static MapHttpParse
parse_chunks(const char *data, gsize len, GString *body)
{
	for (;;) {
		const char *eol = memchr(data, '\n', len);
		gsize size, line;

		if (!eol)
			return MAP_HTTP_MORE;
		line = (gsize)(eol - data) + 1;
		if (!read_number(data, line, 16, &size))
			return MAP_HTTP_BAD;
		if (size == 0)
			return MAP_HTTP_DONE;
		if (len - line < size + 2)
			return MAP_HTTP_MORE;
		g_string_append_len(body, data + line, (gssize)size);
		if (body->len > MAP_HTTP_MAX)
			return MAP_HTTP_BAD;
		data += line + size;
		len -= line + size;
		/* the line end behind a chunk */
		line = *data == '\r' ? 2 : 1;
		if (data[line - 1] != '\n')
			return MAP_HTTP_BAD;
		data += line;
		len -= line;
	}
}

static MapHttpParse
parse_body(const char *head, gsize head_len, const char *data, gsize len, gboolean ended,
	   GString *body)
{
	gsize value_len, length;
	const char *value = map_http_field(head, head_len, "Transfer-Encoding", &value_len);

	if (value && value_len >= 7 && g_ascii_strncasecmp(value, "chunked", 7) == 0)
		return parse_chunks(data, len, body);
	value = map_http_field(head, head_len, "Content-Length", &value_len);
	if (value && !read_number(value, value_len, 10, &length))
		return MAP_HTTP_BAD;
	if (!value && !ended)
		return MAP_HTTP_MORE;
	if (!value)
		length = len;
	if (len < length)
		return MAP_HTTP_MORE;
	g_string_append_len(body, data, (gssize)length);
	return MAP_HTTP_DONE;
}

/* Where the header ends and the body begins; 0: it has not all come. */
static gsize
find_body(const char *data, gsize len)
{
	for (gsize i = 0; i + 1 < len; i++) {
		if (data[i] != '\n')
			continue;
		if (data[i + 1] == '\n')
			return i + 2;
		if (i + 2 < len && data[i + 1] == '\r' && data[i + 2] == '\n')
			return i + 3;
	}
	return 0;
}

MapHttpParse
map_http_parse(const char *data, gsize len, gboolean ended, guint *status, GString *body)
{
	gsize start = find_body(data, len), code;
	MapHttpParse result = MAP_HTTP_MORE;

	g_string_truncate(body, 0);
	if (len > MAP_HTTP_MAX)
		return MAP_HTTP_BAD;
	if (start != 0) {
		if (start < 13 || memcmp(data, "HTTP/1.", 7) != 0 || data[8] != ' ' ||
		    !read_number(data + 9, 3, 10, &code) || code < 100 || code > 599)
			return MAP_HTTP_BAD;
		*status = (guint)code;
		result = parse_body(data, start, data + start, len - start, ended, body);
	}
	return ended && result == MAP_HTTP_MORE ? MAP_HTTP_BAD : result;
}

/* ---- the connection ---- */

static void
clear(MapHttp *http)
{
	g_clear_handle_id(&http->watch, g_source_remove);
	g_clear_handle_id(&http->timeout, g_source_remove);
	close(http->fd);
	g_free(http->request);
	g_string_free(http->answer, TRUE);
	g_free(http);
}

void
map_http_cancel(MapHttp *http)
{
	if (http)
		clear(http);
}

static void
finish(MapHttp *http, guint status, GString *body, const char *problem)
{
	MapHttpFunc func = http->func;
	gpointer user_data = http->user_data;

	clear(http);
	func(status, body ? body->str : "", body ? body->len : 0, problem, user_data);
}

/* FALSE: it has ended. */
static gboolean
look(MapHttp *http, gboolean ended)
{
	g_autoptr(GString) body = g_string_new(NULL);
	const GString *answer = http->answer;
	guint status = 0;
	MapHttpParse result = map_http_parse(answer->str, answer->len, FALSE, &status, body);

	if (result == MAP_HTTP_BAD) {
		finish(http, 0, NULL, "the router's UPnP answers nonsense");
		return FALSE;
	}
	if (ended && result == MAP_HTTP_MORE)
		result = map_http_parse(answer->str, answer->len, TRUE, &status, body);
	if (result == MAP_HTTP_DONE)
		finish(http, status, body, NULL);
	else if (ended)
		finish(http, 0, NULL, "the router's UPnP breaks off");
	return result == MAP_HTTP_MORE;
}

static gboolean
on_readable(gint fd, GIOCondition condition, gpointer user_data)
{
	MapHttp *http = user_data;
	char buf[PIECE];

	for (guint i = 0; i < TURN_MAX; i++) {
		ssize_t len = recv(fd, buf, sizeof buf, 0);

		if (len < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (len <= 0) {
			look(http, TRUE);
			return G_SOURCE_REMOVE;
		}
		g_string_append_len(http->answer, buf, len);
		if (http->answer->len > MAP_HTTP_MAX)
			break;
	}
	return look(http, FALSE) ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

static gboolean
on_writable(gint fd, GIOCondition condition, gpointer user_data)
{
	MapHttp *http = user_data;
	gsize len = strlen(http->request);
	ssize_t n = send(fd, http->request + http->sent, len - http->sent, MSG_NOSIGNAL);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return G_SOURCE_CONTINUE;
	if (n < 0) {
		http->watch = 0;
		finish(http, 0, NULL, "the router's UPnP refuses the connection");
		return G_SOURCE_REMOVE;
	}
	http->sent += (gsize)n;
	if (http->sent < len)
		return G_SOURCE_CONTINUE;
	http->watch = g_unix_fd_add(fd, G_IO_IN | G_IO_HUP | G_IO_ERR, on_readable, http);
	return G_SOURCE_REMOVE;
}

static gboolean
on_timeout(gpointer user_data)
{
	MapHttp *http = user_data;

	http->timeout = 0;
	finish(http, 0, NULL, "the router's UPnP does not answer in time");
	return G_SOURCE_REMOVE;
}

MapHttp *
map_http_start(const MapPlace *place, guint16 port, char *request, MapHttpFunc func,
	       gpointer user_data)
{
	WgEndpoint to = place->gateway;
	int fd = map_place_socket(place, SOCK_STREAM);
	MapHttp *http;

	wg_endpoint_set_port(&to, port);
	if (fd >= 0 && connect(fd, &to.sa, wg_endpoint_socklen(&to)) < 0 && errno != EINPROGRESS) {
		close(fd);
		fd = -1;
	}
	if (fd < 0) {
		g_free(request);
		return NULL;
	}
	http = g_new0(MapHttp, 1);
	http->fd = fd;
	http->request = request;
	http->answer = g_string_new(NULL);
	http->func = func;
	http->user_data = user_data;
	http->watch = g_unix_fd_add(fd, G_IO_OUT | G_IO_HUP | G_IO_ERR, on_writable, http);
	/* after a time without turns of the loop the answer may be there already: it goes first */
	http->timeout =
		g_timeout_add_full(TIMEOUT_PRIORITY, MAP_HTTP_TIMEOUT_MS, on_timeout, http, NULL);
	return http;
}
