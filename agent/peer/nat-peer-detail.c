/* SPDX-License-Identifier: MIT */
/* What `status PEER` shows of a peer beside its row; where it may be. */
#include "agent/peer/nat-peer-pair.h"
#include "agent/peer/nat-peer-private.h"

static char *
pair_error(NatPeer *peer, NatWatchPair *pair)
{
	const NatPairInfo *info = nat_pair_info(pair);
	gint64 now = g_get_monotonic_time();
	gint64 hold_s = nat_choice_hold_us(nat_watch_deaths(pair)) / G_USEC_PER_SEC;

	if (nat_pair_is_blocked(peer, pair, now))
		return g_strdup_printf("WireGuard's packets do not pass; tried again every %u s",
				       nat_pair_block_s(peer, pair, now));
	if (info->failures > 0)
		return g_strdup("WireGuard's packets did not pass, the last time");
	if (info->far_retiring || nat_peer_pair_is_retiring(peer, pair))
		return g_strdup("its relayed address is about to go");
	if (info->far_unready)
		return g_strdup("the peer's end is not ready");
	if (nat_watch_state(pair) == NAT_PAIR_DEAD)
		return g_strdup("probes go unanswered");
	if (hold_s > 0 && pair != peer->chosen)
		return g_strdup_printf("it broke lately: must hold for %d s first", (int)hold_s);
	return NULL;
}

static void
add_pair(NatPeer *peer, NatWatchPair *pair, NatStatusDetail *detail)
{
	NatStatusPair *out = nat_status_detail_add_pair(detail);

	out->remote = *nat_watch_remote(pair);
	nat_peer_pair_local(peer, pair, &out->local);
	out->relay = nat_watch_is_relay(pair);
	out->chosen = pair == peer->chosen;
	out->state = g_strdup(nat_pair_state_to_string(nat_watch_state(pair)));
	out->rtt_ms = nat_watch_rtt_ms(pair);
	out->loss = out->rtt_ms >= 0 ? nat_watch_loss(pair) : -1;
	out->deaths = nat_watch_deaths(pair);
	out->error = pair_error(peer, pair);
}

/* What it says of itself, and others of it (NatCandidate). */
static void
add_candidates(NatPeer *peer, GArray *candidates)
{
	NatCandidate configured = {.type = NAT_CAND_CONFIGURED, .endpoint = peer->configured};

	if (peer->has_remote)
		g_array_append_vals(candidates, peer->remote.candidates, peer->remote.n_candidates);
	if (wg_endpoint_is_set(&configured.endpoint))
		g_array_append_val(candidates, configured);
	for (guint i = 0; nat_peer_is_plain(peer) && i < peer->plain->len; i++) {
		configured.endpoint = g_array_index(peer->plain, WgEndpoint, i);
		g_array_append_val(candidates, configured);
	}
}

static void
add_remote(NatPeer *peer, NatStatusDetail *detail)
{
	if (nat_peer_remote_class(peer) != NULL)
		detail->nat = *nat_peer_remote_class(peer);
	detail->has_nat =
		detail->nat.mapping != NAT_MAPPING_UNKNOWN || nat_class_is_known(&detail->nat);
	add_candidates(peer, detail->remote);
}

void
nat_peer_add_remotes(NatPeer *peer, GArray *endpoints)
{
	g_autoptr(GArray) candidates = g_array_new(FALSE, FALSE, sizeof(NatCandidate));
	const WgEndpoint *endpoint = nat_path_endpoint(peer->path);

	if (wg_endpoint_is_set(endpoint))
		g_array_append_val(endpoints, *endpoint);
	for (guint i = 0; peer->watch != NULL && i < nat_watch_count(peer->watch); i++)
		g_array_append_val(endpoints,
				   nat_watch_remote(nat_watch_nth(peer->watch, i))->endpoint);
	add_candidates(peer, candidates);
	for (guint i = 0; i < candidates->len; i++)
		g_array_append_val(endpoints, g_array_index(candidates, NatCandidate, i).endpoint);
}

NatStatusDetail *
nat_peer_detail(NatPeer *peer)
{
	NatStatusDetail *detail = nat_status_detail_new();
	g_autoptr(GArray) own = nat_peer_own_candidates(peer);
	const NatChecks *checks =
		peer->search != NULL ? nat_search_checks(peer->search) : &peer->checks;

	g_array_append_vals(detail->local, own->data, own->len);
	add_remote(peer, detail);
	g_array_append_vals(detail->checks.list, checks->list->data, checks->list->len);
	for (guint i = 0; peer->watch != NULL && i < nat_watch_count(peer->watch); i++)
		add_pair(peer, nat_watch_nth(peer->watch, i), detail);
	if (peer->env->events != NULL) {
		g_autoptr(GPtrArray) events =
			nat_events_list(peer->env->events, peer->env->ifname, &peer->key);

		for (guint i = 0; i < events->len; i++)
			nat_status_detail_add_event(detail, g_ptr_array_index(events, i));
	}
	return detail;
}
