/* SPDX-License-Identifier: MIT */
#include "agent/status/nat-status.h"

#include <gio/gio.h>
#include <string.h>

#include "agent/base/nat-log.h"

static void
peer_free(gpointer data)
{
	NatStatusPeer *peer = data;

	g_free(peer->name);
	g_free(peer->why);
	nat_status_detail_free(peer->detail);
	g_free(peer->reason);
	g_free(peer->no_relay);
	g_free(peer);
}

static void
relay_free(gpointer data)
{
	NatStatusRelay *relay = data;

	g_free(relay->server);
	g_free(relay->state);
	g_free(relay->problem);
	g_free(relay);
}

static void
interface_free(gpointer data)
{
	NatStatusInterface *iface = data;

	g_free(iface->name);
	g_free(iface->problem);
	g_free(iface->backend);
	g_free(iface->signal_url);
	g_free(iface->signal_state);
	g_free(iface->signal_reason);
	g_free(iface->innernet_mode);
	g_free(iface->innernet_server);
	g_free(iface->innernet_state);
	g_free(iface->innernet_reason);
	g_free(iface->port_mapping.state);
	g_free(iface->port_mapping.protocol);
	g_free(iface->port_mapping.problem);
	g_array_unref(iface->public_endpoints);
	g_array_unref(iface->candidates);
	g_ptr_array_unref(iface->peers);
	g_ptr_array_unref(iface->relays);
	g_clear_pointer(&iface->counters, g_hash_table_unref);
	g_free(iface);
}

NatStatus *
nat_status_new(void)
{
	NatStatus *status = g_new0(NatStatus, 1);

	status->version = g_strdup(NAT_VERSION);
	status->interfaces = g_ptr_array_new_with_free_func(interface_free);
	return status;
}

void
nat_status_free(NatStatus *status)
{
	if (!status)
		return;
	g_free(status->version);
	g_free(status->isolation);
	g_ptr_array_unref(status->interfaces);
	g_free(status);
}

NatStatusInterface *
nat_status_add_interface(NatStatus *status, const char *name)
{
	NatStatusInterface *iface = g_new0(NatStatusInterface, 1);

	iface->name = g_strdup(name);
	iface->public_endpoints = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));
	iface->candidates = g_array_new(FALSE, FALSE, sizeof(NatCandidate));
	iface->peers = g_ptr_array_new_with_free_func(peer_free);
	iface->relays = g_ptr_array_new_with_free_func(relay_free);
	nat_stats_init(&iface->stats);
	g_ptr_array_add(status->interfaces, iface);
	return iface;
}

NatStatusPeer *
nat_status_add_peer(NatStatusInterface *iface, const WgKey *key)
{
	NatStatusPeer *peer = g_new0(NatStatusPeer, 1);

	peer->public_key = *key;
	peer->rtt_ms = -1;
	peer->loss = -1;
	peer->since_s = -1;
	peer->connect_ms = -1;
	peer->last_handshake_s = -1;
	peer->why = g_strdup("");
	g_ptr_array_add(iface->peers, peer);
	return peer;
}

NatStatusRelay *
nat_status_add_relay(NatStatusInterface *iface, const char *server)
{
	NatStatusRelay *relay = g_new0(NatStatusRelay, 1);

	relay->server = g_strdup(server);
	g_ptr_array_add(iface->relays, relay);
	return relay;
}

void
nat_status_set_counter(NatStatusInterface *iface, const char *name, guint64 value)
{
	guint64 *counter = g_new(guint64, 1);

	*counter = value;
	if (!iface->counters)
		iface->counters = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	g_hash_table_insert(iface->counters, g_strdup(name), counter);
}

int
nat_status_exit_code(const NatStatus *status)
{
	for (guint i = 0; i < status->interfaces->len; i++) {
		const NatStatusInterface *iface = g_ptr_array_index(status->interfaces, i);

		if (iface->problem)
			return 1;
		for (guint j = 0; j < iface->peers->len; j++) {
			const NatStatusPeer *peer = g_ptr_array_index(iface->peers, j);

			if (peer->state != NAT_PEER_CONNECTED)
				return 1;
		}
	}
	return 0;
}

