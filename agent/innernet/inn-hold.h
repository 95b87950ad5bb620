/* SPDX-License-Identifier: MIT */
/*
 * InnHold: keeps an innernet daemon of this host from undoing what we write. With each fetch it
 * resets the endpoint of every peer that has no fresh handshake, and tries the peer's candidates
 * one by one; a peer with an entry in [peer-endpoint-overrides] is given that endpoint instead, and
 * none is tried. So a managed peer's endpoint stands there as long as it is managed. Releases of
 * innernet that know no such table ignore it. Entries of the user's own are never touched; ours are
 * remembered in the state directory, so that those of a run that crashed go. Host thread only.
 */
#pragma once

#include "agent/innernet/inn-conf.h"

typedef struct InnHold InnHold;

/* conf_path: innernet's file of the interface. Entries of an earlier run go at the first
 * inn_hold_set(). state_dir may be NULL: not remembered. */
InnHold *inn_hold_new(const char *ifname, const char *conf_path, const char *state_dir,
		      const WgKey *own_public);
/* The complete list each time; written when it differs, at most every 2 s (call it often). */
void inn_hold_set(InnHold *hold, const InnOverride *entries, gsize n, gint64 now_us);
void inn_hold_free(InnHold *hold); /* takes all of ours out */
