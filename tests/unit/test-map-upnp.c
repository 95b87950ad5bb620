/* SPDX-License-Identifier: MIT */
/* UPnP against a gateway that behaves as told. */
#include "agent/portmap/map-upnp.h"

#include "tests/unit/fake-igd.h"
#include "tests/unit/map-world.h"

typedef struct {
	FakeIgd igd;
	MapPlace place;
	MapUpnp *upnp;
	GArray *pending; /* of MapGrant: what was asked for, as it changed */
} World;

static void
on_changed(gpointer user_data)
{
	World *w = user_data;
	const MapGrant *last =
		w->pending->len ? &g_array_index(w->pending, MapGrant, w->pending->len - 1) : NULL;
	const MapGrant *now = w->upnp ? map_upnp_pending(w->upnp) : NULL;

	if (now && (last ? memcmp(last, now, sizeof *now) != 0 : map_grant_is_set(now)))
		g_array_append_vals(w->pending, now, 1);
}

static void
set_up(World *w, gconstpointer data)
{
	fake_igd_start(&w->igd);
	w->place.gateway = net_ep("127.0.0.1");
	w->place.own = net_ep("127.0.0.1:51820");
	w->pending = g_array_new(FALSE, FALSE, sizeof(MapGrant));
	w->upnp = map_upnp_new(&w->place, w->igd.ssdp_port, on_changed, w);
}

static void
tear_down(World *w, gconstpointer data)
{
	map_upnp_free(w->upnp);
	fake_igd_stop(&w->igd);
	g_array_unref(w->pending);
}

static void
start(World *w)
{
	map_upnp_start(w->upnp, NULL);
	map_upnp_want(w->upnp, TRUE);
}

static void
reaches(World *w, MapUpnpState state, const char *problem)
{
	UNTIL(map_upnp_state(w->upnp) == state);
	g_assert_cmpstr(map_upnp_problem(w->upnp), ==, problem);
	g_assert_cmpint(map_grant_is_set(map_upnp_grant(w->upnp)), ==, state == MAP_UPNP_HELD);
}

static guint
held_port(World *w)
{
	return wg_endpoint_port(&map_upnp_grant(w->upnp)->external);
}

static void
test_igd(World *w, gconstpointer type)
{
	WgEndpoint expected = net_ep("20.30.40.50:51820");

	w->igd.type = type;
	start(w);
	reaches(w, MAP_UPNP_HELD, NULL);
	g_assert_true(wg_endpoint_equal(&map_upnp_grant(w->upnp)->external, &expected));
	g_assert_cmpuint(map_upnp_grant(w->upnp)->lifetime_s, ==, 7200);
	g_assert_cmpint(w->igd.adds, ==, 1);
}

static void
test_any(World *w, gconstpointer data)
{
	w->igd.type = TYPE2;
	w->igd.reserved = 40000;
	start(w);
	reaches(w, MAP_UPNP_HELD, NULL);
	g_assert_cmpuint(held_port(w), ==, 40000);
}

/* Nothing is asked for before it is wanted, and it is forgotten when it is wanted no more. */
static void
test_wanted(World *w, gconstpointer data)
{
	map_upnp_start(w->upnp, NULL);
	reaches(w, MAP_UPNP_READY, NULL);
	g_assert_cmpint(w->igd.adds, ==, 0);
	map_upnp_want(w->upnp, TRUE);
	reaches(w, MAP_UPNP_HELD, NULL);
	map_upnp_want(w->upnp, FALSE);
	reaches(w, MAP_UPNP_READY, NULL);
}

/* A port that is another host's is left to it, whether the router would give it to us or not. */
static void
test_conflict(World *w, gconstpointer overwrites)
{
	w->igd.taken = 51820;
	w->igd.overwrites = overwrites != NULL;
	start(w);
	reaches(w, MAP_UPNP_HELD, NULL);
	g_assert_cmpuint(held_port(w), !=, 51820);
	g_assert_cmpint(w->igd.adds, ==, 1);
}

static void
test_liar(World *w, gconstpointer data)
{
	w->igd.liar = TRUE;
	start(w);
	reaches(w, MAP_UPNP_REFUSED, "the router says it has mapped the port, and has not");
}

static void
test_permanent(World *w, gconstpointer data)
{
	w->igd.permanent = TRUE;
	start(w);
	reaches(w, MAP_UPNP_HELD, NULL);
	g_assert_cmpuint(map_upnp_grant(w->upnp)->lifetime_s, ==, 0);
}

