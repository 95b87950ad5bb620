/* SPDX-License-Identifier: MIT */
/*
 * What fails between two agents, and what becomes of it. Slow: ICE and the back-off have times of
 * their own.
 */
#include "agent/peer/nat-peer-private.h"
#include "agent/session/nat-msg.h"
#include "tests/unit/two-peers.h"

#define AGENTS(name, func)                                                                         \
	g_test_add("/peer-failure/" name, Agents, NULL, agents_set_up, func, agents_tear_down)

static gboolean
a_not_failed(gconstpointer data)
{
	return !a_failed(data);
}

/* No candidate answers: FAILED, then a search again, and success once the network is there. */
static void
test_checks_fail_and_begin_again(Agents *f, gconstpointer data)
{
	if (!f->up)
		return;
	agents_cut(f, TRUE);
	agents_meet(f);
	g_assert_true(hosts_wait(a_failed, f, 60000));
	g_assert_cmpuint(f->a.writes, ==, 0);
	g_assert_true(hosts_wait(a_not_failed, f, 20000));
	agents_cut(f, FALSE);
	g_assert_true(hosts_wait(both_connected, f, 60000));
	expect_direct(f);
}

/* The peer's agent leaves while we are failed: there is nobody to search with. */
static void
test_presence_off(Agents *f, gconstpointer data)
{
	if (!f->up)
		return;
	agents_cut(f, TRUE);
	agents_meet(f);
	g_assert_true(hosts_wait(a_failed, f, 60000));
	agent_stop(&f->b);
	nat_peer_presence(f->a.peer, FALSE);
	g_assert_true(a_waiting(f));
	hosts_run(7000); /* longer than the first retry */
	g_assert_true(a_waiting(f));
}

/* STUN passes and WireGuard does not: what the user had comes back, and a later try succeeds. */
static void
test_proof_fails(Agents *f, gconstpointer data)
{
	WgEndpoint original = net_ep("198.51.100.7:51820");

	if (!f->up)
		return;
	f->a.wg->endpoint = original;
	f->a.wg->keepalive = 17;
	f->handshakes = FALSE;
	hosts_run(20);
	agents_meet(f);
	g_assert_true(hosts_wait(a_failed, f, 60000));
	g_assert_cmpuint(f->a.writes, >, 0);
	g_assert_true(wg_endpoint_equal(&f->a.wg->endpoint, &original));
	g_assert_cmpuint(f->a.wg->keepalive, ==, 17);
	f->handshakes = TRUE;
	g_assert_true(hosts_wait(both_connected, f, 90000));
	g_assert_true(wg_endpoint_equal(&f->a.wg->endpoint, &f->hosts.b.addr));
	g_assert_cmpuint(f->a.wg->keepalive, ==, 17);
}

/* The next search that reaches WireGuard fails like the ones before. */
static void
fail_once_more(Agents *f)
{
	guint writes = f->a.endpoint_writes;
	gint64 end = g_get_monotonic_time() + 90 * G_USEC_PER_SEC;

	while (f->a.endpoint_writes == writes && g_get_monotonic_time() < end)
		hosts_run(20);
	g_assert_cmpuint(f->a.endpoint_writes, >, writes);
	g_assert_true(hosts_wait(a_failed, f, 60000));
}

/* What the user sets while we try in vain is what comes back from then on; also by an agent that
 * starts later and finds it there. */
static void
test_users_newer_word(Agents *f, gconstpointer data)
{
	WgEndpoint second = net_ep("198.51.100.8:9"), third = net_ep("198.51.100.9:9");

	if (!f->up)
		return;
	f->a.wg->endpoint = net_ep("198.51.100.7:51820");
	f->a.wg->keepalive = 17;
	f->handshakes = FALSE;
	hosts_run(20);
	agents_meet(f);
	fail_once_more(f);
	f->a.wg->endpoint = second;
	f->a.wg->keepalive = 19;
	hosts_run(200);
	fail_once_more(f);
	g_assert_true(wg_endpoint_equal(&f->a.wg->endpoint, &second));
	g_assert_cmpuint(f->a.wg->keepalive, ==, 19);

	agent_stop(&f->a);
	f->a.wg->endpoint = third;
	f->a.wg->keepalive = 21;
	f->a.wg->tx_bytes = 0; /* the interface was made anew */
	agent_restart(&f->a);
	hosts_run(200);
	fail_once_more(f);
	g_assert_true(wg_endpoint_equal(&f->a.wg->endpoint, &third));
	g_assert_cmpuint(f->a.wg->keepalive, ==, 21);
}

