/* SPDX-License-Identifier: MIT */
#include "signaling/sig-wire.h"

#include <gio/gio.h>
#include <string.h>

#define K1 "B6N8vBQgk8i3VdwbEOhstCY3StFqqFPtC9/AsrhtHHw="
#define K2 "ZLEBsdC+WocEvQePmJUAH8A+jp+VIvGI3RKNmEbUhGY="

static void
refused(const char *text)
{
	g_autoptr(GError) error = NULL;
	g_auto(SigFrame) frame = {0};

	if (sig_wire_decode(text, strlen(text), &frame, &error))
		g_error("accepted: %.60s", text);
	g_assert_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA);
	g_assert_null(strchr(error->message, '\n'));
	g_assert_cmpint(frame.type, ==, SIG_FRAME_UNKNOWN);
}

static void
decode_take(char *text, SigFrame *out)
{
	g_autoptr(GError) error = NULL;

	g_assert_true(sig_wire_decode(text, strlen(text), out, &error));
	g_assert_no_error(error);
	g_free(text);
}

static void
test_hello(void)
{
	SigHello hello = {
		.version = 1, .nonce = {1, 2}, .key = {{3}}, .n_stun = 2, .stun = {3478, 9}};
	g_auto(SigFrame) frame = {0};

	decode_take(sig_wire_encode_hello(&hello), &frame);
	g_assert_cmpint(frame.type, ==, SIG_FRAME_HELLO);
	g_assert_cmpint(frame.hello.version, ==, 1);
	g_assert_cmpmem(frame.hello.nonce, 32, hello.nonce, 32);
	g_assert_cmpmem(frame.hello.key.b, 32, hello.key.b, 32);
	g_assert_cmpuint(frame.hello.n_stun, ==, 2);
	g_assert_cmpuint(frame.hello.stun[0], ==, 3478);
	g_assert_cmpuint(frame.hello.stun[1], ==, 9);
	refused("{\"t\":\"hello\",\"v\":1,\"nonce\":\"" K1 "\"}");
	refused("{\"t\":\"hello\",\"v\":1,\"nonce\":\"" K1 "\",\"key\":\"" K2 "\",\"stun\":[0]}");
	refused("{\"t\":\"hello\",\"v\":1,\"nonce\":\"" K1 "\",\"key\":\"" K2
		"\",\"stun\":[65536]}");
	refused("{\"t\":\"hello\",\"v\":1,\"nonce\":\"" K1 "\",\"key\":\"" K2
		"\",\"stun\":[\"1\"]}");
	refused("{\"t\":\"hello\",\"v\":\"1\",\"nonce\":\"" K1 "\",\"key\":\"" K2 "\"}");
}

static void
test_login(void)
{
	SigLogin login = {.version = 1, .authority = "[2001:db8::1]:443", .mac = {9}};
	g_auto(SigFrame) frame = {0};

	decode_take(sig_wire_encode_login(&login), &frame);
	g_assert_cmpint(frame.type, ==, SIG_FRAME_LOGIN);
	g_assert_cmpstr(frame.login.authority, ==, login.authority);
	g_assert_cmpmem(frame.login.mac, 32, login.mac, 32);
#define LOGIN(authority)                                                                           \
	"{\"t\":\"login\",\"v\":1,\"key\":\"" K1 "\",\"nonce\":\"" K1 "\",\"mac\":\"" K1           \
	"\",\"authority\":\"" authority "\"}"
	refused(LOGIN(""));
	refused(LOGIN("a b:1"));
	refused(LOGIN("\\u0000"));
	refused(LOGIN("\\n"));
	refused("{\"t\":\"login\",\"v\":1,\"key\":\"" K1 "\",\"nonce\":\"" K1 "\",\"mac\":\"AAAA\","
		"\"authority\":\"a:1\"}");
}

static void
test_authority_too_long(void)
{
	g_autofree char *name = g_strnfill(SIG_WIRE_AUTHORITY_MAX + 1, 'a');
	g_autofree char *text =
		g_strdup_printf("{\"t\":\"login\",\"v\":1,\"key\":\"" K1 "\",\"nonce\":\"" K1
				"\",\"mac\":\"" K1 "\",\"authority\":\"%s\"}",
				name);

	refused(text);
}

