/* SPDX-License-Identifier: MIT */
/*
 * What the programs here share. Each proves one thing that the agent relies on and no manual
 * promises, with as little of the agent's own code as it can; each line it prints is PASS or FAIL.
 */
#pragma once

#include "tests/unit/net-util.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROVE_SKIPPED 77 /* meson's word for it */

G_GNUC_PRINTF(2, 3)
static inline gboolean
prove(gboolean ok, const char *format, ...)
{
	va_list args;

	fputs(ok ? "PASS: " : "FAIL: ", stdout);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
	return ok;
}

/* Where it is expected to come, it is sent again and again: a loaded machine may lose a datagram.
 */
#define REPEATED(send, comes)                                                                      \
	({                                                                                         \
		gboolean came_ = FALSE;                                                            \
		for (int i_ = 0; i_ < 20 && !came_; i_++) {                                        \
			send;                                                                      \
			came_ = (comes);                                                           \
		}                                                                                  \
		came_;                                                                             \
	})

/* Leaves the process where the permission is missing. */
static inline void
prove_in_fresh_namespace(void)
{
	if (unshare(CLONE_NEWNET) == 0)
		return;
	printf("SKIP: no permission for a network namespace: %s\n", g_strerror(errno));
	exit(PROVE_SKIPPED);
}
