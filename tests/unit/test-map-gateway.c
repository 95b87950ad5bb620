/* SPDX-License-Identifier: MIT */
/* Which gateways WireGuard's packets leave by. */
#include "agent/portmap/map-gateway.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/portmap/map-private.h"

#include "tests/unit/net-util.h"

#define PORT 51820
#define MARK 7

static NatFib *
new_fib(void)
{
	g_autoptr(GError) error = NULL;
	NatFib *fib = nat_fib_new(&error);

	g_assert_no_error(error);
	return fib;
}

/* Four uplinks: the first two have default routes of both families, the others serve a prefix. */
static NatFib *
make(void)
{
	if (!net_fresh())
		return NULL;
	net_run("ip link set lo up");
	for (int i = 1; i <= 4; i++) {
		net_run("ip link add up%d type veth peer name up%dp", i, i);
		net_run("ip link set up%dp up", i);
		net_run("ip link set up%d up", i);
		net_run("ip addr add 192.168.%d.2/24 dev up%d", i, i);
		net_run("ip addr add 2001:db8:%d::2/64 dev up%d nodad", i, i);
		if (i <= 2) {
			net_run("ip route add default via 192.168.%d.1 dev up%d metric %d", i, i,
				i);
			net_run("ip -6 route add default via fe80::1 dev up%d metric %d", i, i);
		} else {
			net_run("ip route add 198.51.%d.0/24 via 192.168.%d.1", i, i);
		}
	}
	net_run("ip rule add fwmark %d lookup 9", MARK);
	net_run("ip route add default via 192.168.2.1 table 9");
	for (int i = 1; i <= 4; i++) {
		g_autofree char *address = g_strdup_printf("2001:db8:%d::2", i);

		net_wait_local(address);
	}
	return new_fib();
}

static void
expect(const GArray *places, guint at, const char *gateway, const char *own)
{
	char text[WG_ENDPOINT_STRLEN];
	const MapPlace *place = &g_array_index(places, MapPlace, at);

	g_assert_cmpuint(at, <, places->len);
	wg_endpoint_format_address(&place->gateway, text);
	g_assert_true(g_str_has_prefix(text, gateway));
	g_assert_cmpstr(wg_endpoint_format_address(&place->own, text), ==, own);
	g_assert_cmpuint(wg_endpoint_port(&place->own), ==, PORT);
	g_assert_cmpint(place->ifindex, >, 0);
}

static void
test_internet(void)
{
	g_autoptr(NatFib) fib = make();
	g_autoptr(GArray) places = NULL;
	g_autoptr(GArray) marked = NULL;

	if (!fib) {
		g_test_skip("needs root");
		return;
	}
	places = map_gateway_find(fib, NULL, 0, PORT, 0);
	g_assert_cmpuint(places->len, ==, 2);
	expect(places, 0, "192.168.1.1", "192.168.1.2");
	expect(places, 1, "fe80::1%", "2001:db8:1::2");
	marked = map_gateway_find(fib, NULL, 0, PORT, MARK);
	expect(marked, 0, "192.168.2.1", "192.168.2.2");
	g_assert_cmpuint(g_array_index(marked, MapPlace, 0).fwmark, ==, MARK);
}

/* Destinations that have routes of their own: each gateway once. */
static void
test_several(void)
{
	g_autoptr(NatFib) fib = make();
	g_autoptr(GArray) places = NULL;
	WgEndpoint far[] = {net_ep("198.51.3.1:1"), net_ep("198.51.3.2:1"), net_ep("203.0.113.1:1"),
			    net_ep("192.168.4.77:1"), net_ep("198.51.4.1:1")};

	if (!fib) {
		g_test_skip("needs root");
		return;
	}
	net_run("ip route add 203.0.113.0/24 via 192.168.2.1");
	places = map_gateway_find(fib, far, G_N_ELEMENTS(far), PORT, 0);
	g_assert_cmpuint(places->len, ==, 5);
	expect(places, 0, "192.168.1.1", "192.168.1.2");
	expect(places, 2, "192.168.3.1", "192.168.3.2");
	expect(places, 3, "192.168.2.1", "192.168.2.2");
	expect(places, 4, "192.168.4.1", "192.168.4.2");
}

