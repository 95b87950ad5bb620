/* SPDX-License-Identifier: MIT */
#include "signaling/sig-conn.h"

#include <string.h>

#define CLOSING_TIMEOUT 5 /* s, to flush and to hear the client's close */
/* Longer than the kernel's own buffer needs to make room on a link of 64 kbit/s: whoever takes
 * nothing for so long while messages are turned away has stopped reading. */
#define STALLED_S 20
#define BYTES_PER_TOKEN 1024 /* a control frame costs by its length: 16 kB take 1.4 ms to parse */
/* Frames of a connection beyond its address's rate, and before its login: a second, at once. An
 * interest of 2048 keys takes 104. */
#define SHARE_RATE 1
#define SHARE_BURST 128

typedef enum {
	STATE_ACCEPTED,
	STATE_OFFERED,
	STATE_READY,
	STATE_CLOSING,
} State;

struct SigConn {
	SigHub *hub;
	gpointer transport;
	GList link, woken, leaving;
	SigTimer timer;
	SigTimer turn_timer; /* set: the client has credentials, of which half the life is left */
	State state;
	SigWriter writer;
	SigClose close;	     /* its frame is still to be written */
	gboolean heard : 1;  /* since the timer was set */
	gboolean pinged : 1; /* and not heard since */
	gboolean ping : 1;   /* to be written */
	gboolean in_gate : 1;
	gboolean from_here : 1;
	gboolean is_leaving : 1;
	SigQueue queue;
	gint64 full_since;   /* µs: nothing was taken since a message found no room; 0: has room */
	GByteArray *partial; /* of a message that comes in pieces */
	guint n_frames;	     /* of that message, that are complete */
	SigOffer *offer;     /* until logged in */
	SigMember *member;   /* while in the directory */
	WgEndpoint address;
	SigAddress *from;
	SigBucket share;    /* what its neighbours behind the same address can't take from it */
	SigBucket received; /* messages to it: exact, for nobody makes it reconnect but itself */
};

/*
 * Telling a peer that somebody left may fill that peer's queue, which ends it too, and so on
 * through a clique of slow readers. So ending a connection only queues it in hub->leaving, and
 * every public function that may have ended one (but sig_conn_drain) calls settle() last: a loop
 * where recursion would be as deep as there are connections.
 */
static void settle(SigHub *hub);
static void push_changes(SigConn *self, GArray *changes);
static void end_connection(SigConn *conn, SigClose why, const char *text);

SigConn *
sig_conn_new(SigHub *hub, const WgEndpoint *address, gpointer transport)
{
	SigConn *conn = g_new0(SigConn, 1);

	conn->hub = hub;
	conn->transport = transport;
	conn->address = *address;
	conn->from = sig_addresses_hold(hub->addresses, address);
	conn->in_gate = TRUE;
	conn->link.data = conn->woken.data = conn->leaving.data = conn;
	sig_queue_init(&conn->queue, hub->limits.queue);
	sig_wheel_set(hub->wheel, &conn->timer, hub->limits.login_timeout);
	return conn;
}

void
sig_conn_set_from_here(SigConn *conn)
{
	conn->from_here = TRUE;
}

static void
leave_gate(SigConn *conn)
{
	if (conn->in_gate)
		sig_gate_leave(conn->hub->gate, &conn->address);
	conn->in_gate = FALSE;
}

static void
leave_directory(SigConn *conn)
{
	g_autoptr(GArray) changes = NULL;

	if (conn->is_leaving)
		g_queue_unlink(&conn->hub->leaving, &conn->leaving);
	conn->is_leaving = FALSE;
	if (!conn->member)
		return;
	changes = sig_changes_new();
	sig_directory_leave(conn->hub->directory, g_steal_pointer(&conn->member), changes);
	push_changes(conn, changes);
}

static void
settle(SigHub *hub)
{
	while (hub->leaving.head)
		leave_directory(hub->leaving.head->data);
}

