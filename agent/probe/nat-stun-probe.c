/* SPDX-License-Identifier: MIT */
#include "agent/probe/nat-class-test.h"
#include "agent/probe/nat-stun-probe-private.h"

#include <sodium.h>
#include <string.h>

#define FIRST_RTO_MS 100 /* one packet: a fast retry is cheap and a lost one costs a connect */
#define MAX_SENDS 6	 /* at 0, 0.1, 0.3, 0.7, 1.5, 3.1 s */
#define FRESH_US G_USEC_PER_SEC
#define MAX_OTHERS 2 /* one of each address family will do */
/* A server's other address is its word only: until something answers from there it is asked twice,
 * late enough for any answer to come. */
#define OTHER_SENDS 2
#define OTHER_RTO_MS 800
#define OTHER_PRIORITY (G_PRIORITY_DEFAULT + 10) /* after a stall, what has come is read first */
#define OTHER_PAUSE_MIN_S 60			 /* then twice that, and so on */
#define OTHER_PAUSE_MAX_S 3600

static void
query_free(gpointer data)
{
	NatStunQuery *query = data;

	if (query->timer != 0)
		g_source_remove(query->timer);
	g_free(query);
}

static gboolean query_send(gpointer data);

static NatStunQuery *
find_query(GPtrArray *queries, const WgEndpoint *server)
{
	for (guint i = 0; i < queries->len; i++) {
		NatStunQuery *query = g_ptr_array_index(queries, i);

		if (wg_endpoint_equal(&query->server, server))
			return query;
	}
	return NULL;
}

/* Nobody is there, or both packets were lost: so it may be asked again, but ever more rarely. */
static void
query_forget(NatStunQuery *query)
{
	NatStunProbe *probe = query->probe;
	gboolean was_silent = nat_stun_probe_is_silent(probe);
	NatMapping before = nat_stun_probe_mapping(probe);
	NatStunQuery *leader = find_query(probe->queries, &query->leader);

	if (leader != NULL && leader->led) {
		leader->led = FALSE;
		leader->lead_pause_s =
			CLAMP(leader->lead_pause_s * 2, OTHER_PAUSE_MIN_S, OTHER_PAUSE_MAX_S);
		leader->lead_us = g_get_monotonic_time() + leader->lead_pause_s * G_USEC_PER_SEC;
	}
	g_ptr_array_remove(probe->queries, query);
	if (nat_stun_probe_is_silent(probe) != was_silent ||
	    nat_stun_probe_mapping(probe) != before)
		probe->changed(probe->user_data);
}

/* The query may be gone afterwards. */
static void
query_give_up(NatStunQuery *query)
{
	gboolean had = wg_endpoint_is_set(&query->mapped);
	gboolean was_silent = nat_stun_probe_is_silent(query->probe);

	if (nat_stun_query_is_unproven(query)) {
		query_forget(query);
		return;
	}
	query->waiting = FALSE;
	/* A server that is busy, or turns away who asks too often, says nothing of the mapping. */
	if (query->probe->keeping && had && !query->doubted) {
		query->doubted = TRUE;
		return;
	}
	query->given_up = wg_endpoint_is_set(&query->source);
	memset(&query->mapped, 0, sizeof query->mapped);
	if (had || nat_stun_probe_is_silent(query->probe) != was_silent)
		query->probe->changed(query->probe->user_data);
}

/* The route is asked each time: at the start of a host it may come later. A mapping belongs to the
 * local endpoint it was learnt from. */
static void
query_route(NatStunQuery *query)
{
	WgEndpoint source = {0};

	if (!nat_mux_source_for(query->probe->mux, &query->server, &source))
		memset(&source, 0, sizeof source);
	if (!wg_endpoint_equal(&source, &query->source)) {
		memset(&query->mapped, 0, sizeof query->mapped);
		query->given_up = query->led = FALSE;
		query->lead_pause_s = 0;
		query->lead_us = 0;
	}
	query->source = source;
}

/* Whether it may name its other address now. */
static gboolean
may_lead(const NatStunQuery *query)
{
	return !nat_stun_query_is_other(query) && !query->led &&
	       g_get_monotonic_time() >= query->lead_us;
}

