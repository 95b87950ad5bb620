/* SPDX-License-Identifier: MIT */
#include "agent/nat-watch.h"
#include "tests/unit/two-hosts.h"

#include <glib-unix.h>
#include <string.h>

#define ID_A 0x1111111111111111
#define ID_B 0x2222222222222222
#define RELAYED "10.9.0.77:5000"

typedef struct {
	Host *host;
	WgKey priv, pub;
	NatSeal *seal;
	NatWatch *watch;
	NatNote says, heard;
	guint states[NAT_PAIR_DEAD + 1]; /* how often entered */
	guint noted, removed;
	gint64 suspect_us, dead_us;
	/* inside the callbacks */
	gboolean remove_on_change, remove_on_note, add_on_change;
} Side;

typedef struct {
	Hosts hosts;
	gboolean up;
	Side a, b;
	NatWatchPair *pair; /* a's, to b */
	/* a relay beside host a: a socket with an address of its own */
	int relay_fd;
	guint relay_source;
	guint relayed_out, relay_delay_ms;
} Fixture;

static void
on_changed(NatWatchPair *pair, NatPairState before, gpointer user_data)
{
	Side *side = user_data;
	NatPairState state = nat_watch_state(pair);

	g_assert_cmpint(state, !=, before);
	side->states[state]++;
	if (state == NAT_PAIR_SUSPECT)
		side->suspect_us = g_get_monotonic_time();
	if (state == NAT_PAIR_DEAD)
		side->dead_us = g_get_monotonic_time();
	if (side->add_on_change) {
		NatCandidate cand = {.type = NAT_CAND_HOST, .endpoint = net_ep("10.9.0.2:7")};

		g_assert_nonnull(nat_watch_add(side->watch, NULL, &cand));
	}
	if (side->remove_on_change)
		nat_watch_remove(pair);
}

static void
on_noted(NatWatchPair *pair, const NatNote *note, gboolean answer, gpointer user_data)
{
	Side *side = user_data;

	side->noted++;
	side->heard = *note;
	g_assert_cmpint(nat_watch_state(pair), !=, NAT_PAIR_NEW);
	if (side->remove_on_note)
		nat_watch_remove(pair);
}

static void
on_tell(NatWatchPair *pair, NatNote *note, gpointer user_data)
{
	*note = ((Side *)user_data)->says;
}

static void
on_removed(NatWatchPair *pair, gpointer user_data)
{
	((Side *)user_data)->removed++;
	g_free(nat_watch_data(pair));
	nat_watch_set_data(pair, NULL);
}

static const NatWatchFuncs FUNCS = {on_changed, on_noted, on_tell, on_removed};

static void
make_watch(Side *side, const Side *other, guint64 own_id, guint64 peer_id)
{
	side->watch = nat_watch_new(side->host->mux, side->seal, &side->pub, &other->pub, own_id,
				    peer_id, &FUNCS, side);
}

static NatWatchPair *
add(Side *side, const char *remote)
{
	NatCandidate cand = {.type = NAT_CAND_HOST, .endpoint = net_ep(remote)};

	return nat_watch_add(side->watch, NULL, &cand);
}

static void
set_up(Fixture *f, gconstpointer data)
{
	g_autoptr(GError) error = NULL;

	f->relay_fd = -1;
	f->up = hosts_up(&f->hosts);
	if (!f->up)
		return;
	f->a.host = &f->hosts.a;
	f->b.host = &f->hosts.b;
	wg_key_generate_private(&f->a.priv);
	wg_key_generate_private(&f->b.priv);
	wg_key_public_from_private(&f->a.priv, &f->a.pub);
	wg_key_public_from_private(&f->b.priv, &f->b.pub);
	f->a.seal = nat_seal_new(&f->a.priv, &f->b.pub, &error);
	g_assert_no_error(error);
	f->b.seal = nat_seal_new(&f->b.priv, &f->a.pub, &error);
	g_assert_no_error(error);
	make_watch(&f->a, &f->b, ID_A, ID_B);
	make_watch(&f->b, &f->a, ID_B, ID_A);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
	if (!f->up)
		return;
	nat_watch_free(f->a.watch);
	nat_watch_free(f->b.watch);
	nat_seal_free(f->a.seal);
	nat_seal_free(f->b.seal);
	if (f->relay_fd >= 0) {
		hosts_run((int)f->relay_delay_ms + 50);
		g_source_remove(f->relay_source);
		close(f->relay_fd);
	}
	hosts_run(20); /* whatever was left behind would fire now */
	hosts_down(&f->hosts);
}

