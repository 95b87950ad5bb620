/* SPDX-License-Identifier: MIT */
#include "agent/nat-daemon.h"

#include <gio/gio.h>

#include "agent/nat-fib.h"
#include "agent/nat-ice-ns.h"
#include "agent/nat-interface.h"
#include "agent/nat-netmon.h"
#include "agent/nat-tun.h"

#define NETWORK_DEBOUNCE_MS 200

struct NatDaemon {
	const NatConfig *config;
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
	g_warning("ICE namespace: %s", error->message);
	return FALSE;
}

static void
on_network_changed(gpointer user_data)
{
	NatDaemon *daemon = user_data;

	for (guint i = 0; i < daemon->interfaces->len; i++)
		nat_interface_network_changed(g_ptr_array_index(daemon->interfaces, i));
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
	NatInterfaceEnv env;

	daemon->config = config;
	daemon->interfaces = g_ptr_array_new_with_free_func((GDestroyNotify)nat_interface_free);
	if (!open_shared(daemon, error))
		return NULL;
	if (opened)
		opened();
	env = (NatInterfaceEnv){
		.ns = daemon->ns,
		.tun = daemon->tun,
		.fib = daemon->fib,
		.config = config,
		.use_addresses = use_addresses,
		.user_data = daemon,
	};
	for (guint i = 0; i < config->interfaces->len; i++) {
		NatInterface *iface =
			nat_interface_new(&env, g_ptr_array_index(config->interfaces, i), error);

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
	g_free(daemon);
}

GMainContext *
nat_daemon_ice_context(NatDaemon *daemon)
{
	return nat_ice_ns_context(daemon->ns);
}

NatStatus *
nat_daemon_status(NatDaemon *daemon)
{
	NatStatus *status = nat_status_new();

	for (guint i = 0; i < daemon->interfaces->len; i++)
		nat_interface_status(g_ptr_array_index(daemon->interfaces, i), status);
	return status;
}
