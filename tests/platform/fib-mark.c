/* SPDX-License-Identifier: MIT */
/*
 * The route lookup (RTM_GETROUTE with a mark, without a source) names the source address that a
 * socket with this mark then really uses, and refuses where the socket would be refused. nat-fib.c
 * stands on this.
 */
#include "agent/net/nat-fib.h"
#include "tests/platform/prove.h"

static void
make_network(void)
{
	net_run("ip link set lo up");
	for (int i = 1; i <= 2; i++) {
		net_run("ip link add fm%d type veth peer name fm%dp", i, i);
		net_run("ip link set fm%dp up", i);
		net_run("ip link set fm%d up", i);
		net_run("ip addr add 192.0.2.%d/32 dev fm%d", i, i);
		net_run("ip addr add 2001:db8::%d/128 dev fm%d nodad", i, i);
	}
	for (int v = 4; v <= 6; v += 2) {
		net_run("ip -%d route add default dev fm1", v);
		net_run("ip -%d route add default dev fm2 table 7", v);
		net_run("ip -%d rule add fwmark 7 table 7", v);
		net_run("ip -%d rule add fwmark 8 prohibit", v);
	}
}

/* What a UDP socket with the mark has as its own address after connect: the kernel's choice. */
static gboolean
socket_source(const WgEndpoint *dst, int mark, WgEndpoint *out)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof sa;
	int fd = socket(wg_endpoint_family(dst), SOCK_DGRAM | SOCK_CLOEXEC, 0);
	gboolean ok = setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark) == 0 &&
		      connect(fd, &dst->sa, wg_endpoint_socklen(dst)) == 0 &&
		      getsockname(fd, (struct sockaddr *)&sa, &len) == 0 &&
		      wg_endpoint_from_sockaddr(out, &sa, len);

	close(fd);
	return ok;
}

static gboolean
agree(NatFib *fib, const char *to, int mark, const char *expected)
{
	char text[WG_ENDPOINT_STRLEN];
	WgEndpoint dst = net_ep(to), source = {0};
	NatRoute route;
	gboolean by_lookup = nat_fib_lookup(fib, &dst, (guint32)mark, &route);
	gboolean by_socket = socket_source(&dst, mark, &source);

	if (!expected)
		return prove(!by_lookup && !by_socket, "%s, mark %d: both refuse", to, mark);
	return prove(by_lookup && by_socket && wg_endpoint_same_address(&route.source, &source) &&
			     strcmp(wg_endpoint_format_address(&source, text), expected) == 0,
		     "%s, mark %d: both say %s", to, mark, expected);
}

int
main(void)
{
	g_autoptr(NatFib) fib = NULL;
	gboolean ok = TRUE;

	prove_in_fresh_namespace();
	make_network();
	fib = nat_fib_new(NULL);
	ok &= agree(fib, "203.0.113.1:51820", 0, "192.0.2.1");
	ok &= agree(fib, "203.0.113.1:51820", 7, "192.0.2.2");
	ok &= agree(fib, "203.0.113.1:51820", 8, NULL);
	ok &= agree(fib, "[2001:db8:9::1]:51820", 0, "2001:db8::1");
	ok &= agree(fib, "[2001:db8:9::1]:51820", 7, "2001:db8::2");
	ok &= agree(fib, "[2001:db8:9::1]:51820", 8, NULL);
	return ok ? 0 : 1;
}
