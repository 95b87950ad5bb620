/* SPDX-License-Identifier: MIT */
#include "agent/probe/nat-class-probe.h"

#include <glib/gstdio.h>

#include "agent/probe/nat-class-counter.h"
#include "agent/probe/nat-class-test.h"
#include "tests/unit/fake-nat.h"
#include "tests/unit/scratch.h"

#define WAIT_MS 60000
#define DELAY_MS 20
#define ASKED_MAX 54 /* where each is sent as often as can be */

typedef struct {
	FakeNat nat;
	gboolean skip;
	char *dir;
	NatClassProbe *probe;
	guint changes;
} Fixture;

static const WgKey OWN = {{1, 2, 3}};

static void
on_changed(gpointer user_data)
{
	((Fixture *)user_data)->changes++;
}

static void
start(Fixture *f)
{
	f->probe = nat_class_probe_new("wg0", f->dir, &OWN, 0, DELAY_MS, on_changed, f);
}

static void
set_up(Fixture *f, gconstpointer data)
{
	f->skip = !fake_nat_open(&f->nat);
	f->nat.mapping = NAT_MAPPING_ENDPOINT_INDEPENDENT;
	f->nat.filtering = NAT_FILTERING_ADDRESS_AND_PORT_DEPENDENT;
	f->nat.ports = NAT_PORTS_PRESERVED;
	f->dir = g_dir_make_tmp("nat-class-XXXXXX", NULL);
	g_assert_nonnull(f->dir);
	start(f);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
	nat_class_probe_free(f->probe);
	fake_nat_close(&f->nat);
	scratch_remove(f->dir);
}

/* Another port for each destination, each the last one's next by step. */
static void
counts(Fixture *f, int step)
{
	f->nat.mapping = NAT_MAPPING_ADDRESS_AND_PORT_DEPENDENT;
	f->nat.ports = NAT_PORTS_SEQUENTIAL;
	f->nat.step = step;
}

/* What the STUN probe would say of the network with this public address. */
static void
say_nat(Fixture *f, const char *public_address, NatMapping mapping)
{
	WgEndpoint local = net_ep(FAKE_NAT_HOST), public_endpoint = net_ep(public_address);
	const WgEndpoint servers[] = {f->nat.places[0].addr, f->nat.places[1].addr};

	wg_endpoint_set_port(&local, 51820);
	nat_class_probe_set_nat(f->probe, &local, &public_endpoint, mapping, servers, 2);
}

/* Runs the main loop until the class is known. */
static const NatClass *
known(Fixture *f)
{
	const NatClass *nat = nat_class_probe_class(f->probe);
	gint64 end = g_get_monotonic_time() + WAIT_MS * G_TIME_SPAN_MILLISECOND;

	while ((!nat_class_is_known(nat) || nat_class_probe_is_testing(f->probe)) &&
	       g_get_monotonic_time() < end)
		if (!g_main_context_iteration(NULL, FALSE))
			g_usleep(1000);
	g_assert_true(nat_class_is_known(nat));
	return nat;
}

/* The fake NAT as it is set is what is found. */
static void
is_found(Fixture *f, NatFiltering filtering)
{
	const NatClass *nat;

	if (f->skip)
		return;
	say_nat(f, FAKE_NAT_PUBLIC, f->nat.mapping);
	g_assert_false(nat_class_is_known(nat_class_probe_class(f->probe)));
	nat = known(f);
	g_assert_cmpint(nat->mapping, ==, f->nat.mapping);
	g_assert_cmpint(nat->filtering, ==, filtering);
	g_assert_cmpint(nat->ports, ==, f->nat.ports);
	g_assert_cmpint(nat->step, ==, f->nat.step);
	g_assert_cmpuint(f->nat.requests, <=, ASKED_MAX);
}

static void
test_port_restricted(Fixture *f, gconstpointer data)
{
	is_found(f, NAT_FILTERING_ADDRESS_AND_PORT_DEPENDENT);
}

static void
test_address_restricted(Fixture *f, gconstpointer data)
{
	f->nat.filtering = NAT_FILTERING_ADDRESS_DEPENDENT;
	f->nat.ports = NAT_PORTS_RANDOM;
	is_found(f, NAT_FILTERING_ADDRESS_DEPENDENT);
}

