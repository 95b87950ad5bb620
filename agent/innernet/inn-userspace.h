/* SPDX-License-Identifier: MIT */
/*
 * InnUserspace: starts the userspace WireGuard that is installed, for one interface, as a daemon
 * that outlives us: a tunnel does not end with the agent. Blocking, bounded; host thread only.
 */
#pragma once

#include <glib.h>

/* Starts what WG_USERSPACE_IMPLEMENTATION or WG_QUICK_USERSPACE_IMPLEMENTATION names, else
 * wireguard-go or boringtun-cli, and waits until it serves its socket. FALSE with one line: none is
 * installed, or it did not come up (it is ended then). */
gboolean inn_userspace_start(const char *ifname, GError **error);
/* Whether it serves (or no longer serves) the interface within `patience_ms`. */
gboolean inn_userspace_wait(const char *ifname, gboolean serves, guint patience_ms);
