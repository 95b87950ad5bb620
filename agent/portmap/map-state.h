/* SPDX-License-Identifier: MIT */
/*
 * MapState: the mappings that we hold, in the state directory, one file per interface key: so that
 * the next start takes them up, and `nat-agent teardown` can remove them. At most one for each
 * family. Host thread only.
 */
#pragma once

#include "agent/portmap/map-gateway.h"
#include "agent/portmap/map-grant.h"
#include "wgctl/wg-key.h"

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
/* What is remembered for AF_INET or AF_INET6. FALSE: nothing that could be understood. One that has
 * run out by the clock has a lifetime of 1 s. */
gboolean map_state_get(const MapState *state, int family, MapPlace *place, MapGrant *grant);
void map_state_put(MapState *state, const MapPlace *place, const MapGrant *grant);
void map_state_drop(MapState *state, int family);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(MapState, map_state_free)
