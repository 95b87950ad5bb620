/* SPDX-License-Identifier: MIT */
#include "agent/probe/nat-lifetime-probe.h"
#include "tests/unit/fake-stun.h"
#include "tests/unit/net-own.h"

#define MS G_TIME_SPAN_MILLISECOND

typedef struct {
	FakeStun server;
	NatLifetimeProbe *probe;
	char verdicts[NAT_LIFETIME_PROBE_SILENCES + 1]; /* h, l, u, or - for none; by silence */
	gboolean last, free_inside;
	gboolean mute_after_first; /* the server falls silent with the first verdict */
	const NatLifetimeProbeTimes *times;
} Fixture;

static const NatLifetimeProbeTimes QUICK = {
	.silences_ms = {200, 600, 1800}, .n = 3, .settle_ms = 50};

static void
set_up(Fixture *f, gconstpointer data)
{
	fake_stun_open(&f->server, "127.0.0.1:0");
	memset(f->verdicts, '-', 3);
	f->times = &QUICK;
}

static void
tear_down(Fixture *f, gconstpointer data)
{
	nat_lifetime_probe_free(f->probe);
	fake_stun_close(&f->server);
}

static void
note(Fixture *f, guint index, NatLifetimeVerdict verdict, gboolean last)
{
	g_assert_false(f->last);
	f->verdicts[index] = "hlu"[verdict];
	f->last = last;
	f->server.mute |= f->mute_after_first;
	if (f->free_inside)
		g_clear_pointer(&f->probe, nat_lifetime_probe_free);
}

static void
on_tested(guint silence_ms, NatLifetimeVerdict verdict, gboolean last, gpointer user_data)
{
	const NatLifetimeProbeTimes *times = ((Fixture *)user_data)->times;

	for (guint i = 0; i < times->n; i++)
		if (times->silences_ms[i] == silence_ms) {
			note(user_data, i, verdict, last);
			return;
		}
}

static void
probe(Fixture *f, const char *expected)
{
	f->probe = nat_lifetime_probe_new(&f->server.addr, 1, 0, f->times, on_tested, f);
	g_assert_true(net_wait(&f->last, 60000));
	g_assert_cmpstr(f->verdicts, ==, expected);
}

/* With RESPONSE-PORT it is told whatever the NAT does with ports. */
static void
test_port_kept(Fixture *f, gconstpointer data)
{
	f->server.knows_port = TRUE;
	f->server.timeout_ms = 1700;
	probe(f, "hhl");
}

/* Longer ones than a lost one are not waited for. */
static void
test_short_timeout(Fixture *f, gconstpointer data)
{
	static const NatLifetimeProbeTimes times = {
		.silences_ms = {2000, 6000, 20000}, .n = 3, .settle_ms = 50};
	gint64 began = g_get_monotonic_time();

	f->times = &times;
	f->server.knows_port = TRUE;
	f->server.timeout_ms = 1500;
	f->server.shifts = TRUE;
	probe(f, "l--");
	g_assert_cmpint(g_get_monotonic_time() - began, <, 15000 * MS);
}

/* The server falls silent during the silence: that says nothing of the NAT. */
static void
test_server_gone(Fixture *f, gconstpointer data)
{
	f->server.knows_port = TRUE;
	f->mute_after_first = TRUE;
	probe(f, "huu");
}

static void
test_no_timeout(Fixture *f, gconstpointer data)
{
	f->server.knows_port = TRUE;
	probe(f, "hhh");
}

/* Without it a changed port tells. */
static void
test_port_changes(Fixture *f, gconstpointer data)
{
	f->server.shifts = TRUE;
	probe(f, "hhh");
}

static void
test_port_changed(Fixture *f, gconstpointer data)
{
	f->server.shifts = TRUE;
	f->server.timeout_ms = 1700;
	probe(f, "hhl");
}

