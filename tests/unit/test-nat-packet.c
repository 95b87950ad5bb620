/* SPDX-License-Identifier: MIT */
#include "agent/net/nat-packet.h"

#include <string.h>

static WgEndpoint
ep(const char *text)
{
	WgEndpoint out;

	g_assert_true(wg_endpoint_parse(text, &out));
	return out;
}

static guint16
checksum(const guint8 *p, gsize len, guint32 acc)
{
	for (gsize i = 0; i < len; i++)
		acc += (i & 1) ? p[i] : (guint32)p[i] << 8;
	while (acc >> 16)
		acc = (acc & 0xffff) + (acc >> 16);
	return (guint16)acc;
}

/* A packet whose checksums were worked out by another program. */
static void
test_known_bytes(void)
{
	static const guint8 expected[] = {0x45, 0x00, 0x00, 0x20, 0x00, 0x00, 0x40, 0x00,
					  0x40, 0x11, 0xb6, 0xc9, 0xc0, 0x00, 0x02, 0x01,
					  0xc0, 0x00, 0x02, 0x02, 0xca, 0x6c, 0x0d, 0x96,
					  0x00, 0x0c, 0xdf, 0x08, 'a',	'b',  'c',  'd'};
	WgEndpoint src = ep("192.0.2.1:51820"), dst = ep("192.0.2.2:3478");
	guint8 buf[64];

	gsize len = nat_packet_build_ip(buf, sizeof buf, &src, &dst, (const guint8 *)"abcd", 4);

	g_assert_cmpmem(buf, len, expected, sizeof expected);
}

static void
round_trip(const char *from, const char *to, gsize header)
{
	WgEndpoint src = ep(from), dst = ep(to);
	guint8 payload[201], buf[300];
	NatUdp udp;

	for (gsize i = 0; i < sizeof payload; i++)
		payload[i] = (guint8)(i * 7);
	for (gsize len = 0; len <= sizeof payload; len++) {
		gsize total = nat_packet_build_ip(buf, sizeof buf, &src, &dst, payload, len);
		gsize addrs = header == 20 ? 12 : 8;

		g_assert_cmpuint(total, ==, header + 8 + len);
		g_assert_true(nat_packet_parse_ip(buf, total, &udp));
		g_assert_true(wg_endpoint_equal(&udp.src, &src));
		g_assert_true(wg_endpoint_equal(&udp.dst, &dst));
		g_assert_cmpmem(udp.payload, udp.len, payload, len);
		if (header == 20)
			g_assert_cmphex(checksum(buf, 20, 0), ==, 0xffff);
		/* pseudo header: both addresses, protocol and length */
		g_assert_cmphex(checksum(buf + addrs, total - addrs, (guint32)(17 + 8 + len)), ==,
				0xffff);
	}
}

static void
test_round_trip(void)
{
	round_trip("192.0.2.1:51820", "203.0.113.9:3478", 20);
	round_trip("[2001:db8::1]:51820", "[2001:db8:ffff::9]:65535", 40);
}

/* A checksum that works out as 0 is sent as 0xffff (RFC 768). */
static void
test_checksum_zero(void)
{
	WgEndpoint src = ep("192.0.2.1:51820"), dst = ep("192.0.2.2:3478");
	guint8 buf[64], payload[2] = {0, 0};
	gsize len = nat_packet_build_udp(buf, sizeof buf, &src, &dst, payload, 2);

	g_assert_cmpuint(len, ==, 10);
	memcpy(payload, buf + 6, 2); /* as payload it brings the sum to all ones */
	g_assert_cmpuint(nat_packet_build_udp(buf, sizeof buf, &src, &dst, payload, 2), ==, 10);
	g_assert_cmphex(buf[6], ==, 0xff);
	g_assert_cmphex(buf[7], ==, 0xff);
}

