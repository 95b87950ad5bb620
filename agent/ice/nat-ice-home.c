/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation. What this relies on is proved by tests/platform/tun-beside-host.c.
 *
 * Outwards: libnice's sockets are bound to a private address and to the TUN. The rule of that
 * address leads into a table whose default route is the TUN. It stands before users' rules, so that
 * no full tunnel swallows libnice's packets (nat-mux gives them WireGuard's mark and the host's
 * address), and takes nothing from them, since nobody else sends from there.
 *
 * Inwards: what came in on WireGuard's port is injected by a raw socket, over loopback. Written to
 * the TUN it would be new to a firewall that is open for WireGuard's port only. Being bound
 * to the TUN, the sockets get nothing that a neighbour sends to their addresses.
 *
 * Nobody else uses the addresses: IPv4 ones have scope host, IPv6 ones are deprecated. A program
 * can nevertheless bind there: nat-search sends nothing that its session has not signed.
 *
 * What is whose: the kernel gives the device a number that no other has, and addresses and table
 * follow from it, so that any number of agents in one namespace do not meet. Device, addresses and
 * routes go with the descriptor however the process ends; rules stay behind after SIGKILL. A rule
 * with our protocol whose table has no device is such a remain, and the next start removes it.
 */
#include "agent/ice/nat-ice-home.h"

#include "agent/net/nat-fib.h"
#include "agent/net/nat-ice-private.h"

#include <errno.h>
#include <gio/gio.h>
#include <linux/fib_rules.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Before users' rules; `local` stays the first. */
#define RULE_PRIORITY 7
/* A route into a network that contains the pool means that it is in use; shorter ones are default
 * routes in pieces (0.0.0.0/1), and unique local prefixes are aggregated. */
#define TAKEN_LEN4 4
#define TAKEN_LEN6 48
#define DISCARD_PORT 9 /* RFC 863 */

struct NatIceHome {
	NatIceLink *link;
	guint number; /* of the device */
	guint next4, next6;
	GArray *addresses; /* of WgEndpoint */
	int raw4, raw6;
	gboolean told; /* of a firewall */
};

/* ---- rules ---- */

static int
change_rule(NatRtnl *rtnl, guint16 type, const WgEndpoint *from, guint number)
{
	guint16 flags = type == RTM_NEWRULE ? NLM_F_CREATE | NLM_F_EXCL : 0;
	struct nlmsghdr *nlh = nat_rtnl_begin(rtnl, type, flags);
	struct fib_rule_hdr *frh = mnl_nlmsg_put_extra_header(nlh, sizeof *frh);
	gsize len = 0;
	const guint8 *bytes = wg_endpoint_bytes(from, &len);

	frh->family = (guint8)wg_endpoint_family(from);
	frh->src_len = (guint8)(len * 8);
	frh->action = FR_ACT_TO_TBL;
	mnl_attr_put(nlh, FRA_SRC, len, bytes);
	mnl_attr_put_u32(nlh, FRA_PRIORITY, RULE_PRIORITY);
	mnl_attr_put_u32(nlh, FRA_TABLE, NAT_ICE_PRIVATE_FIRST_TABLE + number);
	mnl_attr_put_u8(nlh, FRA_PROTOCOL, NAT_ICE_PRIVATE_PROTOCOL);
	return nat_rtnl_talk(rtnl, nlh, NULL, NULL);
}

static int
put_rule(NatIceHome *home, const WgEndpoint *from)
{
	int err = change_rule(nat_ice_link_rtnl(home->link), RTM_NEWRULE, from, home->number);

	return err == EEXIST ? 0 : err;
}

static void
remove_rule(NatRtnl *rtnl, const WgEndpoint *from, guint number)
{
	int err = change_rule(rtnl, RTM_DELRULE, from, number);

	/* only "it is not there" is possible */
	if (err != 0)
		g_debug("cannot remove a rule of " NAT_ICE_PRIVATE_DEVICE "%u: %s", number,
			g_strerror(err));
}