/* ---- conditions ---- */

static gboolean
is_alive(gconstpointer data)
{
	return nat_watch_state(data) == NAT_PAIR_ALIVE;
}

static gboolean
is_dead(gconstpointer data)
{
	return nat_watch_state(data) == NAT_PAIR_DEAD;
}

static gboolean
is_suspect(gconstpointer data)
{
	return nat_watch_state(data) == NAT_PAIR_SUSPECT;
}

static gboolean
is_settled(gconstpointer data)
{
	return is_alive(data) && nat_watch_answers(data) >= 3;
}

static guint64
sent(const Side *side)
{
	return nat_mux_counter(side->host->mux, NAT_MUX_OUT);
}

/* What b's firewall does to all UDP, each way. */
static void
b_drops(Fixture *f, const char *what)
{
	host_enter(&f->hosts.b);
	net_try("nft delete table inet cut");
	if (what != NULL) {
		net_run("nft add table inet cut");
		net_run("nft add chain inet cut in { type filter hook input priority 0; }");
		net_run("nft add chain inet cut out { type filter hook output priority 0; }");
		net_run("nft add rule inet cut in meta l4proto udp %s drop", what);
		net_run("nft add rule inet cut out meta l4proto udp %s drop", what);
	}
	host_enter(&f->hosts.a);
}

static void
connect_pair(Fixture *f)
{
	f->pair = add(&f->a, "10.9.0.2:51820");
	g_assert_nonnull(f->pair);
	g_assert_cmpint(nat_watch_state(f->pair), ==, NAT_PAIR_NEW);
	g_assert_true(hosts_wait(is_settled, f->pair, 5000));
}

static NatWatchPair *
b_pair(Fixture *f)
{
	return nat_watch_find(f->b.watch, NULL, &f->hosts.a.addr);
}

/* ---- life of a pair ---- */

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
	g_assert_cmpfloat(nat_watch_rtt_ms(f->pair), <, 1000);
	g_assert_true(nat_watch_is_added(f->pair));
	g_assert_cmpint(nat_watch_alive_us(f->pair), >, 0);
	/* the other end found the pair by itself */
	g_assert_nonnull(b_pair(f));
	g_assert_true(hosts_wait(is_settled, b_pair(f), 5000));
	g_assert_false(nat_watch_is_added(b_pair(f)));
	g_assert_cmpint(nat_watch_remote(b_pair(f))->type, ==, NAT_CAND_PRFLX);
	/* notes went both ways */
	g_assert_cmpuint(f->a.heard.epoch, ==, 0xfffffffe);
	g_assert_cmpuint(f->a.heard.flags, ==, NAT_NOTE_DEAD | NAT_NOTE_BLOCKED);
	g_assert_cmpuint(f->b.heard.epoch, ==, 7);
	g_assert_cmpuint(f->b.heard.flags, ==, NAT_NOTE_CHOSEN);
	/* at rest nothing is sent, or as often as was said */
	hosts_run(300);
	out = sent(&f->a) + sent(&f->b);
	hosts_run(700);
	g_assert_cmpuint(sent(&f->a) + sent(&f->b), ==, out);
	nat_watch_set_rest(f->pair, 100);
	hosts_run(1050);
	g_assert_cmpuint(sent(&f->a), >=, out / 2 + 5);
	g_assert_cmpuint(f->a.states[NAT_PAIR_DEAD] + f->b.states[NAT_PAIR_DEAD], ==, 0);
}

