/* SPDX-License-Identifier: MIT */
/*
 * PunchTurn: whose turn it is. Attempts cost state in NATs that others share, so there is one at a
 * time in this process, whatever the interface; one that makes many mappings is followed by a pause
 * in which they die; and a peer that was tried in vain is tried again ever more rarely, until one
 * of the two networks is another one. Pure but for memory; host thread only.
 */
#pragma once

#include <glib.h>

typedef struct PunchTurn PunchTurn;

#define PUNCH_PAUSE_US (30 * (gint64)G_USEC_PER_SEC) /* after one with many mappings */

PunchTurn *punch_turn_new(void);
void punch_turn_free(PunchTurn *turn);
/* owner: whoever tries. mappings: that it will make at most. FALSE: not now. */
gboolean punch_turn_take(PunchTurn *turn, gconstpointer owner, guint mappings, gint64 now_us);
void punch_turn_give_back(PunchTurn *turn, gconstpointer owner, gint64 now_us);

/* For each peer: when it may be tried again. */
typedef struct {
	guint failures, postponed; /* in a row */
	gint64 failed_us, due_us;  /* the last one; when it may be tried again, 0: at once */
	guint networks;		   /* a hash of what would make it another matter */
} PunchBackoff;

/* The networks of both ends are these now: others than before forget the failures. */
void punch_backoff_note(PunchBackoff *backoff, guint networks);
gboolean punch_backoff_is_due(const PunchBackoff *backoff, gint64 now_us);
/* The same for an end that is asked: sooner by half, since the other end's clock began with another
 * packet; a peer that asks all the time is not obeyed. */
gboolean punch_backoff_may_follow(const PunchBackoff *backoff, gint64 now_us);
void punch_backoff_failed(PunchBackoff *backoff, gint64 now_us);
/* It was not even tried (the other end had no time): a little later, with some jitter, and rarely
 * where it goes on like that. */
void punch_backoff_later(PunchBackoff *backoff, gint64 now_us);
void punch_backoff_worked(PunchBackoff *backoff);
