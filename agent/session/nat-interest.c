/* SPDX-License-Identifier: MIT */
#include "agent/session/nat-interest.h"

#include "signaling/sig-wire.h"

struct NatInterest {
	GHashTable *wanted; /* WgKey set */
	GHashTable *news;   /* WgKey → whether it is wanted */
};

NatInterest *
nat_interest_new(void)
{
	NatInterest *interest = g_new0(NatInterest, 1);

	interest->wanted = g_hash_table_new_full(wg_key_hash, wg_key_equal, g_free, NULL);
	interest->news = g_hash_table_new_full(wg_key_hash, wg_key_equal, g_free, NULL);
	return interest;
}

void
nat_interest_free(NatInterest *interest)
{
	if (!interest)
		return;
	g_hash_table_unref(interest->wanted);
	g_hash_table_unref(interest->news);
	g_free(interest);
}

/* The latest word counts; telling what the server knows already does nothing. */
static void
note(NatInterest *interest, const WgKey *peer, gboolean wanted)
{
	g_hash_table_replace(interest->news, g_memdup2(peer, sizeof *peer),
			     GINT_TO_POINTER(wanted));
}

gboolean
nat_interest_add(NatInterest *interest, const WgKey *peer)
{
	if (!g_hash_table_add(interest->wanted, g_memdup2(peer, sizeof *peer)))
		return FALSE;
	note(interest, peer, TRUE);
	return TRUE;
}

gboolean
nat_interest_remove(NatInterest *interest, const WgKey *peer)
{
	if (!g_hash_table_remove(interest->wanted, peer))
		return FALSE;
	note(interest, peer, FALSE);
	return TRUE;
}

void
nat_interest_forget_told(NatInterest *interest)
{
	GHashTableIter iter;
	gpointer key;

	g_hash_table_remove_all(interest->news);
	g_hash_table_iter_init(&iter, interest->wanted);
	while (g_hash_table_iter_next(&iter, &key, NULL))
		note(interest, key, TRUE);
}

char *
nat_interest_next_frame(NatInterest *interest)
{
	WgKey add[SIG_WIRE_KEYS_MAX], remove[SIG_WIRE_KEYS_MAX];
	gsize n_add = 0, n_remove = 0;
	GHashTableIter iter;
	gpointer key, wanted;

	g_hash_table_iter_init(&iter, interest->news);
	while (n_add + n_remove < SIG_WIRE_KEYS_MAX &&
	       g_hash_table_iter_next(&iter, &key, &wanted)) {
		if (GPOINTER_TO_INT(wanted))
			add[n_add++] = *(WgKey *)key;
		else
			remove[n_remove++] = *(WgKey *)key;
		g_hash_table_iter_remove(&iter);
	}
	if (n_add + n_remove == 0)
		return NULL;
	return sig_wire_encode_interest(add, n_add, remove, n_remove);
}