static void
test_ipv6(Fixture *f, gconstpointer data)
{
	NatWatchPair *pair;

	if (!f->up)
		return;
	pair = add(&f->a, "[fd09::2]:51820");
	g_assert_true(hosts_wait(is_settled, pair, 5000));
}

static void
test_dead_soon_after_a_cut(Fixture *f, gconstpointer data)
{
	gint64 began;

	if (!f->up)
		return;
	connect_pair(f);
	b_drops(f, "");
	hosts_run(300); /* an answer less old than that ends the question */
	began = g_get_monotonic_time();
	nat_watch_suspect(f->pair);
	g_assert_true(hosts_wait(is_dead, f->pair, 10000));
	g_test_message("suspect after %d ms, dead after %d", (int)(f->a.suspect_us - began) / 1000,
		       (int)(f->a.dead_us - began) / 1000);
	g_assert_cmpint(f->a.dead_us - began, <, 1500000);
	g_assert_cmpint(f->a.dead_us - began, >, 300000);
	g_assert_cmpuint(f->a.states[NAT_PAIR_SUSPECT], ==, 1);
	g_assert_cmpfloat(nat_watch_rtt_ms(f->pair), <, 0);
	g_assert_cmpint(nat_watch_alive_us(f->pair), ==, 0);
	g_assert_cmpuint(nat_watch_deaths(f->pair), ==, 1);
	/* it is asked on, and back when the way is */
	b_drops(f, NULL);
	g_assert_true(hosts_wait(is_settled, f->pair, 5000));
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
	g_assert_true(hosts_wait(is_suspect, f->pair, 5000));
	b_drops(f, NULL);
	g_assert_true(hosts_wait(is_alive, f->pair, 5000));
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
	g_assert_true(hosts_wait(is_alive, f->pair, 5000));
}

static void
test_loss_is_no_death(Fixture *f, gconstpointer data)
{
	gint64 end = g_get_monotonic_time() + 15 * G_TIME_SPAN_SECOND;

	if (!f->up)
		return;
	connect_pair(f);
	b_drops(f, "numgen random mod 5 == 0");
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
	guint64 out;

	if (!f->up)
		return;
	pair = add(&f->a, "10.9.0.2:4000");
	g_assert_true(hosts_wait(is_dead, pair, 15000));
	g_assert_cmpuint(sent(&f->a), ==, 6);
	g_assert_cmpuint(nat_watch_deaths(pair), ==, 0); /* it never lived */
	out = sent(&f->a);
	hosts_run(2500);
	g_assert_cmpuint(sent(&f->a) - out, <=, 3);
	g_assert_cmpuint(sent(&f->a) - out, >=, 1);
}

/* A probe that was asked for is sent, whatever else is arranged for the pair meanwhile. */
static void
test_rest_puts_no_probe_off(Fixture *f, gconstpointer data)
{
	guint64 out;

	if (!f->up)
		return;
	connect_pair(f);
	hosts_run(300);
	out = sent(&f->a);
	nat_watch_probe(f->pair);
	nat_watch_set_rest(f->pair, 5000);
	hosts_run(100);
	g_assert_cmpuint(sent(&f->a), ==, out + 1);
	hosts_run(50);
	nat_watch_probe(f->pair);
	nat_watch_set_rest(f->pair, 0);
	hosts_run(100);
	g_assert_cmpuint(sent(&f->a), ==, out + 2);
}

/* ---- insisting ---- */

