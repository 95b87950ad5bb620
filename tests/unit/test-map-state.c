/* SPDX-License-Identifier: MIT */
/* What the state directory remembers of mappings. */
#include "agent/portmap/map-state.h"

#include <glib/gstdio.h>
#include <string.h>

#include "tests/unit/net-util.h"

typedef struct {
	char *dir;
	WgKey key;
	MapEntry entry;
} World;

static void
set_up(World *w, gconstpointer data)
{
	w->dir = g_dir_make_tmp("map-state-XXXXXX", NULL);
	w->key.b[0] = 7;
	w->entry.place = (MapPlace){.gateway = net_ep("192.168.1.1"),
				    .own = net_ep("192.168.1.2:51820"),
				    .ifindex = 3,
				    .fwmark = 0xffffffff};
	w->entry.grant = (MapGrant){.protocol = MAP_UPNP,
				    .external = net_ep("20.30.40.50:40000"),
				    .lifetime_s = 3600,
				    .at_us = g_get_monotonic_time(),
				    .nonce = {1, 2, 0xab, 4, 5, 6, 7, 8, 9, 10, 11, 0xff},
				    .control_port = 5000,
				    .control_path = "/ctl/IPConn"};
	g_strlcpy(w->entry.grant.service, "urn:x", sizeof w->entry.grant.service);
}

static void
tear_down(World *w, gconstpointer data)
{
	g_auto(GStrv) names = map_state_list(w->dir);

	for (guint i = 0; names[i]; i++) {
		g_autofree char *path = g_build_filename(w->dir, names[i], NULL);

		g_remove(path);
	}
	g_assert_cmpint(g_rmdir(w->dir), ==, 0);
	g_free(w->dir);
}

/* There is one, or none; what it is. */
static gboolean
get(const MapState *state, MapEntry *out)
{
	g_autoptr(GArray) entries = map_state_entries(state);

	g_assert_cmpuint(entries->len, <=, 1);
	if (entries->len == 1)
		*out = g_array_index(entries, MapEntry, 0);
	return entries->len == 1;
}

static guint
count(const MapState *state)
{
	g_autoptr(GArray) entries = map_state_entries(state);

	return entries->len;
}

static void
test_round(World *w, gconstpointer data)
{
	g_autoptr(MapState) state = map_state_new(w->dir, &w->key, "wg0");
	g_autoptr(MapState) again = NULL;
	g_autofree char *name = NULL;
	g_auto(GStrv) names = NULL;
	const MapGrant *grant;
	MapEntry entry;

	g_assert_false(get(state, &entry));
	w->entry.owed = w->entry.grant.unsure = data != NULL;
	map_state_put(state, &w->entry);
	names = map_state_list(w->dir);
	g_assert_cmpuint(g_strv_length(names), ==, 1);
	again = map_state_open(w->dir, names[0]);
	name = map_state_interface(again);
	g_assert_cmpstr(name, ==, "wg0");
	g_assert_true(get(again, &entry));
	g_assert_true(map_entry_same_mapping(&entry, &w->entry));
	g_assert_cmpint(entry.owed, ==, w->entry.owed);
	g_assert_cmpuint(entry.place.fwmark, ==, 0xffffffff);
	grant = &entry.grant;
	g_assert_cmpmem(grant->nonce, MAP_NONCE_LEN, w->entry.grant.nonce, MAP_NONCE_LEN);
	g_assert_cmpint(grant->protocol, ==, MAP_UPNP);
	g_assert_cmpint(grant->unsure, ==, w->entry.grant.unsure);
	g_assert_cmpuint(grant->lifetime_s, >, 3000);
	g_assert_cmpuint(grant->control_port, ==, 5000);
	g_assert_cmpstr(grant->control_path, ==, "/ctl/IPConn");
	g_assert_cmpstr(grant->service, ==, "urn:x");
	map_state_drop(again, &entry);
	g_strfreev(names);
	names = map_state_list(w->dir);
	g_assert_cmpuint(g_strv_length(names), ==, 0);
}

