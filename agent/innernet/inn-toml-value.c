/* SPDX-License-Identifier: MIT */
/*
 * Keys and values. Every function leaves the cursor behind what it has read, or refuses. The text
 * holds no NUL, so that looking one byte ahead never leaves it: the NUL behind it matches nothing.
 */
#include "agent/innernet/inn-toml-private.h"

#include <sodium.h>
#include <string.h>

gboolean
toml_refuse(const TomlCursor *at, const char *what, GError **error)
{
	g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "%u: %s", at->line, what);
	return FALSE;
}

void
toml_free_string(char *string)
{
	if (string)
		sodium_memzero(string, strlen(string));
	g_free(string);
}

void
toml_value_clear(TomlValue *value)
{
	g_clear_pointer(&value->string, toml_free_string);
}

void
toml_skip_blanks(TomlCursor *at)
{
	at->p += strspn(at->p, " \t");
}

/* Tab is the only control character that may stand anywhere. */
static gboolean
is_control(char c)
{
	return g_ascii_iscntrl(c) && c != '\t';
}

static gboolean
skip_newline(TomlCursor *at)
{
	if (at->p[0] == '\r' && at->p[1] == '\n')
		at->p++;
	if (*at->p != '\n')
		return FALSE;
	at->p++;
	at->line++;
	return TRUE;
}

static void
skip_comment(TomlCursor *at)
{
	if (*at->p == '#')
		while (*at->p && !is_control(*at->p))
			at->p++;
}

gboolean
toml_end_line(TomlCursor *at, GError **error)
{
	toml_skip_blanks(at);
	skip_comment(at);
	if (*at->p == '\0' || skip_newline(at))
		return TRUE;
	if (is_control(*at->p))
		return toml_refuse(at, "a control character: remove it", error);
	return toml_refuse(
		at, "something follows where the line should end: one key = value a line", error);
}

/* The n hexadecimal digits of \u and \U. */
static gboolean
read_unicode(TomlCursor *at, guint n, char **out, GError **error)
{
	gunichar c = 0;

	for (guint i = 0; i < n; i++, at->p++) {
		int digit = g_ascii_xdigit_value(*at->p);

		if (digit < 0)
			return toml_refuse(at, "\\u wants 4 hexadecimal digits, and \\U 8", error);
		c = c << 4 | (gunichar)digit;
	}
	if (c == 0 || !g_unichar_validate(c))
		return toml_refuse(at, "\\u or \\U names no character", error);
	*out += g_unichar_to_utf8(c, *out);
	return TRUE;
}

/* Behind the backslash. What comes out is never longer than what was read. */
static gboolean
read_escape(TomlCursor *at, char **out, GError **error)
{
	static const char FROM[] = "btnfr\"\\", TO[] = "\b\t\n\f\r\"\\";
	char c = *at->p;
	const char *found = c ? strchr(FROM, c) : NULL;

	if (found) {
		at->p++;
		*(*out)++ = TO[found - FROM];
		return TRUE;
	}
	if (c != 'u' && c != 'U')
		return toml_refuse(at, "an unknown escape: a backslash is written \\\\", error);
	at->p++;
	return read_unicode(at, c == 'u' ? 4 : 8, out, error);
}

static gboolean
read_string_into(TomlCursor *at, char quote, char *out, GError **error)
{
	while (*at->p != quote) {
		if (*at->p == '\0' || *at->p == '\n' || *at->p == '\r')
			return toml_refuse(at, "the closing quote is missing", error);
		if (is_control(*at->p))
			return toml_refuse(
				at, "a control character in a string: write it as \\uXXXX", error);
		if (*at->p == '\\' && quote == '"') {
			at->p++;
			if (!read_escape(at, &out, error))
				return FALSE;
		} else {
			*out++ = *at->p++;
		}
	}
	at->p++;
	return TRUE;
}

/* At its quote. Memory is taken once, for the longest it can be: no copy of a secret is left
 * behind where a buffer grew. */
static gboolean
read_string(TomlCursor *at, char **string, GError **error)
{
	char quote = *at->p;
	g_autofree char *out = NULL;
	gsize room;

	if (at->p[1] == quote && at->p[2] == quote)
		return toml_refuse(
			at, "a string of several lines is not read here: write it in one", error);
	at->p++;
	room = strcspn(at->p, "\n") + 1;
	out = g_malloc0(room);
	if (!read_string_into(at, quote, out, error)) {
		sodium_memzero(out, room);
		return FALSE;
	}
	*string = g_steal_pointer(&out);
	return TRUE;
}

