/* SPDX-License-Identifier: MIT */
#include "tests/unit/watch-util.h"

static void
test_alive(Fixture *f, gconstpointer data)
{
	guint64 out;

	if (!f->up)
		return;
	f->a.says = (NatNote){.epoch = 7, .flags = NAT_NOTE_CHOSEN};
	f->b.says = (NatNote){.epoch = 0xfffffffe, .flags = NAT_NOTE_DEAD | NAT_NOTE_BLOCKED};
	connect_pair(f);
	g_assert_cmpfloat(nat_watch_rtt_ms(f->pair), >=, 0);
	g_assert_cmpfloat(nat_watch_rtt_ms(f->pair), <, 10000);
	g_assert_true(nat_watch_is_added(f->pair));
	g_assert_cmpint(nat_watch_alive_us(f->pair), >, 0);
	/* the other end found the pair by itself */
	g_assert_nonnull(b_pair(f));
	g_assert_true(hosts_wait(is_settled, b_pair(f), 30000));
	g_assert_false(nat_watch_is_added(b_pair(f)));
	g_assert_cmpint(nat_watch_remote(b_pair(f))->type, ==, NAT_CAND_PRFLX);
	/* notes went both ways */
	g_assert_cmpuint(f->a.heard.epoch, ==, 0xfffffffe);
	g_assert_cmpuint(f->a.heard.flags, ==, NAT_NOTE_DEAD | NAT_NOTE_BLOCKED);
	g_assert_cmpuint(f->b.heard.epoch, ==, 7);
	g_assert_cmpuint(f->b.heard.flags, ==, NAT_NOTE_CHOSEN);
	/* at rest nothing is sent, or as often as was said */
	g_assert_true(falls_silent(f, 700));
	out = sent(&f->a);
	nat_watch_set_rest(f->pair, 100);
	wait_sent(&f->a, out + 5);
	g_assert_cmpuint(f->a.states[NAT_PAIR_DEAD] + f->b.states[NAT_PAIR_DEAD], ==, 0);
}

static void
test_ipv6(Fixture *f, gconstpointer data)
{
	NatWatchPair *pair;

	if (!f->up)
		return;
	pair = add(&f->a, "[fd09::2]:51820");
	g_assert_true(hosts_wait(is_settled, pair, 30000));
}

static void
test_dead_soon_after_a_cut(Fixture *f, gconstpointer data)
{
	gint64 began;
	guint doubts;

	if (!f->up)
		return;
	connect_pair(f);
	b_drops(f, "");
	hosts_run(300); /* an answer less old than that ends the question */
	doubts = f->a.states[NAT_PAIR_SUSPECT];
	g_assert_true(is_alive(f->pair));
	began = g_get_monotonic_time();
	nat_watch_suspect(f->pair);
	g_assert_true(hosts_wait(is_dead, f->pair, 30000));
	g_test_message("suspect after %d ms, dead after %d", (int)(f->a.suspect_us - began) / 1000,
		       (int)(f->a.dead_us - began) / 1000);
	g_assert_cmpint(f->a.dead_us - began, <, 8000000);
	g_assert_cmpint(f->a.dead_us - began, >, 300000);
	g_assert_cmpuint(f->a.states[NAT_PAIR_SUSPECT], ==, doubts + 1);
	g_assert_cmpfloat(nat_watch_rtt_ms(f->pair), <, 0);
	g_assert_cmpint(nat_watch_alive_us(f->pair), ==, 0);
	g_assert_cmpuint(nat_watch_deaths(f->pair), ==, 1);
	/* it is asked on, and back when the way is */
	b_drops(f, NULL);
	g_assert_true(hosts_wait(is_settled, f->pair, 30000));
	g_assert_cmpuint(nat_watch_deaths(f->pair), ==, 1);
	g_assert_cmpint(nat_watch_alive_us(f->pair), >, f->a.dead_us);
}

static void
test_answer_ends_doubt(Fixture *f, gconstpointer data)
{
	gint64 since;

	if (!f->up)
		return;
	connect_pair(f);
	since = nat_watch_alive_us(f->pair);
	b_drops(f, "");
	nat_watch_probe(f->pair);
	g_assert_true(hosts_wait(is_suspect, f->pair, 30000));
	b_drops(f, NULL);
	g_assert_true(hosts_wait(is_alive, f->pair, 30000));
	hosts_run(1000);
	g_assert_true(is_alive(f->pair));
	g_assert_cmpuint(nat_watch_deaths(f->pair), ==, 0);
	/* the same life */
	g_assert_cmpint(nat_watch_alive_us(f->pair), ==, since);
	g_assert_cmpfloat(nat_watch_loss(f->pair), >, 0);
}

