/* SPDX-License-Identifier: MIT */
/*
 * What a router answers when it is asked whether it forwards ports: NAT-PMP (RFC 6886), PCP (RFC
 * 6887), UPnP IGD by SSDP. Only questions that change nothing. Answers are hostile input: parsing
 * is bounded, allocates nothing, and what is kept of text is printable. Pure; any thread.
 */
#pragma once

#include "wgctl/wg-endpoint.h"

#define NET_PORTMAP_PORT 5351
#define NET_PORTMAP_SSDP_PORT 1900
#define NET_PORTMAP_SSDP_GROUP "239.255.255.250"
#define NET_PORTMAP_REQUEST_MAX 256
#define NET_PORTMAP_ANSWER_MAX 2048 /* what is longer is dropped */
#define NET_PORTMAP_HOST_MAX 64

typedef enum { NET_PORTMAP_PMP, NET_PORTMAP_PCP, NET_PORTMAP_UPNP } NetPortmapKind;

typedef struct {
	NetPortmapKind kind; /* a router without NAT-PMP may answer as PCP to it, and the reverse */
	guint code;	     /* 0: it serves us */
	WgEndpoint external; /* by NAT-PMP, port 0; unset: not said */
	char host[NET_PORTMAP_HOST_MAX]; /* of UPnP's description; empty: none that can be shown */
} NetPortmapAnswer;

/* NAT-PMP's request of the external address; PCP's ANNOUNCE in the name of `own`; an M-SEARCH sent
 * to `to`. Returns the length. */
gsize net_portmap_request(NetPortmapKind kind, const WgEndpoint *own, const WgEndpoint *to,
			  guint8 buf[NET_PORTMAP_REQUEST_MAX]);
/* ssdp: it came to the socket that sent the M-SEARCH. FALSE: no such answer. */
gboolean net_portmap_parse(const guint8 *msg, gsize len, gboolean ssdp, NetPortmapAnswer *out);
/* "not authorized", … for a code that is not 0; static. */
const char *net_portmap_code_to_string(NetPortmapKind kind, guint code);
