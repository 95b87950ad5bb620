/* SPDX-License-Identifier: MIT */
/*
 * WgEndpoint: an IPv4 or IPv6 address with a port, the one transport address type of the project.
 * An open value type; all zero is "unset" (AF_UNSPEC). Pure: no I/O, any thread.
 */
#pragma once

#include <glib.h>
#include <netinet/in.h>

typedef union {
	struct sockaddr sa;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
} WgEndpoint;

#define WG_ENDPOINT_STRLEN 64 /* "[v6%scope]:port" and its NUL */

/* Whether the family is AF_INET or AF_INET6. */
gboolean wg_endpoint_is_set(const WgEndpoint *ep);
/* Address, port and, for link-local IPv6, scope. flowinfo is ignored. */
gboolean wg_endpoint_equal(gconstpointer a, gconstpointer b); /* GEqualFunc */
guint wg_endpoint_hash(gconstpointer ep);		      /* GHashFunc */
/* Same address; ports are not compared. */
gboolean wg_endpoint_same_address(const WgEndpoint *a, const WgEndpoint *b);

/* Numeric only: "192.0.2.1:51820", "[2001:db8::1]:51820", "[fe80::1%2]:51820" (numeric scope or
 * interface name). Never resolves names. FALSE leaves *out unset. */
gboolean wg_endpoint_parse(const char *text, WgEndpoint *out);
/* An address without a port ("192.0.2.1", "2001:db8::1") and a port in host byte order. */
gboolean wg_endpoint_parse_address(const char *text, guint16 port, WgEndpoint *out);
/* Returns buf; "(none)" when unset, as wg(8) prints it. */
const char *wg_endpoint_format(const WgEndpoint *ep, char buf[WG_ENDPOINT_STRLEN]);
/* The address alone, without brackets or port. Returns buf. */
const char *wg_endpoint_format_address(const WgEndpoint *ep, char buf[WG_ENDPOINT_STRLEN]);

/* Copies a sockaddr; v4-mapped IPv6 becomes IPv4. FALSE (and unset) for other families or a
 * short length. */
gboolean wg_endpoint_from_sockaddr(WgEndpoint *out, gconstpointer sa, gsize len);
/* From raw network-order address bytes (4 or 16) and a host-order port. */
gboolean wg_endpoint_from_bytes(WgEndpoint *out, gconstpointer addr, gsize len, guint16 port);
socklen_t wg_endpoint_socklen(const WgEndpoint *ep);
int wg_endpoint_family(const WgEndpoint *ep);
guint16 wg_endpoint_port(const WgEndpoint *ep); /* host byte order, 0 when unset */
void wg_endpoint_set_port(WgEndpoint *ep, guint16 port);
/* Pointer to the 4 or 16 network-order address bytes, *len set; NULL when unset. */
const guint8 *wg_endpoint_bytes(const WgEndpoint *ep, gsize *len);
/* Loopback, unspecified, multicast, broadcast or v4-mapped leftovers: never a peer's address. */
gboolean wg_endpoint_is_bogus(const WgEndpoint *ep);
/* 0.0.0.0 or [::]: where a socket is bound to it, any address of the host. */
gboolean wg_endpoint_is_wildcard(const WgEndpoint *ep);
/* Only reachable inside some network: RFC 1918, the carriers' 100.64.0.0/10 (RFC 6598), link-local,
 * unique local (RFC 4193). */
gboolean wg_endpoint_is_private(const WgEndpoint *ep);
/* 127.0.0.0/8 or ::1: this host alone. */
gboolean wg_endpoint_is_loopback(const WgEndpoint *ep);
/* fe80::/10 or 169.254.0.0/16. */
gboolean wg_endpoint_is_link_local(const WgEndpoint *ep);

/* Appends ep to an array of WgEndpoint unless one that is `same` is there. */
typedef gboolean (*WgEndpointSame)(const WgEndpoint *a, const WgEndpoint *b);
void wg_endpoint_array_add(GArray *array, const WgEndpoint *ep, WgEndpointSame same);
/* Whether one that is `same` is there. */
gboolean wg_endpoint_array_has(const GArray *array, const WgEndpoint *ep, WgEndpointSame same);
/* Whether it is just these n, in this order, by wg_endpoint_equal(). */
gboolean wg_endpoint_array_equal(const GArray *array, const WgEndpoint *eps, gsize n);
/* Whether it is as many as these n, and each of them is there: resolvers shuffle. */
gboolean wg_endpoint_array_equal_set(const GArray *array, const WgEndpoint *eps, gsize n,
				     WgEndpointSame same);
/* wg_endpoint_equal() as such a function: address, port and scope. */
gboolean wg_endpoint_same(const WgEndpoint *a, const WgEndpoint *b);
