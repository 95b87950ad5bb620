/* SPDX-License-Identifier: MIT */
/* The lookup's callback comes also after a cancellation: what is freed before lives until then. */
#include "agent/netcheck/net-name.h"

#include <gio/gio.h>

#include "agent/base/nat-log.h"

#define OF_A_FAMILY (NET_NAME_MAX / 2)

struct NetName {
	NetNameFunc func; /* NULL: nobody waits */
	gpointer user_data;
	guint16 port;
	GCancellable *cancellable;
	guint timer;
	gboolean freed, answered;
};

static void
destroy(NetName *name)
{
	g_clear_handle_id(&name->timer, g_source_remove);
	g_object_unref(name->cancellable);
	g_free(name);
}

static void
tell(NetName *name, const WgEndpoint *addrs, gsize n, const char *problem)
{
	NetNameFunc func = g_steal_pointer(&name->func);

	g_clear_handle_id(&name->timer, g_source_remove);
	if (func)
		func(addrs, n, problem, name->user_data);
}

static gsize
take_addresses(const GList *list, guint16 port, WgEndpoint addrs[NET_NAME_MAX])
{
	gsize n = 0, v4 = 0, v6 = 0;

	for (; list; list = list->next) {
		const guint8 *bytes = g_inet_address_to_bytes(list->data);
		gsize len = g_inet_address_get_native_size(list->data);
		gsize *count = len == 4 ? &v4 : &v6;

		if (*count < OF_A_FAMILY && wg_endpoint_from_bytes(&addrs[n], bytes, len, port)) {
			n++;
			(*count)++;
		}
	}
	return n;
}

static char *
describe(const GError *error)
{
	g_autofree char *plain = nat_log_escape(error->message, -1);

	if (g_error_matches(error, G_RESOLVER_ERROR, G_RESOLVER_ERROR_NOT_FOUND))
		return g_strdup("the name is unknown");
	if (g_error_matches(error, G_RESOLVER_ERROR, G_RESOLVER_ERROR_TEMPORARY_FAILURE))
		return g_strdup("the name can't be looked up: no name server answers");
	return g_strdup_printf("the name can't be looked up: %s", plain);
}

static void
on_looked_up(GObject *object, GAsyncResult *result, gpointer user_data)
{
	NetName *name = user_data;
	g_autoptr(GError) error = NULL;
	GList *list =
		g_resolver_lookup_by_name_with_flags_finish(G_RESOLVER(object), result, &error);
	WgEndpoint addrs[NET_NAME_MAX];
	gsize n = take_addresses(list, name->port, addrs);
	g_autofree char *problem = error ? describe(error) : NULL;

	g_resolver_free_addresses(list);
	name->answered = TRUE;
	if (name->freed)
		destroy(name);
	else if (n > 0)
		tell(name, addrs, n, NULL);
	else
		tell(name, NULL, 0, problem ? problem : "the name has no address");
}

static gboolean
on_timeout(gpointer user_data)
{
	NetName *name = user_data;

	name->timer = 0;
	tell(name, NULL, 0, "the name can't be looked up: no name server answers");
	return G_SOURCE_REMOVE;
}

NetName *
net_name_lookup(const char *host, guint16 port, gboolean only_v6, NetNameFunc func,
		gpointer user_data)
{
	g_autoptr(GResolver) resolver = g_resolver_get_default();
	NetName *name = g_new0(NetName, 1);

	name->func = func;
	name->user_data = user_data;
	name->port = port;
	name->cancellable = g_cancellable_new();
	name->timer = g_timeout_add(NET_NAME_WITHIN_MS, on_timeout, name);
	g_resolver_lookup_by_name_with_flags_async(resolver, host,
						   only_v6 ? G_RESOLVER_NAME_LOOKUP_FLAGS_IPV6_ONLY
							   : G_RESOLVER_NAME_LOOKUP_FLAGS_DEFAULT,
						   name->cancellable, on_looked_up, name);
	return name;
}

void
net_name_free(NetName *name)
{
	if (!name)
		return;
	name->func = NULL;
	name->freed = TRUE;
	g_clear_handle_id(&name->timer, g_source_remove);
	if (name->answered)
		destroy(name);
	else
		g_cancellable_cancel(name->cancellable);
}
