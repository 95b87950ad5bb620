/* SPDX-License-Identifier: MIT */
#include "agent/peer/nat-peer-private.h"
#include "agent/peer/nat-peer-punch.h"
#include "agent/punch/punch-msg.h"

#include <sodium.h>

#define RESEND_MS 100
/* The signaling server delivers at most once: what no echo answered is said again. */
#define UNHEARD_MIN_MS 1000
#define UNHEARD_MAX_MS 30000

/* Of too many, the relayed ones are not left out: they work where nothing else does. */
static void
fill_candidates(NatMsg *msg, const GArray *own)
{
	guint others = 0, max = NAT_MSG_MAX_CANDIDATES;

	for (guint i = 0; i < own->len; i++)
		max -= g_array_index(own, NatCandidate, i).type == NAT_CAND_RELAY;
	for (guint i = 0; i < own->len; i++) {
		const NatCandidate *cand = &g_array_index(own, NatCandidate, i);

		if (cand->type == NAT_CAND_RELAY || others++ < max)
			msg->candidates[msg->n_candidates++] = *cand;
	}
}

static void
fill_snapshot(NatPeer *peer, NatMsg *msg)
{
	g_autoptr(GArray) own = nat_peer_own_candidates(peer);

	g_strlcpy(msg->ufrag, peer->ufrag, sizeof msg->ufrag);
	g_strlcpy(msg->pwd, peer->pwd, sizeof msg->pwd);
	msg->watch = peer->env->watch_id;
	msg->mapping = peer->env->mapping(peer->env->user_data);
	if (peer->env->nat_class != NULL)
		peer->env->nat_class(&msg->nat, peer->env->user_data);
	fill_candidates(msg, own);
	if (nat_peer_path_is_good(peer))
		msg->flags |= NAT_MSG_PROVEN;
	if (peer->env->punch_turn != NULL && peer->env->punch_flows != NULL)
		msg->flags |= NAT_MSG_PUNCH;
	if (peer->direct_blocked)
		msg->flags |= NAT_MSG_BLOCKED;
	if (nat_peer_udp_blocked(peer))
		msg->flags |= NAT_MSG_UDP_BLOCKED;
	if (!nat_peer_tunnel_live(peer) ||
	    (peer->search != NULL &&
	     (nat_search_started(peer->search) || nat_peer_on_relay(peer))) ||
	    peer->failure == NAT_FAILURE_SILENCE)
		msg->flags |= NAT_MSG_CHECKING;
}

static gboolean
on_unheard(gpointer user_data)
{
	NatPeer *peer = user_data;

	peer->unheard = 0;
	nat_peer_send_snapshot(peer);
	return G_SOURCE_REMOVE;
}

static void
await_echo(NatPeer *peer)
{
	nat_peer_stop_timer(&peer->unheard);
	if (!peer->present || (peer->has_remote && peer->remote.echo == peer->session.local)) {
		peer->unheard_ms = 0;
		return;
	}
	peer->unheard_ms = CLAMP(peer->unheard_ms * 2, UNHEARD_MIN_MS, UNHEARD_MAX_MS);
	peer->unheard = g_timeout_add(peer->unheard_ms, on_unheard, peer);
}

void
nat_peer_send_snapshot(NatPeer *peer)
{
	NatMsg msg = {0};
	g_autoptr(GBytes) plain = NULL, body = NULL;

	nat_peer_stop_timer(&peer->resend);
	if (peer->seal == NULL)
		return;
	if (peer->tier0) {
		peer->env->publish(peer->env->user_data);
		return;
	}
	fill_snapshot(peer, &msg);
	if ((msg.flags & NAT_MSG_CHECKING) != 0)
		nat_peer_make_search(peer);
	nat_session_stamp(&peer->session, &msg);
	plain = nat_msg_encode(&msg);
	body = nat_seal_wrap(peer->seal, plain);
	if (peer->env->send(&peer->key, body, peer->env->user_data))
		peer->sent_us = g_get_monotonic_time();
	sodium_memzero(&msg, sizeof msg);
	await_echo(peer);
}

static gboolean
on_resend(gpointer user_data)
{
	NatPeer *peer = user_data;

	peer->resend = 0;
	nat_peer_send_snapshot(peer);
	return G_SOURCE_REMOVE;
}

