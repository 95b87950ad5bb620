/* SPDX-License-Identifier: MIT */
#include "agent/netcheck/net-portmap.h"

#include <string.h>

#include "agent/portmap/map-http.h"

#define PMP_VERSION 0
#define PCP_VERSION 2
#define PMP_EXTERNAL 0
#define PCP_ANNOUNCE 0
#define IS_ANSWER 0x80 /* of PMP's opcode byte, and of PCP's R bit */
#define PMP_HEADER 8
#define PMP_EXTERNAL_LEN 12
#define PCP_HEADER 24
#define PCP_MAX 1100 /* RFC 6887 §7 */
#define PCP_UNSUPPORTED_OPCODE 4
#define MX_S 1

/* ---- requests ---- */

static gsize
pcp_request(const WgEndpoint *own, guint8 *buf)
{
	gsize len;
	const guint8 *bytes = wg_endpoint_bytes(own, &len);

	memset(buf, 0, PCP_HEADER);
	buf[0] = PCP_VERSION;
	buf[1] = PCP_ANNOUNCE;
	/* RFC 6887 §5: IPv4 as ::ffff:a.b.c.d */
	if (bytes && len == 16) {
		memcpy(buf + 8, bytes, 16);
	} else if (bytes) {
		buf[18] = buf[19] = 0xff;
		memcpy(buf + 20, bytes, 4);
	}
	return PCP_HEADER;
}

static gsize
ssdp_request(const WgEndpoint *to, guint8 *buf)
{
	char host[WG_ENDPOINT_STRLEN];
	int len = g_snprintf((char *)buf, NET_PORTMAP_REQUEST_MAX,
			     "M-SEARCH * HTTP/1.1\r\n"
			     "HOST: %s\r\n"
			     "MAN: \"ssdp:discover\"\r\n"
			     "MX: %d\r\n"
			     "ST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n"
			     "\r\n",
			     wg_endpoint_format(to, host), MX_S);

	return (gsize)MIN(len, NET_PORTMAP_REQUEST_MAX - 1);
}

gsize
net_portmap_request(NetPortmapKind kind, const WgEndpoint *own, const WgEndpoint *to,
		    guint8 buf[NET_PORTMAP_REQUEST_MAX])
{
	switch (kind) {
	case NET_PORTMAP_PMP:
		buf[0] = PMP_VERSION;
		buf[1] = PMP_EXTERNAL;
		return 2;
	case NET_PORTMAP_PCP:
		return pcp_request(own, buf);
	case NET_PORTMAP_UPNP:
		return ssdp_request(to, buf);
	}
	return 0;
}

/* ---- answers ---- */

/* A router with PCP alone answers a NAT-PMP request by its own header, "unsupported version", and
 * one with NAT-PMP alone a PCP request likewise (RFC 6887 §9): neither says that what was asked
 * for is there. */
static gboolean
parse_binary(const guint8 *msg, gsize len, NetPortmapAnswer *out)
{
	if (len < PMP_HEADER || !(msg[1] & IS_ANSWER))
		return FALSE;
	if (msg[0] == PMP_VERSION) {
		out->kind = NET_PORTMAP_PMP;
		out->code = (guint)msg[2] << 8 | msg[3];
		if ((msg[1] & ~IS_ANSWER) != PMP_EXTERNAL ||
		    (out->code == 0 && len != PMP_EXTERNAL_LEN))
			return FALSE;
		if (out->code == 0 && wg_endpoint_from_bytes(&out->external, msg + 8, 4, 0) &&
		    wg_endpoint_is_bogus(&out->external))
			memset(&out->external, 0, sizeof out->external);
		return TRUE;
	}
	if (msg[0] < PCP_VERSION || len < PCP_HEADER || len > PCP_MAX || len % 4 != 0 ||
	    (msg[1] & ~IS_ANSWER) != PCP_ANNOUNCE)
		return FALSE;
	out->kind = NET_PORTMAP_PCP;
	out->code = msg[3];
	/* it does PCP, though nothing is announced by it */
	if (out->code == PCP_UNSUPPORTED_OPCODE)
		out->code = 0;
	return TRUE;
}

/* host[:port] of an http URL, where that is printable, has none of the letters that mean something
 * in URLs, and is no longer than it can be. */
static void
read_host(const char *url, gsize len, char host[NET_PORTMAP_HOST_MAX])
{
	static const char SCHEME[] = "http://";
	gsize n = 0, at = sizeof SCHEME - 1;

	host[0] = '\0';
	if (len <= at || g_ascii_strncasecmp(url, SCHEME, at) != 0)
		return;
	while (at + n < len && url[at + n] != '/')
		n++;
	if (n == 0 || n >= NET_PORTMAP_HOST_MAX)
		return;
	for (gsize i = 0; i < n; i++)
		if (!g_ascii_isalnum(url[at + i]) && !strchr(".:-[]", url[at + i]))
			return;
	memcpy(host, url + at, n);
	host[n] = '\0';
}

static gboolean
parse_ssdp(const char *text, gsize len, NetPortmapAnswer *out)
{
	static const char DEVICE[] = "urn:schemas-upnp-org:device:InternetGatewayDevice:";
	gsize st_len = 0, location_len = 0;
	const char *st, *location;

	if (memchr(text, '\0', len) || len < 12 || memcmp(text, "HTTP/1.", 7) != 0 ||
	    memcmp(text + 8, " 200", 4) != 0)
		return FALSE;
	st = map_http_field(text, len, "ST", &st_len);
	location = map_http_field(text, len, "LOCATION", &location_len);
	if (!st || !location || st_len < sizeof DEVICE - 1 ||
	    memcmp(st, DEVICE, sizeof DEVICE - 1) != 0)
		return FALSE;
	out->kind = NET_PORTMAP_UPNP;
	read_host(location, location_len, out->host);
	return TRUE;
}

gboolean
net_portmap_parse(const guint8 *msg, gsize len, gboolean ssdp, NetPortmapAnswer *out)
{
	memset(out, 0, sizeof *out);
	if (len > NET_PORTMAP_ANSWER_MAX)
		return FALSE;
	return ssdp ? parse_ssdp((const char *)msg, len, out) : parse_binary(msg, len, out);
}

const char *
net_portmap_code_to_string(NetPortmapKind kind, guint code)
{
	if (code == 1)
		return "another version only";
	if (code == 2)
		return "switched off";
	if (kind == NET_PORTMAP_PMP && code == 3)
		return "it has no address itself";
	if (kind == NET_PORTMAP_PCP && code == 12)
		return "another NAT in between";
	return "refused";
}
