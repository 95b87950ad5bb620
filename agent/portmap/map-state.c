/* SPDX-License-Identifier: MIT */
#include "agent/portmap/map-state.h"

#include <string.h>

#include "agent/base/nat-state-file.h"
#include "agent/portmap/map-xml.h"

#define KIND "portmap"
#define COST "mappings at the router are not taken up again after a crash"

struct MapState {
	NatStateFile *file;
	char *ifname;
};

MapState *
map_state_new(const char *state_dir, const WgKey *own_public, const char *ifname)
{
	MapState *state = g_new0(MapState, 1);

	state->file = nat_state_file_new_for_key(state_dir, KIND, own_public, COST);
	state->ifname = g_strdup(ifname);
	return state;
}

MapState *
map_state_open(const char *state_dir, const char *name)
{
	MapState *state = g_new0(MapState, 1);

	state->file = nat_state_file_new(state_dir, name, COST);
	return state;
}

GStrv
map_state_list(const char *state_dir)
{
	g_autoptr(GStrvBuilder) names = g_strv_builder_new();
	g_autoptr(GDir) dir = g_dir_open(state_dir, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir)))
		if (g_str_has_prefix(name, KIND "-") && g_str_has_suffix(name, ".conf"))
			g_strv_builder_add(names, name);
	return g_strv_builder_end(names);
}

void
map_state_free(MapState *state)
{
	if (!state)
		return;
	nat_state_file_free(state->file);
	g_free(state->ifname);
	g_free(state);
}

static GKeyFile *
keys_of(const MapState *state)
{
	return nat_state_file_keys(state->file);
}

static char *
get(const MapState *state, const char *group, const char *key)
{
	return g_key_file_get_string(keys_of(state), group, key, NULL);
}

char *
map_state_interface(const MapState *state)
{
	g_auto(GStrv) groups = g_key_file_get_groups(keys_of(state), NULL);

	for (guint i = 0; groups[i]; i++) {
		char *name = get(state, groups[i], "interface");

		if (name)
			return name;
	}
	return NULL;
}

/* ---- one entry ---- */

static gboolean
get_endpoint(const MapState *state, const char *group, const char *key, WgEndpoint *out)
{
	g_autofree char *text = get(state, group, key);

	return text && wg_endpoint_parse(text, out);
}

static gboolean
get_number(const MapState *state, const char *group, const char *key, gint64 *out)
{
	*out = g_key_file_get_int64(keys_of(state), group, key, NULL);
	return *out >= 0;
}

static void
get_nonce(const MapState *state, const char *group, guint8 nonce[MAP_NONCE_LEN])
{
	g_autofree char *hex = get(state, group, "nonce");

	for (gsize i = 0; hex && strlen(hex) == 2 * MAP_NONCE_LEN && i < MAP_NONCE_LEN; i++)
		nonce[i] = (guint8)(g_ascii_xdigit_value(hex[2 * i]) << 4 |
				    (g_ascii_xdigit_value(hex[2 * i + 1]) & 15));
}

/* What is left of it, where the clock can be believed: since it was granted it has not gone back.
 */
static void
get_life(const MapState *state, const char *group, MapGrant *grant)
{
	gint64 now_s = g_get_real_time() / G_USEC_PER_SEC, granted_s, lifetime_s;

	grant->at_us = g_get_monotonic_time();
	grant->lifetime_s = 1;
	if (!get_number(state, group, "granted", &granted_s) ||
	    !get_number(state, group, "lifetime", &lifetime_s))
		return;
	if (lifetime_s == 0 && grant->protocol == MAP_UPNP)
		grant->lifetime_s = 0;
	else if (now_s >= granted_s && now_s - granted_s < lifetime_s &&
		 lifetime_s <= MAP_LIFETIME_MAX_S)
		grant->lifetime_s = (guint32)(lifetime_s - (now_s - granted_s));
}

static gboolean
get_place(const MapState *state, const char *group, MapPlace *place)
{
	gint64 fwmark, ifindex;

	if (!get_endpoint(state, group, "gateway", &place->gateway) ||
	    !get_endpoint(state, group, "own", &place->own) ||
	    wg_endpoint_family(&place->gateway) != wg_endpoint_family(&place->own) ||
	    !get_number(state, group, "fwmark", &fwmark) ||
	    !get_number(state, group, "ifindex", &ifindex))
		return FALSE;
	place->fwmark = (guint32)fwmark;
	place->ifindex = (int)ifindex;
	return TRUE;
}

static gboolean
get_entry(const MapState *state, const char *group, MapEntry *entry)
{
	MapGrant *grant = &entry->grant;
	g_autofree char *protocol = get(state, group, "protocol");
	g_autofree char *path = get(state, group, "control_path");
	g_autofree char *service = get(state, group, "service");
	gint64 port, unique_id;

	memset(entry, 0, sizeof *entry);
	if (!map_protocol_from_string(protocol, &grant->protocol) ||
	    !get_place(state, group, &entry->place) ||
	    !get_endpoint(state, group, "external", &grant->external) ||
	    wg_endpoint_family(&grant->external) != wg_endpoint_family(&entry->place.own) ||
	    !get_number(state, group, "control_port", &port) ||
	    !get_number(state, group, "unique_id", &unique_id))
		return FALSE;
	grant->control_port = (guint16)port;
	g_strlcpy(grant->control_path, path && *path == '/' ? path : "/",
		  sizeof grant->control_path);
	g_strlcpy(grant->service, service ? service : "", sizeof grant->service);
	get_nonce(state, group, grant->nonce);
	get_life(state, group, grant);
	grant->unique_id = (guint16)unique_id;
	grant->unsure = g_key_file_get_boolean(keys_of(state), group, "unsure", NULL);
	entry->owed = g_key_file_get_boolean(keys_of(state), group, "owed", NULL);
	return TRUE;
}