/* Answers are spaced, so that no replayer makes us a source of traffic. */
void
nat_peer_send_soon(NatPeer *peer)
{
	gint64 age_ms = (g_get_monotonic_time() - peer->sent_us) / 1000;

	if (peer->resend != 0)
		return;
	if (peer->sent_us == 0 || age_ms >= RESEND_MS)
		nat_peer_send_snapshot(peer);
	else
		peer->resend = g_timeout_add((guint)(RESEND_MS - age_ms), on_resend, peer);
}

/* The peer's newest snapshot of the session we follow is in peer->remote. */
void
nat_peer_act_on_snapshot(NatPeer *peer)
{
	gboolean wants_checks = (peer->remote.flags & NAT_MSG_CHECKING) != 0;
	/* the peer's new session ended our search for a way around silence */
	gboolean we_want = peer->state == NAT_PEER_CHECKING && peer->failure == NAT_FAILURE_SILENCE;

	/* It would not look if it were content: is our path still one? */
	if (wants_checks && peer->chosen != NULL && nat_peer_tunnel_live(peer))
		nat_watch_probe(peer->chosen);
	if (peer->search != NULL && nat_search_started(peer->search)) {
		nat_peer_add_late_candidates(peer);
	} else if (wants_checks ? !nat_peer_path_is_good(peer) || nat_peer_on_relay(peer) ||
					  !(peer->remote.flags & NAT_MSG_PROVEN)
				: we_want || !nat_peer_tunnel_live(peer)) {
		nat_peer_start_checks(peer);
	} else {
		nat_peer_watch_present(peer);
	}
	nat_peer_update_pairs(peer);
	nat_peer_plan_release(peer);
}

/* Whether it may be elsewhere than its last message said. */
static gboolean
has_moved(const NatPeer *peer, const NatMsg *msg)
{
	if (!peer->has_remote || msg->n_candidates != peer->remote.n_candidates)
		return TRUE;
	for (guint i = 0; i < msg->n_candidates; i++) {
		const NatCandidate *now = &msg->candidates[i], *old = &peer->remote.candidates[i];

		if (now->type != old->type ||
		    !wg_endpoint_same_address(&now->endpoint, &old->endpoint))
			return TRUE;
	}
	return FALSE;
}

static void
on_verdict(NatPeer *peer, NatSessionVerdict verdict, const NatMsg *msg, gboolean behind)
{
	gboolean left = verdict != NAT_SESSION_DROP && verdict != NAT_SESSION_ANSWER &&
			nat_peer_leave_beacons(peer);
	gboolean moved = has_moved(peer, msg);

	switch (verdict) {
	case NAT_SESSION_DROP:
		peer->env->dropped("message_replayed", peer->env->user_data);
		return;
	case NAT_SESSION_ANSWER:
		nat_peer_send_soon(peer);
		return;
	case NAT_SESSION_NEW:
		nat_peer_end_plain(peer);
		peer->online = peer->present = TRUE;
		peer->managed = TRUE;
		peer->remote = *msg;
		peer->has_remote = TRUE;
		/* Checks of the session before are void; ours began under the same credentials. */
		if (peer->search != NULL && nat_search_started(peer->search))
			nat_peer_end_search(peer);
		break;
	case NAT_SESSION_UPDATE:
		nat_peer_end_plain(peer);
		peer->online = peer->present = TRUE;
		peer->remote = *msg;
		peer->has_remote = TRUE;
		break;
	}
	if (moved && peer->env->ways_changed != NULL)
		peer->env->ways_changed(peer->env->user_data);
	nat_peer_make_watch(peer);
	await_echo(peer);
	/* A session newly followed is told so: our echo is what lets the peer follow ours. */
	if (behind || left || verdict == NAT_SESSION_NEW)
		nat_peer_send_soon(peer);
	nat_peer_act_on_snapshot(peer);
}

