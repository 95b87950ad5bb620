/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation. Each pair has one timer. What it does depends on the state: a NEW pair is
 * probed with doubling pauses; an ALIVE one at rest each rest_ms, and an unanswered probe makes it
 * SUSPECT; then a probe leaves each SUSPECT_MS, because random loss of 20 % each way (36 % of round
 * trips) leaves DEADLY probes in a row unanswered 5 times in a million, while a path that is really
 * dead is known after some 0.5 s. DEAD pairs are asked ever more rarely, from both ends, so that
 * the NATs in between open again when the way does.
 *
 * An answer to any outstanding request ends all doubt. `gone` marks a pair that was removed inside
 * a callback; the memory goes when the outermost function that holds it is left.
 */
#include "agent/path/nat-watch.h"

#include <sodium.h>
#include <string.h>

#include "agent/path/nat-choice.h"

#define FIRST_MS 100   /* a NEW pair's pauses: this, doubled each time */
#define FIRST_PROBES 6 /* over 3.1 s, then it counts as dead */
#define SETTLE_MS 200  /* the first answers of a pair follow each other fast: a round trip soon */
#define SETTLE_COUNT 3
#define SUSPECT_MS 30
#define DEADLY 12
#define FRESH_US (100 * 1000) /* after an answer, silence is no news for so long */
#define RTO_UNKNOWN_MS 250
#define RTO_MIN_MS 60
#define RTO_MAX_MS 2000
#define INSIST_MIN_MS 20
#define INSIST_MAX 40
#define OUTSTANDING 32
#define STRANGERS 4 /* pairs that are known from requests alone, and have answered none of ours */

typedef struct {
	guint8 id[NAT_STUN_ID_LEN];
	gint64 sent_us; /* 0: free */
} Request;

struct NatWatchPair {
	NatWatch *watch;
	WgEndpoint relayed; /* unset: from port P */
	NatCandidate remote;
	NatPairState state;
	gboolean added, gone;
	gboolean asked; /* for a probe, which its timer sends at once */
	gpointer data;
	Request requests[OUTSTANDING];
	guint next;
	guint unanswered; /* probes since the last answer */
	guint answers;
	double deaths;	 /* lately */
	guint insisting; /* probes left */
	guint rest_ms;
	double rtt_ms, var_ms, loss;
	double last_ms; /* of the last answer */
	gint64 alive_us, heard_us, dead_us, nudged_us;
	guint timer;
};

struct NatWatch {
	NatMux *mux;
	NatMuxClient *client;
	NatWatchKeys keys;
	NatWatchFuncs funcs;
	gpointer user_data;
	NatStats *stats;  /* may be NULL */
	GPtrArray *pairs; /* of NatWatchPair */
	GPtrArray *gone;  /* removed inside a callback */
	guint depth;	  /* of callbacks */
};

static gboolean step(gpointer data);

/* ---- callbacks that may remove what they were called about ---- */

static void
enter(NatWatch *watch)
{
	watch->depth++;
}

static void
leave(NatWatch *watch)
{
	if (--watch->depth == 0)
		g_ptr_array_set_size(watch->gone, 0);
}

static void
set_state(NatWatchPair *pair, NatPairState state)
{
	NatPairState before = pair->state;

	if (before == state)
		return;
	pair->state = state;
	if (state == NAT_PAIR_DEAD) {
		gint64 now = g_get_monotonic_time();

		if (before != NAT_PAIR_NEW)
			pair->deaths = nat_choice_one_more_death(pair->deaths, now - pair->dead_us);
		pair->dead_us = now;
		pair->alive_us = 0;
		pair->rtt_ms = -1;
		pair->insisting = 0;
	} else if (state == NAT_PAIR_ALIVE && before != NAT_PAIR_SUSPECT) {
		pair->alive_us = g_get_monotonic_time();
		pair->answers = 0;
	}
	pair->watch->funcs.changed(pair, before, pair->watch->user_data);
}

/* ---- sending ---- */

