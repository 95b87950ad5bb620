/* SPDX-License-Identifier: MIT */
#include "agent/portmap/map-gateway.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/nat-rtnl.h"

#define FAR_PORT 3478 /* rules may look at it: what STUN would be sent by */

typedef struct {
	int family, oif;
	gboolean found;
	guint32 metric;
	WgEndpoint gateway;
} Wanted;

static void
forget(gpointer data)
{
	((Wanted *)data)->found = FALSE;
}

static guint32
read_u32(const struct nlattr *attr)
{
	return attr && mnl_attr_validate(attr, MNL_TYPE_U32) >= 0 ? mnl_attr_get_u32(attr) : 0;
}

static void
take(Wanted *wanted, int oif, guint32 metric, const struct nlattr *attr)
{
	WgEndpoint gateway;

	if (oif != wanted->oif || !attr || (wanted->found && metric >= wanted->metric) ||
	    !wg_endpoint_from_bytes(&gateway, mnl_attr_get_payload(attr),
				    mnl_attr_get_payload_len(attr), 0) ||
	    wg_endpoint_family(&gateway) != wanted->family || wg_endpoint_is_bogus(&gateway))
		return;
	if (wanted->family == AF_INET6 && wg_endpoint_is_link_local(&gateway))
		gateway.v6.sin6_scope_id = (guint32)oif;
	wanted->found = TRUE;
	wanted->metric = metric;
	wanted->gateway = gateway;
}

/* Several ways of one route, each with attributes of its own. */
static void
take_nexthops(Wanted *wanted, guint32 metric, const struct nlattr *multipath)
{
	const struct rtnexthop *hop = mnl_attr_get_payload(multipath);
	gsize left = mnl_attr_get_payload_len(multipath);

	while (left >= sizeof *hop && hop->rtnh_len >= sizeof *hop && hop->rtnh_len <= left) {
		const struct nlattr *attr;
		gsize step = RTNH_ALIGN(hop->rtnh_len);

		mnl_attr_for_each_payload(
			(const void *)(hop + 1),
			hop->rtnh_len - sizeof *hop) if (mnl_attr_get_type(attr) == RTA_GATEWAY)
			take(wanted, hop->rtnh_ifindex, metric, attr);
		if (step >= left)
			return;
		left -= step;
		hop = (const struct rtnexthop *)(const void *)((const guint8 *)hop + step);
	}
}

/* 0.0.0.0/1 and 128.0.0.0/1 are no default routes: they are a tunnel's way of being one. */
static int
on_route(const struct nlmsghdr *nlh, void *data)
{
	Wanted *wanted = data;
	const struct nlattr *tb[RTA_MULTIPATH + 1];
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	guint32 metric;

	if (nlh->nlmsg_type != RTM_NEWROUTE || mnl_nlmsg_get_payload_len(nlh) < sizeof *rtm ||
	    rtm->rtm_dst_len != 0 || rtm->rtm_type != RTN_UNICAST ||
	    rtm->rtm_family != wanted->family || (rtm->rtm_flags & RTM_F_CLONED))
		return MNL_CB_OK;
	nat_rtnl_attrs(nlh, sizeof *rtm, tb, RTA_MULTIPATH);
	metric = read_u32(tb[RTA_PRIORITY]);
	if (tb[RTA_MULTIPATH])
		take_nexthops(wanted, metric, tb[RTA_MULTIPATH]);
	else
		take(wanted, (int)read_u32(tb[RTA_OIF]), metric, tb[RTA_GATEWAY]);
	return MNL_CB_OK;
}

static void
add_family(NatFib *fib, NatRtnl *rtnl, GArray *places, const char *far_text, guint16 port,
	   guint32 fwmark)
{
	WgEndpoint far;
	NatRoute way;
	Wanted wanted = {0};
	MapPlace place = {.fwmark = fwmark};

	if (!wg_endpoint_parse_address(far_text, FAR_PORT, &far) ||
	    !nat_fib_lookup(fib, &far, fwmark, &way) || way.local || way.tunnel)
		return;
	wanted.family = wg_endpoint_family(&far);
	wanted.oif = way.oif;
	if (nat_rtnl_dump(rtnl, RTM_GETROUTE, sizeof(struct rtmsg), on_route, forget, &wanted) !=
		    0 ||
	    !wanted.found)
		return;
	place.gateway = wanted.gateway;
	place.own = way.source;
	place.ifindex = way.oif;
	wg_endpoint_set_port(&place.own, port);
	g_array_append_val(places, place);
}

GArray *
map_gateway_find(NatFib *fib, guint16 port, guint32 fwmark)
{
	g_autoptr(NatRtnl) rtnl = nat_rtnl_new(NULL);
	GArray *places = g_array_new(FALSE, TRUE, sizeof(MapPlace));

	if (!fib || !rtnl || port == 0)
		return places;
	add_family(fib, rtnl, places, NAT_FIB_FAR_V4, port, fwmark);
	add_family(fib, rtnl, places, NAT_FIB_FAR_V6, port, fwmark);
	return places;
}

gboolean
map_place_equal(const MapPlace *a, const MapPlace *b)
{
	return wg_endpoint_equal(&a->gateway, &b->gateway) && wg_endpoint_equal(&a->own, &b->own) &&
	       a->ifindex == b->ifindex;
}

int
map_place_socket(const MapPlace *place, int type)
{
	WgEndpoint own = place->own;
	int fd = socket(wg_endpoint_family(&own), type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int saved;

	if (fd < 0)
		return -1;
	wg_endpoint_set_port(&own, 0);
	if ((place->fwmark == 0 ||
	     setsockopt(fd, SOL_SOCKET, SO_MARK, &place->fwmark, sizeof place->fwmark) == 0) &&
	    bind(fd, &own.sa, wg_endpoint_socklen(&own)) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}
