/* SPDX-License-Identifier: MIT */
/*
 * MapDebts: what the state owes to gateways is paid: each mapping that nobody wants any more is
 * removed, again and again (after one minute, then at longer times up to an hour) until the gateway
 * has said that it is not there, or its own time is over. Host thread only; never blocks.
 */
#pragma once

#include "agent/portmap/map-state.h"

typedef struct MapDebts MapDebts;

/* Whether it is not to be touched now: it is being made, or shares its port with one that is held.
 */
typedef gboolean (*MapDebtsSpared)(const MapEntry *entry, gpointer user_data);

/* state: to outlive the MapDebts. Ports: as map_removal_start(). */
MapDebts *map_debts_new(MapState *state, guint16 server_port, guint16 ssdp_port,
			MapDebtsSpared spared, gpointer user_data);
void map_debts_free(MapDebts *debts);
/* What is new is paid at once; what is spared now is let go. */
void map_debts_look(MapDebts *debts);
/* The network changed: what could not be paid may be possible now. At most each 5 s where the
 * gateways are others (moved), and then the pauses begin anew; else once a minute. */
void map_debts_retry(MapDebts *debts, gboolean moved);
/* Each once more, and then the MapDebts and the state are gone: seconds from now. What is taken up
 * meanwhile, by another who has that file, is left to him. (both transfer full) */
void map_debts_finish(MapDebts *debts, MapState *state_take);
