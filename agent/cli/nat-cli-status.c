/* SPDX-License-Identifier: MIT */
/* nat-agent status: one call to the control socket, printed; with --watch every second. */
#include "agent/cli/nat-cli.h"

#include <errno.h>
#include <gio/gio.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/nat-json.h"
#include "agent/base/nat-log.h"
#include "agent/control/nat-control.h"
#include "agent/control/nat-service.h"
#include "agent/status/nat-status.h"

#define TIMEOUT_MS 5000
#define WATCH_US G_USEC_PER_SEC

typedef struct {
	const NatCli *cli;
	const char *control;
	const char *interface; /* NULL: all */
	gboolean tty, colour;
} View;

/* The agent's answer, as it is. */
static JsonNode *
fetch(const View *view, GError **error)
{
	g_autoptr(JsonNode) whom = view->cli->peer ? nat_cli_whom(view->cli) : NULL;
	g_autoptr(JsonNode) reply = NULL;
	JsonObject *status = NULL;

	/* an older agent ignores what it does not know, and answers with all */
	if (whom)
		json_object_set_boolean_member(json_node_get_object(whom), "detail", TRUE);
	reply = nat_control_call(view->control, NAT_SERVICE_STATUS, whom, TIMEOUT_MS, error);

	if (!reply || !nat_json_get_object(json_node_get_object(reply), "status", &status, error))
		return NULL;
	if (!status) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
			    "what answers at %s is not nat-agent", view->control);
		return NULL;
	}
	return json_node_copy(json_object_get_member(json_node_get_object(reply), "status"));
}

/* Unfiltered JSON is passed on untouched, with whatever a newer agent has added. */
static char *
render_json(const View *view, JsonNode *answer, const NatStatus *status)
{
	g_autoptr(JsonNode) node = NULL;
	g_autofree char *text = NULL;

	if (view->interface || view->cli->peer)
		node = nat_status_to_json(status);
	else
		node = json_node_ref(answer);
	text = nat_json_print(node, !view->cli->watch);
	return g_strconcat(text, "\n", NULL);
}

/* What to print, and the exit status; NULL with an error, *code set too. */
static char *
render(const View *view, guint width, int *code, GError **error)
{
	g_autoptr(GError) cause = NULL;
	g_autoptr(JsonNode) answer = fetch(view, &cause);
	g_autoptr(NatStatus) status = NULL;

	*code = NAT_EXIT_NO_AGENT;
	if (!answer) {
		*code = nat_cli_exit_code(cause);
		g_propagate_error(error, g_steal_pointer(&cause));
		return NULL;
	}
	status = nat_status_from_json(answer, error);
	if (!status)
		return NULL;
	*code = NAT_EXIT_USAGE;
	if (!nat_status_filter(status, view->interface, view->cli->peer, error))
		return NULL;
	*code = nat_status_exit_code(status);
	if (view->cli->json)
		return render_json(view, answer, status);
	/* the filter has settled whom the text meant: it may have been a name, or a key's beginning
	 */
	return nat_status_to_text(status, view->interface, view->cli->peer, view->colour, width);
}

/* Over the last picture, line by line, then the rest is cleared: no blank moment between two. What
 * does not fit on the screen would scroll it, so it is cut. */
static char *
as_screen(const char *text, guint height)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	guint n = g_strv_length(lines);
	GString *out = g_string_new("\033[H");

	/* the last piece is what follows the last newline: nothing */
	n = n > 0 ? n - 1 : 0;
	for (guint i = 0; i < n && i + 1 < height; i++) {
		if (i + 2 == height && n - i > 1)
			g_string_append_printf(out, "\033[0m... %u more lines\033[K\n", n - i);
		else
			g_string_append_printf(out, "%s\033[K\n", lines[i]);
	}
	g_string_append(out, "\033[J");
	return g_string_free(out, FALSE);
}

/* On a terminal too narrow for a line, the line is cut: broken it would scroll the picture away. */
#define SCREEN_BEGINS "\033[?7l\033[H\033[2J"
#define SCREEN_ENDS "\033[?7h"

/* Until interrupted, or nobody reads any more. */
static int
watch_on(const View *view, gboolean screen)
{
	gboolean first = TRUE;
	int code;

	for (;; first = FALSE) {
		gint64 began = g_get_monotonic_time();
		g_autoptr(GError) error = NULL;
		g_autofree char *text = NULL, *shown = NULL;
		guint width, height;

		nat_cli_screen_size(&width, &height);
		text = render(view, width, &code, &error);
		/* an agent that restarts is waited for; one that was never there is not */
		if (!text && first) {
			g_printerr("nat-agent: %s\n", error->message);
			return code;
		}
		if (!text && view->cli->json)
			text = g_strdup("");
		else if (!text)
			text = g_strconcat(error->message, "\n", NULL);
		if (screen && first && !nat_cli_put(SCREEN_BEGINS))
			return code;
		shown = screen ? as_screen(text, height) : g_strdup(text);
		if (!nat_cli_put(shown) || nat_cli_pause(began + WATCH_US))
			return code;
		if (!screen && !view->cli->json && !nat_cli_put("\n"))
			return code;
	}
}

static int
watch(const View *view)
{
	gboolean screen = view->tty && !view->cli->json;
	int code;

	nat_cli_hold_signals();
	code = watch_on(view, screen);
	if (screen)
		nat_cli_put(SCREEN_ENDS);
	return code;
}

static int
once(const View *view)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *text = NULL;
	guint width, height;
	int code;

	nat_cli_screen_size(&width, &height);
	text = render(view, width, &code, &error);
	if (!text) {
		g_printerr("nat-agent: %s\n", error->message);
		return code;
	}
	if (!nat_cli_put(text) && errno != EPIPE)
		g_printerr("nat-agent: cannot write: %s\n", g_strerror(errno));
	return code;
}

int
nat_cli_status(const NatCli *cli)
{
	g_autofree char *control = nat_cli_control(cli);
	View view = {
		.cli = cli,
		.control = control,
		.interface = cli->interfaces ? cli->interfaces[0] : NULL,
		.tty = isatty(STDOUT_FILENO),
		.colour = nat_cli_wants_colour(),
	};

	/* the exit status is the peers', also when the reader went away */
	signal(SIGPIPE, SIG_IGN);
	return cli->watch ? watch(&view) : once(&view);
}
