/* SPDX-License-Identifier: MIT */
/* Hostile clients that speak the protocol: logins of others, keys that are none, JSON that is none,
 * messages to whoever does not listen. Each ends as PROTOCOL.md says, and two innocent clients
 * notice nothing. */
#include "tests/unit/net-own.h"
#include "tests/unit/sig-stage.h"

#include <gnutls/crypto.h>

#define CONFIG                                                                                     \
	"[signald]\nname=localhost:80\n[limits]\nlogin-timeout=120\nconnect-rate=0\n"              \
	"unauthenticated-per-address=1000\n"
#define K44 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

/* ---- logins ---- */

static SigLogin
good_login(Raw *raw)
{
	SigLogin login = {
		.version = SIG_WIRE_VERSION, .key = raw->key, .authority = "localhost:80"};

	memset(login.nonce, 7, sizeof login.nonce);
	g_assert_true(sig_login_sign(&raw->hello, &raw->private, &login, NULL));
	return login;
}

static void
refuse_login(Stage *stage, const SigLogin *login, Raw *raw, SigClose why)
{
	raw_send_text_take(raw, sig_wire_encode_login(login));
	raw_expect_error(raw, why);
	raw_free(raw);
}

/* The MAC as it is when the shared secret is all zero, which is what a low-order key makes it. */
static void
sign_with_zero(const SigHello *hello, SigLogin *login)
{
	static const guint8 zero[32];
	const gnutls_datum_t ikm = {(guint8 *)zero, sizeof zero}, none = {NULL, 0};
	const gnutls_datum_t info = {(guint8 *)SIG_LOGIN_LABEL, strlen(SIG_LOGIN_LABEL)};
	g_autoptr(GByteArray) text = g_byte_array_new();
	guint8 prk[32], key[32];
	const gnutls_datum_t prk_datum = {prk, sizeof prk};

	g_assert_cmpint(gnutls_hkdf_extract(GNUTLS_MAC_SHA256, &ikm, &none, prk), ==, 0);
	g_assert_cmpint(gnutls_hkdf_expand(GNUTLS_MAC_SHA256, &prk_datum, &info, key, sizeof key),
			==, 0);
	g_byte_array_append(text, (const guint8 *)"\x01", 1);
	g_byte_array_append(text, hello->nonce, sizeof hello->nonce);
	g_byte_array_append(text, login->nonce, sizeof login->nonce);
	g_byte_array_append(text, hello->key.b, sizeof hello->key.b);
	g_byte_array_append(text, login->key.b, sizeof login->key.b);
	g_byte_array_append(text, (guint8 *)login->authority, (guint)strlen(login->authority));
	g_assert_cmpint(gnutls_hmac_fast(GNUTLS_MAC_SHA256, key, sizeof key, text->data, text->len,
					 login->mac),
			==, 0);
}

/* Points of small order, some in more than one encoding (RFC 7748 §6.1). */
static const char *const low_order[] = {
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
	"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"0000000000000000000000000000000000000000000000000000000000000080",
};

static void
test_low_order(void)
{
	Stage stage = {0};
	Ended ended;

	stage_open(&stage, CONFIG);
	for (guint i = 0; i < G_N_ELEMENTS(low_order); i++) {
		Raw *raw = raw_open(&stage.server);
		SigLogin login = good_login(raw);

		for (guint j = 0; j < sizeof login.key.b; j++)
			login.key.b[j] = (guint8)(g_ascii_xdigit_value(low_order[i][2 * j]) << 4 |
						  g_ascii_xdigit_value(low_order[i][2 * j + 1]));
		sign_with_zero(&raw->hello, &login);
		refuse_login(&stage, &login, raw, SIG_CLOSE_LOGIN_REFUSED);
	}
	stage_close(&stage, &ended);
	g_assert_cmpuint(ended.refused, ==, G_N_ELEMENTS(low_order));
	g_assert_cmpuint(ended.logins, ==, 2);
}

