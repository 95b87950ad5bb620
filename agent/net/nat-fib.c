/* SPDX-License-Identifier: MIT */
/*
 * WireGuard routes its packets by destination, protocol, ports and fwmark, and lets the kernel
 * choose the source (drivers/net/wireguard/socket.c, send4 and send6). The lookup asks the same
 * question: tests/platform/fib-mark.c and tests/platform/tmpaddr.c prove that the answer names what
 * a socket's packets then carry.
 */
#include "agent/net/nat-fib.h"

#include "agent/net/nat-ice-private.h"
#include "agent/net/nat-rtnl.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <string.h>

#define KIND_MAX 32

typedef struct {
	int ifindex;
	gboolean found;
	unsigned type; /* ARPHRD_ */
	gboolean line; /* to one other end; what is behind that is no network of ours */
	char kind[KIND_MAX];
} Link;

struct NatFib {
	NatRtnl *rtnl;
	GArray *links; /* of Link, as asked since nat_fib_remember(TRUE); NULL: none is kept */
};

WgEndpoint
nat_fib_far(int family)
{
	WgEndpoint far = {0};

	wg_endpoint_parse_address(family == AF_INET ? "198.41.0.4" : "2001:503:ba3e::2:30", 3478,
				  &far);
	return far;
}

NatFib *
nat_fib_new(GError **error)
{
	NatRtnl *rtnl = nat_rtnl_new(error);
	NatFib *fib;

	if (!rtnl)
		return NULL;
	fib = g_new0(NatFib, 1);
	fib->rtnl = rtnl;
	return fib;
}

void
nat_fib_free(NatFib *fib)
{
	if (!fib)
		return;
	nat_fib_remember(fib, FALSE);
	nat_rtnl_free(fib->rtnl);
	g_free(fib);
}

static gboolean
read_address(const struct nlattr *attr, WgEndpoint *out)
{
	return attr && wg_endpoint_from_bytes(out, mnl_attr_get_payload(attr),
					      mnl_attr_get_payload_len(attr), 0);
}

static guint32
read_u32(const struct nlattr *attr, guint32 otherwise)
{
	return attr && mnl_attr_validate(attr, MNL_TYPE_U32) >= 0 ? mnl_attr_get_u32(attr)
								  : otherwise;
}

/* ---- tunnels ---- */

static void
read_kind(const struct nlattr *info, Link *link)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested(attr, info)
	{
		if (mnl_attr_get_type(attr) != IFLA_INFO_KIND ||
		    mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) < 0)
			continue;
		g_strlcpy(link->kind, mnl_attr_get_str(attr), sizeof link->kind);
	}
}

static int
on_link(const struct nlmsghdr *nlh, void *data)
{
	const struct nlattr *tb[IFLA_LINKINFO + 1];
	Link *link = data;
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);

	if (nlh->nlmsg_type != RTM_NEWLINK || mnl_nlmsg_get_payload_len(nlh) < sizeof *ifi)
		return MNL_CB_OK;
	nat_rtnl_attrs(nlh, sizeof *ifi, tb, IFLA_LINKINFO);
	link->found = TRUE;
	link->type = ifi->ifi_type;
	link->line = (ifi->ifi_flags & IFF_POINTOPOINT) != 0;
	if (tb[IFLA_LINKINFO])
		read_kind(tb[IFLA_LINKINFO], link);
	return MNL_CB_OK;
}

/* By what the link is, never by its name. PPP and raw-IP modems (ppp, wwan, rmnet, or no kind at
 * all) are how a host reaches the internet; a tap is a wire to a virtual machine. vxlan and
 * geneve look like Ethernet, but are routed over the network that we want to use ourselves. */
static gboolean
is_tunnel(const Link *link)
{
	static const char *const KINDS[] = {
		"wireguard", "amneziawg", "ipip",   "sit",	 "gre",	      "gretap",
		"erspan",    "ip6tnl",	  "ip6gre", "ip6gretap", "ip6erspan", "vti",
		"vti6",	     "xfrm",	  "vxlan",  "geneve",	 "gtp",	      "bareudp",
		"ovpn",	     "ovpn-dco",  "l2tp",   NULL};

	if (g_strv_contains(KINDS, link->kind))
		return TRUE;
	if (strcmp(link->kind, "tun") == 0)
		return link->type != ARPHRD_ETHER;
	/* the kernel's fallback devices (tunl0, ip6tnl0, sit0, gre0) */
	return link->type == ARPHRD_TUNNEL || link->type == ARPHRD_TUNNEL6 ||
	       link->type == ARPHRD_SIT || link->type == ARPHRD_IPGRE ||
	       link->type == ARPHRD_IP6GRE;
}

