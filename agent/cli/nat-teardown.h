/* SPDX-License-Identifier: MIT */
/*
 * NatTeardown: gives back what an agent that runs no more has left in place for its tunnels, as its
 * state directory has it: what would otherwise wait for the next start, or run out. Endpoints in
 * WireGuard stay: tunnels may be live. Blocks, for seconds; not for the daemon.
 */
#pragma once

#include <glib.h>

/* The interfaces that something is left of, each once. (transfer full) */
GStrv nat_teardown_interfaces(const char *state_dir);
/* The caller holds the interface's lock. A line for each kind of thing that there was goes to
 * `out`. FALSE: something is left, as the lines say. */
gboolean nat_teardown(const char *state_dir, const char *ifname, GString *out);
