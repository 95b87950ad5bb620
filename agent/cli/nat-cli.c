/* SPDX-License-Identifier: MIT */
#include "agent/cli/nat-cli.h"

#include <string.h>

#include "agent/base/nat-log.h"
#include "agent/cli/nat-cli-flags.h"
#include "agent/config/nat-config.h"
#include "agent/innernet/inn-conf.h"

static const char USAGE[] =
	"nat-agent: direct paths for WireGuard peers behind NATs\n"
	"\n"
	"  nat-agent run        serve WireGuard interfaces, in the foreground\n"
	"  nat-agent status     show what a running agent knows\n"
	"  nat-agent events     show what happened lately, and what happens\n"
	"  nat-agent ping       probe the paths to a peer\n"
	"  nat-agent restart    look for the way to a peer anew\n"
	"  nat-agent reload     read the configuration file again\n"
	"  nat-agent bugreport  write down what explains a problem, without secrets\n"
	"  nat-agent netcheck   show what this network lets WireGuard do\n"
	"  nat-agent teardown   give back what a stopped agent has left in place\n"
	"  nat-agent innernet install INVITATION\n"
	"                       become a member of an innernet network\n"
	"  nat-agent --version\n"
	"  nat-agent COMMAND --help\n";

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
	g_free(cli->metrics);
	g_free(cli->peer);
	g_free(cli->output);
	g_free(cli->invite);
	g_free(cli->config_dir);
	g_free(cli);
}

static gboolean
take_run(NatCliFlags *flags, NatCli *cli, GError **error)
{
	g_autofree char *shown =
		flags->rest && flags->rest[0] ? nat_log_conceal(flags->rest[0]) : NULL;

	if (!nat_cli_take_one("-c", flags->file, &cli->file, error) ||
	    !nat_cli_take_many("--interface", &flags->interfaces, &cli->interfaces, error) ||
	    !nat_cli_take_one("--signal", flags->signal_url, &cli->signal_url, error) ||
	    !nat_cli_take_many("--stun", &flags->stun, &cli->stun, error) ||
	    !nat_cli_take_many("--turn", &flags->turn, &cli->turn, error) ||
	    !nat_cli_take_one("--metrics", flags->metrics, &cli->metrics, error) ||
	    !nat_cli_take_control(flags, cli, error))
		return FALSE;
	cli->no_port_mapping = flags->no_port_mapping;
	cli->no_many_ports = flags->no_many_ports;
	/* last: where a flag lacks its value, its neighbour stands alone and is not at fault */
	if (shown)
		return nat_cli_usage(
			error, "\"%s\" is not a flag: interfaces are named with --interface IF",
			shown);
	return TRUE;
}

static gboolean
take_status(NatCliFlags *flags, NatCli *cli, GError **error)
{
	char **rest = flags->rest;

	if (rest && rest[0] && rest[1])
		return nat_cli_usage(error, "\"%s\" is one PEER too many: give at most one",
				     rest[1]);
	cli->peer = rest ? g_strdup(rest[0]) : NULL;
	if (cli->peer && !*cli->peer)
		return nat_cli_usage(error,
				     "the PEER is empty: give a name, a key or how the key begins");
	cli->json = flags->json;
	cli->watch = flags->watch;
	if (flags->interfaces && flags->interfaces[0] && flags->interfaces[1])
		return nat_cli_usage(
			error, "--interface is given twice: status shows one, or all without it");
	return nat_cli_take_many("--interface", &flags->interfaces, &cli->interfaces, error) &&
	       nat_cli_take_control(flags, cli, error);
}

