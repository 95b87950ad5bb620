/* SPDX-License-Identifier: MIT */
/* Pairs and what they are to WireGuard: an endpoint of the peer's, or a bridge of ours to a relay.
 */
#include "agent/peer/nat-peer-pair.h"

#include <string.h>

#include "agent/base/nat-log.h"

NatPairInfo *
nat_pair_info(NatWatchPair *pair)
{
	NatPairInfo *info = nat_watch_data(pair);

	if (info == NULL) {
		info = g_new0(NatPairInfo, 1);
		/* The peer's end of its own relay needs a channel: ready when it says so. */
		info->far_unready = nat_watch_remote(pair)->type == NAT_CAND_RELAY;
		nat_watch_set_data(pair, info);
	}
	return info;
}

gboolean
nat_peer_pair_endpoint(NatPeer *peer, NatWatchPair *pair, WgEndpoint *out)
{
	const WgEndpoint *bridge;

	if (nat_watch_relayed(pair) == NULL) {
		*out = nat_watch_remote(pair)->endpoint;
		bridge = peer->env->punch_flows != NULL
				 ? punch_flows_detour(peer->env->punch_flows, &peer->key, out)
				 : NULL;
		if (bridge != NULL)
			*out = *bridge;
		return TRUE;
	}
	if (nat_pair_info(pair)->bridge == NULL)
		return FALSE;
	bridge = nat_relay_bridge_endpoint(nat_pair_info(pair)->bridge);
	if (bridge == NULL)
		return FALSE;
	*out = *bridge;
	return TRUE;
}

NatWatchPair *
nat_peer_pair_of(NatPeer *peer, const WgEndpoint *endpoint)
{
	if (peer->watch == NULL || !wg_endpoint_is_set(endpoint))
		return NULL;
	for (guint i = 0; i < nat_watch_count(peer->watch); i++) {
		NatWatchPair *pair = nat_watch_nth(peer->watch, i);
		WgEndpoint own;

		if (nat_peer_pair_endpoint(peer, pair, &own) && wg_endpoint_equal(&own, endpoint))
			return pair;
	}
	return NULL;
}

/* From an allocation that another one has replaced: it goes within seconds. */
gboolean
nat_peer_pair_is_retiring(NatPeer *peer, NatWatchPair *pair)
{
	const WgEndpoint *relayed = nat_watch_relayed(pair);

	return relayed != NULL && peer->env->relay != NULL &&
	       nat_relay_is_retiring(peer->env->relay, relayed);
}

guint
nat_pair_relays(NatWatchPair *pair)
{
	return (nat_watch_relayed(pair) != NULL) + (nat_watch_remote(pair)->type == NAT_CAND_RELAY);
}

const char *
nat_pair_text(NatWatchPair *pair, char buf[NAT_PAIR_STRLEN])
{
	char remote[WG_ENDPOINT_STRLEN], own[WG_ENDPOINT_STRLEN];
	const WgEndpoint *relayed = nat_watch_relayed(pair);

	g_snprintf(buf, NAT_PAIR_STRLEN, "%s%s%s %s",
		   relayed != NULL ? wg_endpoint_format(relayed, own) : "",
		   relayed != NULL ? " → " : "",
		   nat_cand_type_to_string(nat_watch_remote(pair)->type),
		   wg_endpoint_format(&nat_watch_remote(pair)->endpoint, remote));
	return buf;
}

static void
on_bridge(NatRelayBridge *bridge, const WgEndpoint *endpoint, gpointer user_data)
{
	NatPeer *peer = user_data;

	char text[WG_ENDPOINT_STRLEN];

	nat_peer_record(peer, NAT_EVENT_PAIR, "bridge %s",
			endpoint != NULL ? wg_endpoint_format(endpoint, text) : "lost");
	if (endpoint == NULL) {
		nat_peer_update_pairs(peer);
		return;
	}
	nat_peer_aim_bridges(peer);
	/* The peer must hear that this end is ready. */
	for (guint i = 0; i < nat_watch_count(peer->watch); i++)
		if (nat_pair_info(nat_watch_nth(peer->watch, i))->bridge == bridge)
			nat_watch_probe(nat_watch_nth(peer->watch, i));
	nat_peer_consider(peer);
}

/* A channel takes a round trip to bind: it is there before it is needed. */
void
nat_peer_make_bridge(NatPeer *peer, NatWatchPair *pair)
{
	const WgEndpoint *relayed = nat_watch_relayed(pair);

	if (relayed == NULL || peer->env->relay == NULL || nat_pair_info(pair)->bridge != NULL)
		return;
	nat_pair_info(pair)->port = nat_mux_port(peer->env->mux);
	memset(&nat_pair_info(pair)->source, 0, sizeof nat_pair_info(pair)->source);
	nat_pair_info(pair)->bridge =
		nat_relay_bridge_new(peer->env->relay, relayed, &nat_watch_remote(pair)->endpoint,
				     nat_mux_port(peer->env->mux), on_bridge, peer);
}

/* Once the tunnel is moved to a direct path, late packets of the relay come to WireGuard as if from
 * there: they would move it back, and with it what we send. They are no proof (late_bytes()). */
void
nat_peer_aim_bridges(NatPeer *peer)
{
	WgEndpoint endpoint;
	gboolean away = peer->chosen != NULL && nat_peer_tunnel_live(peer) &&
			nat_watch_relayed(peer->chosen) == NULL &&
			nat_peer_pair_endpoint(peer, peer->chosen, &endpoint);

	for (guint i = 0; peer->watch != NULL && i < nat_watch_count(peer->watch); i++) {
		NatWatchPair *pair = nat_watch_nth(peer->watch, i);
		NatPairInfo *info = nat_pair_info(pair);
		WgEndpoint source = {0};

		if (away && pair != peer->chosen)
			source = endpoint;
		if (info->bridge == NULL || memcmp(&source, &info->source, sizeof source) == 0)
			continue;
		info->source = source;
		nat_relay_bridge_set_source(info->bridge,
					    wg_endpoint_is_set(&source) ? &source : NULL);
	}
}

guint64
nat_pair_bridged(NatPairInfo *info)
{
	NatBridgeStats stats;

	/* A bridge that was lost says nothing any more. */
	if (info->bridge != NULL && nat_relay_bridge_stats(info->bridge, &stats))
		info->bridged = MAX(info->bridged, stats.to_wg_bytes);
	return info->bridged;
}

/* What WireGuard was handed by bridges, ever. */
guint64
nat_peer_late_bytes(NatPeer *peer)
{
	guint64 bytes = peer->late_bytes_gone;

	for (guint i = 0; peer->watch != NULL && i < nat_watch_count(peer->watch); i++)
		bytes += nat_pair_bridged(nat_pair_info(nat_watch_nth(peer->watch, i)));
	return bytes;
}

void
nat_peer_remake_bridges(NatPeer *peer)
{
	for (guint i = 0; peer->watch != NULL && i < nat_watch_count(peer->watch); i++) {
		NatWatchPair *pair = nat_watch_nth(peer->watch, i);
		NatPairInfo *info = nat_pair_info(pair);

		if (info->bridge == NULL || info->port == nat_mux_port(peer->env->mux))
			continue;
		peer->late_bytes_gone += nat_pair_bridged(info);
		info->bridged = 0;
		g_clear_pointer(&info->bridge, nat_relay_bridge_free);
		nat_peer_make_bridge(peer, pair);
		if (pair == peer->chosen) {
			peer->chosen = NULL;
			peer->deserted = TRUE;
		}
	}
}