static void
test_full_cone(Fixture *f, gconstpointer data)
{
	f->nat.filtering = NAT_FILTERING_ENDPOINT_INDEPENDENT;
	f->nat.ports = NAT_PORTS_SEQUENTIAL;
	f->nat.step = 2;
	is_found(f, NAT_FILTERING_ENDPOINT_INDEPENDENT);
}

static void
test_address_dependent(Fixture *f, gconstpointer data)
{
	f->nat.mapping = NAT_MAPPING_ADDRESS_DEPENDENT;
	f->nat.ports = NAT_PORTS_RANDOM;
	is_found(f, NAT_FILTERING_ADDRESS_AND_PORT_DEPENDENT);
}

static void
test_symmetric_sequential(Fixture *f, gconstpointer data)
{
	counts(f, -1);
	is_found(f, NAT_FILTERING_ADDRESS_AND_PORT_DEPENDENT);
}

static void
test_symmetric_open(Fixture *f, gconstpointer data)
{
	f->nat.mapping = NAT_MAPPING_ADDRESS_AND_PORT_DEPENDENT;
	f->nat.filtering = NAT_FILTERING_ENDPOINT_INDEPENDENT;
	f->nat.ports = NAT_PORTS_BLOCK;
	is_found(f, NAT_FILTERING_ENDPOINT_INDEPENDENT);
	if (f->skip)
		return;
	g_assert_cmpuint(nat_class_probe_class(f->probe)->lowest, >=, 20000);
	g_assert_cmpuint(nat_class_probe_class(f->probe)->highest, <, 21000);
}

/* Dozens of others' mappings between two of ours */
static void
test_neighbours(Fixture *f, gconstpointer data)
{
	counts(f, 2);
	f->nat.others = 40;
	is_found(f, NAT_FILTERING_ADDRESS_AND_PORT_DEPENDENT);
}

/* ---- servers that can do less ---- */

static void
test_one_address(Fixture *f, gconstpointer data)
{
	f->nat.one_address = TRUE;
	is_found(f, NAT_FILTERING_ADDRESS_AND_PORT_DEPENDENT);
}

static void
test_one_address_open(Fixture *f, gconstpointer data)
{
	f->nat.one_address = TRUE;
	f->nat.filtering = NAT_FILTERING_ENDPOINT_INDEPENDENT;
	is_found(f, NAT_FILTERING_UNKNOWN);
}

static void
test_one_address_symmetric(Fixture *f, gconstpointer data)
{
	f->nat.one_address = TRUE;
	counts(f, 1);
	is_found(f, NAT_FILTERING_UNKNOWN);
}

/* Whom a server's word leads to is asked no more in a run than one who lost a packet. */
static void
test_other_silent(Fixture *f, gconstpointer data)
{
	f->nat.other_mute = TRUE;
	counts(f, 1);
	is_found(f, NAT_FILTERING_UNKNOWN);
	if (!f->skip)
		g_assert_cmpuint(f->nat.other_requests, <=, 4);
}

/* Then the server's two ports show what they can. */
static void
test_other_silent_restricted(Fixture *f, gconstpointer data)
{
	f->nat.other_mute = TRUE;
	is_found(f, NAT_FILTERING_ADDRESS_AND_PORT_DEPENDENT);
	if (!f->skip)
		g_assert_cmpuint(f->nat.other_requests, <=, 4);
}

static void
test_change_refused(Fixture *f, gconstpointer data)
{
	f->nat.refuses_change = TRUE;
	is_found(f, NAT_FILTERING_UNKNOWN);
}

static void
test_change_ignored(Fixture *f, gconstpointer data)
{
	f->nat.ignores_change = TRUE;
	is_found(f, NAT_FILTERING_UNKNOWN);
}

static void
test_lossy(Fixture *f, gconstpointer data)
{
	f->nat.lose = 1;
	f->nat.ports = NAT_PORTS_SEQUENTIAL;
	f->nat.step = 1;
	is_found(f, NAT_FILTERING_ADDRESS_AND_PORT_DEPENDENT);
}

