/* SPDX-License-Identifier: MIT */
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>

#include "agent/net/nat-resolve.h"
#include "tests/unit/fake-resolver.h"

typedef struct {
	FakeResolver *fake;
	char *dir;
	WgKey key;
	NatResolve *resolve;
	NatLookup *lookup;
	/* what the callback was told */
	guint calls;
	gboolean stored;
	char *addrs; /* joined by spaces */
	char *error;
	gint64 at;
} Fixture;

static guint warnings; /* the log writer has no other way to tell */

static GLogWriterOutput
count_warnings(GLogLevelFlags level, const GLogField *fields, gsize n, gpointer user_data)
{
	if (level & G_LOG_LEVEL_WARNING) {
		warnings++;
		return G_LOG_WRITER_HANDLED;
	}
	return g_log_writer_default(level, fields, n, user_data);
}

static void
set_up(Fixture *f, gconstpointer data)
{
	f->fake = fake_resolver_install();
	f->dir = g_dir_make_tmp("nat-resolve-XXXXXX", NULL);
	memset(f->key.b, 7, sizeof f->key.b);
	f->resolve = nat_resolve_new(f->dir, &f->key);
	warnings = 0;
}

static char *
store_path(Fixture *f)
{
	char hex[WG_KEY_HEXLEN];

	return g_strdup_printf("%s/addresses-%s", f->dir, wg_key_format_hex(&f->key, hex));
}

static void
tear_down(Fixture *f, gconstpointer data)
{
	g_autofree char *path = store_path(f);

	nat_lookup_free(f->lookup);
	nat_resolve_free(f->resolve);
	fake_resolver_free(f->fake);
	g_unlink(path);
	g_assert_cmpint(g_rmdir(f->dir), ==, 0); /* no leftovers of atomic writes either */
	g_free(f->dir);
	g_free(f->addrs);
	g_free(f->error);
}

static void
on_result(const WgEndpoint *addrs, gsize n, gboolean stored, const GError *error,
	  gpointer user_data)
{
	Fixture *f = user_data;
	g_autoptr(GString) text = g_string_new("");

	for (gsize i = 0; i < n; i++) {
		char buf[WG_ENDPOINT_STRLEN];

		g_string_append_printf(text, "%s%s", i ? " " : "",
				       wg_endpoint_format(&addrs[i], buf));
	}
	g_assert_true((n == 0) == (error != NULL));
	f->calls++;
	f->stored = stored;
	f->at = g_get_monotonic_time();
	g_free(f->addrs);
	f->addrs = g_strdup(text->str);
	g_free(f->error);
	f->error = error ? g_strdup(error->message) : NULL;
}

static gboolean
on_deadline(gpointer flag)
{
	*(gboolean *)flag = TRUE;
	return G_SOURCE_REMOVE;
}

static void
wait_for_calls(Fixture *f, guint calls)
{
	gboolean late = FALSE;
	guint timer = g_timeout_add_seconds(10, on_deadline, &late);

	while (f->calls < calls && !late)
		g_main_context_iteration(NULL, TRUE);
	g_assert_cmpuint(f->calls, ==, calls);
	if (!late)
		g_source_remove(timer);
}

static void
look_up(Fixture *f, const char *host)
{
	g_clear_pointer(&f->lookup, nat_lookup_free);
	f->calls = 0;
	f->lookup = nat_resolve_lookup(f->resolve, host, 443, on_result, f);
	g_assert_cmpuint(f->calls, ==, 0); /* never from inside the call */
}

static void
test_numeric(Fixture *f, gconstpointer data)
{
	look_up(f, "192.0.2.7");
	wait_for_calls(f, 1);
	g_assert_cmpstr(f->addrs, ==, "192.0.2.7:443");
	look_up(f, "2001:db8::7");
	wait_for_calls(f, 1);
	g_assert_cmpstr(f->addrs, ==, "[2001:db8::7]:443");
	g_assert_cmpuint(f->fake->asked, ==, 0);
}

