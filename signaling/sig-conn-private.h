/* SPDX-License-Identifier: MIT */
/*
 * What the two halves of SigConn share: sig-conn.c has its life and what goes out, sig-conn-in.c
 * what comes in. Nobody else includes this.
 *
 * Telling a peer that somebody left may fill that peer's queue, which ends it too, and so on
 * through a clique of slow readers. So ending a connection only queues it in hub->leaving, and
 * every public function that may have ended one (but sig_conn_drain) calls sig_conn_settle() last:
 * a loop where recursion would be as deep as there are connections.
 */
#pragma once

#include "signaling/sig-conn.h"

typedef enum {
	STATE_ACCEPTED,
	STATE_OFFERED,
	STATE_READY,
	STATE_CLOSING,
} State;

struct SigConn {
	SigHub *hub;
	gpointer transport;
	GList link, woken, leaving;
	SigTimer timer;
	SigTimer turn_timer; /* set: the client has credentials, of which half the life is left */
	State state;
	SigWriter writer;
	SigClose close;	     /* its frame is still to be written */
	gboolean heard : 1;  /* since the timer was set */
	gboolean pinged : 1; /* and not heard since */
	gboolean ping : 1;   /* to be written */
	gboolean in_gate : 1;
	gboolean from_here : 1;
	gboolean is_leaving : 1;
	SigQueue queue;
	gint64 full_since;   /* µs: nothing was taken since a message found no room; 0: has room */
	GByteArray *partial; /* of a message that comes in pieces */
	guint n_frames;	     /* of that message, that are complete */
	SigOffer *offer;     /* until logged in */
	guint drain_s;	     /* to be drained as soon as it is open; 0: not */
	SigMember *member;   /* while in the directory */
	WgEndpoint address;
	SigAddress *from;
	guint named;	    /* keys, as `from` was told */
	SigBucket share;    /* what its neighbours behind the same address can't take from it */
	SigBucket received; /* messages to it: exact, for nobody makes it reconnect but itself */
};

/* Takes those that have ended out of the directory. */
void sig_conn_settle(SigHub *hub);
/* Ends it with an error frame; sig_conn_settle() is to follow. No effect when closing already. */
void sig_conn_end_unsettled(SigConn *conn, SigClose why, const char *text);
/* The same for one that has proved this key (NULL: none) but is not, or no more, in the directory.
 */
void sig_conn_end_proved(SigConn *conn, const WgKey *key, SigClose why, const char *text);
/* The same for one that reads too slowly: what is queued is dropped. */
void sig_conn_overload(SigConn *conn);
/* It has logged in, or is gone. */
void sig_conn_leave_gate(SigConn *conn);

/* Queues a control frame (text: transfer full); a reader for which there is no room is ended. */
void sig_conn_push(SigConn *conn, char *text);
/* After queueing by hand, if that was ok: wakes the writer. Returns ok. */
gboolean sig_conn_queued(SigConn *conn, gboolean ok);
/* One frame for what self has to hear, one for each other connection. */
void sig_conn_push_changes(SigConn *self, GArray *changes);
/* Credentials for relays, if it has a mutual peer. */
void sig_conn_give_turn(SigConn *conn);
