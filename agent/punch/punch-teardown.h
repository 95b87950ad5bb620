/* SPDX-License-Identifier: MIT */
/* Source ports that an agent which runs no more left to its tunnels (nat-teardown). Blocks. */
#pragma once

#include <glib.h>

/* The interfaces that have some, each once. (transfer full) */
GStrv punch_teardown_interfaces(const char *state_dir);
/* How many were given up; *left: are still there. */
guint punch_teardown(const char *state_dir, const char *ifname, guint *left);
