/* SPDX-License-Identifier: MIT */
/* What comes in over a connection: the login, frames, messages, and what each costs. */
#include "signaling/sig-conn-private.h"

#include <string.h>

/* Longer than the kernel's own buffer needs to make room on a link of 64 kbit/s: whoever takes
 * nothing for so long while messages are turned away has stopped reading. */
#define STALLED_S 20
#define BYTES_PER_TOKEN 1024 /* a control frame costs by its length: 16 kB take 1.4 ms to parse */
/* Frames of a connection beyond its address's rate, and before its login: a second, at once. An
 * interest of 2048 keys takes 104. */
#define SHARE_RATE 1
#define SHARE_BURST 128

void
sig_conn_open(SigConn *conn)
{
	SigHub *hub = conn->hub;

	if (conn->state != STATE_ACCEPTED)
		return;
	conn->state = STATE_OFFERED;
	if (conn->drain_s > 0) {
		sig_conn_drain(conn, conn->drain_s);
		return;
	}
	conn->offer = sig_auth_offer(hub->auth, hub->stun, hub->n_stun, hub->now);
	sig_conn_push(conn, sig_wire_encode_hello(sig_offer_hello(conn->offer)));
}

static gboolean
admitted(SigConn *conn, const WgKey *key, const SigScope **scope, const char **why)
{
	SigHub *hub = conn->hub;

	*scope = NULL;
	return !hub->admit ||
	       hub->admit(key, &conn->address, conn->from_here, scope, why, hub->admit_data);
}

static void
join(SigConn *conn, const WgKey *key, const SigScope *scope)
{
	SigHub *hub = conn->hub;
	g_autoptr(GArray) changes = sig_changes_new();
	SigConn *evicted = sig_directory_join(hub->directory, key, conn, &conn->member, changes);

	sig_directory_set_scope(conn->member, scope);
	if (evicted)
		evicted->member = NULL;
	sig_conn_push_changes(conn, changes);
	if (evicted)
		sig_conn_end_proved(evicted, key, SIG_CLOSE_DUPLICATE_KEY,
				    "another connection logged in with this key");
}

static void
handle_login(SigConn *conn, const SigLogin *login)
{
	SigHub *hub = conn->hub;
	g_autofree char *text = NULL;
	char seen[WG_ENDPOINT_STRLEN];
	const SigScope *scope;
	const char *refusal;
	SigClose why = sig_auth_check(hub->auth, conn->offer, login, &text);

	if (why != SIG_CLOSE_NONE) {
		sig_conn_end_unsettled(conn, why, text);
		return;
	}
	if (!admitted(conn, &login->key, &scope, &refusal)) {
		sig_conn_end_proved(conn, &login->key, SIG_CLOSE_NOT_ALLOWED, refusal);
		return;
	}
	g_clear_pointer(&conn->offer, sig_offer_free);
	sig_conn_leave_gate(conn);
	hub->stats.logins++;
	conn->state = STATE_READY;
	sig_wheel_set(hub->wheel, &conn->timer, hub->limits.ping);
	sig_conn_push(conn, sig_wire_encode_welcome(wg_endpoint_format(&conn->address, seen)));
	join(conn, &login->key, scope);
}

/* Another scope means other peers: the connection begins anew rather than be told what it was told
 * before and must forget. */
void
sig_conn_readmit(SigConn *conn)
{
	const SigScope *scope;
	const char *refusal;

	if (conn->state != STATE_READY)
		return;
	if (!admitted(conn, sig_member_key(conn->member), &scope, &refusal)) {
		sig_conn_end(conn, SIG_CLOSE_NOT_ALLOWED, refusal);
	} else if (sig_scope_equal(scope, sig_member_scope(conn->member))) {
		sig_directory_set_scope(conn->member, scope);
	} else {
		sig_conn_drain(conn, 1);
		sig_conn_settle(conn->hub);
	}
}

typedef enum {
	RATE_OK,
	RATE_KEY, /* too fast: the key, … */
	RATE_ADDRESS,
} Rate;

static gboolean
take_share(SigConn *conn, guint cost)
{
	return sig_bucket_take(&conn->share, SHARE_RATE, SHARE_BURST, cost, conn->hub->now);
}

