/* SPDX-License-Identifier: MIT */
/* What the state directory remembers of mappings. */
#include "agent/portmap/map-state.h"

#include <glib/gstdio.h>
#include <string.h>

#include "tests/unit/net-util.h"

typedef struct {
	char *dir;
	WgKey key;
	MapPlace place;
	MapGrant grant;
} World;

static void
set_up(World *w, gconstpointer data)
{
	w->dir = g_dir_make_tmp("map-state-XXXXXX", NULL);
	w->key.b[0] = 7;
	w->place = (MapPlace){.gateway = net_ep("192.168.1.1"),
			      .own = net_ep("192.168.1.2:51820"),
			      .ifindex = 3,
			      .fwmark = 0xffffffff};
	w->grant = (MapGrant){.protocol = MAP_UPNP,
			      .external = net_ep("20.30.40.50:40000"),
			      .lifetime_s = 3600,
			      .at_us = g_get_monotonic_time(),
			      .nonce = {1, 2, 0xab, 4, 5, 6, 7, 8, 9, 10, 11, 0xff},
			      .control_port = 5000,
			      .control_path = "/ctl/IPConn"};
	g_strlcpy(w->grant.service, "urn:x", sizeof w->grant.service);
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

static void
test_round(World *w, gconstpointer data)
{
	g_autoptr(MapState) state = map_state_new(w->dir, &w->key, "wg0");
	g_autoptr(MapState) again = NULL;
	g_autofree char *name = NULL;
	g_auto(GStrv) names = NULL;
	MapPlace place;
	MapGrant grant;

	g_assert_false(map_state_get(state, AF_INET, &place, &grant));
	map_state_put(state, &w->place, &w->grant);
	names = map_state_list(w->dir);
	g_assert_cmpuint(g_strv_length(names), ==, 1);
	again = map_state_open(w->dir, names[0]);
	name = map_state_interface(again);
	g_assert_cmpstr(name, ==, "wg0");
	g_assert_true(map_state_get(again, AF_INET, &place, &grant));
	g_assert_true(map_place_equal(&place, &w->place));
	g_assert_cmpuint(place.fwmark, ==, 0xffffffff);
	g_assert_cmpmem(grant.nonce, sizeof grant.nonce, w->grant.nonce, sizeof w->grant.nonce);
	g_assert_cmpint(grant.protocol, ==, MAP_UPNP);
	g_assert_cmpuint(grant.lifetime_s, >, 3000);
	g_assert_cmpuint(grant.control_port, ==, 5000);
	g_assert_cmpstr(grant.control_path, ==, "/ctl/IPConn");
	g_assert_cmpstr(grant.service, ==, "urn:x");
	g_assert_false(map_state_get(again, AF_INET6, &place, &grant));
	map_state_drop(again, AF_INET);
	g_strfreev(names);
	names = map_state_list(w->dir);
	g_assert_cmpuint(g_strv_length(names), ==, 0);
}

static void
with(World *w, const char *key, const char *value, gboolean ok, guint32 lifetime_s)
{
	g_autoptr(MapState) state = map_state_new(w->dir, &w->key, "wg0");
	g_autoptr(MapState) again = NULL;
	g_autoptr(GKeyFile) keys = g_key_file_new();
	g_auto(GStrv) names = NULL;
	g_autofree char *path = NULL;
	MapPlace place;
	MapGrant grant;

	g_test_message("%s=%s", key, value);
	map_state_put(state, &w->place, &w->grant);
	names = map_state_list(w->dir);
	path = g_build_filename(w->dir, names[0], NULL);
	g_assert_true(g_key_file_load_from_file(keys, path, G_KEY_FILE_NONE, NULL));
	g_key_file_set_string(keys, "ipv4", key, value);
	g_assert_true(g_key_file_save_to_file(keys, path, NULL));
	again = map_state_open(w->dir, names[0]);
	g_assert_cmpint(map_state_get(again, AF_INET, &place, &grant), ==, ok);
	if (ok)
		g_assert_cmpuint(grant.lifetime_s, ==, lifetime_s);
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
	MapPlace place;
	MapGrant grant;

	map_state_put(state, &w->place, &w->grant);
	g_assert_true(map_state_get(state, AF_INET, &place, &grant));
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add("/map-state/round", World, NULL, set_up, test_round, tear_down);
	g_test_add("/map-state/odd", World, NULL, set_up, test_odd, tear_down);
	g_test_add("/map-state/memory", World, NULL, set_up, test_memory, tear_down);
	return g_test_run();
}
