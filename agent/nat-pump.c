/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation. One thread waits (epoll, level-triggered) for the socket towards the TURN
 * server, for each lane's towards WireGuard, and for the eventfd that tells of orders. What one
 * read brought is sent on before the next read, so one set of buffers serves all. What the server
 * sent is sorted by lane first, so that the packets of many peers still leave in batches. Orders
 * are obeyed before a round's events and again between reading from the server and handing out:
 * what the server sends after nat_bridge_new() returned finds the bridge. So an event names a
 * channel, not a lane.
 *
 * The way back is a closure in the host's main context. It holds the Door, not the pump: the host
 * clears door->pump when it frees the pump, also inside a callback, and what is still on its way
 * then finds nobody. At most CONTROL_MAX control messages wait; a flood of garbage costs no more.
 *
 * ECONNREFUSED tells of an ICMP port unreachable. One may be an accident of a firewall that
 * reloads, and a burst of packets has several for one reason; two that lie REFUSED_AGAIN_US apart
 * without a datagram from the server between them are a server that is gone. The next one is
 * provoked by whatever the host or WireGuard sends next.
 */
#include "agent/nat-pump-private.h"

#include <errno.h>
#include <gio/gio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHANNEL_FIRST 0x4000
#define CHANNELS 0x1000
#define HEADER 4u
#define CONTROL_MAX 64
#define EVENTS 64
/* what an epoll event names: one of these, or a channel */
#define EVENT_WAKE 0u
#define EVENT_TURN 1u
#define REFUSED_AGAIN_US (100 * G_TIME_SPAN_MILLISECOND)

/* Outlives the pump while a closure is on its way. */
typedef struct {
	gatomicrefcount refs;
	NatPump *pump; /* host thread only; NULL: freed */
} Door;

/* Data on its way to a lane's socket; `next` is the same lane's. */
typedef struct {
	const guint8 *data;
	gsize len;
	guint next; /* 0: none */
} Parcel;

struct NatPump {
	/* host thread */
	NatPumpFuncs funcs;
	gpointer user_data;
	GThread *thread;
	/* both: constant */
	NatDgram turn; /* the thread's, but for fd */
	GMainContext *host;
	GAsyncQueue *orders;
	int wake_fd;
	Door *door;
	/* both: atomic */
	_Atomic guint waiting;	   /* control messages not yet delivered */
	_Atomic gint64 refused_us; /* since when nothing but refusals came; 0: not */
	_Atomic gboolean ordered;  /* orders wait */
	_Atomic int failed;	   /* errno; 0: works */
	/* pump thread */
	int epoll_fd;
	NatDgramIn *in;
	NatDgramOut *out;
	Parcel parcels[NAT_DGRAM_BATCH + 1];
	guint n_parcels;
	NatLane *with_some;
	gboolean quit, still;
	NatLane *lanes[CHANNELS];
};

typedef struct {
	NatOrder order;
	NatLane *lane;
	NatInject *inject;
} Order;

/* ---- to the host ---- */

typedef struct {
	Door *door;
	int error; /* 0: a control message */
	gsize len;
	guint8 msg[];
} Report;

static void
door_unref(Door *door)
{
	if (g_atomic_ref_count_dec(&door->refs))
		g_free(door);
}

static void
report_free(gpointer data)
{
	Report *report = data;

	door_unref(report->door);
	g_free(report);
}

static gboolean
on_report(gpointer user_data)
{
	Report *report = user_data;
	NatPump *pump = report->door->pump;

	if (!pump)
		return G_SOURCE_REMOVE;
	if (report->error != 0) {
		pump->funcs.failed(report->error, pump->user_data);
		return G_SOURCE_REMOVE;
	}
	atomic_fetch_sub(&pump->waiting, 1);
	pump->funcs.control(report->msg, report->len, pump->user_data);
	return G_SOURCE_REMOVE;
}

static void
post(NatPump *pump, int error, const guint8 *msg, gsize len)
{
	g_autoptr(GSource) source = g_idle_source_new();
	Report *report = g_malloc(sizeof *report + len);

	report->door = pump->door;
	g_atomic_ref_count_inc(&pump->door->refs);
	report->error = error;
	report->len = len;
	if (len > 0)
		memcpy(report->msg, msg, len);
	g_source_set_priority(source, G_PRIORITY_DEFAULT);
	g_source_set_static_name(source, "nat-pump");
	g_source_set_callback(source, on_report, report, report_free);
	g_source_attach(source, pump->host);
}

static void
deliver_control(NatPump *pump, const guint8 *msg, gsize len)
{
	/* the pump thread alone counts up, so the bound holds */
	if (atomic_load(&pump->waiting) >= CONTROL_MAX)
		return;
	atomic_fetch_add(&pump->waiting, 1);
	post(pump, 0, msg, len);
}

/* ---- failing: any of the two threads ---- */

static void
wake(NatPump *pump)
{
	guint64 one = 1;

	/* a counter that is full wakes as well */
	if (write(pump->wake_fd, &one, sizeof one) < 0)
		return;
}