static void
test_insisting_stops(Fixture *f, gconstpointer data)
{
	guint64 out;

	if (!f->up)
		return;
	connect_pair(f);
	g_assert_true(hosts_wait(is_settled, b_pair(f), 5000));
	hosts_run(300);
	out = sent(&f->a);
	nat_watch_insist(f->pair, TRUE);
	hosts_run(200);
	g_assert_cmpuint(sent(&f->a), >=, out + 4);
	nat_watch_insist(f->pair, FALSE);
	hosts_run(300);
	out = sent(&f->a);
	hosts_run(500);
	g_assert_cmpuint(sent(&f->a), ==, out);
	/* by itself, too */
	nat_watch_insist(f->pair, TRUE);
	hosts_run(2500);
	g_assert_cmpuint(sent(&f->a), <=, out + 45);
	out = sent(&f->a);
	hosts_run(500);
	g_assert_cmpuint(sent(&f->a), ==, out);
	g_assert_cmpuint(f->a.states[NAT_PAIR_SUSPECT] + f->b.states[NAT_PAIR_SUSPECT], ==, 0);
}

/* Both ends insist for some seconds: no rate limit of our own makes the path look dead. */
static void
test_both_insist(Fixture *f, gconstpointer data)
{
	gint64 end;

	if (!f->up)
		return;
	connect_pair(f);
	g_assert_true(hosts_wait(is_settled, b_pair(f), 5000));
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
	g_assert_true(hosts_wait(is_dead, f->pair, 10000));
	g_assert_cmpuint(f->a.states[NAT_PAIR_DEAD], ==, 1);
}

/* ---- strangers ---- */

/* A request of b's to a, as an eavesdropper has it. */
static gsize
copy_request(Fixture *f, guint8 buf[NAT_STUN_MAX])
{
	int fd = net_udp("10.9.0.1:4000");
	NatWatchPair *pair = add(&f->b, "10.9.0.1:4000");
	gssize n;

	hosts_run(20);
	n = net_recv(fd, buf, NAT_STUN_MAX, 5000, NULL);
	g_assert_cmpint(n, >, 0);
	nat_watch_remove(pair);
	close(fd);
	return (gsize)n;
}

static int
replay_from(Fixture *f, guint16 port, const guint8 *buf, gsize len)
{
	g_autofree char *from = g_strdup_printf("10.9.0.2:%u", port);
	int fd;

	host_enter(&f->hosts.b);
	fd = net_udp(from);
	host_enter(&f->hosts.a);
	g_assert_cmpint(
		sendto(fd, buf, len, 0, &f->hosts.a.addr.sa, wg_endpoint_socklen(&f->hosts.a.addr)),
		==, (gssize)len);
	return fd;
}

static gboolean
a_has_none(gconstpointer data)
{
	return nat_watch_count(((const Fixture *)data)->a.watch) == 0;
}

static gboolean
a_has_one(gconstpointer data)
{
	return nat_watch_count(((const Fixture *)data)->a.watch) == 1;
}

static void
test_replayed_from_elsewhere(Fixture *f, gconstpointer data)
{
	guint8 buf[NAT_STUN_MAX];
	gsize len;
	int fd;

	if (!f->up)
		return;
	f->b.says = (NatNote){.epoch = 99, .flags = NAT_NOTE_CHOSEN};
	len = copy_request(f, buf);
	fd = replay_from(f, 4001, buf, len);
	g_assert_true(hosts_wait(a_has_one, f, 2000));
	for (int i = 0; i < 40; i++) {
		sendto(fd, buf, len, 0, &f->hosts.a.addr.sa, wg_endpoint_socklen(&f->hosts.a.addr));
		hosts_run(20);
	}
	/* it answers nothing, so it is nobody; and nobody's note is heard */
	g_assert_cmpuint(f->a.states[NAT_PAIR_ALIVE], ==, 0);
	g_assert_cmpuint(f->a.noted, ==, 0);
	g_assert_true(hosts_wait(a_has_none, f, 15000));
	g_assert_cmpuint(f->a.removed, ==, 1);
	close(fd);
}

