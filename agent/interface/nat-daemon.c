/* SPDX-License-Identifier: MIT */
#include "agent/interface/nat-daemon.h"

#include <gio/gio.h>
#include <string.h>

#include "agent/base/nat-log.h"
#include "agent/ice/nat-ice-ns.h"
#include "agent/ice/nat-tun.h"
#include "agent/interface/nat-interface.h"
#include "agent/net/nat-fib.h"
#include "agent/net/nat-netmon.h"

#define NETWORK_DEBOUNCE_MS 200
#define NETWORK_DEBOUNCE_MAX_MS 1000
#define NETWORK_SHARE 10 /* a network that never rests takes this part of our time, at the most */

struct NatDaemon {
	PunchTurn *punch_turn;
	NatInterfaceEnv env;
	NatEvents *events;
	NatIceNs *ns;
	NatTun *tun;
	NatFib *fib;
	NatNetmon *netmon;
	GPtrArray *interfaces; /* of NatInterface */
};

static gboolean
use_addresses(const WgEndpoint *addrs, gsize n, gpointer user_data)
{
	NatDaemon *daemon = user_data;
	g_autoptr(GArray) running = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));
	g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));
	g_autoptr(GError) error = NULL;

	for (guint i = 0; i < daemon->interfaces->len; i++)
		nat_interface_collect_addresses(g_ptr_array_index(daemon->interfaces, i), running);
	for (guint i = 0; i < running->len; i++)
		wg_endpoint_array_add(all, &g_array_index(running, WgEndpoint, i),
				      wg_endpoint_same_address);
	for (gsize i = 0; i < n; i++)
		wg_endpoint_array_add(all, &addrs[i], wg_endpoint_same_address);
	if (nat_ice_ns_set_addresses(daemon->ns, (const WgEndpoint *)(gpointer)all->data, all->len,
				     &error))
		return TRUE;
	g_warning("%s", error->message);
	return FALSE;
}

static void
on_network_changed(const NatNetChange *change, gpointer user_data)
{
	NatDaemon *daemon = user_data;
	gint64 began = g_get_monotonic_time();
	guint ms;

	for (guint i = 0; i < daemon->interfaces->len; i++)
		nat_interface_network_changed(g_ptr_array_index(daemon->interfaces, i), change);
	ms = (guint)((g_get_monotonic_time() - began) * NETWORK_SHARE / 1000);
	nat_netmon_set_debounce(daemon->netmon,
				CLAMP(ms, NETWORK_DEBOUNCE_MS, NETWORK_DEBOUNCE_MAX_MS));
}

static gboolean
open_shared(NatDaemon *daemon, GError **error)
{
	daemon->fib = nat_fib_new(error);
	if (daemon->fib == NULL)
		return FALSE;
	daemon->ns = nat_ice_ns_new(error);
	if (daemon->ns == NULL)
		return FALSE;
	daemon->tun = nat_tun_new(daemon->ns);
	daemon->netmon = nat_netmon_new(NETWORK_DEBOUNCE_MS, on_network_changed, daemon, error);
	return daemon->netmon != NULL;
}

NatDaemon *
nat_daemon_new(const NatConfig *config, void (*opened)(void), GError **error)
{
	g_autoptr(NatDaemon) daemon = g_new0(NatDaemon, 1);

	daemon->events = nat_events_new();
	daemon->punch_turn = punch_turn_new();
	daemon->interfaces = g_ptr_array_new_with_free_func((GDestroyNotify)nat_interface_free);
	if (!open_shared(daemon, error))
		return NULL;
	if (opened)
		opened();
	daemon->env = (NatInterfaceEnv){
		.ns = daemon->ns,
		.tun = daemon->tun,
		.fib = daemon->fib,
		.config = config,
		.events = daemon->events,
		.punch_turn = daemon->punch_turn,
		.use_addresses = use_addresses,
		.user_data = daemon,
	};
	for (guint i = 0; i < config->interfaces->len; i++) {
		NatInterface *iface = nat_interface_new(
			&daemon->env, g_ptr_array_index(config->interfaces, i), error);

		if (iface == NULL)
			return NULL;
		g_ptr_array_add(daemon->interfaces, iface);
	}
	return g_steal_pointer(&daemon);
}

void
nat_daemon_free(NatDaemon *daemon)
{
	if (daemon == NULL)
		return;
	g_clear_pointer(&daemon->netmon, nat_netmon_free);
	g_ptr_array_unref(daemon->interfaces);
	g_clear_pointer(&daemon->tun, nat_tun_free);
	g_clear_pointer(&daemon->ns, nat_ice_ns_free);
	g_clear_pointer(&daemon->fib, nat_fib_free);
	punch_turn_free(daemon->punch_turn);
	nat_events_free(daemon->events);
	g_free(daemon);
}

GMainContext *
nat_daemon_ice_context(NatDaemon *daemon)
{
	return nat_ice_ns_context(daemon->ns);
}

NatStatus *
nat_daemon_status(NatDaemon *daemon, gboolean detail, const char *peer)
{
	NatStatus *status = nat_status_new();

	status->isolation = g_strdup(nat_ice_ns_isolation(daemon->ns));
	for (guint i = 0; i < daemon->interfaces->len; i++)
		nat_interface_status(g_ptr_array_index(daemon->interfaces, i), status, detail,
				     peer);
	return status;
}

