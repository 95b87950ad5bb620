/* SPDX-License-Identifier: MIT */
#define G_LOG_DOMAIN "resolve"
#include "agent/net/nat-resolve.h"

#include <gio/gio.h>
#include <string.h>

#include "agent/base/nat-log.h"
#include "agent/net/nat-address-store.h"

struct NatResolve {
	NatAddressStore *store;
};

struct NatLookup {
	NatResolve *resolve;
	char *host; /* lower case */
	guint16 port;
	NatLookupFunc func;
	gpointer user_data;
	GCancellable *cancellable;
	GArray *stored; /* what func was told from the store, else NULL */
	gboolean running;
	guint source; /* the slow timer, or the idle of a numeric address */
};

NatResolve *
nat_resolve_new(const char *state_dir, const WgKey *own_public)
{
	return nat_resolve_new_apart(state_dir, "addresses", own_public);
}

NatResolve *
nat_resolve_new_apart(const char *state_dir, const char *kind, const WgKey *own_public)
{
	NatResolve *resolve = g_new0(NatResolve, 1);

	resolve->store = nat_address_store_new(state_dir, kind, own_public);
	return resolve;
}

void
nat_resolve_free(NatResolve *resolve)
{
	if (!resolve)
		return;
	nat_address_store_free(resolve->store);
	g_free(resolve);
}

/* Families in turns, beginning with the resolver's first (RFC 8305 §4): the next attempt after a
 * dead IPv6 address is IPv4. */
static GArray *
interleave(const GArray *in)
{
	GArray *out = g_array_sized_new(FALSE, FALSE, sizeof(WgEndpoint), in->len);
	int family = in->len ? wg_endpoint_family(&g_array_index(in, WgEndpoint, 0)) : 0;
	guint first = 0, other = 0;

	while (out->len < in->len) {
		while (first < in->len &&
		       wg_endpoint_family(&g_array_index(in, WgEndpoint, first)) != family)
			first++;
		if (first < in->len)
			g_array_append_val(out, g_array_index(in, WgEndpoint, first++));
		while (other < in->len &&
		       wg_endpoint_family(&g_array_index(in, WgEndpoint, other)) == family)
			other++;
		if (other < in->len)
			g_array_append_val(out, g_array_index(in, WgEndpoint, other++));
	}
	return out;
}

static GArray *
from_list(GList *list, guint16 port)
{
	GArray *out = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));

	for (GList *l = list; l && out->len < NAT_RESOLVE_MAX; l = l->next) {
		WgEndpoint ep;

		if (wg_endpoint_from_bytes(&ep, g_inet_address_to_bytes(l->data),
					   g_inet_address_get_native_size(l->data), port) &&
		    !wg_endpoint_array_has(out, &ep, wg_endpoint_same))
			g_array_append_val(out, ep);
	}
	return out;
}

static void
tell(NatLookup *lookup, const GArray *addrs, gboolean stored)
{
	g_autoptr(GArray) ordered = interleave(addrs);

	lookup->func((const WgEndpoint *)(const void *)ordered->data, ordered->len, stored, NULL,
		     lookup->user_data);
}

/* FALSE when nothing is stored, or it has been told already; else the lookup may be gone. */
static gboolean
tell_stored(NatLookup *lookup)
{
	g_autoptr(GArray) addrs = NULL;

	if (lookup->stored)
		return FALSE;
	addrs = nat_address_store_get(lookup->resolve->store, lookup->host, lookup->port);
	if (addrs->len == 0)
		return FALSE;
	lookup->stored = g_array_ref(addrs);
	tell(lookup, addrs, TRUE);
	return TRUE;
}

static gboolean
on_slow(gpointer user_data)
{
	NatLookup *lookup = user_data;

	lookup->source = 0;
	tell_stored(lookup);
	return G_SOURCE_REMOVE;
}

static void
fail(NatLookup *lookup, const char *cause)
{
	g_autofree char *host = nat_log_escape(lookup->host, -1);
	g_autofree char *why = nat_log_escape(cause, -1);
	g_autoptr(GError) error =
		g_error_new(G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
			    "the name %s can't be resolved (%s): check the name and this host's "
			    "resolver",
			    host, why);

	lookup->func(NULL, 0, FALSE, error, lookup->user_data);
}

