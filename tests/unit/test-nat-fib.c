/* SPDX-License-Identifier: MIT */
#include "agent/net/nat-fib.h"
#include "tests/unit/net-util.h"

#include <linux/if_tun.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>

/* Two interfaces with two ways out each family, a second table for marked packets. */
static NatFib *
make(void)
{
	g_autoptr(GError) error = NULL;
	NatFib *fib;

	if (!net_fresh())
		return NULL;
	net_run("ip link set lo up");
	for (int i = 1; i <= 2; i++) {
		net_run("ip link add fib%d type veth peer name fib%dp", i, i);
		net_run("ip link set fib%dp up", i);
		net_run("ip link set fib%d up", i);
		net_run("ip addr add 192.0.2.%d/24 dev fib%d", i * 100, i);
		net_run("ip addr add 2001:db8:%d::1/64 dev fib%d nodad", i, i);
		net_run("ip route add default via 192.0.2.%d dev fib%d table %d onlink", i, i, i);
		net_run("ip -6 route add default via 2001:db8:%d::9 dev fib%d table %d", i, i, i);
	}
	for (int v = 4; v <= 6; v += 2) {
		net_run("ip -%d rule add pref 100 fwmark 7 table 2", v);
		net_run("ip -%d rule add pref 200 table 1", v);
	}
	for (int i = 1; i <= 2; i++) {
		g_autofree char *address = g_strdup_printf("2001:db8:%d::1", i);

		net_wait_local(address);
	}
	fib = nat_fib_new(&error);
	g_assert_no_error(error);
	return fib;
}

static void
expect(NatFib *fib, const char *dst, guint32 mark, const char *source)
{
	char text[WG_ENDPOINT_STRLEN];
	WgEndpoint ep = net_ep(dst);
	NatRoute route;

	if (!source) {
		g_assert_false(nat_fib_lookup(fib, &ep, mark, &route));
		g_assert_false(wg_endpoint_is_set(&route.source));
		return;
	}
	g_assert_true(nat_fib_lookup(fib, &ep, mark, &route));
	g_assert_cmpstr(wg_endpoint_format_address(&route.source, text), ==, source);
	g_assert_cmpuint(wg_endpoint_port(&route.source), ==, 0);
	g_assert_cmpint(route.oif, >, 0);
	g_assert_false(route.tunnel);
}

static void
test_mark(void)
{
	g_autoptr(NatFib) fib = make();

	if (!fib)
		return;
	expect(fib, "203.0.113.1:51820", 0, "192.0.2.100");
	expect(fib, "203.0.113.1:51820", 7, "192.0.2.200");
	expect(fib, "203.0.113.1", 8, "192.0.2.100");
	expect(fib, "[2001:db8:9::1]:51820", 0, "2001:db8:1::1");
	expect(fib, "[2001:db8:9::1]:51820", 7, "2001:db8:2::1");
}

/* A rule may look at protocol and port, as it does at WireGuard's own packets. */
static void
test_ports(void)
{
	g_autoptr(NatFib) fib = make();

	if (!fib)
		return;
	net_run("ip rule add pref 50 ipproto udp dport 4000 table 2");
	net_run("ip -6 rule add pref 50 ipproto udp dport 4000 table 2");
	expect(fib, "203.0.113.1:4000", 0, "192.0.2.200");
	expect(fib, "203.0.113.1:4001", 0, "192.0.2.100");
	expect(fib, "[2001:db8:9::1]:4000", 0, "2001:db8:2::1");
}

static void
test_no_route(void)
{
	static const char *const KINDS[] = {"unreachable", "prohibit", "blackhole", "throw"};
	g_autoptr(NatFib) fib = make();

	if (!fib)
		return;
	for (gsize i = 0; i < G_N_ELEMENTS(KINDS); i++) {
		net_run("ip route add %s 198.51.100.0/24 table 1", KINDS[i]);
		expect(fib, "198.51.100.1", 0, NULL);
		net_run("ip route del 198.51.100.0/24 table 1");
		net_run("ip -6 route add %s 2001:db8:7::/48 table 1", KINDS[i]);
		expect(fib, "2001:db8:7::1", 0, NULL);
		net_run("ip -6 route del %s 2001:db8:7::/48 table 1", KINDS[i]);
	}
	net_run("ip route flush table 1");
	net_run("ip -6 route flush table 1");
	expect(fib, "203.0.113.1", 0, NULL);
	expect(fib, "2001:db8:9::1", 0, NULL);
	expect(fib, "192.0.2.255", 0, NULL); /* broadcast */
	expect(fib, "224.0.0.1", 0, NULL);
	g_assert_false(nat_fib_lookup(fib, &(WgEndpoint){0}, 0, &(NatRoute){0}));
}

