/* SPDX-License-Identifier: MIT */
/*
 * SigTurn: what the server hands out for relays: TURN URIs, and credentials made from the secret
 * that it shares with coturn (use-auth-secret, static-auth-secret; draft-uberti-behave-turn-rest
 * §2.2):
 *
 *     username = EXPIRY ":" TAG              seconds since 1970; the TURN server refuses it later
 *     password = base64 (HMAC-SHA1 (secret, username))
 *
 * TAG stands for the client's key: 16 hex digits of its BLAKE2b hash. The relay counts quotas by it
 * and cannot tell which WireGuard key it is unless it knows that key already.
 *
 * Pure but for sig_turn_read_secret(): the time is an argument. Immutable once made.
 */
#pragma once

#include "signaling/sig-wire.h"

#define SIG_TURN_TTL_MIN 60 /* s */
#define SIG_TURN_SECRET_MAX 255

typedef struct SigTurn SigTurn;

/* uris: 1 to SIG_WIRE_TURN_URIS_MAX that sig_turn_check_uri() passed; secret: not empty; copied.
 * ttl_s: SIG_TURN_TTL_MIN to SIG_WIRE_TURN_TTL_MAX. */
SigTurn *sig_turn_new(const char *const *uris, const char *secret, guint ttl_s);
void sig_turn_free(SigTurn *turn);	 /* zeroes the secret */
guint sig_turn_ttl(const SigTurn *turn); /* s */

/* The frame with the credentials of this client, made at now (s since 1970). (transfer full) */
char *sig_turn_frame(const SigTurn *turn, const WgKey *client, gint64 now);

/* turn:HOST[:PORT][?transport=udp|tcp] or turns:HOST[:PORT][?transport=tcp], without credentials
 * (RFC 7065); IPv6 addresses in brackets. The error says what is wrong, and repeats the URI only
 * when that can hold no secret. */
gboolean sig_turn_check_uri(const char *uri, GError **error);
/* The one line of a file, without its end. The error names the file and the remedy; *readable
 * (may be NULL) tells whether every user of this machine may read it. (transfer full), to be zeroed
 * by the caller. */
char *sig_turn_read_secret(const char *file, gboolean *readable, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SigTurn, sig_turn_free)
