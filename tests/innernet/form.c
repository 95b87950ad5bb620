/* SPDX-License-Identifier: MIT */
#include "form.h"
#include "strict.h"

#include <string.h>

static gboolean
has(GPtrArray *list, const char *text)
{
	return g_ptr_array_find_with_equal_func(list, text, g_str_equal, NULL);
}

/* The endpoint that others are told. (transfer full) */
static char *
shown_endpoint(const DbPeer *peer, const WgEndpoint *observed)
{
	WgEndpoint completed;

	if (peer->endpoint == NULL)
		return observed == NULL ? NULL : text_endpoint_print(observed);
	if (!text_endpoint_is_unspecified(peer->endpoint))
		return g_strdup(peer->endpoint);
	if (observed == NULL)
		return NULL;
	completed = *observed;
	wg_endpoint_set_port(&completed, text_endpoint_port(peer->endpoint));
	return text_endpoint_print(&completed);
}

static void
add_optional(JsonBuilder *builder, const char *text)
{
	if (text == NULL)
		json_builder_add_null_value(builder);
	else
		json_builder_add_string_value(builder, text);
}

static void
add_candidates(JsonBuilder *builder, const DbPeer *peer, const char *endpoint, const char *seen)
{
	json_builder_set_member_name(builder, "candidates");
	json_builder_begin_array(builder);
	for (guint i = 0; i < peer->candidates->len; i++)
		json_builder_add_string_value(builder, peer->candidates->pdata[i]);
	if (seen != NULL && g_strcmp0(seen, endpoint) != 0 && !has(peer->candidates, seen))
		json_builder_add_string_value(builder, seen);
	json_builder_end_array(builder);
}

static void
add_expiry(JsonBuilder *builder, gint64 seconds)
{
	json_builder_set_member_name(builder, "invite_expires");
	if (seconds == 0) {
		json_builder_add_null_value(builder);
		return;
	}
	json_builder_begin_object(builder);
	json_builder_set_member_name(builder, "secs_since_epoch");
	json_builder_add_int_value(builder, seconds);
	json_builder_set_member_name(builder, "nanos_since_epoch");
	json_builder_add_int_value(builder, 0);
	json_builder_end_object(builder);
}

static void
add_peer(JsonBuilder *builder, const DbPeer *peer, const char *endpoint, const char *seen)
{
	char ip[WG_ENDPOINT_STRLEN];

	json_builder_begin_object(builder);
	json_builder_set_member_name(builder, "id");
	json_builder_add_int_value(builder, peer->id);
	json_builder_set_member_name(builder, "name");
	json_builder_add_string_value(builder, peer->name);
	json_builder_set_member_name(builder, "ip");
	json_builder_add_string_value(builder, wg_endpoint_format_address(&peer->ip, ip));
	json_builder_set_member_name(builder, "cidr_id");
	json_builder_add_int_value(builder, peer->cidr_id);
	json_builder_set_member_name(builder, "public_key");
	json_builder_add_string_value(builder, peer->public_key);
	json_builder_set_member_name(builder, "endpoint");
	add_optional(builder, endpoint);
	json_builder_set_member_name(builder, "persistent_keepalive_interval");
	if (peer->keepalive == 0)
		json_builder_add_null_value(builder);
	else
		json_builder_add_int_value(builder, peer->keepalive);
	json_builder_set_member_name(builder, "is_admin");
	json_builder_add_boolean_value(builder, peer->is_admin);
	json_builder_set_member_name(builder, "is_disabled");
	json_builder_add_boolean_value(builder, peer->is_disabled);
	json_builder_set_member_name(builder, "is_redeemed");
	json_builder_add_boolean_value(builder, peer->is_redeemed);
	add_expiry(builder, peer->invite_expires);
	add_candidates(builder, peer, endpoint, seen);
	json_builder_end_object(builder);
}

void
form_add_peer(JsonBuilder *builder, const DbPeer *peer, const WgEndpoint *observed)
{
	g_autofree char *endpoint = shown_endpoint(peer, observed);
	g_autofree char *seen = observed == NULL ? NULL : text_endpoint_print(observed);

	add_peer(builder, peer, endpoint, seen);
}

