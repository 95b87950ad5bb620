/* SPDX-License-Identifier: MIT */
/* What the signaling server and STUN servers tell an interface. */
#include "agent/interface/nat-interface-private.h"

#include "agent/base/nat-log.h"

/* At the moment of login only this many peers are written to unasked; a larger network waits for
 * presence, one round trip later, instead of flooding the server. */
#define ANNOUNCE_MAX 64

/* Whether an address that led to the signaling server does so no longer: the connection from it is
 * dead, though TCP would not say so for a long time. Remembers what leads there now. */
gboolean
nat_interface_server_lost(NatInterface *iface)
{
	GArray *now = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));
	gboolean lost = FALSE;

	for (guint i = 0; i < iface->server_stun->len; i++)
		nat_interface_add_source(iface, now,
					 &g_array_index(iface->server_stun, WgEndpoint, i));
	for (guint i = 0; i < iface->server_sources->len && !lost; i++)
		lost = !wg_endpoint_array_has(now,
					      &g_array_index(iface->server_sources, WgEndpoint, i),
					      wg_endpoint_same_address);
	g_array_unref(iface->server_sources);
	iface->server_sources = now;
	return lost;
}

static void
set_offline(NatPeer *peer)
{
	nat_peer_presence(peer, FALSE);
}

static void
on_logging_in(gpointer user_data)
{
	NatInterface *iface = user_data;

	nat_interface_server_lost(iface);
	if (g_hash_table_size(iface->peers) <= ANNOUNCE_MAX)
		nat_interface_for_each_peer(iface, nat_peer_signal_connected);
}

static void
on_signal_state(NatSignalState state, const char *reason, gpointer user_data)
{
	NatInterface *iface = user_data;

	iface->signal_us = g_get_monotonic_time();
	if (state == NAT_SIGNAL_CONNECTED) {
		nat_stats_count(&iface->stats, NAT_STAT_LOGINS);
		g_clear_pointer(&iface->signal_said, g_free);
		nat_interface_record(iface, G_LOG_LEVEL_MESSAGE, NAT_EVENT_SIGNALING,
				     "at the signaling server %s",
				     nat_signal_client_url(iface->signal));
		return;
	}
	/* the same again and again, while the server is away, is news once */
	if (reason != NULL && g_strcmp0(reason, iface->signal_said) != 0) {
		nat_interface_record(iface, G_LOG_LEVEL_MESSAGE, NAT_EVENT_SIGNALING,
				     "signaling: %s", reason);
		g_free(iface->signal_said);
		iface->signal_said = g_strdup(reason);
	}
	if (state == NAT_SIGNAL_WAITING || state == NAT_SIGNAL_DUPLICATE)
		nat_interface_for_each_peer(iface, set_offline);
}

void
nat_interface_update_stun(gpointer user_data)
{
	NatInterface *iface = user_data;
	g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));

	g_array_append_vals(all, iface->server_stun->data, iface->server_stun->len);
	nat_stun_names_append(iface->stun_names, all);
	nat_stun_probe_set_servers(iface->probe, (const WgEndpoint *)(gpointer)all->data, all->len);
}

static void
on_signal_stun(const WgEndpoint *stun, gsize n, gpointer user_data)
{
	NatInterface *iface = user_data;

	g_array_set_size(iface->server_stun, 0);
	g_array_append_vals(iface->server_stun, stun, (guint)n);
	nat_interface_update_stun(iface);
}

static void
on_signal_presence(const WgKey *key, gboolean online, gpointer user_data)
{
	NatInterface *iface = user_data;
	NatPeer *peer = g_hash_table_lookup(iface->peers, key);

	if (peer != NULL)
		nat_peer_presence(peer, online);
}

static void
on_signal_seen(const WgKey *key, const WgEndpoint *address, gpointer user_data)
{
	NatInterface *iface = user_data;
	NatPeer *peer = g_hash_table_lookup(iface->peers, key);

	if (peer != NULL)
		nat_peer_seen_at(peer, address);
}

static void
on_signal_message(const WgKey *key, const guint8 *body, gsize len, gpointer user_data)
{
	NatInterface *iface = user_data;
	NatPeer *peer = g_hash_table_lookup(iface->peers, key);

	nat_stats_count(&iface->stats, NAT_STAT_MESSAGES_RECEIVED);
	if (peer != NULL)
		nat_peer_message(peer, body, len);
	else
		nat_interface_count_drop("message_stranger", iface);
}

const NatSignalFuncs NAT_INTERFACE_SIGNAL = {
	.logging_in = on_logging_in,
	.state_changed = on_signal_state,
	.stun_servers = on_signal_stun,
	.presence = on_signal_presence,
	.seen = on_signal_seen,
	.message = on_signal_message,
	.turn = nat_interface_on_turn,
};

/* ---- STUN ---- */

/* What STUN servers see of us, where it is news. */
static void
record_nat(NatInterface *iface)
{
	g_autoptr(GArray) seen = nat_stun_probe_public(iface->probe);
	g_autoptr(GString) text = g_string_new("seen at");
	char endpoint[WG_ENDPOINT_STRLEN];

	for (guint i = 0; i < seen->len; i++)
		g_string_append_printf(
			text, "%s %s", i > 0 ? "," : "",
			wg_endpoint_format(&g_array_index(seen, WgEndpoint, i), endpoint));
	if (seen->len == 0)
		g_string_assign(text, "no STUN server answers");
	g_string_append_printf(text, "; mapping %s",
			       nat_mapping_to_string(nat_stun_probe_mapping(iface->probe)));
	if (g_strcmp0(text->str, iface->nat_said) == 0)
		return;
	g_free(iface->nat_said);
	iface->nat_said = g_strdup(text->str);
	nat_interface_record(iface, G_LOG_LEVEL_DEBUG, NAT_EVENT_NAT, "%s", text->str);
}

void
nat_interface_mapping_changed(gpointer user_data)
{
	NatInterface *iface = user_data;

	if (!iface->serving)
		return;
	record_nat(iface);
	nat_interface_update_lifetime(iface);
	nat_interface_update_class(iface);
	nat_interface_check_portmap(iface);
	nat_interface_for_each_peer(iface, nat_peer_candidates_changed);
}