typedef struct {
	WgEndpoint far[3];
} Far;

static void
destinations(GArray *far, gpointer user_data)
{
	g_array_append_vals(far, ((Far *)user_data)->far, 3);
}

static GArray *
nothing_seen(const WgEndpoint *own, gpointer user_data)
{
	return g_array_new(FALSE, FALSE, sizeof(WgEndpoint));
}

static void
on_changed(gpointer user_data)
{
}

static void
on_record(const char *text, gpointer user_data)
{
}

static void
sides_are(const Map *map, const char *second, const char *third)
{
	const char *expected[] = {"192.168.1.1", second, third};
	char text[WG_ENDPOINT_STRLEN];
	guint n = 0;

	for (guint i = 0; i < map->sides->len; i++) {
		const MapSide *side = g_ptr_array_index(map->sides, i);

		if (map_side_family(side) == AF_INET)
			g_assert_cmpstr(wg_endpoint_format_address(&side->place.gateway, text), ==,
					expected[n++]);
	}
	g_assert_cmpuint(n, ==, third ? 3 : 2);
}

static void
look(Map *map)
{
	gint64 end = g_get_monotonic_time() + 60 * G_USEC_PER_SEC;

	map->hurried_us = 0; /* not five seconds later */
	map_destinations_changed(map);
	while (map->hurried) {
		g_assert_cmpint(g_get_monotonic_time(), <, end);
		g_main_context_iteration(NULL, TRUE);
	}
}

/* More destinations than are asked for: the one that a gateway was found by has become the last. */
static void
many_destinations(GArray *far, gpointer last)
{
	WgEndpoint special = net_ep("198.51.3.1:1"), other = net_ep("203.0.113.1:1");

	if (!*(gboolean *)last)
		g_array_append_val(far, special);
	for (guint i = 0; i < MAP_FAR_MAX; i++)
		g_array_append_val(far, other);
	if (*(gboolean *)last)
		g_array_append_val(far, special);
}

static void
test_many(void)
{
	g_autoptr(NatFib) fib = make();
	gboolean last = FALSE;
	const WgKey key = {0};
	MapEnv env = {.fib = fib,
		      .public_key = &key,
		      .port = PORT,
		      .changed = on_changed,
		      .record = on_record,
		      .seen = nothing_seen,
		      .destinations = many_destinations,
		      .user_data = &last};
	Map *map;

	if (!fib) {
		g_test_skip("needs root");
		return;
	}
	map = map_new(&env);
	sides_are(map, "192.168.3.1", NULL);
	last = TRUE;
	map_network_changed(map);
	sides_are(map, "192.168.3.1", NULL);
	map_free(map, MAP_KEEP);
}

/* An interface that was made anew has another index, and is the same to the gateway; another link's
 * router is another one, as long as that link is there. */
static void
test_same(void)
{
	MapPlace a = {.gateway = net_ep("192.168.1.1"), .own = net_ep("192.168.1.2:51820")}, b = a;
	MapPlace six = {.gateway = net_ep("fe80::1"), .own = net_ep("[2001:db8::2]:51820")},
		 other = six;

	a.ifindex = 3;
	b.ifindex = 4;
	g_assert_false(map_place_equal(&a, &b));
	g_assert_true(map_place_same_to_gateway(&a, &b));
	wg_endpoint_set_port(&b.own, 51821);
	g_assert_false(map_place_same_to_gateway(&a, &b));
	six.gateway.v6.sin6_scope_id = 1; /* lo */
	other.gateway.v6.sin6_scope_id = 1000000;
	g_assert_true(map_place_same_to_gateway(&six, &other));
	g_assert_true(map_place_same_to_gateway(&other, &six));
	if (!net_fresh()) {
		g_test_skip("needs root");
		return;
	}
	net_run("ip link add six9 index 77 type veth peer name six9p");
	other.gateway.v6.sin6_scope_id = 77;
	g_assert_false(map_place_same_to_gateway(&six, &other));
}