NatEvents *
nat_daemon_events(NatDaemon *daemon)
{
	return daemon->events;
}

static void
find_peers(NatDaemon *daemon, const char *interface, const char *text, gboolean by_name,
	   GPtrArray *found)
{
	for (guint i = 0; i < daemon->interfaces->len; i++) {
		NatInterface *iface = g_ptr_array_index(daemon->interfaces, i);

		if (interface == NULL || strcmp(interface, nat_interface_name(iface)) == 0)
			nat_interface_find_peers(iface, text, by_name, found);
	}
}

NatPeer *
nat_daemon_find_peer(NatDaemon *daemon, const char *interface, const char *peer, GError **error)
{
	g_autoptr(GPtrArray) found = g_ptr_array_new();
	g_autofree char *plain = nat_log_escape(peer, -1);

	/* a name is meant before the beginning of a key is */
	find_peers(daemon, interface, peer, TRUE, found);
	if (found->len == 0)
		find_peers(daemon, interface, peer, FALSE, found);
	if (found->len == 1)
		return g_ptr_array_index(found, 0);
	if (found->len == 0)
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
			    "no peer has this name or key: \"%s\"", plain);
	else
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
			    "\"%s\" fits %u peers: give more of the key, or --interface IF", plain,
			    found->len);
	return NULL;
}

/* ---- another configuration ---- */

static gint
find_interface(const NatDaemon *daemon, const char *name)
{
	for (guint i = 0; i < daemon->interfaces->len; i++)
		if (strcmp(nat_interface_name(g_ptr_array_index(daemon->interfaces, i)), name) == 0)
			return (gint)i;
	return -1;
}

/* The ones that are new first, so that where one of them cannot be served nothing has happened. */
static gboolean
add_new(NatDaemon *daemon, const NatInterfaceEnv *env, GError **error)
{
	const guint before = daemon->interfaces->len;

	for (guint i = 0; i < env->config->interfaces->len; i++) {
		const NatConfigInterface *config = g_ptr_array_index(env->config->interfaces, i);
		NatInterface *iface;

		if (find_interface(daemon, config->name) >= 0)
			continue;
		iface = nat_interface_new(env, config, error);
		if (iface == NULL) {
			g_ptr_array_set_size(daemon->interfaces, (gint)before);
			return FALSE;
		}
		g_ptr_array_add(daemon->interfaces, iface);
	}
	for (guint i = before; i < daemon->interfaces->len; i++)
		g_message("%s: served from now on",
			  nat_interface_name(g_ptr_array_index(daemon->interfaces, i)));
	return TRUE;
}

/* Of the interface whose part of the configuration changed: two at once would want the same port.
 * Where the new part cannot be (innernet's files), the old one goes on. */
static gboolean
renew(NatDaemon *daemon, const NatInterfaceEnv *env, const NatConfigInterface *config)
{
	guint at = (guint)find_interface(daemon, config->name);
	NatInterface *iface = g_ptr_array_index(daemon->interfaces, at);
	g_autoptr(GError) error = NULL, again = NULL;
	NatConfigInterface *before;

	if (nat_config_interface_equal(nat_interface_config(iface), config)) {
		nat_interface_set_config(iface, env->config);
		return TRUE;
	}
	g_message("%s: starts over with another configuration", config->name);
	before = nat_config_interface_copy(nat_interface_config(iface));
	g_ptr_array_remove_index(daemon->interfaces, at);
	iface = nat_interface_new_again(env, config, &error);
	if (error != NULL) {
		iface = nat_interface_new_again(env, before, &again);
		g_warning("%s: its new configuration is not taken: %s%s", config->name,
			  error->message, iface != NULL ? "" : "; it is served no more");
	}
	nat_config_interface_free(before);
	if (iface != NULL)
		g_ptr_array_add(daemon->interfaces, iface);
	return error == NULL;
}

static void
remove_gone(NatDaemon *daemon, const NatConfig *config)
{
	for (guint i = daemon->interfaces->len; i > 0; i--) {
		g_autofree char *name =
			g_strdup(nat_interface_name(g_ptr_array_index(daemon->interfaces, i - 1)));

		if (nat_config_has_interface(config, name))
			continue;
		g_message("%s: not served any more; its tunnels stay up", name);
		nat_interface_give_back(g_ptr_array_index(daemon->interfaces, i - 1));
		g_ptr_array_remove_index(daemon->interfaces, i - 1);
		nat_events_forget_interface(daemon->events, name, TRUE);
	}
}

gboolean
nat_daemon_reload(NatDaemon *daemon, const NatConfig *config, GError **error)
{
	g_autoptr(GString) failed = g_string_new(NULL);
	NatInterfaceEnv env = daemon->env;

	env.config = config;
	if (!add_new(daemon, &env, error))
		return FALSE;
	daemon->env = env;
	remove_gone(daemon, config);
	for (guint i = 0; i < config->interfaces->len; i++) {
		const NatConfigInterface *iface = g_ptr_array_index(config->interfaces, i);

		if (!renew(daemon, &daemon->env, iface))
			g_string_append_printf(failed, " %s", iface->name);
	}
	if (failed->len == 0)
		return TRUE;
	g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED,
		    "taken, but for%s: the log says why; the old configuration goes on there",
		    failed->str);
	return FALSE;
}

gboolean
nat_daemon_uses(const NatDaemon *daemon, const NatConfig *config)
{
	return daemon->env.config == config;
}
