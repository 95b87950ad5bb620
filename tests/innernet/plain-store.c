/* SPDX-License-Identifier: MIT */
#include "form.h"
#include "plain.h"
#include "strict.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <string.h>
#include <unistd.h>

PlainState *
plain_state_new(void)
{
	PlainState *state = g_new0(PlainState, 1);

	state->peers = g_ptr_array_new_with_free_func((GDestroyNotify)db_peer_free);
	state->cidrs = g_ptr_array_new_with_free_func((GDestroyNotify)form_cidr_free);
	return state;
}

void
plain_state_free(PlainState *state)
{
	if (state == NULL)
		return;
	g_ptr_array_unref(state->peers);
	g_ptr_array_unref(state->cidrs);
	g_free(state);
}

static JsonArray *
array_of(JsonObject *object, const char *name, GError **error)
{
	JsonNode *node = json_object_get_member(object, name);

	if (node != NULL && JSON_NODE_HOLDS_ARRAY(node))
		return json_node_get_array(node);
	g_set_error(error, DB_ERROR, 400, "'%s' is no array", name);
	return NULL;
}

static PlainState *
read_state(JsonObject *object, GError **error)
{
	g_autoptr(PlainState) state = plain_state_new();
	JsonArray *peers = array_of(object, "peers", error);
	JsonArray *cidrs = peers == NULL ? NULL : array_of(object, "cidrs", error);

	if (cidrs == NULL)
		return NULL;
	for (guint i = 0; i < json_array_get_length(peers); i++) {
		DbPeer *peer = form_read_stored_peer(json_array_get_element(peers, i), error);

		if (peer == NULL)
			return NULL;
		g_ptr_array_add(state->peers, peer);
	}
	for (guint i = 0; i < json_array_get_length(cidrs); i++) {
		DbCidr *cidr = form_read_cidr(json_array_get_element(cidrs, i), error);

		if (cidr == NULL)
			return NULL;
		g_ptr_array_add(state->cidrs, cidr);
	}
	return g_steal_pointer(&state);
}

static JsonNode *
read_object(const char *json, GError **error)
{
	JsonNode *root = strict_parse(json, strlen(json), error);

	if (root == NULL || JSON_NODE_HOLDS_OBJECT(root))
		return root;
	json_node_unref(root);
	g_set_error_literal(error, DB_ERROR, 400, "no JSON object");
	return NULL;
}

PlainState *
plain_state_parse(const char *json, GError **error)
{
	g_autoptr(JsonNode) root = read_object(json, error);

	return root == NULL ? NULL : read_state(json_node_get_object(root), error);
}

PlainState *
plain_store_load(const char *path, GError **error)
{
	g_autofree char *json = NULL;
	g_autoptr(JsonNode) root = NULL;
	g_autoptr(PlainState) state = NULL;
	gboolean ok = TRUE;
	const char *version;

	if (!g_file_test(path, G_FILE_TEST_EXISTS) ||
	    !g_file_get_contents(path, &json, NULL, error))
		return NULL;
	root = read_object(json, error);
	if (root != NULL) {
		version = strict_string(json_node_get_object(root), "version", &ok);
		if (g_strcmp0(version, "1") == 0)
			state = read_state(json_node_get_object(root), error);
		else
			g_set_error_literal(error, DB_ERROR, 400, "'version' is not \"1\"");
	}
	if (state == NULL)
		g_prefix_error(error, "%s: ", path);
	return g_steal_pointer(&state);
}

/* As the original does it: a reader may see half of it. */
static gboolean
write_in_place(const char *path, const char *text, GError **error)
{
	gsize len = strlen(text);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	gboolean ok = fd >= 0 && write(fd, text, len) == (gssize)len;

	if (!ok)
		g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "%s: %s", path,
			    g_strerror(errno));
	if (fd >= 0)
		close(fd);
	return ok;
}

gboolean
plain_store_save(const char *path, const PlainState *state, GError **error)
{
	g_autoptr(JsonBuilder) builder = json_builder_new();
	g_autoptr(JsonNode) root = NULL;
	g_autofree char *json = NULL;

	json_builder_begin_object(builder);
	json_builder_set_member_name(builder, "version");
	json_builder_add_string_value(builder, "1");
	json_builder_set_member_name(builder, "peers");
	json_builder_begin_array(builder);
	for (guint i = 0; i < state->peers->len; i++)
		form_add_stored_peer(builder, state->peers->pdata[i]);
	json_builder_end_array(builder);
	json_builder_set_member_name(builder, "cidrs");
	json_builder_begin_array(builder);
	for (guint i = 0; i < state->cidrs->len; i++)
		form_add_cidr(builder, state->cidrs->pdata[i]);
	json_builder_end_array(builder);
	json_builder_end_object(builder);
	root = json_builder_get_root(builder);
	json = json_to_string(root, TRUE);
	return write_in_place(path, json, error);
}

static DbPeer *
copy_peer(const DbPeer *peer)
{
	DbPeer *copy = db_peer_new(peer->name, &peer->ip, peer->cidr_id, peer->public_key);

	copy->id = peer->id;
	copy->keepalive = peer->keepalive;
	copy->endpoint = g_strdup(peer->endpoint);
	copy->is_admin = peer->is_admin;
	copy->is_disabled = peer->is_disabled;
	copy->is_redeemed = peer->is_redeemed;
	copy->invite_expires = peer->invite_expires;
	for (guint i = 0; i < peer->candidates->len; i++)
		g_ptr_array_add(copy->candidates, g_strdup(peer->candidates->pdata[i]));
	return copy;
}

static gint
find_ip(const PlainState *state, const WgEndpoint *ip)
{
	for (guint i = 0; i < state->peers->len; i++)
		if (wg_endpoint_same_address(&((DbPeer *)state->peers->pdata[i])->ip, ip))
			return (gint)i;
	return -1;
}

static gboolean
has_key(const PlainState *state, const char *key)
{
	for (guint i = 0; i < state->peers->len; i++)
		if (strcmp(((DbPeer *)state->peers->pdata[i])->public_key, key) == 0)
			return TRUE;
	return FALSE;
}

static gboolean
pin_peer(PlainState *store, const DbPeer *peer, GError **error)
{
	gint at = find_ip(store, &peer->ip);

	if (at < 0) {
		g_ptr_array_add(store->peers, copy_peer(peer));
		return TRUE;
	}
	if (strcmp(((DbPeer *)store->peers->pdata[at])->public_key, peer->public_key) != 0) {
		g_set_error(error, DB_ERROR, 400, "%s has another key than before", peer->name);
		return FALSE;
	}
	db_peer_free(store->peers->pdata[at]);
	store->peers->pdata[at] = copy_peer(peer);
	return TRUE;
}

gboolean
plain_store_update(PlainState *store, const PlainState *state, GError **error)
{
	for (guint i = 0; i < state->peers->len; i++)
		if (!pin_peer(store, state->peers->pdata[i], error))
			return FALSE;
	for (guint i = 0; i < store->peers->len; i++) {
		DbPeer *peer = store->peers->pdata[i];

		if (!has_key(state, peer->public_key))
			peer->is_disabled = TRUE;
	}
	g_ptr_array_set_size(store->cidrs, 0);
	for (guint i = 0; i < state->cidrs->len; i++) {
		DbCidr *cidr = g_memdup2(state->cidrs->pdata[i], sizeof *cidr);

		cidr->name = g_strdup(cidr->name);
		g_ptr_array_add(store->cidrs, cidr);
	}
	return TRUE;
}