/* WireGuard's own bytes are an answer, too. */
static void
test_bytes_end_doubt(Fixture *f, gconstpointer data)
{
	if (!f->up)
		return;
	connect_pair(f);
	b_drops(f, "");
	nat_watch_probe(f->pair);
	for (int i = 0; i < 40; i++) {
		hosts_run(50);
		nat_watch_heard(f->pair);
	}
	g_assert_cmpuint(f->a.states[NAT_PAIR_DEAD], ==, 0);
	b_drops(f, NULL);
	g_assert_true(hosts_wait(is_alive, f->pair, 30000));
}

static void
test_loss_is_no_death(Fixture *f, gconstpointer data)
{
	gint64 end = g_get_monotonic_time() + 15 * G_TIME_SPAN_SECOND;

	if (!f->up)
		return;
	connect_pair(f);
	b_drops(f, "numgen random mod 8 == 0");
	while (g_get_monotonic_time() < end) {
		nat_watch_probe(f->pair);
		hosts_run(50);
	}
	g_test_message("%u times suspected, loss %.2f", f->a.states[NAT_PAIR_SUSPECT],
		       nat_watch_loss(f->pair));
	g_assert_cmpuint(f->a.states[NAT_PAIR_SUSPECT], >, 5);
	g_assert_cmpuint(f->a.states[NAT_PAIR_DEAD], ==, 0);
	g_assert_cmpfloat(nat_watch_loss(f->pair), >, 0);
	g_assert_cmpfloat(nat_watch_loss(f->pair), <, 0.95);
}

/* Nobody is there: a few probes, then ever fewer. */
static void
test_nobody(Fixture *f, gconstpointer data)
{
	NatWatchPair *pair;
	gint64 began;
	guint64 out;

	if (!f->up)
		return;
	pair = add(&f->a, "10.9.0.2:4000");
	g_assert_true(hosts_wait(is_dead, pair, 30000));
	g_assert_cmpuint(sent(&f->a), ==, 6);
	g_assert_cmpuint(nat_watch_deaths(pair), ==, 0); /* it never lived */
	out = sent(&f->a);
	began = g_get_monotonic_time();
	hosts_run(2500);
	if (g_get_monotonic_time() - began < 2600 * G_TIME_SPAN_MILLISECOND)
		g_assert_cmpuint(sent(&f->a) - out, <=, 3);
	wait_sent(&f->a, out + 1);
}

/* A probe that was asked for is sent, whatever else is arranged for the pair meanwhile. */
static void
test_rest_puts_no_probe_off(Fixture *f, gconstpointer data)
{
	guint64 out;

	if (!f->up)
		return;
	connect_pair(f);
	g_assert_true(hosts_wait(is_settled, b_pair(f), 30000));
	g_assert_true(falls_silent(f, 300));
	out = sent(&f->a);
	nat_watch_probe(f->pair);
	nat_watch_set_rest(f->pair, 600000);
	wait_sent(&f->a, out + 1);
	g_assert_true(falls_silent(f, 150));
	out = sent(&f->a);
	nat_watch_probe(f->pair);
	nat_watch_set_rest(f->pair, 0);
	wait_sent(&f->a, out + 1);
	g_assert_true(falls_silent(f, 300));
}

/* ---- insisting ---- */

static void
wait_is_insisted(Fixture *f, guint64 n)
{
	nat_watch_insist(f->pair, TRUE);
	wait_sent(&f->a, n);
}

static void
test_insisting_stops(Fixture *f, gconstpointer data)
{
	guint64 out;
	guint doubts;

	if (!f->up)
		return;
	connect_pair(f);
	g_assert_true(hosts_wait(is_settled, b_pair(f), 30000));
	g_assert_true(falls_silent(f, 300));
	wait_is_insisted(f, sent(&f->a) + 4);
	nat_watch_insist(f->pair, FALSE);
	g_assert_true(falls_silent(f, 500));
	/* by itself, too */
	out = sent(&f->a);
	wait_is_insisted(f, out + 4);
	hosts_run(6000);
	g_assert_true(falls_silent(f, 500));
	doubts = f->a.states[NAT_PAIR_SUSPECT] + f->b.states[NAT_PAIR_SUSPECT];
	g_assert_cmpuint(sent(&f->a), <=, out + 45 + 24 * doubts);
	g_assert_cmpuint(f->a.states[NAT_PAIR_DEAD] + f->b.states[NAT_PAIR_DEAD], ==, 0);
}

