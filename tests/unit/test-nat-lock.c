/* SPDX-License-Identifier: MIT */
#include "agent/base/nat-lock.h"
#include "tests/unit/scratch.h"

#include <errno.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct {
	char *dir;
} Fixture;

static void
set_up(Fixture *f, gconstpointer unused)
{
	f->dir = g_dir_make_tmp("nat-lock-XXXXXX", NULL);
}

static void
tear_down(Fixture *f, gconstpointer unused)
{
	scratch_remove(f->dir);
}

static void
second_refused(Fixture *f, gconstpointer unused)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(NatLock) first = nat_lock_acquire_in(f->dir, "wg0", &error);
	g_autoptr(NatLock) other = nat_lock_acquire_in(f->dir, "wg1", &error);
	g_autofree char *pid = g_strdup_printf("(pid %d)", (int)getpid());

	g_assert_no_error(error);
	g_assert_nonnull(first);
	g_assert_nonnull(other);
	g_assert_null(nat_lock_acquire_in(f->dir, "wg0", &error));
	g_assert_error(error, G_IO_ERROR, G_IO_ERROR_BUSY);
	g_assert_nonnull(strstr(error->message, pid));
	g_assert_nonnull(strstr(error->message, "wg0"));
	g_assert_nonnull(strstr(error->message, "--interface"));
}

static void
clean_exit(Fixture *f, gconstpointer unused)
{
	g_autoptr(GError) error = NULL;
	NatLock *lock = nat_lock_acquire_in(f->dir, "wg0", &error);

	g_assert_cmpuint(scratch_count(f->dir), ==, 1);
	nat_lock_free(lock);
	g_assert_cmpuint(scratch_count(f->dir), ==, 0);
	lock = nat_lock_acquire_in(f->dir, "wg0", &error);
	g_assert_no_error(error);
	nat_lock_free(lock);
}

/* The file stays, the lock does not. */
static void
killed(Fixture *f, gconstpointer unused)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(NatLock) lock = NULL;
	int pipes[2];
	char c;
	pid_t pid;

	g_assert_cmpint(pipe(pipes), ==, 0);
	pid = fork();
	if (pid == 0) {
		if (!nat_lock_acquire_in(f->dir, "wg0", NULL) || write(pipes[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(pipes[1]);
	g_assert_cmpint(read(pipes[0], &c, 1), ==, 1);
	g_assert_null(nat_lock_acquire_in(f->dir, "wg0", NULL));
	g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
	g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
	g_assert_cmpuint(scratch_count(f->dir), ==, 1);
	lock = nat_lock_acquire_in(f->dir, "wg0", &error);
	g_assert_no_error(error);
	close(pipes[0]);
}

/* Somebody removed the file: the new one is another lock, and is not ours to unlink. */
static void
file_removed(Fixture *f, gconstpointer unused)
{
	NatLock *first = nat_lock_acquire_in(f->dir, "wg0", NULL);
	GDir *dir = g_dir_open(f->dir, 0, NULL);
	g_autofree char *path = g_build_filename(f->dir, g_dir_read_name(dir), NULL);
	g_autoptr(NatLock) second = NULL;

	g_dir_close(dir);
	g_unlink(path);
	second = nat_lock_acquire_in(f->dir, "wg0", NULL);
	g_assert_nonnull(second);
	nat_lock_free(first);
	g_assert_cmpuint(scratch_count(f->dir), ==, 1);
	g_assert_null(nat_lock_acquire_in(f->dir, "wg0", NULL));
}

/* What killed agents left is removed by the next one; what is held, or is something else, stays. */
static void
sweep(Fixture *f, gconstpointer unused)
{
	g_autofree char *stale = g_build_filename(f->dir, "lock-1-wg0", NULL);
	g_autofree char *other = g_build_filename(f->dir, "control.sock", NULL);
	g_autoptr(NatLock) held = nat_lock_acquire_in(f->dir, "wg0", NULL);
	NatLock *lock;

	g_assert_nonnull(held);
	g_assert_true(g_file_set_contents(stale, "1\n", -1, NULL));
	g_assert_true(g_file_set_contents(other, "", 0, NULL));
	lock = nat_lock_acquire_in(f->dir, "wg1", NULL);
	g_assert_nonnull(lock);
	g_assert_false(g_file_test(stale, G_FILE_TEST_EXISTS));
	g_assert_true(g_file_test(other, G_FILE_TEST_EXISTS));
	g_assert_cmpuint(scratch_count(f->dir), ==, 3);
	g_assert_null(nat_lock_acquire_in(f->dir, "wg0", NULL));
	nat_lock_free(lock);
}

/* Several processes take and release the same lock: never two at once. */
static void
hammer(Fixture *f, gconstpointer unused)
{
	enum { WORKERS = 3, ROUNDS = 20 };
	g_autofree char *path = g_build_filename(f->dir, "inside", NULL);
	pid_t pids[WORKERS];

	for (int w = 0; w < WORKERS; w++) {
		pids[w] = fork();
		for (int i = 0; pids[w] == 0 && i < ROUNDS;) {
			NatLock *lock = nat_lock_acquire_in(f->dir, "wg0", NULL);

			if (!lock)
				continue;
			/* a directory can be made once */
			if (g_mkdir(path, 0700) < 0 || g_rmdir(path) < 0)
				_exit(1);
			nat_lock_free(lock);
			i++;
		}
		if (pids[w] == 0)
			_exit(0);
	}
	for (int w = 0; w < WORKERS; w++) {
		int status;

		g_assert_cmpint(waitpid(pids[w], &status, 0), ==, pids[w]);
		g_assert_cmpint(status, ==, 0);
	}
	g_assert_cmpuint(scratch_count(f->dir), ==, 0);
}

static gpointer
in_other_namespace(gpointer data)
{
	const Fixture *f = data;

	if (unshare(CLONE_NEWNET) < 0)
		return GINT_TO_POINTER(errno);
	return nat_lock_acquire_in(f->dir, "wg0", NULL);
}

static void
other_namespace(Fixture *f, gconstpointer unused)
{
	g_autoptr(NatLock) here = nat_lock_acquire_in(f->dir, "wg0", NULL);
	g_autoptr(NatLock) there = NULL;

	if (geteuid() != 0) {
		g_test_skip("needs root for a network namespace");
		return;
	}
	there = g_thread_join(g_thread_new("netns", in_other_namespace, f));
	g_assert_nonnull(here);
	g_assert_cmpuint(GPOINTER_TO_SIZE(there), >, 4096);
	g_assert_cmpuint(scratch_count(f->dir), ==, 2);
}

static void
bad_directory(Fixture *f, gconstpointer unused)
{
	g_autofree char *file = g_build_filename(f->dir, "file", NULL);
	g_autofree char *below = g_build_filename(file, "sub", NULL);
	g_autoptr(GError) error = NULL;

	g_assert_true(g_file_set_contents(file, "", 0, NULL));
	g_assert_null(nat_lock_acquire_in(below, "wg0", &error));
	g_assert_nonnull(strstr(error->message, below));
}

#define ADD(name, func) g_test_add("/lock/" name, Fixture, NULL, set_up, func, tear_down)

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("second-refused", second_refused);
	ADD("clean-exit", clean_exit);
	ADD("killed", killed);
	ADD("file-removed", file_removed);
	ADD("sweep", sweep);
	ADD("hammer", hammer);
	ADD("other-namespace", other_namespace);
	ADD("bad-directory", bad_directory);
	return g_test_run();
}
