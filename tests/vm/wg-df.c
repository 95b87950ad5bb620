/* SPDX-License-Identifier: MIT */
/*
 * What the kernel's WireGuard does with packets that are too large for their path: over IPv4 it
 * leaves DF unset, so that routers may cut them, and cuts them itself where its own interface is
 * too small; over IPv6 it cuts them itself, but no router does. nat-mtu.h stands on this.
 */
#include "tests/vm/wg-pair.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENCE_S 30
#define FULL 1392 /* bytes: 1420 in the tunnel, 1480 outside it (IPv6: 1500) */

static int
tap(void)
{
	const struct sockaddr_ll addr = {.sll_family = AF_PACKET,
					 .sll_protocol = htons(ETH_P_ALL),
					 .sll_ifindex = (int)if_nametoindex("path1")};
	int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (const struct sockaddr *)&addr, sizeof addr) < 0)
		wg_pair_die("FAILED df: packet socket: %s", g_strerror(errno));
	return fd;
}

static void
run(const char *command)
{
	g_autofree char *out = NULL;
	int status = 0;

	if (!g_spawn_command_line_sync(command, &out, NULL, &status, NULL) || status != 0)
		wg_pair_die("FAILED df: %s", command);
}

/* One full packet through the tunnel. */
static void
send_full(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	guint8 payload[FULL] = {0};

	inet_pton(AF_INET, "10.72.0.2", &to.sin_addr);
	if (sendto(fd, payload, sizeof payload, 0, (struct sockaddr *)&to, sizeof to) < 0)
		wg_pair_die("FAILED df: send: %s", g_strerror(errno));
	close(fd);
}

/* The next packet that came in and is WireGuard's, of at least `least` bytes, or a piece of one. */
static gsize
next(int fd, int family, gsize least, guint8 *buf, gsize size)
{
	gint64 end = g_get_monotonic_time() + PATIENCE_S * G_TIME_SPAN_SECOND;

	while (g_get_monotonic_time() < end) {
		struct sockaddr_ll from = {0};
		socklen_t from_len = sizeof from;
		struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
		gssize len;
		int protocol;

		if (poll(&poll_fd, 1, 1000) <= 0)
			continue;
		len = recvfrom(fd, buf, size, 0, (struct sockaddr *)&from, &from_len);
		if (len < (gssize)least || from.sll_pkttype == PACKET_OUTGOING ||
		    buf[0] >> 4 != (family == AF_INET ? 4 : 6))
			continue;
		protocol = family == AF_INET ? buf[9] : buf[6];
		if (protocol == IPPROTO_UDP || protocol == IPPROTO_FRAGMENT)
			return (gsize)len;
	}
	wg_pair_die("FAILED df: no packet came in %d s", PATIENCE_S);
}

static gboolean
is_piece(const guint8 *buf, int family)
{
	return family == AF_INET ? (buf[6] & 0x3f) != 0 || buf[7] != 0 : buf[6] == IPPROTO_FRAGMENT;
}

static void
ok_if(gboolean ok, const char *what)
{
	if (!ok)
		wg_pair_die("FAILED df: %s", what);
	printf("ok df: %s\n", what);
}

static void
prove(WgPairPath path, int family)
{
	g_autoptr(WgPair) pair = wg_pair_new();
	guint8 buf[2048];
	int fd;

	wg_pair_enter(pair, WG_PAIR_B);
	fd = tap();
	wg_pair_change(pair, WG_PAIR_A, WG_CHANGE_ENDPOINT | WG_CHANGE_KEEPALIVE, path, 25);
	next(fd, family, 148, buf, sizeof buf);
	if (family == AF_INET)
		ok_if((buf[6] & 0x40) == 0, "IPv4: DF is not set");
	wg_pair_enter(pair, WG_PAIR_A);
	send_full();
	next(fd, family, 1000, buf, sizeof buf);
	ok_if(!is_piece(buf, family),
	      family == AF_INET ? "IPv4: what fits leaves whole" : "IPv6: what fits leaves whole");
	run("ip link set path1 mtu 1300");
	send_full();
	next(fd, family, 1000, buf, sizeof buf);
	ok_if(is_piece(buf, family), family == AF_INET
					     ? "IPv4: what its interface does not carry is cut"
					     : "IPv6: what its interface does not carry is cut");
	close(fd);
}

int
main(void)
{
	prove(WG_PAIR_PATH_1, AF_INET);
	prove(WG_PAIR_PATH_1_V6, AF_INET6);
	return 0;
}
