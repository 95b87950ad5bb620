/* SPDX-License-Identifier: MIT */
#include "agent/portmap/map-debts.h"

#include "agent/portmap/map-removal.h"

#define RETRY_MIN_S 60
#define RETRY_MAX_S 3600
#define MOVED_US (5 * G_USEC_PER_SEC)

typedef struct {
	MapDebts *debts;
	MapEntry entry;
	MapRemoval *removal; /* NULL: tried, and not paid */
} Debt;

struct MapDebts {
	MapState *state;
	guint16 server_port, ssdp_port;
	MapDebtsSpared spared; /* NULL: it is finishing */
	gpointer user_data;
	GPtrArray *debts; /* of Debt: what is being tried, or was */
	guint timer, failures;
	gint64 tried_us;
};

static void
debt_free(gpointer data)
{
	Debt *debt = data;

	map_removal_cancel(debt->removal);
	g_free(debt);
}

MapDebts *
map_debts_new(MapState *state, guint16 server_port, guint16 ssdp_port, MapDebtsSpared spared,
	      gpointer user_data)
{
	MapDebts *debts = g_new0(MapDebts, 1);

	debts->state = state;
	debts->server_port = server_port;
	debts->ssdp_port = ssdp_port;
	debts->spared = spared;
	debts->user_data = user_data;
	debts->debts = g_ptr_array_new_with_free_func(debt_free);
	return debts;
}

void
map_debts_free(MapDebts *debts)
{
	if (!debts)
		return;
	g_clear_handle_id(&debts->timer, g_source_remove);
	g_ptr_array_unref(debts->debts);
	g_free(debts);
}

static gboolean
is_busy(const MapDebts *debts)
{
	for (guint i = 0; i < debts->debts->len; i++)
		if (((const Debt *)g_ptr_array_index(debts->debts, i))->removal)
			return TRUE;
	return FALSE;
}

static void
end_if_finished(MapDebts *debts)
{
	if (debts->spared || is_busy(debts))
		return;
	map_state_free(debts->state);
	map_debts_free(debts);
}

/* ---- one of them ---- */

static gboolean
on_again(gpointer user_data)
{
	MapDebts *debts = user_data;

	debts->timer = 0;
	g_ptr_array_set_size(debts->debts, 0);
	map_debts_look(debts);
	return G_SOURCE_REMOVE;
}

static void
wait_to_retry(MapDebts *debts)
{
	guint pause = MIN(RETRY_MIN_S << MIN(debts->failures, 6u), RETRY_MAX_S);

	if (!debts->spared || debts->timer != 0)
		return;
	debts->failures++;
	debts->timer = g_timeout_add_seconds(pause, on_again, debts);
}

static void
on_done(MapRemovalResult result, gpointer user_data)
{
	Debt *debt = user_data;
	MapDebts *debts = debt->debts;
	gboolean is_gone =
		result == MAP_REMOVED || map_entry_is_over(&debt->entry, g_get_monotonic_time());

	debt->removal = NULL;
	g_debug("portmap: an old mapping by %s: %s",
		map_protocol_to_string(debt->entry.grant.protocol),
		result == MAP_REMOVED		? "removed"
		: result == MAP_REMOVAL_REFUSED ? "the router does not remove it"
						: "the router does not answer");
	if (is_gone && map_state_is_owed(debts->state, &debt->entry))
		map_state_drop(debts->state, &debt->entry);
	if (is_gone)
		g_ptr_array_remove(debts->debts, debt);
	else
		wait_to_retry(debts);
	end_if_finished(debts);
}

/* While it finishes another one may have taken the mapping up. */
static gboolean
is_wanted(gpointer user_data)
{
	Debt *debt = user_data;

	return debt->debts->spared || map_state_is_owed(debt->debts->state, &debt->entry);
}

static gboolean
is_known(const MapDebts *debts, const MapEntry *entry)
{
	for (guint i = 0; i < debts->debts->len; i++) {
		const Debt *debt = g_ptr_array_index(debts->debts, i);

		if (map_entry_same_mapping(&debt->entry, entry))
			return TRUE;
	}
	return FALSE;
}

static void
begin(MapDebts *debts, const MapEntry *entry)
{
	Debt *debt = g_new0(Debt, 1);
	MapRemovalFuncs funcs = {.done = on_done, .wanted = is_wanted, .user_data = debt};

	debt->debts = debts;
	debt->entry = *entry;
	g_ptr_array_add(debts->debts, debt);
	debts->tried_us = g_get_monotonic_time();
	debt->removal = map_removal_start(&entry->place, debts->server_port, debts->ssdp_port,
					  &entry->grant, &funcs);
}

/* ---- all of them ---- */

static gboolean
is_spared(const MapDebts *debts, const MapEntry *entry)
{
	return debts->spared && debts->spared(entry, debts->user_data);
}

void
map_debts_look(MapDebts *debts)
{
	g_autoptr(GArray) entries = map_state_entries(debts->state);

	for (guint i = debts->debts->len; i-- > 0;)
		if (is_spared(debts, &((Debt *)g_ptr_array_index(debts->debts, i))->entry))
			g_ptr_array_remove_index(debts->debts, i);
	for (guint i = 0; i < entries->len; i++) {
		const MapEntry *entry = &g_array_index(entries, MapEntry, i);

		if (entry->owed && !is_spared(debts, entry) && !is_known(debts, entry))
			begin(debts, entry);
	}
}

void
map_debts_retry(MapDebts *debts, gboolean moved)
{
	gint64 pause_us = moved ? MOVED_US : RETRY_MIN_S * G_USEC_PER_SEC;

	if (is_busy(debts) || g_get_monotonic_time() - debts->tried_us < pause_us)
		return;
	g_clear_handle_id(&debts->timer, g_source_remove);
	if (moved)
		debts->failures = 0;
	g_ptr_array_set_size(debts->debts, 0);
	map_debts_look(debts);
}

void
map_debts_finish(MapDebts *debts, MapState *state_take)
{
	debts->state = state_take;
	debts->spared = NULL;
	g_clear_handle_id(&debts->timer, g_source_remove);
	for (guint i = debts->debts->len; i-- > 0;)
		if (!((Debt *)g_ptr_array_index(debts->debts, i))->removal)
			g_ptr_array_remove_index(debts->debts, i);
	map_debts_look(debts);
	end_if_finished(debts);
}