/* ---- networks ---- */

static void
restart(Fixture *f)
{
	nat_class_probe_free(f->probe);
	start(f);
}

static void
test_remembered(Fixture *f, gconstpointer data)
{
	const NatClass *nat;
	guint asked;

	is_found(f, NAT_FILTERING_ADDRESS_AND_PORT_DEPENDENT);
	if (f->skip)
		return;
	asked = f->nat.requests;
	restart(f);
	say_nat(f, FAKE_NAT_PUBLIC, NAT_MAPPING_UNKNOWN);
	nat = nat_class_probe_class(f->probe);
	g_assert_cmpint(nat->mapping, ==, NAT_MAPPING_ENDPOINT_INDEPENDENT);
	g_assert_cmpint(nat->filtering, ==, NAT_FILTERING_ADDRESS_AND_PORT_DEPENDENT);
	g_assert_cmpint(nat->ports, ==, NAT_PORTS_PRESERVED);
	/* another network, of which nothing is known; and back */
	say_nat(f, "203.0.113.9", NAT_MAPPING_UNKNOWN);
	g_assert_false(nat_class_is_known(nat));
	g_assert_cmpint(nat->mapping, ==, NAT_MAPPING_UNKNOWN);
	say_nat(f, FAKE_NAT_PUBLIC, NAT_MAPPING_ENDPOINT_INDEPENDENT);
	g_assert_true(nat_class_is_known(nat));
	g_assert_cmpuint(f->nat.requests, ==, asked);
	nat_class_probe_set_open(f->probe);
	g_assert_false(nat_class_is_known(nat));
	g_assert_cmpint(nat->mapping, ==, NAT_MAPPING_NONE);
	nat_class_probe_set_lost(f->probe);
	g_assert_cmpint(nat->mapping, ==, NAT_MAPPING_UNKNOWN);
	g_assert_cmpuint(nat_class_probe_counter(f->probe, 1, NULL, NULL), ==, 0);
}

static void
wait_for_begin(const Fixture *f)
{
	gint64 end = g_get_monotonic_time() + WAIT_MS * G_TIME_SPAN_MILLISECOND;

	while (!nat_class_probe_is_testing(f->probe) && g_get_monotonic_time() < end)
		g_main_context_iteration(NULL, TRUE);
	g_assert_true(nat_class_probe_is_testing(f->probe));
}

static void
wait_for_run(Fixture *f)
{
	wait_for_begin(f);
	known(f);
}

/* The NAT became one of another kind: P shows it. */
static void
test_contradicted(Fixture *f, gconstpointer data)
{
	is_found(f, NAT_FILTERING_ADDRESS_AND_PORT_DEPENDENT);
	if (f->skip)
		return;
	restart(f);
	f->nat.mapping = NAT_MAPPING_ADDRESS_AND_PORT_DEPENDENT;
	f->nat.ports = NAT_PORTS_RANDOM;
	say_nat(f, FAKE_NAT_PUBLIC, NAT_MAPPING_UNKNOWN);
	say_nat(f, FAKE_NAT_PUBLIC, f->nat.mapping);
	wait_for_run(f);
	g_assert_cmpint(nat_class_probe_class(f->probe)->ports, ==, NAT_PORTS_RANDOM);
}

/* How P is mapped decides what is asked: that may be known in a moment. */
static void
test_unknown_mapping(Fixture *f, gconstpointer data)
{
	gint64 began = g_get_monotonic_time();

	if (f->skip)
		return;
	say_nat(f, FAKE_NAT_PUBLIC, NAT_MAPPING_UNKNOWN);
	wait_for_begin(f);
	g_assert_cmpint(g_get_monotonic_time() - began, >=, 5 * DELAY_MS * G_TIME_SPAN_MILLISECOND);
}

/* ---- the counter ---- */

typedef struct {
	gboolean done;
	gboolean ok;
	NatClassCounter counter;
} Count;

