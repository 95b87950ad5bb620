/* SPDX-License-Identifier: MIT */
/* NAT-PMP and PCP as bytes, the gateway's clock, and what is believed of an outside address. */
#include "agent/portmap/map-belief.h"
#include "agent/portmap/map-codec.h"

#include <string.h>

#include "tests/unit/net-util.h"

static const guint8 NONCE[MAP_NONCE_LEN] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};

static void
test_requests(void)
{
	static const guint8 PMP_MAP[] = {0, 1, 0, 0, 0xca, 0x6c, 0x12, 0x34, 0, 0, 0x1c, 0x20};
	static const guint8 PCP_HEAD[] = {2, 1, 0, 0, 0, 0, 0x1c, 0x20, 0,   0,	  0, 0,
					  0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 168, 1, 2};
	guint8 buf[MAP_CODEC_REQUEST_MAX];
	WgEndpoint own = net_ep("192.168.1.2:51820"), want = net_ep("20.30.40.50:4660"),
		   own6 = net_ep("[2001:db8::2]:51820"), none6 = net_ep("[::]:51820");

	g_assert_cmpuint(map_codec_pmp_address(buf), ==, 2);
	g_assert_true(buf[0] == 0 && buf[1] == 0);
	g_assert_cmpuint(map_codec_pmp_map(buf, 51820, 0x1234, 7200), ==, sizeof PMP_MAP);
	g_assert_cmpmem(buf, sizeof PMP_MAP, PMP_MAP, sizeof PMP_MAP);
	g_assert_cmpuint(map_codec_pcp_announce(buf, &own), ==, 24);
	g_assert_true(buf[0] == 2 && buf[1] == 0);
	g_assert_cmpuint(map_codec_pcp_map(buf, &own, NONCE, &want, 7200), ==, 60);
	g_assert_cmpmem(buf, 24, PCP_HEAD, sizeof PCP_HEAD);
	g_assert_cmpmem(buf + 24, MAP_NONCE_LEN, NONCE, MAP_NONCE_LEN);
	g_assert_cmpuint(buf[36], ==, 17);
	g_assert_cmpmem(buf + 40, 4, "\xca\x6c\x12\x34", 4);
	g_assert_cmpmem(buf + 54, 6, "\xff\xff\x14\x1e\x28\x32", 6);
	/* a pinhole: no address of IPv4's */
	g_assert_cmpuint(map_codec_pcp_map(buf, &own6, NONCE, &none6, 0), ==, 60);
	g_assert_cmpuint(buf[8], ==, 0x20);
	g_assert_cmpuint(buf[54], ==, 0);
}

static void
make_pcp(guint8 msg[60], guint8 code, guint8 protocol)
{
	memset(msg, 0, 60);
	msg[0] = 2;
	msg[1] = 0x81;
	msg[3] = code;
	memcpy(msg + 4, "\x00\x00\x0e\x10\x00\x00\x00\x09", 8);
	memcpy(msg + 24, NONCE, MAP_NONCE_LEN);
	msg[36] = protocol;
	memcpy(msg + 40, "\xca\x6c\x12\x34", 4);
	memcpy(msg + 54, "\xff\xff\x14\x1e\x28\x32", 6);
}

static void
test_pcp(void)
{
	guint8 msg[MAP_CODEC_ANSWER_MAX + 4] = {0};
	WgEndpoint expected = net_ep("20.30.40.50:4660");
	MapAnswer answer;

	make_pcp(msg, 0, 17);
	g_assert_true(map_codec_parse(msg, 60, &answer));
	g_assert_cmpint(answer.protocol, ==, MAP_PCP);
	g_assert_cmpint(answer.kind, ==, MAP_ANSWER_MAPPING);
	g_assert_true(wg_endpoint_equal(&answer.external, &expected));
	g_assert_cmpuint(answer.lifetime_s, ==, 3600);
	g_assert_cmpuint(answer.epoch_s, ==, 9);
	g_assert_cmpuint(answer.internal_port, ==, 51820);
	g_assert_cmpmem(answer.nonce, MAP_NONCE_LEN, NONCE, MAP_NONCE_LEN);
	/* with options behind it */
	g_assert_true(map_codec_parse(msg, 68, &answer));
	for (gsize len = 0; len < 60; len++)
		g_assert_false(map_codec_parse(msg, len, &answer));
	g_assert_false(map_codec_parse(msg, 61, &answer));
	g_assert_false(map_codec_parse(msg, sizeof msg, &answer));
	/* TCP's; a request; NAT-PMP's word for "not in this version" */
	make_pcp(msg, 0, 6);
	g_assert_false(map_codec_parse(msg, 60, &answer));
	make_pcp(msg, 0, 17);
	msg[1] = 1;
	g_assert_false(map_codec_parse(msg, 60, &answer));
	make_pcp(msg, 1, 17);
	g_assert_true(map_codec_parse(msg, 24, &answer));
	g_assert_cmpint(answer.kind, ==, MAP_ANSWER_VERSION);
	make_pcp(msg, 2, 17);
	g_assert_true(map_codec_parse(msg, 60, &answer));
	g_assert_cmpuint(answer.code, ==, 2);
}

