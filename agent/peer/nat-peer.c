/* SPDX-License-Identifier: MIT */
#include "agent/peer/nat-peer-pair.h"
#include "agent/peer/nat-peer-ping.h"
#include "agent/peer/nat-peer-private.h"
#include "agent/peer/nat-peer-punch.h"

#include <sodium.h>
#include <string.h>

#include "agent/base/nat-log.h"

/* Bytes go out and none came in for so long: is the path still there? */
#define SUSPECT_US (100 * 1000)
/* From the start on, until what an earlier run wrote is given up for want of the peer's agent. */
#define ORPHAN_US (10 * (gint64)G_USEC_PER_SEC)
#define POLL_LAG_US (1500 * (gint64)G_USEC_PER_SEC / 1000)
#define UFRAG_BYTES 12
#define PWD_BYTES 24

/* ---- state ---- */

static void
add_event(NatPeer *peer, NatEventKind kind, const char *text)
{
	if (peer->env->events != NULL)
		nat_events_add(peer->env->events, peer->env->ifname, &peer->key, peer->name, kind,
			       text);
}

void
nat_peer_set_state(NatPeer *peer, NatPeerState state, const char *reason)
{
	g_autofree char *text = NULL;

	if (peer->state == state)
		return;
	text = g_strdup_printf("%s → %s (%s)", nat_peer_state_to_string(peer->state),
			       nat_peer_state_to_string(state), reason);
	nat_log_peer(G_LOG_LEVEL_MESSAGE, peer->env->ifname, &peer->key, "%s", text);
	add_event(peer, NAT_EVENT_STATE, text);
	peer->state = state;
}

void
nat_peer_record(NatPeer *peer, NatEventKind kind, const char *format, ...)
{
	g_autofree char *text = NULL;
	va_list args;

	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	nat_log_peer(G_LOG_LEVEL_DEBUG, peer->env->ifname, &peer->key, "%s", text);
	add_event(peer, kind, text);
}

void
nat_peer_note_connected(NatPeer *peer, gint64 now_us)
{
	peer->connect_ms = -1;
	if (peer->began_us == 0)
		return;
	peer->connect_ms = (now_us - peer->began_us) / 1000;
	nat_stats_connected(peer->env->stats, now_us - peer->began_us);
}

gboolean
nat_peer_tunnel_live(const NatPeer *peer)
{
	return nat_path_live(peer->path, g_get_monotonic_time());
}

/* WireGuard proved the path, and nothing has cast doubt on it since. */
gboolean
nat_peer_path_is_good(const NatPeer *peer)
{
	return nat_path_phase(peer->path) == NAT_PATH_PROVEN &&
	       peer->failure != NAT_FAILURE_SILENCE;
}

void
nat_peer_stop_timer(guint *timer)
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

void
nat_peer_make_credentials(NatPeer *peer)
{
	g_free(peer->ufrag);
	g_free(peer->pwd);
	peer->ufrag = random_text(UFRAG_BYTES);
	peer->pwd = random_text(PWD_BYTES);
}

guint64
nat_peer_random_sid(void)
{
	guint64 sid;

	do
		randombytes_buf(&sid, sizeof sid);
	while (sid == 0);
	return sid;
}

/* ---- the device ---- */

static gboolean
on_path_write(const WgPeerChange *change, gpointer user_data)
{
	NatPeer *peer = user_data;

	return peer->env->write(change, peer->env->user_data);
}

/* What kind of address the present endpoint is. */
NatCandType
nat_peer_endpoint_type(NatPeer *peer)
{
	const WgEndpoint *endpoint = nat_path_endpoint(peer->path);
	NatWatchPair *pair = nat_peer_pair_of(peer, endpoint);

	if (pair != NULL && nat_watch_relayed(pair) != NULL)
		return nat_watch_remote(pair)->type;
	for (guint i = 0; i < peer->remote.n_candidates; i++)
		if (wg_endpoint_equal(&peer->remote.candidates[i].endpoint, endpoint))
			return peer->remote.candidates[i].type;
	if (!peer->managed && nat_peer_plain_has(peer, endpoint))
		return wg_endpoint_is_private(endpoint) ? NAT_CAND_HOST : NAT_CAND_SRFLX;
	if (wg_endpoint_equal(&peer->configured, endpoint))
		return NAT_CAND_CONFIGURED;
	if (wg_endpoint_equal(&peer->selected.endpoint, endpoint))
		return peer->selected.type;
	return peer->managed ? NAT_CAND_PRFLX : NAT_CAND_ROAMED;
}

