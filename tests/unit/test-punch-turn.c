/* SPDX-License-Identifier: MIT */
#include "agent/punch/punch-turn.h"

#define SEC ((gint64)G_USEC_PER_SEC)

static const int ONE, OTHER;

static void
test_one_at_a_time(void)
{
	PunchTurn *turn = punch_turn_new();
	gint64 now = 1000 * SEC;

	g_assert_true(punch_turn_take(turn, &ONE, 256, now));
	g_assert_false(punch_turn_take(turn, &OTHER, 0, now));
	punch_turn_give_back(turn, &OTHER, now); /* it has none */
	g_assert_false(punch_turn_take(turn, &OTHER, 0, now));
	punch_turn_give_back(turn, &ONE, now);
	/* the NAT still has the mappings: another guesses, none makes as many again */
	g_assert_false(punch_turn_take(turn, &OTHER, 256, now + PUNCH_PAUSE_US - 1));
	g_assert_true(punch_turn_take(turn, &OTHER, 64, now));
	punch_turn_give_back(turn, &OTHER, now);
	g_assert_true(punch_turn_take(turn, &OTHER, 256, now + PUNCH_PAUSE_US));
	punch_turn_free(turn);
}

static void
test_backoff(void)
{
	PunchBackoff backoff = {0};
	gint64 now = 1000 * SEC, pause = 0;

	punch_backoff_note(&backoff, 7);
	g_assert_true(punch_backoff_is_due(&backoff, now));
	for (int i = 0; i < 12; i++) {
		gint64 before = pause;

		punch_backoff_failed(&backoff, now);
		pause = backoff.due_us - now;
		g_assert_cmpint(pause, >=, 60 * SEC);
		g_assert_true(i == 0 || pause == MIN(5 * before, 24 * 3600 * SEC));
		g_assert_false(punch_backoff_is_due(&backoff, now + pause - 1));
		g_assert_true(punch_backoff_is_due(&backoff, now + pause));
	}
	/* what was put off does not come sooner for it */
	punch_backoff_later(&backoff, now);
	g_assert_cmpint(backoff.due_us, ==, now + pause);
	/* the same networks are no news, others are */
	punch_backoff_note(&backoff, 7);
	g_assert_false(punch_backoff_is_due(&backoff, now));
	punch_backoff_note(&backoff, 8);
	g_assert_true(punch_backoff_is_due(&backoff, now));
	punch_backoff_later(&backoff, now);
	g_assert_false(punch_backoff_is_due(&backoff, now + 4 * SEC));
	g_assert_true(punch_backoff_is_due(&backoff, now + 15 * SEC));
	/* a peer that asks is followed from half of the time on */
	punch_backoff_failed(&backoff, now);
	g_assert_false(punch_backoff_may_follow(&backoff, now + 29 * SEC));
	g_assert_true(punch_backoff_may_follow(&backoff, now + 30 * SEC));
	/* what is put off again and again is put off for longer */
	for (int i = 0; i < 20; i++)
		punch_backoff_later(&backoff, now);
	g_assert_cmpint(backoff.due_us, >=, now + 64 * 5 * SEC);
	g_assert_cmpint(backoff.due_us, <, now + 64 * 15 * SEC);
	punch_backoff_worked(&backoff);
	g_assert_true(punch_backoff_is_due(&backoff, now));
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/punch-turn/one-at-a-time", test_one_at_a_time);
	g_test_add_func("/punch-turn/backoff", test_backoff);
	return g_test_run();
}
