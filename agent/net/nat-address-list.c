/* SPDX-License-Identifier: MIT */
#include "agent/net/nat-address-list.h"

#include "agent/net/nat-bounded-stream.h"

struct _NatAddressList {
	GNetworkAddress parent;
	GPtrArray *addrs; /* of GSocketAddress */
};

#define NAT_TYPE_ADDRESS_WALK (nat_address_walk_get_type())
G_DECLARE_FINAL_TYPE(NatAddressWalk, nat_address_walk, NAT, ADDRESS_WALK, GSocketAddressEnumerator)

struct _NatAddressWalk {
	GSocketAddressEnumerator parent;
	GPtrArray *addrs;
	guint next;
};

static void nat_address_list_connectable_init(GSocketConnectableIface *iface);

G_DEFINE_FINAL_TYPE(NatAddressWalk, nat_address_walk, G_TYPE_SOCKET_ADDRESS_ENUMERATOR)
G_DEFINE_FINAL_TYPE_WITH_CODE(NatAddressList, nat_address_list, G_TYPE_NETWORK_ADDRESS,
			      G_IMPLEMENT_INTERFACE(G_TYPE_SOCKET_CONNECTABLE,
						    nat_address_list_connectable_init))

/* The inherited asynchronous variant calls this one: it never blocks. */
static GSocketAddress *
walk_next(GSocketAddressEnumerator *enumerator, GCancellable *cancellable, GError **error)
{
	NatAddressWalk *walk = NAT_ADDRESS_WALK(enumerator);

	if (g_cancellable_set_error_if_cancelled(cancellable, error) ||
	    walk->next >= walk->addrs->len)
		return NULL;
	return g_object_ref(g_ptr_array_index(walk->addrs, walk->next++));
}

static void
walk_finalize(GObject *object)
{
	g_ptr_array_unref(NAT_ADDRESS_WALK(object)->addrs);
	G_OBJECT_CLASS(nat_address_walk_parent_class)->finalize(object);
}

static void
nat_address_walk_class_init(NatAddressWalkClass *klass)
{
	G_OBJECT_CLASS(klass)->finalize = walk_finalize;
	G_SOCKET_ADDRESS_ENUMERATOR_CLASS(klass)->next = walk_next;
}

static void
nat_address_walk_init(NatAddressWalk *walk)
{
}

static GSocketAddressEnumerator *
list_enumerate(GSocketConnectable *connectable)
{
	NatAddressWalk *walk = g_object_new(NAT_TYPE_ADDRESS_WALK, NULL);

	walk->addrs = g_ptr_array_ref(NAT_ADDRESS_LIST(connectable)->addrs);
	return G_SOCKET_ADDRESS_ENUMERATOR(walk);
}

static void
nat_address_list_connectable_init(GSocketConnectableIface *iface)
{
	iface->enumerate = list_enumerate;
	iface->proxy_enumerate = list_enumerate;
}

static void
list_finalize(GObject *object)
{
	g_ptr_array_unref(NAT_ADDRESS_LIST(object)->addrs);
	G_OBJECT_CLASS(nat_address_list_parent_class)->finalize(object);
}

static void
nat_address_list_class_init(NatAddressListClass *klass)
{
	G_OBJECT_CLASS(klass)->finalize = list_finalize;
}

static void
nat_address_list_init(NatAddressList *list)
{
	list->addrs = g_ptr_array_new_with_free_func(g_object_unref);
}

GSocketConnectable *
nat_address_list_new(const char *host, guint16 port, const WgEndpoint *addrs, gsize n)
{
	NatAddressList *list =
		g_object_new(NAT_TYPE_ADDRESS_LIST, "hostname", host, "port", (guint)port, NULL);

	for (gsize i = 0; i < n; i++) {
		g_autoptr(GSocketAddress) addr = g_socket_address_new_from_native(
			(gpointer)&addrs[i], wg_endpoint_socklen(&addrs[i]));

		g_ptr_array_add(list->addrs, nat_bounded_address_new(G_INET_SOCKET_ADDRESS(addr)));
	}
	return G_SOCKET_CONNECTABLE(list);
}
