/* SPDX-License-Identifier: MIT */
/*
 * NetProbe: a NAT's behaviour by STUN from ordinary UDP sockets (RFC 5780 §4, as far as the servers
 * support it). Blocking, up to three seconds; any thread.
 */
#pragma once

#include "agent/netcheck/netcheck.h"

#define NET_PROBE_SERVERS 8 /* of one family; more are not asked */

/* Fills in the family's mapping, filter, ports, hairpin, MTUs and where it is seen from. servers:
 * that have answered, of that family, each once. */
void net_probe_family(int af, const WgEndpoint *servers, gsize n, NetFamily *family);
