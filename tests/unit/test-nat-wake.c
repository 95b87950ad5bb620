/* SPDX-License-Identifier: MIT */
#include "agent/net/nat-wake.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define S ((gint64)G_USEC_PER_SEC)
#define BOOT (1000 * S) /* already asleep for that long since boot */

static gboolean
at(NatWake *wake, gint64 monotonic, gint64 slept)
{
	return nat_wake_check(wake, monotonic + BOOT + slept, monotonic);
}

static void
awake(void)
{
	g_autoptr(NatWake) wake = nat_wake_new(1000);

	for (gint64 t = 50; t < 5000; t++)
		g_assert_false(at(wake, t * S + t % 7 * 1000, t % 3));
}

static void
suspend(void)
{
	g_autoptr(NatWake) wake = nat_wake_new(1000);

	g_assert_false(at(wake, 1 * S, 0));
	g_assert_false(at(wake, 2 * S, S - 1));
	g_assert_true(at(wake, 3 * S, S));
	g_assert_false(at(wake, 4 * S, S));
	g_assert_true(at(wake, 4 * S, 3600 * S));
	g_assert_false(at(wake, 5 * S, 3600 * S));
}

/* Four naps of 0.3 s may cost a mapping as well as a long one. */
static void
naps(void)
{
	g_autoptr(NatWake) wake = nat_wake_new(1000);
	guint n = 0;

	for (gint64 i = 0; i <= 4; i++)
		n += at(wake, i * S, i * 3 * S / 10);
	g_assert_cmpuint(n, ==, 1);
}

/* Preempted between the two clocks: what was read too large once must not hide a later suspend. */
static void
misread(void)
{
	g_autoptr(NatWake) wake = nat_wake_new(1000);

	g_assert_false(at(wake, 1 * S, 9 * S / 10));
	g_assert_false(at(wake, 2 * S, 0));
	g_assert_true(at(wake, 3 * S, S));
}

static void
late(void)
{
	g_autoptr(NatWake) wake = nat_wake_new(1000);

	g_assert_false(at(wake, 1 * S, 0));
	g_assert_false(at(wake, 5 * S - 1, 0));
	g_assert_true(at(wake, 9 * S - 1, 0));
	g_assert_false(at(wake, 10 * S, 0));
	nat_wake_set_interval(wake, 60000);
	g_assert_false(at(wake, 72 * S, 0));
	g_assert_true(at(wake, 135 * S, 0));
	nat_wake_set_interval(wake, 0);
	g_assert_false(at(wake, 9999 * S, 0));
	g_assert_true(at(wake, 9999 * S, S));
}

/* Clocks that go back, which they never should, are no wake and break nothing. */
static void
backwards(void)
{
	g_autoptr(NatWake) wake = nat_wake_new(1000);

	g_assert_false(at(wake, 100 * S, 10 * S));
	g_assert_false(at(wake, 50 * S, 0));
	g_assert_false(at(wake, 51 * S, 0));
	g_assert_true(at(wake, 52 * S, S));
}

/* A child that ticks every 100 ms, says when it has begun to and, through its exit status, whether
 * it noticed. */
static int
tick_until_woken(int told)
{
	g_autoptr(NatWake) wake = nat_wake_new(100);
	gint64 end = g_get_monotonic_time() + 30 * S;

	nat_wake_now(wake);
	if (write(told, "", 1) != 1)
		return 2;
	while (g_get_monotonic_time() < end) {
		if (nat_wake_now(wake))
			return 0;
		g_usleep(100000);
	}
	return 1;
}

static void
stopped(void)
{
	int status = 0, fds[2];
	pid_t pid;

	g_assert_cmpint(pipe(fds), ==, 0);
	pid = fork();
	if (pid == 0)
		_exit(tick_until_woken(fds[1]));
	g_assert_cmpint(pid, >, 0);
	close(fds[1]);
	g_assert_cmpint(read(fds[0], &(char){0}, 1), ==, 1);
	close(fds[0]);
	kill(pid, SIGSTOP);
	g_assert_cmpint(waitpid(pid, &status, WUNTRACED), ==, pid);
	g_assert_true(WIFSTOPPED(status));
	g_usleep(NAT_WAKE_LATE_US + S / 2); /* the time itself is what is tested */
	kill(pid, SIGCONT);
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	g_assert_true(WIFEXITED(status));
	g_assert_cmpint(WEXITSTATUS(status), ==, 0);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/wake/awake", awake);
	g_test_add_func("/wake/suspend", suspend);
	g_test_add_func("/wake/naps", naps);
	g_test_add_func("/wake/misread", misread);
	g_test_add_func("/wake/late", late);
	g_test_add_func("/wake/backwards", backwards);
	g_test_add_func("/wake/stopped", stopped);
	return g_test_run();
}
