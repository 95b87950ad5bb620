/* SPDX-License-Identifier: MIT */
/*
 * Runs a whole Netcheck in the default main context: what does not disturb each other at once. A
 * second or two where all answers; where servers, resolver or router are silent up to ten; with
 * `slow` up to 130 s more.
 */
#pragma once

#include "agent/netcheck/netcheck.h"

typedef struct {
	const char *const *stun; /* HOST[:PORT] each, may be NULL */
	const char *const *turn; /* URIs, may be NULL */
	const char *signal_url;	 /* may be NULL */
	gboolean slow;		 /* how long mappings survive, too */
	/* What goes on, now and then; NULL: nobody wants to know. */
	void (*progress)(const char *text, gpointer user_data);
	gpointer user_data;
} NetRunParams;

/* All are well-formed (nat-config). (transfer full) */
Netcheck *net_run(const NetRunParams *params);
