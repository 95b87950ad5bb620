/* SPDX-License-Identifier: MIT */
/*
 * InnRoutes: whether the network of an interface may be routed into it, by what the kernel's main
 * table and its own addresses say. Host thread; blocks for a kernel round trip.
 */
#pragma once

#include "agent/net/nat-rtnl.h"
#include "wgctl/wg-endpoint.h"

/* FALSE, with one line that names both, where a route or address of another interface covers the
 * network of `address` and `prefix`, or lies within it. Default routes are none, nor are the halves
 * of one that VPNs set instead. ifindex: of the interface, 0: there is none yet. *routed: it has
 * the route to the network already; may be NULL. */
gboolean inn_routes_check(NatRtnl *rtnl, const char *ifname, int ifindex, const WgEndpoint *address,
			  guint8 prefix, gboolean *routed, GError **error);
/* The network itself: the host's bits of an address cleared. */
WgEndpoint inn_routes_network(const WgEndpoint *address, guint8 prefix);
/* "10.66.0.0/16" (transfer full). */
char *inn_routes_format(const WgEndpoint *network, guint8 prefix);