/* Each gateway, family and outside port has its own; the same mapping again is the same entry. */
static void
test_several(World *w, gconstpointer data)
{
	g_autoptr(MapState) state = map_state_new(w->dir, &w->key, "wg0");
	MapEntry other = w->entry, v6 = w->entry, port = w->entry, pcp = w->entry;

	other.place.gateway = net_ep("192.168.3.1");
	v6.place.gateway = net_ep("[fe80::1%1]:0");
	v6.place.own = net_ep("[2001:db8::1]:51820");
	v6.grant.external = v6.place.own;
	v6.grant.protocol = MAP_PCP;
	wg_endpoint_set_port(&port.grant.external, 40001);
	pcp.grant.protocol = MAP_PCP;
	map_state_put(state, &w->entry);
	map_state_put(state, &other);
	map_state_put(state, &v6);
	map_state_put(state, &port);
	map_state_put(state, &pcp);
	g_assert_cmpuint(count(state), ==, 5);
	wg_endpoint_set_port(&pcp.grant.external, 40002);
	pcp.owed = TRUE;
	map_state_put(state, &pcp);
	g_assert_cmpuint(count(state), ==, 5);
	g_assert_true(map_state_is_owed(state, &pcp));
	map_state_drop(state, &w->entry);
	g_assert_cmpuint(count(state), ==, 4);
	g_assert_false(map_state_is_owed(state, &w->entry));
}

/* Two at one file do not undo each other's work. */
static void
test_two(World *w, gconstpointer data)
{
	g_autoptr(MapState) one = map_state_new(w->dir, &w->key, "wg0");
	g_autoptr(MapState) two = map_state_new(w->dir, &w->key, "wg0");
	MapEntry other = w->entry;

	other.place.gateway = net_ep("192.168.3.1");
	other.owed = TRUE;
	map_state_put(one, &w->entry);
	map_state_put(two, &other);
	g_assert_cmpuint(count(two), ==, 2);
	g_assert_true(map_state_is_owed(one, &other));
	map_state_drop(one, &w->entry);
	map_state_drop(two, &other);
	g_assert_cmpuint(count(two), ==, 0);
}

/* It does not grow without end: what is owed the longest goes, what is held does not. */
static void
test_full(World *w, gconstpointer data)
{
	g_autoptr(MapState) state = map_state_new(w->dir, &w->key, "wg0");
	MapEntry owed = w->entry;

	map_state_put(state, &w->entry);
	owed.owed = TRUE;
	for (guint16 port = 1; port < 100; port++) {
		wg_endpoint_set_port(&owed.grant.external, port);
		map_state_put(state, &owed);
	}
	g_assert_cmpuint(count(state), ==, MAP_STATE_MAX);
	g_assert_true(map_state_is_owed(state, &owed));
	wg_endpoint_set_port(&owed.grant.external, 1);
	g_assert_false(map_state_is_owed(state, &owed));
	map_state_drop(state, &w->entry);
	g_assert_cmpuint(count(state), ==, MAP_STATE_MAX - 1);
}

/* What may not be there at all goes first, then what ends by itself; what is there for ever is kept
 * the longest. */
static void
test_full_order(World *w, gconstpointer data)
{
	g_autoptr(MapState) state = map_state_new(w->dir, &w->key, "wg0");
	MapEntry finite = w->entry, unsure = w->entry, endless = w->entry;

	finite.owed = unsure.owed = endless.owed = unsure.grant.unsure = TRUE;
	endless.grant.lifetime_s = 0;
	wg_endpoint_set_port(&endless.grant.external, 1);
	map_state_put(state, &endless);
	wg_endpoint_set_port(&finite.grant.external, 2);
	map_state_put(state, &finite);
	for (guint16 port = 100; port < 200; port++) {
		wg_endpoint_set_port(&unsure.grant.external, port);
		map_state_put(state, &unsure);
	}
	g_assert_true(map_state_is_owed(state, &endless));
	g_assert_true(map_state_is_owed(state, &finite));
	for (guint16 port = 200; port < 200 + MAP_STATE_MAX; port++) {
		wg_endpoint_set_port(&finite.grant.external, port);
		map_state_put(state, &finite);
	}
	g_assert_true(map_state_is_owed(state, &endless));
	g_assert_true(map_state_is_owed(state, &finite));
	g_assert_false(map_state_is_owed(state, &unsure));
	g_assert_cmpuint(count(state), ==, MAP_STATE_MAX);
}

