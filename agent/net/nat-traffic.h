/* SPDX-License-Identifier: MIT */
/*
 * NatTraffic: whether packets pass a network interface: its counters, asked by rtnetlink
 * (RTM_GETSTATS) for one interface, so that a read costs the same however many peers or interfaces
 * there are: some 10 µs. It counts in the network namespace of the thread that made it. One user at
 * a time.
 *
 * What a WireGuard interface counts depends on who serves it (tests/vm/wg-counters.c):
 * a userspace TUN device counts data alone; the kernel's module counts handshakes and keepalives
 * of all peers too, in both directions. A difference of a few packets is no data then.
 */
#pragma once

#include <glib.h>

typedef struct NatTraffic NatTraffic;

/* ifindex: an interface that is made anew has another one. */
NatTraffic *nat_traffic_new(guint ifindex, GError **error);
void nat_traffic_free(NatTraffic *traffic);
/* Packets since the interface was made. FALSE, and both untouched: the interface is gone, or the
 * kernel has no such counters. Either may be NULL. */
gboolean nat_traffic_read(NatTraffic *traffic, guint64 *rx_packets, guint64 *tx_packets);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatTraffic, nat_traffic_free)
