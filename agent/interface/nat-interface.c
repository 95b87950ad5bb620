/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation. The device is the only source of truth about peers, key, port and mark. Each
 * snapshot is compared with what is being served: a change of key starts everything anew (it is
 * another identity), a change of port or mark moves the mux, peers come and go one by one. A
 * device that vanished or cannot be served leaves `problem` for status, and is read again each
 * second until it heals.
 */
#include "agent/interface/nat-interface-private.h"

#include <gio/gio.h>
#include <string.h>

#include "agent/base/nat-log.h"
#include "agent/net/nat-procnet.h"

#define POLL_MS 1000
/* The link's counters are read so often; the device only when they moved, or once a second. So a
 * packet that goes unanswered is known of within this time. */
#define TRAFFIC_MS 200
#define BUSY_MS 100 /* the same right after traffic */
/* Reading takes at most a hundredth of the time: 500 peers whose keepalives alone count as traffic
 * (the kernel's counters have them) cost no more. */
#define BUSY_SHARE 100
/* While a handshake is awaited: often, but never more than a quarter of the time spent reading. */
#define URGENT_MS 8
#define URGENT_SHARE 4
#define KEEP_S 20 /* the mapping's, while a peer waits */

static gboolean on_poll(gpointer user_data);
static void observe_peers(NatInterface *iface);

void
nat_interface_record(NatInterface *iface, GLogLevelFlags level, NatEventKind kind,
		     const char *format, ...)
{
	g_autofree char *text = NULL;
	va_list args;

	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	nat_log_peer(level, iface->config.name, NULL, "%s", text);
	if (iface->env.events != NULL)
		nat_events_add(iface->env.events, iface->config.name, NULL, NULL, kind, text);
}

static void
set_problem(NatInterface *iface, const char *text)
{
	if (g_strcmp0(iface->problem, text) == 0)
		return;
	if (text != NULL)
		nat_interface_record(iface, G_LOG_LEVEL_WARNING, NAT_EVENT_NETWORK, "%s", text);
	else
		nat_interface_record(iface, G_LOG_LEVEL_MESSAGE, NAT_EVENT_NETWORK, "served again");
	g_free(iface->problem);
	iface->problem = g_strdup(text);
}

/* ---- polling ---- */

static void
schedule_poll(NatInterface *iface, guint ms)
{
	g_clear_handle_id(&iface->poll, g_source_remove);
	iface->poll = g_timeout_add(ms, on_poll, iface);
}

void
nat_interface_poll_soon(NatInterface *iface)
{
	schedule_poll(iface, 0);
}

void
nat_interface_hurry(gpointer user_data)
{
	NatInterface *iface = user_data;

	schedule_poll(iface, MAX(URGENT_MS, (guint)(iface->poll_cost_us * URGENT_SHARE / 1000)));
}

static gboolean
any_urgent(NatInterface *iface, gint64 now_us)
{
	GHashTableIter iter;
	gpointer peer;

	g_hash_table_iter_init(&iter, iface->peers);
	while (g_hash_table_iter_next(&iter, NULL, &peer))
		if (nat_peer_urgent(peer, now_us))
			return TRUE;
	return nat_interface_innernet_urgent(iface);
}

void
nat_interface_for_each_peer(NatInterface *iface, void (*func)(NatPeer *peer))
{
	GHashTableIter iter;
	gpointer peer;

	g_hash_table_iter_init(&iter, iface->peers);
	while (g_hash_table_iter_next(&iter, NULL, &peer))
		func(peer);
}

/* ---- serving ---- */

static void
stop_serving(NatInterface *iface)
{
	if (!iface->serving)
		return;
	iface->serving = FALSE;
	nat_interface_update_punch(iface);
	g_hash_table_remove_all(iface->peers);
	nat_interface_stop_punch(iface);
	nat_interface_keep_counters(iface);
	nat_interface_stop_portmap(iface);
	nat_interface_stop_innernet(iface);
	nat_interface_stop_mtu(iface);
	nat_interface_stop_lifetime(iface);
	nat_interface_stop_class(iface);
	nat_interface_stop_relay(iface);
	g_clear_pointer(&iface->stun_names, nat_stun_names_free);
	g_clear_pointer(&iface->signal, nat_signal_client_free);
	g_clear_pointer(&iface->probe, nat_stun_probe_free);
	g_clear_pointer(&iface->mux, nat_mux_free);
	g_clear_pointer(&iface->originals, nat_originals_free);
	wg_key_clear(&iface->peer_env.private_key);
	g_array_set_size(iface->server_stun, 0);
	g_clear_pointer(&iface->ways, g_hash_table_unref);
}

