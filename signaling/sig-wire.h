/* SPDX-License-Identifier: MIT */
/*
 * The signaling wire protocol's frames (PROTOCOL.md): pure codec, shared by server and agent.
 *
 * Control frames are JSON text, one object each; messages between agents are binary. Nothing here
 * does I/O, reads a clock or logs. Input may be hostile: length, depth and characters are checked
 * before json-glib sees a byte (its 1.6 recurses without a limit).
 */
#pragma once

#include <glib.h>

#include "wgctl/wg-endpoint.h"
#include "wgctl/wg-key.h"

#define SIG_WIRE_SUBPROTOCOL "nat-agent.v1"
#define SIG_WIRE_VERSION 1
#define SIG_WIRE_MAX 16384	  /* bytes of any frame */
#define SIG_WIRE_FRAGMENTS_MAX 64 /* frames that a message may come in (RFC 6455 §5.4) */
#define SIG_WIRE_DEPTH_MAX 4
#define SIG_WIRE_KEYS_MAX 256	   /* keys of one frame, both lists together */
#define SIG_WIRE_SEEN_KEYS_MAX 128 /* of a presence that says where they were seen */
#define SIG_WIRE_NONCE_LEN 32
#define SIG_WIRE_MAC_LEN 32
#define SIG_WIRE_STUN_MAX 8	   /* ports of a hello */
#define SIG_WIRE_AUTHORITY_MAX 261 /* bytes: a DNS name of 253, ':' and a port, and some */
#define SIG_WIRE_SEEN_MAX 63
#define SIG_WIRE_CODE_MAX 31
#define SIG_WIRE_TEXT_MAX 255
#define SIG_WIRE_TURN_URIS_MAX 8
#define SIG_WIRE_TURN_URI_MAX 255
#define SIG_WIRE_TURN_WORD_MAX 127 /* bytes of username and of password */
#define SIG_WIRE_TURN_TTL_MAX 86400

#define SIG_WIRE_BINARY_VERSION 0x01
#define SIG_WIRE_BINARY_HEADER (1 + WG_KEY_LEN)
#define SIG_WIRE_BODY_MAX (SIG_WIRE_MAX - SIG_WIRE_BINARY_HEADER)

/* Close codes (RFC 6455 §7.4: 4000–4999 are the application's), each preceded by an error frame. */
typedef enum {
	SIG_CLOSE_NONE = 0,
	SIG_CLOSE_RESTART = 1012,	  /* the server ends; preceded by drain instead of error */
	SIG_CLOSE_TOO_BIG = 1009,	  /* a message above SIG_WIRE_MAX */
	SIG_CLOSE_OVERLOAD = 1013,	  /* the client reads too slowly, or the server is full */
	SIG_CLOSE_BAD_FRAME = 4000,	  /* malformed or out of place */
	SIG_CLOSE_LOGIN_REFUSED = 4001,	  /* the MAC does not verify */
	SIG_CLOSE_WRONG_AUTHORITY = 4002, /* not a name of this server */
	SIG_CLOSE_LOGIN_TIMEOUT = 4003,	  /* no login in time */
	SIG_CLOSE_DUPLICATE_KEY = 4004,	  /* a newer connection logged in with the same key */
	SIG_CLOSE_RATE_LIMITED = 4005,	  /* too many frames for this key */
	SIG_CLOSE_INTEREST_LIMIT = 4006,  /* more keys of interest than the server allows */
	SIG_CLOSE_WRONG_VERSION = 4007,	  /* the login's version is unknown */
	SIG_CLOSE_NOT_ALLOWED = 4008,	  /* the key may not log in here, or not any more */
} SigClose;

/* The "code" of the error frame that goes with it: "bad-frame", "duplicate-key", … Static. */
const char *sig_close_code(SigClose close);
/* A small number for it, from 0 without gaps; and back, SIG_CLOSE_NONE behind the last. */
guint sig_close_index(SigClose close);
SigClose sig_close_at(guint index);

typedef enum {
	SIG_FRAME_UNKNOWN, /* a "t" of a later version: ignore it */
	SIG_FRAME_HELLO,
	SIG_FRAME_LOGIN,
	SIG_FRAME_WELCOME,
	SIG_FRAME_INTEREST,
	SIG_FRAME_PRESENCE,
	SIG_FRAME_UNAVAILABLE,
	SIG_FRAME_ERROR,
	SIG_FRAME_DRAIN,
	SIG_FRAME_TURN,
	SIG_FRAME_TURN_WANTED, /* has no members */
} SigFrameType;