static void
test_logins(void)
{
	g_auto(SigFrame) frame = {0};
	SigLogin login, first;
	Stage stage = {0};
	Ended ended;
	Raw *raw, *old, *clone;

	stage_open(&stage, CONFIG);
	/* an innocent's key, without its private key */
	raw = raw_open(&stage.server);
	login = good_login(raw);
	login.key = stage.a->key;
	refuse_login(&stage, &login, raw, SIG_CLOSE_LOGIN_REFUSED);
	/* for another server, rightly signed */
	raw = raw_open(&stage.server);
	login = good_login(raw);
	g_strlcpy(login.authority, "evil.example:443", sizeof login.authority);
	g_assert_true(sig_login_sign(&raw->hello, &raw->private, &login, NULL));
	refuse_login(&stage, &login, raw, SIG_CLOSE_WRONG_AUTHORITY);
	/* the name changed after signing */
	raw = raw_open(&stage.server);
	g_assert_true(sig_login_sign(&raw->hello, &raw->private, &login, NULL));
	g_strlcpy(login.authority, "localhost:80", sizeof login.authority);
	refuse_login(&stage, &login, raw, SIG_CLOSE_LOGIN_REFUSED);
	/* of a later version */
	raw = raw_open(&stage.server);
	login = good_login(raw);
	login.version = 2;
	refuse_login(&stage, &login, raw, SIG_CLOSE_WRONG_VERSION);
	/* twice */
	raw = raw_open(&stage.server);
	first = good_login(raw);
	raw_log_in(raw);
	raw_send_text_take(raw, sig_wire_encode_login(&first));
	raw_expect_error(raw, SIG_CLOSE_BAD_FRAME);
	raw_free(raw);
	/* another connection's, byte by byte, while that one lives */
	old = raw_open(&stage.server);
	first = good_login(old);
	raw_send_text_take(old, sig_wire_encode_login(&first));
	raw_expect(old, SIG_FRAME_WELCOME, &frame);
	raw = raw_open(&stage.server);
	refuse_login(&stage, &first, raw, SIG_CLOSE_LOGIN_REFUSED);
	/* whoever has the key takes over; the older hears it */
	clone = raw_open(&stage.server);
	clone->private = old->private;
	raw_log_in(clone);
	raw_expect_error(old, SIG_CLOSE_DUPLICATE_KEY);
	raw_send_message(clone, &clone->key, "x", 1);
	raw_expect(clone, SIG_FRAME_UNAVAILABLE, &frame);
	raw_free(old);
	raw_free(clone);
	stage_close(&stage, &ended);
	g_assert_cmpuint(ended.refused, ==, 7);
	g_assert_cmpuint(ended.logins, ==, 2 + 3);
	g_assert_cmpuint(ended.unavailable, ==, 1);
}

/* ---- text ---- */

typedef struct {
	const char *what, *text;
	SigClose close; /* SIG_CLOSE_NONE: taken, or ignored */
} Text;

static const Text first_texts[] = {
	{"nothing", "", SIG_CLOSE_BAD_FRAME},
	{"no JSON", "hello there", SIG_CLOSE_BAD_FRAME},
	{"JSON, no object", "[]", SIG_CLOSE_BAD_FRAME},
	{"no type", "{}", SIG_CLOSE_BAD_FRAME},
	{"what only servers send", "{\"t\":\"welcome\",\"seen\":\"x\"}", SIG_CLOSE_BAD_FRAME},
	{"interest first", "{\"t\":\"interest\",\"add\":[]}", SIG_CLOSE_BAD_FRAME},
	{"unknown first", "{\"t\":\"later\"}", SIG_CLOSE_BAD_FRAME},
	{"login of nothing", "{\"t\":\"login\"}", SIG_CLOSE_BAD_FRAME},
	{"a huge version",
	 "{\"t\":\"login\",\"v\":99999999999999999999999999,\"key\":\"" K44 "\",\"nonce\":\"" K44
	 "\",\"authority\":\"localhost:80\",\"mac\":\"" K44 "\"}",
	 SIG_CLOSE_WRONG_VERSION},
	{"a version of many digits",
	 "{\"t\":\"login\",\"v\":1e999,\"key\":\"" K44 "\",\"nonce\":\"" K44
	 "\",\"authority\":\"localhost:80\",\"mac\":\"" K44 "\"}",
	 SIG_CLOSE_BAD_FRAME},
	{"a fraction of a version",
	 "{\"t\":\"login\",\"v\":1.5,\"key\":\"" K44 "\",\"nonce\":\"" K44
	 "\",\"authority\":\"localhost:80\",\"mac\":\"" K44 "\"}",
	 SIG_CLOSE_BAD_FRAME},
	{"an empty authority",
	 "{\"t\":\"login\",\"v\":1,\"key\":\"" K44 "\",\"nonce\":\"" K44
	 "\",\"authority\":\"\",\"mac\":\"" K44 "\"}",
	 SIG_CLOSE_BAD_FRAME},
};

