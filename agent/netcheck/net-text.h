/* SPDX-License-Identifier: MIT */
/* A Netcheck for people. Pure; any thread. */
#pragma once

#include "agent/netcheck/netcheck.h"

/* Lines of at most `width` columns, one for each fact (transfer full). All text of others is
 * escaped. */
char *net_text(const Netcheck *check, guint width);