void
form_add_stored_peer(JsonBuilder *builder, const DbPeer *peer)
{
	add_peer(builder, peer, peer->endpoint, NULL);
}

void
form_add_cidr(JsonBuilder *builder, const DbCidr *cidr)
{
	g_autofree char *net = text_net_print(&cidr->net);

	json_builder_begin_object(builder);
	json_builder_set_member_name(builder, "id");
	json_builder_add_int_value(builder, cidr->id);
	json_builder_set_member_name(builder, "name");
	json_builder_add_string_value(builder, cidr->name);
	json_builder_set_member_name(builder, "cidr");
	json_builder_add_string_value(builder, net);
	json_builder_set_member_name(builder, "parent");
	if (cidr->parent == 0)
		json_builder_add_null_value(builder);
	else
		json_builder_add_int_value(builder, cidr->parent);
	json_builder_end_object(builder);
}

char *
form_print(JsonBuilder *builder)
{
	g_autoptr(JsonNode) root = json_builder_get_root(builder);

	return json_to_string(root, FALSE);
}

GPtrArray *
form_read_endpoints(JsonNode *node)
{
	g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(g_free);
	JsonArray *array;

	if (!JSON_NODE_HOLDS_ARRAY(node))
		return NULL;
	array = json_node_get_array(node);
	for (guint i = 0; i < json_array_get_length(array); i++) {
		JsonNode *item = json_array_get_element(array, i);
		const char *text = JSON_NODE_HOLDS_VALUE(item) ? json_node_get_string(item) : NULL;
		char *endpoint = text == NULL ? NULL : text_endpoint(text);

		if (endpoint == NULL)
			return NULL;
		g_ptr_array_add(list, endpoint);
	}
	return g_steal_pointer(&list);
}

gboolean
form_read_endpoint_option(JsonNode *node, char **out)
{
	gboolean ok = TRUE;
	const char *option, *content;
	JsonObject *object;

	*out = NULL;
	if (!JSON_NODE_HOLDS_OBJECT(node))
		return FALSE;
	object = json_node_get_object(node);
	option = strict_string(object, "option", &ok);
	if (!ok)
		return FALSE;
	if (strcmp(option, "Unset") == 0)
		return strict_optional(object, "content") == NULL;
	content = strict_string(object, "content", &ok);
	if (!ok || strcmp(option, "Set") != 0)
		return FALSE;
	*out = text_endpoint(content);
	return *out != NULL;
}

static gboolean
wrong(GError **error, const char *field)
{
	g_set_error(error, DB_ERROR, 400, "'%s' is missing or not what it should be", field);
	return FALSE;
}

static gboolean
read_expiry(JsonObject *object, DbPeer *peer, GError **error)
{
	JsonNode *node = strict_optional(object, "invite_expires");
	gboolean ok = TRUE;

	if (node == NULL)
		return TRUE;
	if (!JSON_NODE_HOLDS_OBJECT(node))
		return wrong(error, "invite_expires");
	peer->invite_expires =
		strict_int(json_node_get_object(node), "secs_since_epoch", 0, G_MAXINT64, &ok);
	strict_int(json_node_get_object(node), "nanos_since_epoch", 0, G_MAXUINT32, &ok);
	return ok || wrong(error, "invite_expires");
}

static gboolean
read_endpoints(JsonObject *object, DbPeer *peer, GError **error)
{
	JsonNode *candidates = json_object_get_member(object, "candidates");
	gboolean ok = TRUE;
	const char *endpoint = strict_optional_string(object, "endpoint", &ok);

	if (ok && endpoint != NULL)
		peer->endpoint = text_endpoint(endpoint);
	if (!ok || (endpoint != NULL && peer->endpoint == NULL))
		return wrong(error, "endpoint");
	if (candidates == NULL)
		return TRUE;
	g_ptr_array_unref(peer->candidates);
	peer->candidates = form_read_endpoints(candidates);
	if (peer->candidates != NULL)
		return TRUE;
	peer->candidates = g_ptr_array_new();
	return wrong(error, "candidates");
}

