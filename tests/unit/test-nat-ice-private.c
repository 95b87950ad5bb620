/* SPDX-License-Identifier: MIT */
#include "agent/net/nat-ice-private.h"
#include "tests/unit/net-util.h"

#include <linux/fib_rules.h>
#include <linux/if_link.h>
#include <string.h>
#include <sys/socket.h>

static void
test_addresses(void)
{
	WgEndpoint ep, other;

	g_assert_true(nat_ice_private_address(0, 0, AF_INET, &ep));
	other = net_ep("240.78.0.1");
	g_assert_true(wg_endpoint_equal(&ep, &other));
	g_assert_true(nat_ice_private_address(255, NAT_ICE_PRIVATE_ADDRESSES - 1, AF_INET, &ep));
	other = net_ep("198.19.255.254");
	g_assert_true(wg_endpoint_equal(&ep, &other));
	g_assert_true(nat_ice_private_address(3, 254, AF_INET6, &ep));
	other = net_ep("fd4e:419c:1da7:103::1");
	g_assert_true(wg_endpoint_equal(&ep, &other));
	g_assert_false(nat_ice_private_address(256, 0, AF_INET, &ep));
	g_assert_false(nat_ice_private_address(0, NAT_ICE_PRIVATE_ADDRESSES, AF_INET6, &ep));
}

/* Every one of them is known for what it is, and is nobody else's. */
static void
test_distinct(void)
{
	g_autoptr(GHashTable) seen =
		g_hash_table_new_full(wg_endpoint_hash, wg_endpoint_equal, g_free, NULL);

	for (guint n = 0; n <= NAT_ICE_PRIVATE_LAST; n += 5)
		for (guint k = 0; k < NAT_ICE_PRIVATE_ADDRESSES; k++)
			for (int v6 = 0; v6 < 2; v6++) {
				WgEndpoint ep;

				g_assert_true(nat_ice_private_address(n, k, v6 ? AF_INET6 : AF_INET,
								      &ep));
				g_assert_true(nat_ice_private_is(&ep));
				g_assert_true(g_hash_table_add(seen, g_memdup2(&ep, sizeof ep)));
			}
	for (const char *const *s = (const char *const[]){"192.0.2.1", "240.79.0.1", "198.18.0.1",
							  "fd4e:419c:1da8::1", "2001:db8::1", NULL};
	     *s; s++) {
		WgEndpoint ep = net_ep(*s);

		g_assert_false(nat_ice_private_is(&ep));
	}
	g_assert_false(nat_ice_private_is(&(WgEndpoint){0}));
}

typedef union {
	struct nlmsghdr nlh;
	guint8 bytes[256];
} Message;

static struct fib_rule_hdr *
start_rule(Message *m, const char *from, guint32 table, guint8 protocol)
{
	WgEndpoint ep = net_ep(from);
	struct fib_rule_hdr *frh;
	gsize len;
	const guint8 *bytes = wg_endpoint_bytes(&ep, &len);

	memset(m, 0, sizeof *m);
	mnl_nlmsg_put_header(m);
	m->nlh.nlmsg_type = RTM_NEWRULE;
	frh = mnl_nlmsg_put_extra_header(&m->nlh, sizeof *frh);
	frh->src_len = (guint8)(len * 8);
	mnl_attr_put(&m->nlh, FRA_SRC, len, bytes);
	mnl_attr_put_u32(&m->nlh, FRA_TABLE, table);
	mnl_attr_put_u8(&m->nlh, FRA_PROTOCOL, protocol);
	return frh;
}

static gboolean
is_ours(const Message *m, guint *number)
{
	WgEndpoint from;

	g_assert_true(nat_ice_private_is_event(&m->nlh) ==
		      nat_ice_private_parse_rule(&m->nlh, &from, number));
	return nat_ice_private_parse_rule(&m->nlh, &from, number);
}

/* A user's rule is never taken for ours, however like one it is. */
static void
test_rule(void)
{
	const guint32 table = NAT_ICE_PRIVATE_FIRST_TABLE + 7;
	Message m;
	guint number;

	start_rule(&m, "240.78.7.1", table, NAT_ICE_PRIVATE_PROTOCOL);
	g_assert_true(is_ours(&m, &number));
	g_assert_cmpuint(number, ==, 7);
	start_rule(&m, "fd4e:419c:1da7:7::1", table, NAT_ICE_PRIVATE_PROTOCOL);
	g_assert_true(is_ours(&m, &number));
	start_rule(&m, "240.78.7.1", table, RTPROT_STATIC);
	g_assert_false(is_ours(&m, &number));
	start_rule(&m, "240.78.7.1", RT_TABLE_MAIN, NAT_ICE_PRIVATE_PROTOCOL);
	g_assert_false(is_ours(&m, &number));
	start_rule(&m, "240.78.7.1", NAT_ICE_PRIVATE_FIRST_TABLE - 1, NAT_ICE_PRIVATE_PROTOCOL);
	g_assert_false(is_ours(&m, &number));
	start_rule(&m, "240.78.7.1", NAT_ICE_PRIVATE_FIRST_TABLE + 256, NAT_ICE_PRIVATE_PROTOCOL);
	g_assert_false(is_ours(&m, &number));
	start_rule(&m, "192.0.2.1", table, NAT_ICE_PRIVATE_PROTOCOL);
	g_assert_false(is_ours(&m, &number));
	start_rule(&m, "240.78.7.1", table, NAT_ICE_PRIVATE_PROTOCOL)->src_len = 8;
	g_assert_false(is_ours(&m, &number));
	m.nlh.nlmsg_len = MNL_NLMSG_HDRLEN + 4;
	g_assert_false(is_ours(&m, &number));
}

static gboolean
is_own_link(const char *name)
{
	Message m;

	memset(&m, 0, sizeof m);
	mnl_nlmsg_put_header(&m);
	m.nlh.nlmsg_type = RTM_NEWLINK;
	mnl_nlmsg_put_extra_header(&m.nlh, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(&m.nlh, IFLA_IFNAME, name);
	return nat_ice_private_is_event(&m.nlh);
}

/* A user's device may begin as ours do. */
static void
test_link(void)
{
	g_assert_true(is_own_link("nat-ice0"));
	g_assert_true(is_own_link("nat-ice10"));
	g_assert_true(is_own_link("nat-ice255"));
	g_assert_false(is_own_link("nat-ice256"));
	g_assert_false(is_own_link("nat-ice"));
	g_assert_false(is_own_link("nat-ice01"));
	g_assert_false(is_own_link("nat-ice-lan"));
	g_assert_false(is_own_link("nat-ice+1"));
	g_assert_false(is_own_link("nat-ice0.7"));
	g_assert_false(is_own_link("wg0"));
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/ice-private/addresses", test_addresses);
	g_test_add_func("/ice-private/distinct", test_distinct);
	g_test_add_func("/ice-private/rule", test_rule);
	g_test_add_func("/ice-private/link", test_link);
	return g_test_run();
}
