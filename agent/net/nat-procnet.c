/* SPDX-License-Identifier: MIT */
#include "agent/net/nat-procnet.h"

#include <stdio.h>

gboolean
nat_procnet_has_port(const char *text, guint16 port)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	g_autofree char *want = g_strdup_printf(":%04X", port);

	/* "  sl  local_address rem_address …": " 1234: 00000000:CA6C 00000000:0000 …" */
	for (char **line = lines; *line != NULL; line++) {
		char local[80];

		if (sscanf(*line, " %*[^:]: %79s", local) == 1 && g_str_has_suffix(local, want))
			return TRUE;
	}
	return FALSE;
}

static gboolean
port_is_bound(guint16 port)
{
	static const char *const FILES[] = {"/proc/self/net/udp", "/proc/self/net/udp6"};

	for (guint i = 0; i < G_N_ELEMENTS(FILES); i++) {
		g_autofree char *text = NULL;

		if (g_file_get_contents(FILES[i], &text, NULL, NULL) &&
		    nat_procnet_has_port(text, port))
			return TRUE;
	}
	return FALSE;
}

char *
nat_procnet_problem(const WgDevice *dev, gboolean *fatal)
{
	*fatal = FALSE;
	if (wg_key_is_zero(&dev->private_key))
		return g_strdup_printf("no private key is set: wg set %s private-key FILE",
				       dev->name);
	if (dev->listen_port == 0)
		return g_strdup_printf("no listen port yet: bring the interface up: "
				       "ip link set %s up",
				       dev->name);
	if (!port_is_bound(dev->listen_port)) {
		*fatal = TRUE;
		return g_strdup_printf("UDP port %u is not bound in this network namespace: the "
				       "interface is down (ip link set %s up), or it was made in "
				       "another namespace and its socket is there: run the agent "
				       "there",
				       dev->listen_port, dev->name);
	}
	return NULL;
}
