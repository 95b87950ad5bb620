/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation. A Caller is who came from one remote address to one relayed address of ours;
 * it has a bridge, which is a channel (nat-relay-bridge.c).
 *
 *     (initiation) → binding ── ready ──→ unanswered ── WireGuard sends by it ──→ in use
 *                       ↓ refused             ↓ 5 s                                 ↓ 180 s
 *                      gone                  gone                                  gone
 *
 * While the channel is being bound, the first message waits; it, and what still comes around the
 * channel, is handed to the bridge from here. Everything else the pump moves by itself.
 *
 * WireGuard sends to whom it has authenticated, and to nobody else, so its packets tell a peer from
 * a stranger: what a stranger sends, however much, keeps no bridge. One that is some peer's
 * endpoint stays as long as it is; a peer that roamed away comes back to its old one within 180 s,
 * the life of a session.
 *
 * A channel's number is of no use to another for 15 minutes after it was given up
 * (nat-turn-grants.c); the rate altogether leaves most of them to agents.
 *
 * Bridges go with their allocation. Of one that was replaced, those that are there stay until it
 * goes, and no new ones are made: a peer would have a session on it that dies in a moment.
 */
#define G_LOG_DOMAIN "relay"
#include "agent/relay/nat-relay-plain.h"

#include <string.h>

#include "agent/relay/nat-channel.h"
#include "agent/relay/nat-relay-private.h"

#define INITIATION_LEN 148 /* whitepaper §5.4.2 */
#define INITIATION_TYPE 1
/* Between two bridges, and so many at once: of one address, altogether. A peer sends an initiation
 * each 5 s. */
#define ADDRESS_EVERY_US (2 * G_TIME_SPAN_SECOND)
#define ADDRESS_BURST 4
#define ALL_EVERY_US G_TIME_SPAN_SECOND
#define ALL_BURST 16
#define UNANSWERED_US (5 * G_TIME_SPAN_SECOND)
#define SILENT_US (180 * G_TIME_SPAN_SECOND)

typedef struct {
	WgEndpoint address; /* port 0 */
	gint64 next_us;	    /* see may() */
} Address;

typedef struct {
	NatRelayPlain *plain;
	WgEndpoint relayed, remote;
	NatRelayBridge *bridge;
	guint8 first[INITIATION_LEN]; /* waits for the channel */
	gsize first_len;	      /* 0: nothing */
	guint64 sent;		      /* by WireGuard, when last looked */
	gint64 active_us;	      /* since when it sent nothing; 0: it was not looked at yet */
	gboolean used;		      /* it is a peer's endpoint */
} Caller;

struct NatRelayPlain {
	NatRelay *relay;
	NatFib *fib;
	guint16 wg_port;
	void (*changed)(gpointer user_data);
	gpointer user_data;
	GArray *wished;	   /* of WgEndpoint: as the owner said it */
	GArray *addresses; /* of Address: those of them that may come */
	GPtrArray *callers;
	gint64 next_us;
	guint64 counters[NAT_RELAY_PLAIN_N_COUNTERS];
};

static const char *const COUNTER_NAMES[] = {
	[NAT_RELAY_PLAIN_BRIDGES] = "plain_bridges",
	[NAT_RELAY_PLAIN_DROP_NOT_INITIATION] = "drop_plain_not_initiation",
	[NAT_RELAY_PLAIN_DROP_RATE] = "drop_plain_rate",
	[NAT_RELAY_PLAIN_DROP_FULL] = "drop_plain_full",
	[NAT_RELAY_PLAIN_DROP_RETIRING] = "drop_plain_retiring",
	[NAT_RELAY_PLAIN_DROP_SEND] = "drop_plain_send",
};
G_STATIC_ASSERT(G_N_ELEMENTS(COUNTER_NAMES) == NAT_RELAY_PLAIN_N_COUNTERS);

/* ---- who may come ---- */

/* As the mux's rule, but for addresses to which we have no route: they are the relay's affair. */
static gboolean
is_refused(const NatRelayPlain *plain, const WgEndpoint *address)
{
	NatRoute route;

	return wg_endpoint_is_bogus(address) || wg_endpoint_is_link_local(address) ||
	       (nat_fib_lookup(plain->fib, address, plain->relay->fwmark, &route) &&
		(route.local || route.tunnel));
}

static Address *
find_address(GArray *addresses, const WgEndpoint *address)
{
	for (guint i = 0; i < addresses->len; i++) {
		Address *known = &g_array_index(addresses, Address, i);

		if (wg_endpoint_same_address(&known->address, address))
			return known;
	}
	return NULL;
}

