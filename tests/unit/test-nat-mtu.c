/* SPDX-License-Identifier: MIT */
#include "agent/path/nat-mtu.h"

#include <sys/socket.h>

#define MS ((gint64)1000)
#define SEC ((gint64)G_USEC_PER_SEC)

typedef struct {
	guint token;
	gint64 at_us;
} Answer;

/* A path that carries what is no larger than `limit`, and answers after `rtt_us`. */
typedef struct {
	NatMtu *mtu;
	guint limit, link;   /* UDP payload; link: refused at once beyond it */
	double loss;	     /* each way */
	gboolean dead, deaf; /* deaf: large requests are not understood */
	gboolean refuse;
	gint64 rtt_us, now_us;
	GRand *rand;
	GArray *answers; /* of Answer, by time as long as rtt_us stays */
	guint small, large, largest, changes;
} Path;

static NatMtuSend
on_send(guint size, guint token, gpointer user_data)
{
	Path *path = user_data;
	Answer answer = {token, path->now_us + path->rtt_us};

	if (path->refuse)
		return NAT_MTU_NOT_NOW;
	if (size > path->link)
		return NAT_MTU_LINK_TOO_SMALL;
	size == 0 ? path->small++ : path->large++;
	path->largest = MAX(path->largest, size);
	g_assert_cmpuint(size % 4, ==, 0);
	if (path->dead || size > path->limit || (path->deaf && size > 0))
		return NAT_MTU_SENT;
	if (path->loss > 0 &&
	    (g_rand_double(path->rand) < path->loss || g_rand_double(path->rand) < path->loss))
		return NAT_MTU_SENT;
	g_array_append_val(path->answers, answer);
	return NAT_MTU_SENT;
}

static void
on_changed(gpointer user_data)
{
	((Path *)user_data)->changes++;
}

static const NatMtuFuncs FUNCS = {on_send, on_changed};

static Path *
path_new(int family, gboolean relayed, guint wg_mtu, guint ip_limit)
{
	Path *path = g_new0(Path, 1);

	path->limit = ip_limit - (family == AF_INET ? 28 : 48) - (relayed ? 4 : 0);
	path->link = G_MAXUINT;
	path->rtt_us = 40 * MS;
	path->now_us = 5 * SEC;
	path->rand = g_rand_new_with_seed(1);
	path->answers = g_array_new(FALSE, FALSE, sizeof(Answer));
	path->mtu = nat_mtu_new(family, relayed, wg_mtu, &FUNCS, path);
	return path;
}

static void
path_free(Path *path)
{
	nat_mtu_free(path->mtu);
	g_array_unref(path->answers);
	g_rand_free(path->rand);
	g_free(path);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Path, path_free)

/* The next event before `end`; FALSE: there is none. */
static gboolean
step(Path *path, gint64 end_us)
{
	gint64 tick_us = nat_mtu_next_us(path->mtu);
	Answer answer = {0, G_MAXINT64};

	if (path->answers->len > 0)
		answer = g_array_index(path->answers, Answer, 0);
	if (MIN(tick_us, answer.at_us) > end_us) {
		path->now_us = end_us;
		return FALSE;
	}
	path->now_us = MAX(MIN(tick_us, answer.at_us), path->now_us);
	if (answer.at_us <= tick_us) {
		g_array_remove_index(path->answers, 0);
		nat_mtu_answered(path->mtu, answer.token, path->now_us);
	} else {
		nat_mtu_tick(path->mtu, path->now_us);
	}
	return TRUE;
}

static void
run(Path *path, gint64 us)
{
	gint64 end_us = path->now_us + us;

	while (step(path, end_us))
		;
}

/* How long the search took. */
static gint64
search(Path *path)
{
	gint64 began_us = path->now_us, end_us = began_us + 120 * SEC;

	nat_mtu_start(path->mtu, path->now_us);
	while (nat_mtu_phase(path->mtu) != NAT_MTU_SETTLED && step(path, end_us))
		;
	g_assert_cmpint(nat_mtu_phase(path->mtu), ==, NAT_MTU_SETTLED);
	return path->now_us - began_us;
}

/* What an ordinary path costs: three small and three large packets, three round trips. */
static void
test_ethernet(void)
{
	g_autoptr(Path) path = path_new(AF_INET, FALSE, 1420, 1500);

	g_assert_cmpint(search(path), <=, 3 * path->rtt_us);
	g_assert_cmpuint(nat_mtu_path(path->mtu), ==, 1500);
	g_assert_cmpuint(nat_mtu_payload(path->mtu), ==, 1472);
	g_assert_cmpuint(nat_mtu_wg(path->mtu), ==, 1440);
	g_assert_true(nat_mtu_is_capped(path->mtu));
	g_assert_cmpuint(path->large, ==, 3);
	g_assert_cmpuint(path->small, ==, 3);
	g_assert_cmpuint(path->changes, ==, 1);
}

