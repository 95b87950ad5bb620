/* SPDX-License-Identifier: MIT */
/*
 * Where ICE's checks cannot lead (punch/): when an attempt is made, agreed with the other end, and
 * becomes a pair under watch like any other. The controlling end asks, for both conclude the same
 * from both NATs' classes. It begins when a relay is in use or the checks have failed, and ends
 * with the first direct pair that lives, whoever found it.
 */
#include "agent/peer/nat-peer-punch.h"

#include <string.h>
#include <unistd.h>

#include "agent/peer/nat-peer-target.h"
#include "agent/punch/punch-attempt.h"
#include "agent/punch/punch-flows.h"
#include "agent/punch/punch-msg.h"
#include "agent/punch/punch-turn.h"

#define SEC ((gint64)G_USEC_PER_SEC)
#define RELAYED_US SEC	       /* the relay carries for so long: direct checks had their time */
#define AGREE_MS 5000	       /* the other end may measure its NAT first */
#define PROVE_MS 5000	       /* from the first packet until the pair lives */
#define MEASURED_PORTS 2       /* that a sequential NAT's position is read from */
#define ASKED_MIN_US (5 * SEC) /* between two that the peer asks us for */
#define LASTING_US (120 * SEC) /* what dies sooner was not worth its mappings */
#define AIM_WAIT_MS 100 /* one way to the peer by the signaling server, where nothing is known */

typedef enum {
	PUNCH_IDLE,
	PUNCH_MEASURING,
	PUNCH_ASKED, /* the other end's word is awaited; OPEN fires meanwhile */
	PUNCH_RUNNING,
	PUNCH_WON, /* a packet came in: the pair must live now */
} PunchState;

struct NatPeerPunch {
	PunchState state;
	PunchRole role;
	guint32 number; /* of the last attempt: ours, or the peer's */
	guint32 seen;	/* the highest that the peer has asked for */
	guint64 watch;	/* the peer's watch id that they belong to */
	PunchMsg asked; /* by the peer */
	PunchAttempt *attempt;
	PunchBackoff backoff;
	guint question; /* how far our NAT has counted; 0: none */
	guint rate;	/* and how many mappings a second others make there */
	guint timer;
	gint64 began_us;
	WgEndpoint far, local; /* of the attempt: where it leads, and from where; unset: not yet */
	WgEndpoint won;	       /* the far end of the last success */
	gint64 asked_us;       /* when we followed the peer last; 0: never */
	gint64 won_us;	       /* 0: never, or it lasted */
};

static struct NatPeerPunch *
punch_of(NatPeer *peer)
{
	if (peer->punch == NULL)
		peer->punch = g_new0(struct NatPeerPunch, 1);
	return peer->punch;
}

static void
own_class(NatPeer *peer, NatClass *out)
{
	memset(out, 0, sizeof *out);
	if (peer->env->nat_class != NULL)
		peer->env->nat_class(out, peer->env->user_data);
}

/* ---- ending ---- */

static void
send_step(NatPeer *peer, PunchMsg *msg)
{
	g_autoptr(GBytes) plain = NULL, body = NULL;

	if (msg->number == 0)
		msg->number = peer->punch->number;
	msg->from = peer->env->watch_id;
	msg->to = peer->remote.watch;
	plain = punch_msg_encode(msg);
	body = nat_seal_wrap(peer->seal, plain);
	peer->env->send(&peer->key, body, peer->env->user_data);
}

static void
reset(NatPeer *peer)
{
	struct NatPeerPunch *punch = peer->punch;

	nat_peer_stop_timer(&punch->timer);
	g_clear_pointer(&punch->attempt, punch_attempt_free);
	if (punch->question != 0)
		nat_class_probe_counter_cancel(peer->env->class_probe, punch->question);
	punch->question = 0;
	memset(&punch->local, 0, sizeof punch->local);
	punch->state = PUNCH_IDLE;
	punch_turn_give_back(peer->env->punch_turn, peer, g_get_monotonic_time());
}

static guint
packets_sent(const NatPeer *peer)
{
	return peer->punch->attempt != NULL ? punch_attempt_sent(peer->punch->attempt) : 0;
}

