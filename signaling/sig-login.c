/* SPDX-License-Identifier: MIT */
#include "signaling/sig-login.h"

#include <gio/gio.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <sodium.h>
#include <string.h>

G_STATIC_ASSERT(SIG_WIRE_MAC_LEN == crypto_auth_hmacsha256_BYTES);

char *
sig_login_authority(const char *host, guint16 port)
{
	g_autofree char *lower = g_ascii_strdown(host, -1);

	return g_strdup_printf(strchr(lower, ':') ? "[%s]:%u" : "%s:%u", lower, port);
}

/* HKDF-SHA256 (RFC 5869) with an empty salt: the label is the domain, the DH is uniform enough for
 * Extract, and both nonces are under the MAC. */
static gboolean
derive_key(const WgKey *own_private, const WgKey *other_public, guint8 key[32], GError **error)
{
	guint8 dh[crypto_scalarmult_BYTES], prk[32];
	const gnutls_datum_t ikm = {dh, sizeof dh}, salt = {NULL, 0}, okm_key = {prk, sizeof prk};
	const gnutls_datum_t info = {(guint8 *)SIG_LOGIN_LABEL, strlen(SIG_LOGIN_LABEL)};
	gboolean ok = FALSE;

	if (crypto_scalarmult(dh, own_private->b, other_public->b) != 0)
		g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
				    "the other side's key is of low order");
	else if (gnutls_hkdf_extract(GNUTLS_MAC_SHA256, &ikm, &salt, prk) < 0 ||
		 gnutls_hkdf_expand(GNUTLS_MAC_SHA256, &okm_key, &info, key, 32) < 0)
		g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_FAILED, "HKDF-SHA256 failed");
	else
		ok = TRUE;
	sodium_memzero(dh, sizeof dh);
	sodium_memzero(prk, sizeof prk);
	return ok;
}

/* All members but the last have a fixed length, so the concatenation is unambiguous. */
static void
transcript_mac(const guint8 key[32], const SigHello *hello, const SigLogin *login, guint8 *mac)
{
	crypto_auth_hmacsha256_state state;
	const guint8 version = SIG_WIRE_VERSION;

	crypto_auth_hmacsha256_init(&state, key, 32);
	crypto_auth_hmacsha256_update(&state, &version, 1);
	crypto_auth_hmacsha256_update(&state, hello->nonce, sizeof hello->nonce);
	crypto_auth_hmacsha256_update(&state, login->nonce, sizeof login->nonce);
	crypto_auth_hmacsha256_update(&state, hello->key.b, sizeof hello->key.b);
	crypto_auth_hmacsha256_update(&state, login->key.b, sizeof login->key.b);
	crypto_auth_hmacsha256_update(&state, (const guint8 *)login->authority,
				      strlen(login->authority));
	crypto_auth_hmacsha256_final(&state, mac);
	sodium_memzero(&state, sizeof state);
}

gboolean
sig_login_sign(const SigHello *hello, const WgKey *client_private, SigLogin *login, GError **error)
{
	guint8 key[32];

	if (!derive_key(client_private, &hello->key, key, error))
		return FALSE;
	transcript_mac(key, hello, login, login->mac);
	sodium_memzero(key, sizeof key);
	return TRUE;
}

gboolean
sig_login_verify(const SigHello *hello, const WgKey *server_private, const SigLogin *login,
		 GError **error)
{
	guint8 key[32], mac[SIG_WIRE_MAC_LEN];
	gboolean same;

	/* A low-order client key gives a DH that anybody knows: refused like a wrong MAC. */
	if (!derive_key(server_private, &login->key, key, NULL)) {
		g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED,
				    "the public key is not a usable Curve25519 key");
		return FALSE;
	}
	transcript_mac(key, hello, login, mac);
	same = sodium_memcmp(mac, login->mac, sizeof mac) == 0;
	sodium_memzero(key, sizeof key);
	sodium_memzero(mac, sizeof mac);
	if (!same)
		g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED,
				    "the login does not prove the private key of this public key");
	return same;
}

char *
sig_login_answer(const SigHello *hello, const WgKey *client_private, const char *authority,
		 GError **error)
{
	SigLogin login = {.version = SIG_WIRE_VERSION};

	if (hello->version != SIG_WIRE_VERSION) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
			    "the server speaks signaling version %" G_GINT64_FORMAT
			    ", this is version %d: upgrade the older one",
			    hello->version, SIG_WIRE_VERSION);
		return NULL;
	}
	if (g_strlcpy(login.authority, authority, sizeof login.authority) >=
	    sizeof login.authority) {
		g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
				    "the server's name is too long");
		return NULL;
	}
	wg_key_public_from_private(client_private, &login.key);
	randombytes_buf(login.nonce, sizeof login.nonce);
	if (!sig_login_sign(hello, client_private, &login, error))
		return NULL;
	return sig_wire_encode_login(&login);
}