static void
on_looked_up(GObject *object, GAsyncResult *result, gpointer user_data)
{
	NatLookup *lookup = user_data;
	g_autoptr(GError) error = NULL;
	g_autoptr(GArray) addrs = NULL;
	GList *list =
		g_resolver_lookup_by_name_with_flags_finish(G_RESOLVER(object), result, &error);

	/* Only nat_lookup_free() cancels: the lookup is gone. */
	if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
		return;
	lookup->running = FALSE;
	g_clear_handle_id(&lookup->source, g_source_remove);
	addrs = from_list(list, lookup->port);
	g_resolver_free_addresses(list);
	if (addrs->len > 0) {
		nat_address_store_put(lookup->resolve->store, lookup->host, addrs);
		if (!lookup->stored ||
		    !wg_endpoint_array_equal_set(lookup->stored,
						 (const WgEndpoint *)(gpointer)addrs->data,
						 addrs->len, wg_endpoint_same))
			tell(lookup, addrs, FALSE);
	} else if (!lookup->stored && !tell_stored(lookup)) {
		fail(lookup, error ? error->message : "it has no address");
	}
}

static gboolean
on_numeric(gpointer user_data)
{
	NatLookup *lookup = user_data;
	WgEndpoint ep;

	lookup->source = 0;
	lookup->running = FALSE;
	if (wg_endpoint_parse_address(lookup->host, lookup->port, &ep))
		lookup->func(&ep, 1, FALSE, NULL, lookup->user_data);
	else
		fail(lookup, "it is no address");
	return G_SOURCE_REMOVE;
}

NatLookup *
nat_resolve_lookup(NatResolve *resolve, const char *host, guint16 port, NatLookupFunc func,
		   gpointer user_data)
{
	NatLookup *lookup = g_new0(NatLookup, 1);
	g_autoptr(GResolver) resolver = NULL;
	WgEndpoint numeric;

	lookup->resolve = resolve;
	lookup->host = g_ascii_strdown(host, -1);
	lookup->port = port;
	lookup->func = func;
	lookup->user_data = user_data;
	lookup->running = TRUE;
	lookup->cancellable = g_cancellable_new();
	if (wg_endpoint_parse_address(lookup->host, port, &numeric)) {
		lookup->source = g_idle_add_full(G_PRIORITY_DEFAULT, on_numeric, lookup, NULL);
		return lookup;
	}
	resolver = g_resolver_get_default();
	lookup->source = g_timeout_add(NAT_RESOLVE_SLOW_MS, on_slow, lookup);
	g_resolver_lookup_by_name_with_flags_async(resolver, lookup->host,
						   G_RESOLVER_NAME_LOOKUP_FLAGS_DEFAULT,
						   lookup->cancellable, on_looked_up, lookup);
	return lookup;
}

gboolean
nat_lookup_is_running(NatLookup *lookup)
{
	return lookup->running;
}

void
nat_lookup_free(NatLookup *lookup)
{
	if (!lookup)
		return;
	g_cancellable_cancel(lookup->cancellable);
	g_object_unref(lookup->cancellable);
	g_clear_handle_id(&lookup->source, g_source_remove);
	g_clear_pointer(&lookup->stored, g_array_unref);
	g_free(lookup->host);
	g_free(lookup);
}

static gboolean
split_invalid(const char *text, GError **error)
{
	g_autofree char *shown = nat_log_escape(text, -1);

	g_set_error(
		error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
		"\"%s\" is not HOST or HOST:PORT (an IPv6 address with a port is [ADDRESS]:PORT)",
		shown);
	return FALSE;
}

gboolean
nat_resolve_split(const char *text, guint16 default_port, char **host, guint16 *port,
		  GError **error)
{
	const char *colon = strrchr(text, ':'), *end = text + strlen(text);
	gboolean bracket = text[0] == '[';
	const char *close = bracket ? strchr(text, ']') : NULL;
	guint64 number = default_port;

	*host = NULL;
	*port = 0;
	if (bracket && (!close || (close[1] != '\0' && close[1] != ':')))
		return split_invalid(text, error);
	/* Several colons without brackets: a bare IPv6 address. */
	if (bracket ? close[1] == ':' : colon && colon == strchr(text, ':')) {
		if (!g_ascii_string_to_unsigned(colon + 1, 10, 1, 65535, &number, NULL))
			return split_invalid(text, error);
		end = colon;
	}
	if (bracket) {
		text++;
		end = close;
	}
	if (end == text)
		return split_invalid(text, error);
	*host = g_strndup(text, (gsize)(end - text));
	*port = (guint16)number;
	return TRUE;
}
