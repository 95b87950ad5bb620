/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation. A seat is a place for one allocation. nat_relay_seat_update() compares what
 * is wanted with what is there; everything that changes one of the two ends in nat_relay_update(),
 * which calls it for both seats. It starts a round (nat-relay-round.c) when an allocation is needed
 * and none is there, or the one there is to be replaced; a round that fails is followed by a pause.
 * At most two allocations of a seat stand: `leg`, which is published, and `old`, which it replaced
 * and which goes by its own timer (nat-relay-leg.c).
 *
 *     empty ── needed ── round ⇄ pause
 *        ↖ 30 s unneeded ↓   ↑ lost, refused, stale, unlisted
 *                         leg
 *
 * What goes wrong with the main seat is the owner's business; the spare one's troubles are for the
 * debug log.
 */
#define G_LOG_DOMAIN "relay"
#include "agent/relay/nat-relay-private.h"

#include "agent/relay/nat-turn-socket.h"

#define UNWANTED_S 30
#define PAUSE_FIRST_MS 2000
#define PAUSE_MAX_MS 60000
#define PAUSE_MAX_SPARE_MS 300000
#define PAUSE_MIN_MS 200
#define SHORT_LIFE_US (10 * G_TIME_SPAN_SECOND)

static gboolean
is_main(const NatRelaySeat *seat)
{
	return seat == &seat->relay->main;
}

/* ---- filling it ---- */

void
nat_relay_seat_stop(NatRelaySeat *seat)
{
	g_clear_pointer(&seat->round, nat_relay_round_free);
	g_clear_handle_id(&seat->retry_timer, g_source_remove);
}

static void
forget_failures(NatRelaySeat *seat)
{
	seat->failures = 0;
	seat->refused = seat->fresh_tried = FALSE;
}

void
nat_relay_seat_restart(NatRelaySeat *seat)
{
	nat_relay_seat_stop(seat);
	forget_failures(seat);
}

/* What was refused may have expired: others are tried at once. When these are refused too,
 * something else is wrong, and whoever hands them out has ever more of them. */
void
nat_relay_seat_fresh_credentials(NatRelaySeat *seat)
{
	g_clear_pointer(&seat->round, nat_relay_round_free); /* it has the old ones */
	if (!seat->refused || seat->fresh_tried)
		return;
	seat->fresh_tried = TRUE;
	g_clear_handle_id(&seat->retry_timer, g_source_remove);
}

static gboolean
on_retry(gpointer user_data)
{
	NatRelaySeat *seat = user_data;

	seat->retry_timer = 0;
	nat_relay_update(seat->relay);
	return G_SOURCE_REMOVE;
}

/* Full jitter: a relay that came back must not meet all its clients at once. A spare, which nobody
 * waits for, is never looked for without a pause after a loss. */
void
nat_relay_seat_pause(NatRelaySeat *seat)
{
	gint32 max = is_main(seat) ? PAUSE_MAX_MS : PAUSE_MAX_SPARE_MS;
	gint32 most = PAUSE_FIRST_MS;

	for (guint i = 0; i < seat->failures && most < max; i++)
		most *= 2;
	seat->failures++;
	most = MIN(most, max);
	g_clear_handle_id(&seat->retry_timer, g_source_remove);
	seat->retry_timer =
		g_timeout_add((guint)g_random_int_range(PAUSE_MIN_MS, most), on_retry, seat);
}

static gboolean
lived_long(const NatRelayLeg *leg)
{
	return g_get_monotonic_time() - leg->up_us >= SHORT_LIFE_US;
}

void
nat_relay_seat_forgive(NatRelaySeat *seat, const NatRelayLeg *leg)
{
	if (leg && lived_long(leg))
		forget_failures(seat);
}

static void
start_round(NatRelaySeat *seat)
{
	nat_relay_servers_resolve(seat->relay);
	seat->round = nat_relay_round_new(seat);
	if (is_main(seat))
		nat_relay_tell_changed(seat->relay);
}

