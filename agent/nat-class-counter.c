/* SPDX-License-Identifier: MIT */
#include "agent/nat-class-counter.h"

#include "agent/nat-stun-socket.h"

#include <string.h>

#define SENDS 2
#define PATIENCE_MS 950

typedef struct {
	NatClassRound *round;
	NatStunSocket *sock;
	WgEndpoint mapped; /* unset: no answer */
} Ask;

struct NatClassRound {
	Ask asks[NAT_CLASS_COUNTER_MAX];
	gsize n, open; /* open: without an answer yet */
	gint16 step;
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

NatClassRound *
nat_class_round_new(const WgEndpoint *local, guint32 fwmark, const WgEndpoint *server, gsize n,
		    gint16 step, NatClassCounterFunc func, gpointer user_data)
{
	NatClassRound *round = g_new0(NatClassRound, 1);

	round->step = step;
	round->func = func;
	round->user_data = user_data;
	for (gsize i = 0; i < MIN(n, NAT_CLASS_COUNTER_MAX); i++) {
		Ask *ask = &round->asks[round->n];

		ask->round = round;
		ask->sock = nat_stun_socket_new(local, fwmark, NULL);
		if (ask->sock == NULL)
			break;
		round->n++;
	}
	round->open = round->n;
	/* all ports are there: nothing lies between two packets */
	for (gsize i = 0; i < round->n; i++)
		nat_stun_socket_ask(round->asks[i].sock, server, 0, SENDS, PATIENCE_MS, on_reply,
				    &round->asks[i]);
	if (round->n > 0)
		return round;
	nat_class_round_free(round);
	return NULL;
}

void
nat_class_round_free(NatClassRound *round)
{
	if (round == NULL)
		return;
	for (gsize i = 0; i < round->n; i++)
		nat_stun_socket_free(round->asks[i].sock);
	g_free(round);
}
