/* SPDX-License-Identifier: MIT */
/*
 * InnSeen: the beacons of the peers, as their records last had them. Each fetch of an innernet
 * daemon on a peer's host erases its beacon, until its agent next looks and puts it back: so one
 * that is missing is known for a while all the same. Pure, with the time as an argument; any
 * thread.
 */
#pragma once

#include "agent/innernet/inn-beacon.h"
#include "agent/innernet/inn-state.h"

/* Only both together mean that it is gone: readings may come in quick succession, or hours apart.
 */
#define INN_SEEN_MISSES 3
#define INN_SEEN_GRACE_US (100 * (gint64)G_USEC_PER_SEC) /* three poll intervals, and some */

typedef struct InnSeen InnSeen;

InnSeen *inn_seen_new(void);
void inn_seen_free(InnSeen *seen);
/* A reading of the network. own: our key, whose beacon is none of these. TRUE: some peer's says
 * something new, or is gone. */
gboolean inn_seen_read(InnSeen *seen, const InnState *state, const WgKey *own, gint64 now_us);
gboolean inn_seen_get(const InnSeen *seen, const WgKey *peer, InnBeacon *out);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(InnSeen, inn_seen_free)
