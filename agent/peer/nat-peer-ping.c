/* SPDX-License-Identifier: MIT */
#include "agent/peer/nat-peer-ping.h"

#include "agent/peer/nat-peer-pair.h"

#define PATIENCE_MS 1000

typedef struct {
	NatPeer *peer;
	GArray *answers;  /* of NatPingAnswer */
	GPtrArray *pairs; /* of NatWatchPair, for each answer; NULL: answered, or gone */
	guint timeout;
	NatPingFunc func;
	gpointer user_data;
} Ping;

static void
finish(Ping *ping)
{
	ping->peer->pings = g_slist_remove(ping->peer->pings, ping);
	g_clear_handle_id(&ping->timeout, g_source_remove);
	ping->func(ping->answers, ping->user_data);
	g_array_unref(ping->answers);
	g_ptr_array_unref(ping->pairs);
	g_free(ping);
}

static gboolean
on_timeout(gpointer user_data)
{
	Ping *ping = user_data;

	ping->timeout = 0;
	finish(ping);
	return G_SOURCE_REMOVE;
}

static gboolean
is_awaited(const Ping *ping)
{
	for (guint i = 0; i < ping->pairs->len; i++)
		if (g_ptr_array_index(ping->pairs, i) != NULL)
			return TRUE;
	return FALSE;
}

/* rtt_ms negative: the pair is gone. */
static void
settle(NatPeer *peer, const NatWatchPair *pair, double rtt_ms)
{
	GSList *next;

	for (GSList *l = peer->pings; l != NULL; l = next) {
		Ping *ping = l->data;

		next = l->next;
		for (guint i = 0; i < ping->pairs->len; i++) {
			if (g_ptr_array_index(ping->pairs, i) != pair)
				continue;
			g_array_index(ping->answers, NatPingAnswer, i).rtt_ms = rtt_ms;
			g_ptr_array_index(ping->pairs, i) = NULL;
		}
		if (!is_awaited(ping))
			finish(ping);
	}
}

void
nat_peer_ping_heard(NatPeer *peer, NatWatchPair *pair)
{
	settle(peer, pair, nat_watch_last_ms(pair));
}

void
nat_peer_ping_removed(NatPeer *peer, const NatWatchPair *pair)
{
	settle(peer, pair, -1);
}

void
nat_peer_end_pings(NatPeer *peer)
{
	while (peer->pings != NULL)
		finish(peer->pings->data);
}

static void
add_pair(Ping *ping, NatWatchPair *pair)
{
	NatPingAnswer answer = {
		.remote = *nat_watch_remote(pair),
		.relay = nat_watch_is_relay(pair),
		.chosen = pair == ping->peer->chosen,
		.rtt_ms = -1,
	};

	nat_peer_pair_local(ping->peer, pair, &answer.local);
	g_array_append_val(ping->answers, answer);
	g_ptr_array_add(ping->pairs, pair);
}

static gboolean
nothing(GError **error, const char *why)
{
	g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_FAILED, why);
	return FALSE;
}

gboolean
nat_peer_ping(NatPeer *peer, gboolean paths, NatPingFunc func, gpointer user_data, GError **error)
{
	guint n = peer->watch != NULL ? nat_watch_count(peer->watch) : 0;
	Ping *ping;

	if (!peer->managed)
		return nothing(error, "its agent was not heard from, so there is nobody to answer "
				      "probes: ping its address in the tunnel");
	if (!paths && peer->chosen == NULL)
		return nothing(error, "its tunnel uses no path that is known: --paths probes all "
				      "that might be one");
	if (n == 0)
		return nothing(error, "no path to it is known yet: see nat-agent status");
	ping = g_new0(Ping, 1);
	ping->peer = peer;
	ping->func = func;
	ping->user_data = user_data;
	ping->answers = g_array_new(FALSE, FALSE, sizeof(NatPingAnswer));
	ping->pairs = g_ptr_array_new();
	for (guint i = 0; i < n; i++) {
		NatWatchPair *pair = nat_watch_nth(peer->watch, i);

		if (paths || pair == peer->chosen)
			add_pair(ping, pair);
	}
	for (guint i = 0; i < ping->pairs->len; i++)
		nat_watch_probe(g_ptr_array_index(ping->pairs, i));
	ping->timeout = g_timeout_add(PATIENCE_MS, on_timeout, ping);
	peer->pings = g_slist_append(peer->pings, ping);
	return TRUE;
}
