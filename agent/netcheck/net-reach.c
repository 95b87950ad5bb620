/* SPDX-License-Identifier: MIT */
#include "agent/netcheck/net-reach.h"

#include <string.h>

#include "agent/session/nat-websocket.h"
#include "signaling/sig-wire.h"

struct NetReachSignal {
	NetServer *row;
	WgEndpoint address; /* unset: one of several */
	NetReachFunc func;
	gpointer user_data;
	NatWebsocket *ws;
	guint timer;
	gint64 began_us;
	gboolean done, greeted;
	SigHello hello;
};

/* The last thing to be done: the callee may free the signal. */
static void
finish(NetReachSignal *signal, const char *problem)
{
	if (signal->done)
		return;
	signal->done = TRUE;
	g_clear_handle_id(&signal->timer, g_source_remove);
	signal->row->ok = problem == NULL;
	signal->row->problem = g_strdup(problem);
	signal->row->address = signal->address;
	if (!problem)
		signal->row->ms = (double)(g_get_monotonic_time() - signal->began_us) /
				  G_TIME_SPAN_MILLISECOND;
	signal->func(signal->user_data);
}

static void
on_text(const char *text, gsize len, gpointer user_data)
{
	NetReachSignal *signal = user_data;
	g_auto(SigFrame) frame = {0};

	if (signal->done)
		return;
	if (!sig_wire_decode(text, len, &frame, NULL) || frame.type != SIG_FRAME_HELLO) {
		finish(signal, "what answers there is no nat-signald of this kind");
		return;
	}
	signal->greeted = TRUE;
	signal->hello = frame.hello;
	finish(signal, NULL);
}

static void
on_binary(const guint8 *data, gsize len, gpointer user_data)
{
	finish(user_data, "what answers there is no nat-signald of this kind");
}

static void
on_closed(guint code, const char *reason, gpointer user_data)
{
	finish(user_data, reason);
}

static gboolean
on_timeout(gpointer user_data)
{
	NetReachSignal *signal = user_data;

	signal->timer = 0;
	finish(signal, "timed out");
	return G_SOURCE_REMOVE;
}

NetReachSignal *
net_reach_signal(NetServer *row, const char *url, const char *host, guint16 port,
		 const WgEndpoint *addrs, gsize n, NetReachFunc func, gpointer user_data)
{
	static const NatWebsocketFuncs FUNCS = {on_text, on_binary, on_closed};
	NetReachSignal *signal = g_new0(NetReachSignal, 1);

	signal->row = row;
	if (n == 1)
		signal->address = addrs[0];
	signal->func = func;
	signal->user_data = user_data;
	signal->began_us = g_get_monotonic_time();
	signal->timer = g_timeout_add(NET_REACH_WITHIN_MS, on_timeout, signal);
	signal->ws = nat_websocket_new(url, host, port, addrs, n, 0, SIG_WIRE_SUBPROTOCOL,
				       SIG_WIRE_MAX, &FUNCS, signal);
	return signal;
}

void
net_reach_signal_free(NetReachSignal *signal)
{
	if (!signal)
		return;
	g_clear_handle_id(&signal->timer, g_source_remove);
	nat_websocket_free(signal->ws);
	g_free(signal);
}

gboolean
net_reach_signal_stun_port(const NetReachSignal *signal, guint16 *port)
{
	*port = signal->greeted && signal->hello.n_stun > 0 ? signal->hello.stun[0] : 0;
	return signal->greeted;
}
