/* SPDX-License-Identifier: MIT */
#include "agent/portmap/map-gateway.h"

#include "agent/net/nat-local-socket.h"

#include <net/if.h>

static void
add(GArray *places, const MapPlace *place)
{
	for (guint i = 0; i < places->len; i++)
		if (map_place_equal(&g_array_index(places, MapPlace, i), place))
			return;
	g_array_append_vals(places, place, 1);
}

/* FALSE: the kernel does not answer. A network that we are in ourselves has no gateway, and what
 * goes through a tunnel is not mapped at its other end. */
static gboolean
add_way(NatFib *fib, GArray *places, const WgEndpoint *far, guint16 port, guint32 fwmark)
{
	MapPlace place = {.fwmark = fwmark};
	NatRoute way;
	NatFibResult result = nat_fib_ask(fib, far, fwmark, &way);

	if (result != NAT_FIB_FOUND)
		return result != NAT_FIB_FAILED;
	if (way.local || way.tunnel || !wg_endpoint_is_set(&way.gateway) ||
	    wg_endpoint_is_bogus(&way.gateway))
		return TRUE;
	place.gateway = way.gateway;
	place.own = way.source;
	place.ifindex = way.oif;
	wg_endpoint_set_port(&place.own, port);
	add(places, &place);
	return TRUE;
}

static gboolean
add_internet(NatFib *fib, GArray *places, int family, guint16 port, guint32 fwmark)
{
	const WgEndpoint far = nat_fib_far(family);

	return add_way(fib, places, &far, port, fwmark);
}

/* FALSE: the kernel does not answer. */
static gboolean
add_ways(NatFib *fib, GArray *places, const WgEndpoint *far, gsize n, guint16 port, guint32 fwmark)
{
	if (!add_internet(fib, places, AF_INET, port, fwmark) ||
	    !add_internet(fib, places, AF_INET6, port, fwmark))
		return FALSE;
	for (gsize i = 0; i < MIN(n, MAP_FAR_MAX); i++) {
		guint before = places->len;

		if (!add_way(fib, places, &far[i], port, fwmark))
			return FALSE;
		if (places->len > before)
			g_array_index(places, MapPlace, before).far = far[i];
	}
	return TRUE;
}

GArray *
map_gateway_find(NatFib *fib, const WgEndpoint *far, gsize n, guint16 port, guint32 fwmark)
{
	g_autoptr(GArray) places = g_array_new(FALSE, TRUE, sizeof(MapPlace));
	gboolean ok;

	if (!fib || port == 0)
		return g_steal_pointer(&places);
	nat_fib_remember(fib, TRUE);
	ok = add_ways(fib, places, far, n, port, fwmark);
	nat_fib_remember(fib, FALSE);
	return ok ? g_steal_pointer(&places) : NULL;
}

static gboolean
is_on_a_link(const WgEndpoint *address)
{
	char name[IF_NAMESIZE];

	return address->v6.sin6_scope_id != 0 &&
	       if_indextoname(address->v6.sin6_scope_id, name) != NULL;
}

/* fe80::1 is another router on each link; on a link that is no more it cannot be told from ours. */
static gboolean
same_gateway(const WgEndpoint *a, const WgEndpoint *b)
{
	WgEndpoint b_here = *b;

	if (wg_endpoint_family(a) == AF_INET6 && wg_endpoint_family(b) == AF_INET6 &&
	    !(is_on_a_link(a) && is_on_a_link(b)))
		b_here.v6.sin6_scope_id = a->v6.sin6_scope_id;
	return wg_endpoint_equal(a, &b_here);
}

gboolean
map_place_same_to_gateway(const MapPlace *a, const MapPlace *b)
{
	return wg_endpoint_equal(&a->own, &b->own) && same_gateway(&a->gateway, &b->gateway);
}

gboolean
map_place_equal(const MapPlace *a, const MapPlace *b)
{
	return wg_endpoint_equal(&a->gateway, &b->gateway) && wg_endpoint_equal(&a->own, &b->own) &&
	       a->ifindex == b->ifindex;
}

int
map_place_socket(const MapPlace *place, int type)
{
	WgEndpoint own = place->own;

	wg_endpoint_set_port(&own, 0);
	return nat_local_socket(&own, type, place->fwmark, NULL);
}