/* Every size, both families, direct and relayed: found to within STUN's 4 bytes, never above. */
static void
test_every_limit(void)
{
	for (guint limit = 576; limit <= 1500; limit++) {
		for (int i = 0; i < 4; i++) {
			int family = i & 1 ? AF_INET6 : AF_INET;
			g_autoptr(Path) path = path_new(family, i & 2, 1420, limit);

			if (limit < (family == AF_INET6 ? 1280u : 580u))
				continue;
			g_assert_cmpint(search(path), <, 20 * SEC);
			g_assert_cmpuint(nat_mtu_payload(path->mtu), ==, path->limit / 4 * 4);
			g_assert_cmpuint(path->largest, <=, 1472);
			g_assert_cmpuint(nat_mtu_is_capped(path->mtu), ==, limit == 1500);
		}
	}
}

static void
test_common_limits_are_quick(void)
{
	static const guint LIMITS[] = {1280, 1400, 1420, 1440, 1460, 1480, 1492};

	for (gsize i = 0; i < G_N_ELEMENTS(LIMITS); i++) {
		g_autoptr(Path) path = path_new(AF_INET, FALSE, 1420, LIMITS[i]);

		g_assert_cmpint(search(path), <, 5 * SEC);
		g_assert_cmpuint(nat_mtu_path(path->mtu), ==, LIMITS[i]);
	}
}

/* A relay between: ChannelData takes 4 bytes. */
static void
test_relayed_1280(void)
{
	g_autoptr(Path) path = path_new(AF_INET, TRUE, 1420, 1280);

	search(path);
	g_assert_cmpuint(nat_mtu_payload(path->mtu), ==, 1280 - 28 - 4);
	g_assert_cmpuint(nat_mtu_path(path->mtu), ==, 1280);
	g_assert_cmpuint(nat_mtu_wg(path->mtu), ==, 1280 - 28 - 4 - 32);
}

/* One in five packets is lost, each way: loss is not taken for size. */
static void
test_loss(void)
{
	guint wrong = 0, still = 0;

	for (guint32 seed = 0; seed < 500; seed++) {
		g_autoptr(Path) path = path_new(AF_INET, FALSE, 1420, seed % 2 ? 1500 : 1400);

		g_rand_set_seed(path->rand, seed);
		path->loss = 0.2;
		search(path);
		wrong += nat_mtu_path(path->mtu) != (seed % 2 ? 1500 : 1400);
		g_assert_cmpuint(nat_mtu_path(path->mtu), <=, seed % 2 ? 1500 : 1400);
		/* what chance did wrong, the next check mends */
		run(path, 1300 * SEC);
		still += nat_mtu_path(path->mtu) != (seed % 2 ? 1500 : 1400);
	}
	g_test_message("%u of 500 wrong at first, %u after two checks", wrong, still);
	g_assert_cmpuint(wrong, <=, 10);
	g_assert_cmpuint(still, <=, 10);
}

/* The path shrinks: noticed at the next check, or at once when the tunnel is suspected. */
static void
test_shrinks(void)
{
	g_autoptr(Path) path = path_new(AF_INET, FALSE, 1420, 1500);

	search(path);
	path->limit = 1280 - 28;
	run(path, 620 * SEC);
	g_assert_cmpuint(nat_mtu_path(path->mtu), ==, 1280);
	g_assert_cmpuint(path->changes, ==, 2);
	path->limit = 1500 - 28;
	run(path, 620 * SEC);
	g_assert_cmpuint(nat_mtu_path(path->mtu), ==, 1500);

	path->limit = 1400 - 28;
	nat_mtu_suspect(path->mtu, path->now_us);
	run(path, 6 * SEC);
	g_assert_cmpuint(nat_mtu_path(path->mtu), ==, 1400);
	g_assert_cmpuint(path->changes, ==, 4);
	/* not again and again */
	path->large = 0;
	for (int i = 0; i < 9; i++)
		nat_mtu_suspect(path->mtu, path->now_us);
	g_assert_cmpuint(path->large, <=, 1);
}

/* While a check runs the old result stands; a settled path is left alone for ten minutes. */
static void
test_steady(void)
{
	g_autoptr(Path) path = path_new(AF_INET6, FALSE, 1420, 1480);

	search(path);
	path->small = path->large = 0;
	run(path, 599 * SEC);
	g_assert_cmpuint(path->small + path->large, ==, 0);
	run(path, 10 * SEC);
	g_assert_cmpint(nat_mtu_phase(path->mtu), ==, NAT_MTU_SETTLED);
	g_assert_cmpuint(path->large, ==, 4); /* itself, and three of the next larger size */
	g_assert_cmpuint(path->changes, ==, 1);
}

/* No answers at all say nothing about size. */
static void
test_silent(void)
{
	g_autoptr(Path) path = path_new(AF_INET, FALSE, 1420, 1500);

	search(path);
	path->dead = TRUE;
	path->small = path->large = 0;
	nat_mtu_suspect(path->mtu, path->now_us + 11 * SEC);
	run(path, 310 * SEC);
	g_assert_cmpuint(nat_mtu_path(path->mtu), ==, 1500);
	g_assert_cmpuint(path->large, <, 20);
	path->dead = FALSE;
	run(path, 31 * SEC);
	g_assert_cmpint(nat_mtu_phase(path->mtu), ==, NAT_MTU_SETTLED);
	g_assert_cmpuint(nat_mtu_path(path->mtu), ==, 1500);
	g_assert_cmpuint(path->changes, ==, 1);
}