/*
 * Hundreds of agents may share an address with one that floods: they all are bounded together, as
 * what they cost is, but each connection keeps a small share of its own, so that its neighbours
 * can neither silence it nor have it closed.
 */
static Rate
take_tokens(SigConn *conn, guint cost)
{
	SigHub *hub = conn->hub;
	const WgKey *key = sig_member_key(conn->member);

	if (!sig_rate_limit_take(hub->frames, key->b, sizeof key->b, cost, hub->now))
		return RATE_KEY;
	if (!sig_address_take(conn->from, cost, hub->now) && !take_share(conn, cost))
		return RATE_ADDRESS;
	return RATE_OK;
}

static void
end_too_fast(SigConn *conn, Rate why)
{
	sig_conn_end_unsettled(conn, SIG_CLOSE_RATE_LIMITED,
			       why == RATE_KEY ? "too many frames"
					       : "too many frames from this address");
}

/* Memory lasts, unlike frames: the connections of an address are bounded together in it as well. */
static gboolean
count_named(SigConn *conn)
{
	guint before = conn->named;

	conn->named = sig_member_n_interest(conn->member);
	if (conn->named > before)
		return sig_address_name(conn->from, conn->named - before);
	sig_address_unname(conn->from, before - conn->named);
	return TRUE;
}

static void
handle_interest(SigConn *conn, const SigKeys *add, const SigKeys *remove)
{
	SigDirectory *directory = conn->hub->directory;
	g_autoptr(GArray) changes = sig_changes_new();
	gboolean ok =
		sig_directory_add_interest(directory, conn->member, add->keys, add->n, changes);

	if (ok)
		sig_directory_remove_interest(directory, conn->member, remove->keys, remove->n,
					      changes);
	sig_conn_push_changes(conn, changes);
	if (!ok)
		sig_conn_end_unsettled(conn, SIG_CLOSE_INTEREST_LIMIT,
				       "more keys of interest than this server allows");
	else if (!count_named(conn))
		sig_conn_end_unsettled(
			conn, SIG_CLOSE_INTEREST_LIMIT,
			"more keys of interest than this server has room for from here");
}

/* A frame costs whoever sends it, known or not: an unknown one is parsed all the same. */
static void
handle_ready_frame(SigConn *conn, const SigFrame *frame, gsize len)
{
	Rate rate = take_tokens(conn, 1 + len / BYTES_PER_TOKEN);

	if (rate != RATE_OK)
		end_too_fast(conn, rate);
	else if (frame->type == SIG_FRAME_INTEREST)
		handle_interest(conn, &frame->interest.add, &frame->interest.remove);
	else if (frame->type == SIG_FRAME_TURN_WANTED)
		sig_conn_give_turn(conn);
	else if (frame->type != SIG_FRAME_UNKNOWN)
		sig_conn_end_unsettled(conn, SIG_CLOSE_BAD_FRAME,
				       "a frame that only a server sends");
}

static void
handle_text(SigConn *conn, const guint8 *data, gsize len)
{
	g_autoptr(GError) error = NULL;
	g_auto(SigFrame) frame = {0};

	if (!sig_wire_decode((const char *)data, len, &frame, &error))
		sig_conn_end_unsettled(conn, SIG_CLOSE_BAD_FRAME, error->message);
	else if (conn->state == STATE_READY && frame.type != SIG_FRAME_LOGIN)
		handle_ready_frame(conn, &frame, len);
	else if (conn->state == STATE_OFFERED && frame.type == SIG_FRAME_LOGIN)
		handle_login(conn, &frame.login);
	else
		sig_conn_end_unsettled(conn, SIG_CLOSE_BAD_FRAME,
				       conn->state == STATE_READY
					       ? "logged in already"
					       : "the first frame must be the login");
}

/*
 * FALSE when there is no room: the sender's loss alone, or one peer could hold another off the
 * server. Only a reader that takes nothing any more is ended.
 */