static gboolean
start_serving(NatInterface *iface, GError **error)
{
	const WgDevice *dev = iface->device;

	iface->mux = nat_mux_new(iface->env.fib, dev->listen_port, dev->fwmark, error);
	if (iface->mux == NULL)
		return FALSE;
	iface->signal = nat_signal_client_new(iface->config.signal_url, &dev->private_key,
					      dev->fwmark, iface->env.config->state_dir,
					      &NAT_INTERFACE_SIGNAL, iface, error);
	if (iface->signal == NULL) {
		g_clear_pointer(&iface->mux, nat_mux_free);
		return FALSE;
	}
	iface->signal_us = g_get_monotonic_time();
	iface->has_sent = FALSE;
	iface->public_key = dev->public_key;
	iface->port = dev->listen_port;
	iface->fwmark = dev->fwmark;
	iface->probe = nat_stun_probe_new(iface->mux, nat_interface_mapping_changed, iface);
	nat_stun_probe_set_stats(iface->probe, &iface->stats);
	iface->originals = nat_originals_new(iface->env.config->state_dir, &iface->public_key);
	nat_interface_start_relay(iface);
	nat_interface_start_lifetime(iface);
	nat_interface_start_punch(iface);
	nat_interface_start_class(iface);
	nat_interface_make_env(iface);
	iface->serving = TRUE;
	iface->stun_names = nat_stun_names_new(
		(const char *const *)iface->config.stun, iface->config.name,
		iface->env.config->state_dir, &iface->public_key, nat_interface_update_stun, iface);
	nat_interface_start_innernet(iface);
	nat_interface_start_portmap(iface);
	observe_peers(iface);
	nat_signal_client_start(iface->signal);
	return TRUE;
}

/* ---- following the device ---- */

static void
remove_peer(NatInterface *iface, const WgKey *key)
{
	WgKey copy = *key; /* it lives in the peer */

	nat_signal_client_remove_interest(iface->signal, &copy);
	nat_originals_forget(iface->originals, &copy);
	g_hash_table_remove(iface->peers, &copy);
	if (iface->env.events != NULL)
		nat_events_forget(iface->env.events, iface->config.name, &copy);
}

static void
drop_absent_peers(NatInterface *iface)
{
	g_autoptr(GPtrArray) gone = g_ptr_array_new();
	GHashTableIter iter;
	gpointer key;

	g_hash_table_iter_init(&iter, iface->peers);
	while (g_hash_table_iter_next(&iter, &key, NULL))
		if (wg_device_find(iface->device, key) == NULL)
			g_ptr_array_add(gone, key);
	for (guint i = 0; i < gone->len; i++)
		remove_peer(iface, g_ptr_array_index(gone, i));
}

static void
add_peer(NatInterface *iface, const WgKey *key)
{
	NatPeer *peer =
		nat_peer_new(&iface->peer_env, key, nat_config_peer_name(iface->env.config, key));

	g_hash_table_insert(iface->peers, (gpointer)nat_peer_key(peer), peer);
	nat_signal_client_add_interest(iface->signal, key);
	nat_interface_tell_innernet(iface, peer);
}

static void
observe_peers(NatInterface *iface)
{
	gint64 now = g_get_monotonic_time(), real_s = g_get_real_time() / G_USEC_PER_SEC;

	for (guint i = 0; i < iface->device->peers->len; i++) {
		const WgPeer *wg = g_ptr_array_index(iface->device->peers, i);
		NatPeer *peer = g_hash_table_lookup(iface->peers, &wg->public_key);

		if (peer == NULL) {
			add_peer(iface, &wg->public_key);
			peer = g_hash_table_lookup(iface->peers, &wg->public_key);
		}
		nat_peer_observe(peer, wg, now, real_s);
	}
	/* All of the device's are there now: more than those are too many. */
	if (g_hash_table_size(iface->peers) > iface->device->peers->len)
		drop_absent_peers(iface);
}