static double
seconds(const NatPeer *peer)
{
	return (double)(g_get_monotonic_time() - peer->punch->began_us) / 1e6;
}

/* tell: the other end need not go on. */
static void
give_up(NatPeer *peer, gboolean tell, const char *why)
{
	PunchMsg end = {.step = PUNCH_END};

	nat_peer_record(peer, NAT_EVENT_SEARCH,
			"no direct path by many ports: %s (%.1f s, %u packets)", why, seconds(peer),
			packets_sent(peer));
	nat_stats_count(peer->env->stats, NAT_STAT_PUNCHES_FAILED);
	punch_backoff_failed(&peer->punch->backoff, g_get_monotonic_time());
	if (tell)
		send_step(peer, &end);
	reset(peer);
}

/* It did not come to it. */
static void
put_off(NatPeer *peer, const char *why)
{
	nat_peer_record(peer, NAT_EVENT_SEARCH, "many ports are tried later: %s", why);
	punch_backoff_later(&peer->punch->backoff, g_get_monotonic_time());
	reset(peer);
}

static void
succeed(NatPeer *peer, NatWatchPair *pair)
{
	peer->punch->won = nat_watch_remote(pair)->endpoint;
	peer->punch->won_us = g_get_monotonic_time();
	nat_peer_record(peer, NAT_EVENT_SEARCH, "a direct path by many ports (%.1f s, %u packets)",
			seconds(peer), packets_sent(peer));
	nat_stats_count(peer->env->stats, NAT_STAT_PUNCHES_WORKED);
	punch_backoff_worked(&peer->punch->backoff);
	reset(peer);
}

static gboolean
on_timer(gpointer user_data)
{
	NatPeer *peer = user_data;
	PunchMsg end = {.step = PUNCH_END};

	peer->punch->timer = 0;
	if (peer->punch->state == PUNCH_WON) {
		give_up(peer, TRUE, "it came in once and no more");
	} else {
		/* its word may be late, or lost */
		send_step(peer, &end);
		put_off(peer, "the other end does not answer");
	}
	return G_SOURCE_REMOVE;
}

static void
await(NatPeer *peer, PunchState state, guint ms)
{
	nat_peer_stop_timer(&peer->punch->timer);
	peer->punch->state = state;
	if (ms != 0)
		peer->punch->timer = g_timeout_add(ms, on_timer, peer);
}

/* ---- the attempt ---- */

static void
on_hit(guint16 port, int fd, const WgEndpoint *remote, gpointer user_data)
{
	NatPeer *peer = user_data;
	PunchFlow flow = {.remote = *remote, .port = port};
	NatCandidate cand = {.type = NAT_CAND_PRFLX, .endpoint = *remote};
	char text[WG_ENDPOINT_STRLEN];
	g_autoptr(GError) error = NULL;
	NatWatchPair *pair;

	nat_peer_record(peer, NAT_EVENT_PAIR, "port %u hears %s", port,
			wg_endpoint_format(remote, text));
	if (!nat_mux_source_for(peer->env->mux, remote, &flow.local)) {
		close(fd);
		give_up(peer, TRUE, "no way leads there now");
		return;
	}
	if (!punch_flows_put(peer->env->punch_flows, &peer->key, &flow, fd, &error)) {
		give_up(peer, TRUE, error->message);
		return;
	}
	peer->punch->won = *remote;
	await(peer, PUNCH_WON, PROVE_MS);
	pair = nat_peer_add_pair(peer, &cand);
	if (pair != NULL)
		nat_watch_absolve(pair);
}

static gboolean
on_spray(const WgEndpoint *dst, gpointer user_data)
{
	NatPeer *peer = user_data;

	return peer->watch != NULL && nat_watch_guess(peer->watch, dst);
}

static void
on_ended(gpointer user_data)
{
	give_up(user_data, TRUE, "nothing came in");
}

static const PunchFuncs FUNCS = {
	.hit = on_hit,
	.spray = on_spray,
	.ended = on_ended,
};

static guint16
aim_wait_ms(NatPeer *peer)
{
	double rtt = peer->chosen != NULL ? nat_watch_rtt_ms(peer->chosen) : -1;

	return (guint16)(rtt > 0 ? MIN(rtt / 2, 1000) : AIM_WAIT_MS);
}

