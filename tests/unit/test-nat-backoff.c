/* SPDX-License-Identifier: MIT */
#include "agent/base/nat-backoff.h"

static void
test_bounds(void)
{
	NatBackoff low = {0}, high = {0};
	guint want = 500;

	for (guint i = 0; i < 100; i++) {
		g_assert_cmpuint(nat_backoff_next_ms(&low, 0), ==, 200);
		g_assert_cmpuint(nat_backoff_next_ms(&high, G_MAXUINT32), ==, want);
		want = MIN(want * 2, 30000);
	}
	low.losses = G_MAXUINT;
	g_assert_cmpuint(nat_backoff_next_ms(&low, G_MAXUINT32), ==, 30000);
	g_assert_cmpuint(nat_backoff_next_ms(&low, G_MAXUINT32), ==, 30000);
}

static void
test_spread(void)
{
	guint buckets[10] = {0};

	for (guint i = 0; i < 10000; i++) {
		NatBackoff backoff = {.losses = 20};

		buckets[nat_backoff_next_ms(&backoff, g_test_rand_int()) / 3001]++;
	}
	for (guint i = 0; i < G_N_ELEMENTS(buckets); i++)
		g_assert_cmpuint(buckets[i], >, 700);
}

static void
test_stable(void)
{
	NatBackoff backoff = {.losses = 5, .duplicates = 2};

	nat_backoff_lasted(&backoff, NAT_BACKOFF_STABLE_MS - 1);
	g_assert_cmpuint(backoff.losses, ==, 5);
	nat_backoff_lasted(&backoff, NAT_BACKOFF_STABLE_MS);
	g_assert_cmpuint(backoff.losses, ==, 0);
	g_assert_cmpuint(backoff.duplicates, ==, 2);
}

/* Of two clones each is connected while the other waits: that must not look like stability. */
static void
test_clones(void)
{
	NatBackoff backoff = {0};
	guint before = 0;

	for (guint i = 0; i < 20; i++) {
		guint wait = nat_backoff_duplicate_ms(&backoff, G_MAXUINT32);

		g_assert_cmpuint(wait, >=, before);
		g_assert_cmpuint(wait, ==, MIN(120000u << MIN(i, 10), 3600000));
		nat_backoff_lasted(&backoff, wait);
		before = wait;
	}
	backoff.duplicates = 0;
	g_assert_cmpuint(nat_backoff_duplicate_ms(&backoff, 0), ==, 60000);
	nat_backoff_lasted(&backoff, NAT_BACKOFF_DUPLICATE_STABLE_MS);
	g_assert_cmpuint(nat_backoff_duplicate_ms(&backoff, 0), ==, 60000);
}

static void
test_drain(void)
{
	g_assert_cmpuint(nat_backoff_drain_ms(5, 0), ==, 0);
	g_assert_cmpuint(nat_backoff_drain_ms(5, G_MAXUINT32), ==, 5000);
	g_assert_cmpuint(nat_backoff_drain_ms(0, G_MAXUINT32), ==, 0);
	g_assert_cmpuint(nat_backoff_drain_ms(G_MAXUINT, G_MAXUINT32), ==, 300000);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/backoff/bounds", test_bounds);
	g_test_add_func("/backoff/spread", test_spread);
	g_test_add_func("/backoff/stable", test_stable);
	g_test_add_func("/backoff/clones", test_clones);
	g_test_add_func("/backoff/drain", test_drain);
	return g_test_run();
}
