/* SPDX-License-Identifier: MIT */
/* Which of this host's addresses innernet tells others of. */
#pragma once

#include <glib.h>

/* "address:port", IPv4 first, ten at most: global ones of interfaces that are up, where tunnels,
 * whose state is unknown to the kernel, count with their IPv6 addresses only; none of IPv6's for
 * documentation, links or sites. (transfer full, of char *) */
GPtrArray *local_candidates(guint16 port);