/* Mappings that others make in our NAT until ours are made. Who asks fires when the other end has
 * measured as long as we did, and said so. */
static guint
others_meanwhile(NatPeer *peer)
{
	gint64 measured_ms = (g_get_monotonic_time() - peer->punch->began_us) / 1000;
	gint64 ms = peer->controlling ? 2 * aim_wait_ms(peer) + measured_ms : aim_wait_ms(peer);

	return (guint)(peer->punch->rate * CLAMP(ms, 0, AGREE_MS) / 1000);
}

/* Source ports, and what the other end should know of them. */
static gboolean
open_ports(NatPeer *peer, const NatClass *here, const WgEndpoint *target, guint16 last,
	   PunchMsg *msg, GError **error)
{
	struct NatPeerPunch *punch = peer->punch;
	WgEndpoint source;
	const guint16 *inside;
	guint n;

	if (!nat_mux_source_for(peer->env->mux, target, &source) ||
	    !nat_peer_own_public(peer, &msg->address)) {
		g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
				    "our own public address is not known");
		return FALSE;
	}
	if (!punch_attempt_make_ports(punch->attempt, &source,
				      punch_ports_wanted(punch->role, here),
				      peer->env->fwmark(peer->env->user_data), error))
		return FALSE;
	inside = punch_attempt_ports(punch->attempt, &n);
	wg_endpoint_set_port(&msg->address, 0);
	if (punch->role == PUNCH_AIM)
		wg_endpoint_set_port(&msg->address,
				     punch_aim(here, inside, n, last, others_meanwhile(peer)));
	else
		punch_foretell(here, inside, n, last, &msg->ports);
	if (punch->role != PUNCH_AIM || wg_endpoint_port(&msg->address) != 0)
		return TRUE;
	g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_FAILED, "our next port cannot be told");
	return FALSE;
}

/* Who has asked must not wait for it. */
static void
not_prepared(NatPeer *peer, const char *why)
{
	PunchMsg refuse = {.step = PUNCH_REFUSE};

	if (!peer->controlling)
		send_step(peer, &refuse);
	put_off(peer, why);
}

/* The attempt begins, or what it takes is told. last: the newest mapping's port, 0: unknown. */
static void
prepare(NatPeer *peer, guint16 last)
{
	struct NatPeerPunch *punch = peer->punch;
	gboolean asking = peer->controlling;
	PunchMsg msg = {.step = asking ? PUNCH_ASK : PUNCH_AGREE, .role = punch->role};
	WgEndpoint target = punch->asked.address;
	g_autoptr(GError) error = NULL;
	NatClass here;

	own_class(peer, &here);
	if ((asking || punch->role == PUNCH_OPEN) &&
	    !nat_peer_punch_target(peer, punch->role, &target)) {
		not_prepared(peer, "no address of the other end is proven");
		return;
	}
	punch->far = target;
	if (wg_endpoint_port(&punch->far) == 0)
		wg_endpoint_set_port(&punch->far, 1);
	if (!nat_mux_source_for(peer->env->mux, &punch->far, &punch->local)) {
		not_prepared(peer, "no way leads there");
		return;
	}
	punch->attempt = punch_attempt_new(punch->role, nat_watch_keys(peer->watch), &FUNCS, peer);
	if (punch->role != PUNCH_SPRAY && !open_ports(peer, &here, &target, last, &msg, &error)) {
		not_prepared(peer, error->message);
		return;
	}
	if (punch->role == PUNCH_AIM && !asking)
		msg.wait_ms = aim_wait_ms(peer);
	send_step(peer, &msg);
	await(peer, asking ? PUNCH_ASKED : PUNCH_RUNNING, asking ? AGREE_MS : 0);
	if (punch->role == PUNCH_OPEN)
		punch_attempt_fire(punch->attempt, &target, 0);
	else if (punch->role == PUNCH_AIM && !asking)
		punch_attempt_fire(punch->attempt, &target, msg.wait_ms);
	else if (punch->role == PUNCH_SPRAY && !asking)
		punch_attempt_spray(punch->attempt, &target, &punch->asked.ports);
}

