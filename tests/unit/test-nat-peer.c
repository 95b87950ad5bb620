/* SPDX-License-Identifier: MIT */
#include "tests/unit/two-peers.h"

#include "agent/peer/nat-peer-pair.h"
#include "agent/peer/nat-peer-private.h"
#include "agent/session/nat-msg.h"

#include <stdio.h>

#define AGENTS(name, func)                                                                         \
	g_test_add("/peer/" name, Agents, NULL, agents_set_up, func, agents_tear_down)

/* ---- meeting ---- */

static void
test_first_contact(Agents *f, gconstpointer data)
{
	g_autoptr(NatStatus) status = NULL;
	NatStatusPeer *row;

	if (!f->up)
		return;
	g_assert_cmpint(nat_peer_state(f->a.peer), ==, NAT_PEER_WAITING);
	connect_both(f);
	expect_direct(f);
	g_assert_cmpuint(f->a.replaces + f->b.replaces, ==, 0);
	/* half of that, where nothing is late */
	g_assert_cmpuint(f->a.writes, <=, 8);
	g_assert_cmpuint(f->b.writes, <=, 8);
	g_assert_cmpuint(f->a.sent, <=, 20);
	g_assert_cmpuint(f->b.sent, <=, 20);
	g_assert_cmpuint(g_hash_table_size(f->a.dropped), ==, 0);
	g_assert_cmpuint(g_hash_table_size(f->b.dropped), ==, 0);
	status = nat_status_new();
	row = nat_status_add_peer(nat_status_add_interface(status, "wg0"), &f->b.public_key);
	nat_peer_status(f->a.peer, f->a.wg, row);
	g_assert_true(row->managed && row->has_path && !row->relay);
	g_assert_cmpint(row->remote.type, ==, NAT_CAND_HOST);
	g_assert_true(wg_endpoint_equal(&row->local.endpoint, &f->hosts.a.addr));
	g_assert_cmpint(row->connect_ms, >=, 0);
	g_assert_nonnull(row->why);
}

/* One agent starts long after the other. */
static void
test_one_comes_later(Agents *f, gconstpointer data)
{
	if (!f->up)
		return;
	agent_stop(&f->b);
	f->down = FALSE;
	nat_peer_signal_connected(f->a.peer);
	hosts_run(300);
	g_assert_cmpint(nat_peer_state(f->a.peer), ==, NAT_PEER_WAITING);
	g_assert_cmpuint(f->a.writes, ==, 0);
	agent_start(&f->b);
	agent_observe(&f->b);
	nat_peer_signal_connected(f->b.peer);
	nat_peer_presence(f->a.peer, TRUE);
	nat_peer_presence(f->b.peer, TRUE);
	g_assert_true(hosts_wait(both_connected, f, CONNECT_MS));
	expect_direct(f);
}

/* The server is at-most-once: all the first announcements may be lost with it. */
static void
test_lost_announcements(Agents *f, gconstpointer data)
{
	if (!f->up)
		return;
	f->lose = 4;
	agents_meet(f);
	g_assert_true(hosts_wait(both_connected, f, CONNECT_MS));
	g_assert_cmpuint(f->lose, ==, 0);
	expect_direct(f);
}

static void
test_duplicated_and_reordered(Agents *f, gconstpointer data)
{
	if (!f->up)
		return;
	f->duplicate = f->reverse = TRUE;
	agents_meet(f);
	g_assert_true(hosts_wait(both_connected, f, CONNECT_MS));
	expect_direct(f);
	g_assert_cmpuint(agent_dropped(&f->a, "message_replayed"), >, 0);
	g_assert_cmpuint(f->a.replaces + f->b.replaces, ==, 0);
}

/* A host that starts: its addresses come after its agent. */
static void
test_late_candidates(Agents *f, gconstpointer data)
{
	if (!f->up)
		return;
	g_array_set_size(f->a.candidates, 0);
	g_array_set_size(f->b.candidates, 0);
	agents_meet(f);
	hosts_run(500);
	g_assert_false(both_connected(f));
	agent_offer(&f->a, "10.9.0.1:51820");
	agent_offer(&f->b, "10.9.0.2:51820");
	nat_peer_candidates_changed(f->a.peer);
	nat_peer_candidates_changed(f->b.peer);
	g_assert_true(hosts_wait(both_connected, f, CONNECT_MS));
	expect_direct(f);
}

