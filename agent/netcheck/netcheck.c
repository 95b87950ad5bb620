/* SPDX-License-Identifier: MIT */
#include "agent/netcheck/netcheck.h"

#include <stdlib.h>

#include "agent/nat-json.h"
#include "agent/nat-log.h"
#include "agent/nat-text.h"

#define STEP_MAX 16 /* further apart, other hosts' mappings in between would not explain it */
#define LABEL 11

static void
server_free(gpointer data)
{
	NetServer *server = data;

	g_free(server->kind);
	g_free(server->name);
	g_free(server->problem);
	g_free(server);
}

Netcheck *
netcheck_new(void)
{
	Netcheck *check = g_new0(Netcheck, 1);

	check->servers = g_ptr_array_new_with_free_func(server_free);
	check->v4.rtt_ms = check->v6.rtt_ms = -1;
	return check;
}

void
netcheck_free(Netcheck *check)
{
	if (!check)
		return;
	g_ptr_array_unref(check->servers);
	g_free(check);
}

NetServer *
netcheck_add_server(Netcheck *check, const char *kind, const char *name)
{
	NetServer *server = g_new0(NetServer, 1);

	server->kind = g_strdup(kind);
	server->name = g_strdup(name);
	server->ms = -1;
	g_ptr_array_add(check->servers, server);
	return server;
}

/* ---- words ---- */

const char *
net_filter_to_string(NetFilter filter)
{
	switch (filter) {
	case NET_FILTER_UNKNOWN:
		break;
	case NET_FILTER_ENDPOINT_INDEPENDENT:
		return "endpoint-independent";
	case NET_FILTER_ADDRESS_DEPENDENT:
		return "address-dependent";
	case NET_FILTER_ADDRESS_AND_PORT_DEPENDENT:
		return "address-and-port-dependent";
	}
	return "unknown";
}

const char *
net_ports_to_string(NetPorts ports)
{
	switch (ports) {
	case NET_PORTS_UNKNOWN:
		break;
	case NET_PORTS_PRESERVED:
		return "preserved";
	case NET_PORTS_SEQUENTIAL:
		return "sequential";
	case NET_PORTS_RANDOM:
		return "random";
	}
	return "unknown";
}

static const char *
answer_to_string(NetAnswer answer)
{
	return answer == NET_YES ? "yes" : answer == NET_NO ? "no" : "unknown";
}

NetPorts
net_ports_classify(const guint16 *inside, const guint16 *outside, gsize n, int *step)
{
	guint preserved = 0, near = 0;
	int smallest = 0;

	*step = 0;
	for (gsize i = 0; i < n; i++)
		preserved += inside[i] == outside[i];
	for (gsize i = 1; i < n; i++) {
		int apart = (int)outside[i] - (int)outside[i - 1];

		if (apart == 0 || abs(apart) > STEP_MAX)
			continue;
		near++;
		if (smallest == 0 || abs(apart) < abs(smallest))
			smallest = apart;
	}
	if (n < 3)
		return NET_PORTS_UNKNOWN;
	if (preserved * 2 > n)
		return NET_PORTS_PRESERVED;
	if (near * 2 <= n - 1)
		return NET_PORTS_RANDOM;
	*step = smallest;
	return NET_PORTS_SEQUENTIAL;
}

gboolean
netcheck_udp_passes(const NetFamily *family)
{
	return !family->has_address || family->servers == 0 || family->answered > 0;
}

static gboolean
is_hard(NatMapping mapping)
{
	return mapping == NAT_MAPPING_ADDRESS_DEPENDENT ||
	       mapping == NAT_MAPPING_ADDRESS_AND_PORT_DEPENDENT;
}

static const char *
v6_remark(const Netcheck *check)
{
	if (check->v6.mapping == NAT_MAPPING_NONE && check->v6.answered > 0)
		return "; by IPv6 there is no NAT at all";
	return "";
}

