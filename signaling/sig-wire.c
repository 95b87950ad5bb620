/* SPDX-License-Identifier: MIT */
#include "signaling/sig-wire.h"

#include <gio/gio.h>
#include <json-glib/json-glib.h>
#include <sodium.h>
#include <string.h>

const char *
sig_close_code(SigClose close)
{
	switch (close) {
	case SIG_CLOSE_NONE:
		return "none";
	case SIG_CLOSE_RESTART:
		return "restart";
	case SIG_CLOSE_TOO_BIG:
		return "too-big";
	case SIG_CLOSE_OVERLOAD:
		return "overload";
	case SIG_CLOSE_BAD_FRAME:
		return "bad-frame";
	case SIG_CLOSE_LOGIN_REFUSED:
		return "login-refused";
	case SIG_CLOSE_WRONG_AUTHORITY:
		return "wrong-authority";
	case SIG_CLOSE_LOGIN_TIMEOUT:
		return "login-timeout";
	case SIG_CLOSE_DUPLICATE_KEY:
		return "duplicate-key";
	case SIG_CLOSE_RATE_LIMITED:
		return "rate-limited";
	case SIG_CLOSE_INTEREST_LIMIT:
		return "interest-limit";
	case SIG_CLOSE_WRONG_VERSION:
		return "wrong-version";
	case SIG_CLOSE_NOT_ALLOWED:
		return "not-allowed";
	}
	return "unknown";
}

static const SigClose closes[] = {
	SIG_CLOSE_TOO_BIG,	 SIG_CLOSE_OVERLOAD,	    SIG_CLOSE_BAD_FRAME,
	SIG_CLOSE_LOGIN_REFUSED, SIG_CLOSE_WRONG_AUTHORITY, SIG_CLOSE_LOGIN_TIMEOUT,
	SIG_CLOSE_DUPLICATE_KEY, SIG_CLOSE_RATE_LIMITED,    SIG_CLOSE_INTEREST_LIMIT,
	SIG_CLOSE_WRONG_VERSION, SIG_CLOSE_NOT_ALLOWED,	    SIG_CLOSE_RESTART,
};

guint
sig_close_index(SigClose close)
{
	guint i = 0;

	while (i < G_N_ELEMENTS(closes) && closes[i] != close)
		i++;
	return i;
}

SigClose
sig_close_at(guint index)
{
	return index < G_N_ELEMENTS(closes) ? closes[index] : SIG_CLOSE_NONE;
}

static gboolean
invalid(GError **error, const char *what)
{
	g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, what);
	return FALSE;
}

/* ---- before json-glib ---- */

/* Skips a string; i is behind its opening quote. Returns the index behind the closing one, 0 when
 * there is none. */
static gsize
skip_string(const char *text, gsize len, gsize i)
{
	for (; i < len; i++) {
		if (text[i] == '\\') {
			if (++i == len || !strchr("\"\\/bfnrtu", text[i]) || !text[i])
				return 0;
		} else if (text[i] == '"')
			return i + 1;
		else if ((guchar)text[i] < 0x20)
			return 0; /* RFC 8259 §7: control characters are escaped */
	}
	return 0;
}

/*
 * What json-glib 1.6 must never see: deep nesting (it recurses), unbalanced brackets, and the
 * extensions it takes beyond RFC 8259 (comments, single quotes, assignments, more than one value).
 * The grammar proper is left to it.
 */
static gboolean
prescan(const char *text, gsize len, GError **error)
{
	gsize i = 0, depth = 0;
	gboolean seen = FALSE; /* the object's beginning */

	if (len > SIG_WIRE_MAX)
		return invalid(error, "frame is longer than 16384 bytes");
	if (!g_utf8_validate_len(text, len, NULL))
		return invalid(error, "frame is not UTF-8 text");
	while (i < len) {
		const char c = text[i++];

		/* json-glib reads one value after the other, and the last one counts */
		if (depth == 0 && !g_ascii_isspace(c) && (c != '{' || seen))
			return invalid(error, "frame is no JSON object");
		seen |= c == '{';
		if (c == '"') {
			i = skip_string(text, len, i);
			if (i == 0)
				return invalid(error, "frame has an unfinished string");
		} else if (c == '{' || c == '[') {
			if (++depth > SIG_WIRE_DEPTH_MAX)
				return invalid(error, "frame is nested too deeply");
		} else if (c == '}' || c == ']') {
			if (depth-- == 0)
				return invalid(error, "frame has unbalanced brackets");
		} else if (!g_ascii_isalnum(c) && !strchr(" \t\r\n:,+-.", c)) {
			return invalid(error, "frame is not JSON");
		}
	}
	return depth == 0 || invalid(error, "frame has unbalanced brackets");
}