/* ---- what is not ours ---- */

static gboolean
a_connected(gconstpointer data)
{
	return nat_peer_state(((const Agents *)data)->a.peer) == NAT_PEER_CONNECTED;
}

static void
test_unmanaged_is_left_alone(Agents *f, gconstpointer data)
{
	if (!f->up)
		return;
	agent_stop(&f->b);
	f->a.wg->endpoint = net_ep("10.9.0.2:51820");
	f->a.wg->keepalive = 15;
	f->down = FALSE;
	nat_peer_signal_connected(f->a.peer);
	g_assert_true(hosts_wait(a_connected, f, 30000));
	hosts_run(300);
	g_assert_true(a_connected(f));
	g_assert_false(nat_peer_shows_udp(f->a.peer)); /* UDP passes here: no more is known */
	/* the phone roams, its session dies, the network changes, signaling comes and goes */
	f->a.wg->endpoint = net_ep("198.51.100.7:9");
	agents_tick(f);
	hosts_run(50);
	g_assert_true(nat_peer_shows_udp(f->a.peer));
	nat_peer_network_changed(f->a.peer);
	nat_peer_candidates_changed(f->a.peer);
	nat_peer_presence(f->a.peer, FALSE);
	f->a.wg->last_handshake_s = 0;
	f->a.wg->endpoint = (WgEndpoint){0};
	agents_tick(f);
	hosts_run(50);
	g_assert_cmpint(nat_peer_state(f->a.peer), ==, NAT_PEER_WAITING);
	g_assert_false(nat_peer_shows_udp(f->a.peer));
	nat_peer_presence(f->a.peer, TRUE); /* at the server, but says nothing */
	hosts_run(1500);
	g_assert_cmpint(nat_peer_state(f->a.peer), ==, NAT_PEER_WAITING);
	g_assert_cmpuint(f->a.writes, ==, 0);
	g_assert_cmpuint(nat_mux_counter(f->hosts.a.mux, NAT_MUX_OUT), ==, 0);
}

/* A tunnel that works already is adopted by both agents as it is. */
static void
test_live_tunnel_is_adopted(Agents *f, gconstpointer data)
{
	if (!f->up)
		return;
	f->a.wg->endpoint = net_ep("10.9.0.2:51820");
	f->b.wg->endpoint = net_ep("10.9.0.1:51820");
	agents_handshake(f);
	agents_tick(f);
	hosts_run(50);
	connect_both(f);
	hosts_run(1000);
	g_assert_cmpuint(f->a.writes + f->b.writes, ==, 0);
	g_assert_true(both_released(f));
}

/* ---- the network changes ---- */

/* What a firewall did to WireGuard's packets, it did in the network that was left. */
static void
test_blocked_elsewhere(Agents *f, gconstpointer data)
{
	if (!f->up)
		return;
	connect_both(f);
	nat_pair_block(f->a.peer, f->a.peer->chosen);
	nat_peer_leave_blocked(f->a.peer, f->a.peer->chosen);
	g_assert_true(f->a.peer->direct_blocked);
	/* something else changed */
	nat_peer_network_changed(f->a.peer);
	g_assert_true(f->a.peer->direct_blocked);
	g_assert_true(nat_pair_is_blocked(f->a.peer, f->a.peer->chosen, g_get_monotonic_time()));
	net_run("ip addr add 10.9.0.7/24 dev core-a");
	net_run("ip route replace 10.9.0.0/24 dev core-a src 10.9.0.7");
	nat_peer_network_changed(f->a.peer);
	g_assert_false(f->a.peer->direct_blocked);
	g_assert_false(nat_pair_is_blocked(f->a.peer, f->a.peer->chosen, g_get_monotonic_time()));
}

static gboolean
a_tries_nothing(gconstpointer data)
{
	return nat_path_phase(((const Agents *)data)->a.peer->path) != NAT_PATH_PROVING;
}

