/* SPDX-License-Identifier: MIT */
/* A mapping is given back, and what is made of the answers. */
#include "agent/portmap/map-removal.h"

#include "tests/unit/fake-igd.h"
#include "tests/unit/fake-pcp.h"

#define WAIT_MS 60000

typedef struct {
	FakeIgd igd;
	FakePcp pcp;
	MapEntry entry;
	gboolean done, unwanted;
	MapRemovalResult result;
} World;

static void
set_up(World *w, gconstpointer data)
{
	fake_igd_start(&w->igd);
	fake_pcp_start(&w->pcp);
	w->entry.place.gateway = net_ep("127.0.0.1");
	w->entry.place.own = net_ep("127.0.0.1:51820");
	w->entry.grant = (MapGrant){.protocol = MAP_PCP,
				    .external = net_ep("20.30.40.50:51820"),
				    .lifetime_s = 7200,
				    .at_us = g_get_monotonic_time(),
				    .nonce = {1, 2, 3},
				    .control_port = w->igd.http_port,
				    .control_path = "/control"};
	g_strlcpy(w->entry.grant.service, TYPE1, sizeof w->entry.grant.service);
	w->igd.port = 51820;
}

static void
tear_down(World *w, gconstpointer data)
{
	fake_igd_stop(&w->igd);
	fake_pcp_stop(&w->pcp);
}

static void
on_done(MapRemovalResult result, gpointer user_data)
{
	World *w = user_data;

	g_assert_false(w->done);
	w->done = TRUE;
	w->result = result;
}

static gboolean
is_wanted(gpointer user_data)
{
	return !((World *)user_data)->unwanted;
}

static void
ends(World *w, MapRemovalResult expected)
{
	MapRemovalFuncs funcs = {.done = on_done, .wanted = is_wanted, .user_data = w};

	map_removal_start(&w->entry.place, w->pcp.port, w->igd.ssdp_port, &w->entry.grant, &funcs);
	g_assert_true(net_wait(&w->done, WAIT_MS));
	g_assert_cmpint(w->result, ==, expected);
}

typedef struct {
	const char *name;
	MapProtocol protocol;
	guint8 code;
	MapRemovalResult result;
} Code;

static const Code CODES[] = {
	{"pcp", MAP_PCP, 0, MAP_REMOVED},
	{"pcp-none-there", MAP_PCP, 8, MAP_REMOVED},
	{"pcp-not-authorized", MAP_PCP, 2, MAP_REMOVAL_REFUSED},
	{"pcp-network-failure", MAP_PCP, 7, MAP_REMOVAL_REFUSED},
	{"nat-pmp", MAP_PMP, 0, MAP_REMOVED},
	{"nat-pmp-not-authorized", MAP_PMP, 2, MAP_REMOVAL_REFUSED},
	{"nat-pmp-no-resources", MAP_PMP, 4, MAP_REMOVAL_REFUSED},
};

static void
test_code(World *w, gconstpointer data)
{
	const Code *code = data;

	w->entry.grant.protocol = code->protocol;
	w->pcp.code = code->code;
	ends(w, code->result);
}

static void
test_silent(World *w, gconstpointer data)
{
	w->pcp.mute = TRUE;
	ends(w, MAP_REMOVAL_SILENT);
	g_assert_cmpuint(w->pcp.asked, >=, 2);
}

/* An answer to somebody else's question is none. */
static void
test_stranger(World *w, gconstpointer data)
{
	w->pcp.wrong_nonce = TRUE;
	ends(w, MAP_REMOVAL_SILENT);
}

/* Somebody has taken the mapping up meanwhile. */
static void
test_unwanted(World *w, gconstpointer upnp)
{
	w->unwanted = TRUE;
	if (upnp)
		w->entry.grant.protocol = MAP_UPNP;
	ends(w, MAP_REMOVAL_SILENT);
	g_assert_cmpuint(w->pcp.asked, ==, 0);
	g_assert_cmpint(w->igd.deletes, ==, 0);
}

static void
upnp_ends(World *w, MapRemovalResult result, int deletes)
{
	w->entry.grant.protocol = MAP_UPNP;
	ends(w, result);
	g_assert_cmpint(g_atomic_int_get(&w->igd.deletes), ==, deletes);
}

