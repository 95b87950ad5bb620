/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation. The gateways that WireGuard's packets leave by (map-gateway), a few of each
 * family, have a MapSide each, with its MapGate. What a gate holds is written down (map-state) the
 * moment it does, what it asks for before it is known to be ours; what is written down is taken up
 * at the next start where gateway, own address and port are the same, else it is owed, as all that
 * is held at a gateway that we leave, and map-debts removes it. Whether a mapping is published is
 * asked of STUN each time anew (map-belief): one that nobody could reach is held, because a router
 * may be the exposed host of another one behind it, but is not offered.
 */
#include <string.h>

#include "agent/portmap/map-private.h"
#include "agent/portmap/map-removal.h"

#define PLACES_MAX 3 /* gateways of a family */
#define LOOK_S 60    /* destinations come and go */
#define SOON_MS 200
#define HASTE_US (5 * G_USEC_PER_SEC) /* between looks that are not waited for */
#define KERNEL_RETRY_S 5	      /* that did not answer */
/* So long a gateway is kept that no route in use leads by, while the network is the same. */
#define UNUSED_US (600 * G_USEC_PER_SEC)

void
map_update(Map *map)
{
	gboolean news = map->news;

	map->news = FALSE;
	for (guint i = 0; i < map->sides->len; i++) {
		MapSide *side = g_ptr_array_index(map->sides, i);

		news |= map_side_update(side);
		map_side_say(side);
	}
	map_debts_look(map->debts);
	if (news)
		map->env.changed(map->env.user_data);
}

/* ---- gateways ---- */

static MapSide *
side_at(const Map *map, const MapPlace *place)
{
	for (guint i = 0; i < map->sides->len; i++) {
		MapSide *side = g_ptr_array_index(map->sides, i);

		if (map_place_equal(&side->place, place))
			return side;
	}
	return NULL;
}

static guint
count_family(const GPtrArray *sides, int family)
{
	guint n = 0;

	for (guint i = 0; i < sides->len; i++)
		n += map_side_family(g_ptr_array_index(sides, i)) == family;
	return n;
}

static void
take_place(Map *map, const MapPlace *place, GPtrArray *sides)
{
	MapSide *side = side_at(map, place);

	if (count_family(sides, wg_endpoint_family(&place->own)) >= PLACES_MAX)
		return;
	if (side)
		g_ptr_array_remove(map->sides, side);
	else
		side = map_side_new(map, place);
	map->moved |= side->found_us == 0;
	side->found_us = g_get_monotonic_time();
	side->place.far = place->far;
	g_ptr_array_add(sides, side);
}

/* Of each family the internet's, which is its first, then those that we have: where there are more
 * than there may be, the same ones stay. */
static void
take_places(Map *map, GArray *places, GPtrArray *sides)
{
	for (guint round = 0; round < 3; round++) {
		for (guint i = 0; i < places->len;) {
			const MapPlace place = g_array_index(places, MapPlace, i);
			int family = wg_endpoint_family(&place.own);

			if ((round == 0 && count_family(sides, family) > 0) ||
			    (round == 1 && !side_at(map, &place))) {
				i++;
				continue;
			}
			take_place(map, &place, sides);
			g_array_remove_index(places, i);
		}
	}
}

/* Sides that no route in use leads by any more: kept a while, for a peer that is away comes back.
 */
static void
part_with_sides(Map *map, GPtrArray *sides, gboolean network_changed)
{
	gint64 oldest = g_get_monotonic_time() - UNUSED_US;

	while (map->sides->len > 0) {
		MapSide *side = g_ptr_array_steal_index(map->sides, 0);

		if (!network_changed && side->found_us >= oldest &&
		    count_family(sides, map_side_family(side)) < PLACES_MAX) {
			g_ptr_array_add(sides, side);
			continue;
		}
		map->moved = TRUE;
		map->news |= wg_endpoint_is_set(&side->told);
		map_side_say_gone(side);
		map_side_free(side, FALSE);
	}
}

