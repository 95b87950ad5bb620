/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation.
 *
 * Our credentials belong to our session id: a new search of our own is a new id with new
 * credentials; answering the peer's restart keeps both. The NatSearch exists as soon as our
 * credentials are published; its NiceAgent starts when the peer's snapshot is there. The watch over
 * the pairs that are known to lead to the peer belongs to both agents' processes instead (watch
 * ids), and outlives searches.
 *
 * A tunnel that is up when the session begins (our restart, the peer's restart) is only watched.
 * Checks begin when one side says CHECKING: because it has no live tunnel, because what it had went
 * silent, or because it is on a relay and looks for a direct path. So a restart of an agent moves
 * no endpoint.
 *
 * Timers: `release` ends the NiceAgent some time after both sides are proven; `retry` starts a new
 * search after a failure, or from a relay; `give_up` waits for late answers after libnice's FAILED;
 * `poke` gives the peer the bytes that prove the path to it; `resend` spaces snapshots; `unheard`
 * repeats the one that no echo of the peer has answered; `reconsider` asks the chooser again when a
 * hold-down is over.
 */
#pragma once

#include "agent/path/nat-choice.h"
#include "agent/path/nat-watch-mtu.h"
#include "agent/path/nat-watch.h"
#include "agent/peer/nat-peer.h"
#include "agent/peer/nat-why.h"
#include "agent/session/nat-msg.h"
#include "agent/session/nat-seal.h"
#include "agent/session/nat-session.h"

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
	gboolean online, managed; /* online: by either of the next two */
	gboolean present;	  /* at the signaling server */
	WgEndpoint seen;	  /* where that sees it; unset: not said, or not present */
	gboolean beaconed;	  /* its record at the innernet server has a beacon */
	gboolean tier0;		  /* `remote` was made of that */
	InnBeacon beacon;
	WgEndpoint observed_at; /* by the innernet server; unset: unknown */
	GArray *plain;		/* of WgEndpoint: what is tried where no agent is; may be NULL */
	guint plain_next, plain_rounds;
	gint64 plain_due_us, plain_wait_us;
	gboolean plain_trying;
	guint64 generation; /* ours, that the credentials of tier 0 were derived with */
	gboolean has_remote;
	NatMsg remote; /* the last snapshot of the session we follow */
	gint64 sent_us;
	guint resend;
	guint unheard; /* timer: the peer has not shown that it follows our session */
	guint unheard_ms;

	/* search and path */
	NatSearch *search;
	NatChecks checks;  /* of the search before */
	GArray *addresses; /* of WgEndpoint: what the search binds to */
	GArray *offered;   /* of NatCandidate: remote candidates given to it */
	NatPath *path;
	WgEndpoint local;	 /* that the chosen pair was taken from; unset: a relayed one */
	NatCandidate selected;	 /* what ICE proposed last */
	NatCandType remote_type; /* of the present endpoint */
	gint64 search_due_us;	 /* see take_search_turn() */
	gint64 began_us;	 /* the search */
	gint64 connect_ms;	 /* negative: unknown */
	NatFailure failure;
	gint64 doubt_us; /* since when the path has been silent (NAT_FAILURE_SILENCE) */
	guint release, retry, give_up, poke;
	guint pokes;
	guint retry_ms;

	/* pairs, and the one in use */
	NatWatch *watch;
	guint64 watch_remote;	       /* the peer's watch id that `watch` was made for */
	NatWatchPair *chosen;	       /* NULL: none, or WireGuard's endpoint is no pair */
	gint64 chosen_us;	       /* since when */
	GSList *pings;		       /* under way, of nat-peer-ping.c */
	NatWatchMtu *mtu;	       /* of the chosen pair, or the one before; may be NULL */
	guint32 epoch;		       /* of the controlling side's last choice */
	guint32 dead_epoch;	       /* the follower left the pair of this choice; 0: none */
	guint8 dead_why;	       /* NatNoteFlags */
	guint32 distrusted_epoch;      /* the follower's word on this choice was acted on */
	gboolean deserted;	       /* the chosen pair is no more, and no other was taken */
	gint64 relay_due_us;	       /* without a session, relayed pairs may be used from then */
	gint64 deaf_since_us, deaf_us; /* nat_peer_note_deaf(): since when; the peer was asked */
	gint64 poked_us;	       /* the peer asked for it last */
	guint64 late_bytes_gone;       /* of bridges that are no more */
	guint reconsider;
	gint64 reconsider_us;	 /* when that is due */
	guint moves;		 /* of a connected tunnel from one pair to another */
	gboolean direct_blocked; /* a direct pair answered checks, and dropped WireGuard */
	gboolean standby, wanted_relay, wanted_spare;
	struct NatPeerPunch *punch; /* NULL: it was never tried (nat-peer-punch.c) */
	WgEndpoint configured;	    /* endpoint at the first sight */
	gboolean observed;
	gint64 observed_us; /* at the first sight */
	gint64 forlorn_us;  /* without session and agent: its endpoint was looked at last */
};

/* nat-peer.c: state */
void nat_peer_set_state(NatPeer *peer, NatPeerState state, const char *reason);
/* Something happened that explains what the peer is about: an event, and a line for who debugs. */
void nat_peer_record(NatPeer *peer, NatEventKind kind, const char *format, ...) G_GNUC_PRINTF(3, 4);
/* The search that began last has brought a tunnel. */
void nat_peer_note_connected(NatPeer *peer, gint64 now_us);
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
/* Another search, later each time. */
void nat_peer_plan_retry(NatPeer *peer);
void nat_peer_fail(NatPeer *peer, NatFailure failure);
/* What the user had is on the device again. Without a session only. */
void nat_peer_restore_original(NatPeer *peer);
/* The present path went silent, or the network under it changed: WireGuard calls the session live
 * for up to 180 s all the same. */
