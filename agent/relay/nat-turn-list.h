/* SPDX-License-Identifier: MIT */
/*
 * NatTurnList: the TURN servers an interface may use: those the user named, and those that
 * nat-signald offers together with short-lived credentials. Values; pure; one thread.
 */
#pragma once

#include "agent/relay/nat-turn-uri.h"

typedef struct NatTurnList NatTurnList;

/* configured: URIs that nat_turn_uri_parse() takes; others are left out. May be NULL. */
NatTurnList *nat_turn_list_new(const char *const *configured);
void nat_turn_list_free(NatTurnList *list);
/* nat-signald's word, in place of what it said before. Configured servers without credentials of
 * their own use these. */
void nat_turn_list_offer(NatTurnList *list, const char *const *uris, const char *username,
			 const char *password);
/* All that can be used now, the user's first (of NatTurnUri; transfer none). */
GPtrArray *nat_turn_list_uris(NatTurnList *list);
