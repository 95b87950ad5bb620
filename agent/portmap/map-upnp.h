/* SPDX-License-Identifier: MIT */
/*
 * MapUpnp: a mapping of WireGuard's port at one gateway by UPnP IGD 1 or 2, IPv4. Host thread only;
 * never blocks; callbacks come from the main loop.
 *
 * Why not miniupnpc: its calls block, it takes an answer of whatever length is announced and waits
 * for each piece of it anew (getHTTPResponse of 2.2.4: a router could hold a thread and all
 * memory), and its sockets carry neither WireGuard's fwmark nor our address.
 */
#pragma once

#include "agent/portmap/map-entry.h"
#include "agent/portmap/map-ssdp.h"

typedef struct MapUpnp MapUpnp;

typedef enum {
	MAP_UPNP_LOOKING, /* for a gateway that has it, and its description */
	MAP_UPNP_READY,	  /* there is one; nothing is asked before map_upnp_want() */
	MAP_UPNP_ASKING,
	MAP_UPNP_HELD,
	MAP_UPNP_REFUSED,
	MAP_UPNP_ABSENT,
} MapUpnpState;

typedef void (*MapUpnpFunc)(gpointer user_data); /* as MapClientFunc */

/* ssdp_port: MAP_SSDP_PORT; for tests another, and then the group is not asked. */
MapUpnp *map_upnp_new(const MapPlace *place, guint16 ssdp_port, MapUpnpFunc changed,
		      gpointer user_data);
void map_upnp_free(MapUpnp *upnp); /* what is held stays at the gateway */
/* kept: what an earlier run has held here; NULL: nothing. */
void map_upnp_start(MapUpnp *upnp, const MapGrant *kept);
/* From now on (TRUE) a mapping is wanted; FALSE: another protocol has one, and what is held here is
 * forgotten; removing it is the caller's. */
void map_upnp_want(MapUpnp *upnp, gboolean want);
/* Whether what is held is still there. */
void map_upnp_check(MapUpnp *upnp);
MapUpnpState map_upnp_state(const MapUpnp *upnp);
const MapGrant *map_upnp_grant(const MapUpnp *upnp); /* not set: nothing is held */
/* What was asked for, and is not known to be ours; not set: nothing. Where it is neither held nor
 * set any more, it may be there all the same: removing it is the caller's. */
const MapGrant *map_upnp_pending(const MapUpnp *upnp);
/* What was asked for and pending before, and the router has said that it did not make; not set:
 * nothing. */
const MapGrant *map_upnp_unmade(const MapUpnp *upnp);
const char *map_upnp_problem(const MapUpnp *upnp); /* one line; NULL: none; static */
