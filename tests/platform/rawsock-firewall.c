/* SPDX-License-Identifier: MIT */
/*
 * What the host's firewall drops never reaches a raw UDP socket, as it never reaches WireGuard's;
 * a packet socket would see it. So a path that ICE finds through the raw socket is one that the
 * firewall lets WireGuard use (DESIGN §2).
 */
#include "tests/platform/prove.h"

#include <linux/if_ether.h>
#include <linux/if_packet.h>

static guint
count(int fd, guint least)
{
	guint8 buf[1500];
	guint n = 0;

	/* what is on its way on loopback has arrived when the sender returns */
	while (net_recv(fd, buf, sizeof buf, n < least ? 500 : 0, NULL) > 0)
		n++;
	return n;
}

/* Sends until all of the readers, of one to two, have got three; the kernel of a loaded machine may
 * lose some. */
static gboolean
all_get(int fd, const WgEndpoint *to, const int *readers, guint n_readers)
{
	guint n[2] = {0};

	for (int i = 0; i < 20 && (n[0] < 3 || n[n_readers - 1] < 3); i++) {
		for (int j = 0; j < 3; j++)
			sendto(fd, "hello", 5, 0, &to->sa, wg_endpoint_socklen(to));
		for (guint r = 0; r < n_readers; r++)
			n[r] += count(readers[r], 3);
	}
	return n[0] >= 3 && n[n_readers - 1] >= 3;
}

static gboolean
run(const char *name, int family, const char *own, const char *from)
{
	WgEndpoint to = net_ep(own);
	int raw = socket(family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_UDP);
	int packet = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
			    htons(family == AF_INET ? ETH_P_IP : ETH_P_IPV6));
	int fd = net_udp(from), wireguard = net_udp(own);
	gboolean ok;

	net_run("nft add table inet fw");
	net_run("nft add chain inet fw input '{ type filter hook input priority 0; }'");
	net_run("nft add rule inet fw input udp dport 51820 drop");
	ok = prove(all_get(fd, &to, &packet, 1), "%s: a packet socket sees what the firewall drops",
		   name);
	ok &= prove(count(raw, 0) == 0, "%s: a raw socket does not", name);
	ok &= prove(count(wireguard, 0) == 0, "%s: nor does the UDP socket", name);
	net_run("nft delete table inet fw");
	ok &= prove(all_get(fd, &to, (const int[]){raw, wireguard}, 2),
		    "%s: without the firewall both get everything", name);
	close(raw);
	close(packet);
	close(fd);
	close(wireguard);
	return ok;
}

int
main(void)
{
	gboolean ok;

	prove_in_fresh_namespace();
	net_run("ip link set lo up");
	net_run("ip addr add 192.0.2.1/32 dev lo");
	net_run("ip addr add 2001:db8::1/128 dev lo nodad");
	ok = run("IPv4", AF_INET, "192.0.2.1:51820", "192.0.2.1:40000");
	ok &= run("IPv6", AF_INET6, "[2001:db8::1]:51820", "[2001:db8::1]:40000");
	return ok ? 0 : 1;
}