/* Copies from ever new addresses leave room for the pairs that are known to be the peer's. */
static void
test_replays_take_no_room(Fixture *f, gconstpointer data)
{
	guint8 buf[NAT_STUN_MAX];
	int fds[40];
	gsize len;

	if (!f->up)
		return;
	len = copy_request(f, buf);
	for (guint i = 0; i < G_N_ELEMENTS(fds); i++)
		fds[i] = replay_from(f, (guint16)(5000 + i), buf, len);
	hosts_run(50);
	g_assert_cmpuint(nat_watch_count(f->a.watch), >, 0);
	for (guint i = 0; i < NAT_WATCH_PAIRS; i++) {
		g_autofree char *remote = g_strdup_printf("10.9.0.2:%u", 6000 + i);

		g_assert_nonnull(add(&f->a, remote));
	}
	g_assert_cmpuint(nat_watch_count(f->a.watch), ==, NAT_WATCH_PAIRS);
	for (guint i = 0; i < G_N_ELEMENTS(fds); i++)
		close(fds[i]);
}

/* Who has the ufrags but not the password, and who has another process's. */
static void
test_forgeries(Fixture *f, gconstpointer data)
{
	static const guint8 NOTE[NAT_STUN_NOTE_LEN] = {0, 0, 0, 9, NAT_NOTE_CHOSEN};
	guint8 buf[NAT_STUN_MAX], id[NAT_STUN_ID_LEN] = "forged-----";
	g_autofree char *user = NULL;
	NatStun stun;
	guint noted;
	guint64 out;
	gsize len;
	int fd;

	if (!f->up)
		return;
	connect_pair(f);
	len = copy_request(f, buf);
	g_assert_true(nat_stun_parse(buf, len, &stun));
	g_assert_true(stun.has_integrity && !stun.use_candidate && stun.note != NULL);
	user = g_strndup(stun.username, stun.username_len);
	hosts_run(300);
	noted = f->a.noted;
	out = sent(&f->a);
	/* the note is under the integrity */
	buf[stun.note - buf + 3] ^= 1;
	fd = replay_from(f, 4001, buf, len);
	hosts_run(20);
	len = nat_stun_build_probe(buf, sizeof buf, id, user, "somebody else's", NOTE);
	sendto(fd, buf, len, 0, &f->hosts.a.addr.sa, wg_endpoint_socklen(&f->hosts.a.addr));
	len = nat_stun_build_probe_answer(buf, sizeof buf, id, &f->hosts.a.addr, "nobody's", NOTE);
	sendto(fd, buf, len, 0, &f->hosts.a.addr.sa, wg_endpoint_socklen(&f->hosts.a.addr));
	hosts_run(200);
	g_assert_cmpuint(nat_watch_count(f->a.watch), ==, 1);
	g_assert_cmpuint(f->a.noted, ==, noted);
	g_assert_cmpuint(sent(&f->a), ==, out);
	close(fd);
}

static void
test_other_process(Fixture *f, gconstpointer data)
{
	if (!f->up)
		return;
	g_clear_pointer(&f->b.watch, nat_watch_free);
	make_watch(&f->b, &f->a, ID_B + 1, ID_A);
	f->pair = add(&f->a, "10.9.0.2:51820");
	g_assert_true(hosts_wait(is_dead, f->pair, 15000));
	g_assert_cmpuint(sent(&f->b), ==, 0);
}

/* The peer's NAT maps it anew again and again: who it was gives way to who it is. */
static void
test_ever_new_mappings(Fixture *f, gconstpointer data)
{
	NatWatchPair *pair;

	if (!f->up)
		return;
	pair = add(&f->b, "10.9.0.1:51820");
	for (int i = 0; i <= NAT_WATCH_PAIRS + 2; i++) {
		g_autofree char *text = g_strdup_printf("10.9.0.%d:51820", 10 + i);
		WgEndpoint now = net_ep(text);

		host_enter(&f->hosts.b);
		net_run("ip addr add 10.9.0.%d/24 dev core-b", 10 + i);
		net_run("ip route replace 10.9.0.1/32 dev core-b src 10.9.0.%d", 10 + i);
		host_enter(&f->hosts.a);
		nat_watch_probe(pair);
		hosts_run(100);
		g_assert_nonnull(nat_watch_find(f->a.watch, NULL, &now));
		g_assert_true(hosts_wait(is_alive, nat_watch_find(f->a.watch, NULL, &now), 5000));
		nat_watch_probe_all(f->a.watch);
		hosts_run(900);
	}
	g_assert_cmpuint(nat_watch_count(f->a.watch), <=, NAT_WATCH_PAIRS);
}

