/* SPDX-License-Identifier: MIT */
#include "agent/nat-lifetime-probe.h"
#include "agent/nat-stun.h"
#include "tests/unit/net-util.h"

#include <glib-unix.h>
#include <string.h>

#define MS G_TIME_SPAN_MILLISECOND

/* A STUN server, and where there is no real NAT, one of its own: who was silent for timeout_ms gets
 * no answer sent to his port by another's request, and a new mapped port where they change. */
typedef struct {
	int fd;
	guint source;
	WgEndpoint addr;
	gboolean mute;	     /* answers nothing */
	gboolean knows_port; /* RESPONSE-PORT; else 420, or the truth where `ignores` */
	gboolean ignores;
	gboolean shifts; /* mapped ports are not the local ones */
	gboolean shifts_always;
	guint timeout_ms;     /* 0: never */
	GHashTable *mappings; /* local port → Mapping */
	guint requests;
	guint lose; /* of each three requests so many get no answer */
} Server;

typedef struct {
	guint16 port, mapped;
	gint64 heard_us;
} Mapping;

/* The port in RESPONSE-PORT, the only attribute that is ever sent. */
static guint16
response_port(const guint8 *msg, gsize len)
{
	return len == 28 && msg[21] == 0x27 ? (guint16)(msg[24] << 8 | msg[25]) : 0;
}

static gboolean
alive(const Server *server, const Mapping *mapping)
{
	return server->timeout_ms == 0 ||
	       g_get_monotonic_time() - mapping->heard_us < server->timeout_ms * MS;
}

/* The mapping of what came from this port, made anew where it is gone. */
static Mapping *
use(Server *server, guint16 port)
{
	Mapping *mapping = g_hash_table_lookup(server->mappings, GUINT_TO_POINTER(port));

	if (!mapping) {
		mapping = g_new0(Mapping, 1);
		mapping->port = mapping->mapped = port;
		g_hash_table_insert(server->mappings, GUINT_TO_POINTER(port), mapping);
	}
	if (server->shifts_always || (server->shifts && !alive(server, mapping)) ||
	    (server->shifts && mapping->heard_us == 0))
		mapping->mapped++;
	mapping->heard_us = g_get_monotonic_time();
	return mapping;
}

static Mapping *
find_mapped(Server *server, guint16 mapped)
{
	GHashTableIter iter;
	gpointer value;

	g_hash_table_iter_init(&iter, server->mappings);
	while (g_hash_table_iter_next(&iter, NULL, &value))
		if (((Mapping *)value)->mapped == mapped)
			return value;
	return NULL;
}

static void
answer(Server *server, const NatStun *stun, const WgEndpoint *from, const Mapping *mapping)
{
	WgEndpoint mapped = *from, to = *from;
	guint8 out[NAT_STUN_MAX];
	gsize len;

	wg_endpoint_set_port(&mapped, mapping->mapped);
	wg_endpoint_set_port(&to, mapping->port);
	len = nat_stun_build_response(out, sizeof out, stun->id, &mapped, NULL);
	sendto(server->fd, out, len, 0, &to.sa, wg_endpoint_socklen(&to));
}

static void
answer_to_port(Server *server, const NatStun *stun, const WgEndpoint *from, guint16 port)
{
	/* a real NAT has its own mind about ports that we never saw */
	const Mapping unseen = {.port = port, .mapped = port}, *mapping = find_mapped(server, port);

	if (!mapping)
		answer(server, stun, from, &unseen);
	else if (alive(server, mapping))
		answer(server, stun, from, mapping);
}

static void
refuse(Server *server, const NatStun *stun, const WgEndpoint *from)
{
	guint8 error[20] = {0x01, 0x11, 0, 0, 0x21, 0x12, 0xa4, 0x42};

	memcpy(error + 8, stun->id, sizeof stun->id);
	sendto(server->fd, error, sizeof error, 0, &from->sa, wg_endpoint_socklen(from));
}

static gboolean
on_server(int fd, GIOCondition condition, gpointer user_data)
{
	Server *server = user_data;
	guint8 buf[NAT_STUN_MAX];
	WgEndpoint from;
	NatStun stun;
	gssize n = net_recv(fd, buf, sizeof buf, 0, &from);
	const Mapping *mapping;
	guint16 port;

	g_assert_cmpint(n, >, 0);
	g_assert_true(nat_stun_parse(buf, (gsize)n, &stun));
	if (server->mute || server->requests++ % 3 < server->lose)
		return G_SOURCE_CONTINUE;
	mapping = use(server, wg_endpoint_port(&from));
	port = response_port(buf, (gsize)n);
	if (port != 0 && server->knows_port)
		answer_to_port(server, &stun, &from, port);
	else if (port != 0 && !server->ignores)
		refuse(server, &stun, &from);
	else
		answer(server, &stun, &from, mapping);
	return G_SOURCE_CONTINUE;
}

