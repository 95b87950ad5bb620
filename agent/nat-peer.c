/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation.
 *
 * Our credentials belong to our session id: a new search of our own is a new id with new
 * credentials; answering the peer's restart keeps both. The NatSearch exists as soon as our
 * credentials are published; its NiceAgent starts when the peer's snapshot is there.
 *
 * A tunnel that is up when the session begins (our restart, the peer's restart) is only watched:
 * the prober asks the present endpoint. Checks begin when one side says CHECKING: because it has no
 * live tunnel, or because the watch found silence. So a restart of an agent moves no endpoint.
 *
 * Timers: `release` ends the NiceAgent some time after both sides are proven; `retry` starts a new
 * search after a failure; `give_up` waits for late answers after libnice's FAILED; `decide` waits
 * for the prober's word on the present endpoint before a live tunnel is moved; `resend` spaces
 * snapshots.
 */
#include "agent/nat-peer.h"

#include <sodium.h>
#include <string.h>

#include "agent/nat-log.h"
#include "agent/nat-msg.h"
#include "agent/nat-prober.h"
#include "agent/nat-seal.h"
#include "agent/nat-session.h"
#include "agent/nat-why.h"

#define RELEASE_MS 10000     /* DESIGN §2: some 10 s after both sides report proof */
#define RELEASE_MAX_MS 60000 /* when the peer never says it is proven */
#define GIVE_UP_MS 3000
#define RETRY_MIN_MS 5000
#define RETRY_MAX_MS 60000
#define DECIDE_MS 500
#define RESEND_MS 100
#define UFRAG_BYTES 12
#define PWD_BYTES 24

struct NatPeer {
	const NatPeerEnv *env;
	WgKey key;
	char *name;
	NatPeerState state;
	gboolean controlling;

	/* signaling */
	NatSeal *seal; /* NULL: the key is of low order, nothing can be sealed */
	NatSession session;
	char *ufrag, *pwd;
	gboolean online, managed;
	gboolean has_remote;
	NatMsg remote; /* the last snapshot of the session we follow */
	gint64 sent_us;
	guint resend;

	/* search and path */
	NatSearch *search;
	GArray *addresses; /* of WgEndpoint: what the search binds to */
	GArray *offered;   /* of NatCandidate: remote candidates given to it */
	NatPath *path;
	NatProber *prober;
	WgEndpoint selected_local;
	NatCandidate selected;	 /* what ICE proposed last */
	NatCandType remote_type; /* of the present endpoint */
	gint64 began_us;	 /* the search */
	gint64 connect_ms;	 /* negative: unknown */
	NatFailure failure;
	guint release, retry, give_up, decide;
	guint retry_ms;
	WgEndpoint configured; /* endpoint at the first sight */
	gboolean observed;
};

static void begin_search(NatPeer *peer);
static void send_snapshot(NatPeer *peer);
static void send_soon(NatPeer *peer);

/* ---- state ---- */

static void
set_state(NatPeer *peer, NatPeerState state, const char *reason)
{
	if (peer->state == state)
		return;
	nat_log_peer(G_LOG_LEVEL_MESSAGE, peer->env->ifname, &peer->key, "%s → %s (%s)",
		     nat_peer_state_to_string(peer->state), nat_peer_state_to_string(state),
		     reason);
	peer->state = state;
}

static gboolean
tunnel_live(const NatPeer *peer)
{
	return nat_path_live(peer->path, g_get_monotonic_time());
}

/* WireGuard proved the path, and nothing has cast doubt on it since. */
static gboolean
path_is_good(const NatPeer *peer)
{
	return nat_path_phase(peer->path) == NAT_PATH_PROVEN &&
	       peer->failure != NAT_FAILURE_SILENCE;
}

static void
stop_timer(guint *timer)
{
	g_clear_handle_id(timer, g_source_remove);
}

static char *
random_text(gsize bytes)
{
	guint8 raw[32];

	g_assert(bytes <= sizeof raw);
	randombytes_buf(raw, bytes);
	return g_base64_encode(raw, bytes);
}

static guint64
random_sid(void)
{
	guint64 sid;

	do
		randombytes_buf(&sid, sizeof sid);
	while (sid == 0);
	return sid;
}

/* ---- the search ---- */

static void
end_search(NatPeer *peer)
{
	stop_timer(&peer->release);
	stop_timer(&peer->give_up);
	stop_timer(&peer->decide);
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
	end_search(peer);
	return G_SOURCE_REMOVE;
}

static void
plan_release(NatPeer *peer)
{
	gboolean both = (peer->remote.flags & NAT_MSG_PROVEN) != 0;

	if (peer->search == NULL || !path_is_good(peer))
		return;
	stop_timer(&peer->release);
	peer->release = g_timeout_add(both ? RELEASE_MS : RELEASE_MAX_MS, on_release, peer);
}

static gboolean
on_retry(gpointer user_data)
{
	NatPeer *peer = user_data;

	peer->retry = 0;
	if (peer->online && !tunnel_live(peer))
		begin_search(peer);
	return G_SOURCE_REMOVE;
}

static void
restore_original(NatPeer *peer)
{
	WgPeerChange change = {
		.public_key = peer->key,
		.flags = WG_CHANGE_KEEPALIVE,
	};

	if (tunnel_live(peer) || !nat_originals_get(peer->env->originals, &peer->key,
						    &change.endpoint, &change.keepalive))
		return;
	/* WireGuard cannot forget an endpoint, only take another. */
	if (wg_endpoint_is_set(&change.endpoint))
		change.flags |= WG_CHANGE_ENDPOINT;
	peer->env->write(&change, peer->env->user_data);
}

/* Without its agent there is nobody to check with. */
static void
go_waiting(NatPeer *peer)
{
	stop_timer(&peer->retry);
	end_search(peer);
	set_state(peer, NAT_PEER_WAITING, "its agent is not at the signaling server");
}

static void
fail(NatPeer *peer, NatFailure failure)
{
	stop_timer(&peer->give_up);
	peer->failure = failure;
	if (tunnel_live(peer)) {
		set_state(peer, NAT_PEER_CONNECTED, "no better path, the present one lives");
		return;
	}
	restore_original(peer);
	if (!peer->online) {
		go_waiting(peer);
		return;
	}
	set_state(peer, NAT_PEER_FAILED,
		  failure == NAT_FAILURE_PROOF ? "no handshake on the checked path"
					       : "no check was answered");
	/* Full jitter keeps two ends from restarting in step for ever. */
	peer->retry_ms = CLAMP(peer->retry_ms * 2, RETRY_MIN_MS, RETRY_MAX_MS);
	stop_timer(&peer->retry);
	peer->retry = g_timeout_add(
		(guint)g_random_int_range((gint)peer->retry_ms / 2, (gint)peer->retry_ms), on_retry,
		peer);
}

static gboolean
on_give_up(gpointer user_data)
{
	NatPeer *peer = user_data;

	peer->give_up = 0;
	if (peer->state == NAT_PEER_CHECKING && nat_path_phase(peer->path) == NAT_PATH_IDLE)
		fail(peer, peer->failure == NAT_FAILURE_SILENCE ? NAT_FAILURE_SILENCE
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

static void
take_selected(NatPeer *peer)
{
	gint64 now = g_get_monotonic_time();

	stop_timer(&peer->give_up);
	if (wg_endpoint_equal(nat_path_endpoint(peer->path), &peer->selected.endpoint) &&
	    nat_path_live(peer->path, now) && nat_path_phase(peer->path) != NAT_PATH_PROVING &&
	    peer->failure != NAT_FAILURE_SILENCE) {
		nat_path_adopt(peer->path, now);
		set_state(peer, NAT_PEER_CONNECTED, "the present path was confirmed");
		return;
	}
	nat_path_try(peer->path, &peer->selected.endpoint, now);
	peer->env->hurry(peer->env->user_data);
}

/* A live tunnel is not moved while its own path answers. */
static gboolean
on_decide(gpointer user_data)
{
	NatPeer *peer = user_data;

	peer->decide = 0;
	if (!wg_endpoint_is_set(&peer->selected.endpoint))
		return G_SOURCE_REMOVE;
	if (!tunnel_live(peer) || peer->prober == NULL || nat_prober_rtt_ms(peer->prober) < 0)
		take_selected(peer);
	return G_SOURCE_REMOVE;
}

static void
on_ice_selected(const WgEndpoint *local, const NatCandidate *remote, gpointer user_data)
{
	NatPeer *peer = user_data;
	char text[WG_ENDPOINT_STRLEN];
	gboolean fresh = nat_path_phase(peer->path) == NAT_PATH_PROVING ||
			 nat_path_urgent(peer->path, g_get_monotonic_time());

	nat_log_peer(G_LOG_LEVEL_DEBUG, peer->env->ifname, &peer->key, "selected %s %s",
		     nat_cand_type_to_string(remote->type),
		     wg_endpoint_format(&remote->endpoint, text));
	peer->selected_local = *local;
	peer->selected = *remote;
	if (tunnel_live(peer) && !fresh && peer->failure != NAT_FAILURE_SILENCE) {
		if (peer->decide == 0)
			peer->decide = g_timeout_add(DECIDE_MS, on_decide, peer);
		return;
	}
	take_selected(peer);
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
	nat_path_try(peer->path, remote, now);
	peer->env->hurry(peer->env->user_data);
}

static const NatSearchFuncs SEARCH_FUNCS = {
	.checked = on_ice_checked,
	.selected = on_ice_selected,
	.failed = on_ice_failed,
};

static void
make_search(NatPeer *peer)
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

static void
add_address(GArray *array, const WgEndpoint *addr)
{
	for (guint i = 0; i < array->len; i++)
		if (wg_endpoint_same_address(&g_array_index(array, WgEndpoint, i), addr))
			return;
	g_array_append_val(array, *addr);
}

static gboolean
was_offered(const NatPeer *peer, const WgEndpoint *ep)
{
	for (guint i = 0; i < peer->offered->len; i++)
		if (wg_endpoint_equal(&g_array_index(peer->offered, NatCandidate, i).endpoint, ep))
			return TRUE;
	return FALSE;
}

/* The peer's candidates that WireGuard could reach, not yet given to the search; and the local
 * addresses it would reach them from. A rewritten host candidate may equal a srflx one. */
static GArray *
usable_candidates(NatPeer *peer, GArray *sources)
{
	GArray *usable = g_array_new(FALSE, FALSE, sizeof(NatCandidate));

	for (guint i = 0; i < peer->remote.n_candidates; i++) {
		const NatCandidate *cand = &peer->remote.candidates[i];
		WgEndpoint source;

		if (!nat_mux_source_for(peer->env->mux, &cand->endpoint, &source)) {
			peer->env->dropped("candidate_refused", peer->env->user_data);
			continue;
		}
		add_address(sources, &source);
		if (was_offered(peer, &cand->endpoint))
			continue;
		g_array_append_val(usable, *cand);
		g_array_append_val(peer->offered, *cand);
	}
	return usable;
}

static gboolean
has_host(const GArray *candidates, const WgEndpoint *addr)
{
	for (guint i = 0; i < candidates->len; i++)
		if (wg_endpoint_equal(&g_array_index(candidates, NatCandidate, i).endpoint, addr))
			return TRUE;
	return FALSE;
}

/* The interface's candidates, and the addresses that only this peer is reached from (a second LAN
 * without a default route). */
static GArray *
own_candidates(NatPeer *peer)
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
	return own;
}

static void
start_checks(NatPeer *peer)
{
	g_autoptr(GArray) own = peer->env->candidates(peer->env->user_data);
	g_autoptr(GArray) remote = NULL;
	guint offered_addresses;

	make_search(peer);
	if (peer->search == NULL)
		return;
	for (guint i = 0; i < own->len; i++) {
		const NatCandidate *cand = &g_array_index(own, NatCandidate, i);

		if (cand->type == NAT_CAND_HOST)
			add_address(peer->addresses, &cand->endpoint);
	}
	offered_addresses = peer->addresses->len;
	remote = usable_candidates(peer, peer->addresses);
	peer->began_us = g_get_monotonic_time();
	if (!tunnel_live(peer) || peer->failure == NAT_FAILURE_SILENCE)
		set_state(peer, NAT_PEER_CHECKING, "the peer's agent announced itself");
	if (peer->addresses->len == 0 ||
	    !peer->env->use_addresses((const WgEndpoint *)(gpointer)peer->addresses->data,
				      peer->addresses->len, peer->env->user_data)) {
		on_ice_failed(peer);
		return;
	}
	nat_search_start(peer->search, peer->controlling, peer->remote.ufrag, peer->remote.pwd,
			 (const WgEndpoint *)(gpointer)peer->addresses->data, peer->addresses->len);
	nat_search_add_remote(peer->search, (const NatCandidate *)(gpointer)remote->data,
			      remote->len);
	if (peer->addresses->len > offered_addresses)
		send_soon(peer);
}

static void
add_late_candidates(NatPeer *peer)
{
	g_autoptr(GArray) sources = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));
	g_autoptr(GArray) remote = usable_candidates(peer, sources);

	if (remote->len > 0)
		nat_search_add_remote(peer->search, (const NatCandidate *)(gpointer)remote->data,
				      remote->len);
}

