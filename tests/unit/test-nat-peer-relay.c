/* SPDX-License-Identifier: MIT */
/*
 * A peer's tunnel over a real TURN server: when it comes to the relay, how it leaves it, and what
 * is left behind. Once with the relay held by the end that chooses, once by the one that follows.
 */
#include "agent/peer/nat-peer-pair.h"
#include "agent/relay/nat-relay-private.h"
#include "agent/session/nat-msg.h"
#include "tests/unit/relayed-peers.h"

#define FOLLOWER ((gconstpointer) "follower")

static void
set_up(World *w, gconstpointer data)
{
	world_up(w, data == FOLLOWER);
}

static void
tear_down(World *w, gconstpointer data)
{
	world_down(w);
}

static void
meet_on_relay(World *w)
{
	world_cut(w, TRUE);
	agents_meet(&w->agents);
	g_assert_true(hosts_wait(both_on_relay, w, CONNECT_MS));
	g_assert_true(world_carries(w, 20000));
}

static void
meet_directly(World *w)
{
	agents_meet(&w->agents);
	g_assert_true(hosts_wait(both_on_direct, w, CONNECT_MS));
	g_assert_true(world_carries(w, 20000));
}

static gboolean
both_have_sessions(gconstpointer data)
{
	const World *w = data;

	return w->a.session != 0 && w->a.session == w->b.session;
}

static void
test_no_direct_path(World *w, gconstpointer data)
{
	gint64 began;

	if (!w->up)
		return;
	world_cut(w, TRUE);
	began = g_get_monotonic_time();
	agents_meet(&w->agents);
	g_assert_true(hosts_wait(both_have_sessions, w, CONNECT_MS));
	g_test_message("relayed after %d ms", (int)((g_get_monotonic_time() - began) / 1000));
	g_assert_true(hosts_wait(both_on_relay, w, 20000));
	g_assert_true(world_carries(w, 20000));
}

/* A direct path that is there is waited for: the relay is not taken first. */
static void
test_direct_comes_first(World *w, gconstpointer data)
{
	gint64 began, took_ms;
	guint moves;

	if (!w->up)
		return;
	began = g_get_monotonic_time();
	meet_directly(w);
	took_ms = (g_get_monotonic_time() - began) / 1000;
	hosts_run(3000);
	g_assert_true(both_on_direct(w));
	moves = row_of(&w->agents.a).moves + row_of(&w->agents.b).moves;
	/* it is not waited for for long: a loaded machine may be later */
	if (took_ms < 400)
		g_assert_cmpuint(moves, ==, 0);
	else
		g_test_message("met after %d ms, by %u moves", (int)took_ms, moves);
}

static void
test_direct_appears(World *w, gconstpointer data)
{
	guint moves, writes;

	if (!w->up)
		return;
	meet_on_relay(w);
	w->agents.talking = TRUE;
	hosts_run(1000);
	moves = row_of(&w->agents.a).moves;
	world_cut(w, FALSE);
	expect_reason(&w->agents, "relayed-direct-coming", 40000);
	g_assert_true(hosts_wait(both_on_direct, w, 40000));
	g_assert_cmpuint(row_of(&w->agents.a).moves, ==, moves + 1);
	/* and stays */
	hosts_run(4000);
	writes = w->agents.a.endpoint_writes + w->agents.b.endpoint_writes;
	hosts_run(3000);
	g_assert_true(both_on_direct(w));
	g_assert_cmpuint(row_of(&w->agents.a).moves, ==, moves + 1);
	g_assert_cmpuint(w->agents.a.endpoint_writes + w->agents.b.endpoint_writes, ==, writes);
	g_assert_true(world_carries(w, 20000));
}

static gboolean
both_have_standbys(gconstpointer data)
{
	const World *w = data;

	return row_of(&w->agents.a).standby && row_of(&w->agents.b).standby;
}

static void
deal_standbys(World *w, gboolean deal)
{
	nat_peer_set_standby(w->agents.a.peer, deal);
	nat_peer_set_standby(w->agents.b.peer, deal);
}

