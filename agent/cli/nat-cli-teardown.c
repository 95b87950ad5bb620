/* SPDX-License-Identifier: MIT */
/* nat-agent teardown: what a stopped agent has left in place is given back. */
#include <stdio.h>

#include "agent/base/nat-lock.h"
#include "agent/base/nat-log.h"
#include "agent/cli/nat-cli-flags.h"
#include "agent/cli/nat-teardown.h"
#include "agent/config/nat-config.h"

static gboolean
take_teardown(NatCliFlags *flags, NatCli *cli, GError **error)
{
	if (flags->rest && flags->rest[0]) {
		g_autofree char *shown = nat_log_conceal(flags->rest[0]);

		return nat_cli_usage(
			error, "\"%s\" is not a flag: an interface is named with --interface IF",
			shown);
	}
	if (flags->interfaces && flags->interfaces[0] && flags->interfaces[1])
		return nat_cli_usage(error, "--interface is given twice: keep one");
	if (!nat_cli_take_many("--interface", &flags->interfaces, &cli->interfaces, error) ||
	    !nat_cli_take_one("-c", flags->file, &cli->file, error))
		return FALSE;
	if (cli->interfaces && !nat_config_check_interface(cli->interfaces[0], error)) {
		g_prefix_error(error, "--interface: ");
		return FALSE;
	}
	return TRUE;
}

gboolean
nat_cli_parse_teardown(const char *const *argv, NatCli *cli, NatCliFlags *flags, GError **error)
{
	const GOptionEntry entries[] = {
		{"config", 'c', 0, G_OPTION_ARG_FILENAME_ARRAY, &flags->file,
		 "The agent's file, default " NAT_CONFIG_DEFAULT_FILE, "FILE"},
		{"interface", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &flags->interfaces,
		 "Only this interface", "IF"},
		{"help", 'h', 0, G_OPTION_ARG_NONE, &flags->help, "Show this", NULL},
		{G_OPTION_REMAINING, 0, G_OPTION_FLAG_HIDDEN, G_OPTION_ARG_FILENAME_ARRAY,
		 &flags->rest, NULL, NULL},
		{NULL},
	};
	g_autoptr(GOptionContext) context =
		g_option_context_new("- give back what a stopped agent has left in place");

	g_option_context_set_description(
		context,
		"Removes port mappings at routers and rewrites of source ports, which an agent "
		"leaves in place for\nlive tunnels and takes up again when it starts. A tunnel "
		"that needs such "
		"a rewrite breaks; endpoints are\nnot touched.\n"
		"Exit status: 0 nothing is left, 1 something is, or the agent runs, 2 usage.\n");
	if (!nat_cli_parse_flags(context, entries, argv, "teardown", error))
		return FALSE;
	if (flags->help) {
		cli->command = NAT_CLI_HELP;
		cli->help = g_option_context_get_help(context, TRUE, NULL);
		return TRUE;
	}
	cli->command = NAT_CLI_TEARDOWN;
	return take_teardown(flags, cli, error);
}

/* NULL: the file can't be read. (transfer full) */
static char *
find_state_dir(const NatCli *cli, GError **error)
{
	NatConfigFlags flags = {.interfaces = (const char *const *)cli->interfaces};
	const char *file = cli->file;
	g_autoptr(NatConfig) config = NULL;

	if (!file && g_file_test(NAT_CONFIG_DEFAULT_FILE, G_FILE_TEST_EXISTS))
		file = NAT_CONFIG_DEFAULT_FILE;
	if (!file)
		return nat_config_default_state_dir();
	config = nat_config_load(file, &flags, error);
	return config ? g_strdup(config->state_dir) : NULL;
}

/* An agent that runs would have it all again at once. */
static gboolean
tear_down(const char *state_dir, const char *ifname, GString *out, GError **error)
{
	g_autoptr(NatLock) lock = nat_lock_acquire(ifname, error);

	return lock && nat_teardown(state_dir, ifname, out);
}

int
nat_cli_teardown(const NatCli *cli)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *state_dir = find_state_dir(cli, &error);
	g_auto(GStrv) names = NULL;
	g_autoptr(GString) out = g_string_new(NULL);
	gboolean ok = TRUE;

	if (!state_dir) {
		g_printerr("nat-agent: %s\n", error->message);
		return NAT_EXIT_USAGE;
	}
	names = cli->interfaces ? g_strdupv(cli->interfaces) : nat_teardown_interfaces(state_dir);
	for (guint i = 0; names[i]; i++) {
		g_autoptr(GError) cause = NULL;

		if (!tear_down(state_dir, names[i], out, &cause))
			ok = FALSE;
		if (cause)
			g_printerr("nat-agent: %s\n", cause->message);
	}
	if (ok && out->len == 0)
		g_string_append(out, "nothing is left in place\n");
	fputs(out->str, stdout);
	return ok && fflush(stdout) == 0 ? NAT_EXIT_OK : NAT_EXIT_FAILED;
}