static void
put_note(NatWatchPair *pair, guint8 out[NAT_STUN_NOTE_LEN])
{
	NatNote note = {0};
	guint32 be;

	pair->watch->funcs.tell(pair, &note, pair->watch->user_data);
	be = GUINT32_TO_BE(note.epoch);
	memset(out, 0, NAT_STUN_NOTE_LEN);
	memcpy(out, &be, sizeof be);
	out[4] = note.flags;
}

static void
send_probe(NatWatchPair *pair)
{
	NatWatch *watch = pair->watch;
	Request *request = &pair->requests[pair->next++ % OUTSTANDING];
	guint8 msg[NAT_STUN_MAX], note[NAT_STUN_NOTE_LEN];
	WgEndpoint source = pair->relayed;
	gsize len;

	pair->unanswered++;
	randombytes_buf(request->id, sizeof request->id);
	request->sent_us = g_get_monotonic_time();
	/* The route is asked each time: the local address of a pair is whatever leads there now. */
	if (!wg_endpoint_is_set(&source) &&
	    !nat_mux_source_for(watch->mux, &pair->remote.endpoint, &source))
		return;
	put_note(pair, note);
	len = nat_stun_build_probe(msg, sizeof msg, request->id, watch->keys.username,
				   watch->keys.peer_pwd, note);
	if (nat_mux_client_send(watch->client, &source, &pair->remote.endpoint, msg, len))
		nat_stats_count(watch->stats, NAT_STAT_PROBES_SENT);
}

gboolean
nat_watch_guess(NatWatch *watch, const WgEndpoint *dst)
{
	static const guint8 no_note[NAT_STUN_NOTE_LEN];
	guint8 msg[NAT_STUN_MAX], id[NAT_STUN_ID_LEN];
	WgEndpoint source;
	gsize len;

	if (!nat_mux_source_for(watch->mux, dst, &source))
		return FALSE;
	randombytes_buf(id, sizeof id);
	len = nat_stun_build_probe(msg, sizeof msg, id, watch->keys.username, watch->keys.peer_pwd,
				   no_note);
	if (!nat_mux_client_send_guess(watch->client, &source, dst, msg, len))
		return FALSE;
	nat_stats_count(watch->stats, NAT_STAT_PROBES_SENT);
	return TRUE;
}

/* How long an answer may take before its absence means something. */
static guint
rto_ms(const NatWatchPair *pair)
{
	if (pair->rtt_ms < 0)
		return RTO_UNKNOWN_MS;
	return (guint)CLAMP(pair->rtt_ms * 1.25 + pair->var_ms * 2 + 30, RTO_MIN_MS, RTO_MAX_MS);
}

static void
schedule(NatWatchPair *pair, guint ms)
{
	g_clear_handle_id(&pair->timer, g_source_remove);
	pair->timer = g_timeout_add(ms, step, pair);
}

static guint
dead_pause_ms(const NatWatchPair *pair)
{
	gint64 s = (g_get_monotonic_time() - pair->dead_us) / G_USEC_PER_SEC;

	return s < 30 ? 1000 : s < 300 ? 5000 : 15000;
}

static void
step_new(NatWatchPair *pair)
{
	if (pair->unanswered >= FIRST_PROBES) {
		set_state(pair, NAT_PAIR_DEAD);
		if (pair->gone)
			return;
		if (!pair->added)
			nat_watch_remove(pair);
		else
			schedule(pair, dead_pause_ms(pair));
		return;
	}
	schedule(pair, FIRST_MS << pair->unanswered);
	send_probe(pair);
}

static void
step_alive(NatWatchPair *pair)
{
	if (pair->unanswered > 0 && pair->insisting == 0) {
		set_state(pair, NAT_PAIR_SUSPECT);
		if (!pair->gone)
			schedule(pair, 0);
		return;
	}
	if (pair->insisting > 0)
		pair->insisting--;
	schedule(pair,
		 pair->insisting > 0 ? (guint)MAX(pair->rtt_ms, INSIST_MIN_MS) : rto_ms(pair));
	send_probe(pair);
}

static void
step_suspect(NatWatchPair *pair)
{
	if (pair->unanswered > DEADLY) {
		set_state(pair, NAT_PAIR_DEAD);
		if (!pair->gone)
			schedule(pair, dead_pause_ms(pair));
		return;
	}
	schedule(pair, pair->unanswered == DEADLY ? rto_ms(pair) : SUSPECT_MS);
	send_probe(pair);
}

