/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "agent/portmap/map-private.h"

#define EARLY_US (60 * G_USEC_PER_SEC)

static const MapGrant NONE;

int
map_side_family(const MapSide *side)
{
	return wg_endpoint_family(&side->place.own);
}

const MapGrant *
map_side_grant(const MapSide *side)
{
	return side->gate ? map_gate_grant(side->gate) : &NONE;
}

GArray *
map_side_seen(const MapSide *side)
{
	const MapEnv *env = &side->map->env;

	return env->seen(&side->place.own, env->user_data);
}

/* ---- the state ---- */

static void
put(MapSide *side, const MapGrant *grant, gboolean owed)
{
	MapEntry entry = {.place = side->place, .grant = *grant, .owed = owed};

	map_state_put(side->map->state, &entry);
}

static void
drop(MapSide *side, const MapGrant *grant)
{
	MapEntry entry = {.place = side->place, .grant = *grant};

	map_state_drop(side->map->state, &entry);
}

/* PCP and NAT-PMP say themselves that a mapping is lost, and another of theirs has taken its place;
 * of UPnP nobody knows. */
static void
part_with(MapSide *side, const MapGrant *old)
{
	if (old->protocol == MAP_UPNP)
		put(side, old, TRUE);
	else
		drop(side, old);
}

static void
save_held(MapSide *side)
{
	const MapGrant *grant = map_side_grant(side);

	if (memcmp(grant, &side->saved, sizeof *grant) == 0)
		return;
	if (map_grant_is_set(&side->saved) && !map_grant_same_mapping(&side->saved, grant))
		part_with(side, &side->saved);
	else if (map_grant_is_set(&side->saved) && !map_grant_is_set(grant))
		part_with(side, &side->saved);
	side->saved = *grant;
	if (map_grant_is_set(grant))
		put(side, grant, FALSE);
}

static gboolean
is_owed(const MapSide *side, const MapGrant *grant)
{
	MapEntry entry = {.place = side->place, .grant = *grant};

	return map_state_is_owed(side->map->state, &entry);
}

/* The router has declined it: unless it was there before, there is nothing to be given back. */
static void
drop_unmade(MapSide *side)
{
	const MapGrant *unmade = side->gate ? map_gate_unmade(side->gate) : &NONE;

	if (map_grant_is_set(&side->saved_pending) && map_grant_is_set(unmade) &&
	    map_grant_same_mapping(&side->saved_pending, unmade) && !side->owed_before)
		drop(side, &side->saved_pending);
}

static void
save_pending(MapSide *side)
{
	const MapGrant *pending = side->gate ? map_gate_pending(side->gate) : &NONE;
	gboolean same = map_grant_is_set(pending) && map_grant_is_set(&side->saved_pending) &&
			map_grant_same_mapping(pending, &side->saved_pending);

	if (memcmp(pending, &side->saved_pending, sizeof *pending) == 0)
		return;
	if (!same) {
		drop_unmade(side);
		side->owed_before = map_grant_is_set(pending) && is_owed(side, pending);
	}
	side->saved_pending = *pending;
	if (map_grant_is_set(pending))
		put(side, pending, TRUE);
}

/* What an earlier run owes is wanted again as long as the gate asks for it, so that one that is
 * just giving it back does not remove what we get. */
static void
save_wished(MapSide *side)
{
	const MapGrant *grant = map_side_grant(side);

	if (!map_grant_is_set(&side->wished))
		return;
	if (map_grant_is_set(grant) ? !map_grant_same_mapping(grant, &side->wished)
				    : side->gate && map_gate_state(side->gate) != MAP_GATE_ASKING)
		put(side, &side->wished, TRUE);
	else if (!map_grant_is_set(grant))
		return;
	side->wished = NONE;
}

gboolean
map_side_update(MapSide *side)
{
	const MapGrant *grant = map_side_grant(side);
	g_autoptr(GArray) seen = map_side_seen(side);
	WgEndpoint now = {0}, before = side->told;

	/* what was asked for and is held now comes last */
	save_wished(side);
	save_pending(side);
	save_held(side);
	if (map_grant_is_set(grant) &&
	    map_belief(&grant->external, (const WgEndpoint *)(gpointer)seen->data, seen->len) ==
		    MAP_BELIEVED)
		now = grant->external;
	side->told = now;
	return !wg_endpoint_equal(&now, &before);
}

/* A router may have one table for all protocols: what is removed by one is gone for the other. Of
 * PCP and NAT-PMP there is one mapping for our port, which the gate is about to take up. */
