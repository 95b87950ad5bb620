/* SPDX-License-Identifier: MIT */
#include "agent/netcheck/net-verdict.h"

#define WG_MTU 1420	  /* what wg-quick gives an interface */
#define WG_OVERHEAD_V4 60 /* IP, UDP and WireGuard around a packet */
#define WG_OVERHEAD_V6 80
#define WG_KEEPALIVE_S 25 /* what everybody writes into configurations */

/* ---- the sentence ---- */

static gboolean
relay_without_udp(const Netcheck *check)
{
	for (guint i = 0; i < check->servers->len; i++) {
		const NetServer *server = g_ptr_array_index(check->servers, i);

		if (g_strcmp0(server->kind, "turn") == 0 && server->ok &&
		    g_strcmp0(server->transport, "udp") != 0)
			return TRUE;
	}
	return FALSE;
}

static gboolean
any_tcp(const Netcheck *check)
{
	for (guint i = 0; i < check->servers->len; i++) {
		const NetServer *server = g_ptr_array_index(check->servers, i);

		if (server->ok && g_strcmp0(server->transport, "udp") != 0)
			return TRUE;
	}
	return FALSE;
}

static const char *
without_udp(const Netcheck *check)
{
	if (check->v4.servers + check->v6.servers == 0 && any_tcp(check))
		return "whether UDP passes, and what kind of NAT there is, takes a STUN server: "
		       "give --stun HOST";
	if (relay_without_udp(check))
		return "UDP is blocked: WireGuard gets out by the relay only, over TCP or TLS, "
		       "until UDP is allowed";
	if (any_tcp(check))
		return "UDP is blocked: WireGuard can't get out; a TURN server by TCP or TLS "
		       "(turns:, port 443) is the only way until it is allowed";
	return "no server answers, by UDP or TCP: is this host online, are the servers right?";
}

static gboolean
v6_is_open(const Netcheck *check)
{
	return check->v6.mapping == NAT_MAPPING_NONE && check->v6.answered > 0 &&
	       netcheck_v6_is_global(check) == NET_YES;
}

static const char *
v6_remark(const Netcheck *check)
{
	return v6_is_open(check) ? "; by IPv6 there is no NAT at all" : "";
}

/* A firewall is no obstacle between two hosts that both send. */
static const char *
without_nat(NatFiltering filter)
{
	switch (filter) {
	case NAT_FILTERING_ADDRESS_DEPENDENT:
	case NAT_FILTERING_ADDRESS_AND_PORT_DEPENDENT:
		return "no NAT, but a firewall that lets in only answers: direct paths to everyone "
		       "but hosts behind hard NATs that map per destination";
	case NAT_FILTERING_ENDPOINT_INDEPENDENT:
		return "no NAT, and unasked packets come in: direct paths to everyone";
	case NAT_FILTERING_UNKNOWN:
		break;
	}
	return "no NAT: direct paths to everyone, as long as no firewall drops UDP";
}

static char *
behind_nat(const Netcheck *check, const NetFamily *family)
{
	const char *v6 = family == &check->v4 ? v6_remark(check) : "";
	gboolean open = family->filter == NAT_FILTERING_ENDPOINT_INDEPENDENT;

	if (nat_mapping_is_hard(family->mapping))
		return g_strdup_printf("hard NAT (a mapping per destination): direct paths to "
				       "hosts without NAT and behind NATs that let anybody in%s, "
				       "else by relay%s",
				       open ? ", and to those behind easy NATs" : "", v6);
	if (family->mapping == NAT_MAPPING_ENDPOINT_INDEPENDENT)
		return g_strdup_printf("easy NAT (one mapping for all destinations): direct paths "
				       "to everyone but hosts behind hard NATs%s%s",
				       open ? ", and to those too, as this NAT lets anybody in"
					    : " that map per destination",
				       v6);
	return g_strdup_printf("there is a NAT; of which kind takes a second server, or one that "
			       "tests (RFC 5780: nat-signald with two addresses): give one more "
			       "--stun HOST%s",
			       v6);
}

char *
net_verdict(const Netcheck *check)
{
	const NetFamily *v4 = &check->v4, *v6 = &check->v6;
	const NetFamily *family = v4->answered > 0 ? v4 : v6;

	if (!v4->has_address && !v6->has_address)
		return g_strdup("no network: no address leads out of this host");
	if (check->servers->len == 0)
		return g_strdup("nothing can be said without a server: give --stun HOST, or "
				"--signal URL");
	if (!v4->udp_passes && !v6->udp_passes && v4->answered + v6->answered == 0)
		return g_strdup(without_udp(check));
	if (family->answered == 0)
		return g_strdup("UDP passes, but no server answers STUN: what kind of NAT there is "
				"takes one, give --stun HOST");
	if (family->mapping == NAT_MAPPING_NONE)
		return g_strdup(without_nat(family->filter));
	return behind_nat(check, family);
}

