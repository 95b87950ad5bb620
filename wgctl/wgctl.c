/* SPDX-License-Identifier: MIT */
#include "wgctl/wgctl-commands.h"

#include "wgctl/wg-ctl.h"

#include <stdio.h>
#include <string.h>

static const char usage[] =
	"usage: wgctl list\n"
	"       wgctl show IF [dump]\n"
	"       wgctl set IF [private-key FILE] [listen-port N] [fwmark N]\n"
	"       wgctl set IF PEER [endpoint ADDRESS:PORT] [keepalive SECONDS] [rearm] [replace]\n"
	"                         [create] [allowed-ips IP/BITS,...] [preshared-key FILE]\n"
	"       wgctl set IF PEER remove\n"
	"       wgctl --version\n"
	"\n"
	"rearm    keepalive off and on again: sends a packet at once on a live session\n"
	"replace  remove the peer and add it again, keeping what is not set otherwise\n"
	"create   add the peer if it is not there\n"
	"An empty key FILE clears the key; dump prints what 'wg show IF dump' does.\n";

static gboolean
list(int argc, GError **error)
{
	g_auto(GStrv) names = NULL;

	if (argc != 0) {
		g_set_error(error, WGCTL_USAGE_ERROR, 0, "usage: wgctl list");
		return FALSE;
	}
	names = wg_ctl_list(error);
	for (char **name = names; name && *name; name++)
		printf("%s\n", *name);
	return names != NULL;
}

static gboolean
run(int argc, char **argv, GError **error)
{
	const char *command = argc > 0 ? argv[0] : "";

	if (strcmp(command, "list") == 0)
		return list(argc - 1, error);
	if (strcmp(command, "show") == 0)
		return wgctl_show(argc - 1, argv + 1, error);
	if (strcmp(command, "set") == 0)
		return wgctl_set(argc - 1, argv + 1, error);
	if (strcmp(command, "--help") == 0) {
		fputs(usage, stdout);
		return TRUE;
	}
	if (strcmp(command, "--version") == 0) {
		printf("wgctl %s\n", NAT_VERSION);
		return TRUE;
	}
	g_set_error(error, WGCTL_USAGE_ERROR, 0, "'%s' is no command: see 'wgctl --help'", command);
	return FALSE;
}

int
main(int argc, char **argv)
{
	g_autoptr(GError) error = NULL;

	if (!run(argc - 1, argv + 1, &error)) {
		fprintf(stderr, "wgctl: %s\n", error->message);
		return error->domain == WGCTL_USAGE_ERROR ? 2 : 1;
	}
	if (fflush(stdout) != 0) {
		perror("wgctl: writing to stdout");
		return 1;
	}
	return 0;
}