/* New credentials under a new session id. */
static void
new_session(NatPeer *peer)
{
	end_search(peer);
	g_free(peer->ufrag);
	g_free(peer->pwd);
	peer->ufrag = random_text(UFRAG_BYTES);
	peer->pwd = random_text(PWD_BYTES);
	nat_session_renew(&peer->session, random_sid());
}

/* ---- the watch ---- */

static void
on_probe_measured(double rtt_ms, gpointer user_data)
{
	NatPeer *peer = user_data;

	if (peer->failure == NAT_FAILURE_SILENCE && peer->search == NULL)
		peer->failure = NAT_FAILURE_NONE;
}

static void
on_probe_lost(gpointer user_data)
{
	NatPeer *peer = user_data;

	nat_log_peer(G_LOG_LEVEL_DEBUG, peer->env->ifname, &peer->key, "the path went silent");
	/* The agent at the other end may be gone while the tunnel works: only a peer that is at
	 * the signaling server can join a search. */
	if (!peer->online || peer->state != NAT_PEER_CONNECTED)
		return;
	peer->failure = NAT_FAILURE_SILENCE;
	begin_search(peer);
}

static const NatProberFuncs PROBER_FUNCS = {
	.measured = on_probe_measured,
	.lost = on_probe_lost,
};

static void
watch(NatPeer *peer)
{
	const WgEndpoint *endpoint = nat_path_endpoint(peer->path);

	if (peer->prober == NULL)
		return;
	nat_prober_set_path(peer->prober,
			    tunnel_live(peer) && wg_endpoint_is_set(endpoint) ? endpoint : NULL);
}

