/* SPDX-License-Identifier: MIT */
/*
 * Map: WireGuard's own port P, mapped at the routers that lead out, for one interface. The mapping
 * is one more candidate: nothing waits for it. Host thread only; never blocks.
 */
#pragma once

#include "agent/base/nat-types.h"
#include "agent/net/nat-fib.h"
#include "wgctl/wg-key.h"

typedef struct Map Map;

typedef struct {
	NatFib *fib; /* may be NULL: no gateways */
	const char *state_dir, *ifname;
	const WgKey *public_key; /* of the interface; copied */
	guint16 port;
	guint32 fwmark;
	/* What is published, or what status shows, is another. The Map must not be freed inside. */
	void (*changed)(gpointer user_data);
	/* For the events: one line. */
	void (*record)(const char *text, gpointer user_data);
	/* What STUN servers see of us when they are asked from `own`: (transfer full, WgEndpoint)
	 */
	GArray *(*seen)(const WgEndpoint *own, gpointer user_data);
	/* Where WireGuard's packets go, or may go: appended to far, of WgEndpoint, what counts most
	 * first: no more than MAP_FAR_MAX are asked for. NULL: nowhere but to the internet. */
	void (*destinations)(GArray *far, gpointer user_data);
	gpointer user_data;
	guint16 server_port, ssdp_port; /* 0: as the protocols have them; for tests others */
	gboolean off; /* nothing is mapped, and what earlier runs have left is given back */
} MapEnv;

typedef enum {
	MAP_KEEP,    /* they stay, and the next Map or start takes them up */
	MAP_RELEASE, /* they are removed; the main loop goes on */
	MAP_END,     /* they are removed as far as one datagram does it; the process ends */
} MapFate;

/* What stands in env's pointers is to outlive the Map, but for public_key. */
Map *map_new(const MapEnv *env);
void map_free(Map *map, MapFate fate);
/* Addresses, routes or gateways may be others. */
void map_network_changed(Map *map);
/* MapEnv.destinations() would tell others than before: looked at soon, once for many calls, each 5
 * s at most. */
void map_destinations_changed(Map *map);
/* STUN servers see us elsewhere, or no longer. */
void map_mapping_changed(Map *map);
/* Adds what is held and believed, unless one with that endpoint is there. (of NatCandidate, SRFLX)
 */
void map_add_candidates(const Map *map, GArray *candidates);
/* Whether a mapping at the gateway to IPv4's internet is held and believed: what peers can reach us
 * by, whatever the NAT. */
gboolean map_is_up(const Map *map);
guint64 map_dropped(const Map *map); /* answers that were none of ours */

/* For status: of the gateway to IPv4's internet. */
typedef struct {
	const char *state;    /* "off", "asking", "up", "refused", "absent", "double-nat",
			       * "contradicted",    "unneeded"; static */
	const char *protocol; /* "pcp", …; NULL: nothing is held */
	WgEndpoint gateway;   /* unset: none */
	WgEndpoint external;  /* unset: nothing is held */
	guint32 lifetime_s;   /* that is left; 0: unknown, or for ever */
	const char *problem;  /* one line; NULL: none; static */
	gboolean pinhole;     /* an IPv6 gateway lets P in */
} MapStatus;
void map_status(const Map *map, MapStatus *out);

/* The interfaces that the state directory has mappings of. (transfer full) */
GStrv map_teardown_interfaces(const char *state_dir);
/* `nat-agent teardown`: removes what the state directory has of this interface, and
 * waits for it, seconds at most. Returns how many were removed; *left: those that could not be, a
 * line for each appended to `which`: they stay written down. Runs the default main context. */
guint map_teardown(const char *state_dir, const char *ifname, guint *left, GString *which);