gboolean
nat_status_peer_matches(const NatStatusPeer *peer, const char *text)
{
	char key[WG_KEY_STRLEN];

	if (!text || g_strcmp0(peer->name, text) == 0)
		return TRUE;
	return *text && g_str_has_prefix(wg_key_format(&peer->public_key, key), text);
}

static gboolean
is_name_of(const NatStatusPeer *peer, const char *text)
{
	return g_strcmp0(peer->name, text) == 0;
}

static void
keep_interface(NatStatus *status, const char *name)
{
	for (guint i = status->interfaces->len; i-- > 0;) {
		const NatStatusInterface *iface = g_ptr_array_index(status->interfaces, i);

		if (strcmp(iface->name, name) != 0)
			g_ptr_array_remove_index(status->interfaces, i);
	}
}

/* A name that fits exactly wins over keys that begin alike. */
static void
keep_peer(NatStatus *status, const char *text, gboolean by_name)
{
	for (guint i = status->interfaces->len; i-- > 0;) {
		NatStatusInterface *iface = g_ptr_array_index(status->interfaces, i);

		for (guint j = iface->peers->len; j-- > 0;) {
			const NatStatusPeer *peer = g_ptr_array_index(iface->peers, j);

			if (by_name ? !is_name_of(peer, text)
				    : !nat_status_peer_matches(peer, text))
				g_ptr_array_remove_index(iface->peers, j);
		}
		if (iface->peers->len == 0)
			g_ptr_array_remove_index(status->interfaces, i);
	}
}

static gboolean
any_peer_named(const NatStatus *status, const char *text)
{
	for (guint i = 0; i < status->interfaces->len; i++) {
		const NatStatusInterface *iface = g_ptr_array_index(status->interfaces, i);

		for (guint j = 0; j < iface->peers->len; j++)
			if (is_name_of(g_ptr_array_index(iface->peers, j), text))
				return TRUE;
	}
	return FALSE;
}

/* One peer may be on several interfaces: that is still one. */
static gboolean
is_one_key(const NatStatus *status)
{
	const NatStatusInterface *first = g_ptr_array_index(status->interfaces, 0);
	const NatStatusPeer *one = g_ptr_array_index(first->peers, 0);

	for (guint i = 0; i < status->interfaces->len; i++) {
		const NatStatusInterface *iface = g_ptr_array_index(status->interfaces, i);

		for (guint j = 0; j < iface->peers->len; j++) {
			const NatStatusPeer *peer = g_ptr_array_index(iface->peers, j);

			if (!wg_key_equal(&peer->public_key, &one->public_key))
				return FALSE;
		}
	}
	return TRUE;
}

static char *
interface_names(const NatStatus *status)
{
	g_autoptr(GString) names = g_string_new(NULL);

	for (guint i = 0; i < status->interfaces->len; i++) {
		const NatStatusInterface *iface = g_ptr_array_index(status->interfaces, i);

		g_string_append_printf(names, "%s%s", i > 0 ? ", " : "", iface->name);
	}
	return nat_log_escape(names->len > 0 ? names->str : "none", -1);
}

static gboolean
not_found(GError **error, const char *format, const char *asked, const char *extra)
{
	g_autofree char *plain = nat_log_escape(asked, -1);
	g_autoptr(GString) text = g_string_new(format);

	g_string_replace(text, "@", plain, 1);
	g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "%s%s", text->str, extra);
	return FALSE;
}

gboolean
nat_status_filter(NatStatus *status, const char *interface, const char *peer, GError **error)
{
	g_autofree char *names = interface_names(status);

	if (interface) {
		keep_interface(status, interface);
		if (status->interfaces->len == 0)
			return not_found(error, "this agent has no interface \"@\": it serves ",
					 interface, names);
	}
	if (!peer)
		return TRUE;
	keep_peer(status, peer, any_peer_named(status, peer));
	if (status->interfaces->len == 0)
		return not_found(error, "no peer \"@\": ", peer,
				 "give a name, a public key or how the key begins");
	if (!is_one_key(status))
		return not_found(error, "\"@\" begins several peers' keys: ", peer,
				 "give more of it");
	return TRUE;
}
