/* SPDX-License-Identifier: MIT */
#include "agent/netcheck/net-uplink.h"

#include <net/if.h>
#include <string.h>

#include "agent/net/nat-fib.h"
#include "agent/net/nat-rtnl.h"

#define UPLINKS_MAX 16

typedef struct {
	int family, oif;
	guint32 metric;
	WgEndpoint gateway;
} Route;

typedef struct {
	int index;
	WgEndpoint address;
} Own;

/* ---- default routes ---- */

static void
add_route(GArray *routes, const Route *route)
{
	for (guint i = 0; i < routes->len; i++) {
		const Route *have = &g_array_index(routes, Route, i);

		if (have->family == route->family && have->oif == route->oif &&
		    wg_endpoint_equal(&have->gateway, &route->gateway))
			return;
	}
	if (route->oif > 0 && routes->len < UPLINKS_MAX)
		g_array_append_val(routes, *route);
}

static void
read_gateway(const struct nlattr *attr, gsize skip, Route *route)
{
	if (!attr || mnl_attr_get_payload_len(attr) < skip)
		return;
	if (wg_endpoint_from_bytes(&route->gateway,
				   (const guint8 *)mnl_attr_get_payload(attr) + skip,
				   mnl_attr_get_payload_len(attr) - skip, 0) &&
	    wg_endpoint_is_link_local(&route->gateway) &&
	    wg_endpoint_family(&route->gateway) == AF_INET6)
		route->gateway.v6.sin6_scope_id = (guint32)route->oif;
}

/* RTA_VIA: a gateway of the other family, behind its family of two bytes. */
static void
read_gateways(const struct nlattr *gateway, const struct nlattr *via, Route *route)
{
	read_gateway(gateway, 0, route);
	if (!gateway)
		read_gateway(via, sizeof(guint16), route);
}

/* Several ways of one route (RTA_MULTIPATH), each with attributes of its own. */
static void
add_nexthops(GArray *routes, const struct nlattr *multipath, Route route)
{
	const struct rtnexthop *hop = mnl_attr_get_payload(multipath);
	gsize left = mnl_attr_get_payload_len(multipath);

	while (left >= sizeof *hop && hop->rtnh_len >= sizeof *hop && hop->rtnh_len <= left) {
		const struct nlattr *attr, *gateway = NULL, *via = NULL;
		gsize step = RTNH_ALIGN(hop->rtnh_len);

		mnl_attr_for_each_payload((const void *)(hop + 1), hop->rtnh_len - sizeof *hop)
		{
			if (mnl_attr_get_type(attr) == RTA_GATEWAY)
				gateway = attr;
			else if (mnl_attr_get_type(attr) == RTA_VIA)
				via = attr;
		}
		route.oif = hop->rtnh_ifindex;
		memset(&route.gateway, 0, sizeof route.gateway);
		read_gateways(gateway, via, &route);
		add_route(routes, &route);
		if (step >= left)
			return;
		left -= step;
		hop = (const struct rtnexthop *)(const void *)((const guint8 *)hop + step);
	}
}

static guint32
read_u32(const struct nlattr *attr)
{
	return attr && mnl_attr_validate(attr, MNL_TYPE_U32) >= 0 ? mnl_attr_get_u32(attr) : 0;
}

static int
on_route(const struct nlmsghdr *nlh, void *data)
{
	const struct nlattr *tb[RTA_VIA + 1];
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	Route route = {0};

	if (nlh->nlmsg_type != RTM_NEWROUTE || mnl_nlmsg_get_payload_len(nlh) < sizeof *rtm ||
	    rtm->rtm_dst_len != 0 || rtm->rtm_type != RTN_UNICAST ||
	    (rtm->rtm_family != AF_INET && rtm->rtm_family != AF_INET6) ||
	    (rtm->rtm_flags & RTM_F_CLONED))
		return MNL_CB_OK;
	nat_rtnl_attrs(nlh, sizeof *rtm, tb, RTA_VIA);
	route.family = rtm->rtm_family;
	route.oif = (int)read_u32(tb[RTA_OIF]);
	route.metric = read_u32(tb[RTA_PRIORITY]);
	if (tb[RTA_MULTIPATH]) {
		add_nexthops(data, tb[RTA_MULTIPATH], route);
		return MNL_CB_OK;
	}
	read_gateways(tb[RTA_GATEWAY], tb[RTA_VIA], &route);
	add_route(data, &route);
	return MNL_CB_OK;
}

static void
forget(gpointer data)
{
	g_array_set_size(data, 0);
}

/* ---- addresses ---- */

