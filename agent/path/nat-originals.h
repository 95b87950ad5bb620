/* SPDX-License-Identifier: MIT */
/*
 * NatOriginals: what the user had set for a peer before we first touched it (endpoint, keepalive),
 * kept in the state directory, one file per interface key, so that it can be put back when we fail,
 * also after kill -9. Host thread only.
 *
 * What the user sets later replaces it. WireGuard does not say who set what it has, so:
 *
 *   ours      what we wrote last is kept beside the original, and is on disk before the device has
 *             it. After a reboot the device has the configuration again, which then differs. An
 *             endpoint of ours that wg-quick's SaveConfig kept stays ours. Loopback: our bridges.
 *   roaming   the kernel moves an endpoint only by an authenticated packet, which it counts: where
 *             bytes came in, the endpoint is where the peer is and nobody's word, also where the
 *             user's was answered within the time between two readings. It writes the endpoint
 *             before it counts, a key exchange apart, hence CONFIRM. Data from an address that
 *             the peer is not allowed is not counted: moved by that alone, and followed by
 *             nothing, an endpoint is taken for the user's.
 *   keepalive the kernel never changes one.
 *
 * A group of an older version, without what was written, is taken for the whole truth at the first
 * sight.
 */
#pragma once

#include "wgctl/wg-ctl.h"

typedef struct NatOriginals NatOriginals;

#define NAT_ORIGINALS_CONFIRM_US (100 * 1000)
/* So many endpoints of ours are remembered of each peer. */
#define NAT_ORIGINALS_WRITTEN 4

/* Never fails: a directory that cannot be written is one warning, and memory serves meanwhile. */
NatOriginals *nat_originals_new(const char *state_dir, const WgKey *own_public);
void nat_originals_free(NatOriginals *originals);
/* Before a change of ours (NULL: WireGuard's own, by a packet of ours): remembers peer as it was
 * read last, unless it is remembered already, and the change as ours. */
void nat_originals_keep(NatOriginals *originals, const WgPeer *peer, const WgPeerChange *change);
/* A change that others of this process make: ours where the peer is remembered. */
void nat_originals_written(NatOriginals *originals, const WgPeerChange *change);
/* Each snapshot of the device, in order. TRUE: it has the user's newer word, which is remembered
 * instead. */
gboolean nat_originals_observe(NatOriginals *originals, const WgPeer *peer, gint64 now_us);
/* No snapshots follow: the next one is a first sight again. */
void nat_originals_look_away(NatOriginals *originals, const WgKey *peer);
/* FALSE when we never touched this peer. */
gboolean nat_originals_get(NatOriginals *originals, const WgKey *peer, WgEndpoint *endpoint,
			   guint16 *keepalive);
/* Whether we wrote the endpoint and it is not the user's too. unsure: the answer where it cannot be
 * known, of a peer that an older version touched. */
gboolean nat_originals_is_ours(NatOriginals *originals, const WgKey *peer,
			       const WgEndpoint *endpoint, gboolean unsure);
void nat_originals_forget(NatOriginals *originals, const WgKey *peer);
