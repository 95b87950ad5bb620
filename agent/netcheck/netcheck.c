/* SPDX-License-Identifier: MIT */
#include "agent/netcheck/netcheck.h"

static void
server_free(gpointer data)
{
	NetServer *server = data;

	g_free(server->kind);
	g_free(server->name);
	g_free(server->note);
	g_free(server->problem);
	g_free(server);
}

static void
uplink_free(gpointer data)
{
	NetUplink *uplink = data;

	g_free(uplink->name);
	g_array_unref(uplink->addresses);
	g_free(uplink);
}

static void
router_free(gpointer data)
{
	NetRouter *router = data;

	g_free(router->name);
	g_free(router->upnp_host);
	g_free(router);
}

static void
family_init(NetFamily *family)
{
	family->rtt_ms = -1;
	family->lifetime.held_s = family->lifetime.lost_s = -1;
}

Netcheck *
netcheck_new(void)
{
	Netcheck *check = g_new0(Netcheck, 1);

	check->servers = g_ptr_array_new_with_free_func(server_free);
	check->uplinks = g_ptr_array_new_with_free_func(uplink_free);
	check->routers = g_ptr_array_new_with_free_func(router_free);
	family_init(&check->v4);
	family_init(&check->v6);
	check->took_s = -1;
	return check;
}

void
netcheck_free(Netcheck *check)
{
	if (!check)
		return;
	g_ptr_array_unref(check->servers);
	g_ptr_array_unref(check->uplinks);
	g_ptr_array_unref(check->routers);
	g_free(check);
}

NetServer *
netcheck_add_server(Netcheck *check, const char *kind, const char *transport, const char *name)
{
	NetServer *server = g_new0(NetServer, 1);

	server->kind = g_strdup(kind);
	server->transport = transport;
	server->name = g_strdup(name);
	server->ms = -1;
	g_ptr_array_add(check->servers, server);
	return server;
}

NetUplink *
netcheck_add_uplink(Netcheck *check, const char *name, int family)
{
	NetUplink *uplink = g_new0(NetUplink, 1);

	uplink->name = g_strdup(name);
	uplink->family = family;
	uplink->addresses = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));
	g_ptr_array_add(check->uplinks, uplink);
	return uplink;
}

NetRouter *
netcheck_add_router(Netcheck *check, const char *name, const WgEndpoint *gateway)
{
	NetRouter *router = g_new0(NetRouter, 1);

	router->name = g_strdup(name);
	router->gateway = *gateway;
	g_ptr_array_add(check->routers, router);
	return router;
}

gboolean
netcheck_udp_passes(const NetFamily *family)
{
	return !family->has_address || family->servers == 0 || family->answered > 0 ||
	       family->udp_passes;
}

/* 2000::/3 is all that was ever given out. */
static gboolean
is_global(const WgEndpoint *ep)
{
	return wg_endpoint_family(ep) == AF_INET6 && (ep->v6.sin6_addr.s6_addr[0] & 0xe0) == 0x20;
}

NetAnswer
netcheck_v6_is_global(const Netcheck *check)
{
	gboolean any = FALSE;

	if (wg_endpoint_is_set(&check->v6.source))
		return is_global(&check->v6.source) ? NET_YES : NET_NO;
	for (guint i = 0; i < check->uplinks->len; i++) {
		const NetUplink *uplink = g_ptr_array_index(check->uplinks, i);

		for (guint j = 0; uplink->family == AF_INET6 && j < uplink->addresses->len; j++) {
			any = TRUE;
			if (is_global(&g_array_index(uplink->addresses, WgEndpoint, j)))
				return NET_YES;
		}
	}
	return any ? NET_NO : NET_UNKNOWN;
}

void
netcheck_note_silence(NetLifetime *lifetime, guint silence_s, gboolean decided, gboolean held)
{
	int s = (int)silence_s;

	lifetime->tested = TRUE;
	if (!decided)
		lifetime->undecided++;
	else if (held)
		lifetime->held_s = MAX(lifetime->held_s, s);
	else if (lifetime->lost_s < 0 || s < lifetime->lost_s)
		lifetime->lost_s = s;
}

/* ---- words ---- */

const char *
net_gateway_format(const WgEndpoint *gateway, char buf[WG_ENDPOINT_STRLEN])
{
	WgEndpoint plain = *gateway;

	if (wg_endpoint_family(gateway) == AF_INET6)
		plain.v6.sin6_scope_id = 0;
	return wg_endpoint_format_address(&plain, buf);
}

const char *
net_answer_to_string(NetAnswer answer)
{
	switch (answer) {
	case NET_UNKNOWN:
		break;
	case NET_NO:
		return "no";
	case NET_YES:
		return "yes";
	}
	return "unknown";
}
