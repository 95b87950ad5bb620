/* SPDX-License-Identifier: MIT */
#include "agent/peer/nat-peer-pair.h"
#include "agent/peer/nat-peer-private.h"

#include <string.h>

#include "agent/base/nat-log.h"

#define RELEASE_MS 10000     /* DESIGN §2: some 10 s after both sides report proof */
#define RELEASE_MAX_MS 60000 /* when the peer never says it is proven */
#define GIVE_UP_MS 3000
#define RETRY_MIN_MS 5000
#define RETRY_MAX_MS 60000
#define RETRY_MAX_BEACON_MS 300000 /* a beacon stays though its agent is gone */
/* Between tries that are so far apart the search is not kept: a network has many such peers. */
#define KEEP_SEARCH_MS 60000
#define POKE_MS 500
/* Issue of a path: so long a direct one is waited for before a relayed one may carry the tunnel. */
#define RELAY_FIRST_MS 500
#define POKES 6
#define SEARCH_BURST 6
#define SEARCH_INTERVAL_US (5 * (gint64)G_USEC_PER_SEC)

/* How the search went is asked for when it is over. */
static void
keep_checks(NatPeer *peer)
{
	const NatChecks *checks;

	if (peer->search == NULL || !nat_search_started(peer->search))
		return;
	checks = nat_search_checks(peer->search);
	g_array_set_size(peer->checks.list, 0);
	g_array_append_vals(peer->checks.list, checks->list->data, checks->list->len);
}

void
nat_peer_end_search(NatPeer *peer)
{
	nat_peer_stop_timer(&peer->release);
	nat_peer_stop_timer(&peer->give_up);
	nat_peer_stop_timer(&peer->poke);
	keep_checks(peer);
	g_clear_pointer(&peer->search, nat_search_free);
	g_array_set_size(peer->addresses, 0);
	g_array_set_size(peer->offered, 0);
	memset(&peer->selected, 0, sizeof peer->selected);
}

static gboolean
on_release(gpointer user_data)
{
	NatPeer *peer = user_data;

	peer->release = 0;
	nat_peer_end_search(peer);
	return G_SOURCE_REMOVE;
}

void
nat_peer_plan_release(NatPeer *peer)
{
	gboolean both = (peer->remote.flags & NAT_MSG_PROVEN) != 0;

	/* from a relay the search goes on */
	if (peer->search == NULL || !nat_peer_path_is_good(peer) || nat_peer_on_relay(peer))
		return;
	nat_peer_stop_timer(&peer->release);
	peer->release = g_timeout_add(both ? RELEASE_MS : RELEASE_MAX_MS, on_release, peer);
}

void
nat_peer_doubt(NatPeer *peer)
{
	peer->failure = NAT_FAILURE_SILENCE;
	peer->doubt_us = g_get_monotonic_time();
}

static gboolean
on_retry(gpointer user_data)
{
	NatPeer *peer = user_data;

	peer->retry = 0;
	if (peer->online && (!nat_peer_tunnel_live(peer) || nat_peer_on_relay(peer) ||
			     peer->failure == NAT_FAILURE_SILENCE))
		nat_peer_begin_search(peer);
	return G_SOURCE_REMOVE;
}

void
nat_peer_restore_original(NatPeer *peer)
{
	WgPeerChange change = {
		.public_key = peer->key,
		.flags = WG_CHANGE_KEEPALIVE,
	};

	if (!nat_originals_get(peer->env->originals, &peer->key, &change.endpoint,
			       &change.keepalive))
		return;
	/* WireGuard cannot forget an endpoint, only take another. */
	if (wg_endpoint_is_set(&change.endpoint))
		change.flags |= WG_CHANGE_ENDPOINT;
	peer->env->write(&change, peer->env->user_data);
}

/* Without its agent there is nobody to check with. */
void
nat_peer_go_waiting(NatPeer *peer)
{
	nat_peer_stop_timer(&peer->retry);
	nat_peer_end_search(peer);
	nat_peer_set_state(peer, NAT_PEER_WAITING, "its agent is not at the signaling server");
}

