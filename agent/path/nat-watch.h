/* SPDX-License-Identifier: MIT */
/*
 * NatWatch: the candidate pairs of one peer that are known to lead to it, and what is known of
 * each: whether it is alive, its round trip, its loss. Authenticated STUN Binding requests on
 * WireGuard's port, or through a relayed address of ours, under a ufrag of their own (never shown
 * to libnice, never with USE-CANDIDATE), answered by the peer's watch. A pair costs a few hundred
 * bytes, no fd.
 *
 *   NEW ──answer──▶ ALIVE ──unanswered──▶ SUSPECT ──12 unanswered──▶ DEAD
 *    └──unanswered──▶ DEAD       ▲──answer, bytes──┘                   │
 *                      ALIVE ◀──────────────answer─────────────────────┘
 *
 * Each probe and each answer carries a note: what the sender's chooser has to say (nat-peer-path).
 * Host thread only. Callbacks come from the main loop; pairs may be added and removed inside them.
 */
#pragma once

#include "agent/base/nat-stats.h"
#include "agent/base/nat-types.h"
#include "agent/mux/nat-mux.h"
#include "agent/path/nat-watch-keys.h"
#include "agent/session/nat-seal.h"

typedef struct NatWatch NatWatch;
typedef struct NatWatchPair NatWatchPair;

typedef enum {
	NAT_PAIR_NEW,
	NAT_PAIR_ALIVE,
	NAT_PAIR_SUSPECT,
	NAT_PAIR_DEAD,
} NatPairState;

typedef enum {
	NAT_NOTE_CHOSEN = 1 << 0,   /* the sender's tunnel uses this pair, as of `epoch` */
	NAT_NOTE_DEAD = 1 << 1,	    /* the pair of `epoch` is dead for the sender */
	NAT_NOTE_BLOCKED = 1 << 2,  /* … because WireGuard's packets do not pass on it */
	NAT_NOTE_POKE = 1 << 3,	    /* the sender's WireGuard hears nothing: let yours send */
	NAT_NOTE_UNREADY = 1 << 4,  /* the sender's end of this pair can't be used now */
	NAT_NOTE_RETIRING = 1 << 5, /* … will be gone in some seconds: choose another */
} NatNoteFlags;

typedef struct {
	guint32 epoch; /* of the controlling side's last choice that the sender knows; 0: none */
	guint8 flags;  /* NatNoteFlags; unknown ones mean nothing */
} NatNote;

typedef struct {
	/* `pair` changed its state; `before` is the old one. */
	void (*changed)(NatWatchPair *pair, NatPairState before, gpointer user_data);
	/* The peer's note came over `pair`, authenticated. answer: to a probe of ours, so it is as
	 * fresh as that; a request may be a copy of an old one. */
	void (*noted)(NatWatchPair *pair, const NatNote *note, gboolean answer, gpointer user_data);
	/* What to tell the peer over `pair` now. */
	void (*tell)(NatWatchPair *pair, NatNote *note, gpointer user_data);
	/* The pair is about to go: release what nat_watch_data() holds. */
	void (*removed)(NatWatchPair *pair, gpointer user_data);
} NatWatchFuncs;

#define NAT_WATCH_PAIRS 16 /* of one peer, at most */

/* own_id and peer_id: the watch ids of both agents. It answers from now on. */
NatWatch *nat_watch_new(NatMux *mux, NatSeal *seal, const WgKey *own, const WgKey *peer,
			guint64 own_id, guint64 peer_id, const NatWatchFuncs *funcs,
			gpointer user_data);
void nat_watch_free(NatWatch *watch);
/* Where probes are counted; NULL (at first): nowhere. */
void nat_watch_set_stats(NatWatch *watch, NatStats *stats);

/* relayed: a relayed address of ours that the pair starts from, NULL for port P. Probes at once.
 * Where the pair is known already, that one (its remote type becomes the better known one). NULL
 * when there are too many. */
NatWatchPair *nat_watch_add(NatWatch *watch, const WgEndpoint *relayed, const NatCandidate *remote);
void nat_watch_remove(NatWatchPair *pair);
NatWatchPair *nat_watch_find(NatWatch *watch, const WgEndpoint *relayed, const WgEndpoint *remote);
/* The credentials of its probes. Valid as long as the watch. */
const NatWatchKeys *nat_watch_keys(const NatWatch *watch);
/* A probe from port P to a port that is guessed (agent/punch): where it arrives, the peer's probe
 * comes back, and makes the pair. FALSE: it could not be sent. */
gboolean nat_watch_guess(NatWatch *watch, const WgEndpoint *dst);
guint nat_watch_count(const NatWatch *watch);
NatWatchPair *nat_watch_nth(const NatWatch *watch, guint i);

/* Between two probes of a living pair at rest, in ms; 0 (at first): none. */
void nat_watch_set_rest(NatWatchPair *pair, guint ms);
/* A probe now; what is dead or new is tried from the start again. */
void nat_watch_probe(NatWatchPair *pair);
/* The same, and its deaths are forgotten. */
void nat_watch_absolve(NatWatchPair *pair);
void nat_watch_probe_all(NatWatch *watch);
/* Bytes go out on the pair and none come in: probed, fast until answered or dead. */
void nat_watch_suspect(NatWatchPair *pair);
/* WireGuard's authenticated bytes came in on it. */
void nat_watch_heard(NatWatchPair *pair);
/* The peer says that it is dead: as if we had found so, and it must prove itself anew. */
void nat_watch_distrust(NatWatchPair *pair);
/* Probes each round trip until told otherwise, so that a note arrives. */
void nat_watch_insist(NatWatchPair *pair, gboolean insist);

NatPairState nat_watch_state(const NatWatchPair *pair);
const WgEndpoint *nat_watch_relayed(const NatWatchPair *pair); /* NULL: from port P */
const NatCandidate *nat_watch_remote(const NatWatchPair *pair);
/* The pair was named by nat_watch_add(), or is known from the peer's probes alone. */
gboolean nat_watch_is_added(const NatWatchPair *pair);
/* It crosses a relay: ours, or the peer's. */
gboolean nat_watch_is_relay(const NatWatchPair *pair);
/* Smoothed round trip in ms, negative when unknown; and the share of probes that went unanswered
 * lately, 0…1. */
double nat_watch_rtt_ms(const NatWatchPair *pair);
double nat_watch_loss(const NatWatchPair *pair);
/* The round trip of the last answer alone, in ms. */
double nat_watch_last_ms(const NatWatchPair *pair);
/* Since when it has been alive (monotonic), 0: it is not; how many answers since then; how often it
 * died lately (nat_choice_one_more_death()). */
gint64 nat_watch_alive_us(const NatWatchPair *pair);
guint nat_watch_answers(const NatWatchPair *pair);
guint nat_watch_deaths(const NatWatchPair *pair);
/* For the owner's use. */
gpointer nat_watch_data(const NatWatchPair *pair);
void nat_watch_set_data(NatWatchPair *pair, gpointer data);
const char *nat_pair_state_to_string(NatPairState state);
