/* SPDX-License-Identifier: MIT */
/*
 * An interface of an innernet network (innernet/inn): names, beacons and plain endpoints of its
 * peers come from the network's server; where the interface is ours, its peers too.
 */
#include "agent/interface/nat-interface-private.h"

#include <gio/gio.h>
#include <string.h>

#include "agent/base/nat-log.h"
#include "agent/innernet/inn-link.h"
#include "agent/innernet/inn-order.h"
#include "agent/innernet/inn-sync.h"

#define SEC ((gint64)G_USEC_PER_SEC)
/* nat-signald beside the innernet server, on its address inside the tunnel. */
#define TIER1_PORT 51821
/* The machine of the innernet server is asked for our mapping too: nat-signald may answer there. */
#define STUN_PORT 3478
/* So long the signaling server may say first who is there. */
#define TIER1_CONNECT_US (3 * SEC)
#define TIER1_PRESENCE_US (2 * SEC)

/* ---- before anything is served ---- */

static char *
default_signal_url(const InnConf *conf)
{
	WgEndpoint server = conf->server_internal;
	char text[WG_ENDPOINT_STRLEN];

	wg_endpoint_set_port(&server, TIER1_PORT);
	return g_strconcat("ws://", wg_endpoint_format(&server, text), NULL);
}

static GStrv
default_stun(const InnConf *conf)
{
	gboolean v6 = strchr(conf->server_host, ':') != NULL;
	GStrv list = g_new0(char *, 2);

	list[0] = g_strdup_printf("%s%s%s:%u", v6 ? "[" : "", conf->server_host, v6 ? "]" : "",
				  STUN_PORT);
	return list;
}

static gboolean
bring_up(NatInterface *iface, GError **error)
{
	const InnConf *conf = iface->inn_conf;
	InnLinkParams params = {
		.address = conf->address,
		.prefix = conf->prefix,
		.mtu = INN_LINK_MTU,
		.private_key = conf->private_key,
		.listen_port = conf->listen_port,
	};
	gboolean made = FALSE, ok = inn_link_up(iface->config.name, &params, &made, error);

	wg_key_clear(&params.private_key);
	if (made)
		g_message("%s: brought up by innernet's file", iface->config.name);
	return ok;
}

gboolean
nat_interface_open_innernet(NatInterface *iface, GError **error)
{
	g_autoptr(GError) cause = NULL;

	if (iface->config.innernet == NAT_INNERNET_OFF)
		return TRUE;
	iface->inn_conf = inn_conf_load(iface->config.innernet_conf, &cause);
	if (iface->inn_conf == NULL) {
		if (g_error_matches(cause, G_FILE_ERROR, G_FILE_ERROR_NOENT))
			g_set_error(
				error, G_FILE_ERROR, G_FILE_ERROR_NOENT,
				"%s: innernet has no file of it (%s): join the network with "
				"'nat-agent innernet install INVITATION', or write innernet=off",
				iface->config.name, iface->config.innernet_conf);
		else
			g_propagate_error(error, g_steal_pointer(&cause));
		return FALSE;
	}
	if (iface->config.signal_url == NULL)
		iface->config.signal_url = iface->inn_signal_url =
			default_signal_url(iface->inn_conf);
	if (iface->config.stun == NULL)
		iface->config.stun = iface->inn_stun = default_stun(iface->inn_conf);
	return iface->config.innernet != NAT_INNERNET_YES || bring_up(iface, error);
}

void
nat_interface_close_innernet(NatInterface *iface)
{
	g_clear_pointer(&iface->inn_conf, inn_conf_free);
	g_clear_pointer(&iface->inn_signal_url, g_free);
	g_clear_pointer(&iface->inn_stun, g_strfreev);
}

/* Somebody removed it: the user has said that it is ours to keep up. */
void
nat_interface_restore_innernet(NatInterface *iface)
{
	g_autoptr(GError) error = NULL;

	if (iface->config.innernet == NAT_INNERNET_YES && !bring_up(iface, &error))
		g_debug("%s: %s", iface->config.name, error->message);
}

/* ---- what the server says ---- */

static gboolean
owns(const NatInterface *iface)
{
	return iface->config.innernet == NAT_INNERNET_YES;
}