static void
test_pmp(void)
{
	static const guint8 ADDRESS[] = {0, 0x80, 0, 0, 0, 0, 0, 9, 20, 30, 40, 50};
	static const guint8 MAP[] = {0,	   0x81, 0,    0,    0, 0, 0,  9,
				     0xca, 0x6c, 0x12, 0x34, 0, 0, 14, 16};
	static const guint8 TCP[] = {0,	   0x82, 0,    0,    0, 0, 0,  9,
				     0xca, 0x6c, 0x12, 0x34, 0, 0, 14, 16};
	static const guint8 OFF[] = {0, 0x81, 0, 2, 0, 0, 0, 9};
	static const guint8 VERSION[] = {0, 0x81, 0, 1, 0, 0, 0, 9};
	MapAnswer answer;

	g_assert_true(map_codec_parse(ADDRESS, sizeof ADDRESS, &answer));
	g_assert_cmpint(answer.kind, ==, MAP_ANSWER_ADDRESS);
	g_assert_true(map_codec_parse(MAP, sizeof MAP, &answer));
	g_assert_cmpint(answer.kind, ==, MAP_ANSWER_MAPPING);
	g_assert_cmpuint(answer.external_port, ==, 4660);
	g_assert_cmpuint(answer.internal_port, ==, 51820);
	g_assert_cmpuint(answer.lifetime_s, ==, 3600);
	g_assert_false(map_codec_parse(TCP, sizeof TCP, &answer));
	g_assert_false(map_codec_parse(MAP, sizeof MAP - 1, &answer));
	g_assert_false(map_codec_parse(ADDRESS, sizeof ADDRESS - 1, &answer));
	g_assert_true(map_codec_parse(OFF, sizeof OFF, &answer));
	g_assert_cmpuint(answer.code, ==, 2);
	g_assert_true(map_codec_parse(VERSION, sizeof VERSION, &answer));
	g_assert_cmpint(answer.kind, ==, MAP_ANSWER_VERSION);
	g_assert_cmpint(answer.protocol, ==, MAP_PMP);
}

static void
test_lifetime(void)
{
	g_assert_cmpuint(map_codec_clamp_lifetime(1), ==, 120);
	g_assert_cmpuint(map_codec_clamp_lifetime(3600), ==, 3600);
	g_assert_cmpuint(map_codec_clamp_lifetime(G_MAXUINT32), ==, 86400);
}

static void
test_epoch(void)
{
	MapEpoch epoch = {0};
	const gint64 s = G_USEC_PER_SEC;

	g_assert_true(map_epoch_see(&epoch, 1000, 50 * s));
	g_assert_true(map_epoch_see(&epoch, 1060, 110 * s));
	/* out of order, late, a clock that is a little wrong */
	g_assert_true(map_epoch_see(&epoch, 1059, 110 * s));
	g_assert_true(map_epoch_see(&epoch, 1061, 112 * s));
	g_assert_true(map_epoch_see(&epoch, 2030, 1112 * s));
	/* started anew: behind, or not where it should be */
	g_assert_false(map_epoch_see(&epoch, 3, 1113 * s));
	g_assert_false(map_epoch_see(&epoch, 5, 2113 * s));
	g_assert_true(map_epoch_see(&epoch, 65, 2173 * s));
	g_assert_false(map_epoch_see(&epoch, 4000000000u, 2174 * s));
	g_assert_true(map_epoch_see(&epoch, 4000000060u, 2234 * s));
}

static void
test_belief(void)
{
	WgEndpoint seen[] = {net_ep("203.0.113.7:51820"), net_ep("[2001:db8::2]:51820")};
	WgEndpoint same = net_ep("203.0.113.7:4660"), private = net_ep("10.0.0.2:51820"),
		   carrier = net_ep("100.80.0.2:1"), other = net_ep("20.30.40.50:51820"),
		   documentation = net_ep("198.51.100.9:1"), future = net_ep("240.0.0.1:1");

	g_assert_cmpint(map_belief(&same, seen, 2), ==, MAP_BELIEVED);
	g_assert_cmpint(map_belief(&private, seen, 2), ==, MAP_DOUBLE_NAT);
	g_assert_cmpint(map_belief(&carrier, seen, 2), ==, MAP_DOUBLE_NAT);
	g_assert_cmpint(map_belief(&other, seen, 2), ==, MAP_CONTRADICTED);
	g_assert_cmpint(map_belief(&other, seen + 1, 1), ==, MAP_BELIEVED);
	g_assert_cmpint(map_belief(&other, NULL, 0), ==, MAP_BELIEVED);
	g_assert_cmpint(map_belief(&documentation, NULL, 0), ==, MAP_DOUBLE_NAT);
	g_assert_cmpint(map_belief(&future, NULL, 0), ==, MAP_DOUBLE_NAT);
	g_assert_cmpint(map_belief(&same, NULL, 0), ==, MAP_DOUBLE_NAT);
}

static void
test_need(void)
{
	WgEndpoint seen[] = {net_ep("203.0.113.7:51820"), net_ep("[2001:db8::2]:51820")};
	WgEndpoint own = net_ep("203.0.113.7:51820"), private = net_ep("192.168.1.2:51820"),
		   elsewhere = net_ep("198.51.100.1:51820"), own6 = net_ep("[2001:db8::2]:51820");

	g_assert_false(map_is_needed(&own, seen, 2));
	g_assert_false(map_is_needed(&own, NULL, 0));
	g_assert_true(map_is_needed(&private, seen, 2));
	g_assert_true(map_is_needed(&private, NULL, 0));
	g_assert_true(map_is_needed(&elsewhere, seen, 2));
	g_assert_false(map_is_needed(&elsewhere, seen + 1, 1));
	g_assert_true(map_is_needed(&own6, seen, 2));
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/map-codec/requests", test_requests);
	g_test_add_func("/map-codec/pcp", test_pcp);
	g_test_add_func("/map-codec/nat-pmp", test_pmp);
	g_test_add_func("/map-codec/lifetime", test_lifetime);
	g_test_add_func("/map-codec/epoch", test_epoch);
	g_test_add_func("/map-codec/belief", test_belief);
	g_test_add_func("/map-codec/need", test_need);
	return g_test_run();
}
