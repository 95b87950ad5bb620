/* SPDX-License-Identifier: MIT */
/* What people are told. */
#include <string.h>

#include "agent/portmap/map-private.h"

static void
status_held(const MapSide *side, MapStatus *out)
{
	const MapGrant *grant = map_side_grant(side);
	g_autoptr(GArray) seen = map_side_seen(side);

	out->protocol = map_protocol_to_string(grant->protocol);
	out->external = grant->external;
	out->lifetime_s = grant->lifetime_s ? map_grant_left_s(grant, g_get_monotonic_time()) : 0;
	switch (map_belief(&grant->external, (const WgEndpoint *)(gpointer)seen->data, seen->len)) {
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
status_refused(const MapSide *side, MapStatus *out)
{
	g_autoptr(GArray) seen = map_side_seen(side);

	out->problem = map_gate_problem(side->gate);
	out->state = "refused";
	if (seen->len == 0 || g_strcmp0(out->problem, MAP_NO_ADDRESS) != 0)
		return;
	out->state = "double-nat";
	out->problem = "the router has no address of the internet's: another NAT is behind it";
}

void
map_side_status(const MapSide *side, MapStatus *out)
{
	*out = (MapStatus){.state = "unneeded", .gateway = side->place.gateway};
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

static const MapSide *
first_v4(const Map *map)
{
	for (guint i = 0; i < map->sides->len; i++)
		if (map_side_family(g_ptr_array_index(map->sides, i)) == AF_INET)
			return g_ptr_array_index(map->sides, i);
	return NULL;
}

void
map_status(const Map *map, MapStatus *out)
{
	const MapSide *first = first_v4(map);

	if (first)
		map_side_status(first, out);
	else
		*out = (MapStatus){.state = map->env.off ? "off" : "absent"};
	for (guint i = 0; i < map->sides->len; i++) {
		const MapSide *side = g_ptr_array_index(map->sides, i);

		out->pinhole |=
			map_side_family(side) == AF_INET6 && map_grant_is_set(map_side_grant(side));
	}
}

/* ---- events ---- */

/* NULL: nothing to say. (transfer full) */
static char *
sentence(const MapSide *side)
{
	char external[WG_ENDPOINT_STRLEN], gateway[WG_ENDPOINT_STRLEN];
	guint port = side->map->env.port;
	MapStatus status;

	map_side_status(side, &status);
	wg_endpoint_format_address(&status.gateway, gateway);
	if (wg_endpoint_is_set(&status.external))
		return g_strdup_printf("UDP %u is mapped to %s at the router %s by %s%s%s", port,
				       wg_endpoint_format(&status.external, external), gateway,
				       status.protocol, status.problem ? ": " : "",
				       status.problem ? status.problem : "");
	if (status.problem)
		return g_strdup_printf("UDP %u is not mapped at the router %s: %s", port, gateway,
				       status.problem);
	if (side->said && strcmp(status.state, "asking") != 0)
		return g_strdup_printf("UDP %u is no longer mapped at the router %s", port,
				       gateway);
	return NULL;
}

/* IPv6's gateways are asked quietly: few have a firewall that could be opened. */
void
map_side_say(MapSide *side)
{
	g_autofree char *text = map_side_family(side) == AF_INET ? sentence(side) : NULL;

	if (!text || g_strcmp0(text, side->said) == 0)
		return;
	g_free(side->said);
	side->said = g_strdup(text);
	side->map->env.record(text, side->map->env.user_data);
}

void
map_side_say_gone(MapSide *side)
{
	char gateway[WG_ENDPOINT_STRLEN];
	g_autofree char *text = NULL;

	if (!side->said)
		return;
	text = g_strdup_printf("UDP %u is no longer mapped at the router %s", side->map->env.port,
			       wg_endpoint_format_address(&side->place.gateway, gateway));
	if (strcmp(text, side->said) != 0)
		side->map->env.record(text, side->map->env.user_data);
}