static gboolean
is_at_a_side(const Map *map, const MapPlace *place)
{
	for (guint i = 0; i < map->sides->len; i++) {
		const MapSide *side = g_ptr_array_index(map->sides, i);

		if (map_place_same_to_gateway(&side->place, place))
			return TRUE;
	}
	return FALSE;
}

/* What an earlier run held elsewhere is owed. */
static void
disown_strangers(Map *map)
{
	g_autoptr(GArray) entries = map_state_entries(map->state);

	for (guint i = 0; i < entries->len; i++) {
		MapEntry *entry = &g_array_index(entries, MapEntry, i);

		if (entry->owed || is_at_a_side(map, &entry->place))
			continue;
		entry->owed = TRUE;
		map_state_put(map->state, entry);
	}
}

static void
open_needed(Map *map)
{
	for (guint i = 0; i < map->sides->len; i++)
		map_side_open_if_needed(g_ptr_array_index(map->sides, i));
}

/* There are more destinations than are asked for, not always the same ones: those that our sides
 * were found by come first. */
static void
put_known_first(const Map *map, GArray *far)
{
	if (far->len < MAP_FAR_MAX)
		return;
	for (guint i = 0; i < map->sides->len; i++) {
		const MapSide *side = g_ptr_array_index(map->sides, i);

		if (wg_endpoint_is_set(&side->place.far))
			g_array_prepend_val(far, side->place.far);
	}
}

/* FALSE: the kernel does not answer; all is as it was. */
static gboolean
find_places(Map *map, gboolean network_changed)
{
	g_autoptr(GArray) far = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));
	g_autoptr(GArray) places = NULL;
	GPtrArray *sides;

	if (map->env.destinations)
		map->env.destinations(far, map->env.user_data);
	put_known_first(map, far);
	places = map->env.off
			 ? g_array_new(FALSE, FALSE, sizeof(MapPlace))
			 : map_gateway_find(map->env.fib, (const WgEndpoint *)(gpointer)far->data,
					    far->len, map->env.port, map->env.fwmark);
	if (!places)
		return FALSE;
	sides = g_ptr_array_new();
	take_places(map, places, sides);
	part_with_sides(map, sides, network_changed);
	g_ptr_array_unref(map->sides);
	map->sides = sides;
	disown_strangers(map);
	open_needed(map);
	return TRUE;
}

static void look(Map *map, gboolean network_changed);

static gboolean
on_timer(gpointer user_data)
{
	Map *map = user_data;

	map->timer = 0;
	look(map, FALSE);
	map_update(map);
	return G_SOURCE_REMOVE;
}

static void
look(Map *map, gboolean network_changed)
{
	gboolean ok = find_places(map, network_changed);

	g_clear_handle_id(&map->timer, g_source_remove);
	map->hurried = FALSE;
	if (!map->env.off)
		map->timer = g_timeout_add_seconds(ok ? LOOK_S : KERNEL_RETRY_S, on_timer, map);
}

static void
on_announce(const WgEndpoint *from, gpointer user_data)
{
	Map *map = user_data;

	for (guint i = 0; i < map->sides->len; i++) {
		MapSide *side = g_ptr_array_index(map->sides, i);

		if (wg_endpoint_same_address(from, &side->place.gateway))
			map_side_announced(side);
	}
}

/* ---- life ---- */

static gboolean
is_spared(const MapEntry *entry, gpointer user_data)
{
	Map *map = user_data;

	for (guint i = 0; i < map->sides->len; i++)
		if (map_side_spares(g_ptr_array_index(map->sides, i), entry))
			return TRUE;
	return FALSE;
}

Map *
map_new(const MapEnv *env)
{
	Map *map = g_new0(Map, 1);

	map->env = *env;
	map->public_key = *env->public_key;
	map->env.public_key = &map->public_key;
	map->sides = g_ptr_array_new();
	if (env->server_port == 0)
		map->env.server_port = MAP_CODEC_PORT;
	if (env->ssdp_port == 0)
		map->env.ssdp_port = MAP_SSDP_PORT;
	map->state = map_state_new(env->state_dir, &map->public_key, env->ifname);
	map->debts =
		map_debts_new(map->state, map->env.server_port, map->env.ssdp_port, is_spared, map);
	if (!env->off)
		map->announce = map_announce_new(on_announce, map);
	look(map, TRUE);
	map->moved = FALSE;
	map_debts_look(map->debts);
	return map;
}

