/* SPDX-License-Identifier: MIT */
/*
 * NatStats: what happened on one interface since the agent's start. Owned by the interface, counted
 * into by its peers and what they use, so that no count is lost with a peer, and none ever goes
 * down. A value; host thread only.
 */
#pragma once

#include "agent/base/nat-histogram.h"

typedef enum {
	NAT_STAT_FAILOVERS,	      /* connected tunnels that changed to another path */
	NAT_STAT_SEARCHES,	      /* begun with a peer's agent */
	NAT_STAT_SEARCHES_UNANSWERED, /* failed: no check was answered */
	NAT_STAT_SEARCHES_UNPROVEN,   /* … checks passed, WireGuard's handshake did not */
	NAT_STAT_SEARCHES_SILENT,     /* … the path stayed silent, and no other was found */
	NAT_STAT_PUNCHES,	      /* attempts on hard NATs begun with a peer's agent */
	NAT_STAT_PUNCHES_WORKED,
	NAT_STAT_PUNCHES_FAILED,
	NAT_STAT_PROBES_SENT, /* of nat-watch */
	NAT_STAT_PROBES_ANSWERED,
	NAT_STAT_STUN_REQUESTS, /* to STUN servers, of nat-stun-probe */
	NAT_STAT_WRITES,	/* of endpoints and keepalives to WireGuard */
	NAT_STAT_WRITES_REFUSED,
	NAT_STAT_LOGINS, /* at the signaling server */
	NAT_STAT_MESSAGES_SENT,
	NAT_STAT_MESSAGES_RECEIVED,
	NAT_STAT_NETWORK_CHANGES,
	NAT_STATS_N,
} NatStat;

typedef struct {
	guint64 counts[NAT_STATS_N];
	NatHistogram connect_s; /* from a search's begin to WireGuard's proof */
} NatStats;

void nat_stats_init(NatStats *stats);
/* stats NULL: nobody counts. */
void nat_stats_count(NatStats *stats, NatStat what);
void nat_stats_connected(NatStats *stats, gint64 took_us);
