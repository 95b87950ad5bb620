/* SPDX-License-Identifier: MIT */
#include <gio/gio.h>
#include <sodium.h>
#include <string.h>

#include "agent/session/nat-seal.h"

/* The vectors of signaling/PROTOCOL.md, "Seal": private keys are 0x01…01 and 0x02…02. */
#define VECTOR_PLAIN "hello from A"
static const char VECTOR_SEALED[] = "01000102030405060708090a0b0c0d0e0f1011121314151617"
				    "392ea5241d09b63ab0b27b765892b3cddb3a6d64cc4fe88ed207e654";
#define VECTOR_PROBE "aec0d0c20dc8ecc8cf122a42579e4801dd9e8b6978f2764a9b7ab87f7ba4f233"

static WgKey
filled_private(guint8 byte)
{
	WgKey key;

	memset(key.b, byte, sizeof key.b);
	return key;
}

static WgKey
public_of(const WgKey *priv)
{
	WgKey pub;

	wg_key_public_from_private(priv, &pub);
	return pub;
}

static NatSeal *
seal_between(guint8 own, guint8 peer)
{
	WgKey own_private = filled_private(own), peer_private = filled_private(peer);
	WgKey peer_public = public_of(&peer_private);
	g_autoptr(GError) error = NULL;
	NatSeal *seal = nat_seal_new(&own_private, &peer_public, &error);

	g_assert_no_error(error);
	return seal;
}

static void
test_round_trip(void)
{
	g_autoptr(NatSeal) a = seal_between(1, 2);
	g_autoptr(NatSeal) b = seal_between(2, 1);

	for (gsize len = 0; len < 2000; len += 97) {
		g_autofree guint8 *data = g_malloc0(len + 1);
		g_autoptr(GBytes) plain = g_bytes_new(data, len);
		g_autoptr(GBytes) sealed = nat_seal_wrap(a, plain);
		g_autoptr(GError) error = NULL;
		g_autoptr(GBytes) opened = nat_seal_unwrap(b, g_bytes_get_data(sealed, NULL),
							   g_bytes_get_size(sealed), &error);

		g_assert_no_error(error);
		g_assert_true(g_bytes_equal(plain, opened));
		g_assert_cmpuint(g_bytes_get_size(sealed), ==, len + 41);
	}
}

static void
test_vector(void)
{
	g_autoptr(NatSeal) a = seal_between(1, 2);
	g_autoptr(NatSeal) b = seal_between(2, 1);
	guint8 sealed[128], probe[32];
	char hex[65];
	gsize len;
	g_autoptr(GError) error = NULL;
	g_autoptr(GBytes) plain = NULL;

	g_assert_cmpint(sodium_hex2bin(sealed, sizeof sealed, VECTOR_SEALED, strlen(VECTOR_SEALED),
				       NULL, &len, NULL),
			==, 0);
	plain = nat_seal_unwrap(b, sealed, len, &error);
	g_assert_no_error(error);
	g_assert_cmpmem(g_bytes_get_data(plain, NULL), g_bytes_get_size(plain), VECTOR_PLAIN,
			strlen(VECTOR_PLAIN));
	nat_seal_derive_probe(a, "ufrag", 5, probe, sizeof probe);
	g_assert_cmpstr(sodium_bin2hex(hex, sizeof hex, probe, sizeof probe), ==, VECTOR_PROBE);
}

static void
assert_refused(NatSeal *seal, const guint8 *data, gsize len)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(nat_seal_unwrap(seal, data, len, &error));
	g_assert_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA);
}

static void
test_damaged(void)
{
	g_autoptr(NatSeal) a = seal_between(1, 2);
	g_autoptr(NatSeal) b = seal_between(2, 1);
	g_autoptr(GBytes) plain = g_bytes_new_static("x", 1);
	g_autoptr(GBytes) sealed = nat_seal_wrap(a, plain);
	gsize len;
	const guint8 *data = g_bytes_get_data(sealed, &len);

	for (gsize i = 0; i < len * 8; i++) {
		g_autofree guint8 *copy = g_memdup2(data, len);

		copy[i / 8] ^= (guint8)(1 << i % 8);
		assert_refused(b, copy, len);
	}
	for (gsize n = 0; n < len; n++)
		assert_refused(b, data, n);
}