static void
fail(NatPump *pump, int error)
{
	int none = 0;

	if (!atomic_compare_exchange_strong(&pump->failed, &none, error))
		return;
	post(pump, error, NULL, 0);
	wake(pump);
}

static void
heard(NatPump *pump)
{
	if (atomic_load_explicit(&pump->refused_us, memory_order_relaxed) != 0)
		atomic_store(&pump->refused_us, 0);
}

static void
refused(NatPump *pump)
{
	gint64 now = g_get_monotonic_time(), since = 0;

	if (atomic_compare_exchange_strong(&pump->refused_us, &since, now))
		return;
	if (now - since >= REFUSED_AGAIN_US)
		fail(pump, ECONNREFUSED);
}

/* What a call on the socket towards the server said. All that is not named here passes: no route
 * at the moment, a firewall's refusal (EPERM), a datagram too big, no memory. */
static void
turn_error(NatPump *pump, int error)
{
	if (error == ECONNREFUSED && pump->turn.udp)
		refused(pump);
	else if (error == ECONNREFUSED || error == EPIPE || error == ECONNRESET ||
		 error == ENOTCONN)
		fail(pump, EPIPE);
	else if (error == EBADF || error == ENOTSOCK)
		fail(pump, error);
}

gboolean
nat_pump_send(NatPump *pump, const guint8 *msg, gsize len)
{
	/* the error of an earlier datagram is told in place of sending this one: again, then */
	for (int i = 0; i < 3 && atomic_load(&pump->failed) == 0; i++) {
		if (send(pump->turn.fd, msg, len, MSG_DONTWAIT | MSG_NOSIGNAL) == (gssize)len)
			return TRUE;
		if (errno == EAGAIN)
			return FALSE;
		if (errno != EINTR)
			turn_error(pump, errno);
	}
	return FALSE;
}

/* ---- pump thread: a frame's way ---- */

static guint16
get16(const guint8 *p)
{
	return (guint16)(p[0] << 8 | p[1]);
}

/* A message of WireGuard's: type 1 to 4 and three zeroes (whitepaper §5.4). STUN inside of a
 * channel begins with 0 or 1 and then its type's low byte and its length: agents probe the path so.
 */
static gboolean
is_wireguard(const guint8 *data, gsize len)
{
	return len >= 4 && data[0] >= 1 && data[0] <= 4 && data[1] == 0 && data[2] == 0 &&
	       data[3] == 0;
}

/* The lane that takes the frame; NULL: it is the host's. A length that is shorter than the datagram
 * leaves padding, which streams need and UDP allows (RFC 8656 §12.5). */
static NatLane *
lane_of(const NatPump *pump, const guint8 *msg, gsize len, gsize *data_len)
{
	NatLane *lane;

	if (len < HEADER || msg[0] < 0x40 || msg[0] > 0x4f)
		return NULL;
	lane = pump->lanes[get16(msg) - CHANNEL_FIRST];
	*data_len = get16(msg + 2);
	if (!lane || *data_len > len - HEADER || !is_wireguard(msg + HEADER, *data_len))
		return NULL;
	return lane;
}

static void
keep_for(NatPump *pump, NatLane *lane, const guint8 *data, gsize len)
{
	guint at = ++pump->n_parcels;

	pump->parcels[at] = (Parcel){data, len, 0};
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
inject(NatLane *lane, const Parcel *parcel, NatDgramSent *sent)
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
		const Parcel *parcel = &pump->parcels[at];

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
	NatLane **slot = &pump->lanes[lane->channel - CHANNEL_FIRST];

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
	NatLane **slot = &pump->lanes[lane->channel - CHANNEL_FIRST];

	if (*slot != lane)
		return;
	unwatch(pump, lane->sock.fd);
	nat_lane_unref(*slot);
	*slot = NULL;
}

static void
order_free(Order *order)
{
	if (order->lane)
		nat_lane_unref(order->lane);
	nat_inject_free(order->inject);
	g_free(order);
}

static void
obey(NatPump *pump, Order *order)
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
	order_free(order);
}

static void
obey_all(NatPump *pump)
{
	Order *order;

	if (!atomic_exchange(&pump->ordered, FALSE))
		return;
	while ((order = g_async_queue_try_pop(pump->orders)) != NULL)
		obey(pump, order);
}

/* ---- pump thread: its rounds ---- */

static void
from_turn(NatPump *pump)
{
	int n = nat_dgram_read(&pump->turn, pump->in);
	const guint8 *msg;
	gsize len, data_len = 0;

	if (n == 0)
		fail(pump, EPIPE);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		turn_error(pump, errno);
	if (n <= 0)
		return;
	heard(pump);
	obey_all(pump);
	for (guint i = 0; (msg = nat_dgram_in_get(pump->in, i, &len)) != NULL; i++) {
		NatLane *lane = lane_of(pump, msg, len, &data_len);

		if (lane)
			keep_for(pump, lane, msg + HEADER, data_len);
		else
			deliver_control(pump, msg, len);
	}
	hand_out_all(pump);
}

