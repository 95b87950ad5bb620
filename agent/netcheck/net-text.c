/* SPDX-License-Identifier: MIT */
#include "agent/netcheck/net-text.h"

#include <string.h>

#include "agent/base/nat-log.h"
#include "agent/base/nat-text.h"
#include "agent/netcheck/net-portmap.h"
#include "agent/netcheck/net-verdict.h"

#define LABEL 15
#define NAME_COLUMNS 36 /* of a server; longer ones have no column */
#define GAP 2
#define TEXT_MIN 20

/* The text in its column, also where it takes several lines. */
static void
put(GString *out, guint width, const char *text, guint column)
{
	g_autofree char *plain = nat_log_escape(text, -1);

	nat_text_wrap(out, plain, column, column, width);
	g_string_append_c(out, '\n');
}

static void
line(GString *out, guint width, const char *label, const char *text)
{
	nat_text_cell(out, label, LABEL);
	put(out, width, text, LABEL);
}

/* ---- how this host leads out ---- */

static void
uplink_line(GString *out, guint width, const NetUplink *uplink)
{
	g_autoptr(GString) text = g_string_new(uplink->name);
	char address[WG_ENDPOINT_STRLEN];

	g_string_append(text, uplink->family == AF_INET6 ? ", IPv6:" : ", IPv4:");
	for (guint i = 0; i < uplink->addresses->len; i++)
		g_string_append_printf(
			text, " %s",
			wg_endpoint_format_address(&g_array_index(uplink->addresses, WgEndpoint, i),
						   address));
	if (uplink->addresses->len == 0)
		g_string_append(text, " no address");
	if (wg_endpoint_is_set(&uplink->gateway))
		g_string_append_printf(text, ", gateway %s",
				       net_gateway_format(&uplink->gateway, address));
	g_string_append(text, uplink->used ? ", in use" : ", not in use");
	if (uplink->tunnel)
		g_string_append(text, ", a tunnel");
	line(out, width, "uplink", text->str);
}

/* ---- a family ---- */

static char *
pattern_words(const NatAllocation *pattern)
{
	const char *parity = pattern->parity ? ", odd and even kept" : "";

	switch (pattern->ports) {
	case NAT_PORTS_SEQUENTIAL:
		return g_strdup_printf("sequential (step %d)%s", pattern->step, parity);
	case NAT_PORTS_BLOCK:
		return g_strdup_printf("random within a block (seen: %u to %u)%s", pattern->lowest,
				       pattern->highest, parity);
	case NAT_PORTS_RANDOM:
		return g_strdup_printf("random%s", parity);
	case NAT_PORTS_UNKNOWN:
	case NAT_PORTS_PRESERVED:
		break;
	}
	return g_strdup(nat_ports_to_string(pattern->ports));
}

static void
lifetime_line(GString *out, guint width, const NetLifetime *lifetime)
{
	g_autofree char *text = NULL;

	if (!lifetime->tested)
		return;
	if (lifetime->held_s >= 0 && lifetime->lost_s >= 0)
		text = g_strdup_printf("between %d and %d s of silence", lifetime->held_s,
				       lifetime->lost_s);
	else if (lifetime->held_s >= 0)
		text = g_strdup_printf("%d s of silence at least", lifetime->held_s);
	else if (lifetime->lost_s >= 0)
		text = g_strdup_printf("less than %d s of silence", lifetime->lost_s);
	else
		text = g_strdup("can't be told: ports are preserved, and no server knows "
				"RESPONSE-PORT (RFC 5780; nat-signald does)");
	line(out, width, "  lifetime", text);
}

static void
mtu_line(GString *out, guint width, const NetFamily *family)
{
	g_autoptr(GString) text = g_string_new(NULL);

	if (family->path_mtu > 0)
		g_string_append_printf(text, "%u bytes arrive whole", family->path_mtu);
	else
		g_string_append(text, "unknown: the server takes no padded requests");
	if (family->link_mtu > 0)
		g_string_append_printf(text, ", the interface has %u", family->link_mtu);
	if (family->route_mtu > 0 && family->route_mtu != family->link_mtu)
		g_string_append_printf(text, ", the kernel knows of %u", family->route_mtu);
	line(out, width, "  path MTU", text->str);
}

static void
behaviour_lines(GString *out, guint width, const NetFamily *family)
{
	g_autofree char *ports = pattern_words(&family->by_source);
	g_autofree char *each = pattern_words(&family->by_destination);

	line(out, width, "  mapping",
	     family->mapping == NAT_MAPPING_NONE ? "none: there is no NAT"
						 : nat_mapping_to_string(family->mapping));
	line(out, width, "  filtering", nat_filtering_to_string(family->filter));
	if (family->mapping != NAT_MAPPING_NONE) {
		line(out, width, "  ports", ports);
		if (family->by_destination.ports != NAT_PORTS_UNKNOWN)
			line(out, width, "  per target", each);
		line(out, width, "  hairpin", net_answer_to_string(family->hairpin));
	}
	lifetime_line(out, width, &family->lifetime);
	mtu_line(out, width, family);
}

