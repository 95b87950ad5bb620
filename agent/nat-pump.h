/* SPDX-License-Identifier: MIT */
/*
 * NatPump: the data path of one TURN allocation, in a thread of its own: moves WireGuard's packets
 * between the datagram socket towards the TURN server (ChannelData, RFC 8656 §12.4) and one
 * loopback UDP socket per bridged peer. In batches, without an allocation per packet.
 *
 * What is not ChannelData of an open bridge (STUN, ChannelData of a channel without a bridge,
 * garbage) goes to `control` in the host thread, bounded in number. All functions are called from
 * the host thread; `control` comes in its default main context, never after nat_pump_free()
 * returned.
 */
#pragma once

#include "wgctl/wg-endpoint.h"

typedef struct NatPump NatPump;
typedef struct NatBridge NatBridge;

typedef struct {
	/* A datagram of the TURN server's that no bridge took. Valid during the call. */
	void (*control)(const guint8 *msg, gsize len, gpointer user_data);
	/* The socket failed for good: errno, e.g. ECONNREFUSED (an ICMP port unreachable: the
	 * server is gone) or EPIPE (a stream ended). Called once; the pump stands still afterwards.
	 */
	void (*failed)(int error, gpointer user_data);
} NatPumpFuncs;

typedef struct {
	guint64 to_turn_packets, to_turn_bytes; /* WireGuard's, without headers */
	guint64 to_wg_packets, to_wg_bytes;
	guint64 dropped; /* a full socket, or too big */
} NatBridgeStats;

/* fd: a connected datagram socket (UDP, or one end of a socketpair that a stream adaptor serves),
 * taken, made non-blocking, buffers sized. */
NatPump *nat_pump_new(int fd, const NatPumpFuncs *funcs, gpointer user_data, GError **error);
void nat_pump_free(NatPump *pump); /* every bridge must have been freed */
/* From the host thread, beside the data. FALSE when the kernel refused it. */
gboolean nat_pump_send(NatPump *pump, const guint8 *msg, gsize len);

/* Joins a bound channel (0x4000…0x4FFF) to WireGuard's port at 127.0.0.1. fwmark is WireGuard's. */
NatBridge *nat_bridge_new(NatPump *pump, guint16 channel, guint16 wg_port, guint32 fwmark,
			  GError **error);
void nat_bridge_free(NatBridge *bridge);
/* What WireGuard's endpoint must be for its packets to go this way. (transfer none) */
const WgEndpoint *nat_bridge_endpoint(const NatBridge *bridge);
/* After the tunnel has moved to `source` (a direct endpoint), late packets of the relay are handed
 * to WireGuard as if they came from there, so that they are delivered and do not roam the endpoint
 * back. NULL: from the bridge's own endpoint again. FALSE: not possible here (they then come from
 * the bridge). Proven by tests/platform/spoofed-delivery. */
gboolean nat_bridge_set_source(NatBridge *bridge, const WgEndpoint *source);
void nat_bridge_stats(const NatBridge *bridge, NatBridgeStats *out);