static void
test_keys(void)
{
	WgKey keys[SIG_WIRE_KEYS_MAX];
	g_auto(SigFrame) interest = {0}, presence = {0}, unavailable = {0}, empty = {0};
	char *text;

	for (guint i = 0; i < G_N_ELEMENTS(keys); i++)
		memset(keys[i].b, (int)i, sizeof keys[i].b);
	text = sig_wire_encode_interest(keys, 200, keys + 200, 56);
	g_assert_cmpuint(strlen(text), <=, SIG_WIRE_MAX);
	decode_take(text, &interest);
	g_assert_cmpint(interest.type, ==, SIG_FRAME_INTEREST);
	g_assert_cmpuint(interest.interest.add.n, ==, 200);
	g_assert_cmpuint(interest.interest.remove.n, ==, 56);
	g_assert_true(wg_key_equal(&interest.interest.remove.keys[55], &keys[255]));
	decode_take(sig_wire_encode_presence(keys, NULL, 1, NULL, 0), &presence);
	g_assert_cmpint(presence.type, ==, SIG_FRAME_PRESENCE);
	g_assert_cmpuint(presence.presence.online.n, ==, 1);
	g_assert_cmpuint(presence.presence.offline.n, ==, 0);
	decode_take(sig_wire_encode_unavailable(keys, 2), &unavailable);
	g_assert_cmpint(unavailable.type, ==, SIG_FRAME_UNAVAILABLE);
	g_assert_cmpuint(unavailable.unavailable.to.n, ==, 2);
	decode_take(g_strdup("{\"t\":\"interest\",\"add\":[]}"), &empty);
	g_assert_cmpuint(empty.interest.add.n, ==, 0);
	refused("{\"t\":\"interest\",\"add\":{}}");
	refused("{\"t\":\"interest\",\"add\":null}");
	refused("{\"t\":\"interest\",\"add\":[1]}");
	refused("{\"t\":\"interest\",\"add\":[null]}");
	refused("{\"t\":\"interest\",\"add\":[\"" K1 "\",[]]}");
	refused("{\"t\":\"interest\",\"add\":[\"" K1 "\"],\"remove\":[\"AAAA\"]}");
}

/* Where peers were seen: as many addresses as keys, what is none leaves the others alone. */
static void
test_seen(void)
{
	WgKey keys[SIG_WIRE_SEEN_KEYS_MAX] = {0};
	WgEndpoint seen[SIG_WIRE_SEEN_KEYS_MAX] = {0};
	g_auto(SigFrame) full = {0}, two = {0}, none = {0}, odd = {0}, few = {0};
	char *text;

	for (guint i = 0; i < G_N_ELEMENTS(seen); i++)
		g_assert_true(wg_endpoint_parse_address("2001:db8:1111:2222:3333:4444:5555:6666", 0,
							&seen[i]));
	text = sig_wire_encode_presence(keys, seen, G_N_ELEMENTS(keys), NULL, 0);
	g_assert_cmpuint(strlen(text), <=, SIG_WIRE_MAX);
	decode_take(text, &full);
	g_assert_true(wg_endpoint_same_address(&full.presence.seen[127], &seen[127]));
	seen[0] = (WgEndpoint){0};
	g_assert_true(wg_endpoint_parse("203.0.113.7:4000", &seen[1]));
	text = sig_wire_encode_presence(keys, seen, 2, NULL, 0);
	g_assert_nonnull(strstr(text, "\"seen\":[\"\",\"203.0.113.7\"]"));
	decode_take(text, &two);
	g_assert_false(wg_endpoint_is_set(&two.presence.seen[0]));
	g_assert_true(wg_endpoint_same_address(&two.presence.seen[1], &seen[1]));
	g_assert_cmpuint(wg_endpoint_port(&two.presence.seen[1]), ==, 0);
	decode_take(sig_wire_encode_presence(keys, NULL, 1, NULL, 0), &none);
	g_assert_null(none.presence.seen);
	decode_take(g_strdup("{\"t\":\"presence\",\"online\":[\"" K1 "\",\"" K1 "\",\"" K1 "\"],"
			     "\"seen\":[7,\"x:y\",\"192.0.2.1\",\"192.0.2.2\"]}"),
		    &odd);
	g_assert_false(wg_endpoint_is_set(&odd.presence.seen[0]));
	g_assert_false(wg_endpoint_is_set(&odd.presence.seen[1]));
	g_assert_true(wg_endpoint_is_set(&odd.presence.seen[2]));
	decode_take(g_strdup("{\"t\":\"presence\",\"online\":[\"" K1 "\"],\"seen\":[]}"), &few);
	g_assert_false(wg_endpoint_is_set(&few.presence.seen[0]));
	refused("{\"t\":\"presence\",\"online\":[\"" K1 "\"],\"seen\":{}}");
}