/* ---- members ---- */

static const char *
get_string(JsonObject *object, const char *name)
{
	JsonNode *node = json_object_get_member(object, name);

	if (!node || !JSON_NODE_HOLDS_VALUE(node) ||
	    json_node_get_value_type(node) != G_TYPE_STRING)
		return NULL;
	return json_node_get_string(node);
}

static gboolean
get_int(JsonObject *object, const char *name, gint64 *out)
{
	JsonNode *node = json_object_get_member(object, name);

	if (!node || !JSON_NODE_HOLDS_VALUE(node) || json_node_get_value_type(node) != G_TYPE_INT64)
		return FALSE;
	*out = json_node_get_int(node);
	return TRUE;
}

/* Printable ASCII without spaces. json-glib turns lone surrogates into bytes that are no UTF-8: so
 * much for trusting its strings. */
static gboolean
is_word(const char *text)
{
	for (const char *p = text; *p; p++)
		if (!g_ascii_isgraph(*p))
			return FALSE;
	return TRUE;
}

/* Copies a required word of at most size - 1 characters. */
static gboolean
get_word(JsonObject *object, const char *name, char *out, gsize size)
{
	const char *text = get_string(object, name);

	return text && g_strlcpy(out, text, size) < size && is_word(out);
}

static gboolean
get_bytes32(JsonObject *object, const char *name, guint8 out[32])
{
	const char *text = get_string(object, name);
	WgKey value;

	if (!text || !wg_key_parse(text, &value))
		return FALSE;
	memcpy(out, value.b, sizeof value.b);
	return TRUE;
}

/* An absent list is empty. */
static gboolean
get_keys(JsonObject *object, const char *name, SigKeys *out, GError **error)
{
	JsonNode *node = json_object_get_member(object, name);
	JsonArray *array;
	guint n;

	if (!node)
		return TRUE;
	if (!JSON_NODE_HOLDS_ARRAY(node))
		return invalid(error, "a list of keys is no array");
	array = json_node_get_array(node);
	n = json_array_get_length(array);
	if (n == 0)
		return TRUE;
	if (n > SIG_WIRE_KEYS_MAX)
		return invalid(error, "more than 256 keys in a frame");
	out->keys = g_new(WgKey, n);
	for (out->n = 0; out->n < n; out->n++) {
		JsonNode *element = json_array_get_element(array, out->n);

		if (!JSON_NODE_HOLDS_VALUE(element) ||
		    json_node_get_value_type(element) != G_TYPE_STRING ||
		    !wg_key_parse(json_node_get_string(element), &out->keys[out->n]))
			return invalid(error, "a key is not 32 bytes in base64");
	}
	return TRUE;
}

static gboolean
get_two_key_lists(JsonObject *object, const char *a, SigKeys *out_a, const char *b, SigKeys *out_b,
		  GError **error)
{
	if (!get_keys(object, a, out_a, error) || !get_keys(object, b, out_b, error))
		return FALSE;
	return out_a->n + out_b->n <= SIG_WIRE_KEYS_MAX ||
	       invalid(error, "more than 256 keys in a frame");
}

/* ---- frames ---- */

static gboolean
decode_hello(JsonObject *object, SigHello *hello, GError **error)
{
	JsonNode *node = json_object_get_member(object, "stun");
	guint n;

	if (!get_int(object, "v", &hello->version) || !get_bytes32(object, "nonce", hello->nonce) ||
	    !get_bytes32(object, "key", hello->key.b))
		return invalid(error, "hello lacks v, nonce or key");
	if (!node)
		return TRUE;
	if (!JSON_NODE_HOLDS_ARRAY(node))
		return invalid(error, "hello: stun is no array");
	n = MIN(json_array_get_length(json_node_get_array(node)), SIG_WIRE_STUN_MAX);
	for (guint i = 0; i < n; i++) {
		JsonNode *port = json_array_get_element(json_node_get_array(node), i);

		if (!JSON_NODE_HOLDS_VALUE(port) ||
		    json_node_get_value_type(port) != G_TYPE_INT64 || json_node_get_int(port) < 1 ||
		    json_node_get_int(port) > G_MAXUINT16)
			return invalid(error, "hello: stun holds something that is no port");
		hello->stun[hello->n_stun++] = json_node_get_int(port);
	}
	return TRUE;
}

