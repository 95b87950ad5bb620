/* SPDX-License-Identifier: MIT */
/* How the NAT that the STUN probe sees behaves. */
#include "agent/interface/nat-interface-private.h"

static void
record(NatInterface *iface, const NatClass *nat)
{
	g_autofree char *ports = nat_class_describe_ports(nat);

	nat_interface_record(iface, G_LOG_LEVEL_DEBUG, NAT_EVENT_NAT,
			     "the NAT's filtering is %s, its ports %s",
			     nat_filtering_to_string(nat->filtering), ports);
}

static void
on_changed(gpointer user_data)
{
	NatInterface *iface = user_data;
	const NatClass *nat = nat_class_probe_class(iface->class_probe);

	if (nat_class_is_known(nat))
		record(iface, nat);
	/* what the STUN probe learnt is told by who learnt it */
	if (iface->serving && !iface->class_told)
		nat_interface_for_each_peer(iface, nat_peer_candidates_changed);
}

void
nat_interface_start_class(NatInterface *iface)
{
	iface->class_probe =
		nat_class_probe_new(iface->config.name, iface->env.config->state_dir,
				    &iface->public_key, iface->fwmark, 0, on_changed, iface);
}

void
nat_interface_stop_class(NatInterface *iface)
{
	g_clear_pointer(&iface->class_probe, nat_class_probe_free);
}

/* The address that led to the servers does so no longer. */
static gboolean
has_left(NatInterface *iface)
{
	const WgEndpoint *local = nat_class_probe_local(iface->class_probe);
	g_autoptr(GArray) sources = NULL;

	if (local == NULL)
		return FALSE;
	sources = nat_stun_probe_sources(iface->probe);
	return !wg_endpoint_array_has(sources, local, wg_endpoint_same_address);
}

void
nat_interface_update_class(NatInterface *iface)
{
	g_autoptr(GArray) servers = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));
	NatMapping mapping = nat_stun_probe_mapping(iface->probe);
	WgEndpoint local, public_endpoint;

	iface->class_told = TRUE;
	if (nat_stun_probe_nat(iface->probe, &local, &public_endpoint, servers))
		nat_class_probe_set_nat(iface->class_probe, &local, &public_endpoint, mapping,
					(const WgEndpoint *)(gpointer)servers->data, servers->len);
	else if (mapping == NAT_MAPPING_NONE)
		nat_class_probe_set_open(iface->class_probe);
	else if (has_left(iface))
		nat_class_probe_set_lost(iface->class_probe);
	iface->class_told = FALSE;
}

void
nat_interface_nat_class(NatClass *out, gpointer user_data)
{
	NatInterface *iface = user_data;

	*out = *nat_class_probe_class(iface->class_probe);
	out->mapping = nat_stun_probe_mapping(iface->probe);
}