void
sig_conn_free(SigConn *conn)
{
	conn->transport = NULL;
	leave_gate(conn);
	leave_directory(conn);
	settle(conn->hub);
	sig_wheel_cancel(&conn->timer);
	sig_wheel_cancel(&conn->turn_timer);
	sig_queue_clear(&conn->queue);
	g_clear_pointer(&conn->partial, g_byte_array_unref);
	g_clear_pointer(&conn->offer, sig_offer_free);
	sig_address_release(conn->from);
	g_free(conn);
}

/* ---- out ---- */

static void
wake(SigConn *conn)
{
	if (conn->writer != SIG_WRITER_IDLE || !conn->transport)
		return;
	conn->writer = SIG_WRITER_WOKEN;
	conn->hub->wake(conn->transport);
}

SigWriter
sig_conn_writer(const SigConn *conn)
{
	return conn->writer;
}

SigWriter
sig_conn_set_writer(SigConn *conn, SigWriter writer)
{
	SigWriter was = conn->writer;

	conn->writer = writer;
	return was;
}

/* Whether a frame was queued. */
static gboolean
queued(SigConn *conn, gboolean ok)
{
	if (ok)
		wake(conn);
	return ok;
}

static void
overload(SigConn *conn)
{
	sig_queue_clear(&conn->queue);
	end_connection(conn, SIG_CLOSE_OVERLOAD, "this connection reads too slowly");
}

/* What cannot be left out: a reader for which there is no room is ended. */
static void
push(SigConn *conn, char *text)
{
	if (conn->state == STATE_CLOSING) {
		g_free(text);
		return;
	}
	if (!queued(conn, sig_queue_push_text_take(&conn->queue, text)))
		overload(conn);
}

SigOut *
sig_conn_pop(SigConn *conn)
{
	conn->full_since = 0;
	return sig_queue_pop(&conn->queue);
}

gboolean
sig_conn_take_ping(SigConn *conn)
{
	gboolean ping = conn->ping;

	conn->ping = FALSE;
	return ping;
}

SigClose
sig_conn_take_close(SigConn *conn)
{
	SigClose close = conn->close;

	if (!sig_queue_is_empty(&conn->queue))
		return SIG_CLOSE_NONE;
	conn->close = SIG_CLOSE_NONE;
	return close;
}

gboolean
sig_conn_is_closing(const SigConn *conn)
{
	return conn->state == STATE_CLOSING;
}

/* ---- relays ---- */

/*
 * Credentials are for those who have a mutual peer online, and nothing is kept of them but when to
 * renew them: at half their life, so that what a client holds is good for that long at any time. A
 * client that has no peer by then gets none, until it has one again.
 */
static void
give_turn(SigConn *conn)
{
	SigHub *hub = conn->hub;

	if (conn->state != STATE_READY || !hub->turn || !sig_member_has_mutual(conn->member))
		return;
	sig_wheel_set(hub->turn_wheel, &conn->turn_timer, sig_turn_ttl(hub->turn) / 2);
	push(conn, sig_turn_frame(hub->turn, sig_member_key(conn->member), hub->clock));
}

/* Before the presence of a peer, which is what a client acts on. */
static void
give_turn_once(SigConn *conn)
{
	if (!conn->turn_timer.next)
		give_turn(conn);
}

SigConn *
sig_conn_from_turn_timer(SigTimer *timer)
{
	return (SigConn *)((char *)timer - G_STRUCT_OFFSET(SigConn, turn_timer));
}

void
sig_conn_renew_turn(SigConn *conn)
{
	give_turn(conn);
	settle(conn->hub);
}

/* ---- presence ---- */

/* The end of many at once is told by each to each: nothing is written for those. */
static void
tell_presence(SigConn *conn, const WgKey *key, gboolean online)
{
	if (conn->state == STATE_CLOSING)
		return;
	if (!queued(conn, sig_queue_push_presence(&conn->queue, key, online)))
		overload(conn);
}

/* One frame for what self has to hear (its own interest found many), one for each other. */
static void
push_changes(SigConn *self, GArray *changes)
{
	WgKey own[SIG_WIRE_KEYS_MAX];
	gsize n_own = 0;

	for (guint i = 0; i < changes->len; i++) {
		const SigChange *change = &g_array_index(changes, SigChange, i);

		if (change->online)
			give_turn_once(change->conn);
		if (change->conn != self) {
			tell_presence(change->conn, &change->key, change->online);
			continue;
		}
		/* always online: nobody hears of their own removals */
		own[n_own++] = change->key;
		if (n_own == G_N_ELEMENTS(own)) {
			push(self, sig_wire_encode_presence(own, n_own, NULL, 0));
			n_own = 0;
		}
	}
	if (n_own > 0)
		push(self, sig_wire_encode_presence(own, n_own, NULL, 0));
}

