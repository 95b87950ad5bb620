/* SPDX-License-Identifier: MIT */
#include "agent/probe/nat-lifetime.h"

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>

#define HOME "192.168.1.2 203.0.113.5"

typedef struct {
	char *dir;
	WgKey own;
	NatLifetime *lifetime;
	guint observations; /* that the last settling took */
} Fixture;

static void
set_up(Fixture *f, gconstpointer data)
{
	WgKey priv;

	f->dir = g_dir_make_tmp("nat-lifetime-XXXXXX", NULL);
	wg_key_generate_private(&priv);
	wg_key_public_from_private(&priv, &f->own);
	f->lifetime = nat_lifetime_new(f->dir, &f->own);
	nat_lifetime_enter(f->lifetime, HOME);
}

static char *
only_file(Fixture *f)
{
	g_autoptr(GDir) dir = g_dir_open(f->dir, 0, NULL);
	const char *name = g_dir_read_name(dir);

	return name ? g_build_filename(f->dir, name, NULL) : NULL;
}

static void
tear_down(Fixture *f, gconstpointer data)
{
	g_autofree char *path = only_file(f);

	nat_lifetime_free(f->lifetime);
	if (path)
		g_unlink(path);
	g_assert_cmpint(g_rmdir(f->dir), ==, 0);
	g_free(f->dir);
}

static void
reopen(Fixture *f)
{
	nat_lifetime_free(f->lifetime);
	f->lifetime = nat_lifetime_new(f->dir, &f->own);
}

/* A NAT that forgets after timeout_ms: the keepalive is what is observed, until it is settled. */
static guint
learn(Fixture *f, guint timeout_ms)
{
	guint breaks = 0;

	for (f->observations = 0; !nat_lifetime_settled(f->lifetime); f->observations++) {
		guint silence_ms = nat_lifetime_keepalive_s(f->lifetime) * 1000u;

		g_assert_cmpuint(f->observations, <, 10);
		breaks += silence_ms >= timeout_ms;
		nat_lifetime_observe(f->lifetime, silence_ms, silence_ms < timeout_ms);
	}
	g_assert_cmpuint(breaks, <=, 1);
	return nat_lifetime_keepalive_s(f->lifetime);
}

static void
test_schedule(Fixture *f, gconstpointer data)
{
	static const guint STEPS[] = {4, 8, 13, 20, 25};

	for (gsize i = 0; i < G_N_ELEMENTS(STEPS); i++) {
		g_assert_cmpuint(nat_lifetime_keepalive_s(f->lifetime), ==, STEPS[i]);
		g_assert_false(nat_lifetime_settled(f->lifetime));
		/* a shorter silence teaches nothing, a timer is never exact */
		g_assert_false(nat_lifetime_observe(f->lifetime, STEPS[i] * 1000 / 2, TRUE));
		g_assert_cmpint(nat_lifetime_observe(f->lifetime, STEPS[i] * 1000 - 80, TRUE), ==,
				STEPS[i] != 25);
	}
	g_assert_true(nat_lifetime_settled(f->lifetime));
	g_assert_cmpuint(nat_lifetime_keepalive_s(f->lifetime), ==, 25);
}

/* Every timeout: the keepalive stays below it, and one silence too many at most was tried. */
static void
test_every_timeout(Fixture *f, gconstpointer data)
{
	for (guint s = 3; s <= 40; s++) {
		g_autofree char *network = g_strdup_printf("10.0.0.%u -", s);
		guint keepalive;

		nat_lifetime_enter(f->lifetime, network);
		keepalive = learn(f, s * 1000);
		while (keepalive >= s && keepalive > NAT_LIFETIME_MIN_S) {
			nat_lifetime_observe(f->lifetime, keepalive * 1000, FALSE);
			keepalive = nat_lifetime_keepalive_s(f->lifetime);
		}
		g_assert_cmpuint(keepalive, <, s);
	}
	nat_lifetime_enter(f->lifetime, "ten -");
	g_assert_cmpuint(learn(f, 10000), ==, 8);
	nat_lifetime_enter(f->lifetime, "five -");
	g_assert_cmpuint(learn(f, 5000), ==, 4);
	nat_lifetime_enter(f->lifetime, "thirty -");
	g_assert_cmpuint(learn(f, 30000), ==, 25);
}

