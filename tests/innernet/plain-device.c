/* SPDX-License-Identifier: MIT */
#include "plain.h"

#include <string.h>

gboolean
plain_is_connected(const WgPeer *peer)
{
	gint64 age = g_get_real_time() / G_USEC_PER_SEC - peer->last_handshake_s;

	return peer->last_handshake_s != 0 && age >= 0 && age <= PLAIN_CONNECTED_S;
}

static WgAllowedIp
allowed_ip(const WgEndpoint *address)
{
	gsize len;
	const guint8 *bytes = wg_endpoint_bytes(address, &len);
	WgAllowedIp ip = {.family = wg_endpoint_family(address), .cidr = (guint8)(8 * len)};

	memcpy(ip.addr, bytes, len);
	return ip;
}

gboolean
plain_device_up(WgCtl *ctl, const PlainConf *conf, gboolean *made, GError **error)
{
	g_autoptr(WgDevice) device = wg_ctl_read(ctl, error);
	WgAllowedIp ip = allowed_ip(&conf->internal_endpoint);
	WgPeerChange server = {.public_key = conf->server_key,
			       .flags = WG_CHANGE_CREATE | WG_CHANGE_ALLOWED_IPS |
					WG_CHANGE_KEEPALIVE | WG_CHANGE_ENDPOINT,
			       .keepalive = DB_KEEPALIVE_S,
			       .allowed_ips = &ip,
			       .n_allowed_ips = 1};

	*made = FALSE;
	if (device == NULL)
		return FALSE;
	if (wg_key_equal(&device->private_key, &conf->private_key))
		return TRUE;
	*made = TRUE;
	if (!text_endpoint_resolve(conf->external_endpoint, &server.endpoint)) {
		g_set_error(error, DB_ERROR, 500, "%s can't be resolved", conf->external_endpoint);
		return FALSE;
	}
	return wg_ctl_set_device(ctl, &conf->private_key,
				 conf->listen_port == 0 ? NULL : &conf->listen_port, NULL, error) &&
	       wg_ctl_apply(ctl, &server, 1, error);
}

typedef struct {
	GArray *changes; /* of WgPeerChange */
	GPtrArray *ips;	 /* of WgAllowedIp, for them */
	GPtrArray *modified;
} Diff;

static gboolean
has_only(const WgPeer *peer, const WgAllowedIp *ip)
{
	const WgAllowedIp *first = (const WgAllowedIp *)(gpointer)peer->allowed_ips->data;

	return peer->allowed_ips->len == 1 && first->family == ip->family &&
	       first->cidr == ip->cidr && memcmp(first->addr, ip->addr, ip->cidr / 8) == 0;
}

/* A peer that is connected keeps its endpoint. */
static gboolean
diff_endpoint(const WgPeer *old, const DbPeer *peer, WgPeerChange *change)
{
	WgEndpoint wanted;

	if (old != NULL && plain_is_connected(old))
		return FALSE;
	if (peer->endpoint != NULL && text_endpoint_resolve(peer->endpoint, &wanted) &&
	    (old == NULL || !wg_endpoint_equal(&old->endpoint, &wanted))) {
		change->flags |= WG_CHANGE_ENDPOINT;
		change->endpoint = wanted;
		return TRUE;
	}
	return peer->candidates->len > 0;
}

static void
diff_peer(Diff *diff, const WgPeer *old, DbPeer *peer)
{
	WgAllowedIp ip = allowed_ip(&peer->ip);
	WgPeerChange change = {.flags = WG_CHANGE_CREATE};
	gboolean differs = FALSE;

	wg_key_parse(peer->public_key, &change.public_key);
	if (old == NULL || !has_only(old, &ip)) {
		g_ptr_array_add(diff->ips, g_memdup2(&ip, sizeof ip));
		change.flags |= WG_CHANGE_ALLOWED_IPS;
		change.allowed_ips = diff->ips->pdata[diff->ips->len - 1];
		change.n_allowed_ips = 1;
		differs = TRUE;
	}
	if (old == NULL || old->keepalive != peer->keepalive) {
		change.flags |= WG_CHANGE_KEEPALIVE;
		change.keepalive = peer->keepalive;
		differs = TRUE;
	}
	if (diff_endpoint(old, peer, &change))
		differs = TRUE;
	if (!differs)
		return;
	g_ptr_array_add(diff->modified, peer);
	if (change.flags != WG_CHANGE_CREATE)
		g_array_append_val(diff->changes, change);
}

static void
diff_removed(Diff *diff, const WgDevice *device, const PlainState *state)
{
	for (guint i = 0; i < device->peers->len; i++) {
		const WgPeer *old = device->peers->pdata[i];
		WgPeerChange change = {.public_key = old->public_key, .flags = WG_CHANGE_REMOVE};
		char text[WG_KEY_STRLEN];
		gboolean found = FALSE;

		wg_key_format(&old->public_key, text);
		for (guint j = 0; !found && j < state->peers->len; j++)
			found = strcmp(((DbPeer *)state->peers->pdata[j])->public_key, text) == 0;
		if (!found)
			g_array_append_val(diff->changes, change);
	}
}

