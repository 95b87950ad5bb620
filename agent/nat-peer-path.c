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
#include "agent/nat-peer-private.h"

#include <string.h>

#include "agent/nat-log.h"

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
#define POKE_SPACE_US (SEC / 3)
/* STUN passes, data goes out, and WireGuard hears nothing: the peer is asked to speak after this
 * long, and not believed any more after that. */
#define DEAF_ASK_US (SEC / 2)
#define DEAF_MAX_US (2 * SEC)

typedef struct {
	NatRelayBridge *bridge; /* pairs from a relayed address of ours */
	guint16 port;		/* of WireGuard's, that it serves */
	WgEndpoint source;	/* in whose name it hands over */
	guint64 bridged;	/* bytes that it gave to WireGuard */
	gint64 blocked_until_us;
	guint blocked_s, failures; /* proofs that did not come, in a row */
	gboolean far_unready;	   /* the peer's end can't be used now */
	gboolean far_retiring;	   /* … will be gone soon */
} Info;

static Info *
info_of(NatWatchPair *pair)
{
	Info *info = nat_watch_data(pair);

	if (info == NULL) {
		info = g_new0(Info, 1);
		/* The peer's end of its own relay needs a channel: ready when it says so. */
		info->far_unready = nat_watch_remote(pair)->type == NAT_CAND_RELAY;
		nat_watch_set_data(pair, info);
	}
	return info;
}

/* ---- pairs and endpoints ---- */

static gboolean
pair_endpoint(NatPeer *peer, NatWatchPair *pair, WgEndpoint *out)
{
	const WgEndpoint *bridge;

	if (nat_watch_relayed(pair) == NULL) {
		*out = nat_watch_remote(pair)->endpoint;
		return TRUE;
	}
	if (info_of(pair)->bridge == NULL)
		return FALSE;
	bridge = nat_relay_bridge_endpoint(info_of(pair)->bridge);
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

		if (pair_endpoint(peer, pair, &own) && wg_endpoint_equal(&own, endpoint))
			return pair;
	}
	return NULL;
}

/* From an allocation that another one has replaced: it goes within seconds. */
static gboolean
is_retiring(NatPeer *peer, NatWatchPair *pair)
{
	const WgEndpoint *relayed = nat_watch_relayed(pair);
	const WgEndpoint *present;

	if (relayed == NULL || peer->env->relay == NULL)
		return FALSE;
	present = nat_relay_address(peer->env->relay);
	return wg_endpoint_is_set(present) && !wg_endpoint_equal(present, relayed);
}

static guint
relays_of(NatWatchPair *pair)
{
	return (nat_watch_relayed(pair) != NULL) + (nat_watch_remote(pair)->type == NAT_CAND_RELAY);
}

