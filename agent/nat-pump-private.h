/* SPDX-License-Identifier: MIT */
/*
 * What nat-pump.c (the thread), nat-bridge.c (one peer's lane) share. Nobody else includes it.
 *
 * The host thread tells the pump thread by orders in a queue; the pump thread answers by closures
 * posted to the host's main context. A NatLane is the pump thread's from the ADD order on; the host
 * reads nothing of it but the counters.
 */
#pragma once

#include "agent/nat-dgram.h"
#include "agent/nat-inject.h"
#include "agent/nat-pump.h"

#include <stdatomic.h>

typedef struct NatLane NatLane;

struct NatLane {
	gatomicrefcount refs;
	guint16 channel;
	NatDgram sock;	   /* towards WireGuard */
	NatInject *inject; /* late packets go this way instead; NULL: not now */
	/* of the read that is being handed out */
	guint first, last;	 /* parcels, from 1; 0: none */
	NatLane *next_with_some; /* valid where first is not 0 */
	/* both threads */
	_Atomic guint64 to_turn_packets, to_turn_bytes, to_wg_packets, to_wg_bytes, dropped;
};

NatLane *nat_lane_ref(NatLane *lane);
void nat_lane_unref(NatLane *lane); /* the last one closes the socket */

typedef enum {
	NAT_ORDER_ADD,
	NAT_ORDER_REMOVE,
	NAT_ORDER_INJECT,
	NAT_ORDER_QUIT,
} NatOrder;

/* Takes a reference of its own of the lane, and inject. */
void nat_pump_order(NatPump *pump, NatOrder order, NatLane *lane, NatInject *inject);

static inline void
nat_count(_Atomic guint64 *counter, guint64 n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}