static const Text later_texts[] = {
	{"depth 4", "{\"t\":\"later\",\"a\":[[{\"b\":1}]]}", SIG_CLOSE_NONE},
	{"depth 5", "{\"t\":\"later\",\"a\":[[{\"b\":[]}]]}", SIG_CLOSE_BAD_FRAME},
	{"huge numbers", "{\"t\":\"later\",\"a\":[1e999,-99999999999999999999999,1e-999]}",
	 SIG_CLOSE_NONE},
	{"a member twice: the last counts", "{\"t\":\"welcome\",\"t\":\"later\"}", SIG_CLOSE_NONE},
	{"a member twice, the other way", "{\"t\":\"later\",\"t\":\"welcome\"}",
	 SIG_CLOSE_BAD_FRAME},
	{"an escaped NUL", "{\"t\":\"later\\u0000\"}", SIG_CLOSE_NONE},
	{"a lone surrogate", "{\"t\":\"later\",\"a\":\"\\ud800\"}", SIG_CLOSE_BAD_FRAME},
	{"not UTF-8", "{\"t\":\"later\",\"a\":\"\xff\xfe\"}", SIG_CLOSE_BAD_FRAME},
	{"UTF-8 too long", "{\"t\":\"later\",\"a\":\"\xc0\xaf\"}", SIG_CLOSE_BAD_FRAME},
	{"UTF-8 of a surrogate", "{\"t\":\"later\",\"a\":\"\xed\xa0\x80\"}", SIG_CLOSE_BAD_FRAME},
	{"a byte order mark", "\xef\xbb\xbf{\"t\":\"later\"}", SIG_CLOSE_BAD_FRAME},
	{"a comment", "{\"t\":\"later\"}//", SIG_CLOSE_BAD_FRAME},
	{"two objects", "{\"t\":\"later\"}{\"t\":\"later\"}", SIG_CLOSE_BAD_FRAME},
	{"unfinished", "{\"t\":\"later\"", SIG_CLOSE_BAD_FRAME},
	{"a key", "{\"t\":\"interest\",\"add\":[\"" K44 "\"]}", SIG_CLOSE_NONE},
	{"a key whose last bits are not zero",
	 "{\"t\":\"interest\",\"add\":[\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=\"]}",
	 SIG_CLOSE_BAD_FRAME},
	{"a key without padding",
	 "{\"t\":\"interest\",\"add\":[\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"]}",
	 SIG_CLOSE_BAD_FRAME},
	{"a key of 31 bytes",
	 "{\"t\":\"interest\",\"add\":[\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==\"]}",
	 SIG_CLOSE_BAD_FRAME},
	{"a key of 33 bytes",
	 "{\"t\":\"interest\",\"add\":[\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"]}",
	 SIG_CLOSE_BAD_FRAME},
	{"a key in the URLs' alphabet",
	 "{\"t\":\"interest\",\"add\":[\"_-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"]}",
	 SIG_CLOSE_BAD_FRAME},
	{"a key with a newline",
	 "{\"t\":\"interest\",\"add\":[\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\\n\"]}",
	 SIG_CLOSE_BAD_FRAME},
	{"interest in a number", "{\"t\":\"interest\",\"add\":[7]}", SIG_CLOSE_BAD_FRAME},
	{"presence", "{\"t\":\"presence\",\"online\":[]}", SIG_CLOSE_BAD_FRAME},
	{"drain", "{\"t\":\"drain\",\"within_s\":1}", SIG_CLOSE_BAD_FRAME},
};

static guint
send_text(Stage *stage, const Text *t, gboolean logged_in)
{
	Raw *raw = logged_in ? raw_new(&stage->server) : raw_open(&stage->server);
	g_auto(SigFrame) frame = {0};

	g_test_message("%s", t->what);
	raw_send_text(raw, t->text);
	if (t->close != SIG_CLOSE_NONE) {
		raw_expect_error(raw, t->close);
	} else {
		raw_send_message(raw, &raw->key, "x", 1);
		raw_expect(raw, SIG_FRAME_UNAVAILABLE, &frame);
	}
	raw_free(raw);
	return t->close != SIG_CLOSE_NONE;
}

