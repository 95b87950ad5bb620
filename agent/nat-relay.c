/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation. nat_relay_update() compares what is wanted with what is there; everything
 * that changes one of the two ends in it. It starts a round (nat-relay-round.c) when an allocation
 * is wanted and none is there, or the one there is to be replaced; a round that fails is followed
 * by a pause. At most two allocations stand: `current`, which is published, and `old`, which it
 * replaced and which goes by its own timer (nat-relay-leg.c).
 *
 *     NONE ── servers ── IDLE ── wanted ── ALLOCATING ⇄ FAILED
 *                          ↖ 30 s unwanted  ↓   ↑ lost
 *                                             UP
 *
 * What the owner is told is told from an idle of its own, so that it may call anything there.
 */
#define G_LOG_DOMAIN "relay"
#include "agent/nat-relay-private.h"

#include "agent/nat-turn-socket.h"

#define UNWANTED_S 30
#define PAUSE_FIRST_MS 2000
#define PAUSE_MAX_MS 60000
#define PAUSE_MIN_MS 200
#define SHORT_LIFE_US (10 * G_TIME_SPAN_SECOND)
#define PERMITS_PER_OWNER 8

/* ---- telling ---- */

static gboolean
on_tell(gpointer user_data)
{
	NatRelay *relay = user_data;
	gboolean credentials = relay->tell_credentials;

	relay->tell_idle = 0;
	relay->tell_credentials = FALSE;
	if (relay->tell_changed && credentials)
		relay->tell_idle = g_idle_add_full(G_PRIORITY_DEFAULT, on_tell, relay, NULL);
	else
		relay->tell_changed = FALSE;
	/* One of the two each time: the relay may be freed in it. */
	if (credentials)
		relay->funcs.credentials_wanted(relay->user_data);
	else
		relay->funcs.changed(relay->user_data);
	return G_SOURCE_REMOVE;
}

static void
tell(NatRelay *relay)
{
	if (relay->tell_idle == 0)
		relay->tell_idle = g_idle_add_full(G_PRIORITY_DEFAULT, on_tell, relay, NULL);
}

static void
tell_changed(NatRelay *relay)
{
	relay->tell_changed = TRUE;
	tell(relay);
}

static void
tell_credentials(NatRelay *relay)
{
	relay->tell_credentials = TRUE;
	tell(relay);
}

/* ---- allocations ---- */

static void
apply_permits(NatRelay *relay, NatRelayLeg *leg)
{
	g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));
	GHashTableIter iter;
	gpointer value;

	if (!leg)
		return;
	g_hash_table_iter_init(&iter, relay->permits);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		const GArray *peers = value;

		g_array_append_vals(all, peers->data, peers->len);
	}
	nat_turn_permit(leg->turn, (const WgEndpoint *)(const void *)all->data, all->len);
}

static void
drop_current(NatRelay *relay)
{
	relay->replace = FALSE;
	g_clear_pointer(&relay->current, nat_relay_leg_free);
	tell_changed(relay);
}

static void
stop_allocating(NatRelay *relay)
{
	g_clear_pointer(&relay->round, nat_relay_round_free);
	g_clear_handle_id(&relay->retry_timer, g_source_remove);
}

static gboolean
on_retry(gpointer user_data)
{
	NatRelay *relay = user_data;

	relay->retry_timer = 0;
	nat_relay_update(relay);
	return G_SOURCE_REMOVE;
}

/* Full jitter: a relay that came back must not meet all its clients at once. */
static void
pause_before_next(NatRelay *relay)
{
	gint32 most = PAUSE_FIRST_MS;

	for (guint i = 0; i < relay->failures && most < PAUSE_MAX_MS; i++)
		most *= 2;
	relay->failures++;
	most = MIN(most, PAUSE_MAX_MS);
	g_clear_handle_id(&relay->retry_timer, g_source_remove);
	relay->retry_timer =
		g_timeout_add((guint)g_random_int_range(PAUSE_MIN_MS, most), on_retry, relay);
}

