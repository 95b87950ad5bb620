/* SPDX-License-Identifier: MIT */
/*
 * NatChoice: which of a peer's pairs its tunnel should use. By what is alive and not known to drop
 * WireGuard, then kind (direct before relayed), then round trip and loss; with hysteresis, and a
 * hold-down for pairs that have died before, so that a path that comes and goes does not take the
 * tunnel with it. Pure: facts in, index out.
 */
#pragma once

#include <glib.h>

typedef struct {
	gboolean alive;	  /* answers; for the present pair also: not known to be dead */
	gboolean blocked; /* WireGuard's packets did not pass there lately */
	gboolean doubted; /* they did not when it was last tried; it may be tried again */
	guint relays;	  /* that it crosses: 0, 1 or 2 */
	double rtt_ms;	  /* negative: unknown */
	double loss;	  /* 0…1 */
	gint64 alive_us;  /* since when, monotonic */
	guint answers;	  /* since then */
	guint deaths;	  /* lately: nat_choice_one_more_death() */
} NatChoicePair;

#define NAT_CHOICE_ANSWERS 2 /* that a pair must have given before it replaces a working one */

/* current: index of the pair in use, -1: none. Returns the index of the one to use, current where
 * nothing is better, -1 where none is alive. */
int nat_choice_best(const NatChoicePair *pairs, gsize n, int current, gint64 now_us);
/* How long a pair that has died so often must be alive before it replaces a working one, in us. */
gint64 nat_choice_hold_us(guint deaths);
/* What a pair's deaths weigh with one more, `since_us` after the last: each counts half after a
 * minute, so what broke now and then is not taken for what comes and goes. */
double nat_choice_one_more_death(double before, gint64 since_us);
