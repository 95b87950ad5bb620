/* SPDX-License-Identifier: MIT */
#include "tests/signal/check.h"

/* What one agent sent to another within a batch. */
typedef struct {
	guint a, b;
	guint sent, received, unavailable;
	gboolean is_void;
	gboolean calm; /* sent in a calm: all have to arrive, or none */
	gboolean mutual;
	guint fence; /* of b's: when it is answered, this is settled; 0: a's own fence is not yet */
	gboolean settled;
} Entry;

typedef struct {
	guint32 entry;
	guint16 a, b;
	gboolean received;
} Message;

typedef enum {
	VIEW_OFFLINE,
	VIEW_ONLINE,
	VIEW_WITHDRAWN, /* until the fence is answered */
} View;

/* What an agent knows of another. */
typedef struct {
	View view;
	guint fence;
	gboolean interested;
	guint32 last; /* number of the last message received from it, and 1 */
} Peer;

typedef struct {
	gboolean begun, logged_in;
	guint fences_sent,
		fences_answered; /* since ever: those of an ended connection are answered */
	GQueue batches;	  /* of GArray of entries' indices: sent, by fence; the last one is open */
	GArray *settling; /* indices of entries towards this agent that wait for its fence */
	Peer *peers;
} Agent;

struct Check {
	guint n;
	Agent *agents;
	GArray *entries;  /* of Entry */
	GArray *messages; /* of Message */
	guint unsettled;  /* entries */
	gboolean calm;
	CheckCounts counts;
	char *verdict;
};

void
check_fail(Check *check, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (!check->verdict)
		check->verdict = g_strdup_vprintf(format, args);
	va_end(args);
}

const char *
check_verdict(const Check *check)
{
	return check->verdict;
}

const CheckCounts *
check_counts(const Check *check)
{
	return &check->counts;
}

static GArray *
batch_new(void)
{
	return g_array_new(FALSE, FALSE, sizeof(guint32));
}

Check *
check_new(guint n)
{
	Check *check = g_new0(Check, 1);

	check->n = n;
	check->agents = g_new0(Agent, n);
	check->entries = g_array_new(FALSE, FALSE, sizeof(Entry));
	check->messages = g_array_new(FALSE, FALSE, sizeof(Message));
	for (guint i = 0; i < n; i++) {
		check->agents[i].peers = g_new0(Peer, n);
		check->agents[i].settling = batch_new();
		g_queue_push_tail(&check->agents[i].batches, batch_new());
	}
	return check;
}

void
check_free(Check *check)
{
	for (guint i = 0; i < check->n; i++) {
		g_queue_clear_full(&check->agents[i].batches, (GDestroyNotify)g_array_unref);
		g_array_unref(check->agents[i].settling);
		g_free(check->agents[i].peers);
	}
	g_array_unref(check->entries);
	g_array_unref(check->messages);
	g_free(check->agents);
	g_free(check->verdict);
	g_free(check);
}

static Entry *
entry_at(const Check *check, guint32 i)
{
	return &g_array_index(check->entries, Entry, i);
}

/* ---- accounts ---- */

static void
settle(Check *check, Entry *entry)
{
	guint told = entry->received + entry->unavailable;

	entry->settled = TRUE;
	check->unsettled--;
	if (entry->is_void) {
		check->counts.excused += entry->sent;
		return;
	}
	check->counts.settled += entry->sent;
	if (told < entry->sent)
		check_fail(check, "lost: of %u messages from %u to %u, %u arrived, %u unavailable",
			   entry->sent, entry->a, entry->b, entry->received, entry->unavailable);
	if (entry->calm && entry->mutual && entry->unavailable > 0)
		check_fail(check, "unavailable in a calm: %u of %u messages from %u to %u",
			   entry->unavailable, entry->sent, entry->a, entry->b);
}

static void
bound(Check *check, const Entry *entry)
{
	if (entry->received + entry->unavailable > entry->sent)
		check_fail(check,
			   "told twice: of %u messages from %u to %u, %u arrived, %u unavailable",
			   entry->sent, entry->a, entry->b, entry->received, entry->unavailable);
}

static void
void_entry(Check *check, guint32 i)
{
	entry_at(check, i)->is_void = TRUE;
}

/* Those of `batch` towards b, or all. */
static void
void_batch(Check *check, const GArray *batch, const guint *b)
{
	for (guint i = 0; i < batch->len; i++) {
		guint32 index = g_array_index(batch, guint32, i);

		if (!b || entry_at(check, index)->b == *b)
			void_entry(check, index);
	}
}

