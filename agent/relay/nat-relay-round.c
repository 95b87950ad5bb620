/* SPDX-License-Identifier: MIT */
#include "agent/relay/nat-relay-private.h"

#define ATTEMPTS_MAX 16
#define STAGE_MS 300 /* how long one kind of transport is alone */
#define NEXT_MS 100  /* between servers of one kind */
#define N_TRANSPORTS (NAT_TURN_TLS + 1)

typedef enum {
	PLANNED,
	RUNNING,
	OVER,
} AttemptState;

typedef struct {
	NatTurnUri *uri; /* with the transport to use */
	WgEndpoint server;
	gint64 at_us;
	AttemptState state;
	NatRelayLeg *leg; /* while RUNNING */
} Attempt;

struct NatRelayRound {
	NatRelay *relay;
	NatRelaySeat *seat;
	gint64 started_us;
	GPtrArray *attempts; /* of Attempt */
	guint timer;
	gboolean credentials;
	gboolean has_failure;
	NatTurnFailure failure; /* the most telling one, whose it was, and its line */
	NatTurnTransport transport;
	char *problem;
};

static void
attempt_free(gpointer data)
{
	Attempt *attempt = data;

	nat_relay_leg_free(attempt->leg);
	nat_turn_uri_free(attempt->uri);
	g_free(attempt);
}

void
nat_relay_round_free(NatRelayRound *round)
{
	if (!round)
		return;
	g_clear_handle_id(&round->timer, g_source_remove);
	g_ptr_array_unref(round->attempts);
	g_free(round->problem);
	g_free(round);
}

/* ---- planning ---- */

static gboolean
uses(const NatTurnUri *uri, NatTurnTransport transport)
{
	return uri->transport == transport || (uri->tcp_too && transport == NAT_TURN_TCP);
}

/* A kind of transport that no server has makes no other one wait. */
static guint
stage_of(const NatRelay *relay, NatTurnTransport transport)
{
	guint stage = 0;

	for (guint t = 0; t < transport; t++) {
		for (guint i = 0; i < relay->servers->len; i++) {
			const NatRelayServer *server = g_ptr_array_index(relay->servers, i);

			if (uses(server->uri, (NatTurnTransport)t)) {
				stage++;
				break;
			}
		}
	}
	return stage;
}

static gboolean
is_planned(const NatRelayRound *round, const WgEndpoint *server, NatTurnTransport transport,
	   guint *of_transport)
{
	*of_transport = 0;
	for (guint i = 0; i < round->attempts->len; i++) {
		const Attempt *attempt = g_ptr_array_index(round->attempts, i);

		if (attempt->uri->transport != transport)
			continue;
		(*of_transport)++;
		if (wg_endpoint_equal(&attempt->server, server))
			return TRUE;
	}
	return FALSE;
}

/* A spare is of use elsewhere only. */
static gboolean
serves(const NatRelayRound *round, const NatTurnUri *uri, const WgEndpoint *server)
{
	const NatRelay *relay = round->relay;

	return round->seat == &relay->main || relay->main.leg == NULL ||
	       nat_relay_leg_is_elsewhere(relay->main.leg, uri, server);
}

static void
plan(NatRelayRound *round, const NatTurnUri *uri, const WgEndpoint *server,
     NatTurnTransport transport)
{
	Attempt *attempt;
	guint before;

	if (!uses(uri, transport) || !serves(round, uri, server) ||
	    is_planned(round, server, transport, &before) || round->attempts->len == ATTEMPTS_MAX)
		return;
	attempt = g_new0(Attempt, 1);
	attempt->uri = nat_turn_uri_copy(uri);
	attempt->uri->transport = transport;
	attempt->server = *server;
	attempt->at_us = round->started_us +
			 (gint64)(stage_of(round->relay, transport) * STAGE_MS + before * NEXT_MS) *
				 G_TIME_SPAN_MILLISECOND;
	g_ptr_array_add(round->attempts, attempt);
}

/* ---- running ---- */

static void step(NatRelayRound *round);

static gboolean
on_timer(gpointer user_data)
{
	NatRelayRound *round = user_data;

	round->timer = 0;
	step(round);
	return G_SOURCE_REMOVE;
}

static Attempt *
next_planned(const NatRelayRound *round)
{
	Attempt *next = NULL;

	for (guint i = 0; i < round->attempts->len; i++) {
		Attempt *attempt = g_ptr_array_index(round->attempts, i);

		if (attempt->state == PLANNED && (!next || attempt->at_us < next->at_us))
			next = attempt;
	}
	return next;
}

static guint
count_running(const NatRelayRound *round)
{
	guint n = 0;

	for (guint i = 0; i < round->attempts->len; i++)
		n += ((Attempt *)g_ptr_array_index(round->attempts, i))->state == RUNNING;
	return n;
}

static gboolean
is_resolving(const NatRelay *relay)
{
	for (guint i = 0; i < relay->servers->len; i++) {
		const NatRelayServer *server = g_ptr_array_index(relay->servers, i);

		if (server->addrs->len == 0 && server->lookup &&
		    nat_lookup_is_running(server->lookup))
			return TRUE;
	}
	return FALSE;
}

