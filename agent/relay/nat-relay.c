/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation. A relay has two seats (nat-relay-seat.c): `main`, whose allocation everybody
 * may use, and `spare`, whose allocation is held at another server for when that of the main one
 * dies. nat_relay_update() looks at both; everything that changes what is wanted or what is there
 * ends in it. The spare is looked for only while the main one is well. When the main allocation is
 * lost or no longer serves, the spare one moves to the main seat as it is, with its bridges and
 * permissions, and another spare is looked for.
 *
 *     NONE ── servers ── IDLE ── wanted ── ALLOCATING ⇄ FAILED      the main seat's state
 *                          ↖ 30 s unwanted  ↓   ↑ lost, and no spare
 *                                             UP
 *
 * What the owner is told is told from an idle of its own, so that it may call anything there.
 */
#define G_LOG_DOMAIN "relay"
#include "agent/relay/nat-relay-private.h"

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

void
nat_relay_tell_changed(NatRelay *relay)
{
	relay->tell_changed = TRUE;
	tell(relay);
}

void
nat_relay_tell_credentials(NatRelay *relay)
{
	relay->tell_credentials = TRUE;
	tell(relay);
}

/* ---- the two seats ---- */

void
nat_relay_apply_permits(NatRelay *relay, NatRelayLeg *leg)
{
	g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));
	GHashTableIter iter;
	gpointer value;

	g_hash_table_iter_init(&iter, relay->permits);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		const GArray *peers = value;

		g_array_append_vals(all, peers->data, peers->len);
	}
	if (nat_turn_permit(leg->turn, (const WgEndpoint *)(const void *)all->data, all->len) ||
	    relay->told_many)
		return;
	relay->told_many = TRUE;
	g_warning("%s: peers have more than the %u addresses that may send to a relayed address: "
		  "some of them can't reach this host by a relay",
		  relay->ifname, (guint)NAT_TURN_PERMISSIONS_MAX);
}

void
nat_relay_set_problem_take(NatRelay *relay, char *problem)
{
	if (problem && g_strcmp0(problem, relay->problem) != 0)
		g_warning("%s: no relay: %s", relay->ifname, problem);
	g_free(relay->problem);
	relay->problem = problem;
}

static void
say_takes_over(const NatRelayLeg *leg)
{
	char text[WG_ENDPOINT_STRLEN];

	g_message("%s: the spare relayed address %s by %s takes over", leg->relay->ifname,
		  wg_endpoint_format(nat_turn_relayed(leg->turn), text), leg->label);
}

/* Its permissions stand and its channels are bound: nothing is asked of its server. */
static void
promote(NatRelay *relay)
{
	NatRelayLeg *leg = g_steal_pointer(&relay->spare.leg);

	say_takes_over(leg);
	nat_relay_seat_take(&relay->main, leg);
	nat_relay_set_problem_take(relay, NULL);
	nat_relay_seat_forgive(&relay->spare, leg);
	nat_relay_seat_pause(&relay->spare);
}

/* The main allocation may have moved to the spare one's server; the list may have changed. */
static void
judge_spare(NatRelay *relay)
{
	NatRelayLeg *main = relay->main.leg, *spare = relay->spare.leg;

	if (!main || !spare)
		return;
	if (!nat_relay_leg_is_elsewhere(main, spare->uri, &spare->server))
		relay->spare.replace = TRUE;
	if (relay->spare.replace && !nat_relay_servers_have_another(relay, main))
		nat_relay_seat_retire(&relay->spare);
}

static gboolean
may_have_spare(const NatRelay *relay)
{
	return nat_relay_seat_is_good(&relay->main) && nat_relay_seat_is_needed(&relay->main) &&
	       nat_relay_servers_have_another(relay, relay->main.leg);
}

