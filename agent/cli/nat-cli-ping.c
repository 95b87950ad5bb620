/* SPDX-License-Identifier: MIT */
/* nat-agent ping: a probe each second by the running agent, on the path in use or on each. */
#include "agent/cli/nat-cli.h"

#include <gio/gio.h>
#include <signal.h>
#include <stdio.h>

#include "agent/base/nat-json.h"
#include "agent/base/nat-log.h"
#include "agent/base/nat-text.h"
#include "agent/control/nat-control.h"
#include "agent/control/nat-service.h"

#define TIMEOUT_MS 5000
#define INTERVAL_US G_USEC_PER_SEC

/* What became of one path's probes. */
typedef struct {
	char *text; /* "10.0.0.1:51820 -> 10.0.0.2:51820 direct" */
	guint sent, answered;
	double least, most, sum; /* ms */
} Tally;

static void
tally_free(gpointer p)
{
	Tally *tally = p;

	g_free(tally->text);
	g_free(tally);
}

static Tally *
tally_of(GPtrArray *tallies, const char *text)
{
	Tally *tally;

	for (guint i = 0; i < tallies->len; i++) {
		tally = g_ptr_array_index(tallies, i);
		if (g_str_equal(tally->text, text))
			return tally;
	}
	tally = g_new0(Tally, 1);
	tally->text = g_strdup(text);
	g_ptr_array_add(tallies, tally);
	return tally;
}

static void
count(Tally *tally, double rtt_ms)
{
	tally->sent++;
	if (rtt_ms < 0)
		return;
	tally->least = tally->answered == 0 ? rtt_ms : MIN(tally->least, rtt_ms);
	tally->most = MAX(tally->most, rtt_ms);
	tally->sum += rtt_ms;
	tally->answered++;
}

static char *
candidate_words(JsonObject *answer, const char *member)
{
	const char *endpoint = NULL;
	JsonObject *cand = NULL;

	if (!nat_json_get_object(answer, member, &cand, NULL) || !cand ||
	    !nat_json_get_string(cand, "endpoint", &endpoint, NULL) || !endpoint)
		return g_strdup("unknown");
	return nat_log_escape(endpoint, -1);
}

static gboolean
print_answer(const NatCli *cli, JsonNode *node, guint number, GPtrArray *tallies)
{
	JsonObject *answer = json_node_get_object(node);
	g_autofree char *local = candidate_words(answer, "local");
	g_autofree char *remote = candidate_words(answer, "remote");
	g_autofree char *path = NULL, *rtt = NULL, *line = NULL;
	const char *kind = NULL;
	gboolean chosen = FALSE;
	double ms = -1;

	nat_json_get_string(answer, "kind", &kind, NULL);
	nat_json_get_boolean(answer, "chosen", &chosen, NULL);
	nat_json_get_double(answer, "rtt_ms", &ms, NULL);
	path = g_strdup_printf("%s -> %s %s", local, remote,
			       g_strcmp0(kind, "relay") == 0 ? "relay" : "direct");
	count(tally_of(tallies, path), ms);
	if (cli->json) {
		rtt = nat_json_print(node, FALSE);
		line = g_strconcat(rtt, "\n", NULL);
	} else {
		rtt = ms >= 0 ? nat_text_ms(ms) : g_strdup("no answer");
		line = g_strdup_printf("%u  %-9s  %s%s\n", number, rtt, path,
				       cli->paths && chosen ? " (in use)" : "");
	}
	return nat_cli_put(line);
}

static gboolean
print_answers(const NatCli *cli, JsonNode *reply, guint number, GPtrArray *tallies)
{
	JsonArray *list = NULL;

	if (!nat_json_get_array(json_node_get_object(reply), "answers", &list, NULL))
		return TRUE;
	for (guint i = 0; list && i < json_array_get_length(list); i++) {
		JsonNode *node = json_array_get_element(list, i);

		if (JSON_NODE_HOLDS_OBJECT(node) && !print_answer(cli, node, number, tallies))
			return FALSE;
	}
	return TRUE;
}

static void
print_tallies(const NatCli *cli, GPtrArray *tallies)
{
	for (guint i = 0; i < tallies->len && !cli->json; i++) {
		const Tally *t = g_ptr_array_index(tallies, i);
		g_autoptr(GString) line = g_string_new(i == 0 ? "\n" : "");

		g_string_append_printf(line, "%s: %u of %u answered, %.0f%% lost", t->text,
				       t->answered, t->sent,
				       100.0 * (t->sent - t->answered) / t->sent);
		if (t->answered > 0)
			g_string_append_printf(line, "; least/mean/most %.2f/%.2f/%.2f ms",
					       t->least, t->sum / t->answered, t->most);
		g_string_append_c(line, '\n');
		nat_cli_put(line->str);
	}
}

static gboolean
any_answered(const GPtrArray *tallies)
{
	for (guint i = 0; i < tallies->len; i++)
		if (((const Tally *)g_ptr_array_index(tallies, i))->answered > 0)
			return TRUE;
	return FALSE;
}

static int
ping_on(const NatCli *cli, NatControlClient *client, GPtrArray *tallies)
{
	g_autoptr(JsonNode) whom = nat_cli_whom(cli);

	json_object_set_boolean_member(json_node_get_object(whom), "paths", cli->paths);
	for (guint i = 1; cli->count == 0 || i <= cli->count; i++) {
		gint64 began = g_get_monotonic_time();
		g_autoptr(GError) error = NULL;
		g_autoptr(JsonNode) reply = NULL;

		if (nat_control_client_send(client, NAT_SERVICE_PING, whom, FALSE, TIMEOUT_MS,
					    &error))
			reply = nat_control_client_receive(client, TIMEOUT_MS, NULL, &error);
		if (!reply && (i == 1 || !g_error_matches(error, G_IO_ERROR, G_IO_ERROR_FAILED))) {
			print_tallies(cli, tallies);
			return nat_cli_fail(error);
		}
		/* the path went, and may come back: that is what is looked for */
		if (!reply)
			g_printerr("%u  %s\n", i, error->message);
		if ((reply && !print_answers(cli, reply, i, tallies)) ||
		    (i != cli->count && nat_cli_pause(began + INTERVAL_US)))
			break;
	}
	print_tallies(cli, tallies);
	return any_answered(tallies) ? NAT_EXIT_OK : NAT_EXIT_FAILED;
}

int
nat_cli_ping(const NatCli *cli)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) tallies = g_ptr_array_new_with_free_func(tally_free);
	g_autofree char *control = nat_cli_control(cli);
	g_autoptr(NatControlClient) client = nat_control_client_new(control, TIMEOUT_MS, &error);

	if (!client)
		return nat_cli_fail(error);
	signal(SIGPIPE, SIG_IGN);
	/* the sums are shown at the end, also at this one */
	nat_cli_hold_signals();
	return ping_on(cli, client, tallies);
}
