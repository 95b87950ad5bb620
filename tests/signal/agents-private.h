/* SPDX-License-Identifier: MIT */
/* What agents.c (connections) and agents-act.c (behaviour) share. */
#pragma once

#include "signaling/sig-wire.h"
#include "tests/signal/agents.h"

#define PATTERN_LEN (16384 + 256)

typedef struct Agent Agent;

typedef struct {
	Client client; /* first: it is what epoll gives back */
	Agent *agent;
	gboolean stale;	  /* replaced: what it hears is no longer the agent's */
	gboolean closing; /* by our closing handshake */
	gboolean flight;  /* the login is sent: others may follow it */
	gboolean slow;	  /* it may be cut off before it has read why */
	gboolean stalled; /* it did not read for long, on purpose */
	guint generation; /* of the server when it began */
	gint64 ready_at;  /* µs; 0: not logged in */
	guint drain_s;
	char error[SIG_WIRE_CODE_MAX + 1];
	guint32 held;	 /* FAULT_SWAP: the message held back, */
	guint held_from; /* its sender and 1; 0: none */
} Conn;

typedef struct Manners Manners; /* how often an agent does what */

struct Agent {
	Agents *agents;
	guint index;
	Client keys; /* a new connection is a copy */
	Conn *conn;
	gint64 due;	/* without a connection: when to connect, µs */
	guint failures; /* since it was told to back off */
	const Manners *manners;
	gint64 next_act, next_fence, resume_at;
};

struct Agents {
	guint n;
	Agent *all;
	Check *check;
	Server *server;
	StreamTls *tls;
	Fault fault;
	GRand *rand;
	int epoll;
	gint64 now; /* µs, of this round */
	gboolean away;
	GHashTable *by_key;	 /* public key → index */
	GPtrArray *stale, *dead; /* of Conn */
	AgentsCounts counts;
	guint8 pattern[PATTERN_LEN]; /* what bodies are filled with */
};

gint64 agents_random_time(Agents *agents, double from_s, double to_s); /* µs */

/* Ends the connection; no callback. */
void agents_drop(Agent *agent, gboolean reset);
/* The connection stays, and the agent makes a new one. */
void agents_take_over(Agent *agent);

/* agents-act.c */
void agents_choose_manners(Agent *agent);
void agents_begin_flight(Agent *agent);
void agents_act(Agent *agent);
void agents_make_pattern(Agents *agents);
gboolean agents_body_is_right(const Agents *agents, const guint8 *body, gsize len, guint32 *number);