/* An endpoint that checks came from is tried before it is anybody's choice: the chosen pair is not
 * to blame where that fails. */
static void
test_another_is_blamed(Agents *f, gconstpointer data)
{
	WgEndpoint elsewhere = net_ep("10.9.0.9:51820");
	NatWatchPair *chosen;

	if (!f->up)
		return;
	connect_both(f);
	agents_cut(f, TRUE);
	chosen = f->a.peer->chosen;
	g_assert_nonnull(chosen);
	f->a.wg->last_handshake_s = f->b.wg->last_handshake_s = 0;
	nat_path_reset(f->a.peer->path);
	agent_observe(&f->a);
	g_assert_cmpint(nat_path_phase(f->a.peer->path), ==, NAT_PATH_IDLE);
	nat_path_try(f->a.peer->path, &elsewhere, FALSE, 100 * 1000, g_get_monotonic_time());
	g_assert_true(hosts_wait(a_tries_nothing, f, 20000));
	g_assert_true(f->a.peer->chosen == chosen);
	g_assert_cmpuint(nat_pair_info(chosen)->failures, ==, 0);
	/* its own failure counts */
	nat_path_try(f->a.peer->path, &f->hosts.b.addr, FALSE, 100 * 1000, g_get_monotonic_time());
	g_assert_true(hosts_wait(a_tries_nothing, f, 20000));
	g_assert_cmpuint(nat_pair_info(chosen)->failures, ==, 1);
}

static gboolean
has_no_failure(const Agent *agent)
{
	const NatPeer *peer = agent->peer;
	const NatPairInfo *info = peer->chosen != NULL ? nat_pair_info(peer->chosen) : NULL;

	return info != NULL && info->failures == 0 && info->blocked_s == 0 && !peer->direct_blocked;
}

static gboolean
neither_has_failures(gconstpointer data)
{
	const Agents *f = data;

	return has_no_failure(&f->a) && has_no_failure(&f->b);
}

/* The user stops WireGuard at one end and starts it again, the agents go on: this is no firewall,
 * and the path is as good as before. */
static void
test_wireguard_pauses(Agents *f, gconstpointer data)
{
	if (!f->up)
		return;
	connect_both(f);
	f->talking = TRUE;
	hosts_run(500);
	g_assert_true(neither_has_failures(f));
	f->handshakes = FALSE;
	for (int i = 0; i < 120; i++) {
		hosts_run(100);
		g_assert_false(f->a.peer->direct_blocked || f->b.peer->direct_blocked);
	}
	f->handshakes = TRUE;
	g_assert_true(hosts_wait(neither_has_failures, f, 20000));
	g_assert_true(hosts_wait(both_connected, f, 20000));
	expect_direct(f);
}

/* What was held against a path is no longer true once WireGuard's bytes come by it. */
static void
test_bytes_are_proof(Agents *f, gconstpointer data)
{
	if (!f->up)
		return;
	connect_both(f);
	for (int i = 0; i < 3; i++) {
		nat_pair_block(f->a.peer, f->a.peer->chosen);
		nat_pair_block(f->b.peer, f->b.peer->chosen);
	}
	f->a.peer->direct_blocked = f->b.peer->direct_blocked = TRUE;
	g_assert_false(neither_has_failures(f));
	f->talking = TRUE;
	g_assert_true(hosts_wait(neither_has_failures, f, 20000));
	g_assert_false(nat_pair_is_blocked(f->a.peer, f->a.peer->chosen, g_get_monotonic_time()));
	g_assert_false(nat_pair_is_blocked(f->b.peer, f->b.peer->chosen, g_get_monotonic_time()));
}

/* ---- restarts ---- */

static void
test_restart_keeps_the_endpoint(Agents *f, gconstpointer data)
{
	guint writes;

	if (!f->up)
		return;
	connect_both(f);
	hosts_run(300);
	writes = f->a.endpoint_writes + f->b.endpoint_writes;
	for (int i = 0; i < 3; i++) {
		agent_restart(i == 1 ? &f->a : &f->b);
		g_assert_true(hosts_wait(both_measured, f, CONNECT_MS));
	}
	hosts_run(1500);
	g_assert_true(both_measured(f));
	g_assert_cmpuint(f->a.endpoint_writes + f->b.endpoint_writes, ==, writes);
	expect_direct(f);
}

