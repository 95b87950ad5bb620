/* SPDX-License-Identifier: MIT */
#include "wgctl/wg-endpoint.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <string.h>

#define ADDRESS_STRLEN (INET6_ADDRSTRLEN + IF_NAMESIZE)

static void
unset(WgEndpoint *ep)
{
	memset(ep, 0, sizeof *ep);
}

static gboolean
is_link_local6(const WgEndpoint *ep)
{
	return IN6_IS_ADDR_LINKLOCAL(&ep->v6.sin6_addr);
}

/* Bare decimal up to max: no sign, no space, no empty string, as strtoul would allow. */
static gboolean
parse_number(const char *text, guint64 max, guint32 *out)
{
	guint64 value;

	if (!g_ascii_isdigit(text[0]) ||
	    !g_ascii_string_to_unsigned(text, 10, 0, max, &value, NULL))
		return FALSE;
	*out = value;
	return TRUE;
}

static gboolean
parse_scope(const char *text, guint32 *scope)
{
	if (!parse_number(text, G_MAXINT32, scope))
		*scope = strlen(text) < IF_NAMESIZE ? if_nametoindex(text) : 0;
	return *scope != 0;
}

gboolean
wg_endpoint_is_set(const WgEndpoint *ep)
{
	return ep->sa.sa_family == AF_INET || ep->sa.sa_family == AF_INET6;
}

int
wg_endpoint_family(const WgEndpoint *ep)
{
	return ep->sa.sa_family;
}

guint16
wg_endpoint_port(const WgEndpoint *ep)
{
	if (ep->sa.sa_family == AF_INET)
		return ntohs(ep->v4.sin_port);
	if (ep->sa.sa_family == AF_INET6)
		return ntohs(ep->v6.sin6_port);
	return 0;
}

void
wg_endpoint_set_port(WgEndpoint *ep, guint16 port)
{
	if (ep->sa.sa_family == AF_INET)
		ep->v4.sin_port = htons(port);
	else if (ep->sa.sa_family == AF_INET6)
		ep->v6.sin6_port = htons(port);
}

const guint8 *
wg_endpoint_bytes(const WgEndpoint *ep, gsize *len)
{
	if (ep->sa.sa_family == AF_INET) {
		*len = sizeof ep->v4.sin_addr;
		return (const guint8 *)&ep->v4.sin_addr;
	}
	if (ep->sa.sa_family == AF_INET6) {
		*len = sizeof ep->v6.sin6_addr;
		return (const guint8 *)&ep->v6.sin6_addr;
	}
	*len = 0;
	return NULL;
}

socklen_t
wg_endpoint_socklen(const WgEndpoint *ep)
{
	if (ep->sa.sa_family == AF_INET)
		return sizeof ep->v4;
	if (ep->sa.sa_family == AF_INET6)
		return sizeof ep->v6;
	return 0;
}

gboolean
wg_endpoint_same_address(const WgEndpoint *a, const WgEndpoint *b)
{
	gsize len_a, len_b;
	const guint8 *bytes_a = wg_endpoint_bytes(a, &len_a);
	const guint8 *bytes_b = wg_endpoint_bytes(b, &len_b);

	if (len_a != len_b)
		return FALSE;
	if (len_a == 0)
		return TRUE;
	if (memcmp(bytes_a, bytes_b, len_a) != 0)
		return FALSE;
	return a->sa.sa_family != AF_INET6 || !is_link_local6(a) ||
	       a->v6.sin6_scope_id == b->v6.sin6_scope_id;
}

gboolean
wg_endpoint_equal(gconstpointer a, gconstpointer b)
{
	return wg_endpoint_same_address(a, b) && wg_endpoint_port(a) == wg_endpoint_port(b);
}

guint
wg_endpoint_hash(gconstpointer ep)
{
	const WgEndpoint *endpoint = ep;
	guint32 hash = 2166136261u; /* FNV-1a, 32 bits */
	gsize len;
	const guint8 *bytes = wg_endpoint_bytes(endpoint, &len);

	for (gsize i = 0; i < len; i++)
		hash = (hash ^ bytes[i]) * 16777619u;
	return (hash ^ wg_endpoint_port(endpoint)) * 16777619u;
}

