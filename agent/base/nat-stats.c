/* SPDX-License-Identifier: MIT */
#include "agent/base/nat-stats.h"

#include <string.h>

/* From a direct path on a LAN to a relay that is found after everything else has failed. */
static const double CONNECT_S[] = {0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2.5, 5, 10, 30};

void
nat_stats_init(NatStats *stats)
{
	memset(stats, 0, sizeof *stats);
	nat_histogram_init(&stats->connect_s, CONNECT_S, G_N_ELEMENTS(CONNECT_S));
}

void
nat_stats_count(NatStats *stats, NatStat what)
{
	if (stats)
		stats->counts[what]++;
}

void
nat_stats_connected(NatStats *stats, gint64 took_us)
{
	if (stats)
		nat_histogram_add(&stats->connect_s, (double)took_us / G_USEC_PER_SEC);
}
