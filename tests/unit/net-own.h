/* SPDX-License-Identifier: MIT */
/*
 * A test's traffic in a network namespace of its own, of loopback only: what others send, and what
 * their queue drops, is nothing to it, and no port is taken.
 */
#pragma once

#include <glib.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

/*
 * First in main(), before any thread starts. Without the permission the test stays where it is, and
 * passes there, too, as a rule. FALSE if it moved and has no loopback.
 */
static inline gboolean
net_own(void)
{
	if (geteuid() != 0 || unshare(CLONE_NEWNET) < 0)
		return TRUE;
	return system("ip link set lo up") == 0;
}
