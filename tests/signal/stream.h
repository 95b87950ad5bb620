/* SPDX-License-Identifier: MIT */
/*
 * Stream: a non-blocking TCP connection, with TLS or without, in an epoll set. What the socket does
 * not take is kept, so writing never fails: a broken connection shows when it is read. An open
 * value type, so that 20,000 of them cost what they hold. One thread.
 */
#pragma once

#include <glib.h>
#include <gnutls/gnutls.h>
#include <netinet/in.h>

typedef struct StreamTls StreamTls; /* what all TLS streams share */

typedef struct {
	int epoll;
	gpointer owner; /* what epoll gives back */
	int fd;		/* -1: closed */
	gnutls_session_t tls;
	gboolean connecting : 1, handshaking : 1, paused : 1;
	guint32 events;	 /* asked of epoll */
	GByteArray *out; /* not yet taken; NULL: nothing */
	gsize in_tls;	 /* bytes that GnuTLS holds of a write that the socket did not take */
} Stream;

/* Any certificate is accepted. */
StreamTls *stream_tls_new(void);
void stream_tls_free(StreamTls *tls);

/* Connects, from `from` (port 0: any). FALSE with errno: no socket could be had. `tls` may be NULL.
 */
gboolean stream_open(Stream *stream, int epoll, gpointer owner, const struct sockaddr_in *from,
		     const struct sockaddr_in *to, StreamTls *tls);
/* reset: by RST, with what is still to be sent or read lost. Closing twice does nothing. */
void stream_close(Stream *stream, gboolean reset);

/* Goes on with connecting and writing. FALSE: broken. */
gboolean stream_advance(Stream *stream);
void stream_write(Stream *stream, gconstpointer data, gsize len);
/* Bytes read; 0: none now; -1: the other end has closed, or broken. */
gssize stream_read(Stream *stream, guint8 *data, gsize size);
/* A paused stream is not read, and what comes stays in the kernel. */
void stream_pause(Stream *stream, gboolean paused);
