/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation. A Grant is a permission (channel 0, port 0) or a channel. work() asks for
 * every wanted one that is due, as many as the talk has room for; each answer sets when it is due
 * again and works on. One timer waits for the earliest.
 *
 * A channel that nobody wants any more stays here, not renewed, until the server must have
 * forgotten it: its number may serve no other peer before (RFC 8656 §12), and the same peer finds
 * it again.
 */
#include "agent/relay/nat-turn-grants.h"

#include <string.h>

#include "agent/relay/nat-channel.h"

#define ANSWER_MS 4000
#define PERMISSION_RENEW_US (150 * G_TIME_SPAN_SECOND) /* lives 5 minutes, RFC 8656 §9 */
/* Lives 10 minutes (§12), and its permission, which a rebinding renews, 5. */
#define CHANNEL_RENEW_US (240 * G_TIME_SPAN_SECOND)
#define CHANNEL_LIFE_US (600 * G_TIME_SPAN_SECOND)
#define CHANNEL_QUARANTINE_US (300 * G_TIME_SPAN_SECOND)
#define REFUSED_AGAIN_US (300 * G_TIME_SPAN_SECOND)
#define SILENT_AGAIN_US G_TIME_SPAN_SECOND
#define TRIES_MAX 3 /* unanswered, of a channel that never was bound */

typedef struct {
	NatTurnGrants *grants;
	WgEndpoint peer;
	guint16 channel; /* 0: a permission */
	gboolean wanted, asking;
	guint tries;
	gint64 due_us;
	gint64 until_us;    /* the server knows it till then; 0: it does not */
	GPtrArray *binders; /* of Binder */
} Grant;

typedef struct {
	NatTurnBoundFunc bound;
	gpointer user_data;
	gboolean told; /* or about to be */
	guint16 channel;
	guint idle;
} Binder;

struct NatTurnGrants {
	NatTurnTalk *talk;
	NatTurnTroubleFunc trouble;
	gpointer user_data;
	int family;		 /* AF_UNSPEC: not yet started */
	GHashTable *permissions; /* WgEndpoint (in the Grant) → Grant */
	GHashTable *channels;	 /* the same */
	GHashTable *by_number;	 /* channel → Grant, not owned */
	GPtrArray *left_out;	 /* of Binder, for whom no number was free */
	guint next_channel;	 /* counts from NAT_CHANNEL_FIRST */
	guint timer;
};

static void
binder_free(gpointer data)
{
	Binder *binder = data;

	g_clear_handle_id(&binder->idle, g_source_remove);
	g_free(binder);
}

static void
grant_free(gpointer data)
{
	Grant *grant = data;

	if (grant->channel != 0)
		g_hash_table_remove(grant->grants->by_number, GUINT_TO_POINTER(grant->channel));
	g_ptr_array_unref(grant->binders);
	g_free(grant);
}

static Grant *
grant_new(NatTurnGrants *grants, const WgEndpoint *peer, guint16 channel)
{
	Grant *grant = g_new0(Grant, 1);

	grant->grants = grants;
	grant->peer = *peer;
	grant->channel = channel;
	grant->wanted = TRUE;
	grant->binders = g_ptr_array_new_with_free_func(binder_free);
	if (channel != 0)
		g_hash_table_insert(grants->by_number, GUINT_TO_POINTER(channel), grant);
	g_hash_table_insert(channel ? grants->channels : grants->permissions, &grant->peer, grant);
	return grant;
}

NatTurnGrants *
nat_turn_grants_new(NatTurnTalk *talk, NatTurnTroubleFunc trouble, gpointer user_data)
{
	NatTurnGrants *grants = g_new0(NatTurnGrants, 1);

	grants->talk = talk;
	grants->trouble = trouble;
	grants->user_data = user_data;
	grants->by_number = g_hash_table_new(NULL, NULL);
	grants->permissions =
		g_hash_table_new_full(wg_endpoint_hash, wg_endpoint_equal, NULL, grant_free);
	grants->channels =
		g_hash_table_new_full(wg_endpoint_hash, wg_endpoint_equal, NULL, grant_free);
	grants->left_out = g_ptr_array_new_with_free_func(binder_free);
	return grants;
}

void
nat_turn_grants_free(NatTurnGrants *grants)
{
	if (!grants)
		return;
	g_clear_handle_id(&grants->timer, g_source_remove);
	g_hash_table_unref(grants->permissions);
	g_hash_table_unref(grants->channels);
	g_hash_table_unref(grants->by_number);
	g_ptr_array_unref(grants->left_out);
	g_free(grants);
}

/* ---- telling ---- */

static gboolean
on_tell(gpointer data)
{
	Binder *binder = data;

	binder->idle = 0;
	binder->bound(binder->channel, binder->user_data);
	return G_SOURCE_REMOVE;
}

