/* SPDX-License-Identifier: MIT */
/*
 * SigRateLimit: token buckets for many ids in bounded memory. An id hashes (keyed, so that nobody
 * can aim) to one of a fixed number of buckets; two ids that meet in one share its rate. Nothing is
 * allocated per id and nothing is forgotten when a client reconnects. Pure; time is an argument.
 */
#pragma once

#include <glib.h>

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
