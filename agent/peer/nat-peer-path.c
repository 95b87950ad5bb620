/* SPDX-License-Identifier: MIT */
/*
 * Which of its pairs a peer's tunnel uses, and how both ends come to use the same.
 *
 * One chooser: the controlling side chooses, and says so in the notes of its probes over the pair
 * it chose, under a growing epoch, each round trip until the follower's notes carry the same. The
 * follower takes a choice only on a pair that has answered its own probes, so that a copied
 * packet cannot lead its tunnel away. By itself it leaves only a pair that is dead for it
 * (unanswered probes, or no proof by WireGuard), and says so over all that live.
 *
 * The first path of a peer is ICE's: both ends try what ICE selects at once, without a round trip
 * of notes. From RELAY_FIRST_MS on without a proof, a relayed pair that answers carries the tunnel,
 * while the search for a direct one goes on.
 */
#include "agent/peer/nat-peer-pair.h"

#include <string.h>

#include "agent/base/nat-log.h"

#define SEC ((gint64)G_USEC_PER_SEC)
/* What was written and not proven is disturbed no sooner than its handshake could have come. */
#define HANDSHAKE_SLACK_MS 150
/* A live tunnel that is moved has its proof after one round trip, the other end's poke. */
#define MOVE_SLACK_MS 400
#define TRY_PATIENCE_US (2 * SEC) /* where a relayed pair could be next */
#define BLOCKED_FIRST_US (3 * SEC)
#define BLOCKED_MIN_S 30
#define BLOCKED_MAX_S 3600
#define ANSWERS_MS 150 /* until the chooser looks for the next answer of a new pair */
/* STUN passes, data goes out, and WireGuard hears nothing: the peer is asked to speak after this
 * long, and not believed any more after that. */
#define DEAF_ASK_US (SEC / 2)
#define DEAF_MAX_US (2 * SEC)

/* A relay drops nothing of WireGuard's in particular, and without a session there is nothing that
 * another try could disturb: that a relayed pair failed often holds only beside a live tunnel. */
guint
nat_pair_block_s(NatPeer *peer, NatWatchPair *pair, gint64 now)
{
	guint s = nat_pair_info(pair)->blocked_s;

	if (nat_pair_relays(pair) > 0 && !nat_path_live(peer->path, now))
		s = MIN(s, BLOCKED_MIN_S);
	return s;
}

gboolean
nat_pair_is_blocked(NatPeer *peer, NatWatchPair *pair, gint64 now)
{
	const NatPairInfo *info = nat_pair_info(pair);
	gint64 less_us = (info->blocked_s - nat_pair_block_s(peer, pair, now)) * SEC;

	return now < info->blocked_until_us - less_us;
}

/* One or two lost packets look the same: only the second time in a row it is a finding. TRUE then.
 */
gboolean
nat_pair_block(NatPeer *peer, NatWatchPair *pair)
{
	NatPairInfo *info = nat_pair_info(pair);
	NatCandidate local;

	nat_peer_pair_local(peer, pair, &local);
	info->blocked_from = local.endpoint;
	if (++info->failures < 2) {
		info->blocked_until_us = g_get_monotonic_time() + BLOCKED_FIRST_US;
		return FALSE;
	}
	info->blocked_s = CLAMP(info->blocked_s * 4, BLOCKED_MIN_S, BLOCKED_MAX_S);
	info->blocked_until_us = g_get_monotonic_time() + info->blocked_s * SEC;
	return TRUE;
}

void
nat_peer_note_proof(NatPeer *peer)
{
	NatPairInfo *info;

	if (peer->chosen == NULL)
		return;
	info = nat_pair_info(peer->chosen);
	info->failures = info->blocked_s = 0;
	info->blocked_until_us = 0;
	if (!nat_watch_is_relay(peer->chosen))
		peer->direct_blocked = FALSE;
}

void
nat_peer_note_bytes(NatPeer *peer)
{
	gboolean before = peer->direct_blocked;

	nat_peer_note_proof(peer);
	if (peer->direct_blocked != before)
		nat_peer_send_soon(peer); /* the other end was told */
}

/* Without a session a relayed pair waits for a direct one's first half second. */
static gboolean
relays_may(NatPeer *peer, gint64 now)
{
	return nat_path_live(peer->path, now) || peer->relay_due_us == 0 ||
	       now >= peer->relay_due_us;
}

