/* SPDX-License-Identifier: MIT */
/*
 * NatPeer: everything about one WireGuard peer: the session with its agent (nat-session), the
 * search for a path (nat-search), the endpoint's proof (nat-path), the watch over its pairs
 * (nat-watch) with the choice among them, and the state that status shows. Host thread only.
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

#include "agent/base/nat-stats.h"
#include "agent/ice/nat-search.h"
#include "agent/innernet/inn-beacon.h"
#include "agent/path/nat-originals.h"
#include "agent/path/nat-path.h"
#include "agent/probe/nat-class-probe.h"
#include "agent/punch/punch-flows.h"
#include "agent/punch/punch-turn.h"
#include "agent/relay/nat-relay.h"
#include "agent/status/nat-events.h"
#include "agent/status/nat-status.h"

typedef struct NatPeer NatPeer;

/* What the interface lends its peers. Pointers outlive the peers. */
typedef struct {
	const char *ifname;
	NatEvents *events;  /* NULL: nobody asks */
	gboolean userspace; /* wireguard-go and the like */
	WgKey private_key, public_key;
	NatIceNs *ns;
	NatTun *tun;
	NatMux *mux;
	NatOriginals *originals;
	NatRelay *relay; /* NULL: none */
	/* Our candidates as they are now (transfer full, of NatCandidate). */
	GArray *(*candidates)(gpointer user_data);
	NatMapping (*mapping)(gpointer user_data);
	/* How our NAT behaves, as far as it is known. May be NULL. */
	void (*nat_class)(NatClass *out, gpointer user_data);
	NatClassProbe *class_probe; /* for nat_class_probe_counter(); NULL: none */
	/* What the internet sees of us (transfer full, of WgEndpoint). May be NULL. */
	GArray *(*public_endpoints)(gpointer user_data);
	/* No STUN server answers, and nothing else shows that UDP passes. May be NULL. */
	gboolean (*udp_blocked)(gpointer user_data);
	/* A router maps our port, for all to reach; may be NULL. */
	gboolean (*port_mapped)(gpointer user_data);
	/* Makes the ICE namespace carry the addresses (and those of all other searches). */
	gboolean (*use_addresses)(const WgEndpoint *addrs, gsize n, gpointer user_data);
	/* Sends a sealed body; FALSE when not at the signaling server. */
	gboolean (*send)(const WgKey *peer, GBytes *body, gpointer user_data);
	const char *(*signal_problem)(gpointer user_data);
	gboolean (*write)(const WgPeerChange *change, gpointer user_data);
	/* Calls nat_path_refresh() with the peer as the device has it now. */
	void (*refresh)(const WgKey *peer, NatPath *path, gpointer user_data);
	/* Snapshots are wanted soon (nat_path_urgent). */
	void (*hurry)(gpointer user_data);
	/* Seconds between two packets that keep a mapping of ours alive here. */
	guint16 (*keepalive)(gpointer user_data);
	/* The MTU that the interface would have without us, which paths are measured for; 0: not
	 * at all. May be NULL. */
	guint (*wg_mtu)(gpointer user_data);
	/* nat_peer_add_destinations() would add others than before. May be NULL. */
	void (*ways_changed)(gpointer user_data);
	/* A path broke: our mappings may have changed. */
	void (*look_again)(gpointer user_data);
	/* What the peer wants of the relay may have changed. */
	void (*relay_wanted)(gpointer user_data);
	/* Hard NATs (punch/); all NULL: nothing is tried. Whose turn it is in this process; the
	 * flows of this interface; WireGuard's mark. */
	PunchTurn *punch_turn;
	PunchFlows *punch_flows;
	guint32 (*fwmark)(gpointer user_data);
	/* Why there is no relayed address; NULL: there is one, or none is known of. *known: a TURN
	 * server is. */
	const char *(*relay_problem)(gboolean *known, gpointer user_data);
	/* Whether an endpoint of WireGuard's is a bridge of a peer without an agent, and what it
	 * leads to. NULL: there are none. */
	gboolean (*find_plain)(const WgEndpoint *endpoint, WgEndpoint *relayed, WgEndpoint *remote,
			       gpointer user_data);
	/* Our watch id: of this process, random, never 0. */
	guint32 watch_id;
	/* The first epoch of a choice of ours is above this. */
	guint32 epoch_base;
	/* Of our beacon (tier 0, nat-peer-beacon.c): its generation; whether beacons may be acted
	 * on (the signaling server had time to say who is there); our candidates may have changed.
	 * All NULL where there is no innernet server. */
	guint64 (*generation)(gpointer user_data);
	gboolean (*beacons_may)(gpointer user_data);
	void (*publish)(gpointer user_data);
	NatStats *stats; /* where all of them count; may be NULL */
	/* A message of this peer was dropped. */
	void (*dropped)(const char *cause, gpointer user_data);
	gpointer user_data;
} NatPeerEnv;

NatPeer *nat_peer_new(const NatPeerEnv *env, const WgKey *key, const char *name);
void nat_peer_free(NatPeer *peer); /* what the tunnel uses stays in WireGuard */