static void
test_refused(World *w, gconstpointer data)
{
	w->igd.refuses = TRUE;
	start(w);
	reaches(w, MAP_UPNP_REFUSED, "switched off for this host");
}

static void
test_no_address(World *w, gconstpointer address)
{
	w->igd.address = address;
	start(w);
	reaches(w, MAP_UPNP_REFUSED, MAP_NO_ADDRESS);
	g_assert_cmpint(w->igd.adds, ==, 0);
}

typedef struct {
	const char *name;
	Body body;
	const char *problem;
} Bad;

static const Bad BADS[] = {
	{"huge", BODY_HUGE, "the router's UPnP answers nonsense"},
	{"endless", BODY_ENDLESS, "the router's UPnP answers nonsense"},
	{"slow", BODY_SLOW, "the router's UPnP does not answer in time"},
	{"deep", BODY_DEEP, "the router's UPnP maps no ports"},
	{"redirect", BODY_REDIRECT, "the router's UPnP has no description"},
	{"cut", BODY_CUT, "the router's UPnP breaks off"},
};

static void
test_bad(World *w, gconstpointer data)
{
	const Bad *bad = data;

	w->igd.body = bad->body;
	start(w);
	reaches(w, MAP_UPNP_REFUSED, bad->problem);
	g_assert_cmpint(g_atomic_int_get(&w->igd.gets), ==, 1);
}

static void
test_other_host(World *w, gconstpointer control)
{
	if (control)
		w->igd.control = control;
	else
		w->igd.location = "http://203.0.113.9:80/d";
	start(w);
	reaches(w, MAP_UPNP_REFUSED, "the router's UPnP names another host");
	g_assert_cmpint(w->igd.gets, ==, control ? 1 : 0);
}

static void
test_absent(World *w, gconstpointer data)
{
	w->igd.location = "";
	start(w);
	UNTIL(map_upnp_state(w->upnp) >= MAP_UPNP_REFUSED);
}

/* What was asked for is told before it leaves, and until it is known to be ours: also where the
 * answer is lost, or nobody says whose the port is. */
static void
test_unverified(World *w, gconstpointer cuts)
{
	const MapGrant *first, *last;

	w->igd.cuts = cuts != NULL;
	w->igd.blind = !cuts;
	start(w);
	UNTIL(map_upnp_state(w->upnp) == MAP_UPNP_REFUSED);
	g_assert_cmpint(w->igd.port, ==, 51820);
	g_assert_cmpuint(w->pending->len, ==, cuts ? 2 : 3);
	first = &g_array_index(w->pending, MapGrant, 0);
	last = &g_array_index(w->pending, MapGrant, w->pending->len - 1);
	g_assert_cmpuint(wg_endpoint_port(&first->external), ==, 51820);
	g_assert_true(first->unsure);
	if (!cuts)
		g_assert_false(g_array_index(w->pending, MapGrant, 1).unsure);
	g_assert_false(map_grant_is_set(last));
	g_assert_false(map_grant_is_set(map_upnp_grant(w->upnp)));
}

/* What an earlier run has held is taken up without a search. */
static void
test_kept(World *w, gconstpointer data)
{
	MapGrant kept;

	start(w);
	reaches(w, MAP_UPNP_HELD, NULL);
	kept = *map_upnp_grant(w->upnp);
	map_upnp_free(g_steal_pointer(&w->upnp));
	w->upnp = map_upnp_new(&w->place, w->igd.ssdp_port, on_changed, w);
	map_upnp_start(w->upnp, &kept);
	map_upnp_want(w->upnp, TRUE);
	g_assert_cmpuint(held_port(w), ==, 51820);
	reaches(w, MAP_UPNP_HELD, NULL);
	g_assert_cmpint(w->igd.gets, ==, 1);
	g_assert_false(map_grant_is_set(map_upnp_pending(w->upnp)));
}

/* ---- IPv6's firewall ---- */

#define FIREWALL "urn:schemas-upnp-org:service:WANIPv6FirewallControl:1"

/* As an earlier run has left it: no search is needed. age_s: since when it is held. FALSE: no IPv6.
 */
