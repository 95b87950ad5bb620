/* SPDX-License-Identifier: MIT */
/*
 * Which network interfaces there are, and of what kind, by rtnetlink. Blocking.
 */
#pragma once

#include <glib.h>

/* FALSE when there is no such interface, or with *error when the kernel can't be asked.
 * *is_wireguard: of the kernel's own kind "wireguard". */
gboolean wg_link_lookup(const char *ifname, int *ifindex, gboolean *is_wireguard, GError **error);
/* Names of the kernel's WireGuard interfaces (transfer full), NULL on error. */
GPtrArray *wg_link_list(GError **error);
/* What the kernel takes for a name: 1 to 15 bytes, no '/', ':' or space, not "." or "..". */
gboolean wg_link_is_name(const char *ifname);
