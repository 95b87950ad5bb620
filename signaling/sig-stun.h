/* SPDX-License-Identifier: MIT */
/*
 * The STUN responder: answers Binding requests (RFC 8489) with XOR-MAPPED-ADDRESS and nothing else.
 * A request without the magic cookie, of another method, with unknown required attributes or
 * damaged is dropped. An answer is 32 bytes (44 for IPv6) to a request of at least 20: with IP and
 * UDP headers never twice the request, so there is nothing to gain from a forged source.
 *
 * RESPONSE-PORT (RFC 5780 §7.5) is obeyed: a client sees by it whether its NAT still has a mapping.
 * Never another address: whoever can forge that can forge the port as well.
 */
#pragma once

#include "signaling/sig-ratelimit.h"
#include "wgctl/wg-endpoint.h"

/* Pure. Returns the answer's length, 0 for none. out: at least SIG_STUN_ANSWER_MAX bytes. to: where
 * it goes, the address of `from`. */
#define SIG_STUN_ANSWER_MAX 64
gsize sig_stun_answer(const guint8 *request, gsize len, const WgEndpoint *from, guint8 *out,
		      gsize size, WgEndpoint *to);

/* Reads what waits at a socket of sig_socket_udp() and answers within the limit of each source,
 * from the address that was asked. */
void sig_stun_serve(int fd, SigRateLimit *limit, gint64 now);