static gboolean
is_bare(char c)
{
	return g_ascii_isalnum(c) || c == '-' || c == '_';
}

static gboolean
has_control(const char *text)
{
	for (; *text; text++)
		if (g_ascii_iscntrl(*text))
			return TRUE;
	return FALSE;
}

gboolean
toml_read_key(TomlCursor *at, char **key, GError **error)
{
	const char *start = at->p;

	*key = NULL;
	if (*at->p == '"' || *at->p == '\'') {
		if (!read_string(at, key, error))
			return FALSE;
		if (!has_control(*key))
			return TRUE;
		g_clear_pointer(key, toml_free_string);
		return toml_refuse(at, "a control character in a key", error);
	}
	while (is_bare(*at->p))
		at->p++;
	if (at->p == start)
		return toml_refuse(at, "no key: write key = value, [table] or # comment", error);
	*key = g_strndup(start, (gsize)(at->p - start));
	return TRUE;
}

/* Digits of a base, single underscores between them. Returns what is behind, NULL where there are
 * none. */
static const char *
skip_digits(const char *p, guint base)
{
	for (;;) {
		int digit = g_ascii_xdigit_value(*p);

		if (digit < 0 || (guint)digit >= base)
			return NULL;
		p++;
		if (*p == '_')
			p++;
		else if (g_ascii_xdigit_value(*p) < 0 || (guint)g_ascii_xdigit_value(*p) >= base)
			return p;
	}
}

static gboolean
to_integer(const char *p, guint base, gboolean negative, gint64 *out)
{
	guint64 limit = (guint64)G_MAXINT64 + (negative ? 1 : 0), value = 0;

	for (; *p; p++) {
		guint digit = (guint)g_ascii_xdigit_value(*p);

		if (*p == '_')
			continue;
		if (value > (limit - digit) / base)
			return FALSE;
		value = value * base + digit;
	}
	*out = (gint64)(negative ? -value : value);
	return TRUE;
}

static gboolean
parse_integer(const char *token, gint64 *out)
{
	gboolean sign = *token == '-' || *token == '+';
	const char *p = token + sign, *end;
	guint base = 10;

	if (!sign && p[0] == '0' && p[1] && strchr("xob", p[1])) {
		base = p[1] == 'x' ? 16 : p[1] == 'o' ? 8 : 2;
		p += 2;
	} else if (p[0] == '0' && p[1]) {
		return FALSE;
	}
	end = skip_digits(p, base);
	return end && *end == '\0' && to_integer(p, base, *token == '-', out);
}

static gboolean
is_float(const char *p)
{
	gboolean broken = FALSE;

	if (*p == '-' || *p == '+')
		p++;
	if (strcmp(p, "inf") == 0 || strcmp(p, "nan") == 0)
		return TRUE;
	if (p[0] == '0' && (g_ascii_isdigit(p[1]) || p[1] == '_'))
		return FALSE;
	p = skip_digits(p, 10);
	if (p && *p == '.') {
		broken = TRUE;
		p = skip_digits(p + 1, 10);
	}
	if (p && (*p == 'e' || *p == 'E')) {
		broken = TRUE;
		p++;
		p = skip_digits(*p == '-' || *p == '+' ? p + 1 : p, 10);
	}
	return broken && p && *p == '\0';
}

/* Behind what looks like the pattern, where 'd' is a digit; NULL where it does not. */
static const char *
skip_like(const char *p, const char *pattern)
{
	for (; *pattern; pattern++, p++)
		if (*pattern == 'd' ? !g_ascii_isdigit(*p) : *p != *pattern)
			return NULL;
	return p;
}

static const char *
skip_time(const char *p)
{
	p = skip_like(p, "dd:dd:dd");
	if (p && *p == '.') {
		if (!g_ascii_isdigit(*++p))
			return NULL;
		while (g_ascii_isdigit(*p))
			p++;
	}
	return p;
}

/* By its looks: nobody here asks which day it is. */
static gboolean
is_date(const char *token)
{
	const char *p = skip_like(token, "dddd-dd-dd");

	if (!p)
		p = skip_time(token);
	else if (*p) {
		p = strchr("Tt ", *p) ? skip_time(p + 1) : NULL;
		if (p && (*p == 'Z' || *p == 'z'))
			p++;
		else if (p && *p)
			p = *p == '-' || *p == '+' ? skip_like(p + 1, "dd:dd") : NULL;
	}
	return p && *p == '\0';
}

