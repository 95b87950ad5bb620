/* SPDX-License-Identifier: MIT */
/*
 * Privileges: what the agent needs of the kernel, asked for by name.
 */
#pragma once

#include <glib.h>

/* Whether the calling thread has the effective capabilities that `run` needs; the error names those
 * that are missing. */
gboolean nat_privs_check(GError **error);
/* The same for what changes interfaces only: CAP_NET_ADMIN. */
gboolean nat_privs_check_admin(GError **error);
/* The same as the first for a given effective set; pure, for tests. */
gboolean nat_privs_check_set(guint64 effective, GError **error);
