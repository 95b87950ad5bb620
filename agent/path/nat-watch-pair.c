/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation. Each pair has one timer. What it does depends on the state: a NEW pair is
 * probed with doubling pauses; an ALIVE one at rest each rest_ms, and an unanswered probe makes it
 * SUSPECT; then a probe leaves each SUSPECT_MS, because random loss of 20 % each way (36 % of round
 * trips) leaves DEADLY probes in a row unanswered 5 times in a million, while a path that is really
 * dead is known after some 0.5 s. DEAD pairs are asked ever more rarely, from both ends, so that
 * the NATs in between open again when the way does.
 *
 * An answer to any outstanding request ends all doubt.
 */
#include "agent/path/nat-watch-private.h"

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

static gboolean step(gpointer data);

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

void
nat_watch_pair_put_note(NatWatchPair *pair, guint8 out[NAT_STUN_NOTE_LEN])
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
	NatWatchRequest *request = &pair->requests[pair->next++ % NAT_WATCH_OUTSTANDING];
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
	nat_watch_pair_put_note(pair, note);
	len = nat_stun_build_probe(msg, sizeof msg, request->id, watch->keys.username,
				   watch->keys.peer_pwd, note);
	if (nat_mux_client_send(watch->client, &source, &pair->remote.endpoint, msg, len))
		nat_stats_count(watch->stats, NAT_STAT_PROBES_SENT);
}

/* How long an answer may take before its absence means something. */
static guint
rto_ms(const NatWatchPair *pair)
{
	if (pair->rtt_ms < 0)
		return RTO_UNKNOWN_MS;
	return (guint)CLAMP(pair->rtt_ms * 1.25 + pair->var_ms * 2 + 30, RTO_MIN_MS, RTO_MAX_MS);
}

void
nat_watch_pair_schedule(NatWatchPair *pair, guint ms)
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
			nat_watch_pair_schedule(pair, dead_pause_ms(pair));
		return;
	}
	nat_watch_pair_schedule(pair, FIRST_MS << pair->unanswered);
	send_probe(pair);
}

static void
step_alive(NatWatchPair *pair)
{
	if (pair->unanswered > 0 && pair->insisting == 0) {
		set_state(pair, NAT_PAIR_SUSPECT);
		if (!pair->gone)
			nat_watch_pair_schedule(pair, 0);
		return;
	}
	if (pair->insisting > 0)
		pair->insisting--;
	nat_watch_pair_schedule(pair, pair->insisting > 0 ? (guint)MAX(pair->rtt_ms, INSIST_MIN_MS)
							  : rto_ms(pair));
	send_probe(pair);
}

static void
step_suspect(NatWatchPair *pair)
{
	if (pair->unanswered > DEADLY) {
		set_state(pair, NAT_PAIR_DEAD);
		if (!pair->gone)
			nat_watch_pair_schedule(pair, dead_pause_ms(pair));
		return;
	}
	nat_watch_pair_schedule(pair, pair->unanswered == DEADLY ? rto_ms(pair) : SUSPECT_MS);
	send_probe(pair);
}

static gboolean
step(gpointer data)
{
	NatWatchPair *pair = data;
	NatWatch *watch = pair->watch;

	pair->timer = 0;
	pair->asked = FALSE;
	nat_watch_enter(watch);
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
		nat_watch_pair_schedule(pair, dead_pause_ms(pair));
		send_probe(pair);
		break;
	}
	nat_watch_leave(watch);
	return G_SOURCE_REMOVE;
}

/* ---- hearing ---- */

void
nat_watch_pair_take_note(NatWatchPair *pair, const NatStun *stun, gboolean answered)
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

void
nat_watch_pair_nudge(NatWatchPair *pair)
{
	gint64 now = g_get_monotonic_time();

	if (now - pair->nudged_us < G_USEC_PER_SEC)
		return;
	pair->nudged_us = now;
	if (pair->state == NAT_PAIR_NEW)
		pair->unanswered = 0;
	nat_watch_pair_schedule(pair, 0);
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

NatWatchRequest *
nat_watch_pair_find_request(NatWatchPair *pair, const guint8 id[NAT_STUN_ID_LEN])
{
	for (guint i = 0; i < NAT_WATCH_OUTSTANDING; i++)
		if (pair->requests[i].sent_us != 0 &&
		    memcmp(pair->requests[i].id, id, NAT_STUN_ID_LEN) == 0)
			return &pair->requests[i];
	return NULL;
}

void
nat_watch_pair_answered(NatWatchPair *pair, NatWatchRequest *request, const NatStun *stun)
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
	nat_watch_pair_take_note(pair, stun, TRUE);
	if (pair->gone)
		return;
	if (pair->insisting > 0)
		return; /* its timer runs */
	if (pair->answers < SETTLE_COUNT)
		nat_watch_pair_schedule(pair, SETTLE_MS);
	else if (pair->rest_ms > 0)
		nat_watch_pair_schedule(pair, pair->rest_ms);
	else
		g_clear_handle_id(&pair->timer, g_source_remove);
}

/* ---- what is asked of it ---- */

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
		nat_watch_pair_schedule(pair, ms);
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
	nat_watch_pair_schedule(pair, 0);
}

void
nat_watch_absolve(NatWatchPair *pair)
{
	pair->deaths = 0;
	nat_watch_probe(pair);
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
		nat_watch_enter(pair->watch);
		set_state(pair, NAT_PAIR_ALIVE);
		if (!pair->gone)
			nat_watch_pair_schedule(pair, rto_ms(pair));
		nat_watch_leave(pair->watch);
	} else if (pair->state == NAT_PAIR_DEAD) {
		nat_watch_pair_nudge(pair);
	}
}

void
nat_watch_distrust(NatWatchPair *pair)
{
	NatWatch *watch = pair->watch;

	if (pair->state != NAT_PAIR_ALIVE && pair->state != NAT_PAIR_SUSPECT)
		return;
	nat_watch_enter(watch);
	memset(pair->requests, 0, sizeof pair->requests); /* late answers count no more */
	set_state(pair, NAT_PAIR_DEAD);
	if (!pair->gone)
		nat_watch_pair_schedule(pair, 0);
	nat_watch_leave(watch);
}

void
nat_watch_insist(NatWatchPair *pair, gboolean insist)
{
	if (!insist) {
		/* the last probe's answer may still come */
		if (pair->insisting > 0 && pair->unanswered > 0)
			nat_watch_pair_schedule(pair, rto_ms(pair));
		pair->insisting = 0;
		return;
	}
	if (pair->state != NAT_PAIR_ALIVE || pair->insisting > 0)
		return;
	pair->insisting = INSIST_MAX;
	nat_watch_pair_schedule(pair, 0);
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