/* Four gateways, three of which may be asked: the same ones, in whatever order they are found; and
 * for a while one that nothing leads by any more, unless the network changed. */
static void
test_choice(void)
{
	g_autoptr(NatFib) fib = make();
	WgEndpoint two = net_ep("203.0.113.1:1"), three = net_ep("198.51.3.1:1"),
		   four = net_ep("198.51.4.1:1"), one = net_ep("192.0.2.1:1");
	Far far = {.far = {two, three, four}};
	WgKey key = {0};
	MapEnv env = {.fib = fib,
		      .ifname = "wg0",
		      .public_key = &key,
		      .port = PORT,
		      .changed = on_changed,
		      .record = on_record,
		      .seen = nothing_seen,
		      .destinations = destinations,
		      .user_data = &far};
	Map *map;

	if (!fib) {
		g_test_skip("needs root");
		return;
	}
	net_run("ip route add 203.0.113.0/24 via 192.168.2.1");
	map = map_new(&env);
	sides_are(map, "192.168.2.1", "192.168.3.1");
	far = (Far){.far = {four, three, two}};
	look(map);
	sides_are(map, "192.168.3.1", "192.168.2.1");
	far = (Far){.far = {one, three, one}};
	look(map);
	sides_are(map, "192.168.3.1", "192.168.2.1");
	map_network_changed(map);
	sides_are(map, "192.168.3.1", NULL);
	map_free(map, MAP_KEEP);
}

static void
test_none(void)
{
	g_autoptr(NatFib) fib = make();
	g_autoptr(GArray) places = NULL;

	if (!fib) {
		g_test_skip("needs root");
		return;
	}
	for (int v = 4; v <= 6; v += 2)
		net_run("ip -%d route flush default", v);
	net_run("ip route add blackhole default metric 9");
	places = map_gateway_find(fib, NULL, 0, PORT, 0);
	g_assert_nonnull(places);
	g_assert_cmpuint(places->len, ==, 0);
}

/* What goes into a tunnel is not mapped at its other end; a way of two halves is a way. */
static void
test_halves(void)
{
	g_autoptr(NatFib) fib = make();
	g_autoptr(GArray) places = NULL;

	if (!fib) {
		g_test_skip("needs root");
		return;
	}
	net_run("ip tuntap add dev tun9 mode tun");
	net_run("ip addr add 10.9.0.2/24 dev tun9");
	net_run("ip link set tun9 up");
	net_run("ip route add 128.0.0.0/1 via 10.9.0.1");
	places = map_gateway_find(fib, NULL, 0, PORT, 0);
	g_assert_cmpuint(places->len, ==, 1);
	expect(places, 0, "fe80::1%", "2001:db8:1::2");
}

/* The netlink socket that was opened last becomes a pipe. */
static void
break_netlink(void)
{
	for (int fd = 1000; fd > 2; fd--) {
		int domain = 0, ends[2];
		socklen_t len = sizeof domain;

		if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 ||
		    domain != AF_NETLINK)
			continue;
		g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
		g_assert_cmpint(dup2(ends[0], fd), ==, fd);
		close(ends[0]);
		close(ends[1]);
		return;
	}
	g_assert_not_reached();
}

/* "I don't know" is not "none". */
static void
test_failure(void)
{
	g_autoptr(NatFib) fib = new_fib();
	g_autoptr(GArray) places = NULL;

	break_netlink();
	places = map_gateway_find(fib, NULL, 0, PORT, 0);
	g_assert_null(places);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/map-gateway/internet", test_internet);
	g_test_add_func("/map-gateway/several", test_several);
	g_test_add_func("/map-gateway/choice", test_choice);
	g_test_add_func("/map-gateway/none", test_none);
	g_test_add_func("/map-gateway/halves", test_halves);
	g_test_add_func("/map-gateway/failure", test_failure);
	g_test_add_func("/map-gateway/many", test_many);
	g_test_add_func("/map-gateway/same", test_same);
	return g_test_run();
}