/* ---- advice ---- */

static void G_GNUC_PRINTF(2, 3) advise(GPtrArray *out, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	g_ptr_array_add(out, g_strdup_vprintf(format, args));
	va_end(args);
}

static const NetRouter *
used_router(const Netcheck *check)
{
	for (guint i = 0; i < check->uplinks->len; i++) {
		const NetUplink *uplink = g_ptr_array_index(check->uplinks, i);

		for (guint j = 0;
		     uplink->used && uplink->family == AF_INET && j < check->routers->len; j++) {
			const NetRouter *router = g_ptr_array_index(check->routers, j);

			if (wg_endpoint_equal(&router->gateway, &uplink->gateway))
				return router;
		}
	}
	return NULL;
}

static const char *
offered(const NetRouter *router)
{
	if (router->pcp == NET_YES && router->pcp_code == 0)
		return "PCP";
	if (router->pmp == NET_YES && router->pmp_code == 0)
		return "NAT-PMP";
	return router->upnp == NET_YES ? "UPnP" : NULL;
}

/* A mapping on our router is of no use where another NAT stands above it. */
static void
advise_forwarding(GPtrArray *out, const Netcheck *check)
{
	const NetRouter *router = used_router(check);
	char gateway[WG_ENDPOINT_STRLEN], own[WG_ENDPOINT_STRLEN], seen[WG_ENDPOINT_STRLEN];

	if (router && wg_endpoint_is_set(&router->external) &&
	    !wg_endpoint_same_address(&router->external, &check->v4.public_endpoint)) {
		advise(out,
		       "the router %s is behind another NAT itself (it has %s, servers see %s): "
		       "forwarding a port on it is not enough; ask the provider for a public "
		       "address, or use IPv6",
		       net_gateway_format(&router->gateway, gateway),
		       wg_endpoint_format_address(&router->external, own),
		       wg_endpoint_format_address(&check->v4.public_endpoint, seen));
		return;
	}
	if (router && offered(router))
		advise(out,
		       "the router %s forwards ports to who asks by %s: have it forward "
		       "WireGuard's UDP port, to go direct to everyone",
		       net_gateway_format(&router->gateway, gateway), offered(router));
	else
		advise(out, "forward WireGuard's UDP port on the router, to go direct to everyone");
}

static void
advise_family(GPtrArray *out, const char *label, const NetFamily *family, const NetFamily *other,
	      guint overhead)
{
	const NetLifetime *lifetime = &family->lifetime;

	/* where neither family has answers, the verdict has said so */
	if (family->has_address && !netcheck_udp_passes(family) && other->answered > 0)
		advise(out, "%s has an address that leads out, but no server answers by UDP there",
		       label);
	if (lifetime->lost_s >= 0 && lifetime->lost_s <= WG_KEEPALIVE_S)
		advise(out,
		       "a mapping is gone after %d s of silence: PersistentKeepalive has to be "
		       "less than that where nat-agent does not see to it",
		       lifetime->lost_s);
	if (family->path_mtu > 0 && family->path_mtu < WG_MTU + overhead)
		advise(out,
		       "by %s packets of more than %u bytes do not pass: WireGuard's MTU has to "
		       "be %u at most",
		       label, family->path_mtu, family->path_mtu - overhead);
}

/* nat-agent's own sockets carry WireGuard's fwmark, which takes privileges. */
static void
advise_tunnel(GPtrArray *out, const Netcheck *check)
{
	for (guint i = 0; i < check->uplinks->len; i++) {
		const NetUplink *uplink = g_ptr_array_index(check->uplinks, i);

		if (uplink->used && uplink->tunnel) {
			advise(out,
			       "all this is what %s, a tunnel, lets through: take it down to see "
			       "the network below, which is the one that WireGuard uses",
			       uplink->name);
			return;
		}
	}
}

static void
advise_signaling(GPtrArray *out, const Netcheck *check)
{
	for (guint i = 0; i < check->servers->len; i++) {
		const NetServer *server = g_ptr_array_index(check->servers, i);

		if (g_strcmp0(server->kind, "signaling") == 0 && !server->ok)
			advise(out, "the signaling server is not reached, so that agents can't "
				    "find each other: its line says why");
	}
}

GPtrArray *
net_advice(const Netcheck *check)
{
	GPtrArray *out = g_ptr_array_new_with_free_func(g_free);

	advise_tunnel(out, check);
	advise_signaling(out, check);
	if (check->v4.answered > 0 && nat_mapping_is_hard(check->v4.mapping))
		advise_forwarding(out, check);
	advise_family(out, "IPv4", &check->v4, &check->v6, WG_OVERHEAD_V4);
	advise_family(out, "IPv6", &check->v6, &check->v4, WG_OVERHEAD_V6);
	return out;
}
