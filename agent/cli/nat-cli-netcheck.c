/* SPDX-License-Identifier: MIT */
/* nat-agent netcheck: what this network lets WireGuard do, tested and printed. */
#include "agent/cli/nat-cli.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "agent/base/nat-json.h"
#include "agent/netcheck/net-json.h"
#include "agent/netcheck/net-run.h"
#include "agent/netcheck/net-text.h"

/* One line that is written over and taken away in the end. */
static void
show_progress(const char *text, gpointer user_data)
{
	g_printerr("\r\033[K%s%s", text, *text ? " ..." : "");
}

int
nat_cli_netcheck(const NatCli *cli)
{
	gboolean terminal = isatty(STDERR_FILENO);
	NetRunParams params = {
		.stun = (const char *const *)cli->stun,
		.turn = (const char *const *)cli->turn,
		.signal_url = cli->signal_url,
		.slow = cli->slow,
		.progress = terminal ? show_progress : NULL,
	};
	g_autoptr(Netcheck) check = NULL;
	g_autofree char *text = NULL;
	guint width;

	/* the exit status is the network's, also when the reader went away */
	signal(SIGPIPE, SIG_IGN);
	check = net_run(&params);
	if (terminal)
		show_progress("", NULL);
	if (cli->json) {
		g_autoptr(JsonNode) node = net_json(check);
		g_autofree char *json = nat_json_print(node, TRUE);

		text = g_strconcat(json, "\n", NULL);
	} else {
		nat_cli_screen_size(&width, NULL);
		text = net_text(check, width);
	}
	fputs(text, stdout);
	if (fflush(stdout) != 0)
		return NAT_EXIT_FAILED;
	return netcheck_udp_passes(&check->v4) && netcheck_udp_passes(&check->v6) ? NAT_EXIT_OK
										  : NAT_EXIT_FAILED;
}
