/* SPDX-License-Identifier: MIT */
/*
 * A search between two hosts: two ICE namespaces with a TUN each, two muxes on WireGuard's port,
 * libnice at both ends. What is not in nat-ice.c itself is what it cannot be without.
 */
#include "agent/ice/nat-search.h"
#include "agent/mux/nat-stun.h"
#include "tests/unit/ice-ways.h"
#include "tests/unit/two-hosts.h"

#include <string.h>

typedef struct {
	Host *host;
	NatIceNs *ns;
	NatTun *tun;
	NatSearch *search;
	const char *ufrag, *pwd;
	gboolean controlling;
	guint checked, selected, failed;
	WgEndpoint local;
	NatCandidate remote;
	gboolean free_inside;
} Side;

typedef struct {
	Hosts hosts;
	gboolean up;
	Side a, b;
} Fixture;

static void
on_checked(const WgEndpoint *local, const WgEndpoint *remote, gpointer user_data)
{
	((Side *)user_data)->checked++;
}

static void
on_selected(const WgEndpoint *local, const NatCandidate *remote, gpointer user_data)
{
	Side *side = user_data;

	side->selected++;
	side->local = *local;
	side->remote = *remote;
	if (side->free_inside)
		g_clear_pointer(&side->search, nat_search_free);
}

static void
on_failed(gpointer user_data)
{
	Side *side = user_data;

	side->failed++;
	if (side->free_inside)
		g_clear_pointer(&side->search, nat_search_free);
}

static const NatSearchFuncs FUNCS = {
	.checked = on_checked,
	.selected = on_selected,
	.failed = on_failed,
};

static void
make_search(Side *side)
{
	g_autoptr(GError) error = NULL;

	side->search = nat_search_new(side->ns, side->tun, side->host->mux, side->ufrag, side->pwd,
				      &FUNCS, side, &error);
	g_assert_no_error(error);
}

static void
side_up(Side *side, Host *host, const char *ufrag, const char *pwd, gboolean controlling,
	gconstpointer way)
{
	WgEndpoint addrs[] = {host->addr, host->addr6};
	g_autoptr(GError) error = NULL;

	side->host = host;
	side->ufrag = ufrag;
	side->pwd = pwd;
	side->controlling = controlling;
	host_enter(host);
	side->ns = ways_new(way);
	nat_ice_ns_set_addresses(side->ns, addrs, G_N_ELEMENTS(addrs), &error);
	g_assert_no_error(error);
	side->tun = nat_tun_new(side->ns);
	make_search(side);
}

static void
side_down(Side *side)
{
	nat_search_free(side->search);
	nat_tun_free(side->tun);
	nat_ice_ns_free(side->ns);
}

/* For what a host without the permission for a namespace is like: a firewall that lets in nothing
 * new but for WireGuard, which is the harder of the two for the rules. */
static void
close_firewall(const Host *host)
{
	host_enter(host);
	net_run("sysctl -qw net.ipv4.conf.all.rp_filter=1");
	net_run("nft add table inet fw");
	net_run("nft add chain inet fw input "
		"'{ type filter hook input priority 0; policy drop; }'");
	net_run("nft add rule inet fw input iifname lo accept");
	net_run("nft add rule inet fw input ct state established,related accept");
	net_run("nft add rule inet fw input udp dport %d accept", HOST_PORT);
	net_run("nft add rule inet fw input icmpv6 type "
		"'{ nd-neighbor-solicit, nd-neighbor-advert }' accept");
}

static void
set_up(Fixture *f, gconstpointer data)
{
	f->up = hosts_up(&f->hosts);
	if (!f->up)
		return;
	if (data == WAY_RULES) {
		close_firewall(&f->hosts.b);
		close_firewall(&f->hosts.a);
	}
	side_up(&f->a, &f->hosts.a, "ufragOfA", "passwordOfAxxxxxxxxxxxxxx", TRUE, data);
	side_up(&f->b, &f->hosts.b, "ufragOfB", "passwordOfBxxxxxxxxxxxxxx", FALSE, data);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
	if (!f->up)
		return;
	side_down(&f->a);
	side_down(&f->b);
	hosts_down(&f->hosts);
}

