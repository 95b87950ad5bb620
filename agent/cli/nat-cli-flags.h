/* SPDX-License-Identifier: MIT */
/*
 * NatCliFlags: what a command line says, before it is checked, and the checks that commands share
 * (nat-cli.c, nat-cli-question.c). Pure.
 */
#pragma once

#include "agent/cli/nat-cli.h"

/* Every flag is collected as a list, so that one given twice is noticed, and as bytes: what may
 * stand in it is for the checks to say. */
typedef struct {
	gboolean help, json, watch, once, paths, slow, delete_invite, no_port_mapping,
		no_many_ports;
	char **count, **output;
	char **config_dir;
	char **file, **interfaces, **signal_url, **stun, **turn, **control, **metrics, **rest;
} NatCliFlags;

void nat_cli_flags_clear(NatCliFlags *flags);
/* FALSE, with the error. Where a value of the command line is shown it comes from
 * nat_log_conceal(). */
gboolean nat_cli_usage(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* argv is read by `entries`, which point into flags; `command` names it in errors. */
gboolean nat_cli_parse_flags(GOptionContext *context, const GOptionEntry *entries,
			     const char *const *argv, const char *command, GError **error);
/* The one value of a flag that may be given once (transfer full; NULL: not given). */
gboolean nat_cli_take_one(const char *flag, char **values, char **out, GError **error);
/* All of them; *values is emptied. */
gboolean nat_cli_take_many(const char *flag, char ***values, GStrv *out, GError **error);
gboolean nat_cli_take_control(NatCliFlags *flags, NatCli *cli, GError **error);

/* nat-cli-teardown.c; argv as for GOption. */
gboolean nat_cli_parse_teardown(const char *const *argv, NatCli *cli, NatCliFlags *flags,
				GError **error);
/* nat-cli-question.c: commands that ask a running agent. FALSE with *known FALSE: command is none
 * of them. argv as for GOption. */
gboolean nat_cli_parse_question(const char *command, const char *const *argv, NatCli *cli,
				NatCliFlags *flags, gboolean *known, GError **error);
