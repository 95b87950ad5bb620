/* SPDX-License-Identifier: MIT */
#include "agent/nat-cli.h"

#include <string.h>

#include "agent/innernet/inn-conf.h"
#include "agent/nat-config.h"
#include "agent/nat-log.h"

/* Every flag is collected as a list, so that one given twice is noticed, and as bytes: what may
 * stand in it is for the checks to say. */
typedef struct {
	gboolean help, json, watch, once, paths, delete_invite;
	char **count, **output;
	char **config_dir;
	char **file, **interfaces, **signal_url, **stun, **turn, **control, **rest;
} Flags;

static const char USAGE[] =
	"nat-agent: direct paths for WireGuard peers behind NATs\n"
	"\n"
	"  nat-agent run       serve WireGuard interfaces, in the foreground\n"
	"  nat-agent status    show what a running agent knows\n"
	"  nat-agent events    show what happened lately, and what happens\n"
	"  nat-agent ping      probe the paths to a peer\n"
	"  nat-agent restart   look for the way to a peer anew\n"
	"  nat-agent reload    read the configuration file again\n"
	"  nat-agent bugreport write down what explains a problem, without secrets\n"
	"  nat-agent netcheck  show what this network lets WireGuard do\n"
	"  nat-agent innernet install INVITATION\n"
	"                      become a member of an innernet network\n"
	"  nat-agent --version\n"
	"  nat-agent COMMAND --help\n";

/* Where a value of the command line is shown it comes from nat_log_conceal(). */
static gboolean G_GNUC_PRINTF(2, 3) usage(GError **error, const char *format, ...)
{
	g_autofree char *text = NULL, *plain = NULL;
	va_list args;

	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	plain = nat_log_escape(text, -1);
	g_set_error_literal(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, plain);
	return FALSE;
}

void
nat_cli_free(NatCli *cli)
{
	if (!cli)
		return;
	g_free(cli->help);
	g_free(cli->file);
	g_strfreev(cli->interfaces);
	g_free(cli->signal_url);
	g_strfreev(cli->stun);
	g_strfreev(cli->turn);
	g_free(cli->control);
	g_free(cli->peer);
	g_free(cli->output);
	g_free(cli->invite);
	g_free(cli->config_dir);
	g_free(cli);
}

static void
flags_clear(Flags *flags)
{
	g_strfreev(flags->file);
	g_strfreev(flags->interfaces);
	g_strfreev(flags->signal_url);
	g_strfreev(flags->stun);
	g_strfreev(flags->turn);
	g_strfreev(flags->control);
	g_strfreev(flags->config_dir);
	g_strfreev(flags->count);
	g_strfreev(flags->output);
	g_strfreev(flags->rest);
}

/* GOption takes whatever follows as the value, also the next flag. */
static gboolean
check_values(const char *flag, char **values, GError **error)
{
	for (guint i = 0; values && values[i]; i++) {
		g_autofree char *shown = nat_log_conceal(values[i]);

		if (*values[i] == '\0' || (*values[i] == '-' && values[i][1] != '\0'))
			return usage(error, "%s wants a value, not \"%s\"", flag, shown);
	}
	return TRUE;
}

static gboolean
take_one(const char *flag, char **values, char **out, GError **error)
{
	if (!check_values(flag, values, error))
		return FALSE;
	if (values && values[0] && values[1])
		return usage(error, "%s is given twice: keep one", flag);
	*out = values ? g_strdup(values[0]) : NULL;
	return TRUE;
}

static gboolean
take_many(const char *flag, char ***values, GStrv *out, GError **error)
{
	if (!check_values(flag, *values, error))
		return FALSE;
	*out = g_steal_pointer(values);
	return TRUE;
}

static gboolean
take_control(Flags *flags, NatCli *cli, GError **error)
{
	if (!take_one("--control", flags->control, &cli->control, error))
		return FALSE;
	if (cli->control && !nat_config_check_control(cli->control, error)) {
		g_prefix_error(error, "--control: ");
		return FALSE;
	}
	return TRUE;
}