static void
start(Side *side, const Side *other, const WgEndpoint *own)
{
	nat_search_start(side->search, side->controlling, other->ufrag, other->pwd, own, 1);
}

static void
offer(Side *side, NatCandType type, const char *endpoint)
{
	NatCandidate cand = {.type = type, .endpoint = net_ep(endpoint)};

	nat_search_add_remote(side->search, &cand, 1);
}

static gboolean
both_selected(gconstpointer data)
{
	const Fixture *f = data;

	return f->a.selected > 0 && f->b.selected > 0;
}

static gboolean
a_failed(gconstpointer data)
{
	return ((const Fixture *)data)->a.failed > 0;
}

static void
expect_selected(const Side *side, const WgEndpoint *local, const WgEndpoint *remote)
{
	g_assert_true(wg_endpoint_equal(&side->local, local));
	g_assert_true(wg_endpoint_equal(&side->remote.endpoint, remote));
}

/* Both ends prove WireGuard's own ports; libnice's are seen nowhere outside. */
static void
test_through_two_tuns(Fixture *f, gconstpointer data)
{
	if (!f->up)
		return;
	start(&f->a, &f->b, &f->hosts.a.addr);
	start(&f->b, &f->a, &f->hosts.b.addr);
	offer(&f->a, NAT_CAND_HOST, "10.9.0.2:51820");
	offer(&f->b, NAT_CAND_HOST, "10.9.0.1:51820");
	g_assert_true(hosts_wait(both_selected, f, 10000));
	expect_selected(&f->a, &f->hosts.a.addr, &f->hosts.b.addr);
	expect_selected(&f->b, &f->hosts.b.addr, &f->hosts.a.addr);
	g_assert_cmpuint(f->a.checked, ==, 1);
	g_assert_cmpuint(f->b.checked, ==, 1);
	/* in the other way one packet of each family asks the firewall */
	g_assert_cmpuint(nat_tun_strays(f->a.tun), ==, data == WAY_NAMESPACE ? 0 : 2);
	g_assert_cmpuint(nat_mux_counter(f->hosts.a.mux, NAT_MUX_DROP_SOURCE), ==, 0);
	g_assert_cmpuint(nat_mux_counter(f->hosts.a.mux, NAT_MUX_DROP_STRANGER), ==, 0);
}

static void
test_ipv6(Fixture *f, gconstpointer data)
{
	if (!f->up)
		return;
	start(&f->a, &f->b, &f->hosts.a.addr6);
	start(&f->b, &f->a, &f->hosts.b.addr6);
	offer(&f->a, NAT_CAND_HOST, "[fd09::2]:51820");
	offer(&f->b, NAT_CAND_HOST, "[fd09::1]:51820");
	g_assert_true(hosts_wait(both_selected, f, 10000));
	expect_selected(&f->a, &f->hosts.a.addr6, &f->hosts.b.addr6);
	expect_selected(&f->b, &f->hosts.b.addr6, &f->hosts.a.addr6);
}

static gboolean
b_was_asked(gconstpointer data)
{
	const Fixture *f = data;

	return nat_mux_counter(f->hosts.b.mux, NAT_MUX_IN) >= 2;
}

/* The peer's checks overtake its candidates: they are held for libnice, which learns the peer from
 * them alone (peer-reflexive). */
static void
test_early_checks_are_held(Fixture *f, gconstpointer data)
{
	if (!f->up)
		return;
	start(&f->a, &f->b, &f->hosts.a.addr);
	offer(&f->a, NAT_CAND_HOST, "10.9.0.2:51820");
	g_assert_true(hosts_wait(b_was_asked, f, 10000));
	g_assert_cmpuint(f->b.checked, ==, 0); /* no word before our side has started */
	start(&f->b, &f->a, &f->hosts.b.addr);
	g_assert_true(hosts_wait(both_selected, f, 10000));
	expect_selected(&f->b, &f->hosts.b.addr, &f->hosts.a.addr);
	g_assert_cmpint(f->b.remote.type, ==, NAT_CAND_PRFLX);
}

