/* SPDX-License-Identifier: MIT */
/* What parses can be built again, and the built packet parses to the same. */
#include "agent/net/nat-packet.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(gboolean ok)
{
	if (!ok)
		abort();
}

static void
rebuild(const NatUdp *udp)
{
	static guint8 buf[65536];
	NatUdp again;
	gsize len =
		nat_packet_build_ip(buf, sizeof buf, &udp->src, &udp->dst, udp->payload, udp->len);

	if (len == 0) {
		must(udp->len > 65535 - NAT_PACKET_OVERHEAD);
		return;
	}
	must(nat_packet_parse_ip(buf, len, &again));
	must(wg_endpoint_equal(&again.src, &udp->src) && wg_endpoint_equal(&again.dst, &udp->dst));
	must(again.len == udp->len && memcmp(again.payload, udp->payload, udp->len) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	NatUdp udp;

	if (nat_packet_parse_ip(data, size, &udp)) {
		must(udp.payload >= data && udp.payload + udp.len <= data + size);
		rebuild(&udp);
	}
	memset(&udp, 0, sizeof udp);
	if (nat_packet_parse_udp(data, size, &udp))
		must(udp.payload + udp.len == data + size);
	return 0;
}
