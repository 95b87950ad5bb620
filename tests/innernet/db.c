/* SPDX-License-Identifier: MIT */
#include "db.h"

#include <string.h>

enum { PEERS, CIDRS, ASSOCIATIONS };

DbPeer *
db_peer_new(const char *name, const WgEndpoint *ip, gint64 cidr_id, const char *public_key)
{
	DbPeer *peer = g_new0(DbPeer, 1);

	peer->name = g_strdup(name);
	peer->ip = *ip;
	wg_endpoint_set_port(&peer->ip, 0);
	peer->cidr_id = cidr_id;
	peer->public_key = g_strdup(public_key);
	peer->keepalive = DB_KEEPALIVE_S;
	peer->candidates = g_ptr_array_new_with_free_func(g_free);
	return peer;
}

void
db_peer_free(DbPeer *peer)
{
	if (peer == NULL)
		return;
	g_free(peer->name);
	g_free(peer->public_key);
	g_free(peer->endpoint);
	g_ptr_array_unref(peer->candidates);
	g_free(peer);
}

static void
cidr_free(gpointer data)
{
	DbCidr *cidr = data;

	g_free(cidr->name);
	g_free(cidr);
}

Db *
db_empty(const char *path)
{
	Db *db = g_new0(Db, 1);

	db->path = g_strdup(path);
	db->peers = g_ptr_array_new_with_free_func((GDestroyNotify)db_peer_free);
	db->cidrs = g_ptr_array_new_with_free_func(cidr_free);
	db->associations = g_ptr_array_new_with_free_func(g_free);
	for (guint i = 0; i < G_N_ELEMENTS(db->next_id); i++)
		db->next_id[i] = 1;
	return db;
}

Db *
db_new(const char *path, const char *name, const TextNet *address, guint16 port,
       const WgKey *private_key, const char *external_endpoint)
{
	Db *db = db_empty(path);
	TextNet own = *address, root = *address;
	char text[WG_KEY_STRLEN];
	DbPeer *server;
	WgKey public;

	db->address = *address;
	db->port = port;
	db->private_key = *private_key;
	own.prefix = wg_endpoint_family(&own.address) == AF_INET ? 32 : 128;
	text_net_truncate(&root);
	db_cidr_add(db, name, &root, 0, NULL);
	db_cidr_add(db, "innernet-server", &own, DB_ROOT_CIDR, NULL);
	wg_key_public_from_private(private_key, &public);
	server = db_peer_new("innernet-server", &address->address, DB_SERVER_CIDR,
			     wg_key_format(&public, text));
	server->endpoint = g_strdup(external_endpoint);
	server->is_admin = server->is_redeemed = TRUE;
	db_peer_add_take(db, server, NULL);
	return db;
}

void
db_free(Db *db)
{
	if (db == NULL)
		return;
	g_free(db->path);
	wg_key_clear(&db->private_key);
	g_ptr_array_unref(db->peers);
	g_ptr_array_unref(db->cidrs);
	g_ptr_array_unref(db->associations);
	g_free(db);
}

DbPeer *
db_peer_by_id(const Db *db, gint64 id)
{
	for (guint i = 0; i < db->peers->len; i++) {
		DbPeer *peer = db->peers->pdata[i];

		if (peer->id == id)
			return peer;
	}
	return NULL;
}

DbPeer *
db_peer_by_ip(const Db *db, const WgEndpoint *ip)
{
	for (guint i = 0; i < db->peers->len; i++) {
		DbPeer *peer = db->peers->pdata[i];

		if (wg_endpoint_same_address(&peer->ip, ip))
			return peer;
	}
	return NULL;
}

DbPeer *
db_peer_by_name(const Db *db, const char *name)
{
	for (guint i = 0; i < db->peers->len; i++) {
		DbPeer *peer = db->peers->pdata[i];

		if (strcmp(peer->name, name) == 0)
			return peer;
	}
	return NULL;
}

DbPeer *
db_peer_by_key(const Db *db, const char *public_key)
{
	for (guint i = 0; i < db->peers->len; i++) {
		DbPeer *peer = db->peers->pdata[i];

		if (strcmp(peer->public_key, public_key) == 0)
			return peer;
	}
	return NULL;
}

DbCidr *
db_cidr_by_id(const Db *db, gint64 id)
{
	for (guint i = 0; i < db->cidrs->len; i++) {
		DbCidr *cidr = db->cidrs->pdata[i];

		if (cidr->id == id)
			return cidr;
	}
	return NULL;
}