static void
on_measured(const NatClassCounter *counter, gpointer user_data)
{
	NatPeer *peer = user_data;

	peer->punch->question = 0;
	peer->punch->rate = counter != NULL ? counter->rate : 0;
	prepare(peer, counter != NULL ? wg_endpoint_port(&counter->newest) : 0);
}

/* Where a NAT counts its ports, it is asked how far it has counted. */
static void
measure(NatPeer *peer)
{
	struct NatPeerPunch *punch = peer->punch;
	NatClass here;

	own_class(peer, &here);
	punch->began_us = g_get_monotonic_time();
	punch->rate = 0;
	if (punch->role != PUNCH_SPRAY && here.ports == NAT_PORTS_SEQUENTIAL &&
	    peer->env->class_probe != NULL)
		punch->question = nat_class_probe_counter(peer->env->class_probe, MEASURED_PORTS,
							  on_measured, peer);
	if (punch->question != 0)
		punch->state = PUNCH_MEASURING;
	else
		prepare(peer, 0);
}

static gboolean
take_turn(NatPeer *peer, PunchRole role)
{
	NatClass here;

	own_class(peer, &here);
	return punch_turn_take(peer->env->punch_turn, peer, punch_ports_wanted(role, &here),
			       g_get_monotonic_time());
}

/* ---- when ---- */

static gboolean
is_capable(const NatPeer *peer)
{
	return peer->env->punch_turn != NULL && peer->env->punch_flows != NULL &&
	       peer->seal != NULL && peer->watch != NULL && peer->managed && peer->present &&
	       !peer->tier0 && peer->has_remote && (peer->remote.flags & NAT_MSG_PUNCH) != 0;
}

/* Direct checks had their time, and led nowhere. */
static gboolean
is_needed(NatPeer *peer, gint64 now)
{
	if (nat_peer_find_direct(peer) != NULL || peer->direct_blocked)
		return FALSE;
	return nat_peer_on_relay(peer) ? now - peer->chosen_us > RELAYED_US
				       : peer->state == NAT_PEER_FAILED;
}

void
nat_peer_punch_tick(NatPeer *peer, gint64 now_us)
{
	struct NatPeerPunch *punch = peer->punch;
	NatClass here;
	PunchRole role;
	WgEndpoint far;

	if (punch != NULL && punch->state != PUNCH_IDLE) {
		NatWatchPair *pair = nat_peer_find_direct(peer);

		if (pair != NULL)
			succeed(peer, pair);
		return;
	}
	if (!peer->controlling || !is_capable(peer) || !is_needed(peer, now_us))
		return;
	own_class(peer, &here);
	role = punch_plan(&here, &peer->remote.nat, TRUE, NULL);
	if (role == PUNCH_NONE || !nat_peer_punch_target(peer, role, &far))
		return;
	punch = punch_of(peer);
	punch_backoff_note(&punch->backoff, nat_peer_networks(peer));
	if (punch->won_us != 0 && now_us - punch->won_us < LASTING_US)
		punch_backoff_failed(&punch->backoff, now_us);
	punch->won_us = 0;
	if (!punch_backoff_is_due(&punch->backoff, now_us) || !take_turn(peer, role))
		return;
	punch->role = role;
	/* above those of this peer before it was removed and added again */
	punch->number = MAX(punch->number + 1, (guint32)(now_us / SEC));
	punch->watch = peer->remote.watch;
	nat_peer_record(peer, NAT_EVENT_SEARCH, "tries many ports (%s)",
			punch_role_to_string(role));
	nat_stats_count(peer->env->stats, NAT_STAT_PUNCHES);
	measure(peer);
}

/* ---- what the other end says ---- */

static void
refuse(NatPeer *peer, guint32 number, const char *why)
{
	PunchMsg msg = {.step = PUNCH_REFUSE, .number = number};

	nat_peer_record(peer, NAT_EVENT_SEARCH, "does not try many ports: %s", why);
	send_step(peer, &msg);
}

static gboolean
is_hasty(const struct NatPeerPunch *punch)
{
	return punch->asked_us != 0 && g_get_monotonic_time() - punch->asked_us < ASKED_MIN_US;
}

