/* SPDX-License-Identifier: MIT */
#include "strict.h"

#include <gio/gio.h>
#include <string.h>

#define DEPTH_MAX 128

/* Walks the text, `p` is always what comes next; FALSE leaves it at the offence. */
typedef struct {
	const char *p, *end;
	guint depth;
} Scan;

static gboolean scan_value(Scan *scan);

static gboolean
next_is(Scan *scan, char c)
{
	if (scan->p == scan->end || *scan->p != c)
		return FALSE;
	scan->p++;
	return TRUE;
}

static void
skip_space(Scan *scan)
{
	while (scan->p < scan->end && *scan->p != 0 && strchr(" \t\r\n", *scan->p) != NULL)
		scan->p++;
}

static gboolean
scan_word(Scan *scan, const char *word)
{
	gsize len = strlen(word);

	if ((gsize)(scan->end - scan->p) < len || memcmp(scan->p, word, len) != 0)
		return FALSE;
	scan->p += len;
	return TRUE;
}

static guint
scan_digits(Scan *scan)
{
	guint n = 0;

	while (scan->p < scan->end && g_ascii_isdigit(*scan->p)) {
		scan->p++;
		n++;
	}
	return n;
}

static gboolean
scan_number(Scan *scan)
{
	next_is(scan, '-');
	if (!next_is(scan, '0') && scan_digits(scan) == 0)
		return FALSE;
	if (next_is(scan, '.') && scan_digits(scan) == 0)
		return FALSE;
	if (next_is(scan, 'e') || next_is(scan, 'E')) {
		if (!next_is(scan, '+'))
			next_is(scan, '-');
		return scan_digits(scan) > 0;
	}
	/* "01" */
	return scan->p == scan->end || !g_ascii_isdigit(*scan->p);
}

static gboolean
scan_hex4(Scan *scan, guint *out)
{
	*out = 0;
	for (guint i = 0; i < 4; i++, scan->p++) {
		if (scan->p == scan->end || !g_ascii_isxdigit(*scan->p))
			return FALSE;
		*out = *out << 4 | (guint)g_ascii_xdigit_value(*scan->p);
	}
	return TRUE;
}

static gboolean
scan_escape(Scan *scan)
{
	guint high, low;

	if (scan->p == scan->end || *scan->p == 0)
		return FALSE;
	if (strchr("\"\\/bfnrt", *scan->p) != NULL) {
		scan->p++;
		return TRUE;
	}
	if (!next_is(scan, 'u') || !scan_hex4(scan, &high))
		return FALSE;
	if (high < 0xd800 || high > 0xdfff)
		return TRUE;
	return high < 0xdc00 && scan_word(scan, "\\u") && scan_hex4(scan, &low) && low >= 0xdc00 &&
	       low <= 0xdfff;
}

static gboolean
scan_string(Scan *scan)
{
	if (!next_is(scan, '"'))
		return FALSE;
	while (scan->p < scan->end && (guint8)*scan->p >= 0x20) {
		char c = *scan->p++;

		if (c == '"')
			return TRUE;
		if (c == '\\' && !scan_escape(scan))
			return FALSE;
	}
	return FALSE;
}

static gboolean
scan_member(Scan *scan, GHashTable *keys)
{
	const char *begin;

	skip_space(scan);
	begin = scan->p;
	if (!scan_string(scan) || !g_hash_table_add(keys, g_strndup(begin, scan->p - begin)))
		return FALSE;
	skip_space(scan);
	return next_is(scan, ':') && scan_value(scan);
}

static gboolean
scan_object(Scan *scan)
{
	g_autoptr(GHashTable) keys = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

	skip_space(scan);
	if (next_is(scan, '}'))
		return TRUE;
	do {
		if (!scan_member(scan, keys))
			return FALSE;
		skip_space(scan);
	} while (next_is(scan, ','));
	return next_is(scan, '}');
}

static gboolean
scan_array(Scan *scan)
{
	skip_space(scan);
	if (next_is(scan, ']'))
		return TRUE;
	do {
		if (!scan_value(scan))
			return FALSE;
		skip_space(scan);
	} while (next_is(scan, ','));
	return next_is(scan, ']');
}

static gboolean
scan_value(Scan *scan)
{
	gboolean ok;

	skip_space(scan);
	if (scan->p == scan->end || scan->depth == DEPTH_MAX)
		return FALSE;
	switch (*scan->p) {
	case '"':
		return scan_string(scan);
	case 't':
		return scan_word(scan, "true");
	case 'f':
		return scan_word(scan, "false");
	case 'n':
		return scan_word(scan, "null");
	case '{':
	case '[':
		scan->depth++;
		ok = *scan->p++ == '{' ? scan_object(scan) : scan_array(scan);
		scan->depth--;
		return ok;
	default:
		return scan_number(scan);
	}
}

JsonNode *
strict_parse(const char *text, gsize len, GError **error)
{
	Scan scan = {text, text + len, 0};
	g_autoptr(JsonParser) parser = json_parser_new();
	gboolean ok = g_utf8_validate(text, (gssize)len, NULL) && scan_value(&scan);

	if (ok)
		skip_space(&scan);
	if (!ok || scan.p != scan.end) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "no JSON from byte %u on",
			    (guint)(scan.p - text));
		return NULL;
	}
	if (!json_parser_load_from_data(parser, text, (gssize)len, error))
		return NULL;
	return json_parser_steal_root(parser);
}

JsonNode *
strict_optional(JsonObject *object, const char *name)
{
	JsonNode *node = json_object_get_member(object, name);

	return node == NULL || JSON_NODE_HOLDS_NULL(node) ? NULL : node;
}

static JsonNode *
value_of(JsonObject *object, const char *name, GType type, gboolean *ok)
{
	JsonNode *node = strict_optional(object, name);

	if (node != NULL && JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == type)
		return node;
	*ok = FALSE;
	return NULL;
}

const char *
strict_string(JsonObject *object, const char *name, gboolean *ok)
{
	JsonNode *node = value_of(object, name, G_TYPE_STRING, ok);

	return node == NULL ? NULL : json_node_get_string(node);
}

const char *
strict_optional_string(JsonObject *object, const char *name, gboolean *ok)
{
	return strict_optional(object, name) == NULL ? NULL : strict_string(object, name, ok);
}

gboolean
strict_boolean(JsonObject *object, const char *name, gboolean *ok)
{
	JsonNode *node = value_of(object, name, G_TYPE_BOOLEAN, ok);

	return node != NULL && json_node_get_boolean(node);
}

gint64
strict_int(JsonObject *object, const char *name, gint64 min, gint64 max, gboolean *ok)
{
	JsonNode *node = value_of(object, name, G_TYPE_INT64, ok);
	gint64 value = node == NULL ? 0 : json_node_get_int(node);

	if (value < min || value > max)
		*ok = FALSE;
	return value;
}
