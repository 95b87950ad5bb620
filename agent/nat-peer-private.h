/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation.
 *
 * Our credentials belong to our session id: a new search of our own is a new id with new
 * credentials; answering the peer's restart keeps both. The NatSearch exists as soon as our
 * credentials are published; its NiceAgent starts when the peer's snapshot is there.
 *
 * A tunnel that is up when the session begins (our restart, the peer's restart) is only watched:
 * the prober asks the present endpoint. Checks begin when one side says CHECKING: because it has no
 * live tunnel, or because the watch found silence. So a restart of an agent moves no endpoint.
 *
 * Timers: `release` ends the NiceAgent some time after both sides are proven; `retry` starts a new
 * search after a failure; `give_up` waits for late answers after libnice's FAILED; `decide` waits
 * for the prober's word on the present endpoint before a live tunnel is moved; `poke` gives the
 * peer the bytes that prove the path to it; `resend` spaces snapshots; `unheard` repeats the one
 * that no echo of the peer has answered.
 */
#pragma once

#include "agent/nat-msg.h"
#include "agent/nat-peer.h"
#include "agent/nat-prober.h"
#include "agent/nat-seal.h"
#include "agent/nat-session.h"
#include "agent/nat-why.h"

struct NatPeer {
	const NatPeerEnv *env;
	WgKey key;
	char *name;
	NatPeerState state;
	gboolean controlling;

	/* signaling */
	NatSeal *seal; /* NULL: the key is of low order, nothing can be sealed */
	NatSession session;
	char *ufrag, *pwd;
	gboolean online, managed;
	gboolean has_remote;
	NatMsg remote; /* the last snapshot of the session we follow */
	gint64 sent_us;
	guint resend;
	guint unheard; /* timer: the peer has not shown that it follows our session */
	guint unheard_ms;

	/* search and path */
	NatSearch *search;
	GArray *addresses; /* of WgEndpoint: what the search binds to */
	GArray *offered;   /* of NatCandidate: remote candidates given to it */
	NatPath *path;
	NatProber *prober;
	WgEndpoint selected_local;
	NatCandidate selected;	 /* what ICE proposed last */
	NatCandType remote_type; /* of the present endpoint */
	gint64 search_due_us;	 /* see take_search_turn() */
	gint64 began_us;	 /* the search */
	gint64 connect_ms;	 /* negative: unknown */
	NatFailure failure;
	gint64 doubt_us; /* since when the path has been silent (NAT_FAILURE_SILENCE) */
	guint release, retry, give_up, decide, poke;
	guint pokes;
	guint retry_ms;
	WgEndpoint configured; /* endpoint at the first sight */
	gboolean observed;
};

/* nat-peer.c: state */
void nat_peer_set_state(NatPeer *peer, NatPeerState state, const char *reason);
gboolean nat_peer_tunnel_live(const NatPeer *peer);
/* WireGuard proved the path, and nothing has cast doubt on it since. */
gboolean nat_peer_path_is_good(const NatPeer *peer);
void nat_peer_stop_timer(guint *timer);
/* New ICE credentials; the session id goes with them. */
void nat_peer_make_credentials(NatPeer *peer);
guint64 nat_peer_random_sid(void);

/* nat-peer-search.c: checks, and the watch over what they found */
void nat_peer_make_search(NatPeer *peer);
void nat_peer_end_search(NatPeer *peer);
void nat_peer_start_checks(NatPeer *peer);
void nat_peer_add_late_candidates(NatPeer *peer);
/* Checks run, from just the addresses and the port that they would be run from now. */
gboolean nat_peer_search_fits(NatPeer *peer);
/* A search of our own: because there is no live tunnel, or the one there is went silent. */
void nat_peer_begin_search(NatPeer *peer);
/* Until the peer reports proof too, or a few times. */
void nat_peer_start_poking(NatPeer *peer);
void nat_peer_plan_release(NatPeer *peer);
void nat_peer_fail(NatPeer *peer, NatFailure failure);
/* The present path went silent, or the network under it changed: WireGuard calls the session live
 * for up to 180 s all the same. */
void nat_peer_doubt(NatPeer *peer);
/* The present path works after all. */
void nat_peer_keep_present(NatPeer *peer, const char *reason);
/* Without its agent there is nobody to check with. */
void nat_peer_go_waiting(NatPeer *peer);
/* The interface's candidates, and the addresses that only this peer is reached from (a second LAN
 * without a default route). */
GArray *nat_peer_own_candidates(NatPeer *peer);
void nat_peer_make_prober(NatPeer *peer);
void nat_peer_watch(NatPeer *peer);

/* nat-peer-talk.c: what is said to the peer's agent, and heard */
void nat_peer_send_snapshot(NatPeer *peer);
/* The same, spaced, so that no replayer makes us a source of traffic. */
void nat_peer_send_soon(NatPeer *peer);
