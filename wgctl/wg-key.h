/* SPDX-License-Identifier: MIT */
/*
 * WgKey: a Curve25519 public, private or preshared key. Open value type, pure, any thread.
 * Private keys are cleared with wg_key_clear() before their memory goes.
 */
#pragma once

#include <glib.h>

#define WG_KEY_LEN 32
#define WG_KEY_STRLEN 45 /* base64 and NUL */
#define WG_KEY_HEXLEN 65

typedef struct {
	guint8 b[WG_KEY_LEN];
} WgKey;

gboolean wg_key_is_zero(const WgKey *key);		 /* constant time */
gboolean wg_key_equal(gconstpointer a, gconstpointer b); /* GEqualFunc, constant time */
guint wg_key_hash(gconstpointer key);			 /* GHashFunc; for public keys */
int wg_key_compare(const WgKey *a, const WgKey *b); /* memcmp order, for role choice; public keys */
/* Strict base64: exactly 44 characters, canonical. FALSE zeroes *out. */
gboolean wg_key_parse(const char *text, WgKey *out);
gboolean wg_key_parse_hex(const char *text, WgKey *out);
const char *wg_key_format(const WgKey *key, char buf[WG_KEY_STRLEN]);
const char *wg_key_format_hex(const WgKey *key, char buf[WG_KEY_HEXLEN]);
/* First 8 base64 characters: how logs name a peer. */
const char *wg_key_format_short(const WgKey *key, char buf[WG_KEY_STRLEN]);
void wg_key_public_from_private(const WgKey *priv, WgKey *pub);
void wg_key_generate_private(WgKey *priv);
void wg_key_clear(WgKey *key); /* sodium_memzero */
