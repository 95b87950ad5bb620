/* SPDX-License-Identifier: MIT */
/*
 * NatOriginals: what the user had set for a peer before we first touched it (endpoint, keepalive),
 * kept in the state directory, one file per interface key, so that it can be put back when we fail,
 * also after kill -9. Host thread only.
 */
#pragma once

#include "wgctl/wg-device.h"

typedef struct NatOriginals NatOriginals;

/* Never fails: a directory that cannot be written is one warning, and memory serves meanwhile. */
NatOriginals *nat_originals_new(const char *state_dir, const WgKey *own_public);
void nat_originals_free(NatOriginals *originals);
/* Remembers peer as it is now, unless it is remembered already. */
void nat_originals_keep(NatOriginals *originals, const WgPeer *peer);
/* FALSE when we never touched this peer. */
gboolean nat_originals_get(NatOriginals *originals, const WgKey *peer, WgEndpoint *endpoint,
			   guint16 *keepalive);
void nat_originals_forget(NatOriginals *originals, const WgKey *peer);