/* The larger kind leaves room for OTHER-ADDRESS in an answer that may not be longer. */
static gsize
build(const NatStunQuery *query, guint8 *msg, gsize size)
{
	return may_lead(query) ? nat_stun_build_request_discover(msg, size, query->id, 0)
			       : nat_stun_build_request(msg, size, query->id, NULL, NULL);
}

static gboolean
query_send(gpointer data)
{
	NatStunQuery *query = data;
	gboolean unproven = nat_stun_query_is_unproven(query);
	guint8 msg[NAT_STUN_MAX];
	gsize len;

	query->timer = 0;
	if (query->sends == (unproven ? OTHER_SENDS : MAX_SENDS)) {
		query_give_up(query);
		return G_SOURCE_REMOVE;
	}
	query_route(query);
	if (wg_endpoint_is_set(&query->source)) {
		len = build(query, msg, sizeof msg);
		if (nat_mux_client_send(query->probe->client, &query->source, &query->server, msg,
					len))
			nat_stats_count(query->probe->stats, NAT_STAT_STUN_REQUESTS);
	}
	query->timer = g_timeout_add_full(unproven ? OTHER_PRIORITY : G_PRIORITY_DEFAULT,
					  (unproven ? OTHER_RTO_MS : FIRST_RTO_MS) << query->sends,
					  query_send, query, NULL);
	query->sends++;
	return G_SOURCE_REMOVE;
}

static void
query_start(NatStunQuery *query)
{
	if (query->timer != 0)
		g_source_remove(query->timer);
	query->sends = 0;
	query->waiting = TRUE;
	randombytes_buf(query->id, sizeof query->id);
	query_send(query);
}

/* ---- the other address of a server ---- */

static gboolean
knows_two_addresses(const NatStunProbe *probe, const NatStunQuery *query)
{
	guint others = 0;

	for (guint i = 0; i < probe->queries->len; i++) {
		const NatStunQuery *known = g_ptr_array_index(probe->queries, i);

		others += nat_stun_query_is_other(known);
		if (!known->given_up &&
		    wg_endpoint_family(&known->server) == wg_endpoint_family(&query->server) &&
		    !wg_endpoint_same_address(&known->server, &query->server))
			return TRUE;
	}
	return others >= MAX_OTHERS || probe->queries->len >= NAT_STUN_SERVERS_MAX;
}

/* Servers of one address show a mapping per address as one for all (RFC 5780 §4.3 asks the other
 * address for that). */
static void
follow(NatStunProbe *probe, NatStunQuery *query, const WgEndpoint *other)
{
	NatStunQuery *fresh;

	if (!may_lead(query) || !nat_class_may_ask(&query->server, other) ||
	    wg_endpoint_port(other) == 0 || knows_two_addresses(probe, query))
		return;
	query->led = TRUE;
	fresh = g_new0(NatStunQuery, 1);
	fresh->probe = probe;
	fresh->server = *other;
	fresh->leader = query->server;
	fresh->late = query->lead_pause_s > 0 ||
		      nat_stun_probe_mapping(probe) == NAT_MAPPING_ENDPOINT_INDEPENDENT;
	g_ptr_array_add(probe->queries, fresh);
	query_start(fresh);
}

static gboolean
is_answer(const NatStunQuery *query, const NatUdp *pkt, const NatStun *stun)
{
	return stun->klass == NAT_STUN_SUCCESS && !wg_endpoint_is_bogus(&stun->mapped) &&
	       wg_endpoint_port(&stun->mapped) != 0 &&
	       wg_endpoint_family(&stun->mapped) == wg_endpoint_family(&query->server) &&
	       (!nat_stun_query_is_other(query) || wg_endpoint_equal(&pkt->src, &query->server));
}

static void
on_response(const NatUdp *pkt, const NatStun *stun, gpointer user_data)
{
	NatStunProbe *probe = user_data;

	for (guint i = 0; i < probe->queries->len; i++) {
		NatStunQuery *query = g_ptr_array_index(probe->queries, i);

		if (!query->waiting || memcmp(query->id, stun->id, sizeof query->id) != 0)
			continue;
		if (!is_answer(query, pkt, stun))
			return;
		query->waiting = query->given_up = query->doubted = FALSE;
		query->proven = TRUE;
		g_clear_handle_id(&query->timer, g_source_remove);
		follow(probe, query, &stun->other);
		if (!wg_endpoint_equal(&query->mapped, &stun->mapped)) {
			query->mapped = stun->mapped;
			probe->changed(probe->user_data);
		}
		return;
	}
}

