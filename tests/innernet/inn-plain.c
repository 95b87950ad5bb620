/* SPDX-License-Identifier: MIT */
/*
 * inn-plain: what `innernet up IF --daemon` does to a host, by the same rules and with the same
 * waits, restarted after 10 s when it fails, as by its unit; and what `innernet show` prints. The
 * interface, its address and routes are there already.
 */
#include "local.h"
#include "plain.h"

#include <gio/gio.h>
#include <stdio.h>
#include <string.h>

#define RESTART_US (10 * G_USEC_PER_SEC)

typedef struct {
	const char *ifname;
	char *conf_path, *store_path;
	gint interval_s;
	gboolean no_traversal, no_candidates, once;
	WgCtl *ctl;
} Plain;

/* The server's state, or, where it does not answer at all, the store's. */
static PlainState *
fetch_state(const Plain *plain, const PlainConf *conf, const PlainState *store, gboolean *reached,
	    GError **error)
{
	g_autofree char *body = NULL;
	g_autoptr(GError) local = NULL;
	g_autoptr(PlainState) copy = NULL;
	gint status = plain_http(conf, "GET", "/user/state", NULL, &body, &local);

	*reached = status > 0;
	if (status == 200)
		return plain_state_parse(body, error);
	if (status > 0)
		g_set_error(error, DB_ERROR, status, "the server answers %d", status);
	else if (status < 0 || store->peers->len == 0)
		g_propagate_error(error, g_steal_pointer(&local));
	if (status != 0 || store->peers->len == 0)
		return NULL;
	g_print("no answer (%s): going on with what is stored\n", local->message);
	copy = plain_state_new();
	return plain_store_update(copy, store, error) ? g_steal_pointer(&copy) : NULL;
}

static void
override(const PlainConf *conf, PlainState *state)
{
	for (guint i = 0; i < state->peers->len; i++) {
		DbPeer *peer = state->peers->pdata[i];
		char ip[WG_ENDPOINT_STRLEN];
		const char *endpoint = g_hash_table_lookup(
			conf->overrides, wg_endpoint_format_address(&peer->ip, ip));

		if (endpoint == NULL)
			continue;
		g_free(peer->endpoint);
		peer->endpoint = g_strdup(endpoint);
	}
}

static gboolean
report(const Plain *plain, const PlainConf *conf, GError **error)
{
	g_autoptr(WgDevice) device = wg_ctl_read(plain->ctl, error);
	g_autoptr(GPtrArray) list = NULL;
	g_autofree char *items = NULL, *json = NULL, *body = NULL;
	gint status;

	if (device == NULL)
		return FALSE;
	list = local_candidates(device->listen_port);
	if (plain->no_candidates)
		g_ptr_array_set_size(list, 0);
	g_ptr_array_add(list, NULL);
	items = g_strjoinv("\",\"", (char **)list->pdata);
	json = list->len == 1 ? g_strdup("[]") : g_strdup_printf("[\"%s\"]", items);
	status = plain_http(conf, "PUT", "/user/candidates", json, &body, error);
	if (status > 0 && status != 404 && status / 100 != 2)
		g_set_error(error, DB_ERROR, status, "candidates: the server answers %d", status);
	return status / 100 == 2 || status == 404;
}

static gboolean
fetch(const Plain *plain, GError **error)
{
	g_autoptr(PlainConf) conf = plain_conf_load(plain->conf_path, error);
	g_autoptr(PlainState) store = NULL, state = NULL;
	g_autoptr(GPtrArray) modified = NULL;
	gboolean made, reached;
	gint64 updated_us;

	if (conf == NULL || !plain_device_up(plain->ctl, conf, &made, error))
		return FALSE;
	store = plain_store_load(plain->store_path, NULL);
	if (store == NULL)
		store = plain_state_new();
	state = fetch_state(plain, conf, store, &reached, error);
	if (state == NULL)
		return FALSE;
	override(conf, state);
	modified = plain_device_update(plain->ctl, state, error);
	if (modified == NULL)
		return FALSE;
	updated_us = g_get_monotonic_time();
	if (!plain_store_update(store, state, error) ||
	    !plain_store_save(plain->store_path, store, error))
		return FALSE;
	g_print("fetched: %u peers, %u of them to connect or changed\n", state->peers->len,
		modified->len);
	if (reached && !report(plain, conf, error))
		return FALSE;
	return plain->no_traversal || plain_traverse(plain->ctl, conf, modified, updated_us, error);
}

static int
up(Plain *plain)
{
	for (;;) {
		g_autoptr(GError) error = NULL;
		gboolean ok = fetch(plain, &error);

		if (!ok)
			g_print("failed: %s\n", error->message);
		if (plain->once)
			return ok ? 0 : 1;
		g_usleep(ok ? (gulong)plain->interval_s * G_USEC_PER_SEC : RESTART_US);
	}
}

