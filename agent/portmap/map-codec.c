/* SPDX-License-Identifier: MIT */
#include "agent/portmap/map-codec.h"

#include <string.h>

#define PMP_VERSION 0
#define PCP_VERSION 2
#define ANSWER 0x80 /* of NAT-PMP's opcode byte, and PCP's R bit */
#define PMP_OP_ADDRESS 0
#define PMP_OP_UDP 1
#define PCP_OP_ANNOUNCE 0
#define PCP_OP_MAP 1
#define UDP 17
#define PMP_HEADER 8
#define PMP_ADDRESS_LEN 12
#define PMP_MAP_LEN 16
#define PCP_HEADER 24
#define PCP_MAP_LEN 60
#define UNSUPPORTED_VERSION 1 /* of both */
#define PCP_NO_RESOURCES 8

/* ---- bytes ---- */

static void
put16(guint8 *at, guint16 value)
{
	at[0] = (guint8)(value >> 8);
	at[1] = (guint8)value;
}

static void
put32(guint8 *at, guint32 value)
{
	put16(at, (guint16)(value >> 16));
	put16(at + 2, (guint16)value);
}

static guint16
get16(const guint8 *at)
{
	return (guint16)((guint)at[0] << 8 | at[1]);
}

static guint32
get32(const guint8 *at)
{
	return (guint32)get16(at) << 16 | get16(at + 2);
}

/* RFC 6887 §5: IPv4 as ::ffff:a.b.c.d, no address as zero of its family. */
static void
put_address(guint8 *at, const WgEndpoint *address, int family)
{
	gsize len = 0;
	const guint8 *bytes = wg_endpoint_bytes(address, &len);

	memset(at, 0, 16);
	if (family == AF_INET)
		at[10] = at[11] = 0xff;
	if (bytes && len == 16)
		memcpy(at, bytes, 16);
	else if (bytes)
		memcpy(at + 12, bytes, 4);
}