static gboolean
parse_run(const char *const *argv, NatCli *cli, NatCliFlags *flags, GError **error)
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
		{"metrics", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &flags->metrics,
		 "Serve /metrics (Prometheus) and /healthz here by HTTP; a port alone: on "
		 "127.0.0.1. Default: none",
		 "ADDR:PORT"},
		{"no-port-mapping", 0, 0, G_OPTION_ARG_NONE, &flags->no_port_mapping,
		 "Do not have routers map WireGuard's port", NULL},
		{"no-many-ports", 0, 0, G_OPTION_ARG_NONE, &flags->no_many_ports,
		 "Do not try many source ports where NATs stop checks", NULL},
		{"help", 'h', 0, G_OPTION_ARG_NONE, &flags->help, "Show this", NULL},
		{G_OPTION_REMAINING, 0, G_OPTION_FLAG_HIDDEN, G_OPTION_ARG_FILENAME_ARRAY,
		 &flags->rest, NULL, NULL},
		{NULL},
	};
	g_autoptr(GOptionContext) context = g_option_context_new("- serve WireGuard interfaces");

	g_option_context_set_description(
		context, "Everybody on this machine can read a command line: a TURN URI with its "
			 "secret is better\nplaced in FILE, as turn=URI.\n");
	if (!nat_cli_parse_flags(context, entries, argv, "run", error))
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
parse_status(const char *const *argv, NatCli *cli, NatCliFlags *flags, GError **error)
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
	if (!nat_cli_parse_flags(context, entries, argv, "status", error))
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
take_netcheck(NatCliFlags *flags, NatCli *cli, GError **error)
{
	g_autofree char *shown =
		flags->rest && flags->rest[0] ? nat_log_conceal(flags->rest[0]) : NULL;
	NatConfigFlags given;

	cli->json = flags->json;
	cli->slow = flags->slow;
	if (!nat_cli_take_one("--signal", flags->signal_url, &cli->signal_url, error) ||
	    !nat_cli_take_many("--stun", &flags->stun, &cli->stun, error) ||
	    !nat_cli_take_many("--turn", &flags->turn, &cli->turn, error))
		return FALSE;
	given = (NatConfigFlags){
		.signal_url = cli->signal_url,
		.stun = (const char *const *)cli->stun,
		.turn = (const char *const *)cli->turn,
	};
	if (!nat_config_check_flags(&given, error))
		return FALSE;
	if (shown)
		return nat_cli_usage(
			error, "\"%s\" is not a flag: servers are named with --stun HOST", shown);
	return TRUE;
}