static void
test_both_restart_at_once(Agents *f, gconstpointer data)
{
	guint writes;

	if (!f->up)
		return;
	connect_both(f);
	writes = f->a.endpoint_writes + f->b.endpoint_writes;
	agent_stop(&f->a);
	agent_stop(&f->b);
	agent_start(&f->a);
	agent_start(&f->b);
	agents_tick(f);
	connect_both(f);
	hosts_run(1000);
	g_assert_true(both_connected(f));
	g_assert_cmpuint(f->a.endpoint_writes + f->b.endpoint_writes, ==, writes);
}

/* The follower has taken all the choices that were made. */
static gboolean
epochs_agree(gconstpointer data)
{
	const Agents *f = data;

	return f->a.peer->epoch != 0 && f->a.peer->epoch == f->b.peer->epoch;
}

static gboolean
chooser_has_chosen(gconstpointer data)
{
	const NatPeer *peer = ((const Agents *)data)->a.peer;

	return peer->watch != NULL && peer->chosen != NULL &&
	       nat_watch_state(peer->chosen) == NAT_PAIR_ALIVE;
}

/* The peer is taken out of the chooser's device and comes back, the process is the same: the
 * follower, which sees the watch id that it knows, takes its choices as before. */
static void
test_chooser_removes_the_peer(Agents *f, gconstpointer data)
{
	guint32 before;

	if (!f->up)
		return;
	connect_both(f);
	g_assert_true(hosts_wait(epochs_agree, f, CONNECT_MS));
	/* so many moves in the time since */
	for (int i = 0; i < 5; i++) {
		nat_peer_take_selected_pair(f->a.peer, f->a.peer->chosen);
		g_assert_true(hosts_wait(epochs_agree, f, CONNECT_MS));
	}
	before = f->b.peer->epoch;
	agent_stop(&f->a);
	f->a.peer = nat_peer_new(&f->a.env, &f->b.public_key, NULL);
	agents_tick(f);
	agents_meet(f);
	g_assert_true(hosts_wait(chooser_has_chosen, f, CONNECT_MS));
	nat_peer_take_selected_pair(f->a.peer, f->a.peer->chosen);
	g_assert_true(hosts_wait(epochs_agree, f, CONNECT_MS));
	g_assert_cmpuint(f->b.peer->epoch, >, before);
}

/* Both agents settle: no message follows another for ever. */
static void
test_no_chatter_at_rest(Agents *f, gconstpointer data)
{
	gboolean silent = FALSE;

	if (!f->up)
		return;
	connect_both(f);
	agent_restart(&f->b);
	g_assert_true(hosts_wait(both_measured, f, CONNECT_MS));
	hosts_run(1000);
	for (int i = 0; i < 20 && !silent; i++) {
		guint sent = f->a.sent + f->b.sent;

		hosts_run(2000);
		silent = f->a.sent + f->b.sent == sent;
	}
	g_assert_true(silent);
}

/* ---- a hostile server ---- */

static void
replay_all(Agent *from)
{
	guint n = from->recording->len;

	for (guint i = 0; i < n; i++)
		agent_deliver(from->other, g_ptr_array_index(from->recording, i));
}

static void
test_replays_change_nothing(Agents *f, gconstpointer data)
{
	guint writes, sent, dropped;

	if (!f->up)
		return;
	connect_both(f);
	agent_restart(&f->b);
	g_assert_true(hosts_wait(both_measured, f, CONNECT_MS));
	hosts_run(500);
	writes = f->a.endpoint_writes + f->b.endpoint_writes;
	sent = f->a.sent + f->b.sent;
	dropped = agent_dropped(&f->a, "message_replayed");
	for (int i = 0; i < 5; i++) {
		replay_all(&f->b);
		replay_all(&f->a);
		hosts_run(250);
	}
	g_assert_true(both_measured(f));
	g_assert_cmpuint(f->a.endpoint_writes + f->b.endpoint_writes, ==, writes);
	g_assert_cmpuint(agent_dropped(&f->a, "message_replayed"), >, dropped);
	/* at most a bounded answer to each burst, and one to that */
	g_assert_cmpuint(f->a.sent + f->b.sent - sent, <=, 40);
	expect_direct(f);
}

