/* SPDX-License-Identifier: MIT */
/* What the state directory says that we hold is given back, by a command and not by the agent: it
 * may wait. */
#include "agent/portmap/map.h"

#include <string.h>

#include "agent/portmap/map-removal.h"
#include "agent/portmap/map-ssdp.h"
#include "agent/portmap/map-state.h"

typedef struct {
	MapEntry entry;
	MapRemovalResult result;
	guint *waiting; /* how many have not ended */
} Try;

typedef struct {
	guint removed, left;
	GString *which; /* a line for each that is left */
} Outcome;

static gboolean
is_left(const Try *try)
{
	return try->result != MAP_REMOVED &&
	       !map_entry_is_over(&try->entry, g_get_monotonic_time());
}

static void
on_removed(MapRemovalResult result, gpointer user_data)
{
	Try *try = user_data;

	try->result = result;
	--*try->waiting;
}

/* All at once; some seconds at most, for each of them ends by itself. */
static GArray *
try_all(const MapState *state)
{
	g_autoptr(GArray) entries = map_state_entries(state);
	GArray *tries = g_array_sized_new(FALSE, TRUE, sizeof(Try), entries->len);
	guint waiting = entries->len;

	g_array_set_size(tries, entries->len);
	for (guint i = 0; i < entries->len; i++) {
		Try *try = &g_array_index(tries, Try, i);
		MapRemovalFuncs funcs = {.done = on_removed, .user_data = try};

		try->entry = g_array_index(entries, MapEntry, i);
		try->waiting = &waiting;
		map_removal_start(&try->entry.place, MAP_CODEC_PORT, MAP_SSDP_PORT,
				  &try->entry.grant, &funcs);
	}
	while (waiting > 0)
		g_main_context_iteration(NULL, TRUE);
	return tries;
}

/* What is over has ended by itself, whatever the router says. Returns how many were removed. */
static guint
settle(MapState *state, const GArray *tries)
{
	guint removed = 0;

	for (guint i = 0; i < tries->len; i++) {
		const Try *try = &g_array_index(tries, Try, i);

		if (!is_left(try))
			map_state_drop(state, &try->entry);
		removed += try->result == MAP_REMOVED;
	}
	return removed;
}

static gboolean
some_refused(const GArray *tries)
{
	for (guint i = 0; i < tries->len; i++)
		if (g_array_index(tries, Try, i).result == MAP_REMOVAL_REFUSED)
			return TRUE;
	return FALSE;
}

static void
say_left(const GArray *tries, Outcome *out)
{
	char external[WG_ENDPOINT_STRLEN], gateway[WG_ENDPOINT_STRLEN];

	for (guint i = 0; i < tries->len; i++) {
		const Try *try = &g_array_index(tries, Try, i);
		const MapEntry *entry = &try->entry;

		if (!is_left(try))
			continue;
		out->left++;
		g_string_append_printf(out->which, "  %s at the router %s, by %s: %s\n",
				       wg_endpoint_format(&entry->grant.external, external),
				       wg_endpoint_format_address(&entry->place.gateway, gateway),
				       map_protocol_to_string(entry->grant.protocol),
				       try->result == MAP_REMOVAL_REFUSED ? "it does not remove it"
									  : "it does not answer");
	}
}

/* Once more, where one was declined while another was there: miniupnpd 2.3.1 removes no pinhole by
 * PCP while its table has a mapping by UPnP. */
static void
remove_all(MapState *state, Outcome *out)
{
	for (guint round = 0;; round++) {
		g_autoptr(GArray) tries = try_all(state);
		guint removed = settle(state, tries);

		out->removed += removed;
		if (round > 0 || removed == 0 || !some_refused(tries)) {
			say_left(tries, out);
			return;
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
map_teardown(const char *state_dir, const char *ifname, guint *left, GString *which)
{
	g_auto(GStrv) names = map_state_list(state_dir);
	Outcome outcome = {.which = which};

	for (guint i = 0; names[i]; i++) {
		g_autoptr(MapState) state = map_state_open(state_dir, names[i]);
		g_autofree char *of = map_state_interface(state);

		if (g_strcmp0(of, ifname) == 0)
			remove_all(state, &outcome);
	}
	*left = outcome.left;
	return outcome.removed;
}
