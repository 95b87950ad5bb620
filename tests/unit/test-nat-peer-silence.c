/* SPDX-License-Identifier: MIT */
/*
 * The watch over a proven path, once its search has ended. Slow: the release, the prober and ICE
 * have times of their own.
 */
#include "agent/peer/nat-peer-private.h"
#include "tests/unit/two-peers.h"

#define AGENTS(name, func)                                                                         \
	g_test_add("/peer-silence/" name, Agents, NULL, agents_set_up, func, agents_tear_down)

static void
test_proven_releases_the_search(Agents *f, gconstpointer data)
{
	if (!f->up)
		return;
	connect_both(f);
	g_assert_false(both_released(f));
	g_assert_true(hosts_wait(both_released, f, 20000));
	hosts_run(500);
	g_assert_true(both_measured(f));
	expect_direct(f);
}

static gboolean
a_released(gconstpointer data)
{
	return nat_peer_addresses(((const Agents *)data)->a.peer)->len == 0;
}

/* A path that dies and comes back, longer than a search lasts. */
static void
test_silence_and_back(Agents *f, gconstpointer data)
{
	if (!f->up)
		return;
	connect_both(f);
	g_assert_true(hosts_wait(both_released, f, 20000));
	f->talking = TRUE; /* a path at rest is asked for nothing */
	f->talking = TRUE; /* a path at rest is asked for nothing */
	agents_cut(f, TRUE);
	g_assert_true(hosts_wait(a_checking, f, 30000));
	/* the search ends (a session that WireGuard calls live is no excuse), a second one begins
	 */
	g_assert_true(hosts_wait(a_failed, f, 30000));
	g_assert_true(hosts_wait(a_checking, f, 30000));
	agents_cut(f, FALSE);
	g_assert_true(hosts_wait(both_measured, f, 60000));
	g_assert_true(hosts_wait(a_released, f, 70000));
	g_assert_true(both_measured(f));
	expect_direct(f);
	g_assert_cmpuint(f->a.replaces + f->b.replaces, ==, 0); /* the session lived */
}

/* By checks, or by the other pair that the first search found. */
static gboolean
a_looks_elsewhere(gconstpointer data)
{
	const Agents *f = data;

	return a_checking(f) || !leads_to_other(&f->a) || f->a.endpoint_writes > 1;
}

/* The peer moves to another address without its WireGuard telling us (a new uplink, idle). */
static void
test_silence_finds_another_path(Agents *f, gconstpointer data)
{
	gint64 began;

	if (!f->up)
		return;
	agent_offer(&f->a, "[fd09::1]:51820");
	agent_offer(&f->b, "[fd09::2]:51820");
	connect_both(f);
	g_assert_true(hosts_wait(both_released, f, 20000));
	f->talking = TRUE; /* a path at rest is asked for nothing */
	began = g_get_monotonic_time();
	f->cut_family = wg_endpoint_family(&f->a.wg->endpoint);
	host_enter(&f->hosts.b);
	net_run("nft add table inet cut");
	net_run("nft add chain inet cut in { type filter hook input priority 0; }");
	net_run("nft add rule inet cut in %s daddr %s drop",
		f->cut_family == AF_INET ? "ip" : "ip6",
		f->cut_family == AF_INET ? "10.9.0.2" : "fd09::2");
	host_enter(&f->hosts.a);
	f->handshakes = FALSE; /* nor do WireGuard's packets pass there */
	g_assert_true(hosts_wait(a_looks_elsewhere, f, 30000));
	f->handshakes = TRUE;
	g_assert_true(hosts_wait(both_measured, f, 30000));
	g_test_message("another path after %d ms", (int)((g_get_monotonic_time() - began) / 1000));
	g_assert_cmpuint(f->a.replaces + f->b.replaces, ==, 0);
}

/* Silence is found, and then the peer goes: what is left when the session has died is what the user
 * had. */
static void
test_silence_and_gone(Agents *f, gconstpointer data)
{
	WgEndpoint original = net_ep("198.51.100.7:51820");

	if (!f->up)
		return;
	f->a.wg->endpoint = original;
	hosts_run(50);
	connect_both(f);
	f->talking = TRUE;
	agents_cut(f, TRUE);
	g_assert_true(hosts_wait(a_failed, f, 60000));
	agent_stop(&f->b);
	nat_peer_presence(f->a.peer, FALSE);
	nat_peer_observe(f->a.peer, f->a.wg, g_get_monotonic_time() + 181 * G_USEC_PER_SEC,
			 g_get_real_time() / G_USEC_PER_SEC + 181);
	g_assert_true(a_waiting(f));
	g_assert_true(wg_endpoint_equal(&f->a.wg->endpoint, &original));
}

