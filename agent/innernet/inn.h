/* SPDX-License-Identifier: MIT */
/*
 * Inn: one interface's dealings with its innernet server: reads the network's state, keeps our
 * candidates and beacon in our record there, and knows what the records of the peers say. Changes
 * nothing on this host but, where it owns the interface, innernet's store.
 *
 * Every innernet daemon of this host that fetches replaces the candidates by its own: what our
 * record lacks is put there again. A peer's beacon that is missing means as little.
 * Host thread only; callbacks come from the main loop, never from inside a call.
 */
#pragma once

#include "agent/innernet/inn-beacon.h"
#include "agent/innernet/inn-conf.h"
#include "agent/innernet/inn-poll.h"
#include "agent/innernet/inn-state.h"

typedef struct Inn Inn;

typedef struct {
	const char *ifname;
	const InnConf *conf;	/* borrowed, outlives the Inn */
	const char *store_path; /* of innernet's client */
	const char *state_dir;	/* what we published last is kept there; may be NULL */
	gboolean owns;		/* the interface, and with it the store */
	WgKey public_key;	/* ours */
	guint32 watch_id;	/* of this run */
} InnParams;

typedef struct {
	/* The network's state was read, or is what the store remembers (from inside inn_start()).
	 */
	void (*changed)(gpointer user_data);
	/* The server can't be asked, so what an earlier run published is what the peers go by:
	 * we are that run to them, from now on. base: greater than any epoch it can have come to.
	 * At most once, before a beacon was acted on (inn_is_settled()). FALSE: not possible, some
	 * peers know this run already. */
	gboolean (*resumed)(guint32 watch_id, guint32 base, gpointer user_data);
	/* The server was asked and did not answer (no status at all). */
	void (*unreachable)(gpointer user_data);
	/* For inn_poll_next(), but for `failed`. */
	void (*facts)(InnPollFacts *facts, gpointer user_data);
	/* Ours, of NatCandidate, the best one first (transfer full). */
	GArray *(*candidates)(gpointer user_data);
	NatMapping (*mapping)(gpointer user_data);
} InnFuncs;

Inn *inn_new(const InnParams *params, const InnFuncs *funcs, gpointer user_data);
void inn_free(Inn *inn);
/* Asks the server as soon as the main loop runs; what the store remembers is told at once. */
void inn_start(Inn *inn);
/* Our addresses changed: a new generation, an ICE restart for all peers. */
void inn_renew(Inn *inn);
/* Something happened after which a peer's record may say something new. */
void inn_hurry(Inn *inn);
/* The same, and the next reading will be soon enough. */
void inn_expect(Inn *inn);
/* Our candidates may have changed. */
void inn_publish(Inn *inn);

/* The server was asked, with whatever result: our generation is what the peers will see. */
gboolean inn_is_settled(const Inn *inn);
guint64 inn_generation(const Inn *inn); /* never 0 */
/* What is known of the network; NULL: nothing yet. (transfer none, until the next main loop turn)
 */
const InnState *inn_state(const Inn *inn);
/* The peer's beacon, also one that was there until lately. */
gboolean inn_beacon_of(const Inn *inn, const WgKey *peer, InnBeacon *out);
/* Where the server sees our WireGuard's packets come from (of WgEndpoint; transfer none). */
const GArray *inn_observed(const Inn *inn);

typedef enum {
	INN_STARTING,
	INN_REACHABLE,
	INN_UNREACHABLE, /* no answer */
	INN_REFUSED,	 /* it answers, but not us: disabled, removed, another key */
	INN_INVALID,	 /* its answer can't be used */
} InnStatus;

InnStatus inn_status(const Inn *inn);
const char *inn_status_to_string(InnStatus status); /* "starting", "reachable", … */
/* One line, all of it escaped; NULL: all is well. */
const char *inn_problem(const Inn *inn);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Inn, inn_free)
