/* SPDX-License-Identifier: MIT */
/* The JSON of DESIGN §7: what is absent is null, and members are only ever added. */
#include <gio/gio.h>
#include <math.h>
#include <string.h>

#include "agent/nat-json.h"
#include "agent/nat-status.h"

/* --- out --- */

static void
set_endpoint(JsonObject *obj, const char *member, const WgEndpoint *ep)
{
	char buf[WG_ENDPOINT_STRLEN];

	nat_json_set_string(obj, member,
			    wg_endpoint_is_set(ep) ? wg_endpoint_format(ep, buf) : NULL);
}

static void
set_key(JsonObject *obj, const WgKey *key)
{
	char buf[WG_KEY_STRLEN];

	nat_json_set_string(obj, "public_key",
			    wg_key_is_zero(key) ? NULL : wg_key_format(key, buf));
}

static JsonObject *
candidate_out(const NatCandidate *cand)
{
	JsonObject *obj = json_object_new();

	json_object_set_string_member(obj, "type", nat_cand_type_to_string(cand->type));
	set_endpoint(obj, "endpoint", &cand->endpoint);
	return obj;
}

static void
set_candidate(JsonObject *obj, const char *member, const NatCandidate *cand)
{
	if (wg_endpoint_is_set(&cand->endpoint))
		json_object_set_object_member(obj, member, candidate_out(cand));
	else
		json_object_set_null_member(obj, member);
}

/* No round trip is known better than that. */
static double
to_microseconds(double ms)
{
	return (double)(gint64)(MIN(ms, 1e9) * 1000 + 0.5) / 1000;
}

static void
set_path(JsonObject *obj, const NatStatusPeer *peer)
{
	JsonObject *path;

	if (!peer->has_path || peer->state != NAT_PEER_CONNECTED) {
		json_object_set_null_member(obj, "path");
		return;
	}
	path = json_object_new();
	json_object_set_string_member(path, "kind", peer->relay ? "relay" : "direct");
	set_candidate(path, "local", &peer->local);
	set_candidate(path, "remote", &peer->remote);
	if (isfinite(peer->rtt_ms) && peer->rtt_ms >= 0)
		json_object_set_double_member(path, "rtt_ms", to_microseconds(peer->rtt_ms));
	else
		json_object_set_null_member(path, "rtt_ms");
	json_object_set_object_member(obj, "path", path);
}

static JsonObject *
peer_out(const NatStatusPeer *peer)
{
	JsonObject *obj = json_object_new();

	set_key(obj, &peer->public_key);
	nat_json_set_string(obj, "name", peer->name);
	json_object_set_string_member(obj, "state", nat_peer_state_to_string(peer->state));
	json_object_set_boolean_member(obj, "managed", peer->managed);
	set_path(obj, peer);
	set_endpoint(obj, "endpoint", &peer->endpoint);
	nat_json_set_int(obj, "connect_ms", peer->connect_ms);
	nat_json_set_int(obj, "last_handshake_s", peer->last_handshake_s);
	nat_json_set_int(obj, "rx_bytes", (gint64)MIN(peer->rx_bytes, (guint64)G_MAXINT64));
	nat_json_set_int(obj, "tx_bytes", (gint64)MIN(peer->tx_bytes, (guint64)G_MAXINT64));
	json_object_set_string_member(obj, "why", peer->why);
	return obj;
}

static JsonObject *
nat_out(const NatStatusInterface *iface)
{
	JsonObject *obj = json_object_new();
	JsonArray *list = json_array_new();
	char buf[WG_ENDPOINT_STRLEN];

	for (guint i = 0; i < iface->public_endpoints->len; i++)
		json_array_add_string_element(
			list, wg_endpoint_format(
				      &g_array_index(iface->public_endpoints, WgEndpoint, i), buf));
	json_object_set_string_member(obj, "mapping", nat_mapping_to_string(iface->mapping));
	json_object_set_array_member(obj, "public", list);
	return obj;
}

