/* SPDX-License-Identifier: MIT */
/*
 * What the control socket's methods (nat-service) do with the daemon. Host thread only.
 */
#pragma once

#include "agent/control/nat-service.h"
#include "agent/interface/nat-daemon.h"

typedef struct {
	NatDaemon *daemon; /* not NULL when a call comes */
	gboolean (*reload)(GError **error, gpointer user_data);
	char *(*metrics)(gpointer user_data); /* (transfer full) */
	gpointer user_data;
} NatDaemonService;

/* For nat_service_new(), with a NatDaemonService. */
extern const NatServiceFuncs NAT_DAEMON_SERVICE;
