/* SPDX-License-Identifier: MIT */
/*
 * NatBackoff: how long to wait before the next connection: full jitter, so that a thousand agents
 * whose server came back do not all come at once (DESIGN §4). Pure: the random number and the
 * time that a connection lasted are arguments; all zero is a fresh start.
 */
#pragma once

#include <glib.h>

#define NAT_BACKOFF_MIN_MS 200
#define NAT_BACKOFF_FIRST_MS 500 /* the first wait is between MIN and this */
#define NAT_BACKOFF_MAX_MS 30000
#define NAT_BACKOFF_STABLE_MS 60000 /* a connection this old makes the next loss a first one */
#define NAT_BACKOFF_DUPLICATE_MIN_MS 60000
#define NAT_BACKOFF_DUPLICATE_MAX_MS 3600000
/* Longer than any wait of a clone: only then is it known to be gone. */
#define NAT_BACKOFF_DUPLICATE_STABLE_MS (2 * NAT_BACKOFF_DUPLICATE_MAX_MS)
#define NAT_BACKOFF_DRAIN_MAX_S 300

typedef struct {
	guint losses;	  /* since the last stable connection */
	guint duplicates; /* times another agent with our key took over */
} NatBackoff;

/* After a failed or lost connection: uniform between 200 ms and a bound that doubles from
 * 500 ms to 30 s. */
guint nat_backoff_next_ms(NatBackoff *backoff, guint32 random);
/* After duplicate-key: uniform between 60 and 120 s, doubling to at most an hour. */
guint nat_backoff_duplicate_ms(NatBackoff *backoff, guint32 random);
/* After drain: uniform between 0 and the server's bound. */
guint nat_backoff_drain_ms(guint within_s, guint32 random);
/* A logged-in connection has ended after `ms`. Call before _next_ms. */
void nat_backoff_lasted(NatBackoff *backoff, gint64 ms);
/* The network changed: what failed before says nothing about now. */
void nat_backoff_reset(NatBackoff *backoff);
