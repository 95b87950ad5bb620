/* SPDX-License-Identifier: MIT */
/*
 * Agents: the soak's clients of nat-signald, of random behaviour, whose words and ears go through
 * Check. An agent has a key, interests, and one connection; one that was replaced by a newer one
 * (a "takeover", as when an agent is killed and started again) is kept until the server ends it.
 *
 * Connections end in all ways there are: by RST, amid a message, by the closing handshake, by a
 * newer login, by the server's end. After what the server or the network did, an agent backs off as
 * PROTOCOL.md says; after what it did itself it is a new process and comes back soon.
 */
#pragma once

#include "tests/signal/check.h"
#include "tests/signal/client.h"
#include "tests/signal/server.h"

typedef struct Agents Agents;

/* What is told wrongly to Check on purpose, from time to time, so that it is seen to notice. */
typedef enum {
	FAULT_NONE,
	FAULT_LOSE,   /* a message is not heard */
	FAULT_TWICE,  /* is heard twice */
	FAULT_SWAP,   /* is heard after the next one of the same sender */
	FAULT_STRAY,  /* is heard by another agent */
	FAULT_UNTOLD, /* `unavailable` is not heard */
	FAULT_DEAF,   /* presence is not heard */
} Fault;

typedef struct {
	guint64 logins, resets, closes, takeovers, drained, overloaded, turned_away, lost;
	guint64 pauses, bursts;
} AgentsCounts;

/* They stay away until agents_gather(). tls: NULL: plain; not owned. */
Agents *agents_new(guint n, guint32 seed, Check *check, Server *server, StreamTls *tls,
		   Fault fault);
void agents_free(Agents *agents);

/* One round: what is due is done, what has come is handled. `acting`: they do as they like, else
 * they only connect and listen. */
void agents_step(Agents *agents, gboolean acting);

/* All read again, and whoever is off comes back. */
void agents_gather(Agents *agents);
/* All logged in, nothing left of older connections. */
gboolean agents_are_up(const Agents *agents);
void agents_send_fences(Agents *agents);
gboolean agents_have_answers(const Agents *agents);
/* Each sends one message to everybody that it may ever be interested in. */
void agents_talk(Agents *agents);
/* All close by handshake and stay away until agents_gather(). */
void agents_leave(Agents *agents);
gboolean agents_are_gone(const Agents *agents);

/* As after a minute of connection: who is to back off begins anew with short times. */
void agents_forgive(Agents *agents);

guint32 agents_random(Agents *agents, guint32 below);
const AgentsCounts *agents_counts(const Agents *agents);
