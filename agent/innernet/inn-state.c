/* SPDX-License-Identifier: MIT */
#include "agent/innernet/inn-state.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/nat-json.h"
#include "agent/base/nat-log.h"

#define NAME_MAX_BYTES 255
#define STORE_PEERS (8 * INN_STATE_PEERS) /* it never forgets one */
#define STORE_CIDRS (4 * 1024 * 1024)	  /* what an answer may be long in all */
/* All that a server can fill it with can be read again: else the pins would be lost. What is
 * disabled says so in a few bytes more than the server sent. */
#define STORE_MAX (STORE_PEERS * (INN_STATE_RECORD + 64) + STORE_CIDRS)
#define STORE_VERSION "1"

static void
peer_free(gpointer data)
{
	InnPeer *peer = data;

	if (peer->record)
		json_object_unref(peer->record);
	g_free(peer->name);
	g_free(peer->endpoint_host);
	g_free(peer);
}

static InnState *
state_new(void)
{
	InnState *state = g_new0(InnState, 1);

	state->peers = g_ptr_array_new_with_free_func(peer_free);
	return state;
}

void
inn_state_free(InnState *state)
{
	if (!state)
		return;
	g_ptr_array_unref(state->peers);
	if (state->cidrs)
		json_array_unref(state->cidrs);
	g_free(state);
}

const InnPeer *
inn_state_find(const InnState *state, const WgKey *key)
{
	for (guint i = 0; i < state->peers->len; i++) {
		const InnPeer *peer = g_ptr_array_index(state->peers, i);

		if (wg_key_equal(&peer->public_key, key))
			return peer;
	}
	return NULL;
}

const InnPeer *
inn_state_find_address(const InnState *state, const WgEndpoint *address)
{
	for (guint i = 0; i < state->peers->len; i++) {
		const InnPeer *peer = g_ptr_array_index(state->peers, i);

		if (wg_endpoint_same_address(&peer->address, address))
			return peer;
	}
	return NULL;
}

static InnPeer *
copy_peer(const InnPeer *peer)
{
	InnPeer *copy = g_memdup2(peer, sizeof *peer);

	copy->name = g_strdup(peer->name);
	copy->endpoint_host = g_strdup(peer->endpoint_host);
	copy->record = json_object_ref(peer->record);
	return copy;
}

/* ---- lookups for all at once ---- */

static GHashTable *
index_keys(const InnState *state)
{
	GHashTable *index = g_hash_table_new(wg_key_hash, wg_key_equal);

	for (guint i = 0; i < state->peers->len; i++) {
		InnPeer *peer = g_ptr_array_index(state->peers, i);

		g_hash_table_insert(index, &peer->public_key, peer);
	}
	return index;
}

static GHashTable *
index_addresses(const InnState *state)
{
	GHashTable *index = g_hash_table_new(wg_endpoint_hash, wg_endpoint_equal);

	for (guint i = 0; i < state->peers->len; i++) {
		InnPeer *peer = g_ptr_array_index(state->peers, i);

		g_hash_table_insert(index, &peer->address, peer);
	}
	return index;
}

/* ---- parsing ---- */

static gboolean
bad(GError **error, const char *what)
{
	g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, what);
	return FALSE;
}

/* The server writes what was mapped into IPv6 as that. */
static gboolean
parse_endpoint(const char *text, WgEndpoint *out)
{
	WgEndpoint ep;

	memset(out, 0, sizeof *out);
	return wg_endpoint_parse(text, &ep) && wg_endpoint_port(&ep) != 0 &&
	       wg_endpoint_from_sockaddr(out, &ep, wg_endpoint_socklen(&ep));
}

/* A name's, "HOST:PORT": split at the last colon, as innernet does. */
static gboolean
parse_named(const char *text, InnPeer *peer)
{
	const char *colon = strrchr(text, ':');
	guint64 port;

	if (!colon || colon == text || colon - text > NAME_MAX_BYTES ||
	    !g_ascii_string_to_unsigned(colon + 1, 10, 1, G_MAXUINT16, &port, NULL))
		return FALSE;
	for (const char *c = text; c < colon; c++)
		if (!g_ascii_isalnum(*c) && !strchr(".-_", *c))
			return FALSE;
	peer->endpoint_host = g_strndup(text, (gsize)(colon - text));
	peer->endpoint_port = (guint16)port;
	return TRUE;
}

