/* SPDX-License-Identifier: MIT */
/*
 * NatCli: the command line, as values. Parsing is pure; the subcommands are in nat-cli-run.c,
 * nat-cli-status.c and nat-cli-innernet.c.
 */
#pragma once

#include <glib.h>

#define NAT_EXIT_OK 0
#define NAT_EXIT_FAILED 1 /* status: some peer is not connected */
#define NAT_EXIT_USAGE 2  /* flags or configuration: trying again is of no use */
#define NAT_EXIT_NO_AGENT 3

typedef enum {
	NAT_CLI_RUN,
	NAT_CLI_STATUS,
	NAT_CLI_NETCHECK,
	NAT_CLI_INNERNET_INSTALL,
	NAT_CLI_VERSION,
	NAT_CLI_HELP,
} NatCliCommand;

typedef struct {
	NatCliCommand command;
	char *help;	  /* of HELP: the text */
	char *file;	  /* -c */
	GStrv interfaces; /* run: any number; else at most one. NULL: none */
	char *signal_url;
	GStrv stun, turn;
	char *control; /* NULL: not given */
	char *peer;
	gboolean json, watch;
	gboolean slow;		   /* netcheck */
	char *invite, *config_dir; /* of innernet install */
	gboolean delete_invite;
} NatCli;

/* argv as main() has it. Errors are one line that names the flag and the remedy. */
NatCli *nat_cli_parse(const char *const *argv, GError **error);
void nat_cli_free(NatCli *cli);

/* Of the terminal that stdout is; 80 columns and any number of lines where it is none. height may
 * be NULL. */
void nat_cli_screen_size(guint *width, guint *height);
/* Each returns the exit status; errors go to stderr, one line. */
int nat_cli_run(const NatCli *cli);
int nat_cli_status(const NatCli *cli);
int nat_cli_netcheck(const NatCli *cli);
int nat_cli_innernet_install(const NatCli *cli);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatCli, nat_cli_free)