typedef struct {
	WgEndpoint from;
	guint number; /* of the device */
} Rule;

static int
on_rule(const struct nlmsghdr *nlh, void *data)
{
	GArray *rules = data;
	Rule rule;

	if (nlh->nlmsg_type == RTM_NEWRULE &&
	    nat_ice_private_parse_rule(nlh, &rule.from, &rule.number))
		g_array_append_val(rules, rule);
	return MNL_CB_OK;
}

static void
list_rules(NatRtnl *rtnl, guint8 family, GArray *out)
{
	struct nlmsghdr *nlh = nat_rtnl_begin(rtnl, RTM_GETRULE, NLM_F_DUMP);
	struct fib_rule_hdr *frh = mnl_nlmsg_put_extra_header(nlh, sizeof *frh);

	frh->family = family;
	/* a dump that was disturbed tells of some: the others are the next start's */
	nat_rtnl_talk(rtnl, nlh, on_rule, out);
}

static gboolean
is_there(guint number)
{
	g_autofree char *device = g_strdup_printf(NAT_ICE_PRIVATE_DEVICE "%u", number);

	return if_nametoindex(device) != 0;
}

void
nat_ice_home_sweep(void)
{
	g_autoptr(NatRtnl) rtnl = nat_rtnl_new(NULL);
	g_autoptr(GArray) rules = g_array_new(FALSE, FALSE, sizeof(Rule));

	if (!rtnl)
		return;
	list_rules(rtnl, AF_INET, rules);
	list_rules(rtnl, AF_INET6, rules);
	for (guint i = 0; i < rules->len; i++) {
		const Rule *rule = &g_array_index(rules, Rule, i);

		if (!is_there(rule->number))
			remove_rule(rtnl, &rule->from, rule->number);
	}
}

/* ---- life ---- */

static int
open_raw(int family)
{
	int fd = socket(family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW), on = 1;

	/* IPPROTO_RAW implies it for IPv4 only */
	if (fd >= 0 && family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_HDRINCL, &on, sizeof on);
	return fd;
}

static gboolean
open_sockets(NatIceHome *home, GError **error)
{
	home->raw4 = open_raw(AF_INET);
	if (home->raw4 < 0) {
		int err = errno;

		g_set_error(error, G_IO_ERROR, g_io_error_from_errno(err),
			    "cannot open a raw socket%s: %s",
			    err == EPERM ? ", CAP_NET_RAW is missing" : "", g_strerror(err));
		return FALSE;
	}
	home->raw6 = open_raw(AF_INET6); /* none without IPv6 */
	return TRUE;
}

static gboolean
read_number(NatIceHome *home, GError **error)
{
	const char *name = nat_ice_link_name(home->link);
	guint64 number;

	if (!g_ascii_string_to_unsigned(name + strlen(NAT_ICE_PRIVATE_DEVICE), 10, 0,
					NAT_ICE_PRIVATE_LAST, &number, error)) {
		g_prefix_error(error, "%s: too many agents in one network namespace: ", name);
		return FALSE;
	}
	home->number = (guint)number;
	return TRUE;
}

NatIceHome *
nat_ice_home_new(GError **error)
{
	g_autoptr(NatIceHome) home = g_new0(NatIceHome, 1);

	home->raw4 = home->raw6 = -1;
	home->addresses = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));
	home->link = nat_ice_link_new(NAT_ICE_PRIVATE_DEVICE "%d", error);
	if (!home->link || !read_number(home, error) || !open_sockets(home, error))
		return NULL;
	return g_steal_pointer(&home);
}

