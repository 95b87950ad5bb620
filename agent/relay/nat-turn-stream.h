/* SPDX-License-Identifier: MIT */
/*
 * NatTurnStream: a TURN server over TCP or TLS that looks like a datagram socket: one end of a
 * SOCK_SEQPACKET pair, served by two threads that connect, frame and copy. When either side ends,
 * so does the other. The threads outlive the owner's last reference only as long as it takes to
 * send what was written (TCP_USER_TIMEOUT bounds that), and touch nothing of his.
 */
#pragma once

#include <gio/gio.h>

#include "agent/relay/nat-turn-uri.h"
#include "wgctl/wg-endpoint.h"

typedef struct NatTurnStream NatTurnStream;

/* Starts to connect. uri: transport, and the host that a certificate must name (the system's trust
 * decides). *fd: taken by the caller; what is written before the connection stands waits. Closing
 * it ends the stream. */
NatTurnStream *nat_turn_stream_new(const NatTurnUri *uri, const WgEndpoint *server, guint32 fwmark,
				   int *fd, GError **error);
void nat_turn_stream_free(NatTurnStream *stream); /* gives up a connection under way */
/* Why it ended, one line; NULL: it has not, or without a reason. (transfer full) */
char *nat_turn_stream_problem(NatTurnStream *stream);
