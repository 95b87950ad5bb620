/* SPDX-License-Identifier: MIT */
/*
 * NatControl: the daemon's control socket: Varlink framing (one JSON object ended by NUL each way)
 * on a unix stream socket. Host thread only, non-blocking, bounded (64 kB a request, 64 clients;
 * the longest idle one gives way to a new one). Below, the command line's side of it.
 */
#pragma once

#include "agent/control/nat-call.h"

#define NAT_CONTROL_REQUEST_MAX 65536
#define NAT_CONTROL_REPLY_MAX (16 * 1024 * 1024)
#define NAT_CONTROL_CLIENTS_MAX 64
/* To who is neither root, nor the agent's user, nor in the socket's group. */
#define NAT_CONTROL_NOT_PERMITTED "io.github.nat-agent.NotPermitted"

typedef struct NatControl NatControl;

/* Answers a call, now or later. Must not free the control. */
typedef void (*NatControlFunc)(NatCall *call, gpointer user_data);

/* group (may be NULL) and errors: nat_control_socket_new(). */
NatControl *nat_control_new(const char *path, const char *group, NatControlFunc func,
			    gpointer user_data, GError **error);
void nat_control_free(NatControl *control); /* abandons what is not answered yet */
guint nat_control_clients(const NatControl *control);

/* ---- client side, blocking ---- */

/* Calls a method, returns "parameters" of the reply. NULL with G_IO_ERROR_NOT_FOUND when no agent
 * listens there. timeout in ms, for all of it. */
JsonNode *nat_control_call(const char *path, const char *method, JsonNode *parameters,
			   guint timeout_ms, GError **error);

/* A connection, for many calls or many answers. */
typedef struct NatControlClient NatControlClient;

NatControlClient *nat_control_client_new(const char *path, guint timeout_ms, GError **error);
void nat_control_client_free(NatControlClient *client);
/* more: several answers may come. */
gboolean nat_control_client_send(NatControlClient *client, const char *method, JsonNode *parameters,
				 gboolean more, guint timeout_ms, GError **error);
/* The next answer. timeout_ms 0: waits for ever. *continues (may be NULL): others follow. */
JsonNode *nat_control_client_receive(NatControlClient *client, guint timeout_ms,
				     gboolean *continues, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatControl, nat_control_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatControlClient, nat_control_client_free)
