/* SPDX-License-Identifier: MIT */
/*
 * What a STUN request is answered: RFC 8489's Binding with the server's side of RFC 5780 (behaviour
 * discovery). Pure; sig-stun-site has the sockets.
 *
 * Size: whoever forges a source has the answer sent to a victim, so none is larger than its
 * request, but for the least that serves: XOR-MAPPED-ADDRESS alone, 32 bytes (IPv6: 44), to a
 * request of 20, the one that every STUN client sends; with IP's and UDP's headers 60 bytes for 48
 * (92 for 68). OTHER-ADDRESS, RESPONSE-ORIGIN and MAPPED-ADDRESS, which RFC 5780 §6.1 wants in
 * every answer, are added in this order as far as the request was as long: clients that want them
 * pad. For the same reason PADDING is not returned, reason phrases are empty, UNKNOWN-ATTRIBUTES is
 * left out where it has no room, and a request shorter than an error (28 bytes) gets none.
 *
 * Loops: only requests are answered and only responses sent, so no answer of ours makes another
 * STUN server speak, nor us; what an echo, a DNS or a chargen server returns is no request either.
 * A list of source ports that are not answered would therefore end no loop, but shut out tunnels: a
 * WireGuard at port 53, 123 or 443 is asked from there. Still refused is what no client has reason
 * to ask: an answer to our own STUN ports, and one by RESPONSE-PORT to a port below 1024 that did
 * not ask: behind a NAT that many share it may be a service of the NAT's own, and a mapping it is
 * not (RFC 4787 REQ-3). RESPONSE-PORT never names another address.
 */
#pragma once

#include "wgctl/wg-endpoint.h"

#define SIG_STUN_REQUEST_MAX 9216 /* with PADDING of a jumbo frame's MTU */
#define SIG_STUN_ANSWER_MAX 116	  /* success by IPv6 with everything */

/* Where a request came in, and from where else it can be answered: Da, Ca, Dp, Cp of RFC 5780 §6.1.
 * Ports inside of addresses do not count. */
typedef struct {
	struct {
		WgEndpoint local; /* as the socket has it; unset where the kernel did not say */
		WgEndpoint seen;  /* as clients know it; the same unless a NAT is between */
	} asked, other;		  /* other: unset: there is no second address */
	guint16 asked_port, other_port; /* other: 0: there is no second port */
} SigStunPlace;

typedef struct {
	gboolean error;		/* an error response */
	gboolean other_address; /* leaves from the other address */
	gboolean other_port;	/* and port */
	WgEndpoint to;		/* from's address */
	gsize len;		/* bytes of out */
	guint8 out[SIG_STUN_ANSWER_MAX];
} SigStunAnswer;

/* By the first bytes whether it is a Binding request with the magic cookie: all else costs no more
 * than this. */
gboolean sig_stun_is_request(const guint8 *request, gsize len);
/* Pure. FALSE: no answer, *answer is of no use: it is damaged, too short for an error, or comes
 * from ourselves. */
gboolean sig_stun_answer(const guint8 *request, gsize len, const WgEndpoint *from,
			 const SigStunPlace *place, SigStunAnswer *answer);
