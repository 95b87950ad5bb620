/* SPDX-License-Identifier: MIT */
/*
 * Check: judges what nat-signald does with the messages of the soak's agents. Pure: it is told of
 * everything that the agents do and hear, in the order in which they do and hear it.
 *
 * What is checked
 * ---------------
 * Safety, of each message at the moment it is received:
 *   - it was sent, to this agent, by the agent whose key it came with;
 *   - it was not received before, on any connection of anybody;
 *   - of one sender, messages arrive in the order they were sent in, also across connections;
 *   - its sender is known to be online: presence has said so on this connection and not taken it
 *     back, or the receiver has withdrawn its interest and does not yet know that the server has
 *     heard of that.
 *
 * Account: a message from A to B is received by B exactly once, or A is told `unavailable` for it,
 * never both and never neither, if from its sending until it is settled (below)
 *   - A's connection lasted,
 *   - A did not withdraw its interest in B (the server then drops what is queued: PROTOCOL.md,
 *     presence),
 *   - B's connection, which was logged in, lasted.
 * What does not fulfil these is void: then never both, but neither is allowed.
 *
 * Why it can be decided
 * ---------------------
 * A message to one's own key is always answered by `unavailable` (nobody is their own peer), in
 * order with all else that the server sends on that connection: a fence. The server handles what
 * comes on a connection in order, and queues what goes out in order. So, for the messages between
 * two fences of A, a batch:
 *   1. When A's second fence is answered, the server has handled the whole batch, and each
 *      `unavailable` of it has been received, after the answer to the first fence and before that
 *      to the second: they can be counted for each B, though they name no message. Whatever else
 *      was in the batch is in B's queue, or was.
 *   2. When a fence that B sends after that moment is answered, B has received all that was in its
 *      queue at 1. The batch towards B is settled: received + unavailable = sent.
 * That holds however slow anybody reads, and needs no clock.
 *
 * Presence is judged in a calm, when no agent changes its interest or connection: after each one's
 * fence has been answered the server knows all interests, and after another fence each agent has
 * all the presence that follows from them. Then every agent must know exactly those as online that
 * are interested in it as it is in them; and whatever it sends them must arrive, not be
 * `unavailable` (queues are empty and nobody is above the rate), and whatever it sends to others
 * must not. To be able to say what is known as online, an agent that has withdrawn its interest
 * ignores presence of that peer, and does not name it again, until a fence is answered.
 */
#pragma once

#include <glib.h>

typedef struct Check Check;

typedef struct {
	guint64 sent, received, unavailable;
	guint64 settled; /* messages whose account was right */
	guint64 excused; /* messages that became void */
	guint64 presences, fences;
} CheckCounts;

/* n agents, named by 0…n-1. */
Check *check_new(guint n);
void check_free(Check *check);

/* The first thing that was wrong, NULL: nothing. */
const char *check_verdict(const Check *check);
const CheckCounts *check_counts(const Check *check);

/* An agent's connection has begun (before its first message), is logged in, is over. */
void check_begun(Check *check, guint a);
void check_logged_in(Check *check, guint a);
void check_ended(Check *check, guint a);

void check_interest(Check *check, guint a, guint b, gboolean on);
gboolean check_is_interested(const Check *check, guint a, guint b);
/* Whether a may name b: its last withdrawal is known to be over. */
gboolean check_may_name(const Check *check, guint a, guint b);
void check_presence(Check *check, guint a, guint b, gboolean online);
gboolean check_is_online(const Check *check, guint a, guint b);

/* The message's number: above those of all before. */
guint32 check_sent(Check *check, guint a, guint b);
/* stale: on a connection that a newer one of this agent replaces: its order is not judged. */
void check_received(Check *check, guint a, guint from, guint32 number, gboolean stale);
void check_unavailable(Check *check, guint a, guint b);

void check_fence_sent(Check *check, guint a);
void check_fence_answered(Check *check, guint a);
gboolean check_fence_is_open(const Check *check, guint a);

/* In a calm, after two fences of all: is presence what the interests say? */
void check_calm_presence(Check *check);
/* In a calm: from now on all messages, and none to others than those who are mutually interested,
 * must arrive; until FALSE, which says whether everything is settled. */
void check_calm(Check *check, gboolean calm);
gboolean check_all_settled(const Check *check);

/* Something else is wrong. */
void check_fail(Check *check, const char *format, ...) G_GNUC_PRINTF(2, 3);
