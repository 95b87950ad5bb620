/* SPDX-License-Identifier: MIT */
/*
 * InnTries: under which address the innernet server is reached, when it may have several and they
 * may change: the decisions of InnReach. Driven by snapshots of the server's peer, with the time as
 * an argument; its only effects are its functions. One thread.
 *
 *   CONNECTED ──session dies, or is silent──▶ LOOKUP ──addresses──▶ TRYING ──none answers──▶ PAUSE
 *       ▲                                        ▲                    │                       │
 *       └──────── a handshake, from anywhere ────┼────────────────────┘                       │
 *                                                └── after 2 s, 4 s … 60 s, or a new network ─┘
 *
 * A session is alive when its handshake is younger than 180 s (REJECT_AFTER_TIME) and it is not
 * silent: a call failed, packets went out, and for 15 s none came in, not even the keepalive that
 * WireGuard answers data with. That one is never disturbed.
 *
 * How an address is tried (DESIGN §3): without a session the peer is replaced where WireGuard may
 * have sent an initiation in the last 5 s (it would send no other), else endpoint and keepalive are
 * written; either way an initiation leaves at once, and has 2.5 s to be answered. A silent session
 * may still be good at the other end, so it keeps its keys: only the endpoint moves, WireGuard's
 * own initiations, every 5 s by then, follow it, and that takes 6 s.
 *
 * The last address that worked comes first, then IPv6 and IPv4 in turns. Between two rounds the
 * first of them stays in place, for WireGuard itself goes on trying.
 */
#pragma once

#include "wgctl/wg-ctl.h"

#define INN_TRIES_MAX 18 /* addresses of a round */

typedef struct InnTries InnTries;

typedef enum {
	INN_TRIES_CONNECTED,
	INN_TRIES_LOOKUP, /* waits for addresses */
	INN_TRIES_TRYING,
	INN_TRIES_PAUSE,
} InnTriesState;

typedef struct {
	/* Applies one change to the device. FALSE: it was refused (logged by the callee). */
	gboolean (*write)(const WgPeerChange *change, gpointer user_data);
	/* Whether the kernel has a way to the address; NULL: every address is tried. */
	gboolean (*routed)(const WgEndpoint *addr, gpointer user_data);
	/* Look the name up. Answered by inn_tries_addresses() or inn_tries_no_addresses(), at once
	 * or later, or never. */
	void (*lookup)(gpointer user_data);
} InnTriesFuncs;

InnTries *inn_tries_new(const WgKey *server, const InnTriesFuncs *funcs, gpointer user_data);
void inn_tries_free(InnTries *tries);

/* What the name leads to. fresh: by a lookup, and not as it was once remembered. */
void inn_tries_addresses(InnTries *tries, const WgEndpoint *addrs, gsize n, gboolean fresh);
/* The lookup failed: those known before serve. */
void inn_tries_no_addresses(InnTries *tries);

/* wg: the server's peer, NULL: the device has none (nothing is done). now_us: monotonic. real_s:
 * CLOCK_REALTIME, used once, to date the handshake found at the first sight. */
void inn_tries_observe(InnTries *tries, const WgPeer *wg, gint64 now_us, gint64 real_s);
/* A call to the server got no answer (one that was refused is an answer). */
void inn_tries_call_failed(InnTries *tries, gint64 now_us);
void inn_tries_network_changed(InnTries *tries, gint64 now_us);

InnTriesState inn_tries_state(const InnTries *tries);
/* Rounds in which no address answered, since the last that did. */
guint inn_tries_failures(const InnTries *tries);
/* The addresses of the present or last round (transfer none). */
const WgEndpoint *inn_tries_list(const InnTries *tries, gsize *n);
/* Addresses of the last round that the kernel had a way to. */
guint inn_tries_routed(const InnTries *tries);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(InnTries, inn_tries_free)
