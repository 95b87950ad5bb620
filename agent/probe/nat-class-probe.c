/* SPDX-License-Identifier: MIT */
#include "agent/probe/nat-class-probe.h"

#include "agent/probe/nat-class-counter.h"
#include "agent/probe/nat-class-store.h"
#include "agent/probe/nat-class-test.h"
#include "agent/probe/nat-lifetime.h"

#include <string.h>

#define SEC ((gint64)G_USEC_PER_SEC)
#define DELAY_MS 500 /* the first search has sent most of its checks by then */
#define RENEW_S (7 * 24 * 3600)
/* Between two runs: of a NAT with a pool of addresses each mapping looks like another network. */
#define PAUSE_FIRST_S 2 /* then four times that, and so on */
#define PAUSE_MAX_S 3600
#define COUNTERS 8
/* Of delay_ms. A mapping that is UNKNOWN: until an other address of a server is given up, 2.4 s.
 * A doubt: 30 s, until the attempt is over that asked for the counter (5 s to agree, 20 s of
 * packets): a run would drive that on. */
#define DELAYS_UNKNOWN 6
#define DELAYS_DOUBT 60

typedef enum {
	UNKNOWN, /* no NAT is seen, or none was told */
	WAITING, /* for the next run */
	TESTING,
	KNOWN,
} State;

typedef struct {
	NatClassProbe *probe;
	guint id;
	NatClassRound *round;
	NatClassCounterFunc func;
	gpointer user_data;
} Counter;

struct NatClassProbe {
	char *ifname;
	guint32 fwmark;
	guint delay_ms;
	NatClassProbeFunc changed;
	gpointer user_data;

	NatClassStore *store;
	State state;
	NatClass nat;
	char *network; /* NULL: not known now */
	WgEndpoint local;
	WgEndpoint servers[NAT_CLASS_TEST_SERVERS];
	gsize n_servers;
	gint64 renew_us; /* KNOWN: no longer then */
	NatClassTest *test;
	guint timer; /* WAITING */
	gint64 ran_us;
	guint pause_s;	     /* before the next run; 0: none ran here */
	gint64 attempt_us;   /* one may last until then */
	GPtrArray *counters; /* of Counter */
	guint last_id;
};

static const char *
state_name(State state)
{
	switch (state) {
	case UNKNOWN:
		return "unknown";
	case WAITING:
		return "waiting";
	case TESTING:
		return "testing";
	case KNOWN:
		return "known";
	}
	return "?";
}

static void
set_state(NatClassProbe *probe, State state, const char *reason)
{
	if (state != probe->state)
		g_debug("%s: the NAT's class: %s → %s (%s)", probe->ifname,
			state_name(probe->state), state_name(state), reason);
	probe->state = state;
}

static void
set_class(NatClassProbe *probe, const NatClass *nat)
{
	if (nat_class_equal(nat, &probe->nat))
		return;
	probe->nat = *nat;
	probe->changed(probe->user_data);
}

/* ---- runs ---- */

static void plan(NatClassProbe *probe, const char *reason);

static void
stop(NatClassProbe *probe)
{
	g_clear_handle_id(&probe->timer, g_source_remove);
	g_clear_pointer(&probe->test, nat_class_test_free);
}

static void
known_for(NatClassProbe *probe, gint64 s)
{
	probe->renew_us = g_get_monotonic_time() + s * SEC;
}

static void
learn(NatClassProbe *probe, const NatClass *nat)
{
	g_autofree char *ports = nat_class_describe_ports(nat);

	nat_class_store_keep(probe->store, probe->network, nat, g_get_real_time() / SEC);
	known_for(probe, RENEW_S);
	set_state(probe, KNOWN, "tested");
	g_debug("%s: the NAT: mapping %s, filtering %s, ports %s", probe->ifname,
		nat_mapping_to_string(nat->mapping), nat_filtering_to_string(nat->filtering),
		ports);
	set_class(probe, nat);
}

static void
on_result(const NatClassResult *result, gpointer user_data)
{
	NatClassProbe *probe = user_data;
	NatClass nat = {.mapping = probe->nat.mapping, .filtering = result->filtering};

	nat_class_set_allocation(&nat, result->by_destination.ports != NAT_PORTS_UNKNOWN
					       ? &result->by_destination
					       : &result->by_source);
	g_debug("%s: %u requests to find out how the NAT behaves", probe->ifname,
		nat_class_test_sent(probe->test));
	g_clear_pointer(&probe->test, nat_class_test_free);
	if (nat.ports != NAT_PORTS_UNKNOWN)
		learn(probe, &nat);
	else
		plan(probe, "nothing was found out");
}

