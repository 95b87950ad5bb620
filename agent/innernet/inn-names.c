/* SPDX-License-Identifier: MIT */
#include "agent/innernet/inn-names.h"

#include "agent/base/nat-log.h"
#include "agent/net/nat-resolve.h"

#define SEC ((gint64)G_USEC_PER_SEC)
#define AGAIN_US (300 * SEC)
#define RETRY_US (30 * SEC) /* doubles up to AGAIN_US while there is no answer */
#define AT_ONCE 4
#define ANY_PORT 1 /* records may have one name with several ports */

typedef struct {
	InnNames *owner;
	char *host; /* lower case */
	gboolean wanted;
	NatLookup *lookup; /* the last one; NULL: none yet */
	gint64 due_us, pause_us;
	GArray *addrs; /* of WgEndpoint, with ANY_PORT; empty: nothing is known */
} Name;

struct InnNames {
	char *ifname;
	WgKey own;
	NatResolve *resolve;
	GHashTable *names; /* host (inside the Name) → Name */
	gint64 now_us;	   /* of the last tick */
	gboolean crowded;  /* said once */
	InnNamesFunc changed;
	gpointer user_data;
};

static void begin_due(InnNames *names);

static void
name_free(gpointer data)
{
	Name *name = data;

	nat_lookup_free(name->lookup);
	g_array_unref(name->addrs);
	g_free(name->host);
	g_free(name);
}

InnNames *
inn_names_new(const char *ifname, const char *state_dir, const WgKey *own_public,
	      InnNamesFunc changed, gpointer user_data)
{
	InnNames *names = g_new0(InnNames, 1);

	names->ifname = g_strdup(ifname);
	names->own = *own_public;
	names->resolve = nat_resolve_new_apart(state_dir, "innernet-addresses", own_public);
	names->names = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, name_free);
	names->changed = changed;
	names->user_data = user_data;
	return names;
}

void
inn_names_free(InnNames *names)
{
	if (names == NULL)
		return;
	g_hash_table_unref(names->names);
	nat_resolve_free(names->resolve);
	g_free(names->ifname);
	g_free(names);
}

/* ---- which names ---- */

static Name *
find(const InnNames *names, const char *host)
{
	g_autofree char *lower = g_ascii_strdown(host, -1);

	return g_hash_table_lookup(names->names, lower);
}

static gboolean
is_of_interest(const InnNames *names, const InnPeer *record)
{
	return record->endpoint_host != NULL && !record->disabled && record->redeemed &&
	       !wg_key_equal(&record->public_key, &names->own);
}

static gboolean
is_unwanted(gpointer host, gpointer name, gpointer user_data)
{
	return !((Name *)name)->wanted;
}

static void
mark(InnNames *names, const InnState *state)
{
	GHashTableIter iter;
	gpointer each;

	g_hash_table_iter_init(&iter, names->names);
	while (g_hash_table_iter_next(&iter, NULL, &each))
		((Name *)each)->wanted = FALSE;
	for (guint i = 0; i < state->peers->len; i++) {
		const InnPeer *record = g_ptr_array_index(state->peers, i);
		Name *name =
			is_of_interest(names, record) ? find(names, record->endpoint_host) : NULL;

		if (name != NULL)
			name->wanted = TRUE;
	}
}

static void
add(InnNames *names, const char *host)
{
	Name *name = g_new0(Name, 1);

	name->owner = names;
	name->host = g_ascii_strdown(host, -1);
	name->wanted = TRUE;
	name->pause_us = RETRY_US;
	name->addrs = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));
	g_hash_table_insert(names->names, name->host, name);
}

void
inn_names_set(InnNames *names, const InnState *state)
{
	gboolean crowded = FALSE;

	mark(names, state);
	g_hash_table_foreach_remove(names->names, is_unwanted, NULL);
	for (guint i = 0; i < state->peers->len; i++) {
		const InnPeer *record = g_ptr_array_index(state->peers, i);

		if (!is_of_interest(names, record) || find(names, record->endpoint_host) != NULL)
			continue;
		if (g_hash_table_size(names->names) < INN_NAMES_MAX)
			add(names, record->endpoint_host);
		else
			crowded = TRUE;
	}
	if (crowded && !names->crowded)
		g_message("%s: innernet: more than %d names are endpoints of peers: the others are "
			  "not looked up",
			  names->ifname, INN_NAMES_MAX);
	names->crowded = crowded;
}

/* ---- lookups ---- */

/* When the next one is due was set as it began: an answer that is known already is not told. */
static void
on_addresses(const WgEndpoint *addrs, gsize n, gboolean stored, const GError *error,
	     gpointer user_data)
{
	Name *name = user_data;
	InnNames *names = name->owner;

	if (n == 0)
		g_debug("%s: innernet: %s", names->ifname, error->message);
	if (n > 0 && !stored) {
		name->pause_us = RETRY_US;
		name->due_us = names->now_us + AGAIN_US;
	}
	/* the order of what is tried shall not change with the resolver's */
	if (n > 0 && !wg_endpoint_array_equal_set(name->addrs, addrs, n, wg_endpoint_same)) {
		g_array_set_size(name->addrs, 0);
		g_array_append_vals(name->addrs, addrs, (guint)n);
		names->changed(names->user_data);
	}
	begin_due(names);
}

static gboolean
is_running(const Name *name)
{
	return name->lookup != NULL && nat_lookup_is_running(name->lookup);
}

static void
begin(Name *name)
{
	InnNames *names = name->owner;

	nat_lookup_free(name->lookup);
	name->due_us = names->now_us + name->pause_us;
	name->pause_us = MIN(name->pause_us * 2, AGAIN_US);
	name->lookup = nat_resolve_lookup(names->resolve, name->host, ANY_PORT, on_addresses, name);
}

static void
begin_due(InnNames *names)
{
	GHashTableIter iter;
	gpointer each;
	guint running = 0;

	g_hash_table_iter_init(&iter, names->names);
	while (g_hash_table_iter_next(&iter, NULL, &each))
		running += is_running(each);
	g_hash_table_iter_init(&iter, names->names);
	while (running < AT_ONCE && g_hash_table_iter_next(&iter, NULL, &each)) {
		if (is_running(each) || ((Name *)each)->due_us > names->now_us)
			continue;
		begin(each);
		running++;
	}
}

void
inn_names_tick(InnNames *names, gint64 now_us)
{
	names->now_us = now_us;
	begin_due(names);
}

void
inn_names_renew(InnNames *names)
{
	GHashTableIter iter;
	gpointer each;

	g_hash_table_iter_init(&iter, names->names);
	while (g_hash_table_iter_next(&iter, NULL, &each)) {
		Name *name = each;

		/* one that runs may ask the former network's resolver */
		g_clear_pointer(&name->lookup, nat_lookup_free);
		name->due_us = 0;
		name->pause_us = RETRY_US;
	}
}

GArray *
inn_names_get(const InnNames *names, const InnPeer *record)
{
	Name *name = record->endpoint_host != NULL ? find(names, record->endpoint_host) : NULL;
	GArray *out;

	if (name == NULL || name->addrs->len == 0)
		return NULL;
	out = g_array_copy(name->addrs);
	for (guint i = 0; i < out->len; i++)
		wg_endpoint_set_port(&g_array_index(out, WgEndpoint, i), record->endpoint_port);
	return out;
}
