/* SPDX-License-Identifier: MIT */
#include "agent/path/nat-choice.h"

#define SEC ((gint64)G_USEC_PER_SEC)
#define NOW (1000 * SEC)

/* A pair that has answered for a while. */
static NatChoicePair
pair(guint relays, double rtt_ms)
{
	return (NatChoicePair){
		.alive = TRUE,
		.relays = relays,
		.rtt_ms = rtt_ms,
		.alive_us = NOW - 100 * SEC,
		.answers = 20,
	};
}

#define BEST(current, ...)                                                                         \
	nat_choice_best((NatChoicePair[]){__VA_ARGS__},                                            \
			G_N_ELEMENTS(((NatChoicePair[]){__VA_ARGS__})), current, NOW)

static void
test_none(void)
{
	NatChoicePair dead = pair(0, 1), blocked = pair(0, 1);

	dead.alive = FALSE;
	blocked.blocked = TRUE;
	g_assert_cmpint(nat_choice_best(NULL, 0, -1, NOW), ==, -1);
	g_assert_cmpint(BEST(-1, dead), ==, -1);
	g_assert_cmpint(BEST(0, dead), ==, -1);
	g_assert_cmpint(BEST(0, blocked, dead), ==, -1);
}

static void
test_kind_comes_before_round_trip(void)
{
	g_assert_cmpint(BEST(-1, pair(1, 5), pair(0, 200)), ==, 1);
	g_assert_cmpint(BEST(0, pair(1, 5), pair(0, 200)), ==, 1);
	g_assert_cmpint(BEST(1, pair(1, 5), pair(0, 200)), ==, 1);
	/* of one kind, the faster; an unknown round trip comes last */
	g_assert_cmpint(BEST(-1, pair(0, -1), pair(0, 20), pair(0, 10)), ==, 2);
	g_assert_cmpint(BEST(-1, pair(1, -1), pair(1, 20)), ==, 1);
}

static void
test_a_relay_only_where_nothing_is_direct(void)
{
	NatChoicePair direct = pair(0, 5);

	direct.blocked = TRUE;
	g_assert_cmpint(BEST(0, direct, pair(1, 50)), ==, 1);
	direct.blocked = FALSE;
	direct.alive = FALSE;
	g_assert_cmpint(BEST(0, direct, pair(1, 50)), ==, 1);
	g_assert_cmpint(BEST(-1, direct, pair(1, 50)), ==, 1);
}

/* One relay is one thing less that can break. */
static void
test_two_relays(void)
{
	g_assert_cmpint(BEST(-1, pair(2, 50), pair(1, 52)), ==, 1);
	g_assert_cmpint(BEST(-1, pair(2, 50), pair(1, 80)), ==, 0);
	g_assert_cmpint(BEST(0, pair(2, 50), pair(1, 48)), ==, 0);
	g_assert_cmpint(BEST(0, pair(2, 200), pair(1, 20)), ==, 1);
}

static void
test_hysteresis(void)
{
	NatChoicePair other = pair(0, 70);

	/* a quarter, and 5 ms */
	g_assert_cmpint(BEST(0, pair(0, 100), pair(0, 76)), ==, 0);
	g_assert_cmpint(BEST(0, pair(0, 100), pair(0, 69)), ==, 1);
	g_assert_cmpint(BEST(0, pair(0, 6), pair(0, 0.1)), ==, 0);
	/* seen five times */
	other.rtt_ms = 50;
	other.answers = 4;
	g_assert_cmpint(BEST(0, pair(0, 100), other), ==, 0);
	other.answers = 5;
	g_assert_cmpint(BEST(0, pair(0, 100), other), ==, 1);
	/* the present one's round trip is no average yet */
	{
		NatChoicePair fresh = pair(0, 100);

		fresh.answers = 4;
		g_assert_cmpint(BEST(0, fresh, other), ==, 0);
	}
	/* whoever was taken is not left at once for the one before */
	g_assert_cmpint(BEST(1, pair(0, 100), other), ==, 1);
}

static void
test_loss_counts(void)
{
	NatChoicePair lossy = pair(0, 30);

	lossy.loss = 0.2;
	g_assert_cmpint(BEST(-1, lossy, pair(0, 90)), ==, 1);
	g_assert_cmpint(BEST(0, lossy, pair(0, 60)), ==, 1);
	lossy.loss = 0.01;
	g_assert_cmpint(BEST(0, lossy, pair(0, 30)), ==, 0);
}

/* The best of several that are better, not the first. */
static void
test_best_of_better_ones(void)
{
	g_assert_cmpint(BEST(0, pair(1, 50), pair(0, 40), pair(0, 20), pair(0, 30)), ==, 2);
	g_assert_cmpint(BEST(0, pair(0, 100), pair(0, 40), pair(0, 20), pair(1, 1)), ==, 2);
	g_assert_cmpint(BEST(3, pair(0, 20), pair(0, 40), pair(0, 21), pair(0, 100)), ==, 0);
}

