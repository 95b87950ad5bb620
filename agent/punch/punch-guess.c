/* SPDX-License-Identifier: MIT */
#include "agent/punch/punch-guess.h"

#include <string.h>

#define PORT_FIRST 1024
#define PORT_LAST 65535
/* How far a sequential NAT may have gone on meanwhile for others, in steps. */
#define WINDOW_STEPS 512

/* Sequences wrap around somewhere that we cannot know; ports stay among those that NATs give out.
 */
static gboolean
step_on(const NatClass *nat, guint16 last, gint steps, guint16 *port)
{
	gint32 at = (gint32)last + (gint32)nat->step * steps;

	if (at < PORT_FIRST || at > PORT_LAST)
		return FALSE;
	*port = (guint16)at;
	return TRUE;
}

static guint16
clamp_port(gint32 port)
{
	return (guint16)CLAMP(port, PORT_FIRST, PORT_LAST);
}

static void
foretell_sequence(const NatClass *nat, guint16 last, PunchPorts *out)
{
	gint32 far = (gint32)last + (gint32)nat->step * WINDOW_STEPS;

	for (gint i = 1; i <= PUNCH_GUESS_MAX; i++)
		if (step_on(nat, last, i, &out->ports[out->n_ports]))
			out->n_ports++;
	out->lowest = clamp_port(MIN((gint32)last, far));
	out->highest = clamp_port(MAX((gint32)last, far));
}

/* What was seen of a block is not all of it. */
static void
foretell_block(const NatClass *nat, PunchPorts *out)
{
	gint32 margin = (nat->highest - nat->lowest) / 4;

	out->lowest = clamp_port(nat->lowest - margin);
	out->highest = clamp_port(nat->highest + margin);
}

void
punch_foretell(const NatClass *nat, const guint16 *inside, guint n, guint16 last, PunchPorts *out)
{
	memset(out, 0, sizeof *out);
	out->lowest = PORT_FIRST;
	out->highest = PORT_LAST;
	switch (nat->ports) {
	case NAT_PORTS_PRESERVED:
		for (; out->n_ports < MIN(n, PUNCH_GUESS_MAX); out->n_ports++)
			out->ports[out->n_ports] = inside[out->n_ports];
		break;
	case NAT_PORTS_SEQUENTIAL:
		if (last != 0)
			foretell_sequence(nat, last, out);
		break;
	case NAT_PORTS_BLOCK:
		foretell_block(nat, out);
		break;
	case NAT_PORTS_UNKNOWN:
	case NAT_PORTS_RANDOM:
		break;
	}
}

guint16
punch_aim(const NatClass *nat, const guint16 *inside, guint n, guint16 last, guint others)
{
	guint16 port = 0;

	if (n == 0)
		return 0;
	if (nat->ports == NAT_PORTS_PRESERVED)
		return inside[n / 2];
	if (nat->ports != NAT_PORTS_SEQUENTIAL || last == 0)
		return 0;
	/* n / 4 fewer of theirs may come than was expected, n * 3 / 4 more: delays only add */
	others = MIN(others, WINDOW_STEPS);
	return step_on(nat, last, (gint)(others + n * 3 / 4), &port) ? port : 0;
}

void
punch_guess_init(PunchGuess *guess, const PunchPorts *ports, guint rounds, guint32 seed)
{
	guint32 span;

	memset(guess, 0, sizeof *guess);
	guess->ports = *ports;
	guess->ports.n_ports = MIN(ports->n_ports, PUNCH_GUESS_MAX);
	guess->rounds = guess->ports.n_ports > 0 ? rounds : 0;
	if (ports->lowest == 0 || ports->highest < ports->lowest)
		return;
	span = (guint32)(ports->highest - ports->lowest) + 1;
	for (guess->mask = 1; guess->mask < span; guess->mask <<= 1)
		;
	guess->left = guess->mask--;
	/* Hull and Dobell: an odd addend, and a factor of 4k + 1 */
	guess->at = seed & guess->mask;
	guess->add = (seed >> 7) | 1;
	guess->factor = ((seed ^ 0x9e3779b9u) & ~3u) | 5;
}

static gboolean
next_of_range(PunchGuess *guess, guint16 *port)
{
	guint32 span = (guint32)(guess->ports.highest - guess->ports.lowest) + 1;

	while (guess->left > 0) {
		guess->left--;
		guess->at = (guess->at * guess->factor + guess->add) & guess->mask;
		if (guess->at < span) {
			*port = (guint16)(guess->ports.lowest + guess->at);
			return TRUE;
		}
	}
	return FALSE;
}

gboolean
punch_guess_next(PunchGuess *guess, guint16 *port)
{
	if (guess->rounds == 0)
		return next_of_range(guess, port);
	*port = guess->ports.ports[guess->next++];
	if (guess->next == guess->ports.n_ports) {
		guess->next = 0;
		guess->rounds--;
	}
	return TRUE;
}
