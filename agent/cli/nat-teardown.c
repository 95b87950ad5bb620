/* SPDX-License-Identifier: MIT */
#include "agent/cli/nat-teardown.h"

#include "agent/portmap/map.h"
#include "agent/punch/punch-teardown.h"

/* Whatever stays when the agent ends has its line here. */
typedef struct {
	const char *one, *many;
	/* Names of interfaces that have some. (transfer full) */
	GStrv (*interfaces)(const char *state_dir);
	/* How many were removed; *left: could not be; which: lines about those, if there is more to
	 * say. */
	guint (*remove)(const char *state_dir, const char *ifname, guint *left, GString *which);
	const char *remedy; /* for those that are left */
} Thing;

static guint
remove_rewrites(const char *state_dir, const char *ifname, guint *left, GString *which)
{
	return punch_teardown(state_dir, ifname, left);
}

static const Thing THINGS[] = {
	{"port mapping", "port mappings", map_teardown_interfaces, map_teardown,
	 "they end by themselves, or remove them at the router"},
	{"source port rewrite", "source port rewrites", punch_teardown_interfaces, remove_rewrites,
	 "nftables refuses it; see nft list tables"},
};

GStrv
nat_teardown_interfaces(const char *state_dir)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new();

	for (gsize i = 0; i < G_N_ELEMENTS(THINGS); i++) {
		g_auto(GStrv) some = THINGS[i].interfaces(state_dir);

		for (guint j = 0; some[j]; j++)
			if (!g_ptr_array_find_with_equal_func(names, some[j], g_str_equal, NULL))
				g_ptr_array_add(names, g_strdup(some[j]));
	}
	g_ptr_array_add(names, NULL);
	return (GStrv)g_ptr_array_free(g_steal_pointer(&names), FALSE);
}

static void
tell(const Thing *thing, const char *ifname, guint removed, guint left, const GString *which,
     GString *out)
{
	if (removed > 0)
		g_string_append_printf(out, "%s: %u %s removed\n", ifname, removed,
				       removed == 1 ? thing->one : thing->many);
	if (left > 0)
		g_string_append_printf(out, "%s: %u %s left: %s\n", ifname, left,
				       left == 1 ? thing->one : thing->many, thing->remedy);
	g_string_append_len(out, which->str, (gssize)which->len);
}

gboolean
nat_teardown(const char *state_dir, const char *ifname, GString *out)
{
	gboolean ok = TRUE;

	for (gsize i = 0; i < G_N_ELEMENTS(THINGS); i++) {
		guint left = 0;
		g_autoptr(GString) which = g_string_new(NULL);
		guint removed = THINGS[i].remove(state_dir, ifname, &left, which);

		tell(&THINGS[i], ifname, removed, left, which, out);
		ok = ok && left == 0;
	}
	return ok;
}