static gboolean
read_flags(JsonObject *object, DbPeer *peer, GError **error)
{
	struct {
		const char *name;
		gboolean *value;
	} flags[] = {{"is_admin", &peer->is_admin},
		     {"is_disabled", &peer->is_disabled},
		     {"is_redeemed", &peer->is_redeemed}};

	for (guint i = 0; i < G_N_ELEMENTS(flags); i++) {
		gboolean ok = TRUE;

		*flags[i].value = strict_boolean(object, flags[i].name, &ok);
		if (!ok)
			return wrong(error, flags[i].name);
	}
	return TRUE;
}

static DbPeer *
read_names(JsonObject *object, GError **error)
{
	gboolean ok = TRUE;
	guint16 keepalive = 0;
	DbPeer *peer;
	const char *name = strict_string(object, "name", &ok);
	const char *ip = strict_string(object, "ip", &ok);
	const char *key = strict_string(object, "public_key", &ok);
	gint64 cidr_id = strict_int(object, "cidr_id", G_MININT64, G_MAXINT64, &ok);
	WgEndpoint address;

	if (ok && strict_optional(object, "persistent_keepalive_interval") != NULL)
		keepalive = (guint16)strict_int(object, "persistent_keepalive_interval", 0,
						G_MAXUINT16, &ok);
	if (!ok || !wg_endpoint_parse_address(ip, 0, &address)) {
		wrong(error, "name, ip, public_key, cidr_id or persistent_keepalive_interval");
		return NULL;
	}
	peer = db_peer_new(name, &address, cidr_id, key);
	peer->keepalive = keepalive;
	return peer;
}

DbPeer *
form_read_peer(JsonNode *node, GError **error)
{
	g_autoptr(DbPeer) peer = NULL;
	JsonObject *object;

	if (!JSON_NODE_HOLDS_OBJECT(node)) {
		wrong(error, "peer");
		return NULL;
	}
	object = json_node_get_object(node);
	peer = read_names(object, error);
	if (peer == NULL || !read_flags(object, peer, error) || !read_expiry(object, peer, error) ||
	    !read_endpoints(object, peer, error))
		return NULL;
	return g_steal_pointer(&peer);
}

DbPeer *
form_read_stored_peer(JsonNode *node, GError **error)
{
	g_autoptr(DbPeer) peer = form_read_peer(node, error);
	gboolean ok = TRUE;
	WgKey key;

	if (peer == NULL)
		return NULL;
	peer->id = strict_int(json_node_get_object(node), "id", G_MININT64, G_MAXINT64, &ok);
	if (!ok || !wg_key_parse(peer->public_key, &key)) {
		wrong(error, ok ? "public_key" : "id");
		return NULL;
	}
	return g_steal_pointer(&peer);
}

void
form_cidr_free(DbCidr *cidr)
{
	if (cidr == NULL)
		return;
	g_free(cidr->name);
	g_free(cidr);
}

DbCidr *
form_read_cidr(JsonNode *node, GError **error)
{
	g_autoptr(DbCidr) cidr = g_new0(DbCidr, 1);
	JsonObject *object;
	gboolean ok = JSON_NODE_HOLDS_OBJECT(node);
	const char *net = NULL;

	if (ok) {
		object = json_node_get_object(node);
		cidr->name = g_strdup(strict_string(object, "name", &ok));
		net = strict_string(object, "cidr", &ok);
		if (strict_optional(object, "parent") != NULL)
			cidr->parent = strict_int(object, "parent", 1, G_MAXINT64, &ok);
		if (json_object_has_member(object, "id"))
			cidr->id = strict_int(object, "id", 1, G_MAXINT64, &ok);
	}
	if (!ok || !text_net_parse(net, &cidr->net)) {
		wrong(error, "cidr");
		return NULL;
	}
	return g_steal_pointer(&cidr);
}
