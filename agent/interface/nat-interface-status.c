/* SPDX-License-Identifier: MIT */
/* What status shows of an interface. */
#include "agent/interface/nat-interface-private.h"

#define STATUS_FRESH_US (20 * 1000)

typedef void (*Counted)(NatInterface *iface, const char *name, guint64 count, gpointer data);

static void
relay_counters(NatInterface *iface, Counted counted, gpointer data)
{
	NatBridgeStats stats;

	nat_relay_stats(iface->relay, &stats);
	counted(iface, "relay_in", stats.to_wg_packets, data);
	counted(iface, "relay_in_bytes", stats.to_wg_bytes, data);
	counted(iface, "relay_out", stats.to_turn_packets, data);
	counted(iface, "relay_out_bytes", stats.to_turn_bytes, data);
	counted(iface, "drop_relay_full", stats.dropped, data);
	counted(iface, "drop_turn_message", nat_relay_dropped(iface->relay), data);
}

/* What is counted by things that live while the device is served. */
static void
served_counters(NatInterface *iface, Counted counted, gpointer data)
{
	counted(iface, "drop_signal_frame", nat_signal_client_dropped(iface->signal), data);
	relay_counters(iface, counted, data);
	counted(iface, "drop_portmap", iface->map != NULL ? map_dropped(iface->map) : 0, data);
	for (guint i = 0; iface->relay_plain != NULL && i < NAT_RELAY_PLAIN_N_COUNTERS; i++)
		counted(iface, nat_relay_plain_counter_name(i),
			nat_relay_plain_counter(iface->relay_plain, i), data);
	for (guint i = 0; i < NAT_MUX_N_COUNTERS; i++)
		counted(iface, nat_mux_counter_name(i), nat_mux_counter(iface->mux, i), data);
}

static guint64
kept(const NatInterface *iface, const char *name)
{
	const guint64 *count = g_hash_table_lookup(iface->kept, name);

	return count != NULL ? *count : 0;
}

static void
keep(NatInterface *iface, const char *name, guint64 count, gpointer data)
{
	guint64 sum = kept(iface, name) + count;

	g_hash_table_insert(iface->kept, g_strdup(name), g_memdup2(&sum, sizeof sum));
}

void
nat_interface_keep_counters(NatInterface *iface)
{
	served_counters(iface, keep, NULL);
}

static void
show(NatInterface *iface, const char *name, guint64 count, gpointer out)
{
	nat_status_set_counter(out, name, kept(iface, name) + count);
}

static void
status_counters(NatInterface *iface, NatStatusInterface *out)
{
	GHashTableIter iter;
	gpointer name, count;

	out->stats = iface->stats;
	g_hash_table_iter_init(&iter, iface->kept);
	while (g_hash_table_iter_next(&iter, &name, &count))
		nat_status_set_counter(out, name, *(guint64 *)count);
	if (iface->serving)
		served_counters(iface, show, out);
	g_hash_table_iter_init(&iter, iface->dropped);
	while (g_hash_table_iter_next(&iter, &name, &count)) {
		g_autofree char *drop = g_strconcat("drop_", name, NULL);

		nat_status_set_counter(out, drop, *(guint64 *)count);
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

/* ---- what peers' status asks ---- */

GArray *
nat_interface_public(gpointer user_data)
{
	NatInterface *iface = user_data;
	GArray *seen = nat_stun_probe_public(iface->probe);

	/* the innernet server sees what STUN servers would */
	for (guint i = 0; iface->inn_observed != NULL && i < iface->inn_observed->len; i++)
		wg_endpoint_array_add(seen, &g_array_index(iface->inn_observed, WgEndpoint, i),
				      wg_endpoint_same);
	return seen;
}

static gboolean
some_peer_shows_udp(NatInterface *iface)
{
	GHashTableIter iter;
	gpointer peer;

	g_hash_table_iter_init(&iter, iface->peers);
	while (g_hash_table_iter_next(&iter, NULL, &peer))
		if (nat_peer_shows_udp(peer))
			return TRUE;
	return FALSE;
}

/* A relay that is reached by UDP, or a tunnel, is a better witness than STUN servers that are
 * silent. */
gboolean
nat_interface_udp_blocked(gpointer user_data)
{
	NatInterface *iface = user_data;

	return nat_stun_probe_is_silent(iface->probe) && !nat_relay_is_by_udp(iface->relay) &&
	       !some_peer_shows_udp(iface);
}

/* ---- the interface ---- */

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
	nat_interface_nat_class(&out->nat, iface);
	out->mapping_lifetime_s = nat_keepalive_lifetime_s(iface->keepalive);
	g_array_append_vals(out->candidates, candidates->data, candidates->len);
	g_array_append_vals(out->public_endpoints, public_endpoints->data, public_endpoints->len);
	status_relay(iface, out);
	nat_interface_status_innernet(iface, out);
	nat_interface_status_portmap(iface, out);
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
	status_counters(iface, out);
	if (iface->serving)
		status_serving(iface, out, detail, peer);
}