static void
fill_choice(NatPeer *peer, NatWatchPair *pair, NatChoicePair *out, gint64 now)
{
	NatPairState state = nat_watch_state(pair);
	WgEndpoint endpoint, source;

	out->alive = state == NAT_PAIR_ALIVE || (state != NAT_PAIR_DEAD && pair == peer->chosen);
	out->relays = nat_pair_relays(pair);
	/* The present pair was ready when it was taken; its end is told by other words. */
	out->blocked = nat_pair_is_blocked(peer, pair, now) ||
		       (nat_pair_info(pair)->far_unready && pair != peer->chosen) ||
		       nat_pair_info(pair)->far_retiring || nat_peer_pair_is_retiring(peer, pair) ||
		       !nat_peer_pair_endpoint(peer, pair, &endpoint) ||
		       (out->relays > 0 && !relays_may(peer, now));
	if (out->alive && nat_watch_relayed(pair) == NULL &&
	    !nat_mux_source_for(peer->env->mux, &nat_watch_remote(pair)->endpoint, &source))
		out->alive = FALSE;
	out->doubted = nat_pair_info(pair)->failures > 0;
	out->rtt_ms = nat_watch_rtt_ms(pair);
	out->loss = nat_watch_loss(pair);
	out->alive_us = nat_watch_alive_us(pair);
	out->answers = nat_watch_answers(pair);
	out->deaths = nat_watch_deaths(pair);
}

static NatWatchPair *
best_pair(NatPeer *peer, gint64 now)
{
	NatChoicePair pairs[NAT_WATCH_PAIRS] = {0};
	guint n = MIN(nat_watch_count(peer->watch), NAT_WATCH_PAIRS);
	int current = -1, best;

	for (guint i = 0; i < n; i++) {
		fill_choice(peer, nat_watch_nth(peer->watch, i), &pairs[i], now);
		if (nat_watch_nth(peer->watch, i) == peer->chosen)
			current = (int)i;
	}
	best = nat_choice_best(pairs, n, current, now);
	return best >= 0 ? nat_watch_nth(peer->watch, (guint)best) : NULL;
}

static gboolean
has_alternative(NatPeer *peer, NatWatchPair *to)
{
	for (guint i = 0; i < nat_watch_count(peer->watch); i++) {
		NatWatchPair *pair = nat_watch_nth(peer->watch, i);

		if (pair != to && nat_watch_state(pair) == NAT_PAIR_ALIVE)
			return TRUE;
	}
	return FALSE;
}

static gint64
patience_us(NatPeer *peer, NatWatchPair *pair, gint64 now)
{
	double rtt = MAX(nat_watch_rtt_ms(pair), 0);

	if (nat_path_live(peer->path, now) && has_alternative(peer, pair) &&
	    peer->failure != NAT_FAILURE_SILENCE)
		return (gint64)((3 * rtt + MOVE_SLACK_MS) * 1000);
	return has_alternative(peer, pair) ? TRY_PATIENCE_US + (gint64)(4000 * rtt) : 0;
}

/* The tunnel is live there, by WireGuard's own word. */
gboolean
nat_peer_uses(NatPeer *peer, const WgEndpoint *endpoint)
{
	return nat_peer_tunnel_live(peer) && nat_path_phase(peer->path) != NAT_PATH_PROVING &&
	       wg_endpoint_equal(nat_path_endpoint(peer->path), endpoint);
}

/* The address that the tunnel leaves from: another one is another path (DESIGN §2). */
static void
note_local(NatPeer *peer)
{
	memset(&peer->local, 0, sizeof peer->local);
	if (nat_watch_relayed(peer->chosen) == NULL &&
	    !nat_mux_source_for(peer->env->mux, &nat_watch_remote(peer->chosen)->endpoint,
				&peer->local))
		memset(&peer->local, 0, sizeof peer->local);
}

gboolean
nat_peer_leaves_elsewhere(NatPeer *peer)
{
	WgEndpoint source;

	return peer->chosen != NULL && nat_watch_relayed(peer->chosen) == NULL &&
	       wg_endpoint_is_set(&peer->local) &&
	       nat_mux_source_for(peer->env->mux, &nat_watch_remote(peer->chosen)->endpoint,
				  &source) &&
	       !wg_endpoint_equal(&source, &peer->local);
}

static void
set_chosen(NatPeer *peer, NatWatchPair *pair)
{
	if (peer->chosen != NULL && peer->chosen != pair && peer->state == NAT_PEER_CONNECTED) {
		peer->moves++;
		nat_stats_count(peer->env->stats, NAT_STAT_FAILOVERS);
	}
	peer->chosen = pair;
	peer->chosen_us = g_get_monotonic_time();
	peer->deserted = FALSE;
	note_local(peer);
}

