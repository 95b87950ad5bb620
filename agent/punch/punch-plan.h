/* SPDX-License-Identifier: MIT */
/*
 * PunchPlan: what two agents behind NATs that ICE's checks do not pass can still do, by what both
 * know of both NATs. Both ends come to the same conclusion by themselves. Pure; any thread.
 *
 *   OPEN   many source ports send to the one mapping of the other end: each gets a mapping of its
 *          own, any of which will do. The other end
 *   SPRAY  sends from WireGuard's port to the ports that those mappings may have: in the order in
 *          which the NAT gives them out where that is known, else by chance (the birthday paradox:
 *          256 mappings are hit after 252 guesses on average).
 *   AIM    both NATs choose a port per destination, and both choose it so that it can be foretold:
 *          both send from many ports to the one port that the other end said.
 */
#pragma once

#include "agent/probe/nat-class.h"

typedef enum {
	PUNCH_NONE,
	PUNCH_OPEN,
	PUNCH_SPRAY,
	PUNCH_AIM,
} PunchRole;

/* Why there is nothing to do. */
typedef enum {
	PUNCH_WHY_NOT_NONE,	   /* there is */
	PUNCH_WHY_NOT_EASY,	   /* ICE's checks suffice */
	PUNCH_WHY_NOT_UNKNOWN,	   /* of one NAT too little is known */
	PUNCH_WHY_NOT_BOTH_RANDOM, /* neither port can be foretold, and each must know the other's
				    */
} PunchWhyNot;

/* Mappings that one attempt makes in our NAT, at most; and where their ports can be foretold. */
#define PUNCH_OPEN_MAX 256
#define PUNCH_OPEN_FORETOLD 64
#define PUNCH_AIM_PORTS 32

/* The port of the next mapping is known, but for a few steps. */
gboolean punch_is_foretold(const NatClass *nat);
/* What this end does. controlling: it is this end that chooses (ICE's role), where both could do
 * the same. why_not: may be NULL. */
PunchRole punch_plan(const NatClass *here, const NatClass *there, gboolean controlling,
		     PunchWhyNot *why_not);
/* What the other end does meanwhile. */
PunchRole punch_counterpart(PunchRole role);
/* How many source ports an end opens. */
guint punch_ports_wanted(PunchRole role, const NatClass *here);
const char *punch_role_to_string(PunchRole role); /* "open", … */