/* Both ends insist for some seconds: no rate limit of our own makes the path look dead. */
static void
test_both_insist(Fixture *f, gconstpointer data)
{
	gint64 end;

	if (!f->up)
		return;
	connect_pair(f);
	g_assert_true(hosts_wait(is_settled, b_pair(f), 30000));
	end = g_get_monotonic_time() + 4 * G_TIME_SPAN_SECOND;
	while (g_get_monotonic_time() < end) {
		nat_watch_insist(f->pair, TRUE);
		nat_watch_insist(b_pair(f), TRUE);
		hosts_run(20);
	}
	g_test_message("%u times suspected, %" G_GUINT64_FORMAT " held back",
		       f->a.states[NAT_PAIR_SUSPECT] + f->b.states[NAT_PAIR_SUSPECT],
		       nat_mux_counter(f->hosts.a.mux, NAT_MUX_DROP_RATE) +
			       nat_mux_counter(f->hosts.b.mux, NAT_MUX_DROP_RATE));
	g_assert_cmpuint(f->a.states[NAT_PAIR_DEAD] + f->b.states[NAT_PAIR_DEAD], ==, 0);
}

static void
test_insisting_goes_on_into_doubt(Fixture *f, gconstpointer data)
{
	if (!f->up)
		return;
	connect_pair(f);
	b_drops(f, "");
	nat_watch_insist(f->pair, TRUE);
	g_assert_true(hosts_wait(is_dead, f->pair, 30000));
	g_assert_cmpuint(f->a.states[NAT_PAIR_DEAD], ==, 1);
}

static gboolean
relay_is_ours(const WgEndpoint *relayed, gpointer user_data)
{
	WgEndpoint own = net_ep(RELAYED);

	return wg_endpoint_equal(relayed, &own);
}

typedef struct {
	Fixture *f;
	WgEndpoint dst;
	gsize len;
	guint8 payload[NAT_STUN_MAX];
} Held;

static gboolean
on_held(gpointer data)
{
	Held *held = data;

	held->f->held--;
	sendto(held->f->relay_fd, held->payload, held->len, 0, &held->dst.sa,
	       wg_endpoint_socklen(&held->dst));
	return G_SOURCE_REMOVE;
}

static gboolean
relay_send(const WgEndpoint *relayed, const WgEndpoint *dst, const guint8 *payload, gsize len,
	   gpointer user_data)
{
	Fixture *f = user_data;
	Held *held = g_new0(Held, 1);

	g_assert_cmpuint(len, <=, sizeof held->payload);
	held->f = f;
	held->dst = *dst;
	held->len = len;
	memcpy(held->payload, payload, len);
	f->relayed_out++;
	f->held++;
	g_timeout_add_full(G_PRIORITY_DEFAULT, f->relay_delay_ms, on_held, held, g_free);
	return TRUE;
}

static gboolean
on_relay_readable(gint fd, GIOCondition condition, gpointer user_data)
{
	Fixture *f = user_data;
	guint8 buf[NAT_STUN_PADDED_MAX];
	NatUdp pkt = {.dst = net_ep(RELAYED), .payload = buf};
	gssize n = net_recv(fd, buf, sizeof buf, 0, &pkt.src);

	if (n > 0) {
		pkt.len = (gsize)n;
		nat_mux_receive_relayed(f->hosts.a.mux, &pkt);
	}
	return G_SOURCE_CONTINUE;
}

static const NatMuxRelay RELAY = {relay_is_ours, relay_send};

static void
open_relay(Fixture *f)
{
	net_run("ip addr add 10.9.0.77/24 dev core-a");
	f->relay_fd = net_udp(RELAYED);
	f->relay_source = g_unix_fd_add(f->relay_fd, G_IO_IN, on_relay_readable, f);
	nat_mux_set_relay(f->hosts.a.mux, &RELAY, f);
}