static gboolean
on_unwanted(gpointer user_data)
{
	NatRelaySeat *seat = user_data;

	seat->idle_timer = 0;
	nat_relay_seat_forgive(seat, seat->leg);
	g_message("%s: gives back the %srelayed address: nobody needs it", seat->relay->ifname,
		  is_main(seat) ? "" : "spare ");
	nat_relay_seat_drop(seat);
	return G_SOURCE_REMOVE;
}

gboolean
nat_relay_seat_is_needed(const NatRelaySeat *seat)
{
	return seat->wanted || (seat->leg && seat->leg->bridges->len > 0);
}

gboolean
nat_relay_seat_is_good(const NatRelaySeat *seat)
{
	return seat->leg && !seat->replace;
}

void
nat_relay_seat_update(NatRelaySeat *seat, gboolean may)
{
	gboolean needed = nat_relay_seat_is_needed(seat);

	if (needed || !seat->leg)
		g_clear_handle_id(&seat->idle_timer, g_source_remove);
	else if (seat->idle_timer == 0)
		seat->idle_timer = g_timeout_add_seconds(UNWANTED_S, on_unwanted, seat);
	if (!needed || !may || nat_relay_seat_is_good(seat))
		nat_relay_seat_stop(seat);
	else if (!seat->round && seat->retry_timer == 0)
		start_round(seat);
}

void
nat_relay_round_over(NatRelaySeat *seat, char *problem_take, gboolean credentials)
{
	g_clear_pointer(&seat->round, nat_relay_round_free);
	nat_relay_seat_pause(seat);
	seat->refused = credentials;
	if (credentials)
		nat_relay_tell_credentials(seat->relay);
	if (is_main(seat)) {
		nat_relay_set_problem_take(seat->relay, problem_take);
		nat_relay_tell_changed(seat->relay);
	} else {
		g_debug("%s: no spare: %s", seat->relay->ifname, problem_take);
		g_free(problem_take);
	}
}

/* ---- what is in it ---- */

void
nat_relay_seat_drop(NatRelaySeat *seat)
{
	seat->replace = FALSE;
	g_clear_pointer(&seat->leg, nat_relay_leg_free);
	nat_relay_tell_changed(seat->relay);
}

void
nat_relay_seat_retire(NatRelaySeat *seat)
{
	seat->replace = FALSE;
	g_clear_pointer(&seat->old, nat_relay_leg_free);
	seat->old = g_steal_pointer(&seat->leg);
	nat_relay_leg_retire(seat->old);
	nat_relay_tell_changed(seat->relay);
}

/* The new one first, then the old one goes. */
void
nat_relay_seat_take(NatRelaySeat *seat, NatRelayLeg *leg)
{
	if (seat->leg)
		nat_relay_seat_retire(seat);
	seat->leg = leg;
	seat->replace = FALSE;
	leg->seat = seat;
	leg->state = NAT_RELAY_LEG_UP;
	nat_relay_seat_stop(seat);
	nat_relay_tell_changed(seat->relay);
}

static gboolean
is_believed(const NatRelayLeg *leg)
{
	const NatRelay *relay = leg->relay;

	return !relay->funcs.believed || relay->funcs.believed(nat_turn_relayed(leg->turn),
							       leg->uri->offered, relay->user_data);
}