static void
on_path_proven(gpointer user_data)
{
	NatPeer *peer = user_data;
	gint64 now = g_get_monotonic_time();

	if (peer->connect_ms < 0 || peer->state != NAT_PEER_CONNECTED)
		nat_peer_note_connected(peer, now);
	peer->remote_type = nat_peer_endpoint_type(peer);
	nat_peer_plain_proven(peer);
	nat_peer_note_proof(peer);
	peer->failure = NAT_FAILURE_NONE;
	peer->retry_ms = 0;
	nat_peer_stop_timer(&peer->retry);
	nat_peer_set_state(peer, NAT_PEER_CONNECTED, "handshake");
	if (!peer->managed)
		return;
	nat_peer_watch_present(peer);
	nat_peer_aim_bridges(peer);
	nat_peer_rest_pairs(peer);
	nat_peer_send_soon(peer);
	nat_peer_plan_release(peer);
	nat_peer_start_poking(peer);
	nat_peer_consider(peer);
}

static void
on_path_disproved(const WgEndpoint *tried, gpointer user_data)
{
	NatPeer *peer = user_data;
	gboolean relayed = peer->chosen != NULL && nat_watch_is_relay(peer->chosen);

	nat_peer_record(peer, NAT_EVENT_PATH, "WireGuard's packets do not pass there");
	if (nat_peer_plain_disproved(peer) ||
	    nat_peer_leave_blocked(peer, nat_peer_pair_of(peer, tried)) ||
	    nat_path_phase(peer->path) == NAT_PATH_PROVING)
		return;
	/* The tunnel was elsewhere, and still is. */
	if (nat_peer_tunnel_live(peer) && peer->failure != NAT_FAILURE_SILENCE) {
		nat_path_adopt(peer->path, g_get_monotonic_time());
		return;
	}
	/* A relay that does not carry WireGuard says nothing about the direct path being looked
	 * for, now or with the next retry. */
	if (relayed && (peer->state == NAT_PEER_FAILED ||
			(peer->search != NULL && nat_search_started(peer->search))))
		return;
	nat_peer_end_search(peer);
	nat_peer_fail(peer, NAT_FAILURE_PROOF);
}

static guint64
on_path_bridged(gpointer user_data)
{
	return nat_peer_late_bytes(user_data);
}

static const NatPathFuncs PATH_FUNCS = {
	.write = on_path_write,
	.bridged = on_path_bridged,
	.proven = on_path_proven,
	.disproved = on_path_disproved,
};

/* A session came up by itself while nothing that could say more is under way: the peer followed
 * another of our sessions, or found the path before us. */
static gboolean
checks_are_moot(const NatPeer *peer)
{
	return peer->state == NAT_PEER_CHECKING && peer->failure != NAT_FAILURE_SILENCE &&
	       nat_path_phase(peer->path) != NAT_PATH_PROVING &&
	       (peer->search == NULL || !nat_search_started(peer->search));
}

/* Authenticated bytes since the path was doubted: it works. A snapshot may be a poll interval late.
 */
static gboolean
doubt_is_over(const NatPeer *peer)
{
	gint64 heard = MAX(nat_path_rx_us(peer->path), nat_path_handshake_us(peer->path));

	return peer->failure == NAT_FAILURE_SILENCE && heard > peer->doubt_us + POLL_LAG_US &&
	       nat_path_phase(peer->path) != NAT_PATH_PROVING;
}

/* A loopback endpoint leads nowhere without us, and must not end in somebody's configuration. */
static void
restore_bridged(NatPeer *peer)
{
	WgPeerChange change = {.public_key = peer->key,
			       .flags = WG_CHANGE_ENDPOINT | WG_CHANGE_KEEPALIVE |
					WG_CHANGE_REPLACE};
	const WgEndpoint *endpoint = nat_path_endpoint(peer->path);

	if (!wg_endpoint_is_set(endpoint) || !wg_endpoint_is_bogus(endpoint))
		return;
	if (!nat_originals_get(peer->env->originals, &peer->key, &change.endpoint,
			       &change.keepalive))
		return;
	/* only a peer made anew forgets its endpoint */
	if (wg_endpoint_is_set(&change.endpoint))
		change.flags = WG_CHANGE_ENDPOINT | WG_CHANGE_KEEPALIVE;
	peer->env->write(&change, peer->env->user_data);
}

