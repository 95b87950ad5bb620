/* SPDX-License-Identifier: MIT */
#include "agent/innernet/inn-seen.h"
#include "tests/unit/inn-world.h"

#define SPACE_MS 1000 /* between two PUTs */

/* ---- our own record ---- */

static void
test_first(World *world, gconstpointer data)
{
	InnBeacon beacon;
	WgKey b;

	g_assert_true(wg_key_parse(KEY_B, &b));
	world_run(world, 7);
	g_assert_cmpint(inn_status(world->inn), ==, INN_STARTING);
	g_assert_false(inn_is_settled(world->inn));
	world_wait(world, world_was_put);
	g_assert_true(inn_is_settled(world->inn));
	g_assert_cmpint(inn_status(world->inn), ==, INN_REACHABLE);
	g_assert_null(inn_problem(world->inn));
	g_assert_cmpuint(world->changed, ==, 1);
	g_assert_cmpuint(world->resumed, ==, 0);
	g_assert_cmpuint(inn_state(world->inn)->peers->len, ==, 2);
	g_assert_cmpuint(inn_observed(world->inn)->len, >=, 1);
	g_assert_true(inn_beacon_of(world->inn, &b, &beacon));
	g_assert_cmpuint(beacon.generation, ==, 0x0001000200030004);
	g_assert_false(inn_beacon_of(world->inn, &world->params.public_key, &beacon));
	g_assert_true(g_str_has_prefix(world->server.log->str, "GP"));
}

/* Each fetch of an innernet daemon on this host replaces our list; what the server itself appends
 * is no loss. */
static void
test_put_again(World *world, gconstpointer data)
{
	world_run(world, 7);
	world_wait(world, world_was_put);
	world_pass(SPACE_MS + 100);
	g_clear_pointer(&world->server.ours, g_free);
	inn_hurry(world->inn);
	world_wait(world, world_was_put);
	g_assert_cmpuint(world->server.puts, ==, 2);

	world->server.appended = ",\"198.51.100.7:4001\"";
	world_pass(SPACE_MS + 100);
	world_read(world);
	world_read(world);
	g_assert_cmpuint(world->server.puts, ==, 2);
	g_assert_cmpuint(inn_observed(world->inn)->len, ==, 2);
}

static gboolean
put_thrice(const World *world)
{
	return world->server.puts == 3;
}

/* Nothing that is refused comes again before the next reading, however often it is asked for. */
static void
test_put_refused(World *world, gconstpointer data)
{
	world->server.put_status = GPOINTER_TO_UINT(data);
	world_run(world, 7);
	world_wait(world, put_thrice);
	g_assert_true(g_str_has_prefix(world->server.log->str, "GPGPGP"));
	g_assert_cmpint(inn_status(world->inn), ==, INN_REACHABLE);
	world->server.put_status = 204;
	world_wait(world, world_was_put);
}

static void
test_put_unknown(World *world, gconstpointer data)
{
	world->server.put_status = 404;
	world_run(world, 7);
	world_wait_gets(world, 1);
	world_read(world);
	g_assert_cmpuint(world->server.puts, ==, 1);
	world_pass(SPACE_MS + 100);
	inn_publish(world->inn);
	inn_renew(world->inn);
	world_read(world);
	g_assert_cmpuint(world->server.puts, ==, 1);
}

static void
test_renew(World *world, gconstpointer data)
{
	guint64 generation;
	gint64 began = g_get_monotonic_time();

	world_run(world, 7);
	world_wait(world, world_was_put);
	generation = inn_generation(world->inn);
	inn_renew(world->inn);
	g_assert_cmpuint(inn_generation(world->inn), !=, generation);
	world_wait(world, world_was_put);
	for (guint i = 0; i < 20; i++) {
		inn_renew(world->inn);
		world_pass(50);
	}
	world_wait(world, world_was_put);
	g_assert_cmpint(g_get_monotonic_time() - began, >=,
			(gint64)(world->server.puts - 1) * SPACE_MS * 1000);
}

static gboolean
one_held(const World *world)
{
	return world->server.held == 1;
}

/* What changed while a list was on its way follows it. */
static void
test_changed_meanwhile(World *world, gconstpointer data)
{
	world->server.hold_put = TRUE;
	world_run(world, 7);
	world_wait(world, one_held);
	world_offer(world, "192.168.1.3:51820");
	inn_publish(world->inn);
	g_assert_false(world_was_put(world));
	server_release(&world->server, 204);
	world_wait(world, world_was_put);
	g_assert_cmpuint(world->server.puts, ==, 2);
}

