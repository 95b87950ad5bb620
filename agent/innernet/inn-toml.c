/* SPDX-License-Identifier: MIT */
/*
 * Lines and tables, and that nothing is given twice: `defined` knows every path (the parts of a
 * table's name and the key, joined by '\n', which no part can hold) with the line it was given in.
 */
#include "agent/innernet/inn-toml-private.h"

#include <sodium.h>
#include <string.h>

typedef enum {
	PATH_VALUE = 1,
	PATH_TABLE,
	PATH_IMPLIED, /* [a] of [a.b] */
	PATH_ARRAY,   /* [[a]] */
} PathKind;

typedef struct {
	InnToml *toml;
	TomlCursor at;
	GHashTable *defined; /* path → line and kind */
	guint table;
} Scan;

static void
table_clear(gpointer data)
{
	g_free(((InnTomlTable *)data)->path);
}

static void
entry_clear(gpointer data)
{
	InnTomlEntry *entry = data;

	toml_free_string(entry->key);
	toml_free_string(entry->string);
}

static PathKind
lookup(const Scan *scan, const char *path, guint *line)
{
	guint packed = GPOINTER_TO_UINT(g_hash_table_lookup(scan->defined, path));

	*line = packed >> 3;
	return (PathKind)(packed & 7);
}

static void
define(Scan *scan, const char *path, PathKind kind)
{
	g_hash_table_insert(scan->defined, g_strdup(path),
			    GUINT_TO_POINTER(scan->at.line << 3 | (guint)kind));
}

static gboolean
refuse_again(const Scan *scan, const char *what, guint first, GError **error)
{
	g_autofree char *text =
		g_strdup_printf("this %s is there already, since line %u: keep one", what, first);

	return toml_refuse(&scan->at, text, error);
}

static gboolean
is_below(gpointer path, gpointer packed, gpointer array)
{
	gsize n = strlen(array);

	return strncmp(path, array, n) == 0 && ((const char *)path)[n] == '\n';
}

/* Every table on the way to it is there from now on, unless a value is. */
static gboolean
imply(Scan *scan, const char *path, GError **error)
{
	for (const char *end = strchr(path, '\n'); end; end = strchr(end + 1, '\n')) {
		g_autofree char *above = g_strndup(path, (gsize)(end - path));
		guint line;
		PathKind kind = lookup(scan, above, &line);

		if (kind == PATH_VALUE)
			return refuse_again(scan, "table's name, as a value,", line, error);
		if (kind == 0)
			define(scan, above, PATH_IMPLIED);
	}
	return TRUE;
}

static gboolean
define_table(Scan *scan, const char *path, gboolean element, GError **error)
{
	guint line;
	PathKind before;

	if (!imply(scan, path, error))
		return FALSE;
	before = lookup(scan, path, &line);
	if (before != 0 && before != (element ? PATH_ARRAY : PATH_IMPLIED))
		return refuse_again(scan, "table", line, error);
	/* a new element may have what the one before it had */
	if (before == PATH_ARRAY)
		g_hash_table_foreach_remove(scan->defined, is_below, (gpointer)path);
	define(scan, path, element ? PATH_ARRAY : PATH_TABLE);
	return TRUE;
}

static gboolean
read_path(TomlCursor *at, char **path, GError **error)
{
	g_autoptr(GString) joined = g_string_new(NULL);

	for (guint parts = 1;; parts++) {
		char *part;

		toml_skip_blanks(at);
		if (!toml_read_key(at, &part, error))
			return FALSE;
		g_string_append(joined, part);
		toml_free_string(part);
		toml_skip_blanks(at);
		if (*at->p != '.')
			break;
		if (parts == INN_TOML_DEPTH)
			return toml_refuse(at, "a table's name of too many parts", error);
		at->p++;
		g_string_append_c(joined, '\n');
	}
	*path = g_string_free(g_steal_pointer(&joined), FALSE);
	return TRUE;
}

static gboolean
read_header(Scan *scan, GError **error)
{
	TomlCursor *at = &scan->at;
	InnTomlTable table = {.line = at->line, .element = at->p[1] == '['};
	g_autofree char *path = NULL;
	const char *close = table.element ? "]]" : "]";

	at->p += strlen(close);
	if (!read_path(at, &path, error))
		return FALSE;
	if (!g_str_has_prefix(at->p, close))
		return toml_refuse(at, "a table's name ends with ] as it began with [", error);
	at->p += strlen(close);
	if (!define_table(scan, path, table.element, error) || !toml_end_line(at, error))
		return FALSE;
	table.path = g_steal_pointer(&path);
	table.end = (gsize)(at->p - at->text);
	scan->table = scan->toml->tables->len;
	g_array_append_val(scan->toml->tables, table);
	return TRUE;
}

static gboolean
define_entry(Scan *scan, const InnTomlEntry *entry, GError **error)
{
	const char *table = g_array_index(scan->toml->tables, InnTomlTable, scan->table).path;
	g_autofree char *path = g_strconcat(table, *table ? "\n" : "", entry->key, NULL);
	guint line;

	if (lookup(scan, path, &line) != 0)
		return refuse_again(scan, "key", line, error);
	define(scan, path, PATH_VALUE);
	return TRUE;
}