/* A pair that was alive only now has been heard once: a stray answer moves no tunnel. */
static void
test_one_answer_moves_nothing(void)
{
	NatChoicePair fresh = pair(0, 10);

	fresh.answers = 1;
	g_assert_cmpint(BEST(0, pair(1, 50), fresh), ==, 0);
	g_assert_cmpint(BEST(-1, fresh), ==, 0);
	fresh.answers = 2;
	g_assert_cmpint(BEST(0, pair(1, 50), fresh), ==, 1);
}

static void
test_hold_down_doubles(void)
{
	g_assert_cmpint(nat_choice_hold_us(0), ==, 0);
	for (guint deaths = 1; deaths <= 7; deaths++)
		g_assert_cmpint(nat_choice_hold_us(deaths), ==, SEC << (deaths - 1));
	g_assert_cmpint(nat_choice_hold_us(8), ==, 64 * SEC);
	g_assert_cmpint(nat_choice_hold_us(G_MAXUINT), ==, 64 * SEC);
}

/* Breaking every other minute is not coming and going; every ten seconds is. */
static void
test_deaths_fade(void)
{
	double often = 0, seldom = 0;

	g_assert_cmpfloat(nat_choice_one_more_death(0, G_MAXINT64 / 2), ==, 1);
	g_assert_cmpfloat(nat_choice_one_more_death(2, 60 * SEC), ==, 2);
	for (guint i = 0; i < 100; i++) {
		often = nat_choice_one_more_death(often, 10 * SEC);
		seldom = nat_choice_one_more_death(seldom, 120 * SEC);
	}
	g_assert_cmpint(nat_choice_hold_us((guint)(seldom + 0.5)), ==, SEC);
	g_assert_cmpint(nat_choice_hold_us((guint)(often + 0.5)), ==, 64 * SEC);
}

static void
test_hold_down(void)
{
	NatChoicePair died = pair(0, 10), gone = pair(1, 50);

	died.deaths = 3;
	died.alive_us = NOW - 3 * SEC;
	g_assert_cmpint(BEST(0, pair(1, 50), died), ==, 0);
	died.alive_us = NOW - 4 * SEC;
	g_assert_cmpint(BEST(0, pair(1, 50), died), ==, 1);
	/* where nothing else works there is nothing to wait for */
	died.alive_us = NOW;
	died.answers = 1;
	gone.alive = FALSE;
	g_assert_cmpint(BEST(0, gone, died), ==, 1);
}

/* Of those that live, one where WireGuard's packets did not pass is taken last, but direct ones are
 * tried first all the same. */
static void
test_doubted_last(void)
{
	NatChoicePair gone = pair(0, 5), doubted = pair(1, 10), sure = pair(1, 80);

	gone.blocked = TRUE;
	doubted.doubted = TRUE;
	g_assert_cmpint(BEST(0, gone, doubted, sure), ==, 2);
	g_assert_cmpint(BEST(0, gone, doubted), ==, 1);
	gone.blocked = FALSE;
	gone.doubted = TRUE;
	g_assert_cmpint(BEST(-1, doubted, sure, gone), ==, 2);
}

/* The caller calls the present pair alive while it is only suspected: it stays. */
static void
test_suspect_stays(void)
{
	NatChoicePair suspect = pair(0, 100);

	suspect.alive_us = NOW - SEC;
	suspect.loss = 0.02;
	g_assert_cmpint(BEST(0, suspect, pair(1, 10)), ==, 0);
	g_assert_cmpint(BEST(0, suspect, pair(0, 95)), ==, 0);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/choice/none", test_none);
	g_test_add_func("/choice/kind-before-round-trip", test_kind_comes_before_round_trip);
	g_test_add_func("/choice/relay-as-last-resort", test_a_relay_only_where_nothing_is_direct);
	g_test_add_func("/choice/two-relays", test_two_relays);
	g_test_add_func("/choice/hysteresis", test_hysteresis);
	g_test_add_func("/choice/loss", test_loss_counts);
	g_test_add_func("/choice/best-of-better-ones", test_best_of_better_ones);
	g_test_add_func("/choice/one-answer", test_one_answer_moves_nothing);
	g_test_add_func("/choice/hold-down-doubles", test_hold_down_doubles);
	g_test_add_func("/choice/doubted-last", test_doubted_last);
	g_test_add_func("/choice/deaths-fade", test_deaths_fade);
	g_test_add_func("/choice/hold-down", test_hold_down);
	g_test_add_func("/choice/suspect-stays", test_suspect_stays);
	return g_test_run();
}