static void
test_too_many_keys(void)
{
	GString *s = g_string_new("{\"t\":\"interest\",\"add\":[");

	for (guint i = 0; i < SIG_WIRE_KEYS_MAX; i++)
		g_string_append(s, "\"" K1 "\",");
	g_string_append(s, "\"" K1 "\"]}");
	refused(s->str);
	g_string_printf(s, "{\"t\":\"interest\",\"remove\":[\"" K1 "\"],\"add\":[\"" K1 "\"");
	for (guint i = 1; i < SIG_WIRE_KEYS_MAX; i++)
		g_string_append(s, ",\"" K1 "\"");
	g_string_append(s, "]}");
	refused(s->str);
	g_string_free(s, TRUE);
}

static void
test_others(void)
{
	g_auto(SigFrame) welcome = {0}, error = {0}, drain = {0};

	decode_take(sig_wire_encode_welcome("192.0.2.1:5"), &welcome);
	g_assert_cmpint(welcome.type, ==, SIG_FRAME_WELCOME);
	g_assert_cmpstr(welcome.welcome.seen, ==, "192.0.2.1:5");
	decode_take(sig_wire_encode_error("bad-frame", "a \"quoted\\\n\x01 text \xff"), &error);
	g_assert_cmpint(error.type, ==, SIG_FRAME_ERROR);
	g_assert_cmpstr(error.error.code, ==, "bad-frame");
	g_assert_true(g_str_has_prefix(error.error.text, "a \"quoted\\\n\x01 text "));
	decode_take(sig_wire_encode_drain(7), &drain);
	g_assert_cmpint(drain.type, ==, SIG_FRAME_DRAIN);
	g_assert_cmpuint(drain.drain.within_s, ==, 7);
	refused("{\"t\":\"drain\",\"within_s\":-1}");
	refused("{\"t\":\"drain\",\"within_s\":1.5}");
	refused("{\"t\":\"error\"}");
}

#define TURN(uris, username, password, ttl)                                                        \
	"{\"t\":\"turn\",\"uris\":" uris ",\"username\":" username ",\"password\":" password       \
	",\"ttl_s\":" ttl "}"
#define URIS "[\"turn:a\"]"

static void
test_turn(void)
{
	const char *const uris[] = {"turn:192.0.2.7:3478?transport=udp", "turns:[2001:db8::1]:443",
				    NULL};
	g_auto(SigFrame) frame = {0}, wanted = {0}, member = {0};

	decode_take(sig_wire_encode_turn(uris, "1790000000:0123456789abcdef", "p+/\"\\=", 3600),
		    &frame);
	g_assert_cmpint(frame.type, ==, SIG_FRAME_TURN);
	g_assert_cmpstrv(frame.turn.uris, uris);
	g_assert_cmpstr(frame.turn.username, ==, "1790000000:0123456789abcdef");
	g_assert_cmpstr(frame.turn.password, ==, "p+/\"\\=");
	g_assert_cmpuint(frame.turn.ttl_s, ==, 3600);
	sig_frame_clear(&frame);
	g_assert_null(frame.turn.uris[0]);
	g_assert_cmpstr(frame.turn.password, ==, "");
	decode_take(sig_wire_encode_turn_wanted(), &wanted);
	g_assert_cmpint(wanted.type, ==, SIG_FRAME_TURN_WANTED);
	decode_take(g_strdup("{\"t\":\"turn-wanted\",\"why\":[1]}"), &member);
	g_assert_cmpint(member.type, ==, SIG_FRAME_TURN_WANTED);
	decode_take(g_strdup(TURN(URIS, "\"u\"", "\"p\"", "86400")), &frame);
	g_assert_cmpuint(frame.turn.ttl_s, ==, 86400);
}