static gboolean
on_unwanted(gpointer user_data)
{
	NatRelay *relay = user_data;

	relay->idle_timer = 0;
	g_message("%s: gives back the relayed address: nobody needs it", relay->ifname);
	drop_current(relay);
	return G_SOURCE_REMOVE;
}

static void
start_round(NatRelay *relay)
{
	nat_relay_servers_resolve(relay);
	relay->round = nat_relay_round_new(relay);
	tell_changed(relay);
}

/* Somebody bridges, or will. */
static gboolean
is_needed(const NatRelay *relay)
{
	return relay->wanted || (relay->current && relay->current->bridges->len > 0);
}

void
nat_relay_update(NatRelay *relay)
{
	gboolean needed = is_needed(relay), lacking = !relay->current || relay->replace;

	if (needed || !relay->current)
		g_clear_handle_id(&relay->idle_timer, g_source_remove);
	else if (relay->idle_timer == 0)
		relay->idle_timer = g_timeout_add_seconds(UNWANTED_S, on_unwanted, relay);
	if (!needed || relay->servers->len == 0 || !lacking)
		stop_allocating(relay);
	else if (!relay->round && relay->retry_timer == 0)
		start_round(relay);
}

static void
set_problem_take(NatRelay *relay, char *problem)
{
	if (problem && g_strcmp0(problem, relay->problem) != 0)
		g_warning("%s: no relay: %s", relay->ifname, problem);
	g_free(relay->problem);
	relay->problem = problem;
}

void
nat_relay_round_over(NatRelay *relay, char *problem_take, gboolean credentials)
{
	g_clear_pointer(&relay->round, nat_relay_round_free);
	set_problem_take(relay, problem_take);
	pause_before_next(relay);
	if (credentials)
		tell_credentials(relay);
	tell_changed(relay);
}

/* The new one first, then the old one goes. */
void
nat_relay_leg_came_up(NatRelay *relay, NatRelayLeg *leg)
{
	char text[WG_ENDPOINT_STRLEN];

	if (!relay->round)
		return;
	if (relay->funcs.believed && !relay->funcs.believed(nat_turn_relayed(leg->turn),
							    leg->uri->offered, relay->user_data)) {
		nat_relay_round_failed(relay->round, leg, NAT_TURN_OTHER,
				       "refused: it hands out an address of this host's own or "
				       "inside its networks");
		return;
	}
	if (!nat_relay_round_steal(relay->round, leg))
		return;
	g_clear_pointer(&relay->round, nat_relay_round_free);
	g_clear_pointer(&relay->old, nat_relay_leg_free);
	relay->old = relay->current;
	if (relay->old)
		nat_relay_leg_retire(relay->old);
	leg->state = NAT_RELAY_LEG_UP;
	nat_relay_servers_note(relay, leg, NULL);
	relay->current = leg;
	relay->replace = FALSE;
	set_problem_take(relay, NULL);
	g_message("%s: relayed address %s by %s", relay->ifname,
		  wg_endpoint_format(nat_turn_relayed(leg->turn), text), leg->label);
	if (relay->keepalive_s != 0)
		nat_turn_set_keepalive(leg->turn, relay->keepalive_s);
	apply_permits(relay, leg);
	tell_changed(relay);
	nat_relay_update(relay);
}

static void
current_lost(NatRelay *relay, NatTurnFailure failure, const char *reason)
{
	NatRelayLeg *leg = relay->current;
	gint64 lived = g_get_monotonic_time() - leg->up_us;

	g_message("%s: %s: %s", relay->ifname, leg->label, reason);
	if (failure == NAT_TURN_CREDENTIALS) {
		/* It relays for the rest of its lifetime. */
		nat_relay_leg_refused(leg);
		relay->replace = TRUE;
		tell_credentials(relay);
	} else {
		drop_current(relay);
	}
	if (lived < SHORT_LIFE_US)
		pause_before_next(relay);
	else
		relay->failures = 0;
	nat_relay_update(relay);
}

