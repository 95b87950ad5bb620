/* SPDX-License-Identifier: MIT */
/*
 * NatMux: all STUN of one WireGuard interface, on WireGuard's own port P.
 *
 * Three kinds of client share the port: searches (libnice, through the TUN), the STUN probe and
 * the watches over proven paths. A client may own a ufrag: requests whose USERNAME starts with it
 * are its own. Responses go to whoever sent the transaction. Everything else is dropped and
 * counted.
 *
 * The mux enforces, for every packet of every client, the rule of DESIGN §2: a packet to (or from)
 * R carries the address that the FIB, asked with WireGuard's fwmark and no source, answers for R; R
 * is no address of ours, no tunnel leads to it; and what goes out per destination is capped.
 *
 * Host thread only. Callbacks come from the main loop; a client may be freed inside them.
 */
#pragma once

#include "agent/mux/nat-stun.h"
#include "agent/net/nat-fib.h"
#include "agent/net/nat-packet.h"

typedef struct NatMux NatMux;
typedef struct NatMuxClient NatMuxClient;

typedef struct {
	/* A Binding request for our ufrag; integrity not yet verified. NULL: owns none. */
	void (*request)(const NatUdp *pkt, const NatStun *stun, gpointer user_data);
	/* A response to a transaction of ours, from the address it was sent to. */
	void (*response)(const NatUdp *pkt, const NatStun *stun, gpointer user_data);
	/* Takes requests of up to NAT_STUN_PADDED_MAX; else those beyond NAT_STUN_MAX are dropped.
	 */
	gboolean padded;
} NatMuxFuncs;

/* Why packets were dropped, and what passed; nat_mux_counter_name() for status. */
typedef enum {
	NAT_MUX_IN,	   /* STUN packets received on P */
	NAT_MUX_OUT,	   /* STUN packets sent from P */
	NAT_MUX_IN_BYTES,  /* their payloads: all that ever crosses the agent, to be held against */
	NAT_MUX_OUT_BYTES, /* WireGuard's own counters */
	NAT_MUX_DROP_MALFORMED,	  /* not STUN after all */
	NAT_MUX_DROP_STRANGER,	  /* a request for no ufrag of ours */
	NAT_MUX_DROP_UNASKED,	  /* a response to no transaction of ours, or from elsewhere */
	NAT_MUX_DROP_SOURCE,	  /* WireGuard's packets would carry another source address */
	NAT_MUX_DROP_DESTINATION, /* refused: bogus, ours, through a tunnel, no route */
	NAT_MUX_DROP_RATE,	  /* the cap per destination */
	NAT_MUX_DROP_SEND,	  /* the kernel refused */
	NAT_MUX_N_COUNTERS,
} NatMuxCounter;

NatMux *nat_mux_new(NatFib *fib, guint16 port, guint32 fwmark, GError **error);
void nat_mux_free(NatMux *mux); /* every client must have been freed */
gboolean nat_mux_set_port(NatMux *mux, guint16 port, GError **error);
gboolean nat_mux_set_fwmark(NatMux *mux, guint32 fwmark, GError **error);
guint16 nat_mux_port(const NatMux *mux);
guint64 nat_mux_counter(const NatMux *mux, NatMuxCounter counter);
const char *nat_mux_counter_name(NatMuxCounter counter);

/* Relayed addresses of ours (nat-relay): what a client sends from one goes through its allocation
 * instead of port P. NULL: none. */
typedef struct {
	gboolean (*is_ours)(const WgEndpoint *relayed, gpointer user_data);
	gboolean (*send)(const WgEndpoint *relayed, const WgEndpoint *dst, const guint8 *payload,
			 gsize len, gpointer user_data);
	/* The same, as nat_raw_sock_send_probe() on our way to the relay. NULL: `send` serves. */
	gboolean (*probe)(const WgEndpoint *relayed, const WgEndpoint *dst, const guint8 *payload,
			  gsize len, GError **error, gpointer user_data);
} NatMuxRelay;
/* Packets from port P that leave another way (punch/punch-detour). TRUE: this one did. NULL: none
 * does. What comes in that way is handed to nat_mux_receive_relayed(), with P as its destination.
 */
typedef gboolean (*NatMuxDetour)(const WgEndpoint *dst, const guint8 *payload, gsize len,
				 gpointer user_data);
void nat_mux_set_detour(NatMux *mux, NatMuxDetour detour, gpointer user_data);
void nat_mux_set_relay(NatMux *mux, const NatMuxRelay *relay, gpointer user_data);
gboolean nat_mux_is_relayed(NatMux *mux, const WgEndpoint *own);
/* What came through an allocation: pkt->dst is the relayed address. Goes to clients like STUN on
 * P; what is no STUN of theirs is dropped and counted. */
void nat_mux_receive_relayed(NatMux *mux, const NatUdp *pkt);

/* ufrag: NULL, or unique among the mux's clients (copied). */
NatMuxClient *nat_mux_client_new(NatMux *mux, const char *ufrag, const NatMuxFuncs *funcs,
				 gpointer user_data);
void nat_mux_client_free(NatMuxClient *client);
/* Sends STUN from src: from its address and port P, or through the allocation whose relayed address
 * it is. FALSE when it was dropped (and counted). */
gboolean nat_mux_client_send(NatMuxClient *client, const WgEndpoint *src, const WgEndpoint *dst,
			     const guint8 *payload, gsize len);
typedef enum {
	NAT_MUX_PROBE_SENT,
	NAT_MUX_PROBE_TOO_BIG, /* for the interface it would leave by */
	NAT_MUX_PROBE_DROPPED, /* and counted, for another reason */
} NatMuxProbe;

/* The same as one packet of this size or not at all (nat_raw_sock_send_probe). */
NatMuxProbe nat_mux_client_send_probe(NatMuxClient *client, const WgEndpoint *src,
				      const WgEndpoint *dst, const guint8 *payload, gsize len);
/* The same to a port that is only guessed (agent/punch), of an address that the caller knows to be
 * the peer's: not under the cap per destination, but under one for all guesses of the interface
 * together. Its answer is nobody's. */
#define NAT_MUX_GUESS_RATE 100 /* a second */
gboolean nat_mux_client_send_guess(NatMuxClient *client, const WgEndpoint *src,
				   const WgEndpoint *dst, const guint8 *payload, gsize len);
/* Why the last packet could not be sent; NULL: it was (static text). */
const char *nat_mux_client_problem(const NatMuxClient *client);
/* The address that WireGuard's packets to dst will carry (port set to P). FALSE when dst is
 * refused: bogus, one of our own, routed into a tunnel, or unreachable. */
gboolean nat_mux_source_for(NatMux *mux, const WgEndpoint *dst, WgEndpoint *source);
