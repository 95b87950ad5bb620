/* SPDX-License-Identifier: MIT */
/*
 * The watch as a whole: its pairs, and which of them a packet is for. What becomes of one pair:
 * nat-watch-pair.c.
 */
#include "agent/path/nat-watch-private.h"

#include <sodium.h>
#include <string.h>

#define STRANGERS 4 /* pairs that are known from requests alone, and have answered none of ours */

void
nat_watch_enter(NatWatch *watch)
{
	watch->depth++;
}

void
nat_watch_leave(NatWatch *watch)
{
	if (--watch->depth == 0)
		g_ptr_array_set_size(watch->gone, 0);
}

gboolean
nat_watch_guess(NatWatch *watch, const WgEndpoint *dst)
{
	static const guint8 no_note[NAT_STUN_NOTE_LEN];
	guint8 msg[NAT_STUN_MAX], id[NAT_STUN_ID_LEN];
	WgEndpoint source;
	gsize len;

	if (!nat_mux_source_for(watch->mux, dst, &source))
		return FALSE;
	randombytes_buf(id, sizeof id);
	len = nat_stun_build_probe(msg, sizeof msg, id, watch->keys.username, watch->keys.peer_pwd,
				   no_note);
	if (!nat_mux_client_send_guess(watch->client, &source, dst, msg, len))
		return FALSE;
	nat_stats_count(watch->stats, NAT_STAT_PROBES_SENT);
	return TRUE;
}

/* ---- hearing ---- */

static void
answer(NatWatch *watch, NatWatchPair *pair, const NatUdp *pkt, const NatStun *stun)
{
	guint8 msg[NAT_STUN_MAX], note[NAT_STUN_NOTE_LEN];
	gsize len;

	nat_watch_pair_put_note(pair, note);
	len = nat_stun_build_probe_answer(msg, sizeof msg, stun->id, &pkt->src, watch->keys.own_pwd,
					  note);
	nat_mux_client_send(watch->client, &pkt->dst, &pkt->src, msg, len);
}

static gboolean
is_relayed_by_us(NatWatch *watch, const NatUdp *pkt)
{
	return nat_mux_is_relayed(watch->mux, &pkt->dst);
}

static NatWatchPair *add_pair(NatWatch *watch, const WgEndpoint *relayed,
			      const NatCandidate *remote);

static gboolean
is_stranger(const NatWatchPair *pair)
{
	return !pair->added && pair->state == NAT_PAIR_NEW;
}

static guint
count_strangers(const NatWatch *watch)
{
	guint n = 0;

	for (guint i = 0; i < watch->pairs->len; i++)
		n += is_stranger(g_ptr_array_index(watch->pairs, i));
	return n;
}

static void
on_request(const NatUdp *pkt, const NatStun *stun, gpointer user_data)
{
	NatWatch *watch = user_data;
	const WgEndpoint *relayed = is_relayed_by_us(watch, pkt) ? &pkt->dst : NULL;
	NatWatchPair *pair;

	if (stun->klass != NAT_STUN_REQUEST ||
	    !nat_stun_check_integrity(pkt->payload, pkt->len, watch->keys.own_pwd))
		return;
	nat_watch_enter(watch);
	pair = nat_watch_find(watch, relayed, &pkt->src);
	if (pair == NULL) {
		NatCandidate remote = {.type = NAT_CAND_PRFLX, .endpoint = pkt->src};

		/* RFC 8445 §7.3.1.3: a candidate that nobody named. It counts once it answers; a
		 * copied request may come from anywhere. */
		if (count_strangers(watch) < STRANGERS)
			pair = add_pair(watch, relayed, &remote);
	} else if (pair->state == NAT_PAIR_DEAD ||
		   (pair->state == NAT_PAIR_NEW && pair->unanswered > 1)) {
		nat_watch_pair_nudge(pair);
	}
	if (pair != NULL) {
		/* first the note: the answer tells what came of it */
		if (pair->state == NAT_PAIR_ALIVE || pair->state == NAT_PAIR_SUSPECT)
			nat_watch_pair_take_note(pair, stun, FALSE);
		if (!pair->gone)
			answer(watch, pair, pkt, stun);
	}
	nat_watch_leave(watch);
}

static void
on_response(const NatUdp *pkt, const NatStun *stun, gpointer user_data)
{
	NatWatch *watch = user_data;
	const WgEndpoint *relayed = is_relayed_by_us(watch, pkt) ? &pkt->dst : NULL;
	NatWatchPair *pair = nat_watch_find(watch, relayed, &pkt->src);
	NatWatchRequest *request =
		pair != NULL ? nat_watch_pair_find_request(pair, stun->id) : NULL;

	if (request == NULL || stun->klass != NAT_STUN_SUCCESS ||
	    !nat_stun_check_integrity(pkt->payload, pkt->len, watch->keys.peer_pwd))
		return;
	nat_watch_enter(watch);
	nat_watch_pair_answered(pair, request, stun);
	nat_watch_leave(watch);
}

