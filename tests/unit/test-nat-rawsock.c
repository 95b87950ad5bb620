/* SPDX-License-Identifier: MIT */
#include "agent/mux/nat-rawsock.h"
#include "agent/mux/nat-stun.h"
#include "tests/unit/net-util.h"

#include <gio/gio.h>
#include <string.h>

#define PORT 51820
#define MARK 0x51820

typedef struct {
	NatRawSock *sock;
	gboolean got;
	guint n;
	WgEndpoint src, dst, first_dst;
	guint8 ids[128]; /* the first byte of each transaction id */
	guint8 payload[NAT_PACKET_MAX];
	gsize len;
	gboolean free_inside;
} Fixture;

static void
on_packet(const NatUdp *pkt, gpointer user_data)
{
	Fixture *f = user_data;

	f->src = pkt->src;
	f->dst = pkt->dst;
	f->len = pkt->len;
	memcpy(f->payload, pkt->payload, pkt->len);
	f->got = TRUE;
	if (f->n == 0)
		f->first_dst = pkt->dst;
	if (f->n < G_N_ELEMENTS(f->ids))
		f->ids[f->n] = pkt->len > 8 ? pkt->payload[8] : 0;
	f->n++;
	if (f->free_inside)
		g_clear_pointer(&f->sock, nat_raw_sock_free);
}

static void
set_up(Fixture *f, gconstpointer data)
{
	g_autoptr(GError) error = NULL;

	if (!net_fresh())
		return;
	net_run("ip link set lo up");
	net_run("ip addr add 192.0.2.1/32 dev lo");
	net_run("ip addr add 192.0.2.2/32 dev lo");
	net_run("ip addr add 2001:db8::1/128 dev lo nodad");
	net_run("ip addr add 2001:db8::2/128 dev lo nodad");
	f->sock = nat_raw_sock_new(PORT, MARK, on_packet, f, &error);
	g_assert_no_error(error);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
	nat_raw_sock_free(f->sock);
}

static gsize
request(guint8 *buf, gsize size)
{
	static const guint8 id[NAT_STUN_ID_LEN] = "abcdefghijk";

	return nat_stun_build_request(buf, size, id, "abcd:efgh", "password");
}

static void
send_to(int fd, const char *to, const guint8 *buf, gsize len)
{
	WgEndpoint ep = net_ep(to);

	g_assert_cmpint(sendto(fd, buf, len, 0, &ep.sa, wg_endpoint_socklen(&ep)), ==, (gssize)len);
}

/* A datagram may be lost on a loaded machine: it is sent again. */
#define TRIES 40
#define TRY_MS 750

static void
send_until_got(Fixture *f, int fd, const char *to, const guint8 *buf, gsize len)
{
	f->got = FALSE;
	for (int i = 0; i < TRIES && !f->got; i++) {
		send_to(fd, to, buf, len);
		net_wait(&f->got, TRY_MS);
	}
	g_assert_true(f->got);
}

/* By the raw socket. */
static gssize
send_until_heard(Fixture *f, const WgEndpoint *src, const WgEndpoint *dst, const guint8 *buf,
		 gsize len, int fd, guint8 *copy, gsize size, WgEndpoint *from)
{
	g_autoptr(GError) error = NULL;
	gssize n = 0;

	for (int i = 0; i < TRIES && n != (gssize)len; i++) {
		g_assert_true(nat_raw_sock_send(f->sock, src, dst, buf, len, &error));
		g_assert_no_error(error);
		n = net_recv(fd, copy, size, TRY_MS, from);
	}
	return n;
}

/* STUN to the port of another socket reaches both, each with the true addresses. */
static void
receives(Fixture *f, const char *own, const char *peer)
{
	int wireguard = net_udp(own), fd = net_udp(peer);
	WgEndpoint src = net_ep(peer), dst = net_ep(own);
	guint8 buf[NAT_STUN_MAX], copy[NAT_STUN_MAX];
	gsize len = request(buf, sizeof buf);

	send_until_got(f, fd, own, buf, len);
	g_assert_true(wg_endpoint_equal(&f->src, &src));
	g_assert_true(wg_endpoint_equal(&f->dst, &dst));
	g_assert_cmpmem(f->payload, f->len, buf, len);
	g_assert_cmpint(net_recv(wireguard, copy, sizeof copy, 30000, NULL), ==, (gssize)len);
	close(wireguard);
	close(fd);
}

static void
test_receive(Fixture *f, gconstpointer data)
{
	if (!f->sock)
		return;
	receives(f, "192.0.2.1:51820", "192.0.2.2:40000");
	receives(f, "[2001:db8::1]:51820", "[2001:db8::2]:40000");
}

/* A raw packet leaves with the port that another socket has, its checksum right: a UDP socket
 * takes it. */
static void
sends(Fixture *f, const char *own, const char *peer)
{
	int wireguard = net_udp(own), fd = net_udp(peer);
	WgEndpoint src = net_ep(own), dst = net_ep(peer), from;
	guint8 buf[1400], copy[1500];

	memset(buf, 0x5a, sizeof buf);
	for (gsize len = 1; len <= sizeof buf; len += 233) {
		g_assert_cmpint(
			send_until_heard(f, &src, &dst, buf, len, fd, copy, sizeof copy, &from), ==,
			(gssize)len);
		g_assert_cmpmem(copy, len, buf, len);
		g_assert_true(wg_endpoint_equal(&from, &src));
	}
	close(wireguard);
	close(fd);
}