/* A new process knows no session: what it is told may be years old. */
static void
test_replay_to_a_fresh_agent(Agents *f, gconstpointer data)
{
	guint old;

	if (!f->up)
		return;
	connect_both(f);
	agents_meet(f);
	hosts_run(300);
	old = f->b.recording->len;
	agent_stop(&f->a);
	agent_stop(&f->b);
	f->a.wg->last_handshake_s = f->b.wg->last_handshake_s = 0;
	f->handshakes = FALSE;
	agent_start(&f->a);
	agents_tick(f);
	f->a.writes = 0;
	for (guint i = 0; i < old; i++)
		agent_deliver(&f->a, g_ptr_array_index(f->b.recording, i));
	hosts_run(1000);
	g_assert_cmpuint(f->a.writes, ==, 0);
	f->handshakes = TRUE;
	agent_start(&f->b);
	agents_tick(f);
	agents_meet(f);
	for (guint i = 0; i < old; i++)
		agent_deliver(&f->a, g_ptr_array_index(f->b.recording, i));
	g_assert_true(hosts_wait(both_connected, f, CONNECT_MS));
	expect_direct(f);
}

static void
test_replay_does_not_raise_the_dead(Agents *f, gconstpointer data)
{
	if (!f->up)
		return;
	connect_both(f);
	agent_stop(&f->b);
	hosts_run(50); /* its last words are heard before it is gone */
	nat_peer_presence(f->a.peer, FALSE);
	f->a.wg->last_handshake_s = 0;
	f->handshakes = FALSE;
	hosts_run(50);
	f->a.writes = 0;
	replay_all(&f->b);
	hosts_run(200);
	g_assert_true(a_waiting(f));
	{
		g_autoptr(NatStatus) status = nat_status_new();
		NatStatusPeer *row = nat_status_add_peer(nat_status_add_interface(status, "wg0"),
							 &f->b.public_key);

		nat_peer_status(f->a.peer, f->a.wg, row);
		g_assert_nonnull(strstr(row->why, "not at the signaling server"));
	}
}

static void
test_forgeries(Agents *f, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(NatSeal) stranger = NULL;
	g_autoptr(GBytes) sealed = NULL, plain = g_bytes_new("\x01hello", 6), none = NULL;
	GBytes *genuine;
	guint writes;
	WgKey priv;

	if (!f->up)
		return;
	connect_both(f);
	hosts_run(300);
	writes = f->a.endpoint_writes;
	g_hash_table_remove_all(f->a.dropped);
	genuine = g_ptr_array_index(f->b.recording, f->b.recording->len - 1);
	for (guint i = 0; i < g_bytes_get_size(genuine); i++) {
		g_autofree guint8 *bytes =
			g_memdup2(g_bytes_get_data(genuine, NULL), g_bytes_get_size(genuine));

		bytes[i] ^= 1;
		nat_peer_message(f->a.peer, bytes, g_bytes_get_size(genuine));
		nat_peer_message(f->a.peer, bytes, i);
	}
	g_assert_cmpuint(agent_dropped(&f->a, "message_seal"), ==, 2 * g_bytes_get_size(genuine));
	/* our own words come back */
	replay_all(&f->a);
	agent_hear(&f->a, g_ptr_array_index(f->a.recording, 0));
	/* another key of the network */
	wg_key_generate_private(&priv);
	stranger = nat_seal_new(&priv, &f->a.public_key, &error);
	g_assert_no_error(error);
	sealed = nat_seal_wrap(stranger, plain);
	agent_hear(&f->a, sealed);
	g_assert_cmpuint(agent_dropped(&f->a, "message_seal"), ==,
			 2 * g_bytes_get_size(genuine) + 2);
	/* the peer itself, talking nonsense */
	g_clear_pointer(&stranger, nat_seal_free);
	stranger = nat_seal_new(&f->b.private_key, &f->a.public_key, &error);
	g_assert_no_error(error);
	none = nat_seal_wrap(stranger, plain);
	agent_hear(&f->a, none);
	g_assert_cmpuint(agent_dropped(&f->a, "message_malformed"), ==, 1);
	hosts_run(200);
	g_assert_true(both_connected(f));
	g_assert_cmpuint(f->a.endpoint_writes, ==, writes);
}

