/* SPDX-License-Identifier: MIT */
/*
 * NatRelayPlain: plain WireGuard peers, which have no agent, reach us through our relayed address.
 * Behind a symmetric NAT such a peer comes from a port that nobody knows, so a channel cannot be
 * bound in advance; TURN's permissions look at addresses alone (RFC 8656 §9). Whoever sends a
 * handshake's first message from a permitted address gets a bridge of its own to WireGuard's port.
 * Who that is WireGuard finds out itself, and roams the peer's endpoint to the bridge.
 *
 * Against senders who are nobody: only messages that can begin a handshake make a bridge, so many
 * per time, address and altogether; one that WireGuard does not answer goes after seconds. Nothing
 * is answered by the agent.
 *
 * Host thread only; time is an argument (monotonic, in µs); the callback comes from the main loop,
 * never from inside a call. To be freed before the NatRelay.
 */
#pragma once

#include "agent/net/nat-fib.h"
#include "agent/relay/nat-relay.h"
#include "wgctl/wg-device.h"

#define NAT_RELAY_PLAIN_MAX 32 /* bridges */

typedef struct NatRelayPlain NatRelayPlain;

/* nat_relay_plain_counter_name() for status. */
typedef enum {
	NAT_RELAY_PLAIN_BRIDGES,	     /* made, ever */
	NAT_RELAY_PLAIN_DROP_NOT_INITIATION, /* from nobody known, and begins no handshake */
	NAT_RELAY_PLAIN_DROP_RATE,	     /* too many from this address, or altogether */
	NAT_RELAY_PLAIN_DROP_FULL,	     /* too many bridges are in use */
	NAT_RELAY_PLAIN_DROP_RETIRING,	     /* to a relayed address that is about to go */
	NAT_RELAY_PLAIN_DROP_SEND, /* WireGuard's port was shut, or no channel was to be had */
	NAT_RELAY_PLAIN_N_COUNTERS,
} NatRelayPlainCounter;

/* changed: a bridge came or was lost; what nat_relay_plain_find() says is another. wg_port: 0 where
 * WireGuard has none now. */
NatRelayPlain *nat_relay_plain_new(NatRelay *relay, NatFib *fib, guint16 wg_port,
				   void (*changed)(gpointer user_data), gpointer user_data);
void nat_relay_plain_free(NatRelayPlain *plain);
/* WireGuard listens there now. Bridges keep their endpoints. */
void nat_relay_plain_set_port(NatRelayPlain *plain, guint16 wg_port);
/* The complete list of who may come; ports do not count. The first NAT_RELAY_PERMITS_MAX that are
 * not refused count: bogus and link-local addresses, our own, and those to which a tunnel leads
 * are. Cheap where nothing changed. A bridge of an address that is gone from it goes, too, unless
 * WireGuard uses it. */
void nat_relay_plain_set_addresses(NatRelayPlain *plain, const WgEndpoint *addresses, gsize n);
/* Addresses or routes changed: who is refused is judged anew. */
void nat_relay_plain_network_changed(NatRelayPlain *plain);
/* Whether anybody may come: then the relay is wanted. (Bridges hold it by themselves.) */
gboolean nat_relay_plain_wants(const NatRelayPlain *plain);
/* What the relay received. FALSE: it is none of a plain peer's. */
gboolean nat_relay_plain_receive(NatRelayPlain *plain, const NatUdp *pkt, gint64 now_us);
/* We begin: TRUE and in *endpoint where WireGuard must send to reach `remote`, of a permitted
 * address, through our relayed address. FALSE: not yet, `changed` will tell; or not at all. Counts
 * as a bridge of the peer's own making, and goes like one: write the endpoint soon. */
gboolean nat_relay_plain_reach(NatRelayPlain *plain, const WgEndpoint *remote, gint64 now_us,
			       WgEndpoint *endpoint);
/* Once a second. device: what WireGuard was when last read; NULL: not known. Bridges go that
 * WireGuard has no use for: it did not answer for 5 s, or has the bridge in no peer's endpoint and
 * did not send by it for 180 s. */
void nat_relay_plain_tick(NatRelayPlain *plain, const WgDevice *device, gint64 now_us);
/* Whether `endpoint` of a peer of WireGuard's is a bridge of ours, and what it leads to. The two
 * may be NULL. */
gboolean nat_relay_plain_find(const NatRelayPlain *plain, const WgEndpoint *endpoint,
			      WgEndpoint *relayed, WgEndpoint *remote);
guint nat_relay_plain_count(const NatRelayPlain *plain); /* bridges */
guint64 nat_relay_plain_counter(const NatRelayPlain *plain, NatRelayPlainCounter counter);
const char *nat_relay_plain_counter_name(NatRelayPlainCounter counter);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatRelayPlain, nat_relay_plain_free)
