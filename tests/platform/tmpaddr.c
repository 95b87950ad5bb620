/* SPDX-License-Identifier: MIT */
/*
 * With IPv6 privacy addresses (use_tempaddr 2) the route lookup names the temporary address, as a
 * socket without a source does; even a lookup from the stable address names the temporary one. So
 * only the temporary one is a candidate (DESIGN §2), and its rotation is a network event.
 */
#include "agent/net/nat-fib.h"
#include "tests/platform/prove.h"

#define STABLE "2001:db8::1234"
#define REMOTE "2001:db8:9::1"

static WgEndpoint
socket_source(void)
{
	WgEndpoint dst = net_ep("[" REMOTE "]:51820"), out = {0};
	struct sockaddr_in6 sa;
	socklen_t len = sizeof sa;
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (connect(fd, &dst.sa, sizeof dst.v6) == 0 &&
	    getsockname(fd, (struct sockaddr *)&sa, &len) == 0)
		wg_endpoint_from_sockaddr(&out, &sa, len);
	wg_endpoint_set_port(&out, 0);
	close(fd);
	return out;
}

/* The source that `ip route get REMOTE from STABLE` names. */
static gboolean
lookup_from_stable(const char *temporary)
{
	g_autofree char *out = NULL;
	g_autofree char *source = g_strconcat(" src ", temporary, " ", NULL);

	g_spawn_command_line_sync("ip -6 route get " REMOTE " from " STABLE, &out, NULL, NULL,
				  NULL);
	return out && strstr(out, source);
}

static GArray *
wait_for_two(NatFib *fib)
{
	gint64 end = g_get_monotonic_time() + 10 * G_TIME_SPAN_SECOND;
	GArray *all = nat_fib_addresses(fib);

	while (all->len < 2 && g_get_monotonic_time() < end) {
		g_usleep(10000);
		g_array_unref(all);
		all = nat_fib_addresses(fib);
	}
	return all;
}

int
main(void)
{
	char text[WG_ENDPOINT_STRLEN];
	g_autoptr(NatFib) fib = NULL;
	g_autoptr(GArray) all = NULL;
	WgEndpoint dst = net_ep("[" REMOTE "]:51820"), stable = net_ep(STABLE), source;
	NatRoute route = {0};
	gboolean ok;

	prove_in_fresh_namespace();
	net_run("ip link set lo up");
	net_run("ip link add ta0 type veth peer name ta1");
	net_run("sysctl -qw net.ipv6.conf.ta0.use_tempaddr=2 net.ipv6.conf.ta0.accept_dad=0");
	net_run("ip link set ta1 up");
	net_run("ip link set ta0 up");
	net_run("ip addr add " STABLE "/64 dev ta0 mngtmpaddr nodad");
	net_run("ip -6 route add default dev ta0");
	fib = nat_fib_new(NULL);
	all = wait_for_two(fib);
	ok = prove(all->len == 2, "the kernel made a temporary address beside the stable one");
	source = socket_source();
	ok &= prove(wg_endpoint_is_set(&source) && !wg_endpoint_same_address(&source, &stable),
		    "a socket uses the temporary address");
	ok &= prove(nat_fib_lookup(fib, &dst, 0, &route) &&
			    wg_endpoint_equal(&route.source, &source),
		    "the lookup names the same");
	ok &= prove(lookup_from_stable(wg_endpoint_format_address(&source, text)),
		    "even from the stable address the lookup names the temporary one");
	return ok ? 0 : 1;
}