void
nat_relay_leg_came_up(NatRelayLeg *leg)
{
	NatRelaySeat *seat = leg->seat;
	NatRelay *relay = leg->relay;
	char text[WG_ENDPOINT_STRLEN];

	if (!seat->round)
		return;
	if (!is_believed(leg)) {
		nat_relay_round_failed(seat->round, leg, NAT_TURN_OTHER,
				       "refused: it hands out an address of this host's own or "
				       "inside its networks");
		return;
	}
	if (!nat_relay_round_steal(seat->round, leg))
		return;
	nat_relay_seat_take(seat, leg);
	nat_relay_servers_note(relay, leg, NULL);
	if (is_main(seat))
		nat_relay_set_problem_take(relay, NULL);
	g_message("%s: %srelayed address %s by %s", relay->ifname, is_main(seat) ? "" : "spare ",
		  wg_endpoint_format(nat_turn_relayed(leg->turn), text), leg->label);
	if (relay->keepalive_s != 0)
		nat_turn_set_keepalive(leg->turn, relay->keepalive_s);
	nat_relay_apply_permits(relay, leg);
	nat_relay_update(relay);
}

static void
on_lost(NatRelaySeat *seat, NatTurnFailure failure, const char *reason)
{
	NatRelayLeg *leg = seat->leg;
	gboolean flaps = !lived_long(leg);

	g_log(G_LOG_DOMAIN, is_main(seat) ? G_LOG_LEVEL_MESSAGE : G_LOG_LEVEL_DEBUG, "%s: %s: %s",
	      seat->relay->ifname, leg->label, reason);
	nat_relay_seat_forgive(seat, leg);
	if (failure == NAT_TURN_CREDENTIALS) {
		/* It relays for the rest of its lifetime. */
		nat_relay_leg_refused(leg);
		seat->replace = TRUE;
		nat_relay_tell_credentials(seat->relay);
	} else {
		nat_relay_seat_drop(seat);
	}
	seat->refused = failure == NAT_TURN_CREDENTIALS;
	if (flaps || !is_main(seat))
		nat_relay_seat_pause(seat);
	nat_relay_update(seat->relay);
}

void
nat_relay_leg_went_down(NatRelayLeg *leg, NatTurnFailure failure, const char *reason)
{
	switch (leg->state) {
	case NAT_RELAY_LEG_TRYING:
		g_debug("%s: %s: %s", leg->relay->ifname, leg->label, reason);
		nat_relay_round_failed(leg->seat->round, leg, failure, reason);
		break;
	case NAT_RELAY_LEG_UP:
		on_lost(leg->seat, failure, reason);
		break;
	case NAT_RELAY_LEG_OLD:
		if (failure != NAT_TURN_CREDENTIALS)
			nat_relay_leg_ended(leg);
		break;
	}
}

void
nat_relay_leg_ended(NatRelayLeg *leg)
{
	NatRelaySeat *seat = leg->seat;

	if (seat->old == leg) {
		g_clear_pointer(&seat->old, nat_relay_leg_free);
	} else if (seat->leg == leg) {
		nat_relay_seat_drop(seat);
		nat_relay_update(seat->relay);
	}
}

/* ---- whether it still serves ---- */

/* All that speaks against it, whatever was the occasion: what began to replace it may just have
 * been given up. */
void
nat_relay_seat_judge(NatRelaySeat *seat)
{
	NatRelayLeg *leg = seat->leg;

	if (leg)
		seat->replace = leg->refused || !nat_relay_servers_list(seat->relay, leg) ||
				nat_relay_leg_is_stale(leg);
}

void
nat_relay_seat_judge_network(NatRelaySeat *seat)
{
	NatRelayLeg *leg = seat->leg;
	WgEndpoint source;

	nat_relay_seat_judge(seat);
	/* The same address may lie behind another NAT now. */
	if (leg && !seat->replace && nat_turn_socket_source(&leg->server, leg->fwmark, &source))
		nat_turn_check(leg->turn);
	if (!seat->round || nat_relay_round_is_stale(seat->round))
		nat_relay_seat_restart(seat);
}

void
nat_relay_seat_clear(NatRelaySeat *seat)
{
	nat_relay_seat_stop(seat);
	g_clear_handle_id(&seat->idle_timer, g_source_remove);
	g_clear_pointer(&seat->leg, nat_relay_leg_free);
	g_clear_pointer(&seat->old, nat_relay_leg_free);
}