static gboolean
step(gpointer data)
{
	NatWatchPair *pair = data;
	NatWatch *watch = pair->watch;

	pair->timer = 0;
	pair->asked = FALSE;
	enter(watch);
	switch (pair->state) {
	case NAT_PAIR_NEW:
		step_new(pair);
		break;
	case NAT_PAIR_ALIVE:
		step_alive(pair);
		break;
	case NAT_PAIR_SUSPECT:
		step_suspect(pair);
		break;
	case NAT_PAIR_DEAD:
		schedule(pair, dead_pause_ms(pair));
		send_probe(pair);
		break;
	}
	leave(watch);
	return G_SOURCE_REMOVE;
}

/* ---- hearing ---- */

static void
take_note(NatWatchPair *pair, const NatStun *stun, gboolean answered)
{
	NatNote note = {0};
	guint32 be;

	if (stun->note == NULL || pair->gone)
		return;
	memcpy(&be, stun->note, sizeof be);
	note.epoch = GUINT32_FROM_BE(be);
	note.flags = stun->note[4];
	pair->watch->funcs.noted(pair, &note, answered, pair->watch->user_data);
}

static void
answer(NatWatch *watch, NatWatchPair *pair, const NatUdp *pkt, const NatStun *stun)
{
	guint8 msg[NAT_STUN_MAX], note[NAT_STUN_NOTE_LEN];
	gsize len;

	put_note(pair, note);
	len = nat_stun_build_probe_answer(msg, sizeof msg, stun->id, &pkt->src, watch->keys.own_pwd,
					  note);
	nat_mux_client_send(watch->client, &pkt->dst, &pkt->src, msg, len);
}

static gboolean
is_relayed_by_us(NatWatch *watch, const NatUdp *pkt)
{
	return nat_mux_is_relayed(watch->mux, &pkt->dst);
}

static NatWatchPair *add_pair(NatWatch *watch, const WgEndpoint *relayed,
			      const NatCandidate *remote);

/* A sign of life on a dead pair: asked at once, but no more than once a second, for the way back
 * may stay closed. */
static void
nudge(NatWatchPair *pair)
{
	gint64 now = g_get_monotonic_time();

	if (now - pair->nudged_us < G_USEC_PER_SEC)
		return;
	pair->nudged_us = now;
	if (pair->state == NAT_PAIR_NEW)
		pair->unanswered = 0;
	schedule(pair, 0);
}

static gboolean
is_stranger(const NatWatchPair *pair)
{
	return !pair->added && pair->state == NAT_PAIR_NEW;
}

static guint
count_strangers(const NatWatch *watch)
{
	guint n = 0;

	for (guint i = 0; i < watch->pairs->len; i++)
		n += is_stranger(g_ptr_array_index(watch->pairs, i));
	return n;
}

static void
on_request(const NatUdp *pkt, const NatStun *stun, gpointer user_data)
{
	NatWatch *watch = user_data;
	const WgEndpoint *relayed = is_relayed_by_us(watch, pkt) ? &pkt->dst : NULL;
	NatWatchPair *pair;

	if (stun->klass != NAT_STUN_REQUEST ||
	    !nat_stun_check_integrity(pkt->payload, pkt->len, watch->keys.own_pwd))
		return;
	enter(watch);
	pair = nat_watch_find(watch, relayed, &pkt->src);
	if (pair == NULL) {
		NatCandidate remote = {.type = NAT_CAND_PRFLX, .endpoint = pkt->src};

		/* RFC 8445 §7.3.1.3: a candidate that nobody named. It counts once it answers; a
		 * copied request may come from anywhere. */
		if (count_strangers(watch) < STRANGERS)
			pair = add_pair(watch, relayed, &remote);
	} else if (pair->state == NAT_PAIR_DEAD ||
		   (pair->state == NAT_PAIR_NEW && pair->unanswered > 1)) {
		nudge(pair);
	}
	if (pair != NULL) {
		/* first the note: the answer tells what came of it */
		if (pair->state == NAT_PAIR_ALIVE || pair->state == NAT_PAIR_SUSPECT)
			take_note(pair, stun, FALSE);
		if (!pair->gone)
			answer(watch, pair, pkt, stun);
	}
	leave(watch);
}

