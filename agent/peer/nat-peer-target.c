/* SPDX-License-Identifier: MIT */
#include "agent/peer/nat-peer-target.h"

static gboolean
is_living(NatWatchPair *pair)
{
	return nat_watch_state(pair) == NAT_PAIR_ALIVE || nat_watch_state(pair) == NAT_PAIR_SUSPECT;
}

gboolean
nat_peer_is_direct(NatWatchPair *pair)
{
	return !nat_watch_is_relay(pair) && is_living(pair);
}

NatWatchPair *
nat_peer_find_direct(NatPeer *peer)
{
	for (guint i = 0; peer->watch != NULL && i < nat_watch_count(peer->watch); i++)
		if (nat_peer_is_direct(nat_watch_nth(peer->watch, i)))
			return nat_watch_nth(peer->watch, i);
	return NULL;
}

/* Authenticated packets of the peer's came from there lately, or its connection to the server does.
 */
static gboolean
is_proven_address(NatPeer *peer, const WgEndpoint *address)
{
	if (wg_endpoint_is_set(&peer->seen) && wg_endpoint_same_address(&peer->seen, address))
		return TRUE;
	for (guint i = 0; peer->watch != NULL && i < nat_watch_count(peer->watch); i++) {
		NatWatchPair *pair = nat_watch_nth(peer->watch, i);

		if (nat_watch_remote(pair)->type != NAT_CAND_RELAY && is_living(pair) &&
		    wg_endpoint_same_address(&nat_watch_remote(pair)->endpoint, address))
			return TRUE;
	}
	return FALSE;
}

static gboolean
is_public_v4(const WgEndpoint *endpoint)
{
	return wg_endpoint_family(endpoint) == AF_INET && !wg_endpoint_is_bogus(endpoint) &&
	       !wg_endpoint_is_private(endpoint);
}

/* A relay's address is not the peer's, though its packets come from there. */
static gboolean
is_relays(const NatPeer *peer, const WgEndpoint *address)
{
	for (guint i = 0; i < peer->remote.n_candidates; i++)
		if (peer->remote.candidates[i].type == NAT_CAND_RELAY &&
		    wg_endpoint_same_address(&peer->remote.candidates[i].endpoint, address))
			return TRUE;
	return FALSE;
}

gboolean
nat_peer_may_spray(NatPeer *peer, const WgEndpoint *address)
{
	WgEndpoint probe = *address, source;

	wg_endpoint_set_port(&probe, 1);
	return is_public_v4(address) && !is_relays(peer, address) &&
	       nat_mux_source_for(peer->env->mux, &probe, &source) &&
	       is_proven_address(peer, address);
}

gboolean
nat_peer_spray_target(NatPeer *peer, const WgEndpoint *said, WgEndpoint *out)
{
	*out = *said;
	if (nat_peer_may_spray(peer, said))
		return TRUE;
	for (guint i = 0; peer->watch != NULL && i < nat_watch_count(peer->watch); i++) {
		*out = nat_watch_remote(nat_watch_nth(peer->watch, i))->endpoint;
		if (nat_peer_may_spray(peer, out))
			return TRUE;
	}
	*out = peer->seen;
	return nat_peer_may_spray(peer, out);
}

/* The peer's mapping, as STUN showed it to the peer. */
static gboolean
peer_mapping(NatPeer *peer, WgEndpoint *out)
{
	for (guint i = 0; i < peer->remote.n_candidates; i++) {
		const NatCandidate *cand = &peer->remote.candidates[i];

		if ((cand->type == NAT_CAND_SRFLX || cand->type == NAT_CAND_HOST) &&
		    nat_peer_may_spray(peer, &cand->endpoint)) {
			*out = cand->endpoint;
			return TRUE;
		}
	}
	return FALSE;
}

gboolean
nat_peer_punch_target(NatPeer *peer, PunchRole role, WgEndpoint *out)
{
	const WgEndpoint nothing = {0};

	return peer_mapping(peer, out) ||
	       (role == PUNCH_SPRAY && nat_peer_spray_target(peer, &nothing, out));
}

gboolean
nat_peer_own_public(NatPeer *peer, WgEndpoint *out)
{
	g_autoptr(GArray) public = NULL;

	if (peer->env->public_endpoints == NULL)
		return FALSE;
	public = peer->env->public_endpoints(peer->env->user_data);
	for (guint i = 0; i < public->len; i++) {
		*out = g_array_index(public, WgEndpoint, i);
		if (is_public_v4(out))
			return TRUE;
	}
	return FALSE;
}

static guint
hash_host(const NatCandidate *list, guint n)
{
	for (guint i = 0; i < n; i++) {
		WgEndpoint host = list[i].endpoint;

		if (list[i].type != NAT_CAND_HOST || wg_endpoint_family(&host) != AF_INET)
			continue;
		wg_endpoint_set_port(&host, 1);
		return wg_endpoint_hash(&host);
	}
	return 0;
}

guint
nat_peer_networks(NatPeer *peer)
{
	g_autoptr(GArray) own = peer->env->candidates(peer->env->user_data);
	guint hash = hash_host((const NatCandidate *)(gpointer)own->data, own->len) * 31;

	return peer->controlling
		       ? hash + hash_host(peer->remote.candidates, peer->remote.n_candidates)
		       : hash;
}