static void
from_wireguard(NatPump *pump, NatLane *lane)
{
	guint8 head[HEADER] = {lane->channel >> 8, lane->channel & 0xff};
	NatDgramSent sent = {0};
	const guint8 *data;
	gsize len;

	/* an error is WireGuard's port being shut at the moment */
	if (nat_dgram_read(&lane->sock, pump->in) <= 0)
		return;
	for (guint i = 0; (data = nat_dgram_in_get(pump->in, i, &len)) != NULL; i++) {
		head[2] = (guint8)(len >> 8);
		head[3] = (guint8)len;
		nat_dgram_add(pump->out, &pump->turn, head, sizeof head, data, len, &sent);
	}
	nat_dgram_flush(pump->out, &pump->turn, &sent);
	nat_count(&lane->to_turn_packets, sent.packets);
	nat_count(&lane->to_turn_bytes, sent.bytes);
	nat_count(&lane->dropped, sent.dropped);
	if (sent.error != 0)
		turn_error(pump, sent.error);
}

static void
stand_still(NatPump *pump)
{
	pump->still = TRUE;
	unwatch(pump, pump->turn.fd);
	for (guint i = 0; i < CHANNELS; i++)
		if (pump->lanes[i])
			unwatch(pump, pump->lanes[i]->sock.fd);
}

static void
on_event(NatPump *pump, guint32 what)
{
	guint64 times;

	if (what == EVENT_TURN)
		from_turn(pump);
	else if (what >= CHANNEL_FIRST && pump->lanes[what - CHANNEL_FIRST])
		from_wireguard(pump, pump->lanes[what - CHANNEL_FIRST]);
	else if (what == EVENT_WAKE && read(pump->wake_fd, &times, sizeof times) < 0)
		return; /* it had been read */
}

static void
run_round(NatPump *pump)
{
	struct epoll_event events[EVENTS];
	int n = epoll_wait(pump->epoll_fd, events, EVENTS, -1);

	obey_all(pump);
	for (int i = 0; i < n && !pump->quit; i++)
		if (events[i].data.u32 == EVENT_WAKE || atomic_load(&pump->failed) == 0)
			on_event(pump, events[i].data.u32);
	if (atomic_load(&pump->failed) != 0 && !pump->still)
		stand_still(pump);
}

static gpointer
run(gpointer data)
{
	NatPump *pump = data;

	watch(pump, pump->wake_fd, EVENT_WAKE);
	watch(pump, pump->turn.fd, EVENT_TURN);
	while (!pump->quit)
		run_round(pump);
	return NULL;
}

/* ---- host thread ---- */

void
nat_pump_order(NatPump *pump, NatOrder kind, NatLane *lane, NatInject *inject)
{
	Order *order = g_new0(Order, 1);

	order->order = kind;
	order->lane = lane ? nat_lane_ref(lane) : NULL;
	order->inject = inject;
	g_async_queue_push(pump->orders, order);
	atomic_store(&pump->ordered, TRUE);
	wake(pump);
}

static void
pump_clear(NatPump *pump)
{
	for (guint i = 0; i < CHANNELS; i++)
		if (pump->lanes[i])
			nat_lane_unref(pump->lanes[i]);
	g_async_queue_unref(pump->orders);
	nat_dgram_close(&pump->turn);
	nat_dgram_in_free(pump->in);
	nat_dgram_out_free(pump->out);
	if (pump->epoll_fd >= 0)
		close(pump->epoll_fd);
	if (pump->wake_fd >= 0)
		close(pump->wake_fd);
	g_main_context_unref(pump->host);
	pump->door->pump = NULL;
	door_unref(pump->door);
	g_free(pump);
}

NatPump *
nat_pump_new(int fd, const NatPumpFuncs *funcs, gpointer user_data, GError **error)
{
	NatPump *pump = g_new0(NatPump, 1);

	pump->funcs = *funcs;
	pump->user_data = user_data;
	pump->host = g_main_context_ref_thread_default();
	pump->orders = g_async_queue_new_full((GDestroyNotify)order_free);
	pump->door = g_new0(Door, 1);
	g_atomic_ref_count_init(&pump->door->refs);
	pump->door->pump = pump;
	nat_dgram_init(&pump->turn, fd);
	pump->in = nat_dgram_in_new();
	pump->out = nat_dgram_out_new();
	pump->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pump->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (pump->wake_fd < 0 || pump->epoll_fd < 0)
		g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno),
			    "cannot start a relay's data path: %s", g_strerror(errno));
	else
		pump->thread = g_thread_try_new("nat-pump", run, pump, error);
	if (pump->thread)
		return pump;
	pump_clear(pump);
	return NULL;
}

void
nat_pump_free(NatPump *pump)
{
	if (!pump)
		return;
	nat_pump_order(pump, NAT_ORDER_QUIT, NULL, NULL);
	g_thread_join(pump->thread);
	pump_clear(pump);
}
