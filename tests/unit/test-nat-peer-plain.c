/* SPDX-License-Identifier: MIT */
/* A peer without an agent: b has WireGuard alone, which a's agent tries to reach by handshakes. */
#include "tests/unit/two-peers.h"

#define NOBODY "10.9.0.77:7"
#define NOBODY_ELSE "10.9.0.78:8"
#define B "10.9.0.2:51820"
#define B_V6 "[fd09::2]:51820"
#define ROUND_MS 20000
#define PAUSE_US (2900 * (gint64)1000) /* the least between two rounds is 3 s */

/* What a's agent wrote: "ADDRESS:PORT" of each endpoint with a keepalive, which makes WireGuard
 * initiate; others are roll-backs. */
static GPtrArray *tries;
static guint live_replaces, ticking;
static gint64 tried_us; /* the last one */

static gboolean
recording_write(const WgPeerChange *change, gpointer user_data)
{
	Agent *agent = user_data;
	char text[WG_ENDPOINT_STRLEN];

	if ((change->flags & WG_CHANGE_REPLACE) && has_session(agent))
		live_replaces++;
	if ((change->flags & WG_CHANGE_ENDPOINT) && change->keepalive != 0) {
		g_ptr_array_add(tries, g_strdup(wg_endpoint_format(&change->endpoint, text)));
		tried_us = g_get_monotonic_time();
	}
	return env_write(change, user_data);
}

static guint64
env_generation(gpointer user_data)
{
	return 1001;
}

static gboolean
env_may(gpointer user_data)
{
	return TRUE;
}

/* The interface does so each second; more often shows more. */
static gboolean
tick(gpointer user_data)
{
	Agents *f = user_data;

	if (f->a.peer != NULL)
		nat_peer_tick(f->a.peer, g_get_monotonic_time());
	return G_SOURCE_CONTINUE;
}

static void
set_up(Agents *f, gconstpointer data)
{
	agents_up(f);
	if (!f->up)
		return;
	agent_stop(&f->b);
	f->a.env.write = recording_write;
	f->a.env.generation = env_generation;
	f->a.env.beacons_may = env_may;
	f->a.env.publish = env_nothing;
	tries = g_ptr_array_new_with_free_func(g_free);
	live_replaces = 0;
	ticking = g_timeout_add(50, tick, f);
}

static void
tear_down(Agents *f, gconstpointer data)
{
	if (!f->up)
		return;
	g_assert_cmpuint(live_replaces, ==, 0);
	g_source_remove(ticking);
	g_clear_pointer(&tries, g_ptr_array_unref);
	agents_down(f);
}

/* ---- what the innernet server says of b ---- */

static void
list_observed(Agents *f, const char *observed, const char *const *list)
{
	g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));
	WgEndpoint at = {0};

	if (observed != NULL)
		at = net_ep(observed);
	for (; *list != NULL; list++) {
		WgEndpoint ep = net_ep(*list);

		g_array_append_val(all, ep);
	}
	nat_peer_set_plain(f->a.peer, (const WgEndpoint *)(gpointer)all->data, all->len, &at);
}

#define LIST(f, ...) list_observed(f, NULL, (const char *const[]){__VA_ARGS__, NULL})

/* ---- conditions ---- */

static gboolean
a_connected(gconstpointer data)
{
	return agent_is(&((const Agents *)data)->a, NAT_PEER_CONNECTED);
}

static gboolean
a_tried(gconstpointer data)
{
	return tries->len > 0;
}

static const char *wanted_try;

static gboolean
last_try_is(gconstpointer data)
{
	return tries->len > 0 && strcmp(tries->pdata[tries->len - 1], wanted_try) == 0;
}

static void
wait_try(Agents *f, const char *endpoint)
{
	wanted_try = endpoint;
	g_assert_true(hosts_wait(last_try_is, f, ROUND_MS));
}

/* Without what was written again. */
static char *
tries_text(void)
{
	GString *text = g_string_new(NULL);

	for (guint i = 0; i < tries->len; i++)
		if (i == 0 || strcmp(tries->pdata[i - 1], tries->pdata[i]) != 0)
			g_string_append_printf(text, "%s%s", i > 0 ? " " : "",
					       (char *)tries->pdata[i]);
	return g_string_free(text, FALSE);
}

static void
expect_tries(const char *expected)
{
	g_autofree char *text = tries_text();

	g_assert_cmpstr(text, ==, expected);
}

static char *
why(Agents *f)
{
	g_autoptr(NatStatus) status = nat_status_new();
	NatStatusPeer *row =
		nat_status_add_peer(nat_status_add_interface(status, "wg0"), &f->a.wg->public_key);

	nat_peer_status(f->a.peer, f->a.wg, row);
	return g_strdup(row->why);
}

