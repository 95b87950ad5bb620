/* SPDX-License-Identifier: MIT */
/*
 * Both ways of nat-ice-ns in one test program: with the permission for a network namespace, and
 * without it.
 */
#pragma once

#include "agent/ice/nat-ice-ns.h"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WAY_NAMESPACE NULL
#define WAY_RULES GINT_TO_POINTER(1) /* a test's data */

static inline void
ways_set_sys_admin(gboolean on)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct sets[2];

	g_assert_cmpint(syscall(SYS_capget, &header, sets), ==, 0);
	sets[0].effective &= ~(1u << CAP_SYS_ADMIN);
	if (on)
		sets[0].effective |= 1u << CAP_SYS_ADMIN;
	g_assert_cmpint(syscall(SYS_capset, &header, sets), ==, 0);
}

/* The ICE thread has what the caller has when it begins. */
static inline NatIceNs *
ways_new(gconstpointer way)
{
	g_autoptr(GError) error = NULL;
	NatIceNs *ns;

	ways_set_sys_admin(way == WAY_NAMESPACE);
	ns = nat_ice_ns_new(&error);
	ways_set_sys_admin(TRUE);
	g_assert_no_error(error);
	g_assert_cmpstr(nat_ice_ns_isolation(ns), ==, way == WAY_NAMESPACE ? "namespace" : "rules");
	return ns;
}