/* Nothing can be told, and that is known before the silence. */
static void
test_undecided(Fixture *f, gconstpointer data)
{
	probe(f, "uuu");
	g_assert_cmpuint(f->server.requests, <=, 15);
}

static void
test_attribute_ignored(Fixture *f, gconstpointer data)
{
	f->server.ignores = TRUE;
	probe(f, "uuu");
}

static void
test_no_mapping_at_all(Fixture *f, gconstpointer data)
{
	f->server.shifts_always = TRUE;
	probe(f, "uuu");
}

static void
test_no_answer(Fixture *f, gconstpointer data)
{
	f->server.mute = TRUE;
	probe(f, "uuu");
}

static void
test_no_server(Fixture *f, gconstpointer data)
{
	f->probe = nat_lifetime_probe_new(NULL, 0, 0, NULL, on_tested, f);
	nat_lifetime_probe_free(f->probe);
	f->probe = nat_lifetime_probe_new(NULL, 0, 0, &QUICK, on_tested, f);
	g_assert_true(net_wait(&f->last, 30000));
	g_assert_cmpstr(f->verdicts, ==, "uuu");
}

static void
test_lossy(Fixture *f, gconstpointer data)
{
	f->server.knows_port = TRUE;
	f->server.lose = 1;
	probe(f, "hhh");
}

/* A dead server, one that no route leads to, then a good one. */
static void
test_next_server(Fixture *f, gconstpointer data)
{
	WgEndpoint servers[] = {net_ep("127.0.0.1:1"), net_ep("[2001:db8:ffff::1]:3478"),
				f->server.addr};

	f->server.knows_port = TRUE;
	f->probe = nat_lifetime_probe_new(servers, 3, 0, &QUICK, on_tested, f);
	g_assert_true(net_wait(&f->last, 60000));
	g_assert_cmpstr(f->verdicts, ==, "hhh");
}

static void
test_freed_inside(Fixture *f, gconstpointer data)
{
	gboolean never = FALSE;

	f->free_inside = TRUE;
	f->probe = nat_lifetime_probe_new(&f->server.addr, 1, 0, &QUICK, on_tested, f);
	for (int i = 0; i < 3000 && f->probe != NULL; i++)
		net_wait(&never, 10);
	g_assert_null(f->probe);
	net_wait(&never, 700);
	g_assert_cmpuint(strspn(f->verdicts, "-"), <=, 2);
}

static void
test_freed_outside(Fixture *f, gconstpointer data)
{
	gboolean never = FALSE;

	for (int ms = 0; ms < 150; ms += 30) {
		f->last = FALSE;
		f->probe = nat_lifetime_probe_new(&f->server.addr, 1, 0, &QUICK, on_tested, f);
		net_wait(&never, ms);
		g_clear_pointer(&f->probe, nat_lifetime_probe_free);
	}
}

/* ---- a real NAT, which forgets after 6 s ---- */

typedef struct {
	const char *name;
	Fixture f;
	const char *expected;
} NatCase;

static int
fresh_netns(void)
{
	int fd;

	g_assert_cmpint(unshare(CLONE_NEWNET), ==, 0);
	fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	net_run("ip link set lo up");
	return fd;
}

static void
enter(int netns)
{
	g_assert_cmpint(setns(netns, CLONE_NEWNET), ==, 0);
}

static void
join(int inside, int outside, const char *dev, const char *peer, const char *addr,
     const char *peer_addr)
{
	enter(outside);
	net_run("ip link add %s type veth peer name %s", peer, dev);
	net_run("ip link set %s netns /proc/%d/fd/%d", dev, (int)getpid(), inside);
	net_run("ip addr add %s dev %s", peer_addr, peer);
	net_run("ip link set %s up", peer);
	enter(inside);
	net_run("ip addr add %s dev %s", addr, dev);
	net_run("ip link set %s up", dev);
}

