/* SPDX-License-Identifier: MIT */
/* What a Netcheck means for WireGuard, in plain words. Pure; any thread. */
#pragma once

#include "agent/netcheck/netcheck.h"

/* One sentence for a user: what to expect. (transfer full) */
char *net_verdict(const Netcheck *check);
/* What to do about what is bad, a sentence each; may be empty. (transfer full, of char *) */
GPtrArray *net_advice(const Netcheck *check);
