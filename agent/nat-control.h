/* SPDX-License-Identifier: MIT */
/*
 * NatControl: the daemon's control socket: Varlink framing (one JSON object ended by NUL each way)
 * on a unix stream socket. Host thread only, non-blocking, bounded (64 kB a request, 64 clients).
 */
#pragma once

#include <json-glib/json-glib.h>

typedef struct NatControl NatControl;

/* Answers a method: the "parameters" object of the reply (transfer full), or NULL with *varlink_error
 * set to an error name ("org.varlink.service.MethodNotFound", …; static string). */
typedef JsonNode *(*NatControlFunc)(const char *method, JsonObject *parameters,
				    const char **varlink_error, gpointer user_data);

/* Creates the socket's directory (0755) when missing, the socket 0660. A stale socket is replaced, a
 * living one is an error that names it and the remedy (--control). */
NatControl *nat_control_new(const char *path, NatControlFunc func, gpointer user_data,
			    GError **error);
void nat_control_free(NatControl *control); /* unlinks the socket if it is still ours */

/* Client side, blocking, for the CLI: calls a method, returns "parameters" of the reply. NULL with
 * G_IO_ERROR_NOT_FOUND when no agent listens there. timeout in ms. */
JsonNode *nat_control_call(const char *path, const char *method, JsonNode *parameters,
			   guint timeout_ms, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatControl, nat_control_free)