static gboolean
decode_login(JsonObject *object, SigLogin *login, GError **error)
{
	if (!get_int(object, "v", &login->version) || !get_bytes32(object, "key", login->key.b) ||
	    !get_bytes32(object, "nonce", login->nonce) || !get_bytes32(object, "mac", login->mac))
		return invalid(error, "login lacks v, key, nonce or mac");
	if (!get_word(object, "authority", login->authority, sizeof login->authority) ||
	    !login->authority[0])
		return invalid(error, "login lacks authority, or it is too long or strange");
	return TRUE;
}

static gboolean
decode_drain(JsonObject *object, SigFrame *out, GError **error)
{
	gint64 within;

	if (!get_int(object, "within_s", &within) || within < 0)
		return invalid(error, "drain lacks within_s");
	out->drain.within_s = MIN(within, 3600);
	return TRUE;
}

/* The texts of an error are for people: a missing or long one is no reason to lose the code. */
static gboolean
decode_error(JsonObject *object, SigFrame *out, GError **error)
{
	const char *text = get_string(object, "text");
	const char *end;

	if (!get_word(object, "code", out->error.code, sizeof out->error.code))
		return invalid(error, "error lacks code");
	if (text) {
		g_strlcpy(out->error.text, text, sizeof out->error.text);
		/* not a character cut in two */
		g_utf8_validate(out->error.text, -1, &end);
		out->error.text[end - out->error.text] = '\0';
	}
	return TRUE;
}

/* What is no address says nothing of where a key was seen, and spoils nothing else. */
static gboolean
decode_presence(JsonObject *object, SigFrame *out, GError **error)
{
	const SigKeys *online = &out->presence.online;
	JsonNode *node = json_object_get_member(object, "seen");
	JsonArray *array;

	if (!get_two_key_lists(object, "online", &out->presence.online, "offline",
			       &out->presence.offline, error))
		return FALSE;
	if (!node || online->n == 0)
		return TRUE;
	if (!JSON_NODE_HOLDS_ARRAY(node))
		return invalid(error, "presence: seen is no array");
	array = json_node_get_array(node);
	out->presence.seen = g_new0(WgEndpoint, online->n);
	for (guint i = 0; i < online->n && i < json_array_get_length(array); i++) {
		JsonNode *element = json_array_get_element(array, i);
		const char *text =
			JSON_NODE_HOLDS_VALUE(element) ? json_node_get_string(element) : NULL;

		if (text)
			wg_endpoint_parse_address(text, 0, &out->presence.seen[i]);
	}
	return TRUE;
}

static gboolean
decode_turn_uris(JsonNode *node, SigTurnGrant *turn, GError **error)
{
	JsonArray *array;
	guint n;

	if (!node || !JSON_NODE_HOLDS_ARRAY(node))
		return invalid(error, "turn lacks uris");
	array = json_node_get_array(node);
	n = json_array_get_length(array);
	if (n < 1 || n > SIG_WIRE_TURN_URIS_MAX)
		return invalid(error, "turn has no uris, or more than 8");
	for (guint i = 0; i < n; i++) {
		JsonNode *element = json_array_get_element(array, i);
		const char *uri =
			JSON_NODE_HOLDS_VALUE(element) ? json_node_get_string(element) : NULL;

		if (!uri || !*uri || strlen(uri) > SIG_WIRE_TURN_URI_MAX || !is_word(uri))
			return invalid(error, "turn: a URI is empty, too long or strange");
		turn->uris[i] = g_strdup(uri);
	}
	return TRUE;
}

static gboolean
decode_turn(JsonObject *object, SigTurnGrant *turn, GError **error)
{
	gint64 ttl;

	if (!get_word(object, "username", turn->username, sizeof turn->username) ||
	    !get_word(object, "password", turn->password, sizeof turn->password) ||
	    !turn->username[0] || !turn->password[0])
		return invalid(error, "turn lacks username or password, or one is too long or "
				      "strange");
	if (!get_int(object, "ttl_s", &ttl) || ttl < 1 || ttl > SIG_WIRE_TURN_TTL_MAX)
		return invalid(error, "turn lacks ttl_s, or it is none from 1 to 86400");
	turn->ttl_s = (guint)ttl;
	return decode_turn_uris(json_object_get_member(object, "uris"), turn, error);
}

static const struct {
	const char *t;
	SigFrameType type;
} frame_names[] = {
	{"hello", SIG_FRAME_HELLO},	  {"login", SIG_FRAME_LOGIN},
	{"welcome", SIG_FRAME_WELCOME},	  {"interest", SIG_FRAME_INTEREST},
	{"presence", SIG_FRAME_PRESENCE}, {"unavailable", SIG_FRAME_UNAVAILABLE},
	{"error", SIG_FRAME_ERROR},	  {"drain", SIG_FRAME_DRAIN},
	{"turn", SIG_FRAME_TURN},	  {"turn-wanted", SIG_FRAME_TURN_WANTED},
};