/* Whether some peer waits for its agent: then our mapping must stay true. */
static void
update_keep(NatInterface *iface)
{
	GHashTableIter iter;
	gpointer peer;
	gboolean keep = FALSE;

	g_hash_table_iter_init(&iter, iface->peers);
	while (!keep && g_hash_table_iter_next(&iter, NULL, &peer))
		keep = nat_peer_state(peer) != NAT_PEER_CONNECTED;
	nat_stun_probe_set_keep(iface->probe,
				keep ? MIN(KEEP_S, nat_keepalive_s(iface->keepalive)) : 0);
}

static void
follow_settings(NatInterface *iface)
{
	const WgDevice *dev = iface->device;
	g_autoptr(GError) error = NULL;
	gboolean moved = FALSE;

	if (!wg_key_equal(&dev->public_key, &iface->public_key)) {
		nat_interface_record(iface, G_LOG_LEVEL_MESSAGE, NAT_EVENT_NETWORK,
				     "the private key changed: starting over");
		stop_serving(iface);
		/* another identity, and perhaps other peers */
		if (iface->env.events != NULL)
			nat_events_forget_interface(iface->env.events, iface->config.name, FALSE);
		return;
	}
	if (dev->listen_port != iface->port) {
		nat_interface_record(iface, G_LOG_LEVEL_MESSAGE, NAT_EVENT_NETWORK,
				     "listen port %u → %u", iface->port, dev->listen_port);
		iface->port = dev->listen_port;
		moved = nat_mux_set_port(iface->mux, iface->port, &error);
	}
	if (dev->fwmark != iface->fwmark && error == NULL) {
		nat_interface_record(iface, G_LOG_LEVEL_MESSAGE, NAT_EVENT_NETWORK,
				     "fwmark 0x%x → 0x%x", iface->fwmark, dev->fwmark);
		iface->fwmark = dev->fwmark;
		nat_signal_client_set_fwmark(iface->signal, iface->fwmark);
		nat_relay_set_fwmark(iface->relay, iface->fwmark);
		nat_keepalive_set_fwmark(iface->keepalive, iface->fwmark);
		nat_class_probe_set_fwmark(iface->class_probe, iface->fwmark);
		if (iface->punch_flows != NULL)
			punch_flows_set_fwmark(iface->punch_flows, iface->fwmark);
		moved = nat_mux_set_fwmark(iface->mux, iface->fwmark, &error);
	}
	if (error != NULL) {
		/* New sockets may work where changing the old ones did not. */
		nat_interface_record(iface, G_LOG_LEVEL_WARNING, NAT_EVENT_NETWORK,
				     "%s: starting over", error->message);
		stop_serving(iface);
	} else if (moved) {
		nat_interface_restart_portmap(iface);
		nat_interface_network_changed(iface, NULL);
	}
}

/* What time alone changes, once a second however often the device is read. */
static void
tick(NatInterface *iface)
{
	GHashTableIter iter;
	gpointer peer;
	gint64 now = g_get_monotonic_time();

	if (now - iface->ticked_us < POLL_MS * 1000)
		return;
	iface->ticked_us = now;
	nat_interface_update_lifetime(iface);
	nat_interface_update_class(iface);
	nat_interface_update_innernet(iface);
	update_keep(iface);
	g_hash_table_iter_init(&iter, iface->peers);
	while (g_hash_table_iter_next(&iter, NULL, &peer))
		nat_peer_tick(peer, now);
	nat_interface_update_relay(iface, now);
	nat_interface_update_mtu(iface);
	nat_interface_update_punch(iface);
}

static void
serve_snapshot(NatInterface *iface)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *problem = NULL;
	gboolean fatal;

	/* The check of the port costs a read of all of /proc/net/udp: only when something is new.
	 */
	if (iface->problem != NULL || !iface->serving || iface->device->listen_port != iface->port)
		problem = nat_procnet_problem(iface->device, &fatal);
	if (problem != NULL) {
		set_problem(iface, problem);
		return;
	}
	if (iface->problem != NULL)
		set_problem(iface, NULL);
	if (iface->serving)
		follow_settings(iface);
	if (!iface->serving) {
		if (!start_serving(iface, &error))
			set_problem(iface, error->message);
		return;
	}
	observe_peers(iface);
	nat_interface_observe_innernet(iface);
	tick(iface);
}