/* Whatever the watch says of its pairs yet. */
static gboolean
is_direct_now(NatPeer *peer)
{
	return nat_peer_find_direct(peer) != NULL ||
	       (peer->state == NAT_PEER_CONNECTED && nat_peer_tunnel_live(peer) &&
		!nat_peer_on_relay(peer) && peer->failure != NAT_FAILURE_SILENCE);
}

/* *address: what the other end said; what is to be sprayed instead. */
static gboolean
is_answerable(NatPeer *peer, PunchRole role, WgEndpoint *address)
{
	WgEndpoint said = *address;

	if (role == PUNCH_SPRAY)
		return nat_peer_spray_target(peer, &said, address);
	return role == PUNCH_OPEN || nat_peer_may_spray(peer, address);
}

static void
on_ask(NatPeer *peer, const PunchMsg *msg)
{
	struct NatPeerPunch *punch = peer->punch;
	PunchRole role = punch_counterpart(msg->role);
	NatClass here;

	/* a copy of an old one */
	if (punch->watch == msg->from && msg->number <= punch->seen) {
		peer->env->dropped("message_replayed", peer->env->user_data);
		return;
	}
	punch->watch = msg->from;
	punch->seen = msg->number;
	/* what runs goes on */
	if (punch->state != PUNCH_IDLE || is_hasty(punch)) {
		refuse(peer, msg->number, "it asks too often");
		return;
	}
	punch->number = msg->number;
	punch->asked = *msg;
	punch->role = role;
	own_class(peer, &here);
	punch_backoff_note(&punch->backoff, nat_peer_networks(peer));
	if (role == PUNCH_NONE || punch_plan(&here, &peer->remote.nat, FALSE, NULL) != role)
		refuse(peer, msg->number, "the two ends see their NATs otherwise");
	else if (is_direct_now(peer))
		refuse(peer, msg->number, "a direct path is there");
	else if (!is_answerable(peer, role, &punch->asked.address))
		refuse(peer, msg->number, "its address is not proven");
	else if (!punch_backoff_may_follow(&punch->backoff, g_get_monotonic_time()))
		refuse(peer, msg->number, "it was tried in vain a short time ago");
	else if (!take_turn(peer, role))
		refuse(peer, msg->number, "another attempt has the turn");
	else {
		punch->asked_us = g_get_monotonic_time();
		nat_peer_record(peer, NAT_EVENT_SEARCH, "tries many ports (%s), as asked",
				punch_role_to_string(role));
		nat_stats_count(peer->env->stats, NAT_STAT_PUNCHES);
		measure(peer);
	}
}

static void
on_agree(NatPeer *peer, const PunchMsg *msg)
{
	struct NatPeerPunch *punch = peer->punch;
	WgEndpoint target = msg->address;

	if (punch->state != PUNCH_ASKED || msg->role != punch_counterpart(punch->role))
		return;
	if (!is_answerable(peer, punch->role, &target)) {
		give_up(peer, TRUE, "the other end's address is not proven");
		return;
	}
	await(peer, PUNCH_RUNNING, 0);
	if (punch->role == PUNCH_SPRAY)
		punch_attempt_spray(punch->attempt, &target, &msg->ports);
	else if (punch->role == PUNCH_AIM)
		punch_attempt_fire(punch->attempt, &target, 0);
}

void
nat_peer_punch_message(NatPeer *peer, const guint8 *data, gsize len)
{
	PunchMsg msg;

	if (!punch_msg_decode(data, len, &msg)) {
		peer->env->dropped("message_malformed", peer->env->user_data);
		return;
	}
	if (!is_capable(peer) || msg.from != peer->remote.watch || msg.to != peer->env->watch_id ||
	    (msg.step != PUNCH_END && (msg.step == PUNCH_ASK) == peer->controlling)) {
		peer->env->dropped("message_punch", peer->env->user_data);
		return;
	}
	if (msg.step == PUNCH_ASK) {
		punch_of(peer);
		on_ask(peer, &msg);
		return;
	}
	if (peer->punch == NULL || peer->punch->state == PUNCH_IDLE ||
	    msg.number != peer->punch->number)
		return;
	switch (msg.step) {
	case PUNCH_AGREE:
		on_agree(peer, &msg);
		break;
	case PUNCH_REFUSE:
		put_off(peer, "the other end cannot now");
		break;
	case PUNCH_END:
		if (peer->punch->state != PUNCH_WON)
			give_up(peer, FALSE, "the other end gave up");
		break;
	case PUNCH_ASK:
		break;
	}
}