/* ---- the state ---- */

static gboolean
has_problem(const World *world)
{
	return inn_problem(world->inn) != NULL;
}

static gboolean
has_none(const World *world)
{
	return inn_problem(world->inn) == NULL && inn_status(world->inn) == INN_REACHABLE;
}

static const struct {
	guint status;
	const char *text;
	InnStatus expected;
} ANSWERS[] = {
	{401, "", INN_REFUSED},
	{500, "", INN_INVALID},
	{200, "\x1b[31m{ garbage\n", INN_INVALID},
	{200, "", INN_INVALID},
	{200, "{\"peers\":[],\"cidrs\":[]}", INN_INVALID},
	{204, "", INN_INVALID},
};

static void
test_bad_answers(World *world, gconstpointer data)
{
	const InnState *state;
	InnBeacon beacon;
	WgKey b;

	g_assert_true(wg_key_parse(KEY_B, &b));
	world_run(world, 7);
	world_wait(world, world_was_put);
	for (guint i = 0; i < G_N_ELEMENTS(ANSWERS); i++) {
		world->server.state_status = ANSWERS[i].status;
		world->server.state_text = ANSWERS[i].text;
		inn_hurry(world->inn);
		state = inn_state(world->inn);
		world_wait(world, has_problem);
		g_assert_cmpint(inn_status(world->inn), ==, ANSWERS[i].expected);
		g_assert_null(strpbrk(inn_problem(world->inn), "\r\n\x1b"));
		g_test_message("%s", inn_problem(world->inn));
		g_assert_true(inn_state(world->inn) == state);
		g_assert_true(inn_beacon_of(world->inn, &b, &beacon));
		world->server.state_status = 200;
		world->server.state_text = NULL;
		inn_hurry(world->inn);
		world_wait(world, has_none);
	}
	g_assert_cmpuint(world->unreachable, ==, 0);
}

static gboolean
is_unreachable(const World *world)
{
	return inn_status(world->inn) == INN_UNREACHABLE && world->unreachable > 0;
}

/* ---- beacons that are missing ---- */

static InnState *
state_with(const char *candidates)
{
	g_autofree char *b = server_record(3, "b", "10.66.1.2", KEY_B, "null", candidates);
	g_autofree char *text = g_strconcat("{\"peers\":[", b, "],\"cidrs\":[]}", NULL);
	g_autoptr(GError) error = NULL;
	InnState *state = inn_state_parse(text, strlen(text), &error);

	g_assert_no_error(error);
	return state;
}

#define BEACON "\"[100::1:2:3:4]:28225\""

static void
test_grace(void)
{
	g_autoptr(InnSeen) seen = inn_seen_new();
	g_autoptr(InnState) with = state_with(BEACON), without = state_with(INNERNETS);
	g_autoptr(InnState) renewed = state_with("\"[100::1:2:3:5]:28225\"");
	gint64 now = 5 * (gint64)G_USEC_PER_SEC;
	WgKey own = {{1}}, b;
	InnBeacon beacon;

	g_assert_true(wg_key_parse(KEY_B, &b));
	g_assert_false(inn_seen_read(seen, without, &own, now));
	g_assert_false(inn_seen_get(seen, &b, &beacon));
	g_assert_true(inn_seen_read(seen, with, &own, now));
	g_assert_false(inn_seen_read(seen, with, &own, now));
	/* readings in quick succession mean nothing */
	for (guint i = 0; i < 10; i++)
		g_assert_false(inn_seen_read(seen, without, &own, now + i));
	g_assert_true(inn_seen_get(seen, &b, &beacon));
	g_assert_false(inn_seen_read(seen, without, &own, now + INN_SEEN_GRACE_US - 1));
	g_assert_true(inn_seen_get(seen, &b, &beacon));
	/* it came back: all is counted anew */
	now += INN_SEEN_GRACE_US;
	g_assert_false(inn_seen_read(seen, with, &own, now));
	g_assert_false(inn_seen_read(seen, without, &own, now + INN_SEEN_GRACE_US));
	g_assert_false(inn_seen_read(seen, without, &own, now + INN_SEEN_GRACE_US));
	g_assert_true(inn_seen_get(seen, &b, &beacon));
	/* long enough, and often enough */
	g_assert_true(inn_seen_read(seen, without, &own, now + INN_SEEN_GRACE_US));
	g_assert_false(inn_seen_get(seen, &b, &beacon));
	/* another generation is news */
	g_assert_true(inn_seen_read(seen, with, &own, now));
	g_assert_true(inn_seen_read(seen, renewed, &own, now));
}

