/* SPDX-License-Identifier: MIT */
/* nat-agent innernet: what it does about networks of innernet that the daemon does not. */
#include "agent/cli/nat-cli.h"

#include "agent/base/nat-log.h"
#include "agent/innernet/inn-install.h"

static void
say(const char *line, gpointer user_data)
{
	g_print("%s\n", line);
}

int
nat_cli_innernet_install(const NatCli *cli)
{
	const InnInstallParams params = {
		.invite = cli->invite,
		.ifname = cli->interfaces ? cli->interfaces[0] : NULL,
		.dir = cli->config_dir,
		.delete_invite = cli->delete_invite,
		.say = say,
	};
	g_autoptr(GError) error = NULL;
	g_autofree char *text = NULL;

	nat_log_init();
	text = inn_install(&params, &error);
	if (!text) {
		g_printerr("nat-agent: %s\n", error->message);
		return NAT_EXIT_FAILED;
	}
	g_print("\n%s", text);
	return NAT_EXIT_OK;
}
