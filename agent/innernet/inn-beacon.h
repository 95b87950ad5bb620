/* SPDX-License-Identifier: MIT */
/*
 * InnBeacon: what an agent says of itself in the candidates that an innernet server keeps of it
 * (tier 0): at most ten endpoints without types, which plain peers try as well.
 *
 * The first two are beacons: addresses of the discard-only prefix 100::/64 (RFC 6666), which no
 * packet reaches and which any innernet server takes and gives back as they are:
 *
 *   [100::g1:g2:g3:g4]:28225   the generation: 64 random bits, new with each ICE restart
 *   [100::w1:w2:tt:ff]:28226   watch id (32 bits), types of the candidates that follow (2 bits
 *                              each, the first one lowest), mapping (the low 3 bits)
 *
 * Without the second one the types are guessed. Then the candidates, the best one last: plain peers
 * try a list from its end. Values; pure; any thread.
 */
#pragma once

#include "agent/base/nat-types.h"

#define INN_BEACON_LIST 10 /* entries a server takes */
#define INN_BEACON_CANDIDATES (INN_BEACON_LIST - 2)

typedef struct {
	guint64 generation; /* never 0 */
	guint32 watch;	    /* of the sender's process, never 0 */
	NatMapping mapping;
	guint n_candidates;
	NatCandidate candidates[INN_BEACON_CANDIDATES]; /* the best one first; HOST, SRFLX, RELAY */
} InnBeacon;

/* The list to publish, of WgEndpoint. candidates: of NatCandidate, the best one first; beyond the
 * eighth they are left out, relayed ones not. (transfer full) */
GArray *inn_beacon_list(guint64 generation, guint32 watch, NatMapping mapping,
			const GArray *candidates);
/* As the server takes it: ["[100::…]:28225", …]. (transfer full) */
char *inn_beacon_json(const GArray *list);
/* From a peer's record. FALSE: there is no beacon among them. Entries that are no address, unset or
 * lead nowhere are left out; more than eight are ignored. */
gboolean inn_beacon_read(const WgEndpoint *list, guint n, InnBeacon *out);
/* Whether an endpoint is one of the two: nothing is ever sent there. */
gboolean inn_beacon_is(const WgEndpoint *ep);
