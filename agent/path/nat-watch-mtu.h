/* SPDX-License-Identifier: MIT */
/*
 * NatWatchMtu: what one pair of a watch carries in one piece, from here to the peer: NatMtu's
 * probes as padded Binding requests under the watch's credentials, which the peer's watch answers.
 * They are no word on whether the pair lives: that is the watch's business.
 *
 * Through a relay the first leg is tested with packets that nobody may cut, as on a direct path.
 * What the server does then cannot be asked for: it sends channels' data on with DF unset (RFC 8656
 * §12.6), so that large packets may reach the peer in pieces, as WireGuard's will. The result is
 * what our own leg carries whole and the other one delivers.
 * Host thread only.
 */
#pragma once

#include "agent/path/nat-mtu.h"
#include "agent/path/nat-watch.h"

typedef struct NatWatchMtu NatWatchMtu;

/* The result changed. From the main loop; not to be freed inside. */
typedef void (*NatWatchMtuFunc)(gpointer user_data);

/* Begins at once. wg_mtu: as for nat_mtu_new(). The pair may go before it, the watch may not. */
NatWatchMtu *nat_watch_mtu_new(NatMux *mux, NatWatch *watch, const NatWatchPair *pair, guint wg_mtu,
			       NatWatchMtuFunc changed, gpointer user_data);
void nat_watch_mtu_free(NatWatchMtu *mtu);
/* Whether it is of this pair (ends, not memory). */
gboolean nat_watch_mtu_is_of(const NatWatchMtu *mtu, const NatWatchPair *pair);
/* While unused nothing is tested that was tested before; at first it is used. */
void nat_watch_mtu_set_used(NatWatchMtu *mtu, gboolean used);
void nat_watch_mtu_set_wg_mtu(NatWatchMtu *mtu, guint wg_mtu);
/* nat_mtu_suspect() */
void nat_watch_mtu_suspect(NatWatchMtu *mtu);
/* NULL: NULL. */
const NatMtu *nat_watch_mtu_get(const NatWatchMtu *mtu);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatWatchMtu, nat_watch_mtu_free)
