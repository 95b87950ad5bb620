/* SPDX-License-Identifier: MIT */
#include "wgctl/wg-key.h"

#include <string.h>

#define PRIVATE_HEX "77076d0a7318a57d3c16c17251b26645df4c2f92ebc0992ac177fba51db92c2a"
/* As `wg pubkey` derives it. */
#define PUBLIC_HEX "f8a9535a2d2ff605e8e144d54f4ef5c62313a2055dbb21fddd3fd9c299eb015d"

static void
test_base64(void)
{
	const char *text = "JjmCc+jXWjDL4T9B0HO7CDvDgtY1m3KBtr+cssgHTkY=";
	char buf[WG_KEY_STRLEN];
	WgKey key;

	g_assert_true(wg_key_parse(text, &key));
	g_assert_cmpuint(key.b[0], ==, 0x26);
	g_assert_cmpstr(wg_key_format(&key, buf), ==, text);
	g_assert_cmpstr(wg_key_format_short(&key, buf), ==, "JjmCc+jX");
}

static void
test_bad_base64(void)
{
	static const char *const bad[] = {
		"",
		"JjmCc+jXWjDL4T9B0HO7CDvDgtY1m3KBtr+cssgHTkY",	    /* no padding */
		"JjmCc+jXWjDL4T9B0HO7CDvDgtY1m3KBtr+cssgHTkZ=",	    /* trailing bits */
		"JjmCc+jXWjDL4T9B0HO7CDvDgtY1m3KBtr+cssgHTkY= ",    /* too long */
		" JjmCc+jXWjDL4T9B0HO7CDvDgtY1m3KBtr+cssgHTk=",	    /* a space */
		"JjmCc-jXWjDL4T9B0HO7CDvDgtY1m3KBtr_cssgHTkY=",	    /* of URLs */
		"JjmCc+jXWjDL4T9B0HO7CDvDgtY1m3KBtr+cssgHTg==",	    /* 31 bytes */
		"JjmCc+jXWjDL4T9B0HO7CDvDgtY1m3KBtr+cssgHTkYA",	    /* 33 bytes */
		"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", /* no text */
	};
	WgKey key;

	for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
		memset(&key, 1, sizeof key);
		g_assert_false(wg_key_parse(bad[i], &key));
		g_assert_true(wg_key_is_zero(&key));
	}
}

static void
test_hex(void)
{
	char buf[WG_KEY_HEXLEN];
	WgKey key;

	g_assert_true(wg_key_parse_hex(PUBLIC_HEX, &key));
	g_assert_cmpstr(wg_key_format_hex(&key, buf), ==, PUBLIC_HEX);
	g_assert_false(wg_key_parse_hex(PUBLIC_HEX "00", &key));
	g_assert_true(wg_key_is_zero(&key));
	g_assert_false(wg_key_parse_hex(&PUBLIC_HEX[1], &key));
	g_assert_false(wg_key_parse_hex("", &key));
	buf[10] = 'z';
	g_assert_false(wg_key_parse_hex(buf, &key));
}

static void
test_public_from_private(void)
{
	char buf[WG_KEY_HEXLEN];
	WgKey priv, pub;

	g_assert_true(wg_key_parse_hex(PRIVATE_HEX, &priv));
	wg_key_public_from_private(&priv, &pub);
	g_assert_cmpstr(wg_key_format_hex(&pub, buf), ==, PUBLIC_HEX);
}

static void
test_generate(void)
{
	WgKey a, b;

	wg_key_generate_private(&a);
	wg_key_generate_private(&b);
	g_assert_false(wg_key_equal(&a, &b));
	/* Clamped: a device reads back what was set. */
	g_assert_cmpuint(a.b[0] & 7, ==, 0);
	g_assert_cmpuint(a.b[31] & 192, ==, 64);
	wg_key_clear(&a);
	g_assert_true(wg_key_is_zero(&a));
}

static void
test_compare(void)
{
	WgKey a = {{1}}, b = {{2}}, c = {{1}};

	g_assert_cmpint(wg_key_compare(&a, &b), <, 0);
	g_assert_cmpint(wg_key_compare(&b, &a), >, 0);
	g_assert_true(wg_key_equal(&a, &c));
	g_assert_cmpuint(wg_key_hash(&a), ==, wg_key_hash(&c));
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/wg/key/base64", test_base64);
	g_test_add_func("/wg/key/bad-base64", test_bad_base64);
	g_test_add_func("/wg/key/hex", test_hex);
	g_test_add_func("/wg/key/public-from-private", test_public_from_private);
	g_test_add_func("/wg/key/generate", test_generate);
	g_test_add_func("/wg/key/compare", test_compare);
	return g_test_run();
}
