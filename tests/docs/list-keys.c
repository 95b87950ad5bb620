/* SPDX-License-Identifier: MIT */
/* What the two configuration files may hold, as the programs themselves know it: a line
 * `PROGRAM GROUP KEY` each. For tests/docs/check. */
#include <stdio.h>

#include "agent/config/nat-config-group.h"
#include "signaling/sig-config.h"

static void
list_agent(const char *group, const char *title)
{
	for (const char *const *key = nat_config_group_keys(group); *key; key++)
		printf("nat-agent %s %s\n", title, *key);
}

int
main(void)
{
	const char *group, *key;

	list_agent("agent", "agent");
	list_agent(NAT_CONFIG_GROUP_INTERFACE, "interface");
	list_agent(NAT_CONFIG_GROUP_PEER, "peer");
	for (guint i = 0; (key = sig_config_nth_key(i, &group)); i++)
		printf("nat-signald %s %s\n", group, key);
	return 0;
}