static void
expect_why(Agents *f, const char *words)
{
	g_autofree char *text = why(f);

	if (strstr(text, words) == NULL)
		g_error("\"%s\" does not say \"%s\"", text, words);
}

/* ---- one after the other ---- */

static void
test_order(Agents *f, gconstpointer data)
{
	guint writes;

	if (!f->up)
		return;
	LIST(f, NOBODY, NOBODY_ELSE, B, "10.9.0.79:9");
	g_assert_true(hosts_wait(a_tried, f, ROUND_MS));
	g_assert_true(agent_is(&f->a, NAT_PEER_CHECKING));
	expect_why(f, "trying the 4 endpoints");
	expect_reason(f, "checking-no-agent", 0);
	g_assert_true(hosts_wait(a_connected, f, ROUND_MS));
	expect_tries(NOBODY " " NOBODY_ELSE " " B);
	/* an initiation each: none waits for WireGuard's slot */
	g_assert_cmpuint(f->a.replaces, >=, 3);
	expect_why(f, "direct: an endpoint that the innernet server knows answers");
	expect_reason(f, "direct-no-agent-innernet", 0);
	writes = f->a.endpoint_writes;
	hosts_run(1000);
	g_assert_cmpuint(f->a.endpoint_writes, ==, writes);
	g_assert_true(wg_endpoint_equal(&f->a.wg->endpoint, &f->hosts.b.addr));
	g_assert_cmpuint(f->a.wg->keepalive, ==, 25);
}

static void
test_round(Agents *f, gconstpointer data)
{
	gint64 failed_us;

	if (!f->up)
		return;
	f->handshakes = FALSE;
	LIST(f, B);
	g_assert_true(hosts_wait(a_failed, f, ROUND_MS));
	failed_us = g_get_monotonic_time();
	expect_why(f, "no handshake at any of the 1 endpoints");
	expect_reason(f, "failed-no-agent", 0);
	g_assert_cmpuint(nat_peer_plain_rounds(f->a.peer), ==, 1);
	g_assert_cmpuint(f->a.wg->keepalive, ==, 0);
	g_ptr_array_set_size(tries, 0);
	f->handshakes = TRUE;
	g_assert_true(hosts_wait(a_connected, f, ROUND_MS));
	g_assert_cmpint(tried_us - failed_us, >=, PAUSE_US);
	g_assert_cmpuint(nat_peer_plain_rounds(f->a.peer), ==, 0);
}

/* Our own, loopback, through a tunnel: nothing is sent there. */
static void
test_refused(Agents *f, gconstpointer data)
{
	if (!f->up)
		return;
	net_run("ip tuntap add t0 mode tun");
	net_run("ip link set t0 up");
	net_run("ip route add 10.77.0.0/16 dev t0");
	LIST(f, "10.9.0.1:51820", "127.0.0.1:5", "10.77.0.1:6", "[fe80::1]:7", B);
	g_assert_true(hosts_wait(a_connected, f, ROUND_MS));
	expect_tries(B);
	g_assert_cmpuint(agent_dropped(&f->a, "candidate_refused"), ==, 4);
}

static void
test_all_refused(Agents *f, gconstpointer data)
{
	if (!f->up)
		return;
	LIST(f, "10.9.0.1:51820", "127.0.0.1:5");
	g_assert_true(hosts_wait(a_failed, f, ROUND_MS));
	g_assert_cmpuint(tries->len, ==, 0);
	g_assert_cmpuint(f->a.endpoint_writes, ==, 0);
}

/* What is under way goes on; then the new list, from its start. */
static void
test_other_list(Agents *f, gconstpointer data)
{
	if (!f->up)
		return;
	LIST(f, NOBODY, NOBODY_ELSE, "10.9.0.79:9");
	wait_try(f, NOBODY_ELSE);
	LIST(f, NOBODY, B);
	g_assert_true(hosts_wait(a_connected, f, ROUND_MS));
	expect_tries(NOBODY " " NOBODY_ELSE " " NOBODY " " B);
	/* the same again is no other */
	LIST(f, NOBODY, B);
	hosts_run(300);
	g_assert_true(a_connected(f));
}

/* Its record lost all endpoints. */
static void
test_no_list(Agents *f, gconstpointer data)
{
	guint n;

	if (!f->up)
		return;
	LIST(f, NOBODY);
	g_assert_true(hosts_wait(a_tried, f, ROUND_MS));
	nat_peer_set_plain(f->a.peer, NULL, 0, NULL);
	g_assert_true(agent_is(&f->a, NAT_PEER_WAITING));
	n = tries->len;
	hosts_run(3000);
	g_assert_cmpuint(tries->len, ==, n);
	LIST(f, B);
	g_assert_true(hosts_wait(a_connected, f, ROUND_MS));
	/* a tunnel that is up stays what it is */
	nat_peer_set_plain(f->a.peer, NULL, 0, NULL);
	g_assert_true(a_connected(f));
}

