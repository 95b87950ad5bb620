/* SPDX-License-Identifier: MIT */
/*
 * MapState: the mappings that we hold or owe, in the state directory, one file per interface key:
 * so that the next start takes them up, and `nat-agent teardown` can remove them. What is owed
 * stays there until the gateway has said that it is removed, or its time is over. Host thread only;
 * two may be open on one file.
 */
#pragma once

#include "agent/portmap/map-entry.h"
#include "wgctl/wg-key.h"

#define MAP_STATE_MAX 24 /* beyond it one that is owed is forgotten, unsure ones first */

typedef struct MapState MapState;

/* state_dir NULL: memory only. */
MapState *map_state_new(const char *state_dir, const WgKey *own_public, const char *ifname);
/* A file that is there, by its name; for teardown. */
MapState *map_state_open(const char *state_dir, const char *name);
/* The names of those that are there; empty: none. (transfer full) */
GStrv map_state_list(const char *state_dir);
void map_state_free(MapState *state);
/* The interface that it was written for; NULL: unknown. (transfer full) */
char *map_state_interface(const MapState *state);
/* All that could be understood, of MapEntry. One that has run out by the clock has a lifetime of
 * 1 s. (transfer full) */
GArray *map_state_entries(const MapState *state);
/* In the place of the same mapping, if it is there. */
void map_state_put(MapState *state, const MapEntry *entry);
void map_state_drop(MapState *state, const MapEntry *entry);
/* Whether it is there and owed, by the file and not by what was read of it earlier. */
gboolean map_state_is_owed(MapState *state, const MapEntry *entry);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(MapState, map_state_free)
