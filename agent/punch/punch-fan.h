/* SPDX-License-Identifier: MIT */
/*
 * PunchFan: many UDP sockets of one local address, behind one event source: source ports that get
 * mappings of their own. They are bound, so that the kernel answers to nobody that a port is shut.
 * Host thread only; callbacks come from the main loop and may free the fan.
 */
#pragma once

#include "wgctl/wg-endpoint.h"

#include <gio/gio.h>

typedef struct PunchFan PunchFan;

/* What arrived at the i-th socket. Valid during the call. */
typedef void (*PunchFanFunc)(guint i, const WgEndpoint *src, const guint8 *data, gsize len,
			     gpointer user_data);

/* local: its address counts. fwmark: WireGuard's. Fewer than n where the host has no more
 * descriptors or ports; NULL where it has none. */
PunchFan *punch_fan_new(const WgEndpoint *local, guint n, guint32 fwmark, PunchFanFunc func,
			gpointer user_data, GError **error);
void punch_fan_free(PunchFan *fan);
guint punch_fan_count(const PunchFan *fan);
guint16 punch_fan_port(const PunchFan *fan, guint i); /* the local one */
/* FALSE: the kernel refused it. */
gboolean punch_fan_send(PunchFan *fan, guint i, const WgEndpoint *dst, const guint8 *data,
			gsize len);
/* The i-th socket, which is the caller's from now on (non-blocking, not connected); the fan has it
 * no more. */
int punch_fan_take(PunchFan *fan, guint i);