/* A peer that left the network takes its beacon along; ours is nobody's. */
static void
test_gone(void)
{
	g_autoptr(InnSeen) seen = inn_seen_new();
	g_autoptr(InnState) with = state_with(BEACON);
	g_autoptr(InnState) empty = inn_state_parse("{\"peers\":[],\"cidrs\":[]}", 23, NULL);
	WgKey own = {{1}}, b;
	InnBeacon beacon;

	g_assert_true(wg_key_parse(KEY_B, &b));
	g_assert_false(inn_seen_read(seen, with, &b, 1));
	g_assert_false(inn_seen_get(seen, &b, &beacon));
	g_assert_true(inn_seen_read(seen, with, &own, 1));
	inn_seen_read(seen, empty, &own, 1);
	g_assert_false(inn_seen_get(seen, &b, &beacon));
}

static void
test_missing(World *world, gconstpointer data)
{
	InnBeacon beacon;
	WgKey b;

	g_assert_true(wg_key_parse(KEY_B, &b));
	world_run(world, 7);
	world_wait(world, world_was_put);
	world->server.b_candidates = INNERNETS;
	for (guint i = 0; i < 3; i++)
		world_read(world);
	g_assert_true(inn_beacon_of(world->inn, &b, &beacon));
	g_assert_cmpuint(beacon.generation, ==, 0x0001000200030004);
}

/* ---- the store ---- */

static char *
store_text(const World *world)
{
	char *text = NULL;

	g_file_get_contents(world->store, &text, NULL, NULL);
	return text;
}

static void
test_store_ours(World *world, gconstpointer data)
{
	g_autofree char *text = NULL;

	world->params.owns = GPOINTER_TO_UINT(data);
	world_run(world, 7);
	world_wait(world, world_was_put);
	text = store_text(world);
	g_assert_true((text != NULL) == world->params.owns);
	if (text == NULL)
		return;
	g_assert_nonnull(strstr(text, KEY_B));
	/* the next run knows the network before the server answers */
	world_end_run(world);
	world->server.hold_get = TRUE;
	world_run(world, 8);
	g_assert_cmpuint(world->changed, ==, 1);
	g_assert_cmpuint(inn_state(world->inn)->peers->len, ==, 2);
	g_assert_cmpint(inn_status(world->inn), ==, INN_STARTING);
}

static guint pin_warnings;

static GLogWriterOutput
count_log(GLogLevelFlags level, const GLogField *fields, gsize n, gpointer user_data)
{
	for (gsize i = 0; i < n; i++)
		if (strcmp(fields[i].key, "MESSAGE") == 0 &&
		    strstr(fields[i].value, "another key") != NULL)
			pin_warnings++;
	if (!g_test_verbose())
		return G_LOG_WRITER_HANDLED;
	return g_log_writer_default(level & ~(guint)G_LOG_LEVEL_WARNING, fields, n, NULL);
}

static const InnPeer *
member(const World *world, const char *key)
{
	WgKey parsed;

	g_assert_true(wg_key_parse(key, &parsed));
	return inn_state_find(inn_state(world->inn), &parsed);
}

static gboolean
stands_for_c(const World *world)
{
	return member(world, KEY_C) != NULL && inn_problem(world->inn) == NULL;
}

static void
test_pinned(World *world, gconstpointer data)
{
	g_autofree char *before = NULL, *after = NULL;

	world->params.owns = TRUE;
	world_run(world, 7);
	world_wait(world, world_was_put);
	world_read(world);
	before = store_text(world);
	world->server.b_key = KEY_C;
	world->server.b_candidates = INNERNETS;
	inn_hurry(world->inn);
	world_wait(world, has_problem);
	world_read(world);
	g_assert_cmpint(inn_status(world->inn), ==, INN_REACHABLE);
	g_assert_nonnull(strstr(inn_problem(world->inn), "another key"));
	g_assert_nonnull(strstr(inn_problem(world->inn), world->store));
	g_assert_null(strchr(inn_problem(world->inn), '\n'));
	g_assert_nonnull(member(world, KEY_B));
	g_assert_null(member(world, KEY_C));
	after = store_text(world);
	g_assert_cmpstr(after, ==, before);
	/* what the problem advises to do helps, without a restart */
	g_unlink(world->store);
	inn_hurry(world->inn);
	world_wait(world, stands_for_c);
	g_assert_null(member(world, KEY_B));
}

