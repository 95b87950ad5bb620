/* SPDX-License-Identifier: MIT */
#include "agent/probe/nat-keepalive.h"
#include "tests/unit/fake-stun.h"
#include "tests/unit/net-own.h"
#include "tests/unit/scratch.h"

#include <glib/gstdio.h>

/* What is lost after so little is at the least that there is, 2 s. */
static const NatLifetimeProbeTimes QUICK = {
	.silences_ms = {200, 600, 1800}, .n = 3, .settle_ms = 50};

typedef struct {
	FakeStun server;
	WgKey key;
	char *dir;
	NatKeepalive *keepalive;
	guint changes;
	WgEndpoint local, public_address;
} Fixture;

static void
on_changed(gpointer user_data)
{
	((Fixture *)user_data)->changes++;
}

static void
make(Fixture *f)
{
	f->keepalive = nat_keepalive_new("wg0", f->dir, &f->key, 0, &QUICK, on_changed, f);
	f->changes = 0;
}

static void
set_up(Fixture *f, gconstpointer data)
{
	fake_stun_open(&f->server, "127.0.0.1:0");
	f->server.knows_port = TRUE;
	f->dir = g_dir_make_tmp("nat-keepalive-XXXXXX", NULL);
	f->local = net_ep("192.168.1.2:51820");
	f->public_address = net_ep("198.51.100.7:40000");
	make(f);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
	nat_keepalive_free(f->keepalive);
	fake_stun_close(&f->server);
	scratch_remove(f->dir);
}

static void
behind(Fixture *f)
{
	nat_keepalive_set_nat(f->keepalive, &f->local, &f->public_address, &f->server.addr, 1);
}

static gboolean
wait_interval(Fixture *f, guint16 seconds)
{
	gint64 end = g_get_monotonic_time() + 30 * G_TIME_SPAN_SECOND;

	while (nat_keepalive_s(f->keepalive) != seconds && g_get_monotonic_time() < end)
		if (!g_main_context_iteration(NULL, FALSE))
			g_usleep(500);
	return nat_keepalive_s(f->keepalive) == seconds;
}

static void
test_no_nat(Fixture *f, gconstpointer data)
{
	g_assert_cmpuint(nat_keepalive_s(f->keepalive), ==, 25);
	nat_keepalive_set_open(f->keepalive);
	g_assert_cmpuint(nat_keepalive_s(f->keepalive), ==, 25);
	g_assert_cmpuint(nat_keepalive_lifetime_s(f->keepalive), ==, 0);
	g_assert_cmpuint(f->changes, ==, 0);
	g_assert_cmpuint(f->server.requests, ==, 0);
}

/* From the first moment as often as it takes, before anything is known. */
static void
test_forgetful_nat(Fixture *f, gconstpointer data)
{
	f->server.timeout_ms = 190;
	behind(f);
	g_assert_cmpuint(nat_keepalive_s(f->keepalive), ==, 4);
	g_assert_cmpuint(nat_keepalive_lifetime_s(f->keepalive), ==, 0);
	behind(f); /* each second */
	g_assert_true(wait_interval(f, 2));
	g_assert_cmpuint(nat_keepalive_lifetime_s(f->keepalive), ==, 2);
	g_assert_cmpuint(f->changes, ==, 2);
}

/* Remembered, by another run: nothing is tested, nothing is short meanwhile. */
static void
test_known_network(Fixture *f, gconstpointer data)
{
	f->server.timeout_ms = 190;
	behind(f);
	g_assert_true(wait_interval(f, 2));
	nat_keepalive_free(f->keepalive);
	make(f);
	f->server.requests = 0;
	behind(f);
	g_assert_cmpuint(nat_keepalive_s(f->keepalive), ==, 2);
	g_assert_cmpuint(f->changes, ==, 1);
	/* elsewhere it is another matter */
	f->public_address = net_ep("203.0.113.1:40000");
	behind(f);
	g_assert_cmpuint(nat_keepalive_s(f->keepalive), ==, 4);
	nat_keepalive_set_open(f->keepalive);
	g_assert_cmpuint(nat_keepalive_s(f->keepalive), ==, 25);
	g_assert_cmpuint(nat_keepalive_lifetime_s(f->keepalive), ==, 0);
}

/* Nobody can tell: WireGuard's usual. */
static void
test_nobody_tells(Fixture *f, gconstpointer data)
{
	f->server.mute = TRUE;
	behind(f);
	g_assert_cmpuint(nat_keepalive_s(f->keepalive), ==, 4);
	g_assert_true(wait_interval(f, 25));
	g_assert_cmpuint(nat_keepalive_lifetime_s(f->keepalive), ==, 0);
}

/* Another address of ours while a test runs: what it finds out would be of the wrong network. */
static void
test_network_changes_within_a_test(Fixture *f, gconstpointer data)
{
	f->server.timeout_ms = 190;
	behind(f);
	f->local = net_ep("10.0.0.2:51820");
	f->server.timeout_ms = 0;
	behind(f);
	nat_keepalive_set_fwmark(f->keepalive, 0);
	g_assert_cmpuint(nat_keepalive_s(f->keepalive), ==, 4);
	nat_keepalive_set_open(f->keepalive);
	f->local = net_ep("192.168.1.2:51820");
	behind(f);
	/* of which nothing was learnt */
	g_assert_cmpuint(nat_keepalive_s(f->keepalive), ==, 4);
}

#define ADD(name, func) g_test_add(name, Fixture, NULL, set_up, func, tear_down)

int
main(int argc, char **argv)
{
	if (!net_own())
		return 1;
	g_test_init(&argc, &argv, NULL);
	ADD("/keepalive/no-nat", test_no_nat);
	ADD("/keepalive/forgetful-nat", test_forgetful_nat);
	ADD("/keepalive/known-network", test_known_network);
	ADD("/keepalive/nobody-tells", test_nobody_tells);
	ADD("/keepalive/network-changes-within-a-test", test_network_changes_within_a_test);
	return g_test_run();
}