static void
permit(NatRelayPlain *plain)
{
	WgEndpoint peers[NAT_RELAY_PERMITS_MAX];

	for (guint i = 0; i < plain->addresses->len; i++)
		peers[i] = g_array_index(plain->addresses, Address, i).address;
	nat_relay_permit(plain->relay, plain, peers, plain->addresses->len);
}

static gboolean
are_same(GArray *a, GArray *b)
{
	if (a->len != b->len)
		return FALSE;
	for (guint i = 0; i < a->len; i++)
		if (!find_address(a, &g_array_index(b, Address, i).address))
			return FALSE;
	return TRUE;
}

/* An address that stays keeps what it has used up of its rate. */
static void
judge_addresses(NatRelayPlain *plain)
{
	GArray *old = plain->addresses;
	gboolean same;

	plain->addresses = g_array_new(FALSE, FALSE, sizeof(Address));
	for (guint i = 0; i < plain->wished->len && plain->addresses->len < NAT_RELAY_PERMITS_MAX;
	     i++) {
		const WgEndpoint *wish = &g_array_index(plain->wished, WgEndpoint, i);
		const Address *known = find_address(old, wish);
		Address address = {.address = *wish, .next_us = known ? known->next_us : 0};

		if (is_refused(plain, wish))
			continue;
		wg_endpoint_set_port(&address.address, 0);
		g_array_append_val(plain->addresses, address);
	}
	same = are_same(old, plain->addresses);
	g_array_unref(old);
	if (!same)
		permit(plain);
}

static gboolean
is_wish(const NatRelayPlain *plain, const GArray *addresses)
{
	if (addresses->len != plain->wished->len)
		return FALSE;
	for (guint i = 0; i < addresses->len; i++)
		if (!wg_endpoint_same_address(&g_array_index(addresses, WgEndpoint, i),
					      &g_array_index(plain->wished, WgEndpoint, i)))
			return FALSE;
	return TRUE;
}

void
nat_relay_plain_set_addresses(NatRelayPlain *plain, const WgEndpoint *addresses, gsize n)
{
	g_autoptr(GArray) wished = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));

	for (gsize i = 0; i < n; i++)
		if (wg_endpoint_is_set(&addresses[i]))
			wg_endpoint_array_add(wished, &addresses[i], wg_endpoint_same_address);
	if (is_wish(plain, wished))
		return;
	g_array_unref(plain->wished);
	plain->wished = g_steal_pointer(&wished);
	judge_addresses(plain);
}

void
nat_relay_plain_network_changed(NatRelayPlain *plain)
{
	judge_addresses(plain);
}

gboolean
nat_relay_plain_wants(const NatRelayPlain *plain)
{
	return plain->addresses->len > 0;
}

/* ---- how often ---- */

/* A bucket of `burst`, one more each `every_us` (GCRA): *next_us is when it would be full again. */
static gboolean
may(gint64 *next_us, gint64 now_us, gint64 every_us, guint burst)
{
	gint64 from_us = MAX(*next_us, now_us);

	if (from_us - now_us > (burst - 1) * every_us)
		return FALSE;
	*next_us = from_us + every_us;
	return TRUE;
}

/* ---- callers ---- */

static gboolean
drop(NatRelayPlain *plain, NatRelayPlainCounter why)
{
	plain->counters[why]++;
	return TRUE;
}

static void
caller_free(gpointer data)
{
	Caller *caller = data;

	nat_relay_bridge_free(caller->bridge);
	g_free(caller);
}

static void
say(const Caller *caller, const char *what)
{
	char remote[WG_ENDPOINT_STRLEN], relayed[WG_ENDPOINT_STRLEN];

	g_debug("%s: plain peer at %s through %s: %s", caller->plain->relay->ifname,
		wg_endpoint_format(&caller->remote, remote),
		wg_endpoint_format(&caller->relayed, relayed), what);
}

static Caller *
find_caller(const NatRelayPlain *plain, const WgEndpoint *relayed, const WgEndpoint *remote)
{
	for (guint i = 0; i < plain->callers->len; i++) {
		Caller *caller = g_ptr_array_index(plain->callers, i);

		if (wg_endpoint_equal(&caller->remote, remote) &&
		    wg_endpoint_equal(&caller->relayed, relayed))
			return caller;
	}
	return NULL;
}

static void
deliver(Caller *caller, const guint8 *data, gsize len)
{
	if (!nat_relay_bridge_deliver(caller->bridge, data, len))
		drop(caller->plain, NAT_RELAY_PLAIN_DROP_SEND);
}

