/* SPDX-License-Identifier: MIT */
/*
 * NatLifetime: how long the NATs of a network keep a silent UDP mapping, learnt from observations
 * and remembered per network in the state directory; and so the keepalive that holds it with the
 * fewest packets, 25 s (WireGuard's own) at most. Pure but for that file. Host thread only.
 *
 * An observation says: after a silence of T the mapping was still there, or was not. What counts as
 * one:
 *   - NatLifetimeProbe's sacrificial sockets, which cost the tunnel nothing;
 *   - on the tunnel's own path, a packet that the *peer* sent first after T reached us (held), or
 *     the address that the peer sees of us changed over T (not held).
 * That a packet of ours was answered after T says nothing where the NAT keeps the port: a mapping
 * that was gone is then made anew, the same.
 *
 * On an unknown network silences start short and get longer only as they hold: 4, 8, 13, 20, 25 s.
 * The first that does not hold ends that: the longest that did is kept, clear of the other. So each
 * network breaks the mapping once at most, and not at all where the sacrificial sockets were first.
 * A failure of what had held before (another NAT, another firmware) steps down.
 */
#pragma once

#include "wgctl/wg-endpoint.h"
#include "wgctl/wg-key.h"

#define NAT_LIFETIME_FIRST_S 4
#define NAT_LIFETIME_MIN_S 2
#define NAT_LIFETIME_MAX_S 25
#define NAT_LIFETIME_NETWORKS 64 /* remembered; the one not used for longest goes */

typedef struct NatLifetime NatLifetime;

/* Never fails: a file that cannot be read or written is one warning, and memory serves.
 * state_dir NULL: memory only. */
NatLifetime *nat_lifetime_new(const char *state_dir, const WgKey *own_public);
void nat_lifetime_free(NatLifetime *lifetime);

/* What tells networks apart: our own address and the public one (NULL or unset: unknown), for IPv6
 * their /64, since host parts change daily. Ports do not count. (transfer full) */
char *nat_lifetime_network_id(const WgEndpoint *local, const WgEndpoint *public_address);
/* From now on observations are of this network. NULL: one that is not remembered. Entering the
 * present one again changes nothing. */
void nat_lifetime_enter(NatLifetime *lifetime, const char *network);
/* TRUE when the keepalive changed by it. */
gboolean nat_lifetime_observe(NatLifetime *lifetime, guint silence_ms, gboolean held);
/* The keepalive to use now, which is the silence that is to be observed next. */
guint16 nat_lifetime_keepalive_s(const NatLifetime *lifetime);
/* The longest that is known to hold, or the first one: for tunnels, where others do the testing. */
guint16 nat_lifetime_safe_s(const NatLifetime *lifetime);
/* Nothing has been observed in this network. */
gboolean nat_lifetime_is_new(const NatLifetime *lifetime);
/* Nothing longer will be tried: the keepalive is known to hold, or the least there is. */
gboolean nat_lifetime_settled(const NatLifetime *lifetime);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatLifetime, nat_lifetime_free)