static void
test_direct_dies_under_traffic(World *w, gconstpointer data)
{
	gint64 began;
	guint a, b;

	if (!w->up)
		return;
	meet_directly(w);
	w->agents.talking = TRUE;
	hosts_run(200);
	deal_standbys(w, TRUE);
	g_assert_true(hosts_wait(both_have_standbys, w, 20000));
	hosts_run(1000);
	world_cut(w, TRUE);
	began = g_get_monotonic_time();
	g_assert_true(hosts_wait(both_on_relay, w, 20000));
	a = w->a.accepted;
	b = w->b.accepted;
	while ((w->a.accepted == a || w->b.accepted == b) &&
	       g_get_monotonic_time() - began < 20 * G_TIME_SPAN_SECOND)
		hosts_run(10);
	g_test_message("by the relay after %d ms", (int)((g_get_monotonic_time() - began) / 1000));
	g_assert_cmpint(g_get_monotonic_time() - began, <, 20 * G_TIME_SPAN_SECOND);
	g_assert_cmpuint(w->agents.a.replaces + w->agents.b.replaces, ==, 0);
	/* and back */
	world_cut(w, FALSE);
	expect_reason(&w->agents, "relayed-held-down", 40000);
	g_assert_true(hosts_wait(both_on_direct, w, 40000));
}

static void
test_wireguard_is_dropped(World *w, gconstpointer data)
{
	if (!w->up)
		return;
	w->direct_drops_wireguard = TRUE;
	agents_meet(&w->agents);
	g_assert_true(hosts_wait(both_on_relay, w, CONNECT_MS));
	g_assert_true(world_carries(w, 20000));
	/* it is not tried again at once, however well STUN passes there */
	hosts_run(5000);
	g_assert_true(both_on_relay(w));
	g_assert_true(world_carries(w, 20000));
	g_test_message("%s", row_of(&w->agents.a).why);
	g_assert_nonnull(strstr(row_of(&w->agents.a).why, "WireGuard"));
	g_assert_nonnull(strstr(row_of(&w->agents.b).why, "WireGuard"));
}

/* A firewall learns to drop WireGuard on a path that carried it. */
static void
test_wireguard_is_dropped_later(World *w, gconstpointer data)
{
	if (!w->up)
		return;
	meet_directly(w);
	w->agents.talking = TRUE;
	hosts_run(200);
	deal_standbys(w, TRUE);
	g_assert_true(hosts_wait(both_have_standbys, w, 20000));
	w->direct_drops_wireguard = TRUE;
	g_assert_true(hosts_wait(both_on_relay, w, 30000));
	expect_reason(&w->agents, "relayed-wireguard-retry", 20000);
	g_assert_true(world_carries(w, 20000));
}

static gboolean
both_failed(gconstpointer data)
{
	const World *w = data;

	return agent_is(&w->agents.a, NAT_PEER_FAILED) && agent_is(&w->agents.b, NAT_PEER_FAILED);
}

static gboolean
both_failed_on_relay(gconstpointer data)
{
	const World *w = data;
	NatWatchPair *a = w->agents.a.peer->chosen, *b = w->agents.b.peer->chosen;

	return both_failed(w) && a != NULL && nat_watch_is_relay(a) &&
	       nat_pair_info(a)->failures > 0 && b != NULL && nat_watch_is_relay(b);
}

/* The relay is all there is, and WireGuard's packets do not pass for a while (a preshared key that
 * only one end has yet): it is tried again. */
static void
fail_on_relay(World *w)
{
	world_cut(w, TRUE);
	w->agents.handshakes = FALSE;
	agents_meet(&w->agents);
	g_assert_true(hosts_wait(both_failed_on_relay, w, 90000));
}

