/* SPDX-License-Identifier: MIT */
/*
 * PunchMsg: how two agents agree on one attempt. Carried sealed like NatMsg, beside it: the first
 * byte tells them apart (signaling/PROTOCOL.md). The controlling end asks; the other one agrees or
 * refuses; either ends it. Pure; any thread.
 *
 * No clock, and no replay: both watch ids must be those of the agents that run now, and the number
 * of an ASK must be higher than any before it.
 */
#pragma once

#include "agent/punch/punch-guess.h"
#include "agent/punch/punch-plan.h"

#define PUNCH_MSG_KIND 2 /* the first byte; a session message's is 1 */

typedef enum {
	PUNCH_ASK = 1,
	PUNCH_AGREE = 2,
	PUNCH_REFUSE = 3, /* not now: try rarely */
	PUNCH_END = 4,
} PunchStep;

typedef struct {
	PunchStep step;
	guint32 number;	    /* of the attempt; the controlling end counts */
	guint64 from, to;   /* watch ids of sender and receiver */
	PunchRole role;	    /* the sender's */
	WgEndpoint address; /* IPv4: OPEN, AIM: the sender's public address, its port for AIM what
			       to aim at, else 0; unset for SPRAY */
	guint16 wait_ms;    /* AIM, AGREE: the sender fires so long after sending this */
	PunchPorts ports;   /* OPEN: where its mappings are */
} PunchMsg;

/* Whether a sealed message's plain text is one of these. */
gboolean punch_msg_is(const guint8 *data, gsize len);
GBytes *punch_msg_encode(const PunchMsg *msg);
/* FALSE: malformed, or of a later version that means something else; *out is then zeroed. */
gboolean punch_msg_decode(const guint8 *data, gsize len, PunchMsg *out);
