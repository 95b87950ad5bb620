/* SPDX-License-Identifier: MIT */
#include "agent/path/nat-path.h"

#include <string.h>

#define SEC ((gint64)G_USEC_PER_SEC)
#define LIVE_US (180 * SEC)	    /* REJECT_AFTER_TIME */
#define SLOT_US (5500 * SEC / 1000) /* REKEY_TIMEOUT 5 s, and what a snapshot lags */
/* Retries inside one proof: the first initiation may be lost, or meet a NAT still shut. */
#define INITIATOR_RETRIES                                                                          \
	{                                                                                          \
		1500 * SEC / 1000, 4 * SEC                                                         \
	}
#define RESPONDER_RETRIES                                                                          \
	{                                                                                          \
		800 * SEC / 1000, 2800 * SEC / 1000                                                \
	}
#define RETRIES 2
#define PROOF_US (8 * SEC)
/* Late packets of the path just left roam the kernel back: for so long after the proof the wanted
 * endpoint is written again, at most this often. */
#define SETTLE_US (3 * SEC)
#define SETTLE_WRITES 100
#define KEEPALIVE_S 25
#define KEEPALIVE_BYTES 32
#define KEEPALIVE_OF_NOBODY (-1)      /* we wrote none */
#define KEEPALIVE_OF_EARLIER_RUN (-2) /* what is seen first is of a run before this one */

struct NatPath {
	WgKey peer;
	gboolean initiator, userspace;
	NatPathFuncs funcs;
	gpointer user_data;
	NatPathPhase phase;

	/* what was seen */
	gboolean seen;
	WgEndpoint endpoint;
	guint16 keepalive;
	gint64 handshake_s, handshake_ns; /* as the device says it, for comparing only */
	guint64 rx, tx;
	gint64 first_us, handshake_us, rx_us, tx_us, data_tx_us, used_us;

	/* what is wanted */
	WgEndpoint wanted, before; /* before: what the try replaced, for the roll-back */
	WgEndpoint left; /* its late packets may undo the last write, and those of `before` */
	gint64 tried_us, wrote_us, patience_us;
	guint16 before_keepalive;
	guint16 interval; /* the keepalive to arm with the endpoint */
	guint16 most;	  /* what the mapping needs, 0: WireGuard's usual */
	guint16 users;	  /* what the user had set */
	int armed;	  /* what we wrote last, or one of: */
	guint attempts, settle_writes;
	gboolean was_live;	/* at the time of the try */
	gint64 base_s, base_ns; /* handshake at the time of the try */
	guint64 base_rx, base_bridged;
	/* since the endpoint is what it is: bytes that were not bridged from elsewhere, at most */
	guint64 here_rx, here_bridged;
	gint64 here, here_us;
};

NatPath *
nat_path_new(const WgKey *peer, gboolean initiator, const NatPathFuncs *funcs, gpointer user_data)
{
	NatPath *path = g_new0(NatPath, 1);

	path->peer = *peer;
	path->initiator = initiator;
	path->funcs = *funcs;
	path->user_data = user_data;
	path->armed = KEEPALIVE_OF_NOBODY;
	return path;
}

void
nat_path_free(NatPath *path)
{
	g_free(path);
}

gboolean
nat_path_live(const NatPath *path, gint64 now_us)
{
	return path->handshake_us != 0 && now_us - path->handshake_us < LIVE_US;
}

/* Whether WireGuard may have sent an initiation in the last 5 s, so that it would not send another.
 * A keepalive burns the slot even without an endpoint. When in doubt, yes: without a session a
 * replaced peer loses nothing. */
static gboolean
slot_burned(const NatPath *path, gint64 now_us)
{
	if (path->keepalive != 0)
		return TRUE;
	if (path->wrote_us != 0 && now_us - path->wrote_us < SLOT_US)
		return TRUE;
	if (!wg_endpoint_is_set(&path->endpoint))
		return path->userspace;
	return now_us - path->first_us < SLOT_US ||
	       (path->tx_us != 0 && now_us - path->tx_us < SLOT_US);
}

static void
apply(NatPath *path, const WgPeerChange *change)
{
	/* Another value in the next snapshot is the user's. */
	if (change->flags & WG_CHANGE_KEEPALIVE)
		path->armed = change->keepalive;
	if (path->funcs.write(change, path->user_data) && (change->flags & WG_CHANGE_KEEPALIVE))
		path->keepalive = change->keepalive;
}

static guint64
bridged(const NatPath *path)
{
	return path->funcs.bridged != NULL ? path->funcs.bridged(path->user_data) : 0;
}

static void
begin_here(NatPath *path)
{
	path->here_rx = path->rx;
	path->here_bridged = bridged(path);
	path->here = 0;
}