/* Full jitter keeps two ends from restarting in step for ever. */
void
nat_peer_plan_retry(NatPeer *peer)
{
	peer->retry_ms = CLAMP(peer->retry_ms * 2, RETRY_MIN_MS,
			       peer->tier0 ? RETRY_MAX_BEACON_MS : RETRY_MAX_MS);
	nat_peer_stop_timer(&peer->retry);
	peer->retry = g_timeout_add(
		(guint)g_random_int_range((gint)peer->retry_ms / 2, (gint)peer->retry_ms), on_retry,
		peer);
}

static void
count_failure(NatPeer *peer, NatFailure failure)
{
	switch (failure) {
	case NAT_FAILURE_NONE:
		break;
	case NAT_FAILURE_CHECKS:
		nat_stats_count(peer->env->stats, NAT_STAT_SEARCHES_UNANSWERED);
		break;
	case NAT_FAILURE_PROOF:
		nat_stats_count(peer->env->stats, NAT_STAT_SEARCHES_UNPROVEN);
		break;
	case NAT_FAILURE_SILENCE:
		nat_stats_count(peer->env->stats, NAT_STAT_SEARCHES_SILENT);
		break;
	}
}

void
nat_peer_fail(NatPeer *peer, NatFailure failure)
{
	nat_peer_stop_timer(&peer->give_up);
	count_failure(peer, failure);
	peer->failure = failure;
	if (nat_peer_tunnel_live(peer) && failure != NAT_FAILURE_SILENCE) {
		nat_peer_set_state(peer, NAT_PEER_CONNECTED,
				   "no better path, the present one lives");
		if (nat_peer_on_relay(peer) && peer->online)
			nat_peer_plan_retry(peer);
		return;
	}
	if (!nat_peer_tunnel_live(peer))
		nat_peer_restore_original(peer);
	if (!peer->online) {
		nat_peer_go_waiting(peer);
		return;
	}
	nat_peer_set_state(peer, NAT_PEER_FAILED,
			   failure == NAT_FAILURE_PROOF	    ? "no handshake on the checked path"
			   : failure == NAT_FAILURE_SILENCE ? "the path stays silent"
							    : "no check was answered");
	nat_peer_plan_retry(peer);
	if (peer->tier0 && peer->retry_ms > KEEP_SEARCH_MS)
		nat_peer_end_search(peer);
}

static gboolean
on_give_up(gpointer user_data)
{
	NatPeer *peer = user_data;

	/* What is being proved now has the word first. */
	if (nat_path_phase(peer->path) == NAT_PATH_PROVING)
		return G_SOURCE_CONTINUE;
	peer->give_up = 0;
	if (peer->state == NAT_PEER_CONNECTED && nat_peer_on_relay(peer)) {
		nat_peer_end_search(peer);
		nat_peer_fail(peer, NAT_FAILURE_CHECKS);
		return G_SOURCE_REMOVE;
	}
	/* A path that went silent is still PROVEN as far as WireGuard knows. */
	if (peer->state == NAT_PEER_CHECKING)
		nat_peer_fail(peer, peer->failure == NAT_FAILURE_SILENCE ? NAT_FAILURE_SILENCE
									 : NAT_FAILURE_CHECKS);
	return G_SOURCE_REMOVE;
}

static void
on_ice_failed(gpointer user_data)
{
	NatPeer *peer = user_data;

	/* Not final (DESIGN §2): the peer's checks may still arrive. */
	if (peer->give_up == 0)
		peer->give_up = g_timeout_add(GIVE_UP_MS, on_give_up, peer);
}

/* Our end is proven; the other's proof is a byte of ours that comes after its own try. */
static gboolean
on_poke(gpointer user_data)
{
	NatPeer *peer = user_data;

	if (peer->pokes++ < POKES && !(peer->remote.flags & NAT_MSG_PROVEN) &&
	    nat_peer_tunnel_live(peer)) {
		nat_path_poke(peer->path);
		return G_SOURCE_CONTINUE;
	}
	peer->poke = 0;
	return G_SOURCE_REMOVE;
}

