/* SPDX-License-Identifier: MIT */
/*
 * NatPath: one peer's endpoint in WireGuard: how it is written, and when it counts as working.
 *
 * Checks propose (nat_path_try), WireGuard disposes: an endpoint counts as proven when a handshake
 * completes or authenticated bytes arrive on it (DESIGN §3). How it is written depends on what
 * WireGuard did lately:
 *
 *   a session is live         endpoint, keepalive 0 then n in one message: a packet leaves at once
 *   no session, slot free     endpoint and keepalive in one message: an initiation leaves at once
 *   no session, slot burned   the peer is replaced in one transaction (WireGuard sends at most one
 *                             initiation per 5 s and peer)
 *
 * Only one end initiates at first, the controlling one: when two initiations cross, each end
 * answers the other's and so forgets its own, both responses are void, and WireGuard tries again
 * after 5 s (seen with wireguard-go; the kernel keeps one handshake state per peer too). The other
 * end writes the endpoint alone and initiates only when nothing came.
 *
 * A live tunnel that is moved: the kernel resets the endpoint from every authenticated packet, so
 * late ones of the path just left undo the write. It is written again for as long as that happens;
 * an endpoint that the kernel takes from any third place is where the peer is, and accepted. Bytes
 * are proof only when they came after the last write, with the endpoint staying: those of the old
 * path would have moved it.
 *
 *   IDLE ──try──▶ PROVING ──handshake or bytes──▶ PROVEN ──session dies──▶ IDLE
 *                    └──no proof in time──▶ IDLE (rolled back)
 *
 * All of it is driven by snapshots of the device (nat_path_observe) with the time as an argument;
 * the only effect is the `write` function. Proven by tests/vm/wg-table. One thread.
 */
#pragma once

#include "wgctl/wg-ctl.h"

typedef struct NatPath NatPath;

typedef enum {
	NAT_PATH_IDLE,
	NAT_PATH_PROVING,
	NAT_PATH_PROVEN,
} NatPathPhase;

typedef struct {
	/* Applies one change to the device. FALSE: it was refused (logged by the callee). */
	gboolean (*write)(const WgPeerChange *change, gpointer user_data);
	/* Bytes that reached WireGuard by bridges of ours, ever: while a direct endpoint is tried,
	 * they are no proof of it. NULL: none do. */
	guint64 (*bridged)(gpointer user_data);
	/* The tried endpoint works. */
	void (*proven)(gpointer user_data);
	/* No handshake in time: WireGuard's packets do not pass where STUN did. Rolled back. */
	void (*disproved)(const WgEndpoint *tried, gpointer user_data);
} NatPathFuncs;

NatPath *nat_path_new(const WgKey *peer, gboolean initiator, const NatPathFuncs *funcs,
		      gpointer user_data);
void nat_path_free(NatPath *path);

/* A snapshot of the peer. now_us: monotonic; real_s: CLOCK_REALTIME seconds, used once, to date the
 * handshake found at the first sight. */
void nat_path_observe(NatPath *path, const WgPeer *wg, gint64 now_us, gint64 real_s);
/* The same, and does nothing about it: right before a try, so that what came in before counts as
 * before. */
void nat_path_refresh(NatPath *path, const WgPeer *wg, gint64 now_us, gint64 real_s);
/* Writes the endpoint and waits for proof, for patience_us (0: as long as a handshake may take
 * where nothing else is left to try). What is being proved meanwhile goes on towards the new
 * endpoint; `afresh`: it is given up, a handshake starts anew. */
void nat_path_try(NatPath *path, const WgEndpoint *remote, gboolean afresh, gint64 patience_us,
		  gint64 now_us);
/* Makes WireGuard's present endpoint the one to keep (adopted or confirmed); nothing is written. */
void nat_path_adopt(NatPath *path, gint64 now_us);
/* The same after a move that the other end made first: late packets of `left` do not undo it. */
void nat_path_settle(NatPath *path, const WgEndpoint *left, gint64 now_us);
/* Sends a packet on the live session (keepalive 0, then n): WireGuard answers no keepalive, so an
 * end whose tunnel is fine must speak for the other end to have its proof. */
void nat_path_poke(NatPath *path);
/* Whether this end initiates at once, or waits for the other's initiation first. */
void nat_path_set_initiator(NatPath *path, gboolean initiator);
/* WireGuard runs in user space: it burns the initiation's slot by user traffic even without an
 * endpoint (the kernel drops such packets before it comes to that). */
void nat_path_set_userspace(NatPath *path, gboolean userspace);
/* How often, in s, WireGuard shall keep the mapping alive, at most (a user's shorter value stays).
 * Takes effect with the next write, or at once on a proven path that has a keepalive: one write,
 * when it differs. To be said often. */
void nat_path_set_keepalive(NatPath *path, guint16 seconds);
/* What the user had set, where an earlier run of ours changed it; before the first observation. */
void nat_path_set_users_keepalive(NatPath *path, guint16 seconds);
/* Forget what was tried; the device is left as it is. */
void nat_path_reset(NatPath *path);

NatPathPhase nat_path_phase(const NatPath *path);
/* A WireGuard session exists: a handshake younger than 180 s (REJECT_AFTER_TIME). */
gboolean nat_path_live(const NatPath *path, gint64 now_us);
/* As the device has it. */
const WgEndpoint *nat_path_endpoint(const NatPath *path);
/* What was last tried or adopted. Unset: nothing. */
const WgEndpoint *nat_path_wanted(const NatPath *path);
/* Monotonic time of the last handshake and of the last received byte; 0: never seen. */
gint64 nat_path_handshake_us(const NatPath *path);
gint64 nat_path_rx_us(const NatPath *path);
/* The last received byte that no bridge brought which the endpoint does not name; 0: never seen. */
gint64 nat_path_here_us(const NatPath *path);
/* When more than a keepalive was last sent (data, or the handshake that data waits for); when data
 * last passed either way. 0: never seen. */
gint64 nat_path_data_tx_us(const NatPath *path);
gint64 nat_path_used_us(const NatPath *path);
gint64 nat_path_tried_us(const NatPath *path); /* 0: nothing is being tried, or settles */
/* Whether the next observation should come soon (PROVING or settling). */
gboolean nat_path_urgent(const NatPath *path, gint64 now_us);
