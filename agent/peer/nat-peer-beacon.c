/* SPDX-License-Identifier: MIT */
/*
 * Two agents with nothing but an innernet server in common (tier 0): what nat-peer-talk does by
 * messages is done by beacons here, which are read every few seconds (inn-beacon). Nobody is asked
 * and nobody answers, so:
 *
 * The credentials of both ends are derived from the two generations as this end sees them; as long
 * as the two ends see different ones, checks meet nobody, and go on until the next reading.
 *
 * A new generation of the same process is an ICE restart: its network changed, and it is joined at
 * once. One of another process is an agent that was restarted, most likely under a live tunnel: the
 * pair in use is probed, and a search begins only if it is dead.
 *
 * Whoever is at the signaling server is talked to there (tier 1); beacons wait.
 */
#include "agent/peer/nat-peer-private.h"

#include "agent/base/nat-log.h"

static void
derive_own(NatPeer *peer)
{
	char ufrag[NAT_SEAL_ICE_UFRAG_LEN + 1], pwd[NAT_SEAL_ICE_PWD_LEN + 1];

	peer->generation = peer->env->generation(peer->env->user_data);
	nat_seal_derive_ice(peer->seal, &peer->env->public_key, peer->generation,
			    peer->beacon.generation, ufrag, pwd);
	g_free(peer->ufrag);
	g_free(peer->pwd);
	peer->ufrag = g_strdup(ufrag);
	peer->pwd = g_strdup(pwd);
}

static gboolean
is_listed(const NatMsg *msg, const WgEndpoint *ep)
{
	for (guint i = 0; i < msg->n_candidates; i++)
		if (wg_endpoint_equal(&msg->candidates[i].endpoint, ep))
			return TRUE;
	return FALSE;
}

/* The snapshot that the peer would send. */
static void
fill_remote(NatPeer *peer, guint32 flags)
{
	const InnBeacon *beacon = &peer->beacon;
	NatMsg msg = {
		.sid = beacon->generation,
		.flags = flags,
		.watch = beacon->watch,
		.mapping = beacon->mapping,
		.nat = {.mapping = beacon->mapping},
	};

	nat_seal_derive_ice(peer->seal, &peer->key, beacon->generation, peer->generation, msg.ufrag,
			    msg.pwd);
	for (guint i = 0; i < beacon->n_candidates; i++)
		msg.candidates[msg.n_candidates++] = beacon->candidates[i];
	/* where the innernet server sees its WireGuard's packets come from */
	if (wg_endpoint_is_set(&peer->observed_at) && !is_listed(&msg, &peer->observed_at))
		msg.candidates[msg.n_candidates++] =
			(NatCandidate){NAT_CAND_SRFLX, peer->observed_at};
	peer->remote = msg;
	peer->has_remote = TRUE;
}

/* Both ends' credentials, from the generations as they are now. */
void
nat_peer_derive_session(NatPeer *peer)
{
	derive_own(peer);
	fill_remote(peer, peer->remote.flags);
}

static void
follow(NatPeer *peer)
{
	gboolean known = peer->tier0 && peer->has_remote;
	gboolean renewed = known && peer->remote.sid != peer->beacon.generation;
	gboolean restarted = renewed && peer->remote.watch == peer->beacon.watch;
	gboolean fresh = !known || renewed || nat_peer_generation_changed(peer);

	if (fresh)
		nat_peer_end_plain(peer);
	peer->tier0 = peer->online = peer->managed = TRUE;
	if (!fresh) {
		guint before = peer->remote.n_candidates;

		fill_remote(peer, 0);
		if (peer->search != NULL && nat_search_started(peer->search))
			nat_peer_add_late_candidates(peer);
		else if (before != peer->remote.n_candidates && peer->retry != 0)
			nat_peer_look_again(peer);
		nat_peer_update_pairs(peer);
		return;
	}
	nat_peer_record(peer, NAT_EVENT_AGENT, "%s",
			restarted ? "the peer's beacon is renewed" : "a beacon of the peer");
	peer->retry_ms = 0;
	/* checks under other credentials are void */
	if (peer->search != NULL)
		nat_peer_end_search(peer);
	derive_own(peer);
	fill_remote(peer, restarted ? NAT_MSG_CHECKING : 0);
	nat_peer_make_watch(peer);
	if (peer->watch != NULL)
		nat_watch_probe_all(peer->watch);
	nat_peer_act_on_snapshot(peer);
}

void
nat_peer_beacon(NatPeer *peer, const InnBeacon *beacon, const WgEndpoint *observed)
{
	if (peer->seal == NULL)
		return;
	peer->beaconed = beacon != NULL;
	peer->observed_at = *observed;
	if (beacon != NULL) {
		peer->beacon = *beacon;
		if (!peer->present && peer->env->beacons_may(peer->env->user_data))
			follow(peer);
		return;
	}
	if (!peer->tier0)
		return;
	peer->tier0 = FALSE;
	nat_peer_gone(peer);
}

/* The signaling server lost sight of it: what it says at the innernet server counts now; or with
 * the next reading, where it is not known yet who we are to the others. */
void
nat_peer_fall_back(NatPeer *peer)
{
	if (peer->beaconed && peer->seal != NULL && !peer->tier0 &&
	    peer->env->beacons_may(peer->env->user_data))
		follow(peer);
}

/* It is at the signaling server. Checks under way go on until its word from there is known. */
gboolean
nat_peer_leave_beacons(NatPeer *peer)
{
	if (!peer->tier0)
		return FALSE;
	peer->tier0 = peer->has_remote = FALSE;
	nat_peer_make_credentials(peer);
	nat_session_renew(&peer->session, nat_peer_random_sid());
	return TRUE;
}

gboolean
nat_peer_generation_changed(const NatPeer *peer)
{
	return peer->generation != peer->env->generation(peer->env->user_data);
}
