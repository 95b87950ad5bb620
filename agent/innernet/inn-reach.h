/* SPDX-License-Identifier: MIT */
#pragma once

#include "agent/innernet/inn-conf.h"
#include "wgctl/wg-ctl.h"

typedef struct InnReach InnReach;
InnReach *inn_reach_new(const char *ifname, const InnConf *conf, const char *state_dir,
			const WgKey *own_public,
			gboolean (*write)(const WgPeerChange *change, gpointer user_data),
			gpointer user_data);
void inn_reach_free(InnReach *reach);
void inn_reach_observe(InnReach *reach, const WgPeer *wg, gint64 now_us);
void inn_reach_call_failed(InnReach *reach, gint64 now_us);
void inn_reach_network_changed(InnReach *reach, gint64 now_us);
