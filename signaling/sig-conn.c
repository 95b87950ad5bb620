/* SPDX-License-Identifier: MIT */
#include "signaling/sig-conn-private.h"

#include <string.h>

#define CLOSING_TIMEOUT 5 /* s, to flush and to hear the client's close */

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

void
sig_conn_leave_gate(SigConn *conn)
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
	sig_conn_push_changes(conn, changes);
}

void
sig_conn_settle(SigHub *hub)
{
	while (hub->leaving.head)
		leave_directory(hub->leaving.head->data);
}

void
sig_conn_free(SigConn *conn)
{
	conn->transport = NULL;
	sig_conn_leave_gate(conn);
	leave_directory(conn);
	sig_conn_settle(conn->hub);
	sig_wheel_cancel(&conn->timer);
	sig_wheel_cancel(&conn->turn_timer);
	sig_queue_clear(&conn->queue);
	g_clear_pointer(&conn->partial, g_byte_array_unref);
	g_clear_pointer(&conn->offer, sig_offer_free);
	sig_address_unname(conn->from, conn->named);
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
gboolean
sig_conn_queued(SigConn *conn, gboolean ok)
{
	if (ok)
		wake(conn);
	return ok;
}

void
sig_conn_overload(SigConn *conn)
{
	sig_queue_clear(&conn->queue);
	sig_conn_end_unsettled(conn, SIG_CLOSE_OVERLOAD, "this connection reads too slowly");
}

/* What cannot be left out: a reader for which there is no room is ended. */
void
sig_conn_push(SigConn *conn, char *text)
{
	if (conn->state == STATE_CLOSING) {
		g_free(text);
		return;
	}
	if (!sig_conn_queued(conn, sig_queue_push_text_take(&conn->queue, text)))
		sig_conn_overload(conn);
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

gboolean
sig_conn_is_unanswered(const SigConn *conn)
{
	return conn->state == STATE_ACCEPTED;
}

/* ---- relays ---- */

/*
 * Credentials are for those who have a mutual peer online, and nothing is kept of them but when to
 * renew them: at half their life, so that what a client holds is good for that long at any time. A
 * client that has no peer by then gets none, until it has one again.
 */
void
sig_conn_give_turn(SigConn *conn)
{
	SigHub *hub = conn->hub;

	if (conn->state != STATE_READY || !hub->turn || !sig_member_has_mutual(conn->member))
		return;
	sig_wheel_set(hub->turn_wheel, &conn->turn_timer, sig_turn_ttl(hub->turn) / 2);
	sig_conn_push(conn, sig_turn_frame(hub->turn, sig_member_key(conn->member), hub->clock));
}

/* Before the presence of a peer, which is what a client acts on. */
static void
give_turn_once(SigConn *conn)
{
	if (!conn->turn_timer.next)
		sig_conn_give_turn(conn);
}

SigConn *
sig_conn_from_turn_timer(SigTimer *timer)
{
	return (SigConn *)((char *)timer - G_STRUCT_OFFSET(SigConn, turn_timer));
}

void
sig_conn_renew_turn(SigConn *conn)
{
	sig_conn_give_turn(conn);
	sig_conn_settle(conn->hub);
}

/* ---- presence ---- */

/* Where others see it too; NULL: it comes from this host or by a proxy on it, which says nothing.
 */
static const WgEndpoint *
seen_at(const SigConn *conn)
{
	return conn->from_here || wg_endpoint_is_bogus(&conn->address) ? NULL : &conn->address;
}

/* The end of many at once is told by each to each: nothing is written for those. */
static void
tell_presence(const SigChange *change)
{
	SigConn *conn = change->conn;
	const SigConn *about = change->about;
	const WgEndpoint *seen = about ? seen_at(about) : NULL;

	if (conn->state == STATE_CLOSING)
		return;
	if (!sig_conn_queued(conn, sig_queue_push_presence(&conn->queue, &change->key,
							   change->online, seen)))
		sig_conn_overload(conn);
}

/* One frame for what self has to hear (its own interest found many), one for each other. */
void
sig_conn_push_changes(SigConn *self, GArray *changes)
{
	WgKey own[SIG_WIRE_SEEN_KEYS_MAX];
	WgEndpoint seen[SIG_WIRE_SEEN_KEYS_MAX];
	const WgEndpoint *at;
	gsize n_own = 0;

	for (guint i = 0; i < changes->len; i++) {
		const SigChange *change = &g_array_index(changes, SigChange, i);

		if (change->online)
			give_turn_once(change->conn);
		if (change->conn != self) {
			tell_presence(change);
			continue;
		}
		/* always online: nobody hears of their own removals */
		own[n_own] = change->key;
		at = seen_at(change->about);
		seen[n_own++] = at ? *at : (WgEndpoint){0};
		if (n_own == G_N_ELEMENTS(own)) {
			sig_conn_push(self, sig_wire_encode_presence(own, seen, n_own, NULL, 0));
			n_own = 0;
		}
	}
	if (n_own > 0)
		sig_conn_push(self, sig_wire_encode_presence(own, seen, n_own, NULL, 0));
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

/* Whose connection it was (of: NULL: not known): addresses are the agents' own business. */
static void
log_end(SigConn *conn, const WgKey *of, SigClose why, const char *text)
{
	char address[WG_ENDPOINT_STRLEN] = "", key[WG_KEY_STRLEN] = "";
	GLogLevelFlags level = G_LOG_LEVEL_MESSAGE;

	if (!sig_rate_limit_take(conn->hub->logs, "", 0, 1, conn->hub->now))
		level = G_LOG_LEVEL_DEBUG;
	if (of)
		wg_key_format_short(of, key);
	if (conn->hub->log_addresses)
		wg_endpoint_format(&conn->address, address);
	g_log_structured(G_LOG_DOMAIN, level, "SIGNALD_EVENT", "closed", "SIGNALD_CODE",
			 sig_close_code(why), "SIGNALD_KEY", key, "SIGNALD_ADDRESS", address,
			 "MESSAGE", "%s%s%s%sclosed, %s: %s", key, key[0] ? " " : "", address,
			 address[0] ? " " : "", sig_close_code(why), text);
}

void
sig_conn_end_proved(SigConn *conn, const WgKey *key, SigClose why, const char *text)
{
	if (conn->state == STATE_CLOSING)
		return;
	conn->hub->stats.refused++;
	conn->hub->stats.closed[sig_close_index(why)]++;
	log_end(conn, key, why, text);
	sig_queue_push_last_take(&conn->queue, sig_wire_encode_error(sig_close_code(why), text));
	start_closing(conn, why);
}

void
sig_conn_end_unsettled(SigConn *conn, SigClose why, const char *text)
{
	sig_conn_end_proved(conn, conn->member ? sig_member_key(conn->member) : NULL, why, text);
}

void
sig_conn_end(SigConn *conn, SigClose why, const char *text)
{
	sig_conn_end_unsettled(conn, why, text);
	sig_conn_settle(conn->hub);
}

void
sig_conn_drain(SigConn *conn, guint within_s)
{
	if (conn->state == STATE_CLOSING)
		return;
	if (conn->state == STATE_ACCEPTED) {
		conn->drain_s = within_s;
		return;
	}
	conn->hub->stats.drained++;
	sig_queue_push_last_take(&conn->queue, sig_wire_encode_drain(within_s));
	/* No sig_conn_settle(): the presence of those who go first would fill the queues of the
	 * others, who are about to be drained too. */
	start_closing(conn, SIG_CLOSE_RESTART);
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
