/* SPDX-License-Identifier: MIT */
/*
 * PunchAttempt: one attempt on a hard NAT, as agreed (punch-plan): paced, bounded, and over with
 * the first packet of the peer's that comes in. Every packet is an authenticated Binding request of
 * the watch over the peer's pairs, so the two ends' watches understand each other's.
 *
 * 100 packets a second and 20 s at most; a source port sends at most 4 times. Host thread only;
 * callbacks come from the main loop, and may free the attempt.
 */
#pragma once

#include "agent/path/nat-watch-keys.h"
#include "agent/punch/punch-fan.h"
#include "agent/punch/punch-guess.h"
#include "agent/punch/punch-plan.h"

#define PUNCH_RATE 100 /* packets a second */
#define PUNCH_LIFE_MS 20000

typedef struct PunchAttempt PunchAttempt;

typedef struct {
	/* An authenticated packet came from `remote` to our source port: the way is open in both
	 * directions. fd is its socket (transfer full). Once; the attempt rests then. */
	void (*hit)(guint16 port, int fd, const WgEndpoint *remote, gpointer user_data);
	/* Sends one probe from WireGuard's port to dst. FALSE: it could not be sent. */
	gboolean (*spray)(const WgEndpoint *dst, gpointer user_data);
	/* It is over, in vain. Once. */
	void (*ended)(gpointer user_data);
} PunchFuncs;

/* keys: those of the watch; borrowed. */
PunchAttempt *punch_attempt_new(PunchRole role, const NatWatchKeys *keys, const PunchFuncs *funcs,
				gpointer user_data);
void punch_attempt_free(PunchAttempt *attempt);
PunchRole punch_attempt_role(const PunchAttempt *attempt);
/* OPEN, AIM: n source ports of the local address. */
gboolean punch_attempt_make_ports(PunchAttempt *attempt, const WgEndpoint *local, guint n,
				  guint32 fwmark, GError **error);
/* The local ports, in the order in which they will send (transfer none). */
const guint16 *punch_attempt_ports(const PunchAttempt *attempt, guint *n);
/* OPEN, AIM: sends to target from all of them, from wait_ms on. What comes from its address, from
 * any port, is a hit. */
void punch_attempt_fire(PunchAttempt *attempt, const WgEndpoint *target, guint wait_ms);
/* SPRAY: to these ports of the address. */
void punch_attempt_spray(PunchAttempt *attempt, const WgEndpoint *address, const PunchPorts *ports);
guint punch_attempt_sent(const PunchAttempt *attempt); /* packets so far */