/* Candidates that come later are not kept waiting for the fate of earlier ones, though foundations
 * are numbered anew in each batch (RFC 8445 §6.1.2.6 freezes pairs of one foundation). */
static void
test_late_candidate(Fixture *f, gconstpointer data)
{
	gint64 began;

	if (!f->up)
		return;
	start(&f->a, &f->b, &f->hosts.a.addr);
	offer(&f->a, NAT_CAND_HOST, "10.9.0.99:51820"); /* nobody */
	hosts_run(300);
	g_assert_cmpuint(f->a.selected, ==, 0);
	start(&f->b, &f->a, &f->hosts.b.addr);
	offer(&f->b, NAT_CAND_HOST, "10.9.0.98:51820"); /* nobody */
	hosts_run(300);
	began = g_get_monotonic_time();
	offer(&f->a, NAT_CAND_HOST, "10.9.0.2:51820");
	g_assert_true(hosts_wait(both_selected, f, 20000));
	g_test_message("%d ms", (int)((g_get_monotonic_time() - began) / 1000));
	g_assert_cmpint(g_get_monotonic_time() - began, <, 6000 * G_TIME_SPAN_MILLISECOND);
	expect_selected(&f->a, &f->hosts.a.addr, &f->hosts.b.addr);
}

/* Not the last word, but a word. */
static void
test_unreachable(Fixture *f, gconstpointer data)
{
	if (!f->up)
		return;
	start(&f->a, &f->b, &f->hosts.a.addr);
	offer(&f->a, NAT_CAND_SRFLX, "10.9.0.99:51820");
	offer(&f->a, NAT_CAND_HOST, "10.9.0.99:51820");
	g_assert_true(hosts_wait(a_failed, f, 60000));
	g_assert_cmpuint(f->a.selected, ==, 0);
}

/* A wrong password proves nothing, whoever sends. */
static void
test_wrong_password(Fixture *f, gconstpointer data)
{
	Side stranger;

	if (!f->up)
		return;
	stranger = f->b;
	stranger.pwd = "passwordOfNobodyxxxxxxxxx";
	start(&f->a, &stranger, &f->hosts.a.addr);
	start(&f->b, &f->a, &f->hosts.b.addr);
	offer(&f->a, NAT_CAND_HOST, "10.9.0.2:51820");
	g_assert_true(hosts_wait(b_was_asked, f, 10000));
	hosts_run(500);
	g_assert_cmpuint(f->a.selected + f->b.selected, ==, 0);
	g_assert_cmpuint(f->b.checked, ==, 0);
}

static gboolean
a_selected_and_gone(gconstpointer data)
{
	const Fixture *f = data;

	return f->a.search == NULL;
}

static void
test_freed_inside(Fixture *f, gconstpointer data)
{
	if (!f->up)
		return;
	f->a.free_inside = TRUE;
	start(&f->a, &f->b, &f->hosts.a.addr);
	start(&f->b, &f->a, &f->hosts.b.addr);
	offer(&f->a, NAT_CAND_HOST, "10.9.0.2:51820");
	g_assert_true(hosts_wait(a_selected_and_gone, f, 10000));
	hosts_run(200);
	g_assert_cmpuint(f->a.selected, ==, 1);
}

/* Freed at any moment of its start, many times: nothing of it comes later, no port is lost. */
static void
test_freed_early(Fixture *f, gconstpointer data)
{
	if (!f->up)
		return;
	for (int i = 0; i < 40; i++) {
		start(&f->a, &f->b, &f->hosts.a.addr);
		offer(&f->a, NAT_CAND_HOST, "10.9.0.2:51820");
		if (i % 4 != 0)
			hosts_run(i % 4);
		nat_search_free(f->a.search);
		make_search(&f->a);
	}
	start(&f->a, &f->b, &f->hosts.a.addr);
	start(&f->b, &f->a, &f->hosts.b.addr);
	offer(&f->a, NAT_CAND_HOST, "10.9.0.2:51820");
	g_assert_true(hosts_wait(both_selected, f, 10000));
}

