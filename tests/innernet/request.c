/* SPDX-License-Identifier: MIT */
#include "request.h"

#include <string.h>

void
request_clear(Request *request)
{
	g_clear_pointer(&request->method, g_free);
	g_clear_pointer(&request->path, g_free);
	g_clear_pointer(&request->server_key, g_free);
}

/* RFC 9110 §5.6.2 */
static gboolean
is_token(const char *text)
{
	if (*text == 0)
		return FALSE;
	for (; *text != 0; text++)
		if (!g_ascii_isalnum(*text) && strchr("!#$%&'*+-.^_`|~", *text) == NULL)
			return FALSE;
	return TRUE;
}

static gboolean
is_value(const char *text)
{
	for (; *text != 0; text++)
		if (((guint8)*text < ' ' && *text != '\t') || *text == 0x7f)
			return FALSE;
	return TRUE;
}

static gboolean
read_number(const char *text, guint64 *out)
{
	if (*text == 0 || strlen(text) > 18 || strspn(text, "0123456789") != strlen(text))
		return FALSE;
	*out = g_ascii_strtoull(text, NULL, 10);
	return TRUE;
}

/* "/a/b?c", "http://host/a/b?c" or "*" */
static char *
read_path(const char *uri)
{
	const char *begin = uri, *scheme = strstr(uri, "://");

	if (scheme != NULL && *uri != '/') {
		begin = strchr(scheme + 3, '/');
		if (begin == NULL)
			return g_strdup("/");
	}
	return *begin == '/' || strcmp(begin, "*") == 0 ? g_strndup(begin, strcspn(begin, "?#"))
							: NULL;
}

static gint
read_first_line(const char *line, Request *out)
{
	g_auto(GStrv) words = g_strsplit(line, " ", -1);
	gboolean is_11;

	if (g_strv_length(words) != 3 || !is_token(words[0]))
		return 400;
	if (strlen(words[1]) > REQUEST_URI_MAX)
		return 414;
	is_11 = strcmp(words[2], "HTTP/1.1") == 0;
	if (!is_11 && strcmp(words[2], "HTTP/1.0") != 0)
		return 400;
	out->method = g_strdup(words[0]);
	out->path = read_path(words[1]);
	out->keep_alive = is_11;
	return out->path == NULL || !g_str_is_ascii(out->path) ? 400 : 0;
}

static gint
read_length(const char *value, Request *out)
{
	guint64 length;

	/* A transfer coding makes any length void. */
	if (out->is_chunked)
		return 0;
	if (!read_number(value, &length) || (out->has_length && length != out->length))
		return 400;
	out->has_length = TRUE;
	out->length = length;
	return 0;
}

static gint
read_header(const char *name, const char *value, gboolean is_11, Request *out)
{
	if (g_ascii_strcasecmp(name, "content-length") == 0)
		return read_length(value, out);
	if (g_ascii_strcasecmp(name, "transfer-encoding") == 0) {
		out->is_chunked = TRUE;
		return is_11 && g_str_has_suffix(value, "chunked") ? 0 : 400;
	}
	if (g_ascii_strcasecmp(name, "x-innernet-server-key") == 0 && out->server_key == NULL)
		out->server_key = g_strdup(value);
	else if (g_ascii_strcasecmp(name, "expect") == 0)
		out->expects_continue = is_11 && g_ascii_strcasecmp(value, "100-continue") == 0;
	else if (g_ascii_strcasecmp(name, "connection") == 0)
		out->keep_alive = g_ascii_strcasecmp(value, "close") != 0 &&
				  (is_11 || g_ascii_strcasecmp(value, "keep-alive") == 0);
	return 0;
}

static gint
read_header_line(char *line, gboolean is_11, Request *out)
{
	char *colon = strchr(line, ':');

	if (colon == NULL)
		return 400;
	*colon = 0;
	g_strstrip(colon + 1);
	if (!is_token(line) || !is_value(colon + 1))
		return 400;
	return read_header(line, colon + 1, is_11, out);
}

/* Where the head ends, 0: nowhere yet. A line feed alone ends a line as well. */
static gsize
find_end(const char *data, gsize len)
{
	const char *p = data, *end = data + len;

	while ((p = memchr(p, '\n', end - p)) != NULL) {
		p++;
		if (p < end && *p == '\n')
			return p + 1 - data;
		if (p + 1 < end && p[0] == '\r' && p[1] == '\n')
			return p + 2 - data;
	}
	return 0;
}

static gint
read_head(const char *data, gsize len, Request *out)
{
	g_autofree char *text = g_strndup(data, len);
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	guint n = g_strv_length(lines);
	gint status;

	if (strlen(text) != len || n < 3)
		return 400;
	for (guint i = 0; i < n; i++)
		if (g_str_has_suffix(lines[i], "\r"))
			lines[i][strlen(lines[i]) - 1] = 0;
	status = read_first_line(lines[0], out);
	/* The last two are empty. */
	if (n - 3 > REQUEST_HEADERS_MAX)
		return 431;
	for (guint i = 1; status == 0 && i < n - 2; i++)
		status = read_header_line(lines[i], g_str_has_suffix(lines[0], "1.1"), out);
	return status;
}

gssize
request_parse(const char *data, gsize len, Request *out)
{
	gsize skipped = 0, end;
	gint status;

	memset(out, 0, sizeof *out);
	while (skipped < len && (data[skipped] == '\r' || data[skipped] == '\n'))
		skipped++;
	end = find_end(data + skipped, len - skipped);
	if (end == 0)
		return len < REQUEST_HEAD_MAX ? 0 : -431;
	status = read_head(data + skipped, end, out);
	if (status == 0)
		return (gssize)(skipped + end);
	request_clear(out);
	return -status;
}