static void
set_signaling(JsonObject *obj, const NatStatusInterface *iface)
{
	JsonObject *signaling;

	if (!iface->signal_url) {
		json_object_set_null_member(obj, "signaling");
		return;
	}
	signaling = json_object_new();
	json_object_set_string_member(signaling, "url", iface->signal_url);
	nat_json_set_string(signaling, "state", iface->signal_state);
	nat_json_set_string(signaling, "reason", iface->signal_reason);
	json_object_set_object_member(obj, "signaling", signaling);
}

/* Sorted, so that two outputs can be compared. */
static JsonObject *
counters_out(GHashTable *counters)
{
	JsonObject *obj = json_object_new();
	GList *names = g_list_sort(g_hash_table_get_keys(counters), (GCompareFunc)strcmp);

	for (GList *l = names; l; l = l->next) {
		const guint64 *value = g_hash_table_lookup(counters, l->data);

		nat_json_set_int(obj, l->data, (gint64)MIN(*value, (guint64)G_MAXINT64));
	}
	g_list_free(names);
	return obj;
}

static JsonObject *
interface_out(const NatStatusInterface *iface)
{
	JsonObject *obj = json_object_new();
	JsonArray *candidates = json_array_new(), *peers = json_array_new();

	for (guint i = 0; i < iface->candidates->len; i++)
		json_array_add_object_element(
			candidates,
			candidate_out(&g_array_index(iface->candidates, NatCandidate, i)));
	for (guint i = 0; i < iface->peers->len; i++)
		json_array_add_object_element(peers, peer_out(g_ptr_array_index(iface->peers, i)));
	json_object_set_string_member(obj, "name", iface->name);
	set_key(obj, &iface->public_key);
	nat_json_set_int(obj, "listen_port", iface->listen_port ? iface->listen_port : -1);
	nat_json_set_string(obj, "backend", iface->backend);
	set_signaling(obj, iface);
	json_object_set_object_member(obj, "nat", nat_out(iface));
	json_object_set_array_member(obj, "candidates", candidates);
	json_object_set_array_member(obj, "peers", peers);
	nat_json_set_string(obj, "problem", iface->problem);
	if (iface->counters)
		json_object_set_object_member(obj, "counters", counters_out(iface->counters));
	else
		json_object_set_null_member(obj, "counters");
	return obj;
}

JsonNode *
nat_status_to_json(const NatStatus *status)
{
	JsonObject *obj = json_object_new();
	JsonArray *interfaces = json_array_new();

	for (guint i = 0; i < status->interfaces->len; i++)
		json_array_add_object_element(
			interfaces, interface_out(g_ptr_array_index(status->interfaces, i)));
	json_object_set_string_member(obj, "version", status->version);
	json_object_set_array_member(obj, "interfaces", interfaces);
	return nat_json_node_take(obj);
}

/* --- in: what is missing keeps its default, what is of a wrong type is an error --- */

static gboolean
invalid(GError **error, const char *member, const char *what)
{
	g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "member \"%s\" is not %s", member,
		    what);
	return FALSE;
}

static gboolean
copy_string(JsonObject *obj, const char *member, char **out, GError **error)
{
	const char *text = NULL;

	if (!nat_json_get_string(obj, member, &text, error))
		return FALSE;
	if (text) {
		g_free(*out);
		*out = g_strdup(text);
	}
	return TRUE;
}

static gboolean
get_endpoint(JsonObject *obj, const char *member, WgEndpoint *out, GError **error)
{
	const char *text = NULL;

	if (!nat_json_get_string(obj, member, &text, error))
		return FALSE;
	if (text && !wg_endpoint_parse(text, out))
		return invalid(error, member, "an address with a port");
	return TRUE;
}

static gboolean
get_key(JsonObject *obj, WgKey *out, GError **error)
{
	const char *text = NULL;

	if (!nat_json_get_string(obj, "public_key", &text, error))
		return FALSE;
	if (text && !wg_key_parse(text, out))
		return invalid(error, "public_key", "a key");
	return TRUE;
}

static gboolean
get_uint64(JsonObject *obj, const char *member, guint64 *out, GError **error)
{
	gint64 value = 0;

	if (!nat_json_get_int(obj, member, &value, error))
		return FALSE;
	if (value < 0)
		return invalid(error, member, "a positive number");
	*out = (guint64)value;
	return TRUE;
}