static gboolean
get_address(const guint8 *at, guint16 port, WgEndpoint *out)
{
	static const guint8 MAPPED[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

	if (memcmp(at, MAPPED, sizeof MAPPED) == 0)
		return wg_endpoint_from_bytes(out, at + 12, 4, port);
	return wg_endpoint_from_bytes(out, at, 16, port);
}

/* ---- requests ---- */

gsize
map_codec_pmp_address(guint8 buf[MAP_CODEC_REQUEST_MAX])
{
	buf[0] = PMP_VERSION;
	buf[1] = PMP_OP_ADDRESS;
	return 2;
}

gsize
map_codec_pmp_map(guint8 buf[MAP_CODEC_REQUEST_MAX], guint16 internal_port, guint16 suggested_port,
		  guint32 lifetime_s)
{
	memset(buf, 0, 12);
	buf[1] = PMP_OP_UDP;
	put16(buf + 4, internal_port);
	put16(buf + 6, suggested_port);
	put32(buf + 8, lifetime_s);
	return 12;
}

static void
pcp_header(guint8 *buf, guint8 opcode, const WgEndpoint *own, guint32 lifetime_s)
{
	memset(buf, 0, PCP_HEADER);
	buf[0] = PCP_VERSION;
	buf[1] = opcode;
	put32(buf + 4, lifetime_s);
	put_address(buf + 8, own, wg_endpoint_family(own));
}

gsize
map_codec_pcp_announce(guint8 buf[MAP_CODEC_REQUEST_MAX], const WgEndpoint *own)
{
	pcp_header(buf, PCP_OP_ANNOUNCE, own, 0);
	return PCP_HEADER;
}

gsize
map_codec_pcp_map(guint8 buf[MAP_CODEC_REQUEST_MAX], const WgEndpoint *own,
		  const guint8 nonce[MAP_NONCE_LEN], const WgEndpoint *suggested,
		  guint32 lifetime_s)
{
	guint8 *map = buf + PCP_HEADER;

	pcp_header(buf, PCP_OP_MAP, own, lifetime_s);
	memset(map, 0, PCP_MAP_LEN - PCP_HEADER);
	memcpy(map, nonce, MAP_NONCE_LEN);
	map[12] = UDP;
	put16(map + 16, wg_endpoint_port(own));
	put16(map + 18, wg_endpoint_port(suggested));
	put_address(map + 20, suggested, wg_endpoint_family(own));
	return PCP_MAP_LEN;
}

/* ---- answers ---- */

static gboolean
parse_pmp(const guint8 *msg, gsize len, MapAnswer *out)
{
	guint opcode = msg[1] & ~(guint)ANSWER;

	if (len < PMP_HEADER)
		return FALSE;
	out->protocol = MAP_PMP;
	out->code = get16(msg + 2);
	out->epoch_s = get32(msg + 4);
	if (out->code == UNSUPPORTED_VERSION) {
		out->kind = MAP_ANSWER_VERSION;
		return TRUE;
	}
	if (opcode != PMP_OP_ADDRESS && opcode != PMP_OP_UDP)
		return FALSE;
	out->kind = opcode == PMP_OP_ADDRESS ? MAP_ANSWER_ADDRESS : MAP_ANSWER_MAPPING;
	if (out->kind == MAP_ANSWER_ADDRESS && out->code == 0)
		return len == PMP_ADDRESS_LEN &&
		       wg_endpoint_from_bytes(&out->external, msg + 8, 4, 0);
	if (out->kind == MAP_ANSWER_MAPPING && len == PMP_MAP_LEN) {
		out->internal_port = get16(msg + 8);
		out->external_port = get16(msg + 10);
		out->lifetime_s = get32(msg + 12);
	}
	return out->code != 0 || len == PMP_MAP_LEN;
}

static gboolean
parse_pcp_map(const guint8 *map, MapAnswer *out)
{
	memcpy(out->nonce, map, MAP_NONCE_LEN);
	out->internal_port = get16(map + 16);
	out->external_port = get16(map + 18);
	return map[12] == UDP && get_address(map + 20, out->external_port, &out->external);
}

static gboolean
parse_pcp(const guint8 *msg, gsize len, MapAnswer *out)
{
	guint opcode = msg[1] & ~(guint)ANSWER;

	if (len < PCP_HEADER || len % 4 != 0)
		return FALSE;
	out->protocol = MAP_PCP;
	out->code = msg[3];
	out->lifetime_s = get32(msg + 4);
	out->epoch_s = get32(msg + 8);
	if (out->code == UNSUPPORTED_VERSION) {
		out->kind = MAP_ANSWER_VERSION;
		return TRUE;
	}
	if (opcode == PCP_OP_ANNOUNCE) {
		out->kind = MAP_ANSWER_ANNOUNCE;
		return TRUE;
	}
	out->kind = MAP_ANSWER_MAPPING;
	return opcode == PCP_OP_MAP && len >= PCP_MAP_LEN && parse_pcp_map(msg + PCP_HEADER, out);
}

gboolean
map_codec_parse(const guint8 *msg, gsize len, MapAnswer *out)
{
	memset(out, 0, sizeof *out);
	if (len < 4 || len > MAP_CODEC_ANSWER_MAX || !(msg[1] & ANSWER))
		return FALSE;
	/* RFC 6887 §9: a newer server answers an older request in its own version, by this code */
	if (msg[0] == PMP_VERSION)
		return parse_pmp(msg, len, out);
	return msg[0] >= PCP_VERSION && parse_pcp(msg, len, out) &&
	       (msg[0] == PCP_VERSION || out->code == UNSUPPORTED_VERSION);
}

guint32
map_codec_clamp_lifetime(guint32 lifetime_s)
{
	return CLAMP(lifetime_s, MAP_LIFETIME_MIN_S, MAP_LIFETIME_MAX_S);
}

/* ---- the gateway's clock ---- */

gboolean
map_epoch_see(MapEpoch *epoch, guint32 epoch_s, gint64 now_us)
{
	MapEpoch before = *epoch;
	gint64 ours = (now_us - before.at_us) / G_USEC_PER_SEC;
	gint64 its = (gint64)epoch_s - before.epoch_s;

	*epoch = (MapEpoch){TRUE, epoch_s, now_us};
	if (!before.known)
		return TRUE;
	/* RFC 6887 §8.5: a second back is a matter of order */
	if (its < -1)
		return FALSE;
	return ours + 2 >= its - its / 16 && its + 2 >= ours - ours / 16;
}

/* ---- words ---- */

const char *
map_protocol_to_string(MapProtocol protocol)
{
	switch (protocol) {
	case MAP_PCP:
		return "pcp";
	case MAP_PMP:
		return "nat-pmp";
	case MAP_UPNP:
		return "upnp";
	}
	return "unknown";
}

gboolean
map_protocol_from_string(const char *text, MapProtocol *out)
{
	for (MapProtocol p = MAP_PCP; p <= MAP_UPNP; p++) {
		if (g_strcmp0(text, map_protocol_to_string(p)) == 0) {
			*out = p;
			return TRUE;
		}
	}
	return FALSE;
}

/* RFC 6887 §15 and RFC 6886 §3.4 have success for a mapping that does not exist; miniupnpd says
 * NO_RESOURCES then (DeletePCPMap of 2.3), which no removal could mean otherwise. What is declined
 * for another reason is there still. */
gboolean
map_codec_is_removed(const MapAnswer *answer)
{
	return answer->kind == MAP_ANSWER_MAPPING &&
	       (answer->code == 0 ||
		(answer->protocol == MAP_PCP && answer->code == PCP_NO_RESOURCES));
}

/* UPnP's are those of WANIPConnection and WANIPv6FirewallControl. */
static const char *
upnp_code(guint code)
{
	switch (code) {
	case 501:
		return "it fails";
	case 606:
	case 703: /* WANIPv6FirewallControl: InboundPinholeNotAllowed */
		return "switched off for this host";
	case 718:
	case 728:
		return "no port is free";
	default:
		return "refused";
	}
}

const char *
map_codec_code_to_string(MapProtocol protocol, guint code)
{
	if (protocol == MAP_UPNP)
		return upnp_code(code);
	if (code == 2)
		return "switched off";
	if (protocol == MAP_PMP)
		return code == 3 ? MAP_NO_ADDRESS : code == 4 ? "no port is free" : "refused";
	switch (code) {
	case 7:
		return MAP_NO_ADDRESS;
	case PCP_NO_RESOURCES:
	case 10:
		return "no port is free";
	case 11:
		return "the port is not to be had";
	case 12:
		return "another NAT is in between";
	default:
		return "refused";
	}
}