/* An address that the namespace does not have: a word, not a silence. */
static void
test_no_such_address(Fixture *f, gconstpointer data)
{
	WgEndpoint absent = net_ep("10.9.0.77:51820");

	if (!f->up)
		return;
	start(&f->a, &f->b, &absent);
	offer(&f->a, NAT_CAND_HOST, "10.9.0.2:51820");
	g_assert_true(hosts_wait(a_failed, f, 30000));
}

/* A free port has the next number, wherever the search's own is. */
static guint16
port_of_search(const Side *side)
{
	NatTunPort *next = nat_tun_port_new(side->tun, NULL, NULL);
	guint16 q = (guint16)(nat_tun_port_number(next) - 1);

	nat_tun_port_free(next);
	return q;
}

/* Bound as libnice would be, or is. */
static int
bind_inside(const Side *side, const WgEndpoint *own, guint16 q)
{
	WgEndpoint inside;
	char text[WG_ENDPOINT_STRLEN];

	g_assert_true(nat_ice_ns_to_inside(side->ns, own, &inside));
	wg_endpoint_set_port(&inside, q);
	return net_udp(wg_endpoint_format(&inside, text));
}

typedef struct {
	const Side *side;
	guint64 strays, sent;
} Seen;

static gboolean
seen(gconstpointer data)
{
	const Seen *before = data;

	return nat_tun_strays(before->side->tun) > before->strays ||
	       nat_mux_counter(before->side->host->mux, NAT_MUX_OUT) > before->sent;
}

/* Whether it leaves from WireGuard's port. */
static gboolean
leaves(const Side *side, int fd, const WgEndpoint *to, const guint8 *msg, gsize len)
{
	Seen before = {side, nat_tun_strays(side->tun),
		       nat_mux_counter(side->host->mux, NAT_MUX_OUT)};

	g_assert_cmpint(sendto(fd, msg, len, 0, &to->sa, wg_endpoint_socklen(to)), ==, len);
	g_assert_true(hosts_wait(seen, &before, 10000));
	return nat_mux_counter(side->host->mux, NAT_MUX_OUT) > before.sent;
}

static gboolean
request_leaves(const Side *side, int fd, const WgEndpoint *to, const char *pwd)
{
	static guint8 id[NAT_STUN_ID_LEN];
	guint8 msg[NAT_STUN_MAX];
	gsize len;

	id[0]++;
	len = nat_stun_build_request(msg, sizeof msg, id, "ufragOfB:ufragOfA", pwd);
	return leaves(side, fd, to, msg, len);
}

static gboolean
response_leaves(const Side *side, int fd, const WgEndpoint *to, guint16 type, const char *pwd)
{
	static const guint8 id[NAT_STUN_ID_LEN] = {0};
	guint8 msg[NAT_STUN_MAX];
	gsize len = nat_stun_build_response(msg, sizeof msg, id, to, pwd);

	if (type != 0) {
		msg[0] = (guint8)(type >> 8);
		msg[1] = (guint8)type;
	}
	return leaves(side, fd, to, msg, len);
}

/* One packet of each family, which would be counted among what follows. */
static gboolean
a_asked_firewall(gconstpointer data)
{
	return nat_tun_strays(((const Fixture *)data)->a.tun) >= 2;
}

/* Any program can bind a private address: nothing of it is sent for it but what the session signed.
 */