static void
test_families_in_turns(Fixture *f, gconstpointer data)
{
	fake_resolver_set(f->fake, "2001:db8::1 2001:db8::2 2001:db8::1 192.0.2.1");
	look_up(f, "dual.example");
	wait_for_calls(f, 1);
	g_assert_cmpstr(f->addrs, ==, "[2001:db8::1]:443 192.0.2.1:443 [2001:db8::2]:443");
}

static void
test_not_found(Fixture *f, gconstpointer data)
{
	look_up(f, "evil\nname.example");
	wait_for_calls(f, 1);
	g_assert_nonnull(strstr(f->error, "evil\\x0aname.example can't be resolved"));
	g_assert_null(strchr(f->error, '\n'));
}

static void
test_stored_when_failing(Fixture *f, gconstpointer data)
{
	g_autofree char *path = store_path(f);
	GStatBuf st;

	fake_resolver_set(f->fake, "192.0.2.1 2001:db8::1");
	look_up(f, "Signal.Example");
	wait_for_calls(f, 1);
	g_assert_false(f->stored);
	g_assert_cmpint(g_stat(path, &st), ==, 0);
	g_assert_cmphex(st.st_mode & 0777, ==, 0600);

	fake_resolver_set(f->fake, NULL);
	look_up(f, "signal.example");
	wait_for_calls(f, 1);
	g_assert_true(f->stored);
	g_assert_cmpstr(f->addrs, ==, "192.0.2.1:443 [2001:db8::1]:443");

	look_up(f, "other.example");
	wait_for_calls(f, 1);
	g_assert_nonnull(f->error);
}

/* The stored ones serve after a second; the lookup's own follow only if they differ. */
static void
test_stored_when_slow(Fixture *f, gconstpointer data)
{
	gint64 start;

	fake_resolver_set(f->fake, "192.0.2.1");
	look_up(f, "signal.example");
	wait_for_calls(f, 1);

	f->fake->hangs = TRUE;
	start = g_get_monotonic_time();
	look_up(f, "signal.example");
	wait_for_calls(f, 1);
	g_assert_true(f->stored);
	g_assert_cmpint(f->at - start, >, 900 * 1000);
	g_assert_cmpint(f->at - start, <, 9000 * 1000);
	fake_resolver_set(f->fake, "192.0.2.2");
	fake_resolver_release(f->fake);
	wait_for_calls(f, 2);
	g_assert_false(f->stored);
	g_assert_cmpstr(f->addrs, ==, "192.0.2.2:443");

	fake_resolver_set(f->fake, NULL);
	look_up(f, "signal.example");
	wait_for_calls(f, 1);
	g_assert_cmpstr(f->addrs, ==, "192.0.2.2:443");
}

static void
test_same_after_slow(Fixture *f, gconstpointer data)
{
	fake_resolver_set(f->fake, "192.0.2.1");
	look_up(f, "signal.example");
	wait_for_calls(f, 1);
	f->fake->hangs = TRUE;
	look_up(f, "signal.example");
	wait_for_calls(f, 1);
	fake_resolver_release(f->fake);
	for (guint i = 0; i < 20; i++)
		g_main_context_iteration(NULL, FALSE);
	g_assert_cmpuint(f->calls, ==, 1);
}

static void
test_cancel(Fixture *f, gconstpointer data)
{
	f->fake->hangs = TRUE;
	look_up(f, "signal.example");
	g_clear_pointer(&f->lookup, nat_lookup_free);
	fake_resolver_release(f->fake);
	while (g_main_context_iteration(NULL, FALSE))
		;
	g_assert_cmpuint(f->calls, ==, 0);
}

static void
test_broken_store(Fixture *f, gconstpointer data)
{
	static const char *const texts[] = {
		"",
		"\xff\xfe[",
		"[addresses]\nsignal.example=",
		"[addresses]\nsignal.example=;;x;1.2.3;",
		"[other]\nsignal.example=192.0.2.1\n",
	};
	g_autofree char *path = store_path(f);

	for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
		g_assert_true(g_file_set_contents(path, texts[i], -1, NULL));
		fake_resolver_set(f->fake, NULL);
		look_up(f, "signal.example");
		wait_for_calls(f, 1);
		g_assert_nonnull(f->error);
		fake_resolver_set(f->fake, "192.0.2.9");
		look_up(f, "signal.example");
		wait_for_calls(f, 1);
		fake_resolver_set(f->fake, NULL);
		look_up(f, "signal.example");
		wait_for_calls(f, 1);
		g_assert_cmpstr(f->addrs, ==, "192.0.2.9:443");
	}
	g_assert_cmpuint(warnings, ==, 0);
}