static void
expect_relayed_again(World *w)
{
	gint64 began;

	w->agents.handshakes = TRUE;
	began = g_get_monotonic_time();
	g_assert_true(hosts_wait(both_on_relay, w, 90000));
	g_test_message("relayed after %d ms", (int)((g_get_monotonic_time() - began) / 1000));
	g_assert_true(world_carries(w, 20000));
}

static void
test_relay_proof_fails(World *w, gconstpointer data)
{
	if (!w->up)
		return;
	fail_on_relay(w);
	expect_relayed_again(w);
}

/* The same, and it lasted: with nothing else to use nobody waits for an hour. */
static void
test_relay_proof_fails_often(World *w, gconstpointer data)
{
	if (!w->up)
		return;
	fail_on_relay(w);
	for (int i = 0; i < 5; i++) {
		nat_pair_block(w->agents.a.peer, w->agents.a.peer->chosen);
		nat_pair_block(w->agents.b.peer, w->agents.b.peer->chosen);
	}
	expect_relayed_again(w);
}

static void
lose_session(Wire *wire)
{
	wire->session = wire->offered = 0;
	wire->agent->wg->last_handshake_s = wire->agent->wg->last_handshake_ns = 0;
	nat_path_reset(wire->agent->peer->path); /* as of a session that grew too old */
}

/* The session grows too old, while the relay goes on answering. */
static void
test_relayed_session_expires(World *w, gconstpointer data)
{
	if (!w->up)
		return;
	meet_on_relay(w);
	hosts_run(4000); /* what settles has settled */
	w->agents.handshakes = FALSE;
	lose_session(&w->a);
	lose_session(&w->b);
	g_assert_true(hosts_wait(both_failed, w, 90000));
	expect_relayed_again(w);
}

static gboolean
relay_is_lost(gconstpointer data)
{
	return nat_relay_state(((const World *)data)->relay) != NAT_RELAY_UP;
}

static void
test_allocation_lost(World *w, gconstpointer data)
{
	if (!w->up)
		return;
	meet_on_relay(w);
	w->agents.talking = TRUE;
	hosts_run(500);
	coturn_kill(&w->coturn);
	g_assert_true(hosts_wait(relay_is_lost, w, 60000));
	world_start_coturn(w);
	g_assert_true(hosts_wait(both_on_relay, w, 60000));
	g_assert_true(world_carries(w, 20000));
}

/* Killed, not stopped: its loopback endpoint is left behind. */
static void
test_holder_killed(World *w, gconstpointer data)
{
	if (!w->up)
		return;
	meet_on_relay(w);
	g_assert_true(wg_endpoint_is_bogus(&w->holder->wg->endpoint));
	world_kill(w, w->holder);
	g_assert_true(wg_endpoint_is_bogus(&w->holder->wg->endpoint));
	world_start(w, w->holder);
	g_assert_true(hosts_wait(both_on_relay, w, 30000));
	g_assert_true(world_carries(w, 20000));
}

static gboolean
is_connected(gconstpointer data)
{
	return agent_is(data, NAT_PEER_CONNECTED);
}

static void
test_other_killed(World *w, gconstpointer data)
{
	if (!w->up)
		return;
	meet_on_relay(w);
	world_kill(w, w->holder->other);
	hosts_run(300);
	world_start(w, w->holder->other);
	hosts_run(300);
	g_assert_true(hosts_wait(both_on_relay, w, 30000));
	g_assert_true(world_carries(w, 20000));
}

/* The new agent finds the tunnel alive, by an address it knows nothing of, before it hears that
 * this is the other's relay. */
static void
test_other_killed_unheard(World *w, gconstpointer data)
{
	Agent *other;

	if (!w->up)
		return;
	meet_on_relay(w);
	other = w->holder->other;
	world_kill(w, other);
	w->agents.down = TRUE;
	world_start(w, other);
	g_assert_true(hosts_wait(is_connected, other, 30000));
	g_assert_false(on_relay(other));
	agents_meet(&w->agents);
	g_assert_true(hosts_wait(both_on_relay, w, 30000));
	g_assert_true(world_carries(w, 20000));
}