static void
make_prober(NatPeer *peer)
{
	g_clear_pointer(&peer->prober, nat_prober_free);
	if (peer->session.remote == 0)
		return;
	peer->prober =
		nat_prober_new(peer->env->mux, peer->seal, &peer->env->public_key, &peer->key,
			       peer->session.local, peer->session.remote, &PROBER_FUNCS, peer);
	watch(peer);
}

/* A search of our own: because there is no live tunnel, or the one there is went silent. */
static void
begin_search(NatPeer *peer)
{
	new_session(peer);
	make_prober(peer);
	make_search(peer);
	if (!tunnel_live(peer))
		nat_path_reset(peer->path);
	send_snapshot(peer);
	/* The peer's credentials hold for all of its session: no need to wait for its answer. */
	if (peer->has_remote)
		start_checks(peer);
}

/* ---- messages ---- */

static void
fill_snapshot(NatPeer *peer, NatMsg *msg)
{
	g_autoptr(GArray) own = own_candidates(peer);

	g_strlcpy(msg->ufrag, peer->ufrag, sizeof msg->ufrag);
	g_strlcpy(msg->pwd, peer->pwd, sizeof msg->pwd);
	msg->mapping = peer->env->mapping(peer->env->user_data);
	msg->n_candidates = MIN(own->len, NAT_MSG_MAX_CANDIDATES);
	for (guint i = 0; i < msg->n_candidates; i++)
		msg->candidates[i] = g_array_index(own, NatCandidate, i);
	if (path_is_good(peer))
		msg->flags |= NAT_MSG_PROVEN;
	if (!tunnel_live(peer) || (peer->search != NULL && nat_search_started(peer->search)) ||
	    peer->failure == NAT_FAILURE_SILENCE)
		msg->flags |= NAT_MSG_CHECKING;
}