/* What came in so far is no proof of what is written now. */
static void
set_base(NatPath *path)
{
	path->base_rx = path->rx;
	path->base_bridged = bridged(path);
	begin_here(path);
}

/* `initiate`: a handshake shall start now, whatever it costs. */
static void
write_wanted(NatPath *path, gboolean initiate, gint64 now_us)
{
	gboolean live = nat_path_live(path, now_us);
	WgPeerChange change = {
		.public_key = path->peer,
		.flags = WG_CHANGE_ENDPOINT | WG_CHANGE_KEEPALIVE,
		.endpoint = path->wanted,
		.keepalive = live || initiate ? path->interval : 0,
	};

	if (live)
		change.flags |= WG_CHANGE_REARM;
	else if (initiate && slot_burned(path, now_us))
		change.flags |= WG_CHANGE_REPLACE;
	path->wrote_us = now_us;
	set_base(path);
	apply(path, &change);
}

/* Nothing but the address: a handshake or a session that is there goes on. */
static void
move_endpoint(NatPath *path)
{
	WgPeerChange change = {
		.public_key = path->peer,
		.flags = WG_CHANGE_ENDPOINT,
		.endpoint = path->wanted,
	};

	set_base(path);
	/* what a live session exchanged so far was exchanged elsewhere */
	if (path->was_live) {
		path->base_s = path->handshake_s;
		path->base_ns = path->handshake_ns;
	}
	apply(path, &change);
}

/* The responder's keepalive waits for the proof; a user's own value waited with it. WireGuard's
 * timer keeps the longer interval that it was set to, so a shorter one starts with a packet. */
static void
arm_keepalive(NatPath *path)
{
	WgPeerChange change = {
		.public_key = path->peer,
		.flags = WG_CHANGE_KEEPALIVE,
		.keepalive = path->interval,
	};

	if (path->interval < path->keepalive)
		change.flags |= WG_CHANGE_REARM;
	if (path->keepalive != path->interval)
		apply(path, &change);
}

/* The user's own keepalive stays where it is short enough. */
static guint16
wanted_interval(const NatPath *path)
{
	guint16 most = path->most != 0 ? path->most : KEEPALIVE_S;

	if (path->users == 0)
		return most;
	return path->most != 0 ? MIN(path->users, path->most) : path->users;
}

static void
begin_proof(NatPath *path, gint64 now_us)
{
	path->interval = wanted_interval(path);
	path->was_live = nat_path_live(path, now_us);
	path->base_s = path->handshake_s;
	path->base_ns = path->handshake_ns;
	set_base(path);
}

void
nat_path_try(NatPath *path, const WgEndpoint *remote, gboolean afresh, gint64 patience_us,
	     gint64 now_us)
{
	gboolean proving = path->phase == NAT_PATH_PROVING;
	gboolean goes_on = proving && !afresh;

	if (goes_on && wg_endpoint_equal(&path->wanted, remote))
		return;
	/* What was there before the first of several tries is what to come back to. */
	if (proving) {
		path->left = path->wanted;
	} else {
		path->before = path->left = path->endpoint;
		path->before_keepalive = path->keepalive;
	}
	if (!goes_on)
		begin_proof(path, now_us);
	path->wanted = *remote;
	path->phase = NAT_PATH_PROVING;
	path->tried_us = now_us;
	path->patience_us = patience_us != 0 ? patience_us : PROOF_US;
	path->attempts = 0;
	path->settle_writes = 0;
	/* A better pair was found while the first one's handshake is under way: both work, so let
	 * that handshake finish instead of starting over. */
	if (goes_on)
		move_endpoint(path);
	else
		write_wanted(path, path->initiator, now_us);
}

void
nat_path_adopt(NatPath *path, gint64 now_us)
{
	path->wanted = path->endpoint;
	path->phase = NAT_PATH_PROVEN;
	path->tried_us = 0;
}

void
nat_path_settle(NatPath *path, const WgEndpoint *left, gint64 now_us)
{
	nat_path_adopt(path, now_us);
	path->before = path->left = *left;
	path->settle_writes = 0;
	path->tried_us = now_us;
	set_base(path);
}

void
nat_path_poke(NatPath *path)
{
	WgPeerChange change = {
		.public_key = path->peer,
		.flags = WG_CHANGE_KEEPALIVE | WG_CHANGE_REARM,
		.keepalive = path->keepalive != 0 ? path->keepalive : wanted_interval(path),
	};

	apply(path, &change);
}

void
nat_path_set_initiator(NatPath *path, gboolean initiator)
{
	path->initiator = initiator;
}

void
nat_path_set_userspace(NatPath *path, gboolean userspace)
{
	path->userspace = userspace;
}

