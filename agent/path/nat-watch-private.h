/* SPDX-License-Identifier: MIT */
/*
 * What nat-watch*.c share. `gone` marks a pair that was removed inside a callback; the memory goes
 * when the outermost function that holds it is left: enter, callbacks, a look at `gone`, leave.
 */
#pragma once

#include "agent/path/nat-watch.h"

#define NAT_WATCH_OUTSTANDING 32

typedef struct {
	guint8 id[NAT_STUN_ID_LEN];
	gint64 sent_us; /* 0: free */
} NatWatchRequest;

struct NatWatchPair {
	NatWatch *watch;
	WgEndpoint relayed; /* unset: from port P */
	NatCandidate remote;
	NatPairState state;
	gboolean added, gone;
	gboolean asked; /* for a probe, which its timer sends at once */
	gpointer data;
	NatWatchRequest requests[NAT_WATCH_OUTSTANDING];
	guint next;
	guint unanswered; /* probes since the last answer */
	guint answers;
	double deaths;	 /* lately */
	guint insisting; /* probes left */
	guint rest_ms;
	double rtt_ms, var_ms, loss;
	double last_ms; /* of the last answer */
	gint64 alive_us, heard_us, dead_us, nudged_us;
	guint timer;
};

struct NatWatch {
	NatMux *mux;
	NatMuxClient *client;
	NatWatchKeys keys;
	NatWatchFuncs funcs;
	gpointer user_data;
	NatStats *stats;  /* may be NULL */
	GPtrArray *pairs; /* of NatWatchPair */
	GPtrArray *gone;  /* removed inside a callback */
	guint depth;	  /* of callbacks */
};

/* nat-watch.c: around callbacks that may remove what they are called about */
void nat_watch_enter(NatWatch *watch);
void nat_watch_leave(NatWatch *watch);

/* nat-watch-pair.c */
void nat_watch_pair_schedule(NatWatchPair *pair, guint ms); /* its one timer */
/* A sign of life on a dead pair: asked at once, but no more than once a second, for the way back
 * may stay closed. */
void nat_watch_pair_nudge(NatWatchPair *pair);
void nat_watch_pair_put_note(NatWatchPair *pair, guint8 out[NAT_STUN_NOTE_LEN]);
void nat_watch_pair_take_note(NatWatchPair *pair, const NatStun *stun, gboolean answered);
NatWatchRequest *nat_watch_pair_find_request(NatWatchPair *pair, const guint8 id[NAT_STUN_ID_LEN]);
void nat_watch_pair_answered(NatWatchPair *pair, NatWatchRequest *request, const NatStun *stun);