static void
send_snapshot(NatPeer *peer)
{
	NatMsg msg = {0};
	g_autoptr(GBytes) plain = NULL, body = NULL;

	stop_timer(&peer->resend);
	if (peer->seal == NULL)
		return;
	fill_snapshot(peer, &msg);
	if ((msg.flags & NAT_MSG_CHECKING) != 0)
		make_search(peer);
	nat_session_stamp(&peer->session, &msg);
	plain = nat_msg_encode(&msg);
	body = nat_seal_wrap(peer->seal, plain);
	if (peer->env->send(&peer->key, body, peer->env->user_data))
		peer->sent_us = g_get_monotonic_time();
	sodium_memzero(&msg, sizeof msg);
}

static gboolean
on_resend(gpointer user_data)
{
	NatPeer *peer = user_data;

	peer->resend = 0;
	send_snapshot(peer);
	return G_SOURCE_REMOVE;
}

/* Answers are spaced, so that no replayer makes us a source of traffic. */
static void
send_soon(NatPeer *peer)
{
	gint64 age_ms = (g_get_monotonic_time() - peer->sent_us) / 1000;

	if (peer->resend != 0)
		return;
	if (peer->sent_us == 0 || age_ms >= RESEND_MS)
		send_snapshot(peer);
	else
		peer->resend = g_timeout_add((guint)(RESEND_MS - age_ms), on_resend, peer);
}

