/* SPDX-License-Identifier: MIT */
/*
 * InnRedeem: what to do next while an invitation is redeemed, by what came of the last thing. Pure.
 *
 * The server knows a member by its WireGuard key and answers the API by tunnel address alone. To
 * redeem is to name the key that shall take the place of the invitation's: it is entered at once,
 * and the server's device changes keys 5 s later. So:
 *
 *   by the invitation's key   not redeemed: state 401 · redeemed within the last 5 s: state 200,
 *                             with the key that was entered · later: no handshake
 *   by our own key            no handshake · the same · handshake, and state 200
 *
 * An answer may be lost, and whoever redeems may have been killed; our key was on disk before it
 * was named. Whichever of the two keys still opens the door tells what happened:
 *
 *   CONNECT (invitation) ─ handshake ─ REDEEM ─ 204 ─────────── WAIT ─ CONNECT (own) ─ ASK ─ DONE
 *       │ none                           │ 401                   │
 *       │                               ASK ─ 200, our key ──────┘
 *       └ if it may be entered: CONNECT (own) ─ handshake ─ ASK ─ 200 ─ DONE
 */
#pragma once

#include <glib.h>

#define INN_REDEEM_WAIT_MS 5300 /* the server's 5 s, and a little for the way */

typedef enum {
	INN_REDEEM_CONNECT, /* a handshake with the server, by the key that `own` says */
	INN_REDEEM_SEND,    /* POST /v1/user/redeem, naming our key */
	INN_REDEEM_ASK,	    /* GET /v1/user/state */
	INN_REDEEM_WAIT,    /* INN_REDEEM_WAIT_MS, until the server changes keys */
	INN_REDEEM_DONE,
	INN_REDEEM_FAILED,
} InnRedeemStep;

typedef enum {
	INN_REDEEM_FRESH,   /* our key is new: nobody can know it */
	INN_REDEEM_AGAIN,   /* it is from an attempt before: the server may know it */
	INN_REDEEM_ENTERED, /* the server knows it: what is left is to prove it */
} InnRedeemStart;

typedef enum {
	INN_REDEEM_UNREACHABLE = 1, /* no handshake */
	INN_REDEEM_SILENT,	    /* handshakes, but no answers to calls */
	INN_REDEEM_TAKEN,	    /* redeemed by another key than ours */
	INN_REDEEM_EXPIRED,	    /* the server does not take the invitation any more */
	INN_REDEEM_DISABLED,	    /* the server knows our key and refuses its calls */
	INN_REDEEM_STRANGE,	    /* an answer that no innernet server gives: see status */
} InnRedeemFailure;

/* What a state says of us. */
typedef enum {
	INN_REDEEM_UNNAMED, /* nothing, or it is none */
	INN_REDEEM_OUR_KEY,
	INN_REDEEM_OTHER_KEY,
} InnRedeemRecord;

typedef struct {
	InnRedeemStep step;
	gboolean own;	  /* the device's key is ours, else the invitation's */
	gboolean maybe;	  /* the server may know our key: it must not be lost */
	gboolean entered; /* the server knows it */
	guint lost;	  /* answers that did not come */
	guint misses;	  /* handshakes that did not come, one after the other */
	InnRedeemFailure why;
	guint status; /* of the answer that led to `why`; 0: none */
} InnRedeem;

void inn_redeem_start(InnRedeem *redeem, InnRedeemStart start);
/* Each tells what came of the present step, and sets the next one. status: as HTTP has it; 0: no
 * answer came. */
void inn_redeem_connected(InnRedeem *redeem, gboolean handshake);
void inn_redeem_sent(InnRedeem *redeem, guint status);
void inn_redeem_asked(InnRedeem *redeem, guint status, InnRedeemRecord record);
void inn_redeem_waited(InnRedeem *redeem);