static const DbPeer *
stored_peer(const PlainState *store, const WgKey *key)
{
	char text[WG_KEY_STRLEN];

	wg_key_format(key, text);
	for (guint i = 0; i < store->peers->len; i++) {
		const DbPeer *peer = store->peers->pdata[i];

		if (strcmp(peer->public_key, text) == 0)
			return peer;
	}
	return NULL;
}

static void
show_peer(const DbPeer *peer, const WgPeer *of_device)
{
	char text[WG_ENDPOINT_STRLEN];

	g_print("  peer: %s (%.10s…)\n    ip: %s\n", peer->name, peer->public_key,
		wg_endpoint_format_address(&peer->ip, text));
	if (of_device == NULL)
		return;
	if (wg_endpoint_is_set(&of_device->endpoint))
		g_print("    endpoint: %s\n", wg_endpoint_format(&of_device->endpoint, text));
	if (of_device->last_handshake_s != 0)
		g_print("    last handshake: %" G_GINT64_FORMAT " s ago\n",
			g_get_real_time() / G_USEC_PER_SEC - of_device->last_handshake_s);
}

static gboolean
show_device(const WgDevice *device, const PlainState *store, GError **error)
{
	const DbPeer *self = stored_peer(store, &device->public_key);

	if (self == NULL) {
		g_set_error_literal(error, DB_ERROR, 500, "this host is not in the store");
		return FALSE;
	}
	for (guint i = 0; i < device->peers->len; i++) {
		const WgPeer *peer = device->peers->pdata[i];
		const DbPeer *known = stored_peer(store, &peer->public_key);
		char text[WG_KEY_STRLEN];

		if (known != NULL) {
			show_peer(known, peer);
			continue;
		}
		g_set_error(error, DB_ERROR, 500, "peer %s is not in the store",
			    wg_key_format(&peer->public_key, text));
		return FALSE;
	}
	show_peer(self, NULL);
	return TRUE;
}

static int
show(const Plain *plain)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(PlainState) store = plain_store_load(plain->store_path, &error);
	g_autoptr(WgDevice) device = store == NULL ? NULL : wg_ctl_read(plain->ctl, &error);
	g_autoptr(PlainConf) conf =
		device == NULL ? NULL : plain_conf_load(plain->conf_path, &error);

	if (conf != NULL) {
		g_print("network: %s\n  listening port: %u\n", plain->ifname, device->listen_port);
		if (show_device(device, store, &error))
			return 0;
	}
	g_printerr("inn-plain: %s\n",
		   error == NULL ? "no innernet network is running" : error->message);
	return 1;
}

int
main(int argc, char **argv)
{
	g_autofree char *conf_dir = NULL, *data_dir = NULL, *file = NULL, *json = NULL;
	Plain plain = {.interval_s = 60};
	GOptionEntry entries[] = {
		{"config-dir", 0, 0, G_OPTION_ARG_FILENAME, &conf_dir, "IF.conf is there", "DIR"},
		{"data-dir", 0, 0, G_OPTION_ARG_FILENAME, &data_dir, "IF.json is there", "DIR"},
		{"interval", 0, 0, G_OPTION_ARG_INT, &plain.interval_s, "between fetches",
		 "SECONDS"},
		{"once", 0, 0, G_OPTION_ARG_NONE, &plain.once, "one fetch", NULL},
		{"no-nat-traversal", 0, 0, G_OPTION_ARG_NONE, &plain.no_traversal,
		 "try no candidates", NULL},
		{"no-nat-candidates", 0, 0, G_OPTION_ARG_NONE, &plain.no_candidates, "report none",
		 NULL},
		{0}};
	g_autoptr(GOptionContext) context = g_option_context_new("up|show IF");
	g_autoptr(GError) error = NULL;
	int status;

	g_option_context_add_main_entries(context, entries, NULL);
	if (!g_option_context_parse(context, &argc, &argv, &error) || argc != 3 ||
	    conf_dir == NULL || data_dir == NULL ||
	    (strcmp(argv[1], "up") != 0 && strcmp(argv[1], "show") != 0)) {
		g_printerr("inn-plain: %s\n", error != NULL ? error->message
							    : "up|show IF, --config-dir and "
							      "--data-dir are needed (--help)");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	file = g_strconcat(argv[2], ".conf", NULL);
	json = g_strconcat(argv[2], ".json", NULL);
	plain.ifname = argv[2];
	plain.conf_path = g_build_filename(conf_dir, file, NULL);
	plain.store_path = g_build_filename(data_dir, json, NULL);
	plain.ctl = wg_ctl_new(argv[2]);
	status = strcmp(argv[1], "show") == 0 ? show(&plain) : up(&plain);
	wg_ctl_free(plain.ctl);
	g_free(plain.conf_path);
	g_free(plain.store_path);
	return status;
}
