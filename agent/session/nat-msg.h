/* SPDX-License-Identifier: MIT */
/*
 * NatMsg: what two agents tell each other: a whole snapshot of the sender's session with the
 * receiver ("here is my session"), never a difference, so that losing or repeating one harms
 * nothing. Carried sealed (nat-seal). The encoding (signaling/PROTOCOL.md) is one version byte and
 * type-length-value fields (type u8, length u16 big-endian); unknown types are skipped. Pure.
 */
#pragma once

#include "agent/probe/nat-class.h"

#define NAT_MSG_MAX_CANDIDATES 25
#define NAT_MSG_UFRAG_MAX 64
#define NAT_MSG_PWD_MAX 128

typedef enum {
	NAT_MSG_PROVEN = 1 << 0,   /* the sender's WireGuard has proven the path of this session */
	NAT_MSG_GATHERED = 1 << 1, /* no more candidates will follow unless the network changes */
	NAT_MSG_BYE = 1 << 2,	   /* the sender's agent is ending in good order */
	NAT_MSG_CHECKING = 1 << 3, /* the sender runs checks for this session: join it. Without it
				    * the sender's tunnel is up and only watched */
	NAT_MSG_BLOCKED =
		1 << 4, /* a direct pair answers the sender's checks, and drops WireGuard */
	NAT_MSG_UDP_BLOCKED = 1 << 5, /* no STUN server answers the sender by UDP */
	NAT_MSG_PUNCH = 1 << 6,	      /* the sender understands punch messages (punch/punch-msg) */
} NatMsgFlags;

typedef struct {
	guint64 sid;  /* the sender's session id, random, never 0 */
	guint64 echo; /* the last session id seen of the receiver, 0: none yet */
	guint32 seq;  /* increases with every message of one sid */
	guint32 flags;
	guint64 watch; /* the sender's watch id: of its process, random, never 0 */
	char ufrag[NAT_MSG_UFRAG_MAX + 1]; /* ICE characters only: [A-Za-z0-9+/], 4..64 */
	char pwd[NAT_MSG_PWD_MAX + 1];	   /* ICE characters only, 22..128 */
	NatMapping mapping;
	NatClass nat; /* of the sender's NAT, as far as it told; its mapping is the one above, and
		       * only read from there */
	guint n_candidates;
	NatCandidate
		candidates[NAT_MSG_MAX_CANDIDATES]; /* in the sender's order; HOST..RELAY only */
} NatMsg;

GBytes *nat_msg_encode(const NatMsg *msg);
/* FALSE with a G_IO_ERROR_INVALID_DATA that says what is wrong; *out is then zeroed. */
gboolean nat_msg_decode(const guint8 *data, gsize len, NatMsg *out, GError **error);
