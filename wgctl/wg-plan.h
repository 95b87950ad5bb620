/* SPDX-License-Identifier: MIT */
/*
 * WgPlan: what a backend has to write, entry by entry, for a list of wished changes.
 *
 * The rules of WgPeerChange (what REPLACE keeps, what REARM means, which peers must exist) live
 * here and only here; the backends translate entries into their own protocol. Pure: no I/O.
 */
#pragma once

#include "wgctl/wg-ctl.h"

typedef enum {
	WG_ENTRY_REMOVE = 1 << 0,
	WG_ENTRY_UPDATE_ONLY = 1 << 1, /* do nothing when the peer has gone meanwhile */
	WG_ENTRY_REPLACE_ALLOWED_IPS = 1 << 2,
	WG_ENTRY_ENDPOINT = 1 << 3,
	WG_ENTRY_KEEPALIVE = 1 << 4,
	WG_ENTRY_PSK = 1 << 5,
	WG_ENTRY_JOIN_NEXT = 1 << 6, /* the next entry belongs into the same message */
} WgEntryFlags;

typedef struct {
	WgKey public_key;
	WgEntryFlags flags;
	WgEndpoint endpoint;
	guint16 keepalive;
	WgKey preshared_key;
	const WgAllowedIp *allowed_ips; /* (transfer none) of the device or the change */
	gsize n_allowed_ips;
} WgPlanEntry;

typedef struct {
	/* Device settings, NULL means leave (transfer none). */
	const WgKey *private_key;
	const guint16 *listen_port;
	const guint32 *fwmark;
	GArray *entries; /* of WgPlanEntry, never NULL */
} WgPlan;

WgPlan *wg_plan_new(void);
/* `dev`, the state before the changes, and `changes` must outlive the plan. Nothing is planned
 * (NULL, WG_ERROR_NO_PEER or WG_ERROR_FAILED) when one of the changes is impossible. */
WgPlan *wg_plan_new_changes(const WgDevice *dev, const WgPeerChange *changes, gsize n,
			    GError **error);
void wg_plan_free(WgPlan *plan); /* clears the PSKs */

G_DEFINE_AUTOPTR_CLEANUP_FUNC(WgPlan, wg_plan_free)