static void
test_send(Fixture *f, gconstpointer data)
{
	if (!f->sock)
		return;
	sends(f, "192.0.2.1:51820", "192.0.2.2:40000");
	sends(f, "[2001:db8::1]:51820", "[2001:db8::2]:40000");
}

static void
test_send_errors(Fixture *f, gconstpointer data)
{
	WgEndpoint own = net_ep("192.0.2.1:51820"), own6 = net_ep("[2001:db8::1]:51820");
	WgEndpoint nowhere = net_ep("203.0.113.1:1"), nowhere6 = net_ep("[2001:db8:9::1]:1");
	WgEndpoint foreign = net_ep("198.51.100.1:51820"), unset = {0};
	g_autoptr(GError) error = NULL;
	guint8 buf[4000] = {0};

	if (!f->sock)
		return;
	g_assert_false(nat_raw_sock_send(f->sock, &own, &nowhere, buf, 4, &error));
	g_assert_error(error, G_IO_ERROR, G_IO_ERROR_NETWORK_UNREACHABLE);
	g_clear_error(&error);
	g_assert_false(nat_raw_sock_send(f->sock, &own6, &nowhere6, buf, 4, &error));
	g_assert_error(error, G_IO_ERROR, G_IO_ERROR_NETWORK_UNREACHABLE);
	g_clear_error(&error);
	g_assert_false(nat_raw_sock_send(f->sock, &foreign, &own, buf, 4, NULL));
	g_assert_false(nat_raw_sock_send(f->sock, &own, &own6, buf, 4, NULL));
	g_assert_false(nat_raw_sock_send(f->sock, &unset, &unset, buf, 4, NULL));
	g_assert_false(nat_raw_sock_send(f->sock, &own, &own, buf, sizeof buf, NULL));
}

/* What WireGuard sends and what is not for the port never shows; a good message after all that
 * does, so the rest was really refused. */
static void
filters(Fixture *f, const char *own, const char *other_port, const char *peer)
{
	static const guint8 TYPES[][4] = {
		{1, 0, 0, 0},	    {2, 0, 0, 0},
		{3, 0, 0, 0},	    {4, 0, 0, 0},	/* WireGuard's */
		{0x40, 0, 0, 0},			/* ChannelData */
		{0x00, 0x03, 0, 0}, {0x00, 0x02, 0, 0}, /* TURN's, and none's */
	};
	int fd = net_udp(peer);
	guint8 buf[NAT_STUN_MAX];
	gsize len = request(buf, sizeof buf);

	for (gsize i = 0; i < G_N_ELEMENTS(TYPES); i++) {
		memcpy(buf, TYPES[i], 4); /* the cookie stays: a receiver index may equal it */
		send_to(fd, own, buf, len);
	}
	len = request(buf, sizeof buf);
	send_to(fd, other_port, buf, len);
	buf[4] ^= 1;
	send_to(fd, own, buf, len); /* no cookie */
	buf[4] ^= 1;
	for (gsize cut = 0; cut < 8; cut++)
		send_to(fd, own, buf, cut);
	f->n = 0;
	for (int i = 1; i <= TRIES && f->n == 0; i++) {
		f->got = FALSE;
		send_to(fd, own, buf, len);
		net_wait(&f->got, TRY_MS);
		g_assert_cmpuint(f->n, <=, i);
	}
	g_assert_cmpuint(f->n, >=, 1);
	g_assert_cmpmem(f->payload, f->len, buf, len);
	close(fd);
}

static void
test_filter(Fixture *f, gconstpointer data)
{
	if (!f->sock)
		return;
	filters(f, "192.0.2.1:51820", "192.0.2.1:51821", "192.0.2.2:40000");
	filters(f, "[2001:db8::1]:51820", "[2001:db8::1]:51821", "[2001:db8::2]:40000");
}

/* Link-local addresses mean something only with their interface, both ways. */
static void
test_link_local(Fixture *f, gconstpointer data)
{
	WgEndpoint own, peer, from;
	guint8 buf[NAT_STUN_MAX], copy[NAT_STUN_MAX];
	gsize len = request(buf, sizeof buf);
	int fd;

	if (!f->sock)
		return;
	net_run("ip link add rs-a type veth peer name rs-b");
	for (char c = 'a'; c <= 'b'; c++) {
		net_run("ip link set rs-%c addrgenmode none", c);
		net_run("ip link set rs-%c up", c);
		net_run("ip addr add fe80::%c/64 dev rs-%c nodad", c, c);
	}
	own = net_ep("[fe80::a%rs-a]:51820");
	peer = net_ep("[fe80::b%rs-a]:40000");
	fd = net_udp("[fe80::b%rs-b]:40000");
	/* a fresh link loses what is sent before the kernel has seen that it is up */
	g_assert_cmpint(send_until_heard(f, &own, &peer, buf, len, fd, copy, sizeof copy, &from),
			==, (gssize)len);
	g_assert_true(
		wg_endpoint_equal(&from, &(WgEndpoint){.v6 = net_ep("[fe80::a%rs-b]:51820").v6}));
	send_until_got(f, fd, "[fe80::a%rs-b]:51820", buf, len);
	g_assert_true(wg_endpoint_equal(&f->src, &peer));
	g_assert_true(wg_endpoint_equal(&f->dst, &own));
	close(fd);
}

