/* SPDX-License-Identifier: MIT */
/*
 * NatTurnTalk: the open requests of one allocation: sent again until answered or out of time,
 * authenticated when the server asks for it (401) and again when its nonce went stale (438).
 * What an answer means is the asker's business. Host thread only.
 */
#pragma once

#include "agent/relay/nat-turn-msg.h"

typedef struct NatTurnTalk NatTurnTalk;

/* From the main loop, once per request. answer: NULL when none came in time; a 401 or 438 in it is
 * final. The talk may be freed inside. */
typedef void (*NatTurnAnswerFunc)(const NatTurnAsk *ask, const NatTurnMsg *answer,
				  gpointer user_data);
/* FALSE: there was no room for it. */
typedef gboolean (*NatTurnTalkSend)(const guint8 *msg, gsize len, gpointer user_data);

/* reliable: a stream; what there was room for is not sent twice. */
NatTurnTalk *nat_turn_talk_new(const char *username, const char *password, gboolean reliable,
			       NatTurnTalkSend send, gpointer user_data);
void nat_turn_talk_free(NatTurnTalk *talk); /* no answers any more */
/* How many more requests may be open beside these; some are kept back for Refresh. */
gboolean nat_turn_talk_has_room(const NatTurnTalk *talk);
/* FALSE: too many are open; func is not called. */
gboolean nat_turn_talk_ask(NatTurnTalk *talk, const NatTurnAsk *ask, guint within_ms,
			   NatTurnAnswerFunc func, gpointer user_data);
/* Sends a request whose answer nobody waits for, if the server knows us. */
void nat_turn_talk_tell(NatTurnTalk *talk, const NatTurnAsk *ask);
/* What the server sent. TRUE: a Data indication, in *data. */
gboolean nat_turn_talk_receive(NatTurnTalk *talk, const guint8 *msg, gsize len, NatTurnMsg *data);
guint64 nat_turn_talk_dropped(const NatTurnTalk *talk); /* messages nobody asked for */
