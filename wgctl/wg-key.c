/* SPDX-License-Identifier: MIT */
#include "wgctl/wg-key.h"

#include <sodium.h>
#include <string.h>

#define SHORT_LEN 8

gboolean
wg_key_is_zero(const WgKey *key)
{
	return sodium_is_zero(key->b, sizeof key->b) == 1;
}

gboolean
wg_key_equal(gconstpointer a, gconstpointer b)
{
	const WgKey *ka = a, *kb = b;

	return sodium_memcmp(ka->b, kb->b, WG_KEY_LEN) == 0;
}

/* Public keys are points, as good as random: any four of their bytes are a hash. */
guint
wg_key_hash(gconstpointer key)
{
	const WgKey *k = key;
	guint32 hash;

	memcpy(&hash, k->b, sizeof hash);
	return hash;
}

int
wg_key_compare(const WgKey *a, const WgKey *b)
{
	return memcmp(a->b, b->b, WG_KEY_LEN);
}

gboolean
wg_key_parse(const char *text, WgKey *out)
{
	size_t len = 0;

	/* libsodium refuses stray characters, missing padding and non-zero trailing bits. */
	if (strnlen(text, WG_KEY_STRLEN) == WG_KEY_STRLEN - 1 &&
	    sodium_base642bin(out->b, WG_KEY_LEN, text, WG_KEY_STRLEN - 1, NULL, &len, NULL,
			      sodium_base64_VARIANT_ORIGINAL) == 0 &&
	    len == WG_KEY_LEN)
		return TRUE;
	wg_key_clear(out);
	return FALSE;
}

gboolean
wg_key_parse_hex(const char *text, WgKey *out)
{
	size_t len = 0;

	if (strnlen(text, WG_KEY_HEXLEN) == WG_KEY_HEXLEN - 1 &&
	    sodium_hex2bin(out->b, WG_KEY_LEN, text, WG_KEY_HEXLEN - 1, NULL, &len, NULL) == 0 &&
	    len == WG_KEY_LEN)
		return TRUE;
	wg_key_clear(out);
	return FALSE;
}

const char *
wg_key_format(const WgKey *key, char buf[WG_KEY_STRLEN])
{
	return sodium_bin2base64(buf, WG_KEY_STRLEN, key->b, WG_KEY_LEN,
				 sodium_base64_VARIANT_ORIGINAL);
}

const char *
wg_key_format_hex(const WgKey *key, char buf[WG_KEY_HEXLEN])
{
	return sodium_bin2hex(buf, WG_KEY_HEXLEN, key->b, WG_KEY_LEN);
}

const char *
wg_key_format_short(const WgKey *key, char buf[WG_KEY_STRLEN])
{
	wg_key_format(key, buf);
	buf[SHORT_LEN] = '\0';
	return buf;
}

void
wg_key_public_from_private(const WgKey *priv, WgKey *pub)
{
	/* Clamps by itself; fails for no input (libsodium crypto_scalarmult_base). */
	if (crypto_scalarmult_base(pub->b, priv->b) != 0)
		wg_key_clear(pub);
}

void
wg_key_generate_private(WgKey *priv)
{
	randombytes_buf(priv->b, WG_KEY_LEN);
	/* Clamped as `wg genkey` does, so that devices read back what was set. */
	priv->b[0] &= 248;
	priv->b[31] = (priv->b[31] & 127) | 64;
}

void
wg_key_clear(WgKey *key)
{
	sodium_memzero(key->b, WG_KEY_LEN);
}
