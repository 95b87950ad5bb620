/* SPDX-License-Identifier: MIT */
/* The JSON of DESIGN §7, in: what is missing or unknown keeps its default, what is of a wrong type
 * is an error. nat-status-json.c writes it. */
#include <gio/gio.h>
#include <string.h>

#include "agent/base/nat-json.h"
#include "agent/status/nat-class-json.h"
#include "agent/status/nat-status.h"

#define LIFETIME_MAX 86400 /* s */
#define PORT_MAPPING_MAX (24 * 3600)
#define MTU_MAX 65575 /* bytes: the longest IPv6 packet that is no jumbogram */

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

static gboolean
get_uint(JsonObject *obj, const char *member, guint max, guint *out, GError **error)
{
	guint64 value = *out;

	if (!get_uint64(obj, member, &value, error))
		return FALSE;
	if (value > max)
		return invalid(error, member, "a number of that size");
	*out = (guint)value;
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
	    !nat_json_get_double(path, "rtt_ms", &peer->rtt_ms, error) ||
	    !nat_json_get_double(path, "loss_ratio", &peer->loss, error) ||
	    !get_uint(path, "mtu_bytes", MTU_MAX, &peer->mtu, error) ||
	    !get_uint(path, "source_port", G_MAXUINT16, &peer->source_port, error) ||
	    !nat_json_get_int(path, "since_s", &peer->since_s, error))
		return FALSE;
	peer->has_path = TRUE;
	peer->relay = g_strcmp0(kind, "relay") == 0;
	return TRUE;
}

static gboolean
standby_in(JsonObject *obj, NatStatusPeer *peer, GError **error)
{
	JsonObject *standby = NULL;
	const char *kind = NULL;

	if (!nat_json_get_object(obj, "standby", &standby, error))
		return FALSE;
	if (!standby)
		return TRUE;
	peer->has_standby = TRUE;
	if (!nat_json_get_string(standby, "kind", &kind, error) ||
	    !get_candidate(standby, "remote", &peer->standby, error))
		return FALSE;
	peer->standby_relay = g_strcmp0(kind, "relay") == 0;
	return TRUE;
}

static gboolean
peer_in(JsonObject *obj, NatStatusPeer *peer, GError **error)
{
	const char *state = NULL;
	JsonObject *detail = NULL;

	if (!get_key(obj, &peer->public_key, error) ||
	    !copy_string(obj, "name", &peer->name, error) ||
	    !nat_json_get_string(obj, "state", &state, error) ||
	    !nat_json_get_boolean(obj, "managed", &peer->managed, error) ||
	    !path_in(obj, peer, error) || !get_endpoint(obj, "endpoint", &peer->endpoint, error) ||
	    !nat_json_get_int(obj, "connect_ms", &peer->connect_ms, error) ||
	    !nat_json_get_int(obj, "last_handshake_s", &peer->last_handshake_s, error) ||
	    !get_uint64(obj, "rx_bytes", &peer->rx_bytes, error) ||
	    !get_uint64(obj, "tx_bytes", &peer->tx_bytes, error) ||
	    !copy_string(obj, "why", &peer->why, error) ||
	    !copy_string(obj, "reason", &peer->reason, error) ||
	    !copy_string(obj, "no_relay", &peer->no_relay, error) ||
	    !standby_in(obj, peer, error) ||
	    !get_uint(obj, "failovers", G_MAXUINT, &peer->failovers, error) ||
	    !nat_json_get_object(obj, "detail", &detail, error))
		return FALSE;
	if (state && !nat_peer_state_from_string(state, &peer->state))
		return invalid(error, "state", "waiting, checking, connected or failed");
	if (detail)
		peer->detail = nat_status_detail_from_json(detail, g_get_monotonic_time(), error);
	return !detail || peer->detail;
}

static gboolean
nat_in(JsonObject *obj, NatStatusInterface *iface, GError **error)
{
	JsonObject *nat = NULL;
	JsonArray *list = NULL;

	if (!nat_json_get_object(obj, "nat", &nat, error))
		return FALSE;
	if (!nat)
		return TRUE;
	if (!nat_json_get_class(nat, &iface->nat, error) ||
	    !nat_json_get_array(nat, "public", &list, error) ||
	    !get_uint(nat, "mapping_lifetime_s", LIFETIME_MAX, &iface->mapping_lifetime_s, error))
		return FALSE;
	iface->mapping = iface->nat.mapping;
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
innernet_in(JsonObject *obj, NatStatusInterface *iface, GError **error)
{
	JsonObject *innernet = NULL;

	if (!nat_json_get_object(obj, "innernet", &innernet, error))
		return FALSE;
	return !innernet || (copy_string(innernet, "mode", &iface->innernet_mode, error) &&
			     copy_string(innernet, "server", &iface->innernet_server, error) &&
			     copy_string(innernet, "state", &iface->innernet_state, error) &&
			     copy_string(innernet, "reason", &iface->innernet_reason, error));
}

static gboolean
port_mapping_in(JsonObject *obj, NatStatusPortMapping *out, GError **error)
{
	JsonObject *mapping = NULL;
	const char *gateway = NULL;

	if (!nat_json_get_object(obj, "port_mapping", &mapping, error))
		return FALSE;
	if (!mapping)
		return TRUE;
	if (!copy_string(mapping, "state", &out->state, error) ||
	    !copy_string(mapping, "protocol", &out->protocol, error) ||
	    !copy_string(mapping, "problem", &out->problem, error) ||
	    !nat_json_get_string(mapping, "gateway", &gateway, error) ||
	    !get_endpoint(mapping, "external", &out->external, error) ||
	    !get_uint(mapping, "lifetime_s", PORT_MAPPING_MAX, &out->lifetime_s, error) ||
	    !nat_json_get_boolean(mapping, "ipv6_pinhole", &out->pinhole, error))
		return FALSE;
	if (gateway && !wg_endpoint_parse_address(gateway, 0, &out->gateway))
		return invalid(error, "gateway", "an address");
	return TRUE;
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
relays_in(JsonObject *obj, NatStatusInterface *iface, GError **error)
{
	JsonArray *list = NULL;

	if (!nat_json_get_array(obj, "relays", &list, error))
		return FALSE;
	for (guint i = 0; list && i < json_array_get_length(list); i++) {
		JsonObject *entry = object_at(list, i, "relays", error);
		NatStatusRelay *relay = nat_status_add_relay(iface, NULL);

		if (!entry || !copy_string(entry, "server", &relay->server, error) ||
		    !copy_string(entry, "state", &relay->state, error) ||
		    !get_endpoint(entry, "relayed", &relay->relayed, error) ||
		    !copy_string(entry, "problem", &relay->problem, error) ||
		    !nat_json_get_boolean(entry, "spare", &relay->spare, error))
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
	    !signaling_in(obj, iface, error) || !innernet_in(obj, iface, error) ||
	    !nat_in(obj, iface, error) || !candidates_in(obj, iface, error) ||
	    !peers_in(obj, iface, error) || !counters_in(obj, iface, error) ||
	    !relays_in(obj, iface, error) || !port_mapping_in(obj, &iface->port_mapping, error) ||
	    !get_uint(obj, "mtu_advice_bytes", MTU_MAX, &iface->mtu_advice, error))
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
	    !copy_string(obj, "isolation", &status->isolation, error) ||
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