/* The peer's newest snapshot of the session we follow is in peer->remote. */
static void
act_on_snapshot(NatPeer *peer)
{
	gboolean wants_checks = (peer->remote.flags & NAT_MSG_CHECKING) != 0;

	if (peer->search != NULL && nat_search_started(peer->search)) {
		add_late_candidates(peer);
	} else if (wants_checks ? !path_is_good(peer) || !(peer->remote.flags & NAT_MSG_PROVEN)
				: !tunnel_live(peer)) {
		start_checks(peer);
	} else {
		watch(peer);
	}
	plan_release(peer);
}

static void
on_verdict(NatPeer *peer, NatSessionVerdict verdict, const NatMsg *msg, gboolean behind)
{
	switch (verdict) {
	case NAT_SESSION_DROP:
		peer->env->dropped("message_replayed", peer->env->user_data);
		return;
	case NAT_SESSION_ANSWER:
		send_soon(peer);
		return;
	case NAT_SESSION_NEW:
		peer->managed = TRUE;
		peer->remote = *msg;
		peer->has_remote = TRUE;
		/* Checks of the session before are void; ours began under the same credentials. */
		if (peer->search != NULL && nat_search_started(peer->search))
			end_search(peer);
		make_prober(peer);
		break;
	case NAT_SESSION_UPDATE:
		peer->remote = *msg;
		break;
	}
	/* A session newly followed is told so: our echo is what lets the peer follow ours. */
	if (behind || verdict == NAT_SESSION_NEW)
		send_soon(peer);
	act_on_snapshot(peer);
}

void
nat_peer_message(NatPeer *peer, const guint8 *body, gsize len)
{
	g_autoptr(GBytes) plain = NULL;
	gconstpointer data;
	gsize size;
	NatMsg msg;
	gboolean behind, live;

	if (peer->seal != NULL)
		plain = nat_seal_unwrap(peer->seal, body, len, NULL);
	if (plain == NULL) {
		peer->env->dropped("message_seal", peer->env->user_data);
		return;
	}
	data = g_bytes_get_data(plain, &size);
	if (!nat_msg_decode(data, size, &msg, NULL)) {
		peer->env->dropped("message_malformed", peer->env->user_data);
		return;
	}
	peer->online = TRUE;
	live = peer->session.remote != 0 &&
	       (peer->state == NAT_PEER_CHECKING || peer->state == NAT_PEER_CONNECTED);
	on_verdict(peer, nat_session_receive(&peer->session, &msg, live, &behind), &msg, behind);
	sodium_memzero(&msg, sizeof msg);
}

/* ---- events ---- */

void
nat_peer_signal_connected(NatPeer *peer)
{
	send_snapshot(peer);
}

void
nat_peer_presence(NatPeer *peer, gboolean online)
{
	peer->online = online;
	if (online) {
		peer->retry_ms = 0;
		/* A fresh announcement may just be on its way to it. */
		send_soon(peer);
		return;
	}
	/* Checks under way need no signaling: they may still succeed. */
	if (peer->state == NAT_PEER_CHECKING && peer->search != NULL &&
	    nat_search_started(peer->search))
		return;
	if ((peer->state == NAT_PEER_CHECKING || peer->state == NAT_PEER_FAILED) &&
	    !tunnel_live(peer))
		go_waiting(peer);
}

