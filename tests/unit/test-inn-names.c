/* SPDX-License-Identifier: MIT */
#include "agent/innernet/inn-names.h"

#include <glib/gstdio.h>
#include <string.h>

#include "tests/unit/fake-resolver.h"

#define SEC ((gint64)G_USEC_PER_SEC)

typedef struct {
	FakeResolver *fake;
	char *dir;
	InnNames *names;
	guint changes;
	gint64 now;
} Fixture;

static WgKey
key_of(guint id)
{
	WgKey key = {{0}};

	memcpy(key.b, &id, sizeof id);
	key.b[31] = 1;
	return key;
}

static void
on_changed(gpointer user_data)
{
	((Fixture *)user_data)->changes++;
}

static void
start(Fixture *f)
{
	WgKey own = key_of(0);

	f->names = inn_names_new("wg0", f->dir, &own, on_changed, f);
}

static void
set_up(Fixture *f, gconstpointer data)
{
	f->fake = fake_resolver_install();
	f->dir = g_dir_make_tmp("inn-names-XXXXXX", NULL);
	f->now = 1000 * SEC;
	start(f);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
	g_autoptr(GDir) dir = g_dir_open(f->dir, 0, NULL);
	const char *name;

	inn_names_free(f->names);
	fake_resolver_free(f->fake);
	while ((name = g_dir_read_name(dir)) != NULL) {
		g_autofree char *path = g_build_filename(f->dir, name, NULL);

		/* apart from the names that the user gave */
		g_assert_true(g_str_has_prefix(name, "innernet-addresses-"));
		g_unlink(path);
	}
	g_assert_cmpint(g_rmdir(f->dir), ==, 0);
	g_free(f->dir);
}

static void
append_peer(GString *out, guint id, const char *endpoint, const char *more)
{
	WgKey key = key_of(id);
	char text[WG_KEY_STRLEN];

	g_string_append_printf(
		out,
		"%s{\"id\":%u,\"name\":\"p%u\",\"ip\":\"10.66.1.%u\",\"public_key\":\"%s\","
		"\"endpoint\":\"%s\"%s}",
		id > 0 && out->str[out->len - 1] == '}' ? "," : "", id, id, id,
		wg_key_format(&key, text), endpoint, more);
}

static InnState *
parse(GString *peers)
{
	g_autoptr(GError) error = NULL;
	InnState *state;

	g_string_append(peers, "],\"cidrs\":[]}");
	state = inn_state_parse(peers->str, peers->len, &error);
	g_assert_no_error(error);
	return state;
}

/* Peers 1, 2, … with these endpoints; NULL ends them. */
static InnState *
state_of(const char *first, ...)
{
	g_autoptr(GString) out = g_string_new("{\"peers\":[");
	const char *endpoint = first;
	guint id = 0;
	va_list args;

	va_start(args, first);
	for (; endpoint != NULL; endpoint = va_arg(args, const char *))
		append_peer(out, ++id, endpoint, "");
	va_end(args);
	return parse(out);
}

static void
settle(void)
{
	while (g_main_context_iteration(NULL, FALSE))
		;
}

static void
passes(Fixture *f, gint64 s)
{
	f->now += s * SEC;
	inn_names_tick(f->names, f->now);
	settle();
}

static void
expect(Fixture *f, const InnState *state, guint id, const char *expected)
{
	WgKey key = key_of(id);
	g_autoptr(GArray) addrs = inn_names_get(f->names, inn_state_find(state, &key));
	g_autoptr(GString) text = g_string_new(NULL);
	char buf[WG_ENDPOINT_STRLEN];

	for (guint i = 0; addrs != NULL && i < addrs->len; i++)
		g_string_append_printf(
			text, "%s%s", i > 0 ? " " : "",
			wg_endpoint_format(&g_array_index(addrs, WgEndpoint, i), buf));
	g_assert_cmpstr(addrs != NULL ? text->str : NULL, ==, expected);
}

/* Each name is asked for once, whatever its ports; numbers are no names. */
static void
test_resolved(Fixture *f, gconstpointer data)
{
	g_autoptr(InnState) state =
		state_of("vpn.example.org:51820", "192.0.2.9:7", "VPN.example.org:7", NULL);

	fake_resolver_set(f->fake, "2001:db8::1 192.0.2.1");
	inn_names_set(f->names, state);
	expect(f, state, 1, NULL);
	passes(f, 0);
	g_assert_cmpuint(f->fake->asked, ==, 1);
	g_assert_cmpuint(f->changes, ==, 1);
	expect(f, state, 1, "[2001:db8::1]:51820 192.0.2.1:51820");
	expect(f, state, 2, NULL);
	expect(f, state, 3, "[2001:db8::1]:7 192.0.2.1:7");
}

