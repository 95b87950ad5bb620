/* SPDX-License-Identifier: MIT */
/*
 * MapFind: a gateway's UPnP is looked for by SSDP, its description fetched, once, and the services
 * in it that map ports. Host thread only; never blocks.
 */
#pragma once

#include "agent/portmap/map-ssdp.h"
#include "agent/portmap/map-xml.h"

typedef struct MapFind MapFind;

/* n services, better ones first; 0: none, problem (static) says why, or is NULL where nobody has
 * answered. From the main loop, once; the MapFind is gone then. */
typedef void (*MapFindFunc)(const MapService *services, guint n, const char *problem,
			    gpointer user_data);

/* NULL: it could not be begun, and nothing is called. */
MapFind *map_find_start(const MapPlace *place, guint16 ssdp_port, MapFindFunc func,
			gpointer user_data);
void map_find_cancel(MapFind *find); /* nothing is called any more */
