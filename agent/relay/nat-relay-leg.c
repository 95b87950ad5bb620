/* SPDX-License-Identifier: MIT */
#include "agent/relay/nat-relay-private.h"

#include "agent/relay/nat-turn-socket.h"

#define OLD_MAX_MS 10000
#define OLD_UNUSED_MS 2000 /* what is on its way, and the peers' knowledge of the new address */

static void
on_up(NatTurn *turn, const WgEndpoint *relayed, gpointer user_data)
{
	NatRelayLeg *leg = user_data;

	leg->up_us = g_get_monotonic_time();
	nat_relay_leg_came_up(leg);
}

static void
on_down(NatTurn *turn, NatTurnFailure failure, const char *reason, gpointer user_data)
{
	NatRelayLeg *leg = user_data;

	nat_relay_leg_went_down(leg, failure, reason);
}

static void
on_received(NatTurn *turn, const WgEndpoint *from, const guint8 *data, gsize len,
	    gpointer user_data)
{
	NatRelayLeg *leg = user_data;
	NatUdp pkt = {.src = *from, .dst = *nat_turn_relayed(turn), .payload = data, .len = len};

	leg->relay->funcs.received(&pkt, leg->relay->user_data);
}

static const NatTurnFuncs TURN_FUNCS = {
	.up = on_up,
	.down = on_down,
	.received = on_received,
};

NatRelayLeg *
nat_relay_leg_new(NatRelaySeat *seat, const NatTurnUri *uri, const WgEndpoint *server)
{
	NatRelayLeg *leg = g_new0(NatRelayLeg, 1);

	leg->relay = seat->relay;
	leg->seat = seat;
	leg->state = NAT_RELAY_LEG_TRYING;
	leg->uri = nat_turn_uri_copy(uri);
	leg->label = nat_turn_uri_format(uri);
	leg->server = *server;
	leg->fwmark = leg->relay->fwmark;
	leg->bridges = g_ptr_array_new();
	nat_turn_socket_source(server, leg->fwmark, &leg->source);
	leg->turn = nat_turn_new(uri, server, leg->fwmark, &TURN_FUNCS, leg);
	return leg;
}

void
nat_relay_leg_free(NatRelayLeg *leg)
{
	NatBridgeStats stats;

	if (!leg)
		return;
	g_clear_handle_id(&leg->end_timer, g_source_remove);
	while (leg->bridges->len > 0)
		nat_relay_bridge_lost(g_ptr_array_index(leg->bridges, 0));
	leg->relay->dropped += nat_turn_dropped(leg->turn);
	nat_turn_stats(leg->turn, &stats);
	nat_bridge_stats_add(&leg->relay->stats, &stats);
	nat_turn_free(leg->turn);
	g_ptr_array_unref(leg->bridges);
	g_free(leg->label);
	nat_turn_uri_free(leg->uri);
	g_free(leg);
}

static gboolean
on_end(gpointer user_data)
{
	NatRelayLeg *leg = user_data;

	leg->end_timer = 0;
	nat_relay_leg_ended(leg);
	return G_SOURCE_REMOVE;
}

static void
end_after(NatRelayLeg *leg, guint ms)
{
	g_clear_handle_id(&leg->end_timer, g_source_remove);
	leg->end_timer = g_timeout_add(ms, on_end, leg);
}

void
nat_relay_leg_refused(NatRelayLeg *leg)
{
	gint64 left_us = nat_turn_expires_us(leg->turn) - g_get_monotonic_time();

	leg->refused = TRUE;
	end_after(leg, (guint)(MAX(left_us, 0) / 1000));
}

void
nat_relay_leg_retire(NatRelayLeg *leg)
{
	leg->state = NAT_RELAY_LEG_OLD;
	end_after(leg, leg->bridges->len > 0 ? OLD_MAX_MS : OLD_UNUSED_MS);
}

void
nat_relay_leg_check_end(NatRelayLeg *leg)
{
	if (leg->bridges->len > 0)
		return;
	if (leg->state == NAT_RELAY_LEG_OLD)
		end_after(leg, OLD_UNUSED_MS);
	else
		nat_relay_update(leg->relay);
}

gboolean
nat_relay_leg_is_stale(const NatRelayLeg *leg)
{
	WgEndpoint source;

	if (leg->fwmark != leg->relay->fwmark)
		return TRUE;
	/* Without any way there is nothing better to be had. */
	return nat_turn_socket_source(&leg->server, leg->fwmark, &source) &&
	       !wg_endpoint_equal(&source, &leg->source);
}

/* A server dies with its host: a spare on another port or by another transport of it is none, nor
 * is one at the other family's address of the same name. */
gboolean
nat_relay_leg_is_elsewhere(const NatRelayLeg *leg, const NatTurnUri *uri, const WgEndpoint *server)
{
	if (wg_endpoint_same_address(server, &leg->server))
		return FALSE;
	return g_ascii_strcasecmp(uri->host, leg->uri->host) != 0 ||
	       wg_endpoint_family(server) == wg_endpoint_family(&leg->server);
}
