/* SPDX-License-Identifier: MIT */
/*
 * NatTurnSocket: the way to a TURN server as a connected datagram fd, whatever the transport. For
 * TCP and TLS a NatTurnStream stands behind it.
 */
#pragma once

#include <glib.h>

#include "agent/relay/nat-turn-uri.h"
#include "wgctl/wg-endpoint.h"

typedef struct NatTurnSocket NatTurnSocket;

/* The socket carries fwmark. *fd is the caller's (NatPump takes it); close it before freeing. */
NatTurnSocket *nat_turn_socket_new(const NatTurnUri *uri, const WgEndpoint *server, guint32 fwmark,
				   int *fd, GError **error);
void nat_turn_socket_free(NatTurnSocket *sock);
/* Whether messages are neither lost nor reordered. */
gboolean nat_turn_socket_is_stream(const NatTurnSocket *sock);
/* Datagrams may be cut on the way (at first), as WireGuard's may, or leave whole or not at all. No
 * matter to a stream. */
void nat_turn_socket_set_whole(NatTurnSocket *sock, gboolean whole);
/* Why the fd failed with this errno, one line. (transfer full) */
char *nat_turn_socket_problem(const NatTurnSocket *sock, int failed);
/* The address the kernel would choose now towards the server (port 0); FALSE: there is no way. */
gboolean nat_turn_socket_source(const WgEndpoint *server, guint32 fwmark, WgEndpoint *out);