static const char *
pair_text(NatPeer *peer, NatWatchPair *pair, char buf[2 * WG_ENDPOINT_STRLEN + 32])
{
	char remote[WG_ENDPOINT_STRLEN], own[WG_ENDPOINT_STRLEN];
	const WgEndpoint *relayed = nat_watch_relayed(pair);

	g_snprintf(buf, 2 * WG_ENDPOINT_STRLEN + 32, "%s%s%s %s",
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

	nat_log_peer(G_LOG_LEVEL_DEBUG, peer->env->ifname, &peer->key, "bridge %s",
		     endpoint != NULL ? wg_endpoint_format(endpoint, text) : "lost");
	if (endpoint == NULL) {
		nat_peer_update_pairs(peer);
		return;
	}
	nat_peer_aim_bridges(peer);
	/* The peer must hear that this end is ready. */
	for (guint i = 0; i < nat_watch_count(peer->watch); i++)
		if (info_of(nat_watch_nth(peer->watch, i))->bridge == bridge)
			nat_watch_probe(nat_watch_nth(peer->watch, i));
	nat_peer_consider(peer);
}

/* A channel takes a round trip to bind: it is there before it is needed. */
static void
make_bridge(NatPeer *peer, NatWatchPair *pair)
{
	const WgEndpoint *relayed = nat_watch_relayed(pair);

	if (relayed == NULL || peer->env->relay == NULL || info_of(pair)->bridge != NULL)
		return;
	info_of(pair)->port = nat_mux_port(peer->env->mux);
	memset(&info_of(pair)->source, 0, sizeof info_of(pair)->source);
	info_of(pair)->bridge =
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
			pair_endpoint(peer, peer->chosen, &endpoint) &&
			!wg_endpoint_is_bogus(&endpoint);

	for (guint i = 0; peer->watch != NULL && i < nat_watch_count(peer->watch); i++) {
		NatWatchPair *pair = nat_watch_nth(peer->watch, i);
		Info *info = info_of(pair);
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

static guint64
bridged_by(Info *info)
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
		bytes += bridged_by(info_of(nat_watch_nth(peer->watch, i)));
	return bytes;
}

void
nat_peer_remake_bridges(NatPeer *peer)
{
	for (guint i = 0; peer->watch != NULL && i < nat_watch_count(peer->watch); i++) {
		NatWatchPair *pair = nat_watch_nth(peer->watch, i);
		Info *info = info_of(pair);

		if (info->bridge == NULL || info->port == nat_mux_port(peer->env->mux))
			continue;
		peer->late_bytes_gone += bridged_by(info);
		info->bridged = 0;
		g_clear_pointer(&info->bridge, nat_relay_bridge_free);
		make_bridge(peer, pair);
		if (pair == peer->chosen) {
			peer->chosen = NULL;
			peer->deserted = TRUE;
		}
	}
}

/* ---- the choice ---- */

static gboolean
is_blocked(NatWatchPair *pair, gint64 now)
{
	return now < info_of(pair)->blocked_until_us;
}

/* One or two lost packets look the same: only the second time in a row it is a finding. TRUE then.
 */
static gboolean
block(NatWatchPair *pair)
{
	Info *info = info_of(pair);

	if (++info->failures < 2) {
		info->blocked_until_us = g_get_monotonic_time() + BLOCKED_FIRST_US;
		return FALSE;
	}
	info->blocked_s = CLAMP(info->blocked_s * 4, BLOCKED_MIN_S, BLOCKED_MAX_S);
	info->blocked_until_us = g_get_monotonic_time() + info->blocked_s * SEC;
	return TRUE;
}

/* WireGuard's packets pass on the chosen pair. */
void
nat_peer_note_proof(NatPeer *peer)
{
	Info *info;

	if (peer->chosen == NULL)
		return;
	info = info_of(peer->chosen);
	info->failures = info->blocked_s = 0;
	info->blocked_until_us = 0;
	if (!nat_watch_is_relay(peer->chosen))
		peer->direct_blocked = FALSE;
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
	out->relays = relays_of(pair);
	/* The present pair was ready when it was taken; its end is told by other words. */
	out->blocked = is_blocked(pair, now) ||
		       (info_of(pair)->far_unready && pair != peer->chosen) ||
		       info_of(pair)->far_retiring || is_retiring(peer, pair) ||
		       !pair_endpoint(peer, pair, &endpoint) ||
		       (out->relays > 0 && !relays_may(peer, now));
	if (out->alive && nat_watch_relayed(pair) == NULL &&
	    !nat_mux_source_for(peer->env->mux, &nat_watch_remote(pair)->endpoint, &source))
		out->alive = FALSE;
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
static gboolean
uses(NatPeer *peer, const WgEndpoint *endpoint)
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

static void
set_chosen(NatPeer *peer, NatWatchPair *pair)
{
	if (peer->chosen != NULL && peer->chosen != pair && peer->state == NAT_PEER_CONNECTED)
		peer->moves++;
	peer->chosen = pair;
	peer->chosen_us = g_get_monotonic_time();
	peer->deserted = FALSE;
	note_local(peer);
}

/* The tunnel goes over the pair now. */
static void
take(NatPeer *peer, NatWatchPair *pair, const char *reason)
{
	gint64 now = g_get_monotonic_time();
	gboolean moved = peer->chosen != NULL && peer->chosen != pair;
	gboolean afresh = moved && nat_path_phase(peer->path) == NAT_PATH_PROVING;
	char text[2 * WG_ENDPOINT_STRLEN + 32];
	WgEndpoint endpoint, left;
	gboolean leaves = moved && pair_endpoint(peer, peer->chosen, &left);

	if (!pair_endpoint(peer, pair, &endpoint))
		return;
	nat_log_peer(G_LOG_LEVEL_DEBUG, peer->env->ifname, &peer->key, "takes %s (%s), epoch %u",
		     pair_text(peer, pair, text), reason, peer->epoch);
	set_chosen(peer, pair);
	peer->dead_epoch = 0;
	if (nat_watch_is_relay(pair))
		nat_peer_stop_timer(&peer->release); /* the search goes on */
	nat_peer_aim_bridges(peer);
	peer->env->refresh(&peer->key, peer->path, peer->env->user_data);
	if (uses(peer, &endpoint) && peer->failure != NAT_FAILURE_SILENCE) {
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
	take(peer, pair, reason);
	nat_watch_insist(pair, TRUE);
}

void
nat_peer_take_selected_pair(NatPeer *peer, NatWatchPair *pair)
{
	if (peer->controlling)
		choose(peer, pair, "ICE selected it");
	else
		take(peer, pair, "ICE selected it");
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
	return state != NAT_PAIR_DEAD && !is_blocked(peer->chosen, now);
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

void
nat_peer_reconsider_in(NatPeer *peer, guint ms)
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
		due = MAX(due, info_of(pair)->blocked_until_us);
		if (due > now)
			next = MIN(next, due);
	}
	if (next != G_MAXINT64)
		nat_peer_reconsider_in(peer, (guint)MIN((next - now) / 1000 + 10, 60000));
}

/* The direct pair's handshake did not come in time: that counts. NULL: no relay could do better. */
static NatWatchPair *
leave_unproven(NatPeer *peer)
{
	NatWatchPair *relay = nat_peer_best_relay(peer);

	if (relay != NULL)
		info_of(peer->chosen)->failures++;
	return relay;
}

/* Without a session, a direct pair that nobody has proven is not chosen over a relayed one that
 * would carry the tunnel at once: unless it is the one being tried. */
static gboolean
is_worth(NatPeer *peer, NatWatchPair *pair, gint64 now)
{
	if (nat_path_live(peer->path, now) || relays_of(pair) > 0 || pair == peer->chosen)
		return TRUE;
	return peer->chosen == NULL || !chosen_works(peer, now);
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
		nat_peer_reconsider_in(peer, 50);
		return;
	}
	best = best_pair(peer, now);
	/* What was tried first may be alive for STUN and dead for WireGuard. */
	if (best != NULL && best == peer->chosen && !nat_path_live(peer->path, now) &&
	    relays_may(peer, now) && nat_path_phase(peer->path) == NAT_PATH_PROVING &&
	    relays_of(peer->chosen) == 0)
		best = leave_unproven(peer);
	if (best == NULL || best == peer->chosen || !is_worth(peer, best, now))
		return;
	if (peer->controlling) {
		choose(peer, best,
		       chosen_works(peer, now) ? "better"
		       : peer->chosen	       ? "the other is dead"
					       : "it answers");
	} else {
		gboolean blocked = peer->chosen != NULL && is_blocked(peer->chosen, now);

		take(peer, best, "the chosen one is dead here");
		say_dead(peer, blocked ? NAT_NOTE_DEAD | NAT_NOTE_BLOCKED : NAT_NOTE_DEAD);
	}
}

/* A relayed pair that could carry the tunnel now, other than the chosen one; NULL: none. */
NatWatchPair *
nat_peer_best_relay(NatPeer *peer)
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

/* WireGuard's packets do not pass on the chosen pair. TRUE: another one was taken. */
gboolean
nat_peer_leave_blocked(NatPeer *peer)
{
	NatWatchPair *blocked = peer->chosen;

	if (peer->watch == NULL || blocked == NULL)
		return FALSE;
	if (block(blocked) && relays_of(blocked) == 0 && !peer->direct_blocked) {
		peer->direct_blocked = TRUE;
		nat_peer_send_soon(peer); /* the other end's status should say so too */
	}
	nat_peer_consider(peer);
	return peer->chosen != blocked;
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
	if (!nat_peer_leave_blocked(peer))
		info_of(peer->chosen)->blocked_until_us = 0;
}

/* ---- notes ---- */

static void
on_tell(NatWatchPair *pair, NatNote *note, gpointer user_data)
{
	NatPeer *peer = user_data;
	NatPairState state = nat_watch_state(pair);
	WgEndpoint endpoint;

	note->epoch = peer->epoch;
	if (state == NAT_PAIR_NEW || state == NAT_PAIR_DEAD ||
	    !pair_endpoint(peer, pair, &endpoint))
		note->flags |= NAT_NOTE_UNREADY;
	if (is_retiring(peer, pair))
		note->flags |= NAT_NOTE_RETIRING;
	if (pair == peer->chosen)
		note->flags |= NAT_NOTE_CHOSEN;
	else if (!peer->controlling && peer->dead_epoch != 0 && peer->dead_epoch == peer->epoch)
		note->flags |= peer->dead_why;
	if (pair == peer->chosen &&
	    (peer->deaf_us != 0 || nat_path_phase(peer->path) == NAT_PATH_PROVING))
		note->flags |= NAT_NOTE_POKE;
}

/* The controlling side hears the follower. */
static void
hear_follower(NatPeer *peer, NatWatchPair *pair, const NatNote *note)
{
	gint64 now = g_get_monotonic_time();

	if (note->epoch != peer->epoch || peer->chosen == NULL)
		return;
	if ((note->flags & NAT_NOTE_DEAD) && pair != peer->chosen) {
		/* once for each choice: the note comes again and again */
		if (is_blocked(peer->chosen, now) || peer->distrusted_epoch == peer->epoch)
			return;
		peer->distrusted_epoch = peer->epoch;
		if (note->flags & NAT_NOTE_BLOCKED)
			block(peer->chosen);
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
	if (!pair_endpoint(peer, pair, &endpoint))
		return;
	for (guint i = 0; i < nat_watch_count(peer->watch); i++)
		nat_watch_insist(nat_watch_nth(peer->watch, i), FALSE);
	peer->epoch = note->epoch;
	peer->dead_epoch = 0;
	if (pair != peer->chosen || !uses(peer, &endpoint))
		take(peer, pair, "the peer chose it");
}

static void
on_noted(NatWatchPair *pair, const NatNote *note, gboolean answer, gpointer user_data)
{
	NatPeer *peer = user_data;
	gint64 now = g_get_monotonic_time();
	gboolean unready = (note->flags & NAT_NOTE_UNREADY) != 0;

	if (answer)
		info_of(pair)->far_retiring = (note->flags & NAT_NOTE_RETIRING) != 0;
	if (info_of(pair)->far_unready != unready && !answer) {
		/* A request may be an old one: an answer to ours is not. */
		nat_watch_probe(pair);
	} else if (info_of(pair)->far_unready != unready) {
		info_of(pair)->far_unready = unready;
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

	nat_log_peer(G_LOG_LEVEL_DEBUG, peer->env->ifname, &peer->key, "the path went silent");
	if (relayed != NULL && peer->env->relay != NULL)
		nat_relay_check(peer->env->relay, relayed);
	nat_peer_consider(peer);
	if (peer->chosen != dead) {
		/* A mapping may have changed under us: the standby carries on, a search looks for
		 * something better. */
		nat_peer_look_again(peer);
		return;
	}
	/* The agent at the other end may be gone while the tunnel works: only a peer that is at the
	 * signaling server can join a search. */
	if (!peer->online || peer->state != NAT_PEER_CONNECTED)
		return;
	nat_peer_doubt(peer);
	nat_peer_begin_search(peer);
}

static void
on_changed(NatWatchPair *pair, NatPairState before, gpointer user_data)
{
	NatPeer *peer = user_data;
	char text[2 * WG_ENDPOINT_STRLEN + 32];

	nat_log_peer(G_LOG_LEVEL_DEBUG, peer->env->ifname, &peer->key, "pair %s: %s → %s",
		     pair_text(peer, pair, text), nat_pair_state_to_string(before),
		     nat_pair_state_to_string(nat_watch_state(pair)));
	switch (nat_watch_state(pair)) {
	case NAT_PAIR_NEW:
		break;
	case NAT_PAIR_ALIVE:
		make_bridge(peer, pair);
		nat_peer_rest_pairs(peer);
		if (pair == peer->chosen)
			nat_peer_path_answers(peer);
		nat_peer_consider(peer);
		break;
	case NAT_PAIR_SUSPECT:
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
	Info *info = nat_watch_data(pair);

	if (peer->chosen == pair) {
		peer->chosen = NULL;
		peer->deserted = TRUE;
	}
	if (info == NULL)
		return;
	peer->late_bytes_gone += bridged_by(info);
	if (info->bridge != NULL)
		nat_relay_bridge_free(info->bridge);
	nat_watch_set_data(pair, NULL);
	g_free(info);
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
	g_clear_pointer(&peer->watch, nat_watch_free);
	peer->epoch = peer->dead_epoch = peer->distrusted_epoch = 0;
	peer->watch_remote = peer->remote.watch;
	peer->watch = nat_watch_new(peer->env->mux, peer->seal, &peer->env->public_key, &peer->key,
				    peer->watch_id, peer->watch_remote, &WATCH_FUNCS, peer);
}

/* The pair that WireGuard's present endpoint is: of a tunnel that was up before we came, or that
 * the kernel moved. */
void
nat_peer_watch_present(NatPeer *peer)
{
	const WgEndpoint *endpoint = nat_path_endpoint(peer->path);
	NatCandidate remote = {.type = peer->remote_type, .endpoint = *endpoint};
	char text[2 * WG_ENDPOINT_STRLEN + 32];
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
	nat_log_peer(G_LOG_LEVEL_DEBUG, peer->env->ifname, &peer->key, "is at %s now",
		     pair_text(peer, pair, text));
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