static void
sync_device(NatInterface *iface)
{
	const InnConf *conf = iface->inn_conf;
	g_auto(InnSync) sync = {0};
	g_autoptr(GError) error = NULL;
	guint strangers;

	inn_sync_init(&sync, iface->device, inn_state(iface->inn), &iface->public_key, conf,
		      &strangers);
	if (strangers > iface->inn_strangers)
		g_warning("%s: innernet: %u peers with addresses outside of the network, or with "
			  "ours or the server's, are not taken",
			  iface->config.name, strangers);
	iface->inn_strangers = strangers;
	if (sync.changes->len == 0)
		return;
	inn_expect(iface->inn);
	if (!wg_ctl_apply(iface->ctl, (const WgPeerChange *)(gpointer)sync.changes->data,
			  sync.changes->len, &error)) {
		g_warning("%s: innernet: peers can't be set: %s", iface->config.name,
			  error->message);
		return;
	}
	g_message("%s: innernet: %u peers added, %u removed, %u changed", iface->config.name,
		  sync.added, sync.removed, sync.changed);
	nat_interface_poll_soon(iface);
}

/* A record's endpoint, or the first one that its name leads to and that can be used from here;
 * unset: none. */
static WgEndpoint
endpoint_of(NatInterface *iface, const InnPeer *record, const GArray *resolved)
{
	WgEndpoint source, none = {0};

	if (wg_endpoint_is_set(&record->endpoint))
		return record->endpoint;
	for (guint i = 0; resolved != NULL && i < resolved->len; i++) {
		const WgEndpoint *ep = &g_array_index(resolved, WgEndpoint, i);

		if (!wg_endpoint_is_bogus(ep) && nat_mux_source_for(iface->mux, ep, &source))
			return *ep;
	}
	return none;
}

static void
order_plain(NatInterface *iface, NatPeer *peer, const InnPeer *record, const GArray *resolved,
	    const WgEndpoint *endpoint)
{
	g_autoptr(GArray) own = nat_stun_probe_public(iface->probe);
	g_autoptr(GArray) order = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));

	g_array_append_vals(own, inn_observed(iface->inn)->data, inn_observed(iface->inn)->len);
	inn_order(record, own, resolved, order);
	nat_peer_set_plain(peer, (const WgEndpoint *)(gpointer)order->data, order->len, endpoint);
}

/* On an interface that is ours a peer without an agent is told which endpoints it may have. */
static void
tell_record(NatInterface *iface, NatPeer *peer, const InnPeer *record)
{
	g_autoptr(GArray) resolved = inn_names_get(iface->inn_names, record);
	WgEndpoint endpoint = endpoint_of(iface, record, resolved);
	InnBeacon beacon;
	gboolean beaconed = inn_beacon_of(iface->inn, nat_peer_key(peer), &beacon);

	nat_peer_beacon(peer, beaconed ? &beacon : NULL, &endpoint);
	if (!owns(iface) || beaconed ||
	    wg_key_equal(&record->public_key, &iface->inn_conf->server_key))
		nat_peer_set_plain(peer, NULL, 0, NULL);
	else
		order_plain(iface, peer, record, resolved, &endpoint);
}

void
nat_interface_tell_innernet(NatInterface *iface, NatPeer *peer)
{
	const InnState *state = iface->inn != NULL ? inn_state(iface->inn) : NULL;
	const InnPeer *record = state != NULL ? inn_state_find(state, nat_peer_key(peer)) : NULL;
	const char *name = nat_config_peer_name(iface->env.config, nat_peer_key(peer));
	WgEndpoint none = {0};

	if (state == NULL)
		return;
	if (name == NULL && record != NULL)
		name = record->name;
	nat_peer_set_name(peer, name);
	if (record == NULL) {
		nat_peer_beacon(peer, NULL, &none);
		nat_peer_set_plain(peer, NULL, 0, NULL);
		return;
	}
	tell_record(iface, peer, record);
}

static void
tell_all(gpointer user_data)
{
	NatInterface *iface = user_data;
	GHashTableIter iter;
	gpointer peer;

	g_hash_table_iter_init(&iter, iface->peers);
	while (g_hash_table_iter_next(&iter, NULL, &peer))
		nat_interface_tell_innernet(iface, peer);
}

