/* SPDX-License-Identifier: MIT */
/*
 * NatControl: the daemon's control socket: Varlink framing (one JSON object ended by NUL each way)
 * on a unix stream socket. Host thread only, non-blocking, bounded (64 kB a request, 64 clients;
 * the longest idle one gives way to a new one).
 */
#pragma once

#include <json-glib/json-glib.h>

#include "agent/nat-varlink.h"

#define NAT_CONTROL_REQUEST_MAX 65536
#define NAT_CONTROL_REPLY_MAX (16 * 1024 * 1024)
#define NAT_CONTROL_CLIENTS_MAX 64

typedef struct NatControl NatControl;

/* Creates the socket's directory (0755) when missing, the socket 0660. A stale socket is replaced,
 * a living one is an error that names it and the remedy (--control). func must not free the
 * control. */
NatControl *nat_control_new(const char *path, NatControlFunc func, gpointer user_data,
			    GError **error);
void nat_control_free(NatControl *control);	    /* unlinks the socket if it is still ours */
guint nat_control_count(const NatControl *control); /* clients that are connected */

/* Client side, blocking, for the CLI: calls a method, returns "parameters" of the reply. NULL with
 * G_IO_ERROR_NOT_FOUND when no agent listens there. timeout in ms, for all of it. */
JsonNode *nat_control_call(const char *path, const char *method, JsonNode *parameters,
			   guint timeout_ms, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatControl, nat_control_free)
