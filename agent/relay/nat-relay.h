/* SPDX-License-Identifier: MIT */
/*
 * NatRelay: the TURN side of one WireGuard interface: chooses among the servers and transports it
 * is given (UDP first, TCP and TLS where UDP is blocked), holds one allocation while somebody wants
 * one, replaces it when it is lost, when its local address changed or when its credentials no
 * longer serve, the new one before the old one goes. While a spare is wanted it holds a second one,
 * at another server, which takes the first one's place when that is lost. Host thread only;
 * callbacks come from the main loop, never from inside a call into the relay.
 *
 * A relayed address is a local candidate like any other: what is sent "from" it goes through the
 * allocation, what arrives for it carries it as its destination.
 */
#pragma once

#include "agent/net/nat-packet.h"
#include "agent/relay/nat-turn.h"
#include "wgctl/wg-key.h"

typedef struct NatRelay NatRelay;

typedef enum {
	NAT_RELAY_NONE, /* no server is known */
	NAT_RELAY_IDLE, /* not wanted now */
	NAT_RELAY_ALLOCATING,
	NAT_RELAY_UP,
	NAT_RELAY_FAILED, /* tried again with back-off; nat_relay_problem() says why */
} NatRelayState;

typedef struct {
	/* A relayed address came, changed or went, or the state or problem did. */
	void (*changed)(gpointer user_data);
	/* pkt->dst: our relayed address; pkt->src: the peer's address as the server saw it. */
	void (*received)(const NatUdp *pkt, gpointer user_data);
	/* The server refused the credentials: fresh ones are wanted (nat-signald's), if there are.
	 */
	void (*credentials_wanted)(gpointer user_data);
	/* Whether a server that the user did not name may be used (NULL: any). */
	gboolean (*allowed)(const WgEndpoint *server, gpointer user_data);
	/* Whether the server may be believed that this address is at its side (NULL: always).
	 * offered: the user did not name the server. */
	gboolean (*believed)(const WgEndpoint *relayed, gboolean offered, gpointer user_data);
} NatRelayFuncs;

/* ifname is for log lines; state_dir and own_public for the names' last good addresses. */
NatRelay *nat_relay_new(const char *ifname, const char *state_dir, const WgKey *own_public,
			guint32 fwmark, const NatRelayFuncs *funcs, gpointer user_data);
void nat_relay_free(NatRelay *relay); /* every NatRelayBridge must have been freed */
void nat_relay_set_fwmark(NatRelay *relay, guint32 fwmark);
/* Seconds between two packets that keep a mapping of ours alive here. */
void nat_relay_set_keepalive(NatRelay *relay, guint seconds);
/* The complete list (of NatTurnUri, copied), in the order of preference within one transport. Names
 * are resolved here. An allocation of a server that is still listed stays (fresh credentials serve
 * the next one). Fresh credentials of the same servers are tried at once where others were refused;
 * when they are refused as well, later ones wait for the next attempt. */
void nat_relay_set_servers(NatRelay *relay, GPtrArray *uris);
/* Hold an allocation (TRUE), or give it back once nobody bridges (FALSE). */
void nat_relay_set_wanted(NatRelay *relay, gboolean wanted);
/* Hold a spare as well, as long as an allocation is held and a server at another address is known.
 * One that can't be had is tried again with back-off, and is no problem of anybody's. */
void nat_relay_set_spare_wanted(NatRelay *relay, gboolean wanted);
/* Where `relayed` is the spare, it becomes the main one, and the main one the spare: all that is in
 * use is there. */
void nat_relay_prefer(NatRelay *relay, const WgEndpoint *relayed);
/* Addresses or routes changed: an allocation made from an address that leads there no longer is
 * replaced; a failed one is tried again at once. */
