/* SPDX-License-Identifier: MIT */
/*
 * NatRawSock: STUN from and to WireGuard's own UDP port, beside the kernel's socket.
 *
 * Two raw UDP sockets (v4, v6) with a classic BPF filter that lets through only STUN Binding
 * messages with the magic cookie addressed to `port` (DESIGN §2). Host thread only.
 */
#pragma once

#include "agent/net/nat-packet.h"

typedef struct NatRawSock NatRawSock;

/* pkt is valid during the call; pkt->dst is our address and `port`. */
typedef void (*NatRawSockFunc)(const NatUdp *pkt, gpointer user_data);

/* Opens both families; IPv6 may be missing (disabled in the kernel) without error, IPv4 too if
 * IPv6 works. Attaches to the calling thread's default GMainContext. */
NatRawSock *nat_raw_sock_new(guint16 port, guint32 fwmark, NatRawSockFunc func, gpointer user_data,
			     GError **error);
void nat_raw_sock_free(NatRawSock *sock);
/* Changes the filter (ret-0 filter, drain, real filter) or the mark of a living socket. */
gboolean nat_raw_sock_set_port(NatRawSock *sock, guint16 port, GError **error);
gboolean nat_raw_sock_set_fwmark(NatRawSock *sock, guint32 fwmark, GError **error);
/* Sends payload as UDP from src (its address; the port is src's, normally P) to dst. FALSE with
 * a G_IO_ERROR on failure; ENETUNREACH and the like are ordinary. */
gboolean nat_raw_sock_send(NatRawSock *sock, const WgEndpoint *src, const WgEndpoint *dst,
			   const guint8 *payload, gsize len, GError **error);
/* The same, as one packet or not at all: never fragmented here or on the way, and without regard to
 * the path MTU that the kernel believes in, so that it can test it. Longer than the outgoing
 * interface carries: G_IO_ERROR_MESSAGE_TOO_LARGE. */
gboolean nat_raw_sock_send_probe(NatRawSock *sock, const WgEndpoint *src, const WgEndpoint *dst,
				 const guint8 *payload, gsize len, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatRawSock, nat_raw_sock_free)
