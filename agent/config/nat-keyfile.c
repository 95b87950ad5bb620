/* SPDX-License-Identifier: MIT */
#include "agent/config/nat-keyfile.h"

#include <string.h>

#include "agent/base/nat-log.h"

struct NatKeyFile {
	char *name;
	GKeyFile *values;
	GHashTable *lines; /* "group" or "group\nkey" → line number */
};

typedef struct {
	NatKeyFile *file;
	NatKeyFileCheck check;
	char *group; /* NULL before the first */
	guint line;
} Scan;

static gboolean G_GNUC_PRINTF(3, 4)
	refuse(const Scan *scan, GError **error, const char *format, ...)
{
	g_autofree char *text = NULL, *plain = NULL;
	va_list args;

	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	plain = nat_log_escape(text, -1);
	g_set_error(error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_PARSE, "%s:%u: %s", scan->file->name,
		    scan->line, plain);
	return FALSE;
}

static char *
id_of(const char *group, const char *key)
{
	return key ? g_strdup_printf("%s\n%s", group, key) : g_strdup(group);
}

static gboolean
note(Scan *scan, const char *group, const char *key, GError **error)
{
	g_autofree char *id = id_of(group, key);
	guint before = GPOINTER_TO_UINT(g_hash_table_lookup(scan->file->lines, id));
	g_autofree char *shown = nat_log_conceal(key ? key : group), *where = NULL;
	const char *remedy;

	if (before)
		return refuse(scan, error, "%s%s%s is given again, first in line %u: keep one",
			      key ? "" : "[", shown, key ? "" : "]", before);
	remedy = scan->check(group, key);
	where = nat_log_conceal(group);
	if (remedy && key)
		return refuse(scan, error, "unknown key \"%s\" in [%s]: %s", shown, where, remedy);
	if (remedy)
		return refuse(scan, error, "unknown group [%s]: %s", shown, remedy);
	g_hash_table_insert(scan->file->lines, g_steal_pointer(&id), GUINT_TO_POINTER(scan->line));
	return TRUE;
}

/* A relay's URI on a line of its own must not appear in a log. */
static gboolean
refuse_line(const Scan *scan, const char *line, const char *what, GError **error)
{
	g_autofree char *shown = nat_log_conceal(line);

	return refuse(scan, error, "\"%s\" %s", shown, what);
}

static gboolean
scan_group(Scan *scan, char *line, GError **error)
{
	gsize len = strlen(line);

	if (len < 3 || line[len - 1] != ']' || strpbrk(line + 1, "[]") != line + len - 1)
		return refuse_line(scan, line, "is not a group: write [name]", error);
	line[len - 1] = '\0';
	if (!note(scan, line + 1, NULL, error))
		return FALSE;
	g_free(scan->group);
	scan->group = g_strdup(line + 1);
	return TRUE;
}

/* line is stripped and may be changed. */
static gboolean
scan_line(Scan *scan, char *line, GError **error)
{
	char *equals;

	if (*line == '\0' || *line == '#')
		return TRUE;
	if (!g_utf8_validate(line, -1, NULL))
		return refuse_line(scan, line, "is not UTF-8", error);
	if (*line == '[')
		return scan_group(scan, line, error);
	equals = strchr(line, '=');
	if (!equals || equals == line)
		return refuse_line(scan, line, "is neither key=value, nor [group], nor # comment",
				   error);
	*equals = '\0';
	g_strchomp(line);
	if (!scan->group)
		return refuse_line(scan, line, "stands before any group: begin with [agent]",
				   error);
	return note(scan, scan->group, line, error);
}

static gboolean
scan_text(NatKeyFile *file, const char *text, NatKeyFileCheck check, GError **error)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	Scan scan = {.file = file, .check = check};
	gboolean ok = TRUE;

	for (guint i = 0; lines[i] && ok; i++) {
		scan.line = i + 1;
		ok = scan_line(&scan, g_strstrip(lines[i]), error);
	}
	g_free(scan.group);
	return ok;
}