void
nat_interface_read_device(NatInterface *iface)
{
	g_autoptr(GError) error = NULL;
	gint64 began = g_get_monotonic_time();
	WgDevice *device = wg_ctl_read(iface->ctl, &error);

	if (device == NULL) {
		set_problem(iface, error->message);
		nat_interface_restore_innernet(iface);
	} else {
		wg_device_free(iface->device);
		iface->device = device;
		serve_snapshot(iface);
	}
	iface->read_us = began;
	iface->poll_cost_us = g_get_monotonic_time() - began;
}

/* Whether packets passed the link since last asked. Where that can't be told: no. */
static gboolean
has_traffic(NatInterface *iface)
{
	guint ifindex = (guint)iface->device->ifindex;
	guint64 rx, tx;
	gboolean moved;

	if (iface->ifindex != ifindex) {
		nat_traffic_free(iface->traffic);
		iface->traffic = ifindex != 0 ? nat_traffic_new(ifindex, NULL) : NULL;
		iface->ifindex = ifindex;
	}
	if (iface->traffic == NULL || !nat_traffic_read(iface->traffic, &rx, &tx))
		return FALSE;
	moved = rx != iface->rx_packets || tx != iface->tx_packets;
	iface->rx_packets = rx;
	iface->tx_packets = tx;
	return moved;
}

static guint
pause_ms(const NatInterface *iface, gboolean busy)
{
	if (iface->traffic == NULL)
		return POLL_MS;
	return MAX(busy ? BUSY_MS : TRAFFIC_MS, (guint)(iface->poll_cost_us * BUSY_SHARE / 1000));
}

static gboolean
on_poll(gpointer user_data)
{
	NatInterface *iface = user_data;
	gint64 now = g_get_monotonic_time();
	gboolean urgent, busy;

	iface->poll = 0;
	if (nat_wake_now(iface->wake) && iface->serving) {
		nat_interface_record(iface, G_LOG_LEVEL_MESSAGE, NAT_EVENT_NETWORK,
				     "awake after a sleep: the network is looked at anew");
		nat_interface_network_changed(iface, NULL);
	}
	/* a device that cannot be read brings no proof, however often it is asked */
	urgent = iface->serving && iface->problem == NULL && any_urgent(iface, now);
	busy = has_traffic(iface);
	if (urgent || busy || now - iface->read_us >= (POLL_MS - TRAFFIC_MS / 2) * 1000) {
		nat_interface_read_device(iface);
		urgent = iface->serving && iface->problem == NULL &&
			 any_urgent(iface, g_get_monotonic_time());
	}
	if (urgent)
		nat_interface_hurry(iface);
	else
		schedule_poll(iface, MIN(pause_ms(iface, busy), POLL_MS));
	return G_SOURCE_REMOVE;
}

void
nat_interface_network_changed(NatInterface *iface, const NatNetChange *change)
{
	if (!iface->serving || !nat_interface_ways_differ(iface, change))
		return;
	nat_interface_record(iface, G_LOG_LEVEL_DEBUG, NAT_EVENT_NETWORK,
			     "the network is looked at anew");
	nat_stats_count(&iface->stats, NAT_STAT_NETWORK_CHANGES);
	nat_stun_probe_run(iface->probe, TRUE);
	nat_interface_renew_portmap(iface);
	nat_interface_relay_network_changed(iface);
	/* first: the signaling server may be behind the innernet server's tunnel */
	nat_interface_renew_innernet(iface);
	nat_signal_client_kick(iface->signal, nat_interface_server_lost(iface));
	nat_interface_for_each_peer(iface, nat_peer_network_changed);
}

void
nat_interface_collect_addresses(NatInterface *iface, GArray *addrs)
{
	GHashTableIter iter;
	gpointer peer;

	g_hash_table_iter_init(&iter, iface->peers);
	while (g_hash_table_iter_next(&iter, NULL, &peer)) {
		const GArray *own = nat_peer_addresses(peer);

		g_array_append_vals(addrs, own->data, own->len);
	}
}

const char *
nat_interface_name(const NatInterface *iface)
{
	return iface->config.name;
}

