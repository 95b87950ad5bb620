/* SPDX-License-Identifier: MIT */
/* nat-agent: one command line, a few commands. */
#include <stdio.h>

#include "agent/cli/nat-cli.h"

int
main(int argc, char **argv)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(NatCli) cli = nat_cli_parse((const char *const *)argv, &error);

	if (!cli) {
		g_printerr("nat-agent: %s\n", error->message);
		return NAT_EXIT_USAGE;
	}
	switch (cli->command) {
	case NAT_CLI_RUN:
		return nat_cli_run(cli);
	case NAT_CLI_STATUS:
		return nat_cli_status(cli);
	case NAT_CLI_EVENTS:
		return nat_cli_events(cli);
	case NAT_CLI_PING:
		return nat_cli_ping(cli);
	case NAT_CLI_RESTART:
		return nat_cli_restart(cli);
	case NAT_CLI_RELOAD:
		return nat_cli_reload(cli);
	case NAT_CLI_BUGREPORT:
		return nat_cli_bugreport(cli);
	case NAT_CLI_NETCHECK:
		return nat_cli_netcheck(cli);
	case NAT_CLI_INNERNET_INSTALL:
		return nat_cli_innernet_install(cli);
	case NAT_CLI_TEARDOWN:
		return nat_cli_teardown(cli);
	case NAT_CLI_VERSION:
		puts("nat-agent " NAT_VERSION);
		return NAT_EXIT_OK;
	case NAT_CLI_HELP:
		fputs(cli->help, stdout);
		return NAT_EXIT_OK;
	}
	return NAT_EXIT_USAGE;
}
