/* SPDX-License-Identifier: MIT */
#include "agent/innernet/inn-userspace.h"

#include <errno.h>
#include <gio/gio.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/nat-log.h"
#include "wgctl/wg-uapi.h"

#define PATIENCE_MS 5000
#define POLL_US 5000

/* As innernet and wg-quick(8) look for it; NULL: none is installed (transfer full). */
static char *
find_program(GError **error)
{
	static const char *const VARIABLES[] = {"WG_USERSPACE_IMPLEMENTATION",
						"WG_QUICK_USERSPACE_IMPLEMENTATION"};
	char *path;

	for (gsize i = 0; i < G_N_ELEMENTS(VARIABLES); i++) {
		const char *name = g_getenv(VARIABLES[i]);
		g_autofree char *shown = name ? nat_log_escape(name, -1) : NULL;

		if (!name || !name[0])
			continue;
		path = g_find_program_in_path(name);
		if (!path)
			g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
				    "there is no program '%s': %s names it, correct or unset it",
				    shown, VARIABLES[i]);
		return path;
	}
	path = g_find_program_in_path("wireguard-go");
	if (!path)
		path = g_find_program_in_path("boringtun-cli");
	if (!path)
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
			    "this kernel has no WireGuard, nor is wireguard-go installed: install "
			    "it, or load the module (modprobe wireguard)");
	return path;
}

gboolean
inn_userspace_wait(const char *ifname, gboolean serves, guint patience_ms)
{
	gint64 end = g_get_monotonic_time() + patience_ms * G_TIME_SPAN_MILLISECOND;

	while (wg_uapi_is_served(ifname) != serves) {
		if (g_get_monotonic_time() > end)
			return FALSE;
		g_usleep(POLL_US);
	}
	return TRUE;
}

/* What ends our terminal, or our process group, is not to end the tunnel. */
static void
leave_session(gpointer data)
{
	setsid();
}

static void
on_exited(GPid pid, int status, gpointer user_data)
{
	g_spawn_close_pid(pid);
}

/* Waits for the program to go into the background, or to serve without doing so, or to fail. */
static gboolean
wait_for_start(const char *ifname, const char *program, pid_t pid, GError **error)
{
	gint64 end = g_get_monotonic_time() + PATIENCE_MS * G_TIME_SPAN_MILLISECOND;
	int status = 0;
	pid_t ended;

	while ((ended = waitpid(pid, &status, WNOHANG)) == 0 || (ended < 0 && errno == EINTR)) {
		if (g_get_monotonic_time() > end)
			break;
		g_usleep(POLL_US);
		if (wg_uapi_is_served(ifname) && waitpid(pid, &status, WNOHANG) == 0) {
			g_child_watch_add(pid, on_exited, NULL);
			return TRUE;
		}
	}
	/* not ours to ask for (SIGCHLD is ignored): it has ended all the same */
	if (ended != 0 && status == 0 && inn_userspace_wait(ifname, TRUE, PATIENCE_MS))
		return TRUE;
	if (ended == 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED,
		    "%s %s %s: start it by hand to see why (is there /dev/net/tun?)", program,
		    ifname, ended == pid && status != 0 ? "failed" : "serves no interface");
	return FALSE;
}

gboolean
inn_userspace_start(const char *ifname, GError **error)
{
	g_autofree char *program = find_program(error);
	char *argv[] = {program, (char *)ifname, NULL};
	GPid pid;

	if (!program)
		return FALSE;
	if (!g_spawn_async("/", argv, NULL,
			   G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDOUT_TO_DEV_NULL |
				   G_SPAWN_STDERR_TO_DEV_NULL,
			   leave_session, NULL, &pid, error))
		return FALSE;
	return wait_for_start(ifname, program, pid, error);
}