/* ---- bounds ---- */

static void
test_twelve_at_most(Fixture *f, gconstpointer data)
{
	NatCandidate again = {.type = NAT_CAND_RELAY, .endpoint = net_ep("10.9.0.2:4003")};
	NatWatchPair *pair;

	if (!f->up)
		return;
	for (guint i = 0; i < NAT_WATCH_PAIRS; i++) {
		g_autofree char *remote = g_strdup_printf("10.9.0.2:%u", 4000 + i);

		g_assert_nonnull(add(&f->a, remote));
	}
	g_assert_null(add(&f->a, "10.9.0.2:5000"));
	/* what is known is found, and its kind bettered */
	pair = nat_watch_add(f->a.watch, NULL, &again);
	g_assert_nonnull(pair);
	g_assert_cmpuint(nat_watch_count(f->a.watch), ==, NAT_WATCH_PAIRS);
	g_assert_true(nat_watch_is_relay(pair));
	again.type = NAT_CAND_PRFLX;
	g_assert_true(nat_watch_add(f->a.watch, NULL, &again) == pair);
	g_assert_true(nat_watch_is_relay(pair));
	nat_watch_remove(pair);
	g_assert_nonnull(add(&f->a, "10.9.0.2:5000"));
	hosts_run(300); /* and go with their timers pending */
}

/* ---- through a relay ---- */

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
	g_assert_true(hosts_wait(is_settled, pair, 5000));
	g_assert_true(nat_watch_is_relay(pair));
	g_assert_true(wg_endpoint_equal(nat_watch_relayed(pair), &relayed));
	g_assert_cmpuint(f->relayed_out, >=, 3);
	there = nat_watch_find(f->b.watch, NULL, &relayed);
	g_assert_nonnull(there);
	g_assert_true(hosts_wait(is_settled, there, 5000));
	/* the direct pair to the same address is another one, with a life of its own */
	direct = add(&f->a, "10.9.0.2:51820");
	g_assert_true(direct != pair);
	g_assert_true(hosts_wait(is_settled, direct, 5000));
	g_assert_null(nat_watch_relayed(direct));
	/* the allocation is gone */
	nat_mux_set_relay(f->hosts.a.mux, NULL, NULL);
	nat_watch_probe(pair);
	g_assert_true(hosts_wait(is_dead, pair, 5000));
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
	g_assert_true(hosts_wait(is_settled, pair, 5000));
	g_assert_nonnull(nat_watch_find(f->a.watch, &relayed, &f->hosts.b.addr));
	g_assert_null(nat_watch_find(f->a.watch, NULL, &f->hosts.b.addr));
	g_assert_true(hosts_wait(is_settled, nat_watch_find(f->a.watch, &relayed, &f->hosts.b.addr),
				 5000));
}

/* With a slow answer under way, the end of insisting is no reason for doubt. */
static void
test_end_of_insisting_is_no_doubt(Fixture *f, gconstpointer data)
{
	NatWatchPair *pair;

	if (!f->up)
		return;
	f->relay_delay_ms = 50;
	open_relay(f);
	pair = add_relayed(f);
	g_assert_true(hosts_wait(is_settled, pair, 5000));
	hosts_run(500);
	for (int i = 0; i < 20; i++) {
		nat_watch_insist(pair, TRUE);
		hosts_run(45 + i);
		nat_watch_insist(pair, FALSE);
		hosts_run(150);
	}
	nat_watch_insist(pair, TRUE);
	hosts_run(4000);
	g_assert_cmpuint(f->a.states[NAT_PAIR_SUSPECT], ==, 0);
}