void
nat_relay_leg_went_down(NatRelay *relay, NatRelayLeg *leg, NatTurnFailure failure,
			const char *reason)
{
	switch (leg->state) {
	case NAT_RELAY_LEG_TRYING:
		g_debug("%s: %s: %s", relay->ifname, leg->label, reason);
		nat_relay_round_failed(relay->round, leg, failure, reason);
		break;
	case NAT_RELAY_LEG_UP:
		current_lost(relay, failure, reason);
		break;
	case NAT_RELAY_LEG_OLD:
		if (failure != NAT_TURN_CREDENTIALS)
			nat_relay_leg_ended(relay, leg);
		break;
	}
}

void
nat_relay_leg_ended(NatRelay *relay, NatRelayLeg *leg)
{
	if (relay->old == leg) {
		g_clear_pointer(&relay->old, nat_relay_leg_free);
	} else if (relay->current == leg) {
		drop_current(relay);
		nat_relay_update(relay);
	}
}

NatRelayLeg *
nat_relay_leg_of(const NatRelay *relay, const WgEndpoint *relayed)
{
	NatRelayLeg *legs[] = {relay->current, relay->old};

	for (gsize i = 0; i < G_N_ELEMENTS(legs); i++)
		if (legs[i] && wg_endpoint_is_set(relayed) &&
		    wg_endpoint_equal(nat_turn_relayed(legs[i]->turn), relayed))
			return legs[i];
	return NULL;
}

/* ---- the owner ---- */

NatRelay *
nat_relay_new(const char *ifname, const char *state_dir, const WgKey *own_public, guint32 fwmark,
	      const NatRelayFuncs *funcs, gpointer user_data)
{
	NatRelay *relay = g_new0(NatRelay, 1);

	relay->ifname = g_strdup(ifname);
	relay->resolve = nat_resolve_new(state_dir, own_public);
	relay->fwmark = fwmark;
	relay->funcs = *funcs;
	relay->user_data = user_data;
	relay->servers = nat_relay_servers_new();
	relay->permits = g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify)g_array_unref);
	return relay;
}

void
nat_relay_free(NatRelay *relay)
{
	if (!relay)
		return;
	stop_allocating(relay);
	nat_relay_leg_free(relay->current);
	nat_relay_leg_free(relay->old);
	g_clear_handle_id(&relay->idle_timer, g_source_remove);
	g_clear_handle_id(&relay->tell_idle, g_source_remove);
	g_ptr_array_unref(relay->servers);
	g_hash_table_unref(relay->permits);
	nat_resolve_free(relay->resolve);
	g_free(relay->problem);
	g_free(relay->ifname);
	g_free(relay);
}

/* What failed before says nothing about now. */
static void
try_afresh(NatRelay *relay)
{
	relay->failures = 0;
	stop_allocating(relay);
	nat_relay_update(relay);
}

void
nat_relay_set_fwmark(NatRelay *relay, guint32 fwmark)
{
	if (relay->fwmark == fwmark)
		return;
	relay->fwmark = fwmark;
	nat_relay_network_changed(relay);
}

void
nat_relay_set_keepalive(NatRelay *relay, guint seconds)
{
	NatRelayLeg *legs[] = {relay->current, relay->old};

	relay->keepalive_s = seconds;
	for (gsize i = 0; i < G_N_ELEMENTS(legs); i++)
		if (legs[i])
			nat_turn_set_keepalive(legs[i]->turn, seconds);
}

void
nat_relay_set_servers(NatRelay *relay, GPtrArray *uris)
{
	/* A round reads the list. */
	if (nat_relay_servers_are(relay, uris))
		return;
	stop_allocating(relay);
	nat_relay_servers_replace(relay, uris);
	set_problem_take(relay, NULL);
	if (relay->current)
		relay->replace =
			relay->current->refused || !nat_relay_servers_list(relay, relay->current);
	if (relay->current && uris->len == 0)
		drop_current(relay);
	tell_changed(relay);
	try_afresh(relay);
}