DbCidr *
db_cidr_by_name(const Db *db, const char *name)
{
	for (guint i = 0; i < db->cidrs->len; i++) {
		DbCidr *cidr = db->cidrs->pdata[i];

		if (strcmp(cidr->name, name) == 0)
			return cidr;
	}
	return NULL;
}

DbCidr *
db_cidr_for(const Db *db, const WgEndpoint *ip)
{
	DbCidr *best = NULL;

	for (guint i = 0; i < db->cidrs->len; i++) {
		DbCidr *cidr = db->cidrs->pdata[i];

		if (text_net_contains(&cidr->net, ip) &&
		    (best == NULL || cidr->net.prefix > best->net.prefix))
			best = cidr;
	}
	return best;
}

static gboolean
refuse(GError **error, gint status, const char *why)
{
	g_set_error_literal(error, DB_ERROR, status, why);
	return FALSE;
}

static gboolean
may_be_added(const Db *db, const DbPeer *peer, GError **error)
{
	const DbCidr *cidr = db_cidr_by_id(db, peer->cidr_id);

	if (!text_is_name(peer->name))
		return refuse(error, 400, "the name is none that a host may have");
	if (cidr == NULL)
		return refuse(error, 404, "no such CIDR");
	if (!text_net_is_assignable(&cidr->net, &peer->ip))
		return refuse(error, 400, "the address is none that a peer of that CIDR may have");
	if (db_peer_by_name(db, peer->name) != NULL || db_peer_by_ip(db, &peer->ip) != NULL ||
	    db_peer_by_key(db, peer->public_key) != NULL)
		return refuse(error, 400, "another peer has this name, address or key");
	return TRUE;
}

DbPeer *
db_peer_add_take(Db *db, DbPeer *peer, GError **error)
{
	if (!may_be_added(db, peer, error)) {
		db_peer_free(peer);
		return NULL;
	}
	peer->id = db->next_id[PEERS]++;
	g_ptr_array_add(db->peers, peer);
	return peer;
}

gboolean
db_peer_rename(Db *db, DbPeer *peer, const char *name, GError **error)
{
	DbPeer *other = db_peer_by_name(db, name);

	if (!text_is_name(name) || (other != NULL && other != peer))
		return refuse(error, 400, "the name is another's or none that a host may have");
	if (other == NULL) {
		g_free(peer->name);
		peer->name = g_strdup(name);
	}
	return TRUE;
}

gboolean
db_peer_set_key(Db *db, DbPeer *peer, const char *public_key, GError **error)
{
	DbPeer *other = db_peer_by_key(db, public_key);

	if (other != NULL && other != peer)
		return refuse(error, 400, "another peer has this key");
	if (other == NULL) {
		g_free(peer->public_key);
		peer->public_key = g_strdup(public_key);
	}
	return TRUE;
}

gboolean
db_peer_redeem(Db *db, DbPeer *peer, const char *public_key, gint64 now, GError **error)
{
	if (peer->is_redeemed)
		return refuse(error, 410, "redeemed already");
	if (peer->invite_expires != 0 && peer->invite_expires < now)
		return refuse(error, 401, "the invitation has expired");
	if (!db_peer_set_key(db, peer, public_key, error))
		return FALSE;
	peer->is_redeemed = TRUE;
	return TRUE;
}

guint
db_sweep(Db *db, gint64 now)
{
	guint n = 0;

	for (guint i = db->peers->len; i-- > 0;) {
		const DbPeer *peer = db->peers->pdata[i];

		if (peer->is_redeemed || peer->invite_expires == 0 || peer->invite_expires >= now)
			continue;
		g_ptr_array_remove_index(db->peers, i);
		n++;
	}
	return n;
}

static gboolean
cidr_fits(const Db *db, const TextNet *net, gint64 parent, GError **error)
{
	const DbCidr *closest = NULL;

	for (guint i = 0; i < db->peers->len; i++)
		if (parent != 0 && ((DbPeer *)db->peers->pdata[i])->cidr_id == parent)
			return refuse(error, 400, "the parent has peers");
	for (guint i = 0; i < db->cidrs->len; i++) {
		const DbCidr *cidr = db->cidrs->pdata[i];

		if (cidr->parent == parent && text_net_overlaps(&cidr->net, net))
			return refuse(error, 400, "a sibling has some of these addresses");
		if (cidr->net.prefix <= net->prefix && text_net_overlaps(&cidr->net, net) &&
		    (closest == NULL || cidr->net.prefix > closest->net.prefix))
			closest = cidr;
	}
	if (parent != 0 && (closest == NULL || closest->id != parent))
		return refuse(error, 400, "the parent is not the closest one around it");
	return TRUE;
}

