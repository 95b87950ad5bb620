/* SPDX-License-Identifier: MIT */
/*
 * InnOrder: in which order the endpoints of a peer without an agent are tried, from what its record
 * says: behind the same public address as we its own addresses first, else where the server sees
 * it; then the others as innernet itself takes them, from the last to the first. Pure; any thread.
 */
#pragma once

#include "agent/innernet/inn-state.h"

/* own_public: ours, of WgEndpoint (ports don't count); resolved: numeric endpoints of its record's
 * named one, of WgEndpoint, may be NULL. Appends to out (of WgEndpoint), each endpoint once. */
void inn_order(const InnPeer *peer, const GArray *own_public, const GArray *resolved, GArray *out);
