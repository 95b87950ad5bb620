/* SPDX-License-Identifier: MIT */
#include <gio/gio.h>

#include "agent/session/nat-interest.h"
#include "signaling/sig-wire.h"

static WgKey
nth_key(guint n)
{
	WgKey key = {{0}};

	key.b[0] = (guint8)n;
	key.b[1] = (guint8)(n >> 8);
	key.b[31] = 1;
	return key;
}

/* Takes the next frame; FALSE when there is none. */
static gboolean
take(NatInterest *interest, guint *n_add, guint *n_remove)
{
	g_autofree char *text = nat_interest_next_frame(interest);
	g_auto(SigFrame) frame = {.type = SIG_FRAME_UNKNOWN};
	g_autoptr(GError) error = NULL;

	*n_add = *n_remove = 0;
	if (!text)
		return FALSE;
	g_assert_true(sig_wire_decode(text, strlen(text), &frame, &error));
	g_assert_no_error(error);
	g_assert_cmpint(frame.type, ==, SIG_FRAME_INTEREST);
	*n_add = frame.interest.add.n;
	*n_remove = frame.interest.remove.n;
	return TRUE;
}

static void
test_incremental(void)
{
	g_autoptr(NatInterest) interest = nat_interest_new();
	WgKey a = nth_key(1), b = nth_key(2);
	guint add, remove;

	g_assert_false(take(interest, &add, &remove));
	g_assert_true(nat_interest_add(interest, &a));
	g_assert_false(nat_interest_add(interest, &a));
	g_assert_false(nat_interest_remove(interest, &b));
	g_assert_true(take(interest, &add, &remove));
	g_assert_cmpuint(add, ==, 1);
	g_assert_false(take(interest, &add, &remove));
	g_assert_true(nat_interest_remove(interest, &a));
	g_assert_true(nat_interest_add(interest, &b));
	g_assert_true(take(interest, &add, &remove));
	g_assert_cmpuint(add, ==, 1);
	g_assert_cmpuint(remove, ==, 1);
}

/* Removed and added again before anything was sent: only the latter is said. */
static void
test_latest_word(void)
{
	g_autoptr(NatInterest) interest = nat_interest_new();
	WgKey a = nth_key(1);
	guint add, remove;

	nat_interest_add(interest, &a);
	nat_interest_remove(interest, &a);
	nat_interest_add(interest, &a);
	g_assert_true(take(interest, &add, &remove));
	g_assert_cmpuint(add, ==, 1);
	g_assert_cmpuint(remove, ==, 0);
}

static void
test_new_connection(void)
{
	g_autoptr(NatInterest) interest = nat_interest_new();
	WgKey a = nth_key(1), b = nth_key(2);
	guint add, remove;

	nat_interest_add(interest, &a);
	nat_interest_add(interest, &b);
	g_assert_true(take(interest, &add, &remove));
	nat_interest_remove(interest, &b);
	nat_interest_forget_told(interest);
	g_assert_true(take(interest, &add, &remove));
	g_assert_cmpuint(add, ==, 1);
	g_assert_cmpuint(remove, ==, 0);
	g_assert_false(take(interest, &add, &remove));
}

static void
test_split(void)
{
	g_autoptr(NatInterest) interest = nat_interest_new();
	guint add, remove, frames = 0, sum = 0;

	for (guint i = 0; i < 3 * SIG_WIRE_KEYS_MAX; i++) {
		WgKey key = nth_key(i);

		nat_interest_add(interest, &key);
	}
	while (take(interest, &add, &remove)) {
		g_assert_cmpuint(add, <=, SIG_WIRE_KEYS_MAX);
		sum += add;
		frames++;
	}
	g_assert_cmpuint(sum, ==, 3 * SIG_WIRE_KEYS_MAX);
	g_assert_cmpuint(frames, ==, 3);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/interest/incremental", test_incremental);
	g_test_add_func("/interest/latest-word", test_latest_word);
	g_test_add_func("/interest/new-connection", test_new_connection);
	g_test_add_func("/interest/split", test_split);
	return g_test_run();
}
