/* SPDX-License-Identifier: MIT */
#include "agent/session/nat-seal.h"

#include <gio/gio.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <sodium.h>
#include <string.h>

/*
 * PRK   = HKDF-Extract(no salt, X25519(own private, peer public))
 * key   = HKDF-Expand(PRK, "nat-agent/seal/v1" sender receiver), one per direction
 * probe = HKDF-Expand(PRK, "nat-agent/probe/v1" smaller larger), the same at both ends
 * body  = version, nonce, XChaCha20-Poly1305(key, nonce, plain; version is authenticated too)
 * ice   = HKDF-Extract("nat-agent/ice/v1", X25519(own private, peer public) smaller larger)
 * Only these four keys are kept: the DH result and PRK are cleared before nat_seal_new() returns.
 */
#define SEAL_LABEL "nat-agent/seal/v1"
#define PROBE_LABEL "nat-agent/probe/v1"
#define ICE_LABEL "nat-agent/ice/v1"
#define SEAL_VERSION 1
#define KEY_LEN 32
#define NONCE_LEN crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG_LEN crypto_aead_xchacha20poly1305_ietf_ABYTES
#define HEADER_LEN (1 + NONCE_LEN)

G_STATIC_ASSERT(NONCE_LEN == 24 && TAG_LEN == 16);
G_STATIC_ASSERT(KEY_LEN == crypto_aead_xchacha20poly1305_ietf_KEYBYTES);

struct NatSeal {
	guint8 tx[KEY_LEN];
	guint8 rx[KEY_LEN];
	guint8 probe[KEY_LEN];
	guint8 ice[KEY_LEN];
};

static gboolean
expand(const guint8 prk[KEY_LEN], const guint8 *info, gsize info_len, guint8 *out, gsize len)
{
	const gnutls_datum_t key = {(guint8 *)prk, KEY_LEN};
	const gnutls_datum_t context = {(guint8 *)info, (unsigned)info_len};

	return gnutls_hkdf_expand(GNUTLS_MAC_SHA256, &key, &context, out, len) >= 0;
}

static gboolean
expand_pair(const guint8 prk[KEY_LEN], const char *label, const WgKey *first, const WgKey *second,
	    guint8 out[KEY_LEN])
{
	guint8 info[64 + 2 * WG_KEY_LEN];
	gsize n = strlen(label);

	memcpy(info, label, n);
	memcpy(info + n, first->b, WG_KEY_LEN);
	memcpy(info + n + WG_KEY_LEN, second->b, WG_KEY_LEN);
	return expand(prk, info, n + 2 * WG_KEY_LEN, out, KEY_LEN);
}

static gboolean
extract_ice(const guint8 dh[KEY_LEN], const WgKey *smaller, const WgKey *larger,
	    guint8 out[KEY_LEN])
{
	guint8 secret[3 * KEY_LEN];
	const gnutls_datum_t ikm = {secret, sizeof secret};
	const gnutls_datum_t salt = {(guint8 *)ICE_LABEL, strlen(ICE_LABEL)};
	gboolean ok;

	memcpy(secret, dh, KEY_LEN);
	memcpy(secret + KEY_LEN, smaller->b, KEY_LEN);
	memcpy(secret + 2 * KEY_LEN, larger->b, KEY_LEN);
	ok = gnutls_hkdf_extract(GNUTLS_MAC_SHA256, &ikm, &salt, out) >= 0;
	sodium_memzero(secret, sizeof secret);
	return ok;
}

/* FALSE with an error when the DH is degenerate or GnuTLS refuses. */
static gboolean
derive_prk(const WgKey *own_private, const WgKey *own, const WgKey *peer_public,
	   guint8 prk[KEY_LEN], guint8 ice[KEY_LEN], GError **error)
{
	guint8 dh[crypto_scalarmult_BYTES];
	const gnutls_datum_t ikm = {dh, sizeof dh}, salt = {NULL, 0};
	gboolean own_first = wg_key_compare(own, peer_public) < 0;
	gboolean ok = FALSE;

	if (crypto_scalarmult(dh, own_private->b, peer_public->b) != 0)
		g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
				    "the peer's public key is of low order: no secret can be "
				    "shared with it, give the peer a new key");
	else if (gnutls_hkdf_extract(GNUTLS_MAC_SHA256, &ikm, &salt, prk) < 0 ||
		 !extract_ice(dh, own_first ? own : peer_public, own_first ? peer_public : own,
			      ice))
		g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_FAILED, "HKDF-SHA256 failed");
	else
		ok = TRUE;
	sodium_memzero(dh, sizeof dh);
	return ok;
}

