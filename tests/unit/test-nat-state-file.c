/* SPDX-License-Identifier: MIT */
#include "agent/base/nat-state-file.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

static GString *warnings; /* a line each; NULL: none is expected */
static guint messages;

static GLogWriterOutput
on_log(GLogLevelFlags level, const GLogField *fields, gsize n, gpointer user_data)
{
	messages += (level & G_LOG_LEVEL_MESSAGE) != 0;
	if (!(level & G_LOG_LEVEL_WARNING) || !warnings)
		return g_log_writer_default(level, fields, n, NULL);
	for (gsize i = 0; i < n; i++)
		if (strcmp(fields[i].key, "MESSAGE") == 0)
			g_string_append_printf(warnings, "%s\n", (const char *)fields[i].value);
	return G_LOG_WRITER_HANDLED;
}

typedef struct {
	char *top, *dir, *path; /* dir: not yet made */
} Fixture;

static void
set_up(Fixture *f, gconstpointer data)
{
	f->top = g_dir_make_tmp("nat-state-file-XXXXXX", NULL);
	g_assert_nonnull(f->top);
	f->dir = g_build_filename(f->top, "state", NULL);
	f->path = g_build_filename(f->dir, "x.conf", NULL);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
	if (g_file_test(f->path, G_FILE_TEST_IS_DIR))
		g_assert_cmpint(g_rmdir(f->path), ==, 0);
	g_remove(f->path);
	if (g_remove(f->dir) < 0)
		g_assert_false(g_file_test(f->dir, G_FILE_TEST_EXISTS));
	g_assert_cmpint(g_rmdir(f->top), ==, 0);
	g_free(f->path);
	g_free(f->dir);
	g_free(f->top);
}

static NatStateFile *
open_it(Fixture *f)
{
	return nat_state_file_new(f->dir, "x.conf", "it is lost");
}

static void
put(NatStateFile *file, const char *value)
{
	g_key_file_set_string(nat_state_file_keys(file), "group", "key", value);
	nat_state_file_save(file);
}

static void
expect(NatStateFile *file, const char *value)
{
	g_autofree char *is =
		g_key_file_get_string(nat_state_file_keys(file), "group", "key", NULL);

	g_assert_cmpstr(is, ==, value);
}

static void
test_kept(Fixture *f, gconstpointer data)
{
	g_autoptr(NatStateFile) file = open_it(f), again = NULL;
	GStatBuf st;

	expect(file, NULL);
	g_assert_false(g_file_test(f->dir, G_FILE_TEST_EXISTS));
	put(file, "a");
	g_assert_cmpint(g_stat(f->path, &st), ==, 0);
	g_assert_cmpuint(st.st_mode & 0777, ==, 0600);
	g_assert_cmpint(g_stat(f->dir, &st), ==, 0);
	g_assert_cmpuint(st.st_mode & 0777, ==, 0700);
	again = open_it(f);
	expect(again, "a");
	put(again, "b");
	expect(file, "a");
	nat_state_file_reload(file);
	expect(file, "b");
}

/* Nothing to remember, no file. */
static void
test_empty(Fixture *f, gconstpointer data)
{
	g_autoptr(NatStateFile) file = open_it(f);

	nat_state_file_save(file);
	put(file, "a");
	g_key_file_remove_group(nat_state_file_keys(file), "group", NULL);
	nat_state_file_save(file);
	g_assert_false(g_file_test(f->path, G_FILE_TEST_EXISTS));
	nat_state_file_reload(file);
	expect(file, NULL);
}

static void
test_garbage(Fixture *f, gconstpointer data)
{
	static const char *const TEXTS[] = {"[group]\nkey=a\nnonsense", "key=a", "\xff\xfe"};
	g_autofree char *large = g_strnfill(5000000, '#');

	g_assert_cmpint(g_mkdir(f->dir, 0700), ==, 0);
	for (gsize i = 0; i <= G_N_ELEMENTS(TEXTS); i++) {
		const char *text = i < G_N_ELEMENTS(TEXTS) ? TEXTS[i] : large;
		g_autoptr(NatStateFile) file = NULL;

		g_assert_true(g_file_set_contents(f->path, text, -1, NULL));
		file = open_it(f);
		g_assert_nonnull(nat_state_file_damage(file));
		expect(file, NULL);
		put(file, "new");
		nat_state_file_reload(file);
		g_assert_null(nat_state_file_damage(file));
		expect(file, "new");
	}
}

