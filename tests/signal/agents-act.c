/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "tests/signal/agents-private.h"

#define REACH 6		 /* an agent may be interested in those up to so far from it in the ring */
#define BODY_HEADER 12	 /* number, sender, receiver, length */
#define SMALL 700	 /* bytes */
#define FENCE_FROM_S 0.1 /* between fences */
#define FENCE_TO_S 0.4

typedef enum {
	ACT_SEND,
	ACT_SEND_LARGE,
	ACT_SEND_STRANGER,
	ACT_BURST,
	ACT_ADD,
	ACT_REMOVE,
	ACT_PAUSE,
	ACT_STALL,
	ACT_RESET,
	ACT_RESET_AMID,
	ACT_CLOSE,
	ACT_TAKE_OVER,
	ACT_PING,
	N_ACTS,
} Act;

struct Manners {
	double rate; /* acts a second */
	guint weights[N_ACTS];
};

/*                 send large stranger burst add remove pause stall reset amid close over ping */
static const Manners manners[] = {
	/* talkers */
	{30, {9000, 300, 100, 10, 100, 50, 20, 1, 10, 5, 10, 10, 20}},
	{3, {900, 20, 10, 1, 20, 10, 2, 0, 1, 1, 1, 1, 20}},
	/* who cannot make up their minds */
	{20, {300, 10, 10, 0, 300, 300, 5, 0, 2, 1, 2, 2, 5}},
	/* who read slowly */
	{10, {400, 20, 10, 3, 20, 10, 300, 5, 2, 1, 2, 1, 5}},
	/* who shout */
	{2, {300, 100, 10, 300, 20, 10, 5, 0, 2, 1, 2, 1, 5}},
	/* who come and go */
	{10, {600, 20, 10, 2, 40, 20, 5, 0, 60, 30, 60, 60, 5}},
};

void
agents_choose_manners(Agent *agent)
{
	Agents *agents = agent->agents;

	agent->manners = &manners[agents_random(agents, G_N_ELEMENTS(manners))];
	agent->next_act = agents->now;
	agent->next_fence = agents->now;
	agent->resume_at = 0;
}

/* Somebody within reach. */
static guint
neighbour(Agent *agent)
{
	guint n = agent->agents->n, reach = MIN(REACH, (n - 1) / 2);
	guint step = 1 + agents_random(agent->agents, 2 * reach);

	return (agent->index + (step <= reach ? step : n - (step - reach))) % n;
}

/* ---- bodies ---- */

void
agents_make_pattern(Agents *agents)
{
	for (guint i = 0; i < PATTERN_LEN; i++)
		agents->pattern[i] = (guint8)agents_random(agents, 256);
}

gboolean
agents_body_is_right(const Agents *agents, const guint8 *body, gsize len, guint32 *number)
{
	guint32 said;

	if (len < BODY_HEADER)
		return FALSE;
	memcpy(number, body, 4);
	memcpy(&said, body + 8, 4);
	return said == len &&
	       memcmp(body + BODY_HEADER, agents->pattern + *number % 256, len - BODY_HEADER) == 0;
}

static void
send_to(Agent *agent, guint to, gsize len)
{
	static guint8 body[SIG_WIRE_BODY_MAX];
	Agents *agents = agent->agents;
	Client *client = &agent->conn->client;
	const WgKey *key = &agents->all[to].keys.public_key;
	guint32 size = (guint32)len, number = check_sent(agents->check, agent->index, to);

	memcpy(body, &number, 4);
	memcpy(body + 4, (guint16[]){(guint16)agent->index, (guint16)to}, 4);
	memcpy(body + 8, &size, 4);
	memcpy(body + BODY_HEADER, agents->pattern + number % 256, len - BODY_HEADER);
	if (agents_random(agents, 50) == 0)
		sig_client_send_pieces(client, key, body, len, 2 + agents_random(agents, 3));
	else
		client_send(client, key, body, len);
}

static gsize
small(Agent *agent)
{
	return BODY_HEADER + agents_random(agent->agents, SMALL);
}

static gsize
large(Agent *agent)
{
	return BODY_HEADER + agents_random(agent->agents, SIG_WIRE_BODY_MAX - BODY_HEADER + 1);
}

static void
send_fence(Agent *agent)
{
	check_fence_sent(agent->agents->check, agent->index);
	client_send(&agent->conn->client, &agent->keys.public_key, NULL, 0);
}

/* ---- interest ---- */

static void
add_interest(Agent *agent, guint n)
{
	Agents *agents = agent->agents;
	WgKey keys[2 * REACH];
	guint n_keys = 0;

	for (guint i = 0; i < n; i++) {
		guint other = neighbour(agent);

		if (!check_may_name(agents->check, agent->index, other))
			continue;
		check_interest(agents->check, agent->index, other, TRUE);
		keys[n_keys++] = agents->all[other].keys.public_key;
	}
	if (n_keys > 0)
		sig_client_interest(&agent->conn->client, keys, n_keys, NULL, 0);
}

static void
remove_interest(Agent *agent)
{
	Agents *agents = agent->agents;
	guint other = neighbour(agent);

	if (!check_is_interested(agents->check, agent->index, other))
		return;
	check_interest(agents->check, agent->index, other, FALSE);
	sig_client_interest(&agent->conn->client, NULL, 0, &agents->all[other].keys.public_key, 1);
}

/* What follows the login at once, without waiting for its answer. */
void
agents_begin_flight(Agent *agent)
{
	add_interest(agent, 2 * REACH);
	for (guint i = agents_random(agent->agents, 4); i > 0; i--)
		send_to(agent, neighbour(agent), small(agent));
}

/* ---- acts ---- */