void
nat_interface_find_peers(NatInterface *iface, const char *text, gboolean by_name, GPtrArray *out)
{
	GHashTableIter iter;
	gpointer peer;
	char key[WG_KEY_STRLEN];

	g_hash_table_iter_init(&iter, iface->peers);
	while (g_hash_table_iter_next(&iter, NULL, &peer))
		if (by_name ? g_strcmp0(nat_peer_name(peer), text) == 0
			    : g_str_has_prefix(wg_key_format(nat_peer_key(peer), key), text))
			g_ptr_array_add(out, peer);
}

const NatConfigInterface *
nat_interface_config(const NatInterface *iface)
{
	return iface->given;
}

void
nat_interface_set_config(NatInterface *iface, const NatConfig *config)
{
	GHashTableIter iter;
	gpointer peer;

	iface->env.config = config;
	g_hash_table_iter_init(&iter, iface->peers);
	while (g_hash_table_iter_next(&iter, NULL, &peer)) {
		const char *name = nat_config_peer_name(config, nat_peer_key(peer));

		/* a name of innernet's stays */
		if (name != NULL || iface->inn == NULL)
			nat_peer_set_name(peer, name);
	}
}

/* ---- life ---- */

/* FALSE, with the reason: it cannot be served now. *lasting: nor by waiting. */
static gboolean
begin(NatInterface *iface, gboolean *lasting, GError **error)
{
	g_autofree char *problem = NULL;

	*lasting = TRUE;
	iface->device = wg_ctl_read(iface->ctl, error);
	if (iface->device == NULL)
		return FALSE;
	problem = nat_procnet_problem(iface->device, lasting);
	if (problem == NULL) {
		*lasting = TRUE;
		return start_serving(iface, error);
	}
	g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_FAILED, problem);
	return FALSE;
}

static NatInterface *
interface_new(const NatInterfaceEnv *env, const NatConfigInterface *config, gboolean patient,
	      GError **error)
{
	g_autoptr(NatInterface) iface = g_new0(NatInterface, 1);
	g_autoptr(GError) cause = NULL;
	gboolean lasting;

	iface->env = *env;
	iface->given = nat_config_interface_copy(config);
	iface->config = *iface->given;
	iface->peers = g_hash_table_new_full(wg_key_hash, wg_key_equal, NULL,
					     (GDestroyNotify)nat_peer_free);
	iface->server_stun = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));
	iface->server_sources = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));
	iface->dropped = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	iface->kept = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	nat_stats_init(&iface->stats);
	iface->ctl = wg_ctl_new(config->name);
	iface->wake = nat_wake_new(TRAFFIC_MS);
	if (!nat_interface_open_innernet(iface, error))
		return NULL;
	if (!begin(iface, &lasting, &cause)) {
		if (lasting && !patient) {
			if (iface->device != NULL)
				g_prefix_error(&cause, "%s: ", config->name);
			g_propagate_error(error, g_steal_pointer(&cause));
			return NULL;
		}
		set_problem(iface, cause->message);
		/* as one that has vanished: without peers */
		if (iface->device == NULL)
			iface->device = wg_device_new(config->name);
	}
	schedule_poll(iface, POLL_MS);
	return g_steal_pointer(&iface);
}

NatInterface *
nat_interface_new(const NatInterfaceEnv *env, const NatConfigInterface *config, GError **error)
{
	return interface_new(env, config, FALSE, error);
}

NatInterface *
nat_interface_new_again(const NatInterfaceEnv *env, const NatConfigInterface *config,
			GError **error)
{
	return interface_new(env, config, TRUE, error);
}

void
nat_interface_free(NatInterface *iface)
{
	if (iface == NULL)
		return;
	g_clear_handle_id(&iface->poll, g_source_remove);
	nat_interface_end_portmap(iface);
	stop_serving(iface);
	g_hash_table_unref(iface->peers);
	g_array_unref(iface->server_stun);
	g_array_unref(iface->server_sources);
	g_hash_table_unref(iface->dropped);
	g_hash_table_unref(iface->kept);
	nat_interface_close_innernet(iface);
	wg_device_free(iface->device);
	if (iface->fresh != NULL)
		wg_device_free(iface->fresh);
	wg_ctl_free(iface->ctl);
	nat_traffic_free(iface->traffic);
	nat_wake_free(iface->wake);
	g_free(iface->problem);
	g_free(iface->signal_said);
	g_free(iface->nat_said);
	nat_config_interface_free(iface->given);
	g_free(iface);
}