/* ---- the peer's own doing ---- */

/* Its own daemon got through to us between two rounds: nothing is wanted of relays any more. */
static void
test_comes_by_itself(Agents *f, gconstpointer data)
{
	g_autoptr(GArray) permits = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));

	if (!f->up)
		return;
	f->handshakes = FALSE;
	LIST(f, B, "192.0.2.9:7");
	g_assert_true(hosts_wait(a_failed, f, ROUND_MS));
	nat_peer_add_plain_permits(f->a.peer, permits);
	g_assert_cmpuint(permits->len, ==, 1);
	f->handshakes = TRUE;
	f->b.wg->endpoint = f->hosts.a.addr;
	f->b.wg->keepalive = 25;
	g_assert_true(hosts_wait(a_connected, f, ROUND_MS));
	hosts_run(200);
	g_array_set_size(permits, 0);
	nat_peer_add_plain_permits(f->a.peer, permits);
	g_assert_cmpuint(permits->len, ==, 0);
	g_assert_cmpuint(nat_peer_plain_rounds(f->a.peer), ==, 0);
}

/* The same after the device was read, and before the next endpoint is written. */
static void
test_comes_just_now(Agents *f, gconstpointer data)
{
	if (!f->up)
		return;
	agent_observe(&f->a);
	f->a.wg->endpoint = f->hosts.b.addr;
	agents_handshake(f);
	LIST(f, NOBODY);
	nat_peer_tick(f->a.peer, g_get_monotonic_time());
	g_assert_cmpuint(tries->len, ==, 0);
	g_assert_cmpuint(f->a.replaces, ==, 0);
	g_assert_true(hosts_wait(a_connected, f, ROUND_MS));
}

/* ---- an agent after all ---- */

static void
deliver_last(Agent *from)
{
	g_assert_cmpuint(from->recording->len, >, 0);
	agent_hear(from->other, g_ptr_array_index(from->recording, from->recording->len - 1));
}

static void
test_message(Agents *f, gconstpointer data)
{
	if (!f->up)
		return;
	LIST(f, NOBODY, NOBODY_ELSE);
	wait_try(f, NOBODY);
	g_assert_true(nat_peer_is_plain(f->a.peer));
	g_assert_true(nat_peer_urgent(f->a.peer, g_get_monotonic_time()));
	agent_start(&f->b);
	agent_observe(&f->b);
	f->down = FALSE;
	f->withhold = TRUE;
	nat_peer_signal_connected(f->b.peer);
	deliver_last(&f->b);
	g_assert_false(nat_peer_is_plain(f->a.peer));
	g_assert_false(nat_peer_urgent(f->a.peer, g_get_monotonic_time()));
	f->withhold = FALSE;
	connect_both(f);
	expect_tries(NOBODY " " B);
}

/* It was seen before, and its connection to the signaling server alone came and went. */
static void
test_message_again(Agents *f, gconstpointer data)
{
	if (!f->up)
		return;
	agent_start(&f->b);
	agent_observe(&f->b);
	connect_both(f);
	LIST(f, NOBODY);
	g_assert_false(nat_peer_is_plain(f->a.peer));
	f->down = TRUE;
	nat_peer_presence(f->a.peer, FALSE);
	g_assert_true(nat_peer_is_plain(f->a.peer));
	f->handshakes = FALSE;
	f->a.wg->last_handshake_s = f->a.wg->last_handshake_ns = 0;
	wait_try(f, NOBODY);
	f->down = FALSE;
	f->withhold = TRUE;
	nat_peer_presence(f->b.peer, FALSE);
	nat_peer_presence(f->b.peer, TRUE);
	deliver_last(&f->b);
	g_assert_false(nat_peer_is_plain(f->a.peer));
	g_assert_false(nat_peer_urgent(f->a.peer, g_get_monotonic_time()));
}