void
nat_peer_message(NatPeer *peer, const guint8 *body, gsize len)
{
	g_autoptr(GBytes) plain = NULL;
	gconstpointer data;
	gsize size;
	NatMsg msg;
	NatSessionVerdict verdict;
	gboolean behind, live;

	if (peer->seal != NULL)
		plain = nat_seal_unwrap(peer->seal, body, len, NULL);
	if (plain == NULL) {
		peer->env->dropped("message_seal", peer->env->user_data);
		return;
	}
	data = g_bytes_get_data(plain, &size);
	if (punch_msg_is(data, size)) {
		nat_peer_punch_message(peer, data, size);
		return;
	}
	if (!nat_msg_decode(data, size, &msg, NULL)) {
		peer->env->dropped("message_malformed", peer->env->user_data);
		return;
	}
	live = peer->session.remote != 0 &&
	       (peer->state == NAT_PEER_CHECKING || peer->state == NAT_PEER_CONNECTED);
	verdict = nat_session_receive(&peer->session, &msg, live, &behind);
	on_verdict(peer, verdict, &msg, behind);
	sodium_memzero(&msg, sizeof msg);
}

const NatClass *
nat_peer_remote_class(const NatPeer *peer)
{
	return peer->has_remote ? &peer->remote.nat : NULL;
}

/* ---- events ---- */

void
nat_peer_signal_connected(NatPeer *peer)
{
	nat_peer_send_snapshot(peer);
}

void
nat_peer_seen_at(NatPeer *peer, const WgEndpoint *address)
{
	peer->seen = *address;
}

void
nat_peer_presence(NatPeer *peer, gboolean online)
{
	peer->present = online;
	if (!online)
		peer->seen = (WgEndpoint){0};
	peer->online = online || peer->beaconed;
	if (online)
		nat_peer_leave_beacons(peer);
	peer->unheard_ms = 0;
	await_echo(peer);
	if (online) {
		nat_peer_resume_search(peer);
		/* A fresh announcement may just be on its way to it. */
		nat_peer_send_soon(peer);
		return;
	}
	if (peer->beaconed)
		nat_peer_fall_back(peer);
	else
		nat_peer_gone(peer);
}

void
nat_peer_gone(NatPeer *peer)
{
	peer->online = FALSE;
	/* Its endpoints are tried all the same. */
	if (nat_peer_is_plain(peer))
		return;
	/* Checks under way need no signaling: they may still succeed. */
	if (peer->state == NAT_PEER_CHECKING && peer->search != NULL &&
	    nat_search_started(peer->search))
		return;
	if ((peer->state == NAT_PEER_CHECKING || peer->state == NAT_PEER_FAILED) &&
	    !nat_peer_tunnel_live(peer))
		nat_peer_go_waiting(peer);
}

void
nat_peer_candidates_changed(NatPeer *peer)
{
	/* Also while connected: a relay lets in whom it was told of. */
	if (peer->online && (peer->search != NULL || peer->watch != NULL))
		nat_peer_send_soon(peer);
}

void
nat_peer_relay_changed(NatPeer *peer)
{
	nat_peer_update_pairs(peer);
	if (peer->online && peer->managed && peer->wanted_relay)
		nat_peer_send_soon(peer);
}

/* The tunnel leaves from where it left before. */
static gboolean
path_stays(NatPeer *peer)
{
	const WgEndpoint *endpoint = nat_path_endpoint(peer->path);
	WgEndpoint source;

	if (!nat_peer_tunnel_live(peer))
		return FALSE;
	if (peer->chosen != NULL && nat_watch_relayed(peer->chosen) != NULL)
		return nat_mux_is_relayed(peer->env->mux, nat_watch_relayed(peer->chosen));
	return nat_mux_source_for(peer->env->mux, endpoint, &source) &&
	       (!wg_endpoint_is_set(&peer->local) || wg_endpoint_equal(&source, &peer->local));
}

void
nat_peer_network_changed(NatPeer *peer)
{
	gboolean renewed = peer->tier0 && nat_peer_generation_changed(peer), stays;

	if (!peer->managed)
		return;
	nat_peer_remake_bridges(peer);
	nat_peer_punch_network_changed(peer);
	nat_peer_forget_blocked(peer);
	if (peer->watch != NULL)
		nat_watch_probe_all(peer->watch);
	stays = path_stays(peer);
	if (stays && !renewed)
		return;
	/* Without its agent nobody joins a search; presence brings one to a path in doubt. */
	if (!peer->online) {
		if (!stays && peer->state == NAT_PEER_CONNECTED)
			nat_peer_doubt(peer);
		return;
	}
	/* Links and routes come and go that are none of this peer's (containers, say). */
	if (peer->state == NAT_PEER_CHECKING && nat_peer_search_fits(peer) && !renewed)
		return;
	if (!stays)
		nat_peer_doubt(peer);
	nat_peer_begin_search(peer);
}
