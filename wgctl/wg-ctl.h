/* SPDX-License-Identifier: MIT */
/*
 * WgCtl: read and change one WireGuard device, whichever implementation serves it.
 *
 * The kernel is spoken to by generic netlink, userspace implementations by the UAPI text protocol
 * at /var/run/wireguard/<if>.sock. Each call picks the backend anew by what exists, so that an
 * interface deleted and made again with another implementation is simply found.
 * Calls block (bounded by a 5 s receive timeout); one WgCtl belongs to one thread, and to the
 * network namespace of its first call.
 */
#pragma once

#include "wgctl/wg-device.h"

typedef enum {
	WG_ERROR_FAILED,	/* the system call or the peer said no: message has the cause */
	WG_ERROR_NO_DEVICE,	/* no such interface */
	WG_ERROR_NOT_WIREGUARD, /* the interface is of another kind, or nothing serves its socket */
	WG_ERROR_PERMISSION,	/* CAP_NET_ADMIN is missing */
	WG_ERROR_PROTOCOL,	/* malformed answer */
	WG_ERROR_NO_PEER,	/* change of a peer that is not there */
} WgError;

#define WG_ERROR (wg_error_quark())
GQuark wg_error_quark(void);

typedef struct WgCtl WgCtl;

typedef enum {
	WG_CHANGE_ENDPOINT = 1 << 0, /* unset, to clear it, with REPLACE only */
	WG_CHANGE_KEEPALIVE = 1 << 1,
	/* keepalive 0, then `keepalive` (0 without WG_CHANGE_KEEPALIVE: the present one), for the
	 * same peer in one message: sends a packet at once on an idle live session (DESIGN §3) */
	WG_CHANGE_REARM = 1 << 2,
	/* remove the peer and add it again (same key, PSK, allowed IPs, and the endpoint and
	 * keepalive of this change where flagged, else the present ones) in one transaction:
	 * frees a burned REKEY_TIMEOUT slot, loses session and counters */
	WG_CHANGE_REPLACE = 1 << 3,
	WG_CHANGE_REMOVE = 1 << 4,
	WG_CHANGE_CREATE = 1 << 5, /* without it an absent peer is never created: UPDATE_ONLY */
	WG_CHANGE_PSK = 1 << 6,
	WG_CHANGE_ALLOWED_IPS = 1 << 7, /* replaces the list */
} WgChangeFlags;

typedef struct {
	WgKey public_key;
	WgChangeFlags flags;
	WgEndpoint endpoint;
	guint16 keepalive;
	WgKey preshared_key;
	const WgAllowedIp *allowed_ips; /* (transfer none) */
	gsize n_allowed_ips;
} WgPeerChange;

WgCtl *wg_ctl_new(const char *ifname);
void wg_ctl_free(WgCtl *ctl);
/* Snapshot of the device with all peers (transfer full). */
WgDevice *wg_ctl_read(WgCtl *ctl, GError **error);
/* Applies the changes in order, after a read that checks them: nothing is written when one of
 * them names an absent peer. REPLACE keeps what that read saw. Not atomic over several netlink
 * messages; one peer's change (incl. REPLACE and REARM of up to some hundred allowed IPs) always
 * fits one message. */
gboolean wg_ctl_apply(WgCtl *ctl, const WgPeerChange *changes, gsize n, GError **error);
/* Device-level settings, for tests and the wgctl command; NULL means leave. */
gboolean wg_ctl_set_device(WgCtl *ctl, const WgKey *private_key, const guint16 *listen_port,
			   const guint32 *fwmark, GError **error);
/* Names of all WireGuard devices of this network namespace, both backends (transfer full). */
GStrv wg_ctl_list(GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(WgCtl, wg_ctl_free)
