/* SPDX-License-Identifier: MIT */
/*
 * InnReach: keeps the way to the innernet server open. The server is a WireGuard peer with an
 * external endpoint, a name or an address. When its session dies, or calls fail and nothing comes
 * from it any more, and on a network change, the name is looked up again and the addresses are
 * tried one after the other by handshake (how: inn-tries.h). A session that works is never
 * disturbed, wherever its endpoint came from.
 * Host thread only.
 */
#pragma once

#include "agent/innernet/inn-conf.h"
#include "wgctl/wg-ctl.h"

typedef struct InnReach InnReach;

typedef struct {
	/* Applies one change to the device. FALSE: it was refused (logged by the callee). */
	gboolean (*write)(const WgPeerChange *change, gpointer user_data);
	/* Whether the kernel has a way to the address, with the interface's fwmark; NULL: every
	 * address is tried. */
	gboolean (*routed)(const WgEndpoint *addr, gpointer user_data);
} InnReachFuncs;

/* conf must outlive it. state_dir, own_public: where the name's last good addresses are kept
 * (nat-resolve). Nothing happens before the first observation. */
InnReach *inn_reach_new(const char *ifname, const InnConf *conf, const char *state_dir,
			const WgKey *own_public, const InnReachFuncs *funcs, gpointer user_data);
void inn_reach_free(InnReach *reach); /* leaves the peer as it is */

/* A snapshot of the server's peer; NULL: the device has none, and it is made. now_us: monotonic.
 * To be called often while inn_reach_urgent(), every 10 s at least else. Calls `write` and
 * `routed`. */
void inn_reach_observe(InnReach *reach, const WgPeer *wg, gint64 now_us);
/* A call to the server got no answer. */
void inn_reach_call_failed(InnReach *reach, gint64 now_us);
void inn_reach_network_changed(InnReach *reach, gint64 now_us);
/* Whether the next observation should come within half a second. */
gboolean inn_reach_urgent(const InnReach *reach);
/* For status: one line with the remedy, NULL while there is none (transfer full). */
char *inn_reach_problem(const InnReach *reach);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(InnReach, inn_reach_free)
