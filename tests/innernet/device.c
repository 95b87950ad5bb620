/* SPDX-License-Identifier: MIT */
#include "device.h"

#include <string.h>

#include "wgctl/wg-ctl.h"

struct Device {
	WgCtl *ctl;
};

Device *
device_new(const char *ifname)
{
	Device *device = g_new0(Device, 1);

	if (ifname != NULL)
		device->ctl = wg_ctl_new(ifname);
	return device;
}

void
device_free(Device *device)
{
	if (device == NULL)
		return;
	wg_ctl_free(device->ctl);
	g_free(device);
}

/* What the original sets for a new peer; FALSE where its key is none. `ip` must outlive it. */
static gboolean
addition(const DbPeer *peer, WgAllowedIp *ip, WgPeerChange *change)
{
	gsize len;
	const guint8 *bytes = wg_endpoint_bytes(&peer->ip, &len);

	memset(change, 0, sizeof *change);
	if (!wg_key_parse(peer->public_key, &change->public_key))
		return FALSE;
	*ip = (WgAllowedIp){.family = wg_endpoint_family(&peer->ip), .cidr = (guint8)(8 * len)};
	memcpy(ip->addr, bytes, len);
	change->flags = WG_CHANGE_CREATE | WG_CHANGE_ALLOWED_IPS | WG_CHANGE_KEEPALIVE;
	change->allowed_ips = ip;
	change->n_allowed_ips = 1;
	change->keepalive = peer->keepalive;
	if (peer->endpoint != NULL && text_endpoint_resolve(peer->endpoint, &change->endpoint))
		change->flags |= WG_CHANGE_ENDPOINT;
	return TRUE;
}

gboolean
device_add(Device *device, const DbPeer *peer, GError **error)
{
	WgPeerChange change;
	WgAllowedIp ip;

	if (device->ctl == NULL || !addition(peer, &ip, &change))
		return TRUE;
	return wg_ctl_apply(device->ctl, &change, 1, error);
}

static gboolean
knows(Device *device, const WgKey *key)
{
	g_autoptr(WgDevice) state = wg_ctl_read(device->ctl, NULL);

	return state != NULL && wg_device_find(state, key) != NULL;
}

gboolean
device_remove(Device *device, const char *public_key, GError **error)
{
	WgPeerChange change = {.flags = WG_CHANGE_REMOVE};

	if (device->ctl == NULL || !wg_key_parse(public_key, &change.public_key) ||
	    !knows(device, &change.public_key))
		return TRUE;
	return wg_ctl_apply(device->ctl, &change, 1, error);
}

gboolean
device_swap(Device *device, const char *old_key, const DbPeer *peer, GError **error)
{
	WgPeerChange changes[2] = {{.flags = WG_CHANGE_REMOVE}};
	WgAllowedIp ip;

	if (device->ctl == NULL || !addition(peer, &ip, &changes[1]))
		return TRUE;
	if (!wg_key_parse(old_key, &changes[0].public_key) ||
	    !knows(device, &changes[0].public_key))
		return wg_ctl_apply(device->ctl, &changes[1], 1, error);
	return wg_ctl_apply(device->ctl, changes, 2, error);
}

gboolean
device_start(Device *device, const Db *db, GError **error)
{
	if (device->ctl == NULL)
		return TRUE;
	if (!wg_ctl_set_device(device->ctl, &db->private_key, &db->port, NULL, error))
		return FALSE;
	for (guint i = 0; i < db->peers->len; i++) {
		const DbPeer *peer = db->peers->pdata[i];
		gboolean ok;

		if (peer->id == DB_SERVER_ID)
			continue;
		ok = peer->is_disabled ? device_remove(device, peer->public_key, error)
				       : device_add(device, peer, error);
		if (!ok)
			return FALSE;
	}
	return TRUE;
}

void
device_sample(Device *device, GHashTable *observed)
{
	g_autoptr(WgDevice) state = device->ctl == NULL ? NULL : wg_ctl_read(device->ctl, NULL);

	for (guint i = 0; state != NULL && i < state->peers->len; i++) {
		const WgPeer *peer = state->peers->pdata[i];
		char key[WG_KEY_STRLEN];

		if (!wg_endpoint_is_set(&peer->endpoint))
			continue;
		g_hash_table_insert(observed, g_strdup(wg_key_format(&peer->public_key, key)),
				    g_memdup2(&peer->endpoint, sizeof peer->endpoint));
	}
}