void
nat_relay_set_wanted(NatRelay *relay, gboolean wanted)
{
	if (relay->wanted == wanted)
		return;
	relay->wanted = wanted;
	if (!wanted)
		set_problem_take(relay, NULL);
	nat_relay_update(relay);
	tell_changed(relay);
}

void
nat_relay_network_changed(NatRelay *relay)
{
	NatRelayLeg *leg = relay->current;
	WgEndpoint source;

	if (leg)
		relay->replace = leg->refused || !nat_relay_servers_list(relay, leg) ||
				 nat_relay_leg_is_stale(leg);
	/* The same address may lie behind another NAT now. */
	if (leg && !relay->replace && nat_turn_socket_source(&leg->server, leg->fwmark, &source))
		nat_turn_check(leg->turn);
	if (!relay->round || nat_relay_round_is_stale(relay->round))
		try_afresh(relay);
}

NatRelayState
nat_relay_state(const NatRelay *relay)
{
	if (relay->current)
		return NAT_RELAY_UP;
	if (relay->servers->len == 0)
		return NAT_RELAY_NONE;
	if (relay->problem)
		return NAT_RELAY_FAILED;
	return relay->round || relay->retry_timer ? NAT_RELAY_ALLOCATING : NAT_RELAY_IDLE;
}

const char *
nat_relay_problem(const NatRelay *relay)
{
	return relay->problem;
}

const WgEndpoint *
nat_relay_address(const NatRelay *relay)
{
	static const WgEndpoint unset;

	return relay->current ? nat_turn_relayed(relay->current->turn) : &unset;
}

gboolean
nat_relay_is_ours(const NatRelay *relay, const WgEndpoint *relayed)
{
	return nat_relay_leg_of(relay, relayed) != NULL;
}

const char *
nat_relay_server(const NatRelay *relay)
{
	return relay->current ? relay->current->label : NULL;
}

static guint64
dropped_of(const NatRelayLeg *leg)
{
	return leg ? nat_turn_dropped(leg->turn) : 0;
}

guint64
nat_relay_dropped(const NatRelay *relay)
{
	return relay->dropped + dropped_of(relay->current) + dropped_of(relay->old);
}

void
nat_relay_permit(NatRelay *relay, gconstpointer owner, const WgEndpoint *peers, gsize n)
{
	if (n > 0) {
		GArray *array = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));

		g_array_append_vals(array, peers, (guint)MIN(n, PERMITS_PER_OWNER));
		g_hash_table_insert(relay->permits, (gpointer)owner, array);
	} else if (!g_hash_table_remove(relay->permits, owner)) {
		return;
	}
	apply_permits(relay, relay->current);
	apply_permits(relay, relay->old);
}

gboolean
nat_relay_send(NatRelay *relay, const WgEndpoint *relayed, const WgEndpoint *peer,
	       const guint8 *data, gsize len)
{
	NatRelayLeg *leg = nat_relay_leg_of(relay, relayed);

	return leg && nat_turn_send(leg->turn, peer, data, len);
}

gboolean
nat_relay_send_probe(NatRelay *relay, const WgEndpoint *relayed, const WgEndpoint *peer,
		     const guint8 *data, gsize len, GError **error)
{
	NatRelayLeg *leg = nat_relay_leg_of(relay, relayed);

	return leg && nat_turn_send_probe(leg->turn, peer, data, len, error);
}

void
nat_relay_check(NatRelay *relay, const WgEndpoint *relayed)
{
	NatRelayLeg *leg = nat_relay_leg_of(relay, relayed);

	if (!leg)
		return;
	if (nat_turn_is_up(leg->turn))
		nat_turn_check(leg->turn);
	else if (leg == relay->current) /* refused, and now it seems to be over */
		drop_current(relay);
	nat_relay_update(relay);
}
