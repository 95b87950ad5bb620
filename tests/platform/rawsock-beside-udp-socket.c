/* SPDX-License-Identifier: MIT */
/*
 * A raw UDP socket beside the UDP socket that has the port: it gets a copy of what comes, and may
 * send from that port. IPv4 delivers from the IP header on, IPv6 from the UDP header on, to the
 * reader and to the BPF filter alike. nat-rawsock.c stands on this.
 */
#include "agent/net/nat-packet.h"
#include "tests/platform/prove.h"

#include <linux/filter.h>

typedef struct {
	const char *name, *own, *peer;
	int family;
	guint header; /* bytes before the UDP header in what is delivered */
} Case;

static const Case CASES[] = {
	{"IPv4", "192.0.2.1:51820", "192.0.2.2:40000", AF_INET, 20},
	{"IPv6", "[2001:db8::1]:51820", "[2001:db8::2]:40000", AF_INET6, 0},
};

static int
raw_socket(int family)
{
	int at = 6, fd = socket(family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_UDP);

	if (family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_CHECKSUM, &at, sizeof at) < 0)
		g_error("IPV6_CHECKSUM: %s", g_strerror(errno));
	return fd;
}

static gboolean
send_to(int fd, const char *to, const char *text)
{
	WgEndpoint ep = net_ep(to);

	return sendto(fd, text, strlen(text), 0, &ep.sa, wg_endpoint_socklen(&ep)) >= 0;
}

/* Accepts only packets whose first payload byte is 'y'. */
static void
filter(int fd, guint header)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, header + 8),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 'y', 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0xffff),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program = {G_N_ELEMENTS(code), code};

	g_assert_cmpint(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program), ==,
			0);
}

static void
filter_nothing(int fd)
{
	struct sock_filter code[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
	struct sock_fprog program = {G_N_ELEMENTS(code), code};

	g_assert_cmpint(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program), ==,
			0);
}

/* A datagram may be lost, on the loopback too, where the machine's queue of packets (which all
 * namespaces share) is full of others'. */
#define TRIES 10
#define WAIT_MS 500

static gboolean
receives(const Case *c, int raw, int wireguard, int peer)
{
	guint8 buf[1500];
	gboolean ok;
	gssize len = -1;

	for (guint i = 0; i < TRIES; i++) {
		g_assert_true(send_to(peer, c->own, "hello"));
		len = net_recv(raw, buf, sizeof buf, WAIT_MS, NULL);
		if (len > 0)
			break;
	}
	ok = prove(len == (gssize)c->header + 8 + 5 && memcmp(buf + len - 5, "hello", 5) == 0,
		   "%s: the raw socket gets a copy, %u bytes before the UDP header", c->name,
		   c->header);
	ok &= prove(net_recv(wireguard, buf, sizeof buf, 2000, NULL) == 5,
		    "%s: the UDP socket gets it as well", c->name);
	return ok;
}

static gboolean
sends(const Case *c, int raw, int peer)
{
	WgEndpoint src = net_ep(c->own), dst = net_ep(c->peer), from = {0};
	guint8 seg[64], buf[64];
	gsize len = nat_packet_build_udp(seg, sizeof seg, &src, &dst, (const guint8 *)"hi", 2);
	gboolean ok = TRUE;
	gssize got = 0;

	if (c->family == AF_INET6) {
		ok &= prove(sendto(raw, seg, len, 0, &dst.sa, sizeof dst.v6) < 0 && errno == EINVAL,
			    "IPv6: a port in the destination is refused");
		seg[6] ^= 0xff; /* the kernel makes the checksum itself: IPV6_CHECKSUM */
	}
	wg_endpoint_set_port(&dst, 0);
	/* a raw socket's port is its protocol, so binding is to the address alone */
	g_assert_cmpint(bind(raw, &src.sa, wg_endpoint_socklen(&src)), ==, 0);
	for (guint i = 0; i < TRIES && got <= 0; i++) {
		g_assert_cmpint(sendto(raw, seg, len, 0, &dst.sa, wg_endpoint_socklen(&dst)), ==,
				(gssize)len);
		got = net_recv(peer, buf, sizeof buf, WAIT_MS, &from);
	}
	ok &= prove(got == 2 && wg_endpoint_equal(&from, &src),
		    "%s: a raw packet leaves from the port that another socket has", c->name);
	return ok;
}

static void
drain(int raw)
{
	while (recv(raw, &(char){0}, 1, MSG_TRUNC) >= 0)
		;
}

/* Until one lies in the queue. */
static void
queue(const Case *c, int raw, int peer)
{
	GPollFD poll = {.fd = raw, .events = G_IO_IN};

	for (guint i = 0; i < TRIES; i++) {
		send_to(peer, c->own, "no");
		send_to(peer, c->own, "yes");
		if (g_poll(&poll, 1, WAIT_MS) > 0)
			break;
	}
}

static gboolean
filters(const Case *c, int raw, int peer)
{
	guint8 buf[64];
	gboolean ok;
	gssize n;
	guint seen = 0;

	filter(raw, c->header);
	queue(c, raw, peer);
	while ((n = recv(raw, buf, sizeof buf, 0)) == (gssize)c->header + 8 + 3)
		seen++;
	ok = prove(seen > 0 && n < 0, "%s: BPF sees the packet from the same byte on", c->name);

	queue(c, raw, peer);
	filter_nothing(raw);
	ok &= prove(recv(raw, buf, sizeof buf, 0) > 0,
		    "%s: a new filter leaves in the queue what the old one let in", c->name);
	drain(raw);
	send_to(peer, c->own, "yes");
	filter(raw, c->header);
	ok &= prove(recv(raw, buf, sizeof buf, 0) < 0 && errno == EAGAIN,
		    "%s: after `ret 0` and a drain nothing old is left", c->name);
	return ok;
}

static gboolean
run(const Case *c)
{
	int raw = raw_socket(c->family), wireguard = net_udp(c->own), peer = net_udp(c->peer);
	gboolean ok = receives(c, raw, wireguard, peer);

	drain(raw);
	ok &= sends(c, raw, peer);
	drain(raw);
	ok &= filters(c, raw, peer);
	close(raw);
	close(wireguard);
	close(peer);
	return ok;
}

int
main(void)
{
	gboolean ok = TRUE;

	prove_in_fresh_namespace();
	net_run("ip link set lo up");
	for (int i = 1; i <= 2; i++) {
		net_run("ip addr add 192.0.2.%d/32 dev lo", i);
		net_run("ip addr add 2001:db8::%d/128 dev lo nodad", i);
	}
	for (gsize i = 0; i < G_N_ELEMENTS(CASES); i++)
		ok &= run(&CASES[i]);
	return ok ? 0 : 1;
}
