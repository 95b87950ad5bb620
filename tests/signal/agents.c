/* SPDX-License-Identifier: MIT */
#include "tests/signal/agents.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/signal/agents-private.h"

#define BATCH 256
#define ADDRESSES 16 /* the server's gate bounds what comes from one */
#define STEP_MS 2
/* Of some, so that what they do not read piles up in the server. It also slows them to some 40
 * kB/s, too slow to take all that is queued within the 5 s that the server gives a closing
 * connection. */
#define SMALL_BUFFER 4096
#define MINUTE (60 * G_USEC_PER_SEC)

guint32
agents_random(Agents *agents, guint32 below)
{
	return (guint32)g_rand_int_range(agents->rand, 0, (gint32)below);
}

gint64
agents_random_time(Agents *agents, double from_s, double to_s)
{
	return (gint64)(g_rand_double_range(agents->rand, from_s, to_s) * G_USEC_PER_SEC);
}

static Conn *
conn_of(Client *client)
{
	return (Conn *)client;
}

/* ---- the end of a connection ---- */

/* Freed when this round of events is over. */
static void
bury(Conn *conn)
{
	client_stop(&conn->client, FALSE);
	g_ptr_array_add(conn->agent->agents->dead, conn);
}

void
agents_drop(Agent *agent, gboolean reset)
{
	Conn *conn = g_steal_pointer(&agent->conn);

	if (!conn)
		return;
	check_ended(agent->agents->check, agent->index);
	client_stop(&conn->client, reset);
	bury(conn);
}

void
agents_take_over(Agent *agent)
{
	Agents *agents = agent->agents;
	Conn *conn = g_steal_pointer(&agent->conn);

	check_ended(agents->check, agent->index);
	conn->stale = TRUE;
	stream_pause(&conn->client.stream, FALSE);
	g_ptr_array_add(agents->stale, conn);
	agent->due = agents->now;
}

/* PROTOCOL.md, "Backing off" */
static gint64
back_off(Agent *agent, const Conn *conn)
{
	double bound;

	if (conn->ready_at > 0 && agent->agents->now - conn->ready_at >= MINUTE)
		agent->failures = 0;
	bound = MIN(30, 0.5 * (1u << MIN(agent->failures, 10)));
	agent->failures++;
	return agents_random_time(agent->agents, 0.2, bound);
}

/* Why the server or the network may end a connection that is in use. */
static void
judge_end(Conn *conn)
{
	Agents *agents = conn->agent->agents;
	guint code = conn->client.close_code;
	gboolean server_ended = server_generation(agents->server) != conn->generation;

	if (conn->closing)
		return;
	if (code == SIG_CLOSE_RESTART && conn->drain_s > 0 && server_ended)
		agents->counts.drained++;
	else if (code == SIG_CLOSE_OVERLOAD || (code == SIG_CLOSE_NONE && conn->slow))
		agents->counts.overloaded++; /* who reads nothing does not hear of it either */
	else if (code == SIG_CLOSE_NONE && server_ended)
		agents->counts.lost++;
	else if (code == SIG_CLOSE_NONE && !conn->flight)
		agents->counts.turned_away++;
	else
		check_fail(agents->check, "the connection of %u ended with code %u (%s)",
			   conn->agent->index, code, conn->error);
}

static void
stale_ended(Conn *conn)
{
	Agents *agents = conn->agent->agents;
	guint code = conn->client.close_code;

	g_ptr_array_remove_fast(agents->stale, conn);
	if (code != SIG_CLOSE_DUPLICATE_KEY && code != SIG_CLOSE_OVERLOAD && !conn->slow &&
	    server_generation(agents->server) == conn->generation)
		check_fail(agents->check, "the replaced connection of %u ended with code %u (%s)",
			   conn->agent->index, code, conn->error);
	bury(conn);
}

