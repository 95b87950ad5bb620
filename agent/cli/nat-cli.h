/* SPDX-License-Identifier: MIT */
/*
 * NatCli: the command line, as values. Parsing is pure; the subcommands are in nat-cli-run.c,
 * nat-cli-status.c and nat-cli-innernet.c.
 */
#pragma once

#include <json-glib/json-glib.h>

#define NAT_EXIT_OK 0
#define NAT_EXIT_FAILED 1 /* status: some peer is not connected */
#define NAT_EXIT_USAGE 2  /* flags or configuration: trying again is of no use */
#define NAT_EXIT_NO_AGENT 3

typedef enum {
	NAT_CLI_RUN,
	NAT_CLI_STATUS,
	NAT_CLI_EVENTS,
	NAT_CLI_PING,
	NAT_CLI_RESTART,
	NAT_CLI_RELOAD,
	NAT_CLI_BUGREPORT,
	NAT_CLI_NETCHECK,
	NAT_CLI_INNERNET_INSTALL,
	NAT_CLI_TEARDOWN,
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
	char *metrics; /* of run; the same */
	char *peer;
	gboolean json, watch;
	gboolean once;	/* events: what there is, and the end */
	gboolean paths; /* ping: each of them */
	char *output;	/* bugreport: the file; NULL: a new one in the working directory */
	guint count;	/* ping: so many; 0: until interrupted */
	gboolean slow;	/* netcheck */
	char *invite, *config_dir; /* of innernet install */
	gboolean delete_invite;
	gboolean no_port_mapping, no_many_ports; /* run */
} NatCli;

/* argv as main() has it. Errors are one line that names the flag and the remedy. */
NatCli *nat_cli_parse(const char *const *argv, GError **error);
void nat_cli_free(NatCli *cli);

/* ---- for the commands ---- */

/* The control socket that is meant: --control, NAT_AGENT_CONTROL, the default; where that is not
 * there, the one of nat-agent@IF.service for --interface IF (transfer full). */
char *nat_cli_control(const NatCli *cli);
/* {"interface": …, "peer": …} for a call (transfer full). */
JsonNode *nat_cli_whom(const NatCli *cli);
/* Of a call that failed: 3 where no agent answers, or none that this user may ask; 2 where what is
 * asked for is not there; else 1. */
int nat_cli_exit_code(const GError *error);
/* Says what went wrong. Returns the same. */
int nat_cli_fail(const GError *error);
/* To stdout, at once. FALSE: nobody reads any more. */
gboolean nat_cli_put(const char *text);
/* SIGINT and SIGTERM end the next nat_cli_pause() from now on, and nothing else. */
void nat_cli_hold_signals(void);
/* Until then (monotonic, µs). TRUE: one of them came. */
gboolean nat_cli_pause(gint64 due_us);
gboolean nat_cli_wants_colour(void); /* stdout is a terminal, and NO_COLOR is not set */
/* Of the terminal that stdout is; 80 columns and any number of lines where it is none. height may
 * be NULL. */
void nat_cli_screen_size(guint *width, guint *height);
/* Each returns the exit status; errors go to stderr, one line. */
int nat_cli_run(const NatCli *cli);
int nat_cli_status(const NatCli *cli);
int nat_cli_events(const NatCli *cli);
int nat_cli_ping(const NatCli *cli);
int nat_cli_restart(const NatCli *cli);
int nat_cli_reload(const NatCli *cli);
int nat_cli_bugreport(const NatCli *cli);
int nat_cli_netcheck(const NatCli *cli);
int nat_cli_innernet_install(const NatCli *cli);
int nat_cli_teardown(const NatCli *cli);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatCli, nat_cli_free)
