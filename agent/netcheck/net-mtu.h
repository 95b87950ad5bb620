/* SPDX-License-Identifier: MIT */
/*
 * How large a packet arrives whole at a STUN server: requests filled up with PADDING (RFC 5780
 * §7.6), with DF set and regardless of what the kernel believes of the path (IP_PMTUDISC_PROBE).
 * Whatever answer comes, an error too, says that the request arrived. Blocking, up to two seconds;
 * any thread.
 */
#pragma once

#include "agent/netcheck/netcheck.h"

#define NET_MTU_SIZES 24

/* Fills in the three MTUs of the family. */
void net_mtu_probe(const WgEndpoint *server, NetFamily *family);
/* Pure: the sizes of IP packets to try, from the largest, all below `lost`: multiples of 4 above
 * `arrived` (which is one), or usual MTUs where that is 0. Returns how many. */
gsize net_mtu_sizes(int af, guint arrived, guint lost, guint sizes[NET_MTU_SIZES]);