static gboolean
start_v6(World *w, guint age_s)
{
	MapGrant kept = {.protocol = MAP_UPNP,
			 .external = net_ep("[::1]:51820"),
			 .lifetime_s = 7200,
			 .at_us = g_get_monotonic_time() - age_s * (gint64)G_USEC_PER_SEC,
			 .unique_id = 5,
			 .control_port = w->igd.http_port,
			 .control_path = "/control"};
	MapPlace place = {.gateway = net_ep("[::1]:0"), .own = net_ep("[::1]:51820")};
	int fd = map_place_socket(&place, SOCK_DGRAM);

	if (fd < 0) {
		g_test_skip("no IPv6");
		return FALSE;
	}
	close(fd);
	g_strlcpy(kept.service, FIREWALL, sizeof kept.service);
	map_upnp_free(g_steal_pointer(&w->upnp));
	w->upnp = map_upnp_new(&place, w->igd.ssdp_port, on_changed, w);
	map_upnp_start(w->upnp, &kept);
	map_upnp_want(w->upnp, TRUE);
	return TRUE;
}

/* It is there: looked at, and renewed at half its life. */
static void
test_pinhole(World *w, gconstpointer old)
{
	w->igd.pinhole = 5;
	if (!start_v6(w, old ? 4000 : 10))
		return;
	if (old)
		UNTIL(g_atomic_int_get(&w->igd.pinhole_updates) == 1);
	UNTIL(map_grant_left_s(map_upnp_grant(w->upnp), g_get_monotonic_time()) > 7000);
	for (guint i = 0; i < 20; i++)
		turn();
	reaches(w, MAP_UPNP_HELD, NULL);
	g_assert_cmpint(w->igd.pinhole_updates, ==, old ? 1 : 0);
	g_assert_cmpint(w->igd.pinhole_adds, ==, 0);
}

/* The router has forgotten it: another one, with another id. */
static void
test_pinhole_lost(World *w, gconstpointer old)
{
	WgEndpoint expected = net_ep("[::1]:51820");

	if (!start_v6(w, old ? 4000 : 10))
		return;
	UNTIL(map_upnp_grant(w->upnp)->unique_id == 7);
	reaches(w, MAP_UPNP_HELD, NULL);
	g_assert_cmpint(w->igd.pinhole_adds, ==, 1);
	g_assert_true(wg_endpoint_equal(&map_upnp_grant(w->upnp)->external, &expected));
	g_assert_cmpuint(map_upnp_grant(w->upnp)->lifetime_s, ==, 7200);
}

static void
test_pinhole_off(World *w, gconstpointer forbids)
{
	w->igd.firewall_off = !forbids;
	w->igd.forbids = forbids != NULL;
	if (!start_v6(w, 10))
		return;
	UNTIL(map_upnp_state(w->upnp) == (forbids ? MAP_UPNP_REFUSED : MAP_UPNP_ABSENT));
	g_assert_cmpstr(map_upnp_problem(w->upnp), ==,
			forbids ? "switched off for this host" : NULL);
	g_assert_cmpint(w->igd.pinhole_adds, ==, 0);
}

#define ADD(path, data, func) g_test_add("/map-upnp/" path, World, data, set_up, func, tear_down)

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("igd-1", TYPE1, test_igd);
	ADD("igd-2", TYPE2, test_igd);
	ADD("any-port", NULL, test_any);
	ADD("wanted", NULL, test_wanted);
	ADD("conflict", NULL, test_conflict);
	ADD("overwrites", "", test_conflict);
	ADD("liar", NULL, test_liar);
	ADD("permanent", NULL, test_permanent);
	ADD("refused", NULL, test_refused);
	ADD("no-address", "0.0.0.0", test_no_address);
	ADD("odd-address", "lots", test_no_address);
	ADD("other-host", NULL, test_other_host);
	ADD("other-control", "http://203.0.113.9/c", test_other_host);
	ADD("absent", NULL, test_absent);
	ADD("kept", NULL, test_kept);
	ADD("pinhole", NULL, test_pinhole);
	ADD("pinhole-renewed", "", test_pinhole);
	ADD("pinhole-lost", NULL, test_pinhole_lost);
	ADD("pinhole-lost-at-renewal", "", test_pinhole_lost);
	ADD("pinhole-no-firewall", NULL, test_pinhole_off);
	ADD("pinhole-forbidden", "", test_pinhole_off);
	ADD("add-unanswered", "", test_unverified);
	ADD("add-unverified", NULL, test_unverified);
	for (gsize i = 0; i < G_N_ELEMENTS(BADS); i++) {
		g_autofree char *path = g_strconcat("/map-upnp/", BADS[i].name, NULL);

		g_test_add(path, World, &BADS[i], set_up, test_bad, tear_down);
	}
	return g_test_run();
}
