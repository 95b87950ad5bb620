/* SPDX-License-Identifier: MIT */
/* A gateway's mapping from the first question to what is written down, and given back. The sides
 * are made here: on loopback no route has a gateway. */
#include <glib/gstdio.h>

#include "agent/portmap/map-private.h"
#include "tests/unit/fake-igd.h"
#include "tests/unit/fake-pcp.h"
#include "tests/unit/map-world.h"

typedef struct {
	FakeIgd igd;
	FakePcp pcp;
	char *dir;
	WgKey key;
	MapEnv env;
	Map *map;
	MapPlace place;
	guint changes;
} World;

static void
on_changed(gpointer user_data)
{
	((World *)user_data)->changes++;
}

static void
on_record(const char *text, gpointer user_data)
{
}

static GArray *
nothing_seen(const WgEndpoint *own, gpointer user_data)
{
	return g_array_new(FALSE, FALSE, sizeof(WgEndpoint));
}

static void
set_up(World *w, gconstpointer data)
{
	fake_igd_start(&w->igd);
	fake_pcp_start(&w->pcp);
	w->dir = g_dir_make_tmp("map-XXXXXX", NULL);
	w->place.gateway = net_ep("127.0.0.1:0");
	w->place.own = net_ep("127.0.0.1:51820");
	w->env = (MapEnv){.state_dir = w->dir,
			  .ifname = "wg0",
			  .public_key = &w->key,
			  .port = 51820,
			  .changed = on_changed,
			  .record = on_record,
			  .seen = nothing_seen,
			  .user_data = w,
			  .server_port = 1, /* nobody listens there: UPnP alone */
			  .ssdp_port = w->igd.ssdp_port};
	w->igd.address = "20.30.40.50";
}

static void
tear_down(World *w, gconstpointer data)
{
	map_free(w->map, MAP_KEEP);
	remove_state_dir(w->dir);
	fake_pcp_stop(&w->pcp);
	fake_igd_stop(&w->igd);
}

/* A loopback address is no private one, and needs no mapping, but for STUN's word. */
static GArray *
seen_elsewhere(const WgEndpoint *own, gpointer user_data)
{
	GArray *seen = nothing_seen(own, user_data);
	WgEndpoint at = net_ep("20.30.40.50:4000");

	g_array_append_val(seen, at);
	return seen;
}

static MapSide *
start(World *w)
{
	MapSide *side;

	w->env.seen = seen_elsewhere;
	w->map = map_new(&w->env);
	side = map_side_new(w->map, &w->place);
	side->found_us = g_get_monotonic_time();
	g_ptr_array_add(w->map->sides, side);
	map_side_open_if_needed(side);
	map_update(w->map);
	return side;
}

/* What the file has: how many, and the last of them. */
static guint
written(World *w, MapEntry *out)
{
	g_autoptr(MapState) fresh = map_state_new(w->dir, &w->key, "wg0");
	g_autoptr(GArray) entries = map_state_entries(fresh);

	if (entries->len > 0)
		*out = g_array_index(entries, MapEntry, entries->len - 1);
	return entries->len;
}

static void
is_held(World *w)
{
	MapEntry entry;

	UNTIL(written(w, &entry) == 1 && !entry.owed);
	g_assert_cmpint(w->igd.port, ==, 51820);
	g_assert_cmpuint(w->changes, >=, 1);
}

static void
test_held(World *w, gconstpointer data)
{
	g_autoptr(GArray) candidates = g_array_new(FALSE, FALSE, sizeof(NatCandidate));

	start(w);
	is_held(w);
	map_add_candidates(w->map, candidates);
	g_assert_cmpuint(candidates->len, ==, 1);
	g_assert_true(map_is_up(w->map));
}

/* Made, and the answer is lost, or nobody says whose it is: written down, and removed. */
static void
test_unverified(World *w, gconstpointer cuts)
{
	MapEntry entry;

	w->igd.cuts = cuts != NULL;
	w->igd.blind = !cuts;
	start(w);
	UNTIL(written(w, &entry) == 1 && entry.owed);
	g_assert_cmpuint(wg_endpoint_port(&entry.grant.external), ==, 51820);
	UNTIL(g_atomic_int_get(&w->igd.deletes) >= 1);
	UNTIL(written(w, &entry) == 0);
	g_assert_cmpint(w->igd.port, ==, 0);
}

/* The agent ends in the middle of it: the next one removes it, though it maps nothing. */
static void
test_interrupted(World *w, gconstpointer data)
{
	MapEntry entry;

	w->igd.cuts = TRUE;
	start(w);
	UNTIL(g_atomic_int_get(&w->igd.port) == 51820);
	map_free(g_steal_pointer(&w->map), MAP_END);
	g_assert_cmpuint(written(w, &entry), ==, 1);
	g_assert_true(entry.owed);
	w->env.off = TRUE;
	w->map = map_new(&w->env);
	UNTIL(written(w, &entry) == 0);
	g_assert_cmpint(w->igd.port, ==, 0);
}