static void
on_ended(Client *client)
{
	Conn *conn = conn_of(client);
	Agent *agent = conn->agent;

	if (conn->stale) {
		stale_ended(conn);
		return;
	}
	judge_end(conn);
	if (conn->closing)
		agent->due = agent->agents->now + agents_random_time(agent->agents, 0, 2);
	else
		agent->due = agent->agents->now +
			     MAX(back_off(agent, conn),
				 agents_random_time(agent->agents, 0, conn->drain_s + 1e-6));
	agents_drop(agent, FALSE);
}

/* ---- what is heard ---- */

static void
on_login_sent(Client *client)
{
	Conn *conn = conn_of(client);

	conn->flight = TRUE;
	if (!conn->stale)
		agents_begin_flight(conn->agent);
}

static void
on_ready(Client *client)
{
	Conn *conn = conn_of(client);
	Agents *agents = conn->agent->agents;

	if (conn->stale)
		return;
	agents->counts.logins++;
	conn->ready_at = agents->now;
	check_logged_in(agents->check, conn->agent->index);
}

static gboolean
index_of(Agents *agents, const WgKey *key, guint *index)
{
	gpointer value;

	if (!g_hash_table_lookup_extended(agents->by_key, key, NULL, &value)) {
		check_fail(agents->check, "the server names a key that nobody has");
		return FALSE;
	}
	*index = GPOINTER_TO_UINT(value);
	return TRUE;
}

/* Of FAULT_SWAP: late, yet within its account, when no other message came. */
static void
release_held(Conn *conn)
{
	if (conn->held_from > 0)
		check_received(conn->agent->agents->check, conn->agent->index, conn->held_from - 1,
			       conn->held, FALSE);
	conn->held_from = 0;
}

static void
hear(Conn *conn, guint from, guint32 number)
{
	Agents *agents = conn->agent->agents;
	guint self = conn->agent->index;
	gboolean now = agents->fault != FAULT_NONE && agents_random(agents, 100) == 0;

	if (conn->held_from == from + 1) {
		check_received(agents->check, self, from, number, FALSE);
		release_held(conn);
		return;
	}
	if (now && agents->fault == FAULT_SWAP && conn->held_from == 0 && !conn->stale) {
		conn->held = number;
		conn->held_from = from + 1;
		return;
	}
	if (now && agents->fault == FAULT_LOSE)
		return;
	if (now && agents->fault == FAULT_TWICE)
		check_received(agents->check, self, from, number, conn->stale);
	if (now && agents->fault == FAULT_STRAY)
		self = (self + 1) % agents->n;
	check_received(agents->check, self, from, number, conn->stale);
}

static void
on_message(Client *client, const WgKey *key, const guint8 *body, gsize len)
{
	Conn *conn = conn_of(client);
	Agents *agents = conn->agent->agents;
	guint32 number;
	guint from;

	if (!index_of(agents, key, &from))
		return;
	if (!agents_body_is_right(agents, body, len, &number)) {
		check_fail(agents->check, "a message from %u to %u is damaged", from,
			   conn->agent->index);
		return;
	}
	hear(conn, from, number);
}

static void
on_presence(Client *client, const WgKey *key, gboolean online)
{
	Conn *conn = conn_of(client);
	Agents *agents = conn->agent->agents;
	guint about;

	if (conn->stale || !index_of(agents, key, &about))
		return;
	if (agents->fault == FAULT_DEAF && agents_random(agents, 100) == 0)
		return;
	release_held(conn);
	check_presence(agents->check, conn->agent->index, about, online);
}

static void
on_unavailable(Client *client, const WgKey *key)
{
	Conn *conn = conn_of(client);
	Agents *agents = conn->agent->agents;
	guint about;

	if (conn->stale || !index_of(agents, key, &about))
		return;
	if (about == conn->agent->index) {
		release_held(conn);
		check_fence_answered(agents->check, about);
		return;
	}
	if (agents->fault == FAULT_UNTOLD && agents_random(agents, 20) == 0)
		return;
	check_unavailable(agents->check, conn->agent->index, about);
}

static void
on_error(Client *client, const char *code)
{
	g_strlcpy(conn_of(client)->error, code, sizeof conn_of(client)->error);
}