static gsize
token_length(const char *p)
{
	static const char CHARS[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789_+-.:";
	gsize n = strspn(p, CHARS);

	/* a space may stand between a date and its time */
	if (n == strlen("dddd-dd-dd") && skip_like(p, "dddd-dd-dd") && p[n] == ' ' &&
	    g_ascii_isdigit(p[n + 1]))
		n += 1 + strspn(p + n + 1, CHARS);
	return n;
}

static gboolean
read_token(TomlCursor *at, TomlValue *value, GError **error)
{
	gsize n = token_length(at->p);
	g_autofree char *token = g_strndup(at->p, n);
	gboolean ok = TRUE;

	if (strcmp(token, "true") == 0 || strcmp(token, "false") == 0) {
		value->type = INN_TOML_BOOLEAN;
		value->integer = *token == 't';
	} else if (parse_integer(token, &value->integer)) {
		value->type = INN_TOML_INTEGER;
	} else {
		value->type = INN_TOML_OTHER;
		ok = is_float(token) || is_date(token);
	}
	/* it may be a key without its quotes */
	sodium_memzero(token, n);
	if (!ok)
		return toml_refuse(
			at, n ? "no value of TOML: text stands in quotes" : "the value is missing",
			error);
	at->p += n;
	return TRUE;
}

static gboolean skip_value(TomlCursor *at, guint depth, GError **error);

/* What may stand between the elements of an array. */
static gboolean
skip_space(TomlCursor *at, GError **error)
{
	for (;;) {
		toml_skip_blanks(at);
		skip_comment(at);
		if (*at->p && is_control(*at->p) && !skip_newline(at))
			return toml_refuse(at, "a control character: remove it", error);
		if (*at->p == '\0' || !strchr(" \t#\r\n", *at->p))
			return TRUE;
	}
}

static gboolean
skip_array(TomlCursor *at, guint depth, GError **error)
{
	at->p++;
	for (;;) {
		if (!skip_space(at, error))
			return FALSE;
		if (*at->p == ']')
			break;
		if (!skip_value(at, depth, error) || !skip_space(at, error))
			return FALSE;
		if (*at->p == ']')
			break;
		if (*at->p != ',')
			return toml_refuse(at, "an array goes on with , or ends with ]", error);
		at->p++;
	}
	at->p++;
	return TRUE;
}

static gboolean
skip_pair(TomlCursor *at, guint depth, GError **error)
{
	for (;;) {
		char *key;

		toml_skip_blanks(at);
		if (!toml_read_key(at, &key, error))
			return FALSE;
		toml_free_string(key);
		toml_skip_blanks(at);
		if (*at->p != '.')
			break;
		at->p++;
	}
	if (*at->p != '=')
		return toml_refuse(at, "= is missing behind a key", error);
	at->p++;
	toml_skip_blanks(at);
	if (!skip_value(at, depth, error))
		return FALSE;
	toml_skip_blanks(at);
	return TRUE;
}

static gboolean
skip_inline_table(TomlCursor *at, guint depth, GError **error)
{
	at->p++;
	toml_skip_blanks(at);
	while (*at->p != '}') {
		if (!skip_pair(at, depth, error))
			return FALSE;
		if (*at->p == '}')
			break;
		if (*at->p != ',')
			return toml_refuse(at, "{ goes on with , or ends with } in the same line",
					   error);
		at->p++;
		toml_skip_blanks(at);
		if (*at->p == '}')
			return toml_refuse(at, "a , before }: remove it", error);
	}
	at->p++;
	return TRUE;
}

static gboolean
skip_value(TomlCursor *at, guint depth, GError **error)
{
	TomlValue value = {0};
	gboolean ok;

	if (depth >= INN_TOML_DEPTH)
		return toml_refuse(at, "arrays and tables are too deep in each other", error);
	if (*at->p == '[')
		return skip_array(at, depth + 1, error);
	if (*at->p == '{')
		return skip_inline_table(at, depth + 1, error);
	if (*at->p == '"' || *at->p == '\'')
		ok = read_string(at, &value.string, error);
	else
		ok = read_token(at, &value, error);
	toml_value_clear(&value);
	return ok;
}

gboolean
toml_read_value(TomlCursor *at, TomlValue *value, GError **error)
{
	memset(value, 0, sizeof *value);
	if (*at->p == '[' || *at->p == '{') {
		value->type = INN_TOML_OTHER;
		return skip_value(at, 0, error);
	}
	if (*at->p == '"' || *at->p == '\'') {
		value->type = INN_TOML_STRING;
		return read_string(at, &value->string, error);
	}
	return read_token(at, value, error);
}