void
nat_ice_home_free(NatIceHome *home)
{
	if (!home)
		return;
	for (guint i = 0; i < home->addresses->len; i++)
		remove_rule(nat_ice_link_rtnl(home->link),
			    &g_array_index(home->addresses, WgEndpoint, i), home->number);
	g_array_unref(home->addresses);
	if (home->raw4 >= 0)
		close(home->raw4);
	if (home->raw6 >= 0)
		close(home->raw6);
	nat_ice_link_free(home->link);
	g_free(home);
}

NatIceLink *
nat_ice_home_link(NatIceHome *home)
{
	return home->link;
}

/* ---- addresses ---- */

typedef struct {
	gboolean unicast, local;
	guint8 len;
} Match;

static int
on_match(const struct nlmsghdr *nlh, void *data)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	Match *match = data;

	if (nlh->nlmsg_type == RTM_NEWROUTE && mnl_nlmsg_get_payload_len(nlh) >= sizeof *rtm)
		*match = (Match){rtm->rtm_type == RTN_UNICAST, rtm->rtm_type == RTN_LOCAL,
				 rtm->rtm_dst_len};
	return MNL_CB_OK;
}

/* Whether it is an address of this host already (ours count), or in a network that routes name. */
static gboolean
is_taken(NatIceHome *home, const WgEndpoint *addr)
{
	NatRtnl *rtnl = nat_ice_link_rtnl(home->link);
	struct nlmsghdr *nlh = nat_rtnl_begin(rtnl, RTM_GETROUTE, 0);
	struct rtmsg *rtm = mnl_nlmsg_put_extra_header(nlh, sizeof *rtm);
	Match match = {0};
	gsize len = 0;
	const guint8 *bytes = wg_endpoint_bytes(addr, &len);

	rtm->rtm_family = (guint8)wg_endpoint_family(addr);
	rtm->rtm_dst_len = (guint8)(len * 8);
	rtm->rtm_flags = RTM_F_LOOKUP_TABLE | RTM_F_FIB_MATCH; /* the route, not the answer */
	mnl_attr_put(nlh, RTA_DST, len, bytes);
	/* no route, unreachable, blackhole: nobody is there */
	if (nat_rtnl_talk(rtnl, nlh, on_match, &match) != 0)
		return FALSE;
	return match.local || (match.unicast && match.len >= (len == 4 ? TAKEN_LEN4 : TAKEN_LEN6));
}

/* The next one that is free: one that was given back rests, since sockets may still be closing. */
static gboolean
choose(NatIceHome *home, int family, WgEndpoint *out)
{
	guint *next = family == AF_INET ? &home->next4 : &home->next6;

	for (guint i = 0; i < NAT_ICE_PRIVATE_ADDRESSES; i++) {
		guint k = *next;

		*next = (k + 1) % NAT_ICE_PRIVATE_ADDRESSES;
		if (nat_ice_private_address(home->number, k, family, out) && !is_taken(home, out))
			return TRUE;
	}
	return FALSE;
}

/* Once, in words that name the remedy: libnice would only find that nothing answers. The packet
 * ends in the TUN, where it belongs to nobody. */
static void
try_firewall(NatIceHome *home, const WgEndpoint *address)
{
	WgEndpoint far = nat_fib_far(wg_endpoint_family(address));
	int fd = socket(wg_endpoint_family(address), SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return;
	nat_ice_home_bind(home, fd);
	wg_endpoint_set_port(&far, DISCARD_PORT);
	if (bind(fd, &address->sa, wg_endpoint_socklen(address)) == 0 &&
	    sendto(fd, "", 0, 0, &far.sa, wg_endpoint_socklen(&far)) < 0 && errno == EPERM &&
	    !home->told) {
		home->told = TRUE;
		g_warning("this host's firewall drops what leaves by %s: let it accept oifname "
			  "\"" NAT_ICE_PRIVATE_DEVICE "*\" in output, and not masquerade it",
			  nat_ice_link_name(home->link));
	}
	close(fd);
}

static int
dress(NatIceHome *home, const WgEndpoint *address)
{
	int err = nat_ice_link_add(home->link, address, TRUE);

	if (err == 0)
		err = nat_ice_link_put_default_route(home->link, wg_endpoint_family(address),
						     NAT_ICE_PRIVATE_FIRST_TABLE + home->number);
	if (err == 0)
		err = put_rule(home, address);
	return err;
}

/* addrconf.c refuses an address with EACCES where the device has IPv6 disabled. */
static gboolean
refuse(NatIceHome *home, int family, int err, GError **error)
{
	if (family == AF_INET6 && err == EACCES)
		g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
				    "IPv6 is off for new interfaces "
				    "(net.ipv6.conf.default.disable_ipv6): no direct paths by it");
	else
		g_set_error(error, G_IO_ERROR, g_io_error_from_errno(err),
			    "cannot put a private address on %s: %s", nat_ice_link_name(home->link),
			    g_strerror(err));
	return FALSE;
}