static gboolean
read_candidates(JsonObject *obj, InnPeer *peer, GError **error)
{
	JsonArray *array = NULL;

	if (!nat_json_get_array(obj, "candidates", &array, error))
		return FALSE;
	for (guint i = 0; array && i < json_array_get_length(array); i++) {
		JsonNode *node = json_array_get_element(array, i);

		if (!JSON_NODE_HOLDS_VALUE(node) || json_node_get_value_type(node) != G_TYPE_STRING)
			return bad(error, "candidates: not a list of strings");
		if (peer->n_candidates < INN_STATE_CANDIDATES)
			parse_endpoint(json_node_get_string(node),
				       &peer->candidates[peer->n_candidates++]);
	}
	return TRUE;
}

static gboolean
read_identity(JsonObject *obj, InnPeer *peer, GError **error)
{
	const char *name = NULL, *ip = NULL, *key = NULL;
	gint64 id = -1;

	if (!nat_json_get_string(obj, "name", &name, error) ||
	    !nat_json_get_string(obj, "ip", &ip, error) ||
	    !nat_json_get_string(obj, "public_key", &key, error) ||
	    !nat_json_get_int(obj, "id", &id, error))
		return FALSE;
	if (!name || !*name || strlen(name) > NAME_MAX_BYTES)
		return bad(error, "name: missing, empty or too long");
	if (!ip || !wg_endpoint_parse_address(ip, 0, &peer->address))
		return bad(error, "ip: no address");
	if (!key || !wg_key_parse(key, &peer->public_key))
		return bad(error, "public_key: no key");
	if (id < 0)
		return bad(error, "id: missing");
	/* it goes to terminals, logs and metrics */
	peer->name = nat_log_escape(name, -1);
	peer->id = id;
	return TRUE;
}

static gsize weigh(JsonNode *node);

/* At most so many bytes of JSON: what is no UTF-8 is printed as U+FFFD. */
static gsize
weigh_text(const char *text)
{
	gsize bytes = 2;

	for (; *text; text++)
		if ((guchar)*text < ' ' || *text == 0x7f)
			bytes += strlen("\\u0000");
		else if ((guchar)*text > 0x7f)
			bytes += strlen("\uFFFD");
		else
			bytes += *text == '"' || *text == '\\' ? 2 : 1;
	return bytes;
}

static gsize
weigh_object(JsonObject *obj)
{
	gsize bytes = 2;
	JsonObjectIter iter;
	const char *member;
	JsonNode *node;

	json_object_iter_init(&iter, obj);
	while (json_object_iter_next(&iter, &member, &node))
		bytes += weigh_text(member) + strlen(":,") + weigh(node);
	return bytes;
}

static gsize
weigh_array(JsonArray *array)
{
	gsize bytes = 2;

	for (guint i = 0; i < json_array_get_length(array); i++)
		bytes += 1 + weigh(json_array_get_element(array, i));
	return bytes;
}

static gsize
weigh(JsonNode *node)
{
	if (JSON_NODE_HOLDS_OBJECT(node))
		return weigh_object(json_node_get_object(node));
	if (JSON_NODE_HOLDS_ARRAY(node))
		return weigh_array(json_node_get_array(node));
	if (JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING)
		return weigh_text(json_node_get_string(node));
	return G_ASCII_DTOSTR_BUF_SIZE; /* a number, or less */
}

static gboolean
read_peer(JsonObject *obj, InnPeer *peer, GError **error)
{
	const char *endpoint = NULL;
	gint64 keepalive = 0;

	peer->redeemed = TRUE;
	if (!read_identity(obj, peer, error) ||
	    !nat_json_get_string(obj, "endpoint", &endpoint, error) ||
	    !nat_json_get_int(obj, "persistent_keepalive_interval", &keepalive, error) ||
	    !nat_json_get_boolean(obj, "is_disabled", &peer->disabled, error) ||
	    !nat_json_get_boolean(obj, "is_redeemed", &peer->redeemed, error) ||
	    !read_candidates(obj, peer, error))
		return FALSE;
	if (keepalive < 0 || keepalive > G_MAXUINT16)
		return bad(error, "persistent_keepalive_interval: not from 0 to 65535");
	peer->keepalive = (guint16)keepalive;
	/* Each peer sets its own: what none can use must not spoil the others' network. */
	if (endpoint && !parse_endpoint(endpoint, &peer->endpoint))
		parse_named(endpoint, peer);
	peer->record = json_object_ref(obj);
	return TRUE;
}

/* One address, one key: else who comes first would decide. A store remembers a key's former
 * addresses. */
static gboolean
check_unique(const InnState *state, gboolean is_store, GError **error)
{
	g_autoptr(GHashTable) keys = g_hash_table_new(wg_key_hash, wg_key_equal);
	g_autoptr(GHashTable) addresses = g_hash_table_new(wg_endpoint_hash, wg_endpoint_equal);

	for (guint i = 0; i < state->peers->len; i++) {
		InnPeer *peer = g_ptr_array_index(state->peers, i);

		if (!g_hash_table_add(keys, &peer->public_key) && !is_store)
			return bad(error, "peers: a key is there twice");
		if (!g_hash_table_add(addresses, &peer->address))
			return bad(error, "peers: an address is there twice");
	}
	return TRUE;
}