/* The router says that it does not remove it: it stays written down, whoever asks. */
static void
test_refused(World *w, gconstpointer data)
{
	g_autoptr(GString) which = g_string_new(NULL);
	MapEntry entry;
	guint left = 0;

	start(w);
	is_held(w);
	w->igd.keeps = TRUE;
	map_free(g_steal_pointer(&w->map), MAP_RELEASE);
	UNTIL(g_atomic_int_get(&w->igd.deletes) >= 1);
	g_assert_cmpuint(written(w, &entry), ==, 1);
	g_assert_true(entry.owed);
	g_assert_cmpuint(map_teardown(w->dir, "wg0", &left, which), ==, 0);
	g_assert_cmpuint(left, ==, 1);
	g_assert_nonnull(strstr(which->str, "20.30.40.50:51820 at the router 127.0.0.1, by upnp: "
					    "it does not remove it"));
	g_assert_cmpuint(written(w, &entry), ==, 1);
	w->igd.keeps = FALSE;
	g_assert_cmpuint(map_teardown(w->dir, "wg0", &left, which), ==, 1);
	g_assert_cmpuint(left, ==, 0);
	g_assert_cmpuint(written(w, &entry), ==, 0);
}

static void
test_release(World *w, gconstpointer data)
{
	MapEntry entry;

	start(w);
	is_held(w);
	map_free(g_steal_pointer(&w->map), MAP_RELEASE);
	UNTIL(written(w, &entry) == 0);
	g_assert_cmpint(w->igd.port, ==, 0);
}

/* Kept for the next one, which takes it up: nothing is mapped anew. */
static void
test_kept(World *w, gconstpointer data)
{
	MapEntry entry;
	MapSide *side;

	start(w);
	is_held(w);
	map_free(g_steal_pointer(&w->map), MAP_KEEP);
	g_assert_cmpuint(written(w, &entry), ==, 1);
	g_assert_false(entry.owed);
	side = start(w);
	g_assert_true(map_grant_is_set(map_side_grant(side)));
	g_assert_cmpint(g_atomic_int_get(&w->igd.deletes), ==, 0);
}

/* port_mapping=no: what an earlier run has left is given back, by its own protocol. */
static void
test_off(World *w, gconstpointer data)
{
	MapEntry entry = {.place = w->place,
			  .grant = {.protocol = MAP_PCP,
				    .external = net_ep("20.30.40.50:51820"),
				    .lifetime_s = 7200,
				    .at_us = g_get_monotonic_time()}};
	g_autoptr(MapState) state = map_state_new(w->dir, &w->key, "wg0");
	MapStatus status;

	map_state_put(state, &entry);
	w->env.off = TRUE;
	w->env.server_port = w->pcp.port;
	w->map = map_new(&w->env);
	map_status(w->map, &status);
	g_assert_cmpstr(status.state, ==, "off");
	UNTIL(written(w, &entry) == 0);
	g_assert_cmpuint(w->pcp.asked, >=, 1);
}

/* What was held at another gateway is owed, not taken up. */
static void
test_elsewhere(World *w, gconstpointer data)
{
	MapEntry entry = {.place = w->place,
			  .grant = {.protocol = MAP_PCP,
				    .external = net_ep("20.30.40.50:51820"),
				    .lifetime_s = 7200,
				    .at_us = g_get_monotonic_time()}};
	g_autoptr(MapState) state = map_state_new(w->dir, &w->key, "wg0");

	wg_endpoint_set_port(&entry.place.own, 51821);
	map_state_put(state, &entry);
	w->env.server_port = w->pcp.port;
	w->map = map_new(&w->env);
	UNTIL(written(w, &entry) == 0);
	g_assert_cmpuint(w->pcp.asked, >=, 1);
}

/* The interface was made anew, with another index: its mapping is taken up. */
static void
test_interface_anew(World *w, gconstpointer data)
{
	MapEntry entry;
	MapSide *side;

	start(w);
	is_held(w);
	map_free(g_steal_pointer(&w->map), MAP_KEEP);
	w->place.ifindex = 77;
	side = start(w);
	g_assert_true(map_grant_is_set(map_side_grant(side)));
	g_assert_cmpuint(written(w, &entry), ==, 1);
	g_assert_false(entry.owed);
	g_assert_cmpint(entry.place.ifindex, ==, 77);
	g_assert_cmpint(g_atomic_int_get(&w->igd.deletes), ==, 0);
}

static gboolean
is_owed(World *w, const MapEntry *entry)
{
	g_autoptr(MapState) fresh = map_state_new(w->dir, &w->key, "wg0");

	return map_state_is_owed(fresh, entry);
}

/* Another Map is just giving it back: it is not owed while it is asked for again, and it is where
 * another protocol grants. */