/* Those that a has sent, to b or to all, and are not settled. */
static void
void_sent(Check *check, guint a, const guint *b)
{
	for (GList *link = check->agents[a].batches.head; link; link = link->next)
		void_batch(check, link->data, b);
	for (guint i = 0; i < check->n; i++) {
		const GArray *settling = check->agents[i].settling;

		for (guint j = 0; j < settling->len && (!b || i == *b); j++) {
			guint32 index = g_array_index(settling, guint32, j);

			if (entry_at(check, index)->a == a)
				void_entry(check, index);
		}
	}
}

static void
void_towards(Check *check, guint b)
{
	for (guint a = 0; a < check->n; a++)
		for (GList *link = check->agents[a].batches.head; link; link = link->next)
			void_batch(check, link->data, &b);
	void_batch(check, check->agents[b].settling, NULL);
}

/* The entry of a's open batch towards b. */
static guint32
open_entry(Check *check, guint a, guint b)
{
	Agent *agent = &check->agents[a];
	GArray *batch = g_queue_peek_tail(&agent->batches);
	guint32 index = check->entries->len;
	Entry entry = {
		.a = a,
		.b = b,
		.is_void = !check->agents[b].logged_in,
		.calm = check->calm,
		.mutual = check_is_interested(check, a, b) && check_is_interested(check, b, a),
	};

	for (guint i = 0; i < batch->len; i++)
		if (entry_at(check, g_array_index(batch, guint32, i))->b == b)
			return g_array_index(batch, guint32, i);
	g_array_append_val(check->entries, entry);
	g_array_append_val(batch, index);
	check->unsettled++;
	return index;
}

guint32
check_sent(Check *check, guint a, guint b)
{
	guint32 index = open_entry(check, a, b);
	Message message = {.entry = index, .a = (guint16)a, .b = (guint16)b};

	g_array_append_val(check->messages, message);
	entry_at(check, index)->sent++;
	check->counts.sent++;
	return check->messages->len - 1;
}

/* ---- what is received ---- */

static void
check_order(Check *check, guint a, guint from, guint32 number)
{
	Peer *peer = &check->agents[a].peers[from];

	if (number < peer->last)
		check_fail(check, "reordered: message %u from %u to %u came after %u", number, from,
			   a, peer->last - 1);
	if (peer->view == VIEW_OFFLINE)
		check_fail(check, "message %u from %u to %u, which does not know it as online",
			   number, from, a);
	peer->last = number + 1;
}

void
check_received(Check *check, guint a, guint from, guint32 number, gboolean stale)
{
	Message *message;
	Entry *entry;

	if (number >= check->messages->len) {
		check_fail(check, "message %u to %u was never sent", number, a);
		return;
	}
	message = &g_array_index(check->messages, Message, number);
	if (message->b != a || message->a != from)
		check_fail(check, "wrong recipient: message %u from %u to %u came to %u as %u's",
			   number, message->a, message->b, a, from);
	if (message->received)
		check_fail(check, "twice: message %u from %u to %u", number, from, a);
	message->received = TRUE;
	check->counts.received++;
	entry = entry_at(check, message->entry);
	entry->received++;
	bound(check, entry);
	if (!stale)
		check_order(check, a, from, number);
}

void
check_unavailable(Check *check, guint a, guint b)
{
	GArray *batch = g_queue_peek_head(&check->agents[a].batches);

	check->counts.unavailable++;
	for (guint i = 0; i < batch->len; i++) {
		Entry *entry = entry_at(check, g_array_index(batch, guint32, i));

		if (entry->b != b)
			continue;
		entry->unavailable++;
		bound(check, entry);
		return;
	}
	check_fail(check, "told twice: %u hears that %u is unavailable and had sent it nothing", a,
		   b);
}

/* ---- fences ---- */

void
check_fence_sent(Check *check, guint a)
{
	check->agents[a].fences_sent++;
	g_queue_push_tail(&check->agents[a].batches, batch_new());
}

gboolean
check_fence_is_open(const Check *check, guint a)
{
	return check->agents[a].fences_sent > check->agents[a].fences_answered;
}

/* Step 1: what of a's batch is not settled waits for a fence of the other's that begins now. One
 * that is void waits for nothing. */