/* The tunnel goes over the pair now. */
void
nat_peer_take(NatPeer *peer, NatWatchPair *pair, const char *reason)
{
	gint64 now = g_get_monotonic_time();
	gboolean moved = peer->chosen != NULL && peer->chosen != pair;
	gboolean afresh = moved && nat_path_phase(peer->path) == NAT_PATH_PROVING;
	char text[NAT_PAIR_STRLEN];
	WgEndpoint endpoint, left;
	gboolean leaves = moved && nat_peer_pair_endpoint(peer, peer->chosen, &left);

	if (!nat_peer_pair_endpoint(peer, pair, &endpoint))
		return;
	nat_peer_record(peer, NAT_EVENT_PATH, "takes %s (%s), epoch %u", nat_pair_text(pair, text),
			reason, peer->epoch);
	set_chosen(peer, pair);
	peer->dead_epoch = 0;
	if (nat_watch_is_relay(pair))
		nat_peer_stop_timer(&peer->release); /* the search goes on */
	nat_peer_aim_bridges(peer);
	peer->env->refresh(&peer->key, peer->path, peer->env->user_data);
	if (nat_peer_uses(peer, &endpoint) && peer->failure != NAT_FAILURE_SILENCE) {
		/* The other end was faster: its handshake is here. */
		nat_peer_keep_present(peer, "the present path was confirmed");
		if (leaves)
			nat_path_settle(peer->path, &left, now);
		nat_path_poke(peer->path);
	} else
		nat_path_try(peer->path, &endpoint, afresh, patience_us(peer, pair, now), now);
	nat_peer_start_poking(peer);
	nat_peer_rest_pairs(peer);
	peer->env->hurry(peer->env->user_data);
}

/* The controlling side's word, until the follower has it. */
static void
choose(NatPeer *peer, NatWatchPair *pair, const char *reason)
{
	if (peer->chosen != NULL && peer->chosen != pair)
		nat_watch_insist(peer->chosen, FALSE);
	peer->epoch++;
	nat_peer_take(peer, pair, reason);
	nat_watch_insist(pair, TRUE);
}

void
nat_peer_take_selected_pair(NatPeer *peer, NatWatchPair *pair)
{
	if (peer->controlling)
		choose(peer, pair, "ICE selected it");
	else
		nat_peer_take(peer, pair, "ICE selected it");
}

static void
say_dead(NatPeer *peer, guint8 why)
{
	peer->dead_epoch = peer->epoch;
	peer->dead_why = why;
	for (guint i = 0; i < nat_watch_count(peer->watch); i++)
		if (nat_watch_nth(peer->watch, i) != peer->chosen)
			nat_watch_insist(nat_watch_nth(peer->watch, i), TRUE);
}

static gboolean
chosen_works(NatPeer *peer, gint64 now)
{
	NatPairState state = peer->chosen != NULL ? nat_watch_state(peer->chosen) : NAT_PAIR_DEAD;

	/* NEW: WireGuard uses it, and no answer is overdue yet */
	return state != NAT_PAIR_DEAD && !nat_pair_is_blocked(peer, peer->chosen, now);
}

/* A handshake that may still come is not disturbed. */
static gboolean
handshake_may_come(NatPeer *peer, gint64 now)
{
	double rtt = peer->chosen != NULL ? MAX(nat_watch_rtt_ms(peer->chosen), 0) : 0;
	gint64 tried = nat_path_tried_us(peer->path);

	return nat_path_phase(peer->path) == NAT_PATH_PROVING && chosen_works(peer, now) &&
	       now - tried < (gint64)((2 * rtt + HANDSHAKE_SLACK_MS) * 1000);
}

static gboolean
on_reconsider(gpointer user_data)
{
	NatPeer *peer = user_data;

	peer->reconsider = 0;
	nat_peer_consider(peer);
	return G_SOURCE_REMOVE;
}

static void
reconsider_in(NatPeer *peer, guint ms)
{
	gint64 due = g_get_monotonic_time() + ms * (gint64)1000;

	/* the sooner one: a block may end in an hour */
	if (peer->reconsider != 0 && peer->reconsider_us <= due)
		return;
	nat_peer_stop_timer(&peer->reconsider);
	peer->reconsider_us = due;
	peer->reconsider = g_timeout_add(ms, on_reconsider, peer);
}