/* The process ends: one datagram for each, by protocols that have it. Whether it came is not known,
 * so that they stay written down. What UPnP holds stays as it is: the next start, or teardown,
 * finds it. */
static void
send_removals(Map *map)
{
	g_autoptr(GArray) entries = map_state_entries(map->state);

	for (guint i = 0; i < entries->len; i++) {
		const MapEntry *entry = &g_array_index(entries, MapEntry, i);

		if (entry->owed && entry->grant.protocol != MAP_UPNP)
			map_removal_send(&entry->place, map->env.server_port, &entry->grant);
	}
}

static gboolean
stays(const MapSide *side, MapFate fate)
{
	return fate == MAP_KEEP || (fate == MAP_END && map_side_grant(side)->protocol == MAP_UPNP);
}

void
map_free(Map *map, MapFate fate)
{
	if (!map)
		return;
	while (map->sides->len > 0) {
		MapSide *side = g_ptr_array_steal_index(map->sides, 0);

		map_side_free(side, stays(side, fate));
	}
	if (fate == MAP_END)
		send_removals(map);
	g_clear_handle_id(&map->timer, g_source_remove);
	map_announce_free(map->announce);
	if (fate == MAP_RELEASE) {
		map_debts_finish(map->debts, map->state);
	} else {
		map_debts_free(map->debts);
		map_state_free(map->state);
	}
	g_ptr_array_unref(map->sides);
	g_free(map);
}

void
map_network_changed(Map *map)
{
	look(map, TRUE);
	for (guint i = 0; i < map->sides->len; i++)
		map_side_check(g_ptr_array_index(map->sides, i));
	map_update(map);
	map_debts_retry(map->debts, map->moved);
	map->moved = FALSE;
}

void
map_destinations_changed(Map *map)
{
	gint64 now = g_get_monotonic_time();
	gint64 due = MAX(now + SOON_MS * 1000, map->hurried_us + HASTE_US);

	if (map->env.off || map->hurried)
		return;
	map->hurried = TRUE;
	map->hurried_us = due;
	g_clear_handle_id(&map->timer, g_source_remove);
	map->timer = g_timeout_add((guint)((due - now) / 1000), on_timer, map);
}

void
map_mapping_changed(Map *map)
{
	open_needed(map);
	map_update(map);
}

/* ---- what others ask ---- */

static gboolean
has_endpoint(const GArray *candidates, const WgEndpoint *endpoint)
{
	for (guint i = 0; i < candidates->len; i++)
		if (wg_endpoint_equal(&g_array_index(candidates, NatCandidate, i).endpoint,
				      endpoint))
			return TRUE;
	return FALSE;
}

void
map_add_candidates(const Map *map, GArray *candidates)
{
	for (guint i = 0; i < map->sides->len; i++) {
		const MapSide *side = g_ptr_array_index(map->sides, i);
		NatCandidate cand = {.type = NAT_CAND_SRFLX, .endpoint = side->told};

		if (wg_endpoint_is_set(&cand.endpoint) && !has_endpoint(candidates, &cand.endpoint))
			g_array_append_val(candidates, cand);
	}
}

gboolean
map_is_up(const Map *map)
{
	for (guint i = 0; i < map->sides->len; i++) {
		const MapSide *side = g_ptr_array_index(map->sides, i);

		if (map_side_family(side) == AF_INET)
			return wg_endpoint_is_set(&side->told);
	}
	return FALSE;
}

guint64
map_dropped(const Map *map)
{
	guint64 sum = map->dropped;

	for (guint i = 0; i < map->sides->len; i++) {
		const MapSide *side = g_ptr_array_index(map->sides, i);

		if (side->gate)
			sum += map_gate_dropped(side->gate);
	}
	return sum;
}
