/* SPDX-License-Identifier: MIT */
/*
 * `nat-agent ping`: one probe on the pair that the tunnel uses, or on each pair, and what came back
 * within a second. The probes are those of the watch: what is dead may come to life by them. Host
 * thread only.
 */
#pragma once

#include "agent/path/nat-watch.h"
#include "agent/peer/nat-peer.h"

typedef struct {
	NatCandidate local, remote; /* endpoint unset: unknown */
	gboolean relay, chosen;
	double rtt_ms; /* negative: unanswered */
} NatPingAnswer;

/* answers: of NatPingAnswer (transfer none). Called once. */
typedef void (*NatPingFunc)(const GArray *answers, gpointer user_data);

/* Fails where there is nothing to probe: the error says why. func may be called after peer's end
 * was asked for, but not after nat_peer_free() has returned. */
gboolean nat_peer_ping(NatPeer *peer, gboolean paths, NatPingFunc func, gpointer user_data,
		       GError **error);
/* An answer came over the pair. */
void nat_peer_ping_heard(NatPeer *peer, NatWatchPair *pair);
void nat_peer_ping_removed(NatPeer *peer, const NatWatchPair *pair);
/* All that are under way end with what they have. */
void nat_peer_end_pings(NatPeer *peer);