static void
on_counted(const NatClassCounter *counter, gpointer user_data)
{
	Count *count = user_data;

	g_assert_false(count->done);
	count->done = TRUE;
	count->ok = counter != NULL;
	if (counter != NULL)
		count->counter = *counter;
}

static void
ask_counter(Fixture *f, guint n_ports, Count *count)
{
	*count = (Count){FALSE};
	g_assert_cmpuint(nat_class_probe_counter(f->probe, n_ports, on_counted, count), !=, 0);
	g_assert_true(net_wait(&count->done, WAIT_MS));
}

static void
test_counter(Fixture *f, gconstpointer data)
{
	Count count = {FALSE};
	char text[WG_ENDPOINT_STRLEN];

	counts(f, 1);
	is_found(f, NAT_FILTERING_ADDRESS_AND_PORT_DEPENDENT);
	if (f->skip)
		return;
	/* a second may be too short for a machine that has others to serve */
	for (int tries = 0; tries < 20 && !count.ok; tries++) {
		f->nat.next = 50000;
		ask_counter(f, 4, &count);
	}
	g_assert_true(count.ok);
	/* on a slow machine some may have been late */
	g_assert_cmpuint(count.counter.n, >=, 1);
	for (gsize i = 1; i < count.counter.n; i++)
		g_assert_cmpuint(count.counter.ports[i], >, count.counter.ports[i - 1]);
	g_assert_cmpuint(wg_endpoint_port(&count.counter.newest), ==,
			 count.counter.ports[count.counter.n - 1]);
	g_assert_cmpstr(wg_endpoint_format_address(&count.counter.newest, text), ==,
			FAKE_NAT_PUBLIC);
}

/* Between the two looks others take some: 40 before each mapping at most */
static void
test_counter_rate(Fixture *f, gconstpointer data)
{
	Count count = {FALSE};

	counts(f, 1);
	f->nat.others = 40;
	is_found(f, NAT_FILTERING_ADDRESS_AND_PORT_DEPENDENT);
	if (f->skip)
		return;
	for (int tries = 0; tries < 20 && count.counter.rate == 0; tries++) {
		ask_counter(f, 4, &count);
	}
	g_assert_cmpuint(count.counter.rate, >, 0);
	g_assert_cmpuint(count.counter.rate, <=, 4 * 40 * 1000 / 119);
}

/* The network's NAT was replaced by one that does not count: the next look at it shows that. */
static void
test_counter_doubts(Fixture *f, gconstpointer data)
{
	const gboolean never = FALSE;
	Count count = {FALSE};
	gint64 began;

	counts(f, 1);
	is_found(f, NAT_FILTERING_ADDRESS_AND_PORT_DEPENDENT);
	if (f->skip)
		return;
	f->nat.ports = NAT_PORTS_RANDOM;
	net_wait(&never, 2100); /* a run is not put off for the last one any more */
	for (int tries = 0; tries < 20 && !count.counter.out_of_step; tries++) {
		ask_counter(f, 2, &count);
	}
	g_assert_true(count.counter.out_of_step);
	/* that attempt may have its time first, whatever is learnt meanwhile */
	began = g_get_monotonic_time();
	say_nat(f, FAKE_NAT_PUBLIC, NAT_MAPPING_ADDRESS_DEPENDENT);
	wait_for_begin(f);
	g_assert_cmpint(g_get_monotonic_time() - began, >, 40 * DELAY_MS * G_TIME_SPAN_MILLISECOND);
	known(f);
	g_assert_cmpint(nat_class_probe_class(f->probe)->ports, ==, NAT_PORTS_RANDOM);
}

/* Each fresh port is kept, for only further destinations are counted: that is as it was. */
static void
test_counter_kept(Fixture *f, gconstpointer data)
{
	Count count = {FALSE};

	counts(f, 1);
	f->nat.keeps_first = TRUE;
	is_found(f, NAT_FILTERING_ADDRESS_AND_PORT_DEPENDENT);
	if (f->skip)
		return;
	/* by chance the ports may lie in step of each other, once in some hundred */
	for (int tries = 0; tries < 4; tries++) {
		ask_counter(f, 4, &count);
		g_assert_false(count.counter.out_of_step);
		g_assert_cmpuint(count.counter.rate, ==, 0);
	}
}