static gboolean
read_peers(InnState *state, JsonArray *array, gboolean is_store, GError **error)
{
	guint n = json_array_get_length(array), max = is_store ? STORE_PEERS : INN_STATE_PEERS;

	if (n > max)
		return bad(error, "peers: too many");
	for (guint i = 0; i < n; i++) {
		JsonNode *node = json_array_get_element(array, i);
		InnPeer *peer = g_new0(InnPeer, 1);

		g_ptr_array_add(state->peers, peer);
		if (!JSON_NODE_HOLDS_OBJECT(node))
			bad(error, "not an object");
		/* the store keeps it for ever */
		else if (!is_store && weigh(node) > INN_STATE_RECORD)
			bad(error, "too long");
		else if (read_peer(json_node_get_object(node), peer, error))
			continue;
		g_prefix_error(error, "peers[%u]: ", i);
		return FALSE;
	}
	return check_unique(state, is_store, error);
}

static InnState *
read_state(JsonObject *root, gboolean is_store, GError **error)
{
	g_autoptr(InnState) state = state_new();
	JsonArray *peers = NULL, *cidrs = NULL;

	if (!nat_json_get_array(root, "peers", &peers, error) ||
	    !nat_json_get_array(root, "cidrs", &cidrs, error))
		return NULL;
	if (!peers || !cidrs) {
		bad(error, "no list of peers, or none of CIDRs");
		return NULL;
	}
	state->cidrs = json_array_ref(cidrs);
	return read_peers(state, peers, is_store, error) ? g_steal_pointer(&state) : NULL;
}

InnState *
inn_state_parse(const char *text, gsize len, GError **error)
{
	g_autoptr(JsonNode) root = nat_json_parse(text, len, error);

	return root ? read_state(json_node_get_object(root), FALSE, error) : NULL;
}

/* ---- the store ---- */

static char *
read_store(const char *path, gsize *len, GError **error)
{
	g_autofree char *text = NULL;
	struct stat st;

	if (stat(path, &st) == 0 && (!S_ISREG(st.st_mode) || st.st_size > STORE_MAX)) {
		bad(error, "no file, or too long a one");
		return NULL;
	}
	if (!g_file_get_contents(path, &text, len, error))
		return NULL;
	return g_steal_pointer(&text);
}

static InnState *
parse_store(const char *text, gsize len, GError **error)
{
	g_autoptr(JsonNode) root = nat_json_parse(text, len, error);
	const char *version = NULL;

	if (!root || !nat_json_get_string(json_node_get_object(root), "version", &version, error))
		return NULL;
	if (g_strcmp0(version, STORE_VERSION) != 0) {
		bad(error, "its version is not \"1\"");
		return NULL;
	}
	return read_state(json_node_get_object(root), TRUE, error);
}

InnState *
inn_store_load(const char *path, GError **error)
{
	g_autoptr(GError) cause = NULL;
	g_autoptr(InnState) store = NULL;
	g_autofree char *text = NULL;
	gsize len = 0;

	text = read_store(path, &len, &cause);
	if (g_error_matches(cause, G_FILE_ERROR, G_FILE_ERROR_NOENT) || (text && len == 0)) {
		store = state_new();
		store->cidrs = json_array_new();
		return g_steal_pointer(&store);
	}
	if (text)
		store = parse_store(text, len, &cause);
	if (!store)
		g_propagate_prefixed_error(error, g_steal_pointer(&cause), "%s: ", path);
	return g_steal_pointer(&store);
}

/* The record may be the server's own object: what is shared is not changed. */
static void
disable(InnPeer *peer)
{
	JsonObject *record;
	JsonObjectIter iter;
	const char *member;
	JsonNode *node;

	if (peer->disabled)
		return;
	peer->disabled = TRUE;
	record = json_object_new();
	json_object_iter_init_ordered(&iter, peer->record);
	while (json_object_iter_next_ordered(&iter, &member, &node))
		json_object_set_member(record, member, json_node_copy(node));
	json_object_set_boolean_member(record, "is_disabled", TRUE);
	json_object_unref(peer->record);
	peer->record = record;
}

InnState *
inn_store_members(const InnState *store)
{
	g_autoptr(GHashTable) keys = g_hash_table_new(wg_key_hash, wg_key_equal);
	InnState *state = state_new();

	for (guint i = 0; i < store->peers->len; i++) {
		InnPeer *peer = g_ptr_array_index(store->peers, i);

		if (!peer->disabled && g_hash_table_add(keys, &peer->public_key))
			g_ptr_array_add(state->peers, copy_peer(peer));
	}
	state->cidrs = json_array_ref(store->cidrs);
	return state;
}