static gboolean
take_run(Flags *flags, NatCli *cli, GError **error)
{
	g_autofree char *shown =
		flags->rest && flags->rest[0] ? nat_log_conceal(flags->rest[0]) : NULL;

	if (!take_one("-c", flags->file, &cli->file, error) ||
	    !take_many("--interface", &flags->interfaces, &cli->interfaces, error) ||
	    !take_one("--signal", flags->signal_url, &cli->signal_url, error) ||
	    !take_many("--stun", &flags->stun, &cli->stun, error) ||
	    !take_many("--turn", &flags->turn, &cli->turn, error) ||
	    !take_control(flags, cli, error))
		return FALSE;
	/* last: where a flag lacks its value, its neighbour stands alone and is not at fault */
	if (shown)
		return usage(error,
			     "\"%s\" is not a flag: interfaces are named with --interface IF",
			     shown);
	return TRUE;
}

static gboolean
take_status(Flags *flags, NatCli *cli, GError **error)
{
	char **rest = flags->rest;

	if (rest && rest[0] && rest[1])
		return usage(error, "\"%s\" is one PEER too many: give at most one", rest[1]);
	cli->peer = rest ? g_strdup(rest[0]) : NULL;
	if (cli->peer && !*cli->peer)
		return usage(error, "the PEER is empty: give a name, a key or how the key begins");
	cli->json = flags->json;
	cli->watch = flags->watch;
	if (flags->interfaces && flags->interfaces[0] && flags->interfaces[1])
		return usage(error,
			     "--interface is given twice: status shows one, or all without it");
	return take_many("--interface", &flags->interfaces, &cli->interfaces, error) &&
	       take_control(flags, cli, error);
}

static gboolean
parse_flags(GOptionContext *context, const GOptionEntry *entries, const char *const *argv,
	    const char *command, GError **error)
{
	g_auto(GStrv) args = g_strdupv((GStrv)argv);
	g_autoptr(GError) cause = NULL;
	g_autofree char *shown = NULL;

	g_option_context_add_main_entries(context, entries, NULL);
	g_option_context_set_help_enabled(context, FALSE);
	if (g_option_context_parse_strv(context, &args, &cause))
		return TRUE;
	shown = nat_log_conceal(cause->message);
	return usage(error, "%s: see nat-agent %s --help", shown, command);
}

static gboolean
parse_run(const char *const *argv, NatCli *cli, Flags *flags, GError **error)
{
	const GOptionEntry entries[] = {
		{"config", 'c', 0, G_OPTION_ARG_FILENAME_ARRAY, &flags->file, "Read this file",
		 "FILE"},
		{"interface", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &flags->interfaces,
		 "WireGuard interface to serve; may be repeated", "IF"},
		{"signal", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &flags->signal_url,
		 "Signaling server, wss://HOST[:PORT] or ws://...", "URL"},
		{"stun", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &flags->stun,
		 "Further STUN server; may be repeated", "HOST[:PORT]"},
		{"turn", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &flags->turn,
		 "TURN server, turn:USER:SECRET@HOST; may be repeated", "URI"},
		{"control", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &flags->control,
		 "Control socket, default " NAT_CONFIG_DEFAULT_CONTROL, "PATH"},
		{"help", 'h', 0, G_OPTION_ARG_NONE, &flags->help, "Show this", NULL},
		{G_OPTION_REMAINING, 0, G_OPTION_FLAG_HIDDEN, G_OPTION_ARG_FILENAME_ARRAY,
		 &flags->rest, NULL, NULL},
		{NULL},
	};
	g_autoptr(GOptionContext) context = g_option_context_new("- serve WireGuard interfaces");

	g_option_context_set_description(
		context, "Everybody on this machine can read a command line: a TURN URI with its "
			 "secret is better\nplaced in FILE, as turn=URI.\n");
	if (!parse_flags(context, entries, argv, "run", error))
		return FALSE;
	if (flags->help) {
		cli->command = NAT_CLI_HELP;
		cli->help = g_option_context_get_help(context, TRUE, NULL);
		return TRUE;
	}
	cli->command = NAT_CLI_RUN;
	return take_run(flags, cli, error);
}

