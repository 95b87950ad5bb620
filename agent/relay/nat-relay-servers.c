/* SPDX-License-Identifier: MIT */
#include "agent/relay/nat-relay-private.h"

static void
server_free(gpointer data)
{
	NatRelayServer *server = data;

	nat_lookup_free(server->lookup);
	nat_turn_uri_free(server->uri);
	g_array_unref(server->addrs);
	g_free(server->problem);
	g_free(server->failure);
	g_free(server);
}

GPtrArray *
nat_relay_servers_new(void)
{
	return g_ptr_array_new_with_free_func(server_free);
}

/* Somebody else's word must not make us knock at doors of our own network. */
static void
take_addrs(NatRelayServer *server, const WgEndpoint *addrs, gsize n)
{
	NatRelay *relay = server->relay;

	g_array_set_size(server->addrs, 0);
	for (gsize i = 0; i < n; i++)
		if (!server->uri->offered || relay->funcs.allowed == NULL ||
		    relay->funcs.allowed(&addrs[i], relay->user_data))
			g_array_append_val(server->addrs, addrs[i]);
	if (server->addrs->len == 0 && n > 0) {
		g_autofree char *label = nat_turn_uri_format(server->uri);

		g_free(server->problem);
		server->problem = g_strdup_printf(
			"%s: refused: the signaling server offers an address inside a network of "
			"this host's own; name it by --turn to use it",
			label);
	}
}

static void
seat_resolved(NatRelaySeat *seat, gboolean same)
{
	if (seat->round)
		nat_relay_round_plan(seat->round);
	else if (!same)
		g_clear_handle_id(&seat->retry_timer, g_source_remove);
}

static void
on_resolved(const WgEndpoint *addrs, gsize n, gboolean stored, const GError *error,
	    gpointer user_data)
{
	NatRelayServer *server = user_data;
	NatRelay *relay = server->relay;
	gboolean same = n == 0 || wg_endpoint_array_equal(server->addrs, addrs, n);

	g_clear_pointer(&server->problem, g_free);
	if (n == 0) {
		g_autofree char *label = nat_turn_uri_format(server->uri);

		server->problem = g_strdup_printf("%s: %s", label, error->message);
	} else if (!same) {
		take_addrs(server, addrs, n);
	}
	seat_resolved(&relay->main, same);
	seat_resolved(&relay->spare, same);
	nat_relay_update(relay);
}

/* What is known serves meanwhile. */
static void
resolve(NatRelayServer *server)
{
	WgEndpoint numeric;

	if (wg_endpoint_parse_address(server->uri->host, server->uri->port, &numeric)) {
		take_addrs(server, &numeric, 1);
		return;
	}
	if (server->lookup && nat_lookup_is_running(server->lookup))
		return;
	nat_lookup_free(server->lookup);
	server->lookup = nat_resolve_lookup(server->relay->resolve, server->uri->host,
					    server->uri->port, on_resolved, server);
}

static NatRelayServer *
server_new(NatRelay *relay, const NatTurnUri *uri)
{
	NatRelayServer *server = g_new0(NatRelayServer, 1);

	server->relay = relay;
	server->uri = nat_turn_uri_copy(uri);
	server->addrs = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));
	resolve(server);
	return server;
}

typedef gboolean (*Same)(const NatTurnUri *a, const NatTurnUri *b);

static gboolean
same_place(const NatTurnUri *a, const NatTurnUri *b)
{
	return nat_turn_uri_same_server(a, b) && a->tcp_too == b->tcp_too &&
	       a->offered == b->offered;
}

static gboolean
same_uri(const NatTurnUri *a, const NatTurnUri *b)
{
	return same_place(a, b) && g_strcmp0(a->username, b->username) == 0 &&
	       g_strcmp0(a->password, b->password) == 0;
}

static gboolean
all_are(const NatRelay *relay, const GPtrArray *uris, Same same)
{
	const GPtrArray *servers = relay->servers;

	if (servers->len != uris->len)
		return FALSE;
	for (guint i = 0; i < uris->len; i++) {
		const NatRelayServer *server = g_ptr_array_index(servers, i);

		if (!same(server->uri, g_ptr_array_index(uris, i)))
			return FALSE;
	}
	return TRUE;
}

