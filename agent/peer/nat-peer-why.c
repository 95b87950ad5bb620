/* SPDX-License-Identifier: MIT */
/* What a peer knows of why it is in its state; what follows from it, nat-why says. */
#include "agent/peer/nat-peer-pair.h"
#include "agent/peer/nat-peer-private.h"
#include "agent/peer/nat-peer-punch.h"

gboolean
nat_peer_shows_udp(const NatPeer *peer)
{
	const WgEndpoint *endpoint = nat_path_endpoint(peer->path);

	/* a bridge's is on the loopback, which is bogus */
	return peer->state == NAT_PEER_CONNECTED && peer->failure != NAT_FAILURE_SILENCE &&
	       nat_peer_tunnel_live(peer) && wg_endpoint_is_set(endpoint) &&
	       !wg_endpoint_is_bogus(endpoint) && !wg_endpoint_is_private(endpoint);
}

gboolean
nat_peer_udp_blocked(NatPeer *peer)
{
	/* The tunnel itself goes by UDP, from WireGuard's port to the peer's relayed address. */
	if (nat_peer_on_relay(peer) && peer->chosen != NULL &&
	    nat_watch_relayed(peer->chosen) == NULL)
		return FALSE;
	return peer->env->udp_blocked != NULL && peer->env->udp_blocked(peer->env->user_data);
}

/* Why a direct pair that answers is not the one in use. */
static void
fill_direct(NatPeer *peer, NatWhy *why)
{
	for (guint i = 0; peer->watch != NULL && i < nat_watch_count(peer->watch); i++) {
		NatWatchPair *pair = nat_watch_nth(peer->watch, i);
		gint64 hold = nat_choice_hold_us(nat_watch_deaths(pair));

		if (nat_pair_relays(pair) > 0 || nat_watch_state(pair) != NAT_PAIR_ALIVE)
			continue;
		why->direct_alive = TRUE;
		why->direct_failed |= nat_pair_info(pair)->failures > 0;
		why->direct_hold_s = MAX(why->direct_hold_s, hold / G_USEC_PER_SEC);
	}
}

/* Of what it says itself: where there is a NAT, what is seen from outside; else its own. */
static void
find_peer_address(NatPeer *peer, WgEndpoint *out)
{
	NatCandType type =
		peer->remote.mapping == NAT_MAPPING_NONE ? NAT_CAND_HOST : NAT_CAND_SRFLX;
	WgEndpoint seen[NAT_MSG_MAX_CANDIDATES];
	gsize n = 0;

	for (guint i = 0; i < peer->remote.n_candidates; i++) {
		const NatCandidate *cand = &peer->remote.candidates[i];

		if (cand->type == type && !wg_endpoint_is_private(&cand->endpoint))
			seen[n++] = cand->endpoint;
	}
	nat_why_address(seen, n, out);
}

static void
find_own_address(NatPeer *peer, WgEndpoint *out)
{
	g_autoptr(GArray) seen = NULL;

	if (peer->env->public_endpoints == NULL)
		return;
	seen = peer->env->public_endpoints(peer->env->user_data);
	nat_why_address((const WgEndpoint *)(gpointer)seen->data, seen->len, out);
}

/* Where a direct path was looked for in vain. */
static void
fill_ends(NatPeer *peer, NatWhy *why)
{
	find_own_address(peer, &why->here.address);
	find_peer_address(peer, &why->peer.address);
	why->here.udp_blocked = nat_peer_udp_blocked(peer);
	why->peer.udp_blocked = (peer->remote.flags & NAT_MSG_UDP_BLOCKED) != 0;
}

void
nat_peer_fill_why(NatPeer *peer, NatWhy *why)
{
	*why = (NatWhy){
		.state = peer->state,
		.managed = peer->managed,
		.online = peer->online,
		.signal_problem = peer->env->signal_problem(peer->env->user_data),
		.remote = peer->remote_type,
		.here.mapping = peer->env->mapping(peer->env->user_data),
		.peer.mapping = peer->remote.mapping,
		.local_candidates = peer->addresses->len,
		.remote_candidates = peer->offered->len,
		.port = nat_mux_port(peer->env->mux),
		.mapped = peer->env->port_mapped != NULL &&
			  peer->env->port_mapped(peer->env->user_data),
		.failure = peer->failure,
		.innernet = peer->env->generation != NULL,
		.beacon = peer->tier0,
		.plain = nat_peer_is_plain(peer) ? peer->plain->len : 0,
		.relay = nat_peer_on_relay(peer) || nat_peer_plain_bridge(peer, NULL, NULL),
		.wireguard_blocked =
			peer->direct_blocked || (peer->remote.flags & NAT_MSG_BLOCKED) != 0,
	};
	why->relay_problem = peer->env->relay_problem(&why->relay_known, peer->env->user_data);
	if (why->relay)
		fill_direct(peer, why);
	why->many_ports = nat_peer_many_ports(peer);
	if (why->relay || peer->state == NAT_PEER_FAILED || why->many_ports == NAT_MANY_PORTS_USED)
		fill_ends(peer, why);
	if (peer->state == NAT_PEER_FAILED)
		why->reachable = nat_peer_is_reachable(peer);
}
