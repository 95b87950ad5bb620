/* SPDX-License-Identifier: MIT */
/* Inside NatStunProbe: who is asked, by what (nat-stun-probe.c), and what it tells of the NAT
 * (nat-stun-probe-seen.c). */
#pragma once

#include "agent/nat-stun-probe.h"

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
	/* Set: this is that server's OTHER-ADDRESS, and we were not told of it. */
	WgEndpoint leader;
	gboolean proven; /* of these: it has answered from there */
	gboolean led;	 /* of the rest: its OTHER-ADDRESS has been asked from `source` */
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
};