DbCidr *
db_cidr_add(Db *db, const char *name, const TextNet *net, gint64 parent, GError **error)
{
	DbCidr *cidr;

	if (db_cidr_by_name(db, name) != NULL) {
		refuse(error, 400, "there is a CIDR of this name");
		return NULL;
	}
	if (!cidr_fits(db, net, parent, error))
		return NULL;
	cidr = g_new0(DbCidr, 1);
	cidr->id = db->next_id[CIDRS]++;
	cidr->name = g_strdup(name);
	cidr->net = *net;
	cidr->parent = parent;
	g_ptr_array_add(db->cidrs, cidr);
	return cidr;
}

gboolean
db_cidr_remove(Db *db, gint64 id, GError **error)
{
	for (guint i = 0; i < db->peers->len; i++)
		if (((DbPeer *)db->peers->pdata[i])->cidr_id == id)
			return refuse(error, 400, "the CIDR has peers");
	for (guint i = 0; i < db->cidrs->len; i++)
		if (((DbCidr *)db->cidrs->pdata[i])->parent == id)
			return refuse(error, 400, "the CIDR has children");
	for (guint i = 0; i < db->associations->len; i++) {
		const DbAssociation *association = db->associations->pdata[i];

		if (association->a == id || association->b == id)
			return refuse(error, 400, "the CIDR is associated");
	}
	for (guint i = 0; i < db->cidrs->len; i++)
		if (((DbCidr *)db->cidrs->pdata[i])->id == id)
			g_ptr_array_remove_index(db->cidrs, i--);
	return TRUE;
}

static gboolean
is_between(const DbAssociation *association, gint64 a, gint64 b)
{
	return (association->a == a && association->b == b) ||
	       (association->a == b && association->b == a);
}

DbAssociation *
db_associate(Db *db, gint64 a, gint64 b, GError **error)
{
	DbAssociation *association;

	if (a == b || db_cidr_by_id(db, a) == NULL || db_cidr_by_id(db, b) == NULL) {
		refuse(error, 400, "these are not two CIDRs");
		return NULL;
	}
	for (guint i = 0; i < db->associations->len; i++) {
		if (is_between(db->associations->pdata[i], a, b)) {
			refuse(error, 400, "they are associated already");
			return NULL;
		}
	}
	association = g_new0(DbAssociation, 1);
	*association = (DbAssociation){db->next_id[ASSOCIATIONS]++, a, b};
	g_ptr_array_add(db->associations, association);
	return association;
}

gboolean
db_dissociate(Db *db, gint64 a, gint64 b)
{
	for (guint i = 0; i < db->associations->len; i++)
		if (is_between(db->associations->pdata[i], a, b))
			return g_ptr_array_remove_index(db->associations, i) != NULL;
	return FALSE;
}

/* Whether `id` is `top` or below it. */
static gboolean
is_below(const Db *db, gint64 id, gint64 top)
{
	while (id != 0 && id != top) {
		const DbCidr *cidr = db_cidr_by_id(db, id);

		id = cidr == NULL ? 0 : cidr->parent;
	}
	return id != 0;
}

static gboolean
is_visible(const Db *db, const DbPeer *peer, const DbPeer *other)
{
	if (is_below(db, other->cidr_id, peer->cidr_id) ||
	    is_below(db, other->cidr_id, DB_SERVER_CIDR))
		return TRUE;
	for (guint i = 0; i < db->associations->len; i++) {
		const DbAssociation *association = db->associations->pdata[i];

		if ((is_below(db, peer->cidr_id, association->a) &&
		     is_below(db, other->cidr_id, association->b)) ||
		    (is_below(db, peer->cidr_id, association->b) &&
		     is_below(db, other->cidr_id, association->a)))
			return TRUE;
	}
	return FALSE;
}

GPtrArray *
db_visible(const Db *db, const DbPeer *peer)
{
	GPtrArray *list = g_ptr_array_new();

	for (guint i = 0; i < db->peers->len; i++) {
		DbPeer *other = db->peers->pdata[i];

		if (!other->is_disabled && other->is_redeemed && is_visible(db, peer, other))
			g_ptr_array_add(list, other);
	}
	return list;
}
