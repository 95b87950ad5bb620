/* SPDX-License-Identifier: MIT */
#include "signaling/sig-ratelimit.h"

#include <sodium.h>

struct SigRateLimit {
	guint8 key[crypto_shorthash_KEYBYTES];
	guint mask;
	guint rate, burst;
	SigBucket buckets[];
};

/* What is missing at `now`; a clock that stands or goes back gives nothing. */
static double
missing_at(const SigBucket *bucket, guint rate, gint64 now)
{
	double gained = now > bucket->at ? (double)(now - bucket->at) * rate / G_USEC_PER_SEC : 0;

	return MAX(bucket->missing - gained, 0);
}

gboolean
sig_bucket_take(SigBucket *bucket, guint rate, guint burst, guint cost, gint64 now)
{
	if (rate == 0)
		return TRUE;
	bucket->missing = missing_at(bucket, rate, now);
	bucket->at = MAX(bucket->at, now);
	if (bucket->missing + cost > burst)
		return FALSE;
	bucket->missing += cost;
	return TRUE;
}

gboolean
sig_bucket_is_full(const SigBucket *bucket, guint rate, gint64 now)
{
	return missing_at(bucket, rate, now) <= 0;
}

SigRateLimit *
sig_rate_limit_new(guint slots, guint rate, guint burst)
{
	SigRateLimit *limit = g_malloc0(sizeof *limit + slots * sizeof(SigBucket));

	crypto_shorthash_keygen(limit->key);
	limit->mask = slots - 1;
	limit->rate = rate;
	limit->burst = burst;
	return limit;
}

void
sig_rate_limit_free(SigRateLimit *limit)
{
	g_free(limit);
}

gboolean
sig_rate_limit_take(SigRateLimit *limit, gconstpointer id, gsize len, guint cost, gint64 now)
{
	guint64 hash;

	if (limit->rate == 0)
		return TRUE;
	crypto_shorthash((guint8 *)&hash, id, len, limit->key);
	return sig_bucket_take(&limit->buckets[hash & limit->mask], limit->rate, limit->burst, cost,
			       now);
}
