/* SPDX-License-Identifier: MIT */
#include "agent/net/nat-ice-private.h"

#include <linux/fib_rules.h>
#include <linux/if_link.h>
#include <string.h>
#include <sys/socket.h>

/* The second only where the first is in use. 240.0.0.0/4 is reserved (RFC 1112 §4), 198.18.0.0/15
 * for benchmarks (RFC 2544): neither is a peer's, nor routed in the internet. */
static const guint8 POOLS[][2] = {{240, 78}, {198, 19}};
#define POOL_SIZE (NAT_ICE_PRIVATE_ADDRESSES / 2)
/* RFC 4193: a /48 that was drawn for this */
static const guint8 PREFIX6[6] = {0xfd, 0x4e, 0x41, 0x9c, 0x1d, 0xa7};

gboolean
nat_ice_private_address(guint number, guint k, int family, WgEndpoint *out)
{
	guint pool = k / POOL_SIZE, host = k % POOL_SIZE + 1;
	guint8 v6[16] = {0};

	if (number > NAT_ICE_PRIVATE_LAST || pool >= G_N_ELEMENTS(POOLS))
		return FALSE;
	if (family == AF_INET) {
		const guint8 v4[4] = {POOLS[pool][0], POOLS[pool][1], (guint8)number, (guint8)host};

		return wg_endpoint_from_bytes(out, v4, sizeof v4, 0);
	}
	memcpy(v6, PREFIX6, sizeof PREFIX6);
	v6[6] = (guint8)pool;
	v6[7] = (guint8)number;
	v6[15] = (guint8)host;
	return wg_endpoint_from_bytes(out, v6, sizeof v6, 0);
}

gboolean
nat_ice_private_is(const WgEndpoint *addr)
{
	gsize len = 0;
	const guint8 *bytes = wg_endpoint_is_set(addr) ? wg_endpoint_bytes(addr, &len) : NULL;

	if (len == 16)
		return memcmp(bytes, PREFIX6, sizeof PREFIX6) == 0;
	for (gsize i = 0; len == 4 && i < G_N_ELEMENTS(POOLS); i++)
		if (memcmp(bytes, POOLS[i], sizeof POOLS[i]) == 0)
			return TRUE;
	return FALSE;
}

static gboolean
holds_private(const struct nlattr *attr)
{
	WgEndpoint addr;

	return attr &&
	       wg_endpoint_from_bytes(&addr, mnl_attr_get_payload(attr),
				      mnl_attr_get_payload_len(attr), 0) &&
	       nat_ice_private_is(&addr);
}

static guint32
read_u32(const struct nlattr *attr, guint32 otherwise)
{
	return attr && mnl_attr_validate(attr, MNL_TYPE_U32) >= 0 ? mnl_attr_get_u32(attr)
								  : otherwise;
}

static gboolean
is_own_table(guint32 table)
{
	return table - NAT_ICE_PRIVATE_FIRST_TABLE <= NAT_ICE_PRIVATE_LAST;
}

/* As the kernel fills in "nat-ice%d". */
static gboolean
is_own_name(const char *name)
{
	const char *digits = name + strlen(NAT_ICE_PRIVATE_DEVICE);
	guint64 number;

	return g_str_has_prefix(name, NAT_ICE_PRIVATE_DEVICE) &&
	       g_ascii_string_to_unsigned(digits, 10, 0, NAT_ICE_PRIVATE_LAST, &number, NULL) &&
	       (digits[0] != '0' || digits[1] == '\0');
}

static gboolean
is_own_link(const struct nlmsghdr *nlh)
{
	const struct nlattr *tb[IFLA_IFNAME + 1];

	nat_rtnl_attrs(nlh, sizeof(struct ifinfomsg), tb, IFLA_IFNAME);
	return tb[IFLA_IFNAME] && mnl_attr_validate(tb[IFLA_IFNAME], MNL_TYPE_NUL_STRING) >= 0 &&
	       is_own_name(mnl_attr_get_str(tb[IFLA_IFNAME]));
}

static gboolean
is_own_address(const struct nlmsghdr *nlh)
{
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *tb[IFA_ADDRESS + 1];

	nat_rtnl_attrs(nlh, sizeof *ifa, tb, IFA_ADDRESS);
	/* somebody's network may be the second pool */
	return holds_private(tb[IFA_ADDRESS]) &&
	       (ifa->ifa_family == AF_INET6 || ifa->ifa_scope == RT_SCOPE_HOST);
}

/* Of a table of ours, or the kernel's own for an address of ours. */
static gboolean
is_own_route(const struct nlmsghdr *nlh)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *tb[RTA_TABLE + 1];

	nat_rtnl_attrs(nlh, sizeof *rtm, tb, RTA_TABLE);
	return is_own_table(read_u32(tb[RTA_TABLE], rtm->rtm_table)) ||
	       (rtm->rtm_type == RTN_LOCAL && holds_private(tb[RTA_DST]));
}

gboolean
nat_ice_private_parse_rule(const struct nlmsghdr *nlh, WgEndpoint *from, guint *number)
{
	const struct fib_rule_hdr *frh = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *tb[FRA_PROTOCOL + 1];
	guint32 table;

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof *frh)
		return FALSE;
	nat_rtnl_attrs(nlh, sizeof *frh, tb, FRA_PROTOCOL);
	table = read_u32(tb[FRA_TABLE], frh->table);
	if (!tb[FRA_PROTOCOL] || mnl_attr_validate(tb[FRA_PROTOCOL], MNL_TYPE_U8) < 0 ||
	    mnl_attr_get_u8(tb[FRA_PROTOCOL]) != NAT_ICE_PRIVATE_PROTOCOL || !is_own_table(table) ||
	    !tb[FRA_SRC])
		return FALSE;
	*number = table - NAT_ICE_PRIVATE_FIRST_TABLE;
	return wg_endpoint_from_bytes(from, mnl_attr_get_payload(tb[FRA_SRC]),
				      mnl_attr_get_payload_len(tb[FRA_SRC]), 0) &&
	       nat_ice_private_is(from) &&
	       frh->src_len == mnl_attr_get_payload_len(tb[FRA_SRC]) * 8;
}

gboolean
nat_ice_private_is_event(const struct nlmsghdr *nlh)
{
	WgEndpoint from;
	guint number;
	gsize len = mnl_nlmsg_get_payload_len(nlh);

	switch (nlh->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		return len >= sizeof(struct ifinfomsg) && is_own_link(nlh);
	case RTM_NEWADDR:
	case RTM_DELADDR:
		return len >= sizeof(struct ifaddrmsg) && is_own_address(nlh);
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		return len >= sizeof(struct rtmsg) && is_own_route(nlh);
	case RTM_NEWRULE:
	case RTM_DELRULE:
		return nat_ice_private_parse_rule(nlh, &from, &number);
	default:
		return FALSE;
	}
}