static void
test_turn_refused(void)
{
	refused("{\"t\":\"turn\"}");
	refused(TURN("[]", "\"u\"", "\"p\"", "60"));
	refused(TURN("\"turn:a\"", "\"u\"", "\"p\"", "60"));
	refused(TURN("null", "\"u\"", "\"p\"", "60"));
	refused(TURN("[\"turn:a\",1]", "\"u\"", "\"p\"", "60"));
	refused(TURN("[\"turn:a\",null]", "\"u\"", "\"p\"", "60"));
	refused(TURN("[\"turn:a\",[\"turn:b\"]]", "\"u\"", "\"p\"", "60"));
	refused(TURN("[\"turn:a\",\"\"]", "\"u\"", "\"p\"", "60"));
	refused(TURN("[\"turn:a b\"]", "\"u\"", "\"p\"", "60"));
	refused(TURN("[\"turn:\\ud800\"]", "\"u\"", "\"p\"", "60"));
	refused(TURN("[\"turn:a\\n\"]", "\"u\"", "\"p\"", "60"));
	refused(TURN(URIS, "\"\"", "\"p\"", "60"));
	refused(TURN(URIS, "1", "\"p\"", "60"));
	refused(TURN(URIS, "\"u\"", "\"p\\u0001\"", "60"));
	refused(TURN(URIS, "\"u\"", "null", "60"));
	refused(TURN(URIS, "\"u\"", "\"p\"", "0"));
	refused(TURN(URIS, "\"u\"", "\"p\"", "-60"));
	refused(TURN(URIS, "\"u\"", "\"p\"", "86401"));
	refused(TURN(URIS, "\"u\"", "\"p\"", "\"60\""));
	refused(TURN(URIS, "\"u\"", "\"p\"", "1e3"));
}

/* Whether a grant with these lengths, and so many URIs, is taken. */
static gboolean
turn_of(gsize uri, guint n, gsize username, gsize password)
{
	g_autofree char *x = g_strnfill(uri, 'x');
	g_autofree char *u = g_strnfill(username, 'u');
	g_autofree char *p = g_strnfill(password, 'p');
	GString *s = g_string_new("{\"t\":\"turn\",\"uris\":[");
	g_auto(SigFrame) frame = {0};
	gboolean ok;

	for (guint i = 0; i < n; i++)
		g_string_append_printf(s, "%s\"%s\"", i ? "," : "", x);
	g_string_append_printf(s, "],\"username\":\"%s\",\"password\":\"%s\",\"ttl_s\":60}", u, p);
	ok = sig_wire_decode(s->str, s->len, &frame, NULL);
	g_string_free(s, TRUE);
	return ok;
}

static void
test_turn_bounds(void)
{
	g_assert_true(turn_of(SIG_WIRE_TURN_URI_MAX, SIG_WIRE_TURN_URIS_MAX, SIG_WIRE_TURN_WORD_MAX,
			      SIG_WIRE_TURN_WORD_MAX));
	g_assert_false(turn_of(SIG_WIRE_TURN_URI_MAX + 1, 1, 1, 1));
	g_assert_false(turn_of(1, SIG_WIRE_TURN_URIS_MAX + 1, 1, 1));
	g_assert_false(turn_of(1, 1, SIG_WIRE_TURN_WORD_MAX + 1, 1));
	g_assert_false(turn_of(1, 1, 1, SIG_WIRE_TURN_WORD_MAX + 1));
}

/* A text longer than we keep is cut between characters. */
static void
test_long_text(void)
{
	GString *text = g_string_new(NULL);
	g_auto(SigFrame) frame = {0};

	for (guint i = 0; i < 200; i++)
		g_string_append(text, "\xe2\x82\xac");
	decode_take(sig_wire_encode_error("x", text->str), &frame);
	g_assert_true(g_utf8_validate(frame.error.text, -1, NULL));
	g_assert_cmpuint(strlen(frame.error.text), ==, 255);
	g_string_free(text, TRUE);
}

static void
test_extension(void)
{
	g_auto(SigFrame) later = {0}, member = {0};

	decode_take(g_strdup("{\"t\":\"later\",\"uris\":[{\"a\":[1]}]}"), &later);
	g_assert_cmpint(later.type, ==, SIG_FRAME_UNKNOWN);
	decode_take(g_strdup("{\"t\":\"drain\",\"within_s\":1,\"why\":{\"x\":[true,null]}}"),
		    &member);
	g_assert_cmpint(member.type, ==, SIG_FRAME_DRAIN);
}

