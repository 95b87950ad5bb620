/* SPDX-License-Identifier: MIT */
#include "agent/innernet/inn-hold.h"
#include "tests/unit/scratch.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEC ((gint64)G_USEC_PER_SEC)
#define CONF                                                                                       \
	"# mine\n[interface]\nnetwork-name = \"evilcorp\"\naddress = \"10.66.1.1/16\"\n"           \
	"private-key = \"iMl2y6TqNZlXoBrqK7fFwvPCrXJwTkBWXLPPRdpIpXI=\"\n\n[server]\n"             \
	"public-key = \"TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0=\"\n"                          \
	"external-endpoint = \"192.0.2.10:51820\"\ninternal-endpoint = \"10.66.0.1:51820\"\n"

typedef struct {
	char *dir, *conf, *state;
	WgKey key;
} Fixture;

static void
set_up(Fixture *f, gconstpointer data)
{
	f->dir = g_dir_make_tmp("inn-hold.XXXXXX", NULL);
	f->conf = g_build_filename(f->dir, "wg0.conf", NULL);
	f->state = g_build_filename(f->dir, "state", NULL);
	memset(&f->key, 7, sizeof f->key);
	g_assert_true(g_file_set_contents(f->conf, CONF, -1, NULL));
}

static void
tear_down(Fixture *f, gconstpointer data)
{
	scratch_remove(f->state);
	g_unlink(f->conf);
	g_assert_cmpint(g_rmdir(f->dir), ==, 0);
	g_free(f->dir);
	g_free(f->conf);
}

static InnHold *
hold_new(Fixture *f)
{
	return inn_hold_new("wg0", f->conf, f->state, &f->key);
}

static InnOverride
entry(const char *address, const char *endpoint)
{
	InnOverride out = {0};

	g_assert_true(wg_endpoint_parse_address(address, 0, &out.address));
	g_assert_true(wg_endpoint_parse(endpoint, &out.endpoint));
	return out;
}

static gboolean
has(Fixture *f, const char *text)
{
	g_autofree char *contents = NULL;

	g_assert_true(g_file_get_contents(f->conf, &contents, NULL, NULL));
	g_assert_true(g_str_has_prefix(contents, "# mine\n"));
	return strstr(contents, text) != NULL;
}

static void
test_life(Fixture *f, gconstpointer data)
{
	InnOverride first = entry("10.66.1.2", "203.0.113.1:4000");
	InnOverride moved = entry("10.66.1.2", "203.0.113.1:4001");
	g_autofree char *contents = NULL;
	InnHold *hold = hold_new(f);
	gint64 now = 100 * SEC;

	inn_hold_set(hold, &first, 1, now);
	g_assert_true(has(f, "203.0.113.1:4000"));
	/* spaced, and not lost */
	inn_hold_set(hold, &moved, 1, now + SEC);
	g_assert_true(has(f, "203.0.113.1:4000"));
	inn_hold_set(hold, &moved, 1, now + 3 * SEC);
	g_assert_true(has(f, "203.0.113.1:4001"));
	g_assert_false(has(f, "203.0.113.1:4000"));
	inn_hold_set(hold, NULL, 0, now + 6 * SEC);
	g_assert_false(has(f, "203.0.113.1"));
	inn_hold_set(hold, &first, 1, now + 9 * SEC);
	inn_hold_free(hold);
	g_assert_false(has(f, "203.0.113.1"));
}

static void
test_crash(Fixture *f, gconstpointer data)
{
	InnOverride first = entry("10.66.1.2", "203.0.113.1:4000");
	InnOverride other = entry("10.66.1.3", "203.0.113.3:4000");
	InnHold *crashed = hold_new(f), *hold;

	inn_hold_set(crashed, &first, 1, 100 * SEC);
	hold = hold_new(f); /* the first one was never ended in good order */
	inn_hold_set(hold, &other, 1, 200 * SEC);
	g_assert_false(has(f, "203.0.113.1:4000"));
	g_assert_true(has(f, "203.0.113.3:4000"));
	inn_hold_free(hold);
	inn_hold_free(crashed);
}

static void
test_users_own(Fixture *f, gconstpointer data)
{
	InnOverride first = entry("10.66.1.2", "203.0.113.1:4000");
	g_autofree char *text = g_strconcat(
		CONF, "\n[peer-endpoint-overrides]\n\"10.66.1.2\" = \"host.example:7\"\n", NULL);
	InnHold *hold;

	g_assert_true(g_file_set_contents(f->conf, text, -1, NULL));
	hold = hold_new(f);
	inn_hold_set(hold, &first, 1, 100 * SEC);
	g_assert_true(has(f, "host.example:7"));
	g_assert_false(has(f, "203.0.113.1"));
	inn_hold_free(hold);
	g_assert_true(has(f, "host.example:7"));
}

static void
test_no_file(Fixture *f, gconstpointer data)
{
	InnOverride first = entry("10.66.1.2", "203.0.113.1:4000");
	InnHold *hold = hold_new(f);

	g_unlink(f->conf);
	inn_hold_set(hold, &first, 1, 100 * SEC);
	g_assert_false(g_file_test(f->conf, G_FILE_TEST_EXISTS));
	inn_hold_free(hold);
}

/* What stands in its place may be anything: a reader that waits would wait for ever. */
static void
test_strange_file(Fixture *f, gconstpointer data)
{
	InnOverride first = entry("10.66.1.2", "203.0.113.1:4000");
	InnHold *hold = hold_new(f);

	g_unlink(f->conf);
	g_assert_cmpint(mkfifo(f->conf, 0600), ==, 0);
	alarm(10);
	inn_hold_set(hold, &first, 1, 100 * SEC);
	inn_hold_free(hold);
	alarm(0);
}

#define HOLD(name, func) g_test_add("/inn-hold/" name, Fixture, NULL, set_up, func, tear_down)

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	HOLD("life", test_life);
	HOLD("crash", test_crash);
	HOLD("users-own", test_users_own);
	HOLD("no-file", test_no_file);
	HOLD("strange-file", test_strange_file);
	return g_test_run();
}
