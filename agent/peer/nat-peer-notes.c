/* SPDX-License-Identifier: MIT */
/* The watch's events: what the two ends tell each other in the notes of their probes, and what
 * becomes of pairs. */
#include "agent/peer/nat-peer-pair.h"
#include "agent/peer/nat-peer-ping.h"
#include "agent/peer/nat-peer-punch.h"

#include "agent/base/nat-log.h"

#define POKE_SPACE_US (G_USEC_PER_SEC / 3)

/* ---- notes ---- */

static void
on_tell(NatWatchPair *pair, NatNote *note, gpointer user_data)
{
	NatPeer *peer = user_data;
	NatPairState state = nat_watch_state(pair);
	WgEndpoint endpoint;

	note->epoch = peer->epoch;
	if (state == NAT_PAIR_NEW || state == NAT_PAIR_DEAD ||
	    !nat_peer_pair_endpoint(peer, pair, &endpoint))
		note->flags |= NAT_NOTE_UNREADY;
	if (nat_peer_pair_is_retiring(peer, pair))
		note->flags |= NAT_NOTE_RETIRING;
	if (pair == peer->chosen)
		note->flags |= NAT_NOTE_CHOSEN;
	else if (!peer->controlling && peer->dead_epoch != 0 && peer->dead_epoch == peer->epoch)
		note->flags |= peer->dead_why;
	if (pair == peer->chosen &&
	    (peer->deaf_us != 0 || nat_path_phase(peer->path) == NAT_PATH_PROVING))
		note->flags |= NAT_NOTE_POKE;
}

/* The follower took choices that we know nothing of: they were ours, before the peer was removed
 * from the device and added again, for the watch id is the process's. It takes none that is not
 * above those. */
static void
catch_up(NatPeer *peer, guint32 epoch)
{
	peer->epoch = epoch;
	if (peer->chosen == NULL)
		return; /* what is chosen next is above */
	peer->epoch++;
	nat_watch_insist(peer->chosen, TRUE);
}

/* The controlling side hears the follower. */
static void
hear_follower(NatPeer *peer, NatWatchPair *pair, const NatNote *note)
{
	gint64 now = g_get_monotonic_time();

	/* the last one has none above it: no agent gets there */
	if (note->epoch > peer->epoch && note->epoch < G_MAXUINT32)
		catch_up(peer, note->epoch);
	if (note->epoch != peer->epoch || peer->chosen == NULL)
		return;
	if ((note->flags & NAT_NOTE_DEAD) && pair != peer->chosen) {
		/* once for each choice: the note comes again and again */
		if (nat_pair_is_blocked(peer, peer->chosen, now) ||
		    peer->distrusted_epoch == peer->epoch)
			return;
		peer->distrusted_epoch = peer->epoch;
		if (note->flags & NAT_NOTE_BLOCKED)
			nat_pair_block(peer, peer->chosen);
		else
			nat_watch_distrust(peer->chosen);
		nat_peer_consider(peer);
	} else if ((note->flags & NAT_NOTE_CHOSEN) && pair == peer->chosen) {
		nat_watch_insist(pair, FALSE);
	}
}

/* The follower hears the controlling side. */
static void
hear_chooser(NatPeer *peer, NatWatchPair *pair, const NatNote *note)
{
	WgEndpoint endpoint;

	if (!(note->flags & NAT_NOTE_CHOSEN) || note->epoch <= peer->epoch ||
	    nat_watch_state(pair) != NAT_PAIR_ALIVE)
		return;
	/* A channel is still being bound: the note comes again. */
	if (!nat_peer_pair_endpoint(peer, pair, &endpoint))
		return;
	for (guint i = 0; i < nat_watch_count(peer->watch); i++)
		nat_watch_insist(nat_watch_nth(peer->watch, i), FALSE);
	peer->epoch = note->epoch;
	peer->dead_epoch = 0;
	if (pair != peer->chosen || !nat_peer_uses(peer, &endpoint))
		nat_peer_take(peer, pair, "the peer chose it");
}

static void
on_noted(NatWatchPair *pair, const NatNote *note, gboolean answer, gpointer user_data)
{
	NatPeer *peer = user_data;
	gint64 now = g_get_monotonic_time();
	gboolean unready = (note->flags & NAT_NOTE_UNREADY) != 0;

	if (answer)
		nat_peer_ping_heard(peer, pair);
	if (answer)
		nat_pair_info(pair)->far_retiring = (note->flags & NAT_NOTE_RETIRING) != 0;
	if (nat_pair_info(pair)->far_unready != unready && !answer) {
		/* A request may be an old one: an answer to ours is not. */
		nat_watch_probe(pair);
	} else if (nat_pair_info(pair)->far_unready != unready) {
		nat_pair_info(pair)->far_unready = unready;
		nat_peer_consider(peer);
	}
	if ((note->flags & NAT_NOTE_POKE) && now - peer->poked_us > POKE_SPACE_US &&
	    nat_peer_tunnel_live(peer)) {
		peer->poked_us = now;
		nat_path_poke(peer->path);
	}

	if (peer->controlling)
		hear_follower(peer, pair, note);
	else
		hear_chooser(peer, pair, note);
}

/* ---- what becomes of pairs ---- */