static void
test_hostile(void)
{
	static const char *const texts[] = {
		"",
		" ",
		"{",
		"}",
		"[]",
		"null",
		"\"t\"",
		"{}",
		"{]",
		"[}",
		"{\"t\"}",
		"{\"t\":1}",
		"{\"t\":null}",
		"{\"t\":[\"hello\"]}",
		"{\"t\":\"hello\"",
		"{\"t\":\"hello}",
		"{\"t\":\"drain\",\"within_s\":1}}",
		"{\"t\":\"drain\",\"within_s\":1}{",
		"{\"t\":\"drain\",\"within_s\":1}{\"t\":\"drain\",\"within_s\":1}",
		"1{\"t\":\"drain\",\"within_s\":1}",
		"{\"t\":\"drain\",\"within_s\":1} 1",
		"{'t':'drain','within_s':1}",
		"/* x */ {\"t\":\"drain\",\"within_s\":1}",
		"var x = {\"t\":\"drain\",\"within_s\":1};",
		"{\"t\":\"a\nb\"}",
		"{\"t\":\"\\",
		"{\"t\":\"\xff\"}",
		"{\"t\":\"x\",\"a\":[[[[1]]]]}",
	};

	for (guint i = 0; i < G_N_ELEMENTS(texts); i++)
		refused(texts[i]);
}

static void
test_deep(void)
{
	g_autofree char *open = g_strnfill(SIG_WIRE_MAX, '[');
	g_autofree char *longer = g_strnfill(SIG_WIRE_MAX + 1, ' ');
	g_auto(SigFrame) frame = {0};

	refused(open);
	refused(longer);
	/* a NUL inside */
	g_assert_false(sig_wire_decode("{\"t\":\"x\"\0}", 10, &frame, NULL));
}

static void
test_binary(void)
{
	WgKey key = {{1, 2, 3}}, back;
	g_autofree guint8 *large = g_malloc0(SIG_WIRE_BODY_MAX + 1);
	g_autoptr(GBytes) frame = sig_wire_encode_binary(&key, (const guint8 *)"abc", 3);
	g_autoptr(GBytes) full = sig_wire_encode_binary(&key, large, SIG_WIRE_BODY_MAX);
	const guint8 *data = g_bytes_get_data(frame, NULL), *body;
	gsize len;

	g_assert_cmpuint(g_bytes_get_size(frame), ==, 36);
	g_assert_true(sig_wire_decode_binary(data, 36, &back, &body, &len, NULL));
	g_assert_true(wg_key_equal(&key, &back));
	g_assert_cmpmem(body, len, "abc", 3);
	g_assert_true(sig_wire_decode_binary(data, 33, &back, &body, &len, NULL));
	g_assert_cmpuint(len, ==, 0);
	g_assert_false(sig_wire_decode_binary(data, 32, &back, &body, &len, NULL));
	g_assert_false(sig_wire_decode_binary(large, 36, &back, &body, &len, NULL));
	g_assert_cmpuint(g_bytes_get_size(full), ==, SIG_WIRE_MAX);
	g_assert_null(sig_wire_encode_binary(&key, large, SIG_WIRE_BODY_MAX + 1));
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/sig/wire/hello", test_hello);
	g_test_add_func("/sig/wire/login", test_login);
	g_test_add_func("/sig/wire/authority-too-long", test_authority_too_long);
	g_test_add_func("/sig/wire/keys", test_keys);
	g_test_add_func("/sig/wire/seen", test_seen);
	g_test_add_func("/sig/wire/too-many-keys", test_too_many_keys);
	g_test_add_func("/sig/wire/others", test_others);
	g_test_add_func("/sig/wire/turn", test_turn);
	g_test_add_func("/sig/wire/turn-refused", test_turn_refused);
	g_test_add_func("/sig/wire/turn-bounds", test_turn_bounds);
	g_test_add_func("/sig/wire/long-text", test_long_text);
	g_test_add_func("/sig/wire/extension", test_extension);
	g_test_add_func("/sig/wire/hostile", test_hostile);
	g_test_add_func("/sig/wire/deep", test_deep);
	g_test_add_func("/sig/wire/binary", test_binary);
	return g_test_run();
}
