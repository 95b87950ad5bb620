/* SPDX-License-Identifier: MIT */
/*
 * InnState: what an innernet server says of the network (GET /v1/user/state), and what innernet's
 * client keeps of it in /var/lib/innernet/<if>.json (shared/INNERNET.md). Both are hostile input:
 * a text is taken whole or not at all, everything in it is bounded and typed. Values; pure; any
 * thread.
 */
#pragma once

#include <json-glib/json-glib.h>

#include "wgctl/wg-endpoint.h"
#include "wgctl/wg-key.h"

#define INN_STATE_PEERS 4096	/* of a network; more than that is refused */
#define INN_STATE_CANDIDATES 16 /* of one peer; a server has at most eleven */
#define INN_STATE_RECORD 2048	/* bytes of one peer's record; longer ones are refused */

typedef struct {
	char *name;	    /* as the server has it: escape it where it is shown */
	WgEndpoint address; /* in the tunnel, port 0 */
	WgKey public_key;
	gint64 id;	     /* 1: the server itself */
	WgEndpoint endpoint; /* numeric; unset: none, or a name */
	char *endpoint_host; /* where it is a name; NULL else */
	guint16 endpoint_port;
	guint16 keepalive; /* 0: none */
	gboolean disabled, redeemed;
	guint n_candidates;
	/* numeric ones, v4-mapped addresses as IPv4, in the server's order; those that are no
	 * numeric endpoints are left unset, so that the place in the list tells */
	WgEndpoint candidates[INN_STATE_CANDIDATES];
	JsonObject *record; /* all that it said, for the store */
} InnPeer;

typedef struct {
	GPtrArray *peers; /* of InnPeer */
	JsonArray *cidrs; /* as they came */
} InnState;

/* NULL with one line that says what is wrong and where. */
InnState *inn_state_parse(const char *text, gsize len, GError **error);
void inn_state_free(InnState *state);
/* (transfer none) NULL: there is none. */
const InnPeer *inn_state_find(const InnState *state, const WgKey *key);
const InnPeer *inn_state_find_address(const InnState *state, const WgEndpoint *address);
/* The client's store: every peer ever seen, by its address in the tunnel. An address belongs to the
 * first key seen there, for ever ("pinning"): so a server cannot put itself in a peer's place. */

/* An empty store where there is none; NULL where what is there can't be read (it is left alone). */
InnState *inn_store_load(const char *path, GError **error);
/* Who was in the network: those not disabled, each key once. (transfer full) */
InnState *inn_store_members(const InnState *store);
/* Each record of `state` whose key is not the one that its address is pinned to becomes what the
 * store has; or nothing, where the pinned key is disabled or has another record in `state`. Returns
 * what was refused (of InnPeer, transfer full). */
GPtrArray *inn_state_pin(InnState *state, const InnState *store);
/* Takes the server's state over: known peers are renewed, new ones added (up to a bound), absent
 * ones disabled. FALSE: some key of `state` is not the one pinned to its address; then nothing was
 * changed. */
gboolean inn_store_update(InnState *store, const InnState *state);
/* Whole, by rename, 0600, as innernet's client reads it; where it differs from what is there. */
gboolean inn_store_save(const InnState *store, const char *path, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(InnState, inn_state_free)