static gboolean
on_timer(gpointer user_data)
{
	NatClassProbe *probe = user_data;

	probe->timer = 0;
	probe->ran_us = g_get_monotonic_time();
	probe->pause_s = CLAMP(probe->pause_s * 4, PAUSE_FIRST_S, PAUSE_MAX_S);
	set_state(probe, TESTING, "it is time");
	probe->test = nat_class_test_new(&probe->local, probe->fwmark, probe->nat.mapping,
					 probe->servers, probe->n_servers, on_result, probe);
	return G_SOURCE_REMOVE;
}

/* Soon, or when the pause since the last run is over. */
static void
plan(NatClassProbe *probe, const char *reason)
{
	gint64 now = g_get_monotonic_time(), wait_ms = (probe->attempt_us - now) / 1000;
	guint delays = probe->nat.mapping == NAT_MAPPING_UNKNOWN ? DELAYS_UNKNOWN : 1;

	if (probe->pause_s > 0)
		wait_ms = MAX(wait_ms, (probe->ran_us + probe->pause_s * SEC - now) / 1000);
	stop(probe);
	set_state(probe, WAITING, reason);
	probe->timer =
		g_timeout_add((guint)MAX(wait_ms, probe->delay_ms * delays), on_timer, probe);
}

/* ---- networks ---- */

static void
enter_network(NatClassProbe *probe, NatMapping mapping)
{
	gint64 now_s = g_get_real_time() / SEC, probed_s;
	NatClass nat;
	gboolean found = nat_class_store_find(probe->store, probe->network, &nat, &probed_s);

	stop(probe);
	probe->attempt_us = 0; /* it was of another network */
	if (found) {
		/* a clock that was wrong then, or is now, costs one run at most */
		known_for(probe, CLAMP(probed_s + RENEW_S - now_s, 0, RENEW_S));
		set_state(probe, KNOWN, "remembered");
	}
	if (!found || mapping != NAT_MAPPING_UNKNOWN)
		nat.mapping = mapping;
	set_class(probe, &nat);
	if (!found)
		plan(probe, "an unknown network");
}

/* Is what was found out for another mapping true? That of P is learnt by and by. */
static void
verify(NatClassProbe *probe, NatMapping mapping)
{
	NatClass nat = probe->nat;
	gboolean contradicts = mapping != NAT_MAPPING_UNKNOWN &&
			       nat.mapping != NAT_MAPPING_UNKNOWN &&
			       nat_mapping_is_hard(mapping) != nat_mapping_is_hard(nat.mapping);

	if (mapping != NAT_MAPPING_UNKNOWN) {
		nat.mapping = mapping;
		set_class(probe, &nat);
	}
	switch (probe->state) {
	case UNKNOWN:
	case WAITING:
		break;
	case TESTING:
	case KNOWN:
		if (contradicts)
			plan(probe, "the mapping is of another kind");
		else if (probe->state == KNOWN && g_get_monotonic_time() > probe->renew_us)
			plan(probe, "it was long ago");
		break;
	}
}

void
nat_class_probe_set_nat(NatClassProbe *probe, const WgEndpoint *local,
			const WgEndpoint *public_endpoint, NatMapping mapping,
			const WgEndpoint *servers, gsize n)
{
	g_autofree char *network = nat_lifetime_network_id(local, public_endpoint);
	gboolean more = n > probe->n_servers || mapping != probe->nat.mapping;

	/* a run under way keeps the servers it has */
	probe->n_servers = MIN(n, NAT_CLASS_TEST_SERVERS);
	memcpy(probe->servers, servers, probe->n_servers * sizeof *servers);
	if (!wg_endpoint_same_address(local, &probe->local))
		probe->pause_s = 0; /* the host has moved */
	probe->local = *local;
	if (g_strcmp0(network, probe->network) == 0) {
		verify(probe, mapping);
		/* servers are just answering: the rest of them may do so as well */
		if (more && probe->state == WAITING)
			plan(probe, "more is known of the mapping");
		return;
	}
	g_free(probe->network);
	probe->network = g_steal_pointer(&network);
	enter_network(probe, mapping);
}

