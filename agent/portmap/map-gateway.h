/* SPDX-License-Identifier: MIT */
/*
 * The gateways that WireGuard's packets leave by: what the FIB answers, asked with WireGuard's
 * fwmark, for the internet and for the destinations in use, which may have routes of their own. A
 * gateway that nothing leaves by could map what it likes: no answer of ours would come through it
 * (DESIGN §2). Tables are never read as a whole: a router's has a million routes. Host thread only.
 */
#pragma once

#include "agent/net/nat-fib.h"

typedef struct {
	WgEndpoint gateway; /* port 0; a link-local one with its scope */
	WgEndpoint own;	    /* our address that leads there, with WireGuard's port */
	int ifindex;
	guint32 fwmark; /* for sockets */
	WgEndpoint far; /* the destination that it was found by; unset: the internet */
} MapPlace;

#define MAP_FAR_MAX 32

/* The gateways on the way to the internet, and to n other destinations (the first MAP_FAR_MAX of
 * them), of MapPlace, each once, the internet's first; fib may be NULL: none. A kernel round
 * trip for each, and one for each link. NULL: the kernel does not answer, nothing is known.
 * (transfer full) */
GArray *map_gateway_find(NatFib *fib, const WgEndpoint *far, gsize n, guint16 port, guint32 fwmark);
/* Whether the gateway takes the two for one: it knows us by our address and port alone, which an
 * interface that was made anew, or is in a bridge now, has again. Looks up interfaces' names. */
gboolean map_place_same_to_gateway(const MapPlace *a, const MapPlace *b);
/* The same gateway, asked from the same address for the same port, by the same interface. */
gboolean map_place_equal(const MapPlace *a, const MapPlace *b);
/* A UDP or TCP socket there: non-blocking, with the mark, bound to our address. protocol: of the
 * transport. -1, with errno. */
int map_place_socket(const MapPlace *place, int type);