static void
on_changed(gpointer user_data)
{
	NatInterface *iface = user_data;
	const GArray *observed;

	if (owns(iface)) {
		sync_device(iface);
		inn_hosts_set(iface->inn_hosts_file, inn_state(iface->inn), iface->inn_conf,
			      g_get_monotonic_time());
	}
	inn_names_set(iface->inn_names, inn_state(iface->inn));
	tell_all(iface);
	observed = inn_observed(iface->inn);
	if (wg_endpoint_array_equal(iface->inn_observed,
				    (const WgEndpoint *)(gpointer)observed->data, observed->len))
		return;
	g_array_set_size(iface->inn_observed, 0);
	g_array_append_vals(iface->inn_observed, observed->data, observed->len);
	nat_interface_for_each_peer(iface, nat_peer_candidates_changed);
}

/* Who was told our watch id, by the signaling server, awaits probes under it; also when that server
 * is away by now. */
static gboolean
on_resumed(guint32 watch_id, guint32 base, gpointer user_data)
{
	NatInterface *iface = user_data;

	if (iface->has_sent)
		return FALSE;
	iface->peer_env.watch_id = watch_id;
	iface->peer_env.epoch_base = base;
	return TRUE;
}

static void
on_unreachable(gpointer user_data)
{
	NatInterface *iface = user_data;

	if (iface->inn_reach != NULL)
		inn_reach_call_failed(iface->inn_reach, g_get_monotonic_time());
}

/* A peer that the device is just being given. */
static gboolean
any_new(NatInterface *iface)
{
	const InnState *state = inn_state(iface->inn);

	for (guint i = 0; state != NULL && i < state->peers->len; i++) {
		const InnPeer *record = g_ptr_array_index(state->peers, i);

		if (!record->disabled && !wg_key_equal(&record->public_key, &iface->public_key) &&
		    g_hash_table_lookup(iface->peers, &record->public_key) == NULL)
			return TRUE;
	}
	return FALSE;
}

static void
fill_facts(InnPollFacts *facts, gpointer user_data)
{
	NatInterface *iface = user_data;
	gint64 now = g_get_monotonic_time();
	GHashTableIter iter;
	gpointer peer;

	facts->unconnected = any_new(iface);
	g_hash_table_iter_init(&iter, iface->peers);
	while (g_hash_table_iter_next(&iter, NULL, &peer)) {
		facts->unconnected |= nat_peer_state(peer) != NAT_PEER_CONNECTED;
		facts->in_use |= nat_peer_by_beacon(peer) && nat_peer_is_active(peer, now);
	}
}

static NatMapping
own_mapping(gpointer user_data)
{
	NatInterface *iface = user_data;

	return nat_stun_probe_mapping(iface->probe);
}

static const InnFuncs INN_FUNCS = {
	.changed = on_changed,
	.resumed = on_resumed,
	.unreachable = on_unreachable,
	.facts = fill_facts,
	.candidates = nat_interface_candidates,
	.mapping = own_mapping,
};

/* ---- what the peers ask ---- */

static guint64
generation(gpointer user_data)
{
	NatInterface *iface = user_data;

	return inn_generation(iface->inn);
}

static gboolean
beacons_may(gpointer user_data)
{
	NatInterface *iface = user_data;
	gint64 age = g_get_monotonic_time() - iface->signal_us;

	if (!inn_is_settled(iface->inn))
		return FALSE;
	switch (nat_signal_client_state(iface->signal)) {
	case NAT_SIGNAL_CONNECTING:
		return age > TIER1_CONNECT_US;
	case NAT_SIGNAL_CONNECTED:
		return age > TIER1_PRESENCE_US;
	case NAT_SIGNAL_WAITING:
	case NAT_SIGNAL_DUPLICATE:
		break;
	}
	return TRUE;
}

static void
publish(gpointer user_data)
{
	NatInterface *iface = user_data;

	inn_publish(iface->inn);
}

/* ---- the server as a peer ---- */

static gboolean
write_server(const WgPeerChange *change, gpointer user_data)
{
	NatInterface *iface = user_data;
	g_autoptr(GError) error = NULL;

	if (iface->originals != NULL)
		nat_originals_written(iface->originals, change);
	if (wg_ctl_apply(iface->ctl, change, 1, &error))
		return TRUE;
	g_debug("%s: innernet server: %s", iface->config.name, error->message);
	return FALSE;
}