static void
test_upnp(World *w, gconstpointer data)
{
	upnp_ends(w, MAP_REMOVED, 1);
	g_assert_cmpint(w->igd.port, ==, 0);
}

static void
test_upnp_none(World *w, gconstpointer data)
{
	w->igd.port = 0;
	upnp_ends(w, MAP_REMOVED, 0);
}

/* The port is another host's by now: nothing of ours is there, and his stays. */
static void
test_upnp_others(World *w, gconstpointer data)
{
	w->igd.port = 0;
	w->igd.taken = 51820;
	upnp_ends(w, MAP_REMOVED, 0);
}

static void
test_upnp_refused(World *w, gconstpointer data)
{
	w->igd.keeps = TRUE;
	upnp_ends(w, MAP_REMOVAL_REFUSED, 1);
}

/* A router that does not say whose a port is: what it has said it mapped is removed, what it may
 * never have mapped is not. */
static void
test_upnp_blind(World *w, gconstpointer unsure)
{
	w->igd.blind = TRUE;
	w->entry.grant.unsure = unsure != NULL;
	upnp_ends(w, unsure ? MAP_REMOVAL_REFUSED : MAP_REMOVED, unsure ? 0 : 1);
}

static void
test_upnp_no_service(World *w, gconstpointer data)
{
	g_strlcpy(w->entry.grant.service, "urn:x", sizeof w->entry.grant.service);
	upnp_ends(w, MAP_REMOVAL_SILENT, 0);
}

/* The router was started anew, and has its UPnP at another port; or has it no more. */
static void
test_upnp_moved(World *w, gconstpointer gone)
{
	w->entry.grant.control_port = 1; /* nobody listens there */
	if (gone)
		w->igd.location = "";
	upnp_ends(w, gone ? MAP_REMOVAL_SILENT : MAP_REMOVED, gone ? 0 : 1);
}

/* A pinhole, by its id, or by the one that it has where nobody has told it. */
static void
test_pinhole(World *w, gconstpointer unsure)
{
	int fd;

	w->entry.place.gateway = net_ep("[::1]:0");
	w->entry.place.own = w->entry.grant.external = net_ep("[::1]:51820");
	g_strlcpy(w->entry.grant.service, "urn:schemas-upnp-org:service:WANIPv6FirewallControl:1",
		  sizeof w->entry.grant.service);
	fd = map_place_socket(&w->entry.place, SOCK_DGRAM);
	if (fd < 0) {
		g_test_skip("no IPv6");
		return;
	}
	close(fd);
	w->igd.pinhole = w->entry.grant.unique_id = 9;
	w->entry.grant.unsure = unsure != NULL;
	if (unsure)
		w->entry.grant.unique_id = 0;
	upnp_ends(w, MAP_REMOVED, 0);
	g_assert_cmpint(w->igd.pinhole, ==, 0);
	g_assert_cmpint(w->igd.pinhole_adds, ==, unsure ? 1 : 0);
}

#define ADD(path, data, func) g_test_add("/map-removal/" path, World, data, set_up, func, tear_down)

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	for (gsize i = 0; i < G_N_ELEMENTS(CODES); i++) {
		g_autofree char *path = g_strconcat("/map-removal/", CODES[i].name, NULL);

		g_test_add(path, World, &CODES[i], set_up, test_code, tear_down);
	}
	ADD("silent", NULL, test_silent);
	ADD("stranger", NULL, test_stranger);
	ADD("unwanted", NULL, test_unwanted);
	ADD("unwanted-upnp", "", test_unwanted);
	ADD("upnp", NULL, test_upnp);
	ADD("upnp-none-there", NULL, test_upnp_none);
	ADD("upnp-others", NULL, test_upnp_others);
	ADD("upnp-refused", NULL, test_upnp_refused);
	ADD("upnp-blind", NULL, test_upnp_blind);
	ADD("upnp-blind-unsure", "", test_upnp_blind);
	ADD("upnp-no-service", NULL, test_upnp_no_service);
	ADD("upnp-moved", NULL, test_upnp_moved);
	ADD("upnp-gone", "", test_upnp_moved);
	ADD("pinhole", NULL, test_pinhole);
	ADD("pinhole-unsure", "", test_pinhole);
	return g_test_run();
}
