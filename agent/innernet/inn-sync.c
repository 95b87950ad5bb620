/* SPDX-License-Identifier: MIT */
#include "agent/innernet/inn-sync.h"

#include <string.h>

void
inn_sync_clear(InnSync *sync)
{
	g_clear_pointer(&sync->changes, g_array_unref);
	g_clear_pointer(&sync->ips, g_array_unref);
}

gboolean
inn_sync_within(const WgEndpoint *address, const WgEndpoint *network, guint8 prefix)
{
	gsize len, other;
	const guint8 *a = wg_endpoint_bytes(address, &len), *b = wg_endpoint_bytes(network, &other);
	guint whole = prefix / 8, rest = prefix % 8;

	if (a == NULL || b == NULL || len != other || whole > len)
		return FALSE;
	if (memcmp(a, b, whole) != 0)
		return FALSE;
	return rest == 0 || whole == len || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

static WgAllowedIp
allowed_ip(const WgEndpoint *address)
{
	WgAllowedIp ip = {.family = wg_endpoint_family(address)};
	gsize len;
	const guint8 *bytes = wg_endpoint_bytes(address, &len);

	memcpy(ip.addr, bytes, len);
	ip.cidr = (guint8)(len * 8);
	return ip;
}

static gboolean
has_just(const WgPeer *wg, const WgAllowedIp *ip)
{
	const WgAllowedIp *have;
	gsize len = ip->cidr / 8;

	if (wg->allowed_ips->len != 1)
		return FALSE;
	have = &g_array_index(wg->allowed_ips, WgAllowedIp, 0);
	return have->family == ip->family && have->cidr == ip->cidr &&
	       memcmp(have->addr, ip->addr, len) == 0;
}

static void
add_or_change(InnSync *sync, const WgDevice *device, const InnPeer *peer)
{
	const WgPeer *wg = wg_device_find(device, &peer->public_key);
	WgAllowedIp ip = allowed_ip(&peer->address);
	WgPeerChange change = {
		.public_key = peer->public_key,
		.flags = WG_CHANGE_ALLOWED_IPS,
		.n_allowed_ips = 1,
	};

	if (wg != NULL && has_just(wg, &ip))
		return;
	if (wg == NULL)
		change.flags |= WG_CHANGE_CREATE;
	sync->added += wg == NULL;
	sync->changed += wg != NULL;
	g_array_append_val(sync->ips, ip);
	g_array_append_val(sync->changes, change);
}

static void
remove_absent(InnSync *sync, const WgDevice *device, const InnState *state, const WgKey *server_key)
{
	for (guint i = 0; i < device->peers->len; i++) {
		const WgPeer *wg = g_ptr_array_index(device->peers, i);
		const InnPeer *peer = inn_state_find(state, &wg->public_key);
		WgPeerChange change = {.public_key = wg->public_key, .flags = WG_CHANGE_REMOVE};

		if ((peer != NULL && !peer->disabled) || wg_key_equal(&wg->public_key, server_key))
			continue;
		sync->removed++;
		g_array_append_val(sync->changes, change);
	}
}

/* The array of AllowedIPs moves while it grows: pointers into it are set at the end. */
static void
join_ips(InnSync *sync)
{
	guint at = 0;

	for (guint i = 0; i < sync->changes->len; i++) {
		WgPeerChange *change = &g_array_index(sync->changes, WgPeerChange, i);

		if (change->flags & WG_CHANGE_ALLOWED_IPS)
			change->allowed_ips = &g_array_index(sync->ips, WgAllowedIp, at++);
	}
}

static gboolean
is_takeable(const InnPeer *peer, const InnConf *conf)
{
	gboolean server = wg_key_equal(&peer->public_key, &conf->server_key);

	return inn_sync_within(&peer->address, &conf->address, conf->prefix) &&
	       !wg_endpoint_same_address(&peer->address, &conf->address) &&
	       server == wg_endpoint_same_address(&peer->address, &conf->server_internal);
}

void
inn_sync_init(InnSync *sync, const WgDevice *device, const InnState *state, const WgKey *own,
	      const InnConf *conf, guint *strangers)
{
	memset(sync, 0, sizeof *sync);
	sync->changes = g_array_new(FALSE, TRUE, sizeof(WgPeerChange));
	sync->ips = g_array_new(FALSE, TRUE, sizeof(WgAllowedIp));
	*strangers = 0;
	/* who goes makes room: an address may pass from one key to another */
	remove_absent(sync, device, state, &conf->server_key);
	for (guint i = 0; i < state->peers->len; i++) {
		const InnPeer *peer = g_ptr_array_index(state->peers, i);

		if (peer->disabled || !peer->redeemed || wg_key_equal(&peer->public_key, own))
			continue;
		if (!is_takeable(peer, conf)) {
			++*strangers;
			continue;
		}
		add_or_change(sync, device, peer);
	}
	join_ips(sync);
}
