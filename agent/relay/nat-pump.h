/* SPDX-License-Identifier: MIT */
/*
 * NatPump: the data path of one TURN allocation, in a thread of its own: moves WireGuard's packets
 * between the datagram socket towards the TURN server (ChannelData, RFC 8656 §12.4) and one
 * loopback UDP socket per bridged peer. In batches, without an allocation per packet.
 *
 * What is not a WireGuard message in an open bridge's channel (STUN, also inside of a channel,
 * ChannelData of a channel without a bridge) goes to `control` in the host thread, whole and
 * bounded in number; garbage is counted. All functions are called from the host thread; callbacks
 * come in its default main context, never after nat_pump_free() returned. They may free bridges and
 * pump.
 */
#pragma once

#include "wgctl/wg-endpoint.h"

typedef struct NatPump NatPump;
typedef struct NatBridge NatBridge;

typedef struct {
	/* A datagram of the TURN server's that no bridge took. Valid during the call. */
	void (*control)(const guint8 *msg, gsize len, gpointer user_data);
	/* The socket failed for good. ECONNREFUSED: the server is gone (ICMP port unreachable
	 * twice, 100 ms apart at least, and no datagram of its between them); EPIPE: a stream
	 * ended. Called once; the pump stands still afterwards and is to be freed. */
	void (*failed)(int error, gpointer user_data);
} NatPumpFuncs;

typedef struct {
	guint64 to_turn_packets, to_turn_bytes; /* WireGuard's, without headers */
	guint64 to_wg_packets, to_wg_bytes;
	guint64 dropped; /* a full socket, or too big */
} NatBridgeStats;

void nat_bridge_stats_add(NatBridgeStats *sum, const NatBridgeStats *more);

/* fd: a connected datagram socket: UDP, or one end of a SOCK_SEQPACKET socketpair that a stream
 * adaptor serves (SOCK_DGRAM pairs hold some ten datagrams and tell of no end). Taken, also on
 * failure; made non-blocking, buffers sized (of a pair: this end's; the adaptor sizes its own). */
NatPump *nat_pump_new(int fd, const NatPumpFuncs *funcs, gpointer user_data, GError **error);
void nat_pump_free(NatPump *pump); /* every bridge must have been freed */
/* From the host thread, beside the data. FALSE: the socket is full or failed, or the kernel refused
 * it. */
gboolean nat_pump_send(NatPump *pump, const guint8 *msg, gsize len);
/* The same for what data must not crowd out: into a pair that is full of it nevertheless. FALSE:
 * data was faster once more. */
gboolean nat_pump_send_request(NatPump *pump, const guint8 *msg, gsize len);
/* Whether the server has sent anything at all since it was last listened for. */
void nat_pump_listen(NatPump *pump);
gboolean nat_pump_has_heard(const NatPump *pump);
/* Messages that were no STUN and no ChannelData, or came while 64 others waited for the host's main
 * loop. */
guint64 nat_pump_dropped(const NatPump *pump);
/* Of all its bridges, also those that are gone. */
void nat_pump_stats(const NatPump *pump, NatBridgeStats *out);

/* Joins a bound channel (0x4000…0x4FFF) to WireGuard's port at 127.0.0.1. fwmark is WireGuard's.
 * What the server sends from now on finds the bridge. One bridge per channel. */
NatBridge *nat_bridge_new(NatPump *pump, guint16 channel, guint16 wg_port, guint32 fwmark,
			  GError **error);
/* One more user of it (transfer full): the same channel, the same endpoint. */
NatBridge *nat_bridge_share(NatBridge *bridge);
void nat_bridge_free(NatBridge *bridge); /* goes with its last user */
/* WireGuard listens at another port now. The endpoint stays, what set_source did is undone. FALSE:
 * the kernel refused it, with errno. */
gboolean nat_bridge_set_port(NatBridge *bridge, guint16 wg_port);
/* Hands WireGuard one message that came another way than by the channel. FALSE: the kernel refused
 * it. */
gboolean nat_bridge_deliver(NatBridge *bridge, const guint8 *data, gsize len);
/* What WireGuard's endpoint must be for its packets to go this way. (transfer none) */
const WgEndpoint *nat_bridge_endpoint(const NatBridge *bridge);
/* After the tunnel has moved to `source` (a direct endpoint), late packets of the relay are handed
 * to WireGuard as if they came from there, so that they are delivered and do not roam the endpoint
 * back. NULL: from the bridge's own endpoint again. FALSE: not possible here (they then come from
 * the bridge). Proven by tests/platform/spoofed-delivery. */
gboolean nat_bridge_set_source(NatBridge *bridge, const WgEndpoint *source);
void nat_bridge_stats(const NatBridge *bridge, NatBridgeStats *out);
