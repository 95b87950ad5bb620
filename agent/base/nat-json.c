/* SPDX-License-Identifier: MIT */
#include "agent/base/nat-json.h"

#include <gio/gio.h>
#include <math.h>
#include <string.h>

#include "agent/base/nat-log.h"

static gboolean
invalid(GError **error, const char *what)
{
	g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "not valid JSON: %s", what);
	return FALSE;
}

/* Index just behind the string that begins at i, 0 when it does not end, or has an escape that JSON
 * has not: json-glib makes single bytes of octal ones. */
static gsize
skip_string(const char *text, gsize len, gsize i)
{
	for (i++; i < len; i++) {
		if (text[i] == '"')
			return i + 1;
		if (text[i] == '\\' && (++i >= len || !memchr("\"\\/bfnrtu", text[i], 9)))
			return 0;
	}
	return 0;
}

/* json-glib takes comments, assignments and other quotes too; were they let through, brackets in
 * them would blind the count of the depth. */
static gboolean
is_json_char(char c)
{
	return g_ascii_isalnum(c) || (c != '\0' && strchr(" \t\r\n{}[]:,.+-", c));
}

/* One object, which begins and ends with its braces: json-glib ignores what follows a value. */
static gboolean
check_frame(const char *text, gsize len, GError **error)
{
	while (len > 0 && g_ascii_isspace(text[len - 1]))
		len--;
	while (len > 0 && g_ascii_isspace(*text)) {
		text++;
		len--;
	}
	if (len < 2 || *text != '{' || text[len - 1] != '}')
		return invalid(error, "an object is expected");
	return TRUE;
}

static gboolean
check_shape(const char *text, gsize len, GError **error)
{
	guint depth = 0;
	gboolean ended = FALSE;

	for (gsize i = 0; i < len;) {
		if (ended && !g_ascii_isspace(text[i]))
			return invalid(error, "something follows the object");
		if (text[i] == '"') {
			i = skip_string(text, len, i);
			if (i == 0)
				return invalid(error, "malformed string");
			continue;
		}
		if (!is_json_char(text[i]))
			return invalid(error, "unexpected character");
		if (text[i] == '{' || text[i] == '[') {
			if (++depth > NAT_JSON_MAX_DEPTH)
				return invalid(error, "nested too deeply");
		} else if (text[i] == '}' || text[i] == ']') {
			if (depth == 0)
				return invalid(error, "unbalanced brackets");
			ended = --depth == 0;
		}
		i++;
	}
	return ended ? TRUE : invalid(error, "unbalanced brackets");
}

JsonNode *
nat_json_parse(const char *text, gsize len, GError **error)
{
	g_autoptr(JsonParser) parser = NULL;
	g_autoptr(GError) cause = NULL;
	g_autofree char *escaped = NULL;
	JsonNode *root;

	if (!check_frame(text, len, error) || !check_shape(text, len, error))
		return NULL;
	parser = json_parser_new_immutable();
	if (!json_parser_load_from_data(parser, text, (gssize)len, &cause)) {
		/* it quotes the text, which is anybody's */
		escaped = nat_log_escape(cause->message, -1);
		invalid(error, escaped);
		return NULL;
	}
	root = json_parser_get_root(parser);
	if (!root || !JSON_NODE_HOLDS_OBJECT(root)) {
		invalid(error, "an object is expected");
		return NULL;
	}
	return json_node_ref(root);
}

/* --- printing --- */

static void print_node(GString *out, JsonNode *node, gboolean pretty, guint depth);

/* What a terminal obeys instead of showing it: JSON is printed on some. Controls of both sets, and
 * those of direction (UAX #9). */
static gboolean
steers(gunichar c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x202a && c <= 0x202e) ||
	       (c >= 0x2066 && c <= 0x2069);
}

/* A lone surrogate passes json-glib's parser and is no UTF-8. */
static void
print_string(GString *out, const char *text)
{
	g_autofree char *valid = g_utf8_make_valid(text, -1);

	g_string_append_c(out, '"');
	for (const char *s = valid; *s; s = g_utf8_next_char(s)) {
		gunichar c = g_utf8_get_char(s);

		if (c == '"' || c == '\\')
			g_string_append_printf(out, "\\%c", (char)c);
		else if (steers(c))
			g_string_append_printf(out, "\\u%04x", c);
		else
			g_string_append_unichar(out, c);
	}
	g_string_append_c(out, '"');
}

/* The shortest text that reads back as the same number. */
static void
print_double(GString *out, double value)
{
	static const char *const FORMATS[] = {"%.3g", "%.6g", "%.9g", "%.12g", "%.15g", "%.17g"};
	char buf[G_ASCII_DTOSTR_BUF_SIZE] = "null";

	if (isfinite(value)) {
		for (gsize i = 0; i < G_N_ELEMENTS(FORMATS); i++) {
			g_ascii_formatd(buf, sizeof buf, FORMATS[i], value);
			if (g_ascii_strtod(buf, NULL) == value)
				break;
		}
	}
	g_string_append(out, buf);
}

static void
print_value(GString *out, JsonNode *node)
{
	GType type = json_node_get_value_type(node);

	if (type == G_TYPE_STRING)
		print_string(out, json_node_get_string(node));
	else if (type == G_TYPE_BOOLEAN)
		g_string_append(out, json_node_get_boolean(node) ? "true" : "false");
	else if (type == G_TYPE_INT64)
		g_string_append_printf(out, "%" G_GINT64_FORMAT, json_node_get_int(node));
	else
		print_double(out, json_node_get_double(node));
}

