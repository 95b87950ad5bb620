/* SPDX-License-Identifier: MIT */
/*
 * InnLink: brings up an innernet interface as innernet does: the device (the kernel's WireGuard,
 * else the userspace implementation that is installed), its key and port, its address, MTU, and the
 * route to the network. What is there and right already is left alone, so it may be called again
 * after being interrupted at any step. Blocking (some 10 s at the very most, where a userspace
 * implementation has to be started and does not come up); host thread only; needs CAP_NET_ADMIN.
 */
#pragma once

#include "wgctl/wg-endpoint.h"
#include "wgctl/wg-key.h"

#define INN_LINK_MTU 1280 /* innernet's default */

typedef struct {
	WgEndpoint address;  /* port 0 */
	guint8 prefix;	     /* of the network: a route to it leads into the interface */
	guint mtu;	     /* a lower one that an existing device has stays */
	WgKey private_key;   /* replaces another one that an existing device has */
	guint16 listen_port; /* 0: any (an existing device keeps what it has) */
} InnLinkParams;

/* *made: the device was not there before; may be NULL. The error is one line with the remedy, also
 * where the name belongs to an interface of another kind, or where its network overlaps with a
 * route or an address of another interface (which is named): nothing is changed then. Where a later
 * step fails, a device that this call has made is removed again. Once it is TRUE, the device is
 * bound to a UDP port. */
gboolean inn_link_up(const char *ifname, const InnLinkParams *params, gboolean *made,
		     GError **error);
/* Removes the device. TRUE also when it is not there. An interface of another kind is refused. */
gboolean inn_link_down(const char *ifname, GError **error);
