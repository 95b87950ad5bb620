/* SPDX-License-Identifier: MIT */
/*
 * Names, endpoints and networks as an innernet server reads and prints them. Its endpoints have a
 * URL's host (https://url.spec.whatwg.org/#host-parsing): an IPv4 address in any of the old
 * spellings, an IPv6 address in brackets, which is printed in hex throughout, or a name. Pure.
 */
#pragma once

#include "wgctl/wg-endpoint.h"

typedef struct {
	WgEndpoint address; /* port 0; host bits as they were written */
	guint8 prefix;
} TextNet;

/* "host:port" as the server would print it, NULL where it takes it for none. (transfer full) */
char *text_endpoint(const char *text);
char *text_endpoint_print(const WgEndpoint *ep);
/* Both of what text_endpoint() has given. */
gboolean text_endpoint_is_unspecified(const char *endpoint);
guint16 text_endpoint_port(const char *endpoint);
/* Asks the resolver for names: blocking. */
gboolean text_endpoint_resolve(const char *endpoint, WgEndpoint *out);

/* hostname(7) as innernet has it: lower case, digits, single dashes inside, less than 64. */
gboolean text_is_name(const char *text);

gboolean text_net_parse(const char *text, TextNet *out);
/* (transfer full) with the host bits */
char *text_net_print(const TextNet *net);
void text_net_truncate(TextNet *net); /* host bits: 0 */
gboolean text_net_contains(const TextNet *net, const WgEndpoint *address);
/* Not the first address of it, and not the last one of IPv4. */
gboolean text_net_is_assignable(const TextNet *net, const WgEndpoint *address);
/* Whether one has addresses of the other. */
gboolean text_net_overlaps(const TextNet *a, const TextNet *b);