/* ---- ending ---- */

static void
start_closing(SigConn *conn, SigClose why)
{
	conn->state = STATE_CLOSING;
	conn->close = why;
	sig_wheel_set(conn->hub->wheel, &conn->timer, CLOSING_TIMEOUT);
	g_clear_pointer(&conn->partial, g_byte_array_unref);
	if (conn->member && !conn->is_leaving)
		g_queue_push_tail_link(&conn->hub->leaving, &conn->leaving);
	conn->is_leaving = conn->member != NULL;
	wake(conn);
}

/* Whose connection it was: addresses are the agents' own business. */
static void
log_end(SigConn *conn, SigClose why, const char *text)
{
	char address[WG_ENDPOINT_STRLEN] = "", key[WG_KEY_STRLEN] = "";
	GLogLevelFlags level = G_LOG_LEVEL_MESSAGE;

	if (!sig_rate_limit_take(conn->hub->logs, "", 0, 1, conn->hub->now))
		level = G_LOG_LEVEL_DEBUG;
	if (conn->member)
		wg_key_format_short(sig_member_key(conn->member), key);
	if (conn->hub->log_addresses)
		wg_endpoint_format(&conn->address, address);
	g_log_structured(G_LOG_DOMAIN, level, "SIGNALD_EVENT", "closed", "SIGNALD_CODE",
			 sig_close_code(why), "SIGNALD_KEY", key, "SIGNALD_ADDRESS", address,
			 "MESSAGE", "%s%s%s%sclosed, %s: %s", key, key[0] ? " " : "", address,
			 address[0] ? " " : "", sig_close_code(why), text);
}

static void
end_connection(SigConn *conn, SigClose why, const char *text)
{
	if (conn->state == STATE_CLOSING)
		return;
	conn->hub->stats.refused++;
	conn->hub->stats.closed[sig_close_index(why)]++;
	log_end(conn, why, text);
	sig_queue_push_last_take(&conn->queue, sig_wire_encode_error(sig_close_code(why), text));
	start_closing(conn, why);
}

void
sig_conn_end(SigConn *conn, SigClose why, const char *text)
{
	end_connection(conn, why, text);
	settle(conn->hub);
}

gboolean
sig_conn_drain(SigConn *conn, guint within_s)
{
	if (conn->state == STATE_ACCEPTED)
		return FALSE;
	if (conn->state == STATE_CLOSING)
		return TRUE;
	conn->hub->stats.drained++;
	sig_queue_push_last_take(&conn->queue, sig_wire_encode_drain(within_s));
	/* No settle(): the presence of those who go first would fill the queues of the others, who
	 * are about to be drained too. */
	start_closing(conn, SIG_CLOSE_RESTART);
	return TRUE;
}

/* ---- in ---- */

void
sig_conn_open(SigConn *conn)
{
	SigHub *hub = conn->hub;

	if (conn->state != STATE_ACCEPTED)
		return;
	conn->state = STATE_OFFERED;
	conn->offer = sig_auth_offer(hub->auth, hub->stun, hub->n_stun, hub->now);
	push(conn, sig_wire_encode_hello(sig_offer_hello(conn->offer)));
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
	push_changes(conn, changes);
	if (evicted)
		end_connection(evicted, SIG_CLOSE_DUPLICATE_KEY,
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
		end_connection(conn, why, text);
		return;
	}
	if (!admitted(conn, &login->key, &scope, &refusal)) {
		end_connection(conn, SIG_CLOSE_NOT_ALLOWED, refusal);
		return;
	}
	g_clear_pointer(&conn->offer, sig_offer_free);
	leave_gate(conn);
	hub->stats.logins++;
	conn->state = STATE_READY;
	sig_wheel_set(hub->wheel, &conn->timer, hub->limits.ping);
	push(conn, sig_wire_encode_welcome(wg_endpoint_format(&conn->address, seen)));
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
		settle(conn->hub);
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
	end_connection(conn, SIG_CLOSE_RATE_LIMITED,
		       why == RATE_KEY ? "too many frames" : "too many frames from this address");
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
	push_changes(conn, changes);
	if (!ok)
		end_connection(conn, SIG_CLOSE_INTEREST_LIMIT,
			       "more keys of interest than this server allows");
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
		give_turn(conn);
	else if (frame->type != SIG_FRAME_UNKNOWN)
		end_connection(conn, SIG_CLOSE_BAD_FRAME, "a frame that only a server sends");
}

