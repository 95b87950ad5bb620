/* SPDX-License-Identifier: MIT */
/*
 * Which pairs of a peer are under watch besides those that ICE selected: the relayed ones, made of
 * both ends' relayed addresses. A pair from a relayed address of ours to a reflexive address of the
 * peer is never made here: the peer's probe to that address makes it, from the mapping that its NAT
 * really has towards the relay.
 */
#include "agent/peer/nat-peer-private.h"
#include "agent/peer/nat-peer-punch.h"

#define SEC ((gint64)G_USEC_PER_SEC)
/* DESIGN §5: a standby is held for peers with traffic in the last 5 minutes. */
#define ACTIVE_US (300 * SEC)
#define BUSY_US (15 * SEC)
#define REST_BUSY_MS 5000
#define REST_STANDBY_MS 15000
#define PERMITS 8
#define PAIRS_OF_A_RELAY 3 /* of the peer: from P, and from two of ours */

gint64
nat_peer_data_us(const NatPeer *peer)
{
	return nat_path_used_us(peer->path);
}

gboolean
nat_peer_is_active(const NatPeer *peer, gint64 now_us)
{
	gint64 last = nat_peer_data_us(peer);

	return last != 0 && now_us - last < ACTIVE_US;
}

gboolean
nat_peer_on_relay(const NatPeer *peer)
{
	return peer->state == NAT_PEER_CONNECTED && peer->chosen != NULL &&
	       nat_watch_is_relay(peer->chosen);
}

/* A relayed address is wanted while there is no path, while a relayed one is used, or for a
 * standby. */
gboolean
nat_peer_wants_relay(const NatPeer *peer, gint64 now_us)
{
	if (!peer->managed || !(peer->online || peer->state == NAT_PEER_CONNECTED))
		return FALSE;
	if (peer->state != NAT_PEER_CONNECTED || nat_peer_on_relay(peer))
		return TRUE;
	if (peer->search != NULL && nat_search_started(peer->search))
		return TRUE;
	return peer->standby && nat_peer_is_active(peer, now_us);
}

const WgEndpoint *
nat_peer_relayed(const NatPeer *peer)
{
	return nat_peer_on_relay(peer) ? nat_watch_relayed(peer->chosen) : NULL;
}

static gboolean
is_spare(const NatPeer *peer, const WgEndpoint *relayed)
{
	return relayed != NULL && peer->env->relay != NULL &&
	       wg_endpoint_equal(nat_relay_spare_address(peer->env->relay), relayed);
}

/* What a relayed address is to a direct tunnel, a spare one is to a relayed tunnel. While there is
 * no path at all, what was there stays: this is what it was held for. */
gboolean
nat_peer_wants_spare(const NatPeer *peer, gint64 now_us)
{
	if (!nat_peer_wants_relay(peer, now_us))
		return FALSE;
	if (is_spare(peer, nat_peer_relayed(peer)))
		return TRUE;
	if (!peer->standby || !nat_peer_is_active(peer, now_us))
		return FALSE;
	if (peer->state != NAT_PEER_CONNECTED || peer->chosen == NULL)
		return peer->wanted_spare;
	return nat_peer_on_relay(peer);
}

const WgEndpoint *
nat_peer_spare(const NatPeer *peer)
{
	const WgEndpoint *spare;

	if (!peer->wanted_spare || peer->env->relay == NULL)
		return NULL;
	spare = nat_relay_spare_address(peer->env->relay);
	return wg_endpoint_is_set(spare) ? spare : NULL;
}

gboolean
nat_peer_has_standby(const NatPeer *peer)
{
	return peer->standby;
}

void
nat_peer_set_standby(NatPeer *peer, gboolean standby)
{
	if (peer->standby == standby)
		return;
	peer->standby = standby;
	nat_peer_update_pairs(peer);
}

static gboolean
is_remote_relay(const NatPeer *peer, const WgEndpoint *ep)
{
	for (guint i = 0; i < peer->remote.n_candidates; i++)
		if (peer->remote.candidates[i].type == NAT_CAND_RELAY &&
		    wg_endpoint_equal(&peer->remote.candidates[i].endpoint, ep))
			return TRUE;
	return FALSE;
}

/* Whoever of the peer may send to our relayed address: its public mapping, its relay. */
static void
permit(NatPeer *peer, gboolean wanted)
{
	WgEndpoint peers[PERMITS];
	gsize n = 0;

	/* What a relay sees of the peer first: hosts may have many addresses that it never does. */
	for (guint i = 0; wanted && i < 2 * peer->remote.n_candidates && n < PERMITS; i++) {
		guint at = i % peer->remote.n_candidates;
		const NatCandidate *cand = &peer->remote.candidates[at];
		gboolean host = cand->type == NAT_CAND_HOST;

		if (host == (i >= peer->remote.n_candidates) &&
		    !(host && wg_endpoint_is_private(&cand->endpoint)))
			peers[n++] = cand->endpoint;
	}
	nat_relay_permit(peer->env->relay, peer, peers, n);
}

