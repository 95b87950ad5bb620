/* SPDX-License-Identifier: MIT */
/*
 * NatHistogram: how often a quantity fell below each of some bounds, for Prometheus. A value; pure.
 */
#pragma once

#include <glib.h>

#define NAT_HISTOGRAM_BOUNDS 16

typedef struct {
	const double *bounds; /* ascending; a value that equals one counts below it */
	guint n;
	guint64 counts[NAT_HISTOGRAM_BOUNDS + 1]; /* between two bounds; the last: above all */
	double sum;
} NatHistogram;

/* bounds: at most NAT_HISTOGRAM_BOUNDS, and not freed before the histogram. */
void nat_histogram_init(NatHistogram *histogram, const double *bounds, guint n);
/* What is no number is not counted. */
void nat_histogram_add(NatHistogram *histogram, double value);
/* How many were not above bounds[i]; i = n: all. */
guint64 nat_histogram_below(const NatHistogram *histogram, guint i);
