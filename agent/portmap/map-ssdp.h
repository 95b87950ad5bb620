/* SPDX-License-Identifier: MIT */
/*
 * MapSsdp: the search for a gateway's UPnP description: the gateway is asked by SSDP, and the
 * group, which some hear alone; only the gateway's own address may answer. Host thread only; never
 * blocks.
 */
#pragma once

#include "agent/portmap/map-gateway.h"
#include "agent/portmap/map-grant.h"

#define MAP_SSDP_PORT 1900
#define MAP_SSDP_GROUP "239.255.255.250"
#define MAP_SSDP_GROUP6 "ff02::c" /* of the link */

typedef struct MapSsdp MapSsdp;

/* port, path: of the description, on the gateway. port 0: nobody has answered, or (foreign) the
 * gateway has named another host. From the main loop, once; the MapSsdp is gone then. */
typedef void (*MapSsdpFunc)(guint16 port, const char *path, gboolean foreign, gpointer user_data);

/* ssdp_port: MAP_SSDP_PORT; for tests another, and then the group is not asked. NULL: it could not
 * be begun, and nothing is called. */
MapSsdp *map_ssdp_start(const MapPlace *place, guint16 ssdp_port, MapSsdpFunc func,
			gpointer user_data);
void map_ssdp_cancel(MapSsdp *ssdp); /* nothing is called any more */
