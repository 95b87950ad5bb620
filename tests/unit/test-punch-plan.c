/* SPDX-License-Identifier: MIT */
/* What two NATs allow, and which ports are tried in which order. */
#include "agent/punch/punch-guess.h"
#include "agent/punch/punch-plan.h"

/* The profiles of tests/lab/nat.sh, as the probes class them. */
#define EI NAT_MAPPING_ENDPOINT_INDEPENDENT
#define AD NAT_MAPPING_ADDRESS_DEPENDENT
#define APD NAT_MAPPING_ADDRESS_AND_PORT_DEPENDENT
#define F_AD NAT_FILTERING_ADDRESS_DEPENDENT
#define F_APD NAT_FILTERING_ADDRESS_AND_PORT_DEPENDENT

static const NatClass OPEN = {.mapping = NAT_MAPPING_NONE};
static const NatClass PORT_RESTR = {
	.mapping = EI, .filtering = F_APD, .ports = NAT_PORTS_PRESERVED};
static const NatClass ADM = {.mapping = AD, .filtering = F_APD, .ports = NAT_PORTS_RANDOM};
static const NatClass ADM_ADF = {.mapping = AD, .filtering = F_AD, .ports = NAT_PORTS_RANDOM};
static const NatClass SEQUENTIAL = {
	.mapping = APD, .filtering = F_APD, .ports = NAT_PORTS_SEQUENTIAL, .step = 1};
static const NatClass SYMMETRIC = {.mapping = APD, .filtering = F_APD, .ports = NAT_PORTS_RANDOM};
static const NatClass KEEPING = {.mapping = APD, .filtering = F_APD, .ports = NAT_PORTS_PRESERVED};
static const NatClass UNTESTED = {.mapping = APD};
static const NatClass UNKNOWN = {0};

typedef struct {
	const NatClass *here, *there;
	PunchRole role; /* with here controlling */
	PunchWhyNot why_not;
} Row;

/* NAT-LAB's table of what an ideal prober can do: S and B are what is wanted here. */
static const Row ROWS[] = {
	{&OPEN, &PORT_RESTR, PUNCH_NONE, PUNCH_WHY_NOT_EASY},
	{&PORT_RESTR, &PORT_RESTR, PUNCH_NONE, PUNCH_WHY_NOT_EASY},
	{&SYMMETRIC, &PORT_RESTR, PUNCH_OPEN, PUNCH_WHY_NOT_NONE},
	{&PORT_RESTR, &SYMMETRIC, PUNCH_SPRAY, PUNCH_WHY_NOT_NONE},
	{&UNTESTED, &PORT_RESTR, PUNCH_OPEN, PUNCH_WHY_NOT_NONE},
	{&ADM, &PORT_RESTR, PUNCH_OPEN, PUNCH_WHY_NOT_NONE},
	{&SEQUENTIAL, &PORT_RESTR, PUNCH_OPEN, PUNCH_WHY_NOT_NONE},
	/* only the other way round */
	{&ADM_ADF, &SYMMETRIC, PUNCH_OPEN, PUNCH_WHY_NOT_NONE},
	{&SYMMETRIC, &ADM_ADF, PUNCH_SPRAY, PUNCH_WHY_NOT_NONE},
	{&ADM_ADF, &ADM_ADF, PUNCH_OPEN, PUNCH_WHY_NOT_NONE},
	{&SEQUENTIAL, &SEQUENTIAL, PUNCH_AIM, PUNCH_WHY_NOT_NONE},
	{&SEQUENTIAL, &KEEPING, PUNCH_AIM, PUNCH_WHY_NOT_NONE},
	{&SYMMETRIC, &SYMMETRIC, PUNCH_NONE, PUNCH_WHY_NOT_BOTH_RANDOM},
	{&SEQUENTIAL, &SYMMETRIC, PUNCH_NONE, PUNCH_WHY_NOT_BOTH_RANDOM},
	{&SEQUENTIAL, &ADM, PUNCH_NONE, PUNCH_WHY_NOT_BOTH_RANDOM},
	{&UNTESTED, &SEQUENTIAL, PUNCH_NONE, PUNCH_WHY_NOT_UNKNOWN},
	{&UNKNOWN, &SYMMETRIC, PUNCH_NONE, PUNCH_WHY_NOT_UNKNOWN},
};