static void
test_others_programs(Fixture *f, gconstpointer data)
{
	const WgEndpoint *to = &f->hosts.b.addr, *to6 = &f->hosts.b.addr6;
	guint16 q;
	int early, beside;

	if (!f->up)
		return;
	host_enter(&f->hosts.a);
	g_assert_true(hosts_wait(a_asked_firewall, f, 10000));
	q = port_of_search(&f->a);
	early = bind_inside(&f->a, &f->hosts.a.addr, q);
	g_assert_false(request_leaves(&f->a, early, to, NULL));
	g_assert_false(request_leaves(&f->a, early, to, f->b.pwd));
	g_assert_false(response_leaves(&f->a, early, to, 0, f->a.pwd));
	close(early);
	/* one beside libnice, which does not have this address */
	start(&f->a, &f->b, &f->hosts.a.addr);
	beside = bind_inside(&f->a, &f->hosts.a.addr6, q);
	g_assert_false(request_leaves(&f->a, beside, to6, NULL));
	g_assert_false(request_leaves(&f->a, beside, to6, f->a.pwd));
	g_assert_false(response_leaves(&f->a, beside, to6, 0, NULL));
	g_assert_false(response_leaves(&f->a, beside, to6, 0, f->b.pwd));
	g_assert_false(response_leaves(&f->a, beside, to6, 0x0111, NULL)); /* an error */
	g_assert_false(response_leaves(&f->a, beside, to6, 0x0011, NULL)); /* an indication */
	g_assert_true(request_leaves(&f->a, beside, to6, f->b.pwd));
	g_assert_true(response_leaves(&f->a, beside, to6, 0, f->a.pwd));
	close(beside);
}

static void
expect_to_meet(Fixture *f)
{
	start(&f->a, &f->b, &f->hosts.a.addr);
	start(&f->b, &f->a, &f->hosts.b.addr);
	offer(&f->a, NAT_CAND_HOST, "10.9.0.2:51820");
	g_assert_true(hosts_wait(both_selected, f, 10000));
	expect_selected(&f->a, &f->hosts.a.addr, &f->hosts.b.addr);
}

/* A program has come for the port since it was chosen. */
static void
test_port_taken(Fixture *f, gconstpointer data)
{
	int fd;

	if (!f->up)
		return;
	host_enter(&f->hosts.a);
	fd = bind_inside(&f->a, &f->hosts.a.addr, port_of_search(&f->a));
	expect_to_meet(f);
	close(fd);
}

typedef struct {
	const Side *side;
	guint16 q;
	gint fd; /* atomic; 0: not yet */
} Taker;

static void
take_inside(gpointer data)
{
	Taker *taker = data;

	g_atomic_int_set(&taker->fd, bind_inside(taker->side, &taker->side->host->addr, taker->q));
}

/* It comes between our look, which sees nothing inside the namespace, and libnice's: what was
 * offered meanwhile is not forgotten. */
static void
test_port_taken_late(Fixture *f, gconstpointer data)
{
	Taker takers[] = {{&f->a}, {&f->a}};

	if (!f->up)
		return;
	for (guint i = 0; i < G_N_ELEMENTS(takers); i++) {
		takers[i].q = (guint16)(port_of_search(&f->a) + i);
		nat_ice_ns_invoke(f->a.ns, take_inside, &takers[i], NULL);
	}
	expect_to_meet(f);
	for (guint i = 0; i < G_N_ELEMENTS(takers); i++)
		close(g_atomic_int_get(&takers[i].fd));
}

#define ADD_WAY(name, way, func) g_test_add(name, Fixture, way, set_up, func, tear_down)
#define ADD(name, func) ADD_WAY("/ice/" name, WAY_NAMESPACE, func)
#define ADD_BOTH(name, func)                                                                       \
	do {                                                                                       \
		ADD(name, func);                                                                   \
		ADD_WAY("/ice/rules/" name, WAY_RULES, func);                                      \
	} while (0)

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD_BOTH("through-two-tuns", test_through_two_tuns);
	ADD_BOTH("ipv6", test_ipv6);
	ADD_BOTH("early-checks-are-held", test_early_checks_are_held);
	ADD("late-candidate", test_late_candidate);
	ADD("unreachable", test_unreachable);
	ADD("wrong-password", test_wrong_password);
	ADD("freed-inside", test_freed_inside);
	ADD_BOTH("freed-early", test_freed_early);
	ADD_BOTH("no-such-address", test_no_such_address);
	ADD_WAY("/ice/rules/others-programs", WAY_RULES, test_others_programs);
	ADD_WAY("/ice/rules/port-taken", WAY_RULES, test_port_taken);
	ADD("port-taken-late", test_port_taken_late);
	return g_test_run();
}