/* Neither our own message reflected, nor a third party's, nor one addressed to another. */
static void
test_foreign(void)
{
	g_autoptr(NatSeal) ab = seal_between(1, 2);
	g_autoptr(NatSeal) cb = seal_between(3, 2);
	g_autoptr(NatSeal) ba = seal_between(2, 1);
	g_autoptr(GBytes) plain = g_bytes_new_static("hello", 5);
	g_autoptr(GBytes) from_a = nat_seal_wrap(ab, plain);
	g_autoptr(GBytes) from_c = nat_seal_wrap(cb, plain);

	assert_refused(ab, g_bytes_get_data(from_a, NULL), g_bytes_get_size(from_a));
	assert_refused(ba, g_bytes_get_data(from_c, NULL), g_bytes_get_size(from_c));
	assert_refused(cb, g_bytes_get_data(from_a, NULL), g_bytes_get_size(from_a));
}

static void
test_nonces(void)
{
	g_autoptr(NatSeal) a = seal_between(1, 2);
	g_autoptr(GBytes) plain = g_bytes_new_static("x", 1);
	g_autoptr(GBytes) one = nat_seal_wrap(a, plain);
	g_autoptr(GBytes) two = nat_seal_wrap(a, plain);

	g_assert_false(g_bytes_equal(one, two));
}

static void
test_bad_keys(void)
{
	WgKey own = filled_private(1), low = {{0}}, order_two = {{1}}, self = public_of(&own);
	const WgKey *bad[] = {&low, &order_two, &self};

	for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GError) error = NULL;

		g_assert_null(nat_seal_new(&own, bad[i], &error));
		g_assert_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA);
		g_assert_null(strchr(error->message, '\n'));
	}
}

static void
test_probe(void)
{
	g_autoptr(NatSeal) ab = seal_between(1, 2);
	g_autoptr(NatSeal) ba = seal_between(2, 1);
	g_autoptr(NatSeal) ac = seal_between(1, 3);
	guint8 one[64], two[64];

	nat_seal_derive_probe(ab, "x", 1, one, sizeof one);
	nat_seal_derive_probe(ba, "x", 1, two, sizeof two);
	g_assert_cmpmem(one, sizeof one, two, sizeof two);
	nat_seal_derive_probe(ab, "y", 1, two, sizeof two);
	g_assert_cmpint(memcmp(one, two, sizeof one), !=, 0);
	nat_seal_derive_probe(ac, "x", 1, two, sizeof two);
	g_assert_cmpint(memcmp(one, two, sizeof one), !=, 0);
}

/* The vector was computed by another implementation of DESIGN's formula (Python's hmac, RFC 7748's
 * ladder): private keys 0x01…01 and 0x02…02, generations 1 and 2. */
static void
test_ice(void)
{
	g_autoptr(NatSeal) a = seal_between(1, 2);
	g_autoptr(NatSeal) b = seal_between(2, 1);
	WgKey private_a = filled_private(1), private_b = filled_private(2);
	WgKey key_a = public_of(&private_a), key_b = public_of(&private_b);
	char ufrag[2][NAT_SEAL_ICE_UFRAG_LEN + 1], pwd[2][NAT_SEAL_ICE_PWD_LEN + 1];

	nat_seal_derive_ice(a, &key_a, 1, 2, ufrag[0], pwd[0]);
	nat_seal_derive_ice(b, &key_a, 1, 2, ufrag[1], pwd[1]);
	g_assert_cmpstr(ufrag[0], ==, "xL+/tlTj");
	g_assert_cmpstr(pwd[0], ==, "sAff1/p6I7pDDlp4u4CsTHJ1dhC3Rdlh");
	g_assert_cmpstr(ufrag[0], ==, ufrag[1]);
	g_assert_cmpstr(pwd[0], ==, pwd[1]);
	nat_seal_derive_ice(a, &key_b, 2, 1, ufrag[1], pwd[1]);
	g_assert_cmpstr(ufrag[1], ==, "R7mgrMzO");
	g_assert_cmpstr(pwd[1], ==, "aylyfNkMpsn35SQTKPejispYq15RG1VJ");
	/* another generation at either end is another password */
	nat_seal_derive_ice(a, &key_a, 1, 3, ufrag[1], pwd[1]);
	g_assert_cmpstr(pwd[0], !=, pwd[1]);
	nat_seal_derive_ice(a, &key_a, 3, 2, ufrag[1], pwd[1]);
	g_assert_cmpstr(pwd[0], !=, pwd[1]);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/seal/round-trip", test_round_trip);
	g_test_add_func("/seal/vector", test_vector);
	g_test_add_func("/seal/damaged", test_damaged);
	g_test_add_func("/seal/foreign", test_foreign);
	g_test_add_func("/seal/nonces", test_nonces);
	g_test_add_func("/seal/bad-keys", test_bad_keys);
	g_test_add_func("/seal/probe", test_probe);
	g_test_add_func("/seal/ice", test_ice);
	return g_test_run();
}
