/* SPDX-License-Identifier: MIT */
/*
 * A peer without an agent, on an interface that is ours: nobody answers checks there, so its
 * endpoints are tried by WireGuard's own handshake, one after the other, as innernet does, but
 * without its waits: a peer that has no session is replaced in the same transaction that writes the
 * next endpoint, so that an initiation leaves at once (nat-path), and half a round trip more than
 * an answer takes is enough for each.
 *
 * Behind NATs both ends must have sent before either hears: each round opens our NAT towards all of
 * the peer's endpoints, and its own daemon tries ours meanwhile; whoever of the two comes second
 * gets through.
 */
#include "agent/peer/nat-peer-private.h"

#include <string.h>

#include "agent/base/nat-log.h"

#define SEC ((gint64)G_USEC_PER_SEC)
#define PATIENCE_US (2500 * SEC / 1000)
#define ROUND_MIN_US (3 * SEC)
#define ROUND_MAX_US (20 * SEC) /* our NAT must not close towards it meanwhile */
/* WireGuard itself begins a new handshake when it has sent for 15 s and heard nothing. */
#define DEAF_US (8 * SEC)

gboolean
nat_peer_is_plain(const NatPeer *peer)
{
	return peer->plain != NULL && peer->plain->len > 0 && (!peer->managed || !peer->online);
}

guint
nat_peer_plain_rounds(const NatPeer *peer)
{
	return nat_peer_is_plain(peer) ? peer->plain_rounds : 0;
}

gboolean
nat_peer_plain_bridge(const NatPeer *peer, WgEndpoint *relayed, WgEndpoint *remote)
{
	const WgEndpoint *endpoint = nat_path_endpoint(peer->path);

	return peer->env->find_plain != NULL && wg_endpoint_is_set(endpoint) &&
	       wg_endpoint_is_bogus(endpoint) &&
	       peer->env->find_plain(endpoint, relayed, remote, peer->env->user_data);
}

void
nat_peer_add_plain_permits(const NatPeer *peer, GArray *addresses)
{
	WgEndpoint remote;

	if (!nat_peer_is_plain(peer))
		return;
	if (nat_peer_plain_bridge(peer, NULL, &remote))
		wg_endpoint_array_add(addresses, &remote, wg_endpoint_same_address);
	else if (peer->plain_rounds == 0)
		return;
	for (guint i = 0; i < peer->plain->len; i++) {
		const WgEndpoint *ep = &g_array_index(peer->plain, WgEndpoint, i);

		if (!wg_endpoint_is_private(ep))
			wg_endpoint_array_add(addresses, ep, wg_endpoint_same_address);
	}
}

static void
stop(NatPeer *peer)
{
	if (peer->plain_trying)
		nat_path_reset(peer->path);
	peer->plain_trying = FALSE;
	nat_path_set_initiator(peer->path, peer->controlling);
}

/* An agent is there after all. */
void
nat_peer_end_plain(NatPeer *peer)
{
	if (peer->plain != NULL)
		stop(peer);
}

/* Nobody tries any more: without checks under way there is nothing left to wait for. */
static void
forget(NatPeer *peer)
{
	gboolean was_tried = nat_peer_is_plain(peer);

	if (peer->plain == NULL)
		return;
	stop(peer);
	g_clear_pointer(&peer->plain, g_array_unref);
	if (was_tried && !nat_peer_tunnel_live(peer) &&
	    (peer->search == NULL || !nat_search_started(peer->search)))
		nat_peer_go_waiting(peer);
}

void
nat_peer_set_plain(NatPeer *peer, const WgEndpoint *endpoints, gsize n, const WgEndpoint *observed)
{
	if (observed != NULL)
		peer->observed_at = *observed;
	if (n == 0) {
		forget(peer);
		return;
	}
	if (peer->plain != NULL && wg_endpoint_array_equal(peer->plain, endpoints, n))
		return;
	if (peer->plain == NULL)
		peer->plain = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));
	g_array_set_size(peer->plain, 0);
	g_array_append_vals(peer->plain, endpoints, (guint)n);
	/* what is under way goes on; then the new list from its start */
	peer->plain_next = 0;
	peer->plain_due_us = 0;
	peer->plain_wait_us = 0;
}

