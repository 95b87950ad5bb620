/* SPDX-License-Identifier: MIT */
#include "agent/probe/nat-class.h"

/* Mappings, the kind that they make, and its step; whether odd and even are kept: NO, YES, or
 * nothing can be said. */
typedef struct {
	guint16 inside[10], outside[10];
	gsize n;
	NatPorts ports;
	int step;
	enum { UNSAID, NO, YES } parity;
} Mappings;

/* clang-format off */
static const Mappings FEW[] = {
	{{1, 2}, {1, 2}, 2, NAT_PORTS_UNKNOWN, 0, UNSAID},
	{{1}, {1}, 0, NAT_PORTS_UNKNOWN, 0, UNSAID},
};

static const Mappings PRESERVED[] = {
	{{1, 2, 3, 4, 5, 6}, {1, 2, 3, 4, 5, 6}, 6, NAT_PORTS_PRESERVED, 0, UNSAID},
	/* one was taken by somebody else */
	{{1, 2, 3, 4, 5, 6}, {1, 2, 900, 4, 5, 6}, 6, NAT_PORTS_PRESERVED, 0, UNSAID},
};

static const Mappings SEQUENTIAL[] = {
	{{9, 8, 7, 6}, {100, 101, 102, 103}, 4, NAT_PORTS_SEQUENTIAL, 1, NO},
	{{9, 8, 7, 6}, {100, 102, 104, 108}, 4, NAT_PORTS_SEQUENTIAL, 2, NO},
	{{9, 8, 7, 6}, {103, 102, 101, 100}, 4, NAT_PORTS_SEQUENTIAL, -1, UNSAID},
	/* another host's mapping came in between */
	{{9, 8, 7, 6}, {100, 101, 103, 104}, 4, NAT_PORTS_SEQUENTIAL, 1, NO},
	/* several hosts', of which ours is not the first each time */
	{{9, 8, 7, 6, 5, 4, 3, 2}, {100, 103, 104, 109, 110, 112, 113, 114}, 8,
	 NAT_PORTS_SEQUENTIAL, 1, NO},
	/* one of theirs each time, or more: the most frequent distance is not the step */
	{{9, 8, 7, 6, 5, 4}, {100, 102, 104, 107, 109, 111}, 6, NAT_PORTS_SEQUENTIAL, 1, NO},
	/* dozens of theirs */
	{{9, 8, 7, 6, 5, 4}, {100, 123, 150, 171, 203, 220}, 6, NAT_PORTS_SEQUENTIAL, 1, NO},
	{{9, 8, 7, 6, 5, 4}, {920, 890, 852, 820, 798, 760}, 6, NAT_PORTS_SEQUENTIAL, -2, NO},
	/* two at a time; past the end of the range once */
	{{9, 8, 7, 6, 5, 4}, {65530, 65532, 65534, 1024, 1026, 1030}, 6,
	 NAT_PORTS_SEQUENTIAL, 2, NO},
	{{9, 8, 7, 6, 5, 4, 3, 2}, {65450, 65480, 65533, 1046, 1070, 1098, 1130, 1165}, 8,
	 NAT_PORTS_SEQUENTIAL, 1, NO},
};

static const Mappings BY_CHANCE[] = {
	/* near each other, up and down */
	{{9, 8, 7, 6, 5, 4, 3}, {110, 100, 112, 101, 103, 99, 108}, 7, NAT_PORTS_BLOCK, 0, NO},
	{{9, 8, 7, 6, 5, 4}, {100, 4000, 23, 60000, 777, 12345}, 6, NAT_PORTS_RANDOM, 0, NO},
	/* a carrier's block */
	{{9, 8, 7, 6, 5, 4}, {30100, 29900, 31000, 30500, 29801, 30999}, 6,
	 NAT_PORTS_BLOCK, 0, NO},
	{{9, 8, 7, 6, 5}, {30100, 29900, 31000, 30500, 29801}, 5, NAT_PORTS_RANDOM, 0, NO},
	/* a sequence that runs away from us */
	{{9, 8, 7, 6, 5, 4}, {1000, 1300, 1500, 2100, 2600, 3000}, 6, NAT_PORTS_RANDOM, 0, NO},
	{{11, 22, 33, 44, 55, 66, 77, 88},
	 {4001, 902, 60001, 7000, 12345, 23456, 51, 44444}, 8, NAT_PORTS_RANDOM, 0, YES},
	/* what even ports do says nothing of odd ones */
	{{22, 44, 66, 88, 12, 14, 16, 18},
	 {4002, 902, 60002, 7000, 12346, 23456, 52, 44444}, 8, NAT_PORTS_RANDOM, 0, UNSAID},
};
/* clang-format on */

