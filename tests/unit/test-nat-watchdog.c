/* SPDX-License-Identifier: MIT */
#include "agent/base/nat-watchdog.h"

#include <gio/gio.h>
#include <gio/gunixsocketaddress.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#define INTERVAL_US 30000

static void
count(gpointer user_data)
{
	(*(guint *)user_data)++;
}

static gboolean
tick(gpointer user_data)
{
	(*(guint *)user_data)++;
	return G_SOURCE_CONTINUE;
}

/* By the clock of the main loop that the watchdog has, too: as long as several of its questions. */
static void
turn_for_a_while(void)
{
	guint ticks = 0, timer = g_timeout_add(INTERVAL_US / 1000, tick, &ticks);

	while (ticks < 5)
		g_main_context_iteration(NULL, TRUE);
	g_source_remove(timer);
}

static gpointer
run_loop(gpointer data)
{
	GMainLoop *loop = data;

	g_main_context_push_thread_default(g_main_loop_get_context(loop));
	g_main_loop_run(loop);
	g_main_context_pop_thread_default(g_main_loop_get_context(loop));
	return NULL;
}

static gboolean
quit(gpointer data)
{
	g_main_loop_quit(data);
	return G_SOURCE_REMOVE;
}

static void
alive(void)
{
	g_autoptr(GMainContext) other = g_main_context_new();
	g_autoptr(GMainLoop) loop = g_main_loop_new(other, FALSE);
	g_autoptr(GSource) end = g_idle_source_new();
	GThread *thread = g_thread_new("other", run_loop, loop);
	guint n = 0;
	NatWatchdog *watchdog = nat_watchdog_new(other, INTERVAL_US, count, &n);

	while (n < 5)
		g_main_context_iteration(NULL, TRUE);
	nat_watchdog_free(watchdog);
	g_source_set_callback(end, quit, loop, NULL);
	g_source_attach(end, other);
	g_thread_join(thread);
}

/* The other thread does not answer: nothing is said, however well our own loop turns, and questions
 * do not pile up. */
static void
other_hangs(void)
{
	g_autoptr(GMainContext) other = g_main_context_new();
	guint n = 0, answers = 0;
	g_autoptr(NatWatchdog) watchdog = nat_watchdog_new(other, INTERVAL_US, count, &n);

	turn_for_a_while();
	g_assert_cmpuint(n, ==, 0);
	while (g_main_context_iteration(other, FALSE))
		answers++;
	g_assert_cmpuint(answers, ==, 1);
	while (n == 0)
		g_main_context_iteration(NULL, TRUE);
}

/* Freed while a question is on its way, there or back. */
static void
freed(void)
{
	for (guint answered = 0; answered < 2; answered++) {
		g_autoptr(GMainContext) other = g_main_context_new();
		guint n = 0;
		NatWatchdog *watchdog = nat_watchdog_new(other, INTERVAL_US, count, &n);

		while (!g_main_context_pending(other))
			g_main_context_iteration(NULL, TRUE);
		if (answered)
			g_main_context_iteration(other, FALSE);
		nat_watchdog_free(watchdog);
		g_main_context_iteration(other, FALSE);
		turn_for_a_while();
		g_assert_cmpuint(n, ==, 0);
	}
}

static void
not_watched(void)
{
	g_autoptr(GMainContext) other = g_main_context_new();

	g_unsetenv("WATCHDOG_USEC");
	g_assert_null(nat_watchdog_new_for_service(other));
}

/* systemd's end: a socket, and the time it gives */
static void
service(void)
{
	g_autofree char *dir = g_dir_make_tmp("watchdog-XXXXXX", NULL);
	g_autofree char *path = g_build_filename(dir, "notify", NULL);
	g_autoptr(GSocket) socket = g_socket_new(G_SOCKET_FAMILY_UNIX, G_SOCKET_TYPE_DATAGRAM,
						 G_SOCKET_PROTOCOL_DEFAULT, NULL);
	g_autoptr(GSocketAddress) address = g_unix_socket_address_new(path);
	g_autoptr(GMainContext) other = g_main_context_new();
	g_autoptr(NatWatchdog) watchdog = NULL;
	g_autofree char *pid = g_strdup_printf("%d", (int)getpid());
	char text[64] = {0};

	g_assert_true(g_socket_bind(socket, address, FALSE, NULL));
	g_setenv("NOTIFY_SOCKET", path, TRUE);
	g_setenv("WATCHDOG_USEC", G_STRINGIFY(INTERVAL_US), TRUE);
	g_setenv("WATCHDOG_PID", pid, TRUE);
	watchdog = nat_watchdog_new_for_service(other);
	g_assert_nonnull(watchdog);
	while (!(g_socket_condition_check(socket, G_IO_IN) & G_IO_IN)) {
		g_main_context_iteration(NULL, TRUE);
		g_main_context_iteration(other, FALSE);
	}
	g_assert_cmpint(g_socket_receive(socket, text, sizeof text - 1, NULL, NULL), >, 0);
	g_assert_cmpstr(text, ==, "WATCHDOG=1");
	g_unsetenv("WATCHDOG_PID");
	g_unsetenv("WATCHDOG_USEC");
	g_unsetenv("NOTIFY_SOCKET");
	g_unlink(path);
	g_rmdir(dir);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/watchdog/alive", alive);
	g_test_add_func("/watchdog/other-hangs", other_hangs);
	g_test_add_func("/watchdog/freed", freed);
	g_test_add_func("/watchdog/not-watched", not_watched);
	g_test_add_func("/watchdog/service", service);
	return g_test_run();
}
