/* SPDX-License-Identifier: MIT */
/* nat-agent events: what happened lately, oldest first, then each event as it comes. */
#include "agent/cli/nat-cli.h"

#include <gio/gio.h>
#include <signal.h>
#include <stdio.h>

#include "agent/base/nat-json.h"
#include "agent/base/nat-log.h"
#include "agent/control/nat-control.h"
#include "agent/control/nat-service.h"
#include "agent/status/nat-events.h"

#define TIMEOUT_MS 5000

/* One line; NULL: of a kind that this version does not know, and is no JSON. */
static char *
event_line(const NatCli *cli, JsonNode *node)
{
	g_autoptr(NatEvent) event = NULL;
	g_autofree char *text = NULL;

	if (!JSON_NODE_HOLDS_OBJECT(node))
		return NULL;
	if (cli->json) {
		text = nat_json_print(node, FALSE);
		return g_strconcat(text, "\n", NULL);
	}
	event = nat_event_from_json(json_node_get_object(node), g_get_monotonic_time(), NULL);
	if (!event)
		return NULL;
	text = nat_event_to_text(event, TRUE);
	return g_strconcat(text, "\n", NULL);
}

/* FALSE: nobody reads any more, or the answer is none. */
static gboolean
print_events(const NatCli *cli, JsonNode *reply, GError **error)
{
	JsonObject *obj = json_node_get_object(reply);
	JsonArray *list = NULL;
	gint64 missed = 0;

	if (!nat_json_get_array(obj, "events", &list, error) ||
	    !nat_json_get_int(obj, "missed", &missed, error))
		return FALSE;
	/* a line of JSON is an event, and nothing else */
	if (missed > 0)
		g_printerr("nat-agent: %" G_GINT64_FORMAT
			   " events were left out: they were not read in "
			   "time\n",
			   missed);
	for (guint i = 0; list && i < json_array_get_length(list); i++) {
		g_autofree char *line = event_line(cli, json_array_get_element(list, i));

		if (line && !nat_cli_put(line))
			return FALSE;
	}
	return TRUE;
}

int
nat_cli_events(const NatCli *cli)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(JsonNode) whom = nat_cli_whom(cli);
	g_autofree char *control = nat_cli_control(cli);
	g_autoptr(NatControlClient) client = nat_control_client_new(control, TIMEOUT_MS, &error);
	guint timeout_ms = TIMEOUT_MS;
	gboolean more = TRUE;

	signal(SIGPIPE, SIG_IGN);
	if (!client || !nat_control_client_send(client, NAT_SERVICE_EVENTS, whom, !cli->once,
						TIMEOUT_MS, &error))
		return nat_cli_fail(error);
	while (more) {
		g_autoptr(JsonNode) reply =
			nat_control_client_receive(client, timeout_ms, &more, &error);

		if (!reply)
			return nat_cli_fail(error);
		if (!print_events(cli, reply, &error))
			return error ? nat_cli_fail(error) : NAT_EXIT_OK;
		timeout_ms = 0; /* the next may come tomorrow */
	}
	return NAT_EXIT_OK;
}