static gboolean
has_way(const WgEndpoint *addr, gpointer user_data)
{
	NatInterface *iface = user_data;
	NatRoute route;

	return nat_fib_lookup(iface->env.fib, addr, iface->fwmark, &route);
}

static const InnReachFuncs REACH_FUNCS = {
	.write = write_server,
	.routed = has_way,
};

void
nat_interface_observe_innernet(NatInterface *iface)
{
	const WgPeer *wg;

	if (iface->inn_reach == NULL)
		return;
	wg = wg_device_find(iface->device, &iface->inn_conf->server_key);
	inn_reach_observe(iface->inn_reach, wg, g_get_monotonic_time());
}

gboolean
nat_interface_innernet_urgent(const NatInterface *iface)
{
	return iface->inn_reach != NULL && inn_reach_urgent(iface->inn_reach);
}

/* ---- serving ---- */

/* What innernet's daemon would do. */
static void
start_owner(NatInterface *iface)
{
	const NatConfig *config = iface->env.config;

	iface->inn_reach = inn_reach_new(iface->config.name, iface->inn_conf, config->state_dir,
					 &iface->public_key, &REACH_FUNCS, iface);
	iface->inn_hosts_file = inn_hosts_new(iface->config.name, config->hosts_file);
}

void
nat_interface_start_innernet(NatInterface *iface)
{
	InnParams params = {
		.ifname = iface->config.name,
		.conf = iface->inn_conf,
		.store_path = iface->config.innernet_store,
		.state_dir = iface->env.config->state_dir,
		.owns = owns(iface),
		.public_key = iface->public_key,
		.watch_id = iface->peer_env.watch_id,
	};

	if (iface->inn_conf == NULL)
		return;
	iface->inn = inn_new(&params, &INN_FUNCS, iface);
	iface->inn_names = inn_names_new(iface->config.name, iface->env.config->state_dir,
					 &iface->public_key, tell_all, iface);
	iface->inn_observed = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));
	iface->inn_hosts = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));
	iface->peer_env.generation = generation;
	iface->peer_env.beacons_may = beacons_may;
	iface->peer_env.publish = publish;
	if (owns(iface))
		start_owner(iface);
	else
		iface->inn_hold = inn_hold_new(iface->config.name, iface->config.innernet_conf,
					       iface->env.config->state_dir, &iface->public_key);
	inn_start(iface->inn);
}

void
nat_interface_stop_innernet(NatInterface *iface)
{
	g_clear_pointer(&iface->inn, inn_free);
	g_clear_pointer(&iface->inn_reach, inn_reach_free);
	g_clear_pointer(&iface->inn_hold, inn_hold_free);
	g_clear_pointer(&iface->inn_hosts_file, inn_hosts_free);
	g_clear_pointer(&iface->inn_names, inn_names_free);
	g_clear_pointer(&iface->inn_observed, g_array_unref);
	g_clear_pointer(&iface->inn_hosts, g_array_unref);
}

static GArray *
host_addresses(NatInterface *iface)
{
	g_autoptr(GArray) candidates = nat_interface_candidates(iface);
	GArray *hosts = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));

	for (guint i = 0; i < candidates->len; i++) {
		const NatCandidate *cand = &g_array_index(candidates, NatCandidate, i);

		if (cand->type == NAT_CAND_HOST)
			g_array_append_val(hosts, cand->endpoint);
	}
	return hosts;
}

/* WireGuard sends from the source address that it last heard answers at, and may go on so for 15 s
 * when that is gone (wireguard-go does where the link went with it). Writing the endpoint, be it
 * the same, makes it ask for a route anew: the server is what all else is learnt from. */
static void
refresh_server(NatInterface *iface)
{
	g_autoptr(WgDevice) device = wg_ctl_read(iface->ctl, NULL);
	const WgPeer *wg =
		device != NULL ? wg_device_find(device, &iface->inn_conf->server_key) : NULL;
	WgPeerChange change = {
		.public_key = iface->inn_conf->server_key,
		.flags = WG_CHANGE_ENDPOINT,
	};

	if (wg == NULL || !wg_endpoint_is_set(&wg->endpoint))
		return;
	change.endpoint = wg->endpoint;
	write_server(&change, iface);
}