static gboolean
parse_status(const char *const *argv, NatCli *cli, Flags *flags, GError **error)
{
	const GOptionEntry entries[] = {
		{"json", 0, 0, G_OPTION_ARG_NONE, &flags->json, "Print JSON", NULL},
		{"watch", 0, 0, G_OPTION_ARG_NONE, &flags->watch, "Show it anew every second",
		 NULL},
		{"interface", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &flags->interfaces,
		 "Only this interface", "IF"},
		{"control", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &flags->control,
		 "Control socket, default " NAT_CONFIG_DEFAULT_CONTROL, "PATH"},
		{"help", 'h', 0, G_OPTION_ARG_NONE, &flags->help, "Show this", NULL},
		{G_OPTION_REMAINING, 0, G_OPTION_FLAG_HIDDEN, G_OPTION_ARG_FILENAME_ARRAY,
		 &flags->rest, NULL, NULL},
		{NULL},
	};
	g_autoptr(GOptionContext) context =
		g_option_context_new("[PEER] - show what an agent knows");

	g_option_context_set_description(
		context,
		"PEER is a name, a public key, or how the key begins.\n"
		"Exit status: 0 every peer connected, 1 some peer not, 2 usage, 3 no agent.\n");
	if (!parse_flags(context, entries, argv, "status", error))
		return FALSE;
	if (flags->help) {
		cli->command = NAT_CLI_HELP;
		cli->help = g_option_context_get_help(context, TRUE, NULL);
		return TRUE;
	}
	cli->command = NAT_CLI_STATUS;
	return take_status(flags, cli, error);
}

