/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation. Three stages, each of which ends when all that it began has called back:
 *
 *     servers    names are looked up, each server is asked by its transport
 *     families   the NAT's behaviour, by the STUN servers that have answered
 *     silence    with --slow, the mapping's lifetime
 *
 * and beside them, from the first to the second, the routers and NAT64. Blocking work is in
 * net-thread's threads; all of Run belongs to the main thread.
 */
#include "agent/netcheck/net-run.h"

#include "agent/net/nat-fib.h"
#include "agent/netcheck/net-name.h"
#include "agent/netcheck/net-nat64.h"
#include "agent/netcheck/net-probe.h"
#include "agent/netcheck/net-router.h"
#include "agent/netcheck/net-servers.h"
#include "agent/netcheck/net-silence.h"
#include "agent/netcheck/net-stun.h"
#include "agent/netcheck/net-thread.h"
#include "agent/netcheck/net-uplink.h"

#define SERVERS_WITHIN_MS 30000 /* three times what their own limits come to */
#define NAT64_WITHIN_MS 2000
#define PROGRESS_MS 1000

typedef struct Run Run;

typedef struct {
	Run *run;
	int af;
	NetFamily *family;
	WgEndpoint servers[NET_PROBE_SERVERS];
	gsize n;
} FamilyTest;

typedef struct {
	Run *run;
	NetRouter *router;
	int index;
} RouterTest;

struct Run {
	const NetRunParams *params;
	Netcheck *check;
	GMainLoop *loop;
	guint pending; /* of the stage */
	guint aside;   /* of what goes on beside the stages */
	gboolean last; /* the stage waits for that, too */
	NetServers *servers;
	GArray *stun; /* of NetStunResult: what the servers said */
	GPtrArray *routers;
	FamilyTest families[2]; /* IPv4, IPv6 */
	NetName *nat64_name;
	WgEndpoint nat64_to;
	int nat64_error;
	NetSilence *silence;
};

/* ---- stages ---- */

static void
check_stage(Run *run)
{
	if (run->pending == 0 && (!run->last || run->aside == 0))
		g_main_loop_quit(run->loop);
}

static void
ended(Run *run, guint *counter)
{
	(*counter)--;
	check_stage(run);
}

static void
wait_for_stage(Run *run)
{
	if (run->pending > 0 || (run->last && run->aside > 0))
		g_main_loop_run(run->loop);
}

static void
say(const Run *run, const char *text)
{
	if (run->params->progress)
		run->params->progress(text, run->params->user_data);
}

/* ---- servers ---- */

static void
on_servers(gpointer user_data)
{
	Run *run = user_data;

	run->stun = net_servers_stun(run->servers);
	g_clear_pointer(&run->servers, net_servers_free);
	ended(run, &run->pending);
}

static void
run_servers(Run *run)
{
	const NetServersNamed named = {run->params->stun, run->params->turn,
				       run->params->signal_url, SERVERS_WITHIN_MS};

	say(run, "asking the servers");
	run->pending++;
	run->servers = net_servers_new(run->check, &named, on_servers, run);
	wait_for_stage(run);
}

/* ---- routers ---- */

static void
run_router(gpointer data)
{
	const RouterTest *test = data;

	net_router_ask(test->router, test->index);
}

static void
on_router(gpointer data)
{
	const RouterTest *test = data;

	ended(test->run, &test->run->aside);
}

static gboolean
router_is_known(const Netcheck *check, const NetUplink *uplink)
{
	for (guint i = 0; i < check->routers->len; i++) {
		const NetRouter *router = g_ptr_array_index(check->routers, i);

		if (wg_endpoint_equal(&router->gateway, &uplink->gateway) &&
		    g_strcmp0(router->name, uplink->name) == 0)
			return TRUE;
	}
	return FALSE;
}

static void
start_routers(Run *run)
{
	for (guint i = 0; i < run->check->uplinks->len; i++) {
		const NetUplink *uplink = g_ptr_array_index(run->check->uplinks, i);
		RouterTest *test;

		if (!wg_endpoint_is_set(&uplink->gateway) || router_is_known(run->check, uplink))
			continue;
		test = g_new0(RouterTest, 1);
		test->run = run;
		test->router = netcheck_add_router(run->check, uplink->name, &uplink->gateway);
		test->index = uplink->index;
		g_ptr_array_add(run->routers, test);
		run->aside++;
		net_thread_run("netcheck-router", run_router, on_router, test);
	}
}

/* ---- NAT64 ---- */

static void
on_nat64_name(const WgEndpoint *addrs, gsize n, const char *problem, gpointer user_data)
{
	Run *run = user_data;
	NetNat64 *nat64 = &run->check->nat64;

	g_clear_pointer(&run->nat64_name, net_name_free);
	nat64->present = NET_NO;
	for (gsize i = 0; i < n && nat64->present == NET_NO; i++)
		if (net_nat64_prefix(&addrs[i], &nat64->prefix, &nat64->prefix_len))
			nat64->present = NET_YES;
	ended(run, &run->aside);
}

static void
start_nat64(Run *run)
{
	if (!run->check->v6.has_address)
		return;
	run->aside++;
	run->nat64_name = net_name_lookup(NET_NAT64_NAME, 0, TRUE, on_nat64_name, run);
}

static void
run_nat64(gpointer data)
{
	Run *run = data;
	double ms;

	run->nat64_error = net_stun_check(&run->nat64_to, NAT64_WITHIN_MS, &ms);
}

static void
on_nat64(gpointer data)
{
	Run *run = data;

	run->check->nat64.reaches = run->nat64_error == 0 ? NET_YES : NET_NO;
	ended(run, &run->pending);
}