static gboolean
a_offered_it(gconstpointer data)
{
	const Agents *f = data;
	WgEndpoint set = net_ep("10.9.0.77:51820");

	for (guint i = 0; i < f->a.peer->offered->len; i++)
		if (wg_endpoint_equal(&g_array_index(f->a.peer->offered, NatCandidate, i).endpoint,
				      &set))
			return TRUE;
	return FALSE;
}

/* There was no endpoint when we came; the one set since is a candidate. */
static void
test_users_first_word(Agents *f, gconstpointer data)
{
	WgEndpoint set = net_ep("10.9.0.77:51820");

	if (!f->up)
		return;
	f->handshakes = FALSE;
	agents_meet(f);
	fail_once_more(f);
	agent_stop(&f->a);
	f->a.wg->endpoint = set;
	agent_restart(&f->a);
	g_assert_true(hosts_wait(a_offered_it, f, 60000));
	fail_once_more(f);
	f->a.wg->endpoint = net_ep("10.9.0.78:51820"); /* WireGuard's, by a packet */
	f->a.wg->rx_bytes += 148;
	hosts_run(200);
	fail_once_more(f);
	g_assert_true(wg_endpoint_equal(&f->a.wg->endpoint, &set));
}

/* Links and routes that are none of ours come and go (containers, say): checks under way go on. */
static void
test_network_noise(Agents *f, gconstpointer data)
{
	guint sent;

	if (!f->up)
		return;
	agents_cut(f, TRUE);
	agents_meet(f);
	g_assert_true(hosts_wait(a_checking, f, 30000));
	hosts_run(200);
	sent = f->a.sent;
	for (int i = 0; i < 20; i++) {
		nat_peer_network_changed(f->a.peer);
		hosts_run(20);
	}
	g_assert_cmpuint(f->a.sent - sent, <=, 5); /* as a rule 1 */
	agents_cut(f, FALSE);
	g_assert_true(hosts_wait(both_connected, f, 60000));
}

/* No address of the peer's is one that we have a way to: nothing is checked, and that is said. */
static void
test_nothing_in_common(Agents *f, gconstpointer data)
{
	if (!f->up)
		return;
	g_array_set_size(f->a.candidates, 0);
	g_array_set_size(f->b.candidates, 0);
	agent_offer(&f->a, "[2001:db8:98::1]:51820");
	agent_offer(&f->b, "[2001:db8:99::1]:51820");
	agents_meet(f);
	g_assert_true(hosts_wait(a_failed, f, 60000));
	expect_reason(f, "failed-no-common-address", 20000);
	agent_offer(&f->b, "10.9.0.2:51820");
	nat_peer_candidates_changed(f->b.peer);
	g_assert_true(hosts_wait(both_connected, f, 60000));
	expect_direct(f);
}

/* The session that an agent announced last, as the other end reads it. */
static guint64
announced_session(const Agent *agent)
{
	g_autoptr(NatSeal) seal =
		nat_seal_new(&agent->other->private_key, &agent->public_key, NULL);
	g_autoptr(GBytes) plain = NULL;
	gconstpointer data;
	NatMsg msg;
	gsize len;

	data = g_bytes_get_data(g_ptr_array_index(agent->recording, agent->recording->len - 1),
				&len);
	plain = nat_seal_unwrap(seal, data, len, NULL);
	g_assert_nonnull(plain);
	data = g_bytes_get_data(plain, &len);
	g_assert_true(nat_msg_decode(data, len, &msg, NULL));
	return msg.sid;
}

/* Failed and waiting to try again, we join the peer's search: our own would only interrupt it. */
static void
test_retry_gives_way(Agents *f, gconstpointer data)
{
	guint64 session;

	if (!f->up)
		return;
	agents_cut(f, TRUE);
	agents_meet(f);
	g_assert_true(hosts_wait(a_failed, f, 60000));
	agent_stop(&f->b);
	agent_start(&f->b);
	agent_observe(&f->b);
	nat_peer_signal_connected(f->b.peer);
	nat_peer_presence(f->b.peer, TRUE);
	g_assert_true(hosts_wait(a_checking, f, 20000));
	hosts_run(200);
	session = announced_session(&f->a);
	hosts_run(4500);
	nat_peer_candidates_changed(f->a.peer);
	g_assert_cmpuint(announced_session(&f->a), ==, session);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_log_set_writer_func(agents_log, NULL, NULL);
	AGENTS("checks-fail-and-begin-again", test_checks_fail_and_begin_again);
	AGENTS("presence-off", test_presence_off);
	AGENTS("proof-fails", test_proof_fails);
	AGENTS("users-newer-word", test_users_newer_word);
	AGENTS("users-first-word", test_users_first_word);
	AGENTS("retry-gives-way", test_retry_gives_way);
	AGENTS("network-noise", test_network_noise);
	AGENTS("nothing-in-common", test_nothing_in_common);
	return g_test_run();
}
