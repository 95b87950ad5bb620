/* SPDX-License-Identifier: MIT */
/*
 * MapGate: one gateway, by all protocols at once: PCP and NAT-PMP are asked to map at once, UPnP is
 * looked for at the same time but asked only where the others are declined or silent for a quarter
 * of a second. Whoever has granted first keeps it. Host thread only.
 */
#pragma once

#include "agent/portmap/map-entry.h"
#include "agent/portmap/map-ssdp.h"

#define MAP_GATE_BUDGET_MS 250

typedef struct MapGate MapGate;

typedef enum {
	MAP_GATE_ASKING,
	MAP_GATE_HELD,
	MAP_GATE_REFUSED, /* it maps ports, but not ours: map_gate_problem() */
	MAP_GATE_ABSENT,  /* nobody there maps ports */
} MapGateState;

typedef void (*MapGateFunc)(gpointer user_data); /* as MapClientFunc */

/* Ports: MAP_CODEC_PORT and MAP_SSDP_PORT; for tests others. kept: what an earlier run has held
 * here, see map_client_start(); one that is owed is only asked for again. NULL: nothing. */
MapGate *map_gate_new(const MapPlace *place, guint16 server_port, guint16 ssdp_port,
		      const MapEntry *kept, MapGateFunc changed, gpointer user_data);
void map_gate_free(MapGate *gate); /* what is held stays */
void map_gate_check(MapGate *gate);
gboolean map_gate_has_answered(const MapGate *gate); /* by PCP or NAT-PMP, ever */
const MapPlace *map_gate_place(const MapGate *gate);
MapGateState map_gate_state(const MapGate *gate);
const MapGrant *map_gate_grant(const MapGate *gate);   /* not set: nothing is held */
const MapGrant *map_gate_pending(const MapGate *gate); /* see map_upnp_pending() */
const MapGrant *map_gate_unmade(const MapGate *gate);  /* see map_upnp_unmade() */
const char *map_gate_problem(const MapGate *gate);     /* NULL: none; static */
guint64 map_gate_dropped(const MapGate *gate);