static void
are_classified(const Mappings *rows, gsize n)
{
	for (gsize i = 0; i < n; i++) {
		NatAllocation got = nat_ports_classify(rows[i].inside, rows[i].outside, rows[i].n);

		g_test_message("row %" G_GSIZE_FORMAT, i);
		g_assert_cmpint(got.ports, ==, rows[i].ports);
		g_assert_cmpint(got.step, ==, rows[i].step);
		g_assert_cmpint(got.parity_known, ==, rows[i].parity != UNSAID);
		g_assert_cmpint(got.parity, ==, rows[i].parity == YES);
		g_assert_true(got.ports == NAT_PORTS_BLOCK ? got.lowest < got.highest
							   : got.lowest == 0 && got.highest == 0);
	}
}

static void
test_few(void)
{
	are_classified(FEW, G_N_ELEMENTS(FEW));
}

static void
test_preserved(void)
{
	are_classified(PRESERVED, G_N_ELEMENTS(PRESERVED));
}

static void
test_sequential(void)
{
	are_classified(SEQUENTIAL, G_N_ELEMENTS(SEQUENTIAL));
}

static void
test_by_chance(void)
{
	are_classified(BY_CHANCE, G_N_ELEMENTS(BY_CHANCE));
}

/* ---- neighbours ---- */

#define RUNS 500
#define ASKED 10 /* as the probe asks: each after the answer to the last */

/* What others take within rtt_ms, where they take so many in a second: arrivals by chance. */
static int
taken_by_others(GRand *rand, int rate, int rtt_ms)
{
	int taken = 0;

	for (int i = 0; i < rtt_ms * 10; i++)
		taken += g_rand_int_range(rand, 0, 10000) < rate;
	return taken;
}

/* How many of RUNS are told to be sequential with that step; none is ever said to be of a kind that
 * it is not, but for RANDOM. */
static int
told_with_step(GRand *rand, int rate, int rtt_ms, gint16 step)
{
	int right = 0;

	for (int run = 0; run < RUNS; run++) {
		guint16 inside[ASKED], outside[ASKED], at;
		NatAllocation got;

		at = (guint16)g_rand_int_range(rand, 30000, 40000);
		for (int i = 0; i < ASKED; i++) {
			inside[i] = (guint16)g_rand_int_range(rand, 1024, 20000);
			outside[i] = at = (guint16)(at + step);
			at = (guint16)(at + step * taken_by_others(rand, rate, rtt_ms));
		}
		got = nat_ports_classify(inside, outside, ASKED);
		right += got.ports == NAT_PORTS_SEQUENTIAL && got.step == step;
		g_assert_true(got.ports == NAT_PORTS_SEQUENTIAL || got.ports == NAT_PORTS_RANDOM);
	}
	return right;
}

/* Mappings a second of neighbours behind the same NAT. */
static void
test_neighbours(void)
{
	static const int RATES[] = {5, 20, 100, 500}, RTTS_MS[] = {2, 20, 60, 200};
	static const gint16 STEPS[] = {1, 2, -1};
	g_autoptr(GRand) rand = g_rand_new_with_seed(1);

	for (gsize r = 0; r < G_N_ELEMENTS(RATES); r++) {
		for (gsize t = 0; t < G_N_ELEMENTS(RTTS_MS); t++) {
			for (gsize s = 0; s < G_N_ELEMENTS(STEPS); s++) {
				int right = told_with_step(rand, RATES[r], RTTS_MS[t], STEPS[s]);

				g_test_message("%d a second, %d ms, step %d: %d of %d", RATES[r],
					       RTTS_MS[t], STEPS[s], right, RUNS);
				g_assert_cmpint(right, >=, RUNS * 98 / 100);
			}
		}
	}
}

/* Among `span` ports by chance: hardly ever taken for a sequence. */
static void
test_no_sequence(void)
{
	static const int SPANS[] = {64, 256, 1024, 4096, 60000};
	g_autoptr(GRand) rand = g_rand_new_with_seed(1);

	for (gsize s = 0; s < G_N_ELEMENTS(SPANS); s++) {
		int wrong = 0;

		for (int run = 0; run < 10 * RUNS; run++) {
			guint16 inside[ASKED], outside[ASKED];

			for (guint16 i = 0; i < ASKED; i++) {
				inside[i] = 100 + i;
				outside[i] = (guint16)g_rand_int_range(rand, 2000, 2000 + SPANS[s]);
			}
			wrong += nat_ports_classify(inside, outside, ASKED).ports ==
				 NAT_PORTS_SEQUENTIAL;
		}
		g_test_message("of %d ports: %d of %d wrong", SPANS[s], wrong, 10 * RUNS);
		g_assert_cmpint(wrong, <=, 10 * RUNS / 100);
	}
}