static const NatMuxFuncs MUX_FUNCS = {
	.response = on_response,
};

NatStunProbe *
nat_stun_probe_new(NatMux *mux, NatStunProbeFunc changed, gpointer user_data)
{
	NatStunProbe *probe = g_new0(NatStunProbe, 1);

	probe->mux = mux;
	probe->changed = changed;
	probe->user_data = user_data;
	probe->queries = g_ptr_array_new_with_free_func(query_free);
	probe->client = nat_mux_client_new(mux, NULL, &MUX_FUNCS, probe);
	return probe;
}

void
nat_stun_probe_free(NatStunProbe *probe)
{
	if (probe == NULL)
		return;
	g_clear_handle_id(&probe->keep_timer, g_source_remove);
	g_ptr_array_unref(probe->queries);
	nat_mux_client_free(probe->client);
	g_free(probe);
}

void
nat_stun_probe_set_stats(NatStunProbe *probe, NatStats *stats)
{
	probe->stats = stats;
}

static void
move_query(NatStunProbe *probe, NatStunQuery *query, GPtrArray *to)
{
	guint index = 0;

	g_ptr_array_find(probe->queries, query, &index);
	g_ptr_array_steal_index(probe->queries, index);
	g_ptr_array_add(to, query);
}

static void
keep_others(NatStunProbe *probe, GPtrArray *fresh)
{
	for (guint i = probe->queries->len; i-- > 0;) {
		NatStunQuery *query = g_ptr_array_index(probe->queries, i);

		if (nat_stun_query_is_other(query) && fresh->len < NAT_STUN_SERVERS_MAX &&
		    find_query(fresh, &query->leader) != NULL)
			move_query(probe, query, fresh);
	}
}

void
nat_stun_probe_set_servers(NatStunProbe *probe, const WgEndpoint *servers, gsize n)
{
	GPtrArray *fresh = g_ptr_array_new_with_free_func(query_free);

	for (gsize i = 0; i < n && fresh->len < NAT_STUN_SERVERS_MAX; i++) {
		NatStunQuery *query = find_query(probe->queries, &servers[i]);

		if (find_query(fresh, &servers[i]) != NULL)
			continue;
		if (query != NULL) {
			/* Known or under way already: what it learnt stays. */
			memset(&query->leader, 0, sizeof query->leader);
			move_query(probe, query, fresh);
			continue;
		}
		query = g_new0(NatStunQuery, 1);
		query->probe = probe;
		query->server = servers[i];
		g_ptr_array_add(fresh, query);
		query_start(query);
	}
	keep_others(probe, fresh);
	g_ptr_array_unref(probe->queries);
	probe->queries = fresh;
	probe->started_us = g_get_monotonic_time();
	probe->changed(probe->user_data);
}

static void
run(NatStunProbe *probe, gboolean keeping)
{
	probe->started_us = g_get_monotonic_time();
	probe->keeping = keeping;
	for (guint i = 0; i < probe->queries->len; i++) {
		NatStunQuery *query = g_ptr_array_index(probe->queries, i);

		if (!nat_stun_query_is_unproven(query))
			query_start(query);
	}
}

static gboolean
is_fresh(const NatStunProbe *probe)
{
	return g_get_monotonic_time() - probe->started_us < FRESH_US;
}

void
nat_stun_probe_run(NatStunProbe *probe, gboolean force)
{
	if (force || !is_fresh(probe))
		run(probe, FALSE);
}

static gboolean
on_keep(gpointer user_data)
{
	NatStunProbe *probe = user_data;

	if (!is_fresh(probe))
		run(probe, TRUE);
	return G_SOURCE_CONTINUE;
}

void
nat_stun_probe_set_keep(NatStunProbe *probe, guint seconds)
{
	if (seconds == probe->keep_s)
		return;
	probe->keep_s = seconds;
	g_clear_handle_id(&probe->keep_timer, g_source_remove);
	if (seconds == 0)
		return;
	probe->keep_timer = g_timeout_add_seconds(seconds, on_keep, probe);
	if (probe->started_us != 0 &&
	    g_get_monotonic_time() - probe->started_us > seconds * G_USEC_PER_SEC)
		nat_stun_probe_run(probe, FALSE);
}
