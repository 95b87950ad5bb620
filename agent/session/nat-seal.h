/* SPDX-License-Identifier: MIT */
/*
 * NatSeal: end-to-end sealing of messages between two agents, keyed by their WireGuard keys, and
 * the other secrets derived from the same DH (one 45 µs X25519 per peer, then kept).
 * HKDF-SHA256 over X25519(own static, peer static) with a distinct label per use;
 * XChaCha20-Poly1305 with a random nonce (DESIGN §4). Pure but for randomness; one thread.
 */
#pragma once

#include "wgctl/wg-key.h"

typedef struct NatSeal NatSeal;

/* NULL with an error when the DH result is all zero (a low-order public key). */
NatSeal *nat_seal_new(const WgKey *own_private, const WgKey *peer_public, GError **error);
void nat_seal_free(NatSeal *seal); /* zeroes */
GBytes *nat_seal_wrap(NatSeal *seal, GBytes *plain);
/* NULL with G_IO_ERROR_INVALID_DATA when it is not from this peer to us, or damaged. */
GBytes *nat_seal_unwrap(NatSeal *seal, const guint8 *data, gsize len, GError **error);
/* HKDF-Expand of the pair's probe secret ("nat-agent/probe/v1") with `info`; the same at both
 * ends, whoever asks. len ≤ 64. */
void nat_seal_derive_probe(NatSeal *seal, const char *info, gsize info_len, guint8 *out, gsize len);

/* The ICE credentials of two agents that have nothing but an innernet server in common, where none
 * can be sent (tier 0): those of `side`, whose generation is `own` while it takes the other one's
 * to be `other`. ICE characters (base64), NUL-terminated. */
#define NAT_SEAL_ICE_UFRAG_LEN 8
#define NAT_SEAL_ICE_PWD_LEN 32
void nat_seal_derive_ice(NatSeal *seal, const WgKey *side, guint64 own, guint64 other,
			 char ufrag[NAT_SEAL_ICE_UFRAG_LEN + 1],
			 char pwd[NAT_SEAL_ICE_PWD_LEN + 1]);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatSeal, nat_seal_free)
