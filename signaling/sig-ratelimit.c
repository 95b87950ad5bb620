/* SPDX-License-Identifier: MIT */
#include "signaling/sig-ratelimit.h"

#include <sodium.h>

typedef struct {
	double missing; /* tokens below a full bucket: a zeroed slot is full */
	gint64 at;	/* µs: when that was true */
} Bucket;

struct SigRateLimit {
	guint8 key[crypto_shorthash_KEYBYTES];
	guint mask;
	guint rate, burst;
	Bucket buckets[];
};

SigRateLimit *
sig_rate_limit_new(guint slots, guint rate, guint burst)
{
	SigRateLimit *limit = g_malloc0(sizeof *limit + slots * sizeof(Bucket));

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
	Bucket *bucket;

	if (limit->rate == 0)
		return TRUE;
	crypto_shorthash((guint8 *)&hash, id, len, limit->key);
	bucket = &limit->buckets[hash & limit->mask];
	if (now > bucket->at) {
		bucket->missing -= (double)(now - bucket->at) * limit->rate / G_USEC_PER_SEC;
		bucket->missing = MAX(bucket->missing, 0);
		bucket->at = now;
	}
	if (bucket->missing + cost > limit->burst)
		return FALSE;
	bucket->missing += cost;
	return TRUE;
}
