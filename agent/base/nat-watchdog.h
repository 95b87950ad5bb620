/* SPDX-License-Identifier: MIT */
/*
 * NatWatchdog: tells the service manager that we are alive, for as long as we are: that the host
 * thread's main loop turns, and that the ICE thread answers it. A thread that hangs is told by
 * nobody else: tunnels stay up, and are never mended again.
 *
 * Host thread only; the other thread meets it by closures.
 */
#pragma once

#include <glib.h>

typedef struct NatWatchdog NatWatchdog;

/* Three times in each interval_us, the time after which we would be taken for dead, the thread that
 * runs `other` (transfer none) is asked, and where it answers, alive() is called here, in the
 * default GMainContext. It is not asked again before it has answered. */
NatWatchdog *nat_watchdog_new(GMainContext *other, guint64 interval_us, void (*alive)(gpointer),
			      gpointer user_data);
/* The same for systemd (sd_watchdog_enabled(3)); NULL where nobody watches us. */
NatWatchdog *nat_watchdog_new_for_service(GMainContext *other);
/* NULL is allowed. What the other thread has not answered yet is dropped when it does. */
void nat_watchdog_free(NatWatchdog *watchdog);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatWatchdog, nat_watchdog_free)
