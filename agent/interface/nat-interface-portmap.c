/* SPDX-License-Identifier: MIT */
/* WireGuard's port, mapped at the routers of this network: one more candidate. */
#include "agent/interface/nat-interface-private.h"
#include "agent/portmap/map-gateway.h"

#define LIVE_S 180 /* WireGuard's REJECT_AFTER_TIME */

static void
on_changed(gpointer user_data)
{
	nat_interface_for_each_peer(user_data, nat_peer_candidates_changed);
}

static void
on_record(const char *text, gpointer user_data)
{
	nat_interface_record(user_data, G_LOG_LEVEL_MESSAGE, NAT_EVENT_NAT, "%s", text);
}

/* What the innernet server sees is asked by the internet's route. */
static GArray *
seen(const WgEndpoint *own, gpointer user_data)
{
	NatInterface *iface = user_data;
	GArray *array = nat_stun_probe_seen_from(iface->probe, own);
	const WgEndpoint far = nat_fib_far(wg_endpoint_family(own));
	WgEndpoint source;

	if (iface->inn_observed == NULL || !nat_mux_source_for(iface->mux, &far, &source) ||
	    !wg_endpoint_same_address(&source, own))
		return array;
	for (guint i = 0; i < iface->inn_observed->len; i++)
		wg_endpoint_array_add(array, &g_array_index(iface->inn_observed, WgEndpoint, i),
				      wg_endpoint_same);
	return array;
}

/* STUN servers, where peers are, and where they may be. */
static void
destinations(GArray *far, gpointer user_data)
{
	NatInterface *iface = user_data;
	GHashTableIter iter;
	gpointer peer;

	g_array_append_vals(far, iface->server_stun->data, iface->server_stun->len);
	g_hash_table_iter_init(&iter, iface->peers);
	while (far->len < MAP_FAR_MAX && g_hash_table_iter_next(&iter, NULL, &peer))
		nat_peer_add_endpoints(peer, far);
	g_hash_table_iter_init(&iter, iface->peers);
	while (far->len < MAP_FAR_MAX && g_hash_table_iter_next(&iter, NULL, &peer))
		nat_peer_add_destinations(peer, far);
}

void
nat_interface_start_portmap(NatInterface *iface)
{
	MapEnv env = {
		.fib = iface->env.fib,
		.state_dir = iface->env.config->state_dir,
		.ifname = iface->config.name,
		.public_key = &iface->public_key,
		.port = iface->port,
		.fwmark = iface->fwmark,
		.changed = on_changed,
		.record = on_record,
		.seen = seen,
		.destinations = destinations,
		.user_data = iface,
		.off = !iface->config.port_mapping,
	};

	iface->map = map_new(&env);
}

void
nat_interface_stop_portmap(NatInterface *iface)
{
	map_free(g_steal_pointer(&iface->map), MAP_RELEASE);
}

/* By the device's word: an agent that has just started does not know yet what is live. */
static gboolean
has_live_tunnel(const NatInterface *iface)
{
	gint64 now_s = g_get_real_time() / G_USEC_PER_SEC;

	for (guint i = 0; iface->device != NULL && i < iface->device->peers->len; i++) {
		const WgPeer *peer = g_ptr_array_index(iface->device->peers, i);

		if (peer->last_handshake_s != 0 && now_s - peer->last_handshake_s < LIVE_S)
			return TRUE;
	}
	return FALSE;
}

/* What a live tunnel uses stays (DESIGN §1). */
void
nat_interface_end_portmap(NatInterface *iface)
{
	map_free(g_steal_pointer(&iface->map), has_live_tunnel(iface) ? MAP_KEEP : MAP_END);
}

void
nat_interface_give_back(NatInterface *iface)
{
	if (!has_live_tunnel(iface))
		nat_interface_stop_portmap(iface);
}

void
nat_interface_restart_portmap(NatInterface *iface)
{
	/* what is still right is taken up, what is not is owed */
	map_free(g_steal_pointer(&iface->map), MAP_KEEP);
	nat_interface_start_portmap(iface);
}

void
nat_interface_renew_portmap(NatInterface *iface)
{
	if (iface->map != NULL)
		map_network_changed(iface->map);
}

void
nat_interface_ways_changed(gpointer user_data)
{
	NatInterface *iface = user_data;

	if (iface->map != NULL)
		map_destinations_changed(iface->map);
}

void
nat_interface_check_portmap(NatInterface *iface)
{
	if (iface->map != NULL)
		map_mapping_changed(iface->map);
}

static void
remove_equal(GArray *candidates, const WgEndpoint *endpoint)
{
	for (guint i = candidates->len; i-- > 0;)
		if (wg_endpoint_equal(&g_array_index(candidates, NatCandidate, i).endpoint,
				      endpoint))
			g_array_remove_index(candidates, i);
}

void
nat_interface_add_mapped(NatInterface *iface, GArray *candidates)
{
	g_autoptr(GArray) mapped = g_array_new(FALSE, FALSE, sizeof(NatCandidate));

	if (iface->map != NULL)
		map_add_candidates(iface->map, mapped);
	for (guint i = 0; i < mapped->len; i++)
		remove_equal(candidates, &g_array_index(mapped, NatCandidate, i).endpoint);
	if (mapped->len > 0)
		g_array_prepend_vals(candidates, mapped->data, mapped->len);
}

gboolean
nat_interface_is_mapped(gpointer user_data)
{
	NatInterface *iface = user_data;

	return iface->map != NULL && map_is_up(iface->map);
}

void
nat_interface_status_portmap(NatInterface *iface, NatStatusInterface *out)
{
	NatStatusPortMapping *to = &out->port_mapping;
	MapStatus status = {.state = "off"};

	if (iface->map != NULL)
		map_status(iface->map, &status);
	to->state = g_strdup(status.state);
	to->protocol = g_strdup(status.protocol);
	to->gateway = status.gateway;
	to->external = status.external;
	to->lifetime_s = status.lifetime_s;
	to->problem = g_strdup(status.problem);
	to->pinhole = status.pinhole;
}
