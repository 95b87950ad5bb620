/* SPDX-License-Identifier: MIT */
/*
 * Whether a server can be reached and does what it is there for: nat-signald says hello over its
 * WebSocket; a TURN server allocates a relayed address, which is given back at once, or asks for
 * the credentials that we were not given. Main thread; callbacks come from the main loop, once,
 * never from inside a call, and may free what they come from.
 */
#pragma once

#include "agent/netcheck/netcheck.h"
#include "agent/relay/nat-turn-uri.h"

#define NET_REACH_WITHIN_MS 4000 /* connecting, TLS and all */

/* row is filled in: ok, ms, note or problem, and where it is one, the address. */
typedef void (*NetReachFunc)(gpointer user_data);

typedef struct NetReachSignal NetReachSignal;

/* addrs with the port. The row must outlive it. */
NetReachSignal *net_reach_signal(NetServer *row, const char *url, const char *host, guint16 port,
				 const WgEndpoint *addrs, gsize n, NetReachFunc func,
				 gpointer user_data);
void net_reach_signal_free(NetReachSignal *signal);
/* The UDP port where it answers STUN, as it said; 0: it has none. FALSE: it said nothing. */
gboolean net_reach_signal_stun_port(const NetReachSignal *signal, guint16 *port);

typedef struct NetReachTurn NetReachTurn;

/* By the URI's transport, at each address at once; the first one that answers counts. */
NetReachTurn *net_reach_turn(NetServer *row, const NatTurnUri *uri, const WgEndpoint *addrs,
			     gsize n, NetReachFunc func, gpointer user_data);
void net_reach_turn_free(NetReachTurn *turn);