static gboolean
any_tcp(const Netcheck *check)
{
	for (guint i = 0; i < check->servers->len; i++) {
		const NetServer *server = g_ptr_array_index(check->servers, i);

		if (g_strcmp0(server->kind, "stun") != 0 && server->ok)
			return TRUE;
	}
	return FALSE;
}

char *
netcheck_verdict(const Netcheck *check)
{
	const NetFamily *v4 = &check->v4;
	NatMapping mapping = v4->answered > 0 ? v4->mapping : check->v6.mapping;

	if (!v4->has_address && !check->v6.has_address)
		return g_strdup("no network: no address leads out of this host");
	if (v4->servers + check->v6.servers == 0)
		return g_strdup("nothing can be said without a server: give --stun HOST, or "
				"--signal URL");
	if (v4->answered + check->v6.answered == 0)
		return g_strdup(
			any_tcp(check)
				? "UDP is blocked: WireGuard can't get out; a TURN server by "
				  "TCP or TLS (turns:, port 443) is the only way until it is "
				  "allowed"
				: "no server answers, by UDP or TCP: is this host online, are "
				  "the servers right?");
	if (mapping == NAT_MAPPING_NONE)
		return g_strdup(
			"no NAT: direct paths to everyone, as long as no firewall drops UDP");
	if (is_hard(mapping))
		return g_strdup_printf(
			"hard NAT (a mapping per destination): direct paths to hosts "
			"without NAT and behind NATs that let anybody in, else by "
			"relay; forward WireGuard's UDP port on the router to go "
			"direct to everyone%s",
			v6_remark(check));
	if (mapping == NAT_MAPPING_ENDPOINT_INDEPENDENT)
		return g_strdup_printf(
			"easy NAT (one mapping for all destinations): direct paths to "
			"everyone but hosts behind hard NATs%s%s",
			v4->filter == NET_FILTER_ENDPOINT_INDEPENDENT
				? ", and to those too, as this NAT lets anybody in"
				: " that map per destination",
			v6_remark(check));
	return g_strdup("there is a NAT; of which kind needs a second server, or one that tests "
			"(RFC 5780: nat-signald with two addresses): give one more --stun HOST");
}

/* ---- text ---- */

static void
line(GString *out, guint width, const char *label, const char *text)
{
	g_autofree char *plain = nat_log_escape(text, -1);
	g_autofree char *padded = g_strdup_printf("%-*s", LABEL, label);
	guint column = nat_text_wrap(out, padded, 0, LABEL, width);

	while (column < LABEL) {
		g_string_append_c(out, ' ');
		column++;
	}
	nat_text_wrap(out, plain, column, LABEL, width);
	g_string_append_c(out, '\n');
}

static void
family_lines(GString *out, guint width, const char *label, const NetFamily *family)
{
	char source[WG_ENDPOINT_STRLEN], mapped[WG_ENDPOINT_STRLEN];
	g_autoptr(GString) text = g_string_new(NULL);

	if (!family->has_address) {
		line(out, width, label, "no address leads out");
		return;
	}
	g_string_append_printf(text, "from %s",
			       wg_endpoint_format_address(&family->source, source));
	if (family->servers == 0) {
		g_string_append(text, ", no server to ask");
	} else if (family->answered == 0) {
		g_string_append(text, ", UDP: no server answers");
	} else {
		g_string_append_printf(text, ", seen at %s, %.1f ms",
				       wg_endpoint_format(&family->public_endpoint, mapped),
				       family->rtt_ms);
		if (family->mapping == NAT_MAPPING_NONE)
			g_string_append(text, ", no NAT");
	}
	line(out, width, label, text->str);
	if (family->answered == 0 || family->mapping == NAT_MAPPING_NONE)
		return;
	g_string_printf(text, "mapping %s, filtering %s, ports %s",
			nat_mapping_to_string(family->mapping),
			net_filter_to_string(family->filter), net_ports_to_string(family->ports));
	if (family->ports == NET_PORTS_SEQUENTIAL)
		g_string_append_printf(text, " (step %d)", family->step);
	g_string_append_printf(text, ", hairpin %s", answer_to_string(family->hairpin));
	line(out, width, "", text->str);
}