static gboolean
a_silent(gconstpointer data)
{
	const Agents *f = data;

	return f->a.peer->chosen != NULL && nat_watch_state(f->a.peer->chosen) == NAT_PAIR_DEAD;
}

static gboolean
both_elsewhere(gconstpointer data)
{
	const Agents *f = data;

	return both_measured(data) && leads_to_other(&f->a) && leads_to_other(&f->b) &&
	       !nat_peer_is_silent(f->a.peer) && !nat_peer_is_silent(f->b.peer);
}

/* The signaling server is away while the path dies: once it is back, another one is looked for at
 * once, and not when WireGuard's session has died too. */
static void
die_while_away(Agents *f)
{
	connect_both(f);
	g_assert_true(hosts_wait(both_released, f, 20000));
	f->down = TRUE;
	nat_peer_presence(f->a.peer, FALSE);
	nat_peer_presence(f->b.peer, FALSE);
	f->talking = TRUE;
	f->cut_family = AF_INET;
	host_enter(&f->hosts.b);
	net_run("nft add table inet cut");
	net_run("nft add chain inet cut in { type filter hook input priority 0; }");
	net_run("nft add rule inet cut in ip daddr 10.9.0.2 drop");
	host_enter(&f->hosts.a);
}

static void
expect_elsewhere(Agents *f)
{
	agent_offer(&f->a, "[fd09::1]:51820");
	agent_offer(&f->b, "[fd09::2]:51820");
	agents_meet(f);
	g_assert_true(hosts_wait(both_elsewhere, f, 15000));
	g_assert_cmpuint(f->a.replaces + f->b.replaces, ==, 0);
}

static void
test_dies_while_away(Agents *f, gconstpointer data)
{
	if (!f->up)
		return;
	die_while_away(f);
	g_assert_true(hosts_wait(a_silent, f, 30000));
	hosts_run(50);
	g_assert_true(both_connected(f)); /* as WireGuard has it */
	expect_elsewhere(f);
}

/* The pair, a relayed one say, goes as well: a bridge that leads nowhere is no connection. */
static void
test_pair_goes_while_away(Agents *f, gconstpointer data)
{
	if (!f->up)
		return;
	f->a.wg->endpoint = net_ep("198.51.100.7:51820");
	hosts_run(50);
	die_while_away(f);
	g_assert_true(hosts_wait(a_silent, f, 30000));
	f->talking = FALSE;
	nat_watch_remove(f->a.peer->chosen);
	f->a.wg->endpoint = net_ep("127.0.0.1:9");
	agent_observe(&f->a);
	g_assert_true(a_waiting(f));
}

/* We move while it is away, and nothing shows yet whether the path works from there. */
static void
test_moves_while_away(Agents *f, gconstpointer data)
{
	if (!f->up)
		return;
	connect_both(f);
	g_assert_true(hosts_wait(both_released, f, 20000));
	f->down = TRUE;
	nat_peer_presence(f->a.peer, FALSE);
	nat_peer_presence(f->b.peer, FALSE);
	net_run("ip addr add 10.9.0.7/24 dev core-a");
	net_run("ip route replace 10.9.0.0/24 dev core-a src 10.9.0.7");
	nat_peer_network_changed(f->a.peer);
	hosts_run(50);
	g_assert_true(both_connected(f));
	g_assert_true(nat_peer_is_silent(f->a.peer));
	agents_meet(f);
	g_assert_true(hosts_wait(a_checking, f, 15000));
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_log_set_writer_func(agents_log, NULL, NULL);
	AGENTS("proven-releases-the-search", test_proven_releases_the_search);
	AGENTS("dies-and-returns", test_silence_and_back);
	AGENTS("finds-another-path", test_silence_finds_another_path);
	AGENTS("silence-and-gone", test_silence_and_gone);
	AGENTS("dies-while-away", test_dies_while_away);
	AGENTS("pair-goes-while-away", test_pair_goes_while_away);
	AGENTS("moves-while-away", test_moves_while_away);
	return g_test_run();
}