/* ---- a hostile peer ---- */

/* Says what no agent of ours would say. */
typedef struct {
	NatSeal *seal;
	NatMsg msg;
} Liar;

static void
liar_init(Liar *liar, const Agents *f)
{
	g_autoptr(GError) error = NULL;

	*liar = (Liar){0};
	liar->seal = nat_seal_new(&f->b.private_key, &f->a.public_key, &error);
	g_assert_no_error(error);
	liar->msg.sid = 1000;
	liar->msg.watch = 7;
	liar->msg.flags = NAT_MSG_CHECKING;
	g_strlcpy(liar->msg.ufrag, "ufragOfALiar", sizeof liar->msg.ufrag);
	g_strlcpy(liar->msg.pwd, "passwordOfALiarxxxxxxxxxxx", sizeof liar->msg.pwd);
}

static void
liar_say(Liar *liar, Agent *to)
{
	g_autoptr(GBytes) plain = NULL, body = NULL;

	liar->msg.seq++;
	plain = nat_msg_encode(&liar->msg);
	body = nat_seal_wrap(liar->seal, plain);
	agent_hear(to, body);
}

static void
liar_offer(Liar *liar, guint32 address, guint16 port)
{
	guint32 be = g_htonl(address);
	NatCandidate *cand = &liar->msg.candidates[liar->msg.n_candidates++];

	cand->type = NAT_CAND_HOST;
	g_assert_true(wg_endpoint_from_bytes(&cand->endpoint, &be, sizeof be, port));
}

static guint
candidates_in_status(Agents *f)
{
	g_autoptr(NatStatus) status = nat_status_new();
	NatStatusPeer *row =
		nat_status_add_peer(nat_status_add_interface(status, "wg0"), &f->b.public_key);
	guint n;

	nat_peer_status(f->a.peer, f->a.wg, row);
	g_assert_cmpint(sscanf(row->why, "checking %u candidates", &n), ==, 1);
	return n;
}

/* Ever new candidates in one session: libnice takes 25, and so do we. */
static void
test_endless_candidates(Agents *f, gconstpointer data)
{
	Liar liar;

	if (!f->up)
		return;
	agent_stop(&f->b);
	f->down = FALSE;
	liar_init(&liar, f);
	for (guint round = 0; round < 40; round++) {
		liar.msg.n_candidates = 0;
		for (guint i = 0; i < NAT_MSG_MAX_CANDIDATES; i++)
			liar_offer(&liar, 0x0a090064 + i, (guint16)(1000 + round));
		liar_say(&liar, &f->a);
		if (round % 10 == 0)
			hosts_run(5);
	}
	g_assert_true(a_checking(f));
	g_assert_cmpuint(candidates_in_status(f), <=, NAT_MSG_MAX_CANDIDATES + 1);
	g_assert_cmpuint(f->a.writes, ==, 0);
	nat_seal_free(liar.seal);
}