static void
family_lines(GString *out, guint width, const char *label, const NetFamily *family,
	     const char *kind)
{
	char source[WG_ENDPOINT_STRLEN], mapped[WG_ENDPOINT_STRLEN];
	g_autoptr(GString) text = g_string_new(NULL);

	if (!family->has_address) {
		line(out, width, label, "no address leads out");
		return;
	}
	g_string_append_printf(text, "from %s%s",
			       wg_endpoint_format_address(&family->source, source), kind);
	if (family->answered > 0)
		g_string_append_printf(text, ", seen at %s, %.1f ms",
				       wg_endpoint_format(&family->public_endpoint, mapped),
				       family->rtt_ms);
	else if (family->servers == 0)
		g_string_append(text, ", no STUN server to ask");
	else
		g_string_append(text, ", no STUN server answers");
	line(out, width, label, text->str);
	if (family->answered > 0)
		behaviour_lines(out, width, family);
}

static void
nat64_line(GString *out, guint width, const NetNat64 *nat64)
{
	char prefix[WG_ENDPOINT_STRLEN];
	g_autofree char *text = NULL;

	if (nat64->present == NET_UNKNOWN)
		return;
	if (nat64->present == NET_NO)
		text = g_strdup("none");
	else
		text = g_strdup_printf("%s/%u%s",
				       wg_endpoint_format_address(&nat64->prefix, prefix),
				       nat64->prefix_len,
				       nat64->reaches == NET_YES  ? ", a STUN server answers by it"
				       : nat64->reaches == NET_NO ? ", no STUN server answers by it"
								  : "");
	line(out, width, "NAT64", text);
}

/* ---- routers ---- */

static void
offer_words(GString *text, const char *name, NetAnswer answer, NetPortmapKind kind, guint code)
{
	const char *word = answer == NET_YES ? "yes" : answer == NET_NO ? "no" : "not asked";

	g_string_append_printf(text, "%s%s %s", strchr(text->str, ' ') ? ", " : ": ", name, word);
	if (answer == NET_YES && code != 0)
		g_string_append_printf(text, " (%s)", net_portmap_code_to_string(kind, code));
}

static void
router_line(GString *out, guint width, const NetRouter *router)
{
	char address[WG_ENDPOINT_STRLEN];
	g_autoptr(GString) text = g_string_new(net_gateway_format(&router->gateway, address));

	if (wg_endpoint_family(&router->gateway) == AF_INET)
		offer_words(text, "NAT-PMP", router->pmp, NET_PORTMAP_PMP, router->pmp_code);
	offer_words(text, "PCP", router->pcp, NET_PORTMAP_PCP, router->pcp_code);
	if (wg_endpoint_family(&router->gateway) == AF_INET)
		offer_words(text, "UPnP", router->upnp, NET_PORTMAP_UPNP, 0);
	if (router->upnp_host)
		g_string_append_printf(text, " (%s)", router->upnp_host);
	if (wg_endpoint_is_set(&router->external))
		g_string_append_printf(text, ", has %s outside",
				       wg_endpoint_format_address(&router->external, address));
	line(out, width, "router", text->str);
}

/* ---- servers ---- */

static guint
name_width(const Netcheck *check)
{
	guint most = 0;

	for (guint i = 0; i < check->servers->len; i++) {
		const NetServer *server = g_ptr_array_index(check->servers, i);
		g_autofree char *plain = nat_log_escape(server->name, -1);

		most = MAX(most, nat_text_width(plain));
	}
	return MIN(most, NAME_COLUMNS);
}

static void
server_line(GString *out, guint width, const NetServer *server, guint name)
{
	g_autofree char *label = g_strdup_printf("%s %s", server->kind, server->transport);
	g_autofree char *plain = nat_log_escape(server->name, -1);
	g_autoptr(GString) text = g_string_new(NULL);

	if (server->ok)
		g_string_append_printf(text, "%.1f ms%s%s", server->ms, server->note ? ", " : "",
				       server->note ? server->note : "");
	else
		g_string_append(text, server->problem);
	nat_text_cell(out, label, LABEL);
	if (nat_text_width(plain) <= name && LABEL + name + GAP + TEXT_MIN <= width) {
		nat_text_cell(out, plain, name + GAP);
		put(out, width, text->str, LABEL + name + GAP);
		return;
	}
	g_string_prepend(text, ": ");
	g_string_prepend(text, plain);
	put(out, width, text->str, LABEL);
}

char *
net_text(const Netcheck *check, guint width)
{
	GString *out = g_string_new(NULL);
	g_autofree char *verdict = net_verdict(check);
	g_autoptr(GPtrArray) advice = net_advice(check);
	NetAnswer global = netcheck_v6_is_global(check);

	for (guint i = 0; i < check->uplinks->len; i++)
		uplink_line(out, width, g_ptr_array_index(check->uplinks, i));
	for (guint i = 0; i < check->routers->len; i++)
		router_line(out, width, g_ptr_array_index(check->routers, i));
	family_lines(out, width, "IPv4", &check->v4, "");
	family_lines(out, width, "IPv6", &check->v6, global == NET_NO ? " (not global)" : "");
	nat64_line(out, width, &check->nat64);
	for (guint i = 0; i < check->servers->len; i++)
		server_line(out, width, g_ptr_array_index(check->servers, i), name_width(check));
	line(out, width, "verdict", verdict);
	for (guint i = 0; i < advice->len; i++)
		line(out, width, "advice", g_ptr_array_index(advice, i));
	return g_string_free(out, FALSE);
}
