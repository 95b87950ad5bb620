/* SPDX-License-Identifier: MIT */
#include "db-file.h"
#include "form.h"
#include "strict.h"

#include <string.h>

static void
add_head(JsonBuilder *builder, const Db *db)
{
	char key[WG_KEY_STRLEN];
	g_autofree char *address = text_net_print(&db->address);

	json_builder_set_member_name(builder, "private_key");
	json_builder_add_string_value(builder, wg_key_format(&db->private_key, key));
	json_builder_set_member_name(builder, "port");
	json_builder_add_int_value(builder, db->port);
	json_builder_set_member_name(builder, "address");
	json_builder_add_string_value(builder, address);
	json_builder_set_member_name(builder, "next_id");
	json_builder_begin_array(builder);
	for (guint i = 0; i < G_N_ELEMENTS(db->next_id); i++)
		json_builder_add_int_value(builder, db->next_id[i]);
	json_builder_end_array(builder);
}

static void
add_association(JsonBuilder *builder, const DbAssociation *association)
{
	json_builder_begin_array(builder);
	json_builder_add_int_value(builder, association->id);
	json_builder_add_int_value(builder, association->a);
	json_builder_add_int_value(builder, association->b);
	json_builder_end_array(builder);
}

gboolean
db_save(const Db *db, GError **error)
{
	g_autoptr(JsonBuilder) builder = json_builder_new();
	g_autofree char *text = NULL;

	json_builder_begin_object(builder);
	add_head(builder, db);
	json_builder_set_member_name(builder, "peers");
	json_builder_begin_array(builder);
	for (guint i = 0; i < db->peers->len; i++)
		form_add_stored_peer(builder, db->peers->pdata[i]);
	json_builder_end_array(builder);
	json_builder_set_member_name(builder, "cidrs");
	json_builder_begin_array(builder);
	for (guint i = 0; i < db->cidrs->len; i++)
		form_add_cidr(builder, db->cidrs->pdata[i]);
	json_builder_end_array(builder);
	json_builder_set_member_name(builder, "associations");
	json_builder_begin_array(builder);
	for (guint i = 0; i < db->associations->len; i++)
		add_association(builder, db->associations->pdata[i]);
	json_builder_end_array(builder);
	json_builder_end_object(builder);
	text = form_print(builder);
	return g_file_set_contents_full(db->path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600,
					error);
}

static JsonArray *
array_of(JsonObject *object, const char *name, guint len_min)
{
	JsonNode *node = json_object_get_member(object, name);
	JsonArray *array =
		node != NULL && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;

	return array != NULL && json_array_get_length(array) >= len_min ? array : NULL;
}

static gboolean
read_head(JsonObject *object, Db *db)
{
	gboolean ok = TRUE;
	const char *key = strict_string(object, "private_key", &ok);
	const char *address = strict_string(object, "address", &ok);
	JsonArray *next_id = array_of(object, "next_id", G_N_ELEMENTS(db->next_id));

	db->port = (guint16)strict_int(object, "port", 1, G_MAXUINT16, &ok);
	if (!ok || next_id == NULL || !wg_key_parse(key, &db->private_key) ||
	    !text_net_parse(address, &db->address))
		return FALSE;
	for (guint i = 0; i < G_N_ELEMENTS(db->next_id); i++)
		db->next_id[i] = json_array_get_int_element(next_id, i);
	return TRUE;
}

static gboolean
read_peers(JsonObject *object, Db *db, GError **error)
{
	JsonArray *array = array_of(object, "peers", 1);

	for (guint i = 0; array != NULL && i < json_array_get_length(array); i++) {
		JsonNode *node = json_array_get_element(array, i);
		DbPeer *peer = form_read_peer(node, error);

		if (peer == NULL)
			return FALSE;
		peer->id = json_object_get_int_member_with_default(json_node_get_object(node), "id",
								   0);
		g_ptr_array_add(db->peers, peer);
	}
	return array != NULL;
}

static gboolean
read_cidrs(JsonObject *object, Db *db, GError **error)
{
	JsonArray *array = array_of(object, "cidrs", 1);

	for (guint i = 0; array != NULL && i < json_array_get_length(array); i++) {
		DbCidr *cidr = form_read_cidr(json_array_get_element(array, i), error);

		if (cidr == NULL)
			return FALSE;
		g_ptr_array_add(db->cidrs, cidr);
	}
	return array != NULL;
}

static gboolean
read_associations(JsonObject *object, Db *db)
{
	JsonArray *array = array_of(object, "associations", 0);

	for (guint i = 0; array != NULL && i < json_array_get_length(array); i++) {
		JsonArray *item = json_array_get_array_element(array, i);
		DbAssociation *association = g_new0(DbAssociation, 1);

		association->id = json_array_get_int_element(item, 0);
		association->a = json_array_get_int_element(item, 1);
		association->b = json_array_get_int_element(item, 2);
		g_ptr_array_add(db->associations, association);
	}
	return array != NULL;
}

Db *
db_load(const char *path, GError **error)
{
	g_autofree char *text = NULL;
	gsize len;
	g_autoptr(JsonNode) root = NULL;
	g_autoptr(Db) db = db_empty(path);
	JsonObject *object;

	if (!g_file_get_contents(path, &text, &len, error))
		return NULL;
	root = strict_parse(text, len, error);
	if (root == NULL)
		return NULL;
	object = JSON_NODE_HOLDS_OBJECT(root) ? json_node_get_object(root) : NULL;
	if (object != NULL && read_head(object, db) && read_cidrs(object, db, error) &&
	    read_peers(object, db, error) && read_associations(object, db))
		return g_steal_pointer(&db);
	if (error != NULL && *error == NULL)
		g_set_error(error, DB_ERROR, 500, "%s is no file of an inn-server", path);
	return NULL;
}