void nat_relay_network_changed(NatRelay *relay);
/* Adds the addresses of all listed servers (WgEndpoint). */
void nat_relay_add_servers(const NatRelay *relay, GArray *endpoints);
NatRelayState nat_relay_state(const NatRelay *relay);
const char *nat_relay_problem(const NatRelay *relay); /* NULL: none */
/* Of one of the servers: why it could not be used when last tried; NULL: none. (transfer none) */
const char *nat_relay_problem_of(const NatRelay *relay, const NatTurnUri *uri);
/* The one to publish; unset: none. */
const WgEndpoint *nat_relay_address(const NatRelay *relay);
/* The one to publish besides to whom a spare is for; unset: none. */
const WgEndpoint *nat_relay_spare_address(const NatRelay *relay);
/* Whether it is a relayed address of ours that still works (also an older one). */
gboolean nat_relay_is_ours(const NatRelay *relay, const WgEndpoint *relayed);
/* … and will be gone in some seconds: another one has replaced it, or its server serves no longer.
 */
gboolean nat_relay_is_retiring(const NatRelay *relay, const WgEndpoint *relayed);
/* "turn:192.0.2.20:3478?transport=udp" of the present allocation; NULL: none. (transfer none) */
const char *nat_relay_server(const NatRelay *relay);
const char *nat_relay_spare_server(const NatRelay *relay); /* the same of the spare */
gboolean nat_relay_is_by_udp(const NatRelay *relay); /* the present allocation is reached by it */
/* Messages of servers that were neither an answer to us nor a peer's data. */
guint64 nat_relay_dropped(const NatRelay *relay);
/* WireGuard's data through all allocations so far. */
void nat_relay_stats(const NatRelay *relay, NatBridgeStats *out);

/* Who may send to us, per owner (any pointer); the complete list each time, n = 0: nobody. Kept
 * over re-allocations. At most NAT_RELAY_PERMITS_MAX addresses of an owner count. */
#define NAT_RELAY_PERMITS_MAX 64
void nat_relay_permit(NatRelay *relay, gconstpointer owner, const WgEndpoint *peers, gsize n);
/* From `relayed` (ours) to a permitted peer. */
gboolean nat_relay_send(NatRelay *relay, const WgEndpoint *relayed, const WgEndpoint *peer,
			const guint8 *data, gsize len);
/* The same, as one packet on the way to the server or not at all: G_IO_ERROR_MESSAGE_TOO_LARGE. */
gboolean nat_relay_send_probe(NatRelay *relay, const WgEndpoint *relayed, const WgEndpoint *peer,
			      const guint8 *data, gsize len, GError **error);
/* A path through `relayed` went silent: asks the server whether it still knows us. */
void nat_relay_check(NatRelay *relay, const WgEndpoint *relayed);

/* WireGuard's data from and to one peer through `relayed`. ready: once, from the main loop;
 * endpoint is what WireGuard's endpoint must be, NULL: refused or lost. `lost` is ready(NULL) as
 * well, any time later: the allocation is gone. Several to the same peer through the same relayed
 * address are one bridge with one endpoint. */
typedef struct NatRelayBridge NatRelayBridge;
typedef void (*NatRelayBridgeFunc)(NatRelayBridge *bridge, const WgEndpoint *endpoint,
				   gpointer user_data);
NatRelayBridge *nat_relay_bridge_new(NatRelay *relay, const WgEndpoint *relayed,
				     const WgEndpoint *peer, guint16 wg_port,
				     NatRelayBridgeFunc ready, gpointer user_data);
void nat_relay_bridge_free(NatRelayBridge *bridge);
/* NULL while not ready. */
const WgEndpoint *nat_relay_bridge_endpoint(const NatRelayBridge *bridge);
/* As nat_bridge_set_source(). */
gboolean nat_relay_bridge_set_source(NatRelayBridge *bridge, const WgEndpoint *source);
/* As nat_bridge_set_port(); also for all who share it. */
gboolean nat_relay_bridge_set_port(NatRelayBridge *bridge, guint16 wg_port);
/* As nat_bridge_deliver(). FALSE also while not ready. */
gboolean nat_relay_bridge_deliver(NatRelayBridge *bridge, const guint8 *data, gsize len);
/* FALSE while not ready. */
gboolean nat_relay_bridge_stats(const NatRelayBridge *bridge, NatBridgeStats *out);
