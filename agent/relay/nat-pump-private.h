/* SPDX-License-Identifier: MIT */
/*
 * What nat-pump.c (the host's side), nat-pump-thread.c and nat-bridge.c (a peer's lane) share.
 * Nobody else includes it.
 *
 * The host thread tells the pump thread by orders in a queue; the pump thread answers by closures
 * posted to the host's main context. A NatLane is the pump thread's from the ADD order on; the host
 * reads nothing of it but the counters.
 */
#pragma once

#include "agent/relay/nat-channel.h"
#include "agent/relay/nat-dgram.h"
#include "agent/relay/nat-inject.h"
#include "agent/relay/nat-pump.h"

#include <stdatomic.h>

typedef struct NatLane NatLane;

struct NatLane {
	_Atomic guint refs;
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

typedef struct NatPumpOrder NatPumpOrder;

struct NatPumpOrder {
	NatOrder order;
	NatLane *lane;
	NatInject *inject;
	NatPumpOrder *next; /* the one before */
};

/* Data on its way to a lane's socket; `next` is the same lane's. */
typedef struct {
	const guint8 *data;
	gsize len;
	guint next; /* 0: none */
} NatParcel;

typedef struct NatDoor NatDoor;

struct NatPump {
	/* host thread */
	NatPumpFuncs funcs;
	gpointer user_data;
	GThread *thread;
	GPtrArray *bridges;  /* of NatBridge, not owned */
	NatBridgeStats gone; /* of bridges that were freed */
	/* both: constant */
	NatDgram turn; /* the thread's, but for fd */
	GMainContext *host;
	int wake_fd;
	NatDoor *door;
	/* both: atomic */
	_Atomic guint waiting;	      /* control messages not yet delivered */
	_Atomic guint64 unheard;      /* messages that the host was not given */
	_Atomic gint64 refused_us;    /* since when nothing but refusals came; 0: not */
	_Atomic gboolean listens;     /* nothing came since nat_pump_listen() */
	NatPumpOrder *_Atomic orders; /* the last one first */
	_Atomic int failed;	      /* errno; 0: works */
	/* pump thread */
	int epoll_fd;
	NatDgramIn *in;
	NatDgramOut *out;
	NatParcel parcels[NAT_DGRAM_BATCH + 1];
	guint n_parcels;
	NatLane *with_some;
	gboolean quit, still;
	NatLane *lanes[NAT_CHANNELS];
};

/* Host thread. Takes a reference of its own of the lane, and inject. */
void nat_pump_order(NatPump *pump, NatOrder order, NatLane *lane, NatInject *inject);
/* Pump thread. */
gpointer nat_pump_run(gpointer pump);
void nat_pump_order_free(NatPumpOrder *order);
/* A message for the host; dropped when it is neither STUN nor ChannelData, or too many wait. */
void nat_pump_deliver(NatPump *pump, const guint8 *msg, gsize len);
/* The server spoke: an earlier refusal counts no more. */
void nat_pump_heard(NatPump *pump);
/* Any of the two. What a call on the socket towards the server said. */
void nat_pump_turn_error(NatPump *pump, int error);
void nat_pump_fail(NatPump *pump, int error);

static inline void
nat_count(_Atomic guint64 *counter, guint64 n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}
