/* SPDX-License-Identifier: MIT */
/*
 * Nothing that a stranger makes up opens. The first byte chooses: even, the rest is what came from
 * the network; odd, the rest is a plain text whose seal is made, opened and, damaged, refused.
 */
#include <gio/gio.h>
#include <string.h>

#include "agent/session/nat-seal.h"

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

static NatSeal *
seal_between(guint8 own, guint8 peer)
{
	WgKey own_private, peer_private, peer_public;
	NatSeal *seal;

	memset(own_private.b, own, sizeof own_private.b);
	memset(peer_private.b, peer, sizeof peer_private.b);
	wg_key_public_from_private(&peer_private, &peer_public);
	seal = nat_seal_new(&own_private, &peer_public, NULL);
	g_assert_nonnull(seal);
	return seal;
}

static void
check_round_trip(NatSeal *from, NatSeal *to, const guint8 *data, gsize size)
{
	g_autoptr(GBytes) plain = g_bytes_new(data, size);
	g_autoptr(GBytes) sealed = nat_seal_wrap(from, plain);
	gsize len;
	g_autofree guint8 *copy = g_memdup2(g_bytes_get_data(sealed, &len), len);
	g_autoptr(GBytes) opened = nat_seal_unwrap(to, copy, len, NULL);

	g_assert_true(g_bytes_equal(plain, opened));
	copy[size % len] ^= 1;
	g_assert_null(nat_seal_unwrap(to, copy, len, NULL));
}

int
LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
	static NatSeal *from, *to; /* two DHs, once: the fuzzer is its own main */

	if (!from) {
		from = seal_between(1, 2);
		to = seal_between(2, 1);
	}
	if (size == 0)
		return 0;
	if (data[0] & 1) {
		check_round_trip(from, to, data + 1, size - 1);
	} else {
		g_autoptr(GError) error = NULL;
		g_autoptr(GBytes) plain = nat_seal_unwrap(from, data + 1, size - 1, &error);

		/* The corpus holds what A sealed for B; A itself must not open it. */
		g_assert_null(plain);
		g_assert_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA);
	}
	return 0;
}