/* Several at once, again and again: one line for all, once. */
static void
test_pinned_many(World *world, gconstpointer data)
{
	g_autofree char *c = server_record(4, "c", "10.66.1.3", KEY_C, "null", "");
	g_autofree char *more = g_strconcat(",", c, NULL);
	g_autofree char *other = server_record(
		4, "c", "10.66.1.3", "CBaUM35qYJ6VCFQnxKoBgnPzsK9a8vXmxLkq0gD7w1E=", "null", "");
	g_autofree char *changed = g_strconcat(",", other, NULL);

	world->server.b_more = more;
	world_run(world, 7);
	world_wait(world, world_was_put);
	world_read(world);
	pin_warnings = 0;
	world->server.b_key = "oIrw4W6Yv5b0Vf8t2eCqHkDk8zq5o0cJmJv4Xv5wZ2A=";
	world->server.b_more = changed;
	for (guint i = 0; i < 3; i++)
		world_read(world);
	g_assert_nonnull(strstr(inn_problem(world->inn), "and 1 more"));
	g_assert_cmpuint(pin_warnings, ==, 1);
	g_assert_nonnull(member(world, KEY_B));
	g_assert_nonnull(member(world, KEY_C));
}

/* A damaged store is left as it is, and all goes on. */
static void
test_damaged_store(World *world, gconstpointer data)
{
	g_autofree char *text = NULL;

	g_assert_true(g_file_set_contents(world->store, "{", -1, NULL));
	world->params.owns = TRUE;
	world_run(world, 7);
	world_wait(world, world_was_put);
	world_read(world);
	text = store_text(world);
	g_assert_cmpstr(text, ==, "{");
	g_assert_nonnull(member(world, KEY_B));
}

/* ---- over restarts ---- */

static guint64
published_generation(const World *world)
{
	WgEndpoint ep;
	g_auto(GStrv) parts = g_strsplit(world->server.ours, "\"", 3);
	InnBeacon beacon;

	g_assert_true(wg_endpoint_parse(parts[1], &ep));
	g_assert_true(inn_beacon_read(&ep, 1, &beacon));
	return beacon.generation;
}

static void
expect_resumed(World *world, guint32 watch_id, guint64 generation, guint32 *base)
{
	world_run(world, watch_id + 1);
	world_wait(world, is_unreachable);
	g_assert_true(inn_is_settled(world->inn));
	g_assert_cmpuint(world->resumed, ==, 1);
	g_assert_cmpuint(world->watch_id, ==, watch_id);
	g_assert_cmpuint(inn_generation(world->inn), ==, generation);
	g_assert_cmpuint(world->base, >, *base);
	*base = world->base;
	world_end_run(world);
}

/* The server took it; the agent knows. */
static gboolean
was_remembered(const World *world)
{
	g_autoptr(GDir) dir = g_dir_open(world->dir, 0, NULL);
	const char *name;

	while ((name = g_dir_read_name(dir)) != NULL)
		if (g_str_has_prefix(name, "beacon-"))
			return TRUE;
	return FALSE;
}

static void
publish_once(World *world, guint32 watch_id)
{
	world_run(world, watch_id);
	world_wait(world, was_remembered);
	world_read(world);
	g_assert_true(world_was_put(world));
}

static void
test_resume(World *world, gconstpointer data)
{
	guint64 generation;
	guint32 base = 0;

	publish_once(world, 7);
	generation = inn_generation(world->inn);
	world_end_run(world);
	world_swap_server(world, FALSE);
	expect_resumed(world, 7, generation, &base);
	expect_resumed(world, 7, generation, &base);
	/* one whose server answers is itself, and so are those after it */
	world_swap_server(world, TRUE);
	publish_once(world, 30);
	g_assert_cmpuint(world->resumed, ==, 0);
	g_assert_cmpuint(inn_generation(world->inn), !=, generation);
	generation = inn_generation(world->inn);
	world_end_run(world);
	world_swap_server(world, FALSE);
	base = 0;
	expect_resumed(world, 30, generation, &base);
}

/* A run that resumed, reached the server later and renewed its generation goes by the same watch
 * id: the epochs of the next one begin above its own. */
static void
test_resume_renewed(World *world, gconstpointer data)
{
	guint64 generation;
	guint32 base = 0;

	publish_once(world, 7);
	generation = inn_generation(world->inn);
	world_end_run(world);
	world->server.drop_get = TRUE;
	expect_resumed(world, 7, generation, &base);
	world_run(world, 9);
	world_wait(world, is_unreachable);
	g_assert_cmpuint(world->base, >, base);
	base = world->base;
	world->server.drop_get = FALSE;
	world_wait(world, world_was_put);
	inn_renew(world->inn);
	world_wait(world, world_was_put);
	world_read(world);
	generation = inn_generation(world->inn);
	world_end_run(world);
	world_swap_server(world, FALSE);
	expect_resumed(world, 7, generation, &base);
}