void
nat_peer_start_poking(NatPeer *peer)
{
	peer->pokes = 0;
	if (peer->poke == 0)
		peer->poke = g_timeout_add(POKE_MS, on_poke, peer);
}

/* The path that WireGuard has is good, and the search, if there is one, has done its work. */
void
nat_peer_keep_present(NatPeer *peer, const char *reason)
{
	gint64 now = g_get_monotonic_time();

	if (peer->state == NAT_PEER_CHECKING && peer->began_us != 0)
		nat_peer_note_connected(peer, now);
	peer->failure = NAT_FAILURE_NONE;
	peer->retry_ms = 0;
	nat_peer_stop_timer(&peer->retry);
	nat_path_adopt(peer->path, now);
	peer->remote_type = nat_peer_endpoint_type(peer);
	nat_peer_set_state(peer, NAT_PEER_CONNECTED, reason);
	nat_peer_send_soon(peer);
	nat_peer_plan_release(peer);
}

/* What ICE selected carries the tunnel at once where nothing else does, or where it is the better
 * pair of a try that is under way; a tunnel that is live elsewhere is the chooser's affair. */
static void
take_selected(NatPeer *peer, gboolean fresh)
{
	NatWatchPair *pair = peer->watch != NULL ? nat_peer_add_pair(peer, &peer->selected) : NULL;

	nat_peer_stop_timer(&peer->give_up);
	if (pair == NULL)
		return;
	if (nat_peer_tunnel_live(peer) && !fresh && peer->failure != NAT_FAILURE_SILENCE) {
		nat_watch_probe(pair);
		if (pair != peer->chosen)
			return;
		nat_peer_keep_present(peer, "the present path was confirmed");
		nat_path_poke(peer->path);
		nat_peer_start_poking(peer);
		return;
	}
	nat_peer_take_selected_pair(peer, pair);
}

static void
on_ice_selected(const WgEndpoint *local, const NatCandidate *remote, gpointer user_data)
{
	NatPeer *peer = user_data;
	char text[WG_ENDPOINT_STRLEN];
	gboolean fresh = !nat_peer_on_relay(peer) &&
			 (nat_path_phase(peer->path) == NAT_PATH_PROVING ||
			  nat_path_urgent(peer->path, g_get_monotonic_time())) &&
			 (peer->chosen == NULL || !nat_watch_is_relay(peer->chosen));

	nat_peer_record(peer, NAT_EVENT_SEARCH, "checks selected %s %s",
			nat_cand_type_to_string(remote->type),
			wg_endpoint_format(&remote->endpoint, text));
	peer->selected = *remote;
	take_selected(peer, fresh);
}

/* The initiator need not wait for its own check's answer: the peer's check came through, and the
 * way back is open because it came. Saves half a round trip or more; ICE goes on and has the last
 * word. */
static void
on_ice_checked(const WgEndpoint *local, const WgEndpoint *remote, gpointer user_data)
{
	NatPeer *peer = user_data;
	gint64 now = g_get_monotonic_time();

	if (!peer->controlling || nat_path_live(peer->path, now) ||
	    nat_path_phase(peer->path) != NAT_PATH_IDLE)
		return;
	nat_path_try(peer->path, remote, FALSE, 0, now);
	peer->env->hurry(peer->env->user_data);
}

static const NatSearchFuncs SEARCH_FUNCS = {
	.checked = on_ice_checked,
	.selected = on_ice_selected,
	.failed = on_ice_failed,
};

void
nat_peer_make_search(NatPeer *peer)
{
	g_autoptr(GError) error = NULL;

	if (peer->search != NULL)
		return;
	peer->search = nat_search_new(peer->env->ns, peer->env->tun, peer->env->mux, peer->ufrag,
				      peer->pwd, &SEARCH_FUNCS, peer, &error);
	if (peer->search == NULL)
		nat_log_peer(G_LOG_LEVEL_WARNING, peer->env->ifname, &peer->key, "%s",
			     error->message);
}

