/* SPDX-License-Identifier: MIT */
/*
 * IP and UDP packets as they cross the TUN and the raw sockets. Pure: bytes in, bytes out; every
 * length is checked; input may be hostile.
 */
#pragma once

#include "wgctl/wg-endpoint.h"

typedef struct {
	WgEndpoint src, dst;
	const guint8 *payload; /* points into the packet */
	gsize len;
} NatUdp;

#define NAT_PACKET_OVERHEAD 48 /* IPv6 + UDP header */
#define NAT_PACKET_MAX 1500

/* A whole IPv4 or IPv6 packet holding UDP (from the TUN, or a raw IPv4 socket). Refuses fragments,
 * IPv6 extension headers, wrong lengths. Checksums are not verified (the kernel did, or the TUN
 * is ours). */
gboolean nat_packet_parse_ip(const guint8 *pkt, gsize len, NatUdp *out);
/* A UDP header and payload (what a raw IPv6 socket delivers); addresses in src/dst are the
 * caller's, ports are filled in. */
gboolean nat_packet_parse_udp(const guint8 *seg, gsize len, NatUdp *out);
/* Builds IP header, UDP header and payload with correct checksums; src and dst of one family.
 * Returns the packet's length, 0 when buf is too small or the families differ. */
gsize nat_packet_build_ip(guint8 *buf, gsize size, const WgEndpoint *src, const WgEndpoint *dst,
			  const guint8 *payload, gsize len);
/* The same without the IP header: for raw sockets without HDRINCL. The checksum covers the
 * pseudo header (RFC 768, RFC 8200 §8.1). */
gsize nat_packet_build_udp(guint8 *buf, gsize size, const WgEndpoint *src, const WgEndpoint *dst,
			   const guint8 *payload, gsize len);