static void
on_chosen_dead(NatPeer *peer)
{
	NatWatchPair *dead = peer->chosen;
	const WgEndpoint *relayed = nat_watch_relayed(dead);

	nat_peer_record(peer, NAT_EVENT_PATH, "the path went silent");
	if (relayed != NULL && peer->env->relay != NULL)
		nat_relay_check(peer->env->relay, relayed);
	nat_peer_consider(peer);
	if (peer->chosen != dead) {
		/* A mapping may have changed under us: the standby carries on, a search looks for
		 * something better. */
		nat_peer_look_again(peer);
		return;
	}
	if (peer->state != NAT_PEER_CONNECTED)
		return;
	nat_peer_doubt(peer);
	/* The agent at the other end may be gone while the tunnel works: only a peer that is at the
	 * signaling server can join a search. Presence brings one, unless bytes came in by then. */
	if (peer->online)
		nat_peer_begin_search(peer);
}

static void
on_changed(NatWatchPair *pair, NatPairState before, gpointer user_data)
{
	NatPeer *peer = user_data;
	char text[NAT_PAIR_STRLEN];

	nat_peer_record(peer, NAT_EVENT_PAIR, "%s: %s → %s", nat_pair_text(pair, text),
			nat_pair_state_to_string(before),
			nat_pair_state_to_string(nat_watch_state(pair)));
	switch (nat_watch_state(pair)) {
	case NAT_PAIR_NEW:
		break;
	case NAT_PAIR_ALIVE:
		nat_peer_make_bridge(peer, pair);
		nat_peer_rest_pairs(peer);
		nat_peer_punch_alive(peer, pair);
		if (pair == peer->chosen)
			nat_peer_path_answers(peer);
		nat_peer_consider(peer);
		break;
	case NAT_PAIR_SUSPECT:
		if (nat_watch_relayed(pair) == NULL &&
		    nat_peer_source_port(peer, &nat_watch_remote(pair)->endpoint) != 0)
			punch_flows_renew(peer->env->punch_flows, g_get_monotonic_time());
		/* Which of the others could take over? */
		if (pair == peer->chosen)
			nat_watch_probe_all(peer->watch);
		break;
	case NAT_PAIR_DEAD:
		if (pair == peer->chosen)
			on_chosen_dead(peer);
		break;
	}
}

static void
on_removed(NatWatchPair *pair, gpointer user_data)
{
	NatPeer *peer = user_data;
	NatPairInfo *info = nat_watch_data(pair);

	nat_peer_ping_removed(peer, pair);
	if (peer->chosen == pair) {
		peer->chosen = NULL;
		peer->deserted = TRUE;
	}
	if (info == NULL)
		return;
	peer->late_bytes_gone += nat_pair_bridged(info);
	if (info->bridge != NULL)
		nat_relay_bridge_free(info->bridge);
	nat_watch_set_data(pair, NULL);
	g_free(info);
}

/* No way at all is no other way. */
static gboolean
was_blocked_elsewhere(NatPeer *peer, NatWatchPair *pair)
{
	const WgEndpoint *before = &nat_pair_info(pair)->blocked_from;
	NatCandidate local;

	nat_peer_pair_local(peer, pair, &local);
	return wg_endpoint_is_set(before) && wg_endpoint_is_set(&local.endpoint) &&
	       !wg_endpoint_equal(before, &local.endpoint);
}

void
nat_peer_forget_blocked(NatPeer *peer)
{
	for (guint i = 0; peer->watch != NULL && i < nat_watch_count(peer->watch); i++) {
		NatWatchPair *pair = nat_watch_nth(peer->watch, i);
		NatPairInfo *info = nat_pair_info(pair);

		if (!was_blocked_elsewhere(peer, pair))
			continue;
		info->failures = info->blocked_s = 0;
		info->blocked_until_us = 0;
		info->blocked_from = (WgEndpoint){0};
		if (nat_pair_relays(pair) == 0)
			peer->direct_blocked = FALSE;
	}
}

static const NatWatchFuncs WATCH_FUNCS = {
	.changed = on_changed,
	.noted = on_noted,
	.tell = on_tell,
	.removed = on_removed,
};

/* The watch lives as long as both agents' processes: searches come and go above it. */
void
nat_peer_make_watch(NatPeer *peer)
{
	if (peer->seal == NULL || peer->remote.watch == 0 ||
	    (peer->watch != NULL && peer->remote.watch == peer->watch_remote))
		return;
	nat_peer_stop_mtu(peer);
	nat_peer_punch_stop(peer);
	g_clear_pointer(&peer->watch, nat_watch_free);
	peer->epoch = peer->controlling ? peer->env->epoch_base : 0;
	peer->dead_epoch = peer->distrusted_epoch = 0;
	peer->watch_remote = peer->remote.watch;
	peer->watch = nat_watch_new(peer->env->mux, peer->seal, &peer->env->public_key, &peer->key,
				    peer->env->watch_id, peer->watch_remote, &WATCH_FUNCS, peer);
	nat_watch_set_stats(peer->watch, peer->env->stats);
	/* A tunnel that was up before us is on some pair: before another one answers and takes it.
	 */
	nat_peer_watch_present(peer);
}