/* Something alive waits only for its hold-down, or for the relays' time. */
static void
plan_reconsidering(NatPeer *peer, gint64 now)
{
	gint64 next = G_MAXINT64;

	if (peer->relay_due_us > now)
		next = peer->relay_due_us;
	for (guint i = 0; i < nat_watch_count(peer->watch); i++) {
		NatWatchPair *pair = nat_watch_nth(peer->watch, i);
		gint64 due = nat_watch_alive_us(pair) + nat_choice_hold_us(nat_watch_deaths(pair));

		if (nat_watch_state(pair) != NAT_PAIR_ALIVE || pair == peer->chosen)
			continue;
		if (nat_watch_answers(pair) < NAT_CHOICE_ANSWERS)
			due = MAX(due, now + ANSWERS_MS * 1000);
		due = MAX(due, nat_pair_info(pair)->blocked_until_us);
		if (due > now)
			next = MIN(next, due);
	}
	if (next != G_MAXINT64)
		reconsider_in(peer, (guint)MIN((next - now) / 1000 + 10, 60000));
}

/* A relayed pair that could carry the tunnel now, other than the chosen one; NULL: none. */
static NatWatchPair *
best_relay(NatPeer *peer)
{
	gint64 now = g_get_monotonic_time();
	NatWatchPair *best = NULL;

	for (guint i = 0; i < nat_watch_count(peer->watch); i++) {
		NatWatchPair *pair = nat_watch_nth(peer->watch, i);
		NatChoicePair facts = {0};

		fill_choice(peer, pair, &facts, now);
		if (facts.relays == 0 || !facts.alive || facts.blocked || pair == peer->chosen)
			continue;
		if (best == NULL || nat_watch_rtt_ms(pair) < nat_watch_rtt_ms(best))
			best = pair;
	}
	return best;
}

/* The direct pair's handshake did not come in time: that counts. NULL: no relay could do better. */
static NatWatchPair *
leave_unproven(NatPeer *peer)
{
	NatWatchPair *relay = best_relay(peer);

	if (relay != NULL)
		nat_pair_info(peer->chosen)->failures++;
	return relay;
}

/* Without a session, a direct pair that nobody has proven is not chosen over a relayed one that
 * would carry the tunnel at once: unless it is the one being tried. */
static gboolean
is_worth(NatPeer *peer, NatWatchPair *pair, gint64 now)
{
	if (nat_path_live(peer->path, now) || nat_pair_relays(pair) > 0 || pair == peer->chosen)
		return TRUE;
	return peer->chosen == NULL || !chosen_works(peer, now);
}

/* The pair that was chosen answers, and there is neither a session nor a try: a relayed one is
 * nobody else's affair (the search knows direct ones alone). */
static gboolean
lies_idle(NatPeer *peer, gint64 now)
{
	return peer->controlling && peer->online && nat_pair_relays(peer->chosen) > 0 &&
	       nat_watch_state(peer->chosen) == NAT_PAIR_ALIVE &&
	       nat_path_phase(peer->path) == NAT_PATH_IDLE && !nat_path_live(peer->path, now);
}

void
nat_peer_consider(NatPeer *peer)
{
	gint64 now = g_get_monotonic_time();
	NatWatchPair *best;

	if (peer->watch == NULL || !peer->managed)
		return;
	plan_reconsidering(peer, now);
	if (!peer->controlling &&
	    (peer->chosen == NULL ? !peer->deserted : chosen_works(peer, now)))
		return;
	if (handshake_may_come(peer, now)) {
		reconsider_in(peer, 50);
		return;
	}
	best = best_pair(peer, now);
	/* What was tried first may be alive for STUN and dead for WireGuard. */
	if (best != NULL && best == peer->chosen && !nat_path_live(peer->path, now) &&
	    relays_may(peer, now) && nat_path_phase(peer->path) == NAT_PATH_PROVING &&
	    nat_pair_relays(peer->chosen) == 0)
		best = leave_unproven(peer);
	if (best != NULL && best == peer->chosen && lies_idle(peer, now)) {
		choose(peer, best, "once more");
		return;
	}
	if (best == NULL || best == peer->chosen || !is_worth(peer, best, now))
		return;
	if (peer->controlling) {
		choose(peer, best,
		       chosen_works(peer, now) ? "better"
		       : peer->chosen	       ? "the other is dead"
					       : "it answers");
	} else {
		gboolean blocked =
			peer->chosen != NULL && nat_pair_is_blocked(peer, peer->chosen, now);

		nat_peer_take(peer, best, "the chosen one is dead here");
		say_dead(peer, blocked ? NAT_NOTE_DEAD | NAT_NOTE_BLOCKED : NAT_NOTE_DEAD);
	}
}

