/* SPDX-License-Identifier: MIT */
/* The TURN side of an interface: which servers, when an allocation is wanted, for whom. */
#include "agent/interface/nat-interface-private.h"

#define OFFER_MS 5000

/* ---- joined to the mux ---- */

static gboolean
is_ours(const WgEndpoint *relayed, gpointer user_data)
{
	return nat_relay_is_ours(user_data, relayed);
}

static gboolean
send_relayed(const WgEndpoint *relayed, const WgEndpoint *dst, const guint8 *payload, gsize len,
	     gpointer user_data)
{
	return nat_relay_send(user_data, relayed, dst, payload, len);
}

static gboolean
probe_relayed(const WgEndpoint *relayed, const WgEndpoint *dst, const guint8 *payload, gsize len,
	      GError **error, gpointer user_data)
{
	return nat_relay_send_probe(user_data, relayed, dst, payload, len, error);
}

static const NatMuxRelay MUX_RELAY = {
	.is_ours = is_ours,
	.send = send_relayed,
	.probe = probe_relayed,
};

static void
on_received(const NatUdp *pkt, gpointer user_data)
{
	NatInterface *iface = user_data;

	if (iface->relay_plain == NULL ||
	    !nat_relay_plain_receive(iface->relay_plain, pkt, g_get_monotonic_time()))
		nat_mux_receive_relayed(iface->mux, pkt);
}

static void
on_changed(gpointer user_data)
{
	NatInterface *iface = user_data;

	if (iface->serving)
		nat_interface_for_each_peer(iface, nat_peer_relay_changed);
}

/* ---- servers ---- */

static void
on_credentials_wanted(gpointer user_data)
{
	NatInterface *iface = user_data;

	nat_signal_client_want_turn(iface->signal);
}

/* Somebody else's server must not make us knock at our own network's doors. */
static gboolean
is_allowed(const WgEndpoint *server, gpointer user_data)
{
	NatInterface *iface = user_data;
	NatRoute route;

	return !wg_endpoint_is_bogus(server) && !wg_endpoint_is_link_local(server) &&
	       nat_fib_lookup(iface->env.fib, server, iface->fwmark, &route) && !route.local &&
	       !route.on_link;
}

/* What is sent "from" a relayed address leaves through the relay: a server that names an address of
 * ours would have all that leaves from there. */
static gboolean
is_believed(const WgEndpoint *relayed, gboolean offered, gpointer user_data)
{
	NatInterface *iface = user_data;
	NatRoute route;

	if (wg_endpoint_is_bogus(relayed) || nat_fib_is_own(iface->env.fib, relayed))
		return FALSE;
	if (!offered)
		return TRUE;
	return !wg_endpoint_is_private(relayed) &&
	       (!nat_fib_lookup(iface->env.fib, relayed, iface->fwmark, &route) ||
		(!route.local && !route.on_link));
}

static const NatRelayFuncs RELAY_FUNCS = {
	.changed = on_changed,
	.received = on_received,
	.credentials_wanted = on_credentials_wanted,
	.allowed = is_allowed,
	.believed = is_believed,
};

static void
take_offer(NatInterface *iface)
{
	iface->offer_us = g_get_monotonic_time();
	nat_relay_set_servers(iface->relay, nat_turn_list_uris(iface->turns));
}

static gboolean
on_offer(gpointer user_data)
{
	NatInterface *iface = user_data;

	iface->offer = 0;
	take_offer(iface);
	return G_SOURCE_REMOVE;
}

void
nat_interface_on_turn(const char *const *uris, const char *username, const char *password,
		      guint ttl_s, gpointer user_data)
{
	NatInterface *iface = user_data;
	gint64 wait_ms = OFFER_MS - (g_get_monotonic_time() - iface->offer_us) / 1000;

	/* None: what is in use goes on until it ends. */
	if (uris == NULL || uris[0] == NULL)
		return;
	nat_turn_list_offer(iface->turns, uris, username, password);
	/* Each change starts attempts anew: a server that says another each moment starts few. */
	if (iface->offer_us == 0 || wait_ms <= 0)
		take_offer(iface);
	else if (iface->offer == 0)
		iface->offer = g_timeout_add((guint)wait_ms, on_offer, iface);
}

/* A bridge is there whose endpoint WireGuard will have any moment. */
static void
on_plain_changed(gpointer user_data)
{
	NatInterface *iface = user_data;

	nat_interface_poll_soon(iface);
}

void
nat_interface_start_relay(NatInterface *iface)
{
	iface->turns = nat_turn_list_new((const char *const *)iface->config.turn);
	iface->relay = nat_relay_new(iface->config.name, iface->env.config->state_dir,
				     &iface->public_key, iface->fwmark, &RELAY_FUNCS, iface);
	nat_relay_set_servers(iface->relay, nat_turn_list_uris(iface->turns));
	nat_mux_set_relay(iface->mux, &MUX_RELAY, iface->relay);
	if (iface->config.innernet == NAT_INNERNET_YES)
		iface->relay_plain = nat_relay_plain_new(iface->relay, iface->env.fib, iface->port,
							 on_plain_changed, iface);
}