static void
test_plan(void)
{
	for (gsize i = 0; i < G_N_ELEMENTS(ROWS); i++) {
		const Row *row = &ROWS[i];
		PunchWhyNot why_not, other;
		PunchRole role = punch_plan(row->here, row->there, TRUE, &why_not);

		g_test_message("row %" G_GSIZE_FORMAT, i);
		g_assert_cmpint(role, ==, row->role);
		g_assert_cmpint(why_not, ==, row->why_not);
		/* both ends conclude the same by themselves */
		g_assert_cmpint(punch_plan(row->there, row->here, FALSE, &other), ==,
				punch_counterpart(role));
		g_assert_cmpint(other, ==, why_not);
	}
}

static void
test_wanted(void)
{
	g_assert_cmpuint(punch_ports_wanted(PUNCH_OPEN, &SYMMETRIC), ==, PUNCH_OPEN_MAX);
	g_assert_cmpuint(punch_ports_wanted(PUNCH_OPEN, &SEQUENTIAL), ==, PUNCH_OPEN_FORETOLD);
	g_assert_cmpuint(punch_ports_wanted(PUNCH_SPRAY, &PORT_RESTR), ==, 0);
}

static void
test_sequence(void)
{
	PunchPorts ports;
	NatClass down = SEQUENTIAL;

	punch_foretell(&SEQUENTIAL, NULL, 0, 40000, &ports);
	g_assert_cmpuint(ports.n_ports, ==, PUNCH_GUESS_MAX);
	g_assert_cmpuint(ports.ports[0], ==, 40001);
	g_assert_cmpuint(ports.ports[63], ==, 40064);
	g_assert_cmpuint(ports.lowest, ==, 40000);
	g_assert_cmpuint(punch_aim(&SEQUENTIAL, NULL, 32, 40000, 0), ==, 40024);
	down.step = -2;
	punch_foretell(&down, NULL, 0, 1030, &ports);
	g_assert_cmpuint(ports.n_ports, ==, 3);
	g_assert_cmpuint(ports.ports[2], ==, 1024);
	g_assert_cmpuint(ports.highest, ==, 1030);
	g_assert_cmpuint(punch_aim(&down, NULL, 32, 1030, 0), ==, 0);
	/* where it is not known how far the NAT has counted */
	punch_foretell(&SEQUENTIAL, NULL, 0, 0, &ports);
	g_assert_cmpuint(ports.n_ports, ==, 0);
	g_assert_cmpuint(ports.lowest, ==, 1024);
	g_assert_cmpuint(punch_aim(&SEQUENTIAL, NULL, 32, 0, 0), ==, 0);
}

#define AIMS 1000

/* How many of AIMS times the port that was said is one of n of ours, where others take `rate` ports
 * a second by chance: `late_ms` after the look, which was `apart_ms` long (0: theirs are not looked
 * at). */
static guint
aims_hit(GRand *rand, guint rate, guint apart_ms, guint late_ms, guint n)
{
	guint hits = 0;

	for (guint i = 0; i < AIMS; i++) {
		guint seen = 0, taken = 0, aim;

		for (guint at = 0; at < apart_ms * 10; at++)
			seen += (guint)g_rand_int_range(rand, 0, 10000) < rate;
		for (guint at = 0; at < late_ms * 10; at++)
			taken += (guint)g_rand_int_range(rand, 0, 10000) < rate;
		seen = apart_ms > 0 ? seen * late_ms / apart_ms : 0;
		aim = punch_aim(&SEQUENTIAL, NULL, n, 40000, seen) - 40000u;
		hits += aim > taken && aim <= taken + n;
	}
	return hits;
}

