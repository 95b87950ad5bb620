/* SPDX-License-Identifier: MIT */
/* Runs a whole Netcheck: names, then UDP by each family, then TCP. Blocking, some seconds. */
#pragma once

#include "agent/netcheck/netcheck.h"

typedef struct {
	const char *const *stun; /* HOST[:PORT] each, may be NULL */
	const char *const *turn; /* URIs, may be NULL */
	const char *signal_url;	 /* may be NULL */
} NetRunParams;

/* All are well-formed (nat-config). (transfer full) */
Netcheck *net_run(const NetRunParams *params);