void
nat_relay_update(NatRelay *relay)
{
	if (nat_relay_seat_is_needed(&relay->main) && !nat_relay_seat_is_good(&relay->main) &&
	    nat_relay_seat_is_good(&relay->spare))
		promote(relay);
	nat_relay_seat_update(&relay->main, relay->servers->len > 0);
	judge_spare(relay);
	nat_relay_seat_update(&relay->spare, may_have_spare(relay));
}

/* All that stand; NULL where there is none. */
typedef struct {
	NatRelayLeg *legs[4];
} Legs;

static Legs
all_legs(const NatRelay *relay)
{
	return (Legs){{relay->main.leg, relay->spare.leg, relay->main.old, relay->spare.old}};
}

NatRelayLeg *
nat_relay_leg_of(const NatRelay *relay, const WgEndpoint *relayed)
{
	Legs all = all_legs(relay);

	for (gsize i = 0; i < G_N_ELEMENTS(all.legs); i++)
		if (all.legs[i] && wg_endpoint_is_set(relayed) &&
		    wg_endpoint_equal(nat_turn_relayed(all.legs[i]->turn), relayed))
			return all.legs[i];
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
	relay->main.relay = relay->spare.relay = relay;
	relay->servers = nat_relay_servers_new();
	relay->permits = g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify)g_array_unref);
	return relay;
}

void
nat_relay_free(NatRelay *relay)
{
	if (!relay)
		return;
	nat_relay_seat_clear(&relay->main);
	nat_relay_seat_clear(&relay->spare);
	g_clear_handle_id(&relay->tell_idle, g_source_remove);
	g_ptr_array_unref(relay->servers);
	g_hash_table_unref(relay->permits);
	nat_resolve_free(relay->resolve);
	g_free(relay->problem);
	g_free(relay->ifname);
	g_free(relay);
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
	Legs all = all_legs(relay);

	relay->keepalive_s = seconds;
	for (gsize i = 0; i < G_N_ELEMENTS(all.legs); i++)
		if (all.legs[i])
			nat_turn_set_keepalive(all.legs[i]->turn, seconds);
}

void
nat_relay_set_servers(NatRelay *relay, GPtrArray *uris)
{
	gboolean stay = nat_relay_servers_stay(relay, uris);

	if (nat_relay_servers_are(relay, uris))
		return;
	if (stay)
		nat_relay_seat_fresh_credentials(&relay->main);
	else
		nat_relay_seat_restart(&relay->main);
	/* The spare's pause stays: a server that takes no credentials would have ever fresh ones
	 * asked for. */
	g_clear_pointer(&relay->spare.round, nat_relay_round_free);
	nat_relay_servers_replace(relay, uris);
	nat_relay_seat_judge(&relay->main);
	nat_relay_seat_judge(&relay->spare);
	if (uris->len == 0) {
		nat_relay_seat_drop(&relay->main);
		nat_relay_seat_drop(&relay->spare);
	}
	if (!stay) {
		nat_relay_set_problem_take(relay, NULL);
		nat_relay_tell_changed(relay);
	}
	nat_relay_update(relay);
}

void
nat_relay_set_wanted(NatRelay *relay, gboolean wanted)
{
	if (relay->main.wanted == wanted)
		return;
	relay->main.wanted = wanted;
	if (!wanted)
		nat_relay_set_problem_take(relay, NULL);
	nat_relay_update(relay);
	nat_relay_tell_changed(relay);
}

void
nat_relay_set_spare_wanted(NatRelay *relay, gboolean wanted)
{
	if (relay->spare.wanted == wanted)
		return;
	relay->spare.wanted = wanted;
	nat_relay_update(relay);
}

void
nat_relay_prefer(NatRelay *relay, const WgEndpoint *relayed)
{
	NatRelayLeg *main = relay->main.leg, *spare = relay->spare.leg;

	if (!nat_relay_seat_is_good(&relay->main) || !nat_relay_seat_is_good(&relay->spare) ||
	    nat_relay_leg_of(relay, relayed) != spare)
		return;
	say_takes_over(spare);
	relay->main.leg = spare;
	spare->seat = &relay->main;
	relay->spare.leg = main;
	main->seat = &relay->spare;
	nat_relay_tell_changed(relay);
	nat_relay_update(relay);
}

