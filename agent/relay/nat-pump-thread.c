/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation. One thread waits (epoll, level-triggered) for the socket towards the TURN
 * server, for each lane's towards WireGuard, and for the eventfd that tells of orders. What one
 * read brought is sent on before the next read, so one set of buffers serves all. What the server
 * sent is sorted by lane first, so that the packets of many peers still leave in batches. Orders
 * are obeyed before a round's events and again between reading from the server and handing out:
 * what the server sends after nat_bridge_new() returned finds the bridge. So an event names a
 * channel, not a lane.
 */
#include "agent/relay/nat-pump-private.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS 64
/* what an epoll event names: one of these, or a channel */
#define EVENT_WAKE 0u
#define EVENT_TURN 1u

/* ---- pump thread: a frame's way ---- */

/* The lane that takes the frame; NULL: it is the host's. Agents probe the path with STUN inside of
 * the channel. */
static NatLane *
lane_of(const NatPump *pump, const guint8 *msg, gsize len, NatChannelData *frame)
{
	if (!nat_channel_parse(msg, len, frame) ||
	    !nat_channel_is_wireguard(frame->data, frame->len))
		return NULL;
	return pump->lanes[frame->channel - NAT_CHANNEL_FIRST];
}

static void
keep_for(NatPump *pump, NatLane *lane, const guint8 *data, gsize len)
{
	guint at = ++pump->n_parcels;

	pump->parcels[at] = (NatParcel){data, len, 0};
	if (lane->first == 0) {
		lane->first = at;
		lane->next_with_some = pump->with_some;
		pump->with_some = lane;
	} else {
		pump->parcels[lane->last].next = at;
	}
	lane->last = at;
}

static void
inject(NatLane *lane, const NatParcel *parcel, NatDgramSent *sent)
{
	if (!nat_inject_send(lane->inject, parcel->data, parcel->len)) {
		sent->dropped++;
		return;
	}
	sent->packets++;
	sent->bytes += parcel->len;
}

static void
hand_out(NatPump *pump, NatLane *lane)
{
	NatDgramSent sent = {0};

	for (guint at = lane->first; at != 0; at = pump->parcels[at].next) {
		const NatParcel *parcel = &pump->parcels[at];

		if (lane->inject)
			inject(lane, parcel, &sent);
		else
			nat_dgram_add(pump->out, &lane->sock, NULL, 0, parcel->data, parcel->len,
				      &sent);
	}
	nat_dgram_flush(pump->out, &lane->sock, &sent);
	nat_count(&lane->to_wg_packets, sent.packets);
	nat_count(&lane->to_wg_bytes, sent.bytes);
	nat_count(&lane->dropped, sent.dropped);
	lane->first = 0;
}

static void
hand_out_all(NatPump *pump)
{
	for (; pump->with_some; pump->with_some = pump->with_some->next_with_some)
		hand_out(pump, pump->with_some);
	pump->n_parcels = 0;
}

/* ---- pump thread: lanes and orders ---- */

