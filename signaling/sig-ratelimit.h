/* SPDX-License-Identifier: MIT */
/*
 * SigBucket: a token bucket, for whoever has an object to keep it in. Pure; time is an argument.
 *
 * SigRateLimit: token buckets for many ids in bounded memory. An id hashes (keyed, so that nobody
 * can aim) to one of a fixed number of buckets; two ids that meet in one share its rate. Nothing is
 * allocated per id and nothing is forgotten when a client reconnects. Whoever holds many ids can
 * still keep many buckets empty, blindly: of n ids used at their full rate, a stranger meets one
 * with a chance of n to the number of slots. So it serves where what holds the ids in check is
 * bounded elsewhere (keys: by the rate of their address); addresses have exact buckets instead
 * (sig-address).
 */
#pragma once

#include <glib.h>

typedef struct {
	double missing; /* tokens below a full bucket: zeroed it is full */
	gint64 at;	/* µs: when that was true */
} SigBucket;

/* Takes `cost` tokens from a bucket that holds `burst` and gains `rate` a second, at `now` (µs,
 * monotonic); FALSE and nothing taken when there are not enough. rate 0: no limit. */
gboolean sig_bucket_take(SigBucket *bucket, guint rate, guint burst, guint cost, gint64 now);
/* Whether it is as good as a new one at `now`. */
gboolean sig_bucket_is_full(const SigBucket *bucket, guint rate, gint64 now);

typedef struct SigRateLimit SigRateLimit;

/* slots: a power of two. rate: tokens a second; burst: tokens of a full bucket. rate 0: no limit.
 */
SigRateLimit *sig_rate_limit_new(guint slots, guint rate, guint burst);
void sig_rate_limit_free(SigRateLimit *limit);
/* Takes `cost` tokens from the bucket of id (any bytes) at `now` (µs, monotonic); FALSE and nothing
 * taken when there are not enough. */
gboolean sig_rate_limit_take(SigRateLimit *limit, gconstpointer id, gsize len, guint cost,
			     gint64 now);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SigRateLimit, sig_rate_limit_free)
