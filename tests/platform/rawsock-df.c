/* SPDX-License-Identifier: MIT */
/*
 * Who sets DF, and who sends in one piece what is larger than the path MTU that the kernel has
 * learnt. A raw socket set to IP_PMTUDISC_PROBE does both, so it can test a path; an ordinary UDP
 * socket (wireguard-go's) sets DF as long as it knows of no smaller path MTU, so where ICMP is
 * dropped its packets vanish; IP_PMTUDISC_DONT (as kernel WireGuard sends) never does, so routers
 * may cut its packets. nat-rawsock.c and nat-mtu.h stand on this.
 *
 *     a: 192.0.2.1, 2001:db8::1 ── 1500 ── r ── 1280 ── 198.51.100.0/24, 2001:db8:1::/64
 */
#include "agent/net/nat-packet.h"
#include "tests/platform/prove.h"

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>

#define LARGE 1400 /* IP packet */

typedef struct {
	const char *name, *own, *far;
	int family, level, option;
	int want, probe, dont;
	gsize headers; /* IP and UDP */
} Case;

static const Case CASES[] = {
	{"IPv4", "192.0.2.1:51820", "198.51.100.9:40000", AF_INET, IPPROTO_IP, IP_MTU_DISCOVER,
	 IP_PMTUDISC_WANT, IP_PMTUDISC_PROBE, IP_PMTUDISC_DONT, 28},
	{"IPv6", "[2001:db8::1]:51820", "[2001:db8:1::9]:40000", AF_INET6, IPPROTO_IPV6,
	 IPV6_MTU_DISCOVER, IPV6_PMTUDISC_WANT, IPV6_PMTUDISC_PROBE, IPV6_PMTUDISC_DONT, 48},
};

typedef struct {
	int a, r;
	int tap; /* sees what leaves a */
} Net;

/* What a packet looks like on the wire; len 0: none came. */
typedef struct {
	gsize len;
	gboolean df, fragment;
} Seen;

static void
enter(int netns)
{
	g_assert_cmpint(setns(netns, CLONE_NEWNET), ==, 0);
}

static int
netns(void)
{
	int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

	g_assert_cmpint(fd, >=, 0);
	return fd;
}

static int
open_tap(const char *dev)
{
	struct sockaddr_ll addr = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_ALL));

	addr.sll_ifindex = (int)if_nametoindex(dev);
	g_assert_cmpint(bind(fd, (struct sockaddr *)&addr, sizeof addr), ==, 0);
	return fd;
}

static Net
make(void)
{
	Net net;

	prove_in_fresh_namespace();
	net.r = netns();
	g_assert_cmpint(unshare(CLONE_NEWNET), ==, 0);
	net.a = netns();
	net_run("ip link add df-a type veth peer name df-r");
	net_run("ip link set df-r netns /proc/%d/fd/%d", (int)getpid(), net.r);
	net_run("ip addr add 192.0.2.1/24 dev df-a");
	net_run("ip addr add 2001:db8::1/64 dev df-a nodad");
	net_run("ip link set df-a up");
	enter(net.r);
	net_run("ip link add far type veth peer name farther");
	net_run("ip link set farther up");
	net_run("ip link set far mtu 1280 up");
	net_run("ip addr add 192.0.2.254/24 dev df-r");
	net_run("ip addr add 2001:db8::fe/64 dev df-r nodad");
	net_run("ip link set df-r up");
	net_run("ip addr add 198.51.100.1/24 dev far");
	net_run("ip addr add 2001:db8:1::1/64 dev far nodad");
	net_run("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1");
	net.tap = open_tap("df-r");
	enter(net.a);
	net_run("ip route add default via 192.0.2.254");
	net_run("ip route add default via 2001:db8::fe");
	return net;
}

/* The next packet of ours, or of our fragments, that is larger than ICMP and neighbour chatter. */
static Seen
next_seen(const Net *net, int family, int timeout_ms)
{
	gint64 end = g_get_monotonic_time() + timeout_ms * G_TIME_SPAN_MILLISECOND;
	guint8 buf[2048];

	while (g_get_monotonic_time() < end) {
		struct sockaddr_ll from = {0};
		socklen_t from_len = sizeof from;
		gssize len =
			recvfrom(net->tap, buf, sizeof buf, 0, (struct sockaddr *)&from, &from_len);

		if (len < 0) {
			g_usleep(500);
			continue;
		}
		if (len < 1000 || from.sll_pkttype == PACKET_OUTGOING)
			continue;
		if (family == AF_INET && buf[0] >> 4 == 4)
			return (Seen){(gsize)len, (buf[6] & 0x40) != 0,
				      (buf[6] & 0x3f) != 0 || buf[7] != 0};
		if (family == AF_INET6 && buf[0] >> 4 == 6)
			return (Seen){(gsize)len, FALSE, buf[6] == IPPROTO_FRAGMENT};
	}
	return (Seen){0};
}

