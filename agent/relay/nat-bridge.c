/* SPDX-License-Identifier: MIT */
#include "agent/net/nat-local-socket.h"
#include "agent/relay/nat-pump-private.h"

#include <errno.h>
#include <gio/gio.h>
#include <unistd.h>

struct NatBridge {
	NatPump *pump;
	NatLane *lane;
	WgEndpoint endpoint;
	guint16 wg_port;
	guint32 fwmark;
	guint users;
};

NatLane *
nat_lane_ref(NatLane *lane)
{
	atomic_fetch_add(&lane->refs, 1);
	return lane;
}

void
nat_lane_unref(NatLane *lane)
{
	if (atomic_fetch_sub(&lane->refs, 1) > 1)
		return;
	nat_inject_free(lane->inject);
	nat_dgram_close(&lane->sock);
	g_free(lane);
}

NatBridge *
nat_bridge_new(NatPump *pump, guint16 channel, guint16 wg_port, guint32 fwmark, GError **error)
{
	NatBridge *bridge;
	NatLane *lane;
	WgEndpoint own;
	int fd;

	g_return_val_if_fail(
		channel >= NAT_CHANNEL_FIRST && channel < NAT_CHANNEL_FIRST + NAT_CHANNELS, NULL);
	/* the mark matters only to rules that look at nothing else */
	fd = nat_loopback_socket(wg_port, fwmark, &own);
	if (fd < 0) {
		g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno),
			    "cannot open a socket towards WireGuard's port: %s", g_strerror(errno));
		return NULL;
	}
	lane = g_new0(NatLane, 1);
	lane->refs = 1;
	lane->channel = channel;
	nat_dgram_init(&lane->sock, fd);
	bridge = g_new0(NatBridge, 1);
	bridge->pump = pump;
	bridge->lane = lane;
	bridge->endpoint = own;
	bridge->wg_port = wg_port;
	bridge->fwmark = fwmark;
	bridge->users = 1;
	g_ptr_array_add(pump->bridges, bridge);
	nat_pump_order(pump, NAT_ORDER_ADD, lane, NULL);
	return bridge;
}

NatBridge *
nat_bridge_share(NatBridge *bridge)
{
	bridge->users++;
	return bridge;
}

void
nat_bridge_free(NatBridge *bridge)
{
	NatBridgeStats stats;

	if (!bridge || --bridge->users > 0)
		return;
	nat_bridge_stats(bridge, &stats);
	nat_bridge_stats_add(&bridge->pump->gone, &stats);
	g_ptr_array_remove_fast(bridge->pump->bridges, bridge);
	nat_pump_order(bridge->pump, NAT_ORDER_REMOVE, bridge->lane, NULL);
	nat_lane_unref(bridge->lane);
	g_free(bridge);
}

const WgEndpoint *
nat_bridge_endpoint(const NatBridge *bridge)
{
	return &bridge->endpoint;
}

gboolean
nat_bridge_set_source(NatBridge *bridge, const WgEndpoint *source)
{
	g_autoptr(GError) error = NULL;
	NatInject *inject = NULL;

	if (source)
		inject = nat_inject_new(source, bridge->wg_port, bridge->fwmark, &error);
	if (error)
		g_debug("late packets will come from the bridge: %s", error->message);
	nat_pump_order(bridge->pump, NAT_ORDER_INJECT, bridge->lane, inject);
	return !source || inject;
}

/* The socket keeps its own port, and with it what WireGuard knows as the endpoint. */
gboolean
nat_bridge_set_port(NatBridge *bridge, guint16 wg_port)
{
	if (bridge->wg_port == wg_port)
		return TRUE;
	if (!nat_loopback_connect(bridge->lane->sock.fd, wg_port))
		return FALSE;
	bridge->wg_port = wg_port;
	nat_bridge_set_source(bridge, NULL);
	return TRUE;
}

gboolean
nat_bridge_deliver(NatBridge *bridge, const guint8 *data, gsize len)
{
	NatLane *lane = bridge->lane;

	/* that WireGuard's port was shut at the last one is told in place of sending this one */
	for (int i = 0; i < 2; i++) {
		if (send(lane->sock.fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL) == (gssize)len) {
			nat_count(&lane->to_wg_packets, 1);
			nat_count(&lane->to_wg_bytes, len);
			return TRUE;
		}
	}
	nat_count(&lane->dropped, 1);
	return FALSE;
}

void
nat_bridge_stats(const NatBridge *bridge, NatBridgeStats *out)
{
	NatLane *lane = bridge->lane;

	out->to_turn_packets = atomic_load(&lane->to_turn_packets);
	out->to_turn_bytes = atomic_load(&lane->to_turn_bytes);
	out->to_wg_packets = atomic_load(&lane->to_wg_packets);
	out->to_wg_bytes = atomic_load(&lane->to_wg_bytes);
	out->dropped = atomic_load(&lane->dropped);
}
