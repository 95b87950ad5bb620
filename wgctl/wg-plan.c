/* SPDX-License-Identifier: MIT */
#include "wgctl/wg-plan.h"

static void
clear_entry(gpointer entry)
{
	wg_key_clear(&((WgPlanEntry *)entry)->preshared_key);
}

WgPlan *
wg_plan_new(void)
{
	WgPlan *plan = g_new0(WgPlan, 1);

	plan->entries = g_array_new(FALSE, TRUE, sizeof(WgPlanEntry));
	g_array_set_clear_func(plan->entries, clear_entry);
	return plan;
}

void
wg_plan_free(WgPlan *plan)
{
	if (!plan)
		return;
	g_array_unref(plan->entries);
	g_free(plan);
}

/* Whether the peer of changes[i] is there once all changes before it are done. */
static gboolean
is_present(const WgDevice *dev, const WgPeerChange *changes, gsize i)
{
	for (gsize j = i; j-- > 0;)
		if (wg_key_compare(&changes[j].public_key, &changes[i].public_key) == 0)
			return !(changes[j].flags & WG_CHANGE_REMOVE);
	return wg_device_find(dev, &changes[i].public_key) != NULL;
}

static gboolean
is_possible(const WgDevice *dev, const WgPeerChange *changes, gsize i, GError **error)
{
	const WgPeerChange *change = &changes[i];
	char key[WG_KEY_STRLEN];

	if (!(change->flags & WG_CHANGE_CREATE) && !is_present(dev, changes, i)) {
		g_set_error(error, WG_ERROR, WG_ERROR_NO_PEER,
			    "%s has no peer %s: check the key with 'wgctl show %s'", dev->name,
			    wg_key_format(&change->public_key, key), dev->name);
		return FALSE;
	}
	/* WireGuard can move an endpoint, but only a new peer has none. */
	if (change->flags & WG_CHANGE_ENDPOINT && !wg_endpoint_is_set(&change->endpoint) &&
	    !(change->flags & (WG_CHANGE_REPLACE | WG_CHANGE_REMOVE))) {
		g_set_error(error, WG_ERROR, WG_ERROR_FAILED,
			    "the endpoint of peer %s on %s can't be cleared: replace the peer",
			    wg_key_format(&change->public_key, key), dev->name);
		return FALSE;
	}
	return TRUE;
}

static void
add_remove(WgPlan *plan, const WgKey *key, gboolean join_next)
{
	WgPlanEntry entry = {.public_key = *key, .flags = WG_ENTRY_REMOVE};

	if (join_next)
		entry.flags |= WG_ENTRY_JOIN_NEXT;
	g_array_append_val(plan->entries, entry);
}

static WgPlanEntry
entry_of_change(const WgPeerChange *change)
{
	WgPlanEntry entry = {.public_key = change->public_key};

	if (!(change->flags & WG_CHANGE_CREATE))
		entry.flags |= WG_ENTRY_UPDATE_ONLY;
	if (change->flags & WG_CHANGE_ENDPOINT && wg_endpoint_is_set(&change->endpoint)) {
		entry.flags |= WG_ENTRY_ENDPOINT;
		entry.endpoint = change->endpoint;
	}
	if (change->flags & WG_CHANGE_KEEPALIVE) {
		entry.flags |= WG_ENTRY_KEEPALIVE;
		entry.keepalive = change->keepalive;
	}
	if (change->flags & WG_CHANGE_PSK) {
		entry.flags |= WG_ENTRY_PSK;
		entry.preshared_key = change->preshared_key;
	}
	if (change->flags & WG_CHANGE_ALLOWED_IPS) {
		entry.flags |= WG_ENTRY_REPLACE_ALLOWED_IPS;
		entry.allowed_ips = change->allowed_ips;
		entry.n_allowed_ips = change->n_allowed_ips;
	}
	return entry;
}