static void
on_bridge(NatRelayBridge *bridge, const WgEndpoint *endpoint, gpointer user_data)
{
	Caller *caller = user_data;
	NatRelayPlain *plain = caller->plain;

	if (endpoint) {
		say(caller, "has a bridge");
		if (caller->first_len > 0)
			deliver(caller, caller->first, caller->first_len);
		caller->first_len = 0;
	} else {
		say(caller, "lost its bridge");
		if (caller->first_len > 0)
			drop(plain, NAT_RELAY_PLAIN_DROP_SEND);
		g_ptr_array_remove_fast(plain->callers, caller);
	}
	plain->changed(plain->user_data);
}

/* Whom WireGuard has no use for and did not send to for the longest time, if that is a while. */
static Caller *
find_spareable(const NatRelayPlain *plain, gint64 now_us)
{
	Caller *oldest = NULL;

	for (guint i = 0; i < plain->callers->len; i++) {
		Caller *caller = g_ptr_array_index(plain->callers, i);

		if (!caller->used && caller->active_us != 0 &&
		    now_us - caller->active_us > UNANSWERED_US &&
		    (!oldest || caller->active_us < oldest->active_us))
			oldest = caller;
	}
	return oldest;
}

static gboolean
make_room(NatRelayPlain *plain, gint64 now_us)
{
	Caller *caller;

	if (plain->callers->len < NAT_RELAY_PLAIN_MAX)
		return TRUE;
	caller = find_spareable(plain, now_us);
	if (!caller)
		return FALSE;
	say(caller, "makes room");
	g_ptr_array_remove_fast(plain->callers, caller);
	return TRUE;
}

/* NULL: not now, and counted. */
static Caller *
caller_new(NatRelayPlain *plain, Address *address, const WgEndpoint *relayed,
	   const WgEndpoint *remote, gint64 now_us)
{
	Caller *caller;

	if (!may(&address->next_us, now_us, ADDRESS_EVERY_US, ADDRESS_BURST) ||
	    !may(&plain->next_us, now_us, ALL_EVERY_US, ALL_BURST)) {
		drop(plain, NAT_RELAY_PLAIN_DROP_RATE);
		return NULL;
	}
	if (!make_room(plain, now_us)) {
		drop(plain, NAT_RELAY_PLAIN_DROP_FULL);
		return NULL;
	}
	caller = g_new0(Caller, 1);
	caller->plain = plain;
	caller->relayed = *relayed;
	caller->remote = *remote;
	g_ptr_array_add(plain->callers, caller);
	plain->counters[NAT_RELAY_PLAIN_BRIDGES]++;
	caller->bridge = nat_relay_bridge_new(plain->relay, relayed, remote, plain->wg_port,
					      on_bridge, caller);
	return caller;
}

/* ---- what comes ---- */

static gboolean
is_initiation(const NatUdp *pkt)
{
	return pkt->len == INITIATION_LEN && pkt->payload[0] == INITIATION_TYPE;
}

/* Before its channel leads there. */
static void
from_caller(Caller *caller, const NatUdp *pkt)
{
	if (nat_relay_bridge_endpoint(caller->bridge)) {
		deliver(caller, pkt->payload, pkt->len);
	} else if (is_initiation(pkt)) {
		memcpy(caller->first, pkt->payload, pkt->len);
		caller->first_len = pkt->len;
	} else {
		drop(caller->plain, NAT_RELAY_PLAIN_DROP_NOT_INITIATION);
	}
}

gboolean
nat_relay_plain_receive(NatRelayPlain *plain, const NatUdp *pkt, gint64 now_us)
{
	Address *address;
	Caller *caller;

	if (!nat_channel_is_wireguard(pkt->payload, pkt->len))
		return FALSE;
	caller = find_caller(plain, &pkt->dst, &pkt->src);
	address = find_address(plain->addresses, &pkt->src);
	if (!caller) {
		if (!address)
			return FALSE;
		if (!is_initiation(pkt))
			return drop(plain, NAT_RELAY_PLAIN_DROP_NOT_INITIATION);
		if (nat_relay_is_retiring(plain->relay, &pkt->dst))
			return drop(plain, NAT_RELAY_PLAIN_DROP_RETIRING);
		if (plain->wg_port == 0)
			return drop(plain, NAT_RELAY_PLAIN_DROP_SEND);
		caller = caller_new(plain, address, &pkt->dst, &pkt->src, now_us);
	}
	if (caller)
		from_caller(caller, pkt);
	return TRUE;
}

gboolean
nat_relay_plain_reach(NatRelayPlain *plain, const WgEndpoint *remote, gint64 now_us,
		      WgEndpoint *endpoint)
{
	const WgEndpoint *relayed = nat_relay_address(plain->relay);
	Address *address = find_address(plain->addresses, remote);
	const WgEndpoint *own;
	Caller *caller;

	if (!wg_endpoint_is_set(relayed) || !address || wg_endpoint_port(remote) == 0 ||
	    plain->wg_port == 0)
		return FALSE;
	caller = find_caller(plain, relayed, remote);
	if (!caller)
		caller = caller_new(plain, address, relayed, remote, now_us);
	own = caller ? nat_relay_bridge_endpoint(caller->bridge) : NULL;
	if (own)
		*endpoint = *own;
	return own != NULL;
}