static void
forget(NatClassProbe *probe, NatMapping mapping, const char *reason)
{
	const NatClass nat = {.mapping = mapping};

	stop(probe);
	g_clear_pointer(&probe->network, g_free);
	probe->n_servers = 0;
	set_state(probe, UNKNOWN, reason);
	set_class(probe, &nat);
}

void
nat_class_probe_set_open(NatClassProbe *probe)
{
	if (probe->nat.mapping != NAT_MAPPING_NONE || probe->network != NULL)
		forget(probe, NAT_MAPPING_NONE, "our own address is the public one");
}

void
nat_class_probe_set_lost(NatClassProbe *probe)
{
	forget(probe, NAT_MAPPING_UNKNOWN, "another network");
}

void
nat_class_probe_set_fwmark(NatClassProbe *probe, guint32 fwmark)
{
	if (probe->fwmark == fwmark)
		return;
	probe->fwmark = fwmark;
	/* it may lead elsewhere: what is there will be said */
	probe->pause_s = 0;
	forget(probe, NAT_MAPPING_UNKNOWN, "another fwmark");
}

const WgEndpoint *
nat_class_probe_local(const NatClassProbe *probe)
{
	return probe->network != NULL ? &probe->local : NULL;
}

const NatClass *
nat_class_probe_class(const NatClassProbe *probe)
{
	return &probe->nat;
}

gboolean
nat_class_probe_is_testing(const NatClassProbe *probe)
{
	return probe->state == TESTING;
}

/* ---- the counter ---- */

static void
counter_free(gpointer data)
{
	Counter *counter = data;

	nat_class_round_free(counter->round);
	g_free(counter);
}

/* Another NAT has this public address now, or the same one another configuration. */
static void
doubt(NatClassProbe *probe)
{
	if (probe->state != KNOWN)
		return;
	probe->attempt_us = g_get_monotonic_time() + (gint64)probe->delay_ms * DELAYS_DOUBT * 1000;
	plan(probe, "its ports are not where they should be");
}

static void
on_counted(const NatClassCounter *seen, gpointer user_data)
{
	Counter *counter = user_data;
	NatClassCounterFunc func = counter->func;
	gpointer data = counter->user_data;

	if (seen != NULL && seen->out_of_step)
		doubt(counter->probe);
	g_ptr_array_remove_fast(counter->probe->counters, counter);
	func(seen, data);
}

guint
nat_class_probe_counter(NatClassProbe *probe, gsize n, NatClassCounterFunc func, gpointer user_data)
{
	Counter *counter;

	if (n == 0 || probe->n_servers == 0 || probe->counters->len == COUNTERS)
		return 0;
	counter = g_new0(Counter, 1);
	counter->probe = probe;
	counter->func = func;
	counter->user_data = user_data;
	counter->round = nat_class_round_new(&probe->local, probe->fwmark, &probe->servers[0], n,
					     probe->nat.step, on_counted, counter);
	if (counter->round == NULL) {
		counter_free(counter);
		return 0;
	}
	if (++probe->last_id == 0)
		probe->last_id = 1;
	counter->id = probe->last_id;
	g_ptr_array_add(probe->counters, counter);
	return counter->id;
}

void
nat_class_probe_counter_cancel(NatClassProbe *probe, guint id)
{
	for (guint i = 0; i < probe->counters->len; i++) {
		const Counter *counter = g_ptr_array_index(probe->counters, i);

		if (counter->id == id) {
			g_ptr_array_remove_index_fast(probe->counters, i);
			return;
		}
	}
}

/* ---- life ---- */

NatClassProbe *
nat_class_probe_new(const char *ifname, const char *state_dir, const WgKey *own_public,
		    guint32 fwmark, guint delay_ms, NatClassProbeFunc changed, gpointer user_data)
{
	NatClassProbe *probe = g_new0(NatClassProbe, 1);

	probe->ifname = g_strdup(ifname);
	probe->store = nat_class_store_new(state_dir, own_public);
	probe->fwmark = fwmark;
	probe->delay_ms = delay_ms > 0 ? delay_ms : DELAY_MS;
	probe->changed = changed;
	probe->user_data = user_data;
	probe->counters = g_ptr_array_new_with_free_func(counter_free);
	return probe;
}

void
nat_class_probe_free(NatClassProbe *probe)
{
	if (probe == NULL)
		return;
	stop(probe);
	g_ptr_array_unref(probe->counters);
	nat_class_store_free(probe->store);
	g_free(probe->network);
	g_free(probe->ifname);
	g_free(probe);
}