/* ---- inside callbacks, and the end ---- */

static gboolean
a_removed(gconstpointer data)
{
	return ((const Fixture *)data)->a.removed > 0;
}

static void
test_removed_inside_changed(Fixture *f, gconstpointer data)
{
	if (!f->up)
		return;
	f->a.remove_on_change = TRUE;
	f->pair = add(&f->a, "10.9.0.2:51820");
	nat_watch_set_data(f->pair, g_strdup("owned"));
	g_assert_true(hosts_wait(a_removed, f, 5000));
	f->a.remove_on_change = FALSE;
	nat_watch_remove(b_pair(f)); /* or its probes make a pair here */
	hosts_run(300);
	while (nat_watch_count(f->a.watch) > 0)
		nat_watch_remove(nat_watch_nth(f->a.watch, 0));
	/* on death by doubt, of a pair that never lived, by bytes */
	connect_pair(f);
	b_drops(f, "");
	nat_watch_probe(f->pair);
	g_assert_true(hosts_wait(is_suspect, f->pair, 5000));
	f->a.remove_on_change = TRUE;
	f->a.removed = 0;
	g_assert_true(hosts_wait(a_removed, f, 5000));
	f->a.removed = 0;
	f->pair = add(&f->a, "10.9.0.2:4000");
	g_assert_true(hosts_wait(a_removed, f, 15000));
	b_drops(f, NULL);
	f->a.remove_on_change = FALSE;
	connect_pair(f);
	b_drops(f, "");
	nat_watch_probe(f->pair);
	g_assert_true(hosts_wait(is_suspect, f->pair, 5000));
	f->a.remove_on_change = TRUE;
	f->a.removed = 0;
	nat_watch_heard(f->pair);
	g_assert_cmpuint(f->a.removed, ==, 1);
}

static void
test_removed_inside_noted(Fixture *f, gconstpointer data)
{
	if (!f->up)
		return;
	f->a.remove_on_note = f->b.remove_on_note = TRUE;
	for (int i = 0; i < 5; i++) {
		f->a.removed = 0;
		add(&f->a, "10.9.0.2:51820");
		g_assert_true(hosts_wait(a_removed, f, 5000));
	}
}

static void
test_added_inside(Fixture *f, gconstpointer data)
{
	if (!f->up)
		return;
	f->a.add_on_change = TRUE;
	connect_pair(f);
	g_assert_cmpuint(nat_watch_count(f->a.watch), ==, 2);
}

/* In every state, with whatever timer that has. */
static void
test_freed_at_any_time(Fixture *f, gconstpointer data)
{
	if (!f->up)
		return;
	for (int i = 0; i < 12; i++) {
		g_clear_pointer(&f->a.watch, nat_watch_free);
		make_watch(&f->a, &f->b, ID_A, ID_B);
		f->pair = add(&f->a, i % 2 ? "10.9.0.2:51820" : "10.9.0.2:4000");
		hosts_run(i * 9);
		if (i % 3 == 0)
			nat_watch_insist(f->pair, TRUE);
	}
	g_clear_pointer(&f->a.watch, nat_watch_free);
	hosts_run(500);
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
	ADD("replayed-from-elsewhere", test_replayed_from_elsewhere);
	ADD("replays-take-no-room", test_replays_take_no_room);
	ADD("forgeries", test_forgeries);
	ADD("other-process", test_other_process);
	ADD("ever-new-mappings", test_ever_new_mappings);
	ADD("twelve-at-most", test_twelve_at_most);
	ADD("relayed", test_relayed);
	ADD("relayed-from-the-peer", test_relayed_from_the_peer);
	ADD("removed-inside-changed", test_removed_inside_changed);
	ADD("removed-inside-noted", test_removed_inside_noted);
	ADD("added-inside", test_added_inside);
	ADD("freed-at-any-time", test_freed_at_any_time);
	return g_test_run();
}
