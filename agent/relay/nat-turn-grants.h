/* SPDX-License-Identifier: MIT */
/*
 * NatTurnGrants: what an allocation may do: permissions (one per address, RFC 8656 §9) and bound
 * channels (one per peer endpoint, §12), asked for a few at a time and renewed at half their
 * lives. Host thread only.
 */
#pragma once

#include "agent/relay/nat-turn-talk.h"
#include "agent/relay/nat-turn.h"

typedef struct NatTurnGrants NatTurnGrants;

/* An answer, from the main loop, that is about more than one grant: 401, 437, 438, 441, or NULL:
 * none came. The grants may be freed inside. */
typedef void (*NatTurnTroubleFunc)(const NatTurnMsg *answer, gpointer user_data);

NatTurnGrants *nat_turn_grants_new(NatTurnTalk *talk, NatTurnTroubleFunc trouble,
				   gpointer user_data);
void nat_turn_grants_free(NatTurnGrants *grants);
/* The allocation stands; its peers are of this address family, others are refused. */
void nat_turn_grants_start(NatTurnGrants *grants, int family);
/* As their namesakes of NatTurn. */
gboolean nat_turn_grants_permit(NatTurnGrants *grants, const WgEndpoint *peers, gsize n);
void nat_turn_grants_bind(NatTurnGrants *grants, const WgEndpoint *peer, NatTurnBoundFunc bound,
			  gpointer user_data);
void nat_turn_grants_unbind(NatTurnGrants *grants, const WgEndpoint *peer, gpointer user_data);
/* 0: none is bound. */
guint16 nat_turn_grants_channel(const NatTurnGrants *grants, const WgEndpoint *peer);
/* NULL: no such channel of ours. */
const WgEndpoint *nat_turn_grants_peer(const NatTurnGrants *grants, guint16 channel);