GPtrArray *
plain_device_update(WgCtl *ctl, const PlainState *state, GError **error)
{
	g_autoptr(WgDevice) device = wg_ctl_read(ctl, error);
	g_autoptr(GArray) changes = g_array_new(FALSE, FALSE, sizeof(WgPeerChange));
	g_autoptr(GPtrArray) ips = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GPtrArray) modified = g_ptr_array_new();
	Diff diff = {changes, ips, modified};

	if (device == NULL)
		return NULL;
	for (guint i = 0; i < state->peers->len; i++) {
		DbPeer *peer = state->peers->pdata[i];
		WgKey key;

		if (!peer->is_disabled && wg_key_parse(peer->public_key, &key) &&
		    !wg_key_equal(&key, &device->public_key))
			diff_peer(&diff, wg_device_find(device, &key), peer);
	}
	diff_removed(&diff, device, state);
	if (changes->len > 0 &&
	    !wg_ctl_apply(ctl, (const WgPeerChange *)(gpointer)changes->data, changes->len, error))
		return NULL;
	return g_steal_pointer(&modified);
}

/* What is still to be tried for a peer, the first of all last. */
typedef struct {
	WgKey key;
	GPtrArray *endpoints; /* of char * */
} Trial;

static void
trial_free(gpointer data)
{
	Trial *trial = data;

	g_ptr_array_unref(trial->endpoints);
	g_free(trial);
}

/* The endpoint, which is tried last and so stays, is not tried twice. */
static Trial *
trial_new(const DbPeer *peer)
{
	Trial *trial = g_new0(Trial, 1);

	wg_key_parse(peer->public_key, &trial->key);
	trial->endpoints = g_ptr_array_new_with_free_func(g_free);
	if (peer->endpoint != NULL)
		g_ptr_array_add(trial->endpoints, g_strdup(peer->endpoint));
	for (guint i = 0; i < MIN(peer->candidates->len, PLAIN_CANDIDATES_TRIED); i++)
		if (g_strcmp0(peer->candidates->pdata[i], peer->endpoint) != 0)
			g_ptr_array_add(trial->endpoints, g_strdup(peer->candidates->pdata[i]));
	return trial;
}

/* Without those that are connected, gone, or have nothing left. */
static gboolean
refresh(WgCtl *ctl, GPtrArray *trials, GError **error)
{
	g_autoptr(WgDevice) device = wg_ctl_read(ctl, error);

	if (device == NULL)
		return FALSE;
	for (guint i = trials->len; i-- > 0;) {
		const Trial *trial = trials->pdata[i];
		const WgPeer *peer = wg_device_find(device, &trial->key);

		if (peer == NULL || plain_is_connected(peer) || trial->endpoints->len == 0)
			g_ptr_array_remove_index(trials, i);
	}
	return TRUE;
}

static gboolean
try_next(WgCtl *ctl, GPtrArray *trials, GError **error)
{
	g_autoptr(GArray) changes = g_array_new(FALSE, FALSE, sizeof(WgPeerChange));

	for (guint i = 0; i < trials->len; i++) {
		Trial *trial = trials->pdata[i];
		WgPeerChange change = {.public_key = trial->key, .flags = WG_CHANGE_ENDPOINT};
		g_autofree char *endpoint =
			g_ptr_array_steal_index(trial->endpoints, trial->endpoints->len - 1);

		if (!text_endpoint_resolve(endpoint, &change.endpoint))
			continue;
		g_print("trying %s\n", endpoint);
		g_array_append_val(changes, change);
	}
	return changes->len == 0 || wg_ctl_apply(ctl, (const WgPeerChange *)(gpointer)changes->data,
						 changes->len, error);
}

static gboolean
step(WgCtl *ctl, GPtrArray *trials, GError **error)
{
	gint64 end;

	if (!refresh(ctl, trials, error) || !try_next(ctl, trials, error))
		return FALSE;
	end = g_get_monotonic_time() + PLAIN_STEP_US;
	while (g_get_monotonic_time() < end) {
		if (!refresh(ctl, trials, error))
			return FALSE;
		if (trials->len == 0)
			break;
		g_usleep(G_USEC_PER_SEC / 10);
	}
	return TRUE;
}

gboolean
plain_traverse(WgCtl *ctl, const PlainConf *conf, GPtrArray *modified, gint64 updated_us,
	       GError **error)
{
	g_autoptr(GPtrArray) trials = g_ptr_array_new_with_free_func(trial_free);
	gint64 wait;

	for (guint i = 0; i < modified->len; i++) {
		const DbPeer *peer = modified->pdata[i];
		char ip[WG_ENDPOINT_STRLEN];

		wg_endpoint_format_address(&peer->ip, ip);
		if (!g_hash_table_contains(conf->overrides, ip))
			g_ptr_array_add(trials, trial_new(peer));
	}
	if (!refresh(ctl, trials, error))
		return FALSE;
	wait = updated_us + PLAIN_STEP_US - g_get_monotonic_time();
	if (trials->len > 0 && wait < 0) {
		/* The original's subtraction overflows here, which ends it. */
		g_set_error_literal(error, DB_ERROR, 500, "reporting took longer than a step");
		return FALSE;
	}
	if (trials->len > 0)
		g_usleep((gulong)wait);
	while (trials->len > 0)
		if (!step(ctl, trials, error))
			return FALSE;
	return TRUE;
}
