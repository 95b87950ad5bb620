/* SPDX-License-Identifier: MIT */
#include "tests/signal/stream.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

struct StreamTls {
	gnutls_certificate_credentials_t credentials;
	gnutls_priority_t priority;
};

/* One group: GnuTLS would else make a key for each of two, which is what a client's part costs. */
#define PRIORITY "NORMAL:-VERS-ALL:+VERS-TLS1.3:-GROUP-ALL:+GROUP-X25519"

StreamTls *
stream_tls_new(void)
{
	StreamTls *tls = g_new0(StreamTls, 1);

	if (gnutls_certificate_allocate_credentials(&tls->credentials) < 0 ||
	    gnutls_priority_init(&tls->priority, PRIORITY, NULL) < 0)
		g_error("GnuTLS does not start");
	return tls;
}

void
stream_tls_free(StreamTls *tls)
{
	gnutls_priority_deinit(tls->priority);
	gnutls_certificate_free_credentials(tls->credentials);
	g_free(tls);
}

static void
watch(Stream *stream)
{
	guint32 events = stream->paused ? 0 : EPOLLIN;
	struct epoll_event event = {.data.ptr = stream->owner};

	if (stream->connecting || stream->out || stream->in_tls > 0 ||
	    (stream->handshaking && gnutls_record_get_direction(stream->tls) == 1))
		events |= EPOLLOUT;
	if (events == stream->events)
		return;
	stream->events = event.events = events;
	epoll_ctl(stream->epoll, EPOLL_CTL_MOD, stream->fd, &event);
}

static void
start_tls(Stream *stream, StreamTls *tls)
{
	if (gnutls_init(&stream->tls, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL) < 0)
		g_error("GnuTLS has no memory");
	gnutls_credentials_set(stream->tls, GNUTLS_CRD_CERTIFICATE, tls->credentials);
	gnutls_priority_set(stream->tls, tls->priority);
	gnutls_transport_set_int(stream->tls, stream->fd);
	stream->handshaking = TRUE;
}

gboolean
stream_open(Stream *stream, int epoll, gpointer owner, const struct sockaddr_in *from,
	    const struct sockaddr_in *to, StreamTls *tls)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = owner};
	int one = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	*stream = (Stream){.epoll = epoll, .owner = owner, .fd = fd};
	if (fd < 0)
		return FALSE;
	/* the port only when the other end is known: 28,000 of them for each address and server */
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (bind(fd, (const struct sockaddr *)from, sizeof *from) < 0 ||
	    (connect(fd, (const struct sockaddr *)to, sizeof *to) < 0 && errno != EINPROGRESS) ||
	    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
		int err = errno;

		close(fd);
		stream->fd = -1;
		errno = err;
		return FALSE;
	}
	stream->events = event.events;
	stream->connecting = TRUE;
	if (tls)
		start_tls(stream, tls);
	return TRUE;
}

void
stream_close(Stream *stream, gboolean reset)
{
	const struct linger now = {.l_onoff = 1, .l_linger = 0};

	if (stream->fd < 0)
		return;
	if (reset)
		setsockopt(stream->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	close(stream->fd);
	stream->fd = -1;
	g_clear_pointer(&stream->out, g_byte_array_unref);
	g_clear_pointer(&stream->tls, gnutls_deinit);
}

/* Bytes taken, 0 when the socket is full. A broken one takes all: reading it tells. */
static gsize
put_plain(Stream *stream, const guint8 *data, gsize len)
{
	gssize n = send(stream->fd, data, len, MSG_NOSIGNAL);

	if (n >= 0)
		return (gsize)n;
	return errno == EAGAIN || errno == EINTR ? 0 : len;
}

/* GnuTLS makes a record of what it is given and keeps that when the socket is full: it counts as
 * taken, and the next call has to send the rest of it first. */
static gsize
put_tls(Stream *stream, const guint8 *data, gsize len)
{
	gssize n;

	if (stream->in_tls > 0) {
		n = gnutls_record_send(stream->tls, NULL, 0);
		if (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED)
			return 0;
		stream->in_tls = 0;
	}
	if (len == 0)
		return 0;
	n = gnutls_record_send(stream->tls, data, len);
	if (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED) {
		stream->in_tls = MIN(len, gnutls_record_get_max_size(stream->tls));
		return stream->in_tls;
	}
	return n < 0 ? len : (gsize)n;
}

static gsize
put(Stream *stream, const guint8 *data, gsize len)
{
	gsize done = 0;

	if (stream->connecting || stream->handshaking)
		return 0;
	while (done < len) {
		gsize n = stream->tls ? put_tls(stream, data + done, len - done)
				      : put_plain(stream, data + done, len - done);

		if (n == 0)
			break;
		done += n;
	}
	return done;
}

static void
flush(Stream *stream)
{
	if (stream->in_tls > 0)
		put_tls(stream, NULL, 0);
	if (stream->out) {
		gsize n = put(stream, stream->out->data, stream->out->len);

		if (n == stream->out->len)
			g_clear_pointer(&stream->out, g_byte_array_unref);
		else if (n > 0)
			g_byte_array_remove_range(stream->out, 0, (guint)n);
	}
}

static gboolean
connected(Stream *stream)
{
	int err = 0;
	socklen_t len = sizeof err;

	if (getsockopt(stream->fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0 || err != 0)
		return FALSE;
	stream->connecting = FALSE;
	return TRUE;
}

static gboolean
shake_hands(Stream *stream)
{
	int n = gnutls_handshake(stream->tls);

	stream->handshaking = n < 0;
	return n == 0 || !gnutls_error_is_fatal(n);
}

gboolean
stream_advance(Stream *stream)
{
	if (stream->connecting && !connected(stream))
		return FALSE;
	if (stream->handshaking && !shake_hands(stream))
		return FALSE;
	flush(stream);
	watch(stream);
	return TRUE;
}

void
stream_write(Stream *stream, gconstpointer data, gsize len)
{
	gsize done = 0;

	if (stream->fd < 0)
		return;
	if (!stream->out)
		done = put(stream, data, len);
	if (done < len) {
		if (!stream->out)
			stream->out = g_byte_array_new();
		g_byte_array_append(stream->out, (const guint8 *)data + done, (guint)(len - done));
	}
	watch(stream);
}

gssize
stream_read(Stream *stream, guint8 *data, gsize size)
{
	gssize n;

	if (stream->connecting || stream->handshaking || stream->paused)
		return 0;
	if (stream->tls) {
		n = gnutls_record_recv(stream->tls, data, size);
		if (n < 0)
			return gnutls_error_is_fatal((int)n) ? -1 : 0;
	} else {
		n = recv(stream->fd, data, size, 0);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -1;
	}
	return n == 0 ? -1 : n;
}

void
stream_pause(Stream *stream, gboolean paused)
{
	if (stream->fd < 0)
		return;
	stream->paused = paused;
	watch(stream);
}
