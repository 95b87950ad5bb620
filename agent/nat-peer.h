/* SPDX-License-Identifier: MIT */
/*
 * NatPeer: everything about one WireGuard peer: the session with its agent (nat-session), the
 * search for a path (nat-search), the endpoint's proof (nat-path), its watch (nat-prober), and the
 * state that status shows. Host thread only.
 *
 *                 presence / message
 *     WAITING ───────────────────────▶ CHECKING ──proof──▶ CONNECTED
 *        ▲                                │  ▲                │
 *        │ peer's agent gone              │  └──silence───────┘
 *        └───────────────◀────────────────┴──no pair──▶ FAILED ──(back-off)──▶ CHECKING
 *
 * A peer whose tunnel is up without an agent (a handshake is live) is CONNECTED too, and nothing of
 * it is touched. A peer is *managed* from its agent's first valid message on.
 */
#pragma once

#include <gio/gio.h>

#include "agent/nat-originals.h"
#include "agent/nat-path.h"
#include "agent/nat-search.h"
#include "agent/nat-status.h"

typedef struct NatPeer NatPeer;

/* What the interface lends its peers. Pointers outlive the peers. */
typedef struct {
	const char *ifname;
	WgKey private_key, public_key;
	NatIceNs *ns;
	NatTun *tun;
	NatMux *mux;
	NatOriginals *originals;
	/* Our candidates as they are now (transfer full, of NatCandidate). */
	GArray *(*candidates)(gpointer user_data);
	NatMapping (*mapping)(gpointer user_data);
	/* Makes the ICE namespace carry the addresses (and those of all other searches). */
	gboolean (*use_addresses)(const WgEndpoint *addrs, gsize n, gpointer user_data);
	/* Sends a sealed body; FALSE when not at the signaling server. */
	gboolean (*send)(const WgKey *peer, GBytes *body, gpointer user_data);
	const char *(*signal_problem)(gpointer user_data);
	gboolean (*write)(const WgPeerChange *change, gpointer user_data);
	/* Snapshots are wanted soon (nat_path_urgent). */
	void (*hurry)(gpointer user_data);
	/* A message of this peer was dropped. */
	void (*dropped)(const char *cause, gpointer user_data);
	gpointer user_data;
} NatPeerEnv;

NatPeer *nat_peer_new(const NatPeerEnv *env, const WgKey *key, const char *name);
void nat_peer_free(NatPeer *peer); /* what the tunnel uses stays in WireGuard */

/* We are at the signaling server: announce ourselves. */
void nat_peer_signal_connected(NatPeer *peer);
void nat_peer_presence(NatPeer *peer, gboolean online);
void nat_peer_message(NatPeer *peer, const guint8 *body, gsize len);
/* A snapshot of the device. */
void nat_peer_observe(NatPeer *peer, const WgPeer *wg, gint64 now_us, gint64 real_s);
/* Our candidates grew (a STUN answer came): tell the peer. */
void nat_peer_candidates_changed(NatPeer *peer);
/* Addresses, routes, port or mark changed: check the path, or search anew. */
void nat_peer_network_changed(NatPeer *peer);

NatPeerState nat_peer_state(const NatPeer *peer);
gboolean nat_peer_urgent(const NatPeer *peer, gint64 now_us);
const WgKey *nat_peer_key(const NatPeer *peer);
/* Addresses its search uses (transfer none; may be NULL). Of WgEndpoint. */
const GArray *nat_peer_addresses(const NatPeer *peer);
/* Fills one row of status from the last snapshot. */
void nat_peer_status(NatPeer *peer, const WgPeer *wg, NatStatusPeer *out);
