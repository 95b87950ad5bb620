/* SPDX-License-Identifier: MIT */
/* What is owed to a gateway is paid, and remembered until it is. */
#include "agent/portmap/map-debts.h"

#include <glib/gstdio.h>

#include "tests/unit/fake-pcp.h"
#include "tests/unit/map-world.h"

typedef struct {
	FakePcp pcp;
	char *dir;
	WgKey key;
	MapState *state;
	MapDebts *debts;
	MapEntry entry;
	gboolean spared;
} World;

static gboolean
is_spared(const MapEntry *entry, gpointer user_data)
{
	return ((World *)user_data)->spared;
}

static void
set_up(World *w, gconstpointer data)
{
	fake_pcp_start(&w->pcp);
	w->dir = g_dir_make_tmp("map-debts-XXXXXX", NULL);
	w->state = map_state_new(w->dir, &w->key, "wg0");
	w->debts = map_debts_new(w->state, w->pcp.port, 1900, is_spared, w);
	w->entry.place.gateway = net_ep("127.0.0.1:0");
	w->entry.place.own = net_ep("127.0.0.1:51820");
	w->entry.grant = (MapGrant){.protocol = MAP_PCP,
				    .external = net_ep("20.30.40.50:51820"),
				    .lifetime_s = 7200,
				    .at_us = g_get_monotonic_time(),
				    .nonce = {1, 2, 3}};
	w->entry.owed = TRUE;
}

static void
tear_down(World *w, gconstpointer data)
{
	map_debts_free(w->debts);
	map_state_free(w->state);
	remove_state_dir(w->dir);
	fake_pcp_stop(&w->pcp);
}

/* By the file, which another start would read. */
static guint
owed(World *w)
{
	g_autoptr(MapState) fresh = map_state_new(w->dir, &w->key, "wg0");
	g_autoptr(GArray) entries = map_state_entries(fresh);

	return entries->len;
}

static void
test_paid(World *w, gconstpointer data)
{
	map_state_put(w->state, &w->entry);
	map_debts_look(w->debts);
	g_assert_cmpuint(owed(w), ==, 1);
	UNTIL(owed(w) == 0);
	g_assert_cmpuint(w->pcp.asked, >=, 1);
}

/* What is held is nobody's debt. */
static void
test_held(World *w, gconstpointer data)
{
	w->entry.owed = FALSE;
	map_state_put(w->state, &w->entry);
	map_debts_look(w->debts);
	turn_for(100);
	g_assert_cmpuint(w->pcp.asked, ==, 0);
	g_assert_cmpuint(owed(w), ==, 1);
}

/* It stays, and is asked for again; not at once, however often it is looked at. */
static void
test_refused(World *w, gconstpointer data)
{
	gint64 began = g_get_monotonic_time();
	guint asked;

	w->pcp.code = 2;
	map_state_put(w->state, &w->entry);
	map_debts_look(w->debts);
	UNTIL(w->pcp.asked >= 1);
	turn_for(300);
	asked = w->pcp.asked;
	map_debts_look(w->debts);
	map_debts_retry(w->debts, TRUE);
	turn_for(300);
	/* on a machine that stood still meanwhile it may be time again */
	if (g_get_monotonic_time() - began < 4 * G_USEC_PER_SEC)
		g_assert_cmpuint(w->pcp.asked, ==, asked);
	g_assert_cmpuint(owed(w), ==, 1);
	w->pcp.code = 0;
	UNTIL((map_debts_retry(w->debts, TRUE), owed(w) == 0));
}

/* Its time is over: it is asked for, for clocks are wrong at times, and then forgotten. */
static void
test_over(World *w, gconstpointer data)
{
	w->pcp.code = 2;
	w->entry.grant.at_us -= 7200 * (gint64)G_USEC_PER_SEC;
	map_state_put(w->state, &w->entry);
	map_debts_look(w->debts);
	UNTIL(owed(w) == 0);
	g_assert_cmpuint(w->pcp.asked, >=, 1);
}

/* Taken up while it is being removed: it is let go. */
static void
test_spared(World *w, gconstpointer data)
{
	guint asked;

	w->pcp.mute = TRUE;
	map_state_put(w->state, &w->entry);
	map_debts_look(w->debts);
	UNTIL(w->pcp.asked >= 1);
	w->spared = TRUE;
	map_debts_look(w->debts);
	turn_for(50);
	asked = w->pcp.asked;
	turn_for(800);
	g_assert_cmpuint(w->pcp.asked, ==, asked);
	g_assert_cmpuint(owed(w), ==, 1);
}

static void
finish(World *w)
{
	map_debts_finish(g_steal_pointer(&w->debts), g_steal_pointer(&w->state));
}

static void
test_finish(World *w, gconstpointer data)
{
	map_state_put(w->state, &w->entry);
	finish(w);
	UNTIL(owed(w) == 0);
	turn_for(50);
}

/* Another one has taken up what the last one is still giving back. */
static void
test_finish_taken_up(World *w, gconstpointer data)
{
	g_autoptr(MapState) next = NULL;
	guint asked;

	w->pcp.mute = TRUE;
	map_state_put(w->state, &w->entry);
	finish(w);
	UNTIL(w->pcp.asked >= 1);
	next = map_state_new(w->dir, &w->key, "wg0");
	w->entry.owed = FALSE;
	map_state_put(next, &w->entry);
	turn_for(50);
	asked = w->pcp.asked;
	turn_for(1500);
	g_assert_cmpuint(w->pcp.asked, ==, asked);
	g_assert_cmpuint(owed(w), ==, 1);
	turn_for(1500);
}

static void
test_finish_nothing(World *w, gconstpointer data)
{
	finish(w);
	turn_for(50);
}

#define ADD(path, func) g_test_add("/map-debts/" path, World, NULL, set_up, func, tear_down)

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("paid", test_paid);
	ADD("held", test_held);
	ADD("refused", test_refused);
	ADD("over", test_over);
	ADD("spared", test_spared);
	ADD("finish", test_finish);
	ADD("finish-taken-up", test_finish_taken_up);
	ADD("finish-nothing", test_finish_nothing);
	return g_test_run();
}