static void
test_again(Fixture *f, gconstpointer data)
{
	g_autoptr(InnState) state = state_of("vpn.example.org:51820", NULL);

	fake_resolver_set(f->fake, "192.0.2.1 192.0.2.2");
	inn_names_set(f->names, state);
	passes(f, 0);
	passes(f, 290);
	inn_names_set(f->names, state);
	passes(f, 0);
	g_assert_cmpuint(f->fake->asked, ==, 1);
	/* shuffled is not changed */
	fake_resolver_set(f->fake, "192.0.2.2 192.0.2.1");
	passes(f, 20);
	g_assert_cmpuint(f->fake->asked, ==, 2);
	g_assert_cmpuint(f->changes, ==, 1);
	expect(f, state, 1, "192.0.2.1:51820 192.0.2.2:51820");
	fake_resolver_set(f->fake, "192.0.2.3");
	passes(f, 310);
	g_assert_cmpuint(f->changes, ==, 2);
	expect(f, state, 1, "192.0.2.3:51820");
	/* another network */
	fake_resolver_set(f->fake, "192.0.2.4");
	passes(f, 1);
	expect(f, state, 1, "192.0.2.3:51820");
	inn_names_renew(f->names);
	passes(f, 1);
	expect(f, state, 1, "192.0.2.4:51820");
}

/* What failed is tried again sooner, less and less often, and the last good addresses stay: in the
 * process, and for the next one. */
static void
test_kept(Fixture *f, gconstpointer data)
{
	g_autoptr(InnState) state = state_of("vpn.example.org:51820", NULL);
	guint asked;

	inn_names_set(f->names, state);
	passes(f, 0);
	passes(f, 31);
	g_assert_cmpuint(f->fake->asked, ==, 2);
	passes(f, 31);
	g_assert_cmpuint(f->fake->asked, ==, 2);
	fake_resolver_set(f->fake, "192.0.2.1");
	passes(f, 31);
	expect(f, state, 1, "192.0.2.1:51820");
	fake_resolver_set(f->fake, NULL);
	asked = f->fake->asked;
	for (guint i = 0; i < 60; i++)
		passes(f, 60);
	g_assert_cmpuint(f->fake->asked - asked, >=, 11);
	g_assert_cmpuint(f->fake->asked - asked, <, 20);
	expect(f, state, 1, "192.0.2.1:51820");

	inn_names_free(f->names);
	start(f);
	inn_names_set(f->names, state);
	passes(f, 0);
	expect(f, state, 1, "192.0.2.1:51820");
}

static void
test_forgotten(Fixture *f, gconstpointer data)
{
	g_autoptr(InnState) both = state_of("a.example:1", "b.example:2", NULL);
	g_autoptr(InnState) one = state_of("a.example:1", "192.0.2.2:2", NULL);

	fake_resolver_set(f->fake, "192.0.2.1");
	inn_names_set(f->names, both);
	passes(f, 0);
	expect(f, both, 2, "192.0.2.1:2");
	inn_names_set(f->names, one);
	expect(f, both, 1, "192.0.2.1:1");
	expect(f, both, 2, NULL);
	/* while it is being asked for */
	f->fake->hangs = TRUE;
	inn_names_set(f->names, both);
	passes(f, 0);
	inn_names_set(f->names, one);
	fake_resolver_release(f->fake);
	settle();
	expect(f, both, 2, NULL);
}

/* Ourselves, those who are disabled, and those who have not redeemed their invitation. */
static void
test_no_interest(Fixture *f, gconstpointer data)
{
	g_autoptr(GString) out = g_string_new("{\"peers\":[");
	g_autoptr(InnState) state = NULL;

	append_peer(out, 0, "own.example:1", "");
	append_peer(out, 1, "a.example:1", ",\"is_disabled\":true");
	append_peer(out, 2, "b.example:1", ",\"is_redeemed\":false");
	state = parse(out);
	inn_names_set(f->names, state);
	passes(f, 0);
	g_assert_cmpuint(f->fake->asked, ==, 0);
}

static InnState *
crowd(guint first, guint last)
{
	g_autoptr(GString) out = g_string_new("{\"peers\":[");

	for (guint i = first; i <= last; i++) {
		g_autofree char *endpoint = g_strdup_printf("n%u.example:7", i);

		append_peer(out, i, endpoint, "");
	}
	return parse(out);
}

/* A crowd of strangers' names does not push out those that are there, nor does it keep the resolver
 * busy. */
static void
test_bounded(Fixture *f, gconstpointer data)
{
	g_autoptr(InnState) few = crowd(100, 101), many = crowd(1, 101);

	fake_resolver_set(f->fake, "192.0.2.1");
	inn_names_set(f->names, few);
	passes(f, 0);
	g_assert_cmpuint(f->fake->asked, ==, 2);
	f->fake->hangs = TRUE;
	inn_names_set(f->names, many);
	for (guint i = 0; i < 10; i++)
		passes(f, 1);
	g_assert_cmpuint(f->fake->asked, ==, 2 + 4);
	fake_resolver_release(f->fake);
	for (guint i = 0; i < 30; i++)
		passes(f, 1);
	g_assert_cmpuint(f->fake->asked, ==, INN_NAMES_MAX);
	expect(f, many, 101, "192.0.2.1:7");
	expect(f, many, 1, "192.0.2.1:7");
	expect(f, many, 99, NULL);
}

#define NAMES(name, func) g_test_add("/inn-names/" name, Fixture, NULL, set_up, func, tear_down)

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	NAMES("resolved", test_resolved);
	NAMES("again", test_again);
	NAMES("kept", test_kept);
	NAMES("forgotten", test_forgotten);
	NAMES("no-interest", test_no_interest);
	NAMES("bounded", test_bounded);
	return g_test_run();
}