static gboolean
is_stale(NatPeer *peer, NatWatchPair *pair)
{
	const WgEndpoint *relayed = nat_watch_relayed(pair);

	NatPairState state = nat_watch_state(pair);

	if (relayed != NULL && !nat_mux_is_relayed(peer->env->mux, relayed))
		return TRUE;
	/* What carries the tunnel is left when it dies, or for a better one. */
	if (pair == peer->chosen && (state == NAT_PAIR_ALIVE || state == NAT_PAIR_SUSPECT))
		return FALSE;
	/* it would hold a channel, and with it the allocation */
	if ((!peer->wanted_relay && nat_watch_is_relay(pair)) ||
	    (!peer->wanted_spare && is_spare(peer, relayed)))
		return TRUE;
	return nat_watch_is_added(pair) && nat_watch_remote(pair)->type == NAT_CAND_RELAY &&
	       !is_remote_relay(peer, &nat_watch_remote(pair)->endpoint);
}

static gboolean
drop_stale(NatPeer *peer)
{
	gboolean chosen = FALSE;

	for (guint i = nat_watch_count(peer->watch); i > 0; i--) {
		NatWatchPair *pair = nat_watch_nth(peer->watch, i - 1);

		if (!is_stale(peer, pair))
			continue;
		chosen |= pair == peer->chosen;
		nat_watch_remove(pair);
	}
	return chosen;
}

/* A dead pair that ICE found once makes room for a living one. */
static void
make_room(NatPeer *peer)
{
	for (guint i = 0; i < nat_watch_count(peer->watch); i++) {
		NatWatchPair *pair = nat_watch_nth(peer->watch, i);

		if (nat_watch_count(peer->watch) < NAT_WATCH_PAIRS - PAIRS_OF_A_RELAY)
			return;
		if (nat_watch_state(pair) == NAT_PAIR_DEAD && pair != peer->chosen) {
			nat_watch_remove(pair);
			i = 0;
		}
	}
}

static void
add_from(NatPeer *peer, const WgEndpoint *relayed, const NatCandidate *remote)
{
	if (relayed != NULL && wg_endpoint_is_set(relayed) &&
	    wg_endpoint_family(relayed) == wg_endpoint_family(&remote->endpoint))
		nat_watch_add(peer->watch, relayed, remote);
}

static void
add_relayed(NatPeer *peer, const NatCandidate *remote)
{
	WgEndpoint source;

	if (nat_mux_source_for(peer->env->mux, &remote->endpoint, &source))
		nat_watch_add(peer->watch, NULL, remote);
	else
		peer->env->dropped("candidate_refused", peer->env->user_data);
	if (peer->env->relay != NULL)
		add_from(peer, nat_relay_address(peer->env->relay), remote);
	add_from(peer, nat_peer_spare(peer), remote);
}

NatWatchPair *
nat_peer_add_pair(NatPeer *peer, const NatCandidate *remote)
{
	make_room(peer);
	return nat_watch_add(peer->watch, NULL, remote);
}

/* A tunnel may have come to the peer's relay before we heard whose address that is: after a start
 * of ours, say. */
static void
name_relays(NatPeer *peer)
{
	for (guint i = 0; peer->watch != NULL && i < peer->remote.n_candidates; i++) {
		const NatCandidate *cand = &peer->remote.candidates[i];

		if (cand->type == NAT_CAND_RELAY &&
		    nat_watch_find(peer->watch, NULL, &cand->endpoint) != NULL)
			nat_watch_add(peer->watch, NULL, cand);
	}
}

/* TRUE: what the peer should know of our relayed addresses is something else now. */
static gboolean
update_wants(NatPeer *peer)
{
	gint64 now = g_get_monotonic_time();
	gboolean wanted = nat_peer_wants_relay(peer, now);
	gboolean spare = nat_peer_wants_spare(peer, now), before = peer->wanted_spare;

	if (wanted && !peer->wanted_relay)
		peer->env->relay_wanted(peer->env->user_data);
	peer->wanted_relay = wanted;
	peer->wanted_spare = spare;
	return spare != before && peer->env->relay != NULL &&
	       wg_endpoint_is_set(nat_relay_spare_address(peer->env->relay));
}