/* REARM without a keepalive of its own arms the one that is set. */
static guint16
rearm_keepalive(const WgPeer *old, const WgPeerChange *change)
{
	if (!old || change->keepalive != 0 || change->flags & WG_CHANGE_KEEPALIVE)
		return change->keepalive;
	return old->keepalive;
}

/* What the change leaves open, the new peer takes from the one it replaces. */
static void
add_replace(WgPlan *plan, const WgPeer *old, const WgPeerChange *change)
{
	WgPlanEntry entry = entry_of_change(change);

	entry.flags &= ~WG_ENTRY_UPDATE_ONLY;
	if (old) {
		add_remove(plan, &old->public_key, TRUE);
		if (!(change->flags & WG_CHANGE_ENDPOINT) && wg_endpoint_is_set(&old->endpoint)) {
			entry.flags |= WG_ENTRY_ENDPOINT;
			entry.endpoint = old->endpoint;
		}
		if (!(change->flags & (WG_CHANGE_KEEPALIVE | WG_CHANGE_REARM))) {
			entry.flags |= WG_ENTRY_KEEPALIVE;
			entry.keepalive = old->keepalive;
		}
		if (!(change->flags & WG_CHANGE_PSK) && !wg_key_is_zero(&old->preshared_key)) {
			entry.flags |= WG_ENTRY_PSK;
			entry.preshared_key = old->preshared_key;
		}
		if (!(change->flags & WG_CHANGE_ALLOWED_IPS)) {
			entry.flags |= WG_ENTRY_REPLACE_ALLOWED_IPS;
			entry.allowed_ips = (const WgAllowedIp *)old->allowed_ips->data;
			entry.n_allowed_ips = old->allowed_ips->len;
		}
	}
	/* A new peer's keepalive goes from 0 to n by itself: no REARM needed. */
	if (change->flags & WG_CHANGE_REARM) {
		entry.flags |= WG_ENTRY_KEEPALIVE;
		entry.keepalive = rearm_keepalive(old, change);
	}
	g_array_append_val(plan->entries, entry);
	clear_entry(&entry);
}

/* A keepalive is sent only when the interval goes from 0 to n, so n alone is not enough
 * (DESIGN §3). The endpoint goes with the first entry: the packet must leave on the new path. */
static void
add_rearm(WgPlan *plan, const WgPeer *old, const WgPeerChange *change)
{
	WgPlanEntry entry = entry_of_change(change);
	WgPlanEntry arm = {
		.public_key = change->public_key,
		.flags = WG_ENTRY_KEEPALIVE | WG_ENTRY_UPDATE_ONLY,
		.keepalive = rearm_keepalive(old, change),
	};

	entry.flags |= WG_ENTRY_KEEPALIVE | WG_ENTRY_JOIN_NEXT;
	entry.keepalive = 0;
	g_array_append_val(plan->entries, entry);
	g_array_append_val(plan->entries, arm);
	clear_entry(&entry);
}

static void
add_change(WgPlan *plan, const WgDevice *dev, const WgPeerChange *change)
{
	const WgPeer *old = wg_device_find(dev, &change->public_key);
	WgPlanEntry entry;

	if (change->flags & WG_CHANGE_REMOVE) {
		add_remove(plan, &change->public_key, FALSE);
	} else if (change->flags & WG_CHANGE_REPLACE) {
		add_replace(plan, old, change);
	} else if (change->flags & WG_CHANGE_REARM) {
		add_rearm(plan, old, change);
	} else {
		entry = entry_of_change(change);
		g_array_append_val(plan->entries, entry);
		clear_entry(&entry);
	}
}

WgPlan *
wg_plan_new_changes(const WgDevice *dev, const WgPeerChange *changes, gsize n, GError **error)
{
	g_autoptr(WgPlan) plan = wg_plan_new();

	for (gsize i = 0; i < n; i++) {
		if (!is_possible(dev, changes, i, error))
			return NULL;
		add_change(plan, dev, &changes[i]);
	}
	return g_steal_pointer(&plan);
}
