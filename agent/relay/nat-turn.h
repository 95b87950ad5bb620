/* SPDX-License-Identifier: MIT */
/*
 * NatTurn: one allocation on one TURN server over one transport (RFC 8656): Allocate with long-term
 * credentials, Refresh at half its life, permissions, channels. Messages are built and checked by
 * libnice's stun/ library; the data of bound channels passes through the NatPump it owns.
 *
 * One 5-tuple, one allocation, all peers: a host with 500 relayed peers holds one.
 * Host thread only; callbacks come from the main loop, never from inside a call. A NatTurn that
 * went down stays down: its owner makes another. Bridges on its pump live on until the owner frees
 * it: a server that refuses to renew (NAT_TURN_CREDENTIALS) still relays for the rest of the
 * lifetime.
 */
#pragma once

#include "agent/relay/nat-pump.h"
#include "agent/relay/nat-turn-uri.h"

typedef struct NatTurn NatTurn;

typedef enum {
	NAT_TURN_UNREACHABLE, /* no answer, refused, the stream ended */
	NAT_TURN_CREDENTIALS, /* 401 again, 441, 403 on Allocate: wrong or expired */
	NAT_TURN_QUOTA,	      /* 486, 508 */
	NAT_TURN_LOST, /* it was up, and the server no longer knows it (437) or went silent */
	NAT_TURN_OTHER,
} NatTurnFailure;

typedef struct {
	/* Allocated. relayed: what peers send to. */
	void (*up)(NatTurn *turn, const WgEndpoint *relayed, gpointer user_data);
	/* Failed or lost, once; reason: one line for status, without secrets. The callee may free
	 * the NatTurn, here and in up. */
	void (*down)(NatTurn *turn, NatTurnFailure failure, const char *reason, gpointer user_data);
	/* Data of a peer that no bridge took: a Data indication, or a bound channel's without one.
	 * Not to be freed inside. */
	void (*received)(NatTurn *turn, const WgEndpoint *from, const guint8 *data, gsize len,
			 gpointer user_data);
} NatTurnFuncs;

/* server: numeric. uri: transport, host name (for TLS) and credentials; copied. */
NatTurn *nat_turn_new(const NatTurnUri *uri, const WgEndpoint *server, guint32 fwmark,
		      const NatTurnFuncs *funcs, gpointer user_data);
void nat_turn_free(NatTurn *turn); /* gives the allocation back (Refresh 0), best effort */
gboolean nat_turn_is_up(const NatTurn *turn);
const WgEndpoint *nat_turn_relayed(const NatTurn *turn); /* unset: never was up */
/* When the server forgets it unless it is renewed, as far as we know (monotonic). */
gint64 nat_turn_expires_us(const NatTurn *turn);
/* The complete set of addresses (ports ignored) that may send to us; kept installed until changed.
 * One that the server refuses (403: a denied range) is left out quietly, as is one of a family that
 * the relayed address is not of. FALSE: there are too many; the first NAT_TURN_PERMISSIONS_MAX
 * count. */
#define NAT_TURN_PERMISSIONS_MAX 256
gboolean nat_turn_permit(NatTurn *turn, const WgEndpoint *peers, gsize n);
/* Sends data to a permitted peer: as ChannelData where a channel is bound, else a Send indication.
 */
gboolean nat_turn_send(NatTurn *turn, const WgEndpoint *peer, const guint8 *data, gsize len);
/* The same as one packet on the way to the server, or not at all: G_IO_ERROR_MESSAGE_TOO_LARGE
 * where it exceeds the interface it would leave by. Over a stream everything is in one piece. */
gboolean nat_turn_send_probe(NatTurn *turn, const WgEndpoint *peer, const guint8 *data, gsize len,
			     GError **error);
/* Binds a channel to the peer (which permits it too) and keeps it bound until nat_turn_unbind().
 * bound: called once, from the main loop; channel 0: refused. Repeated calls for one peer are
 * counted. */
typedef void (*NatTurnBoundFunc)(guint16 channel, gpointer user_data);
void nat_turn_bind(NatTurn *turn, const WgEndpoint *peer, NatTurnBoundFunc bound,
		   gpointer user_data);
void nat_turn_unbind(NatTurn *turn, const WgEndpoint *peer, gpointer user_data);
NatPump *nat_turn_pump(NatTurn *turn); /* NULL: it never came so far */
/* The path through it went silent: ask the server now whether it still knows us. Whatever it sends
 * us from now on says so as well. */
void nat_turn_check(NatTurn *turn);
/* On UDP something leaves at least so often, in s, and each 20 s at most (at first so): what keeps
 * our mapping towards the server. */
void nat_turn_set_keepalive(NatTurn *turn, guint seconds);
/* Messages that were neither an answer to us nor a peer's data. */
guint64 nat_turn_dropped(const NatTurn *turn);
/* WireGuard's data through it so far. */
void nat_turn_stats(const NatTurn *turn, NatBridgeStats *out);
