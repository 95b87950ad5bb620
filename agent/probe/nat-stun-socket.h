/* SPDX-License-Identifier: MIT */
/*
 * NatStunSocket: an ordinary UDP socket beside WireGuard's port that asks STUN servers: an extra
 * source port of which a NAT makes a mapping of its own. It holds its port, so that the kernel
 * answers nothing to what comes there late. Host thread only; never blocks; callbacks come from the
 * main loop.
 */
#pragma once

#include "agent/mux/nat-stun.h"

typedef struct NatStunSocket NatStunSocket;

typedef struct {
	gboolean refused; /* an error response; nothing below is set but from */
	WgEndpoint from;
	WgEndpoint mapped; /* public, set, of the family asked by */
	WgEndpoint other;  /* RFC 5780's OTHER-ADDRESS; unset where the server has none */
} NatStunReply;

/* reply NULL: none came in time. The socket may be freed inside. */
typedef void (*NatStunReplyFunc)(const NatStunReply *reply, gpointer user_data);

/* Bound to any port of the local address. sent: counts what leaves, may be NULL, outlives the
 * socket. NULL: no such socket can be had (the address is gone, …). */
NatStunSocket *nat_stun_socket_new(const WgEndpoint *local, guint32 fwmark, guint *sent);
void nat_stun_socket_free(NatStunSocket *sock); /* questions end without a call */
guint16 nat_stun_socket_port(const NatStunSocket *sock);
/* Asks at once, and again after 0.2, 0.6 and 1.4 s, sends times in all; several questions may be
 * under way. change: NAT_STUN_CHANGE_* bits, whose answers come from elsewhere. The callback comes
 * once, after patience_ms at the latest, never from within this call. */
void nat_stun_socket_ask(NatStunSocket *sock, const WgEndpoint *to, guint change, guint sends,
			 guint patience_ms, NatStunReplyFunc func, gpointer user_data);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatStunSocket, nat_stun_socket_free)
