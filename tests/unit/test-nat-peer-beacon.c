/* SPDX-License-Identifier: MIT */
/* Peers that have nothing but each other's beacons: no message ever passes between them. */
#include "tests/unit/two-peers.h"

#include <string.h>

typedef struct {
	guint64 generation;
	gboolean may;
	guint published;
} Inn;

static Inn inn_a, inn_b;

static Inn *
inn_of(const Agent *agent)
{
	return agent == &agent->agents->a ? &inn_a : &inn_b;
}

static guint64
env_generation(gpointer user_data)
{
	return inn_of(user_data)->generation;
}

static gboolean
env_may(gpointer user_data)
{
	return inn_of(user_data)->may;
}

static void
env_publish(gpointer user_data)
{
	inn_of(user_data)->published++;
}

static void
prepare(Agent *agent, guint64 generation)
{
	*inn_of(agent) = (Inn){.generation = generation, .may = TRUE};
	agent->env.generation = env_generation;
	agent->env.beacons_may = env_may;
	agent->env.publish = env_publish;
}

static void
set_up(Agents *f, gconstpointer data)
{
	agents_up(f);
	if (!f->up)
		return;
	prepare(&f->a, 1001);
	prepare(&f->b, 2002);
}

/* What the other one's record says now. */
static void
read_beacon(Agent *agent)
{
	Agent *other = agent->other;
	WgEndpoint unknown = {0};
	InnBeacon beacon = {
		.generation = inn_of(other)->generation,
		.watch = other->env.watch_id,
		.mapping = NAT_MAPPING_NONE,
	};

	for (guint i = 0; i < other->candidates->len; i++)
		beacon.candidates[beacon.n_candidates++] =
			g_array_index(other->candidates, NatCandidate, i);
	nat_peer_beacon(agent->peer, &beacon, &unknown);
}

static void
test_meet(Agents *f, gconstpointer data)
{
	if (!f->up)
		return;
	read_beacon(&f->a);
	g_assert_cmpint(nat_peer_state(f->a.peer), ==, NAT_PEER_CHECKING);
	hosts_run(1000); /* the other end reads later: these checks meet nobody */
	g_assert_false(agent_is(&f->a, NAT_PEER_CONNECTED));
	read_beacon(&f->b);
	g_assert_true(hosts_wait(both_connected, f, CONNECT_MS));
	g_assert_true(hosts_wait(both_measured, f, CONNECT_MS));
	expect_direct(f);
	g_assert_true(nat_peer_by_beacon(f->a.peer) && nat_peer_by_beacon(f->b.peer));
	g_assert_cmpuint(f->a.sent + f->b.sent, ==, 0);
}

/* Read again and again: nothing begins anew. */
static void
test_same_again(Agents *f, gconstpointer data)
{
	guint writes;

	if (!f->up)
		return;
	read_beacon(&f->a);
	read_beacon(&f->b);
	g_assert_true(hosts_wait(both_measured, f, CONNECT_MS));
	writes = f->a.endpoint_writes + f->b.endpoint_writes;
	for (guint i = 0; i < 5; i++) {
		read_beacon(&f->a);
		read_beacon(&f->b);
		hosts_run(200);
	}
	g_assert_true(both_connected(f));
	g_assert_cmpuint(f->a.endpoint_writes + f->b.endpoint_writes, ==, writes);
}

/* One end holds another generation of the other for the true one: nothing passes until it reads
 * again. */
static void
test_views_differ(Agents *f, gconstpointer data)
{
	if (!f->up)
		return;
	inn_b.generation = 1;
	read_beacon(&f->a);
	inn_b.generation = 2;
	read_beacon(&f->b);
	hosts_run(2000);
	g_assert_false(agent_is(&f->a, NAT_PEER_CONNECTED));
	g_assert_false(agent_is(&f->b, NAT_PEER_CONNECTED));
	read_beacon(&f->a);
	g_assert_true(hosts_wait(both_connected, f, CONNECT_MS));
}