static void
server_open(Server *server, const char *address)
{
	socklen_t len = sizeof server->addr;

	server->fd = net_udp(address);
	g_assert_cmpint(getsockname(server->fd, &server->addr.sa, &len), ==, 0);
	server->mappings = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	server->source = g_unix_fd_add(server->fd, G_IO_IN, on_server, server);
}

static void
server_close(Server *server)
{
	g_source_remove(server->source);
	close(server->fd);
	g_hash_table_unref(server->mappings);
}

typedef struct {
	Server server;
	NatLifetimeProbe *probe;
	char verdicts[NAT_LIFETIME_PROBE_SILENCES + 1]; /* h, l, u, or - for none; by silence */
	gboolean last, free_inside;
} Fixture;

static const NatLifetimeProbeTimes QUICK = {
	.silences_ms = {200, 600, 1800}, .n = 3, .settle_ms = 50};

static void
set_up(Fixture *f, gconstpointer data)
{
	server_open(&f->server, "127.0.0.1:0");
	memset(f->verdicts, '-', 3);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
	nat_lifetime_probe_free(f->probe);
	server_close(&f->server);
}

static void
note(Fixture *f, guint index, NatLifetimeVerdict verdict, gboolean last)
{
	g_assert_false(f->last);
	f->verdicts[index] = "hlu"[verdict];
	f->last = last;
	if (f->free_inside)
		g_clear_pointer(&f->probe, nat_lifetime_probe_free);
}

static void
on_tested(guint silence_ms, NatLifetimeVerdict verdict, gboolean last, gpointer user_data)
{
	for (guint i = 0; i < QUICK.n; i++)
		if (QUICK.silences_ms[i] == silence_ms)
			note(user_data, i, verdict, last);
}

static void
probe(Fixture *f, const char *expected)
{
	f->probe = nat_lifetime_probe_new(&f->server.addr, 1, 0, &QUICK, on_tested, f);
	g_assert_true(net_wait(&f->last, 10000));
	g_assert_cmpstr(f->verdicts, ==, expected);
}

/* With RESPONSE-PORT it is told whatever the NAT does with ports. */
static void
test_port_kept(Fixture *f, gconstpointer data)
{
	f->server.knows_port = TRUE;
	f->server.timeout_ms = 1000;
	probe(f, "hhl");
}

/* Longer ones than a lost one are not waited for. */
static void
test_short_timeout(Fixture *f, gconstpointer data)
{
	gint64 began = g_get_monotonic_time();

	f->server.knows_port = TRUE;
	f->server.timeout_ms = 120;
	f->server.shifts = TRUE;
	probe(f, "l--");
	g_assert_cmpint(g_get_monotonic_time() - began, <, 2700 * MS);
}

/* The server falls silent during the silence: that says nothing of the NAT. */
static void
test_server_gone(Fixture *f, gconstpointer data)
{
	gboolean never = FALSE;

	f->server.knows_port = TRUE;
	f->probe = nat_lifetime_probe_new(&f->server.addr, 1, 0, &QUICK, on_tested, f);
	for (int i = 0; i < 1000 && f->verdicts[0] == '-'; i++)
		net_wait(&never, 10);
	f->server.mute = TRUE;
	g_assert_true(net_wait(&f->last, 10000));
	g_assert_cmpstr(f->verdicts, ==, "huu");
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
	f->server.timeout_ms = 1000;
	probe(f, "hhl");
}

/* Nothing can be told, and that is known before the silence. */
static void
test_undecided(Fixture *f, gconstpointer data)
{
	probe(f, "uuu");
	g_assert_cmpuint(f->server.requests, <=, 9);
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
	g_assert_true(net_wait(&f->last, 1000));
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
	g_assert_true(net_wait(&f->last, 10000));
	g_assert_cmpstr(f->verdicts, ==, "hhh");
}

static void
test_freed_inside(Fixture *f, gconstpointer data)
{
	gboolean never = FALSE;

	f->free_inside = TRUE;
	f->probe = nat_lifetime_probe_new(&f->server.addr, 1, 0, &QUICK, on_tested, f);
	net_wait(&never, 700);
	g_assert_null(f->probe);
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

/* ---- a real NAT, which forgets after 5 s ---- */

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
	net_run("sysctl -qw net.ipv4.ip_forward=1 net.netfilter.nf_conntrack_udp_timeout=5 "
		"net.netfilter.nf_conntrack_udp_timeout_stream=5");
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
		server_open(&f->server, cases[i].name);
		enter(host);
		f->probe = nat_lifetime_probe_new(&f->server.addr, 1, 7, &times, on_nat_tested, f);
	}
	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
		Fixture *f = &cases[i].f;

		g_assert_true(net_wait(&f->last, 30000));
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