/* What the sacrificial sockets tell, in any order, needs no trial on the tunnel. */
static void
test_sacrificial(Fixture *f, gconstpointer data)
{
	static const struct {
		guint timeout_ms, keepalive_s;
	} CASES[] = {{5000, 4}, {10000, 5}, {15000, 11}, {24000, 21}, {60000, 25}};
	static const guint SILENCES[] = {5500, 11000, 21000, 26000};

	for (gsize i = 0; i < G_N_ELEMENTS(CASES); i++) {
		for (int backwards = 0; backwards < 2; backwards++) {
			g_autofree char *network = g_strdup_printf("%zu %d", i, backwards);

			nat_lifetime_enter(f->lifetime, network);
			for (gsize j = 0; j < G_N_ELEMENTS(SILENCES); j++) {
				guint ms = SILENCES[backwards ? 3 - j : j];

				nat_lifetime_observe(f->lifetime, ms, ms < CASES[i].timeout_ms);
			}
			g_assert_true(nat_lifetime_settled(f->lifetime));
			g_assert_cmpuint(nat_lifetime_keepalive_s(f->lifetime), ==,
					 CASES[i].keepalive_s);
		}
	}
}

/* Known networks start where they ended, also in another life; others start short. */
static void
test_remembered(Fixture *f, gconstpointer data)
{
	g_assert_cmpuint(learn(f, 10000), ==, 8);
	nat_lifetime_enter(f->lifetime, "10.0.0.2 198.51.100.1");
	g_assert_cmpuint(nat_lifetime_keepalive_s(f->lifetime), ==, NAT_LIFETIME_FIRST_S);
	g_assert_cmpuint(learn(f, 30000), ==, 25);
	reopen(f);
	g_assert_cmpuint(nat_lifetime_keepalive_s(f->lifetime), ==, NAT_LIFETIME_FIRST_S);
	nat_lifetime_enter(f->lifetime, HOME);
	g_assert_cmpuint(nat_lifetime_keepalive_s(f->lifetime), ==, 8);
	g_assert_true(nat_lifetime_settled(f->lifetime));
	nat_lifetime_enter(f->lifetime, "10.0.0.2 198.51.100.1");
	g_assert_cmpuint(nat_lifetime_keepalive_s(f->lifetime), ==, 25);
}

/* The learnt value fails: lower, and remembered. */
static void
test_got_shorter(Fixture *f, gconstpointer data)
{
	g_assert_cmpuint(learn(f, 30000), ==, 25);
	g_assert_true(nat_lifetime_observe(f->lifetime, 25000, FALSE));
	g_assert_cmpuint(nat_lifetime_keepalive_s(f->lifetime), ==, 20);
	g_assert_true(nat_lifetime_observe(f->lifetime, 20000, FALSE));
	g_assert_cmpuint(nat_lifetime_keepalive_s(f->lifetime), ==, 13);
	reopen(f);
	nat_lifetime_enter(f->lifetime, HOME);
	g_assert_cmpuint(nat_lifetime_keepalive_s(f->lifetime), ==, 13);
	for (int i = 0; i < 10; i++)
		nat_lifetime_observe(f->lifetime, nat_lifetime_keepalive_s(f->lifetime) * 1000u,
				     FALSE);
	g_assert_cmpuint(nat_lifetime_keepalive_s(f->lifetime), ==, NAT_LIFETIME_MIN_S);
	g_assert_false(nat_lifetime_observe(f->lifetime, 0, FALSE));
	g_assert_cmpuint(nat_lifetime_keepalive_s(f->lifetime), ==, NAT_LIFETIME_MIN_S);
}

static void
test_got_longer(Fixture *f, gconstpointer data)
{
	g_assert_cmpuint(learn(f, 5000), ==, 4);
	g_assert_true(nat_lifetime_observe(f->lifetime, 26000, TRUE));
	g_assert_cmpuint(nat_lifetime_keepalive_s(f->lifetime), ==, 25);
	g_assert_true(nat_lifetime_settled(f->lifetime));
}

/* The one that was not used for longest goes. */
static void
test_bounded(Fixture *f, gconstpointer data)
{
	nat_lifetime_observe(f->lifetime, 25000, TRUE);
	for (guint i = 0; i < 3 * NAT_LIFETIME_NETWORKS; i++) {
		g_autofree char *network = g_strdup_printf("10.1.%u.1 -", i);

		nat_lifetime_enter(f->lifetime, network);
		nat_lifetime_observe(f->lifetime, 8000, TRUE);
		if (i % 20 == 0)
			nat_lifetime_enter(f->lifetime, HOME);
	}
	reopen(f);
	nat_lifetime_enter(f->lifetime, HOME);
	g_assert_cmpuint(nat_lifetime_keepalive_s(f->lifetime), ==, 25);
	nat_lifetime_enter(f->lifetime, "10.1.0.1 -");
	g_assert_cmpuint(nat_lifetime_keepalive_s(f->lifetime), ==, NAT_LIFETIME_FIRST_S);
	nat_lifetime_enter(f->lifetime, "10.1.190.1 -");
	g_assert_cmpuint(nat_lifetime_keepalive_s(f->lifetime), ==, 13);
}