void
nat_peer_candidates_changed(NatPeer *peer)
{
	if (peer->online && peer->search != NULL)
		send_soon(peer);
}

void
nat_peer_network_changed(NatPeer *peer)
{
	const WgEndpoint *endpoint = nat_path_endpoint(peer->path);
	WgEndpoint source;

	if (!peer->managed)
		return;
	if (tunnel_live(peer) && nat_mux_source_for(peer->env->mux, endpoint, &source) &&
	    (!wg_endpoint_is_set(&peer->selected_local) ||
	     wg_endpoint_equal(&source, &peer->selected_local))) {
		if (peer->prober != NULL)
			nat_prober_hurry(peer->prober);
		return;
	}
	peer->failure = NAT_FAILURE_SILENCE;
	begin_search(peer);
}

/* ---- the device ---- */

static gboolean
on_path_write(const WgPeerChange *change, gpointer user_data)
{
	NatPeer *peer = user_data;

	return peer->env->write(change, peer->env->user_data);
}

static void
on_path_proven(gpointer user_data)
{
	NatPeer *peer = user_data;
	gint64 now = g_get_monotonic_time();

	if (peer->connect_ms < 0 || peer->state != NAT_PEER_CONNECTED)
		peer->connect_ms = peer->began_us != 0 ? (now - peer->began_us) / 1000 : -1;
	peer->remote_type = peer->selected.type;
	peer->failure = NAT_FAILURE_NONE;
	peer->retry_ms = 0;
	stop_timer(&peer->retry);
	set_state(peer, NAT_PEER_CONNECTED, "handshake");
	watch(peer);
	send_soon(peer);
	plan_release(peer);
}

static void
on_path_disproved(gpointer user_data)
{
	NatPeer *peer = user_data;

	end_search(peer);
	fail(peer, NAT_FAILURE_PROOF);
}

static const NatPathFuncs PATH_FUNCS = {
	.write = on_path_write,
	.proven = on_path_proven,
	.disproved = on_path_disproved,
};

/* What kind of address the present endpoint is. */
static NatCandType
endpoint_type(const NatPeer *peer)
{
	const WgEndpoint *endpoint = nat_path_endpoint(peer->path);

	for (guint i = 0; i < peer->remote.n_candidates; i++)
		if (wg_endpoint_equal(&peer->remote.candidates[i].endpoint, endpoint))
			return peer->remote.candidates[i].type;
	if (wg_endpoint_equal(&peer->selected.endpoint, endpoint))
		return peer->selected.type;
	if (wg_endpoint_equal(&peer->configured, endpoint))
		return NAT_CAND_CONFIGURED;
	return peer->managed ? NAT_CAND_PRFLX : NAT_CAND_ROAMED;
}

void
nat_peer_observe(NatPeer *peer, const WgPeer *wg, gint64 now_us, gint64 real_s)
{
	gboolean live;

	if (!peer->observed) {
		peer->observed = TRUE;
		peer->configured = wg->endpoint;
	}
	/* Until its agent speaks, whatever appears without the kernel's doing is configured. */
	if (!peer->managed && wg->rx_bytes == 0 && wg_endpoint_is_set(&wg->endpoint))
		peer->configured = wg->endpoint;
	nat_path_observe(peer->path, wg, now_us, real_s);
	live = nat_path_live(peer->path, now_us);
	if (live)
		peer->remote_type = endpoint_type(peer);
	if (live && (peer->state == NAT_PEER_WAITING || peer->state == NAT_PEER_FAILED)) {
		if (nat_path_phase(peer->path) == NAT_PATH_IDLE && peer->managed)
			nat_path_adopt(peer->path, now_us);
		set_state(peer, NAT_PEER_CONNECTED, "a handshake is live");
		watch(peer);
	}
	if (!live && peer->state == NAT_PEER_CONNECTED) {
		set_state(peer, NAT_PEER_WAITING, "no handshake for 180 s");
		if (peer->managed && peer->online && nat_path_phase(peer->path) == NAT_PATH_IDLE)
			begin_search(peer);
	}
	if (live && peer->prober != NULL && peer->state == NAT_PEER_CONNECTED)
		watch(peer);
}

