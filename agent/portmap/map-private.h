/* SPDX-License-Identifier: MIT */
/* What map.c, map-side.c and map-status.c share. */
#pragma once

#include "agent/portmap/map-announce.h"
#include "agent/portmap/map-belief.h"
#include "agent/portmap/map-debts.h"
#include "agent/portmap/map-gate.h"
#include "agent/portmap/map-state.h"
#include "agent/portmap/map.h"

/* One gateway */
typedef struct {
	Map *map;
	MapPlace place;
	MapGate *gate;		       /* NULL: nothing is needed there, as far as we know */
	MapGrant saved, saved_pending; /* as the state has them; not set: it has not */
	MapGrant wished;      /* owed, and not while the gate asks for it again; not set: none */
	gboolean owed_before; /* what is pending was written down already, as owed */
	WgEndpoint told;      /* what is published; unset: nothing */
	gint64 found_us;      /* when the routes led by it last */
	gint64 early_us;      /* when it was asked before its time last; 0: never */
	char *said;
} MapSide;

struct Map {
	MapEnv env;
	WgKey public_key;
	MapState *state;
	MapDebts *debts;
	MapAnnounce *announce; /* NULL: off, or the port is taken */
	GPtrArray *sides;      /* of MapSide, the internet's first */
	guint timer;	       /* of the next look */
	gboolean hurried;      /* it comes soon */
	gint64 hurried_us;     /* when the last one is due, or was, that came soon; 0: none */
	gboolean moved;	       /* a side is new, or gone, since the network changed last */
	gboolean news;	       /* what was published at a side that is gone is not any more */
	guint64 dropped;       /* by gates that are gone */
};

/* All sides anew: what is saved, told and published. */
void map_update(Map *map);

MapSide *map_side_new(Map *map, const MapPlace *place);
/* The place is no more, or the interface: what is held stays as it is (keep), or is owed. */
void map_side_free(MapSide *side, gboolean keep);
/* Asks the gateway, if a mapping could help. Does nothing where it is asked already. */
void map_side_open_if_needed(MapSide *side);
/* Something may have happened: it is asked before its time. What holds nothing at most once a
 * minute: whatever others do, a gateway that refuses is asked in its own pauses. */
void map_side_check(MapSide *side);
/* The gateway, or somebody in its name, says so. One that has never answered is not asked. */
void map_side_announced(MapSide *side);
const MapGrant *map_side_grant(const MapSide *side); /* not set: nothing is held */
/* What STUN servers see of us by this gateway. (transfer full, of WgEndpoint) */
GArray *map_side_seen(const MapSide *side);
/* The state gets what is held and what is asked for. TRUE: what is published is another. */
gboolean map_side_update(MapSide *side);
/* Whether an entry is not to be removed on its account. */
gboolean map_side_spares(const MapSide *side, const MapEntry *entry);
int map_side_family(const MapSide *side);

/* map-status.c */
void map_side_status(const MapSide *side, MapStatus *out);
void map_side_say(MapSide *side);      /* what is news for the events */
void map_side_say_gone(MapSide *side); /* the same where the place is no more */