/* Whose agent is stopped gets back the endpoint it had, or none. */
static void
test_stopped_on_relay(World *w, gconstpointer data)
{
	if (!w->up)
		return;
	meet_on_relay(w);
	agent_stop(w->holder);
	g_assert_false(wg_endpoint_is_set(&w->holder->wg->endpoint));
	g_assert_cmpuint(w->holder->wg->keepalive, ==, 0);
}

/* The holder's peer as its user set it, and as it must be again when the agent is stopped. */
static WgEndpoint
set_original(World *w)
{
	w->holder->wg->endpoint = net_ep("10.9.0.99:51820");
	w->holder->wg->keepalive = 17;
	agent_observe(w->holder);
	return w->holder->wg->endpoint;
}

static void
stop_with_original(World *w, const WgEndpoint *original)
{
	agent_stop(w->holder);
	g_assert_true(wg_endpoint_equal(&w->holder->wg->endpoint, original));
	g_assert_cmpuint(w->holder->wg->keepalive, ==, 17);
}

static void
test_stopped_on_relay_with_an_original(World *w, gconstpointer data)
{
	WgEndpoint original;

	if (!w->up)
		return;
	original = set_original(w);
	meet_on_relay(w);
	stop_with_original(w, &original);
}

/* The other end's packet comes by the bridge, and moves the endpoint, before this end has written
 * anything. */
static void
test_stopped_moved_but_not_by_us(World *w, gconstpointer data)
{
	WgEndpoint original;

	if (!w->up)
		return;
	original = set_original(w);
	w->holder->wg->endpoint = net_ep("127.0.0.1:40000");
	agent_observe(w->holder);
	meet_on_relay(w);
	stop_with_original(w, &original);
}

/* Stopped before anybody has read what was written last. */
static void
test_stopped_right_after_the_write(World *w, gconstpointer data)
{
	if (!w->up)
		return;
	world_cut(w, TRUE);
	agents_meet(&w->agents);
	/* nobody looks at the device from here on */
	g_source_remove(w->tick);
	while (!wg_endpoint_is_set(&w->holder->wg->endpoint) ||
	       !wg_endpoint_is_bogus(&w->holder->wg->endpoint))
		g_main_context_iteration(NULL, TRUE);
	g_assert_true(wg_endpoint_is_bogus(&w->holder->wg->endpoint));
	agent_stop(w->holder);
	g_assert_false(wg_endpoint_is_set(&w->holder->wg->endpoint) &&
		       wg_endpoint_is_bogus(&w->holder->wg->endpoint));
	w->tick = g_timeout_add(1000, world_tick, w);
}

/* A peer of many addresses: what a relay really sees of it is let in first. So is the relayed
 * address of a holder that has more than a message takes. */
static void
test_many_addresses(World *w, gconstpointer data)
{
	NatCandidate last;
	GArray *own;

	if (!w->up)
		return;
	own = w->holder->other->candidates;
	last = g_array_index(own, NatCandidate, own->len - 1);
	g_assert_cmpint(last.type, ==, NAT_CAND_SRFLX);
	g_array_set_size(own, own->len - 1);
	for (int i = 0; i < 10; i++) {
		g_autofree char *text = g_strdup_printf("[2001:db8::%d]:51820", i + 1);

		agent_offer(w->holder->other, text);
	}
	g_array_append_val(own, last);
	for (int i = 0; i < NAT_MSG_MAX_CANDIDATES; i++) {
		g_autofree char *text = g_strdup_printf("[2001:db8:1::%d]:51820", i + 1);

		agent_offer(w->holder, text);
	}
	meet_on_relay(w);
}

static gboolean
nothing_is_bridged(gconstpointer data)
{
	const NatRelay *relay = ((const World *)data)->relay;

	return relay->main.leg == NULL || relay->main.leg->bridges->len == 0;
}

static gboolean
something_is_bridged(gconstpointer data)
{
	return !nothing_is_bridged(data);
}