static gboolean
was_offered(const NatPeer *peer, const WgEndpoint *ep)
{
	for (guint i = 0; i < peer->offered->len; i++)
		if (wg_endpoint_equal(&g_array_index(peer->offered, NatCandidate, i).endpoint, ep))
			return TRUE;
	return FALSE;
}

static void
offer(NatPeer *peer, const NatCandidate *cand, GArray *usable, GArray *sources)
{
	WgEndpoint source;

	if (!nat_mux_source_for(peer->env->mux, &cand->endpoint, &source)) {
		peer->env->dropped("candidate_refused", peer->env->user_data);
		return;
	}
	wg_endpoint_array_add(sources, &source, wg_endpoint_same_address);
	/* libnice looks for direct paths: relayed ones have pairs of their own. */
	if (cand->type == NAT_CAND_RELAY)
		return;
	if (was_offered(peer, &cand->endpoint))
		return;
	/* libnice takes no more either; a peer may name ever new ones. */
	if (peer->offered->len >= NAT_MSG_MAX_CANDIDATES) {
		peer->env->dropped("candidate_too_many", peer->env->user_data);
		return;
	}
	g_array_append_val(usable, *cand);
	g_array_append_val(peer->offered, *cand);
}

/* What the user configured: the original, and what was on the device at the first sight and may be
 * newer. How many. */
static guint
configured_endpoints(NatPeer *peer, WgEndpoint out[2])
{
	WgEndpoint original = {0};
	guint16 keepalive;
	guint n = 0;

	nat_originals_get(peer->env->originals, &peer->key, &original, &keepalive);
	if (wg_endpoint_is_set(&original))
		out[n++] = original;
	if (wg_endpoint_is_set(&peer->configured) &&
	    !wg_endpoint_equal(&peer->configured, &original) &&
	    !nat_originals_is_ours(peer->env->originals, &peer->key, &peer->configured, TRUE))
		out[n++] = peer->configured;
	return n;
}

/* The peer's candidates that WireGuard could reach, not yet given to the search; and the local
 * addresses it would reach them from. A rewritten host candidate may equal a srflx one. */
static GArray *
usable_candidates(NatPeer *peer, GArray *sources)
{
	GArray *usable = g_array_new(FALSE, FALSE, sizeof(NatCandidate));
	WgEndpoint configured[2];
	guint n = configured_endpoints(peer, configured);

	for (guint i = 0; i < peer->remote.n_candidates; i++)
		offer(peer, &peer->remote.candidates[i], usable, sources);
	/* What the user configured is one more candidate, and may be the only one that works. */
	for (guint i = 0; i < n; i++) {
		NatCandidate cand = {.type = NAT_CAND_CONFIGURED, .endpoint = configured[i]};

		offer(peer, &cand, usable, sources);
	}
	return usable;
}

gboolean
nat_peer_is_reachable(NatPeer *peer)
{
	WgEndpoint configured[2], source;
	guint n;

	/* what checks were run towards says it without asking */
	if (peer->offered->len > 0)
		return TRUE;
	for (guint i = 0; i < peer->remote.n_candidates; i++)
		if (peer->remote.candidates[i].type != NAT_CAND_RELAY &&
		    nat_mux_source_for(peer->env->mux, &peer->remote.candidates[i].endpoint,
				       &source))
			return TRUE;
	n = configured_endpoints(peer, configured);
	for (guint i = 0; i < n; i++)
		if (nat_mux_source_for(peer->env->mux, &configured[i], &source))
			return TRUE;
	return FALSE;
}

static void
add_spare(NatPeer *peer, GArray *own)
{
	const WgEndpoint *spare = nat_peer_spare(peer);
	NatCandidate cand = {.type = NAT_CAND_RELAY};

	if (spare == NULL)
		return;
	cand.endpoint = *spare;
	g_array_append_val(own, cand);
}