static const char *
resolve_problem(const NatRelay *relay)
{
	for (guint i = 0; i < relay->servers->len; i++) {
		const NatRelayServer *server = g_ptr_array_index(relay->servers, i);

		if (server->problem)
			return server->problem;
	}
	return "no TURN server has an address";
}

static gboolean
on_over(gpointer user_data)
{
	NatRelayRound *round = user_data;
	round->timer = 0;
	if (!round->problem)
		round->problem = g_strdup(resolve_problem(round->relay));
	nat_relay_round_over(round->seat, g_steal_pointer(&round->problem), round->credentials);
	return G_SOURCE_REMOVE;
}

/* Starts what is due; with nothing under way, the next at once. */
static void
step(NatRelayRound *round)
{
	gint64 now = g_get_monotonic_time();
	Attempt *next;

	g_clear_handle_id(&round->timer, g_source_remove);
	while ((next = next_planned(round)) != NULL &&
	       (next->at_us <= now || count_running(round) == 0)) {
		next->state = RUNNING;
		next->leg = nat_relay_leg_new(round->seat, next->uri, &next->server);
	}
	if (next)
		round->timer =
			g_timeout_add((guint)((next->at_us - now) / 1000) + 1, on_timer, round);
	else if (count_running(round) == 0 && !is_resolving(round->relay))
		round->timer = g_idle_add_full(G_PRIORITY_DEFAULT, on_over, round, NULL);
}

void
nat_relay_round_plan(NatRelayRound *round)
{
	NatRelay *relay = round->relay;

	for (guint t = 0; t < N_TRANSPORTS; t++) {
		for (guint i = 0; i < relay->servers->len; i++) {
			const NatRelayServer *server = g_ptr_array_index(relay->servers, i);

			for (guint a = 0; a < server->addrs->len; a++)
				plan(round, server->uri,
				     &g_array_index(server->addrs, WgEndpoint, a),
				     (NatTurnTransport)t);
		}
	}
	step(round);
}

NatRelayRound *
nat_relay_round_new(NatRelaySeat *seat)
{
	NatRelayRound *round = g_new0(NatRelayRound, 1);

	round->relay = seat->relay;
	round->seat = seat;
	round->started_us = g_get_monotonic_time();
	round->attempts = g_ptr_array_new_with_free_func(attempt_free);
	nat_relay_round_plan(round);
	return round;
}

/* ---- results ---- */

static Attempt *
attempt_of(const NatRelayRound *round, const NatRelayLeg *leg)
{
	for (guint i = 0; i < round->attempts->len; i++) {
		Attempt *attempt = g_ptr_array_index(round->attempts, i);

		if (attempt->leg == leg)
			return attempt;
	}
	return NULL;
}

/* What a person can act on counts more. */
static guint
weight(NatTurnFailure failure)
{
	switch (failure) {
	case NAT_TURN_CREDENTIALS:
		return 3;
	case NAT_TURN_QUOTA:
		return 2;
	case NAT_TURN_OTHER:
		return 1;
	case NAT_TURN_UNREACHABLE:
	case NAT_TURN_LOST:
		return 0;
	}
	return 0;
}

/* Between equals the preferred transport: it does not matter which of them failed first. */
static gboolean
tells_more(const NatRelayRound *round, const NatRelayLeg *leg, NatTurnFailure failure)
{
	if (!round->has_failure || weight(failure) != weight(round->failure))
		return !round->has_failure || weight(failure) > weight(round->failure);
	return leg->uri->transport < round->transport;
}

void
nat_relay_round_failed(NatRelayRound *round, NatRelayLeg *leg, NatTurnFailure failure,
		       const char *reason)
{
	Attempt *attempt = attempt_of(round, leg);

	nat_relay_servers_note(round->relay, leg, reason);
	if (tells_more(round, leg, failure)) {
		round->has_failure = TRUE;
		round->failure = failure;
		round->transport = leg->uri->transport;
		g_free(round->problem);
		round->problem = g_strdup_printf("%s: %s", leg->label, reason);
	}
	round->credentials |= failure == NAT_TURN_CREDENTIALS;
	if (attempt) {
		attempt->state = OVER;
		g_clear_pointer(&attempt->leg, nat_relay_leg_free);
	}
	step(round);
}

gboolean
nat_relay_round_steal(NatRelayRound *round, NatRelayLeg *leg)
{
	Attempt *attempt = attempt_of(round, leg);

	if (!attempt)
		return FALSE;
	attempt->leg = NULL;
	attempt->state = OVER;
	return TRUE;
}

gboolean
nat_relay_round_is_stale(const NatRelayRound *round)
{
	for (guint i = 0; i < round->attempts->len; i++) {
		const Attempt *attempt = g_ptr_array_index(round->attempts, i);

		if (attempt->leg && nat_relay_leg_is_stale(attempt->leg))
			return TRUE;
	}
	return FALSE;
}
