/* SPDX-License-Identifier: MIT */
/*
 * RFC 9112 §2 and §3. The request line is judged when it is complete, and answered when the empty
 * line is there: whoever is answered earlier may lose the answer to the reset that his unread bytes
 * cause. What cannot become a request line is malformed at once.
 */
#include "agent/status/nat-http-ask.h"

#include <string.h>

#include "agent/status/nat-prom.h"

typedef struct {
	const char *data;
	gsize len;
} Word;

static gboolean
word_is(Word word, const char *text)
{
	return word.len == strlen(text) && memcmp(word.data, text, word.len) == 0;
}

/* Up to the next space or the end; *line goes behind it. */
static Word
take_word(Word *line)
{
	const char *space = memchr(line->data, ' ', line->len);
	Word word = {line->data, space ? (gsize)(space - line->data) : line->len};
	gsize used = MIN(word.len + 1, line->len);

	line->data += used;
	line->len -= used;
	return word;
}

static gboolean
is_printable(Word word)
{
	for (gsize i = 0; i < word.len; i++)
		if (word.data[i] < ' ' || word.data[i] > '~')
			return FALSE;
	return TRUE;
}

/* RFC 9110 §5.6.2 has more; no method has ever used it. */
static gboolean
is_method(Word word)
{
	for (gsize i = 0; i < word.len; i++)
		if (!g_ascii_isupper(word.data[i]) && word.data[i] != '-')
			return FALSE;
	return word.len > 0;
}

static NatHttpAsk
page_of(Word path)
{
	const char *query = memchr(path.data, '?', path.len);

	if (query)
		path.len = (gsize)(query - path.data);
	if (word_is(path, "/metrics"))
		return NAT_HTTP_ASK_METRICS;
	return word_is(path, "/healthz") ? NAT_HTTP_ASK_HEALTH : NAT_HTTP_ASK_NO_SUCH_PAGE;
}

static NatHttpAsk
judge_line(Word line)
{
	Word method = take_word(&line), target = take_word(&line), version = line;
	NatHttpAsk page;

	if (!is_method(method) || target.len == 0 || target.data[0] != '/' ||
	    (!word_is(version, "HTTP/1.1") && !word_is(version, "HTTP/1.0")))
		return NAT_HTTP_ASK_MALFORMED;
	page = page_of(target);
	if (page == NAT_HTTP_ASK_NO_SUCH_PAGE || word_is(method, "GET"))
		return page;
	return NAT_HTTP_ASK_NO_SUCH_METHOD;
}

/* Whether an empty line ends the head. (RFC 9112 §2.2: a lone LF may end a line.) */
static gboolean
head_is_complete(Word head)
{
	for (gsize i = 1; i < head.len; i++)
		if (head.data[i] == '\n' &&
		    (head.data[i - 1] == '\n' ||
		     (i > 1 && head.data[i - 1] == '\r' && head.data[i - 2] == '\n')))
			return TRUE;
	return FALSE;
}

NatHttpAsk
nat_http_ask_parse(const char *data, gsize len)
{
	Word all = {data, MIN(len, NAT_HTTP_ASK_MAX)}, line = all;
	const char *end = all.len > 0 ? memchr(all.data, '\n', all.len) : NULL;
	NatHttpAsk ask;

	if (end)
		line.len = (gsize)(end - all.data);
	if (line.len > 0 && line.data[line.len - 1] == '\r')
		line.len--;
	if (!is_printable(line) || (line.len > 0 && !g_ascii_isupper(line.data[0])))
		return NAT_HTTP_ASK_MALFORMED;
	ask = end ? judge_line(line) : NAT_HTTP_ASK_MORE;
	if (ask == NAT_HTTP_ASK_MALFORMED)
		return ask;
	if (end && head_is_complete(all))
		return ask;
	return len >= NAT_HTTP_ASK_MAX ? NAT_HTTP_ASK_TOO_LONG : NAT_HTTP_ASK_MORE;
}

static GBytes *
answer(const char *status, const char *type, const char *body)
{
	char *text = g_strdup_printf("HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
				     "Connection: close\r\nCache-Control: no-store\r\n\r\n%s",
				     status, type, strlen(body), body);

	return g_bytes_new_take(text, strlen(text));
}

GBytes *
nat_http_ask_answer(NatHttpAsk ask, const char *metrics)
{
	static const char plain[] = "text/plain; charset=utf-8";

	switch (ask) {
	case NAT_HTTP_ASK_MORE:
		return NULL;
	case NAT_HTTP_ASK_METRICS:
		return answer("200 OK", NAT_PROM_CONTENT_TYPE, metrics);
	case NAT_HTTP_ASK_HEALTH:
		return answer("200 OK", plain, "ok\n");
	case NAT_HTTP_ASK_MALFORMED:
		return answer("400 Bad Request", plain, "this is not HTTP/1\n");
	case NAT_HTTP_ASK_TOO_LONG:
		return answer("431 Request Header Fields Too Large", plain, "too long\n");
	case NAT_HTTP_ASK_NO_SUCH_PAGE:
		return answer("404 Not Found", plain, "there are /metrics and /healthz\n");
	case NAT_HTTP_ASK_NO_SUCH_METHOD:
		return answer("405 Method Not Allowed\r\nAllow: GET", plain, "only GET\n");
	}
	return NULL;
}