static const NatMuxFuncs MUX_FUNCS = {
	.request = on_request,
	.response = on_response,
	.padded = TRUE, /* nat-watch-mtu's of the peer */
};

/* ---- life ---- */

NatWatch *
nat_watch_new(NatMux *mux, NatSeal *seal, const WgKey *own, const WgKey *peer, guint64 own_id,
	      guint64 peer_id, const NatWatchFuncs *funcs, gpointer user_data)
{
	NatWatch *watch = g_new0(NatWatch, 1);

	nat_watch_keys_init(&watch->keys, seal, own, peer, own_id, peer_id);
	watch->mux = mux;
	watch->funcs = *funcs;
	watch->user_data = user_data;
	watch->pairs = g_ptr_array_new();
	watch->gone = g_ptr_array_new_with_free_func(g_free);
	watch->client = nat_mux_client_new(mux, watch->keys.own_ufrag, &MUX_FUNCS, watch);
	return watch;
}

void
nat_watch_set_stats(NatWatch *watch, NatStats *stats)
{
	watch->stats = stats;
}

void
nat_watch_free(NatWatch *watch)
{
	if (watch == NULL)
		return;
	while (watch->pairs->len > 0)
		nat_watch_remove(g_ptr_array_index(watch->pairs, 0));
	nat_mux_client_free(watch->client);
	g_ptr_array_unref(watch->pairs);
	g_ptr_array_unref(watch->gone);
	nat_watch_keys_clear(&watch->keys);
	g_free(watch);
}

/* ---- pairs ---- */

/* Of the pairs that nobody named, a stranger goes first, then the one that is dead longest: the
 * peer's old mapping. NULL: all of them may be of use. */
static NatWatchPair *
find_useless(const NatWatch *watch)
{
	NatWatchPair *useless = NULL;

	for (guint i = 0; i < watch->pairs->len; i++) {
		NatWatchPair *pair = g_ptr_array_index(watch->pairs, i);

		if (is_stranger(pair))
			return pair;
		if (!pair->added && pair->state == NAT_PAIR_DEAD &&
		    (useless == NULL || pair->dead_us < useless->dead_us))
			useless = pair;
	}
	return useless;
}

static NatWatchPair *
add_pair(NatWatch *watch, const WgEndpoint *relayed, const NatCandidate *remote)
{
	NatWatchPair *pair = NULL;

	if (watch->pairs->len >= NAT_WATCH_PAIRS)
		pair = find_useless(watch);
	if (pair != NULL)
		nat_watch_remove(pair);
	if (watch->pairs->len >= NAT_WATCH_PAIRS)
		return NULL;
	pair = g_new0(NatWatchPair, 1);
	pair->watch = watch;
	if (relayed != NULL)
		pair->relayed = *relayed;
	pair->remote = *remote;
	pair->rtt_ms = -1;
	g_ptr_array_add(watch->pairs, pair);
	nat_watch_pair_schedule(pair, 0);
	return pair;
}

NatWatchPair *
nat_watch_find(NatWatch *watch, const WgEndpoint *relayed, const WgEndpoint *remote)
{
	for (guint i = 0; i < watch->pairs->len; i++) {
		NatWatchPair *pair = g_ptr_array_index(watch->pairs, i);

		if (wg_endpoint_equal(&pair->remote.endpoint, remote) &&
		    (relayed != NULL ? wg_endpoint_equal(&pair->relayed, relayed)
				     : !wg_endpoint_is_set(&pair->relayed)))
			return pair;
	}
	return NULL;
}

NatWatchPair *
nat_watch_add(NatWatch *watch, const WgEndpoint *relayed, const NatCandidate *remote)
{
	NatWatchPair *pair = nat_watch_find(watch, relayed, &remote->endpoint);

	if (pair == NULL)
		pair = add_pair(watch, relayed, remote);
	if (pair == NULL)
		return NULL;
	if (remote->type != NAT_CAND_PRFLX)
		pair->remote.type = remote->type;
	pair->added = TRUE;
	return pair;
}

void
nat_watch_remove(NatWatchPair *pair)
{
	NatWatch *watch = pair->watch;

	if (pair->gone)
		return;
	g_clear_handle_id(&pair->timer, g_source_remove);
	watch->funcs.removed(pair, watch->user_data);
	g_ptr_array_remove(watch->pairs, pair);
	pair->gone = TRUE;
	if (watch->depth > 0)
		g_ptr_array_add(watch->gone, pair);
	else
		g_free(pair);
}

const NatWatchKeys *
nat_watch_keys(const NatWatch *watch)
{
	return &watch->keys;
}

guint
nat_watch_count(const NatWatch *watch)
{
	return watch->pairs->len;
}

NatWatchPair *
nat_watch_nth(const NatWatch *watch, guint i)
{
	return g_ptr_array_index(watch->pairs, i);
}

void
nat_watch_probe_all(NatWatch *watch)
{
	for (guint i = 0; i < watch->pairs->len; i++)
		nat_watch_probe(g_ptr_array_index(watch->pairs, i));
}
