/* SPDX-License-Identifier: MIT */
/*
 * Varlink messages (https://varlink.org/Method-Call): one JSON object each, ended by a NUL that is
 * not part of `len` here. Pure: text in, text out; no sockets.
 */
#pragma once

#include <json-glib/json-glib.h>

#define NAT_VARLINK_INVALID_PARAMETER "org.varlink.service.InvalidParameter"
#define NAT_VARLINK_METHOD_NOT_FOUND "org.varlink.service.MethodNotFound"
#define NAT_VARLINK_INTERFACE_NOT_FOUND "org.varlink.service.InterfaceNotFound"
#define NAT_VARLINK_EXPECTED_MORE "org.varlink.service.ExpectedMore"

typedef struct {
	char *method;
	JsonObject *parameters; /* never NULL */
	gboolean oneway;	/* no reply is wanted */
	gboolean more;		/* several replies are welcome */
} NatVarlinkCall;

/* Server side. NULL when it is no call: *problem is the reply that says so (transfer full), NULL
 * where none is wanted. *garbage: it was not even JSON, what follows on the same connection cannot
 * be trusted. */
NatVarlinkCall *nat_varlink_parse_call(const char *text, gsize len, char **problem,
				       gboolean *garbage);
void nat_varlink_call_free(NatVarlinkCall *call);
/* continues: others follow it. */
char *nat_varlink_reply(JsonNode *parameters_take, gboolean continues);
/* member, value: what the error is about, both NULL: nothing. */
char *nat_varlink_error(const char *name, const char *member, const char *value);

/* Client side. parameters (transfer none) may be NULL. */
char *nat_varlink_call(const char *method, JsonNode *parameters, gboolean more);
/* "parameters" of a reply (an empty object when there are none); an error reply becomes
 * G_IO_ERROR_FAILED with its reason, or its name and what it is about; one named NoSuchPeer
 * G_IO_ERROR_INVALID_ARGUMENT; a method that is not there G_IO_ERROR_NOT_SUPPORTED; garbage
 * G_IO_ERROR_INVALID_DATA. continues may be NULL. */
JsonNode *nat_varlink_parse_reply(const char *text, gsize len, gboolean *continues, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatVarlinkCall, nat_varlink_call_free)
