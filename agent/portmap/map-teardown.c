/* SPDX-License-Identifier: MIT */
/* What the state directory says that we hold is given back, by a command and not by the agent: it
 * may wait. */
#include "agent/portmap/map.h"

#include <string.h>

#include "agent/portmap/map-client.h"
#include "agent/portmap/map-state.h"
#include "agent/portmap/map-upnp.h"

#define WAIT_MS 2000 /* for each answer by PCP or NAT-PMP */

typedef struct {
	gboolean done, removed;
} Waiting;

static void
on_removed(gboolean removed, gpointer user_data)
{
	Waiting *waiting = user_data;

	waiting->done = TRUE;
	waiting->removed = removed;
}

static gboolean
remove_one(const MapPlace *place, const MapGrant *grant)
{
	Waiting waiting = {0};

	if (grant->protocol != MAP_UPNP)
		return map_client_remove(place, MAP_CODEC_PORT, grant, WAIT_MS);
	if (!map_upnp_remove(place, grant, on_removed, &waiting))
		return FALSE;
	while (!waiting.done)
		g_main_context_iteration(NULL, TRUE); /* MAP_HTTP_TIMEOUT_MS at most */
	return waiting.removed;
}

static void
remove_all(MapState *state, guint *removed, guint *left)
{
	static const int FAMILIES[] = {AF_INET, AF_INET6};

	for (gsize i = 0; i < G_N_ELEMENTS(FAMILIES); i++) {
		MapPlace place;
		MapGrant grant;

		if (!map_state_get(state, FAMILIES[i], &place, &grant))
			continue;
		if (remove_one(&place, &grant)) {
			map_state_drop(state, FAMILIES[i]);
			++*removed;
		} else {
			++*left;
		}
	}
}

GStrv
map_teardown_interfaces(const char *state_dir)
{
	g_auto(GStrv) files = map_state_list(state_dir);
	g_autoptr(GStrvBuilder) names = g_strv_builder_new();

	for (guint i = 0; files[i]; i++) {
		g_autoptr(MapState) state = map_state_open(state_dir, files[i]);
		g_autofree char *name = map_state_interface(state);

		/* a name that no lock could be made of is nobody's */
		if (name && *name && !strchr(name, '/'))
			g_strv_builder_add(names, name);
	}
	return g_strv_builder_end(names);
}

guint
map_teardown(const char *state_dir, const char *ifname, guint *left)
{
	g_auto(GStrv) names = map_state_list(state_dir);
	guint removed = 0;

	*left = 0;
	for (guint i = 0; names[i]; i++) {
		g_autoptr(MapState) state = map_state_open(state_dir, names[i]);
		g_autofree char *of = map_state_interface(state);

		if (g_strcmp0(of, ifname) == 0)
			remove_all(state, &removed, left);
	}
	return removed;
}
