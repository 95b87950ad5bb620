/* SPDX-License-Identifier: MIT */
#include "agent/netcheck/net-mtu.h"

#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <sodium.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/net/nat-fib.h"
#include "agent/netcheck/net-stun.h"

#define ROUND_MS 350
#define ROUNDS 2 /* of each set of sizes: what was lost by chance gets another one */
#define UDP_HEADER 8
#define IPV6_MIN 1280

/* One size under test. */
typedef struct {
	guint size;
	guint8 id[NAT_STUN_ID_LEN];
	gboolean arrived;
} Try;

typedef struct {
	int fd;
	guint headers;
	Try tries[NET_MTU_SIZES];
	gsize n;
} Round;

static guint
headers_of(int af)
{
	return UDP_HEADER + (af == AF_INET6 ? 40 : 20);
}

gsize
net_mtu_sizes(int af, guint arrived, guint lost, guint sizes[NET_MTU_SIZES])
{
	/* Ethernet, PPPoE, tunnels of each kind in and over them, mobile networks, IPv6's least */
	static const guint USUAL[] = {1500, 1492, 1480, 1472, 1460, 1452, 1440,
				      1432, 1420, 1412, 1400, 1380, 1360, 1340,
				      1320, 1300, 1280, 1200, 1000, 800,  576};
	gsize n = 0;

	if (arrived > 0 && lost > arrived + 1) {
		guint step = 4 * (1 + (lost - arrived - 1) / (4 * NET_MTU_SIZES));

		for (guint size = (lost - 1) & ~3u; size > arrived; size -= step)
			sizes[n++] = size;
		return n;
	}
	for (gsize i = 0; arrived == 0 && i < G_N_ELEMENTS(USUAL); i++)
		if (USUAL[i] < lost && (af != AF_INET6 || USUAL[i] >= IPV6_MIN))
			sizes[n++] = USUAL[i];
	return n;
}

static int
open_socket(const WgEndpoint *server)
{
	int af = wg_endpoint_family(server), fd = net_stun_open(af);
	int probe = af == AF_INET6 ? IPV6_PMTUDISC_PROBE : IP_PMTUDISC_PROBE;
	int ret;

	if (fd < 0)
		return -1;
	ret = af == AF_INET6 ? setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &probe, sizeof probe)
			     : setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &probe, sizeof probe);
	if (ret == 0 && connect(fd, &server->sa, wg_endpoint_socklen(server)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* What the kernel would let through in one piece, by the interface and by what routers said. */
static guint
kernel_mtu(int fd, int af)
{
	int mtu = 0;
	socklen_t len = sizeof mtu;
	int ret = af == AF_INET6 ? getsockopt(fd, IPPROTO_IPV6, IPV6_MTU, &mtu, &len)
				 : getsockopt(fd, IPPROTO_IP, IP_MTU, &mtu, &len);

	return ret == 0 && mtu > 0 ? (guint)mtu : 0;
}

static guint
interface_mtu(int fd, const WgEndpoint *server)
{
	g_autoptr(NatFib) fib = nat_fib_new(NULL);
	struct ifreq ifr = {0};
	NatRoute route;

	if (!fib || !nat_fib_lookup(fib, server, 0, &route) ||
	    !if_indextoname((unsigned)route.oif, ifr.ifr_name) || ioctl(fd, SIOCGIFMTU, &ifr) < 0 ||
	    ifr.ifr_mtu <= 0)
		return 0;
	return (guint)ifr.ifr_mtu;
}

static void
send_missing(Round *round)
{
	guint8 buf[NAT_STUN_PADDED_MAX];

	for (gsize i = 0; i < round->n; i++) {
		Try *try = &round->tries[i];
		gsize len = nat_stun_build_request_padded(buf, sizeof buf, try->id, NULL, NULL,
							  try->size - round->headers);

		/* what exceeds the interface does not leave, and so does not arrive */
		if (!try->arrived && len > 0 && send(round->fd, buf, len, MSG_NOSIGNAL) < 0)
			g_debug("%u bytes do not leave: %s", try->size, g_strerror(errno));
	}
}

static void
note(Round *round, const guint8 *msg, gsize len)
{
	NatStun stun;

	if (!nat_stun_parse(msg, len, &stun) || stun.klass == NAT_STUN_REQUEST)
		return;
	for (gsize i = 0; i < round->n; i++)
		if (memcmp(stun.id, round->tries[i].id, sizeof stun.id) == 0)
			round->tries[i].arrived = TRUE;
}

static gboolean
all_arrived(const Round *round)
{
	for (gsize i = 0; i < round->n; i++)
		if (!round->tries[i].arrived)
			return FALSE;
	return TRUE;
}

static void
listen_for(Round *round, guint ms)
{
	gint64 until = net_stun_now_ms() + ms;

	while (!all_arrived(round)) {
		struct pollfd p = {round->fd, POLLIN, 0};
		gint64 left = until - net_stun_now_ms();
		guint8 buf[4096];
		ssize_t len;

		if (left <= 0 || poll(&p, 1, (int)left) <= 0)
			return;
		len = recv(round->fd, buf, sizeof buf, 0); /* an error may be told: too big */
		if (len > 0)
			note(round, buf, (gsize)len);
	}
}

/* The largest of the sizes that arrives; `arrived` where none does. */
static guint
try_sizes(int fd, int af, guint arrived, guint lost)
{
	Round round = {.fd = fd, .headers = headers_of(af)};
	guint sizes[NET_MTU_SIZES], best = arrived;

	round.n = net_mtu_sizes(af, arrived, lost, sizes);
	for (gsize i = 0; i < round.n; i++) {
		round.tries[i].size = sizes[i];
		randombytes_buf(round.tries[i].id, NAT_STUN_ID_LEN);
	}
	for (guint i = 0; i < ROUNDS && !all_arrived(&round); i++) {
		send_missing(&round);
		listen_for(&round, ROUND_MS);
	}
	for (gsize i = 0; i < round.n; i++)
		if (round.tries[i].arrived)
			best = MAX(best, round.tries[i].size);
	return best;
}

/* The smallest usual size above. */
static guint
next_usual(int af, guint size, guint lost)
{
	guint sizes[NET_MTU_SIZES], next = lost;
	gsize n = net_mtu_sizes(af, 0, lost, sizes);

	for (gsize i = 0; i < n; i++)
		if (sizes[i] > size)
			next = MIN(next, sizes[i]);
	return next;
}

void
net_mtu_probe(const WgEndpoint *server, NetFamily *family)
{
	int af = wg_endpoint_family(server), fd = open_socket(server);
	guint most = NAT_STUN_PADDED_MAX + UDP_HEADER + 20, best;

	if (fd < 0)
		return;
	family->link_mtu = interface_mtu(fd, server);
	if (family->link_mtu > 0)
		most = MIN(most, family->link_mtu);
	best = try_sizes(fd, af, 0, most + 1);
	if (best > 0)
		best = try_sizes(fd, af, best, next_usual(af, best, most + 1));
	family->path_mtu = best;
	family->route_mtu = kernel_mtu(fd, af);
	close(fd);
}
