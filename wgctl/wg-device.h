/* SPDX-License-Identifier: MIT */
/*
 * What a WireGuard device says of itself. Values only: no I/O; a WgDevice is a snapshot.
 */
#pragma once

#include "wgctl/wg-endpoint.h"
#include "wgctl/wg-key.h"

typedef struct {
	int family; /* AF_INET or AF_INET6 */
	guint8 addr[16];
	guint8 cidr;
} WgAllowedIp;

typedef struct {
	WgKey public_key;
	WgKey preshared_key;	  /* all zero: none */
	WgEndpoint endpoint;	  /* unset: none */
	guint16 keepalive;	  /* seconds, 0: off */
	gint64 last_handshake_s;  /* CLOCK_REALTIME seconds, 0: never */
	gint64 last_handshake_ns; /* its nanoseconds */
	guint64 rx_bytes, tx_bytes;
	GArray *allowed_ips; /* of WgAllowedIp, never NULL */
} WgPeer;

typedef enum {
	WG_BACKEND_KERNEL,
	WG_BACKEND_USERSPACE,
} WgBackend;

typedef struct {
	char *name;
	int ifindex;
	WgBackend backend;
	WgKey private_key; /* all zero: none */
	WgKey public_key;
	guint16 listen_port; /* 0: none bound (kernel interface that is down) */
	guint32 fwmark;
	GPtrArray *peers; /* of WgPeer, in the device's order, never NULL */
} WgDevice;

WgPeer *wg_peer_new(void);
WgPeer *wg_peer_copy(const WgPeer *peer);
void wg_peer_free(WgPeer *peer); /* clears the PSK */
WgDevice *wg_device_new(const char *name);
void wg_device_free(WgDevice *dev); /* clears the private key */
/* (transfer none) NULL when there is no such peer. */
WgPeer *wg_device_find(const WgDevice *dev, const WgKey *public_key);
const char *wg_backend_to_string(WgBackend backend); /* "kernel", "userspace" */
/* "10.0.0.0/8"; host bits are masked. */
gboolean wg_allowed_ip_parse(const char *text, WgAllowedIp *out);
char *wg_allowed_ip_format(const WgAllowedIp *ip);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(WgPeer, wg_peer_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(WgDevice, wg_device_free)