static gboolean
has_host(const GArray *candidates, const WgEndpoint *addr)
{
	for (guint i = 0; i < candidates->len; i++)
		if (wg_endpoint_equal(&g_array_index(candidates, NatCandidate, i).endpoint, addr))
			return TRUE;
	return FALSE;
}

GArray *
nat_peer_own_candidates(NatPeer *peer)
{
	GArray *own = peer->env->candidates(peer->env->user_data);

	for (guint i = 0; i < peer->addresses->len; i++) {
		NatCandidate cand = {
			.type = NAT_CAND_HOST,
			.endpoint = g_array_index(peer->addresses, WgEndpoint, i),
		};

		if (!has_host(own, &cand.endpoint))
			g_array_append_val(own, cand);
	}
	add_spare(peer, own);
	return own;
}

/* A hostile peer renews its session as fast as it likes and names whom it likes as candidates:
 * searches are bounded too (GCRA: a burst, then one each interval). What comes too soon is made up
 * for later. */
static gboolean
take_search_turn(NatPeer *peer)
{
	gint64 now = g_get_monotonic_time();
	gint64 least = now - SEARCH_BURST * SEARCH_INTERVAL_US;
	gint64 due = least;

	/* 0: never; not the host's start, which may be seconds ago */
	if (peer->search_due_us != 0)
		due = MAX(peer->search_due_us, least);
	due += SEARCH_INTERVAL_US;
	if (due <= now) {
		peer->search_due_us = due;
		return TRUE;
	}
	peer->env->dropped("search_rate", peer->env->user_data);
	if (peer->retry == 0)
		peer->retry = g_timeout_add(RETRY_MIN_MS, on_retry, peer);
	return FALSE;
}

/* Our own addresses, as the interface offers them now. */
static void
add_own_addresses(NatPeer *peer, GArray *addresses)
{
	g_autoptr(GArray) own = peer->env->candidates(peer->env->user_data);

	for (guint i = 0; i < own->len; i++) {
		const NatCandidate *cand = &g_array_index(own, NatCandidate, i);

		if (cand->type == NAT_CAND_HOST)
			wg_endpoint_array_add(addresses, &cand->endpoint, wg_endpoint_same_address);
	}
}

gboolean
nat_peer_search_fits(NatPeer *peer)
{
	g_autoptr(GArray) now = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));
	guint n;

	if (peer->search == NULL || !nat_search_started(peer->search))
		return FALSE;
	add_own_addresses(peer, now);
	for (guint i = 0; i < peer->offered->len; i++) {
		WgEndpoint source;

		if (!nat_mux_source_for(peer->env->mux,
					&g_array_index(peer->offered, NatCandidate, i).endpoint,
					&source))
			return FALSE;
		wg_endpoint_array_add(now, &source, wg_endpoint_same_address);
	}
	n = now->len;
	for (guint i = 0; i < peer->addresses->len; i++) {
		const WgEndpoint *addr = &g_array_index(peer->addresses, WgEndpoint, i);

		if (wg_endpoint_port(addr) != nat_mux_port(peer->env->mux))
			return FALSE;
		wg_endpoint_array_add(now, addr, wg_endpoint_same_address);
	}
	return n == peer->addresses->len && n == now->len;
}