typedef struct {
	gint64 version;
	guint8 nonce[SIG_WIRE_NONCE_LEN];
	WgKey key; /* the server's ephemeral */
	guint n_stun;
	guint16 stun[SIG_WIRE_STUN_MAX]; /* UDP ports, host byte order, never 0 */
} SigHello;

typedef struct {
	gint64 version;
	WgKey key;
	guint8 nonce[SIG_WIRE_NONCE_LEN];
	guint8 mac[SIG_WIRE_MAC_LEN];
	char authority[SIG_WIRE_AUTHORITY_MAX + 1]; /* printable ASCII without spaces, not empty */
} SigLogin;

typedef struct {
	WgKey *keys; /* owned by the frame; NULL when n is 0 */
	guint n;
} SigKeys;

/* Relays and the credentials for all of them: printable ASCII without spaces, none empty. What a
 * URI means is not looked at here. */
typedef struct {
	char *uris[SIG_WIRE_TURN_URIS_MAX + 1]; /* owned by the frame; at least one, then NULL */
	char username[SIG_WIRE_TURN_WORD_MAX + 1];
	char password[SIG_WIRE_TURN_WORD_MAX + 1];
	guint ttl_s; /* 1…SIG_WIRE_TURN_TTL_MAX, from the frame's arrival */
} SigTurnGrant;

typedef struct {
	SigFrameType type;
	union {
		SigHello hello;
		SigLogin login;
		struct {
			char seen[SIG_WIRE_SEEN_MAX + 1]; /* may be empty */
		} welcome;
		struct {
			SigKeys add, remove;
		} interest;
		struct {
			SigKeys online, offline;
			/* owned by the frame; as many as `online`, without port, unset where it was
			 * not said. NULL: none was. */
			WgEndpoint *seen;
		} presence;
		struct {
			SigKeys to;
		} unavailable;
		struct {
			char code[SIG_WIRE_CODE_MAX + 1];
			char text[SIG_WIRE_TEXT_MAX + 1]; /* valid UTF-8; escape before logging */
		} error;
		struct {
			guint within_s;
		} drain;
		SigTurnGrant turn;
	};
} SigFrame;

/* Decodes a text frame; `text` needs no NUL. FALSE with a G_IO_ERROR_INVALID_DATA that says what is
 * wrong; *out is then of type UNKNOWN and holds nothing. */
gboolean sig_wire_decode(const char *text, gsize len, SigFrame *out, GError **error);
/* Releases what the frame owns (not the frame) and zeroes it; safe to call twice. */
void sig_frame_clear(SigFrame *frame);

/* Encoders: text of one frame (transfer full). Keys beyond SIG_WIRE_KEYS_MAX are the caller's
 * bug. */
char *sig_wire_encode_hello(const SigHello *hello);
char *sig_wire_encode_login(const SigLogin *login);
char *sig_wire_encode_welcome(const char *seen);
char *sig_wire_encode_interest(const WgKey *add, gsize n_add, const WgKey *remove, gsize n_remove);
/* seen: NULL, or where each of `online` (at most SIG_WIRE_SEEN_KEYS_MAX then) connects from. */
char *sig_wire_encode_presence(const WgKey *online, const WgEndpoint *seen, gsize n_online,
			       const WgKey *offline, gsize n_offline);
char *sig_wire_encode_unavailable(const WgKey *to, gsize n);
char *sig_wire_encode_error(const char *code, const char *text);
char *sig_wire_encode_drain(guint within_s);
/* uris: NULL-terminated. All within the bounds above, or it is the caller's bug. */
char *sig_wire_encode_turn(const char *const *uris, const char *username, const char *password,
			   guint ttl_s);
char *sig_wire_encode_turn_wanted(void);

/* A binary frame: version, key (client → server: destination; server → client: source), body.
 * NULL when the body is longer than SIG_WIRE_BODY_MAX. (transfer full) */
GBytes *sig_wire_encode_binary(const WgKey *key, const guint8 *body, gsize len);
/* *body points into data. FALSE with G_IO_ERROR_INVALID_DATA. An empty body is valid. */
gboolean sig_wire_decode_binary(const guint8 *data, gsize len, WgKey *key, const guint8 **body,
				gsize *body_len, GError **error);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(SigFrame, sig_frame_clear)