/* Links and routes come and go that change nothing for us: only other addresses are another
 * network, for which all peers are asked to check anew. */
void
nat_interface_renew_innernet(NatInterface *iface)
{
	GArray *hosts;

	if (iface->inn == NULL)
		return;
	hosts = host_addresses(iface);
	refresh_server(iface);
	inn_names_renew(iface->inn_names);
	if (iface->inn_reach != NULL)
		inn_reach_network_changed(iface->inn_reach, g_get_monotonic_time());
	if (!wg_endpoint_array_equal(iface->inn_hosts, (const WgEndpoint *)(gpointer)hosts->data,
				     hosts->len))
		inn_renew(iface->inn);
	g_array_unref(iface->inn_hosts);
	iface->inn_hosts = hosts;
}

static void
hold_endpoints(NatInterface *iface)
{
	g_autoptr(GArray) entries = g_array_new(FALSE, TRUE, sizeof(InnOverride));
	const InnState *state = inn_state(iface->inn);

	for (guint i = 0; state != NULL && i < state->peers->len; i++) {
		const InnPeer *record = g_ptr_array_index(state->peers, i);
		NatPeer *peer = g_hash_table_lookup(iface->peers, &record->public_key);
		const WgEndpoint *held = peer != NULL ? nat_peer_held(peer) : NULL;
		InnOverride entry = {.address = record->address};

		if (held == NULL || wg_endpoint_is_link_local(held))
			continue;
		entry.endpoint = *held;
		g_array_append_val(entries, entry);
	}
	inn_hold_set(iface->inn_hold, (const InnOverride *)(gpointer)entries->data, entries->len,
		     g_get_monotonic_time());
}

/* Each second. */
void
nat_interface_update_innernet(NatInterface *iface)
{
	GHashTableIter iter;
	gpointer peer;
	guint silent = 0;

	if (iface->inn == NULL)
		return;
	if (iface->inn_hold != NULL)
		hold_endpoints(iface);
	inn_names_tick(iface->inn_names, g_get_monotonic_time());
	if (iface->inn_hosts->len == 0) {
		g_array_unref(iface->inn_hosts);
		iface->inn_hosts = host_addresses(iface);
	}
	g_hash_table_iter_init(&iter, iface->peers);
	while (g_hash_table_iter_next(&iter, NULL, &peer))
		silent += nat_peer_is_silent(peer);
	/* where it went, its record may say */
	if (silent > iface->inn_silent)
		inn_hurry(iface->inn);
	iface->inn_silent = silent;
}

/* What the server sees of our WireGuard is our mapping, where no STUN server tells. */
void
nat_interface_add_observed(NatInterface *iface, GArray *candidates)
{
	for (guint i = 0; iface->inn_observed != NULL && i < iface->inn_observed->len; i++) {
		NatCandidate cand = {
			.type = NAT_CAND_SRFLX,
			.endpoint = g_array_index(iface->inn_observed, WgEndpoint, i),
		};
		gboolean known = wg_endpoint_is_bogus(&cand.endpoint);

		for (guint j = 0; j < candidates->len && !known; j++) {
			const NatCandidate *other = &g_array_index(candidates, NatCandidate, j);

			known = wg_endpoint_equal(&other->endpoint, &cand.endpoint) ||
				(other->type == NAT_CAND_SRFLX &&
				 wg_endpoint_family(&other->endpoint) ==
					 wg_endpoint_family(&cand.endpoint));
		}
		if (!known)
			g_array_append_val(candidates, cand);
	}
}

void
nat_interface_status_innernet(NatInterface *iface, NatStatusInterface *out)
{
	char text[WG_ENDPOINT_STRLEN];

	if (iface->inn == NULL)
		return;
	out->innernet_mode = g_strdup(owns(iface) ? "yes" : "beside");
	out->innernet_server = g_strconcat(
		"http://", wg_endpoint_format(&iface->inn_conf->server_internal, text), NULL);
	out->innernet_state = g_strdup(inn_status_to_string(inn_status(iface->inn)));
	/* why it does not answer is known better below */
	if (iface->inn_reach != NULL)
		out->innernet_reason = inn_reach_problem(iface->inn_reach);
	if (out->innernet_reason == NULL)
		out->innernet_reason = g_strdup(inn_problem(iface->inn));
}