/* TRUE: all of a burst came, in order. The kernel may lose some, when that is seen by the next. */
static gboolean
burst_comes(Fixture *f, int fd)
{
	guint8 buf[NAT_STUN_MAX], id[NAT_STUN_ID_LEN] = {0};

	f->n = 0;
	for (guint8 i = 0; i < 100; i++) {
		id[0] = i;
		send_to(fd, "192.0.2.1:51820", buf,
			nat_stun_build_request(buf, sizeof buf, id, NULL, NULL));
	}
	do
		f->got = FALSE;
	while (f->n < 100 && net_wait(&f->got, 3000));
	for (guint i = 1; i < f->n; i++)
		g_assert_cmpuint(f->ids[i], >, f->ids[i - 1]);
	return f->n == 100;
}

/* More than one wakeup takes: all are delivered, in order. */
static void
test_burst(Fixture *f, gconstpointer data)
{
	gboolean came = FALSE;
	int fd;

	if (!f->sock)
		return;
	fd = net_udp("192.0.2.2:40000");
	for (int round = 0; round < 5 && !came; round++)
		came = burst_comes(f, fd);
	g_assert_true(came);
	close(fd);
}

/* A changed port forgets what was queued for the old one. */
static void
test_set_port(Fixture *f, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	guint8 buf[NAT_STUN_MAX];
	gsize len = request(buf, sizeof buf);
	int fd;

	if (!f->sock)
		return;
	fd = net_udp("192.0.2.2:40000");
	send_to(fd, "192.0.2.1:51820", buf, len);
	g_assert_true(nat_raw_sock_set_port(f->sock, 4000, &error));
	g_assert_no_error(error);
	send_to(fd, "192.0.2.1:51820", buf, len);
	send_until_got(f, fd, "192.0.2.1:4000", buf, len);
	g_assert_cmpuint(wg_endpoint_port(&f->first_dst), ==, 4000);
	g_assert_cmpuint(wg_endpoint_port(&f->dst), ==, 4000);
	g_assert_true(nat_raw_sock_set_port(f->sock, 0, &error));
	close(fd);
}

/* The mark chooses the route: a rule that forbids it makes sending fail. */
static void
test_fwmark(Fixture *f, gconstpointer data)
{
	WgEndpoint own = net_ep("192.0.2.1:51820"), peer = net_ep("203.0.113.1:1");
	g_autoptr(GError) error = NULL;

	if (!f->sock)
		return;
	net_run("ip link add rs-a type veth peer name rs-b");
	net_run("ip link set rs-a up");
	net_run("ip route add 203.0.113.0/24 dev rs-a");
	net_run("ip rule add pref 10 fwmark %d prohibit", MARK);
	g_assert_false(nat_raw_sock_send(f->sock, &own, &peer, (const guint8 *)"a", 1, NULL));
	g_assert_true(nat_raw_sock_set_fwmark(f->sock, MARK + 1, &error));
	g_assert_no_error(error);
	g_assert_true(nat_raw_sock_send(f->sock, &own, &peer, (const guint8 *)"a", 1, &error));
	g_assert_no_error(error);
}

static void
test_free_inside(Fixture *f, gconstpointer data)
{
	guint8 buf[NAT_STUN_MAX];
	gsize len = request(buf, sizeof buf);
	int fd;

	if (!f->sock)
		return;
	f->free_inside = TRUE;
	fd = net_udp("192.0.2.2:40000");
	send_to(fd, "192.0.2.1:51820", buf, len);
	send_until_got(f, fd, "192.0.2.1:51820", buf, len);
	g_assert_cmpuint(f->n, ==, 1);
	close(fd);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add("/rawsock/receive", Fixture, NULL, set_up, test_receive, tear_down);
	g_test_add("/rawsock/send", Fixture, NULL, set_up, test_send, tear_down);
	g_test_add("/rawsock/send/errors", Fixture, NULL, set_up, test_send_errors, tear_down);
	g_test_add("/rawsock/filter", Fixture, NULL, set_up, test_filter, tear_down);
	g_test_add("/rawsock/link-local", Fixture, NULL, set_up, test_link_local, tear_down);
	g_test_add("/rawsock/burst", Fixture, NULL, set_up, test_burst, tear_down);
	g_test_add("/rawsock/set-port", Fixture, NULL, set_up, test_set_port, tear_down);
	g_test_add("/rawsock/fwmark", Fixture, NULL, set_up, test_fwmark, tear_down);
	g_test_add("/rawsock/free-inside", Fixture, NULL, set_up, test_free_inside, tear_down);
	return g_test_run();
}
