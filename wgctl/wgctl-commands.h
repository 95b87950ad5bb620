/* SPDX-License-Identifier: MIT */
/*
 * The subcommands of wgctl. Each takes the arguments after its name, prints results to stdout and
 * leaves it to main to print the error.
 */
#pragma once

#include <glib.h>

/* The command line is wrong: exit status 2. Everything else that fails: 1. */
#define WGCTL_USAGE_ERROR (g_quark_from_static_string("wgctl-usage"))

gboolean wgctl_show(int argc, char **argv, GError **error);
gboolean wgctl_set(int argc, char **argv, GError **error);