static gboolean
load(NatKeyFile *file, const char *text, gsize len, NatKeyFileCheck check, GError **error)
{
	g_autofree char *copy = NULL;
	g_autoptr(GError) cause = NULL;

	if (len > NAT_KEY_FILE_MAX || memchr(text, '\0', len)) {
		g_set_error(error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_PARSE,
			    "%s: not a configuration file: %s", file->name,
			    len > NAT_KEY_FILE_MAX ? "larger than 64 kB" : "it holds a NUL byte");
		return FALSE;
	}
	copy = g_strndup(text, len);
	if (!scan_text(file, copy, check, error))
		return FALSE;
	if (!g_key_file_load_from_data(file->values, copy, len, G_KEY_FILE_NONE, &cause)) {
		g_autofree char *plain = nat_log_conceal(cause->message);

		g_set_error(error, G_KEY_FILE_ERROR, cause->code, "%s: %s", file->name, plain);
		return FALSE;
	}
	return TRUE;
}

NatKeyFile *
nat_key_file_new(const char *text, gsize len, const char *name, NatKeyFileCheck check,
		 GError **error)
{
	g_autoptr(NatKeyFile) file = g_new0(NatKeyFile, 1);

	file->name = nat_log_escape(name, -1);
	file->values = g_key_file_new();
	file->lines = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	if (!load(file, text, len, check, error))
		return NULL;
	return g_steal_pointer(&file);
}

void
nat_key_file_free(NatKeyFile *file)
{
	if (!file)
		return;
	g_key_file_unref(file->values);
	g_hash_table_unref(file->lines);
	g_free(file->name);
	g_free(file);
}

GStrv
nat_key_file_groups(NatKeyFile *file)
{
	return g_key_file_get_groups(file->values, NULL);
}

guint
nat_key_file_line(NatKeyFile *file, const char *group, const char *key)
{
	g_autofree char *id = id_of(group, key);

	return GPOINTER_TO_UINT(g_hash_table_lookup(file->lines, id));
}

gboolean
nat_key_file_blame(NatKeyFile *file, const char *group, const char *key, GError **error)
{
	guint line = nat_key_file_line(file, group, key);
	g_autofree char *shown = nat_log_conceal(key ? key : group);

	g_prefix_error(error, "%s:%u: %s%s%s: ", file->name, line, key ? "" : "[", shown,
		       key ? "" : "]");
	return FALSE;
}

/* GKeyFile hands out what it could read of a malformed value together with the error. There is one
 * way to be malformed. */
static gboolean
settle(NatKeyFile *file, const char *group, const char *key, GError *cause, GError **error)
{
	if (!cause)
		return TRUE;
	g_set_error(error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_INVALID_VALUE,
		    "unknown escape: a backslash is written \\\\");
	g_error_free(cause);
	return nat_key_file_blame(file, group, key, error);
}

gboolean
nat_key_file_string(NatKeyFile *file, const char *group, const char *key, char **out,
		    GError **error)
{
	g_autofree char *value = NULL;
	GError *cause = NULL;

	*out = NULL;
	if (nat_key_file_line(file, group, key) == 0)
		return TRUE;
	value = g_key_file_get_string(file->values, group, key, &cause);
	if (!settle(file, group, key, cause, error))
		return FALSE;
	*out = g_strstrip(g_steal_pointer(&value));
	return TRUE;
}

gboolean
nat_key_file_list(NatKeyFile *file, const char *group, const char *key, GStrv *out, GError **error)
{
	g_auto(GStrv) values = NULL;
	GError *cause = NULL;

	*out = NULL;
	if (nat_key_file_line(file, group, key) == 0)
		return TRUE;
	values = g_key_file_get_string_list(file->values, group, key, NULL, &cause);
	if (!settle(file, group, key, cause, error))
		return FALSE;
	for (guint i = 0; values && values[i]; i++)
		g_strstrip(values[i]);
	*out = values ? g_steal_pointer(&values) : g_new0(char *, 1);
	return TRUE;
}
