/* SPDX-License-Identifier: MIT */
/*
 * The JSON of an innernet server: what it writes of peers and CIDRs, and what it takes. Pure.
 */
#pragma once

#include "db.h"

/* A peer as the API shows it; `observed` (NULL: none) is where the server's WireGuard last had it:
 * in place of a missing endpoint, of the address of an unspecified one, and at the end of the
 * candidates where it is neither of them. */
void form_add_peer(JsonBuilder *builder, const DbPeer *peer, const WgEndpoint *observed);
/* As it is. */
void form_add_stored_peer(JsonBuilder *builder, const DbPeer *peer);
void form_add_cidr(JsonBuilder *builder, const DbCidr *cidr);
char *form_print(JsonBuilder *builder); /* in one line (transfer full) */

/* A peer of these fields, all of them but the candidates required, and of these types; no id. The
 * error has the name of what is wrong. */
DbPeer *form_read_peer(JsonNode *node, GError **error);
/* The same with an id and strict in its key. */
DbPeer *form_read_stored_peer(JsonNode *node, GError **error);
DbCidr *form_read_cidr(JsonNode *node, GError **error); /* id 0 where there is none */
void form_cidr_free(DbCidr *cidr);
/* Endpoints as the server prints them; NULL where one is none. */
GPtrArray *form_read_endpoints(JsonNode *node);
/* {"option":"Set","content":…}: *out, or {"option":"Unset"}: NULL. */
gboolean form_read_endpoint_option(JsonNode *node, char **out);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(DbCidr, form_cidr_free)