static void
test_counter_fails(Fixture *f, gconstpointer data)
{
	Count count = {FALSE}, cancelled = {FALSE};
	guint id;

	if (f->skip)
		return;
	f->nat.mute = TRUE;
	g_assert_cmpuint(nat_class_probe_counter(f->probe, 4, on_counted, &count), ==, 0);
	say_nat(f, FAKE_NAT_PUBLIC, f->nat.mapping);
	g_assert_cmpuint(nat_class_probe_counter(f->probe, 0, on_counted, &count), ==, 0);
	id = nat_class_probe_counter(f->probe, 2, on_counted, &cancelled);
	g_assert_cmpuint(id, !=, 0);
	g_assert_cmpuint(nat_class_probe_counter(f->probe, 99, on_counted, &count), !=, 0);
	nat_class_probe_counter_cancel(f->probe, id);
	nat_class_probe_counter_cancel(f->probe, id);
	nat_class_probe_counter_cancel(f->probe, 0);
	g_assert_true(net_wait(&count.done, WAIT_MS));
	g_assert_false(count.ok);
	g_assert_false(cancelled.done);
	/* the last one ends with the probe */
	g_assert_cmpuint(nat_class_probe_counter(f->probe, 1, on_counted, &cancelled), !=, 0);
}

/* ---- pure ---- */

static void
test_newest(void)
{
	static const guint16 UP[] = {5, 9, 7}, WRAPS[] = {65530, 65535, 3, 65534};

	g_assert_cmpuint(nat_class_newest(UP, 3, 1), ==, 1);
	g_assert_cmpuint(nat_class_newest(UP, 3, -2), ==, 0);
	g_assert_cmpuint(nat_class_newest(UP, 3, 0), ==, 2);
	g_assert_cmpuint(nat_class_newest(WRAPS, 4, 1), ==, 2);
	g_assert_cmpuint(nat_class_newest(WRAPS, 1, 1), ==, 0);
}

static void
test_rate(void)
{
	g_assert_cmpuint(nat_class_rate(100, 112, 1, 2, 100000), ==, 100);
	g_assert_cmpuint(nat_class_rate(65530, 4, 1, 2, 500000), ==, 16);
	g_assert_cmpuint(nat_class_rate(40000, 39976, -2, 2, 100000), ==, 100);
	g_assert_cmpuint(nat_class_rate(100, 102, 1, 2, 100000), ==, 0);
	g_assert_cmpuint(nat_class_rate(100, 120, 0, 2, 100000), ==, 0);
	/* ours only, one of which came late; past the end of the range; no time */
	g_assert_cmpuint(nat_class_rate(100, 101, 1, 2, 100000), ==, 0);
	g_assert_cmpuint(nat_class_rate(42000, 40010, 1, 2, 100000), ==, 0);
	g_assert_cmpuint(nat_class_rate(100, 200, 1, 2, 0), ==, 0);
}

static void
test_in_step(void)
{
	g_assert_true(nat_class_in_step(100, 103, 1));
	g_assert_true(nat_class_in_step(65534, 2, 2));
	g_assert_true(nat_class_in_step(200, 190, -2));
	g_assert_false(nat_class_in_step(200, 191, -2));
	g_assert_false(nat_class_in_step(100, 90, 1));
	g_assert_false(nat_class_in_step(100, 100, 1));
	g_assert_false(nat_class_in_step(100, 5000, 1));
	g_assert_false(nat_class_in_step(100, 101, 0));
}

static void
test_may_wrap(void)
{
	g_assert_true(nat_class_may_wrap(65000, 1030, 1));
	g_assert_true(nat_class_may_wrap(60990, 32770, 2));
	g_assert_true(nat_class_may_wrap(32770, 60990, -1));
	g_assert_false(nat_class_may_wrap(32770, 60990, 1));
	g_assert_false(nat_class_may_wrap(60990, 32770, -1));
	g_assert_false(nat_class_may_wrap(100, 90, 1));
	g_assert_false(nat_class_may_wrap(90, 100, -1));
	g_assert_false(nat_class_may_wrap(60990, 32770, 0));
}