static void
end_round(NatPeer *peer, gint64 now)
{
	peer->plain_next = 0;
	peer->plain_rounds++;
	peer->plain_wait_us = CLAMP(peer->plain_wait_us * 2, ROUND_MIN_US, ROUND_MAX_US);
	peer->plain_due_us = now + peer->plain_wait_us;
	peer->failure = NAT_FAILURE_CHECKS;
	nat_peer_set_state(peer, NAT_PEER_FAILED, "no handshake at any of its endpoints");
}

static void
try_next(NatPeer *peer, gint64 now)
{
	WgEndpoint source;

	/* Its own daemon tries us too: a session that began since the device was read must not be
	 * replaced. */
	peer->env->refresh(&peer->key, peer->path, peer->env->user_data);
	if (nat_path_live(peer->path, now))
		return;
	while (peer->plain_next < peer->plain->len) {
		const WgEndpoint *ep = &g_array_index(peer->plain, WgEndpoint, peer->plain_next++);
		char text[WG_ENDPOINT_STRLEN];

		if (!nat_mux_source_for(peer->env->mux, ep, &source)) {
			peer->env->dropped("candidate_refused", peer->env->user_data);
			continue;
		}
		if (peer->plain_next == 1 || peer->began_us == 0)
			peer->began_us = now;
		nat_peer_record(peer, NAT_EVENT_SEARCH, "tries %s by handshake",
				wg_endpoint_format(ep, text));
		peer->plain_trying = TRUE;
		if (peer->state != NAT_PEER_FAILED)
			nat_peer_set_state(peer, NAT_PEER_CHECKING,
					   "no agent is there: its endpoints are tried");
		nat_path_set_initiator(peer->path, TRUE);
		nat_path_try(peer->path, ep, TRUE, PATIENCE_US, now);
		peer->env->hurry(peer->env->user_data);
		return;
	}
	end_round(peer, now);
}

/* Its NAT has another mapping for it, or it is elsewhere: the server sees where, within 10 s. */
static void
follow_observed(NatPeer *peer, gint64 now)
{
	gint64 heard = MAX(nat_path_rx_us(peer->path), nat_path_handshake_us(peer->path));
	WgEndpoint source;

	if (nat_path_phase(peer->path) == NAT_PATH_PROVING ||
	    nat_path_data_tx_us(peer->path) <= heard || now - heard < DEAF_US ||
	    now - peer->plain_due_us < DEAF_US || !wg_endpoint_is_set(&peer->observed_at) ||
	    wg_endpoint_equal(&peer->observed_at, nat_path_endpoint(peer->path)) ||
	    !nat_mux_source_for(peer->env->mux, &peer->observed_at, &source))
		return;
	nat_log_peer(G_LOG_LEVEL_MESSAGE, peer->env->ifname, &peer->key,
		     "is silent, and the innernet server sees it elsewhere: goes there");
	peer->plain_due_us = now;
	peer->plain_trying = TRUE;
	nat_path_set_initiator(peer->path, TRUE);
	nat_path_try(peer->path, &peer->observed_at, TRUE, PATIENCE_US, now);
	peer->env->hurry(peer->env->user_data);
}

void
nat_peer_tick_plain(NatPeer *peer, gint64 now)
{
	if (!nat_peer_is_plain(peer) || !peer->observed)
		return;
	if (nat_path_live(peer->path, now)) {
		/* also where it came by itself, in the midst of a round */
		peer->plain_rounds = 0;
		follow_observed(peer, now);
		return;
	}
	if (nat_path_phase(peer->path) == NAT_PATH_IDLE && now >= peer->plain_due_us)
		try_next(peer, now);
}

/* FALSE: it was no try of ours. */
gboolean
nat_peer_plain_disproved(NatPeer *peer)
{
	gint64 now = g_get_monotonic_time();

	if (!peer->plain_trying)
		return FALSE;
	peer->plain_trying = FALSE;
	if (!nat_peer_is_plain(peer) || nat_path_live(peer->path, now))
		return TRUE;
	try_next(peer, now);
	return TRUE;
}

void
nat_peer_plain_proven(NatPeer *peer)
{
	peer->plain_trying = FALSE;
	peer->plain_next = 0;
	peer->plain_wait_us = 0;
	peer->plain_rounds = 0;
}

gboolean
nat_peer_plain_has(const NatPeer *peer, const WgEndpoint *ep)
{
	/* where the server sees it, it is followed to (follow_observed) */
	return peer->plain != NULL && (wg_endpoint_array_has(peer->plain, ep, wg_endpoint_same) ||
				       wg_endpoint_equal(&peer->observed_at, ep));
}