/* Ever new sessions, each with a victim's address: the victim gets a trickle. */
static void
test_endless_sessions(Agents *f, gconstpointer data)
{
	gint64 began = g_get_monotonic_time();
	guint64 out, took_s;
	Liar liar;

	if (!f->up)
		return;
	agent_stop(&f->b);
	f->down = FALSE;
	liar_init(&liar, f);
	for (guint16 port = 1; port <= NAT_MSG_MAX_CANDIDATES; port++)
		liar_offer(&liar, 0x0a090064, port);
	for (guint i = 0; i < 200; i++) {
		liar.msg.sid++;
		liar.msg.seq = 0;
		/* the liar hears our answers: it knows our session id */
		if (f->a.recording->len > 0) {
			g_autoptr(GBytes) plain = NULL;
			GBytes *last = g_ptr_array_index(f->a.recording, f->a.recording->len - 1);
			gsize len;
			gconstpointer bytes = g_bytes_get_data(last, &len);
			NatMsg heard;

			plain = nat_seal_unwrap(liar.seal, bytes, len, NULL);
			g_assert_nonnull(plain);
			bytes = g_bytes_get_data(plain, &len);
			g_assert_true(nat_msg_decode(bytes, len, &heard, NULL));
			liar.msg.echo = heard.sid;
		}
		liar_say(&liar, &f->a);
		hosts_run(10);
	}
	out = nat_mux_counter(f->hosts.a.mux, NAT_MUX_OUT);
	g_test_message("%" G_GUINT64_FORMAT " checks to the victim", out);
	took_s = (guint64)(g_get_monotonic_time() - began) / G_USEC_PER_SEC;
	g_assert_cmpuint(out, <=, 60 + 25 * (12 + took_s)); /* 2 s, where nothing is late */
	g_assert_cmpuint(f->a.sent, <=, 200);
	g_assert_cmpuint(f->a.writes, ==, 0);
	nat_seal_free(liar.seal);
}

/* Addresses that are ours, nobody's, or lead into a tunnel. */
static void
test_refused_candidates(Agents *f, gconstpointer data)
{
	static const guint32 BAD[] = {0x7f000001, 0x0a090001, 0xe0000001, 0xffffffff, 0x08080808};
	Liar liar;

	if (!f->up)
		return;
	agent_stop(&f->b);
	f->down = FALSE;
	liar_init(&liar, f);
	for (guint i = 0; i < G_N_ELEMENTS(BAD); i++)
		liar_offer(&liar, BAD[i], 51820);
	liar_say(&liar, &f->a);
	hosts_run(300);
	g_assert_cmpuint(agent_dropped(&f->a, "candidate_refused"), >=, G_N_ELEMENTS(BAD));
	g_assert_cmpuint(nat_mux_counter(f->hosts.a.mux, NAT_MUX_OUT), ==, 0);
	g_assert_cmpuint(f->a.writes, ==, 0);
	nat_seal_free(liar.seal);
}

/* ---- the device ---- */

/* The device dies under us and comes back: the same path, a new session. */
static void
test_session_dies(Agents *f, gconstpointer data)
{
	if (!f->up)
		return;
	connect_both(f);
	f->a.wg->last_handshake_s = f->b.wg->last_handshake_s = 0;
	f->a.wg->endpoint = f->b.wg->endpoint = (WgEndpoint){0};
	f->a.wg->keepalive = f->b.wg->keepalive = 0;
	agents_tick(f);
	hosts_run(50);
	g_assert_true(hosts_wait(both_connected, f, CONNECT_MS));
	expect_direct(f);
}

/* So much later; the session, as it was seen last, is dead then. */
static void
observe_later(Agent *agent, gint64 seconds)
{
	nat_peer_observe(agent->peer, agent->wg, g_get_monotonic_time() + seconds * G_USEC_PER_SEC,
			 g_get_real_time() / G_USEC_PER_SEC + seconds);
}

/* A laptop goes home while its peer's agent is down: what ICE found at the office leads nowhere,
 * what the user had may. */
static void
test_session_dies_while_away(Agents *f, gconstpointer data)
{
	WgEndpoint original = net_ep("198.51.100.7:51820");

	if (!f->up)
		return;
	f->a.wg->endpoint = original;
	hosts_run(50);
	connect_both(f);
	expect_direct(f);
	agent_stop(&f->b);
	nat_peer_presence(f->a.peer, FALSE);
	observe_later(&f->a, 100);
	g_assert_true(wg_endpoint_equal(&f->a.wg->endpoint, &f->hosts.b.addr));
	observe_later(&f->a, 181);
	g_assert_true(a_waiting(f));
	g_assert_true(wg_endpoint_equal(&f->a.wg->endpoint, &original));
	g_assert_cmpuint(f->a.wg->keepalive, ==, 0);
}

