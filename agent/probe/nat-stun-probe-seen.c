/* SPDX-License-Identifier: MIT */
/* What the answers tell. Nothing here asks. */
#include "agent/probe/nat-stun-probe-private.h"

GArray *
nat_stun_probe_public(NatStunProbe *probe)
{
	GArray *array = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));

	for (guint i = 0; i < probe->queries->len; i++) {
		const NatStunQuery *query = g_ptr_array_index(probe->queries, i);

		if (wg_endpoint_is_set(&query->mapped))
			wg_endpoint_array_add(array, &query->mapped, wg_endpoint_same);
	}
	return array;
}

GArray *
nat_stun_probe_seen_from(NatStunProbe *probe, const WgEndpoint *local)
{
	GArray *array = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));

	for (guint i = 0; i < probe->queries->len; i++) {
		const NatStunQuery *query = g_ptr_array_index(probe->queries, i);

		if (wg_endpoint_is_set(&query->mapped) &&
		    wg_endpoint_same_address(&query->source, local))
			wg_endpoint_array_add(array, &query->mapped, wg_endpoint_same);
	}
	return array;
}

GArray *
nat_stun_probe_sources(NatStunProbe *probe)
{
	GArray *array = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));

	for (guint i = 0; i < probe->queries->len; i++) {
		const NatStunQuery *query = g_ptr_array_index(probe->queries, i);
		WgEndpoint source;

		/* a server's word leads nowhere yet */
		if (!nat_stun_query_is_unproven(query) &&
		    nat_mux_source_for(probe->mux, &query->server, &source))
			wg_endpoint_array_add(array, &source, wg_endpoint_same);
	}
	return array;
}

GArray *
nat_stun_probe_candidates(NatStunProbe *probe)
{
	GArray *array = g_array_new(FALSE, FALSE, sizeof(NatCandidate));
	g_autoptr(GArray) seen = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));

	for (guint i = 0; i < probe->queries->len; i++) {
		const NatStunQuery *query = g_ptr_array_index(probe->queries, i);
		NatCandidate cand = {.type = NAT_CAND_SRFLX, .endpoint = query->mapped};
		guint before = seen->len;

		if (!wg_endpoint_is_set(&query->mapped) ||
		    wg_endpoint_equal(&query->mapped, &query->source))
			continue;
		wg_endpoint_array_add(seen, &query->mapped, wg_endpoint_same);
		if (seen->len > before)
			g_array_append_val(array, cand);
	}
	return array;
}

NatMapping
nat_stun_classify(const WgEndpoint *local, const NatStunAnswer *answers, gsize n)
{
	NatMapping mapping = NAT_MAPPING_UNKNOWN;

	for (gsize i = 0; i < n; i++)
		if (wg_endpoint_equal(&answers[i].mapped, local))
			return NAT_MAPPING_NONE;
	for (gsize i = 0; i < n; i++) {
		for (gsize j = i + 1; j < n; j++) {
			gboolean same = wg_endpoint_equal(&answers[i].mapped, &answers[j].mapped);

			if (!same &&
			    wg_endpoint_same_address(&answers[i].server, &answers[j].server))
				return NAT_MAPPING_ADDRESS_AND_PORT_DEPENDENT;
			if (!same)
				mapping = NAT_MAPPING_ADDRESS_DEPENDENT;
			else if (mapping == NAT_MAPPING_UNKNOWN)
				mapping = NAT_MAPPING_ENDPOINT_INDEPENDENT;
		}
	}
	return mapping;
}

static gboolean
have_one_address(const NatStunAnswer *answers, gsize n)
{
	for (gsize i = 1; i < n; i++)
		if (!wg_endpoint_same_address(&answers[i].server, &answers[0].server))
			return FALSE;
	return TRUE;
}

/* Another address is asked from there for the first time: what that says is not known yet. Asked
 * later, it does not shake what was said meanwhile. */
static gboolean
awaits_other(const NatStunProbe *probe, const WgEndpoint *source)
{
	for (guint i = 0; i < probe->queries->len; i++) {
		const NatStunQuery *query = g_ptr_array_index(probe->queries, i);

		if (nat_stun_query_is_unproven(query) && query->waiting && !query->late &&
		    wg_endpoint_equal(&query->source, source))
			return TRUE;
	}
	return FALSE;
}

/* Of what servers of one address show, "one mapping for all" is no more than a first impression. */
static NatMapping
classify_from(const NatStunProbe *probe, const WgEndpoint *source, const NatStunAnswer *answers,
	      gsize n)
{
	NatMapping mapping = nat_stun_classify(source, answers, n);

	if (mapping == NAT_MAPPING_ENDPOINT_INDEPENDENT && have_one_address(answers, n) &&
	    awaits_other(probe, source))
		return NAT_MAPPING_UNKNOWN;
	return mapping;
}

NatMapping
nat_stun_probe_mapping(NatStunProbe *probe)
{
	NatStunAnswer answers[NAT_STUN_SERVERS_MAX];
	NatMapping worst = NAT_MAPPING_UNKNOWN;

	/* Per local address, since each may have a NAT of its own; the worst one is shown. */
	for (guint i = 0; i < probe->queries->len; i++) {
		const NatStunQuery *first = g_ptr_array_index(probe->queries, i);
		gsize n = 0;
		NatMapping mapping;

		if (!wg_endpoint_is_set(&first->mapped))
			continue;
		for (guint j = 0; j < probe->queries->len; j++) {
			const NatStunQuery *query = g_ptr_array_index(probe->queries, j);

			if (!wg_endpoint_is_set(&query->mapped) ||
			    !wg_endpoint_equal(&query->source, &first->source))
				continue;
			answers[n].server = query->server;
			answers[n++].mapped = query->mapped;
		}
		mapping = classify_from(probe, &first->source, answers, n);
		worst = MAX(worst, mapping);
	}
	return worst;
}

gboolean
nat_stun_probe_is_silent(const NatStunProbe *probe)
{
	gboolean given_up = FALSE;

	for (guint i = 0; i < probe->queries->len; i++) {
		const NatStunQuery *query = g_ptr_array_index(probe->queries, i);

		/* One that is being asked for the first time may answer yet. */
		if (wg_endpoint_is_set(&query->mapped) ||
		    (query->waiting && !query->given_up && wg_endpoint_is_set(&query->source)))
			return FALSE;
		given_up |= query->given_up;
	}
	return given_up;
}

static gboolean
is_translated(const NatStunQuery *query)
{
	return wg_endpoint_is_set(&query->mapped) &&
	       !wg_endpoint_equal(&query->mapped, &query->source);
}

gboolean
nat_stun_probe_nat(NatStunProbe *probe, WgEndpoint *local, WgEndpoint *public_endpoint,
		   GArray *servers)
{
	const NatStunQuery *first = NULL;

	for (guint i = 0; i < probe->queries->len; i++) {
		const NatStunQuery *query = g_ptr_array_index(probe->queries, i);

		if (!is_translated(query))
			continue;
		if (first == NULL)
			first = query;
		if (wg_endpoint_equal(&query->source, &first->source))
			g_array_append_val(servers, query->server);
	}
	if (first == NULL)
		return FALSE;
	*local = first->source;
	*public_endpoint = first->mapped;
	return TRUE;
}