/* ---- the rest of the peer ---- */

void
nat_peer_punch_alive(NatPeer *peer, NatWatchPair *pair)
{
	if (peer->punch != NULL && peer->punch->state != PUNCH_IDLE && nat_peer_is_direct(pair))
		succeed(peer, pair);
}

void
nat_peer_punch_stop(NatPeer *peer)
{
	if (peer->punch != NULL && peer->punch->state != PUNCH_IDLE)
		reset(peer);
}

void
nat_peer_punch_network_changed(NatPeer *peer)
{
	struct NatPeerPunch *punch = peer->punch;
	PunchMsg end = {.step = PUNCH_END};
	WgEndpoint source;

	/* links and routes come and go that are none of this attempt's */
	if (punch == NULL || punch->state == PUNCH_IDLE || !wg_endpoint_is_set(&punch->local) ||
	    (nat_mux_source_for(peer->env->mux, &punch->far, &source) &&
	     wg_endpoint_equal(&source, &punch->local)))
		return;
	send_step(peer, &end);
	put_off(peer, "the network changed");
}

void
nat_peer_punch_free(NatPeer *peer)
{
	nat_peer_punch_stop(peer);
	g_clear_pointer(&peer->punch, g_free);
}

static gboolean
is_at(const NatPeer *peer, const PunchFlow *flow)
{
	const WgEndpoint *endpoint = nat_path_endpoint(peer->path);
	const WgEndpoint *detour =
		punch_flows_detour(peer->env->punch_flows, &peer->key, &flow->remote);

	return wg_endpoint_equal(endpoint, detour != NULL ? detour : &flow->remote);
}

PunchFlowUse
nat_peer_flow_use(NatPeer *peer, const PunchFlow *flow)
{
	NatWatchPair *pair =
		peer->watch != NULL ? nat_watch_find(peer->watch, NULL, &flow->remote) : NULL;
	WgEndpoint source;

	/* a route that is missing for a moment says nothing */
	if (!nat_mux_source_for(peer->env->mux, &flow->remote, &source))
		return PUNCH_FLOW_UNUSED;
	if (!wg_endpoint_equal(&source, &flow->local))
		return PUNCH_FLOW_VOID;
	if ((peer->punch != NULL && peer->punch->state == PUNCH_WON &&
	     wg_endpoint_equal(&peer->punch->won, &flow->remote)) ||
	    (pair != NULL && nat_peer_is_direct(pair)) ||
	    (nat_peer_tunnel_live(peer) && is_at(peer, flow)))
		return PUNCH_FLOW_USED;
	return PUNCH_FLOW_UNUSED;
}

guint16
nat_peer_source_port(const NatPeer *peer, const WgEndpoint *remote)
{
	const PunchFlow *flow = peer->env->punch_flows != NULL
					? punch_flows_get(peer->env->punch_flows, &peer->key)
					: NULL;

	return flow != NULL && wg_endpoint_equal(&flow->remote, remote) ? flow->port : 0;
}

NatManyPorts
nat_peer_many_ports(NatPeer *peer)
{
	const struct NatPeerPunch *punch = peer->punch;

	if (peer->chosen != NULL && nat_watch_relayed(peer->chosen) == NULL) {
		const WgEndpoint *remote = &nat_watch_remote(peer->chosen)->endpoint;

		if (nat_peer_source_port(peer, remote) != 0 ||
		    (punch != NULL && punch->state == PUNCH_IDLE &&
		     wg_endpoint_equal(&punch->won, remote)))
			return NAT_MANY_PORTS_USED;
	}
	if (punch == NULL)
		return NAT_MANY_PORTS_UNTRIED;
	if (punch->state != PUNCH_IDLE)
		return NAT_MANY_PORTS_TRYING;
	return punch->backoff.failures > 0 ? NAT_MANY_PORTS_FAILED : NAT_MANY_PORTS_UNTRIED;
}