void
nat_peer_update_pairs(NatPeer *peer)
{
	gboolean renewed, wanted, lost;

	name_relays(peer);
	renewed = update_wants(peer);
	wanted = peer->wanted_relay;
	if (renewed && peer->online && peer->managed)
		nat_peer_send_soon(peer);

	if (peer->env->relay != NULL)
		permit(peer, wanted);
	if (peer->watch == NULL)
		return;
	lost = drop_stale(peer);
	for (guint i = 0, n = 0; wanted && i < peer->remote.n_candidates && n < 2; i++) {
		if (peer->remote.candidates[i].type != NAT_CAND_RELAY)
			continue;
		make_room(peer);
		add_relayed(peer, &peer->remote.candidates[i]);
		n++;
	}
	nat_peer_rest_pairs(peer);
	if (lost)
		nat_peer_path_lost(peer);
	else
		nat_peer_consider(peer);
}

/* At rest: the pair in use is kept alive by WireGuard itself, and asked for its round trip only
 * while data passes; the standbys of a used tunnel are asked often enough to keep their mappings.
 */
void
nat_peer_rest_pairs(NatPeer *peer)
{
	gint64 now = g_get_monotonic_time();
	gboolean active = nat_peer_is_active(peer, now);
	gboolean busy = active && now - nat_peer_data_us(peer) < BUSY_US;
	guint keepalive_ms = peer->env->keepalive(peer->env->user_data) * 1000u;

	if (peer->watch == NULL)
		return;
	for (guint i = 0; i < nat_watch_count(peer->watch); i++) {
		NatWatchPair *pair = nat_watch_nth(peer->watch, i);

		if (pair == peer->chosen)
			nat_watch_set_rest(pair, busy ? REST_BUSY_MS : 0);
		else if (active || nat_peer_on_relay(peer))
			nat_watch_set_rest(pair, MIN(REST_STANDBY_MS, keepalive_ms));
		else
			nat_watch_set_rest(pair, 0);
	}
}

/* Every second: what time alone changes. */
void
nat_peer_tick(NatPeer *peer, gint64 now_us)
{
	gboolean wanted = nat_peer_wants_relay(peer, now_us);

	nat_peer_tick_plain(peer, now_us);
	nat_path_set_keepalive(peer->path, peer->env->keepalive(peer->env->user_data));
	if (wanted != peer->wanted_relay ||
	    nat_peer_wants_spare(peer, now_us) != peer->wanted_spare)
		nat_peer_update_pairs(peer);
	else
		nat_peer_rest_pairs(peer);
	nat_peer_update_mtu(peer, now_us);
	nat_peer_consider(peer);
	nat_peer_punch_tick(peer, now_us);
	/* From a relay the search for a direct path goes on for ever, whatever ended the last. */
	if (nat_peer_on_relay(peer) && peer->online && peer->retry == 0 &&
	    (peer->search == NULL || !nat_search_started(peer->search)))
		nat_peer_plan_retry(peer);
}

/* What would carry the tunnel next; NULL: nothing that lives. */
NatWatchPair *
nat_peer_standby_pair(NatPeer *peer)
{
	NatWatchPair *best = NULL;

	if (peer->watch == NULL)
		return NULL;
	for (guint i = 0; i < nat_watch_count(peer->watch); i++) {
		NatWatchPair *pair = nat_watch_nth(peer->watch, i);

		if (pair == peer->chosen || nat_watch_state(pair) != NAT_PAIR_ALIVE)
			continue;
		if (best == NULL || (nat_watch_is_relay(best) && !nat_watch_is_relay(pair)) ||
		    (nat_watch_is_relay(best) == nat_watch_is_relay(pair) &&
		     nat_watch_rtt_ms(pair) < nat_watch_rtt_ms(best)))
			best = pair;
	}
	return best;
}

static void
add_destination(GArray *far, const WgEndpoint *endpoint)
{
	if (wg_endpoint_is_set(endpoint) && !wg_endpoint_is_private(endpoint) &&
	    !wg_endpoint_is_bogus(endpoint))
		wg_endpoint_array_add(far, endpoint, wg_endpoint_same_address);
}

void
nat_peer_add_endpoints(const NatPeer *peer, GArray *far)
{
	add_destination(far, &peer->selected.endpoint);
	add_destination(far, &peer->configured);
}

void
nat_peer_add_destinations(const NatPeer *peer, GArray *far)
{
	for (guint i = 0; peer->has_remote && i < peer->remote.n_candidates; i++)
		if (peer->remote.candidates[i].type != NAT_CAND_RELAY)
			add_destination(far, &peer->remote.candidates[i].endpoint);
}
