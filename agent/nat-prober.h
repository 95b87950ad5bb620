/* SPDX-License-Identifier: MIT */
/*
 * NatProber: keeps a proven path under watch: authenticated STUN Binding requests on WireGuard's
 * port under a ufrag of its own per pair (never shown to libnice, never with USE-CANDIDATE),
 * answered by the peer's prober through its mux. Measures the round trip, notices a dead path, and
 * tells the mapping that the peer sees of us. Costs a few hundred bytes and no fd.
 * Host thread only.
 */
#pragma once

#include "agent/nat-mux.h"
#include "agent/nat-seal.h"

typedef struct NatProber NatProber;

typedef struct {
	/* A round trip was measured (also the first after `lost`). */
	void (*measured)(double rtt_ms, gpointer user_data);
	/* `NAT_PROBER_MISSES` requests in a row went unanswered: the path is dead, or the peer's
	 * agent is. Called once until an answer comes. */
	void (*lost)(gpointer user_data);
} NatProberFuncs;

#define NAT_PROBER_MISSES 5

/* Both session ids must be known; the prober answers from now on and asks once it has a path. */
NatProber *nat_prober_new(NatMux *mux, NatSeal *seal, const WgKey *own, const WgKey *peer,
			  guint64 own_sid, guint64 peer_sid, const NatProberFuncs *funcs,
			  gpointer user_data);
void nat_prober_free(NatProber *prober);
/* The path to watch; NULL remote: only answer. Probes at once. */
void nat_prober_set_path(NatProber *prober, const WgEndpoint *remote);
/* Smoothed round trip of the present path in ms, negative when unknown. */
double nat_prober_rtt_ms(const NatProber *prober);
/* Probes now and, until answered, fast: bytes go out and none come in. */
void nat_prober_hurry(NatProber *prober);