gboolean
nat_ice_home_add(NatIceHome *home, int family, WgEndpoint *address, GError **error)
{
	int err;

	if (!choose(home, family, address))
		return refuse(home, family, EADDRNOTAVAIL, error);
	err = dress(home, address);
	if (err != 0) {
		nat_ice_link_remove(home->link, address);
		return refuse(home, family, err, error);
	}
	g_array_append_val(home->addresses, *address);
	try_firewall(home, address);
	return TRUE;
}

void
nat_ice_home_remove(NatIceHome *home, const WgEndpoint *address)
{
	int err;

	remove_rule(nat_ice_link_rtnl(home->link), address, home->number);
	for (guint i = home->addresses->len; i-- > 0;)
		if (wg_endpoint_same_address(&g_array_index(home->addresses, WgEndpoint, i),
					     address))
			g_array_remove_index(home->addresses, i);
	err = nat_ice_link_remove(home->link, address);
	if (err != 0)
		g_debug("%s: cannot remove an address: %s", nat_ice_link_name(home->link),
			g_strerror(err));
}

void
nat_ice_home_renew(NatIceHome *home)
{
	int err = nat_ice_link_up(home->link);

	for (guint i = 0; err == 0 && i < home->addresses->len; i++)
		err = dress(home, &g_array_index(home->addresses, WgEndpoint, i));
	if (err != 0)
		g_warning("%s: cannot put back what somebody removed: %s",
			  nat_ice_link_name(home->link), g_strerror(err));
}

/* ---- packets ---- */

gboolean
nat_ice_home_deliver(NatIceHome *home, const WgEndpoint *to, const guint8 *pkt, gsize len)
{
	int fd = wg_endpoint_family(to) == AF_INET ? home->raw4 : home->raw6;
	WgEndpoint dst = *to;

	/* for a raw socket the port is the protocol number */
	wg_endpoint_set_port(&dst, 0);
	return sendto(fd, pkt, len, MSG_NOSIGNAL, &dst.sa, wg_endpoint_socklen(&dst)) ==
	       (gssize)len;
}

void
nat_ice_home_bind(const NatIceHome *home, int fd)
{
	const char *name = nat_ice_link_name(home->link);

	/* before Linux 5.7 only with CAP_NET_RAW: without it, the rule alone guides its packets */
	if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, (socklen_t)strlen(name) + 1) < 0)
		g_debug("%s: SO_BINDTODEVICE: %s", name, g_strerror(errno));
}

gboolean
nat_ice_home_port_is_free(guint16 port)
{
	WgEndpoint any = {0};
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0), off = 0;
	gboolean free;

	/* one socket for both families, where there are both */
	if (fd >= 0) {
		any.v6.sin6_family = AF_INET6;
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
	} else {
		fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		any.v4.sin_family = AF_INET;
	}
	wg_endpoint_set_port(&any, port);
	free = bind(fd, &any.sa, wg_endpoint_socklen(&any)) == 0;
	close(fd);
	return free;
}