static void
test_by_destination(void)
{
	/* one mapping for all: nothing is said */
	static const NatClassSample SAME[] = {{1, 9}, {1, 9}, {1, 9}, {2, 10}, {2, 10}};
	/* one for each address */
	static const NatClassSample EACH[] = {{1, 101}, {1, 102}, {1, 101}, {1, 102},
					      {2, 103}, {2, 104}, {2, 103}, {2, 104}};
	/* the first one of a port keeps it */
	static const NatClassSample KEPT[] = {{7001, 7001}, {7001, 300}, {7001, 301},  {9003, 9003},
					      {9003, 302},  {9003, 303}, {8005, 8005}, {8005, 304}};

	g_assert_cmpint(nat_class_by_destination(SAME, 5).ports, ==, NAT_PORTS_UNKNOWN);
	g_assert_cmpint(nat_class_by_destination(SAME, 0).ports, ==, NAT_PORTS_UNKNOWN);
	g_assert_cmpint(nat_class_by_destination(EACH, 8).ports, ==, NAT_PORTS_SEQUENTIAL);
	g_assert_cmpint(nat_class_by_destination(EACH, 8).step, ==, 1);
	g_assert_cmpint(nat_class_by_destination(KEPT, 8).ports, ==, NAT_PORTS_SEQUENTIAL);
	g_assert_cmpint(nat_class_by_destination(KEPT, 8).step, ==, 1);
}

static void
test_may_ask(void)
{
	const WgEndpoint server = net_ep("192.0.2.10:3478"), own = net_ep("192.168.1.1:3478");
	const WgEndpoint other = net_ep("192.0.2.11:3479"), port = net_ep("192.0.2.10:3479");
	const WgEndpoint v6 = net_ep("[2001:db8::1]:3478"), lo = net_ep("127.0.0.1:3478");
	const WgEndpoint private_other = net_ep("192.168.1.9:3479"), unset = {0};

	g_assert_true(nat_class_may_ask(&server, &other));
	g_assert_true(nat_class_may_ask(&own, &private_other));
	g_assert_false(nat_class_may_ask(&server, &unset));
	g_assert_false(nat_class_may_ask(&server, &port));
	g_assert_false(nat_class_may_ask(&server, &v6));
	g_assert_false(nat_class_may_ask(&server, &lo));
	g_assert_false(nat_class_may_ask(&server, &private_other));
}

#define ADD(name, func) g_test_add("/class-probe/" name, Fixture, NULL, set_up, func, tear_down)

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("port-restricted", test_port_restricted);
	ADD("address-restricted", test_address_restricted);
	ADD("full-cone", test_full_cone);
	ADD("address-dependent", test_address_dependent);
	ADD("symmetric-sequential", test_symmetric_sequential);
	ADD("symmetric-open", test_symmetric_open);
	ADD("neighbours", test_neighbours);
	ADD("one-address", test_one_address);
	ADD("one-address-open", test_one_address_open);
	ADD("one-address-symmetric", test_one_address_symmetric);
	ADD("other-silent", test_other_silent);
	ADD("other-silent-restricted", test_other_silent_restricted);
	ADD("change-refused", test_change_refused);
	ADD("change-ignored", test_change_ignored);
	ADD("lossy", test_lossy);
	ADD("remembered", test_remembered);
	ADD("contradicted", test_contradicted);
	ADD("unknown-mapping", test_unknown_mapping);
	ADD("counter", test_counter);
	ADD("counter-rate", test_counter_rate);
	ADD("counter-doubts", test_counter_doubts);
	ADD("counter-kept", test_counter_kept);
	ADD("counter-fails", test_counter_fails);
	g_test_add_func("/class-probe/newest", test_newest);
	g_test_add_func("/class-probe/rate", test_rate);
	g_test_add_func("/class-probe/in-step", test_in_step);
	g_test_add_func("/class-probe/may-wrap", test_may_wrap);
	g_test_add_func("/class-probe/by-destination", test_by_destination);
	g_test_add_func("/class-probe/may-ask", test_may_ask);
	return g_test_run();
}
