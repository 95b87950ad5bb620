/* SPDX-License-Identifier: MIT */
/*
 * Varlink messages (https://varlink.org/Method-Call): one JSON object each, ended by a NUL that is
 * not part of `len` here. Pure: text in, text out; no sockets.
 */
#pragma once

#include <json-glib/json-glib.h>

#define NAT_VARLINK_INVALID_PARAMETER "org.varlink.service.InvalidParameter"
#define NAT_VARLINK_METHOD_NOT_FOUND "org.varlink.service.MethodNotFound"
#define NAT_VARLINK_METHOD_NOT_IMPLEMENTED "org.varlink.service.MethodNotImplemented"

/* Answers a method: the "parameters" object of the reply (transfer full), or NULL with
 * *varlink_error set to an error name ("org.varlink.service.MethodNotFound", …; static string).
 * `parameters` is never NULL. */
typedef JsonNode *(*NatControlFunc)(const char *method, JsonObject *parameters,
				    const char **varlink_error, gpointer user_data);

/* Server side: the reply to one call, NULL when it wants none ("oneway"). *garbage: it was no call
 * at all, what follows on the same connection cannot be trusted. */
char *nat_varlink_answer(const char *text, gsize len, NatControlFunc func, gpointer user_data,
			 gboolean *garbage);
/* An error reply without parameters. */
char *nat_varlink_error(const char *name);

/* Client side. parameters (transfer none) may be NULL. */
char *nat_varlink_call(const char *method, JsonNode *parameters);
/* "parameters" of a reply (an empty object when there are none); an error reply becomes
 * G_IO_ERROR_FAILED with its name, garbage G_IO_ERROR_INVALID_DATA. */
JsonNode *nat_varlink_parse_reply(const char *text, gsize len, GError **error);
