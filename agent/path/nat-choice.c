/* SPDX-License-Identifier: MIT */
#include "agent/path/nat-choice.h"

#include <math.h>

#define SEC ((gint64)G_USEC_PER_SEC)
/* Of one kind, another pair must be better by a quarter and by 5 ms, seen five times: jitter alone
 * never is. */
#define BETTER_SHARE 0.75
#define BETTER_MS 5.0
/* Two ways over a relay differ little, and each end's load shows in them. */
#define BETTER_RELAY_MS 20.0
#define BETTER_ANSWERS 5
/* One lost packet of a hundred weighs like 4 ms: about what it costs a TCP stream at 50 ms. */
#define LOSS_MS 400.0
#define RTT_UNKNOWN_MS 1000.0
/* A second relay is one more thing that can break. */
#define RELAY_MS 5.0
#define HOLD_MAX_SHIFT 6 /* 64 s */
#define DEATH_HALF_LIFE_S 60.0

static gboolean
usable(const NatChoicePair *pair)
{
	return pair->alive && !pair->blocked;
}

static double
cost(const NatChoicePair *pair)
{
	double rtt = pair->rtt_ms >= 0 ? pair->rtt_ms : RTT_UNKNOWN_MS;

	return rtt + pair->loss * LOSS_MS + pair->relays * RELAY_MS;
}

static gboolean
is_direct(const NatChoicePair *pair)
{
	return pair->relays == 0;
}

gint64
nat_choice_hold_us(guint deaths)
{
	return deaths == 0 ? 0 : SEC << MIN(deaths - 1, HOLD_MAX_SHIFT);
}

double
nat_choice_one_more_death(double before, gint64 since_us)
{
	return before * exp2(-(double)since_us / SEC / DEATH_HALF_LIFE_S) + 1;
}

/* The order among pairs when nothing is at stake yet. */
static gboolean
comes_before(const NatChoicePair *a, const NatChoicePair *b)
{
	if (is_direct(a) != is_direct(b))
		return is_direct(a);
	/* What has to be tried again is no place to flee to. */
	if (a->doubted != b->doubted)
		return b->doubted;
	return cost(a) < cost(b);
}

/* Whether a working pair should be left for this one. */
static gboolean
replaces(const NatChoicePair *pair, const NatChoicePair *present, gint64 now_us)
{
	if (pair->answers < NAT_CHOICE_ANSWERS ||
	    now_us - pair->alive_us < nat_choice_hold_us(pair->deaths))
		return FALSE;
	if (is_direct(pair) != is_direct(present))
		return is_direct(pair);
	return pair->answers >= BETTER_ANSWERS && present->answers >= BETTER_ANSWERS &&
	       cost(pair) < cost(present) * BETTER_SHARE -
				    (is_direct(pair) ? BETTER_MS : BETTER_RELAY_MS);
}

int
nat_choice_best(const NatChoicePair *pairs, gsize n, int current, gint64 now_us)
{
	gboolean present = current >= 0 && usable(&pairs[current]);
	int best = present ? current : -1;

	for (gsize i = 0; i < n; i++) {
		if (!usable(&pairs[i]) || (int)i == current)
			continue;
		if (present && !replaces(&pairs[i], &pairs[current], now_us))
			continue;
		if (best < 0 || best == (present ? current : -1) ||
		    comes_before(&pairs[i], &pairs[best]))
			best = (int)i;
	}
	return best;
}
