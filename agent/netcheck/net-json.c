/* SPDX-License-Identifier: MIT */
#include "agent/netcheck/net-json.h"

#include "agent/base/nat-json.h"
#include "agent/netcheck/net-verdict.h"

/* ---- values that may be unknown ---- */

static void
set_endpoint(JsonObject *obj, const char *member, const WgEndpoint *ep, gboolean port)
{
	char text[WG_ENDPOINT_STRLEN];

	nat_json_set_string(obj, member,
			    !wg_endpoint_is_set(ep) ? NULL
			    : port		    ? wg_endpoint_format(ep, text)
						    : wg_endpoint_format_address(ep, text));
}

static void
set_gateway(JsonObject *obj, const WgEndpoint *gateway)
{
	char text[WG_ENDPOINT_STRLEN];

	nat_json_set_string(obj, "gateway",
			    wg_endpoint_is_set(gateway) ? net_gateway_format(gateway, text) : NULL);
}

static void
set_double(JsonObject *obj, const char *member, double value)
{
	if (value < 0)
		json_object_set_null_member(obj, member);
	else
		json_object_set_double_member(obj, member, value);
}

static void
set_answer(JsonObject *obj, const char *member, NetAnswer answer)
{
	if (answer == NET_UNKNOWN)
		json_object_set_null_member(obj, member);
	else
		json_object_set_boolean_member(obj, member, answer == NET_YES);
}

/* 0 is unknown. */
static void
set_mtu(JsonObject *obj, const char *member, guint mtu)
{
	nat_json_set_int(obj, member, mtu > 0 ? (gint64)mtu : -1);
}

/* ---- parts ---- */

static void
set_pattern(JsonObject *obj, const NatAllocation *pattern)
{
	gboolean block = pattern->ports == NAT_PORTS_BLOCK;

	json_object_set_string_member(obj, "ports", nat_ports_to_string(pattern->ports));
	if (pattern->ports == NAT_PORTS_SEQUENTIAL)
		json_object_set_int_member(obj, "port_step", pattern->step);
	else
		json_object_set_null_member(obj, "port_step");
	nat_json_set_int(obj, "port_lowest", block ? pattern->lowest : -1);
	nat_json_set_int(obj, "port_highest", block ? pattern->highest : -1);
	set_answer(obj, "port_parity_kept",
		   !pattern->parity_known ? NET_UNKNOWN
		   : pattern->parity	  ? NET_YES
					  : NET_NO);
}

static JsonObject *
lifetime_out(const NetLifetime *lifetime)
{
	JsonObject *obj = json_object_new();

	nat_json_set_int(obj, "held_s", lifetime->held_s);
	nat_json_set_int(obj, "lost_s", lifetime->lost_s);
	nat_json_set_int(obj, "undecided", lifetime->undecided);
	return obj;
}

static JsonObject *
family_out(const NetFamily *family)
{
	JsonObject *obj = json_object_new(), *each = json_object_new();

	json_object_set_boolean_member(obj, "has_address", family->has_address);
	set_endpoint(obj, "source", &family->source, FALSE);
	nat_json_set_int(obj, "servers", family->servers);
	nat_json_set_int(obj, "answered", family->answered);
	set_endpoint(obj, "public", &family->public_endpoint, TRUE);
	set_double(obj, "rtt_ms", family->rtt_ms);
	json_object_set_string_member(obj, "mapping", nat_mapping_to_string(family->mapping));
	json_object_set_string_member(obj, "filtering", nat_filtering_to_string(family->filter));
	set_pattern(obj, &family->by_source);
	set_pattern(each, &family->by_destination);
	json_object_set_object_member(obj, "per_destination", each);
	set_answer(obj, "hairpin", family->hairpin);
	set_mtu(obj, "path_mtu_bytes", family->path_mtu);
	set_mtu(obj, "link_mtu_bytes", family->link_mtu);
	set_mtu(obj, "route_mtu_bytes", family->route_mtu);
	if (family->lifetime.tested)
		json_object_set_object_member(obj, "lifetime", lifetime_out(&family->lifetime));
	else
		json_object_set_null_member(obj, "lifetime");
	return obj;
}

