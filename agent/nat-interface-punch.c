/* SPDX-License-Identifier: MIT */
/* The source ports that tunnels of an interface use instead of WireGuard's. */
#include "agent/nat-interface-private.h"

static gboolean
is_used(const WgKey *key, const PunchFlow *flow, gpointer user_data)
{
	NatInterface *iface = user_data;
	NatPeer *peer = g_hash_table_lookup(iface->peers, key);

	return peer != NULL && nat_peer_uses_flow(peer, flow);
}

void
nat_interface_update_punch(NatInterface *iface)
{
	if (iface->punch_flows != NULL && punch_flows_count(iface->punch_flows) > 0)
		punch_flows_sweep(iface->punch_flows, is_used, iface);
}

void
nat_interface_start_punch(NatInterface *iface)
{
	iface->punch_flows = punch_flows_new(iface->config.name, iface->env.config->state_dir,
					     &iface->public_key, iface->fwmark);
}

void
nat_interface_stop_punch(NatInterface *iface)
{
	g_clear_pointer(&iface->punch_flows, punch_flows_free);
}
