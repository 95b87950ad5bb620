/* SPDX-License-Identifier: MIT */
/*
 * NatSearch: connectivity checks towards one peer, as the host thread sees them: libnice in its
 * namespace (nat-ice) joined to WireGuard's port (nat-mux) by a private port of the TUN.
 *
 * It exists from the moment our credentials are published, so that the peer's first checks, which
 * may overtake its candidates, are held for libnice; the NiceAgent is made when the peer's
 * credentials are known (nat_search_start). Host thread only.
 */
#pragma once

#include "agent/ice/nat-checks.h"
#include "agent/ice/nat-ice.h"
#include "agent/ice/nat-tun.h"
#include "agent/mux/nat-mux.h"

typedef struct NatSearch NatSearch;

typedef struct {
	/* The first check of the peer that proved itself by our password: the peer's NAT is open to
	 * us there, half a round trip before ICE can say so. Called once. */
	void (*checked)(const WgEndpoint *local, const WgEndpoint *remote, gpointer user_data);
	/* A pair was selected, or a better one after it. local: our address and port P. */
	void (*selected)(const WgEndpoint *local, const NatCandidate *remote, gpointer user_data);
	/* Every pair failed, or consent was lost. Not final: more candidates may come. */
	void (*failed)(gpointer user_data);
} NatSearchFuncs;

/* Credentials are copied. */
NatSearch *nat_search_new(NatIceNs *ns, NatTun *tun, NatMux *mux, const char *ufrag,
			  const char *pwd, const NatSearchFuncs *funcs, gpointer user_data,
			  GError **error);
void nat_search_free(NatSearch *search);
/* Starts the checks. The namespace must have the addresses. */
void nat_search_start(NatSearch *search, gboolean controlling, const char *remote_ufrag,
		      const char *remote_pwd, const WgEndpoint *addresses, gsize n_addresses);
gboolean nat_search_started(const NatSearch *search);
/* How its checks went so far (transfer none, valid until the next turn of the loop). */
const NatChecks *nat_search_checks(const NatSearch *search);
/* Candidates that the mux refuses as destinations must have been left out by the caller. */
void nat_search_add_remote(NatSearch *search, const NatCandidate *candidates, gsize n);
