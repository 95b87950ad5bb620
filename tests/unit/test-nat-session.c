/* SPDX-License-Identifier: MIT */
#include "agent/session/nat-session.h"

static NatMsg
message(guint64 sid, guint64 echo, guint32 seq)
{
	NatMsg msg = {.sid = sid, .echo = echo, .seq = seq};

	return msg;
}

static NatSessionVerdict
receive(NatSession *s, guint64 sid, guint64 echo, guint32 seq, gboolean live, gboolean *behind)
{
	NatMsg msg = message(sid, echo, seq);

	return nat_session_receive(s, &msg, live, behind);
}

static void
test_first_contact(void)
{
	NatSession s;
	NatMsg out = {0};
	gboolean behind;

	nat_session_init(&s, 1);
	g_assert_cmpint(receive(&s, 10, 0, 1, FALSE, &behind), ==, NAT_SESSION_NEW);
	g_assert_true(behind);
	nat_session_stamp(&s, &out);
	g_assert_cmpuint(out.sid, ==, 1);
	g_assert_cmpuint(out.echo, ==, 10);
	g_assert_cmpuint(out.seq, ==, 1);
	g_assert_cmpint(receive(&s, 10, 1, 2, TRUE, &behind), ==, NAT_SESSION_UPDATE);
	g_assert_false(behind);
}

static void
test_replay_is_dropped(void)
{
	NatSession s;
	gboolean behind;

	nat_session_init(&s, 1);
	receive(&s, 10, 0, 5, FALSE, &behind);
	g_assert_cmpint(receive(&s, 10, 0, 5, TRUE, &behind), ==, NAT_SESSION_DROP);
	g_assert_cmpint(receive(&s, 10, 1, 4, TRUE, &behind), ==, NAT_SESSION_DROP);
	g_assert_cmpint(receive(&s, 10, 1, 6, TRUE, &behind), ==, NAT_SESSION_UPDATE);
}

/* While a session is live, a recorded first contact gets one answer and changes nothing. */
static void
test_replayed_first_contact_while_live(void)
{
	NatSession s;
	gboolean behind;

	nat_session_init(&s, 1);
	receive(&s, 10, 1, 1, FALSE, &behind);
	g_assert_cmpint(receive(&s, 9, 0, 1, TRUE, &behind), ==, NAT_SESSION_ANSWER);
	g_assert_cmpuint(s.remote, ==, 10);
	g_assert_cmpint(receive(&s, 10, 1, 2, TRUE, &behind), ==, NAT_SESSION_UPDATE);
	g_assert_cmpuint(s.seen, ==, 10);
}

static void
test_retired_session_never_returns(void)
{
	NatSession s;
	gboolean behind;

	nat_session_init(&s, 1);
	receive(&s, 10, 1, 1, FALSE, &behind);
	g_assert_cmpint(receive(&s, 11, 1, 1, TRUE, &behind), ==, NAT_SESSION_NEW);
	g_assert_cmpint(receive(&s, 10, 1, 99, FALSE, &behind), ==, NAT_SESSION_DROP);
	g_assert_cmpuint(s.remote, ==, 11);
}

/* Two machines joined by a wire without loss: returns how many messages flow until both follow each
 * other's current session, as the peer machine would send them. */
static int
converge(NatSession *a, NatSession *b, gboolean live_a, gboolean live_b, gboolean a_starts,
	 gboolean b_starts)
{
	NatMsg to_a = {0}, to_b = {0};
	gboolean has_a = b_starts, has_b = a_starts;
	int count = 0;

	if (a_starts)
		nat_session_stamp(a, &to_b);
	if (b_starts)
		nat_session_stamp(b, &to_a);
	while ((has_a || has_b) && count < 32) {
		NatMsg in_a = to_a, in_b = to_b;
		gboolean got_a = has_a, got_b = has_b, behind;
		NatSessionVerdict verdict;

		has_a = has_b = FALSE;
		if (got_b) {
			count++;
			verdict = nat_session_receive(b, &in_b, live_b, &behind);
			has_a = verdict == NAT_SESSION_ANSWER || verdict == NAT_SESSION_NEW ||
				(behind && verdict == NAT_SESSION_UPDATE);
			if (has_a)
				nat_session_stamp(b, &to_a);
			live_b |= verdict == NAT_SESSION_NEW;
		}
		if (got_a) {
			count++;
			verdict = nat_session_receive(a, &in_a, live_a, &behind);
			has_b = verdict == NAT_SESSION_ANSWER || verdict == NAT_SESSION_NEW ||
				(behind && verdict == NAT_SESSION_UPDATE);
			if (has_b)
				nat_session_stamp(a, &to_b);
			live_a |= verdict == NAT_SESSION_NEW;
		}
	}
	g_assert_cmpuint(a->remote, ==, b->local);
	g_assert_cmpuint(b->remote, ==, a->local);
	return count;
}

static void
test_both_start_at_once(void)
{
	NatSession a, b;

	nat_session_init(&a, 1);
	nat_session_init(&b, 2);
	g_assert_cmpint(converge(&a, &b, FALSE, FALSE, TRUE, TRUE), <=, 6);
}

static void
test_peer_restarts_while_live(void)
{
	NatSession a, b;

	nat_session_init(&a, 1);
	nat_session_init(&b, 2);
	converge(&a, &b, FALSE, FALSE, TRUE, TRUE);
	nat_session_init(&b, 3);
	g_assert_cmpint(converge(&a, &b, TRUE, FALSE, FALSE, TRUE), <=, 6);
	g_assert_cmpuint(a.local, ==, 1);
}

static void
test_own_search_while_live(void)
{
	NatSession a, b;

	nat_session_init(&a, 1);
	nat_session_init(&b, 2);
	converge(&a, &b, FALSE, FALSE, TRUE, TRUE);
	nat_session_renew(&a, 4);
	g_assert_cmpint(converge(&a, &b, TRUE, TRUE, TRUE, FALSE), <=, 4);
	g_assert_cmpuint(b.local, ==, 2);
}

/* Glare: both renew at once; neither echoes the other's new id yet. */
static void
test_both_renew_at_once(void)
{
	NatSession a, b;

	nat_session_init(&a, 1);
	nat_session_init(&b, 2);
	converge(&a, &b, FALSE, FALSE, TRUE, TRUE);
	nat_session_renew(&a, 5);
	nat_session_renew(&b, 6);
	g_assert_cmpint(converge(&a, &b, TRUE, TRUE, TRUE, TRUE), <=, 10);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/session/first-contact", test_first_contact);
	g_test_add_func("/session/replay-is-dropped", test_replay_is_dropped);
	g_test_add_func("/session/replayed-first-contact-while-live",
			test_replayed_first_contact_while_live);
	g_test_add_func("/session/retired-never-returns", test_retired_session_never_returns);
	g_test_add_func("/session/both-start-at-once", test_both_start_at_once);
	g_test_add_func("/session/peer-restarts-while-live", test_peer_restarts_while_live);
	g_test_add_func("/session/own-search-while-live", test_own_search_while_live);
	g_test_add_func("/session/both-renew-at-once", test_both_renew_at_once);
	return g_test_run();
}
