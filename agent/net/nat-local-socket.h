/* SPDX-License-Identifier: MIT */
/*
 * NatLocalSocket: how sockets beside WireGuard's own are opened. They carry its fwmark, so that
 * a full tunnel does not swallow them. Any thread.
 */
#pragma once

#include "wgctl/wg-endpoint.h"

/* type: SOCK_DGRAM or SOCK_STREAM. Bound to `local`, its port too; 0: any. own: what it became, may
 * be NULL. -1: errno says why. Non-blocking. */
int nat_local_socket(const WgEndpoint *local, int type, guint32 fwmark, WgEndpoint *own);
/* UDP, at any port of 127.0.0.1 (own), connected to WireGuard's port there. -1: errno says why. It
 * blocks. */
int nat_loopback_socket(guint16 wg_port, guint32 fwmark, WgEndpoint *own);
/* The same socket for another port of WireGuard's; it keeps its own. FALSE: errno says why. */
gboolean nat_loopback_connect(int fd, guint16 wg_port);
