/* SPDX-License-Identifier: MIT */
/* The source ports that tunnels of an interface use instead of WireGuard's. */
#include "agent/interface/nat-interface-private.h"
#include "agent/punch/punch-teardown.h"

static PunchFlowUse
use_of(const WgKey *key, const PunchFlow *flow, gpointer user_data)
{
	NatInterface *iface = user_data;
	NatPeer *peer = g_hash_table_lookup(iface->peers, key);

	return peer != NULL ? nat_peer_flow_use(peer, flow) : PUNCH_FLOW_VOID;
}

static void
on_received(const NatUdp *pkt, gpointer user_data)
{
	nat_mux_receive_relayed(((NatInterface *)user_data)->mux, pkt);
}

static gboolean
detour(const WgEndpoint *dst, const guint8 *payload, gsize len, gpointer user_data)
{
	return punch_flows_send(user_data, dst, payload, len);
}

void
nat_interface_update_punch(NatInterface *iface)
{
	if (iface->punch_flows != NULL && punch_flows_count(iface->punch_flows) > 0)
		punch_flows_sweep(iface->punch_flows, use_of, g_get_monotonic_time(), iface);
}

void
nat_interface_start_punch(NatInterface *iface)
{
	guint left;

	if (!iface->config.many_ports) {
		/* of a run that had them */
		punch_teardown(iface->env.config->state_dir, iface->config.name, &left);
		return;
	}
	iface->punch_flows = punch_flows_new(iface->config.name, iface->env.config->state_dir,
					     &iface->public_key, iface->fwmark);
	punch_flows_set_receiver(iface->punch_flows, on_received, iface);
	nat_mux_set_detour(iface->mux, detour, iface->punch_flows);
}

void
nat_interface_stop_punch(NatInterface *iface)
{
	nat_mux_set_detour(iface->mux, NULL, NULL);
	g_clear_pointer(&iface->punch_flows, punch_flows_free);
}