static void
measure(NatWatchPair *pair, double ms)
{
	double miss = pair->unanswered > 1 && pair->insisting == 0 ? 1.0 : 0.0;

	pair->last_ms = ms;
	/* RFC 6298's smoothing; the first sample is taken whole. */
	if (pair->rtt_ms < 0) {
		pair->rtt_ms = ms;
		pair->var_ms = ms / 10;
	} else {
		pair->var_ms = pair->var_ms * 0.75 + ABS(pair->rtt_ms - ms) * 0.25;
		pair->rtt_ms = pair->rtt_ms * 0.875 + ms * 0.125;
	}
	pair->loss = pair->loss * 0.9 + miss * 0.1;
}

static Request *
find_request(NatWatchPair *pair, const guint8 id[NAT_STUN_ID_LEN])
{
	for (guint i = 0; i < OUTSTANDING; i++)
		if (pair->requests[i].sent_us != 0 &&
		    memcmp(pair->requests[i].id, id, NAT_STUN_ID_LEN) == 0)
			return &pair->requests[i];
	return NULL;
}

static void
on_answer(NatWatchPair *pair, Request *request, const NatStun *stun)
{
	gint64 now = g_get_monotonic_time();

	nat_stats_count(pair->watch->stats, NAT_STAT_PROBES_ANSWERED);
	measure(pair, (double)(now - request->sent_us) / 1000.0);
	memset(pair->requests, 0, sizeof pair->requests);
	pair->unanswered = 0;
	pair->asked = FALSE;
	pair->heard_us = now;
	set_state(pair, NAT_PAIR_ALIVE);
	if (pair->gone)
		return;
	pair->answers++;
	take_note(pair, stun, TRUE);
	if (pair->gone)
		return;
	if (pair->insisting > 0)
		return; /* its timer runs */
	if (pair->answers < SETTLE_COUNT)
		schedule(pair, SETTLE_MS);
	else if (pair->rest_ms > 0)
		schedule(pair, pair->rest_ms);
	else
		g_clear_handle_id(&pair->timer, g_source_remove);
}

static void
on_response(const NatUdp *pkt, const NatStun *stun, gpointer user_data)
{
	NatWatch *watch = user_data;
	const WgEndpoint *relayed = is_relayed_by_us(watch, pkt) ? &pkt->dst : NULL;
	NatWatchPair *pair = nat_watch_find(watch, relayed, &pkt->src);
	Request *request = pair != NULL ? find_request(pair, stun->id) : NULL;

	if (request == NULL || stun->klass != NAT_STUN_SUCCESS ||
	    !nat_stun_check_integrity(pkt->payload, pkt->len, watch->keys.peer_pwd))
		return;
	enter(watch);
	on_answer(pair, request, stun);
	leave(watch);
}

static const NatMuxFuncs MUX_FUNCS = {
	.request = on_request,
	.response = on_response,
	.padded = TRUE, /* nat-watch-mtu's of the peer */
};

/* ---- life ---- */

NatWatch *
nat_watch_new(NatMux *mux, NatSeal *seal, const WgKey *own, const WgKey *peer, guint64 own_id,
	      guint64 peer_id, const NatWatchFuncs *funcs, gpointer user_data)
{
	NatWatch *watch = g_new0(NatWatch, 1);

	nat_watch_keys_init(&watch->keys, seal, own, peer, own_id, peer_id);
	watch->mux = mux;
	watch->funcs = *funcs;
	watch->user_data = user_data;
	watch->pairs = g_ptr_array_new();
	watch->gone = g_ptr_array_new_with_free_func(g_free);
	watch->client = nat_mux_client_new(mux, watch->keys.own_ufrag, &MUX_FUNCS, watch);
	return watch;
}

void
nat_watch_set_stats(NatWatch *watch, NatStats *stats)
{
	watch->stats = stats;
}

