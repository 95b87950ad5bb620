/* SPDX-License-Identifier: MIT */
/* What the commands share that ask a running agent, and those that ask once. */
#include "agent/cli/nat-cli.h"

#include <gio/gio.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "agent/base/nat-json.h"
#include "agent/config/nat-config.h"
#include "agent/control/nat-control.h"
#include "agent/control/nat-service.h"

#define TIMEOUT_MS 30000 /* a reload may have to look names up */
#define DEFAULT_WIDTH 80

char *
nat_cli_control(const NatCli *cli)
{
	const char *path = nat_config_default_control();
	g_autofree char *instance = NULL;

	if (cli->control)
		return g_strdup(cli->control);
	if (!cli->interfaces || !cli->interfaces[0] || g_getenv("NAT_AGENT_CONTROL") ||
	    access(path, F_OK) == 0)
		return g_strdup(path);
	/* nat-agent@IF.service; the name was not checked, and must lead nowhere else */
	instance = g_strdup_printf(NAT_CONFIG_INSTANCE_CONTROL, cli->interfaces[0]);
	if (strchr(cli->interfaces[0], '/') || access(instance, F_OK) != 0)
		return g_strdup(path);
	return g_steal_pointer(&instance);
}

JsonNode *
nat_cli_whom(const NatCli *cli)
{
	JsonObject *obj = json_object_new();

	if (cli->interfaces && cli->interfaces[0])
		json_object_set_string_member(obj, "interface", cli->interfaces[0]);
	if (cli->peer)
		json_object_set_string_member(obj, "peer", cli->peer);
	return nat_json_node_take(obj);
}

int
nat_cli_exit_code(const GError *error)
{
	/* an agent answered */
	if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT))
		return NAT_EXIT_USAGE;
	if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_FAILED) ||
	    g_error_matches(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED))
		return NAT_EXIT_FAILED;
	return NAT_EXIT_NO_AGENT;
}

int
nat_cli_fail(const GError *error)
{
	g_printerr("nat-agent: %s\n", error->message);
	return nat_cli_exit_code(error);
}

gboolean
nat_cli_put(const char *text)
{
	return fputs(text, stdout) != EOF && fflush(stdout) == 0;
}

static sigset_t
ending_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	return set;
}

void
nat_cli_hold_signals(void)
{
	sigset_t set = ending_signals();

	sigprocmask(SIG_BLOCK, &set, NULL);
}

gboolean
nat_cli_pause(gint64 due_us)
{
	gint64 left = MAX(due_us - g_get_monotonic_time(), 0);
	struct timespec wait = {.tv_sec = left / G_USEC_PER_SEC,
				.tv_nsec = left % G_USEC_PER_SEC * 1000};
	sigset_t set = ending_signals();

	return sigtimedwait(&set, NULL, &wait) >= 0;
}

gboolean
nat_cli_wants_colour(void)
{
	const char *no = g_getenv("NO_COLOR"), *term = g_getenv("TERM"); /* https://no-color.org */

	return isatty(STDOUT_FILENO) && !(no && *no) && g_strcmp0(term, "dumb") != 0;
}

void
nat_cli_screen_size(guint *width, guint *height)
{
	struct winsize size;
	guint unused;

	if (!height)
		height = &unused;
	*width = DEFAULT_WIDTH;
	*height = G_MAXUINT;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0)
		return;
	if (size.ws_col > 0)
		*width = size.ws_col;
	if (size.ws_row > 0)
		*height = size.ws_row;
}

static int
ask_once(const NatCli *cli, const char *method)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(JsonNode) whom = nat_cli_whom(cli);
	g_autofree char *control = nat_cli_control(cli);
	g_autoptr(JsonNode) reply = nat_control_call(control, method, whom, TIMEOUT_MS, &error);

	return reply ? NAT_EXIT_OK : nat_cli_fail(error);
}

int
nat_cli_restart(const NatCli *cli)
{
	return ask_once(cli, NAT_SERVICE_RESTART_PEER);
}

int
nat_cli_reload(const NatCli *cli)
{
	return ask_once(cli, NAT_SERVICE_RELOAD);
}