NatSeal *
nat_seal_new(const WgKey *own_private, const WgKey *peer_public, GError **error)
{
	g_autoptr(NatSeal) seal = g_new0(NatSeal, 1);
	guint8 prk[KEY_LEN];
	WgKey own;
	gboolean own_first, ok;

	if (sodium_init() < 0) {
		g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_FAILED,
				    "libsodium can't initialize");
		return NULL;
	}
	wg_key_public_from_private(own_private, &own);
	/* With one key at both ends our own messages would come back as the peer's. */
	if (wg_key_equal(&own, peer_public)) {
		g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
				    "the peer's public key is our own");
		return NULL;
	}
	if (!derive_prk(own_private, &own, peer_public, prk, seal->ice, error))
		return NULL;
	own_first = wg_key_compare(&own, peer_public) < 0;
	ok = expand_pair(prk, SEAL_LABEL, &own, peer_public, seal->tx) &&
	     expand_pair(prk, SEAL_LABEL, peer_public, &own, seal->rx) &&
	     expand_pair(prk, PROBE_LABEL, own_first ? &own : peer_public,
			 own_first ? peer_public : &own, seal->probe);
	sodium_memzero(prk, sizeof prk);
	if (!ok) {
		g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_FAILED, "HKDF-SHA256 failed");
		return NULL;
	}
	return g_steal_pointer(&seal);
}

void
nat_seal_free(NatSeal *seal)
{
	if (!seal)
		return;
	sodium_memzero(seal, sizeof *seal);
	g_free(seal);
}

GBytes *
nat_seal_wrap(NatSeal *seal, GBytes *plain)
{
	gsize len;
	const guint8 *text = g_bytes_get_data(plain, &len);
	guint8 *body = g_malloc(HEADER_LEN + len + TAG_LEN);

	body[0] = SEAL_VERSION;
	randombytes_buf(body + 1, NONCE_LEN);
	/* Never fails (libsodium: "always returns 0"). */
	crypto_aead_xchacha20poly1305_ietf_encrypt(body + HEADER_LEN, NULL, text, len, body, 1,
						   NULL, body + 1, seal->tx);
	return g_bytes_new_take(body, HEADER_LEN + len + TAG_LEN);
}

GBytes *
nat_seal_unwrap(NatSeal *seal, const guint8 *data, gsize len, GError **error)
{
	g_autofree guint8 *plain = NULL;
	gsize plain_len;

	if (len < HEADER_LEN + TAG_LEN) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
			    "sealed message of %" G_GSIZE_FORMAT " bytes is too short", len);
		return NULL;
	}
	if (data[0] != SEAL_VERSION) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
			    "sealed message of version %u, this agent knows version %u: upgrade "
			    "the older one",
			    data[0], SEAL_VERSION);
		return NULL;
	}
	plain_len = len - HEADER_LEN - TAG_LEN;
	plain = g_malloc(plain_len + 1);
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(plain, NULL, NULL, data + HEADER_LEN,
						       len - HEADER_LEN, data, 1, data + 1,
						       seal->rx) != 0) {
		g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
				    "sealed message is damaged or not from this peer to us");
		return NULL;
	}
	return g_bytes_new_take(g_steal_pointer(&plain), plain_len);
}

void
nat_seal_derive_probe(NatSeal *seal, const char *info, gsize info_len, guint8 *out, gsize len)
{
	g_return_if_fail(len <= 64);
	/* HKDF-SHA256 fails for more than 255 blocks only (RFC 5869 §2.3). Should it ever, what is
	 * left is unguessable, so that a probe fails and nothing passes. */
	if (!expand(seal->probe, (const guint8 *)info, info_len, out, len))
		randombytes_buf(out, len);
}

/* what ‖ side ‖ own ‖ other, the generations in network order */
static gboolean
expand_ice(NatSeal *seal, const char *what, const WgKey *side, guint64 own, guint64 other,
	   guint8 *out, gsize len)
{
	guint8 info[8 + WG_KEY_LEN + 2 * sizeof own];
	gsize n = strlen(what);

	own = GUINT64_TO_BE(own);
	other = GUINT64_TO_BE(other);
	memcpy(info, what, n);
	memcpy(info + n, side->b, WG_KEY_LEN);
	memcpy(info + n + WG_KEY_LEN, &own, sizeof own);
	memcpy(info + n + WG_KEY_LEN + sizeof own, &other, sizeof other);
	return expand(seal->ice, info, n + WG_KEY_LEN + 2 * sizeof own, out, len);
}

void
nat_seal_derive_ice(NatSeal *seal, const WgKey *side, guint64 own, guint64 other,
		    char ufrag[NAT_SEAL_ICE_UFRAG_LEN + 1], char pwd[NAT_SEAL_ICE_PWD_LEN + 1])
{
	guint8 raw[24];

	G_STATIC_ASSERT(sizeof raw / 3 * 4 == NAT_SEAL_ICE_PWD_LEN);
	if (!expand_ice(seal, "ufrag", side, own, other, raw, 6))
		randombytes_buf(raw, 6);
	sodium_bin2base64(ufrag, NAT_SEAL_ICE_UFRAG_LEN + 1, raw, 6,
			  sodium_base64_VARIANT_ORIGINAL);
	if (!expand_ice(seal, "pwd", side, own, other, raw, sizeof raw))
		randombytes_buf(raw, sizeof raw);
	sodium_bin2base64(pwd, NAT_SEAL_ICE_PWD_LEN + 1, raw, sizeof raw,
			  sodium_base64_VARIANT_ORIGINAL);
	sodium_memzero(raw, sizeof raw);
}