static void
burst(Agent *agent)
{
	guint to = neighbour(agent);

	agent->agents->counts.bursts++;
	for (guint i = 20 + agents_random(agent->agents, 80); i > 0; i--)
		send_to(agent, to, 4 * small(agent));
}

static void
pause_reading(Agent *agent, double from_s, double to_s)
{
	Agents *agents = agent->agents;

	agents->counts.pauses++;
	stream_pause(&agent->conn->client.stream, TRUE);
	agent->resume_at = agents->now + agents_random_time(agents, from_s, to_s);
}

static void
reset(Agent *agent, gboolean amid)
{
	Agents *agents = agent->agents;

	agents->counts.resets++;
	if (amid)
		sig_client_send_half(&agent->conn->client);
	agents_drop(agent, TRUE);
	agent->due = agents->now + agents_random_time(agents, 0, 0.5);
}

static void
close_in_order(Agent *agent)
{
	agent->agents->counts.closes++;
	agent->conn->closing = TRUE;
	stream_pause(&agent->conn->client.stream, FALSE);
	sig_client_close(&agent->conn->client);
}

static Act
choose(Agent *agent)
{
	const guint *weights = agent->manners->weights;
	guint sum = 0, at;

	for (guint i = 0; i < N_ACTS; i++)
		sum += weights[i];
	at = agents_random(agent->agents, sum);
	for (guint i = 0; i < N_ACTS; i++) {
		if (at < weights[i])
			return (Act)i;
		at -= weights[i];
	}
	return ACT_PING;
}

static void
perform(Agent *agent, Act act)
{
	switch (act) {
	case ACT_SEND:
		send_to(agent, neighbour(agent), small(agent));
		break;
	case ACT_SEND_LARGE:
		send_to(agent, neighbour(agent), large(agent));
		break;
	case ACT_SEND_STRANGER:
		send_to(agent, (agent->index + agent->agents->n / 2) % agent->agents->n,
			small(agent));
		break;
	case ACT_BURST:
		burst(agent);
		break;
	case ACT_ADD:
		add_interest(agent, 1 + agents_random(agent->agents, 4));
		break;
	case ACT_REMOVE:
		remove_interest(agent);
		break;
	case ACT_PAUSE:
		pause_reading(agent, 0.05, 1);
		break;
	case ACT_STALL:
		agent->conn->slow = TRUE;
		pause_reading(agent, 5, 40);
		break;
	case ACT_RESET:
		reset(agent, FALSE);
		break;
	case ACT_RESET_AMID:
		reset(agent, TRUE);
		break;
	case ACT_CLOSE:
		close_in_order(agent);
		break;
	case ACT_TAKE_OVER:
		agent->agents->counts.takeovers++;
		agents_take_over(agent);
		break;
	case ACT_PING:
		sig_client_ping(&agent->conn->client);
		break;
	case N_ACTS:
		break;
	}
}

void
agents_act(Agent *agent)
{
	Agents *agents = agent->agents;
	Conn *conn = agent->conn;
	double wait;

	if (!conn || !conn->flight || conn->closing || agents->now < agent->next_act)
		return;
	if (agent->resume_at > 0 && agents->now >= agent->resume_at) {
		agent->resume_at = 0;
		stream_pause(&conn->client.stream, FALSE);
	}
	wait = -log(1 - g_rand_double(agents->rand)) / agent->manners->rate;
	agent->next_act = agents->now + (gint64)(wait * G_USEC_PER_SEC);
	if (agents->now >= agent->next_fence) {
		agent->next_fence =
			agents->now + agents_random_time(agents, FENCE_FROM_S, FENCE_TO_S);
		send_fence(agent);
	}
	perform(agent, choose(agent));
}

/* ---- all of them ---- */

void
agents_gather(Agents *agents)
{
	agents->away = FALSE;
	for (guint i = 0; i < agents->n; i++) {
		Agent *agent = &agents->all[i];

		agent->resume_at = 0;
		if (agent->conn)
			stream_pause(&agent->conn->client.stream, FALSE);
	}
}

gboolean
agents_are_up(const Agents *agents)
{
	for (guint i = 0; i < agents->n; i++) {
		const Conn *conn = agents->all[i].conn;

		if (!conn || !conn->client.ready || conn->closing)
			return FALSE;
	}
	return agents->stale->len == 0;
}

void
agents_send_fences(Agents *agents)
{
	for (guint i = 0; i < agents->n; i++)
		if (agents->all[i].conn)
			send_fence(&agents->all[i]);
}

gboolean
agents_have_answers(const Agents *agents)
{
	for (guint i = 0; i < agents->n; i++)
		if (check_fence_is_open(agents->check, i))
			return FALSE;
	return TRUE;
}

void
agents_talk(Agents *agents)
{
	guint reach = MIN(REACH, (agents->n - 1) / 2);

	for (guint i = 0; i < agents->n; i++)
		for (guint step = 1; step <= reach && agents->all[i].conn; step++) {
			Agent *agent = &agents->all[i];

			send_to(agent, (i + step) % agents->n, small(agent));
			send_to(agent, (i + agents->n - step) % agents->n, small(agent));
		}
}

void
agents_leave(Agents *agents)
{
	agents->away = TRUE;
	for (guint i = 0; i < agents->n; i++)
		if (agents->all[i].conn && !agents->all[i].conn->closing)
			close_in_order(&agents->all[i]);
}

gboolean
agents_are_gone(const Agents *agents)
{
	for (guint i = 0; i < agents->n; i++)
		if (agents->all[i].conn)
			return FALSE;
	return agents->stale->len == 0;
}

void
agents_forgive(Agents *agents)
{
	for (guint i = 0; i < agents->n; i++)
		agents->all[i].failures = 0;
}