static void
batch_handled(Check *check, const GArray *batch)
{
	for (guint i = 0; i < batch->len; i++) {
		guint32 index = g_array_index(batch, guint32, i);
		Entry *entry = entry_at(check, index);

		if (entry->is_void) {
			settle(check, entry);
			continue;
		}
		entry->fence = check->agents[entry->b].fences_sent + 1;
		g_array_append_val(check->agents[entry->b].settling, index);
	}
}

/* Step 2 */
static void
settle_due(Check *check, Agent *agent)
{
	GArray *settling = agent->settling;
	guint kept = 0;

	for (guint i = 0; i < settling->len; i++) {
		guint32 index = g_array_index(settling, guint32, i);
		Entry *entry = entry_at(check, index);

		if (entry->is_void || entry->fence <= agent->fences_answered)
			settle(check, entry);
		else
			g_array_index(settling, guint32, kept++) = index;
	}
	g_array_set_size(settling, kept);
}

void
check_fence_answered(Check *check, guint a)
{
	Agent *agent = &check->agents[a];
	g_autoptr(GArray) batch = NULL;

	if (!check_fence_is_open(check, a)) {
		check_fail(check, "%u hears of a fence that it did not send", a);
		return;
	}
	agent->fences_answered++;
	check->counts.fences++;
	for (guint b = 0; b < check->n; b++) {
		Peer *peer = &agent->peers[b];

		if (peer->view == VIEW_WITHDRAWN && peer->fence <= agent->fences_answered)
			peer->view = VIEW_OFFLINE;
	}
	batch = g_queue_pop_head(&agent->batches);
	batch_handled(check, batch);
	settle_due(check, agent);
}

/* ---- connections, interest, presence ---- */

void
check_begun(Check *check, guint a)
{
	check->agents[a].begun = TRUE;
}

void
check_logged_in(Check *check, guint a)
{
	check->agents[a].logged_in = TRUE;
}

void
check_ended(Check *check, guint a)
{
	Agent *agent = &check->agents[a];
	GArray *batch;

	if (!agent->begun)
		return;
	agent->begun = agent->logged_in = FALSE;
	void_sent(check, a, NULL);
	void_towards(check, a);
	while ((batch = g_queue_pop_head(&agent->batches))) {
		batch_handled(check, batch);
		g_array_unref(batch);
	}
	g_queue_push_tail(&agent->batches, batch_new());
	agent->fences_answered = agent->fences_sent;
	settle_due(check, agent);
	for (guint b = 0; b < check->n; b++) {
		agent->peers[b].view = VIEW_OFFLINE;
		agent->peers[b].interested = FALSE;
	}
}

void
check_interest(Check *check, guint a, guint b, gboolean on)
{
	Agent *agent = &check->agents[a];
	Peer *peer = &agent->peers[b];

	if (!on && peer->interested) {
		peer->view = VIEW_WITHDRAWN;
		peer->fence = agent->fences_sent + 1;
		void_sent(check, a, &b);
	}
	peer->interested = on;
}

gboolean
check_is_interested(const Check *check, guint a, guint b)
{
	return check->agents[a].peers[b].interested;
}

gboolean
check_may_name(const Check *check, guint a, guint b)
{
	const Peer *peer = &check->agents[a].peers[b];

	return !peer->interested && peer->view != VIEW_WITHDRAWN;
}

void
check_presence(Check *check, guint a, guint b, gboolean online)
{
	Peer *peer = &check->agents[a].peers[b];

	check->counts.presences++;
	if (peer->view == VIEW_WITHDRAWN)
		return;
	if (!peer->interested)
		check_fail(check, "%u hears of the presence of %u, which it has not named", a, b);
	peer->view = online ? VIEW_ONLINE : VIEW_OFFLINE;
}

gboolean
check_is_online(const Check *check, guint a, guint b)
{
	return check->agents[a].peers[b].view == VIEW_ONLINE;
}

/* ---- calm ---- */

void
check_calm_presence(Check *check)
{
	for (guint a = 0; a < check->n; a++)
		for (guint b = 0; b < check->n; b++) {
			gboolean mutual = check_is_interested(check, a, b) &&
					  check_is_interested(check, b, a) &&
					  check->agents[a].logged_in && check->agents[b].logged_in;

			if (check_is_online(check, a, b) != mutual)
				check_fail(check,
					   "presence: %u knows %u as %s, and they are%s mutual", a,
					   b, mutual ? "offline" : "online", mutual ? "" : " not");
		}
}

void
check_calm(Check *check, gboolean calm)
{
	check->calm = calm;
}

gboolean
check_all_settled(const Check *check)
{
	return check->unsettled == 0;
}
