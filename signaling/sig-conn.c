/* SPDX-License-Identifier: MIT */
#include "signaling/sig-conn.h"

#include <string.h>

#define CLOSING_TIMEOUT 5 /* s, to flush and to hear the client's close */
#define OUT_OVERHEAD (sizeof(SigOut) + 16)
#define BYTES_PER_TOKEN 1024 /* a control frame costs by its length: 16 kB take 1.4 ms to parse */

typedef enum {
	STATE_ACCEPTED,
	STATE_OFFERED,
	STATE_READY,
	STATE_CLOSING,
} State;

struct SigConn {
	SigHub *hub;
	gpointer transport;
	GList link, leaving;
	SigTimer timer;
	State state;
	SigClose close;	     /* its frame is still to be written */
	gboolean heard : 1;  /* since the timer was set */
	gboolean pinged : 1; /* and not heard since */
	gboolean ping : 1;   /* to be written */
	gboolean in_gate : 1;
	gboolean is_leaving : 1;
	SigOut *first, **last;
	gsize queued;	     /* bytes, with overhead */
	GByteArray *partial; /* of a message that comes in pieces */
	SigOffer *offer;     /* until logged in */
	SigMember *member;   /* while in the directory */
	WgEndpoint address;
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
	conn->in_gate = TRUE;
	conn->link.data = conn->leaving.data = conn;
	conn->last = &conn->first;
	sig_wheel_set(hub->wheel, &conn->timer, hub->limits.login_timeout);
	return conn;
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

static void
clear_queue(SigConn *conn)
{
	SigOut *out;

	while ((out = sig_conn_pop(conn)))
		g_free(out);
}

void
sig_conn_free(SigConn *conn)
{
	conn->transport = NULL;
	leave_gate(conn);
	leave_directory(conn);
	settle(conn->hub);
	sig_wheel_cancel(&conn->timer);
	clear_queue(conn);
	g_clear_pointer(&conn->partial, g_byte_array_unref);
	g_clear_pointer(&conn->offer, sig_offer_free);
	g_free(conn);
}

/* ---- out ---- */

static void
wake(SigConn *conn)
{
	if (conn->transport)
		conn->hub->wake(conn->transport);
}

static void
append(SigConn *conn, SigOut *out)
{
	gboolean was_empty = !conn->first;

	*conn->last = out;
	conn->last = &out->next;
	conn->queued += out->len + OUT_OVERHEAD;
	if (was_empty)
		wake(conn);
}

static SigOut *
out_new(gsize len, gboolean binary)
{
	SigOut *out = g_malloc(sizeof *out + len);

	out->next = NULL;
	out->len = len;
	out->binary = binary;
	return out;
}

/* FALSE when the queue is full: then the connection is closing, and `out` is gone. */
static gboolean
push(SigConn *conn, SigOut *out)
{
	if (conn->state == STATE_CLOSING) {
		g_free(out);
		return FALSE;
	}
	if (conn->queued + out->len + OUT_OVERHEAD > conn->hub->limits.queue) {
		g_free(out);
		clear_queue(conn);
		end_connection(conn, SIG_CLOSE_OVERLOAD, "this connection reads too slowly");
		return FALSE;
	}
	append(conn, out);
	return TRUE;
}

static SigOut *
text_take(char *text)
{
	gsize len = strlen(text);
	SigOut *out = out_new(len, FALSE);

	memcpy(out->data, text, len);
	g_free(text);
	return out;
}

SigOut *
sig_conn_pop(SigConn *conn)
{
	SigOut *out = conn->first;

	if (!out)
		return NULL;
	conn->first = out->next;
	if (!conn->first)
		conn->last = &conn->first;
	conn->queued -= out->len + OUT_OVERHEAD;
	return out;
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

	if (conn->first)
		return SIG_CLOSE_NONE;
	conn->close = SIG_CLOSE_NONE;
	return close;
}

gboolean
sig_conn_is_closing(const SigConn *conn)
{
	return conn->state == STATE_CLOSING;
}

/* ---- presence ---- */

static void
push_presence(SigConn *conn, const WgKey *keys, gsize n, gboolean online)
{
	/* The end of many at once is told by each to each: nothing is written for those. */
	if (n > 0 && conn->state != STATE_CLOSING)
		push(conn, text_take(online ? sig_wire_encode_presence(keys, n, NULL, 0)
					    : sig_wire_encode_presence(NULL, 0, keys, n)));
}

/* One frame for what self has to hear (its own interest found many), one for each other. */
static void
push_changes(SigConn *self, GArray *changes)
{
	WgKey own[SIG_WIRE_KEYS_MAX];
	gsize n_own = 0;

	for (guint i = 0; i < changes->len; i++) {
		const SigChange *change = &g_array_index(changes, SigChange, i);

		if (change->conn != self) {
			push_presence(change->conn, &change->key, 1, change->online);
			continue;
		}
		/* always online: nobody hears of their own removals */
		own[n_own++] = change->key;
		if (n_own == G_N_ELEMENTS(own)) {
			push_presence(self, own, n_own, TRUE);
			n_own = 0;
		}
	}
	push_presence(self, own, n_own, TRUE);
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

static void
log_end(SigConn *conn, SigClose why, const char *text)
{
	char address[WG_ENDPOINT_STRLEN];
	GLogLevelFlags level = G_LOG_LEVEL_MESSAGE;

	if (!sig_rate_limit_take(conn->hub->logs, "", 0, 1, conn->hub->now))
		level = G_LOG_LEVEL_DEBUG;
	g_log(G_LOG_DOMAIN, level, "%s: closed, %s: %s",
	      wg_endpoint_format(&conn->address, address), sig_close_code(why), text);
}

static void
end_connection(SigConn *conn, SigClose why, const char *text)
{
	if (conn->state == STATE_CLOSING)
		return;
	conn->hub->stats.refused++;
	log_end(conn, why, text);
	append(conn, text_take(sig_wire_encode_error(sig_close_code(why), text)));
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
	append(conn, text_take(sig_wire_encode_drain(within_s)));
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
	push(conn, text_take(sig_wire_encode_hello(sig_offer_hello(conn->offer))));
}

static void
handle_login(SigConn *conn, const SigLogin *login)
{
	SigHub *hub = conn->hub;
	g_autoptr(GArray) changes = NULL;
	g_autofree char *text = NULL;
	char seen[WG_ENDPOINT_STRLEN];
	SigConn *evicted;
	SigClose why = sig_auth_check(hub->auth, conn->offer, login, &text);

	if (why != SIG_CLOSE_NONE) {
		end_connection(conn, why, text);
		return;
	}
	g_clear_pointer(&conn->offer, sig_offer_free);
	leave_gate(conn);
	hub->stats.logins++;
	conn->state = STATE_READY;
	sig_wheel_set(hub->wheel, &conn->timer, hub->limits.ping);
	push(conn, text_take(sig_wire_encode_welcome(wg_endpoint_format(&conn->address, seen))));
	changes = sig_changes_new();
	evicted = sig_directory_join(hub->directory, &login->key, conn, &conn->member, changes);
	if (evicted)
		evicted->member = NULL;
	push_changes(conn, changes);
	if (evicted) {
		end_connection(evicted, SIG_CLOSE_DUPLICATE_KEY,
			       "another connection logged in with this key");
	}
}

static gboolean
take_tokens(SigConn *conn, guint cost)
{
	const WgKey *key = sig_member_key(conn->member);

	return sig_rate_limit_take(conn->hub->frames, key->b, sizeof key->b, cost, conn->hub->now);
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
	if (!take_tokens(conn, 1 + len / BYTES_PER_TOKEN))
		end_connection(conn, SIG_CLOSE_RATE_LIMITED, "too many frames");
	else if (frame->type == SIG_FRAME_INTEREST)
		handle_interest(conn, &frame->interest.add, &frame->interest.remove);
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

/* FALSE when the receiver's queue is full. */
static gboolean
push_message(SigConn *conn, SigConn *to, const guint8 *body, gsize len)
{
	SigOut *out = out_new(SIG_WIRE_BINARY_HEADER + len, TRUE);

	out->data[0] = SIG_WIRE_BINARY_VERSION;
	memcpy(out->data + 1, sig_member_key(conn->member)->b, WG_KEY_LEN);
	if (len > 0)
		memcpy(out->data + SIG_WIRE_BINARY_HEADER, body, len);
	return push(to, out);
}

static void
handle_binary(SigConn *conn, const guint8 *data, gsize len)
{
	SigHub *hub = conn->hub;
	g_autoptr(GError) error = NULL;
	SigConn *to = NULL;
	const guint8 *body;
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
	if (!take_tokens(conn, 1))
		hub->stats.rate_limited++;
	else
		to = sig_directory_route(hub->directory, conn->member, &key);
	if (to && push_message(conn, to, body, body_len)) {
		hub->stats.routed++;
	} else {
		hub->stats.unavailable++;
		push(conn, text_take(sig_wire_encode_unavailable(&key, 1)));
	}
}

void
sig_conn_receive(SigConn *conn, const guint8 *data, gsize len, gsize remaining, gboolean final,
		 gboolean binary)
{
	g_autoptr(GByteArray) whole = NULL;
	gsize have = conn->partial ? conn->partial->len : 0;

	sig_conn_heard(conn);
	if (conn->state == STATE_CLOSING)
		return;
	/* The frame's length header has said it: nothing is collected in vain. */
	if (have + len > SIG_WIRE_MAX || remaining > SIG_WIRE_MAX - have - len) {
		sig_conn_end(conn, SIG_CLOSE_TOO_BIG, "a message is longer than 16384 bytes");
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
	whole = g_steal_pointer(&conn->partial);
	if (binary)
		handle_binary(conn, data, len);
	else
		handle_text(conn, data, len);
	settle(conn->hub);
}

/* ---- time ---- */

void
sig_conn_heard(SigConn *conn)
{
	conn->heard = TRUE;
}

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
