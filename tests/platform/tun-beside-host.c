/* SPDX-License-Identifier: MIT */
/*
 * libnice without a namespace of its own: a TUN in the host's namespace that carries private
 * addresses, a table whose default route leads into it and one rule `from` them. What is sent from
 * a private address comes out of the TUN and nowhere else, also where a full tunnel's rules or an
 * address of this host would take it away; what is injected by a raw socket reaches the socket past
 * a strict rp_filter and a closed firewall, where the same packet written to the TUN is stopped by
 * the latter; and no neighbour reaches the socket. For the two ends of that the socket must be
 * bound to the device, for which no capability is needed.
 */
#include "tests/platform/prove.h"

#include "agent/net/nat-fib.h"
#include "agent/net/nat-packet.h"

#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>

#define DATA "check"
#define DEVICE "nat-test0"
#define TABLE "1312904000"
#define PROTOCOL "78"
#define Q 10001

typedef struct {
	const char *name;
	const char *ip;		   /* how ip(8) is told the family */
	const char *own, *private; /* the host's address and libnice's */
	const char *far;	   /* somewhere behind the default route */
	const char *neighbour;	   /* at the other end of the cable */
} Family;

static const Family V4 = {"IPv4", "-4", "192.0.2.1", "240.1.2.1", "203.0.113.5", "192.0.2.2"};
static const Family V6 = {"IPv6",	   "-6",	 "2001:db8::1", "fd4e:4154::1",
			  "2001:db8:5::5", "2001:db8::2"};

static WgEndpoint
at(const char *address, guint16 port)
{
	WgEndpoint ep = net_ep(address);

	wg_endpoint_set_port(&ep, port);
	return ep;
}

static int
open_tun(void)
{
	struct ifreq ifr = {.ifr_name = DEVICE, .ifr_flags = IFF_TUN | IFF_NO_PI};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr) < 0)
		g_error("/dev/net/tun: %s", g_strerror(errno));
	net_run("ip link set " DEVICE " addrgenmode none");
	net_run("ip link set " DEVICE " up");
	return fd;
}

static void
add_rule(const Family *f)
{
	net_run("ip %s rule add from %s lookup " TABLE " pref 5 protocol " PROTOCOL, f->ip,
		f->private);
}

static void
remove_rule(const Family *f)
{
	net_run("ip %s rule del from %s lookup " TABLE " pref 5 protocol " PROTOCOL, f->ip,
		f->private);
}

static void
dress_tun(const Family *f)
{
	gboolean v4 = f == &V4;

	/* scope host, and deprecated: nobody else is to use them */
	net_run("ip addr add %s/%s dev " DEVICE " %s", f->private, v4 ? "32" : "128",
		v4 ? "scope host noprefixroute" : "nodad noprefixroute preferred_lft 0");
	net_run("ip %s route add default dev " DEVICE " table " TABLE, f->ip);
}

static void
drain(int tun)
{
	guint8 buf[2000];

	while (read(tun, buf, sizeof buf) > 0)
		;
}

/* libnice's */
static int
private_socket(const Family *f, gboolean bound_to_device)
{
	WgEndpoint ep = at(f->private, Q);
	int fd = socket(wg_endpoint_family(&ep), SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (bind(fd, &ep.sa, wg_endpoint_socklen(&ep)) < 0)
		g_error("bind %s: %s", f->private, g_strerror(errno));
	if (bound_to_device &&
	    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, DEVICE, sizeof DEVICE) < 0)
		g_error("SO_BINDTODEVICE: %s", g_strerror(errno));
	return fd;
}

#define COMES_OUT(...) REPEATED((void)0, comes_out(__VA_ARGS__))

static gboolean
comes_out(const Family *f, int tun, int fd, const char *to)
{
	WgEndpoint dst = at(to, 4500), src = at(f->private, Q);
	guint8 buf[2000];
	NatUdp udp;
	gssize len;

	drain(tun);
	if (sendto(fd, DATA, sizeof DATA, 0, &dst.sa, wg_endpoint_socklen(&dst)) < 0)
		return FALSE;
	len = net_recv(tun, buf, sizeof buf, 500, NULL);
	return len > 0 && nat_packet_parse_ip(buf, (gsize)len, &udp) &&
	       wg_endpoint_equal(&udp.src, &src) && wg_endpoint_equal(&udp.dst, &dst);
}

static gboolean
arrives(const Family *f, int fd, const char *from)
{
	WgEndpoint source = {0}, wanted = at(from, 4500);
	char buf[64];

	return net_recv(fd, buf, sizeof buf, 500, &source) == sizeof DATA &&
	       wg_endpoint_equal(&source, &wanted);
}

/* What came twice. */
static void
forget(int fd)
{
	char buf[64];

	while (net_recv(fd, buf, sizeof buf, 100, NULL) > 0)
		;
}