static NatWatchPair *
add_relayed(Fixture *f)
{
	NatCandidate cand = {.type = NAT_CAND_HOST, .endpoint = f->hosts.b.addr};
	WgEndpoint relayed = net_ep(RELAYED);

	return nat_watch_add(f->a.watch, &relayed, &cand);
}

static void
test_relayed(Fixture *f, gconstpointer data)
{
	WgEndpoint relayed = net_ep(RELAYED);
	NatWatchPair *pair, *direct, *there;

	if (!f->up)
		return;
	open_relay(f);
	pair = add_relayed(f);
	g_assert_true(hosts_wait(is_settled, pair, 30000));
	g_assert_true(nat_watch_is_relay(pair));
	g_assert_true(wg_endpoint_equal(nat_watch_relayed(pair), &relayed));
	g_assert_cmpuint(f->relayed_out, >=, 3);
	there = nat_watch_find(f->b.watch, NULL, &relayed);
	g_assert_nonnull(there);
	g_assert_true(hosts_wait(is_settled, there, 30000));
	/* the direct pair to the same address is another one, with a life of its own */
	direct = add(&f->a, "10.9.0.2:51820");
	g_assert_true(direct != pair);
	g_assert_true(hosts_wait(is_settled, direct, 30000));
	g_assert_null(nat_watch_relayed(direct));
	/* the allocation is gone */
	nat_mux_set_relay(f->hosts.a.mux, NULL, NULL);
	nat_watch_probe(pair);
	g_assert_true(hosts_wait(is_dead, pair, 30000));
	g_assert_true(is_alive(direct));
}

/* The peer asks our relayed address first: the pair is one from there. */
static void
test_relayed_from_the_peer(Fixture *f, gconstpointer data)
{
	NatWatchPair *pair;
	WgEndpoint relayed = net_ep(RELAYED);

	if (!f->up)
		return;
	open_relay(f);
	pair = add(&f->b, RELAYED);
	g_assert_true(hosts_wait(is_settled, pair, 30000));
	g_assert_nonnull(nat_watch_find(f->a.watch, &relayed, &f->hosts.b.addr));
	g_assert_null(nat_watch_find(f->a.watch, NULL, &f->hosts.b.addr));
	g_assert_true(hosts_wait(is_settled, nat_watch_find(f->a.watch, &relayed, &f->hosts.b.addr),
				 30000));
}

/* With a slow answer under way, the end of insisting is no reason for doubt. (A loaded machine's
 * answer may come late enough to be one, now and then.) */
static void
test_end_of_insisting_is_no_doubt(Fixture *f, gconstpointer data)
{
	NatWatchPair *pair;

	if (!f->up)
		return;
	f->relay_delay_ms = 50;
	open_relay(f);
	pair = add_relayed(f);
	g_assert_true(hosts_wait(is_settled, pair, 30000));
	hosts_run(500);
	for (int i = 0; i < 20; i++) {
		nat_watch_insist(pair, TRUE);
		hosts_run(45 + i);
		nat_watch_insist(pair, FALSE);
		hosts_run(150);
	}
	nat_watch_insist(pair, TRUE);
	hosts_run(4000);
	g_assert_cmpuint(f->a.states[NAT_PAIR_SUSPECT], <=, 5);
}

#define ADD(name, func) g_test_add("/watch/" name, Fixture, NULL, set_up, func, tear_down)

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("alive", test_alive);
	ADD("ipv6", test_ipv6);
	ADD("dead-soon-after-a-cut", test_dead_soon_after_a_cut);
	ADD("answer-ends-doubt", test_answer_ends_doubt);
	ADD("bytes-end-doubt", test_bytes_end_doubt);
	ADD("loss-is-no-death", test_loss_is_no_death);
	ADD("nobody", test_nobody);
	ADD("rest-puts-no-probe-off", test_rest_puts_no_probe_off);
	ADD("insisting-stops", test_insisting_stops);
	ADD("both-insist", test_both_insist);
	ADD("insisting-goes-on-into-doubt", test_insisting_goes_on_into_doubt);
	ADD("end-of-insisting-is-no-doubt", test_end_of_insisting_is_no_doubt);
	ADD("relayed", test_relayed);
	ADD("relayed-from-the-peer", test_relayed_from_the_peer);
	return g_test_run();
}
