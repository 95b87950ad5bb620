/* SPDX-License-Identifier: MIT */
/*
 * A raw packet with a foreign source address, sent to an address of this host, reaches the UDP
 * socket there as if it had come from outside: neither a strict rp_filter nor a firewall that is
 * closed to new packets from outside stops it, since it goes over loopback with its route attached.
 * The same packet from outside is stopped by each of the two, which shows that they are at work.
 *
 * The receiver is told that it came in by the interface that has the address, not by loopback: a
 * program with sticky sources (wireguard-go: IP_PKTINFO) goes on sending the right way. To
 * 127.0.0.1 it would arrive too, but that would then be the source of the answers.
 */
#include "tests/platform/prove.h"

#include "agent/net/nat-packet.h"

#include <net/if.h>

#define DATA "late"

static int
raw_socket(int family)
{
	int fd = socket(family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW), on = 1;

	if (family == AF_INET)
		setsockopt(fd, IPPROTO_IP, IP_HDRINCL, &on, sizeof on);
	else
		setsockopt(fd, IPPROTO_IPV6, IPV6_HDRINCL, &on, sizeof on);
	return fd;
}

static void
spoof(const WgEndpoint *source, const WgEndpoint *dst)
{
	int fd = raw_socket(wg_endpoint_family(dst));
	WgEndpoint to = *dst;
	guint8 packet[1500];
	gsize len = nat_packet_build_ip(packet, sizeof packet, source, dst, (const guint8 *)DATA,
					sizeof DATA);

	wg_endpoint_set_port(&to, 0);
	if (sendto(fd, packet, len, 0, &to.sa, wg_endpoint_socklen(&to)) < 0)
		printf("INFO: sendto: %s\n", g_strerror(errno));
	close(fd);
}

static gboolean
arrives(int fd, const WgEndpoint *source, int timeout_ms)
{
	WgEndpoint from = {0};
	char buf[64];

	return net_recv(fd, buf, sizeof buf, timeout_ms, &from) == sizeof DATA &&
	       wg_endpoint_equal(&from, source);
}

/* The interface that the packet is said to have come in by: what a program with sticky sources
 * would send its answers through. */
static int
arrival_interface(int fd)
{
	char buf[64], control[CMSG_SPACE(sizeof(struct in6_pktinfo))];
	struct iovec iov = {buf, sizeof buf};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof control};
	GPollFD poll = {.fd = fd, .events = G_IO_IN};
	struct cmsghdr *c;

	if (g_poll(&poll, 1, 500) <= 0)
		return -1;
	if (recvmsg(fd, &msg, 0) < 0 || (c = CMSG_FIRSTHDR(&msg)) == NULL)
		return -1;
	if (c->cmsg_level == IPPROTO_IP)
		return ((struct in_pktinfo *)CMSG_DATA(c))->ipi_ifindex;
	return (int)((struct in6_pktinfo *)CMSG_DATA(c))->ipi6_ifindex;
}

static gboolean
tells_interface(const char *name, int fd, const WgEndpoint *src, const WgEndpoint *dst)
{
	int on = 1;

	if (wg_endpoint_family(dst) == AF_INET)
		setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
	else
		setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on);
	return prove(
		REPEATED(spoof(src, dst), arrival_interface(fd) == (int)if_nametoindex("eth0")),
		"%s: it is said to have come in by the address's interface", name);
}

/* far_ns: the namespace at the other end of the cable. */
static void
from_outside(int far_ns, int own_ns, const WgEndpoint *src, const WgEndpoint *dst)
{
	setns(far_ns, CLONE_NEWNET);
	spoof(src, dst);
	setns(own_ns, CLONE_NEWNET);
}

static gboolean
run(const char *name, int far_ns, int own_ns, const char *own, const char *source)
{
	WgEndpoint dst = net_ep(own), src = net_ep(source);
	int wireguard = net_udp(own);
	gboolean ok;

	from_outside(far_ns, own_ns, &src, &dst);
	ok = prove(!arrives(wireguard, &src, 200), "%s: from outside the packet is stopped", name);
	ok &= prove(REPEATED(spoof(&src, &dst), arrives(wireguard, &src, 500)),
		    "%s: from this host it arrives, foreign source and all", name);
	ok &= tells_interface(name, wireguard, &src, &dst);
	close(wireguard);
	return ok;
}

static void
rp_filter(int value)
{
	net_run("sh -c 'for i in all eth0 lo; do "
		"echo %d >/proc/sys/net/ipv4/conf/$i/rp_filter; done'",
		value);
}

static int
own_namespace(void)
{
	return open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
}

static void
closed_firewall(void)
{
	net_run("nft add table inet fw");
	net_run("nft add chain inet fw input "
		"'{ type filter hook input priority 0; policy drop; }'");
	net_run("nft add rule inet fw input iifname lo accept");
	net_run("nft add rule inet fw input ct state established,related accept");
	net_run("nft add rule inet fw input icmpv6 type "
		"'{ nd-neighbor-solicit, nd-neighbor-advert }' accept");
}

static void
cable(int far_ns, int own_ns)
{
	net_run("ip link set lo up");
	net_run("ip link add name eth0 type veth peer name eth0 netns /proc/%d/fd/%d", getpid(),
		far_ns);
	net_run("ip addr add 192.0.2.1/24 dev eth0");
	net_run("ip addr add 2001:db8::1/64 dev eth0 nodad");
	net_run("ip link set eth0 up");
	net_run("ip route add default via 192.0.2.2");
	net_run("ip route add default via 2001:db8::2");
	/* what comes from there is expected at another interface */
	net_run("ip link add name other type veth peer name other2");
	net_run("ip link set other2 up");
	net_run("ip link set other up");
	net_run("ip route add 203.0.113.0/24 dev other");
	setns(far_ns, CLONE_NEWNET);
	net_run("ip addr add 192.0.2.2/24 dev eth0");
	net_run("ip addr add 2001:db8::2/64 dev eth0 nodad");
	net_run("ip link set eth0 up");
	setns(own_ns, CLONE_NEWNET);
}

int
main(void)
{
	int far_ns, own_ns;
	gboolean ok;

	prove_in_fresh_namespace();
	far_ns = own_namespace();
	prove_in_fresh_namespace();
	own_ns = own_namespace();
	cable(far_ns, own_ns);
	rp_filter(1);
	ok = run("rp_filter", far_ns, own_ns, "192.0.2.1:51820", "203.0.113.5:4500");
	rp_filter(0);
	closed_firewall();
	ok &= run("IPv4, firewall", far_ns, own_ns, "192.0.2.1:51820", "203.0.113.5:4500");
	ok &= run("IPv6, firewall", far_ns, own_ns, "[2001:db8::1]:51820", "[2001:db8:5::5]:4500");
	return ok ? 0 : 1;
}