static void
test_build_refuses(void)
{
	WgEndpoint v4 = ep("192.0.2.1:1"), v6 = ep("[2001:db8::1]:1"), unset = {0};
	guint8 buf[64], data[32] = {0};

	g_assert_cmpuint(nat_packet_build_ip(buf, sizeof buf, &v4, &v6, data, 4), ==, 0);
	g_assert_cmpuint(nat_packet_build_ip(buf, sizeof buf, &v6, &v4, data, 4), ==, 0);
	g_assert_cmpuint(nat_packet_build_ip(buf, sizeof buf, &unset, &unset, data, 4), ==, 0);
	g_assert_cmpuint(nat_packet_build_udp(buf, sizeof buf, &unset, &unset, data, 4), ==, 0);
	for (gsize size = 0; size < 20 + 8 + 4; size++)
		g_assert_cmpuint(nat_packet_build_ip(buf, size, &v4, &v4, data, 4), ==, 0);
	for (gsize size = 0; size < 40 + 8 + 4; size++)
		g_assert_cmpuint(nat_packet_build_ip(buf, size, &v6, &v6, data, 4), ==, 0);
	g_assert_cmpuint(nat_packet_build_udp(buf, sizeof buf, &v4, &v4, data, 65536), ==, 0);
}

static void
refuse_changes(const char *addr, gsize header)
{
	WgEndpoint at = ep(addr);
	guint8 buf[128], copy[128];
	gsize len = nat_packet_build_ip(buf, sizeof buf, &at, &at, (const guint8 *)"abcdef", 6);
	NatUdp udp;

	for (gsize cut = 0; cut < len; cut++)
		g_assert_false(nat_packet_parse_ip(buf, cut, &udp));
	g_assert_false(nat_packet_parse_ip(buf, len + 1, &udp));
	g_assert_false(wg_endpoint_is_set(&udp.src));

	memcpy(copy, buf, len); /* another protocol */
	copy[header == 20 ? 9 : 6] = header == 20 ? 6 : 0;
	g_assert_false(nat_packet_parse_ip(copy, len, &udp));
	memcpy(copy, buf, len); /* UDP length beside the truth */
	copy[header + 5]++;
	g_assert_false(nat_packet_parse_ip(copy, len, &udp));
	memcpy(copy, buf, len); /* version */
	copy[0] = (guint8)(0x50 | (copy[0] & 0xf));
	g_assert_false(nat_packet_parse_ip(copy, len, &udp));
}

static void
test_parse_refuses(void)
{
	WgEndpoint at = ep("192.0.2.1:5");
	guint8 buf[128];
	gsize len = nat_packet_build_ip(buf, sizeof buf, &at, &at, (const guint8 *)"abcdef", 6);
	NatUdp udp;

	refuse_changes("192.0.2.1:5", 20);
	refuse_changes("[2001:db8::1]:5", 40);

	buf[6] = 0x20; /* more fragments */
	g_assert_false(nat_packet_parse_ip(buf, len, &udp));
	buf[6] = 0x00;
	g_assert_true(nat_packet_parse_ip(buf, len, &udp));
	buf[7] = 1; /* a later fragment */
	g_assert_false(nat_packet_parse_ip(buf, len, &udp));
	buf[7] = 0;
	for (guint8 ihl = 0; ihl < 16; ihl++) {
		buf[0] = 0x40 | ihl;
		g_assert_true(nat_packet_parse_ip(buf, len, &udp) == (ihl == 5));
	}
}

/* IPv4 options are skipped, not refused: raw sockets deliver them. */
static void
test_options(void)
{
	WgEndpoint src = ep("192.0.2.1:51820"), dst = ep("192.0.2.2:3478");
	guint8 buf[64], with[68];
	gsize len = nat_packet_build_ip(buf, sizeof buf, &src, &dst, (const guint8 *)"abcd", 4);
	NatUdp udp;

	memcpy(with, buf, 20);
	memset(with + 20, 1, 4); /* no-operation */
	memcpy(with + 24, buf + 20, len - 20);
	with[0] = 0x46;
	with[3] = (guint8)(len + 4);
	g_assert_true(nat_packet_parse_ip(with, len + 4, &udp));
	g_assert_true(wg_endpoint_equal(&udp.dst, &dst));
	g_assert_cmpmem(udp.payload, udp.len, "abcd", 4);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/packet/build/known-bytes", test_known_bytes);
	g_test_add_func("/packet/round-trip", test_round_trip);
	g_test_add_func("/packet/build/checksum-zero", test_checksum_zero);
	g_test_add_func("/packet/build/refuses", test_build_refuses);
	g_test_add_func("/packet/parse/refuses", test_parse_refuses);
	g_test_add_func("/packet/parse/options", test_options);
	return g_test_run();
}
