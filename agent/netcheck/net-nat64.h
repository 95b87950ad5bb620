/* SPDX-License-Identifier: MIT */
/* NAT64 as a host can find it (RFC 7050): which prefix the resolver puts before IPv4 addresses
 * (RFC 6052). Pure; any thread. */
#pragma once

#include "wgctl/wg-endpoint.h"

#define NET_NAT64_NAME                                                                             \
	"ipv4only.arpa" /* has no IPv6 address but those that are made of its two                  \
			 */

/* The prefix in an address that the resolver gave for NET_NAT64_NAME. FALSE: it is none. */
gboolean net_nat64_prefix(const WgEndpoint *address, WgEndpoint *prefix, guint *prefix_len);
/* The IPv6 address that leads to an IPv4 one, with its port. */
gboolean net_nat64_through(const WgEndpoint *prefix, guint prefix_len, const WgEndpoint *v4,
			   WgEndpoint *out);
