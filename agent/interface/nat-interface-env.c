/* SPDX-License-Identifier: MIT */
/* What an interface lends its peers. */
#include "agent/interface/nat-interface-private.h"

#include "agent/base/nat-log.h"

#define FRESH_US 2000

void
nat_interface_add_source(NatInterface *iface, GArray *array, const WgEndpoint *dst)
{
	WgEndpoint source;

	if (nat_mux_source_for(iface->mux, dst, &source))
		wg_endpoint_array_add(array, &source, wg_endpoint_same);
}

/* What `why` advises to a host behind a hard NAT: a port forwarded at the router, which no STUN
 * answer shows. One more check of the peer's, and only where P is not what STUN saw. */
static void
add_forwarded(NatInterface *iface, GArray *candidates)
{
	guint n = candidates->len;

	for (guint i = 0; i < n; i++) {
		NatCandidate cand = g_array_index(candidates, NatCandidate, i);
		gboolean known = cand.type != NAT_CAND_SRFLX;

		wg_endpoint_set_port(&cand.endpoint, iface->port);
		for (guint j = 0; j < candidates->len && !known; j++)
			known = wg_endpoint_equal(
				&g_array_index(candidates, NatCandidate, j).endpoint,
				&cand.endpoint);
		if (!known)
			g_array_append_val(candidates, cand);
	}
}

GArray *
nat_interface_candidates(gpointer user_data)
{
	NatInterface *iface = user_data;
	g_autoptr(GArray) sources = nat_stun_probe_sources(iface->probe);
	GArray *candidates = nat_stun_probe_candidates(iface->probe);
	const WgEndpoint far4 = nat_fib_far(AF_INET), far6 = nat_fib_far(AF_INET6);

	nat_interface_add_mapped(iface, candidates);
	nat_interface_add_source(iface, sources, &far4);
	nat_interface_add_source(iface, sources, &far6);
	for (guint i = sources->len; i > 0; i--) {
		NatCandidate cand = {
			.type = NAT_CAND_HOST,
			.endpoint = g_array_index(sources, WgEndpoint, i - 1),
		};

		g_array_prepend_val(candidates, cand);
	}
	nat_interface_add_observed(iface, candidates);
	add_forwarded(iface, candidates);
	if (iface->relay != NULL && wg_endpoint_is_set(nat_relay_address(iface->relay))) {
		NatCandidate cand = {
			.type = NAT_CAND_RELAY,
			.endpoint = *nat_relay_address(iface->relay),
		};

		g_array_append_val(candidates, cand);
	}
	return candidates;
}

static NatMapping
local_mapping(gpointer user_data)
{
	NatInterface *iface = user_data;

	return nat_stun_probe_mapping(iface->probe);
}

static guint32
fwmark(gpointer user_data)
{
	return ((NatInterface *)user_data)->fwmark;
}

static gboolean
use_addresses(const WgEndpoint *addrs, gsize n, gpointer user_data)
{
	NatInterface *iface = user_data;

	return iface->env.use_addresses(addrs, n, iface->env.user_data);
}

static gboolean
send_body(const WgKey *peer, GBytes *body, gpointer user_data)
{
	NatInterface *iface = user_data;

	if (iface->signal == NULL || !nat_signal_client_send(iface->signal, peer, body))
		return FALSE;
	nat_stats_count(&iface->stats, NAT_STAT_MESSAGES_SENT);
	iface->has_sent = TRUE;
	return TRUE;
}

static const char *
signal_problem(gpointer user_data)
{
	NatInterface *iface = user_data;

	if (nat_signal_client_state(iface->signal) == NAT_SIGNAL_CONNECTED)
		return NULL;
	if (nat_signal_client_reason(iface->signal) != NULL)
		return nat_signal_client_reason(iface->signal);
	return "connecting to the signaling server";
}

