/* SPDX-License-Identifier: MIT */
#include "agent/net/nat-traffic.h"
#include "tests/unit/net-util.h"

#include <linux/if_tun.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>

#define N 5

typedef struct {
	guint64 rx, tx;
} Counters;

static Counters
counters(NatTraffic *traffic)
{
	Counters c = {0};

	g_assert_true(nat_traffic_read(traffic, &c.rx, &c.tx));
	return c;
}

/* What a userspace WireGuard has: a TUN device; -1 and the test skipped without the permission. */
static int
tun_open(const char *name)
{
	struct ifreq ifr = {.ifr_flags = IFF_TUN | IFF_NO_PI};
	int fd;

	if (!net_fresh())
		return -1;
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		g_test_skip("needs /dev/net/tun");
		return -1;
	}
	g_strlcpy(ifr.ifr_name, name, IFNAMSIZ);
	g_assert_cmpint(ioctl(fd, TUNSETIFF, &ifr), ==, 0);
	net_run("sysctl -qw net.ipv6.conf.%s.disable_ipv6=1", name); /* it would solicit routers */
	net_run("ip link set %s up", name);
	net_run("ip addr add 10.9.0.1/24 dev %s", name);
	return fd;
}

/* A TUN device counts what its owner has taken out of it. */
static void
send_data(int fd, int tun, guint n)
{
	guint8 buf[100];

	WgEndpoint to = net_ep("10.9.0.2:9");

	for (guint i = 0; i < n; i++) {
		g_assert_cmpint(sendto(fd, "x", 1, 0, &to.sa, wg_endpoint_socklen(&to)), ==, 1);
		g_assert_cmpint(read(tun, buf, sizeof buf), ==, 29);
	}
}

static void
userspace_data(void)
{
	/* IPv4, UDP, no checksums wanted: the counter counts before anyone looks */
	static const guint8 PACKET[28] = {0x45, 0, 0,  28, 0, 0, 0,  0, 64, 17,
					  0,	0, 10, 9,  0, 2, 10, 9, 0,  1};
	int tun = tun_open("tw0"), udp;
	g_autoptr(NatTraffic) traffic = NULL;
	Counters before, after;

	if (tun < 0)
		return;
	udp = net_udp("10.9.0.1:0");
	traffic = nat_traffic_new(if_nametoindex("tw0"), NULL);
	before = counters(traffic);
	send_data(udp, tun, N);
	after = counters(traffic);
	g_assert_cmpuint(after.tx - before.tx, ==, N);
	g_assert_cmpuint(after.rx, ==, before.rx);
	g_assert_cmpint(write(tun, PACKET, sizeof PACKET), ==, sizeof PACKET);
	g_assert_cmpuint(counters(traffic).rx - before.rx, ==, 1);
	close(udp);
	close(tun);
}

static void
gone(void)
{
	int tun = tun_open("tw0");
	g_autoptr(NatTraffic) traffic = NULL;
	guint64 rx = 7, tx = 8;

	if (tun < 0)
		return;
	traffic = nat_traffic_new(if_nametoindex("tw0"), NULL);
	g_assert_true(nat_traffic_read(traffic, NULL, NULL));
	close(tun);
	g_assert_false(nat_traffic_read(traffic, &rx, &tx));
	g_assert_cmpuint(rx + tx, ==, 15);
}

/* Made in one namespace, it counts there wherever it is asked. */
static void namespace(void)
{
	int tun = tun_open("tw0");
	g_autoptr(NatTraffic) traffic = NULL;

	if (tun < 0)
		return;
	traffic = nat_traffic_new(if_nametoindex("tw0"), NULL);
	g_assert_true(net_fresh());
	g_assert_true(nat_traffic_read(traffic, NULL, NULL));
	close(tun);
}

static void
cost(void)
{
	int tun = tun_open("tw0");
	g_autoptr(NatTraffic) traffic = NULL;
	gint64 start;

	if (tun < 0)
		return;
	traffic = nat_traffic_new(if_nametoindex("tw0"), NULL);
	for (guint i = 0; i < 100; i++)
		net_run("ip link add v%u type veth peer name w%u", i, i);
	start = g_get_monotonic_time();
	for (guint i = 0; i < 10000; i++)
		g_assert_true(nat_traffic_read(traffic, NULL, NULL));
	g_test_message("%.2f us a read beside 200 other interfaces",
		       (double)(g_get_monotonic_time() - start) / 10000);
	close(tun);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/traffic/userspace-data", userspace_data);
	g_test_add_func("/traffic/gone", gone);
	g_test_add_func("/traffic/namespace", namespace);
	if (g_test_perf())
		g_test_add_func("/traffic/cost", cost);
	return g_test_run();
}
