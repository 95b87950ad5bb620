/* SPDX-License-Identifier: MIT */
/*
 * Does a change of the network concern this interface? What can concern it is which way leads to
 * whom it talks to: link, address and router, as the kernel answers. That is remembered for each
 * destination and asked again; who was not asked about before counts as changed.
 */
#include "agent/interface/nat-interface-private.h"

typedef struct {
	NatFibResult result;
	NatRoute route;
} Way;

static gboolean
is_same(const Way *a, const Way *b)
{
	return a->result == b->result && a->route.oif == b->route.oif &&
	       a->route.on_link == b->route.on_link && a->route.local == b->route.local &&
	       a->route.tunnel == b->route.tunnel &&
	       wg_endpoint_equal(&a->route.source, &b->route.source) &&
	       wg_endpoint_equal(&a->route.gateway, &b->route.gateway);
}

static GArray *
destinations(NatInterface *iface)
{
	GArray *all = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));
	const WgEndpoint far4 = nat_fib_far(AF_INET), far6 = nat_fib_far(AF_INET6);
	GHashTableIter iter;
	gpointer peer;

	g_array_append_val(all, far4);
	g_array_append_val(all, far6);
	g_array_append_vals(all, iface->server_stun->data, iface->server_stun->len);
	nat_stun_names_append(iface->stun_names, all);
	nat_relay_add_servers(iface->relay, all);
	/* of peers that are not ours to serve, too: innernet's server is one */
	for (guint i = 0; i < iface->device->peers->len; i++)
		g_array_append_val(
			all, ((WgPeer *)g_ptr_array_index(iface->device->peers, i))->endpoint);
	g_hash_table_iter_init(&iter, iface->peers);
	while (g_hash_table_iter_next(&iter, NULL, &peer))
		nat_peer_add_remotes(peer, all);
	return all;
}

static Way *
ask(NatInterface *iface, const WgEndpoint *dst)
{
	Way *way = g_new0(Way, 1);

	way->result = nat_fib_ask(iface->env.fib, dst, iface->fwmark, &way->route);
	return way;
}

static gboolean
has_link(const NatNetChange *change, int ifindex)
{
	for (guint i = 0; i < change->n_links; i++)
		if (change->links[i] == ifindex)
			return TRUE;
	return FALSE;
}

gboolean
nat_interface_ways_differ(NatInterface *iface, const NatNetChange *change)
{
	g_autoptr(GArray) dsts = destinations(iface);
	GHashTable *before = iface->ways;
	gboolean differ = before == NULL || change == NULL || change->lost ||
			  has_link(change, iface->device->ifindex);

	iface->ways = g_hash_table_new_full(wg_endpoint_hash, wg_endpoint_equal, g_free, g_free);
	nat_fib_remember(iface->env.fib, TRUE);
	for (guint i = 0; i < dsts->len; i++) {
		const WgEndpoint *dst = &g_array_index(dsts, WgEndpoint, i);
		const Way *was;
		Way *way;

		if (!wg_endpoint_is_set(dst) || wg_endpoint_is_loopback(dst) ||
		    g_hash_table_contains(iface->ways, dst))
			continue;
		way = ask(iface, dst);
		g_hash_table_insert(iface->ways, g_memdup2(dst, sizeof *dst), way);
		if (differ)
			continue;
		was = g_hash_table_lookup(before, dst);
		differ = was == NULL || !is_same(was, way) || has_link(change, way->route.oif);
	}
	nat_fib_remember(iface->env.fib, FALSE);
	g_clear_pointer(&before, g_hash_table_unref);
	return differ;
}