static void
test_wished(World *w, gconstpointer data)
{
	MapEntry last, entry = {.place = w->place,
				.grant = {.protocol = MAP_PCP,
					  .external = net_ep("20.30.40.50:51820"),
					  .lifetime_s = 7200,
					  .at_us = g_get_monotonic_time()},
				.owed = TRUE};
	g_autoptr(MapState) state = map_state_new(w->dir, &w->key, "wg0");

	map_state_put(state, &entry);
	start(w);
	g_assert_cmpuint(written(w, &last), ==, 1);
	g_assert_false(is_owed(w, &entry));
	UNTIL(is_owed(w, &entry));
	UNTIL(written(w, &last) == 2);
	g_assert_cmpint(last.grant.protocol, ==, MAP_UPNP);
}

/* The agent ends before it is had again: it is owed as before. */
static void
test_wished_in_vain(World *w, gconstpointer data)
{
	MapEntry entry = {.place = w->place,
			  .grant = {.protocol = MAP_PCP,
				    .external = net_ep("20.30.40.50:51820"),
				    .lifetime_s = 7200,
				    .at_us = g_get_monotonic_time()},
			  .owed = TRUE};
	g_autoptr(MapState) state = map_state_new(w->dir, &w->key, "wg0");

	map_state_put(state, &entry);
	start(w);
	g_assert_false(is_owed(w, &entry));
	map_free(g_steal_pointer(&w->map), MAP_KEEP);
	g_assert_true(is_owed(w, &entry));
}

/* What the router declines is not owed, though it says nothing of its table and removes nothing. */
static void
test_declined(World *w, gconstpointer data)
{
	MapEntry entry;

	w->igd.refuses = w->igd.blind = w->igd.keeps = TRUE;
	start(w);
	UNTIL(written(w, &entry) == 1);
	g_assert_true(entry.owed);
	UNTIL(g_atomic_int_get(&w->igd.adds) >= 1);
	UNTIL(written(w, &entry) == 0);
	g_assert_cmpint(g_atomic_int_get(&w->igd.deletes), ==, 0);
}

/* … but what is owed already stays owed. */
static void
test_declined_before(World *w, gconstpointer data)
{
	MapEntry entry = {.place = w->place,
			  .grant = {.protocol = MAP_UPNP,
				    .external = net_ep("20.30.40.50:51820"),
				    .lifetime_s = 0,
				    .unsure = TRUE,
				    .control_port = w->igd.http_port,
				    .control_path = "/control",
				    .service = TYPE1},
			  .owed = TRUE};
	g_autoptr(MapState) state = map_state_new(w->dir, &w->key, "wg0");
	MapSide *side;

	map_state_put(state, &entry);
	w->igd.refuses = w->igd.blind = w->igd.keeps = TRUE;
	side = start(w);
	UNTIL(g_atomic_int_get(&w->igd.adds) >= 1);
	UNTIL(!map_grant_is_set(&side->saved_pending));
	g_assert_cmpuint(written(w, &entry), ==, 1);
	g_assert_true(entry.owed);
}

/* Network events and strangers' announcements do not shorten the pauses of one that refuses. */
static void
test_pauses(World *w, gconstpointer data)
{
	gint64 began = g_get_monotonic_time(), end;
	MapSide *side;

	w->igd.refuses = TRUE;
	side = start(w);
	UNTIL(g_atomic_int_get(&w->igd.adds) >= 1);
	for (end = g_get_monotonic_time() + G_USEC_PER_SEC * 3 / 2; g_get_monotonic_time() < end;) {
		map_side_announced(side);
		turn();
	}
	if (g_get_monotonic_time() - began < 50 * G_USEC_PER_SEC)
		g_assert_cmpint(g_atomic_int_get(&w->igd.adds), ==, 1);
	for (end = g_get_monotonic_time() + G_USEC_PER_SEC * 7 / 2; g_get_monotonic_time() < end;) {
		map_side_check(side);
		turn();
	}
	if (g_get_monotonic_time() - began < 50 * G_USEC_PER_SEC)
		g_assert_cmpint(g_atomic_int_get(&w->igd.adds), <=, 2);
}

#define ADD(path, data, func) g_test_add("/map/" path, World, data, set_up, func, tear_down)

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("held", NULL, test_held);
	ADD("add-unanswered", "", test_unverified);
	ADD("add-unverified", NULL, test_unverified);
	ADD("interrupted", NULL, test_interrupted);
	ADD("refused", NULL, test_refused);
	ADD("release", NULL, test_release);
	ADD("kept", NULL, test_kept);
	ADD("off", NULL, test_off);
	ADD("elsewhere", NULL, test_elsewhere);
	ADD("interface-anew", NULL, test_interface_anew);
	ADD("wished", NULL, test_wished);
	ADD("wished-in-vain", NULL, test_wished_in_vain);
	ADD("declined", NULL, test_declined);
	ADD("declined-before", NULL, test_declined_before);
	ADD("pauses", NULL, test_pauses);
	return g_test_run();
}