/* Without a standby the allocation can be given back. */
static void
test_standby_dealt_and_dropped(World *w, gconstpointer data)
{
	if (!w->up)
		return;
	meet_directly(w);
	w->agents.talking = TRUE;
	hosts_run(200);
	deal_standbys(w, TRUE);
	g_assert_true(hosts_wait(both_have_standbys, w, 20000));
	g_assert_false(nothing_is_bridged(w));
	hosts_run(12000); /* the search has ended */
	g_assert_true(both_have_standbys(w));
	deal_standbys(w, FALSE);
	g_assert_true(hosts_wait(nothing_is_bridged, w, 20000));
	hosts_run(2000);
	g_assert_true(nothing_is_bridged(w));
	g_assert_true(both_on_direct(w));
	/* and dealt again */
	deal_standbys(w, TRUE);
	g_assert_true(hosts_wait(both_have_standbys, w, 20000));
	g_assert_true(hosts_wait(something_is_bridged, w, 20000));
}

/* ---- a second server ---- */

static gboolean
has_spare(gconstpointer data)
{
	return wg_endpoint_is_set(nat_relay_spare_address(((const World *)data)->relay));
}

static gboolean
uses_known(gconstpointer data)
{
	const World *w = data;
	const WgEndpoint *relayed = nat_peer_relayed(w->holder->peer);

	return both_on_relay(w) && relayed != NULL && wg_endpoint_equal(relayed, &w->known);
}

static gboolean
known_is_main(gconstpointer data)
{
	const World *w = data;

	return wg_endpoint_equal(nat_relay_address(w->relay), &w->known);
}

/* Relayed by one server, under traffic, with the other one's spare ready at both ends. */
static void
meet_with_spare(World *w)
{
	world_add_server(w);
	meet_on_relay(w);
	w->agents.talking = TRUE;
	hosts_run(200);
	deal_standbys(w, TRUE);
	g_assert_true(hosts_wait(has_spare, w, 20000));
	w->known = *nat_relay_spare_address(w->relay);
	g_assert_true(hosts_wait(both_have_standbys, w, 20000));
	hosts_run(1000);
}

static void
test_server_killed(World *w, gconstpointer data)
{
	gint64 began;
	guint a, b;

	if (!w->up)
		return;
	meet_with_spare(w);
	a = row_of(&w->agents.a).moves;
	coturn_kill(&w->coturn);
	began = g_get_monotonic_time();
	g_assert_true(hosts_wait(uses_known, w, 20000));
	/* the holder may be the first to go there */
	for (int i = 0; i < 1000 && row_of(&w->agents.a).moves == a; i++)
		hosts_run(20);
	g_assert_cmpuint(row_of(&w->agents.a).moves, ==, a + 1);
	a = w->a.accepted;
	b = w->b.accepted;
	while ((w->a.accepted == a || w->b.accepted == b) &&
	       g_get_monotonic_time() - began < 20 * G_TIME_SPAN_SECOND)
		hosts_run(10);
	g_test_message("by the other server after %d ms",
		       (int)((g_get_monotonic_time() - began) / 1000));
	g_assert_cmpint(g_get_monotonic_time() - began, <, 20 * G_TIME_SPAN_SECOND);
	g_assert_cmpuint(w->agents.a.replaces + w->agents.b.replaces, ==, 0);
	/* the allocation is the one that was there */
	g_assert_true(hosts_wait(known_is_main, w, 20000));
	g_assert_true(uses_known(w));
	/* and the first server, when it is back, has the next spare */
	world_start_coturn(w);
	g_assert_true(hosts_wait(has_spare, w, 30000));
	g_assert_true(uses_known(w));
	g_assert_true(world_carries(w, 20000));
}

