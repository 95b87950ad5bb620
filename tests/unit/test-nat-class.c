/* SPDX-License-Identifier: MIT */
#include "agent/nat-class.h"

static void
test_ports(void)
{
	static const struct {
		guint16 inside[8], outside[8];
		gsize n;
		NatPorts ports;
		int step;
		gboolean parity_known, parity;
	} CASES[] = {
		{{1, 2, 3, 4, 5, 6}, {1, 2, 3, 4, 5, 6}, 6, NAT_PORTS_PRESERVED, 0, FALSE, FALSE},
		/* one was taken by somebody else */
		{{1, 2, 3, 4, 5, 6}, {1, 2, 900, 4, 5, 6}, 6, NAT_PORTS_PRESERVED, 0, FALSE, FALSE},
		{{9, 8, 7, 6}, {100, 101, 102, 103}, 4, NAT_PORTS_SEQUENTIAL, 1, TRUE, FALSE},
		{{9, 8, 7, 6}, {100, 102, 104, 108}, 4, NAT_PORTS_SEQUENTIAL, 2, TRUE, FALSE},
		{{9, 8, 7, 6}, {103, 102, 101, 100}, 4, NAT_PORTS_SEQUENTIAL, -1, FALSE, FALSE},
		/* another host's mapping came in between */
		{{9, 8, 7, 6}, {100, 101, 103, 104}, 4, NAT_PORTS_SEQUENTIAL, 1, TRUE, FALSE},
		/* several hosts', of which ours is not the first each time */
		{{9, 8, 7, 6, 5, 4, 3, 2},
		 {100, 103, 104, 109, 110, 112, 113, 114},
		 8,
		 NAT_PORTS_SEQUENTIAL,
		 1,
		 TRUE,
		 FALSE},
		/* two at a time; past the end of the range once */
		{{9, 8, 7, 6, 5, 4},
		 {65530, 65532, 65534, 1024, 1026, 1030},
		 6,
		 NAT_PORTS_SEQUENTIAL,
		 2,
		 TRUE,
		 FALSE},
		/* near each other, up and down: by chance */
		{{9, 8, 7, 6, 5, 4, 3},
		 {110, 100, 112, 101, 103, 99, 108},
		 7,
		 NAT_PORTS_BLOCK,
		 0,
		 TRUE,
		 FALSE},
		{{9, 8, 7, 6, 5, 4},
		 {100, 4000, 23, 60000, 777, 12345},
		 6,
		 NAT_PORTS_RANDOM,
		 0,
		 TRUE,
		 FALSE},
		/* a carrier's block */
		{{9, 8, 7, 6, 5, 4},
		 {30100, 29900, 31000, 30500, 29801, 30999},
		 6,
		 NAT_PORTS_BLOCK,
		 0,
		 TRUE,
		 FALSE},
		{{9, 8, 7, 6, 5},
		 {30100, 29900, 31000, 30500, 29801},
		 5,
		 NAT_PORTS_RANDOM,
		 0,
		 TRUE,
		 FALSE},
		{{11, 22, 33, 44, 55, 66, 77, 88},
		 {4001, 902, 60001, 7000, 12345, 23456, 51, 44444},
		 8,
		 NAT_PORTS_RANDOM,
		 0,
		 TRUE,
		 TRUE},
		/* what even ports do says nothing of odd ones */
		{{22, 44, 66, 88, 12, 14, 16, 18},
		 {4002, 902, 60002, 7000, 12346, 23456, 52, 44444},
		 8,
		 NAT_PORTS_RANDOM,
		 0,
		 FALSE,
		 FALSE},
		{{1, 2}, {1, 2}, 2, NAT_PORTS_UNKNOWN, 0, FALSE, FALSE},
		{{1}, {1}, 0, NAT_PORTS_UNKNOWN, 0, FALSE, FALSE},
	};

	for (gsize i = 0; i < G_N_ELEMENTS(CASES); i++) {
		NatAllocation pattern =
			nat_ports_classify(CASES[i].inside, CASES[i].outside, CASES[i].n);

		g_test_message("case %zu", i);
		g_assert_cmpint(pattern.ports, ==, CASES[i].ports);
		g_assert_cmpint(pattern.step, ==, CASES[i].step);
		g_assert_cmpint(pattern.parity_known, ==, CASES[i].parity_known);
		g_assert_cmpint(pattern.parity, ==, CASES[i].parity);
		g_assert_true(pattern.ports == NAT_PORTS_BLOCK
				      ? pattern.lowest < pattern.highest
				      : pattern.lowest == 0 && pattern.highest == 0);
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
	g_test_add_func("/class/ports", test_ports);
	g_test_add_func("/class/words", test_words);
	g_test_add_func("/class/describe", test_describe);
	g_test_add_func("/class/sanitize", test_sanitize);
	return g_test_run();
}
