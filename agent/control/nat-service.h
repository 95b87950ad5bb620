/* SPDX-License-Identifier: MIT */
/*
 * NatService: the methods behind the control socket, as io.github.nat-agent.varlink describes them.
 * Host thread only; no sockets here.
 */
#pragma once

#include "agent/control/nat-call.h"
#include "agent/status/nat-events.h"
#include "agent/status/nat-status.h"

#define NAT_SERVICE_INTERFACE "io.github.nat-agent"
#define NAT_SERVICE_STATUS NAT_SERVICE_INTERFACE ".Status"
#define NAT_SERVICE_EVENTS NAT_SERVICE_INTERFACE ".Events"
#define NAT_SERVICE_PING NAT_SERVICE_INTERFACE ".Ping"
#define NAT_SERVICE_RESTART_PEER NAT_SERVICE_INTERFACE ".RestartPeer"
#define NAT_SERVICE_RELOAD NAT_SERVICE_INTERFACE ".Reload"
#define NAT_SERVICE_METRICS NAT_SERVICE_INTERFACE ".Metrics"
#define NAT_SERVICE_NO_SUCH_PEER NAT_SERVICE_INTERFACE ".NoSuchPeer"
#define NAT_SERVICE_FAILED NAT_SERVICE_INTERFACE ".Failed"
#define NAT_SERVICE_GET_INFO "org.varlink.service.GetInfo"
#define NAT_SERVICE_DESCRIBE "org.varlink.service.GetInterfaceDescription"

typedef struct NatService NatService;

/* Whom a call is about; NULL is any. */
typedef struct {
	const char *interface;
	const char *peer; /* a name, a key, or how a key begins */
} NatServiceWhom;

/* What the methods do: the daemon's, or a test's. None may be NULL. */
typedef struct {
	/* detail: also what `status PEER` shows, of the peers that match (transfer full) */
	NatStatus *(*status)(const NatServiceWhom *whom, gboolean detail, GError **error,
			     gpointer user_data);
	NatEvents *(*events)(gpointer user_data);
	/* The one peer that is meant. */
	gboolean (*resolve)(const NatServiceWhom *whom, WgKey *key, GError **error,
			    gpointer user_data);
	/* Answers the call, at once or later, never after the control socket is freed. */
	void (*ping)(const NatServiceWhom *whom, gboolean paths, NatCall *call, gpointer user_data);
	gboolean (*restart)(const NatServiceWhom *whom, GError **error, gpointer user_data);
	gboolean (*reload)(GError **error, gpointer user_data);
	char *(*metrics)(gpointer user_data); /* docs/metrics.md (transfer full) */
} NatServiceFuncs;

NatService *nat_service_new(const NatServiceFuncs *funcs, gpointer user_data);
/* The control socket is freed before: no call is in hand. */
void nat_service_free(NatService *service);
/* A NatControlFunc; user_data is the NatService. */
void nat_service_call(NatCall *call, gpointer service);
/* G_IO_ERROR_NOT_FOUND becomes NoSuchPeer, all else Failed, with the reason. */
void nat_service_fail(NatCall *call, const GError *error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatService, nat_service_free)
