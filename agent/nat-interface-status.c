/* SPDX-License-Identifier: MIT */
/* What status shows of an interface. */
#include "agent/nat-interface-private.h"

#define STATUS_FRESH_US (20 * 1000)

static void
status_counters(NatInterface *iface, NatStatusInterface *out)
{
	GHashTableIter iter;
	gpointer cause, count;

	nat_status_set_counter(out, "drop_signal_frame", nat_signal_client_dropped(iface->signal));
	nat_status_set_counter(out, "drop_turn_message", nat_relay_dropped(iface->relay));
	for (guint i = 0; iface->relay_plain != NULL && i < NAT_RELAY_PLAIN_N_COUNTERS; i++)
		nat_status_set_counter(out, nat_relay_plain_counter_name(i),
				       nat_relay_plain_counter(iface->relay_plain, i));
	for (guint i = 0; i < NAT_MUX_N_COUNTERS; i++)
		nat_status_set_counter(out, nat_mux_counter_name(i),
				       nat_mux_counter(iface->mux, i));
	g_hash_table_iter_init(&iter, iface->dropped);
	while (g_hash_table_iter_next(&iter, &cause, &count)) {
		g_autofree char *name = g_strconcat("drop_", cause, NULL);

		nat_status_set_counter(out, name, *(guint64 *)count);
	}
}

static const char *
relay_state(NatRelayState state)
{
	switch (state) {
	case NAT_RELAY_NONE:
	case NAT_RELAY_IDLE:
		return "idle";
	case NAT_RELAY_ALLOCATING:
		return "allocating";
	case NAT_RELAY_UP:
		return "up";
	case NAT_RELAY_FAILED:
		return "failed";
	}
	return NULL;
}

static const char *
row_state(NatRelayState state, gboolean held)
{
	return state == NAT_RELAY_UP && !held ? "idle" : relay_state(state);
}

/* One row a server; what is known is known of those in use, or of them all. */
static void
status_relay(NatInterface *iface, NatStatusInterface *out)
{
	GPtrArray *uris = nat_turn_list_uris(iface->turns);
	NatRelayState state = nat_relay_state(iface->relay);
	const char *used = nat_relay_server(iface->relay);
	const char *spare = nat_relay_spare_server(iface->relay);

	for (guint i = 0; i < uris->len; i++) {
		g_autofree char *server = nat_turn_uri_format(g_ptr_array_index(uris, i));
		NatStatusRelay *row = nat_status_add_relay(out, server);
		gboolean in_use = g_strcmp0(used, server) == 0;

		row->spare = g_strcmp0(spare, server) == 0;
		row->state = g_strdup(row_state(state, in_use || row->spare));
		if (in_use)
			row->relayed = *nat_relay_address(iface->relay);
		else if (row->spare)
			row->relayed = *nat_relay_spare_address(iface->relay);
		else
			row->problem = g_strdup(
				nat_relay_problem_of(iface->relay, g_ptr_array_index(uris, i)));
	}
}

static void
status_peer(NatPeer *peer, const WgPeer *wg, NatStatusInterface *out, gboolean detail,
	    const char *whom)
{
	NatStatusPeer *row = nat_status_add_peer(out, &wg->public_key);

	nat_peer_status(peer, wg, row);
	if (detail && (whom == NULL || nat_status_peer_matches(row, whom)))
		row->detail = nat_peer_detail(peer);
}

static void
status_serving(NatInterface *iface, NatStatusInterface *out, gboolean detail, const char *whom)
{
	g_autoptr(GArray) candidates = nat_interface_candidates(iface);
	g_autoptr(GArray) public_endpoints = nat_stun_probe_public(iface->probe);

	out->signal_state =
		g_strdup(nat_signal_state_to_string(nat_signal_client_state(iface->signal)));
	out->signal_reason = g_strdup(nat_signal_client_reason(iface->signal));
	out->mapping = nat_stun_probe_mapping(iface->probe);
	out->mtu_advice = iface->mtu_advice;
	out->mapping_lifetime_s = nat_keepalive_lifetime_s(iface->keepalive);
	g_array_append_vals(out->candidates, candidates->data, candidates->len);
	g_array_append_vals(out->public_endpoints, public_endpoints->data, public_endpoints->len);
	status_relay(iface, out);
	nat_interface_status_innernet(iface, out);
	status_counters(iface, out);
	for (guint i = 0; i < iface->device->peers->len; i++) {
		const WgPeer *wg = g_ptr_array_index(iface->device->peers, i);
		NatPeer *peer = g_hash_table_lookup(iface->peers, &wg->public_key);

		if (peer != NULL)
			status_peer(peer, wg, out, detail, whom);
	}
}

void
nat_interface_status(NatInterface *iface, NatStatus *status, gboolean detail, const char *peer)
{
	NatStatusInterface *out = nat_status_add_interface(status, iface->config.name);

	/* One truth at a time: what the device says and what we do with it. */
	if (g_get_monotonic_time() - iface->read_us > STATUS_FRESH_US)
		nat_interface_read_device(iface);
	out->problem = g_strdup(iface->problem);
	out->public_key = iface->device->public_key;
	out->listen_port = iface->device->listen_port;
	out->backend = g_strdup(wg_backend_to_string(iface->device->backend));
	out->signal_url = g_strdup(iface->config.signal_url);
	if (iface->serving)
		status_serving(iface, out, detail, peer);
}