/* What 0.1 has written, a group for each family. */
static void
test_old(World *w, gconstpointer data)
{
	g_autofree char *path = g_build_filename(w->dir, "portmap-0700000000000000.conf", NULL);
	g_autoptr(MapState) state = NULL;
	MapEntry entry;

	g_assert_true(g_file_set_contents(
		path,
		"[ipv4]\ninterface=wg0\nprotocol=pcp\ngateway=192.168.1.1:0\n"
		"own=192.168.1.2:51820\nexternal=20.30.40.50:51820\nfwmark=0\nifindex=2\n"
		"granted=1\nlifetime=10\nnonce=000102030405060708090a0b\ncontrol_port=0\n",
		-1, NULL));
	state = map_state_new(w->dir, &w->key, "wg0");
	g_assert_true(get(state, &entry));
	g_assert_false(entry.owed);
	g_assert_true(map_entry_is_over(&entry, g_get_monotonic_time()));
	map_state_drop(state, &entry);
	g_assert_cmpuint(count(state), ==, 0);
}

static void
with(World *w, const char *key, const char *value, gboolean ok, guint32 lifetime_s)
{
	g_autoptr(MapState) state = map_state_new(w->dir, &w->key, "wg0");
	g_autoptr(MapState) again = NULL;
	g_autoptr(GKeyFile) keys = g_key_file_new();
	g_auto(GStrv) names = NULL;
	g_autofree char *path = NULL;
	MapEntry entry;

	g_test_message("%s=%s", key, value);
	map_state_put(state, &w->entry);
	names = map_state_list(w->dir);
	path = g_build_filename(w->dir, names[0], NULL);
	g_assert_true(g_key_file_load_from_file(keys, path, G_KEY_FILE_NONE, NULL));
	g_key_file_set_string(keys, "mapping 1", key, value);
	g_assert_true(g_key_file_save_to_file(keys, path, NULL));
	again = map_state_open(w->dir, names[0]);
	g_assert_cmpint(get(again, &entry), ==, ok);
	if (ok)
		g_assert_cmpuint(entry.grant.lifetime_s, ==, lifetime_s);
	g_assert_cmpint(g_remove(path), ==, 0);
}

static void
test_odd(World *w, gconstpointer data)
{
	with(w, "protocol", "carrier pigeon", FALSE, 0);
	with(w, "gateway", "fe80::1", FALSE, 0);
	with(w, "external", "", FALSE, 0);
	with(w, "own", "[2001:db8::1]:51820", FALSE, 0);
	with(w, "ifindex", "-1", FALSE, 0);
	/* run out; the clock went back; too long */
	with(w, "granted", "1000", TRUE, 1);
	with(w, "granted", "99999999999", TRUE, 1);
	with(w, "lifetime", "99999999999", TRUE, 1);
	with(w, "lifetime", "0", TRUE, 0);
}

static void
test_memory(World *w, gconstpointer data)
{
	g_autoptr(MapState) state = map_state_new(NULL, &w->key, "wg0");
	MapEntry entry;

	map_state_put(state, &w->entry);
	g_assert_true(get(state, &entry));
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add("/map-state/round", World, NULL, set_up, test_round, tear_down);
	g_test_add("/map-state/owed", World, "", set_up, test_round, tear_down);
	g_test_add("/map-state/several", World, NULL, set_up, test_several, tear_down);
	g_test_add("/map-state/two", World, NULL, set_up, test_two, tear_down);
	g_test_add("/map-state/full", World, NULL, set_up, test_full, tear_down);
	g_test_add("/map-state/full-order", World, NULL, set_up, test_full_order, tear_down);
	g_test_add("/map-state/old", World, NULL, set_up, test_old, tear_down);
	g_test_add("/map-state/odd", World, NULL, set_up, test_odd, tear_down);
	g_test_add("/map-state/memory", World, NULL, set_up, test_memory, tear_down);
	return g_test_run();
}