static gsize
build(const Family *f, const char *from, guint8 *buf, gsize size)
{
	WgEndpoint src = at(from, 4500), dst = at(f->private, Q);

	return nat_packet_build_ip(buf, size, &src, &dst, (const guint8 *)DATA, sizeof DATA);
}

static void
write_to_tun(const Family *f, int tun)
{
	guint8 buf[2000];
	gsize len = build(f, f->far, buf, sizeof buf);

	if (write(tun, buf, len) != (gssize)len)
		printf("INFO: write: %s\n", g_strerror(errno));
}

static void
inject(const Family *f)
{
	WgEndpoint to = at(f->private, 0);
	int fd = socket(wg_endpoint_family(&to), SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW), on = 1;
	guint8 buf[2000];
	gsize len = build(f, f->far, buf, sizeof buf);

	if (f == &V6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_HDRINCL, &on, sizeof on);
	if (sendto(fd, buf, len, 0, &to.sa, wg_endpoint_socklen(&to)) < 0)
		printf("INFO: sendto: %s\n", g_strerror(errno));
	close(fd);
}

/* The neighbour knows the private address and how to route to it. */
static void
send_as_neighbour(const Family *f, int far_ns, int own_ns)
{
	WgEndpoint from = at(f->neighbour, 4500), to = at(f->private, Q);
	int fd;

	setns(far_ns, CLONE_NEWNET);
	fd = socket(wg_endpoint_family(&to), SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (bind(fd, &from.sa, wg_endpoint_socklen(&from)) < 0 ||
	    sendto(fd, DATA, sizeof DATA, 0, &to.sa, wg_endpoint_socklen(&to)) < 0)
		printf("INFO: neighbour: %s\n", g_strerror(errno));
	close(fd);
	setns(own_ns, CLONE_NEWNET);
}

static void
rp_filter(int value)
{
	net_run("sh -c 'for i in all eth0 lo " DEVICE "; do "
		"echo %d >/proc/sys/net/ipv4/conf/$i/rp_filter; done'",
		value);
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
open_firewall(void)
{
	net_run("nft delete table inet fw");
}

static void
cable(int far_ns, int own_ns)
{
	net_run("ip link set lo up");
	net_run("ip link add name eth0 type veth peer name eth0 netns /proc/%d/fd/%d", getpid(),
		far_ns);
	net_run("ip addr add %s/24 dev eth0", V4.own);
	net_run("ip addr add %s/64 dev eth0 nodad", V6.own);
	net_run("ip link set eth0 up");
	net_run("ip route add default via %s", V4.neighbour);
	net_run("ip route add default via %s", V6.neighbour);
	/* as wg-quick does for AllowedIPs = 0.0.0.0/0, ::/0; the tunnel is down */
	net_run("ip -4 rule add not fwmark 51820 lookup 51820");
	net_run("ip -4 route add unreachable default table 51820");
	net_run("ip -6 rule add not fwmark 51820 lookup 51820");
	net_run("ip -6 route add unreachable default table 51820");
	setns(far_ns, CLONE_NEWNET);
	net_run("ip addr add %s/24 dev eth0", V4.neighbour);
	net_run("ip addr add %s/64 dev eth0 nodad", V6.neighbour);
	net_run("ip link set eth0 up");
	net_run("ip route add %s/32 via %s", V4.private, V4.own);
	net_run("ip route add %s/128 via %s", V6.private, V6.own);
	setns(own_ns, CLONE_NEWNET);
}

static gboolean
prove_outwards(const Family *f, int tun)
{
	int loose = private_socket(f, FALSE), fd;
	gboolean ok;

	remove_rule(f);
	ok = prove(!comes_out(f, tun, loose, f->far), "%s: no rule: it goes elsewhere", f->name);
	add_rule(f);
	ok &= prove(COMES_OUT(f, tun, loose, f->far), "%s: a rule: it comes out of the TUN",
		    f->name);
	ok &= prove(!comes_out(f, tun, loose, f->own), "%s: to an address of ours it does not",
		    f->name);
	close(loose);
	fd = private_socket(f, TRUE);
	ok &= prove(COMES_OUT(f, tun, fd, f->far), "%s: bound to the device it does", f->name);
	ok &= prove(COMES_OUT(f, tun, fd, f->neighbour),
		    "%s: to a neighbour as well, though a route on the link leads there", f->name);
	ok &= prove(COMES_OUT(f, tun, fd, f->own), "%s: to an address of ours as well", f->name);
	close(fd);
	return ok;
}

static gboolean
prove_strict(const Family *f, int tun)
{
	int fd = private_socket(f, TRUE);
	gboolean ok = TRUE;

	rp_filter(1);
	ok &= prove(REPEATED(write_to_tun(f, tun), arrives(f, fd, f->far)),
		    "%s, rp_filter: what is written to the TUN arrives", f->name);
	ok &= prove(REPEATED(inject(f), arrives(f, fd, f->far)),
		    "%s, rp_filter: what is injected arrives", f->name);
	if (f == &V4) {
		forget(fd);
		remove_rule(f);
		write_to_tun(f, tun);
		ok &= prove(!arrives(f, fd, f->far),
			    "%s, rp_filter: it is the rule that lets the former in", f->name);
		ok &= prove(REPEATED(inject(f), arrives(f, fd, f->far)),
			    "%s, rp_filter: the latter needs none", f->name);
		add_rule(f);
	}
	rp_filter(0);
	close(fd);
	return ok;
}

static gboolean
prove_firewall(const Family *f, int tun)
{
	int fd = private_socket(f, TRUE);
	gboolean ok;

	closed_firewall();
	write_to_tun(f, tun);
	ok = prove(!arrives(f, fd, f->far), "%s, firewall: what is written to the TUN is stopped",
		   f->name);
	ok &= prove(REPEATED(inject(f), arrives(f, fd, f->far)),
		    "%s, firewall: what is injected arrives", f->name);
	open_firewall();
	close(fd);
	return ok;
}

static gboolean
prove_neighbour(const Family *f, int far_ns, int own_ns)
{
	int fd = private_socket(f, FALSE);
	gboolean ok;

	ok = prove(REPEATED(send_as_neighbour(f, far_ns, own_ns), arrives(f, fd, f->neighbour)),
		   "%s: a neighbour reaches a socket there", f->name);
	close(fd);
	fd = private_socket(f, TRUE);
	send_as_neighbour(f, far_ns, own_ns);
	ok &= prove(!arrives(f, fd, f->neighbour), "%s: not one that is bound to the device",
		    f->name);
	close(fd);
	return ok;
}

/* Nobody takes the private address for one of the host's. */
static gboolean
prove_unnoticed(const Family *f)
{
	g_autoptr(NatFib) fib = nat_fib_new(NULL);
	g_autoptr(GArray) usable = nat_fib_addresses(fib);
	WgEndpoint private = at(f->private, 0), own = at(f->own, 0), far = at(f->far, 0);
	NatRoute route;
	gboolean ok;

	ok = prove(wg_endpoint_array_has(usable, &own, wg_endpoint_same_address) &&
			   !wg_endpoint_array_has(usable, &private, wg_endpoint_same_address),
		   "%s: it is none of the host's usable addresses", f->name);
	ok &= prove(nat_fib_lookup(fib, &far, 51820, &route) &&
			    wg_endpoint_same_address(&route.source, &own),
		    "%s: others' packets carry the host's address", f->name);
	/* IPv6 prefers any global address to a link-local one: nat-fib.c refuses it there */
	if (f == &V6)
		return ok;
	net_run("ip addr del 192.0.2.1/24 dev eth0");
	net_run("ip route add %s dev eth0", f->far);
	ok &= prove(!nat_fib_lookup(fib, &far, 51820, &route) ||
			    !wg_endpoint_same_address(&route.source, &private),
		    "%s: nor do they carry ours where the host has none", f->name);
	return ok;
}

static gboolean
says(const char *command, const char *word)
{
	g_autofree char *out = NULL;

	return g_spawn_command_line_sync(command, &out, NULL, NULL, NULL) && out != NULL &&
	       strstr(out, word) != NULL;
}

/* What a killed agent leaves. */
static gboolean
prove_remains(const Family *f)
{
	g_autofree char *rules = g_strdup_printf("ip -d %s rule", f->ip);
	g_autofree char *routes = g_strdup_printf("ip %s route show table " TABLE, f->ip);
	gboolean ok = prove(says(rules, "proto " PROTOCOL) && !says(routes, "default") &&
				    !says("ip addr", f->private),
			    "%s: without the TUN only the rule is left", f->name);

	net_run("ip %s rule add from %s lookup " TABLE " pref 5 protocol static", f->ip,
		f->private);
	remove_rule(f);
	return ok & prove(!says(rules, "proto " PROTOCOL) && says(rules, "proto static"),
			  "%s: deleted by its protocol, another's that reads the same stays",
			  f->name);
}

int
main(void)
{
	static const Family *const FAMILIES[] = {&V4, &V6};
	int far_ns, own_ns, tun;
	gboolean ok = TRUE;

	prove_in_fresh_namespace();
	far_ns = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	prove_in_fresh_namespace();
	own_ns = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	cable(far_ns, own_ns);
	tun = open_tun();
	for (gsize i = 0; i < G_N_ELEMENTS(FAMILIES); i++) {
		const Family *f = FAMILIES[i];

		dress_tun(f);
		add_rule(f);
		ok &= prove_outwards(f, tun);
		ok &= prove_strict(f, tun);
		ok &= prove_firewall(f, tun);
		ok &= prove_neighbour(f, far_ns, own_ns);
		ok &= prove_unnoticed(f);
	}
	close(tun);
	for (gsize i = 0; i < G_N_ELEMENTS(FAMILIES); i++)
		ok &= prove_remains(FAMILIES[i]);
	return ok ? 0 : 1;
}