static void
print_break(GString *out, gboolean pretty, guint depth)
{
	if (!pretty)
		return;
	g_string_append_c(out, '\n');
	for (guint i = 0; i < depth; i++)
		g_string_append(out, "  ");
}

static void
print_object(GString *out, JsonObject *obj, gboolean pretty, guint depth)
{
	JsonObjectIter iter;
	const char *name;
	JsonNode *node;
	gboolean first = TRUE;

	g_string_append_c(out, '{');
	json_object_iter_init_ordered(&iter, obj);
	while (json_object_iter_next_ordered(&iter, &name, &node)) {
		if (!first)
			g_string_append_c(out, ',');
		first = FALSE;
		print_break(out, pretty, depth + 1);
		print_string(out, name);
		g_string_append(out, pretty ? ": " : ":");
		print_node(out, node, pretty, depth + 1);
	}
	if (!first)
		print_break(out, pretty, depth);
	g_string_append_c(out, '}');
}

static void
print_array(GString *out, JsonArray *array, gboolean pretty, guint depth)
{
	guint n = json_array_get_length(array);

	g_string_append_c(out, '[');
	for (guint i = 0; i < n; i++) {
		if (i > 0)
			g_string_append_c(out, ',');
		print_break(out, pretty, depth + 1);
		print_node(out, json_array_get_element(array, i), pretty, depth + 1);
	}
	if (n > 0)
		print_break(out, pretty, depth);
	g_string_append_c(out, ']');
}

static void
print_node(GString *out, JsonNode *node, gboolean pretty, guint depth)
{
	switch (json_node_get_node_type(node)) {
	case JSON_NODE_OBJECT:
		print_object(out, json_node_get_object(node), pretty, depth);
		break;
	case JSON_NODE_ARRAY:
		print_array(out, json_node_get_array(node), pretty, depth);
		break;
	case JSON_NODE_VALUE:
		print_value(out, node);
		break;
	case JSON_NODE_NULL:
		g_string_append(out, "null");
		break;
	}
}

char *
nat_json_print(JsonNode *node, gboolean pretty)
{
	GString *out = g_string_new(NULL);

	print_node(out, node, pretty, 0);
	return g_string_free(out, FALSE);
}

/* --- members --- */

/* NULL: absent or null. */
static JsonNode *
member_of(JsonObject *obj, const char *member)
{
	JsonNode *node = json_object_get_member(obj, member);

	return node && !JSON_NODE_HOLDS_NULL(node) ? node : NULL;
}

static gboolean
wrong_type(GError **error, const char *member, const char *expected)
{
	g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "member \"%s\" is not %s", member,
		    expected);
	return FALSE;
}

static gboolean
holds(JsonNode *node, GType type)
{
	return JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == type;
}

gboolean
nat_json_get_string(JsonObject *obj, const char *member, const char **out, GError **error)
{
	JsonNode *node = member_of(obj, member);

	if (!node)
		return TRUE;
	if (!holds(node, G_TYPE_STRING))
		return wrong_type(error, member, "a string");
	*out = json_node_get_string(node);
	return TRUE;
}

gboolean
nat_json_get_int(JsonObject *obj, const char *member, gint64 *out, GError **error)
{
	JsonNode *node = member_of(obj, member);

	if (!node)
		return TRUE;
	if (!holds(node, G_TYPE_INT64))
		return wrong_type(error, member, "an integer");
	*out = json_node_get_int(node);
	return TRUE;
}

gboolean
nat_json_get_double(JsonObject *obj, const char *member, double *out, GError **error)
{
	JsonNode *node = member_of(obj, member);

	if (!node)
		return TRUE;
	if (!holds(node, G_TYPE_DOUBLE) && !holds(node, G_TYPE_INT64))
		return wrong_type(error, member, "a number");
	*out = json_node_get_double(node);
	return TRUE;
}

gboolean
nat_json_get_boolean(JsonObject *obj, const char *member, gboolean *out, GError **error)
{
	JsonNode *node = member_of(obj, member);

	if (!node)
		return TRUE;
	if (!holds(node, G_TYPE_BOOLEAN))
		return wrong_type(error, member, "true or false");
	*out = json_node_get_boolean(node);
	return TRUE;
}

gboolean
nat_json_get_object(JsonObject *obj, const char *member, JsonObject **out, GError **error)
{
	JsonNode *node = member_of(obj, member);

	if (!node)
		return TRUE;
	if (!JSON_NODE_HOLDS_OBJECT(node))
		return wrong_type(error, member, "an object");
	*out = json_node_get_object(node);
	return TRUE;
}

gboolean
nat_json_get_array(JsonObject *obj, const char *member, JsonArray **out, GError **error)
{
	JsonNode *node = member_of(obj, member);

	if (!node)
		return TRUE;
	if (!JSON_NODE_HOLDS_ARRAY(node))
		return wrong_type(error, member, "an array");
	*out = json_node_get_array(node);
	return TRUE;
}

void
nat_json_set_string(JsonObject *obj, const char *member, const char *value)
{
	if (value)
		json_object_set_string_member(obj, member, value);
	else
		json_object_set_null_member(obj, member);
}

void
nat_json_set_int(JsonObject *obj, const char *member, gint64 value)
{
	if (value >= 0)
		json_object_set_int_member(obj, member, value);
	else
		json_object_set_null_member(obj, member);
}

JsonNode *
nat_json_node_take(JsonObject *obj)
{
	JsonNode *node = json_node_new(JSON_NODE_OBJECT);

	json_node_take_object(node, obj);
	return node;
}
