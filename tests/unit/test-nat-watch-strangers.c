/* SPDX-License-Identifier: MIT */
/* What strangers, eavesdroppers and too many peers do to a watch; what the owner does inside
 * callbacks. */
#include "tests/unit/watch-util.h"

/* A request of b's to a, as an eavesdropper has it. */
static gsize
copy_request(Fixture *f, guint8 buf[NAT_STUN_MAX])
{
	int fd = net_udp("10.9.0.1:4000");
	NatWatchPair *pair = add(&f->b, "10.9.0.1:4000");
	gssize n = 0;

	for (int i = 0; i < 500 && n == 0; i++) {
		hosts_run(20);
		n = net_recv(fd, buf, NAT_STUN_MAX, 20, NULL);
	}
	g_assert_cmpint(n, >, 0);
	nat_watch_remove(pair);
	close(fd);
	return (gsize)n;
}

static void
send_to_a(Fixture *f, int fd, const guint8 *buf, gsize len)
{
	const WgEndpoint *to = &f->hosts.a.addr;

	g_assert_cmpint(sendto(fd, buf, len, 0, &to->sa, wg_endpoint_socklen(to)), ==, (gssize)len);
}

static int
replay_from(Fixture *f, guint16 port, const guint8 *buf, gsize len)
{
	g_autofree char *from = g_strdup_printf("10.9.0.2:%u", port);
	int fd;

	host_enter(&f->hosts.b);
	fd = net_udp(from);
	host_enter(&f->hosts.a);
	send_to_a(f, fd, buf, len);
	return fd;
}

static gboolean
a_has_none(gconstpointer data)
{
	return nat_watch_count(((const Fixture *)data)->a.watch) == 0;
}

static gboolean
a_has_some(gconstpointer data)
{
	return !a_has_none(data);
}

/* Again and again, for a datagram may be lost. */
static void
replay_until_heard(Fixture *f, int fd, const guint8 *buf, gsize len)
{
	for (int i = 0; i < 60 && !hosts_wait(a_has_some, f, 500); i++)
		send_to_a(f, fd, buf, len);
	g_assert_true(a_has_some(f));
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
	replay_until_heard(f, fd, buf, len);
	g_assert_cmpuint(nat_watch_count(f->a.watch), ==, 1);
	for (int i = 0; i < 40; i++) {
		send_to_a(f, fd, buf, len);
		hosts_run(20);
	}
	/* it answers nothing, so it is nobody; and nobody's note is heard */
	g_assert_cmpuint(f->a.states[NAT_PAIR_ALIVE], ==, 0);
	g_assert_cmpuint(f->a.noted, ==, 0);
	g_assert_true(hosts_wait(a_has_none, f, 30000));
	g_assert_cmpuint(f->a.removed, >=, 1);
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
	replay_until_heard(f, fds[0], buf, len);
	hosts_run(50);
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
	g_assert_true(hosts_wait(is_settled, b_pair(f), 30000));
	len = copy_request(f, buf);
	g_assert_true(nat_stun_parse(buf, len, &stun));
	g_assert_true(stun.has_integrity && !stun.use_candidate && stun.note != NULL);
	user = g_strndup(stun.username, stun.username_len);
	g_assert_true(falls_silent(f, 300));
	noted = f->a.noted;
	out = sent(&f->a);
	/* the note is under the integrity */
	buf[stun.note - buf + 3] ^= 1;
	fd = replay_from(f, 4001, buf, len);
	hosts_run(20);
	len = nat_stun_build_probe(buf, sizeof buf, id, user, "somebody else's", NOTE);
	send_to_a(f, fd, buf, len);
	len = nat_stun_build_probe_answer(buf, sizeof buf, id, &f->hosts.a.addr, "nobody's", NOTE);
	send_to_a(f, fd, buf, len);
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
	g_assert_true(hosts_wait(is_dead, f->pair, 30000));
	g_assert_cmpuint(sent(&f->b), ==, 0);
}

typedef struct {
	NatWatch *watch;
	WgEndpoint from;
} Wanted;

static gboolean
is_found_alive(gconstpointer data)
{
	const Wanted *wanted = data;

	const NatWatchPair *pair = nat_watch_find(wanted->watch, NULL, &wanted->from);

	return pair != NULL && is_alive(pair);
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
		Wanted now = {f->a.watch, net_ep(text)};

		host_enter(&f->hosts.b);
		net_run("ip addr add 10.9.0.%d/24 dev core-b", 10 + i);
		net_run("ip route replace 10.9.0.1/32 dev core-b src 10.9.0.%d", 10 + i);
		host_enter(&f->hosts.a);
		nat_watch_probe(pair);
		g_assert_true(hosts_wait(is_found_alive, &now, 30000));
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
	g_assert_true(hosts_wait(a_removed, f, 30000));
	f->a.remove_on_change = FALSE;
	nat_watch_remove(b_pair(f)); /* or its probes make a pair here */
	hosts_run(300);
	while (nat_watch_count(f->a.watch) > 0)
		nat_watch_remove(nat_watch_nth(f->a.watch, 0));
	/* on death by doubt, of a pair that never lived, by bytes */
	connect_pair(f);
	b_drops(f, "");
	nat_watch_probe(f->pair);
	g_assert_true(hosts_wait(is_suspect, f->pair, 30000));
	f->a.remove_on_change = TRUE;
	f->a.removed = 0;
	g_assert_true(hosts_wait(a_removed, f, 30000));
	f->a.removed = 0;
	f->pair = add(&f->a, "10.9.0.2:4000");
	g_assert_true(hosts_wait(a_removed, f, 30000));
	b_drops(f, NULL);
	f->a.remove_on_change = FALSE;
	connect_pair(f);
	b_drops(f, "");
	nat_watch_probe(f->pair);
	g_assert_true(hosts_wait(is_suspect, f->pair, 30000));
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
		g_assert_true(hosts_wait(a_removed, f, 30000));
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
	ADD("replayed-from-elsewhere", test_replayed_from_elsewhere);
	ADD("replays-take-no-room", test_replays_take_no_room);
	ADD("forgeries", test_forgeries);
	ADD("other-process", test_other_process);
	ADD("ever-new-mappings", test_ever_new_mappings);
	ADD("twelve-at-most", test_twelve_at_most);
	ADD("removed-inside-changed", test_removed_inside_changed);
	ADD("removed-inside-noted", test_removed_inside_noted);
	ADD("added-inside", test_added_inside);
	ADD("freed-at-any-time", test_freed_at_any_time);
	return g_test_run();
}