/* The other agent is another process with a new generation: the tunnel is not moved. */
static void
test_restart(Agents *f, gconstpointer data)
{
	guint writes;

	if (!f->up)
		return;
	read_beacon(&f->a);
	read_beacon(&f->b);
	g_assert_true(hosts_wait(both_measured, f, CONNECT_MS));
	writes = f->a.endpoint_writes + f->b.endpoint_writes;
	agent_stop(&f->b);
	agent_start(&f->b);
	agent_observe(&f->b);
	inn_b.generation = 2003;
	read_beacon(&f->b);
	read_beacon(&f->a);
	g_assert_true(hosts_wait(both_measured, f, CONNECT_MS));
	hosts_run(1000);
	g_assert_true(both_connected(f));
	g_assert_cmpuint(f->a.endpoint_writes + f->b.endpoint_writes, ==, writes);
}

/* The signaling server comes into sight: messages count, beacons no longer; and back. */
static void
test_tiers(Agents *f, gconstpointer data)
{
	if (!f->up)
		return;
	read_beacon(&f->a);
	read_beacon(&f->b);
	g_assert_true(hosts_wait(both_measured, f, CONNECT_MS));
	agents_meet(f);
	hosts_run(500);
	g_assert_false(nat_peer_by_beacon(f->a.peer) || nat_peer_by_beacon(f->b.peer));
	g_assert_true(both_connected(f));
	read_beacon(&f->a);
	g_assert_false(nat_peer_by_beacon(f->a.peer));
	/* gone again: a search finds the other by its beacon */
	f->down = TRUE;
	nat_peer_presence(f->a.peer, FALSE);
	nat_peer_presence(f->b.peer, FALSE);
	g_assert_true(nat_peer_by_beacon(f->a.peer) && nat_peer_by_beacon(f->b.peer));
	agents_cut(f, TRUE);
	f->talking = TRUE;
	hosts_run(3000);
	agents_cut(f, FALSE);
	read_beacon(&f->a);
	read_beacon(&f->b);
	g_assert_true(hosts_wait(both_connected, f, 2 * CONNECT_MS));
}

/* Signaling is given time to say who is there. */
static void
test_tier1_first(Agents *f, gconstpointer data)
{
	if (!f->up)
		return;
	inn_a.may = inn_b.may = FALSE;
	read_beacon(&f->a);
	read_beacon(&f->b);
	hosts_run(300);
	g_assert_true(agent_is(&f->a, NAT_PEER_WAITING) && agent_is(&f->b, NAT_PEER_WAITING));
	connect_both(f);
	g_assert_false(nat_peer_by_beacon(f->a.peer));
	g_assert_cmpuint(inn_a.published, ==, 0);
}

/* The signaling server was tried and is not there before the innernet server was asked: who we are
 * to the others is not known yet. */
static void
test_unsettled(Agents *f, gconstpointer data)
{
	if (!f->up)
		return;
	inn_a.may = FALSE;
	read_beacon(&f->a);
	nat_peer_presence(f->a.peer, FALSE);
	g_assert_false(nat_peer_by_beacon(f->a.peer));
	g_assert_true(agent_is(&f->a, NAT_PEER_WAITING));
	inn_a.may = TRUE;
	inn_a.generation = 1002;
	f->a.env.watch_id++;
	read_beacon(&f->a);
	read_beacon(&f->b);
	g_assert_true(hosts_wait(both_connected, f, CONNECT_MS));
	g_assert_true(hosts_wait(both_measured, f, CONNECT_MS));
}

/* The record lost its beacon for good, and the tunnel is down. */
static void
test_lost(Agents *f, gconstpointer data)
{
	WgEndpoint unknown = {0};

	if (!f->up)
		return;
	read_beacon(&f->a);
	hosts_run(200);
	nat_peer_beacon(f->a.peer, NULL, &unknown);
	g_assert_false(nat_peer_by_beacon(f->a.peer));
	g_assert_true(hosts_wait(a_waiting, f, 2 * CONNECT_MS));
}

#define BEACONS(name, func)                                                                        \
	g_test_add("/peer-beacon/" name, Agents, NULL, set_up, func, agents_tear_down)

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_log_set_writer_func(agents_log, NULL, NULL);
	BEACONS("meet", test_meet);
	BEACONS("same-again", test_same_again);
	BEACONS("views-differ", test_views_differ);
	BEACONS("restart", test_restart);
	BEACONS("tiers", test_tiers);
	BEACONS("tier1-first", test_tier1_first);
	BEACONS("unsettled", test_unsettled);
	BEACONS("lost", test_lost);
	return g_test_run();
}