gboolean
wg_endpoint_parse_address(const char *text, guint16 port, WgEndpoint *out)
{
	char buf[ADDRESS_STRLEN];
	char *scope;

	unset(out);
	if (g_strlcpy(buf, text, sizeof buf) >= sizeof buf)
		return FALSE;
	if (inet_pton(AF_INET, buf, &out->v4.sin_addr) == 1) {
		out->v4.sin_family = AF_INET;
		out->v4.sin_port = htons(port);
		return TRUE;
	}
	scope = strchr(buf, '%');
	if (scope)
		*scope++ = '\0';
	if (inet_pton(AF_INET6, buf, &out->v6.sin6_addr) != 1 ||
	    /* A scope says nothing about an address that is not link-local: a typing error. */
	    (scope && (!is_link_local6(out) || !parse_scope(scope, &out->v6.sin6_scope_id)))) {
		unset(out);
		return FALSE;
	}
	out->v6.sin6_family = AF_INET6;
	out->v6.sin6_port = htons(port);
	return TRUE;
}

gboolean
wg_endpoint_parse(const char *text, WgEndpoint *out)
{
	char address[ADDRESS_STRLEN];
	const char *colon = strrchr(text, ':');
	gboolean brackets = text[0] == '[';
	const char *start = text + (brackets ? 1 : 0);
	const char *end = colon;
	guint32 port;
	int family;

	unset(out);
	if (!colon || !parse_number(colon + 1, G_MAXUINT16, &port))
		return FALSE;
	if (brackets && *--end != ']')
		return FALSE;
	if (end <= start || (gsize)(end - start) >= sizeof address)
		return FALSE;
	memcpy(address, start, end - start);
	address[end - start] = '\0';
	if (!wg_endpoint_parse_address(address, port, out))
		return FALSE;
	/* Brackets belong to IPv6 and only there: "::1:51820" would be read as an address. */
	family = brackets ? AF_INET6 : AF_INET;
	if (out->sa.sa_family != family) {
		unset(out);
		return FALSE;
	}
	return TRUE;
}

const char *
wg_endpoint_format_address(const WgEndpoint *ep, char buf[WG_ENDPOINT_STRLEN])
{
	char address[INET6_ADDRSTRLEN];
	gsize len;
	const guint8 *bytes = wg_endpoint_bytes(ep, &len);

	if (!bytes) {
		g_strlcpy(buf, "(none)", WG_ENDPOINT_STRLEN);
		return buf;
	}
	inet_ntop(ep->sa.sa_family, bytes, address, sizeof address);
	if (ep->sa.sa_family == AF_INET6 && is_link_local6(ep) && ep->v6.sin6_scope_id)
		g_snprintf(buf, WG_ENDPOINT_STRLEN, "%s%%%u", address, ep->v6.sin6_scope_id);
	else
		g_strlcpy(buf, address, WG_ENDPOINT_STRLEN);
	return buf;
}

const char *
wg_endpoint_format(const WgEndpoint *ep, char buf[WG_ENDPOINT_STRLEN])
{
	char address[WG_ENDPOINT_STRLEN];
	gboolean v6 = ep->sa.sa_family == AF_INET6;

	wg_endpoint_format_address(ep, address);
	if (wg_endpoint_is_set(ep))
		g_snprintf(buf, WG_ENDPOINT_STRLEN, v6 ? "[%.50s]:%u" : "%.50s:%u", address,
			   wg_endpoint_port(ep));
	else
		g_strlcpy(buf, address, WG_ENDPOINT_STRLEN);
	return buf;
}

gboolean
wg_endpoint_from_bytes(WgEndpoint *out, gconstpointer addr, gsize len, guint16 port)
{
	unset(out);
	if (len == sizeof out->v4.sin_addr) {
		out->v4.sin_family = AF_INET;
		memcpy(&out->v4.sin_addr, addr, len);
	} else if (len == sizeof out->v6.sin6_addr) {
		out->v6.sin6_family = AF_INET6;
		memcpy(&out->v6.sin6_addr, addr, len);
	} else {
		return FALSE;
	}
	wg_endpoint_set_port(out, port);
	return TRUE;
}

gboolean
wg_endpoint_from_sockaddr(WgEndpoint *out, gconstpointer sa, gsize len)
{
	WgEndpoint in = {0};
	const struct in6_addr *addr = &in.v6.sin6_addr;

	unset(out);
	/* Netlink attributes are aligned to 4 bytes only, hence the copy. */
	memcpy(&in, sa, MIN(len, sizeof in));
	if (in.sa.sa_family == AF_INET && len >= sizeof in.v4)
		return wg_endpoint_from_bytes(out, &in.v4.sin_addr, sizeof in.v4.sin_addr,
					      ntohs(in.v4.sin_port));
	if (in.sa.sa_family != AF_INET6 || len < sizeof in.v6)
		return FALSE;
	if (IN6_IS_ADDR_V4MAPPED(addr))
		return wg_endpoint_from_bytes(out, &addr->s6_addr[12], 4, ntohs(in.v6.sin6_port));
	wg_endpoint_from_bytes(out, addr, sizeof *addr, ntohs(in.v6.sin6_port));
	if (is_link_local6(out))
		out->v6.sin6_scope_id = in.v6.sin6_scope_id;
	return TRUE;
}