static int
raw_socket(const Case *c)
{
	int at = 6, fd = socket(c->family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_UDP);

	if (c->family == AF_INET6)
		g_assert_cmpint(setsockopt(fd, IPPROTO_IPV6, IPV6_CHECKSUM, &at, sizeof at), ==, 0);
	return fd;
}

static void
discover(const Case *c, int fd, int how)
{
	g_assert_cmpint(setsockopt(fd, c->level, c->option, &how, sizeof how), ==, 0);
}

static gssize
raw_send(const Case *c, int fd, gsize ip_len)
{
	WgEndpoint src = net_ep(c->own), dst = net_ep(c->far);
	guint8 seg[2048], payload[2048] = {0};
	gsize len = nat_packet_build_udp(seg, sizeof seg, &src, &dst, payload, ip_len - c->headers);

	wg_endpoint_set_port(&dst, 0);
	return sendto(fd, seg, len, 0, &dst.sa, wg_endpoint_socklen(&dst));
}

static gssize
udp_send(const Case *c, int fd, gsize ip_len)
{
	WgEndpoint dst = net_ep(c->far);
	guint8 payload[2048] = {0};

	return sendto(fd, payload, ip_len - c->headers, 0, &dst.sa, wg_endpoint_socklen(&dst));
}

static gboolean
whole(const Case *c, Seen seen)
{
	return seen.len == LARGE && !seen.fragment && (seen.df || c->family == AF_INET6);
}

typedef gssize Send(const Case *c, int fd, gsize ip_len);

/* What the wire has of a large packet: of several, should the first be lost. Nothing is left behind
 * for the next one. */
static Seen
seen_of(const Net *net, const Case *c, Send *send, int fd)
{
	Seen seen = {0};

	for (int i = 0; i < 10 && seen.len == 0; i++) {
		send(c, fd, LARGE);
		seen = next_seen(net, c->family, 2000);
	}
	while (next_seen(net, c->family, 100).len != 0)
		;
	return seen;
}

/* The router says "too big" to a packet that may not be cut; then the kernel cuts by itself. */
static gboolean
teach(const Net *net, const Case *c, int raw)
{
	gint64 end = g_get_monotonic_time() + 30 * G_TIME_SPAN_SECOND;
	gboolean cut = FALSE;

	do {
		raw_send(c, raw, LARGE);
		cut = next_seen(net, c->family, 200).fragment;
	} while (!cut && g_get_monotonic_time() < end);
	while (next_seen(net, c->family, 100).len != 0)
		;
	return prove(cut, "%s: after the router's ICMP a raw socket's packet leaves in pieces",
		     c->name);
}

static gboolean
run(const Net *net, const Case *c)
{
	int raw = raw_socket(c), udp = net_udp(c->own);
	gboolean ok;
	Seen seen;

	discover(c, udp, c->dont);
	seen = seen_of(net, c, udp_send, udp);
	if (c->family == AF_INET) {
		ok = prove(seen.len == LARGE && !seen.df, "IPv4: DONT leaves DF unset");
		discover(c, udp, c->want);
		ok &= prove(whole(c, seen_of(net, c, udp_send, udp)),
			    "IPv4: an ordinary UDP socket sets DF");
	} else {
		ok = prove(whole(c, seen), "IPv6: what the interface carries leaves in one piece");
	}
	discover(c, udp, c->want);
	ok &= teach(net, c, raw);
	ok &= prove(seen_of(net, c, udp_send, udp).fragment,
		    "%s: and so does an ordinary UDP socket's", c->name);
	discover(c, raw, c->probe);
	ok &= prove(whole(c, seen_of(net, c, raw_send, raw)),
		    "%s: with PROBE it leaves whole%s, larger than the cached path MTU", c->name,
		    c->family == AF_INET ? " and with DF" : "");
	ok &= prove(raw_send(c, raw, 1504) < 0 && errno == EMSGSIZE,
		    "%s: with PROBE what the interface does not carry is EMSGSIZE", c->name);
	discover(c, raw, c->want);
	ok &= prove(seen_of(net, c, raw_send, raw).fragment,
		    "%s: set back, it is cut again: the option counts per send", c->name);
	close(raw);
	close(udp);
	return ok;
}

int
main(void)
{
	Net net = make();
	gboolean ok = TRUE;

	for (gsize i = 0; i < G_N_ELEMENTS(CASES); i++)
		ok &= run(&net, &CASES[i]);
	return ok ? 0 : 1;
}
