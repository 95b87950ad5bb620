/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation. At most one gateway a family (map-gateway), each with its MapGate. What a
 * gate holds is written down (map-state) the moment it does; what is written down is taken up at
 * the next start where gateway, own address and port are the same, else removed. Whether it is
 * published is asked of STUN each time anew (map-belief): a mapping that nobody could reach is
 * held, because a router may be the exposed host of another one behind it, but is not offered.
 */
#include "agent/portmap/map.h"

#include <string.h>

#include "agent/portmap/map-announce.h"
#include "agent/portmap/map-belief.h"
#include "agent/portmap/map-client.h"
#include "agent/portmap/map-gate.h"
#include "agent/portmap/map-state.h"
#include "agent/portmap/map-upnp.h"

#define FAMILIES 2
#define REMOVE_MS 2000 /* of teardown, each */

typedef struct {
	Map *map;
	MapGate *gate; /* NULL: no gateway, or nothing is needed there */
	MapPlace place;
	gboolean has_place;
	MapGrant saved;
} Side;

struct Map {
	MapEnv env;
	WgKey public_key;
	MapState *state;
	MapAnnounce *announce;
	Side sides[FAMILIES]; /* IPv4, IPv6 */
	char *said;
	guint64 dropped; /* by gates that are gone */
	WgEndpoint told[FAMILIES]; /* what is published */
};

static const int FAMILY[FAMILIES] = {AF_INET, AF_INET6};

/* ---- what is held ---- */

static const MapGrant *
grant_of(const Side *side)
{
	static const MapGrant NONE;

	return side->gate ? map_gate_grant(side->gate) : &NONE;
}

static MapBelief
belief(const Side *side)
{
	g_autoptr(GArray) seen = side->map->env.seen(side->map->env.user_data);

	return map_belief(&grant_of(side)->external, (const WgEndpoint *)(gpointer)seen->data,
			  seen->len);
}

static gboolean
is_published(const Side *side)
{
	return map_grant_is_set(grant_of(side)) && belief(side) == MAP_BELIEVED;
}

static void
remember(Side *side)
{
	const MapGrant *grant = grant_of(side);

	if (memcmp(grant, &side->saved, sizeof *grant) == 0)
		return;
	side->saved = *grant;
	if (map_grant_is_set(grant))
		map_state_put(side->map->state, &side->place, grant);
	else
		map_state_drop(side->map->state, FAMILY[side - side->map->sides]);
}

static void
remove_grant(const MapPlace *place, const MapGrant *grant)
{
	if (grant->protocol == MAP_UPNP)
		map_upnp_remove(place, grant, NULL, NULL);
	else
		map_client_remove(place, MAP_CODEC_PORT, grant, 0);
}

/* ---- what is told ---- */

static void
say(Map *map)
{
	MapStatus status;
	char external[WG_ENDPOINT_STRLEN], gateway[WG_ENDPOINT_STRLEN];
	g_autofree char *text = NULL;

	map_status(map, &status);
	wg_endpoint_format_address(&status.gateway, gateway);
	if (wg_endpoint_is_set(&status.external))
		text = g_strdup_printf(
			"UDP %u is mapped to %s at the router %s by %s%s%s", map->env.port,
			wg_endpoint_format(&status.external, external), gateway, status.protocol,
			status.problem ? ": " : "", status.problem ? status.problem : "");
	else if (status.problem)
		text = g_strdup_printf("UDP %u is not mapped at the router %s: %s", map->env.port,
				       gateway, status.problem);
	else if (map->said && strcmp(status.state, "asking") != 0)
		text = g_strdup_printf("UDP %u is no longer mapped at a router", map->env.port);
	if (!text || g_strcmp0(text, map->said) == 0)
		return;
	g_free(map->said);
	map->said = g_strdup(text);
	map->env.record(text, map->env.user_data);
}

static void
tell(Map *map)
{
	gboolean news = FALSE;

	for (guint i = 0; i < FAMILIES; i++) {
		Side *side = &map->sides[i];
		WgEndpoint now = {0};

		remember(side);
		if (is_published(side))
			now = grant_of(side)->external;
		news |= !wg_endpoint_equal(&now, &map->told[i]);
		map->told[i] = now;
	}
	say(map);
	if (news)
		map->env.changed(map->env.user_data);
}

/* ---- gateways ---- */

static void
on_gate(gpointer user_data)
{
	tell(((Side *)user_data)->map);
}

/* What an earlier run has held is taken up or, where the place is another, removed. */
static gboolean
take_up(Side *side, MapGrant *kept)
{
	MapPlace place;
	int family = FAMILY[side - side->map->sides];

	if (!map_state_get(side->map->state, family, &place, kept))
		return FALSE;
	if (map_place_equal(&place, &side->place) && kept->lifetime_s != 1)
		return TRUE;
	/* one that has run out, too: the clock may be wrong */
	remove_grant(&place, kept);
	map_state_drop(side->map->state, family);
	return FALSE;
}

static void
open_gate(Side *side)
{
	MapGrant kept;
	gboolean has = take_up(side, &kept);

	side->gate = map_gate_new(&side->place, MAP_CODEC_PORT, MAP_UPNP_SSDP_PORT,
				  has ? &kept : NULL, on_gate, side);
}

/* The place is no more: what is held there is given back, if it can still be reached. */
static void
shut_gate(Side *side)
{
	if (map_grant_is_set(grant_of(side)))
		remove_grant(&side->place, grant_of(side));
	side->map->dropped += map_gate_dropped(side->gate);
	g_clear_pointer(&side->gate, map_gate_free);
	map_state_drop(side->map->state, FAMILY[side - side->map->sides]);
	memset(&side->saved, 0, sizeof side->saved);
}