static gboolean
decode_object(JsonObject *object, SigFrame *out, GError **error)
{
	const char *t = get_string(object, "t");

	if (!t)
		return invalid(error, "frame has no \"t\"");
	for (guint i = 0; i < G_N_ELEMENTS(frame_names); i++)
		if (strcmp(t, frame_names[i].t) == 0)
			out->type = frame_names[i].type;
	switch (out->type) {
	case SIG_FRAME_UNKNOWN:
	case SIG_FRAME_TURN_WANTED:
		return TRUE;
	case SIG_FRAME_HELLO:
		return decode_hello(object, &out->hello, error);
	case SIG_FRAME_LOGIN:
		return decode_login(object, &out->login, error);
	case SIG_FRAME_WELCOME:
		if (!get_word(object, "seen", out->welcome.seen, sizeof out->welcome.seen))
			out->welcome.seen[0] = '\0';
		return TRUE;
	case SIG_FRAME_INTEREST:
		return get_two_key_lists(object, "add", &out->interest.add, "remove",
					 &out->interest.remove, error);
	case SIG_FRAME_PRESENCE:
		return decode_presence(object, out, error);
	case SIG_FRAME_UNAVAILABLE:
		return get_keys(object, "to", &out->unavailable.to, error);
	case SIG_FRAME_ERROR:
		return decode_error(object, out, error);
	case SIG_FRAME_DRAIN:
		return decode_drain(object, out, error);
	case SIG_FRAME_TURN:
		return decode_turn(object, &out->turn, error);
	}
	return invalid(error, "frame of no known type");
}

gboolean
sig_wire_decode(const char *text, gsize len, SigFrame *out, GError **error)
{
	g_autoptr(JsonParser) parser = NULL;
	JsonNode *root;

	memset(out, 0, sizeof *out);
	if (!prescan(text, len, error))
		return FALSE;
	parser = json_parser_new_immutable();
	/* json-glib's own message may quote the input: not for logs. */
	if (!json_parser_load_from_data(parser, text, len, NULL))
		return invalid(error, "frame is not JSON");
	root = json_parser_get_root(parser);
	if (!root || !JSON_NODE_HOLDS_OBJECT(root))
		return invalid(error, "frame is no JSON object");
	if (decode_object(json_node_get_object(root), out, error))
		return TRUE;
	sig_frame_clear(out);
	return FALSE;
}

static void
clear_keys(SigKeys *keys)
{
	g_free(keys->keys);
}

void
sig_frame_clear(SigFrame *frame)
{
	switch (frame->type) {
	case SIG_FRAME_INTEREST:
		clear_keys(&frame->interest.add);
		clear_keys(&frame->interest.remove);
		break;
	case SIG_FRAME_PRESENCE:
		clear_keys(&frame->presence.online);
		clear_keys(&frame->presence.offline);
		g_free(frame->presence.seen);
		break;
	case SIG_FRAME_UNAVAILABLE:
		clear_keys(&frame->unavailable.to);
		break;
	case SIG_FRAME_TURN:
		for (guint i = 0; frame->turn.uris[i]; i++)
			g_free(frame->turn.uris[i]);
		break;
	case SIG_FRAME_UNKNOWN:
	case SIG_FRAME_HELLO:
	case SIG_FRAME_LOGIN:
	case SIG_FRAME_WELCOME:
	case SIG_FRAME_ERROR:
	case SIG_FRAME_DRAIN:
	case SIG_FRAME_TURN_WANTED:
		break;
	}
	sodium_memzero(frame, sizeof *frame);
}

gboolean
sig_wire_decode_binary(const guint8 *data, gsize len, WgKey *key, const guint8 **body,
		       gsize *body_len, GError **error)
{
	if (len > SIG_WIRE_MAX)
		return invalid(error, "message is longer than 16384 bytes");
	if (len < SIG_WIRE_BINARY_HEADER)
		return invalid(error, "message is shorter than its header");
	if (data[0] != SIG_WIRE_BINARY_VERSION)
		return invalid(error, "message of an unknown version");
	memcpy(key->b, data + 1, sizeof key->b);
	*body = data + SIG_WIRE_BINARY_HEADER;
	*body_len = len - SIG_WIRE_BINARY_HEADER;
	return TRUE;
}