static void
handle_text(SigConn *conn, const guint8 *data, gsize len)
{
	g_autoptr(GError) error = NULL;
	g_auto(SigFrame) frame = {0};

	if (!sig_wire_decode((const char *)data, len, &frame, &error))
		end_connection(conn, SIG_CLOSE_BAD_FRAME, error->message);
	else if (conn->state == STATE_READY && frame.type != SIG_FRAME_LOGIN)
		handle_ready_frame(conn, &frame, len);
	else if (conn->state == STATE_OFFERED && frame.type == SIG_FRAME_LOGIN)
		handle_login(conn, &frame.login);
	else
		end_connection(conn, SIG_CLOSE_BAD_FRAME,
			       conn->state == STATE_READY ? "logged in already"
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
	if (queued(to, sig_queue_push_message(&to->queue, from, body, len)))
		return TRUE;
	to->hub->stats.queue_full++;
	if (to->full_since == 0)
		to->full_since = to->hub->now;
	else if (to->hub->now - to->full_since >= STALLED_S * G_USEC_PER_SEC)
		overload(to);
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
		end_connection(conn, SIG_CLOSE_BAD_FRAME, "the first frame must be the login");
		return;
	}
	if (!sig_wire_decode_binary(data, len, &key, &body, &body_len, &error)) {
		end_connection(conn, SIG_CLOSE_BAD_FRAME, error->message);
		return;
	}
	to = route(conn, &key);
	if (to && deliver(to, sig_member_key(conn->member), body, body_len)) {
		hub->stats.routed++;
	} else {
		hub->stats.unavailable++;
		push(conn, sig_wire_encode_unavailable(&key, 1));
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
	settle(conn->hub);
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
	settle(conn->hub);
}

void
sig_conn_ponged(SigConn *conn)
{
	conn->heard = TRUE;
	sig_conn_pinged(conn);
}

/* ---- time ---- */

SigConn *
sig_conn_from_timer(SigTimer *timer)
{
	return (SigConn *)((char *)timer - G_STRUCT_OFFSET(SigConn, timer));
}

static gboolean
expire_ready(SigConn *conn)
{
	const SigLimits *limits = &conn->hub->limits;

	if (conn->pinged && !conn->heard)
		return TRUE;
	conn->pinged = !conn->heard;
	conn->heard = FALSE;
	sig_wheel_set(conn->hub->wheel, &conn->timer, conn->pinged ? limits->pong : limits->ping);
	if (conn->pinged) {
		conn->ping = TRUE;
		wake(conn);
	}
	return FALSE;
}

gboolean
sig_conn_expire(SigConn *conn)
{
	gboolean kill = TRUE;

	switch (conn->state) {
	case STATE_ACCEPTED:
	case STATE_CLOSING:
		break;
	case STATE_OFFERED:
		sig_conn_end(conn, SIG_CLOSE_LOGIN_TIMEOUT, "no login in time");
		kill = FALSE;
		break;
	case STATE_READY:
		kill = expire_ready(conn);
		break;
	}
	if (kill)
		sig_wheel_set(conn->hub->wheel, &conn->timer, CLOSING_TIMEOUT);
	return kill;
}

gpointer
sig_conn_transport(const SigConn *conn)
{
	return conn->transport;
}

GList *
sig_conn_link(SigConn *conn)
{
	return &conn->link;
}

GList *
sig_conn_woken_link(SigConn *conn)
{
	return &conn->woken;
}
