/* SPDX-License-Identifier: MIT */
#include "agent/portmap/map-state.h"

#include <string.h>

#include "agent/nat-state-file.h"
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

static const char *
group_of(int family)
{
	return family == AF_INET6 ? "ipv6" : "ipv4";
}

static char *
get(const MapState *state, int family, const char *key)
{
	return g_key_file_get_string(nat_state_file_keys(state->file), group_of(family), key, NULL);
}

char *
map_state_interface(const MapState *state)
{
	char *name = get(state, AF_INET, "interface");

	return name ? name : get(state, AF_INET6, "interface");
}

static gboolean
get_endpoint(const MapState *state, int family, const char *key, WgEndpoint *out)
{
	g_autofree char *text = get(state, family, key);

	return text && wg_endpoint_parse(text, out) && wg_endpoint_family(out) == family;
}

static gboolean
get_number(const MapState *state, int family, const char *key, gint64 *out)
{
	*out = g_key_file_get_int64(nat_state_file_keys(state->file), group_of(family), key, NULL);
	return *out >= 0;
}

static void
get_nonce(const MapState *state, int family, guint8 nonce[MAP_NONCE_LEN])
{
	g_autofree char *hex = get(state, family, "nonce");

	for (gsize i = 0; hex && strlen(hex) == 2 * MAP_NONCE_LEN && i < MAP_NONCE_LEN; i++)
		nonce[i] = (guint8)(g_ascii_xdigit_value(hex[2 * i]) << 4 |
				    (g_ascii_xdigit_value(hex[2 * i + 1]) & 15));
}

/* What is left of it, where the clock can be believed: since it was granted it has not gone back.
 */
static void
get_life(const MapState *state, int family, MapGrant *grant)
{
	gint64 now_s = g_get_real_time() / G_USEC_PER_SEC, granted_s, lifetime_s;

	grant->at_us = g_get_monotonic_time();
	grant->lifetime_s = 1;
	if (!get_number(state, family, "granted", &granted_s) ||
	    !get_number(state, family, "lifetime", &lifetime_s))
		return;
	if (lifetime_s == 0 && grant->protocol == MAP_UPNP)
		grant->lifetime_s = 0;
	else if (now_s >= granted_s && now_s - granted_s < lifetime_s &&
		 lifetime_s <= MAP_LIFETIME_MAX_S)
		grant->lifetime_s = (guint32)(lifetime_s - (now_s - granted_s));
}

gboolean
map_state_get(const MapState *state, int family, MapPlace *place, MapGrant *grant)
{
	g_autofree char *protocol = get(state, family, "protocol");
	g_autofree char *path = get(state, family, "control_path");
	g_autofree char *service = get(state, family, "service");
	gint64 fwmark, port, ifindex;

	memset(place, 0, sizeof *place);
	memset(grant, 0, sizeof *grant);
	if (!map_protocol_from_string(protocol, &grant->protocol) ||
	    !get_endpoint(state, family, "gateway", &place->gateway) ||
	    !get_endpoint(state, family, "own", &place->own) ||
	    !get_endpoint(state, family, "external", &grant->external) ||
	    !get_number(state, family, "fwmark", &fwmark) ||
	    !get_number(state, family, "ifindex", &ifindex) ||
	    !get_number(state, family, "control_port", &port))
		return FALSE;
	place->fwmark = (guint32)fwmark;
	place->ifindex = (int)ifindex;
	grant->control_port = (guint16)port;
	g_strlcpy(grant->control_path, path && *path == '/' ? path : "/",
		  sizeof grant->control_path);
	g_strlcpy(grant->service, service ? service : "", sizeof grant->service);
	get_nonce(state, family, grant->nonce);
	get_life(state, family, grant);
	return TRUE;
}

static void
put_endpoint(GKeyFile *keys, const char *group, const char *key, const WgEndpoint *endpoint)
{
	char text[WG_ENDPOINT_STRLEN];

	g_key_file_set_string(keys, group, key, wg_endpoint_format(endpoint, text));
}

void
map_state_put(MapState *state, const MapPlace *place, const MapGrant *grant)
{
	GKeyFile *keys = nat_state_file_keys(state->file);
	const char *group = group_of(wg_endpoint_family(&place->own));
	gint64 age_s = (g_get_monotonic_time() - grant->at_us) / G_USEC_PER_SEC;
	char hex[2 * MAP_NONCE_LEN + 1];

	for (gsize i = 0; i < MAP_NONCE_LEN; i++)
		g_snprintf(hex + 2 * i, 3, "%02x", grant->nonce[i]);
	g_key_file_set_string(keys, group, "interface", state->ifname ? state->ifname : "");
	g_key_file_set_string(keys, group, "protocol", map_protocol_to_string(grant->protocol));
	put_endpoint(keys, group, "gateway", &place->gateway);
	put_endpoint(keys, group, "own", &place->own);
	put_endpoint(keys, group, "external", &grant->external);
	g_key_file_set_int64(keys, group, "fwmark", place->fwmark);
	g_key_file_set_int64(keys, group, "ifindex", place->ifindex);
	g_key_file_set_int64(keys, group, "granted", g_get_real_time() / G_USEC_PER_SEC - age_s);
	g_key_file_set_int64(keys, group, "lifetime", grant->lifetime_s);
	g_key_file_set_string(keys, group, "nonce", hex);
	g_key_file_set_int64(keys, group, "control_port", grant->control_port);
	g_key_file_set_string(keys, group, "control_path", grant->control_path);
	g_key_file_set_string(keys, group, "service", grant->service);
	nat_state_file_save(state->file);
}

void
map_state_drop(MapState *state, int family)
{
	if (g_key_file_remove_group(nat_state_file_keys(state->file), group_of(family), NULL))
		nat_state_file_save(state->file);
}
