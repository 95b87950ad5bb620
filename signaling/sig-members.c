/* SPDX-License-Identifier: MIT */
/*
 * A network is an interned string (GRefString), so that scopes of different lists can be compared
 * by pointers while a reload goes through the connections. Each scope holds its names.
 */
#include "signaling/sig-members.h"

#include <gio/gio.h>
#include <string.h>

struct SigScope {
	guint n;
	char *names[]; /* GRefString, interned, in the order of their addresses */
};

struct SigMembers {
	GHashTable *scopes; /* WgKey → SigScope */
	GHashTable
		*single; /* name → SigScope of that network alone, which holds it; most are these */
};

/* ---- scopes ---- */

static SigScope *
scope_new(guint n)
{
	SigScope *scope = g_rc_box_alloc0(sizeof(SigScope) + n * sizeof(char *));

	scope->n = n;
	return scope;
}

SigScope *
sig_scope_ref(const SigScope *scope)
{
	return scope ? g_rc_box_acquire((gpointer)scope) : NULL;
}

static void
scope_clear(gpointer p)
{
	SigScope *scope = p;

	for (guint i = 0; i < scope->n; i++)
		g_ref_string_release(scope->names[i]);
}

void
sig_scope_unref(SigScope *scope)
{
	if (scope)
		g_rc_box_release_full(scope, scope_clear);
}

gboolean
sig_scope_share(const SigScope *a, const SigScope *b)
{
	if (a == b)
		return TRUE;
	if (!a || !b)
		return FALSE;
	for (guint i = 0, j = 0; i < a->n && j < b->n;) {
		if (a->names[i] == b->names[j])
			return TRUE;
		if ((guintptr)a->names[i] < (guintptr)b->names[j])
			i++;
		else
			j++;
	}
	return FALSE;
}

gboolean
sig_scope_equal(const SigScope *a, const SigScope *b)
{
	if (a == b)
		return TRUE;
	return a && b && a->n == b->n && memcmp(a->names, b->names, a->n * sizeof a->names[0]) == 0;
}

static gboolean
scope_has(const SigScope *scope, const char *name)
{
	for (guint i = 0; i < scope->n; i++)
		if (scope->names[i] == name)
			return TRUE;
	return FALSE;
}

/* scope with one network more. (transfer full) */
static SigScope *
scope_with(const SigScope *scope, char *name)
{
	SigScope *more = scope_new(scope->n + 1);
	guint at = 0;

	while (at < scope->n && (guintptr)scope->names[at] < (guintptr)name)
		at++;
	memcpy(more->names, scope->names, at * sizeof name);
	more->names[at] = name;
	memcpy(more->names + at + 1, scope->names + at, (scope->n - at) * sizeof name);
	for (guint i = 0; i < more->n; i++)
		g_ref_string_acquire(more->names[i]);
	return more;
}

/* ---- the list ---- */

static SigScope *
network(SigMembers *members, const char *text)
{
	char *name = g_ref_string_new_intern(text);
	SigScope *scope = g_hash_table_lookup(members->single, name);

	if (scope) {
		g_ref_string_release(name);
		return scope;
	}
	scope = scope_new(1);
	scope->names[0] = name;
	g_hash_table_insert(members->single, name, scope);
	return scope;
}

static void
add(SigMembers *members, const WgKey *key, SigScope *in)
{
	const SigScope *has = g_hash_table_lookup(members->scopes, key);

	if (!has)
		g_hash_table_insert(members->scopes, g_memdup2(key, sizeof *key),
				    sig_scope_ref(in));
	else if (!scope_has(has, in->names[0]))
		g_hash_table_insert(members->scopes, g_memdup2(key, sizeof *key),
				    scope_with(has, in->names[0]));
}

/* NULL: not a name. line is changed. */
static const char *
header_name(char *line)
{
	gsize len = strlen(line);

	if (len < 3 || len > SIG_NETWORK_NAME_MAX + 2 || line[len - 1] != ']')
		return NULL;
	line[len - 1] = 0;
	for (const char *p = line + 1; *p; p++)
		if (!g_ascii_isgraph(*p) || *p == '[' || *p == ']')
			return NULL;
	return line + 1;
}

static const char *
take_line(SigMembers *members, char *line, SigScope **current)
{
	const char *name;
	WgKey key;

	g_strstrip(line);
	if (line[0] == 0 || line[0] == '#')
		return NULL;
	if (line[0] == '[') {
		name = header_name(line);
		if (!name)
			return "must be [NAME], of at most 64 letters, digits and signs";
		*current = network(members, name);
		return NULL;
	}
	line[strcspn(line, " \t#")] = 0;
	if (!wg_key_parse(line, &key))
		return "must begin with a WireGuard public key (44 characters, as `wg show` "
		       "prints it), [NAME] or #";
	if (wg_key_is_zero(&key))
		return "the key is all zero, which is nobody's";
	add(members, &key, *current);
	return NULL;
}

SigMembers *
sig_members_parse(const char *text, gsize len, const char *name, GError **error)
{
	g_autoptr(SigMembers) members = g_new0(SigMembers, 1);
	SigScope *current;
	guint number = 0;

	members->scopes = g_hash_table_new_full(wg_key_hash, wg_key_equal, g_free,
						(GDestroyNotify)sig_scope_unref);
	members->single = g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify)sig_scope_unref);
	current = network(members, "");
	for (const char *at = text, *end = text + len; at < end; number++) {
		const char *stop = memchr(at, '\n', end - at);
		g_autofree char *line = g_strndup(at, (stop ? stop : end) - at);
		const char *wrong = take_line(members, line, &current);

		if (wrong) {
			g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "%s:%u: %s", name,
				    number + 1, wrong);
			return NULL;
		}
		at = stop ? stop + 1 : end;
	}
	return g_steal_pointer(&members);
}

void
sig_members_free(SigMembers *members)
{
	g_hash_table_unref(members->scopes);
	g_hash_table_unref(members->single);
	g_free(members);
}

const SigScope *
sig_members_find(const SigMembers *members, const WgKey *key)
{
	return g_hash_table_lookup(members->scopes, key);
}

guint
sig_members_n_keys(const SigMembers *members)
{
	return g_hash_table_size(members->scopes);
}

guint
sig_members_n_networks(const SigMembers *members)
{
	return g_hash_table_size(members->single);
}