static void
expect_on_link(NatFib *fib, const char *dst, gboolean on_link)
{
	WgEndpoint ep = net_ep(dst);
	NatRoute route;

	g_assert_true(nat_fib_lookup(fib, &ep, 0, &route));
	g_assert_cmpint(route.on_link, ==, on_link);
}

/* Inside a network of ours: no gateway leads there. A line to a provider has none either (PPP, a
 * modem), and what is behind it is the internet. */
static void
test_on_link(void)
{
	g_autoptr(NatFib) fib = make();

	if (!fib)
		return;
	net_run("ip route add 192.0.2.0/24 dev fib1 table 1");
	net_run("ip -6 route add 2001:db8:1::/64 dev fib1 table 1");
	expect_on_link(fib, "192.0.2.7", TRUE);
	expect_on_link(fib, "203.0.113.1", FALSE);
	expect_on_link(fib, "192.0.2.100", FALSE); /* it is local */
	expect_on_link(fib, "2001:db8:1::7", TRUE);
	expect_on_link(fib, "2001:db8:9::1", FALSE);
	net_run("ip tuntap add mode tun name line");
	net_run("ip addr add 198.51.100.9 peer 198.51.100.1 dev line");
	net_run("ip link set line up");
	net_run("ip route add 203.0.113.0/24 dev line table 1");
	expect_on_link(fib, "203.0.113.1", FALSE);
	/* a gateway of the other family is one */
	net_run("ip route replace 203.0.113.0/24 via inet6 2001:db8:1::9 dev fib1 table 1");
	expect_on_link(fib, "203.0.113.1", FALSE);
}

static void
test_local(void)
{
	static const char *const OWN[] = {"192.0.2.100", "2001:db8:2::1", "127.0.0.1", "::1"};
	g_autoptr(NatFib) fib = make();
	NatRoute route;

	if (!fib)
		return;
	for (gsize i = 0; i < G_N_ELEMENTS(OWN); i++) {
		WgEndpoint ep = net_ep(OWN[i]);

		g_assert_true(nat_fib_lookup(fib, &ep, 7, &route));
		g_assert_true(route.local);
		g_assert_false(route.tunnel);
		g_assert_true(nat_fib_is_own(fib, &ep));
	}
	g_assert_true(nat_fib_is_own(fib, &(WgEndpoint){.v4 = net_ep("127.5.5.5").v4}));
	g_assert_false(nat_fib_is_own(fib, &(WgEndpoint){.v4 = net_ep("192.0.2.7").v4}));
	g_assert_false(nat_fib_is_own(fib, &(WgEndpoint){.v6 = net_ep("2001:db8:1::2").v6}));
	net_run("ip link set fib1 down"); /* the table forgets it, the interface does not */
	g_assert_true(nat_fib_is_own(fib, &(WgEndpoint){.v4 = net_ep("192.0.2.100").v4}));
}

static gboolean
is_tunnel(NatFib *fib, const char *dst)
{
	WgEndpoint ep = net_ep(dst);
	NatRoute route;

	g_assert_true(nat_fib_lookup(fib, &ep, 0, &route));
	return route.tunnel;
}

static int
open_tun(const char *name, short mode)
{
	struct ifreq ifr = {.ifr_flags = mode | IFF_NO_PI};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	g_strlcpy(ifr.ifr_name, name, sizeof ifr.ifr_name);
	g_assert_cmpint(ioctl(fd, TUNSETIFF, &ifr), ==, 0);
	net_run("ip link set %s up", name);
	return fd;
}

