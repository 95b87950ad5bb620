/* SPDX-License-Identifier: MIT */
/*
 * Db: what an innernet server knows of its network, in one JSON file: peers, CIDRs, associations,
 * and its own key and addresses. What may be changed follows innernet's rules; the code of an error
 * is the status that the server would answer with. Host-local time only as an argument.
 */
#pragma once

#include "text.h"

#include <json-glib/json-glib.h>

#include "wgctl/wg-key.h"

#define DB_ERROR (g_quark_from_static_string("inn-db")) /* codes: HTTP's */
#define DB_KEEPALIVE_S 25
#define DB_SERVER_ID 1 /* peer */
#define DB_ROOT_CIDR 1
#define DB_SERVER_CIDR 2 /* everybody sees it */

typedef struct {
	gint64 id;
	char *name;
	WgEndpoint ip; /* port 0 */
	gint64 cidr_id;
	char *public_key;  /* whatever was redeemed, so it need be no key */
	char *endpoint;	   /* an override; NULL: none */
	guint16 keepalive; /* seconds, 0: none */
	gboolean is_admin, is_disabled, is_redeemed;
	gint64 invite_expires; /* seconds of CLOCK_REALTIME, 0: never */
	GPtrArray *candidates; /* of char *, never NULL */
} DbPeer;

typedef struct {
	gint64 id;
	char *name;
	TextNet net;
	gint64 parent; /* 0: none */
} DbCidr;

typedef struct {
	gint64 id, a, b; /* CIDRs */
} DbAssociation;

typedef struct {
	char *path;
	WgKey private_key;
	guint16 port; /* WireGuard's (UDP) and the API's (TCP) */
	TextNet address;
	GPtrArray *peers, *cidrs, *associations; /* by id, never NULL */
	gint64 next_id[3];			 /* of the three */
} Db;

/* A network `name` with the server as its only peer. Not on disk yet. */
Db *db_new(const char *path, const char *name, const TextNet *address, guint16 port,
	   const WgKey *private_key, const char *external_endpoint);
Db *db_empty(const char *path); /* without a peer or CIDR */
void db_free(Db *db);

/* (transfer none) NULL where there is none. */
DbPeer *db_peer_by_id(const Db *db, gint64 id);
DbPeer *db_peer_by_ip(const Db *db, const WgEndpoint *ip);
DbPeer *db_peer_by_name(const Db *db, const char *name);
DbPeer *db_peer_by_key(const Db *db, const char *public_key);
DbCidr *db_cidr_by_id(const Db *db, gint64 id);
DbCidr *db_cidr_by_name(const Db *db, const char *name);
DbCidr *db_cidr_for(const Db *db, const WgEndpoint *ip); /* the smallest that has it */

DbPeer *db_peer_new(const char *name, const WgEndpoint *ip, gint64 cidr_id, const char *public_key);
void db_peer_free(DbPeer *peer);
/* Consumes the peer; it gets an id. (transfer none) */
DbPeer *db_peer_add_take(Db *db, DbPeer *peer, GError **error);
gboolean db_peer_rename(Db *db, DbPeer *peer, const char *name, GError **error);
gboolean db_peer_set_key(Db *db, DbPeer *peer, const char *public_key, GError **error);
gboolean db_peer_redeem(Db *db, DbPeer *peer, const char *public_key, gint64 now, GError **error);
/* Removes invitations that were not redeemed in time; how many. */
guint db_sweep(Db *db, gint64 now);

DbCidr *db_cidr_add(Db *db, const char *name, const TextNet *net, gint64 parent, GError **error);
gboolean db_cidr_remove(Db *db, gint64 id, GError **error);
DbAssociation *db_associate(Db *db, gint64 a, gint64 b, GError **error);
gboolean db_dissociate(Db *db, gint64 a, gint64 b);

/* Enabled, redeemed peers that `peer` may see: of its CIDR and all below it, of the server's, and
 * of all below those that one of its CIDR's ancestors, or itself, is associated with. (transfer
 * container) */
GPtrArray *db_visible(const Db *db, const DbPeer *peer);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Db, db_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DbPeer, db_peer_free)