/* The spare's server dies: nobody notices. */
static void
test_spare_server_killed(World *w, gconstpointer data)
{
	guint moves;

	if (!w->up)
		return;
	meet_with_spare(w);
	moves = row_of(&w->agents.a).moves;
	coturn_kill(&w->spare_coturn);
	nat_relay_check(w->relay, &w->known);
	for (int i = 0; i < 200 && has_spare(w); i++)
		hosts_run(50);
	g_assert_false(has_spare(w));
	hosts_run(2000);
	g_assert_true(both_on_relay(w));
	g_assert_cmpuint(row_of(&w->agents.a).moves, ==, moves);
	g_assert_null(nat_relay_problem(w->relay));
	g_assert_true(world_carries(w, 20000));
}

static gboolean
spare_is_let_go(gconstpointer data)
{
	const NatRelay *relay = ((const World *)data)->relay;

	return !relay->spare.wanted &&
	       (relay->spare.leg == NULL || relay->spare.leg->bridges->len == 0);
}

static gboolean
spare_is_held(gconstpointer data)
{
	return !spare_is_let_go(data);
}

static void
test_spare_only_where_due(World *w, gconstpointer data)
{
	if (!w->up)
		return;
	world_add_server(w);
	meet_on_relay(w);
	w->agents.talking = TRUE;
	hosts_run(2500);
	g_assert_false(has_spare(w));
	deal_standbys(w, TRUE);
	g_assert_true(hosts_wait(has_spare, w, 20000));
	deal_standbys(w, FALSE);
	g_assert_true(hosts_wait(spare_is_let_go, w, 20000));
	hosts_run(2000);
	g_assert_true(spare_is_let_go(w));
	deal_standbys(w, TRUE);
	g_assert_true(hosts_wait(spare_is_held, w, 20000));
	/* a direct path has the main one as its standby */
	world_cut(w, FALSE);
	g_assert_true(hosts_wait(both_on_direct, w, 40000));
	g_assert_true(hosts_wait(spare_is_let_go, w, 20000));
	g_assert_true(hosts_wait(both_have_standbys, w, 20000));
}

/* name: "comes/…", "goes/…", "ends/…" or "spare/…": these groups run side by side. */
static void
add(const char *name, void (*func)(World *w, gconstpointer data))
{
	g_autofree char *chooser = g_strdup_printf("/peer-relay/chooser-%s", name);
	g_autofree char *follower = g_strdup_printf("/peer-relay/follower-%s", name);

	g_test_add(chooser, World, NULL, set_up, func, tear_down);
	g_test_add(follower, World, FOLLOWER, set_up, func, tear_down);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_log_set_writer_func(agents_log, NULL, NULL);
	add("comes/no-direct-path", test_no_direct_path);
	add("comes/direct-comes-first", test_direct_comes_first);
	add("comes/direct-appears", test_direct_appears);
	add("goes/direct-dies-under-traffic", test_direct_dies_under_traffic);
	add("goes/wireguard-is-dropped", test_wireguard_is_dropped);
	add("goes/wireguard-is-dropped-later", test_wireguard_is_dropped_later);
	add("goes/relay-proof-fails", test_relay_proof_fails);
	add("goes/relay-proof-fails-often", test_relay_proof_fails_often);
	add("goes/relayed-session-expires", test_relayed_session_expires);
	add("goes/allocation-lost", test_allocation_lost);
	add("ends/holder-killed", test_holder_killed);
	add("ends/other-killed", test_other_killed);
	add("ends/other-killed-unheard", test_other_killed_unheard);
	add("ends/stopped-on-relay", test_stopped_on_relay);
	add("ends/stopped-on-relay-with-an-original", test_stopped_on_relay_with_an_original);
	add("ends/stopped-moved-but-not-by-us", test_stopped_moved_but_not_by_us);
	add("ends/stopped-right-after-the-write", test_stopped_right_after_the_write);
	add("comes/many-addresses", test_many_addresses);
	add("goes/standby-dealt-and-dropped", test_standby_dealt_and_dropped);
	add("spare/server-killed", test_server_killed);
	add("spare/spare-server-killed", test_spare_server_killed);
	add("spare/spare-only-where-due", test_spare_only_where_due);
	return g_test_run();
}
