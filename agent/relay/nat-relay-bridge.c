/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation. A channel leads to one remote address, and into one bridge. Several users
 * may want the same one: an agent's pair and a plain peer's WireGuard (nat-relay-plain.c) can have
 * the same remote address. They share the bridge, and so the endpoint; it goes with the last of
 * them. Late packets in another's name (set_source) end with the user who asked for it.
 */
#define G_LOG_DOMAIN "relay"
#include "agent/relay/nat-relay-private.h"

struct NatRelayBridge {
	NatRelay *relay;
	NatRelayLeg *leg; /* NULL: lost */
	WgEndpoint peer;
	guint16 wg_port;
	NatRelayBridgeFunc ready;
	gpointer user_data;
	NatBridge *bridge; /* NULL: not yet bound */
	gboolean aimed;	   /* has set its source */
	guint idle;	   /* its loss will be told */
};

static gboolean
on_lost(gpointer user_data)
{
	NatRelayBridge *bridge = user_data;

	bridge->idle = 0;
	bridge->ready(bridge, NULL, bridge->user_data);
	return G_SOURCE_REMOVE;
}

static void
detach(NatRelayBridge *bridge)
{
	NatRelayLeg *leg = g_steal_pointer(&bridge->leg);

	if (bridge->aimed)
		nat_relay_bridge_set_source(bridge, NULL);
	g_clear_pointer(&bridge->bridge, nat_bridge_free);
	if (!leg)
		return;
	nat_turn_unbind(leg->turn, &bridge->peer, bridge);
	g_ptr_array_remove_fast(leg->bridges, bridge);
}

void
nat_relay_bridge_lost(NatRelayBridge *bridge)
{
	detach(bridge);
	if (bridge->idle == 0)
		bridge->idle = g_idle_add_full(G_PRIORITY_DEFAULT, on_lost, bridge, NULL);
}

/* What leads to the same peer already; NULL: nothing. (transfer full) */
static NatBridge *
share(const NatRelayBridge *bridge)
{
	const GPtrArray *all = bridge->leg->bridges;

	for (guint i = 0; i < all->len; i++) {
		const NatRelayBridge *other = g_ptr_array_index(all, i);

		/* one that cannot follow to the new port is replaced */
		if (other->bridge && wg_endpoint_equal(&other->peer, &bridge->peer) &&
		    nat_bridge_set_port(other->bridge, bridge->wg_port))
			return nat_bridge_share(other->bridge);
	}
	return NULL;
}

static void
on_bound(guint16 channel, gpointer user_data)
{
	NatRelayBridge *bridge = user_data;
	NatRelayLeg *leg = bridge->leg;
	g_autoptr(GError) error = NULL;

	if (channel != 0)
		bridge->bridge = share(bridge);
	if (channel != 0 && !bridge->bridge)
		bridge->bridge = nat_bridge_new(nat_turn_pump(leg->turn), channel, bridge->wg_port,
						leg->relay->fwmark, &error);
	if (error)
		g_warning("%s: %s", leg->relay->ifname, error->message);
	if (bridge->bridge) {
		bridge->ready(bridge, nat_bridge_endpoint(bridge->bridge), bridge->user_data);
		return;
	}
	nat_relay_bridge_lost(bridge);
	nat_relay_leg_check_end(leg);
}

NatRelayBridge *
nat_relay_bridge_new(NatRelay *relay, const WgEndpoint *relayed, const WgEndpoint *peer,
		     guint16 wg_port, NatRelayBridgeFunc ready, gpointer user_data)
{
	NatRelayBridge *bridge = g_new0(NatRelayBridge, 1);

	bridge->relay = relay;
	bridge->peer = *peer;
	bridge->wg_port = wg_port;
	bridge->ready = ready;
	bridge->user_data = user_data;
	bridge->leg = nat_relay_leg_of(relay, relayed);
	if (!bridge->leg) {
		nat_relay_bridge_lost(bridge);
		return bridge;
	}
	g_ptr_array_add(bridge->leg->bridges, bridge);
	nat_turn_bind(bridge->leg->turn, peer, on_bound, bridge);
	nat_relay_update(relay);
	return bridge;
}

void
nat_relay_bridge_free(NatRelayBridge *bridge)
{
	NatRelayLeg *leg;

	if (!bridge)
		return;
	leg = bridge->leg;
	detach(bridge);
	g_clear_handle_id(&bridge->idle, g_source_remove);
	g_free(bridge);
	if (leg)
		nat_relay_leg_check_end(leg);
}

const WgEndpoint *
nat_relay_bridge_endpoint(const NatRelayBridge *bridge)
{
	return bridge->bridge ? nat_bridge_endpoint(bridge->bridge) : NULL;
}

gboolean
nat_relay_bridge_set_source(NatRelayBridge *bridge, const WgEndpoint *source)
{
	bridge->aimed = source != NULL;
	return bridge->bridge && nat_bridge_set_source(bridge->bridge, source);
}

gboolean
nat_relay_bridge_set_port(NatRelayBridge *bridge, guint16 wg_port)
{
	bridge->wg_port = wg_port;
	return !bridge->bridge || nat_bridge_set_port(bridge->bridge, wg_port);
}

gboolean
nat_relay_bridge_deliver(NatRelayBridge *bridge, const guint8 *data, gsize len)
{
	return bridge->bridge && nat_bridge_deliver(bridge->bridge, data, len);
}

gboolean
nat_relay_bridge_stats(const NatRelayBridge *bridge, NatBridgeStats *out)
{
	if (!bridge->bridge)
		return FALSE;
	nat_bridge_stats(bridge->bridge, out);
	return TRUE;
}