gboolean
nat_relay_servers_are(const NatRelay *relay, const GPtrArray *uris)
{
	return all_are(relay, uris, same_uri);
}

gboolean
nat_relay_servers_stay(const NatRelay *relay, const GPtrArray *uris)
{
	return all_are(relay, uris, same_place);
}

/* Of a server that stays, what was resolved stays, and how it failed until it is tried again. */
static void
keep_known(NatRelayServer *fresh, const GPtrArray *servers)
{
	for (guint i = 0; i < servers->len; i++) {
		const NatRelayServer *server = g_ptr_array_index(servers, i);

		if (!nat_turn_uri_same_server(server->uri, fresh->uri))
			continue;
		if (fresh->addrs->len == 0)
			g_array_append_vals(fresh->addrs, server->addrs->data, server->addrs->len);
		if (fresh->failure == NULL)
			fresh->failure = g_strdup(server->failure);
	}
}

gboolean
nat_relay_servers_list(const NatRelay *relay, const NatRelayLeg *leg)
{
	for (guint i = 0; i < relay->servers->len; i++) {
		const NatRelayServer *server = g_ptr_array_index(relay->servers, i);

		if (server->uri->port == leg->uri->port &&
		    g_ascii_strcasecmp(server->uri->host, leg->uri->host) == 0)
			return TRUE;
	}
	return FALSE;
}

static gboolean
is_another(const NatRelayServer *server, const NatRelayLeg *leg)
{
	for (guint i = 0; i < server->addrs->len; i++)
		if (nat_relay_leg_is_elsewhere(leg, server->uri,
					       &g_array_index(server->addrs, WgEndpoint, i)))
			return TRUE;
	return server->addrs->len == 0 && server->lookup;
}

gboolean
nat_relay_servers_have_another(const NatRelay *relay, const NatRelayLeg *leg)
{
	for (guint i = 0; i < relay->servers->len; i++)
		if (is_another(g_ptr_array_index(relay->servers, i), leg))
			return TRUE;
	return FALSE;
}

static gboolean
is_of(const NatRelayServer *server, const NatTurnUri *uri)
{
	return server->uri->port == uri->port &&
	       (server->uri->transport == uri->transport || server->uri->tcp_too) &&
	       g_ascii_strcasecmp(server->uri->host, uri->host) == 0;
}

void
nat_relay_servers_note(NatRelay *relay, const NatRelayLeg *leg, const char *reason)
{
	for (guint i = 0; i < relay->servers->len; i++) {
		NatRelayServer *server = g_ptr_array_index(relay->servers, i);

		if (!is_of(server, leg->uri))
			continue;
		g_free(server->failure);
		server->failure = reason ? g_strdup_printf("%s: %s", leg->label, reason) : NULL;
	}
}

const char *
nat_relay_problem_of(const NatRelay *relay, const NatTurnUri *uri)
{
	for (guint i = 0; i < relay->servers->len; i++) {
		const NatRelayServer *server = g_ptr_array_index(relay->servers, i);

		if (nat_turn_uri_same_server(server->uri, uri))
			return server->problem ? server->problem : server->failure;
	}
	return NULL;
}

void
nat_relay_servers_resolve(NatRelay *relay)
{
	for (guint i = 0; i < relay->servers->len; i++)
		resolve(g_ptr_array_index(relay->servers, i));
}

void
nat_relay_servers_replace(NatRelay *relay, const GPtrArray *uris)
{
	GPtrArray *fresh = nat_relay_servers_new();

	for (guint i = 0; i < uris->len; i++) {
		NatRelayServer *server = server_new(relay, g_ptr_array_index(uris, i));

		keep_known(server, relay->servers);
		g_ptr_array_add(fresh, server);
	}
	g_ptr_array_unref(relay->servers);
	relay->servers = fresh;
}

void
nat_relay_add_servers(const NatRelay *relay, GArray *endpoints)
{
	for (guint i = 0; i < relay->servers->len; i++) {
		const NatRelayServer *server = g_ptr_array_index(relay->servers, i);

		g_array_append_vals(endpoints, server->addrs->data, server->addrs->len);
	}
}