static void
put_endpoint(GKeyFile *keys, const char *group, const char *key, const WgEndpoint *endpoint)
{
	char text[WG_ENDPOINT_STRLEN];

	g_key_file_set_string(keys, group, key, wg_endpoint_format(endpoint, text));
}

static void
put_grant(GKeyFile *keys, const char *group, const MapGrant *grant)
{
	gint64 age_s = (g_get_monotonic_time() - grant->at_us) / G_USEC_PER_SEC;
	char hex[2 * MAP_NONCE_LEN + 1];

	for (gsize i = 0; i < MAP_NONCE_LEN; i++)
		g_snprintf(hex + 2 * i, 3, "%02x", grant->nonce[i]);
	g_key_file_set_string(keys, group, "protocol", map_protocol_to_string(grant->protocol));
	put_endpoint(keys, group, "external", &grant->external);
	g_key_file_set_int64(keys, group, "granted", g_get_real_time() / G_USEC_PER_SEC - age_s);
	g_key_file_set_int64(keys, group, "lifetime", grant->lifetime_s);
	g_key_file_set_string(keys, group, "nonce", hex);
	g_key_file_set_boolean(keys, group, "unsure", grant->unsure);
	g_key_file_set_int64(keys, group, "unique_id", grant->unique_id);
	g_key_file_set_int64(keys, group, "control_port", grant->control_port);
	g_key_file_set_string(keys, group, "control_path", grant->control_path);
	g_key_file_set_string(keys, group, "service", grant->service);
}

/* ---- all of them ---- */

GArray *
map_state_entries(const MapState *state)
{
	GArray *entries = g_array_new(FALSE, FALSE, sizeof(MapEntry));
	g_auto(GStrv) groups = g_key_file_get_groups(keys_of(state), NULL);

	for (guint i = 0; groups[i] && entries->len < MAP_STATE_MAX; i++) {
		MapEntry entry;

		if (get_entry(state, groups[i], &entry))
			g_array_append_val(entries, entry);
	}
	return entries;
}

/* The group that has this mapping; NULL: none. (transfer full) */
static char *
find(const MapState *state, const MapEntry *wanted)
{
	g_auto(GStrv) groups = g_key_file_get_groups(keys_of(state), NULL);

	for (guint i = 0; groups[i]; i++) {
		MapEntry entry;

		if (get_entry(state, groups[i], &entry) && map_entry_same_mapping(&entry, wanted))
			return g_strdup(groups[i]);
	}
	return NULL;
}

/* How soon it goes where there is no room; 0: never. Of what is owed, what would be there the
 * longest goes last. */
static guint
lightness(const MapEntry *entry)
{
	if (!entry->owed)
		return 0;
	if (entry->grant.unsure)
		return 4;
	if (map_entry_is_over(entry, g_get_monotonic_time()))
		return 3;
	return entry->grant.lifetime_s != 0 ? 2 : 1;
}

/* Room for one more: what cannot be understood goes, then what is owed, by its lightness, of equal
 * ones the oldest. */
static void
make_room(MapState *state)
{
	g_auto(GStrv) groups = g_key_file_get_groups(keys_of(state), NULL);
	guint n = g_strv_length(groups);

	for (guint round = 5; round > 0; round--) {
		for (guint i = 0; groups[i] && n >= MAP_STATE_MAX; i++) {
			MapEntry entry;
			gboolean known = get_entry(state, groups[i], &entry);

			if (known ? lightness(&entry) == round : round == 5)
				n -= g_key_file_remove_group(keys_of(state), groups[i], NULL);
		}
	}
}

static char *
new_group(const MapState *state)
{
	for (guint i = 1;; i++) {
		char *group = g_strdup_printf("mapping %u", i);

		if (!g_key_file_has_group(keys_of(state), group))
			return group;
		g_free(group);
	}
}

void
map_state_put(MapState *state, const MapEntry *entry)
{
	g_autofree char *group = NULL;
	GKeyFile *keys;

	nat_state_file_reload(state->file);
	group = find(state, entry);
	if (!group) {
		make_room(state);
		group = new_group(state);
	}
	keys = keys_of(state);
	g_key_file_set_string(keys, group, "interface", state->ifname ? state->ifname : "");
	put_endpoint(keys, group, "gateway", &entry->place.gateway);
	put_endpoint(keys, group, "own", &entry->place.own);
	g_key_file_set_int64(keys, group, "fwmark", entry->place.fwmark);
	g_key_file_set_int64(keys, group, "ifindex", entry->place.ifindex);
	put_grant(keys, group, &entry->grant);
	g_key_file_set_boolean(keys, group, "owed", entry->owed);
	nat_state_file_save(state->file);
}

void
map_state_drop(MapState *state, const MapEntry *entry)
{
	g_autofree char *group = NULL;

	nat_state_file_reload(state->file);
	group = find(state, entry);
	if (group && g_key_file_remove_group(keys_of(state), group, NULL))
		nat_state_file_save(state->file);
}

gboolean
map_state_is_owed(MapState *state, const MapEntry *entry)
{
	g_autofree char *group = NULL;

	nat_state_file_reload(state->file);
	group = find(state, entry);
	return group && g_key_file_get_boolean(keys_of(state), group, "owed", NULL);
}