static void
on_drain(Client *client, guint within_s)
{
	conn_of(client)->drain_s = within_s;
}

static const ClientFuncs funcs = {
	.login_sent = on_login_sent,
	.ready = on_ready,
	.message = on_message,
	.presence = on_presence,
	.unavailable = on_unavailable,
	.error = on_error,
	.drain = on_drain,
	.ended = on_ended,
};

/* ---- connecting ---- */

static void
connect_agent(Agent *agent)
{
	Agents *agents = agent->agents;
	struct sockaddr_in from = {.sin_family = AF_INET};
	Conn *conn = g_new0(Conn, 1);
	const int size = SMALL_BUFFER;

	from.sin_addr.s_addr = htonl(0x7f000101 + agent->index % ADDRESSES);
	conn->client = agent->keys;
	conn->agent = agent;
	/* one that is about to end may still take it */
	conn->generation =
		server_is_ending(agents->server) ? G_MAXUINT : server_generation(agents->server);
	agent->conn = conn;
	agents_choose_manners(agent);
	check_begun(agents->check, agent->index);
	if (!client_start(&conn->client, agents->epoll, &from, server_address(agents->server),
			  agents->tls)) {
		check_fail(agents->check, "no socket: %s", g_strerror(errno));
		return;
	}
	conn->slow = agents_random(agents, 3) == 0;
	if (conn->slow)
		setsockopt(conn->client.stream.fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
}

void
agents_step(Agents *agents, gboolean acting)
{
	struct epoll_event events[BATCH];
	int n;

	agents->now = g_get_monotonic_time();
	for (guint i = 0; i < agents->n; i++) {
		Agent *agent = &agents->all[i];

		if (!agent->conn && agent->due <= agents->now && !agents->away)
			connect_agent(agent);
		else if (acting)
			agents_act(agent);
	}
	n = epoll_wait(agents->epoll, events, BATCH, STEP_MS);
	agents->now = g_get_monotonic_time();
	for (int i = 0; i < n; i++)
		client_event(events[i].data.ptr);
	g_ptr_array_set_size(agents->dead, 0);
}

/* ---- all of them ---- */

static void
conn_free(gpointer p)
{
	client_clear(&((Conn *)p)->client);
	g_free(p);
}

Agents *
agents_new(guint n, guint32 seed, Check *check, Server *server, StreamTls *tls, Fault fault)
{
	Agents *agents = g_new0(Agents, 1);

	agents->n = n;
	agents->check = check;
	agents->server = server;
	agents->tls = tls;
	agents->fault = fault;
	agents->away = TRUE;
	agents->rand = g_rand_new_with_seed(seed);
	agents->epoll = epoll_create1(EPOLL_CLOEXEC);
	agents->all = g_new0(Agent, n);
	agents->by_key = g_hash_table_new(wg_key_hash, wg_key_equal);
	agents->stale = g_ptr_array_new();
	agents->dead = g_ptr_array_new_with_free_func(conn_free);
	agents->now = g_get_monotonic_time();
	agents_make_pattern(agents);
	for (guint i = 0; i < n; i++) {
		Agent *agent = &agents->all[i];

		agent->agents = agents;
		agent->index = i;
		client_init(&agent->keys, &sig_protocol, &funcs);
		g_hash_table_insert(agents->by_key, &agent->keys.public_key, GUINT_TO_POINTER(i));
		agent->due = agents->now + agents_random_time(agents, 0, 1);
	}
	return agents;
}

void
agents_free(Agents *agents)
{
	g_ptr_array_set_free_func(agents->stale, conn_free);
	g_ptr_array_unref(agents->stale);
	for (guint i = 0; i < agents->n; i++)
		if (agents->all[i].conn)
			conn_free(agents->all[i].conn);
	g_ptr_array_unref(agents->dead);
	g_hash_table_unref(agents->by_key);
	g_rand_free(agents->rand);
	close(agents->epoll);
	g_free(agents->all);
	g_free(agents);
}

const AgentsCounts *
agents_counts(const Agents *agents)
{
	return &agents->counts;
}