static void
test_words(void)
{
	static const NatFiltering FILTERINGS[] = {
		NAT_FILTERING_UNKNOWN,
		NAT_FILTERING_ENDPOINT_INDEPENDENT,
		NAT_FILTERING_ADDRESS_DEPENDENT,
		NAT_FILTERING_ADDRESS_AND_PORT_DEPENDENT,
	};
	static const NatPorts PORTS[] = {
		NAT_PORTS_UNKNOWN, NAT_PORTS_PRESERVED, NAT_PORTS_SEQUENTIAL,
		NAT_PORTS_BLOCK,   NAT_PORTS_RANDOM,
	};

	for (gsize i = 0; i < G_N_ELEMENTS(FILTERINGS); i++) {
		NatFiltering got = (NatFiltering)99;

		g_assert_true(
			nat_filtering_from_string(nat_filtering_to_string(FILTERINGS[i]), &got));
		g_assert_cmpint(got, ==, FILTERINGS[i]);
		g_assert_false(nat_filtering_from_string("open", &got));
		g_assert_false(nat_filtering_from_string(NULL, &got));
	}
	for (gsize i = 0; i < G_N_ELEMENTS(PORTS); i++) {
		NatPorts got = (NatPorts)99;

		g_assert_true(nat_ports_from_string(nat_ports_to_string(PORTS[i]), &got));
		g_assert_cmpint(got, ==, PORTS[i]);
		g_assert_false(nat_ports_from_string("", &got));
	}
	g_assert_cmpstr(nat_ports_to_string((NatPorts)99), ==, "unknown");
	g_assert_cmpstr(nat_filtering_to_string((NatFiltering)99), ==, "unknown");
}

static void
test_describe(void)
{
	static const struct {
		NatClass nat;
		const char *want;
	} CASES[] = {
		{{.ports = NAT_PORTS_UNKNOWN}, "unknown"},
		{{.ports = NAT_PORTS_PRESERVED}, "preserved"},
		{{.ports = NAT_PORTS_SEQUENTIAL, .step = 1}, "sequential +1"},
		{{.ports = NAT_PORTS_SEQUENTIAL, .step = -2, .parity = TRUE},
		 "sequential -2, odd and even kept"},
		{{.ports = NAT_PORTS_BLOCK, .lowest = 1024, .highest = 2047}, "block 1024-2047"},
		{{.ports = NAT_PORTS_RANDOM, .parity = TRUE}, "random, odd and even kept"},
	};

	for (gsize i = 0; i < G_N_ELEMENTS(CASES); i++) {
		g_autofree char *got = nat_class_describe_ports(&CASES[i].nat);

		g_assert_cmpstr(got, ==, CASES[i].want);
	}
}

static void
test_sanitize(void)
{
	const NatClass nothing = {0};
	NatClass nat = {(NatMapping)9, (NatFiltering)9, (NatPorts)9, 1, 1, 2, TRUE};

	nat_class_sanitize(&nat);
	g_assert_true(nat_class_equal(&nat, &nothing));
	g_assert_false(nat_class_is_known(&nat));
	nat = (NatClass){.ports = NAT_PORTS_BLOCK, .lowest = 5, .highest = 4};
	nat_class_sanitize(&nat);
	g_assert_true(nat_class_equal(&nat, &nothing));
	nat = (NatClass){.ports = NAT_PORTS_BLOCK, .lowest = 5, .highest = 5, .step = 3};
	nat_class_sanitize(&nat);
	g_assert_cmpint(nat.ports, ==, NAT_PORTS_BLOCK);
	g_assert_cmpint(nat.step, ==, 0);
	nat = (NatClass){.ports = NAT_PORTS_SEQUENTIAL};
	nat_class_sanitize(&nat);
	g_assert_cmpint(nat.ports, ==, NAT_PORTS_UNKNOWN);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/class/few", test_few);
	g_test_add_func("/class/preserved", test_preserved);
	g_test_add_func("/class/sequential", test_sequential);
	g_test_add_func("/class/by-chance", test_by_chance);
	g_test_add_func("/class/neighbours", test_neighbours);
	g_test_add_func("/class/no-sequence", test_no_sequence);
	g_test_add_func("/class/words", test_words);
	g_test_add_func("/class/describe", test_describe);
	g_test_add_func("/class/sanitize", test_sanitize);
	return g_test_run();
}