/* Ours, of a run before this one: the agent that bridged it is gone. */
static gboolean
is_dead_bridge(NatPeer *peer)
{
	const WgEndpoint *endpoint = nat_path_endpoint(peer->path);

	return wg_endpoint_is_set(endpoint) && wg_endpoint_is_bogus(endpoint) &&
	       nat_peer_pair_of(peer, endpoint) == NULL && !nat_peer_plain_bridge(peer, NULL, NULL);
}

/* The keepalive may be a short one that an earlier run of ours set. */
static void
recall_keepalive(NatPeer *peer)
{
	WgEndpoint endpoint;
	guint16 keepalive;

	if (nat_originals_get(peer->env->originals, &peer->key, &endpoint, &keepalive))
		nat_path_set_users_keepalive(peer->path, keepalive);
}

/* A packet by a bridge of ours moves WireGuard's endpoint to the loopback before we have written
 * anything, when the other end is first: what was there is remembered now or never. */
static void
keep_unbridged(NatPeer *peer, const WgPeer *wg)
{
	WgPeer before = *wg;

	if (!peer->observed || !wg_endpoint_is_set(&wg->endpoint) ||
	    !wg_endpoint_is_bogus(&wg->endpoint))
		return;
	before.endpoint = *nat_path_endpoint(peer->path);
	nat_originals_keep(peer->env->originals, &before, NULL);
}

/* The user's newer word, where the device has one. */
static void
note_users(NatPeer *peer, const WgPeer *wg, gint64 now_us)
{
	char text[WG_ENDPOINT_STRLEN];
	WgEndpoint endpoint;
	guint16 keepalive;

	if (!nat_originals_observe(peer->env->originals, wg, now_us) ||
	    !nat_originals_get(peer->env->originals, &peer->key, &endpoint, &keepalive))
		return;
	nat_peer_record(peer, NAT_EVENT_PATH, "the user's settings are new: %s, keepalive %u s",
			wg_endpoint_format(&endpoint, text), keepalive);
	if (wg_endpoint_is_set(&endpoint))
		peer->configured = endpoint;
}

static void
note_configured(NatPeer *peer, const WgPeer *wg, gint64 now_us)
{
	note_users(peer, wg, now_us);
	if (!peer->observed)
		recall_keepalive(peer);
	/* Until its agent speaks, whatever appears without the kernel's doing is configured. */
	if (!wg_endpoint_is_bogus(&wg->endpoint) &&
	    (!peer->observed ||
	     (!peer->managed && wg->rx_bytes == 0 && wg_endpoint_is_set(&wg->endpoint))))
		peer->configured = wg->endpoint;
	if (!peer->observed)
		peer->observed_us = g_get_monotonic_time();
	peer->observed = TRUE;
}

/* Bytes that come in are the best answer a path can give; bytes that only go out are a question. */
static void
watch_traffic(NatPeer *peer, gint64 now_us)
{
	gint64 heard = MAX(nat_path_here_us(peer->path), nat_path_handshake_us(peer->path));

	nat_peer_watch_present(peer);
	if (peer->chosen == NULL)
		return;
	if (heard == now_us &&
	    nat_peer_pair_of(peer, nat_path_endpoint(peer->path)) == peer->chosen) {
		if (nat_path_here_us(peer->path) == now_us)
			nat_peer_note_bytes(peer);
		nat_watch_heard(peer->chosen); /* last: another may be chosen now */
	} else if (nat_path_data_tx_us(peer->path) == now_us && now_us - heard > SUSPECT_US)
		nat_watch_suspect(peer->chosen);
	if (heard == now_us)
		nat_peer_note_deaf(peer, FALSE, now_us);
	else if (nat_path_data_tx_us(peer->path) == now_us)
		nat_peer_note_deaf(peer, TRUE, now_us);
}

static void
on_live(NatPeer *peer, gint64 now_us)
{
	peer->remote_type = nat_peer_endpoint_type(peer);
	if (doubt_is_over(peer))
		nat_peer_keep_present(peer, "bytes come in again");
	if (peer->failure != NAT_FAILURE_SILENCE &&
	    (peer->state == NAT_PEER_WAITING || peer->state == NAT_PEER_FAILED ||
	     checks_are_moot(peer))) {
		if (nat_path_phase(peer->path) == NAT_PATH_IDLE && peer->managed)
			nat_path_adopt(peer->path, now_us);
		nat_peer_set_state(peer, NAT_PEER_CONNECTED, "a handshake is live");
	}
	if (peer->state == NAT_PEER_CONNECTED && peer->managed)
		watch_traffic(peer, now_us);
}

