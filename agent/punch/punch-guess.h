/* SPDX-License-Identifier: MIT */
/*
 * PunchGuess: the order in which ports are tried: those that were foretold first, then all of a
 * range, each once, by chance. And what is foretold of a NAT whose newest mapping is known. Pure;
 * any thread.
 */
#pragma once

#include "agent/probe/nat-class.h"

#define PUNCH_GUESS_MAX 64 /* foretold */

typedef struct {
	guint16 ports[PUNCH_GUESS_MAX]; /* in the order of their likelihood */
	guint n_ports;
	guint16 lowest, highest; /* where else they may be; 0: nowhere */
} PunchPorts;

typedef struct {
	PunchPorts ports;
	guint next;	     /* of the foretold ones */
	guint rounds;	     /* of them that are still to come */
	guint32 at, left;    /* of the range's walk */
	guint32 factor, add; /* a full-period congruence modulo `mask` + 1 */
	guint32 mask;
} PunchGuess;

/* What the outside ports of n mappings will be that are made next, one after the other, from the
 * local ports inside[]. last: the newest mapping's port there is, 0: unknown. */
void punch_foretell(const NatClass *nat, const guint16 *inside, guint n, guint16 last,
		    PunchPorts *out);
/* Which port a far end should aim at, of `n` mappings that will be made next; 0: it can't be told.
 * others: how many neighbours behind the same NAT will make before. Some more may come in between,
 * so it is not the first of ours. */
guint16 punch_aim(const NatClass *nat, const guint16 *inside, guint n, guint16 last, guint others);
/* rounds: how often the foretold ones are tried before the range is. seed: of the order. */
void punch_guess_init(PunchGuess *guess, const PunchPorts *ports, guint rounds, guint32 seed);
/* FALSE: all were tried. */
gboolean punch_guess_next(PunchGuess *guess, guint16 *port);