static void
test_network_id(void)
{
	static const struct {
		const char *local, *public_address, *id;
	} CASES[] = {
		{"192.168.1.2:51820", "203.0.113.5:1024", HOME},
		{"192.168.1.2:51820", NULL, "192.168.1.2 -"},
		{"[2001:db8:1:2:3:4:5:6]:51820", "[2001:db8:1:2:9::]:51820",
		 "2001:db8:1:2:: 2001:db8:1:2::"},
	};

	for (gsize i = 0; i < G_N_ELEMENTS(CASES); i++) {
		WgEndpoint local, seen = {0};
		g_autofree char *id = NULL;

		g_assert_true(wg_endpoint_parse(CASES[i].local, &local));
		if (CASES[i].public_address)
			wg_endpoint_parse(CASES[i].public_address, &seen);
		id = nat_lifetime_network_id(&local, &seen);
		g_assert_cmpstr(id, ==, CASES[i].id);
	}
}

/* Networks without a name, or with one that no file takes, are learnt but not kept. */
static void
test_nameless(Fixture *f, gconstpointer data)
{
	static const char *const NAMES[] = {NULL, "", "a]b", "x\ny", "\xff"};

	for (gsize i = 0; i < G_N_ELEMENTS(NAMES); i++) {
		g_autofree char *path = NULL;

		nat_lifetime_enter(f->lifetime, NAMES[i]);
		g_assert_cmpuint(learn(f, 10000), ==, 8);
		path = only_file(f);
		g_assert_null(path);
	}
	nat_lifetime_free(f->lifetime);
	f->lifetime = nat_lifetime_new(NULL, &f->own);
	nat_lifetime_enter(f->lifetime, HOME);
	g_assert_cmpuint(learn(f, 10000), ==, 8);
}

static GLogWriterOutput
on_log(GLogLevelFlags level, const GLogField *fields, gsize n, gpointer user_data)
{
	if (!(level & G_LOG_LEVEL_WARNING))
		return g_log_writer_default(level, fields, n, NULL);
	++*(guint *)user_data;
	return G_LOG_WRITER_HANDLED;
}

/* Whatever is in the file: afresh, in bounds, and written over. */
static void
test_garbage(Fixture *f, gconstpointer data)
{
	static const char *const TEXTS[] = {
		"",
		"\xff[",
		"[" HOME "]\nheld_ms=x\nlost_ms=\n",
		"[" HOME "]\nheld_ms=-5\nlost_ms=99999999999\n",
		"[" HOME "]\nheld_ms=9000\nlost_ms=8000\n",
	};
	g_autofree char *path = NULL;

	nat_lifetime_observe(f->lifetime, 4000, TRUE);
	path = only_file(f);
	for (gsize i = 0; i < G_N_ELEMENTS(TEXTS); i++) {
		g_assert_true(g_file_set_contents(path, TEXTS[i], -1, NULL));
		reopen(f);
		nat_lifetime_enter(f->lifetime, HOME);
		g_assert_cmpuint(nat_lifetime_keepalive_s(f->lifetime), ==, NAT_LIFETIME_FIRST_S);
		g_assert_cmpuint(learn(f, 10000), ==, 8);
		reopen(f);
		nat_lifetime_enter(f->lifetime, HOME);
		g_assert_cmpuint(nat_lifetime_keepalive_s(f->lifetime), ==, 8);
	}
}

#define ADD(name, func) g_test_add(name, Fixture, NULL, set_up, func, tear_down)

int
main(int argc, char **argv)
{
	guint warnings = 0;

	g_test_init(&argc, &argv, NULL);
	g_log_set_writer_func(on_log, &warnings, NULL);
	ADD("/lifetime/schedule", test_schedule);
	ADD("/lifetime/every-timeout", test_every_timeout);
	ADD("/lifetime/sacrificial", test_sacrificial);
	ADD("/lifetime/remembered", test_remembered);
	ADD("/lifetime/got-shorter", test_got_shorter);
	ADD("/lifetime/got-longer", test_got_longer);
	ADD("/lifetime/bounded", test_bounded);
	ADD("/lifetime/nameless", test_nameless);
	ADD("/lifetime/garbage", test_garbage);
	g_test_add_func("/lifetime/network-id", test_network_id);
	return g_test_run();
}
