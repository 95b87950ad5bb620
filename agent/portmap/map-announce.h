/* SPDX-License-Identifier: MIT */
/*
 * MapAnnounce: hears gateways say that they were started anew, or have another address (RFC 6886
 * §3.2.1, RFC 6887 §14.1.1: multicast to port 5350). What they say is not believed: it is only a
 * reason to ask. Host firewalls often keep it away, so that nothing relies on it. Host thread only.
 */
#pragma once

#include "agent/portmap/map-codec.h"

typedef struct MapAnnounce MapAnnounce;

/* from: who sent it. From the main loop, at most MAP_ANNOUNCE_MAX times a second. */
typedef void (*MapAnnounceFunc)(const WgEndpoint *from, gpointer user_data);
#define MAP_ANNOUNCE_MAX 8

/* NULL: the port can't be had; nothing is heard then. */
MapAnnounce *map_announce_new(MapAnnounceFunc func, gpointer user_data);
void map_announce_free(MapAnnounce *announce);
