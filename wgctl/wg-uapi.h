/* SPDX-License-Identifier: MIT */
/*
 * The WireGuard cross-platform userspace interface: lines of key=value, ended by an empty line
 * (https://www.wireguard.com/xplatform/). wg-uapi.c parses and prints, purely; wg-uapi-socket.c
 * carries the text to and from /var/run/wireguard/<if>.sock.
 */
#pragma once

#include "wgctl/wg-plan.h"

#define WG_UAPI_DIRECTORY "/var/run/wireguard"

/* Parses the answer to "get=1" in place (`text` is NUL-terminated and is written to). Leaves
 * ifindex and public_key alone: they are not in it. Unknown keys are ignored. */
WgDevice *wg_uapi_parse(const char *ifname, char *text, GError **error);
/* Parses the answer to "set=1", in place likewise. */
gboolean wg_uapi_parse_result(const char *ifname, char *text, GError **error);
/* The whole "set=1" request (transfer full); its memory is to be cleared. */
GString *wg_uapi_format_set(const WgPlan *plan);

/* Blocking, bounded by 5 s each. */
WgDevice *wg_uapi_read(const char *ifname, GError **error);
gboolean wg_uapi_write(const char *ifname, const WgPlan *plan, GError **error);
/* Whether something accepts connections at the socket of this interface. */
gboolean wg_uapi_is_served(const char *ifname);