/* The same by the next process, which finds the session dead, or sees it die, and nobody there. */
static void
test_found_dead(Agents *f, gconstpointer data)
{
	WgEndpoint original = net_ep("198.51.100.7:51820"), roamed = net_ep("203.0.113.9:9");
	guint writes;

	if (!f->up)
		return;
	f->a.wg->endpoint = original;
	hosts_run(50);
	connect_both(f);
	agent_stop(&f->b);
	agent_stop(&f->a);
	f->down = TRUE;
	agent_start(&f->a);
	hosts_run(50);
	g_assert_true(a_connected(f));
	observe_later(&f->a, 181);
	g_assert_true(a_waiting(f));
	g_assert_true(wg_endpoint_equal(&f->a.wg->endpoint, &original));

	agent_stop(&f->a);
	f->a.wg->endpoint = f->hosts.b.addr;
	f->a.wg->last_handshake_s -= 200;
	agent_start(&f->a);
	hosts_run(50);
	/* its agent has time to come */
	g_assert_true(a_waiting(f));
	g_assert_true(wg_endpoint_equal(&f->a.wg->endpoint, &f->hosts.b.addr));
	observe_later(&f->a, 11);
	g_assert_true(wg_endpoint_equal(&f->a.wg->endpoint, &original));
	writes = f->a.writes;
	observe_later(&f->a, 12);
	g_assert_cmpuint(f->a.writes, ==, writes);
	/* no agent has spoken to this process, and where WireGuard is now is none of our doing */
	f->a.wg->endpoint = roamed;
	f->a.wg->rx_bytes += 148;
	observe_later(&f->a, 13);
	observe_later(&f->a, 14);
	g_assert_cmpuint(f->a.writes, ==, writes);
}

/* Freed at every stage: no timer, closure or packet comes later. */
static void
test_freed_at_any_time(Agents *f, gconstpointer data)
{
	if (!f->up)
		return;
	for (int i = 0; i < 30; i++) {
		agents_meet(f);
		hosts_run(i * 7);
		agent_stop(i % 2 ? &f->a : &f->b);
		agent_start(i % 2 ? &f->a : &f->b);
		f->a.wg->last_handshake_s = f->b.wg->last_handshake_s = 0;
		f->a.wg->endpoint = (WgEndpoint){0};
		f->b.wg->endpoint = (WgEndpoint){0};
	}
	agents_meet(f);
	g_assert_true(hosts_wait(both_connected, f, 60000));
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_log_set_writer_func(agents_log, NULL, NULL);
	AGENTS("first-contact", test_first_contact);
	AGENTS("one-comes-later", test_one_comes_later);
	AGENTS("lost-announcements", test_lost_announcements);
	AGENTS("duplicated-and-reordered", test_duplicated_and_reordered);
	AGENTS("late-candidates", test_late_candidates);
	AGENTS("unmanaged-is-left-alone", test_unmanaged_is_left_alone);
	AGENTS("blocked-elsewhere", test_blocked_elsewhere);
	AGENTS("another-is-blamed", test_another_is_blamed);
	AGENTS("wireguard-pauses", test_wireguard_pauses);
	AGENTS("bytes-are-proof", test_bytes_are_proof);
	AGENTS("live-tunnel-is-adopted", test_live_tunnel_is_adopted);
	AGENTS("restart-keeps-the-endpoint", test_restart_keeps_the_endpoint);
	AGENTS("both-restart-at-once", test_both_restart_at_once);
	AGENTS("chooser-removes-the-peer", test_chooser_removes_the_peer);
	AGENTS("no-chatter-at-rest", test_no_chatter_at_rest);
	AGENTS("replays-change-nothing", test_replays_change_nothing);
	AGENTS("replay-to-a-fresh-agent", test_replay_to_a_fresh_agent);
	AGENTS("replay-does-not-raise-the-dead", test_replay_does_not_raise_the_dead);
	AGENTS("forgeries", test_forgeries);
	AGENTS("endless-candidates", test_endless_candidates);
	AGENTS("endless-sessions", test_endless_sessions);
	AGENTS("refused-candidates", test_refused_candidates);
	AGENTS("session-dies", test_session_dies);
	AGENTS("session-dies-while-away", test_session_dies_while_away);
	AGENTS("found-dead", test_found_dead);
	AGENTS("freed-at-any-time", test_freed_at_any_time);
	return g_test_run();
}
