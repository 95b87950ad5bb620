/* SPDX-License-Identifier: MIT */
/*
 * NatDaemon: all the agent does, from opened sockets to status; the command line and the control
 * socket stand outside. Host thread only: everything happens in the thread's default GMainContext.
 */
#pragma once

#include "agent/nat-config.h"
#include "agent/nat-status.h"

typedef struct NatDaemon NatDaemon;

/* Opens everything. The caller holds the interfaces' locks (nat-lock) and keeps config alive until
 * nat_daemon_free. opened (may be NULL) is called when nothing more needs CAP_SYS_ADMIN, before any
 * thread but the ICE thread was started. The error is one line. */
NatDaemon *nat_daemon_new(const NatConfig *config, void (*opened)(void), GError **error);
void nat_daemon_free(NatDaemon *daemon); /* leaves tunnels up */
/* Of the ICE thread, which runs as long as the daemon lives (transfer none). */
GMainContext *nat_daemon_ice_context(NatDaemon *daemon);
/* A snapshot of now (transfer full). */
NatStatus *nat_daemon_status(NatDaemon *daemon);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatDaemon, nat_daemon_free)