void
nat_relay_network_changed(NatRelay *relay)
{
	nat_relay_seat_judge_network(&relay->main);
	nat_relay_seat_judge_network(&relay->spare);
	nat_relay_update(relay);
}

NatRelayState
nat_relay_state(const NatRelay *relay)
{
	if (relay->main.leg)
		return NAT_RELAY_UP;
	if (relay->servers->len == 0)
		return NAT_RELAY_NONE;
	if (relay->problem)
		return NAT_RELAY_FAILED;
	return relay->main.round || relay->main.retry_timer ? NAT_RELAY_ALLOCATING : NAT_RELAY_IDLE;
}

const char *
nat_relay_problem(const NatRelay *relay)
{
	return relay->problem;
}

static const WgEndpoint *
address_of(const NatRelaySeat *seat)
{
	static const WgEndpoint unset;

	return seat->leg ? nat_turn_relayed(seat->leg->turn) : &unset;
}

const WgEndpoint *
nat_relay_address(const NatRelay *relay)
{
	return address_of(&relay->main);
}

const WgEndpoint *
nat_relay_spare_address(const NatRelay *relay)
{
	return address_of(&relay->spare);
}

gboolean
nat_relay_is_ours(const NatRelay *relay, const WgEndpoint *relayed)
{
	return nat_relay_leg_of(relay, relayed) != NULL;
}

gboolean
nat_relay_is_retiring(const NatRelay *relay, const WgEndpoint *relayed)
{
	const NatRelayLeg *leg = nat_relay_leg_of(relay, relayed);

	return leg && leg->state == NAT_RELAY_LEG_OLD;
}

gboolean
nat_relay_is_by_udp(const NatRelay *relay)
{
	return relay->main.leg != NULL && relay->main.leg->uri->transport == NAT_TURN_UDP;
}

const char *
nat_relay_server(const NatRelay *relay)
{
	return relay->main.leg ? relay->main.leg->label : NULL;
}

const char *
nat_relay_spare_server(const NatRelay *relay)
{
	return relay->spare.leg ? relay->spare.leg->label : NULL;
}

void
nat_relay_stats(const NatRelay *relay, NatBridgeStats *out)
{
	Legs all = all_legs(relay);

	*out = relay->stats;
	for (gsize i = 0; i < G_N_ELEMENTS(all.legs); i++) {
		NatBridgeStats one;

		if (!all.legs[i])
			continue;
		nat_turn_stats(all.legs[i]->turn, &one);
		nat_bridge_stats_add(out, &one);
	}
}

guint64
nat_relay_dropped(const NatRelay *relay)
{
	Legs all = all_legs(relay);
	guint64 dropped = relay->dropped;

	for (gsize i = 0; i < G_N_ELEMENTS(all.legs); i++)
		if (all.legs[i])
			dropped += nat_turn_dropped(all.legs[i]->turn);
	return dropped;
}

void
nat_relay_permit(NatRelay *relay, gconstpointer owner, const WgEndpoint *peers, gsize n)
{
	Legs all = all_legs(relay);

	if (n > 0) {
		GArray *array = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));

		g_array_append_vals(array, peers, (guint)MIN(n, NAT_RELAY_PERMITS_MAX));
		g_hash_table_insert(relay->permits, (gpointer)owner, array);
	} else if (!g_hash_table_remove(relay->permits, owner)) {
		return;
	}
	for (gsize i = 0; i < G_N_ELEMENTS(all.legs); i++)
		if (all.legs[i])
			nat_relay_apply_permits(relay, all.legs[i]);
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
	else if (leg == leg->seat->leg) /* refused, and now it seems to be over */
		nat_relay_seat_drop(leg->seat);
	nat_relay_update(relay);
}