void
nat_watch_free(NatWatch *watch)
{
	if (watch == NULL)
		return;
	while (watch->pairs->len > 0)
		nat_watch_remove(g_ptr_array_index(watch->pairs, 0));
	nat_mux_client_free(watch->client);
	g_ptr_array_unref(watch->pairs);
	g_ptr_array_unref(watch->gone);
	nat_watch_keys_clear(&watch->keys);
	g_free(watch);
}

/* ---- pairs ---- */

/* Of the pairs that nobody named, a stranger goes first, then the one that is dead longest: the
 * peer's old mapping. NULL: all of them may be of use. */
static NatWatchPair *
find_useless(const NatWatch *watch)
{
	NatWatchPair *useless = NULL;

	for (guint i = 0; i < watch->pairs->len; i++) {
		NatWatchPair *pair = g_ptr_array_index(watch->pairs, i);

		if (is_stranger(pair))
			return pair;
		if (!pair->added && pair->state == NAT_PAIR_DEAD &&
		    (useless == NULL || pair->dead_us < useless->dead_us))
			useless = pair;
	}
	return useless;
}

static NatWatchPair *
add_pair(NatWatch *watch, const WgEndpoint *relayed, const NatCandidate *remote)
{
	NatWatchPair *pair = NULL;

	if (watch->pairs->len >= NAT_WATCH_PAIRS)
		pair = find_useless(watch);
	if (pair != NULL)
		nat_watch_remove(pair);
	if (watch->pairs->len >= NAT_WATCH_PAIRS)
		return NULL;
	pair = g_new0(NatWatchPair, 1);
	pair->watch = watch;
	if (relayed != NULL)
		pair->relayed = *relayed;
	pair->remote = *remote;
	pair->rtt_ms = -1;
	g_ptr_array_add(watch->pairs, pair);
	schedule(pair, 0);
	return pair;
}

NatWatchPair *
nat_watch_find(NatWatch *watch, const WgEndpoint *relayed, const WgEndpoint *remote)
{
	for (guint i = 0; i < watch->pairs->len; i++) {
		NatWatchPair *pair = g_ptr_array_index(watch->pairs, i);

		if (wg_endpoint_equal(&pair->remote.endpoint, remote) &&
		    (relayed != NULL ? wg_endpoint_equal(&pair->relayed, relayed)
				     : !wg_endpoint_is_set(&pair->relayed)))
			return pair;
	}
	return NULL;
}

NatWatchPair *
nat_watch_add(NatWatch *watch, const WgEndpoint *relayed, const NatCandidate *remote)
{
	NatWatchPair *pair = nat_watch_find(watch, relayed, &remote->endpoint);

	if (pair == NULL)
		pair = add_pair(watch, relayed, remote);
	if (pair == NULL)
		return NULL;
	if (remote->type != NAT_CAND_PRFLX)
		pair->remote.type = remote->type;
	pair->added = TRUE;
	return pair;
}

void
nat_watch_remove(NatWatchPair *pair)
{
	NatWatch *watch = pair->watch;

	if (pair->gone)
		return;
	g_clear_handle_id(&pair->timer, g_source_remove);
	watch->funcs.removed(pair, watch->user_data);
	g_ptr_array_remove(watch->pairs, pair);
	pair->gone = TRUE;
	if (watch->depth > 0)
		g_ptr_array_add(watch->gone, pair);
	else
		g_free(pair);
}

const NatWatchKeys *
nat_watch_keys(const NatWatch *watch)
{
	return &watch->keys;
}

guint
nat_watch_count(const NatWatch *watch)
{
	return watch->pairs->len;
}

NatWatchPair *
nat_watch_nth(const NatWatch *watch, guint i)
{
	return g_ptr_array_index(watch->pairs, i);
}

void
nat_watch_set_rest(NatWatchPair *pair, guint ms)
{
	if (pair->rest_ms == ms)
		return;
	pair->rest_ms = ms;
	if (pair->state != NAT_PAIR_ALIVE || pair->unanswered > 0 || pair->insisting > 0 ||
	    pair->asked || pair->answers < SETTLE_COUNT)
		return;
	if (ms > 0)
		schedule(pair, ms);
	else
		g_clear_handle_id(&pair->timer, g_source_remove);
}

