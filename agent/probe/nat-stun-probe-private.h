/* SPDX-License-Identifier: MIT */
/* Inside NatStunProbe: who is asked, by what (nat-stun-probe.c), and what it tells of the NAT
 * (nat-stun-probe-seen.c). */
#pragma once

#include "agent/probe/nat-stun-probe.h"

#define NAT_STUN_SERVERS_MAX 16

typedef struct {
	NatStunProbe *probe;
	WgEndpoint server;
	WgEndpoint source; /* port P; unset: no route */
	WgEndpoint mapped; /* unset: not (yet) answered */
	guint8 id[NAT_STUN_ID_LEN];
	guint sends;
	gboolean waiting;
	gboolean given_up; /* the last time it was asked from `source` */
	gboolean doubted;  /* what it told before stands, though it did not answer the last round */
	/* Set: this is that server's OTHER-ADDRESS, and we were not told of it. */
	WgEndpoint leader;
	gboolean proven;    /* of these: it has answered from there */
	gboolean late;	    /* of these: a mapping was told before, which it does not shake */
	gboolean led;	    /* of the rest: its OTHER-ADDRESS is being asked, or has answered */
	guint lead_pause_s; /* since nothing answered there last, from `source`; 0: it never was so
			     */
	gint64 lead_us;	    /* not before then is it asked anew */
	guint timer;
} NatStunQuery;

struct NatStunProbe {
	NatMux *mux;
	NatMuxClient *client;
	NatStunProbeFunc changed;
	gpointer user_data;
	NatStats *stats;    /* may be NULL */
	GPtrArray *queries; /* of NatStunQuery, one per server */
	gint64 started_us;
	guint keep_timer, keep_s;
	gboolean keeping; /* the round is for the mapping's sake alone: nothing has changed */
};

static inline gboolean
nat_stun_query_is_other(const NatStunQuery *query)
{
	return wg_endpoint_is_set(&query->leader);
}

static inline gboolean
nat_stun_query_is_unproven(const NatStunQuery *query)
{
	return nat_stun_query_is_other(query) && !query->proven;
}
