/* SPDX-License-Identifier: MIT */
/* The TURN side of an interface: which servers, when an allocation is wanted, for whom. */
#include "agent/nat-interface-private.h"

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

static const NatRelayFuncs RELAY_FUNCS = {
	.changed = on_changed,
	.received = on_received,
	.credentials_wanted = on_credentials_wanted,
	.allowed = is_allowed,
};

void
nat_interface_on_turn(const char *const *uris, const char *username, const char *password,
		      guint ttl_s, gpointer user_data)
{
	NatInterface *iface = user_data;

	nat_turn_list_offer(iface->turns, uris, username, password);
	nat_relay_set_servers(iface->relay, nat_turn_list_uris(iface->turns));
}

void
nat_interface_start_relay(NatInterface *iface)
{
	iface->turns = nat_turn_list_new((const char *const *)iface->config.turn);
	iface->relay = nat_relay_new(iface->config.name, iface->env.config->state_dir,
				     &iface->public_key, iface->fwmark, &RELAY_FUNCS, iface);
	nat_relay_set_servers(iface->relay, nat_turn_list_uris(iface->turns));
	nat_mux_set_relay(iface->mux, &MUX_RELAY, iface->relay);
}

void
nat_interface_stop_relay(NatInterface *iface)
{
	nat_mux_set_relay(iface->mux, NULL, NULL);
	g_clear_pointer(&iface->relay, nat_relay_free);
	g_clear_pointer(&iface->turns, nat_turn_list_free);
}

/* ---- wants ---- */

static int
by_activity(gconstpointer a, gconstpointer b)
{
	gint64 ta = nat_peer_data_us(*(NatPeer *const *)a),
	       tb = nat_peer_data_us(*(NatPeer *const *)b);

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

void
nat_interface_update_relay(NatInterface *iface, gint64 now_us)
{
	GHashTableIter iter;
	gpointer peer;
	gboolean wanted = FALSE;

	deal_standbys(iface, now_us);
	g_hash_table_iter_init(&iter, iface->peers);
	while (!wanted && g_hash_table_iter_next(&iter, NULL, &peer))
		wanted = nat_peer_wants_relay(peer, now_us);
	nat_relay_set_wanted(iface->relay, wanted);
}

const char *
nat_interface_relay_problem(gboolean *known, gpointer user_data)
{
	NatInterface *iface = user_data;

	*known = nat_relay_state(iface->relay) != NAT_RELAY_NONE;
	return nat_relay_problem(iface->relay);
}
