/* SPDX-License-Identifier: MIT */
/*
 * SigConn: the protocol of one connection (PROTOCOL.md), without the network: pieces of WebSocket
 * messages come in, frames to write go out through a bounded queue. The time is hub->now.
 *
 *     accepted ──open──▶ offered ──login──▶ ready
 *        └────────────────┴───────────────────┴──▶ closing ──▶ (freed by the transport)
 *
 * accepted  TCP, and the HTTP upgrade; in the gate; the login's time runs
 * offered   hello is queued; only a login may come; in the gate; the login's time still runs
 * ready     in the directory; pinged when silent
 * closing   nothing is read any more; what is queued goes out, then the close frame; killed when
 *           that takes too long
 *
 * All functions are called from the server's one thread. None frees a connection but
 * sig_conn_free().
 */
#pragma once

#include "signaling/sig-hub.h"
#include "signaling/sig-queue.h"

typedef struct SigConn SigConn;

/* Takes over the caller's place in the gate. */
SigConn *sig_conn_new(SigHub *hub, const WgEndpoint *address, gpointer transport);
/* It comes from this host itself. */
void sig_conn_set_from_here(SigConn *conn);
/* Leaves gate and directory; peers are told. */
void sig_conn_free(SigConn *conn);

/* The WebSocket is open: queues hello. */
void sig_conn_open(SigConn *conn);
/* A piece of a message. `remaining`: bytes of its frame still to come; `final`: of its last frame.
 */
void sig_conn_receive(SigConn *conn, const guint8 *data, gsize len, gsize remaining, gboolean final,
		      gboolean binary);
/* A ping or a pong came: it costs as much as a frame. A pong is a sign of life too. */
void sig_conn_pinged(SigConn *conn);
void sig_conn_ponged(SigConn *conn);

/* What the transport does about the frames of a connection. */
typedef enum {
	SIG_WRITER_IDLE,    /* nothing: the next one wakes it */
	SIG_WRITER_WOKEN,   /* it was told (hub->wake), and will write them */
	SIG_WRITER_BLOCKED, /* it waits for the socket, and will write them then */
	SIG_WRITER_ENDED,   /* it writes none any more */
} SigWriter;

SigWriter sig_conn_writer(const SigConn *conn);
/* For the transport; returns what it was. */
SigWriter sig_conn_set_writer(SigConn *conn, SigWriter writer);
/* The next frame to write (transfer full, g_free); NULL when the queue is empty. */
SigOut *sig_conn_pop(SigConn *conn);
/* Whether a ping is to be written now; clears it. */
gboolean sig_conn_take_ping(SigConn *conn);
/* The code of the close frame to write now: once, when the queue has been written. Else
 * SIG_CLOSE_NONE. */
SigClose sig_conn_take_close(SigConn *conn);
gboolean sig_conn_is_closing(const SigConn *conn);
/* Its WebSocket is not open yet, so nothing was said to it. */
gboolean sig_conn_is_unanswered(const SigConn *conn);

/* Queues an error frame and closes. No effect when closing already. */
void sig_conn_end(SigConn *conn, SigClose why, const char *text);
/* Queues a drain frame and closes; for all of a server's connections in one go, so peers are not
 * told. One whose WebSocket is not open yet gets it in the place of hello: who was let in just
 * before is not cut off. */
void sig_conn_drain(SigConn *conn, guint within_s);

/* Who may log in, or meet whom, has changed: ends it if it may not any more, and has it log in anew
 * if it may meet others. */
void sig_conn_readmit(SigConn *conn);

/* For the wheel: the connection of a timer that fired, and what follows. TRUE: kill it now; the
 * timer runs again, in case that fails. */
SigConn *sig_conn_from_timer(SigTimer *timer);
gboolean sig_conn_expire(SigConn *conn);

/* The same for hub->turn_wheel: fresh credentials, while it has a mutual peer. */
SigConn *sig_conn_from_turn_timer(SigTimer *timer);
void sig_conn_renew_turn(SigConn *conn);

gpointer sig_conn_transport(const SigConn *conn);
/* For the transport's lists of all, and of those that are woken; their data is the connection. */
GList *sig_conn_link(SigConn *conn);
GList *sig_conn_woken_link(SigConn *conn);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SigConn, sig_conn_free)