void nat_peer_doubt(NatPeer *peer);
/* The present path works after all. */
void nat_peer_keep_present(NatPeer *peer, const char *reason);
/* Without its agent there is nobody to check with. */
void nat_peer_go_waiting(NatPeer *peer);
/* The interface's candidates, the addresses that only this peer is reached from (a second LAN
 * without a default route), and the spare relayed one where it is for this peer. */
GArray *nat_peer_own_candidates(NatPeer *peer);
/* Whether this host has a way to some address of the peer's. */
gboolean nat_peer_is_reachable(NatPeer *peer);
/* The standby carries on; something better is looked for soon. */
void nat_peer_look_again(NatPeer *peer);
/* The peer is at the signaling server (again). */
void nat_peer_resume_search(NatPeer *peer);

/* nat-peer-path.c: the choice among pairs */
void nat_peer_make_watch(NatPeer *peer);
/* Asks the chooser, and does what it says. */
void nat_peer_consider(NatPeer *peer);
/* WireGuard's port or mark changed: bridges serve one only. */
void nat_peer_remake_bridges(NatPeer *peer);
void nat_peer_take_selected_pair(NatPeer *peer, NatWatchPair *pair);
/* WireGuard's packets pass on the chosen pair: what was held against it is over. */
void nat_peer_note_proof(NatPeer *peer);
/* The same, by bytes that come in on it without a try. */
void nat_peer_note_bytes(NatPeer *peer);
/* WireGuard's packets do not pass on the pair (NULL: where it was tried is none). TRUE: another one
 * was taken than the chosen one. */
gboolean nat_peer_leave_blocked(NatPeer *peer, NatWatchPair *blocked);
/* nat-peer-notes.c: what was found of WireGuard's packets on pairs that start from another address
 * now (the network changed) counts no longer. */
void nat_peer_forget_blocked(NatPeer *peer);
/* The device was read: data went out since the last bytes came in. */
void nat_peer_note_deaf(NatPeer *peer, gboolean deaf, gint64 now_us);
/* The pair that an endpoint of WireGuard's is; NULL: none. */
NatWatchPair *nat_peer_pair_of(NatPeer *peer, const WgEndpoint *endpoint);
void nat_peer_watch_present(NatPeer *peer);
void nat_peer_aim_bridges(NatPeer *peer);
guint64 nat_peer_late_bytes(NatPeer *peer);

/* Where a pair starts; endpoint unset: no way leads there now. */
void nat_peer_pair_local(NatPeer *peer, const NatWatchPair *pair, NatCandidate *out);

/* nat-peer-pairs.c: which pairs there are */
/* Our spare relayed address, where it is for this peer too; NULL: none. */
const WgEndpoint *nat_peer_spare(const NatPeer *peer);
gboolean nat_peer_on_relay(const NatPeer *peer);
void nat_peer_update_pairs(NatPeer *peer);
NatWatchPair *nat_peer_add_pair(NatPeer *peer, const NatCandidate *remote);
void nat_peer_rest_pairs(NatPeer *peer);
NatWatchPair *nat_peer_standby_pair(NatPeer *peer);

/* nat-peer.c */
/* What kind of address WireGuard's present endpoint is. */
NatCandType nat_peer_endpoint_type(NatPeer *peer);
/* The chosen pair answered after silence; it is no more. */
void nat_peer_path_answers(NatPeer *peer);
void nat_peer_path_lost(NatPeer *peer);

/* nat-peer-mtu.c: what the chosen pair carries in one piece */
void nat_peer_update_mtu(NatPeer *peer, gint64 now_us); /* each second */
void nat_peer_suspect_mtu(NatPeer *peer);
void nat_peer_stop_mtu(NatPeer *peer); /* before the watch goes */

/* nat-peer-why.c: what is known of why */
void nat_peer_fill_why(NatPeer *peer, NatWhy *why);
/* Here, as far as this peer's path does not show the contrary. */
gboolean nat_peer_udp_blocked(NatPeer *peer);

/* nat-peer-plain.c: without an agent at the other end */
void nat_peer_tick_plain(NatPeer *peer, gint64 now_us);
gboolean nat_peer_plain_disproved(NatPeer *peer); /* FALSE: it was no try of its */
void nat_peer_plain_proven(NatPeer *peer);
/* Its tunnel goes through a bridge of nat-relay-plain; the two may be NULL. */
gboolean nat_peer_plain_bridge(const NatPeer *peer, WgEndpoint *relayed, WgEndpoint *remote);
void nat_peer_end_plain(NatPeer *peer); /* its agent speaks */
gboolean nat_peer_plain_has(const NatPeer *peer, const WgEndpoint *ep);

/* nat-peer-beacon.c: without a signaling server */
/* New credentials for both ends, from the generations as they are. */
void nat_peer_derive_session(NatPeer *peer);
void nat_peer_fall_back(NatPeer *peer);
/* TRUE: it was followed there, and what it said there counts no longer. */
gboolean nat_peer_leave_beacons(NatPeer *peer);
/* What the peer takes for ours will soon be another one. */
gboolean nat_peer_generation_changed(const NatPeer *peer);

/* nat-peer-talk.c: what is said to the peer's agent, and heard */
void nat_peer_send_snapshot(NatPeer *peer);
/* The same, spaced, so that no replayer makes us a source of traffic. */
void nat_peer_send_soon(NatPeer *peer);
/* peer->remote is its newest word. */
void nat_peer_act_on_snapshot(NatPeer *peer);
/* Nobody is there to talk to any more. */
void nat_peer_gone(NatPeer *peer);
