/* SPDX-License-Identifier: MIT */
/*
 * The table of overrides, changed within its text: first a list of edits, by the offsets that
 * InnToml gives, then a new text. Whatever no edit covers is copied byte by byte.
 */
#include "agent/innernet/inn-conf-private.h"

#include <sodium.h>
#include <string.h>

#include "agent/base/nat-log.h"

typedef struct {
	gsize at, cut; /* bytes that go */
	char *text;    /* that comes instead */
} Edit;

typedef struct {
	const char *text;
	gsize len;
	const InnToml *toml;
	const InnOverride *overrides;
	gsize n;
	GArray *edits; /* of Edit, in the text's order */
} Change;

static void
edit_clear(gpointer data)
{
	g_free(((Edit *)data)->text);
}

static void
add_edit(Change *change, gsize at, gsize cut, char *text_take)
{
	Edit edit = {at, cut, text_take};

	g_array_append_val(change->edits, edit);
}

static const InnOverride *
wanted(const Change *change, const WgEndpoint *address)
{
	for (gsize i = change->n; i > 0; i--)
		if (wg_endpoint_same_address(&change->overrides[i - 1].address, address))
			return &change->overrides[i - 1];
	return NULL;
}

static gboolean
is_said(const InnTomlEntry *entry, const WgEndpoint *endpoint)
{
	WgEndpoint now;

	return entry->type == INN_TOML_STRING && wg_endpoint_parse(entry->string, &now) &&
	       wg_endpoint_equal(&now, endpoint);
}

static char *
quoted_endpoint(const WgEndpoint *endpoint)
{
	char buf[WG_ENDPOINT_STRLEN];

	return inn_toml_quote(wg_endpoint_format(endpoint, buf));
}

static void
edit_entry(Change *change, const InnTomlEntry *entry, const InnOverride *override)
{
	if (!wg_endpoint_is_set(&override->endpoint))
		add_edit(change, entry->line_start, entry->end - entry->line_start, g_strdup(""));
	else if (!is_said(entry, &override->endpoint))
		add_edit(change, entry->value, entry->value_end - entry->value,
			 quoted_endpoint(&override->endpoint));
}

/* Sets have[i] where a line for overrides[i] is there. Returns the offset where more lines of the
 * table would go. */
static gsize
edit_entries(Change *change, guint table, gboolean *have)
{
	gsize end = g_array_index(change->toml->tables, InnTomlTable, table).end;

	for (guint i = 0; i < change->toml->entries->len; i++) {
		const InnTomlEntry *entry = &g_array_index(change->toml->entries, InnTomlEntry, i);
		const InnOverride *override;
		WgEndpoint ip;

		if (entry->table != table)
			continue;
		end = entry->end;
		override = inn_conf_parse_ip(entry->key, &ip) ? wanted(change, &ip) : NULL;
		if (!override)
			continue;
		have[override - change->overrides] = TRUE;
		edit_entry(change, entry, override);
	}
	return end;
}

/* As the line before `at` ends; the first line of a text tells for all where there is none. */
static const char *
newline_of(const Change *change)
{
	const char *first = memchr(change->text, '\n', change->len);

	return first && first > change->text && first[-1] == '\r' ? "\r\n" : "\n";
}

static char *
new_lines(const Change *change, const gboolean *have, const char *newline)
{
	GString *out = g_string_new(NULL);

	for (gsize i = 0; i < change->n; i++) {
		const InnOverride *override = &change->overrides[i];
		char ip[WG_ENDPOINT_STRLEN];
		g_autofree char *endpoint = quoted_endpoint(&override->endpoint);

		if (have[i] || !wg_endpoint_is_set(&override->endpoint) ||
		    wanted(change, &override->address) != override)
			continue;
		g_string_append_printf(out, "\"%s\" = %s%s",
				       wg_endpoint_format_address(&override->address, ip), endpoint,
				       newline);
	}
	return g_string_free(out, FALSE);
}

static void
edit_text(Change *change)
{
	g_autofree gboolean *have = g_new0(gboolean, change->n + 1);
	const char *newline = newline_of(change);
	g_autofree char *lines = NULL;
	gboolean broken = change->len > 0 && change->text[change->len - 1] != '\n';
	gsize at = change->len;
	guint table;
	gboolean there = inn_toml_table(change->toml, INN_CONF_OVERRIDES, &table) != NULL;

	if (there)
		at = edit_entries(change, table, have);
	lines = new_lines(change, have, newline);
	if (*lines == '\0')
		return;
	add_edit(change, at, 0,
		 g_strconcat(broken && at == change->len ? newline : "", there ? "" : newline,
			     there ? "" : "[" INN_CONF_OVERRIDES "]", there ? "" : newline, lines,
			     NULL));
}

static char *
apply(const Change *change)
{
	gsize size = change->len + 1, from = 0;
	GString *out;

	for (guint i = 0; i < change->edits->len; i++)
		size += strlen(g_array_index(change->edits, Edit, i).text);
	out = g_string_sized_new(size);
	for (guint i = 0; i < change->edits->len; i++) {
		const Edit *edit = &g_array_index(change->edits, Edit, i);

		g_string_append_len(out, change->text + from, (gssize)(edit->at - from));
		g_string_append(out, edit->text);
		from = edit->at + edit->cut;
	}
	g_string_append_len(out, change->text + from, (gssize)(change->len - from));
	return g_string_free(out, FALSE);
}

static gboolean
check_overrides(const InnOverride *overrides, gsize n, const char *name, GError **error)
{
	for (gsize i = 0; i < n; i++)
		if (wg_endpoint_is_link_local(&overrides[i].endpoint) &&
		    wg_endpoint_family(&overrides[i].endpoint) == AF_INET6)
			return inn_conf_refuse(
				name, 0,
				"innernet reads no link-local endpoint: override with "
				"another address",
				error);
	return TRUE;
}

/* That what was written is such a file again. */
static gboolean
is_file(const char *text, const char *name, GError **error)
{
	g_autoptr(InnConf) conf = NULL;
	gsize len = strlen(text);

	if (len > INN_CONF_MAX)
		return inn_conf_refuse(name, 0, "no room for the overrides: more than 64 kB",
				       error);
	conf = inn_conf_parse(text, len, name, error);
	return conf != NULL;
}

char *
inn_conf_override(const char *text, gsize len, const char *name, const InnOverride *overrides,
		  gsize n, GError **error)
{
	g_autoptr(InnToml) toml = inn_conf_toml(text, len, name, error);
	g_autoptr(InnConf) conf = toml ? inn_conf_from_toml(toml, name, error) : NULL;
	g_autofree char *shown = nat_log_escape(name, -1);
	Change change = {text, len, toml, overrides, n, NULL};
	char *out;

	if (!conf || !check_overrides(overrides, n, shown, error))
		return NULL;
	change.edits = g_array_new(FALSE, FALSE, sizeof(Edit));
	g_array_set_clear_func(change.edits, edit_clear);
	edit_text(&change);
	out = apply(&change);
	g_array_unref(change.edits);
	if (is_file(out, name, error))
		return out;
	sodium_memzero(out, strlen(out));
	g_free(out);
	return NULL;
}