void
nat_path_set_keepalive(NatPath *path, guint16 seconds)
{
	path->most = seconds;
	path->interval = wanted_interval(path);
	/* also where an earlier run of ours, or the user, left another one on a path taken over */
	if (path->phase == NAT_PATH_PROVEN && path->keepalive != 0)
		arm_keepalive(path);
}

void
nat_path_set_users_keepalive(NatPath *path, guint16 seconds)
{
	path->users = seconds;
	path->armed = path->seen ? path->keepalive : KEEPALIVE_OF_EARLIER_RUN;
}

void
nat_path_reset(NatPath *path)
{
	path->phase = NAT_PATH_IDLE;
	memset(&path->wanted, 0, sizeof path->wanted);
}

static gboolean
has_proof(const NatPath *path)
{
	gboolean handshake = path->handshake_s != 0 && (path->handshake_s != path->base_s ||
							path->handshake_ns != path->base_ns);

	guint64 late;

	if (!path->was_live)
		return handshake;
	/* A move proves itself by the other end's bytes; the endpoint must have stayed. */
	if (!wg_endpoint_equal(&path->endpoint, &path->wanted))
		return FALSE;
	/* A bridge is its own proof; towards any other endpoint its packets are late ones. */
	late = wg_endpoint_is_bogus(&path->wanted) ? 0 : bridged(path) - path->base_bridged;
	return (handshake && late == 0) || path->rx - path->base_rx > late;
}

static void
roll_back(NatPath *path)
{
	WgPeerChange change = {
		.public_key = path->peer,
		.flags = WG_CHANGE_KEEPALIVE,
		.endpoint = path->before,
		.keepalive = path->before_keepalive,
	};
	WgEndpoint tried = path->wanted;

	nat_path_reset(path);
	/* WireGuard cannot forget an endpoint, only take another. */
	if (wg_endpoint_is_set(&path->before)) {
		change.flags |= WG_CHANGE_ENDPOINT;
		path->endpoint = path->before;
	}
	apply(path, &change);
	path->funcs.disproved(&tried, path->user_data);
}

/* The kernel took the endpoint from a packet: a late one of the path just left, or one from where
 * the peer really is. */
static void
follow_roaming(NatPath *path)
{
	if (wg_endpoint_equal(&path->endpoint, &path->wanted) ||
	    !wg_endpoint_is_set(&path->endpoint))
		return;
	if (!wg_endpoint_equal(&path->endpoint, &path->left) &&
	    !wg_endpoint_equal(&path->endpoint, &path->before)) {
		path->wanted = path->endpoint;
	} else if (path->settle_writes < SETTLE_WRITES) {
		path->settle_writes++;
		move_endpoint(path);
	}
}

static void
step_proving(NatPath *path, gint64 now_us)
{
	static const gint64 RETRY_US[2][RETRIES] = {RESPONDER_RETRIES, INITIATOR_RETRIES};
	const gint64 *retry_us = RETRY_US[path->initiator ? 1 : 0];
	gint64 age = now_us - path->tried_us;

	if (has_proof(path)) {
		path->phase = NAT_PATH_PROVEN;
		arm_keepalive(path);
		path->funcs.proven(path->user_data);
		return;
	}
	if (age > path->patience_us) {
		roll_back(path);
		return;
	}
	if (path->was_live)
		follow_roaming(path);
	if (path->attempts < RETRIES && age > retry_us[path->attempts]) {
		path->attempts++;
		write_wanted(path, TRUE, now_us);
	}
}

static void
step_dead(NatPath *path, gint64 now_us)
{
	WgEndpoint wanted = path->wanted;

	if (!wg_endpoint_is_set(&wanted)) {
		path->phase = NAT_PATH_IDLE;
		return;
	}
	nat_path_reset(path);
	/* Somebody made the peer anew (wg setconf): same path, new session. */
	if (path->handshake_s == 0)
		nat_path_try(path, &wanted, FALSE, 0, now_us);
}

static void
step_proven(NatPath *path, gint64 now_us)
{
	if (!nat_path_live(path, now_us)) {
		step_dead(path, now_us);
		return;
	}
	if (wg_endpoint_equal(&path->endpoint, &path->wanted))
		return;
	if (path->tried_us != 0 && now_us - path->tried_us < SETTLE_US)
		follow_roaming(path);
	else
		/* The kernel roams on authenticated packets only: that is where the peer is. */
		path->wanted = path->endpoint;
}

static void
note_handshake(NatPath *path, const WgPeer *wg, gint64 now_us, gint64 real_s)
{
	if (wg->last_handshake_s == path->handshake_s &&
	    wg->last_handshake_ns == path->handshake_ns)
		return;
	if (wg->last_handshake_s == 0) {
		path->handshake_us = 0;
	} else if (!path->seen) {
		gint64 age_s = MAX(real_s - wg->last_handshake_s, 0);

		/* Monotonic time may be younger than the handshake is old: keep it above zero. */
		path->handshake_us = MAX(now_us - MIN(age_s, 3600) * SEC, 1);
		if (age_s * SEC >= LIVE_US)
			path->handshake_us = 0;
	} else {
		path->handshake_us = now_us;
	}
	path->handshake_s = wg->last_handshake_s;
	path->handshake_ns = wg->last_handshake_ns;
}