/* What was renewed while the list was on its way was not published: the peers go by the list. */
static void
test_resume_unpublished(World *world, gconstpointer data)
{
	guint64 generation;
	guint32 base = 0;

	world_run(world, 7);
	world_wait(world, world_was_put); /* arrived, and the answer is not read yet */
	generation = inn_generation(world->inn);
	inn_renew(world->inn);
	world->server.put_status = 500;
	world_wait(world, was_remembered);
	g_assert_cmpuint(published_generation(world), ==, generation);
	world_end_run(world);
	world_swap_server(world, FALSE);
	expect_resumed(world, 7, generation, &base);
}

/* Somebody was told already who we are. */
static void
test_resume_declined(World *world, gconstpointer data)
{
	guint64 generation;

	publish_once(world, 7);
	generation = inn_generation(world->inn);
	world_end_run(world);
	world_swap_server(world, FALSE);
	world->decline = TRUE;
	world_run(world, 8);
	world_wait(world, is_unreachable);
	g_assert_cmpuint(world->resumed, ==, 1);
	g_assert_cmpuint(inn_generation(world->inn), !=, generation);
}

/* An answer, of whatever kind, is no outage. */
static void
test_no_resume(World *world, gconstpointer data)
{
	guint64 generation;

	publish_once(world, 7);
	generation = inn_generation(world->inn);
	world_end_run(world);
	world->server.state_status = 500;
	world_run(world, 8);
	world_wait(world, has_problem);
	g_assert_cmpuint(world->resumed, ==, 0);
	g_assert_cmpuint(inn_generation(world->inn), !=, generation);
}

/* ---- the end, at any moment ---- */

static gboolean
put_once(const World *world)
{
	return world->server.puts == 1;
}

static void
test_free(World *world, gconstpointer data)
{
	guint gets, changed;

	world_run(world, 7); /* nothing sent */
	world_end_run(world);

	world->server.hold_get = TRUE;
	world_run(world, 7);
	world_wait(world, one_held);
	inn_renew(world->inn); /* one call under way, one waits */
	world_end_run(world);

	world->server.hold_get = FALSE;
	world->server.hold_put = TRUE;
	world->server.held = 0;
	world_run(world, 7);
	world_wait(world, one_held);
	world_end_run(world);

	world->server.hold_put = FALSE;
	world->server.puts = 0;
	world_run(world, 7);
	world_wait(world, put_once);
	inn_renew(world->inn); /* waits for its turn */
	world_pass(50);
	world_end_run(world);
	inn_free(NULL);

	gets = world->server.gets;
	changed = world->changed;
	world_pass(2500);
	g_assert_cmpuint(world->server.gets, ==, gets);
	g_assert_cmpuint(world->changed, ==, changed);
}

#define INN(name, data, func)                                                                      \
	g_test_add("/inn/" name, World, data, world_set_up, func, world_tear_down)

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_log_set_writer_func(count_log, NULL, NULL);
	INN("first", NULL, test_first);
	INN("put-again", NULL, test_put_again);
	INN("put-refused/400", GUINT_TO_POINTER(400), test_put_refused);
	INN("put-refused/413", GUINT_TO_POINTER(413), test_put_refused);
	INN("put-refused/500", GUINT_TO_POINTER(500), test_put_refused);
	INN("put-refused/404", NULL, test_put_unknown);
	INN("renew", NULL, test_renew);
	INN("changed-meanwhile", NULL, test_changed_meanwhile);
	INN("bad-answers", NULL, test_bad_answers);
	g_test_add_func("/inn/beacon/grace", test_grace);
	g_test_add_func("/inn/beacon/gone", test_gone);
	INN("beacon/missing", NULL, test_missing);
	INN("store/ours", GUINT_TO_POINTER(TRUE), test_store_ours);
	INN("store/not-ours", GUINT_TO_POINTER(FALSE), test_store_ours);
	INN("store/pinned", NULL, test_pinned);
	INN("store/pinned-many", NULL, test_pinned_many);
	INN("store/damaged", NULL, test_damaged_store);
	INN("resume/again", NULL, test_resume);
	INN("resume/renewed", NULL, test_resume_renewed);
	INN("resume/unpublished", NULL, test_resume_unpublished);
	INN("resume/declined", NULL, test_resume_declined);
	INN("resume/answered", NULL, test_no_resume);
	INN("free", NULL, test_free);
	return g_test_run();
}
