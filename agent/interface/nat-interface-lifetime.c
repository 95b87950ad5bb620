/* SPDX-License-Identifier: MIT */
/* How long the NAT that the STUN probe sees keeps mappings, and what must be done so often. */
#include "agent/interface/nat-interface-private.h"

static void
on_changed(gpointer user_data)
{
	NatInterface *iface = user_data;

	nat_relay_set_keepalive(iface->relay, nat_keepalive_s(iface->keepalive));
	/* peers ask each second */
}

void
nat_interface_start_lifetime(NatInterface *iface)
{
	iface->keepalive =
		nat_keepalive_new(iface->config.name, iface->env.config->state_dir,
				  &iface->public_key, iface->fwmark, NULL, on_changed, iface);
	on_changed(iface);
}

void
nat_interface_stop_lifetime(NatInterface *iface)
{
	g_clear_pointer(&iface->keepalive, nat_keepalive_free);
}

/* Without an answer nothing is known; what was true may be so still. */
void
nat_interface_update_lifetime(NatInterface *iface)
{
	g_autoptr(GArray) servers = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));
	WgEndpoint local, public_endpoint;

	if (nat_stun_probe_nat(iface->probe, &local, &public_endpoint, servers))
		nat_keepalive_set_nat(iface->keepalive, &local, &public_endpoint,
				      (const WgEndpoint *)(gpointer)servers->data, servers->len);
	else if (nat_stun_probe_mapping(iface->probe) == NAT_MAPPING_NONE)
		nat_keepalive_set_open(iface->keepalive);
}

guint16
nat_interface_keepalive_s(gpointer user_data)
{
	NatInterface *iface = user_data;

	return nat_keepalive_s(iface->keepalive);
}