/* Names that change every day must not make the file grow for ever. */
static void
test_many_names(Fixture *f, gconstpointer data)
{
	g_autofree char *path = store_path(f);
	g_autofree char *text = NULL;
	gsize len;

	fake_resolver_set(f->fake, "192.0.2.1");
	for (guint i = 0; i < 100; i++) {
		g_autofree char *name = g_strdup_printf("host%u.example", i);

		look_up(f, name);
		wait_for_calls(f, 1);
	}
	g_assert_true(g_file_get_contents(path, &text, &len, NULL));
	g_assert_cmpuint(len, <, 2000);
	g_assert_nonnull(strstr(text, "host99.example"));
}

static void
test_unwritable(Fixture *f, gconstpointer data)
{
	g_autofree char *file = store_path(f);
	g_autofree char *under = g_strdup_printf("%s/dir", file); /* a directory below a file */
	g_autoptr(NatResolve) none = nat_resolve_new(NULL, &f->key);

	g_assert_true(g_file_set_contents(file, "x", -1, NULL));
	nat_resolve_free(f->resolve);
	f->resolve = nat_resolve_new(under, &f->key);
	for (guint i = 0; i < 3; i++) {
		fake_resolver_set(f->fake, i % 2 ? "192.0.2.1" : "192.0.2.2");
		look_up(f, "signal.example");
		wait_for_calls(f, 1);
		g_assert_null(f->error);
	}
	g_assert_cmpuint(warnings, ==, 1);
	nat_lookup_free(nat_resolve_lookup(none, "signal.example", 1, on_result, f));
	while (g_main_context_iteration(NULL, FALSE))
		;
}

static void
test_split(void)
{
	static const struct {
		const char *text, *host;
		guint16 port;
	} cases[] = {
		{"stun.example", "stun.example", 3478},
		{"stun.example:19302", "stun.example", 19302},
		{"192.0.2.1:1", "192.0.2.1", 1},
		{"2001:db8::1", "2001:db8::1", 3478},
		{"[2001:db8::1]", "2001:db8::1", 3478},
		{"[2001:db8::1]:65535", "2001:db8::1", 65535},
		{"", NULL, 0},
		{":1", NULL, 0},
		{"host:", NULL, 0},
		{"host:0", NULL, 0},
		{"host:65536", NULL, 0},
		{"host:http", NULL, 0},
		{"host:+1", NULL, 0},
		{"[2001:db8::1", NULL, 0},
		{"[2001:db8::1]x", NULL, 0},
		{"[]:1", NULL, 0},
	};

	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *host = NULL;
		g_autoptr(GError) error = NULL;
		guint16 port;
		gboolean ok = nat_resolve_split(cases[i].text, 3478, &host, &port, &error);

		g_assert_true(ok == (error == NULL));
		g_assert_cmpstr(host, ==, cases[i].host);
		g_assert_cmpuint(port, ==, cases[i].port);
	}
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_log_set_writer_func(count_warnings, NULL, NULL);
#define ADD(name, func) g_test_add("/resolve/" name, Fixture, NULL, set_up, func, tear_down)
	ADD("numeric", test_numeric);
	ADD("families-in-turns", test_families_in_turns);
	ADD("not-found", test_not_found);
	ADD("stored-when-failing", test_stored_when_failing);
	ADD("stored-when-slow", test_stored_when_slow);
	ADD("same-after-slow", test_same_after_slow);
	ADD("cancel", test_cancel);
	ADD("broken-store", test_broken_store);
	ADD("many-names", test_many_names);
	ADD("unwritable", test_unwritable);
#undef ADD
	g_test_add_func("/resolve/split", test_split);
	return g_test_run();
}
