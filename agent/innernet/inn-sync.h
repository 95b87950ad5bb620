/* SPDX-License-Identifier: MIT */
/*
 * InnSync: what of a WireGuard device must change so that its peers are those of an innernet
 * network: peers that came, went or have other AllowedIPs. Endpoints and keepalives are nobody's
 * business here: they are written with a proven path. Pure; any thread.
 */
#pragma once

#include "agent/innernet/inn-conf.h"
#include "agent/innernet/inn-state.h"
#include "wgctl/wg-ctl.h"

typedef struct {
	GArray *changes; /* of WgPeerChange */
	GArray *ips;	 /* of WgAllowedIp, that they point into */
	guint added, removed, changed;
} InnSync;

/* own: our key, which is no peer of ours. The server's key and its address in the tunnel belong
 * together whatever the state says: without them nothing could be set right again. conf->address
 * and prefix are the network: peers outside of it are not taken (*strangers of them). */
void inn_sync_init(InnSync *sync, const WgDevice *device, const InnState *state, const WgKey *own,
		   const InnConf *conf, guint *strangers);
void inn_sync_clear(InnSync *sync);
/* Whether an address lies in the network. */
gboolean inn_sync_within(const WgEndpoint *address, const WgEndpoint *network, guint8 prefix);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(InnSync, inn_sync_clear)