static gboolean
parse_netcheck(const char *const *argv, NatCli *cli, NatCliFlags *flags, GError **error)
{
	const GOptionEntry entries[] = {
		{"json", 0, 0, G_OPTION_ARG_NONE, &flags->json, "Print JSON", NULL},
		{"signal", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &flags->signal_url,
		 "Signaling server, wss://HOST[:PORT]; STUN is tried there too", "URL"},
		{"stun", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &flags->stun,
		 "STUN server; may be repeated", "HOST[:PORT]"},
		{"turn", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &flags->turn,
		 "TURN server, turn:HOST; may be repeated", "URI"},
		{"slow", 0, 0, G_OPTION_ARG_NONE, &flags->slow,
		 "See how long silent mappings survive, too: two minutes more", NULL},
		{"help", 'h', 0, G_OPTION_ARG_NONE, &flags->help, "Show this", NULL},
		{G_OPTION_REMAINING, 0, G_OPTION_FLAG_HIDDEN, G_OPTION_ARG_FILENAME_ARRAY,
		 &flags->rest, NULL, NULL},
		{NULL},
	};
	g_autoptr(GOptionContext) context =
		g_option_context_new("- show what this network lets WireGuard do");

	g_option_context_set_description(
		context, "Needs no agent, no WireGuard and no privileges. What kind of NAT there "
			 "is takes two STUN servers, or one\nwith two addresses (RFC 5780). Takes "
			 "seconds, with --slow up to 130 more.\n"
			 "Exit status: 0 UDP gets out, 1 it does not, 2 usage.\n");
	if (!nat_cli_parse_flags(context, entries, argv, "netcheck", error))
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
take_install(NatCliFlags *flags, NatCli *cli, GError **error)
{
	char **rest = flags->rest;

	if (!nat_cli_take_many("--interface", &flags->interfaces, &cli->interfaces, error) ||
	    !nat_cli_take_one("--config-dir", flags->config_dir, &cli->config_dir, error))
		return FALSE;
	if (cli->interfaces && cli->interfaces[0] && cli->interfaces[1])
		return nat_cli_usage(error, "--interface is given twice: keep one");
	if (cli->interfaces && !nat_config_check_interface(cli->interfaces[0], error)) {
		g_prefix_error(error, "--interface: ");
		return FALSE;
	}
	if (!rest || !rest[0] || !*rest[0])
		return nat_cli_usage(
			error, "the invitation is missing: name the file that you were given");
	if (rest[1]) {
		g_autofree char *shown = nat_log_conceal(rest[1]);

		return nat_cli_usage(
			error, "\"%s\" is one argument too many: one invitation at a time", shown);
	}
	cli->invite = g_strdup(rest[0]);
	cli->delete_invite = flags->delete_invite;
	if (!cli->config_dir)
		cli->config_dir = g_strdup(INN_CONF_DIR);
	return TRUE;
}

static gboolean
parse_install(const char *const *argv, NatCli *cli, NatCliFlags *flags, GError **error)
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
	if (!nat_cli_parse_flags(context, entries, argv, "innernet install", error))
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
parse_innernet(const char *const *argv, NatCli *cli, NatCliFlags *flags, GError **error)
{
	const char *command = argv[1];
	g_autofree char *shown = command ? nat_log_conceal(command) : NULL;
	g_auto(GStrv) rest = NULL;

	if (!command)
		return nat_cli_usage(error,
				     "what of innernet? nat-agent innernet install INVITATION");
	if (strcmp(command, "--help") == 0 || strcmp(command, "-h") == 0) {
		cli->command = NAT_CLI_HELP;
		cli->help = g_strdup(USAGE);
		return TRUE;
	}
	if (strcmp(command, "install") != 0)
		return nat_cli_usage(
			error,
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
	NatCliFlags flags = {0};
	gboolean ok, known;

	if (!command)
		return nat_cli_usage(error, "a command is missing: run, status or another one, see "
					    "nat-agent --help");
	rest = drop_command("nat-agent", argv);
	ok = nat_cli_parse_question(command, (const char *const *)rest, cli, &flags, &known, error);
	if (known) {
		/* said already */
	} else if (strcmp(command, "run") == 0) {
		ok = parse_run((const char *const *)rest, cli, &flags, error);
	} else if (strcmp(command, "status") == 0) {
		ok = parse_status((const char *const *)rest, cli, &flags, error);
	} else if (strcmp(command, "netcheck") == 0) {
		ok = parse_netcheck((const char *const *)rest, cli, &flags, error);
	} else if (strcmp(command, "teardown") == 0) {
		ok = nat_cli_parse_teardown((const char *const *)rest, cli, &flags, error);
	} else if (strcmp(command, "innernet") == 0) {
		ok = parse_innernet((const char *const *)rest, cli, &flags, error);
	} else if (*command == '-' && rest[1]) {
		ok = nat_cli_usage(error, "\"%s\" is one argument too many", rest[1]);
	} else if (strcmp(command, "--version") == 0) {
		cli->command = NAT_CLI_VERSION;
		ok = TRUE;
	} else if (strcmp(command, "--help") == 0 || strcmp(command, "-h") == 0) {
		cli->command = NAT_CLI_HELP;
		cli->help = g_strdup(USAGE);
		ok = TRUE;
	} else {
		ok = nat_cli_usage(error, "unknown %s \"%s\": see nat-agent --help",
				   *command == '-' ? "flag" : "command", shown);
	}
	nat_cli_flags_clear(&flags);
	return ok;
}

NatCli *
nat_cli_parse(const char *const *argv, GError **error)
{
	g_autoptr(NatCli) cli = g_new0(NatCli, 1);

	return parse(argv, cli, error) ? g_steal_pointer(&cli) : NULL;
}
