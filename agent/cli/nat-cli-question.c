/* SPDX-License-Identifier: MIT */
/* The command line of what is asked of a running agent: events, ping, restart, reload, bugreport.
 */
#include <string.h>

#include "agent/base/nat-log.h"
#include "agent/cli/nat-cli-flags.h"
#include "agent/config/nat-config.h"

static gboolean
take_count(NatCliFlags *flags, NatCli *cli, GError **error)
{
	g_autofree char *text = NULL;
	guint64 value = 0;

	if (!nat_cli_take_one("--count", flags->count, &text, error))
		return FALSE;
	if (text && !g_ascii_string_to_unsigned(text, 10, 1, 1000000, &value, NULL))
		return nat_cli_usage(error, "--count \"%s\": a number of probes, 1 to 1000000",
				     text);
	cli->count = (guint)value;
	return TRUE;
}

/* What is asked of a running agent. */
typedef struct {
	NatCliCommand command;
	const char *name, *title, *about;
	gboolean wants_peer, takes_peer, takes_json;
} Question;

static const Question QUESTIONS[] = {
	{NAT_CLI_EVENTS, "events", "[PEER] - show what happened lately, and what happens",
	 "Oldest first; then each event as it comes, until interrupted. PEER is a name, a public "
	 "key, or how\nthe key begins.\n",
	 FALSE, TRUE, TRUE},
	{NAT_CLI_PING, "ping", "PEER - probe the paths to a peer",
	 "Asks the agent for a probe (authenticated STUN, answered by the peer's agent) each "
	 "second, until\ninterrupted.\nExit status: 0 something answered, 1 nothing did, 2 usage, "
	 "3 "
	 "no agent.\n",
	 TRUE, TRUE, TRUE},
	{NAT_CLI_RESTART, "restart", "PEER - look for the way to a peer anew",
	 "What failed before is forgotten and tried again. A tunnel that is up stays up.\n", TRUE,
	 TRUE, FALSE},
	{NAT_CLI_RELOAD, "reload", "- read the configuration file again",
	 "The same as SIGHUP, and says what is wrong. Interfaces whose part of it did not change "
	 "are not touched.\n",
	 FALSE, FALSE, FALSE},
	{NAT_CLI_BUGREPORT, "bugreport", "- write down what explains a problem",
	 "Status, events, configuration without secrets, versions, routes, firewall rules that "
	 "matter and the state\nof WireGuard, in one file, which is readable by you alone.\n",
	 FALSE, FALSE, FALSE},
};

static gboolean
take_question(const Question *question, NatCliFlags *flags, NatCli *cli, GError **error)
{
	char **rest = flags->rest;
	guint max = question->takes_peer ? 1 : 0;

	if (rest && g_strv_length(rest) > max) {
		g_autofree char *shown = nat_log_conceal(rest[max]);

		return nat_cli_usage(error,
				     "\"%s\" is one argument too many: see nat-agent %s --help",
				     shown, question->name);
	}
	cli->peer = rest ? g_strdup(rest[0]) : NULL;
	if ((question->wants_peer && !cli->peer) || (cli->peer && !*cli->peer))
		return nat_cli_usage(error,
				     "whom? give a name, a key or how the key begins: nat-agent %s "
				     "PEER",
				     question->name);
	cli->json = flags->json;
	cli->once = flags->once;
	cli->paths = flags->paths;
	if (flags->interfaces && flags->interfaces[0] && flags->interfaces[1])
		return nat_cli_usage(error, "--interface is given twice: keep one");
	return nat_cli_take_many("--interface", &flags->interfaces, &cli->interfaces, error) &&
	       take_count(flags, cli, error) && nat_cli_take_control(flags, cli, error) &&
	       nat_cli_take_one("--output", flags->output, &cli->output, error) &&
	       nat_cli_take_one("-c", flags->file, &cli->file, error);
}

static gboolean
parse_one(const Question *question, const char *const *argv, NatCli *cli, NatCliFlags *flags,
	  GError **error)
{
	const GOptionEntry json = {
		"json", 0, 0, G_OPTION_ARG_NONE, &flags->json, "Print JSON, an object a line",
		NULL};
	const GOptionEntry once = {
		"once", 0, 0, G_OPTION_ARG_NONE, &flags->once, "End after what there is", NULL};
	const GOptionEntry paths = {"paths",
				    0,
				    0,
				    G_OPTION_ARG_NONE,
				    &flags->paths,
				    "Probe each path, not only the one in use",
				    NULL};
	const GOptionEntry count = {
		"count", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &flags->count, "End after so many",
		"N"};
	const GOptionEntry interface = {
		"interface",	       0,   0, G_OPTION_ARG_FILENAME_ARRAY, &flags->interfaces,
		"Only this interface", "IF"};
	/* whose agent is meant, where each interface has its own */
	const GOptionEntry instance = {"interface",
				       0,
				       0,
				       G_OPTION_ARG_FILENAME_ARRAY,
				       &flags->interfaces,
				       "The agent of nat-agent@IF.service, where there is no other",
				       "IF"};
	const GOptionEntry files[] = {
		{"output", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &flags->output,
		 "Write this file, which must not be there yet; - for stdout", "FILE"},
		{"config", 'c', 0, G_OPTION_ARG_FILENAME_ARRAY, &flags->file,
		 "The agent's file, default /etc/nat-agent/nat-agent.conf", "FILE"},
	};
	const GOptionEntry common[] = {
		{"control", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &flags->control,
		 "Control socket, default " NAT_CONFIG_DEFAULT_CONTROL, "PATH"},
		{"help", 'h', 0, G_OPTION_ARG_NONE, &flags->help, "Show this", NULL},
		{G_OPTION_REMAINING, 0, G_OPTION_FLAG_HIDDEN, G_OPTION_ARG_FILENAME_ARRAY,
		 &flags->rest, NULL, NULL},
	};
	g_autoptr(GArray) entries = g_array_new(TRUE, TRUE, sizeof(GOptionEntry));
	g_autoptr(GOptionContext) context = g_option_context_new(question->title);

	if (question->takes_json)
		g_array_append_val(entries, json);
	if (question->command == NAT_CLI_EVENTS)
		g_array_append_val(entries, once);
	if (question->command == NAT_CLI_PING) {
		g_array_append_val(entries, paths);
		g_array_append_val(entries, count);
	}
	if (question->command == NAT_CLI_BUGREPORT)
		g_array_append_vals(entries, files, G_N_ELEMENTS(files));
	if (question->takes_peer)
		g_array_append_val(entries, interface);
	else
		g_array_append_val(entries, instance);
	g_array_append_vals(entries, common, G_N_ELEMENTS(common));
	g_option_context_set_description(context, question->about);
	if (!nat_cli_parse_flags(context, (const GOptionEntry *)(gpointer)entries->data, argv,
				 question->name, error))
		return FALSE;
	if (flags->help) {
		cli->command = NAT_CLI_HELP;
		cli->help = g_option_context_get_help(context, TRUE, NULL);
		return TRUE;
	}
	cli->command = question->command;
	return take_question(question, flags, cli, error);
}

static const Question *
find_question(const char *command)
{
	for (guint i = 0; i < G_N_ELEMENTS(QUESTIONS); i++)
		if (strcmp(command, QUESTIONS[i].name) == 0)
			return &QUESTIONS[i];
	return NULL;
}

gboolean
nat_cli_parse_question(const char *command, const char *const *argv, NatCli *cli,
		       NatCliFlags *flags, gboolean *known, GError **error)
{
	const Question *question = find_question(command);

	*known = question != NULL;
	return question && parse_one(question, argv, cli, flags, error);
}
