/* SPDX-License-Identifier: MIT */
/*
 * What a peer knows of each pair under watch besides what nat-watch does: the bridge of a pair from
 * a relayed address of ours, and whether WireGuard's packets pass. Shared by nat-peer-{bridge,path,
 * notes}.c.
 */
#pragma once

#include "agent/peer/nat-peer-private.h"

#define NAT_PAIR_STRLEN (2 * WG_ENDPOINT_STRLEN + 32)

typedef struct {
	NatRelayBridge *bridge; /* pairs from a relayed address of ours */
	guint16 port;		/* of WireGuard's, that it serves */
	WgEndpoint source;	/* in whose name it hands over */
	guint64 bridged;	/* bytes that it gave to WireGuard */
	gint64 blocked_until_us;
	guint blocked_s, failures; /* proofs that did not come, in a row */
	WgEndpoint blocked_from;   /* where the pair started when the last one did not */
	gboolean far_unready;	   /* the peer's end can't be used now */
	gboolean far_retiring;	   /* … will be gone soon */
} NatPairInfo;

NatPairInfo *nat_pair_info(NatWatchPair *pair);
guint nat_pair_relays(NatWatchPair *pair); /* that it crosses */
/* For logs. Returns buf. */
const char *nat_pair_text(NatWatchPair *pair, char buf[NAT_PAIR_STRLEN]);

/* nat-peer-bridge.c */
/* What WireGuard's endpoint must be to use the pair. FALSE: its channel is being bound. */
gboolean nat_peer_pair_endpoint(NatPeer *peer, NatWatchPair *pair, WgEndpoint *out);
/* From an allocation that another one has replaced: it goes within seconds. */
gboolean nat_peer_pair_is_retiring(NatPeer *peer, NatWatchPair *pair);
/* A channel takes a round trip to bind: it is there before it is needed. */
void nat_peer_make_bridge(NatPeer *peer, NatWatchPair *pair);
/* Bytes that the pair's bridge gave to WireGuard. */
guint64 nat_pair_bridged(NatPairInfo *info);

/* nat-peer-path.c */
gboolean nat_pair_is_blocked(NatPeer *peer, NatWatchPair *pair, gint64 now);
/* How long a block of it lasts, in s, as things are. */
guint nat_pair_block_s(NatPeer *peer, NatWatchPair *pair, gint64 now);
/* A proof did not come. TRUE: not for the first time. */
gboolean nat_pair_block(NatPeer *peer, NatWatchPair *pair);
/* The tunnel is live there, by WireGuard's own word. */
gboolean nat_peer_uses(NatPeer *peer, const WgEndpoint *endpoint);
/* The chosen pair leaves from another address of ours than when it was taken. */
gboolean nat_peer_leaves_elsewhere(NatPeer *peer);
/* The tunnel goes over the pair now. */
void nat_peer_take(NatPeer *peer, NatWatchPair *pair, const char *reason);