void
nat_watch_probe(NatWatchPair *pair)
{
	if (pair->state == NAT_PAIR_NEW) {
		pair->unanswered = 0;
	} else if (pair->state == NAT_PAIR_DEAD) {
		pair->dead_us = g_get_monotonic_time();
	} else if (pair->unanswered > 0) {
		return; /* one is under way */
	}
	pair->asked = TRUE;
	schedule(pair, 0);
}

void
nat_watch_absolve(NatWatchPair *pair)
{
	pair->deaths = 0;
	nat_watch_probe(pair);
}

void
nat_watch_probe_all(NatWatch *watch)
{
	for (guint i = 0; i < watch->pairs->len; i++)
		nat_watch_probe(g_ptr_array_index(watch->pairs, i));
}

void
nat_watch_suspect(NatWatchPair *pair)
{
	if (pair->state == NAT_PAIR_ALIVE && g_get_monotonic_time() - pair->heard_us > FRESH_US)
		nat_watch_probe(pair);
}

void
nat_watch_heard(NatWatchPair *pair)
{
	pair->heard_us = g_get_monotonic_time();
	if (pair->state == NAT_PAIR_SUSPECT) {
		pair->unanswered = 0;
		enter(pair->watch);
		set_state(pair, NAT_PAIR_ALIVE);
		if (!pair->gone)
			schedule(pair, rto_ms(pair));
		leave(pair->watch);
	} else if (pair->state == NAT_PAIR_DEAD) {
		nudge(pair);
	}
}

void
nat_watch_distrust(NatWatchPair *pair)
{
	NatWatch *watch = pair->watch;

	if (pair->state != NAT_PAIR_ALIVE && pair->state != NAT_PAIR_SUSPECT)
		return;
	enter(watch);
	memset(pair->requests, 0, sizeof pair->requests); /* late answers count no more */
	set_state(pair, NAT_PAIR_DEAD);
	if (!pair->gone)
		schedule(pair, 0);
	leave(watch);
}

void
nat_watch_insist(NatWatchPair *pair, gboolean insist)
{
	if (!insist) {
		/* the last probe's answer may still come */
		if (pair->insisting > 0 && pair->unanswered > 0)
			schedule(pair, rto_ms(pair));
		pair->insisting = 0;
		return;
	}
	if (pair->state != NAT_PAIR_ALIVE || pair->insisting > 0)
		return;
	pair->insisting = INSIST_MAX;
	schedule(pair, 0);
}

/* ---- what is known ---- */

NatPairState
nat_watch_state(const NatWatchPair *pair)
{
	return pair->state;
}

const WgEndpoint *
nat_watch_relayed(const NatWatchPair *pair)
{
	return wg_endpoint_is_set(&pair->relayed) ? &pair->relayed : NULL;
}

const NatCandidate *
nat_watch_remote(const NatWatchPair *pair)
{
	return &pair->remote;
}

gboolean
nat_watch_is_added(const NatWatchPair *pair)
{
	return pair->added;
}

gboolean
nat_watch_is_relay(const NatWatchPair *pair)
{
	return wg_endpoint_is_set(&pair->relayed) || pair->remote.type == NAT_CAND_RELAY;
}

double
nat_watch_last_ms(const NatWatchPair *pair)
{
	return pair->last_ms;
}

double
nat_watch_rtt_ms(const NatWatchPair *pair)
{
	return pair->rtt_ms;
}

double
nat_watch_loss(const NatWatchPair *pair)
{
	return pair->loss;
}

gint64
nat_watch_alive_us(const NatWatchPair *pair)
{
	return pair->alive_us;
}

guint
nat_watch_answers(const NatWatchPair *pair)
{
	return pair->answers;
}

guint
nat_watch_deaths(const NatWatchPair *pair)
{
	return (guint)(pair->deaths + 0.5);
}

gpointer
nat_watch_data(const NatWatchPair *pair)
{
	return pair->data;
}

void
nat_watch_set_data(NatWatchPair *pair, gpointer data)
{
	pair->data = data;
}

const char *
nat_pair_state_to_string(NatPairState state)
{
	static const char *const NAMES[] = {"new", "alive", "suspect", "dead"};

	return NAMES[state];
}