/* Data, and not only what WireGuard sends by itself? The sizes of its data and keepalives are
 * multiples of 16, those of its handshakes (148 and 92 bytes) are not. Two agents make each other's
 * WireGuard send some keepalives in a row. */
static gboolean
carries_data(guint64 bytes)
{
	if (bytes % 16 == 148 % 16)
		bytes -= MIN(bytes, 148);
	else if (bytes % 16 == 92 % 16)
		bytes -= MIN(bytes, 92);
	return bytes > 3 * KEEPALIVE_BYTES;
}

static void
note_traffic(NatPath *path, const WgPeer *wg, gint64 now_us)
{
	if (!path->seen)
		return;
	if (wg->rx_bytes > path->rx)
		path->rx_us = now_us;
	if (wg->tx_bytes > path->tx)
		path->tx_us = now_us;
	if (wg->tx_bytes > path->tx + KEEPALIVE_BYTES)
		path->data_tx_us = now_us;
	if ((wg->rx_bytes > path->rx && carries_data(wg->rx_bytes - path->rx)) ||
	    (wg->tx_bytes > path->tx && carries_data(wg->tx_bytes - path->tx)))
		path->used_us = now_us;
}

/* Whatever we did not write is the user's. */
static void
note_keepalive(NatPath *path, guint16 keepalive)
{
	if (path->armed == KEEPALIVE_OF_EARLIER_RUN)
		path->armed = keepalive;
	if ((!path->seen || keepalive != path->keepalive) && keepalive != path->armed)
		path->users = keepalive;
	path->keepalive = keepalive;
}

/* The most ever, because a bridge has counted its packets before WireGuard has. */
static void
note_here(NatPath *path, gint64 now_us)
{
	gint64 here = (gint64)(path->rx - path->here_rx);

	if (!wg_endpoint_is_bogus(&path->endpoint))
		here -= (gint64)(bridged(path) - path->here_bridged);
	if (here <= path->here)
		return;
	path->here = here;
	path->here_us = now_us;
}

void
nat_path_refresh(NatPath *path, const WgPeer *wg, gint64 now_us, gint64 real_s)
{
	gboolean stays = path->seen && wg->rx_bytes >= path->rx &&
			 wg_endpoint_equal(&path->endpoint, &wg->endpoint);

	if (!path->seen)
		path->first_us = now_us;
	note_handshake(path, wg, now_us, real_s);
	note_traffic(path, wg, now_us);
	/* A replaced peer starts from zero, and so must the proof by bytes. */
	path->base_rx = MIN(path->base_rx, wg->rx_bytes);
	path->rx = wg->rx_bytes;
	path->tx = wg->tx_bytes;
	path->endpoint = wg->endpoint;
	if (stays)
		note_here(path, now_us);
	else
		begin_here(path);
	note_keepalive(path, wg->keepalive);
	path->seen = TRUE;
}

void
nat_path_observe(NatPath *path, const WgPeer *wg, gint64 now_us, gint64 real_s)
{
	nat_path_refresh(path, wg, now_us, real_s);
	switch (path->phase) {
	case NAT_PATH_IDLE:
		break;
	case NAT_PATH_PROVING:
		step_proving(path, now_us);
		break;
	case NAT_PATH_PROVEN:
		step_proven(path, now_us);
		break;
	}
}

NatPathPhase
nat_path_phase(const NatPath *path)
{
	return path->phase;
}

const WgEndpoint *
nat_path_endpoint(const NatPath *path)
{
	return &path->endpoint;
}

const WgEndpoint *
nat_path_wanted(const NatPath *path)
{
	return &path->wanted;
}

gint64
nat_path_handshake_us(const NatPath *path)
{
	return path->handshake_us;
}

gint64
nat_path_rx_us(const NatPath *path)
{
	return path->rx_us;
}

gint64
nat_path_here_us(const NatPath *path)
{
	return path->here_us;
}

gint64
nat_path_data_tx_us(const NatPath *path)
{
	return path->data_tx_us;
}

gint64
nat_path_used_us(const NatPath *path)
{
	return path->used_us;
}

gint64
nat_path_tried_us(const NatPath *path)
{
	return path->tried_us;
}

gboolean
nat_path_urgent(const NatPath *path, gint64 now_us)
{
	return path->phase == NAT_PATH_PROVING ||
	       (path->phase == NAT_PATH_PROVEN && path->tried_us != 0 &&
		now_us - path->tried_us < SETTLE_US);
}