void
nat_interface_stop_relay(NatInterface *iface)
{
	g_clear_handle_id(&iface->offer, g_source_remove);
	nat_mux_set_relay(iface->mux, NULL, NULL);
	g_clear_pointer(&iface->relay_plain, nat_relay_plain_free);
	g_clear_pointer(&iface->relay, nat_relay_free);
	g_clear_pointer(&iface->turns, nat_turn_list_free);
}

/* ---- wants ---- */

/* Who holds one keeps it: the order of two busy peers changes all the time. */
static int
by_activity(gconstpointer a, gconstpointer b)
{
	gboolean ha = nat_peer_has_standby(*(NatPeer *const *)a);
	gboolean hb = nat_peer_has_standby(*(NatPeer *const *)b);
	gint64 ta = nat_peer_data_us(*(NatPeer *const *)a),
	       tb = nat_peer_data_us(*(NatPeer *const *)b);

	if (ha != hb)
		return ha ? -1 : 1;
	return ta < tb ? 1 : ta > tb ? -1 : 0;
}

/* The busiest peers, up to the configured number, hold a warm standby. */
static void
deal_standbys(NatInterface *iface, gint64 now_us)
{
	g_autoptr(GPtrArray) active = g_ptr_array_new();
	GHashTableIter iter;
	gpointer peer;

	g_hash_table_iter_init(&iter, iface->peers);
	while (g_hash_table_iter_next(&iter, NULL, &peer)) {
		if (nat_peer_is_active(peer, now_us))
			g_ptr_array_add(active, peer);
		else
			nat_peer_set_standby(peer, FALSE);
	}
	if (active->len > iface->env.config->standby_max)
		g_ptr_array_sort(active, by_activity);
	for (guint i = 0; i < active->len; i++)
		nat_peer_set_standby(g_ptr_array_index(active, i),
				     i < iface->env.config->standby_max);
}

/* Where all tunnels that leave from a relayed address of ours went over to the spare one, it is the
 * main one: a tunnel that falls idle there must not keep both. */
static void
prefer_used(NatInterface *iface)
{
	const WgEndpoint *used = NULL;
	GHashTableIter iter;
	gpointer peer;

	g_hash_table_iter_init(&iter, iface->peers);
	while (g_hash_table_iter_next(&iter, NULL, &peer)) {
		const WgEndpoint *relayed = nat_peer_relayed(peer);

		if (relayed == NULL)
			continue;
		if (wg_endpoint_equal(relayed, nat_relay_address(iface->relay)))
			return;
		used = relayed;
	}
	if (used != NULL)
		nat_relay_prefer(iface->relay, used);
}

/* Whoever has no agent and was not reached directly may come through our relayed address, which its
 * record's readers find among our candidates. */
static gboolean
update_plain(NatInterface *iface, gint64 now_us)
{
	g_autoptr(GArray) addresses = NULL;
	GHashTableIter iter;
	gpointer peer;

	if (iface->relay_plain == NULL)
		return FALSE;
	addresses = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));
	g_hash_table_iter_init(&iter, iface->peers);
	while (g_hash_table_iter_next(&iter, NULL, &peer))
		nat_peer_add_plain_permits(peer, addresses);
	nat_relay_plain_set_port(iface->relay_plain, iface->port);
	nat_relay_plain_set_addresses(
		iface->relay_plain, (const WgEndpoint *)(gpointer)addresses->data, addresses->len);
	nat_relay_plain_tick(iface->relay_plain, iface->device, now_us);
	return nat_relay_plain_wants(iface->relay_plain);
}

void
nat_interface_relay_network_changed(NatInterface *iface)
{
	nat_relay_network_changed(iface->relay);
	if (iface->relay_plain != NULL)
		nat_relay_plain_network_changed(iface->relay_plain);
}

gboolean
nat_interface_find_plain(const WgEndpoint *endpoint, WgEndpoint *relayed, WgEndpoint *remote,
			 gpointer user_data)
{
	NatInterface *iface = user_data;

	return iface->relay_plain != NULL &&
	       nat_relay_plain_find(iface->relay_plain, endpoint, relayed, remote);
}

void
nat_interface_update_relay(NatInterface *iface, gint64 now_us)
{
	GHashTableIter iter;
	gpointer peer;
	gboolean wanted = update_plain(iface, now_us), spare = FALSE;

	deal_standbys(iface, now_us);
	g_hash_table_iter_init(&iter, iface->peers);
	while (g_hash_table_iter_next(&iter, NULL, &peer)) {
		wanted = wanted || nat_peer_wants_relay(peer, now_us);
		spare = spare || nat_peer_wants_spare(peer, now_us);
	}
	nat_relay_set_wanted(iface->relay, wanted);
	nat_relay_set_spare_wanted(iface->relay, spare);
	prefer_used(iface);
}

const char *
nat_interface_relay_problem(gboolean *known, gpointer user_data)
{
	NatInterface *iface = user_data;

	*known = nat_relay_state(iface->relay) != NAT_RELAY_NONE;
	return nat_relay_problem(iface->relay);
}