/* We log in at the signaling server: what is said now goes along. */
void nat_peer_signal_connected(NatPeer *peer);
void nat_peer_presence(NatPeer *peer, gboolean online);
/* Where the server sees its connection come from; forgotten when it goes offline. */
void nat_peer_seen_at(NatPeer *peer, const WgEndpoint *address);
void nat_peer_message(NatPeer *peer, const guint8 *body, gsize len);
/* What the peer's record at the innernet server says, each time it is read; beacon NULL: it has
 * none, and had none for long. observed: where the server sees it, unset: unknown. */
void nat_peer_beacon(NatPeer *peer, const InnBeacon *beacon, const WgEndpoint *observed);
/* The endpoints of a peer that has no agent, on an interface that is ours, in the order in which
 * they are tried (n 0: it is left alone); observed: where the innernet server sees it, may be NULL.
 */
void nat_peer_set_plain(NatPeer *peer, const WgEndpoint *endpoints, gsize n,
			const WgEndpoint *observed);
gboolean nat_peer_is_plain(const NatPeer *peer); /* it has such a list, and no agent */
/* The addresses that it may send from to a relayed address of ours (WgEndpoint, appended): while
 * none of its endpoints answers, or while it comes through a relay. */
void nat_peer_add_plain_permits(const NatPeer *peer, GArray *addresses);
/* How often all of them were tried in vain since it was last connected. */
guint nat_peer_plain_rounds(const NatPeer *peer);
/* The endpoint that its agent and ours agreed on, or are trying; NULL: none that others could use.
 * (transfer none) */
const WgEndpoint *nat_peer_held(const NatPeer *peer);
gboolean nat_peer_by_beacon(const NatPeer *peer); /* its agent is known by its beacon alone */
gboolean nat_peer_is_silent(const NatPeer *peer); /* its path went silent, and no other is found */
/* WireGuard's packets go out to it, and come in from it, by an address of the internet's. */
gboolean nat_peer_shows_udp(const NatPeer *peer);
void nat_peer_set_name(NatPeer *peer, const char *name); /* NULL: none */
/* A snapshot of the device. */
void nat_peer_observe(NatPeer *peer, const WgPeer *wg, gint64 now_us, gint64 real_s);
/* Our candidates grew (a STUN answer came): tell the peer. */
void nat_peer_candidates_changed(NatPeer *peer);
/* Where its packets go, and where they may go, in the internet: appended, of WgEndpoint. */
void nat_peer_add_endpoints(const NatPeer *peer, GArray *far);
void nat_peer_add_destinations(const NatPeer *peer, GArray *far);
/* Our relayed address came, changed or went. */
void nat_peer_relay_changed(NatPeer *peer);
/* Every second or so. */
void nat_peer_tick(NatPeer *peer, gint64 now_us);
/* The user wants it looked for anew, as if nothing were known of the ways to it. A tunnel that is
 * up stays up meanwhile. */
void nat_peer_restart(NatPeer *peer);
/* Addresses, routes, port or mark changed: check the path, or search anew. */
void nat_peer_network_changed(NatPeer *peer);
/* Where packets to it go, or may be tried to (WgEndpoint, some of them twice). */
void nat_peer_add_remotes(NatPeer *peer, GArray *endpoints);

NatPeerState nat_peer_state(const NatPeer *peer);
gboolean nat_peer_urgent(const NatPeer *peer, gint64 now_us);
const WgKey *nat_peer_key(const NatPeer *peer);
/* A relayed address of ours is wanted for it; a spare one too; the one that its tunnel leaves from
 * (NULL: none, valid until the next change); whether a warm standby may be held; when it last had
 * traffic (monotonic, 0: never). */
gboolean nat_peer_wants_relay(const NatPeer *peer, gint64 now_us);
gboolean nat_peer_wants_spare(const NatPeer *peer, gint64 now_us);
const WgEndpoint *nat_peer_relayed(const NatPeer *peer);
gboolean nat_peer_has_standby(const NatPeer *peer);
void nat_peer_set_standby(NatPeer *peer, gboolean standby);
gint64 nat_peer_data_us(const NatPeer *peer);
gboolean nat_peer_is_active(const NatPeer *peer, gint64 now_us);
/* The largest MTU of the tunnel that its path carries whole; 0: unknown, G_MAXUINT: all that is
 * tried. */
guint nat_peer_wg_mtu(const NatPeer *peer);
guint nat_peer_path_mtu(const NatPeer *peer);	    /* the path's, in bytes of IP; 0: unknown */
gboolean nat_peer_is_measured(const NatPeer *peer); /* and nothing is known yet */
const char *nat_peer_name(const NatPeer *peer);	    /* may be NULL */
/* Whether its tunnel, a standby or an attempt needs the flow. */
PunchFlowUse nat_peer_flow_use(NatPeer *peer, const PunchFlow *flow);
/* How its NAT behaves, as its agent told it last; NULL: nothing was told. (transfer none) */
const NatClass *nat_peer_remote_class(const NatPeer *peer);
/* Addresses its search uses (transfer none; may be NULL). Of WgEndpoint. */
const GArray *nat_peer_addresses(const NatPeer *peer);
/* What is known of it in detail (transfer full). */
NatStatusDetail *nat_peer_detail(NatPeer *peer);
/* Fills one row of status from the last snapshot. */
void nat_peer_status(NatPeer *peer, const WgPeer *wg, NatStatusPeer *out);
