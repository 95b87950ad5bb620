/* SPDX-License-Identifier: MIT */
/*
 * NatWatchKeys: the STUN credentials by which two agents probe the pairs they watch: derived from
 * what only they know and from the watch ids of both processes (signaling/PROTOCOL.md), so that
 * they survive new searches, and a restarted agent has new ones. Pure; one thread.
 */
#pragma once

#include "agent/session/nat-seal.h"

typedef struct {
	char *own_ufrag;
	char *username; /* of our requests: "peer's ufrag:ours" */
	char *own_pwd;	/* of requests to us and our answers */
	char *peer_pwd; /* of our requests and the peer's answers */
} NatWatchKeys;

void nat_watch_keys_init(NatWatchKeys *keys, NatSeal *seal, const WgKey *own, const WgKey *peer,
			 guint64 own_id, guint64 peer_id);
void nat_watch_keys_clear(NatWatchKeys *keys); /* zeroes and frees */
