/* SPDX-License-Identifier: MIT */
/*
 * NatDaemon: all the agent does, from opened sockets to status; the command line and the control
 * socket stand outside. Host thread only: everything happens in the thread's default GMainContext.
 */
#pragma once

#include "agent/config/nat-config.h"
#include "agent/peer/nat-peer.h"
#include "agent/status/nat-events.h"
#include "agent/status/nat-status.h"

typedef struct NatDaemon NatDaemon;

/* Opens everything. The caller holds the interfaces' locks (nat-lock) and keeps config alive until
 * nat_daemon_free. opened (may be NULL) is called when nothing more needs CAP_SYS_ADMIN, before any
 * thread but the ICE thread was started. The error is one line. */
NatDaemon *nat_daemon_new(const NatConfig *config, void (*opened)(void), GError **error);
void nat_daemon_free(NatDaemon *daemon); /* leaves tunnels up */
/* Of the ICE thread, which runs as long as the daemon lives (transfer none). */
GMainContext *nat_daemon_ice_context(NatDaemon *daemon);
/* A snapshot of now (transfer full). detail: with the details of the peers that match `peer` (NULL:
 * of all). */
NatStatus *nat_daemon_status(NatDaemon *daemon, gboolean detail, const char *peer);
NatEvents *nat_daemon_events(NatDaemon *daemon); /* (transfer none) */
/* The one peer that is meant. interface NULL: of any; peer: a name, a key, or how a key begins.
 * G_IO_ERROR_NOT_FOUND when it is none, or several. (transfer none, until the next turn of the
 * loop)
 */
NatPeer *nat_daemon_find_peer(NatDaemon *daemon, const char *interface, const char *peer,
			      GError **error);
/* Serves what `config` says from now on; it must live as long as the daemon, and so must those
 * before. Interfaces whose part did not change are not touched, tunnels stay up in any case. FALSE,
 * and nat_daemon_uses() says no: an interface that is new cannot be served, and all stays as it
 * was. FALSE, and it says yes: an interface goes on with its old part. The caller holds the locks
 * of all interfaces in both. */
gboolean nat_daemon_reload(NatDaemon *daemon, const NatConfig *config, GError **error);
gboolean nat_daemon_uses(const NatDaemon *daemon, const NatConfig *config);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatDaemon, nat_daemon_free)