static void
test_beacon(Agents *f, gconstpointer data)
{
	InnBeacon beacon = {
		.generation = 2002,
		.watch = 5,
		.n_candidates = 1,
		.candidates = {{NAT_CAND_HOST, net_ep(B)}},
	};
	WgEndpoint unknown = {0};

	if (!f->up)
		return;
	LIST(f, NOBODY, NOBODY_ELSE);
	wait_try(f, NOBODY);
	nat_peer_beacon(f->a.peer, &beacon, &unknown);
	nat_peer_set_plain(f->a.peer, NULL, 0, NULL);
	g_assert_false(nat_peer_is_plain(f->a.peer));
	g_assert_false(nat_peer_urgent(f->a.peer, g_get_monotonic_time()));
	g_assert_true(agent_is(&f->a, NAT_PEER_CHECKING));
	hosts_run(3000);
	expect_tries(NOBODY);
	/* the beacon was an old one: its agent is gone, and the tries go on */
	nat_peer_beacon(f->a.peer, NULL, &unknown);
	LIST(f, B);
	g_assert_true(hosts_wait(a_connected, f, 2 * ROUND_MS));
}

/* ---- a live tunnel ---- */

static gboolean
moved_to_v4(gconstpointer data)
{
	const Agents *f = data;

	return wg_endpoint_equal(&f->a.wg->endpoint, &f->hosts.b.addr) &&
	       !nat_peer_urgent(f->a.peer, g_get_monotonic_time());
}

/* It is deaf, and the server sees the peer elsewhere. */
static void
test_deaf(Agents *f, gconstpointer data)
{
	static const char *const LIST_V6[] = {B_V6, NULL};
	gint64 began;

	if (!f->up)
		return;
	list_observed(f, B_V6, LIST_V6);
	g_assert_true(hosts_wait(a_connected, f, ROUND_MS));
	f->talking = TRUE;
	hosts_run(300);
	list_observed(f, B, LIST_V6);
	hosts_run(1000);
	g_assert_true(wg_endpoint_equal(&f->a.wg->endpoint, &f->hosts.b.addr6));
	agents_tick(f);
	f->cut_family = AF_INET6;
	began = g_get_monotonic_time();
	g_assert_true(hosts_wait(moved_to_v4, f, ROUND_MS));
	g_assert_cmpint(g_get_monotonic_time() - began, >=, 7 * G_TIME_SPAN_SECOND);
	g_assert_true(a_connected(f));
	expect_reason(f, "direct-no-agent-innernet", 0);
}

/* All that was sent has been answered, in the same look at the device: at rest, not deaf. */
static void
test_at_rest(Agents *f, gconstpointer data)
{
	static const char *const LIST_V4[] = {B, NULL};

	if (!f->up)
		return;
	list_observed(f, B, LIST_V4);
	g_assert_true(hosts_wait(a_connected, f, ROUND_MS));
	f->talking = TRUE;
	hosts_run(300);
	f->talking = FALSE;
	g_ptr_array_set_size(tries, 0);
	list_observed(f, NOBODY, LIST_V4);
	hosts_run(10000);
	g_assert_cmpuint(tries->len, ==, 0);
	g_assert_true(a_connected(f));
}

static gboolean
back_at_v4(gconstpointer data)
{
	const Agents *f = data;

	return tries->len > 1 && wg_endpoint_equal(&f->a.wg->endpoint, &f->hosts.b.addr);
}

/* Nobody is there either: it stays where it was. */
static void
test_deaf_in_vain(Agents *f, gconstpointer data)
{
	static const char *const LIST_V4[] = {B, NULL};

	if (!f->up)
		return;
	list_observed(f, B, LIST_V4);
	g_assert_true(hosts_wait(a_connected, f, ROUND_MS));
	f->talking = TRUE;
	hosts_run(300);
	g_ptr_array_set_size(tries, 0);
	list_observed(f, NOBODY, LIST_V4);
	f->handshakes = FALSE;
	wait_try(f, NOBODY);
	g_assert_true(a_connected(f));
	g_assert_true(hosts_wait(back_at_v4, f, ROUND_MS));
	g_assert_true(a_connected(f));
	f->handshakes = TRUE;
	hosts_run(300);
	g_assert_true(wg_endpoint_equal(&f->a.wg->endpoint, &f->hosts.b.addr));
}

#define PLAIN(name, func) g_test_add("/peer-plain/" name, Agents, NULL, set_up, func, tear_down)

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_log_set_writer_func(agents_log, NULL, NULL);
	PLAIN("order", test_order);
	PLAIN("round", test_round);
	PLAIN("refused", test_refused);
	PLAIN("all-refused", test_all_refused);
	PLAIN("other-list", test_other_list);
	PLAIN("no-list", test_no_list);
	PLAIN("comes-by-itself", test_comes_by_itself);
	PLAIN("comes-just-now", test_comes_just_now);
	PLAIN("message", test_message);
	PLAIN("message-again", test_message_again);
	PLAIN("beacon", test_beacon);
	PLAIN("deaf", test_deaf);
	PLAIN("at-rest", test_at_rest);
	PLAIN("deaf-in-vain", test_deaf_in_vain);
	return g_test_run();
}
