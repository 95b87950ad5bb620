/* SPDX-License-Identifier: MIT */
#include "agent/probe/nat-stun-names.h"

#include "agent/net/nat-resolve.h"

#define DEFAULT_PORT 3478 /* RFC 8489 §18.6 */

typedef struct {
	NatStunNames *owner;
	char *text;
	NatLookup *lookup; /* NULL: the text was no name */
	GArray *addrs;	   /* of WgEndpoint */
} Name;

struct NatStunNames {
	char *ifname;
	NatResolve *resolve;
	GPtrArray *names; /* of Name */
	NatStunNamesFunc changed;
	gpointer user_data;
};

static void
name_free(gpointer data)
{
	Name *name = data;

	g_clear_pointer(&name->lookup, nat_lookup_free);
	g_array_unref(name->addrs);
	g_free(name->text);
	g_free(name);
}

static void
on_resolved(const WgEndpoint *addrs, gsize n, gboolean stored, const GError *error,
	    gpointer user_data)
{
	Name *name = user_data;
	NatStunNames *owner = name->owner;

	if (n == 0) {
		g_warning("%s: STUN server %s: %s", owner->ifname, name->text, error->message);
		return;
	}
	g_array_set_size(name->addrs, 0);
	g_array_append_vals(name->addrs, addrs, (guint)n);
	owner->changed(owner->user_data);
}

static void
add_name(NatStunNames *owner, const char *text)
{
	g_autofree char *host = NULL;
	g_autoptr(GError) error = NULL;
	guint16 port;
	Name *name;

	if (!nat_resolve_split(text, DEFAULT_PORT, &host, &port, &error)) {
		g_warning("%s: %s", owner->ifname, error->message);
		return;
	}
	name = g_new0(Name, 1);
	name->owner = owner;
	name->text = g_strdup(text);
	name->addrs = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));
	g_ptr_array_add(owner->names, name);
	name->lookup = nat_resolve_lookup(owner->resolve, host, port, on_resolved, name);
}

NatStunNames *
nat_stun_names_new(const char *const *names, const char *ifname, const char *state_dir,
		   const WgKey *own_public, NatStunNamesFunc changed, gpointer user_data)
{
	NatStunNames *owner = g_new0(NatStunNames, 1);

	owner->ifname = g_strdup(ifname);
	owner->resolve = nat_resolve_new(state_dir, own_public);
	owner->names = g_ptr_array_new_with_free_func(name_free);
	owner->changed = changed;
	owner->user_data = user_data;
	for (; names != NULL && *names != NULL; names++)
		add_name(owner, *names);
	return owner;
}

void
nat_stun_names_free(NatStunNames *names)
{
	if (names == NULL)
		return;
	g_ptr_array_unref(names->names);
	nat_resolve_free(names->resolve);
	g_free(names->ifname);
	g_free(names);
}

void
nat_stun_names_append(const NatStunNames *names, GArray *out)
{
	for (guint i = 0; i < names->names->len; i++) {
		const Name *name = g_ptr_array_index(names->names, i);

		g_array_append_vals(out, name->addrs->data, name->addrs->len);
	}
}