/* A peer that drops large requests whatever the path: nothing is known, nothing is said. */
static void
test_deaf_peer(void)
{
	g_autoptr(Path) path = path_new(AF_INET, FALSE, 1420, 1500);

	path->deaf = TRUE;
	search(path);
	g_assert_cmpuint(nat_mtu_payload(path->mtu), ==, 0);
	g_assert_cmpuint(nat_mtu_path(path->mtu) + nat_mtu_wg(path->mtu), ==, 0);
	g_assert_cmpuint(path->changes, ==, 0);
	path->deaf = FALSE;
	run(path, 610 * SEC);
	g_assert_cmpuint(nat_mtu_path(path->mtu), ==, 1500);
}

/* The interface itself is small: no time-out is needed to know. */
static void
test_small_link(void)
{
	g_autoptr(Path) path = path_new(AF_INET, FALSE, 1420, 1500);

	path->link = 1400 - 28;
	g_assert_cmpint(search(path), <, SEC);
	g_assert_cmpuint(nat_mtu_path(path->mtu), ==, 1400);
}

/* Held back by a cap or without a route: tried again later, nothing concluded. */
static void
test_not_now(void)
{
	g_autoptr(Path) path = path_new(AF_INET, FALSE, 1420, 1500);

	path->refuse = TRUE;
	nat_mtu_start(path->mtu, path->now_us);
	run(path, 100 * SEC);
	g_assert_cmpint(nat_mtu_phase(path->mtu), ==, NAT_MTU_SEARCHING);
	path->refuse = FALSE;
	run(path, 31 * SEC);
	g_assert_cmpuint(nat_mtu_path(path->mtu), ==, 1500);
}

/* The tunnel's own size is tried before the largest; a jumbo tunnel asks for what can be tried. */
static void
test_wg_mtu(void)
{
	g_autoptr(Path) small = path_new(AF_INET6, FALSE, 1380, 1460);
	g_autoptr(Path) jumbo = path_new(AF_INET, FALSE, 8920, 1500);

	search(small);
	g_assert_cmpuint(nat_mtu_wg(small->mtu), ==, 1380);
	search(jumbo);
	g_assert_true(nat_mtu_is_capped(jumbo->mtu));
	nat_mtu_set_wg_mtu(jumbo->mtu, G_MAXUINT);
	nat_mtu_set_wg_mtu(jumbo->mtu, 1);
	nat_mtu_set_wg_mtu(jumbo->mtu, 0);
	search(jumbo);
	g_assert_true(nat_mtu_is_capped(jumbo->mtu));
}

/* Answers that nobody waits for, or that come from another life. */
static void
test_odd_answers(void)
{
	g_autoptr(Path) path = path_new(AF_INET, FALSE, 1420, 1280);

	nat_mtu_answered(path->mtu, 0, 0);
	nat_mtu_answered(path->mtu, 7, 0);
	nat_mtu_tick(path->mtu, path->now_us);
	g_assert_cmpint(nat_mtu_phase(path->mtu), ==, NAT_MTU_IDLE);
	search(path);
	for (guint token = 0; token < 100; token++)
		nat_mtu_answered(path->mtu, token, path->now_us + 10 * SEC);
	run(path, 20 * SEC);
	g_assert_cmpuint(nat_mtu_path(path->mtu), ==, 1280);
}

/* Slower than any time-out: a late answer overturns the verdict. */
static void
test_late_answers(void)
{
	g_autoptr(Path) path = path_new(AF_INET, FALSE, 1420, 1500);

	path->rtt_us = 2500 * MS;
	search(path);
	run(path, 30 * SEC);
	g_assert_cmpuint(nat_mtu_path(path->mtu), ==, 1500);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/mtu/ethernet", test_ethernet);
	g_test_add_func("/mtu/every-limit", test_every_limit);
	g_test_add_func("/mtu/common-limits-are-quick", test_common_limits_are_quick);
	g_test_add_func("/mtu/relayed-1280", test_relayed_1280);
	g_test_add_func("/mtu/loss", test_loss);
	g_test_add_func("/mtu/shrinks", test_shrinks);
	g_test_add_func("/mtu/steady", test_steady);
	g_test_add_func("/mtu/silent", test_silent);
	g_test_add_func("/mtu/deaf-peer", test_deaf_peer);
	g_test_add_func("/mtu/small-link", test_small_link);
	g_test_add_func("/mtu/not-now", test_not_now);
	g_test_add_func("/mtu/wg-mtu", test_wg_mtu);
	g_test_add_func("/mtu/odd-answers", test_odd_answers);
	g_test_add_func("/mtu/late-answers", test_late_answers);
	return g_test_run();
}
