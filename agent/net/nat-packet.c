/* SPDX-License-Identifier: MIT */
#include "agent/net/nat-packet.h"

#include <string.h>

#define IP4_HEADER 20u
#define IP6_HEADER 40u
#define UDP_HEADER 8u
#define UDP_CHECKSUM_AT 6u
#define TTL 64

static guint16
get16(const guint8 *p)
{
	return (guint16)(p[0] << 8 | p[1]);
}

static void
put16(guint8 *p, gsize value)
{
	p[0] = (guint8)(value >> 8);
	p[1] = (guint8)value;
}

/* RFC 1071: ones' complement sum of 16-bit words, an odd last byte padded with zero. */
static guint32
sum(guint32 acc, const guint8 *p, gsize len)
{
	for (; len > 1; p += 2, len -= 2)
		acc += get16(p);
	return len > 0 ? acc + ((guint32)p[0] << 8) : acc;
}

static guint16
fold(guint32 acc)
{
	while (acc >> 16)
		acc = (acc & 0xffff) + (acc >> 16);
	return (guint16)~acc;
}

gboolean
nat_packet_parse_udp(const guint8 *seg, gsize len, NatUdp *out)
{
	/* A UDP length of 0 is IPv6's jumbogram (RFC 2675): never ours. */
	if (len < UDP_HEADER || get16(seg + 4) != len)
		return FALSE;
	wg_endpoint_set_port(&out->src, get16(seg));
	wg_endpoint_set_port(&out->dst, get16(seg + 2));
	out->payload = seg + UDP_HEADER;
	out->len = len - UDP_HEADER;
	return TRUE;
}

static gboolean
parse_ip4(const guint8 *pkt, gsize len, NatUdp *out)
{
	gsize header = (gsize)(pkt[0] & 0xf) * 4;

	if (len < IP4_HEADER || header < IP4_HEADER || header > len || get16(pkt + 2) != len)
		return FALSE;
	/* More fragments, or an offset; DF alone is fine (RFC 791 §3.1). */
	if ((get16(pkt + 6) & 0x3fff) != 0 || pkt[9] != IPPROTO_UDP)
		return FALSE;
	return wg_endpoint_from_bytes(&out->src, pkt + 12, 4, 0) &&
	       wg_endpoint_from_bytes(&out->dst, pkt + 16, 4, 0) &&
	       nat_packet_parse_udp(pkt + header, len - header, out);
}

static gboolean
parse_ip6(const guint8 *pkt, gsize len, NatUdp *out)
{
	if (len < IP6_HEADER || get16(pkt + 4) != len - IP6_HEADER || pkt[6] != IPPROTO_UDP)
		return FALSE;
	return wg_endpoint_from_bytes(&out->src, pkt + 8, 16, 0) &&
	       wg_endpoint_from_bytes(&out->dst, pkt + 24, 16, 0) &&
	       nat_packet_parse_udp(pkt + IP6_HEADER, len - IP6_HEADER, out);
}

gboolean
nat_packet_parse_ip(const guint8 *pkt, gsize len, NatUdp *out)
{
	gboolean ok = FALSE;

	memset(out, 0, sizeof *out);
	if (len > 0 && pkt[0] >> 4 == 4)
		ok = parse_ip4(pkt, len, out);
	else if (len > 0 && pkt[0] >> 4 == 6)
		ok = parse_ip6(pkt, len, out);
	if (!ok)
		memset(out, 0, sizeof *out);
	return ok;
}

static guint16
udp_checksum(const guint8 *seg, gsize len, const WgEndpoint *src, const WgEndpoint *dst)
{
	gsize src_len = 0, dst_len = 0;
	const guint8 *from = wg_endpoint_bytes(src, &src_len);
	const guint8 *to = wg_endpoint_bytes(dst, &dst_len);
	guint32 acc = IPPROTO_UDP + (guint32)len;
	guint16 checksum;

	acc = sum(acc, from, src_len);
	acc = sum(acc, to, dst_len);
	checksum = fold(sum(acc, seg, len));
	return checksum == 0 ? 0xffff : checksum; /* 0 would mean "none": RFC 768 */
}

gsize
nat_packet_build_udp(guint8 *buf, gsize size, const WgEndpoint *src, const WgEndpoint *dst,
		     const guint8 *payload, gsize len)
{
	if (!wg_endpoint_is_set(src) || wg_endpoint_family(src) != wg_endpoint_family(dst))
		return 0;
	if (len > 65535 - NAT_PACKET_OVERHEAD || size < UDP_HEADER + len)
		return 0;
	put16(buf, wg_endpoint_port(src));
	put16(buf + 2, wg_endpoint_port(dst));
	put16(buf + 4, UDP_HEADER + len);
	put16(buf + UDP_CHECKSUM_AT, 0);
	if (len > 0)
		memmove(buf + UDP_HEADER, payload, len);
	put16(buf + UDP_CHECKSUM_AT, udp_checksum(buf, UDP_HEADER + len, src, dst));
	return UDP_HEADER + len;
}

static void
fill_ip4(guint8 *buf, gsize total, const guint8 *src, const guint8 *dst)
{
	memset(buf, 0, IP4_HEADER);
	buf[0] = 0x45;
	put16(buf + 2, total);
	buf[6] = 0x40; /* DF: the id may be 0 (RFC 6864 §4.1) */
	buf[8] = TTL;
	buf[9] = IPPROTO_UDP;
	memcpy(buf + 12, src, 4);
	memcpy(buf + 16, dst, 4);
	put16(buf + 10, fold(sum(0, buf, IP4_HEADER)));
}

static void
fill_ip6(guint8 *buf, gsize total, const guint8 *src, const guint8 *dst)
{
	memset(buf, 0, IP6_HEADER);
	buf[0] = 0x60;
	put16(buf + 4, total - IP6_HEADER);
	buf[6] = IPPROTO_UDP;
	buf[7] = TTL;
	memcpy(buf + 8, src, 16);
	memcpy(buf + 24, dst, 16);
}

gsize
nat_packet_build_ip(guint8 *buf, gsize size, const WgEndpoint *src, const WgEndpoint *dst,
		    const guint8 *payload, gsize len)
{
	gsize header = wg_endpoint_family(src) == AF_INET ? IP4_HEADER : IP6_HEADER;
	gsize addr_len = 0, udp;

	if (size < header)
		return 0;
	udp = nat_packet_build_udp(buf + header, size - header, src, dst, payload, len);
	if (udp == 0)
		return 0;
	(header == IP4_HEADER ? fill_ip4 : fill_ip6)(buf, header + udp,
						     wg_endpoint_bytes(src, &addr_len),
						     wg_endpoint_bytes(dst, &addr_len));
	return header + udp;
}