/* By kind, whatever the name says; kinds that this kernel lacks are left out. */
static void
test_tunnel(void)
{
	static const char *const KINDS[] = {
		"type wireguard",
		"type ipip local 192.0.2.100 remote 192.0.2.9",
		"type gre local 192.0.2.100 remote 192.0.2.9",
		"type sit local 192.0.2.100 remote 192.0.2.9",
		"type vti local 192.0.2.100 remote 192.0.2.9 key 5",
		"type ip6tnl local 2001:db8:1::1 remote 2001:db8:1::9",
		"type xfrm dev fib1 if_id 5",
		"type vxlan id 5 remote 192.0.2.9 dstport 4789 dev fib1",
	};
	g_autoptr(NatFib) fib = make();
	int tun, tap;

	if (!fib)
		return;
	tun = open_tun("eth7", IFF_TUN);
	tap = open_tun("wg7", IFF_TAP);
	net_run("ip route add 198.51.100.1 dev eth7 src 192.0.2.100 table 1");
	net_run("ip route add 198.51.100.2 dev wg7 src 192.0.2.100 table 1");
	g_assert_true(is_tunnel(fib, "198.51.100.1"));
	g_assert_false(is_tunnel(fib, "198.51.100.2"));
	for (gsize i = 0; i < G_N_ELEMENTS(KINDS); i++) {
		g_autofree char *add = g_strconcat("ip link add eth8 ", KINDS[i], NULL);

		if (!net_try(add))
			continue;
		net_run("ip link set eth8 up");
		net_run("ip route add 198.51.100.3 dev eth8 src 192.0.2.100 table 1");
		g_test_message("%s", KINDS[i]);
		g_assert_true(is_tunnel(fib, "198.51.100.3"));
		net_run("ip link del eth8");
	}
	close(tun);
	close(tap);
}

static gboolean
lists(NatFib *fib, const char *addr)
{
	g_autoptr(GArray) all = nat_fib_addresses(fib);
	WgEndpoint ep = net_ep(addr);

	for (guint i = 0; i < all->len; i++)
		if (wg_endpoint_equal(&g_array_index(all, WgEndpoint, i), &ep))
			return TRUE;
	return FALSE;
}

static void
test_addresses(void)
{
	g_autoptr(NatFib) fib = make();
	g_autoptr(GArray) all = NULL;

	if (!fib)
		return;
	all = nat_fib_addresses(fib);
	g_assert_cmpuint(all->len, ==, 4); /* no loopback, no link-local */
	g_assert_true(lists(fib, "192.0.2.100"));
	g_assert_true(lists(fib, "2001:db8:2::1"));
	net_run("ip addr add 203.0.113.5/32 dev lo");
	g_assert_true(lists(fib, "203.0.113.5"));
	net_run("ip addr add 203.0.113.6 peer 203.0.113.7 dev fib1");
	g_assert_true(lists(fib, "203.0.113.6"));
	g_assert_false(lists(fib, "203.0.113.7"));
	net_run("ip addr change 2001:db8:2::1/64 dev fib2 preferred_lft 0");
	g_assert_false(lists(fib, "2001:db8:2::1"));
	g_assert_true(nat_fib_is_own(fib, &(WgEndpoint){.v6 = net_ep("2001:db8:2::1").v6}));
	net_run("ip addr add 169.254.7.7/16 dev fib1");
	g_assert_false(lists(fib, "169.254.7.7"));
	/* without a carrier duplicate address detection cannot end */
	net_run("ip link set fib1p down");
	net_run("ip addr add 2001:db8:1::2/64 dev fib1");
	g_assert_false(lists(fib, "2001:db8:1::2"));
}

/* More than one netlink message holds. */
static void
test_many_addresses(void)
{
	g_autoptr(NatFib) fib = make();
	g_autoptr(GArray) all = NULL;
	g_autoptr(GString) batch = g_string_new(NULL);
	g_autofree char *path = NULL;
	int fd;

	if (!fib)
		return;
	for (int i = 0; i < 2000; i++)
		g_string_append_printf(batch, "addr add 10.9.%d.%d/32 dev fib1\n", i / 250,
				       i % 250);
	fd = g_file_open_tmp("an-fib-XXXXXX", &path, NULL);
	g_assert_cmpint(write(fd, batch->str, batch->len), ==, (gssize)batch->len);
	close(fd);
	net_run("ip -batch %s", path);
	unlink(path);
	all = nat_fib_addresses(fib);
	g_assert_cmpuint(all->len, ==, 2004);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/fib/lookup/mark", test_mark);
	g_test_add_func("/fib/lookup/ports", test_ports);
	g_test_add_func("/fib/lookup/no-route", test_no_route);
	g_test_add_func("/fib/on-link", test_on_link);
	g_test_add_func("/fib/lookup/local", test_local);
	g_test_add_func("/fib/lookup/tunnel", test_tunnel);
	g_test_add_func("/fib/addresses", test_addresses);
	g_test_add_func("/fib/addresses/many", test_many_addresses);
	return g_test_run();
}
