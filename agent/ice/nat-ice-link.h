/* SPDX-License-Identifier: MIT */
/*
 * NatIceLink: the TUN device that libnice's packets leave by, with its addresses and its default
 * route, in the network namespace of the thread that opens it. Whoever has CAP_NET_ADMIN may use
 * it from another thread (tests/platform/netns-rtnl-opener.c), one at a time.
 */
#pragma once

#include "agent/net/nat-rtnl.h"
#include "wgctl/wg-endpoint.h"

typedef struct NatIceLink NatIceLink;

/* IFF_TUN|IFF_NO_PI, MTU 1500, up, silent by itself (addr_gen_mode none), non-blocking. A "%d" in
 * the name becomes the first number that is free. The error names the missing capability or
 * device in one line. */
NatIceLink *nat_ice_link_new(const char *name, GError **error);
/* The device goes, and its addresses and routes with it. */
void nat_ice_link_free(NatIceLink *link);
int nat_ice_link_fd(const NatIceLink *link); /* whole IP packets; owned by link */
const char *nat_ice_link_name(const NatIceLink *link);
NatRtnl *nat_ice_link_rtnl(NatIceLink *link);
/* As it was at first, should somebody have changed that. 0 or an errno. */
int nat_ice_link_up(NatIceLink *link);
/* A/32 or A/128, nodad; unnoticed: never chosen by the kernel as the source of others' packets
 * (IPv4: scope host, IPv6: deprecated). 0 or an errno. Sockets can bind to it at once, but see
 * _wait. */
int nat_ice_link_add(NatIceLink *link, const WgEndpoint *addr, gboolean unnoticed);
int nat_ice_link_remove(NatIceLink *link, const WgEndpoint *addr);
/* After each _add: the kernel refuses the IPv4 default route before the first address and drops it
 * with the last (fib_disable_ip). 0 or an errno. */
int nat_ice_link_put_default_route(NatIceLink *link, int family, guint32 table);
/* Until what comes in for the address is received, at most 0.1 s. */
void nat_ice_link_wait(NatIceLink *link, const WgEndpoint *addr);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatIceLink, nat_ice_link_free)