/* The device is as we left it, and there is something else to try. */
static gboolean
has_ours(NatPeer *peer)
{
	const WgEndpoint *endpoint = nat_path_endpoint(peer->path);
	WgEndpoint original;
	guint16 keepalive;

	return nat_originals_is_ours(peer->env->originals, &peer->key, endpoint, FALSE) &&
	       nat_originals_get(peer->env->originals, &peer->key, &original, &keepalive) &&
	       wg_endpoint_is_set(&original) && !wg_endpoint_equal(&original, endpoint);
}

/* An earlier run's, or of a path that was lost before its session died. */
static gboolean
is_left_over(NatPeer *peer, gint64 now_us)
{
	if (now_us - peer->observed_us <= ORPHAN_US || now_us - peer->forlorn_us < G_USEC_PER_SEC)
		return FALSE;
	peer->forlorn_us = now_us;
	return has_ours(peer);
}

/* No session, nobody to find another path with, and nothing under way: what the user had is better
 * than what worked once. */
static void
on_forlorn(NatPeer *peer, gint64 now_us)
{
	gboolean had_path = peer->state != NAT_PEER_WAITING;

	if (nat_path_phase(peer->path) != NAT_PATH_IDLE || nat_peer_is_plain(peer) ||
	    (peer->state == NAT_PEER_CHECKING && peer->search != NULL &&
	     nat_search_started(peer->search)))
		return;
	if (peer->state == NAT_PEER_CONNECTED)
		nat_peer_set_state(peer, NAT_PEER_WAITING, "no handshake for 180 s");
	else if (had_path)
		nat_peer_go_waiting(peer);
	if ((had_path && peer->managed) || is_left_over(peer, now_us))
		nat_peer_restore_original(peer);
}

void
nat_peer_observe(NatPeer *peer, const WgPeer *wg, gint64 now_us, gint64 real_s)
{
	gboolean live;

	keep_unbridged(peer, wg);
	note_configured(peer, wg, now_us);
	nat_path_observe(peer->path, wg, now_us, real_s);
	live = nat_path_live(peer->path, now_us);
	if (live && !is_dead_bridge(peer))
		on_live(peer, now_us);
	else if (live &&
		 (peer->failure != NAT_FAILURE_SILENCE || peer->state == NAT_PEER_CONNECTED))
		nat_peer_path_lost(peer);
	/* Nobody is there to find another path with: what the user had is better than nothing. */
	if (!peer->online && is_dead_bridge(peer) && now_us - peer->observed_us > ORPHAN_US)
		restore_bridged(peer);
	if (!live && !peer->online)
		on_forlorn(peer, now_us);
	if (!live && peer->state == NAT_PEER_CONNECTED) {
		nat_peer_set_state(peer, NAT_PEER_WAITING, "no handshake for 180 s");
		if (peer->managed && peer->online && nat_path_phase(peer->path) == NAT_PATH_IDLE)
			nat_peer_begin_search(peer);
	}
}

void
nat_peer_path_answers(NatPeer *peer)
{
	if (peer->failure != NAT_FAILURE_SILENCE ||
	    nat_path_phase(peer->path) == NAT_PATH_PROVING || !nat_peer_tunnel_live(peer))
		return;
	/* WireGuard goes on sending from where it last heard answers until its endpoint is written
	 * (DESIGN §2). */
	if (nat_peer_leaves_elsewhere(peer))
		nat_peer_take(peer, peer->chosen, "it answers from another address of ours");
	else
		nat_peer_keep_present(peer, "the path answers again");
}

