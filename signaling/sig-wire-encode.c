/* SPDX-License-Identifier: MIT */
#include "signaling/sig-wire.h"

#include <string.h>

static void
append_quoted(GString *s, const char *value)
{
	g_autofree char *valid = g_utf8_make_valid(value, -1);

	g_string_append_c(s, '"');
	for (const char *p = valid; *p; p++) {
		if (*p == '"' || *p == '\\')
			g_string_append_printf(s, "\\%c", *p);
		else if ((guchar)*p < 0x20)
			g_string_append_printf(s, "\\u%04x", *p);
		else
			g_string_append_c(s, *p);
	}
	g_string_append_c(s, '"');
}

static void
append_string(GString *s, const char *name, const char *value)
{
	g_string_append_printf(s, ",\"%s\":", name);
	append_quoted(s, value);
}

static void
append_bytes32(GString *s, const char *name, const guint8 value[32])
{
	char buf[WG_KEY_STRLEN];
	WgKey key;

	memcpy(key.b, value, sizeof key.b);
	g_string_append_printf(s, ",\"%s\":\"%s\"", name, wg_key_format(&key, buf));
}

static void
append_keys(GString *s, const char *name, const WgKey *keys, gsize n)
{
	char buf[WG_KEY_STRLEN];

	if (n == 0)
		return;
	g_string_append_printf(s, ",\"%s\":[", name);
	for (gsize i = 0; i < n; i++)
		g_string_append_printf(s, "%s\"%s\"", i ? "," : "", wg_key_format(&keys[i], buf));
	g_string_append_c(s, ']');
}

static GString *
begin(const char *t)
{
	GString *s = g_string_new(NULL);

	g_string_printf(s, "{\"t\":\"%s\"", t);
	return s;
}

/* Unset ones are empty. */
static void
append_addresses(GString *s, const char *name, const WgEndpoint *addresses, gsize n)
{
	char text[WG_ENDPOINT_STRLEN];

	g_string_append_printf(s, ",\"%s\":[", name);
	for (gsize i = 0; i < n; i++)
		g_string_append_printf(s, "%s\"%s\"", i ? "," : "",
				       wg_endpoint_is_set(&addresses[i])
					       ? wg_endpoint_format_address(&addresses[i], text)
					       : "");
	g_string_append_c(s, ']');
}

static char *
finish(GString *s)
{
	g_string_append_c(s, '}');
	return g_string_free(s, FALSE);
}

char *
sig_wire_encode_hello(const SigHello *hello)
{
	GString *s = begin("hello");

	g_string_append_printf(s, ",\"v\":%" G_GINT64_FORMAT, hello->version);
	append_bytes32(s, "nonce", hello->nonce);
	append_bytes32(s, "key", hello->key.b);
	g_string_append(s, ",\"stun\":[");
	for (guint i = 0; i < hello->n_stun; i++)
		g_string_append_printf(s, "%s%u", i ? "," : "", hello->stun[i]);
	g_string_append_c(s, ']');
	return finish(s);
}

char *
sig_wire_encode_login(const SigLogin *login)
{
	GString *s = begin("login");

	g_string_append_printf(s, ",\"v\":%" G_GINT64_FORMAT, login->version);
	append_bytes32(s, "key", login->key.b);
	append_bytes32(s, "nonce", login->nonce);
	append_string(s, "authority", login->authority);
	append_bytes32(s, "mac", login->mac);
	return finish(s);
}

char *
sig_wire_encode_welcome(const char *seen)
{
	GString *s = begin("welcome");

	append_string(s, "seen", seen);
	return finish(s);
}

char *
sig_wire_encode_interest(const WgKey *add, gsize n_add, const WgKey *remove, gsize n_remove)
{
	GString *s;

	g_return_val_if_fail(n_add + n_remove <= SIG_WIRE_KEYS_MAX, NULL);
	s = begin("interest");
	append_keys(s, "add", add, n_add);
	append_keys(s, "remove", remove, n_remove);
	return finish(s);
}

char *
sig_wire_encode_presence(const WgKey *online, const WgEndpoint *seen, gsize n_online,
			 const WgKey *offline, gsize n_offline)
{
	GString *s;

	g_return_val_if_fail(n_online + n_offline <= SIG_WIRE_KEYS_MAX, NULL);
	g_return_val_if_fail(seen == NULL || n_online <= SIG_WIRE_SEEN_KEYS_MAX, NULL);
	s = begin("presence");
	append_keys(s, "online", online, n_online);
	if (seen != NULL)
		append_addresses(s, "seen", seen, n_online);
	append_keys(s, "offline", offline, n_offline);
	return finish(s);
}

char *
sig_wire_encode_unavailable(const WgKey *to, gsize n)
{
	GString *s;

	g_return_val_if_fail(n <= SIG_WIRE_KEYS_MAX, NULL);
	s = begin("unavailable");
	append_keys(s, "to", to, n);
	return finish(s);
}

char *
sig_wire_encode_error(const char *code, const char *text)
{
	GString *s = begin("error");

	append_string(s, "code", code);
	append_string(s, "text", text);
	return finish(s);
}

char *
sig_wire_encode_drain(guint within_s)
{
	GString *s = begin("drain");

	g_string_append_printf(s, ",\"within_s\":%u", within_s);
	return finish(s);
}

char *
sig_wire_encode_turn(const char *const *uris, const char *username, const char *password,
		     guint ttl_s)
{
	GString *s;

	g_return_val_if_fail(uris[0] && g_strv_length((GStrv)uris) <= SIG_WIRE_TURN_URIS_MAX, NULL);
	s = begin("turn");
	g_string_append(s, ",\"uris\":");
	for (guint i = 0; uris[i]; i++) {
		g_string_append_c(s, i ? ',' : '[');
		append_quoted(s, uris[i]);
	}
	g_string_append_c(s, ']');
	append_string(s, "username", username);
	append_string(s, "password", password);
	g_string_append_printf(s, ",\"ttl_s\":%u", ttl_s);
	return finish(s);
}

char *
sig_wire_encode_turn_wanted(void)
{
	return finish(begin("turn-wanted"));
}

GBytes *
sig_wire_encode_binary(const WgKey *key, const guint8 *body, gsize len)
{
	guint8 *frame;

	if (len > SIG_WIRE_BODY_MAX)
		return NULL;
	frame = g_malloc(SIG_WIRE_BINARY_HEADER + len);
	frame[0] = SIG_WIRE_BINARY_VERSION;
	memcpy(frame + 1, key->b, sizeof key->b);
	if (len > 0)
		memcpy(frame + SIG_WIRE_BINARY_HEADER, body, len);
	return g_bytes_new_take(frame, SIG_WIRE_BINARY_HEADER + len);
}