static void
watch(NatPump *pump, int fd, guint32 what)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = what};

	if (epoll_ctl(pump->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		g_warning("a relay's socket cannot be watched: %s", g_strerror(errno));
}

static void
unwatch(NatPump *pump, int fd)
{
	epoll_ctl(pump->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

static void
add_lane(NatPump *pump, NatLane *lane)
{
	NatLane **slot = &pump->lanes[lane->channel - NAT_CHANNEL_FIRST];

	if (*slot) {
		unwatch(pump, (*slot)->sock.fd);
		nat_lane_unref(*slot);
	}
	*slot = nat_lane_ref(lane);
	if (!pump->still)
		watch(pump, lane->sock.fd, lane->channel);
}

static void
remove_lane(NatPump *pump, NatLane *lane)
{
	NatLane **slot = &pump->lanes[lane->channel - NAT_CHANNEL_FIRST];

	if (*slot != lane)
		return;
	unwatch(pump, lane->sock.fd);
	nat_lane_unref(*slot);
	*slot = NULL;
}

void
nat_pump_order_free(NatPumpOrder *order)
{
	if (order->lane)
		nat_lane_unref(order->lane);
	nat_inject_free(order->inject);
	g_free(order);
}

static void
obey(NatPump *pump, NatPumpOrder *order)
{
	switch (order->order) {
	case NAT_ORDER_ADD:
		add_lane(pump, order->lane);
		break;
	case NAT_ORDER_REMOVE:
		remove_lane(pump, order->lane);
		break;
	case NAT_ORDER_INJECT:
		nat_inject_free(order->lane->inject);
		order->lane->inject = g_steal_pointer(&order->inject);
		break;
	case NAT_ORDER_QUIT:
		pump->quit = TRUE;
		break;
	}
	nat_pump_order_free(order);
}

static void
obey_all(NatPump *pump)
{
	NatPumpOrder *last = NULL, *order = NULL, *before;

	if (atomic_load_explicit(&pump->orders, memory_order_relaxed))
		last = atomic_exchange(&pump->orders, NULL);
	/* turned round: in the order in which they were given */
	for (; last; last = before) {
		before = last->next;
		last->next = order;
		order = last;
	}
	for (; order; order = last) {
		last = order->next;
		obey(pump, order);
	}
}

/* ---- pump thread: its rounds ---- */

static void
from_turn(NatPump *pump)
{
	int n = nat_dgram_read(&pump->turn, pump->in);
	const guint8 *msg;
	NatChannelData frame;
	gsize len;

	if (n == 0)
		nat_pump_fail(pump, EPIPE);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		nat_pump_turn_error(pump, errno);
	if (n <= 0)
		return;
	nat_pump_heard(pump);
	obey_all(pump);
	for (guint i = 0; (msg = nat_dgram_in_get(pump->in, i, &len)) != NULL; i++) {
		NatLane *lane = lane_of(pump, msg, len, &frame);

		if (lane)
			keep_for(pump, lane, frame.data, frame.len);
		else
			nat_pump_deliver(pump, msg, len);
	}
	hand_out_all(pump);
}

static void
from_wireguard(NatPump *pump, NatLane *lane)
{
	guint8 head[NAT_CHANNEL_HEAD];
	NatDgramSent sent = {0};
	const guint8 *data;
	gsize len;

	/* an error is WireGuard's port being shut at the moment */
	if (nat_dgram_read(&lane->sock, pump->in) <= 0)
		return;
	for (guint i = 0; (data = nat_dgram_in_get(pump->in, i, &len)) != NULL; i++) {
		nat_channel_put_head(head, lane->channel, len);
		nat_dgram_add(pump->out, &pump->turn, head, sizeof head, data, len, &sent);
	}
	nat_dgram_flush(pump->out, &pump->turn, &sent);
	nat_count(&lane->to_turn_packets, sent.packets);
	nat_count(&lane->to_turn_bytes, sent.bytes);
	nat_count(&lane->dropped, sent.dropped);
	if (sent.error != 0)
		nat_pump_turn_error(pump, sent.error);
}

static void
stand_still(NatPump *pump)
{
	pump->still = TRUE;
	unwatch(pump, pump->turn.fd);
	for (guint i = 0; i < NAT_CHANNELS; i++)
		if (pump->lanes[i])
			unwatch(pump, pump->lanes[i]->sock.fd);
}

static void
on_event(NatPump *pump, guint32 what)
{
	if (what == EVENT_TURN)
		from_turn(pump);
	else if (what >= NAT_CHANNEL_FIRST && pump->lanes[what - NAT_CHANNEL_FIRST])
		from_wireguard(pump, pump->lanes[what - NAT_CHANNEL_FIRST]);
}

/* First the wake-up, then the orders: one that is given in between wakes again. The other way round
 * its wake-up would be taken for the one before, and nobody would look at it. */
static void
wake_up(NatPump *pump)
{
	guint64 times;

	if (read(pump->wake_fd, &times, sizeof times) < 0)
		times = 0; /* nothing had woken us but a packet */
	obey_all(pump);
}

static void
run_round(NatPump *pump)
{
	struct epoll_event events[EVENTS];
	int n = epoll_wait(pump->epoll_fd, events, EVENTS, -1);

	wake_up(pump);
	for (int i = 0; i < n && !pump->quit; i++)
		if (events[i].data.u32 != EVENT_WAKE && atomic_load(&pump->failed) == 0)
			on_event(pump, events[i].data.u32);
	if (atomic_load(&pump->failed) != 0 && !pump->still)
		stand_still(pump);
}

gpointer
nat_pump_run(gpointer data)
{
	NatPump *pump = data;

	watch(pump, pump->wake_fd, EVENT_WAKE);
	watch(pump, pump->turn.fd, EVENT_TURN);
	while (!pump->quit)
		run_round(pump);
	return NULL;
}
