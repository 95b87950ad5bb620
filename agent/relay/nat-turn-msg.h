/* SPDX-License-Identifier: MIT */
/*
 * NatTurnCodec: the messages of one TURN allocation (RFC 8656), built and checked by libnice's
 * stun/ library (its only user is nat-turn-msg.c). Holds the long-term credentials, the server's
 * realm and nonce, and which transactions are open; no I/O, no clock. One thread.
 */
#pragma once

#include "wgctl/wg-endpoint.h"

#define NAT_TURN_ID_LEN 12
#define NAT_TURN_MSG_MAX 3072	  /* of a request: user, realm and nonce at their largest */
#define NAT_TURN_SEND_OVERHEAD 64 /* a Send indication around its data */
#define NAT_TURN_OPEN_MAX 64	  /* transactions */
#define NAT_TURN_REASON_LEN 96

typedef enum {
	NAT_TURN_ALLOCATE,
	NAT_TURN_REFRESH,
	NAT_TURN_PERMISSION,
	NAT_TURN_CHANNEL_BIND,
} NatTurnMethod;

typedef struct {
	NatTurnMethod method;
	guint32 lifetime_s; /* Refresh; 0 gives the allocation back */
	WgEndpoint peer;    /* permission, channel */
	guint16 channel;
} NatTurnAsk;

typedef enum {
	NAT_TURN_MSG_SUCCESS,
	NAT_TURN_MSG_ERROR,
	NAT_TURN_MSG_DATA, /* a Data indication */
} NatTurnMsgKind;

typedef struct {
	NatTurnMsgKind kind;
	guint8 id[NAT_TURN_ID_LEN];
	int error;			  /* 300…699 */
	char reason[NAT_TURN_REASON_LEN]; /* what the server says to it, printable; may be empty */
	gboolean fresh_nonce;		  /* 401, 438: it came with another nonce than ours */
	gboolean has_lifetime;
	guint32 lifetime_s;
	WgEndpoint relayed; /* unset: absent or nonsense */
	WgEndpoint peer;    /* of data */
	const guint8 *data; /* points into the message */
	gsize len;
} NatTurnMsg;

typedef struct NatTurnCodec NatTurnCodec;

/* Both may be NULL: a server that asks for credentials then gets none. */
NatTurnCodec *nat_turn_codec_new(const char *username, const char *password);
void nat_turn_codec_free(NatTurnCodec *codec); /* zeroes the secret */
/* Whether the server has asked for credentials and the next request carries them. */
gboolean nat_turn_codec_authenticates(const NatTurnCodec *codec);
/* A new transaction. Returns the length, 0 when too many are open or it does not fit. */
gsize nat_turn_codec_request(NatTurnCodec *codec, const NatTurnAsk *ask,
			     guint8 buf[NAT_TURN_MSG_MAX], guint8 id[NAT_TURN_ID_LEN]);
/* Nobody waits for this one any more. */
void nat_turn_codec_forget(NatTurnCodec *codec, const guint8 id[NAT_TURN_ID_LEN]);
/* Hostile input. TRUE for a Data indication, or the answer to an open transaction whose integrity
 * is right (which closes the transaction); a challenge (401, 438) is remembered for the next
 * request. Everything else is FALSE and changes nothing. */
gboolean nat_turn_codec_parse(NatTurnCodec *codec, const guint8 *msg, gsize len, NatTurnMsg *out);
/* A Send indication; needs no codec. Returns the length, 0 when it does not fit. */
gsize nat_turn_msg_send(guint8 *buf, gsize size, const WgEndpoint *peer, const guint8 *data,
			gsize len);

/* A Binding indication, which is answered by nobody: it keeps NATs open (RFC 8489 §2). Returns the
 * length. */
gsize nat_turn_msg_keepalive(guint8 *buf, gsize size);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatTurnCodec, nat_turn_codec_free)
