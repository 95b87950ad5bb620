/* SPDX-License-Identifier: MIT */
#include "agent/innernet/inn-hold.h"

#include "agent/base/nat-state-file.h"
#include "agent/innernet/inn-conf-private.h"

#define GROUP "overrides"
#define SPACE_US (2 * (gint64)G_USEC_PER_SEC)
#define LOOK_US (30 * (gint64)G_USEC_PER_SEC) /* others change the file as well */

struct InnHold {
	char *ifname, *path;
	NatStateFile *ours; /* of the file: address → endpoint, as far as we wrote them */
	gint64 looked_us;
	GArray *last;	 /* of InnOverride: what was wanted then */
	gboolean failed; /* said once */
};

InnHold *
inn_hold_new(const char *ifname, const char *conf_path, const char *state_dir,
	     const WgKey *own_public)
{
	InnHold *hold = g_new0(InnHold, 1);

	hold->ifname = g_strdup(ifname);
	hold->path = g_strdup(conf_path);
	hold->last = g_array_new(FALSE, FALSE, sizeof(InnOverride));
	hold->ours = nat_state_file_new_for_key(
		state_dir, "innernet", own_public,
		"endpoints that we held in innernet's file may stay there after a crash");
	return hold;
}

static InnToml *
read_conf(InnHold *hold)
{
	gsize len = 0;
	char *text = inn_conf_read(hold->path, &len, NULL);
	InnToml *toml = text != NULL ? inn_toml_parse(text, len, NULL) : NULL;

	inn_conf_free_text(text, len);
	return toml;
}

/* (transfer none) NULL: none */
static const char *
entry_of(const InnToml *toml, const char *address)
{
	const InnTomlEntry *entry = inn_toml_entry(toml, INN_CONF_OVERRIDES, address);

	return entry != NULL ? entry->string : NULL;
}

/* What we wrote last, and what we were about to write: a crash may have come in between. */
static GStrv
ours_of(InnHold *hold, const char *address)
{
	return g_key_file_get_string_list(nat_state_file_keys(hold->ours), GROUP, address, NULL,
					  NULL);
}

/* An entry that is not as we wrote it is the user's. */
static gboolean
is_users(InnHold *hold, const InnToml *toml, const char *address)
{
	const char *there = entry_of(toml, address);
	g_auto(GStrv) ours = ours_of(hold, address);

	return there != NULL &&
	       (ours == NULL || !g_strv_contains((const char *const *)ours, there));
}

static gboolean
is_wanted(const char *address, const InnOverride *entries, gsize n)
{
	char text[WG_ENDPOINT_STRLEN];

	for (gsize i = 0; i < n; i++)
		if (g_strcmp0(wg_endpoint_format_address(&entries[i].address, text), address) == 0)
			return TRUE;
	return FALSE;
}

/* What was ours and is not wanted any more. */
static void
add_removals(InnHold *hold, InnToml *toml, const InnOverride *entries, gsize n, GArray *changes)
{
	g_auto(GStrv) known =
		g_key_file_get_keys(nat_state_file_keys(hold->ours), GROUP, NULL, NULL);

	for (guint i = 0; known != NULL && known[i] != NULL; i++) {
		InnOverride gone = {0};

		if (is_wanted(known[i], entries, n))
			continue;
		if (entry_of(toml, known[i]) != NULL && !is_users(hold, toml, known[i]) &&
		    wg_endpoint_parse_address(known[i], 0, &gone.address))
			g_array_append_val(changes, gone);
		g_key_file_remove_key(nat_state_file_keys(hold->ours), GROUP, known[i], NULL);
	}
}

static void
add_entries(InnHold *hold, InnToml *toml, const InnOverride *entries, gsize n, GArray *changes)
{
	GKeyFile *ours = nat_state_file_keys(hold->ours);

	for (gsize i = 0; i < n; i++) {
		char address[WG_ENDPOINT_STRLEN], endpoint[WG_ENDPOINT_STRLEN];
		const char *both[2];

		wg_endpoint_format_address(&entries[i].address, address);
		wg_endpoint_format(&entries[i].endpoint, endpoint);
		if (is_users(hold, toml, address) ||
		    g_strcmp0(entry_of(toml, address), endpoint) == 0)
			continue;
		g_array_append_val(changes, entries[i]);
		both[0] = endpoint;
		both[1] = entry_of(toml, address);
		g_key_file_set_string_list(ours, GROUP, address, both, both[1] != NULL ? 2 : 1);
	}
}

static void
write_changes(InnHold *hold, GArray *changes)
{
	g_autoptr(GError) error = NULL;

	/* first what we are about to write, so that a crash leaves nothing unknown */
	nat_state_file_save(hold->ours);
	if (inn_conf_write_overrides(hold->path, (const InnOverride *)(gpointer)changes->data,
				     changes->len, &error)) {
		hold->failed = FALSE;
		return;
	}
	if (!hold->failed)
		g_warning("%s: innernet's file can't be changed: %s: its daemon may reset the "
			  "endpoints of peers that are not connected yet",
			  hold->ifname, error->message);
	hold->failed = TRUE;
}

static gboolean
is_last(const InnHold *hold, const InnOverride *entries, gsize n)
{
	if (hold->last->len != n)
		return FALSE;
	for (gsize i = 0; i < n; i++) {
		const InnOverride *last = &g_array_index(hold->last, InnOverride, i);

		if (!wg_endpoint_equal(&last->address, &entries[i].address) ||
		    !wg_endpoint_equal(&last->endpoint, &entries[i].endpoint))
			return FALSE;
	}
	return TRUE;
}

void
inn_hold_set(InnHold *hold, const InnOverride *entries, gsize n, gint64 now_us)
{
	g_autoptr(GArray) changes = NULL;
	gint64 space = is_last(hold, entries, n) ? LOOK_US : SPACE_US;
	InnToml *toml;

	if (hold->looked_us != 0 && now_us - hold->looked_us < space)
		return;
	hold->looked_us = now_us;
	g_array_set_size(hold->last, 0);
	g_array_append_vals(hold->last, entries, (guint)n);
	toml = read_conf(hold);
	if (toml == NULL)
		return;
	changes = g_array_new(FALSE, FALSE, sizeof(InnOverride));
	add_removals(hold, toml, entries, n, changes);
	add_entries(hold, toml, entries, n, changes);
	inn_toml_free(toml);
	if (changes->len > 0)
		write_changes(hold, changes);
}

void
inn_hold_free(InnHold *hold)
{
	if (hold == NULL)
		return;
	hold->looked_us = 0;
	inn_hold_set(hold, NULL, 0, 0);
	g_key_file_remove_group(nat_state_file_keys(hold->ours), GROUP, NULL);
	nat_state_file_save(hold->ours);
	nat_state_file_free(hold->ours);
	g_array_unref(hold->last);
	g_free(hold->ifname);
	g_free(hold->path);
	g_free(hold);
}
