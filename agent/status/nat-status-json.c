/* SPDX-License-Identifier: MIT */
/* The JSON of DESIGN §7, out: what is absent is null, and members are only ever added.
 * nat-status-parse.c reads it. */
#include <math.h>
#include <string.h>

#include "agent/base/nat-json.h"
#include "agent/status/nat-candidate-json.h"
#include "agent/status/nat-class-json.h"
#include "agent/status/nat-status.h"

static void
set_key(JsonObject *obj, const WgKey *key)
{
	char buf[WG_KEY_STRLEN];

	nat_json_set_string(obj, "public_key",
			    wg_key_is_zero(key) ? NULL : wg_key_format(key, buf));
}

/* No round trip is known better than that. */
static double
to_microseconds(double ms)
{
	return (double)(gint64)(MIN(ms, 1e9) * 1000 + 0.5) / 1000;
}

/* Nor is any share. */
static void
set_ratio(JsonObject *obj, const char *member, double ratio)
{
	if (isfinite(ratio) && ratio >= 0)
		json_object_set_double_member(
			obj, member, (double)(gint64)(MIN(ratio, 1) * 10000 + 0.5) / 10000);
	else
		json_object_set_null_member(obj, member);
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
	nat_json_set_candidate(path, "local", &peer->local);
	nat_json_set_candidate(path, "remote", &peer->remote);
	if (isfinite(peer->rtt_ms) && peer->rtt_ms >= 0)
		json_object_set_double_member(path, "rtt_ms", to_microseconds(peer->rtt_ms));
	else
		json_object_set_null_member(path, "rtt_ms");
	set_ratio(path, "loss_ratio", peer->loss);
	nat_json_set_int(path, "mtu_bytes", peer->mtu ? (gint64)peer->mtu : -1);
	nat_json_set_int(path, "source_port", peer->source_port ? (gint64)peer->source_port : -1);
	nat_json_set_int(path, "since_s", peer->since_s);
	json_object_set_object_member(obj, "path", path);
}

static void
set_standby(JsonObject *obj, const NatStatusPeer *peer)
{
	JsonObject *standby;

	if (!peer->has_standby) {
		json_object_set_null_member(obj, "standby");
		return;
	}
	standby = json_object_new();
	json_object_set_string_member(standby, "kind", peer->standby_relay ? "relay" : "direct");
	nat_json_set_candidate(standby, "remote", &peer->standby);
	json_object_set_object_member(obj, "standby", standby);
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
	nat_json_set_endpoint(obj, "endpoint", &peer->endpoint);
	nat_json_set_int(obj, "connect_ms", peer->connect_ms);
	nat_json_set_int(obj, "last_handshake_s", peer->last_handshake_s);
	nat_json_set_int(obj, "rx_bytes", (gint64)MIN(peer->rx_bytes, (guint64)G_MAXINT64));
	nat_json_set_int(obj, "tx_bytes", (gint64)MIN(peer->tx_bytes, (guint64)G_MAXINT64));
	json_object_set_string_member(obj, "why", peer->why);
	nat_json_set_string(obj, "reason", peer->reason);
	nat_json_set_string(obj, "no_relay", peer->no_relay);
	set_standby(obj, peer);
	nat_json_set_int(obj, "failovers", peer->failovers);
	if (peer->detail)
		json_object_set_object_member(
			obj, "detail",
			nat_status_detail_to_json(peer->detail, g_get_monotonic_time()));
	else
		json_object_set_null_member(obj, "detail");
	return obj;
}

static JsonObject *
nat_out(const NatStatusInterface *iface)
{
	JsonObject *obj = json_object_new();
	JsonArray *list = json_array_new();
	NatClass nat = iface->nat;
	char buf[WG_ENDPOINT_STRLEN];

	for (guint i = 0; i < iface->public_endpoints->len; i++)
		json_array_add_string_element(
			list, wg_endpoint_format(
				      &g_array_index(iface->public_endpoints, WgEndpoint, i), buf));
	nat.mapping = iface->mapping;
	nat_json_set_class(obj, &nat);
	json_object_set_array_member(obj, "public", list);
	nat_json_set_int(obj, "mapping_lifetime_s",
			 iface->mapping_lifetime_s ? (gint64)iface->mapping_lifetime_s : -1);
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

static void
set_innernet(JsonObject *obj, const NatStatusInterface *iface)
{
	JsonObject *innernet;

	if (!iface->innernet_mode) {
		json_object_set_null_member(obj, "innernet");
		return;
	}
	innernet = json_object_new();
	json_object_set_string_member(innernet, "mode", iface->innernet_mode);
	nat_json_set_string(innernet, "server", iface->innernet_server);
	nat_json_set_string(innernet, "state", iface->innernet_state);
	nat_json_set_string(innernet, "reason", iface->innernet_reason);
	json_object_set_object_member(obj, "innernet", innernet);
}

static void
set_port_mapping(JsonObject *obj, const NatStatusPortMapping *mapping)
{
	JsonObject *out;
	char gateway[WG_ENDPOINT_STRLEN];

	if (!mapping->state) {
		json_object_set_null_member(obj, "port_mapping");
		return;
	}
	out = json_object_new();
	json_object_set_string_member(out, "state", mapping->state);
	nat_json_set_string(out, "protocol", mapping->protocol);
	nat_json_set_string(out, "gateway",
			    wg_endpoint_is_set(&mapping->gateway)
				    ? wg_endpoint_format_address(&mapping->gateway, gateway)
				    : NULL);
	nat_json_set_endpoint(out, "external", &mapping->external);
	nat_json_set_int(out, "lifetime_s", mapping->lifetime_s ? (gint64)mapping->lifetime_s : -1);
	nat_json_set_string(out, "problem", mapping->problem);
	json_object_set_boolean_member(out, "ipv6_pinhole", mapping->pinhole);
	json_object_set_object_member(obj, "port_mapping", out);
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

static JsonArray *
relays_out(const NatStatusInterface *iface)
{
	JsonArray *list = json_array_new();

	for (guint i = 0; i < iface->relays->len; i++) {
		const NatStatusRelay *relay = g_ptr_array_index(iface->relays, i);
		JsonObject *obj = json_object_new();

		nat_json_set_string(obj, "server", relay->server);
		nat_json_set_string(obj, "state", relay->state);
		nat_json_set_endpoint(obj, "relayed", &relay->relayed);
		nat_json_set_string(obj, "problem", relay->problem);
		json_object_set_boolean_member(obj, "spare", relay->spare);
		json_array_add_object_element(list, obj);
	}
	return list;
}

static JsonObject *
interface_out(const NatStatusInterface *iface)
{
	JsonObject *obj = json_object_new();
	JsonArray *candidates = json_array_new(), *peers = json_array_new();

	for (guint i = 0; i < iface->candidates->len; i++)
		json_array_add_object_element(
			candidates,
			nat_json_candidate(&g_array_index(iface->candidates, NatCandidate, i)));
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
	json_object_set_array_member(obj, "relays", relays_out(iface));
	nat_json_set_int(obj, "mtu_advice_bytes",
			 iface->mtu_advice ? (gint64)iface->mtu_advice : -1);
	set_innernet(obj, iface);
	set_port_mapping(obj, &iface->port_mapping);
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
	nat_json_set_string(obj, "isolation", status->isolation);
	return nat_json_node_take(obj);
}