/* A type that this version does not know leaves the candidate unset: a later agent may have more.
 */
static gboolean
candidate_in(JsonObject *obj, NatCandidate *out, GError **error)
{
	const char *type = NULL;

	if (!nat_json_get_string(obj, "type", &type, error) ||
	    !get_endpoint(obj, "endpoint", &out->endpoint, error))
		return FALSE;
	if (!type || !nat_cand_type_from_string(type, &out->type))
		memset(out, 0, sizeof *out);
	return TRUE;
}

static gboolean
get_candidate(JsonObject *obj, const char *member, NatCandidate *out, GError **error)
{
	JsonObject *cand = NULL;

	if (!nat_json_get_object(obj, member, &cand, error))
		return FALSE;
	return !cand || candidate_in(cand, out, error);
}

static gboolean
path_in(JsonObject *obj, NatStatusPeer *peer, GError **error)
{
	JsonObject *path = NULL;
	const char *kind = NULL;

	if (!nat_json_get_object(obj, "path", &path, error))
		return FALSE;
	if (!path)
		return TRUE;
	if (!nat_json_get_string(path, "kind", &kind, error) ||
	    !get_candidate(path, "local", &peer->local, error) ||
	    !get_candidate(path, "remote", &peer->remote, error) ||
	    !nat_json_get_double(path, "rtt_ms", &peer->rtt_ms, error))
		return FALSE;
	peer->has_path = TRUE;
	peer->relay = g_strcmp0(kind, "relay") == 0;
	return TRUE;
}

static gboolean
peer_in(JsonObject *obj, NatStatusPeer *peer, GError **error)
{
	const char *state = NULL;

	if (!get_key(obj, &peer->public_key, error) ||
	    !copy_string(obj, "name", &peer->name, error) ||
	    !nat_json_get_string(obj, "state", &state, error) ||
	    !nat_json_get_boolean(obj, "managed", &peer->managed, error) ||
	    !path_in(obj, peer, error) || !get_endpoint(obj, "endpoint", &peer->endpoint, error) ||
	    !nat_json_get_int(obj, "connect_ms", &peer->connect_ms, error) ||
	    !nat_json_get_int(obj, "last_handshake_s", &peer->last_handshake_s, error) ||
	    !get_uint64(obj, "rx_bytes", &peer->rx_bytes, error) ||
	    !get_uint64(obj, "tx_bytes", &peer->tx_bytes, error) ||
	    !copy_string(obj, "why", &peer->why, error))
		return FALSE;
	if (state && !nat_peer_state_from_string(state, &peer->state))
		return invalid(error, "state", "waiting, checking, connected or failed");
	return TRUE;
}

static gboolean
nat_in(JsonObject *obj, NatStatusInterface *iface, GError **error)
{
	JsonObject *nat = NULL;
	JsonArray *list = NULL;
	const char *mapping = NULL;

	if (!nat_json_get_object(obj, "nat", &nat, error))
		return FALSE;
	if (!nat)
		return TRUE;
	if (!nat_json_get_string(nat, "mapping", &mapping, error) ||
	    !nat_json_get_array(nat, "public", &list, error))
		return FALSE;
	if (!mapping || !nat_mapping_from_string(mapping, &iface->mapping))
		iface->mapping = NAT_MAPPING_UNKNOWN;
	for (guint i = 0; list && i < json_array_get_length(list); i++) {
		JsonNode *node = json_array_get_element(list, i);
		WgEndpoint ep;

		if (json_node_get_value_type(node) != G_TYPE_STRING ||
		    !wg_endpoint_parse(json_node_get_string(node), &ep))
			return invalid(error, "public", "a list of addresses with ports");
		g_array_append_val(iface->public_endpoints, ep);
	}
	return TRUE;
}

static gboolean
signaling_in(JsonObject *obj, NatStatusInterface *iface, GError **error)
{
	JsonObject *signaling = NULL;

	if (!nat_json_get_object(obj, "signaling", &signaling, error))
		return FALSE;
	return !signaling || (copy_string(signaling, "url", &iface->signal_url, error) &&
			      copy_string(signaling, "state", &iface->signal_state, error) &&
			      copy_string(signaling, "reason", &iface->signal_reason, error));
}

