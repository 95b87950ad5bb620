/* SPDX-License-Identifier: MIT */
/* What an innernet server says of the network: its way into the store and out of it again, and what
 * the device and the tries of a peer become by it. */
#include <gio/gio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/innernet/inn-beacon.h"
#include "agent/innernet/inn-order.h"
#include "agent/innernet/inn-sync.h"
#include "tests/fuzz/fuzz-check.h"

int LLVMFuzzerTestOneInput(const guint8 *data, size_t size);

static const char *
store_path(void)
{
	static char path[64];

	if (!*path)
		g_snprintf(path, sizeof path, "%s/fuzz-inn-state.%d",
			   g_file_test("/dev/shm", G_FILE_TEST_IS_DIR) ? "/dev/shm" : "/tmp",
			   (int)getpid());
	return path;
}

static void
same_peers(const InnState *a, const InnState *b)
{
	if (a->peers->len != b->peers->len)
		abort();
	for (guint i = 0; i < a->peers->len; i++) {
		const InnPeer *p = g_ptr_array_index(a->peers, i);
		const InnPeer *q = g_ptr_array_index(b->peers, i);

		if (strcmp(p->name, q->name) != 0 || p->disabled != q->disabled || p->id != q->id ||
		    !wg_key_equal(&p->public_key, &q->public_key) ||
		    !wg_endpoint_equal(&p->address, &q->address) ||
		    !wg_endpoint_equal(&p->endpoint, &q->endpoint) ||
		    p->n_candidates != q->n_candidates)
			abort();
	}
}

/* Twice the same: the second time changes nothing. */
static void
try_store(const InnState *state)
{
	g_autoptr(InnState) store = inn_store_load("/nonexistent/store", NULL), again = NULL;
	g_autoptr(InnState) members = NULL;
	g_autoptr(GPtrArray) refused = NULL;
	GError *error = NULL;
	guint known;

	if (!store || !inn_store_update(store, state))
		abort();
	known = store->peers->len;
	if (known != state->peers->len || !inn_store_update(store, state) ||
	    store->peers->len != known)
		abort();
	if (!inn_store_save(store, store_path(), NULL))
		abort();
	again = inn_store_load(store_path(), &error);
	check(again != NULL, error);
	if (!again)
		abort();
	unlink(store_path());
	same_peers(store, again);
	members = inn_store_members(again);
	refused = inn_state_pin(members, store);
	if (refused->len != 0)
		abort();
}

/* The network of a server that gave all addresses in turn to other keys. */
static void
try_pins(const char *text, gsize size, const InnState *state)
{
	g_autoptr(InnState) store = inn_store_load("/nonexistent/store", NULL);
	g_autoptr(InnState) other = inn_state_parse(text, size, NULL);
	g_autoptr(GPtrArray) refused = NULL;

	for (guint i = 0; i < other->peers->len; i++)
		((InnPeer *)g_ptr_array_index(other->peers, i))->public_key.b[i % 32] ^= 1;
	if (!inn_store_update(store, state))
		abort();
	refused = inn_state_pin(other, store);
	if (other->peers->len > state->peers->len || !inn_store_update(store, other))
		abort();
}

static WgDevice *
make_device(const InnState *state)
{
	static const char *const IPS[] = {"10.66.1.2/32", "10.66.0.0/16", "fd00::1/128"};
	WgDevice *device = wg_device_new("wg0");

	for (guint i = 0; i < 3; i++) {
		WgPeer *wg = wg_peer_new();
		WgAllowedIp ip;

		wg->public_key.b[0] = (guint8)(i + 1);
		if (i < state->peers->len)
			wg->public_key =
				((InnPeer *)g_ptr_array_index(state->peers, i))->public_key;
		wg_allowed_ip_parse(IPS[i], &ip);
		g_array_append_val(wg->allowed_ips, ip);
		g_ptr_array_add(device->peers, wg);
	}
	return device;
}

static void
check_change(const WgPeerChange *change, const WgKey *own, const InnConf *conf)
{
	WgEndpoint ip;

	if (change->flags == WG_CHANGE_REMOVE) {
		if (wg_key_equal(&change->public_key, &conf->server_key))
			abort();
		return;
	}
	if (wg_key_equal(&change->public_key, own) || change->n_allowed_ips != 1 ||
	    (change->flags & (WG_CHANGE_ENDPOINT | WG_CHANGE_KEEPALIVE | WG_CHANGE_REPLACE)))
		abort();
	wg_endpoint_from_bytes(&ip, change->allowed_ips[0].addr,
			       change->allowed_ips[0].family == AF_INET ? 4 : 16, 0);
	if (!inn_sync_within(&ip, &conf->address, conf->prefix) ||
	    wg_endpoint_same_address(&ip, &conf->address))
		abort();
}

static void
try_sync(const InnState *state)
{
	g_autoptr(WgDevice) device = make_device(state);
	g_auto(InnSync) sync = {0};
	InnConf conf = {.prefix = 16, .server_key = {{7}}};
	WgKey own = {{9}};
	guint strangers;

	wg_endpoint_parse_address("10.66.1.1", 0, &conf.address);
	wg_endpoint_parse("10.66.0.1:51820", &conf.server_internal);
	if (state->peers->len > 2)
		conf.server_key = ((InnPeer *)g_ptr_array_index(state->peers, 0))->public_key;
	inn_sync_init(&sync, device, state, &own, &conf, &strangers);
	if (sync.added + sync.removed + sync.changed != sync.changes->len)
		abort();
	for (guint i = 0; i < sync.changes->len; i++)
		check_change(&g_array_index(sync.changes, WgPeerChange, i), &own, &conf);
}

static void
try_order(const InnState *state)
{
	g_autoptr(GArray) own = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));
	WgEndpoint ep;

	wg_endpoint_parse("198.51.100.7:4000", &ep);
	g_array_append_val(own, ep);
	for (guint i = 0; i < state->peers->len; i++) {
		g_autoptr(GArray) out = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));
		InnBeacon beacon;
		const InnPeer *peer = g_ptr_array_index(state->peers, i);

		inn_order(peer, own, own, out);
		if (out->len > INN_STATE_CANDIDATES + 2)
			abort();
		for (guint j = 0; j < out->len; j++)
			if (inn_beacon_is(&g_array_index(out, WgEndpoint, j)) ||
			    wg_endpoint_is_bogus(&g_array_index(out, WgEndpoint, j)))
				abort();
		inn_beacon_read(peer->candidates, peer->n_candidates, &beacon);
	}
}

int
LLVMFuzzerTestOneInput(const guint8 *data, size_t size)
{
	const char *text = (const char *)data;
	GError *error = NULL;
	g_autoptr(InnState) state = inn_state_parse(text, size, &error);

	check(state != NULL, error);
	if (!state)
		return 0;
	try_order(state);
	try_sync(state);
	try_pins(text, size, state);
	try_store(state);
	return 0;
}
