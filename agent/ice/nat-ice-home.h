/* SPDX-License-Identifier: MIT */
/*
 * NatIceHome: libnice without a namespace of its own (no CAP_SYS_ADMIN). Private addresses on a TUN
 * in the agent's namespace stand for the host's, and a rule from each leads into the TUN, by a
 * table of its own. Made in the ICE thread, used by the host thread; those marked so by any.
 */
#pragma once

#include "agent/ice/nat-ice-link.h"

typedef struct NatIceHome NatIceHome;

/* Removes the rules of killed agents: those whose nat-iceN is gone. Before _new, in the agent's
 * namespace, and also by one that will have a namespace of its own. */
void nat_ice_home_sweep(void);
/* Opens the next nat-iceN and the raw sockets. The error names the missing capability or device in
 * one line. */
NatIceHome *nat_ice_home_new(GError **error);
/* Removes its rules, then the device. */
void nat_ice_home_free(NatIceHome *home);
NatIceLink *nat_ice_home_link(NatIceHome *home);
/* Puts one more private address of this family (port 0) on the TUN, with its rule and the route.
 * G_IO_ERROR_NOT_SUPPORTED: IPv6 is off for new interfaces. A firewall that drops what leaves
 * is a warning. */
gboolean nat_ice_home_add(NatIceHome *home, int family, WgEndpoint *address, GError **error);
void nat_ice_home_remove(NatIceHome *home, const WgEndpoint *address);
/* Puts back rules, addresses and routes that somebody else removed. */
void nat_ice_home_renew(NatIceHome *home);
/* A whole IP packet to one of the private addresses: as if it came in by loopback. */
gboolean nat_ice_home_deliver(NatIceHome *home, const WgEndpoint *to, const guint8 *pkt, gsize len);
/* Any thread: binds a socket to the TUN, so that nothing but the TUN gets what it sends, and
 * no neighbour reaches it. */
void nat_ice_home_bind(const NatIceHome *home, int fd);
/* Whether no socket of this namespace has the UDP port, by any address. */
gboolean nat_ice_home_port_is_free(guint16 port);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatIceHome, nat_ice_home_free)
