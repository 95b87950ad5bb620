/* SPDX-License-Identifier: MIT */
#include "agent/base/nat-histogram.h"

#include <math.h>
#include <string.h>

void
nat_histogram_init(NatHistogram *histogram, const double *bounds, guint n)
{
	memset(histogram, 0, sizeof *histogram);
	histogram->bounds = bounds;
	histogram->n = MIN(n, NAT_HISTOGRAM_BOUNDS);
}

void
nat_histogram_add(NatHistogram *histogram, double value)
{
	guint i = 0;

	if (!isfinite(value))
		return;
	while (i < histogram->n && value > histogram->bounds[i])
		i++;
	histogram->counts[i]++;
	histogram->sum += value;
}

guint64
nat_histogram_below(const NatHistogram *histogram, guint i)
{
	guint64 total = 0;

	for (guint j = 0; j <= MIN(i, histogram->n); j++)
		total += histogram->counts[j];
	return total;
}