/* Ports are kept, but towards 3479 they are drawn. */
static void
nat_rules(void)
{
	g_autofree char *path = NULL;
	int fd = g_file_open_tmp("nat-lifetime-XXXXXX", &path, NULL);
	static const char RULES[] =
		"table ip nat {\nchain post {\ntype nat hook postrouting priority srcnat;\n"
		"oifname \"wan\" udp dport 3479 masquerade fully-random\n"
		"oifname \"wan\" masquerade\n}\n}\n";

	g_assert_cmpint(write(fd, RULES, sizeof RULES - 1), ==, sizeof RULES - 1);
	close(fd);
	net_run("nft -f %s", path);
	unlink(path);
	net_run("sysctl -qw net.ipv4.ip_forward=1 net.netfilter.nf_conntrack_udp_timeout=6 "
		"net.netfilter.nf_conntrack_udp_timeout_stream=6");
}

static void
on_nat_tested(guint silence_ms, NatLifetimeVerdict verdict, gboolean last, gpointer user_data)
{
	note(user_data, silence_ms == 3500 ? 0 : 1, verdict, last);
}

static void
test_real_nat(void)
{
	static const NatLifetimeProbeTimes times = {
		.silences_ms = {3500, 7000}, .n = 2, .settle_ms = 2200};
	NatCase cases[] = {
		{"10.8.0.1:3478", {.server.knows_port = TRUE}, "hl"},
		{"10.8.0.1:3479", {.server.knows_port = FALSE}, "hl"},
		{"10.8.0.1:3480", {.server.knows_port = FALSE}, "uu"},
	};
	int host, router, server;

	if (!net_fresh())
		return;
	server = fresh_netns();
	router = fresh_netns();
	host = fresh_netns();
	join(router, server, "wan", "world", "10.8.0.2/24", "10.8.0.1/24");
	nat_rules();
	join(host, router, "lan", "home", "192.168.7.2/24", "192.168.7.1/24");
	net_run("ip route add default via 192.168.7.1");
	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
		Fixture *f = &cases[i].f;

		memset(f->verdicts, '-', 2);
		enter(server);
		fake_stun_open(&f->server, cases[i].name);
		enter(host);
		f->probe = nat_lifetime_probe_new(&f->server.addr, 1, 7, &times, on_nat_tested, f);
	}
	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
		Fixture *f = &cases[i].f;

		g_assert_true(net_wait(&f->last, 60000));
		g_assert_cmpstr(f->verdicts, ==, cases[i].expected);
		tear_down(f, NULL);
	}
	close(host);
	close(router);
	close(server);
}

#define ADD(name, func) g_test_add(name, Fixture, NULL, set_up, func, tear_down)

int
main(int argc, char **argv)
{
	if (!net_own())
		return 1;
	g_test_init(&argc, &argv, NULL);
	ADD("/lifetime-probe/port-kept", test_port_kept);
	ADD("/lifetime-probe/short-timeout", test_short_timeout);
	ADD("/lifetime-probe/server-gone", test_server_gone);
	ADD("/lifetime-probe/no-timeout", test_no_timeout);
	ADD("/lifetime-probe/port-changes", test_port_changes);
	ADD("/lifetime-probe/port-changed", test_port_changed);
	ADD("/lifetime-probe/undecided", test_undecided);
	ADD("/lifetime-probe/attribute-ignored", test_attribute_ignored);
	ADD("/lifetime-probe/no-mapping-at-all", test_no_mapping_at_all);
	ADD("/lifetime-probe/no-answer", test_no_answer);
	ADD("/lifetime-probe/no-server", test_no_server);
	ADD("/lifetime-probe/lossy", test_lossy);
	ADD("/lifetime-probe/next-server", test_next_server);
	ADD("/lifetime-probe/freed-inside", test_freed_inside);
	ADD("/lifetime-probe/freed-outside", test_freed_outside);
	g_test_add_func("/lifetime-probe/real-nat", test_real_nat);
	return g_test_run();
}