static void
note_blocked(NatPeer *peer, NatWatchPair *pair)
{
	if (!nat_pair_block(peer, pair) || nat_pair_relays(pair) > 0 || peer->direct_blocked)
		return;
	peer->direct_blocked = TRUE;
	nat_peer_send_soon(peer); /* the other end's status should say so too */
}

gboolean
nat_peer_leave_blocked(NatPeer *peer, NatWatchPair *blocked)
{
	NatWatchPair *before = peer->chosen;

	if (peer->watch == NULL || before == NULL)
		return FALSE;
	if (blocked != NULL)
		note_blocked(peer, blocked);
	nat_peer_consider(peer);
	return peer->chosen != before;
}

/* Where no other pair could take over, nothing tells the path from a peer whose WireGuard is
 * stopped: that is not held against the path. */
static void
leave_deaf(NatPeer *peer, gint64 now)
{
	NatWatchPair *deaf = peer->chosen;
	gint64 until = nat_pair_info(deaf)->blocked_until_us;

	nat_pair_info(deaf)->blocked_until_us = now + BLOCKED_FIRST_US;
	nat_peer_consider(peer);
	nat_pair_info(deaf)->blocked_until_us = until;
	if (peer->chosen != deaf)
		note_blocked(peer, deaf);
}

/* Data goes out, answers to probes come in, and nothing from WireGuard: a firewall that learnt to
 * drop it, perhaps. A peer that only receives is silent for up to 10 s, so it is asked. */
void
nat_peer_note_deaf(NatPeer *peer, gboolean deaf, gint64 now_us)
{
	gint64 since = peer->deaf_us;

	if (!deaf || peer->chosen == NULL || nat_watch_state(peer->chosen) != NAT_PAIR_ALIVE) {
		peer->deaf_us = peer->deaf_since_us = 0;
		return;
	}
	if (peer->deaf_since_us == 0)
		peer->deaf_since_us = now_us;
	if (now_us - peer->deaf_since_us < DEAF_ASK_US)
		return;
	if (since == 0)
		peer->deaf_us = now_us;
	nat_peer_suspect_mtu(peer);
	nat_watch_insist(peer->chosen, TRUE);
	if (since == 0 || now_us - since < DEAF_MAX_US)
		return;
	peer->deaf_us = peer->deaf_since_us = 0;
	leave_deaf(peer, now_us);
}

void
nat_peer_pair_local(NatPeer *peer, const NatWatchPair *pair, NatCandidate *out)
{
	*out = (NatCandidate){.type = NAT_CAND_HOST};
	if (nat_watch_relayed(pair) != NULL) {
		out->type = NAT_CAND_RELAY;
		out->endpoint = *nat_watch_relayed(pair);
	} else if (!nat_mux_source_for(peer->env->mux, &nat_watch_remote(pair)->endpoint,
				       &out->endpoint)) {
		out->endpoint = (WgEndpoint){0};
	}
}

/* The pair that WireGuard's present endpoint is: of a tunnel that was up before we came, or that
 * the kernel moved. */
void
nat_peer_watch_present(NatPeer *peer)
{
	const WgEndpoint *endpoint = nat_path_endpoint(peer->path);
	NatCandidate remote = {.type = nat_peer_endpoint_type(peer), .endpoint = *endpoint};
	char text[NAT_PAIR_STRLEN];
	NatWatchPair *pair;

	if (peer->watch == NULL || !nat_peer_tunnel_live(peer) || !wg_endpoint_is_set(endpoint))
		return;
	/* While a move settles, late packets of the old path come and go. */
	if (nat_path_urgent(peer->path, g_get_monotonic_time()) &&
	    (peer->chosen != NULL || nat_path_phase(peer->path) == NAT_PATH_PROVING))
		return;
	pair = nat_peer_pair_of(peer, endpoint);
	if (pair != NULL && pair == peer->chosen)
		return;
	if (pair == NULL && !wg_endpoint_is_bogus(endpoint))
		pair = nat_peer_add_pair(peer, &remote);
	if (pair == NULL)
		return;
	nat_peer_record(peer, NAT_EVENT_PATH, "is at %s now", nat_pair_text(pair, text));
	set_chosen(peer, pair);
	if (nat_path_phase(peer->path) == NAT_PATH_IDLE)
		nat_path_adopt(peer->path, peer->chosen_us);
	/* The kernel follows the peer: so does the word on which pair it is. */
	if (peer->controlling) {
		peer->epoch++;
		nat_watch_insist(pair, TRUE);
	}
	nat_peer_aim_bridges(peer);
	nat_peer_rest_pairs(peer);
}