void
nat_peer_start_checks(NatPeer *peer)
{
	g_autoptr(GArray) remote = NULL;
	guint offered_addresses;

	if (!take_search_turn(peer))
		return;
	/* Another search of our own would only void the one that begins here. */
	nat_peer_stop_timer(&peer->retry);
	nat_peer_make_search(peer);
	if (peer->search == NULL)
		return;
	/* What our NATs map to may have changed since it was last asked. */
	peer->env->look_again(peer->env->user_data);
	add_own_addresses(peer, peer->addresses);
	offered_addresses = peer->addresses->len;
	remote = usable_candidates(peer, peer->addresses);
	nat_stats_count(peer->env->stats, NAT_STAT_SEARCHES);
	peer->began_us = g_get_monotonic_time();
	peer->relay_due_us = peer->began_us + RELAY_FIRST_MS * 1000;
	if (!nat_peer_tunnel_live(peer) || peer->failure == NAT_FAILURE_SILENCE)
		nat_peer_set_state(peer, NAT_PEER_CHECKING, "the peer's agent announced itself");
	if (peer->addresses->len == 0 ||
	    !peer->env->use_addresses((const WgEndpoint *)(gpointer)peer->addresses->data,
				      peer->addresses->len, peer->env->user_data)) {
		on_ice_failed(peer);
		nat_peer_update_pairs(peer);
		return;
	}
	nat_search_start(peer->search, peer->controlling, peer->remote.ufrag, peer->remote.pwd,
			 (const WgEndpoint *)(gpointer)peer->addresses->data, peer->addresses->len);
	nat_search_add_remote(peer->search, (const NatCandidate *)(gpointer)remote->data,
			      remote->len);
	/* libnice does not call it a failure where there is nothing to check */
	if (remote->len == 0)
		on_ice_failed(peer);
	if (peer->addresses->len > offered_addresses)
		nat_peer_send_soon(peer);
	/* last: it may begin another search, where the tunnel's pair has just gone */
	nat_peer_update_pairs(peer);
}

void
nat_peer_add_late_candidates(NatPeer *peer)
{
	g_autoptr(GArray) sources = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));
	gboolean first = peer->offered->len == 0;
	g_autoptr(GArray) remote = usable_candidates(peer, sources);

	if (remote->len == 0)
		return;
	/* from here on libnice's word is waited for */
	if (first)
		nat_peer_stop_timer(&peer->give_up);
	nat_search_add_remote(peer->search, (const NatCandidate *)(gpointer)remote->data,
			      remote->len);
}

/* New credentials under a new session id. */
static void
new_session(NatPeer *peer)
{
	nat_peer_end_search(peer);
	if (peer->tier0) {
		nat_peer_derive_session(peer);
		return;
	}
	nat_peer_make_credentials(peer);
	nat_session_renew(&peer->session, nat_peer_random_sid());
}

void
nat_peer_look_again(NatPeer *peer)
{
	peer->env->look_again(peer->env->user_data);
	peer->retry_ms = 0;
	if (peer->online && (nat_peer_on_relay(peer) || !nat_peer_path_is_good(peer)))
		nat_peer_plan_retry(peer);
}

/* The peer is at the signaling server (again): a retry that fell due without it was none. */
void
nat_peer_resume_search(NatPeer *peer)
{
	peer->retry_ms = 0;
	if (nat_peer_on_relay(peer) || peer->failure == NAT_FAILURE_SILENCE)
		nat_peer_plan_retry(peer);
}

/* A search of our own: because there is no live tunnel, or the one there is went silent. */
void
nat_peer_begin_search(NatPeer *peer)
{
	nat_peer_record(peer, NAT_EVENT_SEARCH, "begins a search");
	new_session(peer);
	nat_peer_make_search(peer);
	if (!nat_peer_tunnel_live(peer))
		nat_path_reset(peer->path);
	nat_peer_send_snapshot(peer);
	/* The peer's credentials hold for all of its session: no need to wait for its answer. */
	if (peer->has_remote)
		nat_peer_start_checks(peer);
}

void
nat_peer_restart(NatPeer *peer)
{
	nat_peer_record(peer, NAT_EVENT_SEARCH, "looked for anew, as asked");
	peer->retry_ms = 0;
	peer->direct_blocked = FALSE;
	for (guint i = 0; peer->watch != NULL && i < nat_watch_count(peer->watch); i++) {
		NatWatchPair *pair = nat_watch_nth(peer->watch, i);
		NatPairInfo *info = nat_pair_info(pair);

		info->blocked_until_us = 0;
		info->blocked_s = info->failures = 0;
		nat_watch_absolve(pair);
	}
	peer->env->look_again(peer->env->user_data);
	if (peer->online)
		nat_peer_begin_search(peer);
}