/* Neighbours behind the same NAT: few do not matter, many are looked at. */
static void
test_neighbours(void)
{
	g_autoptr(GRand) rand = g_rand_new_with_seed(1);

	g_assert_cmpuint(aims_hit(rand, 20, 0, 500, PUNCH_AIM_PORTS), >, AIMS * 95 / 100);
	g_assert_cmpuint(aims_hit(rand, 20, 120, 500, PUNCH_AIM_PORTS), >, AIMS * 85 / 100);
	g_assert_cmpuint(aims_hit(rand, 100, 120, 200, PUNCH_AIM_PORTS), >, AIMS * 85 / 100);
	/* hardly ever, where they are not looked at */
	g_assert_cmpuint(aims_hit(rand, 100, 0, 400, PUNCH_AIM_PORTS), <, AIMS * 5 / 100);
	g_assert_cmpuint(aims_hit(rand, 100, 120, 400, PUNCH_AIM_PORTS), >, AIMS * 60 / 100);
}

static void
test_others(void)
{
	static const guint16 inside[] = {50001, 50007, 50003};
	NatClass block = {
		.mapping = APD, .ports = NAT_PORTS_BLOCK, .lowest = 2000, .highest = 2400};
	PunchPorts ports;

	punch_foretell(&KEEPING, inside, 3, 0, &ports);
	g_assert_cmpmem(ports.ports, 3 * sizeof(guint16), inside, sizeof inside);
	g_assert_cmpuint(punch_aim(&KEEPING, inside, 3, 0, 0), ==, 50007);
	punch_foretell(&block, inside, 3, 0, &ports);
	g_assert_cmpuint(ports.n_ports, ==, 0);
	g_assert_cmpuint(ports.lowest, ==, 1900);
	g_assert_cmpuint(ports.highest, ==, 2500);
	g_assert_cmpuint(punch_aim(&block, inside, 3, 0, 0), ==, 0);
	g_assert_cmpuint(punch_aim(&KEEPING, inside, 0, 0, 0), ==, 0);
}

/* Every port once, whatever the seed; what was foretold first, as often as told */
static void
test_guesses(void)
{
	static const guint32 SEEDS[] = {0, 1, 0xffffffff, 0x12345678, 77777};

	for (gsize s = 0; s < G_N_ELEMENTS(SEEDS); s++) {
		PunchPorts ports = {
			.ports = {7, 9}, .n_ports = 2, .lowest = 1024, .highest = 65535};
		g_autofree guint8 *seen = g_new0(guint8, 65536);
		PunchGuess guess;
		guint16 port, last = 0;
		guint n = 0, near = 0;

		punch_guess_init(&guess, &ports, 2, SEEDS[s]);
		for (int i = 0; i < 4; i++) {
			g_assert_true(punch_guess_next(&guess, &port));
			g_assert_cmpuint(port, ==, i % 2 == 0 ? 7 : 9);
		}
		for (; punch_guess_next(&guess, &port); n++) {
			g_assert_cmpuint(port, >=, 1024);
			g_assert_cmpuint(seen[port]++, ==, 0);
			near += ABS(port - last) < 100;
			last = port;
		}
		g_assert_cmpuint(n, ==, 65535 - 1024 + 1);
		/* by chance 0.3 % are; a walk in order would be all */
		g_assert_cmpuint(near, <, n / 20);
	}
}

static void
test_few_guesses(void)
{
	PunchPorts one = {.lowest = 5000, .highest = 5000}, none = {0};
	PunchGuess guess;
	guint16 port;

	punch_guess_init(&guess, &one, 3, 42);
	g_assert_true(punch_guess_next(&guess, &port));
	g_assert_cmpuint(port, ==, 5000);
	g_assert_false(punch_guess_next(&guess, &port));
	punch_guess_init(&guess, &none, 3, 42);
	g_assert_false(punch_guess_next(&guess, &port));
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/punch-plan/plan", test_plan);
	g_test_add_func("/punch-plan/wanted", test_wanted);
	g_test_add_func("/punch-guess/sequence", test_sequence);
	g_test_add_func("/punch-guess/neighbours", test_neighbours);
	g_test_add_func("/punch-guess/others", test_others);
	g_test_add_func("/punch-guess/all", test_guesses);
	g_test_add_func("/punch-guess/few", test_few_guesses);
	return g_test_run();
}