gboolean
map_side_spares(const MapSide *side, const MapEntry *entry)
{
	guint16 port = wg_endpoint_port(&entry->grant.external);

	if (!side->gate || !map_place_same_to_gateway(&side->place, &entry->place))
		return FALSE;
	return entry->grant.protocol != MAP_UPNP ||
	       port == wg_endpoint_port(&map_gate_pending(side->gate)->external) ||
	       port == wg_endpoint_port(&map_side_grant(side)->external);
}

/* ---- what an earlier run has left ---- */

/* How good it is to begin with; 0: it is not of this place, or of no use. UPnP's may be owed, for
 * at the start of a host a gateway comes late: it is looked at whether it is there. */
static guint
worth(const MapSide *side, const MapEntry *entry)
{
	gboolean sound = !map_entry_is_over(entry, g_get_monotonic_time());

	if (!map_place_same_to_gateway(&entry->place, &side->place))
		return 0;
	if (entry->grant.protocol == MAP_UPNP)
		return sound && !entry->grant.unsure ? 2 : 0;
	return sound && !entry->owed ? 3 : 1;
}

/* Of this place, and not what is taken up. */
static void
set_aside(MapSide *side, const MapEntry *entry)
{
	if (!map_place_same_to_gateway(&entry->place, &side->place))
		return;
	if (entry->grant.protocol != MAP_UPNP)
		drop(side, &entry->grant);
	else if (!entry->owed)
		put(side, &entry->grant, TRUE);
}

/* FALSE: there is nothing. One that is owed, or over, is only asked for again. */
static gboolean
take_up(MapSide *side, MapEntry *kept)
{
	g_autoptr(GArray) entries = map_state_entries(side->map->state);
	const MapEntry *best = NULL;
	guint best_worth = 0;

	for (guint i = 0; i < entries->len; i++) {
		const MapEntry *entry = &g_array_index(entries, MapEntry, i);

		if (worth(side, entry) > best_worth) {
			best = entry;
			best_worth = worth(side, entry);
		}
	}
	for (guint i = 0; i < entries->len; i++)
		if (&g_array_index(entries, MapEntry, i) != best)
			set_aside(side, &g_array_index(entries, MapEntry, i));
	if (!best)
		return FALSE;
	*kept = *best;
	kept->owed = best_worth == 1;
	return TRUE;
}

static void
on_gate(gpointer user_data)
{
	map_update(((MapSide *)user_data)->map);
}

void
map_side_open_if_needed(MapSide *side)
{
	g_autoptr(GArray) seen = NULL;
	MapEntry kept;
	gboolean has;

	if (side->gate)
		return;
	seen = map_side_seen(side);
	if (!map_is_needed(&side->place.own, (const WgEndpoint *)(gpointer)seen->data, seen->len))
		return;
	has = take_up(side, &kept);
	if (has) {
		put(side, &kept.grant, FALSE);
		*(kept.owed ? &side->wished : &side->saved) = kept.grant;
	}
	side->gate = map_gate_new(&side->place, side->map->env.server_port,
				  side->map->env.ssdp_port, has ? &kept : NULL, on_gate, side);
}

/* ---- before its time ---- */

void
map_side_check(MapSide *side)
{
	gint64 now = g_get_monotonic_time();

	if (!side->gate)
		return;
	if (!map_grant_is_set(map_side_grant(side))) {
		if (side->early_us != 0 && now - side->early_us < EARLY_US)
			return;
		side->early_us = now;
	}
	map_gate_check(side->gate);
}

void
map_side_announced(MapSide *side)
{
	if (side->gate &&
	    (map_grant_is_set(map_side_grant(side)) || map_gate_has_answered(side->gate)))
		map_side_check(side);
}

/* ---- life ---- */

MapSide *
map_side_new(Map *map, const MapPlace *place)
{
	MapSide *side = g_new0(MapSide, 1);

	side->map = map;
	side->place = *place;
	return side;
}

void
map_side_free(MapSide *side, gboolean keep)
{
	map_side_update(side);
	if (map_grant_is_set(&side->wished))
		put(side, &side->wished, TRUE);
	if (!keep && map_grant_is_set(&side->saved))
		put(side, &side->saved, TRUE);
	if (side->gate)
		side->map->dropped += map_gate_dropped(side->gate);
	map_gate_free(side->gate);
	g_free(side->said);
	g_free(side);
}
