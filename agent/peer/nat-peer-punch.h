/* SPDX-License-Identifier: MIT */
/* Hard NATs: the part of a peer that speaks with agent/punch. Shared by nat-peer*.c. */
#pragma once

#include "agent/peer/nat-peer-private.h"
#include "agent/punch/punch-flows.h"

/* Each second, and it may begin. */
void nat_peer_punch_tick(NatPeer *peer, gint64 now_us);
/* An unsealed message of the peer's that punch_msg_is(). */
void nat_peer_punch_message(NatPeer *peer, const guint8 *data, gsize len);
/* A pair has come alive. */
void nat_peer_punch_alive(NatPeer *peer, NatWatchPair *pair);
void nat_peer_punch_stop(NatPeer *peer); /* before the watch goes */
void nat_peer_punch_network_changed(NatPeer *peer);
void nat_peer_punch_free(NatPeer *peer);
NatManyPorts nat_peer_many_ports(NatPeer *peer); /* for `why` */
/* The port that its packets to `remote` leave from instead of WireGuard's; 0: WireGuard's. */
guint16 nat_peer_source_port(const NatPeer *peer, const WgEndpoint *remote);
