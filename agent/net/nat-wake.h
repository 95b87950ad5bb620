/* SPDX-License-Identifier: MIT */
/*
 * NatWake: notices that the machine slept or the process stood still. Both leave the same behind:
 * NAT mappings expired, addresses gone, permissions at a relay lapsed, and timers that know nothing
 * of it, since CLOCK_MONOTONIC does not run during suspend.
 *
 * It has no timer of its own: whoever has one that runs anyway asks at each tick. Pure but for
 * nat_wake_now(); one thread.
 */
#pragma once

#include <glib.h>

typedef struct NatWake NatWake;

#define NAT_WAKE_SLEPT_US G_USEC_PER_SEC      /* suspended at least so long */
#define NAT_WAKE_LATE_US (3 * G_USEC_PER_SEC) /* a tick that is later than that was stopped */

/* interval_ms: how far apart the ticks are; 0: they come at no fixed times, and only suspend is
 * noticed. */
NatWake *nat_wake_new(guint interval_ms);
void nat_wake_free(NatWake *wake);
/* From now on ticks are so far apart; the next one counts from the last check. */
void nat_wake_set_interval(NatWake *wake, guint interval_ms);
/* Whether the machine slept (CLOCK_BOOTTIME, which runs during suspend, got ahead of
 * CLOCK_MONOTONIC) or this tick is late (SIGSTOP, a stopped virtual machine) since the last check.
 * Never at the first one. */
gboolean nat_wake_check(NatWake *wake, gint64 boottime_us, gint64 monotonic_us);
/* The same with the clocks' present times. */
gboolean nat_wake_now(NatWake *wake);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatWake, nat_wake_free)
