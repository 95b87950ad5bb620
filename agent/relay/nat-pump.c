/* SPDX-License-Identifier: MIT */
/*
 * The host's side. nat-pump-thread.c holds the thread.
 *
 * The way back is a closure in the host's main context. It holds the NatDoor, not the pump: the
 * host clears door->pump when it frees the pump, also inside a callback, and what is still on its
 * way then finds nobody. Garbage does not get that far, and at most CONTROL_MAX messages
 * wait.
 *
 * ECONNREFUSED tells of an ICMP port unreachable. One may be an accident of a firewall that
 * reloads, and a burst of packets has several for one reason; two that lie REFUSED_AGAIN_US apart
 * without a datagram from the server between them are a server that is gone. The next one is
 * provoked by whatever the host or WireGuard sends next.
 */
#include "agent/mux/nat-stun.h"
#include "agent/relay/nat-pump-private.h"

#include <errno.h>
#include <gio/gio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONTROL_MAX 64
#define REFUSED_AGAIN_US (100 * G_TIME_SPAN_MILLISECOND)

/* Outlives the pump while a closure is on its way. */
struct NatDoor {
	_Atomic guint refs;
	NatPump *pump; /* host thread only; NULL: freed */
};

/* ---- to the host ---- */

typedef struct {
	NatDoor *door;
	int error; /* 0: a control message */
	gsize len;
	guint8 msg[];
} Report;

static void
door_unref(NatDoor *door)
{
	if (atomic_fetch_sub(&door->refs, 1) == 1)
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
	atomic_fetch_add(&pump->door->refs, 1);
	report->error = error;
	report->len = len;
	if (len > 0)
		memcpy(report->msg, msg, len);
	g_source_set_priority(source, G_PRIORITY_DEFAULT);
	g_source_set_static_name(source, "nat-pump");
	g_source_set_callback(source, on_report, report, report_free);
	g_source_attach(source, pump->host);
}

void
nat_pump_deliver(NatPump *pump, const guint8 *msg, gsize len)
{
	NatChannelData frame;

	/* the pump thread alone counts up, so the bound holds */
	if (atomic_load(&pump->waiting) >= CONTROL_MAX ||
	    (!nat_stun_is_message(msg, len) && !nat_channel_parse(msg, len, &frame))) {
		nat_count(&pump->unheard, 1);
		return;
	}
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

void
nat_pump_fail(NatPump *pump, int error)
{
	int none = 0;

	if (!atomic_compare_exchange_strong(&pump->failed, &none, error))
		return;
	post(pump, error, NULL, 0);
	wake(pump);
}

void
nat_pump_heard(NatPump *pump)
{
	if (atomic_load_explicit(&pump->refused_us, memory_order_relaxed) != 0)
		atomic_store(&pump->refused_us, 0);
	if (atomic_load_explicit(&pump->listens, memory_order_relaxed))
		atomic_store(&pump->listens, FALSE);
}

void
nat_pump_listen(NatPump *pump)
{
	atomic_store(&pump->listens, TRUE);
}

gboolean
nat_pump_has_heard(const NatPump *pump)
{
	return !atomic_load(&pump->listens);
}

static void
refused(NatPump *pump)
{
	gint64 now = g_get_monotonic_time(), since = 0;

	if (atomic_compare_exchange_strong(&pump->refused_us, &since, now))
		return;
	if (now - since >= REFUSED_AGAIN_US)
		nat_pump_fail(pump, ECONNREFUSED);
}

/* What a call on the socket towards the server said. All that is not named here passes: no route
 * at the moment, a firewall's refusal (EPERM), a datagram too big, no memory. */
void
nat_pump_turn_error(NatPump *pump, int error)
{
	if (error == ECONNREFUSED && pump->turn.udp)
		refused(pump);
	else if (error == ECONNREFUSED || error == EPIPE || error == ECONNRESET ||
		 error == ENOTCONN)
		nat_pump_fail(pump, EPIPE);
	else if (error == EBADF || error == ENOTSOCK)
		nat_pump_fail(pump, error);
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
			nat_pump_turn_error(pump, errno);
	}
	return FALSE;
}

/* The pump's thread may find the room first: then it holds a few packets more. */
gboolean
nat_pump_send_request(NatPump *pump, const guint8 *msg, gsize len)
{
	gboolean sent = nat_pump_send(pump, msg, len);

	if (sent || pump->turn.udp || atomic_load(&pump->failed) != 0)
		return sent;
	nat_dgram_set_wide(&pump->turn, TRUE);
	sent = nat_pump_send(pump, msg, len);
	nat_dgram_set_wide(&pump->turn, FALSE);
	return sent;
}

/* ---- host thread ---- */

void
nat_pump_order(NatPump *pump, NatOrder kind, NatLane *lane, NatInject *inject)
{
	NatPumpOrder *order = g_new0(NatPumpOrder, 1);

	order->order = kind;
	order->lane = lane ? nat_lane_ref(lane) : NULL;
	order->inject = inject;
	order->next = atomic_load(&pump->orders);
	while (!atomic_compare_exchange_weak(&pump->orders, &order->next, order))
		;
	wake(pump);
}

guint64
nat_pump_dropped(const NatPump *pump)
{
	return atomic_load(&pump->unheard);
}

void
nat_bridge_stats_add(NatBridgeStats *sum, const NatBridgeStats *more)
{
	sum->to_turn_packets += more->to_turn_packets;
	sum->to_turn_bytes += more->to_turn_bytes;
	sum->to_wg_packets += more->to_wg_packets;
	sum->to_wg_bytes += more->to_wg_bytes;
	sum->dropped += more->dropped;
}

void
nat_pump_stats(const NatPump *pump, NatBridgeStats *out)
{
	*out = pump->gone;
	for (guint i = 0; i < pump->bridges->len; i++) {
		NatBridgeStats one;

		nat_bridge_stats(g_ptr_array_index(pump->bridges, i), &one);
		nat_bridge_stats_add(out, &one);
	}
}

static void
pump_clear(NatPump *pump)
{
	g_ptr_array_unref(pump->bridges);
	for (guint i = 0; i < NAT_CHANNELS; i++)
		if (pump->lanes[i])
			nat_lane_unref(pump->lanes[i]);
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
	pump->bridges = g_ptr_array_new();
	pump->host = g_main_context_ref_thread_default();
	pump->door = g_new0(NatDoor, 1);
	pump->door->refs = 1;
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
		pump->thread = g_thread_try_new("nat-pump", nat_pump_run, pump, error);
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