void
nat_peer_path_lost(NatPeer *peer)
{
	nat_peer_consider(peer);
	if (peer->chosen != NULL)
		return;
	if (peer->state == NAT_PEER_CONNECTED)
		nat_peer_set_state(peer, NAT_PEER_WAITING, "its relay is gone");
	if (peer->failure == NAT_FAILURE_SILENCE)
		return;
	nat_peer_doubt(peer);
	if (peer->online && peer->managed)
		nat_peer_begin_search(peer);
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
	nat_checks_init(&peer->checks);
	peer->path = nat_path_new(key, peer->controlling, &PATH_FUNCS, peer);
	nat_path_set_userspace(peer->path, env->userspace);
	nat_session_init(&peer->session, nat_peer_random_sid());
	nat_peer_make_credentials(peer);
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
	nat_peer_end_pings(peer);
	nat_peer_end_search(peer);
	nat_peer_stop_timer(&peer->retry);
	nat_peer_stop_timer(&peer->resend);
	nat_peer_stop_timer(&peer->unheard);
	nat_peer_stop_timer(&peer->reconsider);
	/* what was written last may not have been read yet */
	if (peer->managed)
		peer->env->refresh(&peer->key, peer->path, peer->env->user_data);
	restore_bridged(peer);
	nat_originals_look_away(peer->env->originals, &peer->key);
	nat_peer_stop_mtu(peer);
	nat_peer_punch_free(peer);
	g_clear_pointer(&peer->watch, nat_watch_free);
	if (peer->env->relay != NULL)
		nat_relay_permit(peer->env->relay, peer, NULL, 0);
	nat_path_free(peer->path);
	nat_seal_free(peer->seal);
	g_clear_pointer(&peer->plain, g_array_unref);
	nat_checks_clear(&peer->checks);
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

const WgEndpoint *
nat_peer_held(const NatPeer *peer)
{
	const WgEndpoint *endpoint = nat_path_endpoint(peer->path);

	return peer->managed && peer->online && wg_endpoint_is_set(endpoint) &&
			       !wg_endpoint_is_bogus(endpoint)
		       ? endpoint
		       : NULL;
}

gboolean
nat_peer_by_beacon(const NatPeer *peer)
{
	return peer->tier0;
}

gboolean
nat_peer_is_silent(const NatPeer *peer)
{
	return peer->failure == NAT_FAILURE_SILENCE;
}

gboolean
nat_peer_urgent(const NatPeer *peer, gint64 now_us)
{
	return nat_path_urgent(peer->path, now_us);
}

const char *
nat_peer_name(const NatPeer *peer)
{
	return peer->name;
}

void
nat_peer_set_name(NatPeer *peer, const char *name)
{
	g_free(peer->name);
	peer->name = g_strdup(name);
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
status_standby(NatPeer *peer, NatStatusPeer *out)
{
	NatWatchPair *standby = nat_peer_standby_pair(peer);

	if (standby == NULL)
		return;
	out->has_standby = TRUE;
	out->standby_relay = nat_watch_is_relay(standby);
	out->standby = *nat_watch_remote(standby);
}

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
	if (nat_peer_plain_bridge(peer, &out->local.endpoint, &out->remote.endpoint)) {
		out->relay = TRUE;
		out->local.type = NAT_CAND_RELAY;
	}
	if (peer->chosen == NULL)
		return;
	out->relay = nat_watch_is_relay(peer->chosen);
	out->since_s = (g_get_monotonic_time() - peer->chosen_us) / G_USEC_PER_SEC;
	out->loss = nat_watch_rtt_ms(peer->chosen) >= 0 ? nat_watch_loss(peer->chosen) : -1;
	out->rtt_ms = nat_watch_rtt_ms(peer->chosen);
	out->mtu = nat_peer_path_mtu(peer);
	out->source_port = nat_peer_source_port(peer, &nat_watch_remote(peer->chosen)->endpoint);
	out->remote.endpoint = nat_watch_remote(peer->chosen)->endpoint;
	if (nat_watch_relayed(peer->chosen) != NULL) {
		out->local.type = NAT_CAND_RELAY;
		out->local.endpoint = *nat_watch_relayed(peer->chosen);
	}
}

void
nat_peer_status(NatPeer *peer, const WgPeer *wg, NatStatusPeer *out)
{
	gint64 now = g_get_monotonic_time(), handshake = nat_path_handshake_us(peer->path);
	NatWhy why;

	out->name = g_strdup(peer->name);
	out->state = peer->state;
	out->managed = peer->managed;
	out->rtt_ms = out->loss = -1;
	out->since_s = -1;
	out->failovers = peer->moves;
	out->connect_ms = peer->state == NAT_PEER_CONNECTED ? peer->connect_ms : -1;
	out->last_handshake_s = handshake != 0 ? (now - handshake) / G_USEC_PER_SEC : -1;
	if (wg != NULL) {
		out->endpoint = wg->endpoint;
		out->rx_bytes = wg->rx_bytes;
		out->tx_bytes = wg->tx_bytes;
	}
	if (peer->state == NAT_PEER_CONNECTED)
		status_path(peer, out);
	status_standby(peer, out);
	nat_peer_fill_why(peer, &why);
	g_free(out->why);
	out->why = nat_why_sentence(&why);
	out->reason = g_strdup(nat_reason_to_string(nat_why_reason(&why)));
	out->no_relay = g_strdup(nat_no_relay_to_string(nat_why_no_relay(&why)));
}