/* ---- life ---- */

NatPeer *
nat_peer_new(const NatPeerEnv *env, const WgKey *key, const char *name)
{
	NatPeer *peer = g_new0(NatPeer, 1);
	g_autoptr(GError) error = NULL;

	peer->env = env;
	peer->key = *key;
	peer->name = g_strdup(name);
	peer->state = NAT_PEER_WAITING;
	peer->controlling = wg_key_compare(&env->public_key, key) > 0;
	peer->connect_ms = -1;
	peer->addresses = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));
	peer->offered = g_array_new(FALSE, FALSE, sizeof(NatCandidate));
	peer->path = nat_path_new(key, peer->controlling, &PATH_FUNCS, peer);
	nat_session_init(&peer->session, random_sid());
	peer->ufrag = random_text(UFRAG_BYTES);
	peer->pwd = random_text(PWD_BYTES);
	peer->seal = nat_seal_new(&env->private_key, key, &error);
	if (peer->seal == NULL)
		nat_log_peer(G_LOG_LEVEL_WARNING, env->ifname, key, "%s", error->message);
	return peer;
}

void
nat_peer_free(NatPeer *peer)
{
	if (peer == NULL)
		return;
	end_search(peer);
	stop_timer(&peer->retry);
	stop_timer(&peer->resend);
	nat_prober_free(peer->prober);
	nat_path_free(peer->path);
	nat_seal_free(peer->seal);
	g_array_unref(peer->addresses);
	g_array_unref(peer->offered);
	sodium_memzero(&peer->remote, sizeof peer->remote);
	g_free(peer->ufrag);
	g_free(peer->pwd);
	g_free(peer->name);
	g_free(peer);
}

NatPeerState
nat_peer_state(const NatPeer *peer)
{
	return peer->state;
}

gboolean
nat_peer_urgent(const NatPeer *peer, gint64 now_us)
{
	return nat_path_urgent(peer->path, now_us);
}

const WgKey *
nat_peer_key(const NatPeer *peer)
{
	return &peer->key;
}

const GArray *
nat_peer_addresses(const NatPeer *peer)
{
	return peer->addresses;
}

/* ---- status ---- */

static void
status_path(NatPeer *peer, NatStatusPeer *out)
{
	WgEndpoint source;

	out->has_path = TRUE;
	out->remote.type = peer->remote_type;
	out->remote.endpoint = *nat_path_endpoint(peer->path);
	if (nat_mux_source_for(peer->env->mux, &out->remote.endpoint, &source)) {
		out->local.type = NAT_CAND_HOST;
		out->local.endpoint = source;
	}
	if (peer->prober != NULL)
		out->rtt_ms = nat_prober_rtt_ms(peer->prober);
}

void
nat_peer_status(NatPeer *peer, const WgPeer *wg, NatStatusPeer *out)
{
	gint64 now = g_get_monotonic_time(), handshake = nat_path_handshake_us(peer->path);
	NatWhy why = {
		.state = peer->state,
		.managed = peer->managed,
		.online = peer->online,
		.signal_problem = peer->env->signal_problem(peer->env->user_data),
		.remote = peer->remote_type,
		.local_mapping = peer->env->mapping(peer->env->user_data),
		.remote_mapping = peer->remote.mapping,
		.local_candidates = peer->addresses->len,
		.remote_candidates = peer->offered->len,
		.port = nat_mux_port(peer->env->mux),
		.failure = peer->failure,
	};

	out->name = g_strdup(peer->name);
	out->state = peer->state;
	out->managed = peer->managed;
	out->rtt_ms = -1;
	out->connect_ms = peer->state == NAT_PEER_CONNECTED ? peer->connect_ms : -1;
	out->last_handshake_s = handshake != 0 ? (now - handshake) / G_USEC_PER_SEC : -1;
	if (wg != NULL) {
		out->endpoint = wg->endpoint;
		out->rx_bytes = wg->rx_bytes;
		out->tx_bytes = wg->tx_bytes;
	}
	if (peer->state == NAT_PEER_CONNECTED)
		status_path(peer, out);
	out->why = nat_why_sentence(&why);
}