static void
tell(Binder *binder, guint16 channel)
{
	if (binder->told)
		return;
	binder->told = TRUE;
	binder->channel = channel;
	binder->idle = g_idle_add_full(G_PRIORITY_DEFAULT, on_tell, binder, NULL);
}

static void
tell_all(Grant *grant, guint16 channel)
{
	for (guint i = 0; i < grant->binders->len; i++)
		tell(g_ptr_array_index(grant->binders, i), channel);
}

/* ---- asking ---- */

static void work(NatTurnGrants *grants);

static void
granted(Grant *grant, gint64 now)
{
	gint64 renew = grant->channel ? CHANNEL_RENEW_US : PERMISSION_RENEW_US;

	grant->tries = 0;
	grant->until_us = now + CHANNEL_LIFE_US;
	/* Spread out, so that hundreds granted together are not renewed together. */
	grant->due_us = now + renew - g_random_int_range(0, (gint32)(renew / 5));
	if (grant->channel != 0)
		tell_all(grant, grant->channel);
}

static void
refused(Grant *grant, gint64 now)
{
	grant->due_us = now + REFUSED_AGAIN_US;
	if (grant->channel != 0 && grant->until_us < now)
		tell_all(grant, 0);
}

static void
silent(Grant *grant, gint64 now)
{
	grant->due_us = now + SILENT_AGAIN_US;
	if (++grant->tries >= TRIES_MAX)
		refused(grant, now);
}

static gboolean
concerns_all(const NatTurnMsg *answer)
{
	if (!answer)
		return TRUE;
	return answer->kind == NAT_TURN_MSG_ERROR &&
	       (answer->error == 401 || answer->error == 437 || answer->error == 438 ||
		answer->error == 441);
}

static void
on_answer(const NatTurnAsk *ask, const NatTurnMsg *answer, gpointer user_data)
{
	NatTurnGrants *grants = user_data;
	GHashTable *table = ask->channel ? grants->channels : grants->permissions;
	Grant *grant = g_hash_table_lookup(table, &ask->peer);
	gint64 now = g_get_monotonic_time();

	if (grant && grant->channel == ask->channel) {
		grant->asking = FALSE;
		if (!answer)
			silent(grant, now);
		else if (answer->kind == NAT_TURN_MSG_SUCCESS)
			granted(grant, now);
		else
			refused(grant, now);
	}
	work(grants);
	if (concerns_all(answer))
		grants->trouble(answer, grants->user_data);
}

static gboolean
ask(Grant *grant)
{
	NatTurnGrants *grants = grant->grants;
	NatTurnAsk what = {.method = grant->channel ? NAT_TURN_CHANNEL_BIND : NAT_TURN_PERMISSION,
			   .peer = grant->peer,
			   .channel = grant->channel};

	if (wg_endpoint_family(&grant->peer) != grants->family) {
		refused(grant, g_get_monotonic_time());
		return TRUE;
	}
	if (!nat_turn_talk_has_room(grants->talk))
		return FALSE; /* an answer, or its absence, works on */
	grant->asking = nat_turn_talk_ask(grants->talk, &what, ANSWER_MS, on_answer, grants);
	if (!grant->asking)
		grant->due_us = g_get_monotonic_time() + SILENT_AGAIN_US;
	return TRUE;
}

static gboolean
on_timer(gpointer user_data)
{
	NatTurnGrants *grants = user_data;

	grants->timer = 0;
	work(grants);
	return G_SOURCE_REMOVE;
}

static gboolean
is_over(Grant *grant, gint64 now)
{
	return !grant->wanted && !grant->asking &&
	       (grant->channel == 0 || grant->until_us == 0 ||
		now > grant->until_us + CHANNEL_QUARANTINE_US);
}

/* Returns when the next of the table is due. FALSE in *room: asking goes on with an answer. */
static gint64
work_table(GHashTable *table, gint64 now, gboolean *room)
{
	GHashTableIter iter;
	gpointer value;
	gint64 next = G_MAXINT64;

	g_hash_table_iter_init(&iter, table);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		Grant *grant = value;

		if (is_over(grant, now)) {
			g_hash_table_iter_remove(&iter);
			continue;
		}
		if (!grant->wanted || grant->asking)
			continue;
		if (grant->due_us <= now && *room)
			*room = ask(grant);
		if (!grant->asking && grant->due_us > now)
			next = MIN(next, grant->due_us);
	}
	return next;
}

static void
work(NatTurnGrants *grants)
{
	gint64 now = g_get_monotonic_time(), next, next_permission;
	gboolean room = TRUE;

	if (grants->family == AF_UNSPEC)
		return;
	next = work_table(grants->channels, now, &room); /* bridges wait for them */
	next_permission = work_table(grants->permissions, now, &room);
	next = MIN(next, next_permission);
	g_clear_handle_id(&grants->timer, g_source_remove);
	if (next != G_MAXINT64)
		grants->timer = g_timeout_add((guint)((next - now) / 1000) + 1, on_timer, grants);
}