static gboolean
take_count(Flags *flags, NatCli *cli, GError **error)
{
	g_autofree char *text = NULL;
	guint64 value = 0;

	if (!take_one("--count", flags->count, &text, error))
		return FALSE;
	if (text && !g_ascii_string_to_unsigned(text, 10, 1, 1000000, &value, NULL))
		return usage(error, "--count \"%s\": a number of probes, 1 to 1000000", text);
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
take_question(const Question *question, Flags *flags, NatCli *cli, GError **error)
{
	char **rest = flags->rest;
	guint max = question->takes_peer ? 1 : 0;

	if (rest && g_strv_length(rest) > max) {
		g_autofree char *shown = nat_log_conceal(rest[max]);

		return usage(error, "\"%s\" is one argument too many: see nat-agent %s --help",
			     shown, question->name);
	}
	cli->peer = rest ? g_strdup(rest[0]) : NULL;
	if ((question->wants_peer && !cli->peer) || (cli->peer && !*cli->peer))
		return usage(error,
			     "whom? give a name, a key or how the key begins: nat-agent %s "
			     "PEER",
			     question->name);
	cli->json = flags->json;
	cli->once = flags->once;
	cli->paths = flags->paths;
	if (flags->interfaces && flags->interfaces[0] && flags->interfaces[1])
		return usage(error, "--interface is given twice: keep one");
	return take_many("--interface", &flags->interfaces, &cli->interfaces, error) &&
	       take_count(flags, cli, error) && take_control(flags, cli, error) &&
	       take_one("--output", flags->output, &cli->output, error) &&
	       take_one("-c", flags->file, &cli->file, error);
}

static gboolean
parse_question(const Question *question, const char *const *argv, NatCli *cli, Flags *flags,
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
	g_array_append_vals(entries, common, G_N_ELEMENTS(common));
	g_option_context_set_description(context, question->about);
	if (!parse_flags(context, (const GOptionEntry *)(gpointer)entries->data, argv,
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

static gboolean
take_netcheck(Flags *flags, NatCli *cli, GError **error)
{
	g_autofree char *shown =
		flags->rest && flags->rest[0] ? nat_log_conceal(flags->rest[0]) : NULL;
	NatConfigFlags given;

	cli->json = flags->json;
	if (!take_one("--signal", flags->signal_url, &cli->signal_url, error) ||
	    !take_many("--stun", &flags->stun, &cli->stun, error) ||
	    !take_many("--turn", &flags->turn, &cli->turn, error))
		return FALSE;
	given = (NatConfigFlags){
		.signal_url = cli->signal_url,
		.stun = (const char *const *)cli->stun,
		.turn = (const char *const *)cli->turn,
	};
	if (!nat_config_check_flags(&given, error))
		return FALSE;
	if (shown)
		return usage(error, "\"%s\" is not a flag: servers are named with --stun HOST",
			     shown);
	return TRUE;
}

static gboolean
parse_netcheck(const char *const *argv, NatCli *cli, Flags *flags, GError **error)
{
	const GOptionEntry entries[] = {
		{"json", 0, 0, G_OPTION_ARG_NONE, &flags->json, "Print JSON", NULL},
		{"signal", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &flags->signal_url,
		 "Signaling server, wss://HOST[:PORT]; STUN is tried there too", "URL"},
		{"stun", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &flags->stun,
		 "STUN server; may be repeated", "HOST[:PORT]"},
		{"turn", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &flags->turn,
		 "TURN server, turn:HOST; may be repeated", "URI"},
		{"help", 'h', 0, G_OPTION_ARG_NONE, &flags->help, "Show this", NULL},
		{G_OPTION_REMAINING, 0, G_OPTION_FLAG_HIDDEN, G_OPTION_ARG_FILENAME_ARRAY,
		 &flags->rest, NULL, NULL},
		{NULL},
	};
	g_autoptr(GOptionContext) context =
		g_option_context_new("- show what this network lets WireGuard do");

	g_option_context_set_description(
		context, "Needs no agent, no WireGuard and no privileges. What kind of NAT there "
			 "is takes two STUN servers, or one\nwith two addresses (RFC 5780).\n"
			 "Exit status: 0 UDP gets out, 1 it does not, 2 usage.\n");
	if (!parse_flags(context, entries, argv, "netcheck", error))
		return FALSE;
	if (flags->help) {
		cli->command = NAT_CLI_HELP;
		cli->help = g_option_context_get_help(context, TRUE, NULL);
		return TRUE;
	}
	cli->command = NAT_CLI_NETCHECK;
	return take_netcheck(flags, cli, error);
}

static gboolean
take_install(Flags *flags, NatCli *cli, GError **error)
{
	char **rest = flags->rest;

	if (!take_many("--interface", &flags->interfaces, &cli->interfaces, error) ||
	    !take_one("--config-dir", flags->config_dir, &cli->config_dir, error))
		return FALSE;
	if (cli->interfaces && cli->interfaces[0] && cli->interfaces[1])
		return usage(error, "--interface is given twice: keep one");
	if (cli->interfaces && !nat_config_check_interface(cli->interfaces[0], error)) {
		g_prefix_error(error, "--interface: ");
		return FALSE;
	}
	if (!rest || !rest[0] || !*rest[0])
		return usage(error, "the invitation is missing: name the file that you were given");
	if (rest[1]) {
		g_autofree char *shown = nat_log_conceal(rest[1]);

		return usage(error, "\"%s\" is one argument too many: one invitation at a time",
			     shown);
	}
	cli->invite = g_strdup(rest[0]);
	cli->delete_invite = flags->delete_invite;
	if (!cli->config_dir)
		cli->config_dir = g_strdup(INN_CONF_DIR);
	return TRUE;
}

static gboolean
parse_install(const char *const *argv, NatCli *cli, Flags *flags, GError **error)
{
	const GOptionEntry entries[] = {
		{"interface", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &flags->interfaces,
		 "Name of the new interface, default: the network's", "NAME"},
		{"config-dir", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &flags->config_dir,
		 "Where NAME.conf goes, default " INN_CONF_DIR, "DIR"},
		{"delete-invite", 0, 0, G_OPTION_ARG_NONE, &flags->delete_invite,
		 "Delete the invitation when it has been redeemed", NULL},
		{"help", 'h', 0, G_OPTION_ARG_NONE, &flags->help, "Show this", NULL},
		{G_OPTION_REMAINING, 0, G_OPTION_FLAG_HIDDEN, G_OPTION_ARG_FILENAME_ARRAY,
		 &flags->rest, NULL, NULL},
		{NULL},
	};
	g_autoptr(GOptionContext) context =
		g_option_context_new("INVITATION - become a member of an innernet network");

	g_option_context_set_description(
		context,
		"Makes a key, registers it with the network's server by the invitation, and leaves "
		"the\ninterface up. Where it is interrupted, in any way, run it again with the "
		"same invitation.\nExit status: 0 a member, 1 not yet (the line says why), 2 "
		"usage.\n");
	if (!parse_flags(context, entries, argv, "innernet install", error))
		return FALSE;
	if (flags->help) {
		cli->command = NAT_CLI_HELP;
		cli->help = g_option_context_get_help(context, TRUE, NULL);
		return TRUE;
	}
	cli->command = NAT_CLI_INNERNET_INSTALL;
	return take_install(flags, cli, error);
}

/* argv without the command: GOption calls itself by argv[0]. */
static GStrv
drop_command(const char *before, const char *const *argv)
{
	g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
	g_autofree char *name = g_strdup_printf("%s %s", before, argv[1]);

	g_strv_builder_add(builder, name);
	g_strv_builder_addv(builder, (const char **)argv + 2);
	return g_strv_builder_end(builder);
}

/* argv begins behind the first word. */
static gboolean
parse_innernet(const char *const *argv, NatCli *cli, Flags *flags, GError **error)
{
	const char *command = argv[1];
	g_autofree char *shown = command ? nat_log_conceal(command) : NULL;
	g_auto(GStrv) rest = NULL;

	if (!command)
		return usage(error, "what of innernet? nat-agent innernet install INVITATION");
	if (strcmp(command, "--help") == 0 || strcmp(command, "-h") == 0) {
		cli->command = NAT_CLI_HELP;
		cli->help = g_strdup(USAGE);
		return TRUE;
	}
	if (strcmp(command, "install") != 0)
		return usage(error,
			     "unknown command \"innernet %s\": there is innernet install; for the "
			     "rest, innernet's own client",
			     shown);
	rest = drop_command("nat-agent innernet", argv);
	return parse_install((const char *const *)rest, cli, flags, error);
}

static gboolean
parse(const char *const *argv, NatCli *cli, GError **error)
{
	const char *command = argv[0] ? argv[1] : NULL;
	g_autofree char *shown = command ? nat_log_conceal(command) : NULL;
	g_auto(GStrv) rest = NULL;
	Flags flags = {0};
	gboolean ok;

	if (!command)
		return usage(error, "a command is missing: run, status or another one, see "
				    "nat-agent --help");
	rest = drop_command("nat-agent", argv);
	if (strcmp(command, "run") == 0) {
		ok = parse_run((const char *const *)rest, cli, &flags, error);
	} else if (strcmp(command, "status") == 0) {
		ok = parse_status((const char *const *)rest, cli, &flags, error);
	} else if (find_question(command)) {
		ok = parse_question(find_question(command), (const char *const *)rest, cli, &flags,
				    error);
	} else if (strcmp(command, "netcheck") == 0) {
		ok = parse_netcheck((const char *const *)rest, cli, &flags, error);
	} else if (strcmp(command, "innernet") == 0) {
		ok = parse_innernet((const char *const *)rest, cli, &flags, error);
	} else if (*command == '-' && rest[1]) {
		ok = usage(error, "\"%s\" is one argument too many", rest[1]);
	} else if (strcmp(command, "--version") == 0) {
		cli->command = NAT_CLI_VERSION;
		ok = TRUE;
	} else if (strcmp(command, "--help") == 0 || strcmp(command, "-h") == 0) {
		cli->command = NAT_CLI_HELP;
		cli->help = g_strdup(USAGE);
		ok = TRUE;
	} else {
		ok = usage(error, "unknown %s \"%s\": see nat-agent --help",
			   *command == '-' ? "flag" : "command", shown);
	}
	flags_clear(&flags);
	return ok;
}

NatCli *
nat_cli_parse(const char *const *argv, GError **error)
{
	g_autoptr(NatCli) cli = g_new0(NatCli, 1);

	return parse(argv, cli, error) ? g_steal_pointer(&cli) : NULL;
}