static void
test_texts(void)
{
	guint refused = 0;
	Stage stage = {0};
	Ended ended;
	Raw *raw;

	stage_open(&stage, CONFIG);
	for (guint i = 0; i < G_N_ELEMENTS(first_texts); i++)
		refused += send_text(&stage, &first_texts[i], FALSE);
	for (guint i = 0; i < G_N_ELEMENTS(later_texts); i++)
		refused += send_text(&stage, &later_texts[i], TRUE);
	/* a NUL in the text itself */
	raw = raw_new(&stage.server);
	raw_send_frame(raw, RAW_FIN | RAW_TEXT, "{\"t\":\"later\"\0}", 14);
	raw_expect_error(raw, SIG_CLOSE_BAD_FRAME);
	raw_free(raw);
	stage_close(&stage, &ended);
	g_assert_cmpuint(ended.refused, ==, refused + 1);
	g_assert_cmpuint(ended.unavailable, ==,
			 G_N_ELEMENTS(later_texts) + G_N_ELEMENTS(first_texts) - refused);
}

/* As deep and as long as a frame can be, and a member of every bracket's kind. */
static void
test_deep(void)
{
	static const char *const brackets[] = {"[", "{", "[{", "{\"a\":", "{\"a\":["};
	Stage stage = {0};
	Ended ended;

	stage_open(&stage, CONFIG);
	for (guint i = 0; i < G_N_ELEMENTS(brackets); i++) {
		GString *text = g_string_new(NULL);
		Raw *raw = raw_new(&stage.server);

		while (text->len + strlen(brackets[i]) <= SIG_WIRE_MAX)
			g_string_append(text, brackets[i]);
		raw_send_text_take(raw, g_string_free(text, FALSE));
		raw_expect_error(raw, SIG_CLOSE_BAD_FRAME);
		raw_free(raw);
	}
	stage_close(&stage, &ended);
	g_assert_cmpuint(ended.refused, ==, G_N_ELEMENTS(brackets));
}

/* ---- messages ---- */

static void
test_binary(void)
{
	static const struct {
		const char *bytes;
		gsize len;
		gboolean logged_in;
	} bad[] = {{"\x01key", 4, FALSE},
		   {"", 0, TRUE},
		   {"\x01", 1, TRUE},
		   {"\x01 31 bytes of a key are too few.", 32, TRUE},
		   {"\x02 of the next version, of 32 bytes", 33, TRUE}};
	Stage stage = {0};
	Ended ended;

	stage_open(&stage, CONFIG);
	for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
		Raw *raw = bad[i].logged_in ? raw_new(&stage.server) : raw_open(&stage.server);

		raw_send_frame(raw, RAW_FIN | RAW_BINARY, bad[i].bytes, bad[i].len);
		raw_expect_error(raw, SIG_CLOSE_BAD_FRAME);
		raw_free(raw);
	}
	stage_close(&stage, &ended);
	g_assert_cmpuint(ended.refused, ==, G_N_ELEMENTS(bad));
}

/* To oneself, to nobody, to the all-zero key, to an innocent who has not asked for it: one answer,
 * whether one has named them or not. */
static void
test_strangers(void)
{
	const WgKey nobody = {{5}}, zero = {{0}};
	g_auto(SigFrame) frame = {0};
	Stage stage = {0};
	Ended ended;
	Raw *raw;

	stage_open(&stage, CONFIG);
	raw = raw_new(&stage.server);
	for (guint i = 0; i < 2; i++) {
		const WgKey *to[] = {&raw->key, &nobody, &zero, &stage.a->key};

		for (guint j = 0; j < G_N_ELEMENTS(to); j++) {
			raw_send_message(raw, to[j], "x", 1);
			raw_expect(raw, SIG_FRAME_UNAVAILABLE, &frame);
			g_assert_cmpuint(frame.unavailable.to.n, ==, 1);
			g_assert_true(wg_key_equal(&frame.unavailable.to.keys[0], to[j]));
			raw_send_text_take(raw, sig_wire_encode_interest(to[j], 1, NULL, 0));
		}
	}
	raw_free(raw);
	stage_close(&stage, &ended);
	g_assert_cmpuint(ended.unavailable, ==, 8);
	g_assert_cmpuint(ended.refused, ==, 0);
}

int
main(int argc, char **argv)
{
	if (!net_own())
		return 1;
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/sig/hostile/login/low-order", test_low_order);
	g_test_add_func("/sig/hostile/login/logins", test_logins);
	g_test_add_func("/sig/hostile/login/texts", test_texts);
	g_test_add_func("/sig/hostile/login/deep", test_deep);
	g_test_add_func("/sig/hostile/login/binary", test_binary);
	g_test_add_func("/sig/hostile/login/strangers", test_strangers);
	return g_test_run();
}
