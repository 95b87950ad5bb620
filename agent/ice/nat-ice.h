/* SPDX-License-Identifier: MIT */
/*
 * NatIce: one NiceAgent with one stream and one component, in the ICE thread; the only file that
 * meets libnice's agent. It lives while a search runs (DESIGN §2).
 *
 * All functions are called from the host thread, all callbacks come in the host thread's default
 * main context, none after nat_ice_free() returned.
 */
#pragma once

#include "agent/base/nat-types.h"
#include "agent/ice/nat-ice-ns.h"

typedef struct NatIce NatIce;

typedef struct {
	guint16 port; /* Q: every local candidate's private port */
	guint ta_ms;  /* RFC 8445 §14.2: between two checks of this search, at least 5 */
	gboolean controlling;
	const char *local_ufrag, *local_pwd;
	const char *remote_ufrag, *remote_pwd;
	const WgEndpoint *addresses; /* local, ports ignored; nat-ice-ns has them */
	gsize n_addresses;
} NatIceParams;

typedef struct {
	/* No socket could be bound: nat_ice_try_port() with another port, or nothing comes of it.
	 * Candidates are kept. */
	void (*unbound)(gpointer user_data);
	/* The sockets are bound: packets delivered from now on reach libnice. */
	void (*ready)(gpointer user_data);
	/* A pair was selected, or a better one after it. local: the address of the host candidate
	 * the pair is based on (port Q); remote: where to send. */
	void (*selected)(const WgEndpoint *local, const NatCandidate *remote, gpointer user_data);
	/* Every pair failed, or consent was lost (RFC 7675). Not final: more candidates may come.
	 */
	void (*failed)(gpointer user_data);
} NatIceFuncs;

NatIce *nat_ice_new(NatIceNs *ns, const NatIceParams *params, const NatIceFuncs *funcs,
		    gpointer user_data);
void nat_ice_free(NatIce *ice);
/* After `unbound`, once each time. */
void nat_ice_try_port(NatIce *ice, guint16 port);
/* More remote candidates; those known already are ignored by libnice. */
void nat_ice_add_remote(NatIce *ice, const NatCandidate *candidates, gsize n);