static void
ask_link(NatFib *fib, int ifindex, Link *link)
{
	struct nlmsghdr *nlh = nat_rtnl_begin(fib->rtnl, RTM_GETLINK, 0);
	struct ifinfomsg *ifi = mnl_nlmsg_put_extra_header(nlh, sizeof *ifi);

	ifi->ifi_index = ifindex;
	mnl_attr_put_u32(nlh, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	/* gone meanwhile: an event will follow */
	if (nat_rtnl_talk(fib->rtnl, nlh, on_link, link) != 0)
		*link = (Link){0};
	link->ifindex = ifindex;
}

static void
read_link(NatFib *fib, int ifindex, Link *link)
{
	for (guint i = 0; fib->links && i < fib->links->len; i++) {
		*link = g_array_index(fib->links, Link, i);
		if (link->ifindex == ifindex)
			return;
	}
	*link = (Link){0};
	ask_link(fib, ifindex, link);
	if (fib->links)
		g_array_append_vals(fib->links, link, 1);
}

void
nat_fib_remember(NatFib *fib, gboolean on)
{
	g_clear_pointer(&fib->links, g_array_unref);
	if (on)
		fib->links = g_array_new(FALSE, FALSE, sizeof(Link));
}

/* ---- routes ---- */

static int
on_route(const struct nlmsghdr *nlh, void *data)
{
	const struct nlattr *tb[RTA_VIA + 1];
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	NatRoute *out = data;

	if (nlh->nlmsg_type != RTM_NEWROUTE || mnl_nlmsg_get_payload_len(nlh) < sizeof *rtm)
		return MNL_CB_OK;
	nat_rtnl_attrs(nlh, sizeof *rtm, tb, RTA_VIA);
	/* unreachable, prohibit, blackhole, throw; broadcast, multicast: nothing we could use */
	if (rtm->rtm_type != RTN_UNICAST && rtm->rtm_type != RTN_LOCAL)
		return MNL_CB_OK;
	out->local = rtm->rtm_type == RTN_LOCAL;
	out->oif = (int)read_u32(tb[RTA_OIF], 0);
	out->on_link = !out->local && tb[RTA_GATEWAY] == NULL && tb[RTA_VIA] == NULL;
	if (read_address(tb[RTA_GATEWAY], &out->gateway) &&
	    wg_endpoint_family(&out->gateway) == AF_INET6 &&
	    wg_endpoint_is_link_local(&out->gateway))
		out->gateway.v6.sin6_scope_id = (guint32)out->oif;
	if (read_address(tb[RTA_PREFSRC], &out->source) &&
	    wg_endpoint_is_link_local(&out->source) && wg_endpoint_family(&out->source) == AF_INET6)
		out->source.v6.sin6_scope_id = (guint32)out->oif;
	return MNL_CB_OK;
}

static struct nlmsghdr *
route_request(NatFib *fib, const WgEndpoint *dst, guint32 fwmark)
{
	struct nlmsghdr *nlh = nat_rtnl_begin(fib->rtnl, RTM_GETROUTE, 0);
	struct rtmsg *rtm = mnl_nlmsg_put_extra_header(nlh, sizeof *rtm);
	gsize len = 0;
	const guint8 *addr = wg_endpoint_bytes(dst, &len);

	rtm->rtm_family = (guint8)wg_endpoint_family(dst);
	rtm->rtm_dst_len = (guint8)(len * 8);
	mnl_attr_put(nlh, RTA_DST, len, addr);
	if (fwmark != 0)
		mnl_attr_put_u32(nlh, RTA_MARK, fwmark);
	/* rules may look at them (ip rule … ipproto udp dport …) */
	mnl_attr_put_u8(nlh, RTA_IP_PROTO, IPPROTO_UDP);
	if (wg_endpoint_port(dst) != 0)
		mnl_attr_put_u16(nlh, RTA_DPORT, htons(wg_endpoint_port(dst)));
	if (len == 16 && wg_endpoint_is_link_local(dst))
		mnl_attr_put_u32(nlh, RTA_OIF, dst->v6.sin6_scope_id);
	return nlh;
}

/* Where no interface has a global IPv6 address, the kernel takes an agent's, though deprecated. */
static gboolean
is_no_source(const WgEndpoint *source)
{
	return wg_endpoint_family(source) == AF_INET6 && nat_ice_private_is(source);
}

/* What the kernel says of routes that lead nowhere (fib_lookup and its tables; no rule,
 * unreachable, prohibit, blackhole), and of a family that it does not have. */
static gboolean
is_no_route(int err)
{
	switch (err) {
	case ENETUNREACH:
	case EHOSTUNREACH:
	case EACCES:
	case EINVAL:
	case ESRCH:
	case ENODEV:
	case EADDRNOTAVAIL:
	case EAFNOSUPPORT:
	case EOPNOTSUPP:
		return TRUE;
	default:
		return FALSE;
	}
}

NatFibResult
nat_fib_ask(NatFib *fib, const WgEndpoint *dst, guint32 fwmark, NatRoute *out)
{
	Link link = {0};
	int err;

	memset(out, 0, sizeof *out);
	if (!wg_endpoint_is_set(dst))
		return NAT_FIB_NONE;
	err = nat_rtnl_talk(fib->rtnl, route_request(fib, dst, fwmark), on_route, out);
	if (err != 0 || wg_endpoint_family(&out->source) != wg_endpoint_family(dst) ||
	    is_no_source(&out->source)) {
		memset(out, 0, sizeof *out);
		return err == 0 || is_no_route(err) ? NAT_FIB_NONE : NAT_FIB_FAILED;
	}
	if (out->local)
		return NAT_FIB_FOUND;
	read_link(fib, out->oif, &link);
	out->tunnel = link.found && is_tunnel(&link);
	out->on_link = out->on_link && !link.line;
	return NAT_FIB_FOUND;
}

gboolean
nat_fib_lookup(NatFib *fib, const WgEndpoint *dst, guint32 fwmark, NatRoute *out)
{
	return nat_fib_ask(fib, dst, fwmark, out) == NAT_FIB_FOUND;
}

/* ---- addresses ---- */

typedef struct {
	WgEndpoint addr;
	guint32 flags; /* IFA_F_ */
	guint8 scope;  /* RT_SCOPE_ */
} Address;

static int
on_address(const struct nlmsghdr *nlh, void *data)
{
	const struct nlattr *tb[IFA_FLAGS + 1];
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(nlh);
	GArray *found = data;
	Address a = {0};

	if (nlh->nlmsg_type != RTM_NEWADDR || mnl_nlmsg_get_payload_len(nlh) < sizeof *ifa)
		return MNL_CB_OK;
	nat_rtnl_attrs(nlh, sizeof *ifa, tb, IFA_FLAGS);
	a.flags = read_u32(tb[IFA_FLAGS], ifa->ifa_flags);
	a.scope = ifa->ifa_scope;
	/* on a point-to-point link IFA_ADDRESS is the other end's */
	if (!read_address(tb[IFA_LOCAL] ? tb[IFA_LOCAL] : tb[IFA_ADDRESS], &a.addr))
		return MNL_CB_OK;
	if (wg_endpoint_family(&a.addr) == AF_INET6 && wg_endpoint_is_link_local(&a.addr))
		a.addr.v6.sin6_scope_id = ifa->ifa_index;
	g_array_append_val(found, a);
	return MNL_CB_OK;
}

static void
forget_addresses(gpointer data)
{
	g_array_set_size(data, 0);
}

/* Every address of every interface; empty where the kernel refuses. (transfer full) */
static GArray *
dump_addresses(NatFib *fib)
{
	GArray *found = g_array_new(FALSE, FALSE, sizeof(Address));
	int err = nat_rtnl_dump(fib->rtnl, RTM_GETADDR, sizeof(struct ifaddrmsg), on_address,
				forget_addresses, found);

	if (err != 0)
		g_debug("cannot list this host's addresses: %s", g_strerror(err));
	return found;
}

/* A global address on lo counts: hosts that announce a /32 by a routing protocol keep it there. */
static gboolean
is_usable(const Address *a)
{
	gboolean tentative = (a->flags & IFA_F_TENTATIVE) && !(a->flags & IFA_F_OPTIMISTIC);

	return !tentative && !(a->flags & (IFA_F_DADFAILED | IFA_F_DEPRECATED)) &&
	       a->scope < RT_SCOPE_LINK && !wg_endpoint_is_bogus(&a->addr) &&
	       !wg_endpoint_is_link_local(&a->addr);
}

static gboolean
holds(GArray *list, const WgEndpoint *addr)
{
	for (guint i = 0; i < list->len; i++)
		if (wg_endpoint_same_address(&g_array_index(list, WgEndpoint, i), addr))
			return TRUE;
	return FALSE;
}

GArray *
nat_fib_addresses(NatFib *fib)
{
	g_autoptr(GArray) found = dump_addresses(fib);
	GArray *usable = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));

	for (guint i = 0; i < found->len; i++) {
		const Address *a = &g_array_index(found, Address, i);

		if (is_usable(a) && !holds(usable, &a->addr))
			g_array_append_val(usable, a->addr);
	}
	return usable;
}

gboolean
nat_fib_is_own(NatFib *fib, const WgEndpoint *addr)
{
	g_autoptr(GArray) found = NULL;
	NatRoute route;

	/* the routing table also knows whole prefixes: 127/8, `ip route add local` */
	if (nat_fib_lookup(fib, addr, 0, &route) && route.local)
		return TRUE;
	/* and the interfaces know what is tentative, or down */
	found = dump_addresses(fib);
	for (guint i = 0; i < found->len; i++)
		if (wg_endpoint_same_address(&g_array_index(found, Address, i).addr, addr))
			return TRUE;
	return FALSE;
}