static void
server_line(GString *out, guint width, const NetServer *server)
{
	char address[WG_ENDPOINT_STRLEN];
	g_autofree char *text = NULL;

	if (server->ok)
		text = g_strdup_printf("%s answers at %s after %.1f ms", server->name,
				       wg_endpoint_format(&server->address, address), server->ms);
	else
		text = g_strdup_printf("%s: %s", server->name, server->problem);
	line(out, width, server->kind, text);
}

char *
netcheck_to_text(const Netcheck *check, guint width)
{
	GString *out = g_string_new(NULL);
	g_autofree char *verdict = netcheck_verdict(check);

	family_lines(out, width, "IPv4", &check->v4);
	family_lines(out, width, "IPv6", &check->v6);
	for (guint i = 0; i < check->servers->len; i++)
		server_line(out, width, g_ptr_array_index(check->servers, i));
	line(out, width, "verdict", verdict);
	return g_string_free(out, FALSE);
}

/* ---- JSON ---- */

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
set_ms(JsonObject *obj, const char *member, double ms)
{
	if (ms < 0)
		json_object_set_null_member(obj, member);
	else
		json_object_set_double_member(obj, member, ms);
}

static void
set_answer(JsonObject *obj, const char *member, NetAnswer answer)
{
	if (answer == NET_UNKNOWN)
		json_object_set_null_member(obj, member);
	else
		json_object_set_boolean_member(obj, member, answer == NET_YES);
}

static JsonObject *
family_out(const NetFamily *family)
{
	JsonObject *obj = json_object_new();

	set_endpoint(obj, "source", &family->source, FALSE);
	nat_json_set_int(obj, "servers", family->servers);
	nat_json_set_int(obj, "answered", family->answered);
	set_endpoint(obj, "public", &family->public_endpoint, TRUE);
	set_ms(obj, "rtt_ms", family->rtt_ms);
	json_object_set_string_member(obj, "mapping", nat_mapping_to_string(family->mapping));
	json_object_set_string_member(obj, "filtering", net_filter_to_string(family->filter));
	json_object_set_string_member(obj, "ports", net_ports_to_string(family->ports));
	if (family->ports == NET_PORTS_SEQUENTIAL)
		json_object_set_int_member(obj, "port_step", family->step);
	else
		json_object_set_null_member(obj, "port_step");
	set_answer(obj, "hairpin", family->hairpin);
	return obj;
}

static JsonObject *
server_out(const NetServer *server)
{
	JsonObject *obj = json_object_new();

	json_object_set_string_member(obj, "kind", server->kind);
	json_object_set_string_member(obj, "name", server->name);
	set_endpoint(obj, "address", &server->address, TRUE);
	json_object_set_boolean_member(obj, "ok", server->ok);
	set_ms(obj, "ms", server->ms);
	nat_json_set_string(obj, "problem", server->problem);
	return obj;
}

JsonNode *
netcheck_to_json(const Netcheck *check)
{
	JsonObject *obj = json_object_new();
	JsonArray *servers = json_array_new();
	g_autofree char *verdict = netcheck_verdict(check);

	for (guint i = 0; i < check->servers->len; i++)
		json_array_add_object_element(servers,
					      server_out(g_ptr_array_index(check->servers, i)));
	json_object_set_string_member(obj, "version", NAT_VERSION);
	json_object_set_object_member(obj, "ipv4", family_out(&check->v4));
	json_object_set_object_member(obj, "ipv6", family_out(&check->v6));
	json_object_set_array_member(obj, "servers", servers);
	json_object_set_string_member(obj, "verdict", verdict);
	return nat_json_node_take(obj);
}