void
nat_turn_grants_start(NatTurnGrants *grants, int family)
{
	grants->family = family;
	work(grants);
}

/* ---- permissions ---- */

/* FALSE: *wanted, which counts its family, is full. */
static gboolean
permit(NatTurnGrants *grants, const WgEndpoint *peer, guint *wanted)
{
	WgEndpoint address = *peer;
	Grant *grant;

	wg_endpoint_set_port(&address, 0);
	grant = g_hash_table_lookup(grants->permissions, &address);
	if (grant && grant->wanted)
		return TRUE;
	if (*wanted == NAT_TURN_PERMISSIONS_MAX)
		return FALSE;
	if (!grant)
		grant = grant_new(grants, &address, 0);
	grant->wanted = TRUE;
	(*wanted)++;
	return TRUE;
}

gboolean
nat_turn_grants_permit(NatTurnGrants *grants, const WgEndpoint *peers, gsize n)
{
	GHashTableIter iter;
	gpointer value;
	guint wanted[2] = {0}; /* of IPv4, of IPv6: which counts, may not be known yet */
	gboolean all[2] = {TRUE, TRUE};

	g_hash_table_iter_init(&iter, grants->permissions);
	while (g_hash_table_iter_next(&iter, NULL, &value))
		((Grant *)value)->wanted = FALSE;
	for (gsize i = 0; i < n; i++) {
		int family = wg_endpoint_family(&peers[i]);
		guint of = family == AF_INET6;

		if (all[of] && (grants->family == AF_UNSPEC || family == grants->family))
			all[of] = permit(grants, &peers[i], &wanted[of]);
	}
	work(grants);
	return all[0] && all[1];
}

/* ---- channels ---- */

/* 0: all are taken. */
static guint16
free_number(NatTurnGrants *grants)
{
	for (guint i = 0; i < NAT_CHANNELS; i++) {
		guint number = NAT_CHANNEL_FIRST + grants->next_channel;

		grants->next_channel = (grants->next_channel + 1) % NAT_CHANNELS;
		if (!g_hash_table_contains(grants->by_number, GUINT_TO_POINTER(number)))
			return (guint16)number;
	}
	return 0;
}

static gboolean
is_bound(const Grant *grant)
{
	return grant->channel != 0 && grant->until_us > g_get_monotonic_time();
}

/* NULL: no number is free. */
static Grant *
channel_for(NatTurnGrants *grants, const WgEndpoint *peer)
{
	Grant *grant = g_hash_table_lookup(grants->channels, peer);
	guint16 number = grant ? 0 : free_number(grants);

	return number ? grant_new(grants, peer, number) : grant;
}

void
nat_turn_grants_bind(NatTurnGrants *grants, const WgEndpoint *peer, NatTurnBoundFunc bound,
		     gpointer user_data)
{
	Grant *grant = channel_for(grants, peer);
	Binder *binder = g_new0(Binder, 1);

	binder->bound = bound;
	binder->user_data = user_data;
	g_ptr_array_add(grant ? grant->binders : grants->left_out, binder);
	if (!grant) {
		tell(binder, 0);
		return;
	}
	if (!grant->wanted || !is_bound(grant))
		grant->due_us = 0;
	grant->wanted = TRUE;
	if (is_bound(grant))
		tell(binder, grant->channel);
	work(grants);
}

static gboolean
remove_binder(GPtrArray *binders, gpointer user_data)
{
	for (guint i = 0; i < binders->len; i++) {
		Binder *binder = g_ptr_array_index(binders, i);

		if (binder->user_data == user_data) {
			g_ptr_array_remove_index_fast(binders, i);
			return TRUE;
		}
	}
	return FALSE;
}

void
nat_turn_grants_unbind(NatTurnGrants *grants, const WgEndpoint *peer, gpointer user_data)
{
	Grant *grant = g_hash_table_lookup(grants->channels, peer);

	if (grant && remove_binder(grant->binders, user_data))
		grant->wanted = grant->binders->len > 0;
	else
		remove_binder(grants->left_out, user_data);
}

guint16
nat_turn_grants_channel(const NatTurnGrants *grants, const WgEndpoint *peer)
{
	const Grant *grant = g_hash_table_lookup(grants->channels, peer);

	return grant && is_bound(grant) ? grant->channel : 0;
}

const WgEndpoint *
nat_turn_grants_peer(const NatTurnGrants *grants, guint16 channel)
{
	const Grant *grant = g_hash_table_lookup(grants->by_number, GUINT_TO_POINTER(channel));

	return grant ? &grant->peer : NULL;
}