static gboolean
write_peer(const WgPeerChange *change, gpointer user_data)
{
	NatInterface *iface = user_data;
	g_autoptr(GError) error = NULL;
	WgPeer *wg = wg_device_find(iface->device, &change->public_key);

	if (wg == NULL)
		return FALSE;
	nat_originals_keep(iface->originals, wg, change);
	if (wg_ctl_apply(iface->ctl, change, 1, &error)) {
		nat_stats_count(&iface->stats, NAT_STAT_WRITES);
		return TRUE;
	}
	nat_stats_count(&iface->stats, NAT_STAT_WRITES_REFUSED);
	nat_log_peer(G_LOG_LEVEL_WARNING, iface->config.name, &change->public_key,
		     "cannot set the endpoint: %s", error->message);
	return FALSE;
}

static void
refresh(const WgKey *key, NatPath *path, gpointer user_data)
{
	NatInterface *iface = user_data;
	gint64 now = g_get_monotonic_time();
	gboolean fresh = iface->fresh == NULL || now - iface->fresh_us > FRESH_US;
	const WgPeer *wg;

	/* When a relay dies hundreds of peers move in one turn of the loop: one reading does. */
	if (fresh) {
		g_clear_pointer(&iface->fresh, wg_device_free);
		iface->fresh = wg_ctl_read(iface->ctl, NULL);
		iface->fresh_us = now;
	}
	wg = iface->fresh != NULL ? wg_device_find(iface->fresh, key) : NULL;
	if (wg == NULL)
		return;
	/* What the user set since the last reading is about to be overwritten. An older snapshot
	 * than the last one that was observed would look like another change. */
	if (fresh)
		nat_originals_observe(iface->originals, wg, now);
	nat_path_refresh(path, wg, g_get_monotonic_time(), g_get_real_time() / G_USEC_PER_SEC);
}

static void
look_again(gpointer user_data)
{
	NatInterface *iface = user_data;

	nat_stun_probe_run(iface->probe, FALSE);
	nat_keepalive_doubt(iface->keepalive);
}

static void
relay_wanted(gpointer user_data)
{
	NatInterface *iface = user_data;

	nat_relay_set_wanted(iface->relay, TRUE);
}

void
nat_interface_count_drop(const char *cause, gpointer user_data)
{
	NatInterface *iface = user_data;
	guint64 *count = g_hash_table_lookup(iface->dropped, cause);

	if (count == NULL) {
		count = g_new0(guint64, 1);
		g_hash_table_insert(iface->dropped, g_strdup(cause), count);
	}
	++*count;
}

void
nat_interface_make_env(NatInterface *iface)
{
	const WgDevice *dev = iface->device;

	iface->peer_env = (NatPeerEnv){
		.ifname = iface->config.name,
		.events = iface->env.events,
		.watch_id = g_random_int() | 1,
		.userspace = dev->backend == WG_BACKEND_USERSPACE,
		.private_key = dev->private_key,
		.public_key = dev->public_key,
		.ns = iface->env.ns,
		.tun = iface->env.tun,
		.mux = iface->mux,
		.originals = iface->originals,
		.candidates = nat_interface_candidates,
		.mapping = local_mapping,
		.nat_class = nat_interface_nat_class,
		.class_probe = iface->class_probe,
		.public_endpoints = nat_interface_public,
		.udp_blocked = nat_interface_udp_blocked,
		.port_mapped = nat_interface_is_mapped,
		.use_addresses = use_addresses,
		.send = send_body,
		.signal_problem = signal_problem,
		.write = write_peer,
		.refresh = refresh,
		.hurry = nat_interface_hurry,
		.keepalive = nat_interface_keepalive_s,
		.wg_mtu = nat_interface_wg_mtu,
		.look_again = look_again,
		.relay_wanted = relay_wanted,
		.ways_changed = nat_interface_ways_changed,
		.relay_problem = nat_interface_relay_problem,
		.relay = iface->relay,
		.punch_turn = iface->env.punch_turn,
		.punch_flows = iface->punch_flows,
		.fwmark = fwmark,
		.find_plain = nat_interface_find_plain,
		.stats = &iface->stats,
		.dropped = nat_interface_count_drop,
		.user_data = iface,
	};
}