static gboolean
is_bogus4(const guint8 *b)
{
	return b[0] == 0 || b[0] == 127 || (b[0] & 0xf0) == 224 ||
	       (b[0] & b[1] & b[2] & b[3]) == 255;
}

gboolean
wg_endpoint_is_bogus(const WgEndpoint *ep)
{
	const struct in6_addr *addr = &ep->v6.sin6_addr;

	if (ep->sa.sa_family == AF_INET)
		return is_bogus4((const guint8 *)&ep->v4.sin_addr);
	if (ep->sa.sa_family != AF_INET6)
		return TRUE;
	return IN6_IS_ADDR_UNSPECIFIED(addr) || IN6_IS_ADDR_LOOPBACK(addr) ||
	       IN6_IS_ADDR_MULTICAST(addr) || IN6_IS_ADDR_V4MAPPED(addr) ||
	       IN6_IS_ADDR_V4COMPAT(addr);
}

gboolean
wg_endpoint_is_wildcard(const WgEndpoint *ep)
{
	if (ep->sa.sa_family == AF_INET)
		return ep->v4.sin_addr.s_addr == INADDR_ANY;
	return ep->sa.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&ep->v6.sin6_addr);
}

gboolean
wg_endpoint_is_loopback(const WgEndpoint *ep)
{
	if (ep->sa.sa_family == AF_INET6)
		return IN6_IS_ADDR_LOOPBACK(&ep->v6.sin6_addr);
	return ep->sa.sa_family == AF_INET && ntohl(ep->v4.sin_addr.s_addr) >> 24 == 127;
}

gboolean
wg_endpoint_is_link_local(const WgEndpoint *ep)
{
	const guint8 *b = (const guint8 *)&ep->v4.sin_addr;

	if (ep->sa.sa_family == AF_INET)
		return b[0] == 169 && b[1] == 254;
	return ep->sa.sa_family == AF_INET6 && is_link_local6(ep);
}

gboolean
wg_endpoint_same(const WgEndpoint *a, const WgEndpoint *b)
{
	return wg_endpoint_equal(a, b);
}

gboolean
wg_endpoint_array_has(const GArray *array, const WgEndpoint *ep, WgEndpointSame same)
{
	for (guint i = 0; i < array->len; i++)
		if (same(&g_array_index(array, WgEndpoint, i), ep))
			return TRUE;
	return FALSE;
}

void
wg_endpoint_array_add(GArray *array, const WgEndpoint *ep, WgEndpointSame same)
{
	if (!wg_endpoint_array_has(array, ep, same))
		g_array_append_val(array, *ep);
}

gboolean
wg_endpoint_array_equal(const GArray *array, const WgEndpoint *eps, gsize n)
{
	if (array->len != n)
		return FALSE;
	for (gsize i = 0; i < n; i++)
		if (!wg_endpoint_equal(&g_array_index(array, WgEndpoint, i), &eps[i]))
			return FALSE;
	return TRUE;
}

gboolean
wg_endpoint_array_equal_set(const GArray *array, const WgEndpoint *eps, gsize n,
			    WgEndpointSame same)
{
	for (gsize i = 0; i < n; i++)
		if (!wg_endpoint_array_has(array, &eps[i], same))
			return FALSE;
	return array->len == n;
}

gboolean
wg_endpoint_is_private(const WgEndpoint *ep)
{
	guint32 a;

	if (wg_endpoint_is_link_local(ep))
		return TRUE;
	if (wg_endpoint_family(ep) == AF_INET6)
		return (ep->v6.sin6_addr.s6_addr[0] & 0xfe) == 0xfc;
	if (wg_endpoint_family(ep) != AF_INET)
		return FALSE;
	a = g_ntohl(ep->v4.sin_addr.s_addr);
	return a >> 24 == 10 || a >> 20 == (172 << 4 | 1) || a >> 16 == (192 << 8 | 168) ||
	       a >> 22 == (100 << 2 | 1);
}