/* An IPv4 address of a STUN server, by way of the NAT64. */
static void
start_through_nat64(Run *run)
{
	const NetNat64 *nat64 = &run->check->nat64;

	for (guint i = 0; nat64->present == NET_YES && i < run->stun->len; i++) {
		const NetStunResult *result = &g_array_index(run->stun, NetStunResult, i);

		if (!net_nat64_through(&nat64->prefix, nat64->prefix_len, &result->to,
				       &run->nat64_to) ||
		    wg_endpoint_is_bogus(&run->nat64_to))
			continue;
		run->pending++;
		net_thread_run("netcheck-nat64", run_nat64, on_nat64, run);
		return;
	}
}

/* ---- families ---- */

static gboolean
leads_out(int af, WgEndpoint *source)
{
	const WgEndpoint far = nat_fib_far(af);

	return net_stun_source(&far, source);
}

static gboolean
family_has(const FamilyTest *test, const WgEndpoint *server)
{
	for (gsize i = 0; i < test->n; i++)
		if (wg_endpoint_equal(&test->servers[i], server))
			return TRUE;
	return FALSE;
}

/* A relay that speaks no STUN is no sign that UDP does not pass. */
static void
gather_answer(FamilyTest *test, const NetStunResult *answer)
{
	NetFamily *family = test->family;

	if (wg_endpoint_family(&answer->to) != test->af || family_has(test, &answer->to))
		return;
	if (answer->error != 0) {
		family->servers += answer->named ? 1 : 0;
		return;
	}
	family->servers++;
	family->answered++;
	if (family->rtt_ms < 0 || answer->ms < family->rtt_ms)
		family->rtt_ms = answer->ms;
	if (test->n < NET_PROBE_SERVERS)
		test->servers[test->n++] = answer->to;
}

static void
gather(Run *run, FamilyTest *test)
{
	for (guint i = 0; i < run->stun->len; i++)
		gather_answer(test, &g_array_index(run->stun, NetStunResult, i));
	for (guint i = 0; i < run->check->servers->len; i++) {
		const NetServer *row = g_ptr_array_index(run->check->servers, i);

		if (g_strcmp0(row->transport, "udp") != 0 ||
		    wg_endpoint_family(&row->address) != test->af)
			continue;
		if (row->ok)
			test->family->udp_passes = TRUE;
		else if (g_strcmp0(row->kind, "turn") == 0)
			test->family->servers++;
	}
}

static void
run_family(gpointer data)
{
	FamilyTest *test = data;

	net_probe_family(test->af, test->servers, test->n, test->family);
}

static void
on_family(gpointer data)
{
	FamilyTest *test = data;

	ended(test->run, &test->run->pending);
}

static void
run_families(Run *run)
{
	say(run, "looking at what the NAT does");
	run->last = TRUE;
	for (gsize i = 0; i < G_N_ELEMENTS(run->families); i++) {
		FamilyTest *test = &run->families[i];

		gather(run, test);
		if (test->n == 0)
			continue;
		run->pending++;
		net_thread_run("netcheck-family", run_family, on_family, test);
	}
	wait_for_stage(run);
	start_through_nat64(run);
	wait_for_stage(run);
}

/* ---- silence ---- */

static void
on_silence(gpointer user_data)
{
	Run *run = user_data;

	ended(run, &run->pending);
}

static gboolean
on_progress(gpointer user_data)
{
	const Run *run = user_data;
	g_autofree char *text = g_strdup_printf(
		"waiting to see how long silent mappings survive: %u of at most %d s",
		net_silence_age_s(run->silence), NET_SILENCE_WITHIN_S);

	say(run, text);
	return G_SOURCE_CONTINUE;
}

/* By one family: that of the NAT, if there is one. */
static void
run_silence(Run *run)
{
	const FamilyTest *test = &run->families[run->families[0].n > 0 ? 0 : 1];
	guint progress;

	if (!run->params->slow || test->n == 0)
		return;
	run->pending++;
	run->silence =
		net_silence_new(test->servers, test->n, &test->family->lifetime, on_silence, run);
	progress = g_timeout_add(PROGRESS_MS, on_progress, run);
	wait_for_stage(run);
	g_source_remove(progress);
}

/* ---- all of it ---- */

static void
run_clear(Run *run)
{
	net_silence_free(run->silence);
	net_name_free(run->nat64_name);
	g_array_unref(run->stun);
	g_ptr_array_unref(run->routers);
	g_main_loop_unref(run->loop);
}

Netcheck *
net_run(const NetRunParams *params)
{
	Netcheck *check = netcheck_new();
	gint64 began_us = g_get_monotonic_time();
	Run run = {
		.params = params,
		.check = check,
		.loop = g_main_loop_new(NULL, FALSE),
		.routers = g_ptr_array_new_with_free_func(g_free),
	};

	run.families[0] = (FamilyTest){.run = &run, .af = AF_INET, .family = &check->v4};
	run.families[1] = (FamilyTest){.run = &run, .af = AF_INET6, .family = &check->v6};
	check->v4.has_address = leads_out(AF_INET, &check->v4.source);
	check->v6.has_address = leads_out(AF_INET6, &check->v6.source);
	net_uplink_find(check);
	start_routers(&run);
	start_nat64(&run);
	run_servers(&run);
	run_families(&run);
	run_silence(&run);
	run_clear(&run);
	check->took_s = (double)(g_get_monotonic_time() - began_us) / G_TIME_SPAN_SECOND;
	return check;
}
