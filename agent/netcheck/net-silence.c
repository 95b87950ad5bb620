/* SPDX-License-Identifier: MIT */
#include "agent/netcheck/net-silence.h"

#include "agent/probe/nat-lifetime-probe.h"

/* The longest leaves room for its own questions; 120 s itself, the least that RFC 4787 §4.3 asks
 * for and the kernel's own, would be a race. */
static const NatLifetimeProbeTimes TIMES = {
	.silences_ms = {5000, 10000, 20000, 30000, 45000, 60000, 90000, 115000},
	.n = 8,
	.settle_ms = 2500,
};

struct NetSilence {
	NatLifetimeProbe *probe;
	NetLifetime *lifetime;
	NetSilenceFunc func;
	gpointer user_data;
	guint timer;
	gint64 began_us;
};

/* The last thing to be done. */
static void
finish(NetSilence *silence)
{
	g_clear_handle_id(&silence->timer, g_source_remove);
	silence->func(silence->user_data);
}

static void
on_verdict(guint silence_ms, NatLifetimeVerdict verdict, gboolean last, gpointer user_data)
{
	NetSilence *silence = user_data;

	netcheck_note_silence(silence->lifetime, silence_ms / 1000,
			      verdict != NAT_LIFETIME_UNDECIDED, verdict == NAT_LIFETIME_HELD);
	if (last)
		finish(silence);
}

static gboolean
on_timeout(gpointer user_data)
{
	NetSilence *silence = user_data;

	silence->timer = 0;
	g_clear_pointer(&silence->probe, nat_lifetime_probe_free);
	finish(silence);
	return G_SOURCE_REMOVE;
}

NetSilence *
net_silence_new(const WgEndpoint *servers, gsize n, NetLifetime *lifetime, NetSilenceFunc func,
		gpointer user_data)
{
	NetSilence *silence = g_new0(NetSilence, 1);

	silence->lifetime = lifetime;
	silence->lifetime->tested = TRUE;
	silence->func = func;
	silence->user_data = user_data;
	silence->began_us = g_get_monotonic_time();
	silence->timer = g_timeout_add_seconds(NET_SILENCE_WITHIN_S, on_timeout, silence);
	silence->probe = nat_lifetime_probe_new(servers, n, 0, &TIMES, on_verdict, silence);
	return silence;
}

void
net_silence_free(NetSilence *silence)
{
	if (!silence)
		return;
	g_clear_handle_id(&silence->timer, g_source_remove);
	nat_lifetime_probe_free(silence->probe);
	g_free(silence);
}

guint
net_silence_age_s(const NetSilence *silence)
{
	return (guint)((g_get_monotonic_time() - silence->began_us) / G_TIME_SPAN_SECOND);
}
