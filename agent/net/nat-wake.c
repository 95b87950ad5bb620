/* SPDX-License-Identifier: MIT */
#include "agent/net/nat-wake.h"

#include <time.h>

struct NatWake {
	gint64 interval_us;
	gboolean started;
	gint64 slept_us; /* BOOTTIME − MONOTONIC, all suspends since boot */
	gint64 last_us;	 /* MONOTONIC at the last check */
};

NatWake *
nat_wake_new(guint interval_ms)
{
	NatWake *wake = g_new0(NatWake, 1);

	nat_wake_set_interval(wake, interval_ms);
	return wake;
}

void
nat_wake_free(NatWake *wake)
{
	g_free(wake);
}

void
nat_wake_set_interval(NatWake *wake, guint interval_ms)
{
	wake->interval_us = (gint64)interval_ms * 1000;
}

/* The two clocks are read one after the other: the difference is exact to the time in between, and
 * only its smallest value counts. Naps that are too short each add up. */
static gboolean
slept(NatWake *wake, gint64 slept_us)
{
	gboolean woke = slept_us - wake->slept_us >= NAT_WAKE_SLEPT_US;

	if (woke || slept_us < wake->slept_us)
		wake->slept_us = slept_us;
	return woke;
}

gboolean
nat_wake_check(NatWake *wake, gint64 boottime_us, gint64 monotonic_us)
{
	gint64 passed_us = monotonic_us - wake->last_us, slept_us = boottime_us - monotonic_us;
	gboolean woke;

	wake->last_us = monotonic_us;
	if (!wake->started) {
		wake->started = TRUE;
		wake->slept_us = slept_us;
		return FALSE;
	}
	woke = slept(wake, slept_us);
	return woke || (wake->interval_us > 0 && passed_us - wake->interval_us >= NAT_WAKE_LATE_US);
}

static gint64
clock_us(clockid_t clock)
{
	struct timespec ts = {0};

	clock_gettime(clock, &ts);
	return (gint64)ts.tv_sec * G_USEC_PER_SEC + ts.tv_nsec / 1000;
}

gboolean
nat_wake_now(NatWake *wake)
{
	gint64 monotonic_us = clock_us(CLOCK_MONOTONIC);

	return nat_wake_check(wake, clock_us(CLOCK_BOOTTIME), monotonic_us);
}
