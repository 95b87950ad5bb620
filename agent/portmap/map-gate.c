/* SPDX-License-Identifier: MIT */
#include "agent/portmap/map-gate.h"

#include "agent/portmap/map-client.h"
#include "agent/portmap/map-upnp.h"

struct MapGate {
	MapPlace place;
	MapClient *client;
	MapUpnp *upnp;
	MapGateFunc changed;
	gpointer user_data;
	gboolean client_started, upnp_started;
	gboolean late; /* the budget is spent, nothing is held */
	guint timer, idle;
};

static gboolean
holds(const MapGrant *grant)
{
	return map_grant_is_set(grant);
}

static gboolean
upnp_holds(const MapGate *gate)
{
	return holds(map_upnp_grant(gate->upnp));
}

static gboolean on_late(gpointer user_data);

/* Nobody has granted anything. */
static void
ask_all(MapGate *gate)
{
	if (!gate->client_started)
		map_client_start(gate->client, NULL);
	gate->client_started = TRUE;
	map_client_resume(gate->client);
	if (!gate->upnp_started)
		map_upnp_start(gate->upnp, NULL);
	gate->upnp_started = TRUE;
	if (gate->timer == 0 && !gate->late)
		gate->timer = g_timeout_add(MAP_GATE_BUDGET_MS, on_late, gate);
	if (gate->late || !map_client_is_waiting(gate->client))
		map_upnp_want(gate->upnp, TRUE);
}

/* The two may share the router's table: what one has granted is never removed for the other. Where
 * both have granted in one turn of the loop UPnP lets go: what it asked for is written down as
 * owed, and spared as long as the other has that port. */
static void
update(MapGate *gate)
{
	gboolean by_client = holds(map_client_grant(gate->client));

	if (upnp_holds(gate) && !by_client) {
		map_client_pause(gate->client);
	} else if (by_client) {
		map_upnp_want(gate->upnp, FALSE);
	} else {
		ask_all(gate);
		return;
	}
	gate->late = FALSE;
	g_clear_handle_id(&gate->timer, g_source_remove);
}

static gboolean
on_idle(gpointer user_data)
{
	MapGate *gate = user_data;

	gate->idle = 0;
	update(gate);
	gate->changed(gate->user_data);
	return G_SOURCE_REMOVE;
}

/* From the loop: client and upnp are in the middle of something when they call. */
static void
on_changed(gpointer user_data)
{
	MapGate *gate = user_data;

	if (gate->idle == 0)
		gate->idle = g_idle_add_full(G_PRIORITY_DEFAULT, on_idle, gate, NULL);
}

static gboolean
on_late(gpointer user_data)
{
	MapGate *gate = user_data;

	gate->timer = 0;
	gate->late = TRUE;
	update(gate);
	return G_SOURCE_REMOVE;
}

static void
take_up(MapGate *gate, const MapEntry *kept)
{
	const MapGrant *grant = &kept->grant;

	if (kept->owed) {
		map_client_wish(gate->client, grant);
	} else if (grant->protocol != MAP_UPNP) {
		gate->client_started = TRUE;
		map_client_start(gate->client, grant);
	} else {
		gate->upnp_started = TRUE;
		map_upnp_start(gate->upnp, grant);
		map_upnp_want(gate->upnp, TRUE);
	}
}

MapGate *
map_gate_new(const MapPlace *place, guint16 server_port, guint16 ssdp_port, const MapEntry *kept,
	     MapGateFunc changed, gpointer user_data)
{
	MapGate *gate = g_new0(MapGate, 1);

	gate->place = *place;
	gate->changed = changed;
	gate->user_data = user_data;
	gate->client = map_client_new(place, server_port, on_changed, gate);
	gate->upnp = map_upnp_new(place, ssdp_port, on_changed, gate);
	if (kept)
		take_up(gate, kept);
	update(gate);
	return gate;
}

void
map_gate_free(MapGate *gate)
{
	if (!gate)
		return;
	g_clear_handle_id(&gate->timer, g_source_remove);
	g_clear_handle_id(&gate->idle, g_source_remove);
	map_client_free(gate->client);
	map_upnp_free(gate->upnp);
	g_free(gate);
}

void
map_gate_check(MapGate *gate)
{
	if (upnp_holds(gate)) {
		map_upnp_check(gate->upnp);
		return;
	}
	map_client_check(gate->client);
	if (!holds(map_client_grant(gate->client)))
		map_upnp_check(gate->upnp);
}

gboolean
map_gate_has_answered(const MapGate *gate)
{
	return map_client_has_answered(gate->client);
}

const MapPlace *
map_gate_place(const MapGate *gate)
{
	return &gate->place;
}

const MapGrant *
map_gate_grant(const MapGate *gate)
{
	const MapGrant *grant = map_client_grant(gate->client);

	return holds(grant) || !upnp_holds(gate) ? grant : map_upnp_grant(gate->upnp);
}

const MapGrant *
map_gate_pending(const MapGate *gate)
{
	return map_upnp_pending(gate->upnp);
}

const MapGrant *
map_gate_unmade(const MapGate *gate)
{
	return map_upnp_unmade(gate->upnp);
}

MapGateState
map_gate_state(const MapGate *gate)
{
	MapClientState client = map_client_state(gate->client);
	MapUpnpState upnp = map_upnp_state(gate->upnp);

	if (holds(map_gate_grant(gate)))
		return MAP_GATE_HELD;
	if (client == MAP_CLIENT_ASKING || upnp == MAP_UPNP_LOOKING || upnp == MAP_UPNP_READY ||
	    upnp == MAP_UPNP_ASKING)
		return MAP_GATE_ASKING;
	return client == MAP_CLIENT_REFUSED || upnp == MAP_UPNP_REFUSED ? MAP_GATE_REFUSED
									: MAP_GATE_ABSENT;
}

const char *
map_gate_problem(const MapGate *gate)
{
	const char *problem = map_client_problem(gate->client);

	if (map_gate_state(gate) != MAP_GATE_REFUSED)
		return NULL;
	return problem ? problem : map_upnp_problem(gate->upnp);
}

guint64
map_gate_dropped(const MapGate *gate)
{
	return map_client_dropped(gate->client);
}
