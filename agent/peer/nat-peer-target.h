/* SPDX-License-Identifier: MIT */
/*
 * Where packets to a peer behind a hard NAT may go (nat-peer-punch). Nobody is sprayed whom the
 * peer could have made up: its address must be one that an authenticated packet of the peer's came
 * from, over a relay of ours or directly, or that the signaling server sees it at. Host thread
 * only.
 */
#pragma once

#include "agent/peer/nat-peer-private.h"
#include "agent/punch/punch-plan.h"

gboolean nat_peer_is_direct(NatWatchPair *pair);   /* and it lives */
NatWatchPair *nat_peer_find_direct(NatPeer *peer); /* NULL: none */

/* IPv4 alone: where IPv6 is translated at all, it is not by port. */
gboolean nat_peer_may_spray(NatPeer *peer, const WgEndpoint *address);

/* Where the guesses go: the address that the peer says it opens ports at; or, as it may not know
 * all that its NAT has, another one that is proven. FALSE: none is. */
gboolean nat_peer_spray_target(NatPeer *peer, const WgEndpoint *said, WgEndpoint *out);

/* Where this end's packets would go, as far as it knows by itself. */
gboolean nat_peer_punch_target(NatPeer *peer, PunchRole role, WgEndpoint *out);
gboolean nat_peer_own_public(NatPeer *peer, WgEndpoint *out);

/* A hash of the networks that an attempt depends on: in another one failures count no more. Public
 * addresses are not looked at: a NAT may have several, and show another one each time. What the
 * peer says of itself counts for who asks alone: else it could make us forget its failures. */
guint nat_peer_networks(NatPeer *peer);
