/* SPDX-License-Identifier: MIT */
/*
 * Privileges: what the agent needs of the kernel, asked for by name.
 */
#pragma once

#include <glib.h>

/* Whether the calling thread has the effective capabilities that `run` needs, and the device
 * /dev/net/tun; the error names what is missing and how to give it. CAP_SYS_ADMIN is not needed
 * (nat-ice-ns). */
gboolean nat_privs_check(GError **error);
/* The same for what changes interfaces only: CAP_NET_ADMIN. */
gboolean nat_privs_check_admin(GError **error);
/* The calling thread, and those that it starts, keep CAP_NET_ADMIN and CAP_NET_RAW of what they
 * have, or nothing at all; a program that is started as root has what the bounding set leaves it.
 */
void nat_privs_keep_network(void);
void nat_privs_drop_all(void);
/* The same as the first for a given effective set; pure, for tests. */
gboolean nat_privs_check_set(guint64 effective, GError **error);
