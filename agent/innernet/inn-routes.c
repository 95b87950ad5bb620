/* SPDX-License-Identifier: MIT */
#include "agent/innernet/inn-routes.h"

#include <errno.h>
#include <gio/gio.h>
#include <net/if.h>
#include <string.h>

/* A route this short is a default route, or the half of one (0.0.0.0/1, 2000::/3): ours goes before
 * it and takes nothing from it that anybody meant. */
#define DEFAULT_V4 1
#define DEFAULT_V6 3

typedef struct {
	int ifindex;
	WgEndpoint network;
	guint8 prefix;
	gboolean routed;
	/* the first route of another interface that overlaps; oif 0: none */
	int oif;
	WgEndpoint dst;
	guint8 dst_len;
} Search;

/* Whether the first `bits` bits agree. */
static gboolean
share_bits(const guint8 *a, const guint8 *b, guint bits)
{
	guint8 mask = (guint8)(0xff00 >> bits % 8);

	return memcmp(a, b, bits / 8) == 0 &&
	       (bits % 8 == 0 || ((a[bits / 8] ^ b[bits / 8]) & mask) == 0);
}

WgEndpoint
inn_routes_network(const WgEndpoint *address, guint8 prefix)
{
	gsize len = 0;
	const guint8 *bytes = wg_endpoint_bytes(address, &len);
	guint8 masked[16] = {0};
	WgEndpoint network = {0};

	for (gsize i = 0; i < len; i++) {
		guint left = prefix > 8 * i ? MIN(prefix - 8 * i, 8) : 0;

		masked[i] = bytes[i] & (guint8)(0xff00 >> left);
	}
	wg_endpoint_from_bytes(&network, masked, len, 0);
	return network;
}

char *
inn_routes_format(const WgEndpoint *network, guint8 prefix)
{
	char text[WG_ENDPOINT_STRLEN];

	return g_strdup_printf("%s/%u", wg_endpoint_format_address(network, text), prefix);
}

static guint32
read_u32(const struct nlattr *attr, guint32 otherwise)
{
	return attr && mnl_attr_validate(attr, MNL_TYPE_U32) >= 0 ? mnl_attr_get_u32(attr)
								  : otherwise;
}

/* Of several ways (RTA_MULTIPATH), the first that is not ours; 0: no interface at all. */
static int
read_oif(const struct nlattr *const *tb, int ours)
{
	const struct rtnexthop *hop;
	int left, oif = (int)read_u32(tb[RTA_OIF], 0);

	if (oif != 0 || !tb[RTA_MULTIPATH])
		return oif;
	hop = mnl_attr_get_payload(tb[RTA_MULTIPATH]);
	left = mnl_attr_get_payload_len(tb[RTA_MULTIPATH]);
	while (RTNH_OK(hop, left)) {
		oif = hop->rtnh_ifindex;
		if (oif != ours)
			break;
		left -= RTNH_ALIGN(hop->rtnh_len);
		hop = RTNH_NEXT(hop);
	}
	return oif;
}

/* Tables beside main are asked by rules of the user's, who knows; those of VRFs are other worlds.
 */
static gboolean
is_relevant(const struct rtmsg *rtm, guint32 table)
{
	return (table == RT_TABLE_MAIN || table == RT_TABLE_LOCAL) &&
	       (rtm->rtm_type == RTN_UNICAST || rtm->rtm_type == RTN_LOCAL) &&
	       !(rtm->rtm_flags & RTM_F_CLONED) &&
	       rtm->rtm_dst_len > (rtm->rtm_family == AF_INET ? DEFAULT_V4 : DEFAULT_V6);
}

static void
judge(Search *search, const struct rtmsg *rtm, const WgEndpoint *dst, int oif)
{
	gsize len, dst_len;
	const guint8 *ours = wg_endpoint_bytes(&search->network, &len);
	const guint8 *theirs = wg_endpoint_bytes(dst, &dst_len);

	if (len != dst_len || rtm->rtm_dst_len > 8 * len || oif == 0 ||
	    !share_bits(ours, theirs, MIN(search->prefix, rtm->rtm_dst_len)))
		return;
	if (oif == search->ifindex) {
		if (rtm->rtm_type == RTN_UNICAST && rtm->rtm_dst_len == search->prefix)
			search->routed = TRUE;
	} else if (search->oif == 0) {
		search->oif = oif;
		search->dst = *dst;
		search->dst_len = rtm->rtm_dst_len;
	}
}

static int
on_route(const struct nlmsghdr *nlh, void *data)
{
	const struct nlattr *tb[RTA_TABLE + 1];
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	Search *search = data;
	WgEndpoint dst;

	if (nlh->nlmsg_type != RTM_NEWROUTE || mnl_nlmsg_get_payload_len(nlh) < sizeof *rtm ||
	    rtm->rtm_family != wg_endpoint_family(&search->network))
		return MNL_CB_OK;
	nat_rtnl_attrs(nlh, sizeof *rtm, tb, RTA_TABLE);
	if (is_relevant(rtm, read_u32(tb[RTA_TABLE], rtm->rtm_table)) && tb[RTA_DST] &&
	    wg_endpoint_from_bytes(&dst, mnl_attr_get_payload(tb[RTA_DST]),
				   mnl_attr_get_payload_len(tb[RTA_DST]), 0))
		judge(search, rtm, &dst, read_oif(tb, search->ifindex));
	return MNL_CB_OK;
}

static void
forget_found(gpointer data)
{
	Search *search = data;

	search->routed = FALSE;
	search->oif = 0;
}

static void
set_overlap(const Search *search, const char *ifname, GError **error)
{
	g_autofree char *ours = inn_routes_format(&search->network, search->prefix);
	g_autofree char *theirs = inn_routes_format(&search->dst, search->dst_len);
	char name[IF_NAMESIZE];

	if (!if_indextoname((guint)search->oif, name))
		g_snprintf(name, sizeof name, "#%d", search->oif);
	g_set_error(error, G_IO_ERROR, G_IO_ERROR_EXISTS,
		    "%s: its network %s overlaps with %s of %s: take that route or address away, "
		    "or renumber one of the two networks",
		    ifname, ours, theirs, name);
}

gboolean
inn_routes_check(NatRtnl *rtnl, const char *ifname, int ifindex, const WgEndpoint *address,
		 guint8 prefix, gboolean *routed, GError **error)
{
	Search search = {
		.ifindex = ifindex,
		.network = inn_routes_network(address, prefix),
		.prefix = prefix,
	};
	int err = nat_rtnl_dump(rtnl, RTM_GETROUTE, sizeof(struct rtmsg), on_route, forget_found,
				&search);

	if (err != 0) {
		g_set_error(error, G_IO_ERROR, g_io_error_from_errno(err),
			    "%s: cannot read the routes: %s", ifname, g_strerror(err));
		return FALSE;
	}
	if (routed)
		*routed = search.routed;
	if (search.oif != 0)
		set_overlap(&search, ifname, error);
	return search.oif == 0;
}