static JsonObject *
uplink_out(gconstpointer element)
{
	const NetUplink *uplink = element;
	JsonObject *obj = json_object_new();
	JsonArray *addresses = json_array_new();
	char text[WG_ENDPOINT_STRLEN];

	for (guint i = 0; i < uplink->addresses->len; i++)
		json_array_add_string_element(
			addresses, wg_endpoint_format_address(
					   &g_array_index(uplink->addresses, WgEndpoint, i), text));
	json_object_set_string_member(obj, "interface", uplink->name);
	json_object_set_string_member(obj, "family", uplink->family == AF_INET6 ? "ipv6" : "ipv4");
	set_gateway(obj, &uplink->gateway);
	nat_json_set_int(obj, "metric", uplink->metric);
	json_object_set_boolean_member(obj, "used", uplink->used);
	set_answer(obj, "tunnel", !uplink->used ? NET_UNKNOWN : uplink->tunnel ? NET_YES : NET_NO);
	json_object_set_array_member(obj, "addresses", addresses);
	return obj;
}

static void
set_code(JsonObject *obj, const char *member, NetAnswer answer, guint code)
{
	nat_json_set_int(obj, member, answer == NET_YES ? (gint64)code : -1);
}

static JsonObject *
router_out(gconstpointer element)
{
	const NetRouter *router = element;
	JsonObject *obj = json_object_new();

	json_object_set_string_member(obj, "interface", router->name);
	set_gateway(obj, &router->gateway);
	set_answer(obj, "nat_pmp", router->pmp);
	set_code(obj, "nat_pmp_result", router->pmp, router->pmp_code);
	set_endpoint(obj, "external", &router->external, FALSE);
	set_answer(obj, "pcp", router->pcp);
	set_code(obj, "pcp_result", router->pcp, router->pcp_code);
	set_answer(obj, "upnp", router->upnp);
	nat_json_set_string(obj, "upnp_host", router->upnp_host);
	return obj;
}

static JsonObject *
nat64_out(const NetNat64 *nat64)
{
	JsonObject *obj = json_object_new();
	char prefix[WG_ENDPOINT_STRLEN];
	g_autofree char *text = NULL;

	if (nat64->present == NET_YES)
		text = g_strdup_printf("%s/%u", wg_endpoint_format_address(&nat64->prefix, prefix),
				       nat64->prefix_len);
	set_answer(obj, "present", nat64->present);
	nat_json_set_string(obj, "prefix", text);
	set_answer(obj, "reaches", nat64->reaches);
	return obj;
}

static JsonObject *
server_out(gconstpointer element)
{
	const NetServer *server = element;
	JsonObject *obj = json_object_new();

	json_object_set_string_member(obj, "kind", server->kind);
	json_object_set_string_member(obj, "transport", server->transport);
	json_object_set_string_member(obj, "name", server->name);
	set_endpoint(obj, "address", &server->address, TRUE);
	json_object_set_boolean_member(obj, "ok", server->ok);
	set_double(obj, "ms", server->ms);
	nat_json_set_string(obj, "note", server->note);
	nat_json_set_string(obj, "problem", server->problem);
	return obj;
}

/* ---- the whole ---- */

typedef JsonObject *(*OutFunc)(gconstpointer element);

static void
set_list(JsonObject *obj, const char *member, const GPtrArray *list, OutFunc out)
{
	JsonArray *array = json_array_new();

	for (guint i = 0; i < list->len; i++)
		json_array_add_object_element(array, out(g_ptr_array_index(list, i)));
	json_object_set_array_member(obj, member, array);
}

JsonNode *
net_json(const Netcheck *check)
{
	JsonObject *obj = json_object_new();
	JsonArray *lines = json_array_new();
	g_autofree char *verdict = net_verdict(check);
	g_autoptr(GPtrArray) advice = net_advice(check);

	for (guint i = 0; i < advice->len; i++)
		json_array_add_string_element(lines, g_ptr_array_index(advice, i));
	json_object_set_string_member(obj, "version", NAT_VERSION);
	set_list(obj, "uplinks", check->uplinks, uplink_out);
	set_list(obj, "routers", check->routers, router_out);
	json_object_set_object_member(obj, "ipv4", family_out(&check->v4));
	json_object_set_object_member(obj, "ipv6", family_out(&check->v6));
	set_answer(json_object_get_object_member(obj, "ipv6"), "global",
		   netcheck_v6_is_global(check));
	json_object_set_object_member(obj, "nat64", nat64_out(&check->nat64));
	set_list(obj, "servers", check->servers, server_out);
	json_object_set_string_member(obj, "verdict", verdict);
	json_object_set_array_member(obj, "advice", lines);
	set_double(obj, "took_s", check->took_s);
	return nat_json_node_take(obj);
}