/* What is read so far stays in *entry, also where the rest is refused. */
static gboolean
read_pair(Scan *scan, InnTomlEntry *entry, GError **error)
{
	TomlCursor *at = &scan->at;
	TomlValue value;

	if (!toml_read_key(at, &entry->key, error) || !define_entry(scan, entry, error))
		return FALSE;
	toml_skip_blanks(at);
	if (*at->p == '.')
		return toml_refuse(
			at, "dotted keys are not read here: write the [table] and its keys", error);
	if (*at->p != '=')
		return toml_refuse(at, "= is missing behind a key", error);
	at->p++;
	toml_skip_blanks(at);
	entry->value = (gsize)(at->p - at->text);
	if (!toml_read_value(at, &value, error))
		return FALSE;
	entry->value_end = (gsize)(at->p - at->text);
	entry->type = value.type;
	entry->string = value.string;
	entry->integer = value.integer;
	return toml_end_line(at, error);
}

static gboolean
read_entry(Scan *scan, const char *line_start, GError **error)
{
	InnTomlEntry entry = {.table = scan->table,
			      .line = scan->at.line,
			      .line_start = (gsize)(line_start - scan->at.text)};

	if (!read_pair(scan, &entry, error)) {
		entry_clear(&entry);
		return FALSE;
	}
	entry.end = (gsize)(scan->at.p - scan->at.text);
	g_array_append_val(scan->toml->entries, entry);
	return TRUE;
}

static gboolean
read_line(Scan *scan, GError **error)
{
	const char *start = scan->at.p;

	toml_skip_blanks(&scan->at);
	if (*scan->at.p == '[')
		return read_header(scan, error);
	if (*scan->at.p && strchr("#\r\n", *scan->at.p))
		return toml_end_line(&scan->at, error);
	return *scan->at.p == '\0' || read_entry(scan, start, error);
}

/* The line of a byte that must not be there. */
static gboolean
refuse_at(const char *text, const char *byte, const char *what, GError **error)
{
	TomlCursor at = {.line = 1};

	for (; text < byte; text++)
		at.line += *text == '\n';
	return toml_refuse(&at, what, error);
}

static gboolean
check_bytes(const char *text, gsize len, GError **error)
{
	const char *bad;

	if (len > INN_TOML_MAX)
		return refuse_at(text, text + INN_TOML_MAX, "more than 64 kB: not such a file",
				 error);
	bad = memchr(text, '\0', len);
	if (bad)
		return refuse_at(text, bad, "a NUL byte: not a text", error);
	if (!g_utf8_validate(text, (gssize)len, &bad))
		return refuse_at(text, bad, "not UTF-8", error);
	return TRUE;
}

static InnToml *
toml_new(void)
{
	InnToml *toml = g_new0(InnToml, 1);
	InnTomlTable none = {.path = g_strdup("")};

	toml->tables = g_array_new(FALSE, FALSE, sizeof(InnTomlTable));
	g_array_set_clear_func(toml->tables, table_clear);
	g_array_append_val(toml->tables, none);
	toml->entries = g_array_new(FALSE, FALSE, sizeof(InnTomlEntry));
	g_array_set_clear_func(toml->entries, entry_clear);
	return toml;
}

static void
free_path(gpointer path)
{
	toml_free_string(path);
}

InnToml *
inn_toml_parse(const char *text, gsize len, GError **error)
{
	static const char BOM[] = "\xef\xbb\xbf";
	g_autoptr(InnToml) toml = NULL;
	Scan scan = {0};
	char *copy;
	gboolean ok = TRUE;

	if (!check_bytes(text, len, error))
		return NULL;
	copy = g_strndup(text, len);
	toml = scan.toml = toml_new();
	scan.at = (TomlCursor){.text = copy, .p = copy, .line = 1};
	if (g_str_has_prefix(copy, BOM))
		scan.at.p += strlen(BOM);
	scan.defined = g_hash_table_new_full(g_str_hash, g_str_equal, free_path, NULL);
	while (ok && *scan.at.p)
		ok = read_line(&scan, error);
	g_hash_table_unref(scan.defined);
	sodium_memzero(copy, len);
	g_free(copy);
	return ok ? g_steal_pointer(&toml) : NULL;
}

void
inn_toml_free(InnToml *toml)
{
	if (!toml)
		return;
	g_array_unref(toml->tables);
	g_array_unref(toml->entries);
	g_free(toml);
}

const InnTomlTable *
inn_toml_table(const InnToml *toml, const char *path, guint *index)
{
	for (guint i = 0; i < toml->tables->len; i++) {
		const InnTomlTable *table = &g_array_index(toml->tables, InnTomlTable, i);

		if (!table->element && strcmp(table->path, path) == 0) {
			if (index)
				*index = i;
			return table;
		}
	}
	return NULL;
}

const InnTomlEntry *
inn_toml_entry(const InnToml *toml, const char *path, const char *key)
{
	guint table;

	if (!inn_toml_table(toml, path, &table))
		return NULL;
	for (guint i = 0; i < toml->entries->len; i++) {
		const InnTomlEntry *entry = &g_array_index(toml->entries, InnTomlEntry, i);

		if (entry->table == table && strcmp(entry->key, key) == 0)
			return entry;
	}
	return NULL;
}

/* TOML 1.0, basic strings: control characters but tab are escaped. */
char *
inn_toml_quote(const char *text)
{
	/* room for the longest it can be: a secret leaves no copy where it grew */
	GString *out = g_string_sized_new(strlen(text) * strlen("\\u0000") + strlen("\"\"") + 1);

	g_string_append_c(out, '"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			g_string_append_c(out, '\\');
		if (g_ascii_iscntrl(*text) && *text != '\t')
			g_string_append_printf(out, "\\u%04X", (guint)*text);
		else
			g_string_append_c(out, *text);
	}
	g_string_append_c(out, '"');
	return g_string_free(out, FALSE);
}