/* ---- what stays ---- */

static gboolean
is_endpoint_of(const WgDevice *device, const WgEndpoint *endpoint)
{
	for (guint i = 0; i < device->peers->len; i++) {
		const WgPeer *peer = g_ptr_array_index(device->peers, i);

		if (wg_endpoint_equal(&peer->endpoint, endpoint))
			return TRUE;
	}
	return FALSE;
}

/* Of a caller whose bridge is ready. */
static void
look(Caller *caller, const WgDevice *device, gint64 now_us)
{
	NatBridgeStats stats = {0};

	if (device)
		caller->used = is_endpoint_of(device, nat_relay_bridge_endpoint(caller->bridge));
	nat_relay_bridge_stats(caller->bridge, &stats);
	if (caller->active_us == 0 || caller->used || stats.to_turn_packets != caller->sent)
		caller->active_us = now_us;
	caller->sent = stats.to_turn_packets;
}

static gboolean
is_over(const Caller *caller, gint64 now_us)
{
	gint64 patience_us = caller->sent == 0 ? UNANSWERED_US : SILENT_US;

	return !caller->used && (now_us - caller->active_us > patience_us ||
				 !find_address(caller->plain->addresses, &caller->remote));
}

void
nat_relay_plain_tick(NatRelayPlain *plain, const WgDevice *device, gint64 now_us)
{
	for (guint i = plain->callers->len; i > 0; i--) {
		Caller *caller = g_ptr_array_index(plain->callers, i - 1);

		/* a channel that can't be had says so by itself */
		if (!nat_relay_bridge_endpoint(caller->bridge))
			continue;
		look(caller, device, now_us);
		if (!is_over(caller, now_us))
			continue;
		say(caller, "is over");
		g_ptr_array_remove_index_fast(plain->callers, i - 1);
	}
}

/* ---- the owner ---- */

NatRelayPlain *
nat_relay_plain_new(NatRelay *relay, NatFib *fib, guint16 wg_port,
		    void (*changed)(gpointer user_data), gpointer user_data)
{
	NatRelayPlain *plain = g_new0(NatRelayPlain, 1);

	plain->relay = relay;
	plain->fib = fib;
	plain->wg_port = wg_port;
	plain->changed = changed;
	plain->user_data = user_data;
	plain->wished = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));
	plain->addresses = g_array_new(FALSE, FALSE, sizeof(Address));
	plain->callers = g_ptr_array_new_with_free_func(caller_free);
	return plain;
}

void
nat_relay_plain_free(NatRelayPlain *plain)
{
	if (!plain)
		return;
	g_ptr_array_unref(plain->callers);
	nat_relay_permit(plain->relay, plain, NULL, 0);
	g_array_unref(plain->addresses);
	g_array_unref(plain->wished);
	g_free(plain);
}

void
nat_relay_plain_set_port(NatRelayPlain *plain, guint16 wg_port)
{
	if (plain->wg_port == wg_port)
		return;
	plain->wg_port = wg_port;
	/* until it has another one, the old one is as good as any */
	for (guint i = 0; wg_port != 0 && i < plain->callers->len; i++) {
		Caller *caller = g_ptr_array_index(plain->callers, i);

		if (!nat_relay_bridge_set_port(caller->bridge, wg_port))
			say(caller, "cannot follow to WireGuard's new port");
	}
}

gboolean
nat_relay_plain_find(const NatRelayPlain *plain, const WgEndpoint *endpoint, WgEndpoint *relayed,
		     WgEndpoint *remote)
{
	for (guint i = 0; i < plain->callers->len; i++) {
		const Caller *caller = g_ptr_array_index(plain->callers, i);
		const WgEndpoint *own = nat_relay_bridge_endpoint(caller->bridge);

		if (!own || !wg_endpoint_equal(own, endpoint))
			continue;
		if (relayed)
			*relayed = caller->relayed;
		if (remote)
			*remote = caller->remote;
		return TRUE;
	}
	return FALSE;
}

guint
nat_relay_plain_count(const NatRelayPlain *plain)
{
	return plain->callers->len;
}

guint64
nat_relay_plain_counter(const NatRelayPlain *plain, NatRelayPlainCounter counter)
{
	return plain->counters[counter];
}

const char *
nat_relay_plain_counter_name(NatRelayPlainCounter counter)
{
	return COUNTER_NAMES[counter];
}