static const InnPeer *
pinned_instead(const InnPeer *peer, GHashTable *pins)
{
	const InnPeer *pinned = g_hash_table_lookup(pins, &peer->address);

	return pinned && !wg_key_equal(&pinned->public_key, &peer->public_key) ? pinned : NULL;
}

/* One key, one address: where the server has the key elsewhere, that counts. */
static void
restore(InnState *state, const InnPeer *pinned, GHashTable *keys)
{
	InnPeer *copy;

	if (pinned->disabled || g_hash_table_contains(keys, &pinned->public_key))
		return;
	copy = copy_peer(pinned);
	g_ptr_array_add(state->peers, copy);
	g_hash_table_insert(keys, &copy->public_key, copy);
}

GPtrArray *
inn_state_pin(InnState *state, const InnState *store)
{
	g_autoptr(GHashTable) keys = index_keys(state), pins = index_addresses(store);
	g_autoptr(GPtrArray) before = g_steal_pointer(&state->peers);
	GPtrArray *refused = g_ptr_array_new_with_free_func(peer_free);

	g_ptr_array_set_free_func(before, NULL);
	state->peers = g_ptr_array_new_with_free_func(peer_free);
	for (guint i = 0; i < before->len; i++) {
		InnPeer *peer = g_ptr_array_index(before, i);
		const InnPeer *pinned = pinned_instead(peer, pins);

		g_ptr_array_add(pinned ? refused : state->peers, peer);
		if (pinned)
			restore(state, pinned, keys);
	}
	return refused;
}

static gboolean
is_pinned(const InnState *store, const InnState *state)
{
	g_autoptr(GHashTable) pins = index_addresses(store);

	for (guint i = 0; i < state->peers->len; i++)
		if (pinned_instead(g_ptr_array_index(state->peers, i), pins))
			return FALSE;
	return TRUE;
}

static void
renew_known(InnState *store, const InnState *state)
{
	g_autoptr(GHashTable) keys = index_keys(state);

	for (guint i = 0; i < store->peers->len; i++) {
		InnPeer *old = g_ptr_array_index(store->peers, i);
		const InnPeer *peer = g_hash_table_lookup(keys, &old->public_key);

		if (!peer || !wg_endpoint_equal(&peer->address, &old->address)) {
			disable(old);
			continue;
		}
		store->peers->pdata[i] = copy_peer(peer);
		peer_free(old);
	}
}

static void
add_new(InnState *store, const InnState *state)
{
	g_autoptr(GHashTable) known = index_addresses(store);

	for (guint i = 0; i < state->peers->len; i++) {
		const InnPeer *peer = g_ptr_array_index(state->peers, i);

		if (store->peers->len < STORE_PEERS &&
		    !g_hash_table_contains(known, &peer->address))
			g_ptr_array_add(store->peers, copy_peer(peer));
	}
}

gboolean
inn_store_update(InnState *store, const InnState *state)
{
	if (!is_pinned(store, state))
		return FALSE;
	renew_known(store, state);
	add_new(store, state);
	json_array_unref(store->cidrs);
	store->cidrs = json_array_ref(state->cidrs);
	return TRUE;
}

static char *
print_store(const InnState *store)
{
	JsonObject *root = json_object_new();
	JsonArray *peers = json_array_new();
	g_autoptr(JsonNode) node = NULL;

	for (guint i = 0; i < store->peers->len; i++) {
		const InnPeer *peer = g_ptr_array_index(store->peers, i);

		json_array_add_object_element(peers, json_object_ref(peer->record));
	}
	json_object_set_string_member(root, "version", STORE_VERSION);
	json_object_set_array_member(root, "peers", peers);
	json_object_set_array_member(root, "cidrs", json_array_ref(store->cidrs));
	node = nat_json_node_take(root);
	return nat_json_print(node, FALSE);
}

gboolean
inn_store_save(const InnState *store, const char *path, GError **error)
{
	g_autofree char *text = print_store(store), *dir = g_path_get_dirname(path);
	g_autofree char *before = NULL;
	gsize len = 0;

	/* asked for after each reading: flash wears out by less */
	before = read_store(path, &len, NULL);
	if (before != NULL && len == strlen(text) && memcmp(before, text, len) == 0)
		return TRUE;

	if (g_mkdir_with_parents(dir, 0700) != 0) {
		int saved = errno;

		g_set_error(error, G_FILE_ERROR, (int)g_file_error_from_errno(saved), "%s: %s", dir,
			    g_strerror(saved));
		return FALSE;
	}
	return g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600,
					error);
}
