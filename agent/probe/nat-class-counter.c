/* SPDX-License-Identifier: MIT */
#include "agent/probe/nat-class-counter.h"

#include "agent/probe/nat-stun-socket.h"

#include <string.h>

#define SENDS 2
#define PATIENCE_MS 950
/* Between the two looks, at least: the longer, the better is the rate known, and the older is what
 * was expected by it when it counts. */
#define APART_MS 120
#define STEPS_MAX                                                                                  \
	1024 /* from the first look to the second: thousands a second would be no home's */

/* A range of fewer ports than that is none that one would count through. */
#define RANGE_MIN 64

typedef struct {
	NatClassRound *round;
	NatStunSocket *sock;
	WgEndpoint mapped; /* unset: no answer */
} Ask;

struct NatClassRound {
	Ask asks[NAT_CLASS_COUNTER_MAX];
	gsize n, open; /* open: without an answer yet */
	gint16 step;
	WgEndpoint server;
	NatStunSocket *first; /* NULL: no first look */
	guint16 first_port;   /* outside; 0: no answer */
	gint64 first_us, asked_us;
	guint timer;
	NatClassCounterFunc func;
	gpointer user_data;
};

gsize
nat_class_newest(const guint16 *ports, gsize n, gint16 step)
{
	gsize best = 0;

	if (step == 0)
		return n - 1;
	for (gsize i = 1; i < n; i++) {
		/* a difference of less than half the range, either way */
		gint16 ahead = (gint16)(guint16)(ports[i] - ports[best]);

		if (step > 0 ? ahead > 0 : ahead < 0)
			best = i;
	}
	return best;
}

gboolean
nat_class_in_step(guint16 from, guint16 to, gint16 step)
{
	gint32 apart = (gint16)(guint16)(to - from);

	return step != 0 && apart % step == 0 && apart / step > 0 && apart / step < STEPS_MAX;
}

gboolean
nat_class_may_wrap(guint16 from, guint16 to, gint16 step)
{
	return (step > 0 && from - to >= RANGE_MIN) || (step < 0 && to - from >= RANGE_MIN);
}

guint
nat_class_rate(guint16 from, guint16 to, gint16 step, gsize ours, gint64 elapsed_us)
{
	gint32 others = step != 0 ? (gint16)(guint16)(to - from) / step - (gint32)ours : 0;

	return others > 0 && elapsed_us > 0
		       ? (guint)MIN(others * (gint64)G_USEC_PER_SEC / elapsed_us, G_MAXUINT16)
		       : 0;
}

/* The first mapping of a port keeps it, where it can, and only further ones are counted: these are
 * all firsts. */
static gboolean
keeps_ports(const NatClassRound *round)
{
	gsize kept = nat_stun_socket_port(round->first) == round->first_port, answers = 1;

	for (gsize i = 0; i < round->n; i++) {
		const Ask *ask = &round->asks[i];

		answers += wg_endpoint_is_set(&ask->mapped);
		kept += wg_endpoint_port(&ask->mapped) == nat_stun_socket_port(ask->sock);
	}
	return kept * 2 > answers;
}

static void
compare(const NatClassRound *round, guint16 newest, NatClassCounter *out)
{
	if (keeps_ports(round))
		return;
	if (nat_class_in_step(round->first_port, newest, round->step))
		out->rate = nat_class_rate(round->first_port, newest, round->step, round->n,
					   round->asked_us - round->first_us);
	else
		out->out_of_step = !nat_class_may_wrap(round->first_port, newest, round->step);
}

/* Nothing of the round may be touched afterwards. */
static void
finish(NatClassRound *round)
{
	const WgEndpoint *mapped[NAT_CLASS_COUNTER_MAX];
	NatClassCounter counter = {.n = 0};

	for (gsize i = 0; i < round->n; i++) {
		if (!wg_endpoint_is_set(&round->asks[i].mapped))
			continue;
		mapped[counter.n] = &round->asks[i].mapped;
		counter.ports[counter.n] = wg_endpoint_port(mapped[counter.n]);
		counter.n++;
	}
	if (counter.n > 0)
		counter.newest = *mapped[nat_class_newest(counter.ports, counter.n, round->step)];
	if (counter.n > 0 && round->first_port != 0)
		compare(round, wg_endpoint_port(&counter.newest), &counter);
	round->func(counter.n > 0 ? &counter : NULL, round->user_data);
}

static void
on_reply(const NatStunReply *reply, gpointer user_data)
{
	Ask *ask = user_data;

	if (reply != NULL && !reply->refused)
		ask->mapped = reply->mapped;
	if (--ask->round->open == 0)
		finish(ask->round);
}

static void
ask_all(NatClassRound *round)
{
	round->asked_us = g_get_monotonic_time();
	/* all ports are there: nothing lies between two packets */
	for (gsize i = 0; i < round->n; i++)
		nat_stun_socket_ask(round->asks[i].sock, &round->server, 0, SENDS, PATIENCE_MS,
				    on_reply, &round->asks[i]);
}

static gboolean
on_apart(gpointer user_data)
{
	NatClassRound *round = user_data;

	round->timer = 0;
	ask_all(round);
	return G_SOURCE_REMOVE;
}

static void
on_first(const NatStunReply *reply, gpointer user_data)
{
	NatClassRound *round = user_data;
	gint64 left_ms = APART_MS - (g_get_monotonic_time() - round->first_us) / 1000;

	if (reply != NULL && !reply->refused)
		round->first_port = wg_endpoint_port(&reply->mapped);
	round->timer = g_timeout_add((guint)MAX(left_ms, 0), on_apart, round);
}

/* FALSE: no port is to be had. */
static gboolean
open_ports(NatClassRound *round, const WgEndpoint *local, guint32 fwmark, gsize n)
{
	for (gsize i = 0; i < MIN(n, NAT_CLASS_COUNTER_MAX); i++) {
		Ask *ask = &round->asks[round->n];

		ask->round = round;
		ask->sock = nat_stun_socket_new(local, fwmark, NULL);
		if (ask->sock == NULL)
			break;
		round->n++;
	}
	round->open = round->n;
	return round->n > 0;
}

NatClassRound *
nat_class_round_new(const WgEndpoint *local, guint32 fwmark, const WgEndpoint *server, gsize n,
		    gint16 step, NatClassCounterFunc func, gpointer user_data)
{
	NatClassRound *round = g_new0(NatClassRound, 1);

	round->step = step;
	round->server = *server;
	round->func = func;
	round->user_data = user_data;
	if (!open_ports(round, local, fwmark, n)) {
		nat_class_round_free(round);
		return NULL;
	}
	if (step != 0)
		round->first = nat_stun_socket_new(local, fwmark, NULL);
	if (round->first == NULL) {
		ask_all(round);
		return round;
	}
	round->first_us = g_get_monotonic_time();
	nat_stun_socket_ask(round->first, server, 0, SENDS, PATIENCE_MS, on_first, round);
	return round;
}

void
nat_class_round_free(NatClassRound *round)
{
	if (round == NULL)
		return;
	g_clear_handle_id(&round->timer, g_source_remove);
	nat_stun_socket_free(round->first);
	for (gsize i = 0; i < round->n; i++)
		nat_stun_socket_free(round->asks[i].sock);
	g_free(round);
}
