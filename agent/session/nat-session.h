/* SPDX-License-Identifier: MIT */
/*
 * NatSession: which of a peer's messages count, without clocks (DESIGN §4).
 *
 * Each side names its session by a random id, echoes the last id it saw of the other, and numbers
 * its messages. A session id is ours until we start a new search by ourselves; answering the
 * other's restart keeps it. First contact is acted on at once; while a session is live, another one
 * of the peer replaces it only after the peer echoed our current id. So a replayed or delayed
 * message does nothing but, at most, cost one bounded answer, and restarts cannot loop:
 *
 *   verdict    what it means                              what the caller does
 *   DROP       replayed, out of order, or retired          count it
 *   UPDATE     a newer snapshot of the session we follow   take its candidates and flags
 *   NEW        a session to follow from now on             begin checks with its credentials
 *   ANSWER     a session we may follow once it echoes us   send our snapshot (rate-limited)
 *
 * Pure: no I/O, no clock, no allocation; any thread.
 */
#pragma once

#include "agent/session/nat-msg.h"

#define NAT_SESSION_RETIRED 64

typedef struct {
	guint64 local;	/* our session id, never 0 */
	guint32 seq;	/* of the last message we sent */
	guint64 remote; /* the session we follow, 0: none */
	guint32 remote_seq;
	guint64 seen; /* last session id seen of the peer, what we echo; 0: none */
	guint64 retired[NAT_SESSION_RETIRED]; /* sessions followed before, newest first */
} NatSession;

typedef enum {
	NAT_SESSION_DROP,
	NAT_SESSION_UPDATE,
	NAT_SESSION_NEW,
	NAT_SESSION_ANSWER,
} NatSessionVerdict;

/* sid: random, not 0. */
void nat_session_init(NatSession *session, guint64 sid);
/* A new search of our own: a new id; the peer's session is followed on. */
void nat_session_renew(NatSession *session, guint64 sid);
/* live: the followed session is being checked or connected. *behind: the peer does not know our
 * current id, so our snapshot should be sent (also after NEW and UPDATE). */
NatSessionVerdict nat_session_receive(NatSession *session, const NatMsg *msg, gboolean live,
				      gboolean *behind);
/* Fills sid, echo and the next seq. */
void nat_session_stamp(NatSession *session, NatMsg *msg);