static int
on_address(const struct nlmsghdr *nlh, void *data)
{
	const struct nlattr *tb[IFA_FLAGS + 1], *attr;
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(nlh);
	Own own = {0};

	if (nlh->nlmsg_type != RTM_NEWADDR || mnl_nlmsg_get_payload_len(nlh) < sizeof *ifa)
		return MNL_CB_OK;
	nat_rtnl_attrs(nlh, sizeof *ifa, tb, IFA_FLAGS);
	/* on a point-to-point link IFA_ADDRESS is the other end's */
	attr = tb[IFA_LOCAL] ? tb[IFA_LOCAL] : tb[IFA_ADDRESS];
	own.index = (int)ifa->ifa_index;
	if (!attr || !wg_endpoint_from_bytes(&own.address, mnl_attr_get_payload(attr),
					     mnl_attr_get_payload_len(attr), 0))
		return MNL_CB_OK;
	if (wg_endpoint_is_link_local(&own.address) && wg_endpoint_family(&own.address) == AF_INET6)
		own.address.v6.sin6_scope_id = ifa->ifa_index;
	g_array_append_val((GArray *)data, own);
	return MNL_CB_OK;
}

/* Link-local ones of IPv6 are everywhere, and lead nowhere. */
static void
fill_addresses(NetUplink *uplink, const GArray *own)
{
	for (guint i = 0; i < own->len; i++) {
		const Own *o = &g_array_index(own, Own, i);

		if (o->index == uplink->index &&
		    wg_endpoint_family(&o->address) == uplink->family &&
		    !(uplink->family == AF_INET6 && wg_endpoint_is_link_local(&o->address)))
			wg_endpoint_array_add(uplink->addresses, &o->address, wg_endpoint_same);
	}
}

/* ---- put together ---- */

static gboolean
find_used(NatFib *fib, int family, NatRoute *out)
{
	const WgEndpoint far = nat_fib_far(family);

	return fib && nat_fib_lookup(fib, &far, 0, out) && !out->local;
}

/* way: how packets to the internet go, where it is this one. */
static void
add_uplink(Netcheck *check, const Route *route, const NatRoute *way, const GArray *own)
{
	char name[IF_NAMESIZE];
	NetUplink *uplink;

	if (!if_indextoname((unsigned)route->oif, name))
		return; /* gone meanwhile */
	uplink = netcheck_add_uplink(check, name, route->family);
	uplink->index = route->oif;
	uplink->gateway = route->gateway;
	uplink->metric = route->metric;
	uplink->used = way != NULL;
	uplink->tunnel = way && way->tunnel;
	fill_addresses(uplink, own);
}

/* Of several routes by the same interface the one of the smallest metric is used. */
static const Route *
used_route(const GArray *routes, int family, int oif)
{
	const Route *best = NULL;

	for (guint i = 0; i < routes->len; i++) {
		const Route *route = &g_array_index(routes, Route, i);

		if (route->family == family && route->oif == oif &&
		    (!best || route->metric < best->metric))
			best = route;
	}
	return best;
}

/* What leads out without a default route (0.0.0.0/1 and 128.0.0.0/1 of a tunnel) is one as well. */
static void
add_family(Netcheck *check, NatFib *fib, const GArray *routes, const GArray *own, int family)
{
	NatRoute way = {0};
	gboolean leads = find_used(fib, family, &way);
	const Route *used = leads ? used_route(routes, family, way.oif) : NULL;
	const Route direct = {.family = family, .oif = way.oif};

	if (leads)
		add_uplink(check, used ? used : &direct, &way, own);
	for (guint i = 0; i < routes->len; i++) {
		const Route *route = &g_array_index(routes, Route, i);

		if (route->family == family && route != used)
			add_uplink(check, route, NULL, own);
	}
}

void
net_uplink_find(Netcheck *check)
{
	g_autoptr(NatRtnl) rtnl = nat_rtnl_new(NULL);
	g_autoptr(NatFib) fib = nat_fib_new(NULL);
	g_autoptr(GArray) routes = g_array_new(FALSE, TRUE, sizeof(Route));
	g_autoptr(GArray) own = g_array_new(FALSE, TRUE, sizeof(Own));

	if (!rtnl ||
	    nat_rtnl_dump(rtnl, RTM_GETROUTE, sizeof(struct rtmsg), on_route, forget, routes) !=
		    0 ||
	    nat_rtnl_dump(rtnl, RTM_GETADDR, sizeof(struct ifaddrmsg), on_address, forget, own) !=
		    0)
		g_debug("the kernel does not list its routes or addresses");
	add_family(check, fib, routes, own, AF_INET);
	add_family(check, fib, routes, own, AF_INET6);
}
