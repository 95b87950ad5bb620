/* SPDX-License-Identifier: MIT */
#include "agent/innernet/inn-seen.h"

#include "agent/innernet/inn-poll.h"

G_STATIC_ASSERT(INN_SEEN_GRACE_US / 1000 > INN_SEEN_MISSES * INN_POLL_REST_MS);

typedef struct {
	WgKey key;
	InnBeacon beacon;
	gint64 seen_us;
	guint misses; /* readings without it, since */
} Seen;

struct InnSeen {
	GHashTable *peers; /* WgKey* in it → Seen */
};

InnSeen *
inn_seen_new(void)
{
	InnSeen *seen = g_new0(InnSeen, 1);

	seen->peers = g_hash_table_new_full(wg_key_hash, wg_key_equal, NULL, g_free);
	return seen;
}

void
inn_seen_free(InnSeen *seen)
{
	if (seen == NULL)
		return;
	g_hash_table_unref(seen->peers);
	g_free(seen);
}

static gboolean
note_missing(InnSeen *all, Seen *seen, gint64 now_us)
{
	if (seen == NULL || ++seen->misses < INN_SEEN_MISSES ||
	    now_us - seen->seen_us < INN_SEEN_GRACE_US)
		return FALSE;
	g_hash_table_remove(all->peers, &seen->key);
	return TRUE;
}

/* TRUE: it says something new. */
static gboolean
note(InnSeen *all, const InnPeer *peer, gint64 now_us)
{
	Seen *seen = g_hash_table_lookup(all->peers, &peer->public_key);
	InnBeacon beacon;
	gboolean renewed;

	if (!inn_beacon_read(peer->candidates, peer->n_candidates, &beacon))
		return note_missing(all, seen, now_us);
	if (seen == NULL) {
		seen = g_new0(Seen, 1);
		seen->key = peer->public_key;
		g_hash_table_insert(all->peers, &seen->key, seen);
	}
	renewed = seen->beacon.generation != beacon.generation;
	seen->beacon = beacon;
	seen->seen_us = now_us;
	seen->misses = 0;
	return renewed;
}

static GHashTable *
keys_of(const InnState *state)
{
	GHashTable *keys = g_hash_table_new(wg_key_hash, wg_key_equal);

	for (guint i = 0; i < state->peers->len; i++) {
		InnPeer *peer = g_ptr_array_index(state->peers, i);

		g_hash_table_add(keys, &peer->public_key);
	}
	return keys;
}

static gboolean
is_gone(gpointer key, gpointer value, gpointer keys)
{
	return !g_hash_table_contains(keys, key);
}

gboolean
inn_seen_read(InnSeen *seen, const InnState *state, const WgKey *own, gint64 now_us)
{
	g_autoptr(GHashTable) keys = keys_of(state);
	gboolean news = FALSE;

	g_hash_table_foreach_remove(seen->peers, is_gone, keys);
	for (guint i = 0; i < state->peers->len; i++) {
		const InnPeer *peer = g_ptr_array_index(state->peers, i);

		if (!wg_key_equal(&peer->public_key, own))
			news |= note(seen, peer, now_us);
	}
	return news;
}

gboolean
inn_seen_get(const InnSeen *seen, const WgKey *peer, InnBeacon *out)
{
	const Seen *known = g_hash_table_lookup(seen->peers, peer);

	if (known != NULL)
		*out = known->beacon;
	return known != NULL;
}