static void
set_place(Side *side, const MapPlace *place)
{
	if (side->gate && (!place || !map_place_equal(place, &side->place)))
		shut_gate(side);
	side->has_place = place != NULL;
	if (place)
		side->place = *place;
}

static void
open_needed(Map *map)
{
	g_autoptr(GArray) seen = map->env.seen(map->env.user_data);

	for (guint i = 0; i < FAMILIES; i++) {
		Side *side = &map->sides[i];

		if (side->has_place && !side->gate &&
		    map_is_needed(&side->place.own, (const WgEndpoint *)(gpointer)seen->data,
				  seen->len))
			open_gate(side);
	}
}

static void
find_places(Map *map)
{
	g_autoptr(GArray) places = map_gateway_find(map->env.fib, map->env.port, map->env.fwmark);

	for (guint i = 0; i < FAMILIES; i++) {
		const MapPlace *found = NULL;

		for (guint j = 0; j < places->len && !found; j++) {
			const MapPlace *place = &g_array_index(places, MapPlace, j);

			if (wg_endpoint_family(&place->own) == FAMILY[i])
				found = place;
		}
		set_place(&map->sides[i], found);
	}
	open_needed(map);
}

static void
on_announce(const WgEndpoint *from, gpointer user_data)
{
	Map *map = user_data;

	for (guint i = 0; i < FAMILIES; i++)
		if (map->sides[i].gate &&
		    wg_endpoint_same_address(from, &map->sides[i].place.gateway))
			map_gate_check(map->sides[i].gate);
}

/* ---- life ---- */

Map *
map_new(const MapEnv *env)
{
	Map *map = g_new0(Map, 1);

	map->env = *env;
	map->public_key = *env->public_key;
	map->env.public_key = &map->public_key;
	map->state = map_state_new(env->state_dir, &map->public_key, env->ifname);
	map->announce = map_announce_new(on_announce, map);
	for (guint i = 0; i < FAMILIES; i++)
		map->sides[i].map = map;
	find_places(map);
	return map;
}

static void
end_side(Side *side, MapFate fate)
{
	const MapGrant *grant = grant_of(side);

	if (fate != MAP_KEEP && map_grant_is_set(grant) &&
	    (fate == MAP_RELEASE || grant->protocol != MAP_UPNP)) {
		remove_grant(&side->place, grant);
		map_state_drop(side->map->state, FAMILY[side - side->map->sides]);
	}
	/* what UPnP holds at the end stays written down: the next start, or teardown, finds it */
	map_gate_free(side->gate);
}

void
map_free(Map *map, MapFate fate)
{
	if (!map)
		return;
	for (guint i = 0; i < FAMILIES; i++)
		end_side(&map->sides[i], fate);
	map_announce_free(map->announce);
	map_state_free(map->state);
	g_free(map->said);
	g_free(map);
}

void
map_network_changed(Map *map)
{
	find_places(map);
	for (guint i = 0; i < FAMILIES; i++)
		if (map->sides[i].gate)
			map_gate_check(map->sides[i].gate);
	tell(map);
}

void
map_mapping_changed(Map *map)
{
	open_needed(map);
	tell(map);
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
	for (guint i = 0; i < FAMILIES; i++) {
		NatCandidate cand = {.type = NAT_CAND_SRFLX, .endpoint = map->told[i]};

		if (wg_endpoint_is_set(&cand.endpoint) && !has_endpoint(candidates, &cand.endpoint))
			g_array_append_val(candidates, cand);
	}
}

gboolean
map_is_up(const Map *map)
{
	return wg_endpoint_is_set(&map->told[0]);
}

guint64
map_dropped(const Map *map)
{
	guint64 sum = map->dropped;

	for (guint i = 0; i < FAMILIES; i++)
		if (map->sides[i].gate)
			sum += map_gate_dropped(map->sides[i].gate);
	return sum;
}

static void
status_held(const Side *side, MapStatus *out)
{
	const MapGrant *grant = grant_of(side);

	out->protocol = map_protocol_to_string(grant->protocol);
	out->external = grant->external;
	out->lifetime_s = grant->lifetime_s ? map_grant_left_s(grant, g_get_monotonic_time()) : 0;
	switch (belief(side)) {
	case MAP_BELIEVED:
		out->state = "up";
		break;
	case MAP_DOUBLE_NAT:
		out->state = "double-nat";
		out->problem = "that is no address of the internet's: another NAT is behind this "
			       "router";
		break;
	case MAP_CONTRADICTED:
		out->state = "contradicted";
		out->problem = "STUN servers see this host at another address";
		break;
	}
}

/* STUN servers see us through a router that says it has no address: it has a private one. */
static void
status_refused(const Side *side, MapStatus *out)
{
	g_autoptr(GArray) seen = side->map->env.seen(side->map->env.user_data);

	out->problem = map_gate_problem(side->gate);
	out->state = "refused";
	if (seen->len == 0 || g_strcmp0(out->problem, MAP_NO_ADDRESS) != 0)
		return;
	out->state = "double-nat";
	out->problem = "the router has no address of the internet's: another NAT is behind it";
}

void
map_status(const Map *map, MapStatus *out)
{
	const Side *side = &map->sides[0];

	*out = (MapStatus){.state = side->has_place ? "unneeded" : "absent"};
	out->pinhole = map_grant_is_set(grant_of(&map->sides[1]));
	if (side->has_place)
		out->gateway = side->place.gateway;
	if (!side->gate)
		return;
	switch (map_gate_state(side->gate)) {
	case MAP_GATE_ASKING:
		out->state = "asking";
		break;
	case MAP_GATE_HELD:
		status_held(side, out);
		break;
	case MAP_GATE_REFUSED:
		status_refused(side, out);
		break;
	case MAP_GATE_ABSENT:
		out->state = "absent";
		break;
	}
}
