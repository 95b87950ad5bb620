/* SPDX-License-Identifier: MIT */
/*
 * The gateways that WireGuard's packets leave by: the default routes of the interfaces that the FIB
 * answers for the internet, asked with WireGuard's fwmark. A gateway that nothing leaves by could
 * map what it likes: no answer of ours would come through it (DESIGN §2). Blocks for some kernel
 * round trips. Host thread only.
 */
#pragma once

#include "agent/nat-fib.h"

typedef struct {
	WgEndpoint gateway; /* port 0; a link-local one with its scope */
	WgEndpoint own;	    /* our address that leads there, with WireGuard's port */
	int ifindex;
	guint32 fwmark; /* for sockets */
} MapPlace;

/* Of MapPlace, at most one a family. fib may be NULL: none. (transfer full) */
GArray *map_gateway_find(NatFib *fib, guint16 port, guint32 fwmark);
/* The same gateway, asked from the same address for the same port. */
gboolean map_place_equal(const MapPlace *a, const MapPlace *b);
/* A UDP or TCP socket there: non-blocking, with the mark, bound to our address. protocol: of the
 * transport. -1, with errno. */
int map_place_socket(const MapPlace *place, int type);