/* Said once, with the cost and the remedy; memory serves. */
static void
cannot_be_written(Fixture *f)
{
	g_autoptr(NatStateFile) file = open_it(f);

	warnings = g_string_new(NULL);
	put(file, "a");
	put(file, "b");
	g_assert_nonnull(strstr(warnings->str, ": it is lost; make "));
	g_assert_cmpstr(strchr(warnings->str, '\n'), ==, "\n");
	g_string_free(g_steal_pointer(&warnings), TRUE);
	nat_state_file_reload(file);
	expect(file, "b");
}

static void
test_no_directory(Fixture *f, gconstpointer data)
{
	g_assert_true(g_file_set_contents(f->dir, "a file", -1, NULL));
	cannot_be_written(f);
}

static void
test_in_the_way(Fixture *f, gconstpointer data)
{
	g_assert_cmpint(g_mkdir(f->dir, 0700), ==, 0);
	g_assert_cmpint(g_mkdir(f->path, 0700), ==, 0);
	cannot_be_written(f);
}

static void
let_files_grow(gboolean grow)
{
	static struct rlimit limit;

	if (limit.rlim_max == 0)
		g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &limit), ==, 0);
	limit.rlim_cur = grow ? limit.rlim_max : 0;
	g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &limit), ==, 0);
}

/* A full disk is no reason to write nothing any more: what is there is not what was last said. */
static void
test_full_for_a_while(Fixture *f, gconstpointer data)
{
	g_autoptr(NatStateFile) file = open_it(f), again = NULL;
	g_autofree char *other = NULL;

	put(file, "a");
	warnings = g_string_new(NULL);
	messages = 0;
	let_files_grow(FALSE);
	put(file, "b");
	nat_state_file_reload(file); /* which is not forgotten */
	expect(file, "b");
	nat_state_file_save(file);
	let_files_grow(TRUE);
	again = open_it(f);
	expect(again, "a");
	g_clear_pointer(&again, nat_state_file_free);
	g_assert_cmpuint(messages, ==, 0);
	g_key_file_set_string(nat_state_file_keys(file), "group", "other", "c");
	nat_state_file_save(file);
	g_assert_cmpuint(messages, ==, 1);
	again = open_it(f);
	expect(again, "b");
	other = g_key_file_get_string(nat_state_file_keys(again), "group", "other", NULL);
	g_assert_cmpstr(other, ==, "c");
	g_assert_nonnull(strstr(warnings->str, ": it is lost; make "));
	g_assert_cmpstr(strchr(warnings->str, '\n'), ==, "\n");
	/* the next time it is news again */
	let_files_grow(FALSE);
	put(file, "d");
	let_files_grow(TRUE);
	g_assert_cmpstr(strchr(warnings->str, '\n'), !=, "\n");
	/* whoever only looks, and finds there what he would put, saves nothing himself */
	nat_state_file_reload(file);
	expect(file, "d");
	g_assert_cmpuint(messages, ==, 2);
	g_clear_pointer(&again, nat_state_file_free);
	again = open_it(f);
	expect(again, "d");
	/* a full disk lets go of a file */
	let_files_grow(FALSE);
	g_key_file_remove_group(nat_state_file_keys(file), "group", NULL);
	nat_state_file_save(file);
	let_files_grow(TRUE);
	g_assert_false(g_file_test(f->path, G_FILE_TEST_EXISTS));
	g_string_free(g_steal_pointer(&warnings), TRUE);
}

static void
test_memory_only(Fixture *f, gconstpointer data)
{
	g_autoptr(NatStateFile) file = nat_state_file_new(NULL, "x.conf", "it is lost");

	put(file, "a");
	nat_state_file_reload(file);
	expect(file, "a");
	nat_state_file_free(NULL);
}

static void
test_name_of_key(Fixture *f, gconstpointer data)
{
	WgKey key = {{0xab, 1}};
	g_autofree char *name = g_build_filename(f->dir, "kind-ab01000000000000.conf", NULL);
	g_autoptr(NatStateFile) file = nat_state_file_new_for_key(f->dir, "kind", &key, "lost");

	put(file, "a");
	g_assert_cmpint(g_remove(name), ==, 0);
}

#define ADD(name, func) g_test_add("/state-file/" name, Fixture, NULL, set_up, func, tear_down)

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	signal(SIGXFSZ, SIG_IGN);
	g_log_set_writer_func(on_log, NULL, NULL);
	ADD("kept", test_kept);
	ADD("empty", test_empty);
	ADD("garbage", test_garbage);
	ADD("no-directory", test_no_directory);
	ADD("in-the-way", test_in_the_way);
	ADD("full-for-a-while", test_full_for_a_while);
	ADD("memory-only", test_memory_only);
	ADD("name-of-key", test_name_of_key);
	return g_test_run();
}
