/* SPDX-License-Identifier: MIT */
/*
 * PunchDetour: a flow from another source port than WireGuard's, through this process: where the
 * kernel does not rewrite it (punch-rewrite). WireGuard speaks to a loopback socket, a thread moves
 * its packets between that and the port, in batches; STUN that comes in is the host thread's.
 *
 * Called from the host thread; the callback comes in its default main context, never after
 * punch_detour_free() returned, and may free the detour.
 */
#pragma once

#include "wgctl/wg-endpoint.h"

#include <gio/gio.h>

typedef struct PunchDetour PunchDetour;

/* A STUN message of the far end's. Valid during the call. */
typedef void (*PunchDetourFunc)(const guint8 *msg, gsize len, gpointer user_data);

/* fd: bound to the port (taken, also on failure). wg_port: WireGuard's, here. */
PunchDetour *punch_detour_new(int fd, const WgEndpoint *remote, guint16 wg_port, guint32 fwmark,
			      PunchDetourFunc func, gpointer user_data, GError **error);
void punch_detour_free(PunchDetour *detour);
/* Another mark from now on. */
void punch_detour_set_fwmark(PunchDetour *detour, guint32 fwmark);
/* What WireGuard's endpoint must be for its packets to go this way. (transfer none) */
const WgEndpoint *punch_detour_endpoint(const PunchDetour *detour);
/* A STUN message to the far end. FALSE: the kernel refused it. */
gboolean punch_detour_send(PunchDetour *detour, const guint8 *msg, gsize len);