static gboolean
counters_in(JsonObject *obj, NatStatusInterface *iface, GError **error)
{
	JsonObject *counters = NULL;
	JsonObjectIter iter;
	const char *name;

	if (!nat_json_get_object(obj, "counters", &counters, error))
		return FALSE;
	if (!counters)
		return TRUE;
	json_object_iter_init(&iter, counters);
	while (json_object_iter_next(&iter, &name, NULL)) {
		guint64 value = 0;

		if (!get_uint64(counters, name, &value, error))
			return FALSE;
		nat_status_set_counter(iface, name, value);
	}
	return TRUE;
}

/* The object at index i of a list; NULL with an error when it is something else. */
static JsonObject *
object_at(JsonArray *list, guint i, const char *member, GError **error)
{
	JsonNode *node = json_array_get_element(list, i);

	if (JSON_NODE_HOLDS_OBJECT(node))
		return json_node_get_object(node);
	invalid(error, member, "a list of objects");
	return NULL;
}

static gboolean
candidates_in(JsonObject *obj, NatStatusInterface *iface, GError **error)
{
	JsonArray *list = NULL;

	if (!nat_json_get_array(obj, "candidates", &list, error))
		return FALSE;
	for (guint i = 0; list && i < json_array_get_length(list); i++) {
		JsonObject *entry = object_at(list, i, "candidates", error);
		NatCandidate cand = {0};

		if (!entry || !candidate_in(entry, &cand, error))
			return FALSE;
		if (cand.type)
			g_array_append_val(iface->candidates, cand);
	}
	return TRUE;
}

static gboolean
peers_in(JsonObject *obj, NatStatusInterface *iface, GError **error)
{
	static const WgKey NO_KEY;
	JsonArray *list = NULL;

	if (!nat_json_get_array(obj, "peers", &list, error))
		return FALSE;
	for (guint i = 0; list && i < json_array_get_length(list); i++) {
		JsonObject *entry = object_at(list, i, "peers", error);

		if (!entry || !peer_in(entry, nat_status_add_peer(iface, &NO_KEY), error))
			return FALSE;
	}
	return TRUE;
}

static gboolean
interface_in(JsonObject *obj, NatStatus *status, GError **error)
{
	const char *name = "?";
	NatStatusInterface *iface;
	gint64 port = 0;

	if (!nat_json_get_string(obj, "name", &name, error))
		return FALSE;
	iface = nat_status_add_interface(status, name);
	if (!copy_string(obj, "problem", &iface->problem, error) ||
	    !get_key(obj, &iface->public_key, error) ||
	    !nat_json_get_int(obj, "listen_port", &port, error) ||
	    !copy_string(obj, "backend", &iface->backend, error) ||
	    !signaling_in(obj, iface, error) || !nat_in(obj, iface, error) ||
	    !candidates_in(obj, iface, error) || !peers_in(obj, iface, error) ||
	    !counters_in(obj, iface, error))
		return FALSE;
	if (port < 0 || port > G_MAXUINT16)
		return invalid(error, "listen_port", "a port");
	iface->listen_port = (guint16)port;
	return TRUE;
}

static gboolean
status_in(JsonNode *node, NatStatus *status, GError **error)
{
	JsonObject *obj;
	JsonArray *list = NULL;

	if (!JSON_NODE_HOLDS_OBJECT(node))
		return invalid(error, "status", "an object");
	obj = json_node_get_object(node);
	if (!copy_string(obj, "version", &status->version, error) ||
	    !nat_json_get_array(obj, "interfaces", &list, error))
		return FALSE;
	for (guint i = 0; list && i < json_array_get_length(list); i++) {
		JsonObject *entry = object_at(list, i, "interfaces", error);

		if (!entry || !interface_in(entry, status, error))
			return FALSE;
	}
	return TRUE;
}

NatStatus *
nat_status_from_json(JsonNode *node, GError **error)
{
	g_autoptr(NatStatus) status = nat_status_new();

	if (!status_in(node, status, error)) {
		g_prefix_error(error, "malformed status: ");
		return NULL;
	}
	return g_steal_pointer(&status);
}
