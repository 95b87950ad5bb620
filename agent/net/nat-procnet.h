/* SPDX-License-Identifier: MIT */
/*
 * NatProcnet: whether a WireGuard device can be served from this network namespace: its UDP socket
 * lives in the namespace where the interface was made, and /proc/net/udp tells which that is.
 */
#pragma once

#include "wgctl/wg-device.h"

/* Pure: whether the text of /proc/net/udp or udp6 shows a socket bound to port. */
gboolean nat_procnet_has_port(const char *text, guint16 port);
/* One line when the device cannot be served now, else NULL (transfer full). `fatal`: waiting will
 * not heal it. Reads /proc; any thread of the host namespace. */
char *nat_procnet_problem(const WgDevice *dev, gboolean *fatal);
