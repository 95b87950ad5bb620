/* SPDX-License-Identifier: MIT */
#include "agent/punch/punch-turn.h"

#define SEC ((gint64)G_USEC_PER_SEC)
#define MANY 100 /* mappings: more than a browser makes when it opens a page */
/* The first failures may be bad luck (4 of 100 at most), then it is the NAT. */
#define FIRST_S 60
#define MAX_S (24 * 3600)
#define LATER_MIN_S 5
#define LATER_MAX_S 15
#define LATER_DOUBLINGS 6

struct PunchTurn {
	gconstpointer owner; /* NULL: nobody */
	guint mappings;
	gint64 free_us; /* not before then */
};

PunchTurn *
punch_turn_new(void)
{
	return g_new0(PunchTurn, 1);
}

void
punch_turn_free(PunchTurn *turn)
{
	g_free(turn);
}

gboolean
punch_turn_take(PunchTurn *turn, gconstpointer owner, guint mappings, gint64 now_us)
{
	if (turn->owner != NULL || (mappings >= MANY && now_us < turn->free_us))
		return FALSE;
	turn->owner = owner;
	turn->mappings = mappings;
	return TRUE;
}

void
punch_turn_give_back(PunchTurn *turn, gconstpointer owner, gint64 now_us)
{
	if (turn->owner != owner)
		return;
	turn->owner = NULL;
	if (turn->mappings >= MANY)
		turn->free_us = now_us + PUNCH_PAUSE_US;
}

void
punch_backoff_note(PunchBackoff *backoff, guint networks)
{
	if (backoff->networks == networks)
		return;
	*backoff = (PunchBackoff){.networks = networks};
}

gboolean
punch_backoff_is_due(const PunchBackoff *backoff, gint64 now_us)
{
	return now_us >= backoff->due_us;
}

gboolean
punch_backoff_may_follow(const PunchBackoff *backoff, gint64 now_us)
{
	return backoff->failures == 0 ||
	       now_us - backoff->failed_us >= (backoff->due_us - backoff->failed_us) / 2;
}

/* 1, 5, 25 minutes, 2 hours, … a day */
void
punch_backoff_failed(PunchBackoff *backoff, gint64 now_us)
{
	gint64 s = FIRST_S;

	for (guint i = 0; i < backoff->failures && s < MAX_S; i++)
		s *= 5;
	backoff->failures++;
	backoff->failed_us = now_us;
	backoff->due_us = now_us + MIN(s, MAX_S) * SEC;
}

void
punch_backoff_later(PunchBackoff *backoff, gint64 now_us)
{
	gint64 s = g_random_int_range(LATER_MIN_S, LATER_MAX_S);

	s <<= MIN(backoff->postponed, LATER_DOUBLINGS);
	backoff->postponed++;
	backoff->due_us = MAX(backoff->due_us, now_us + s * SEC);
}

void
punch_backoff_worked(PunchBackoff *backoff)
{
	backoff->failures = backoff->postponed = 0;
	backoff->due_us = 0;
}
