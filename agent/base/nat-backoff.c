/* SPDX-License-Identifier: MIT */
#include "agent/base/nat-backoff.h"

static guint
between(guint low, guint high, guint32 random)
{
	return low + (guint)((guint64)(high - low) * random / G_MAXUINT32);
}

/* start · 2^n, at most max; n may be anything. */
static guint
doubled(guint start, guint n, guint max)
{
	guint64 value = start;

	while (n-- > 0 && value < max)
		value *= 2;
	return (guint)MIN(value, max);
}

guint
nat_backoff_next_ms(NatBackoff *backoff, guint32 random)
{
	guint high = doubled(NAT_BACKOFF_FIRST_MS, backoff->losses, NAT_BACKOFF_MAX_MS);

	if (backoff->losses < G_MAXUINT)
		backoff->losses++;
	return between(NAT_BACKOFF_MIN_MS, high, random);
}

guint
nat_backoff_duplicate_ms(NatBackoff *backoff, guint32 random)
{
	guint high = doubled(2 * NAT_BACKOFF_DUPLICATE_MIN_MS, backoff->duplicates,
			     NAT_BACKOFF_DUPLICATE_MAX_MS);

	if (backoff->duplicates < G_MAXUINT)
		backoff->duplicates++;
	return between(high / 2, high, random);
}

guint
nat_backoff_drain_ms(guint within_s, guint32 random)
{
	return between(0, MIN(within_s, NAT_BACKOFF_DRAIN_MAX_S) * 1000, random);
}

void
nat_backoff_lasted(NatBackoff *backoff, gint64 ms)
{
	if (ms >= NAT_BACKOFF_STABLE_MS)
		backoff->losses = 0;
	if (ms >= NAT_BACKOFF_DUPLICATE_STABLE_MS)
		backoff->duplicates = 0;
}

void
nat_backoff_reset(NatBackoff *backoff)
{
	backoff->losses = 0;
}
