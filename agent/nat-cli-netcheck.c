/* SPDX-License-Identifier: MIT */
/* nat-agent netcheck: what this network lets WireGuard do, tested and printed. */
#include "agent/nat-cli.h"

#include <stdio.h>

#include "agent/nat-json.h"
#include "agent/netcheck/net-run.h"

int
nat_cli_netcheck(const NatCli *cli)
{
	NetRunParams params = {
		.stun = (const char *const *)cli->stun,
		.turn = (const char *const *)cli->turn,
		.signal_url = cli->signal_url,
	};
	g_autoptr(Netcheck) check = net_run(&params);
	g_autofree char *text = NULL;
	guint width;

	if (cli->json) {
		g_autoptr(JsonNode) node = netcheck_to_json(check);
		g_autofree char *json = nat_json_print(node, TRUE);

		text = g_strconcat(json, "\n", NULL);
	} else {
		nat_cli_screen_size(&width, NULL);
		text = netcheck_to_text(check, width);
	}
	fputs(text, stdout);
	if (fflush(stdout) != 0)
		return NAT_EXIT_FAILED;
	return netcheck_udp_passes(&check->v4) && netcheck_udp_passes(&check->v6) ? NAT_EXIT_OK
										  : NAT_EXIT_FAILED;
}