static gboolean
deliver(SigConn *to, const WgKey *from, const guint8 *body, gsize len)
{
	if (to->state == STATE_CLOSING)
		return FALSE;
	if (sig_conn_queued(to, sig_queue_push_message(&to->queue, from, body, len)))
		return TRUE;
	to->hub->stats.queue_full++;
	if (to->full_since == 0)
		to->full_since = to->hub->now;
	else if (to->hub->now - to->full_since >= STALLED_S * G_USEC_PER_SEC)
		sig_conn_overload(to);
	return FALSE;
}

/* Where a message goes, and whether it may: NULL when not. */
static SigConn *
route(SigConn *conn, const WgKey *key)
{
	SigHub *hub = conn->hub;
	Rate rate = take_tokens(conn, 1);
	SigConn *to;

	hub->stats.rate_limited += rate == RATE_KEY;
	hub->stats.address_limited += rate == RATE_ADDRESS;
	if (rate != RATE_OK)
		return NULL;
	to = sig_directory_route(hub->directory, conn->member, key);
	if (!to || sig_bucket_take(&to->received, hub->limits.destination_rate,
				   hub->limits.destination_burst, 1, hub->now))
		return to;
	hub->stats.destination_limited++;
	return NULL;
}

static void
handle_binary(SigConn *conn, const guint8 *data, gsize len)
{
	SigHub *hub = conn->hub;
	g_autoptr(GError) error = NULL;
	const guint8 *body;
	SigConn *to;
	gsize body_len;
	WgKey key;

	if (conn->state != STATE_READY) {
		sig_conn_end_unsettled(conn, SIG_CLOSE_BAD_FRAME,
				       "the first frame must be the login");
		return;
	}
	if (!sig_wire_decode_binary(data, len, &key, &body, &body_len, &error)) {
		sig_conn_end_unsettled(conn, SIG_CLOSE_BAD_FRAME, error->message);
		return;
	}
	to = route(conn, &key);
	if (to && deliver(to, sig_member_key(conn->member), body, body_len)) {
		hub->stats.routed++;
	} else {
		hub->stats.unavailable++;
		sig_conn_push(conn, sig_wire_encode_unavailable(&key, 1));
	}
}

void
sig_conn_receive(SigConn *conn, const guint8 *data, gsize len, gsize remaining, gboolean final,
		 gboolean binary)
{
	g_autoptr(GByteArray) whole = NULL;
	gsize have = conn->partial ? conn->partial->len : 0;

	conn->heard = TRUE;
	if (conn->state == STATE_CLOSING)
		return;
	/* The frame's length header has said it: nothing is collected in vain. */
	if (have + len > SIG_WIRE_MAX || remaining > SIG_WIRE_MAX - have - len) {
		sig_conn_end(conn, SIG_CLOSE_TOO_BIG, "a message is longer than 16384 bytes");
		return;
	}
	if (remaining == 0 && ++conn->n_frames > SIG_WIRE_FRAGMENTS_MAX) {
		sig_conn_end(conn, SIG_CLOSE_BAD_FRAME, "a message in more than 64 frames");
		return;
	}
	if (have > 0 || remaining > 0 || !final) {
		if (!conn->partial)
			conn->partial = g_byte_array_sized_new(have + len + remaining);
		g_byte_array_append(conn->partial, data, len);
		if (remaining > 0 || !final)
			return;
		data = conn->partial->data;
		len = conn->partial->len;
	}
	conn->n_frames = 0;
	whole = g_steal_pointer(&conn->partial);
	if (binary)
		handle_binary(conn, data, len);
	else
		handle_text(conn, data, len);
	sig_conn_settle(conn->hub);
}

/* They need no login, so those before it take from the share alone. */
void
sig_conn_pinged(SigConn *conn)
{
	Rate rate = RATE_OK;

	if (conn->state == STATE_CLOSING)
		return;
	if (conn->state == STATE_READY)
		rate = take_tokens(conn, 1);
	else if (!take_share(conn, 1))
		rate = RATE_KEY;
	if (rate != RATE_OK)
		end_too_fast(conn, rate);
	sig_conn_settle(conn->hub);
}

void
sig_conn_ponged(SigConn *conn)
{
	conn->heard = TRUE;
	sig_conn_pinged(conn);
}
