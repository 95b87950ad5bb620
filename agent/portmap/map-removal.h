/* SPDX-License-Identifier: MIT */
/*
 * MapRemoval: one mapping is given back, whatever the protocol, and the gateway's answer waited
 * for. UPnP is asked whose the port is first: since it was mapped the router may have given it to
 * another host. Host thread only; never blocks.
 */
#pragma once

#include "agent/portmap/map-entry.h"

typedef struct MapRemoval MapRemoval;

typedef enum {
	MAP_REMOVED,	     /* it is not there: any more, or for another reason */
	MAP_REMOVAL_REFUSED, /* the gateway says so; it is there */
	MAP_REMOVAL_SILENT,  /* no answer, or none that says anything; it may be there */
} MapRemovalResult;

typedef struct {
	/* From the main loop, once; the MapRemoval is gone then. */
	void (*done)(MapRemovalResult result, gpointer user_data);
	/* Before anything is sent; FALSE: it ends, as MAP_REMOVAL_SILENT. NULL: always TRUE. */
	gboolean (*wanted)(gpointer user_data);
	gpointer user_data;
} MapRemovalFuncs;

/* Ports: MAP_CODEC_PORT and MAP_SSDP_PORT; for tests others. (transfer full) */
MapRemoval *map_removal_start(const MapPlace *place, guint16 server_port, guint16 ssdp_port,
			      const MapGrant *grant, const MapRemovalFuncs *funcs);
void map_removal_cancel(MapRemoval *removal); /* nothing is called any more */

/* PCP and NAT-PMP: one datagram, and nobody waits for the answer. FALSE: it did not leave. */
gboolean map_removal_send(const MapPlace *place, guint16 server_port, const MapGrant *grant);
