/* SPDX-License-Identifier: MIT */
/*
 * NatInterest: the peers an agent wants to meet, and what of it the server has yet to be told.
 * Pure.
 */
#pragma once

#include "wgctl/wg-key.h"

typedef struct NatInterest NatInterest;

NatInterest *nat_interest_new(void);
void nat_interest_free(NatInterest *interest);
/* TRUE when that was news. */
gboolean nat_interest_add(NatInterest *interest, const WgKey *peer);
gboolean nat_interest_remove(NatInterest *interest, const WgKey *peer);
/* A new connection: the server knows nothing. */
void nat_interest_forget_told(NatInterest *interest);
/* The next interest frame to send (transfer full), NULL when the server has been told all. */
char *nat_interest_next_frame(NatInterest *interest);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatInterest, nat_interest_free)
