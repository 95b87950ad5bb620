/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation. The inward thread connects (and shakes hands), starts the outward thread,
 * and from then on reads the stream, takes the frames apart and sends each as one datagram; the
 * outward thread reads datagrams, many at a time, and writes them as one piece. All calls block.
 * GTlsConnection allows one reading and one writing thread. Whoever meets an end shuts down
 * everything, which wakes the other:
 *
 *     the owner closes his fd  → outward reads the rest, then the end → TCP is shut → inward ends
 *     the server ends          → inward reads the end → the pair is shut → the owner reads the end
 *
 * A server that takes nothing holds the outward thread until TCP_USER_TIMEOUT; meanwhile the pair
 * fills and the owner's datagrams are dropped by his kernel, as UDP's would be.
 */
#define G_LOG_DOMAIN "turn"
#include "agent/relay/nat-turn-stream.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/net/nat-certificate.h"
#include "agent/relay/nat-turn-frame.h"

#define CONNECT_S 8
#define UNSENT_MS 10000
/* What TCP takes before it can send it: a request must not wait behind seconds of data. */
#define UNSENT_BYTES (64 * 1024)
#define DATAGRAMS 32
#define DATAGRAM_MAX 9216 /* of ours: WireGuard on a jumbo link; a request is smaller */
#define PAIR_BUFFER (512 * 1024)

struct NatTurnStream {
	gatomicrefcount refs; /* the owner, the threads */
	NatTurnUri *uri;      /* without credentials */
	WgEndpoint server;
	guint32 fwmark;
	GCancellable *cancellable; /* of the connecting */
	int pair;		   /* our end */
	GSocket *socket;
	GIOStream *io; /* over socket */
	GMutex lock;
	char *problem; /* under lock */
};

static NatTurnStream *
stream_ref(NatTurnStream *stream)
{
	g_atomic_ref_count_inc(&stream->refs);
	return stream;
}

static void
stream_unref(NatTurnStream *stream)
{
	if (!g_atomic_ref_count_dec(&stream->refs))
		return;
	g_clear_object(&stream->io);
	g_clear_object(&stream->socket);
	g_object_unref(stream->cancellable);
	close(stream->pair);
	nat_turn_uri_free(stream->uri);
	g_free(stream->problem);
	g_mutex_clear(&stream->lock);
	g_free(stream);
}

/* The first one is the cause. */
static void
set_problem(NatTurnStream *stream, const char *problem)
{
	g_mutex_lock(&stream->lock);
	if (!stream->problem)
		stream->problem = g_strdup(problem);
	g_mutex_unlock(&stream->lock);
}

/* ---- both threads ---- */

static void
shut(NatTurnStream *stream)
{
	shutdown(stream->pair, SHUT_RDWR);
	if (stream->socket)
		g_socket_shutdown(stream->socket, TRUE, TRUE, NULL);
}

/* ---- outward: datagrams to the stream ---- */

typedef struct {
	guint8 buf[DATAGRAMS][DATAGRAM_MAX];
	struct iovec iov[DATAGRAMS];
	struct mmsghdr msgs[DATAGRAMS];
	guint8 out[DATAGRAMS * (DATAGRAM_MAX + 3)];
} Outward;

static gsize
gather(Outward *o, int n)
{
	gsize at = 0;

	for (int i = 0; i < n; i++) {
		gsize len = o->msgs[i].msg_len, pad = nat_turn_frame_padding(len);

		if (o->msgs[i].msg_hdr.msg_flags & MSG_TRUNC)
			continue;
		memcpy(o->out + at, o->buf[i], len);
		memset(o->out + at + len, 0, pad);
		at += len + pad;
	}
	return at;
}

static int
receive(NatTurnStream *stream, Outward *o)
{
	int n;

	for (int i = 0; i < DATAGRAMS; i++) {
		o->iov[i] = (struct iovec){o->buf[i], DATAGRAM_MAX};
		o->msgs[i].msg_hdr = (struct msghdr){.msg_iov = &o->iov[i], .msg_iovlen = 1};
	}
	do
		n = recvmmsg(stream->pair, o->msgs, DATAGRAMS, MSG_WAITFORONE, NULL);
	while (n < 0 && errno == EINTR);
	/* The end is told as datagrams of no length. */
	while (n > 0 && o->msgs[n - 1].msg_len == 0)
		n--;
	return n;
}

static gpointer
run_outward(gpointer data)
{
	NatTurnStream *stream = data;
	GOutputStream *out = g_io_stream_get_output_stream(stream->io);
	g_autofree Outward *o = g_new0(Outward, 1);
	g_autoptr(GError) error = NULL;
	int n;

	while (!error && (n = receive(stream, o)) > 0) {
		gsize len = gather(o, n);

		g_output_stream_write_all(out, o->out, len, NULL, NULL, &error);
	}
	if (error)
		set_problem(stream, error->message);
	shut(stream);
	stream_unref(stream);
	return NULL;
}

/* ---- inward: the stream to datagrams ---- */

static gboolean
send_datagram(NatTurnStream *stream, const guint8 *msg, gsize len)
{
	gssize n;

	do
		n = send(stream->pair, msg, len, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	/* A frame that is too big for the pair is no packet of WireGuard's. */
	return n >= 0 || errno == EMSGSIZE;
}

/* Hands out the complete frames and moves the rest to the front. FALSE: the end. */
static gboolean
hand_out(NatTurnStream *stream, guint8 *buf, gsize *have)
{
	gsize at = 0;
	NatTurnFrame frame;
	NatTurnFrameResult result;

	while ((result = nat_turn_frame_next(buf + at, *have - at, &frame)) ==
	       NAT_TURN_FRAME_COMPLETE) {
		if (!send_datagram(stream, buf + at, frame.len))
			return FALSE;
		at += frame.whole;
	}
	*have -= at;
	memmove(buf, buf + at, *have);
	if (result == NAT_TURN_FRAME_BAD)
		set_problem(stream, "what answers there does not speak TURN");
	return result != NAT_TURN_FRAME_BAD;
}

static void
copy_inward(NatTurnStream *stream)
{
	GInputStream *in = g_io_stream_get_input_stream(stream->io);
	g_autofree guint8 *buf = g_malloc(NAT_TURN_FRAME_MAX);
	g_autoptr(GError) error = NULL;
	gsize have = 0;
	gssize n;

	/* A frame that is not complete is shorter than the buffer, so there is always room. */
	while ((n = g_input_stream_read(in, buf + have, NAT_TURN_FRAME_MAX - have, NULL, &error)) >
	       0) {
		have += (gsize)n;
		if (!hand_out(stream, buf, &have))
			return;
	}
	set_problem(stream, error ? error->message : "the server closed the connection");
}

/* ---- connecting ---- */

static void
set_int(GSocket *sock, int level, int option, int value)
{
	g_autoptr(GError) error = NULL;

	if (!g_socket_set_option(sock, level, option, value, &error))
		g_debug("socket option %d: %s", option, error->message);
}

static gboolean
connect_tcp(NatTurnStream *stream, GError **error)
{
	g_autoptr(GSocketAddress) address = g_socket_address_new_from_native(
		&stream->server, wg_endpoint_socklen(&stream->server));
	GSocket *sock = stream->socket;

	if (stream->fwmark != 0 &&
	    !g_socket_set_option(sock, SOL_SOCKET, SO_MARK, (int)stream->fwmark, error)) {
		g_prefix_error(error, "SO_MARK (needs CAP_NET_ADMIN): ");
		return FALSE;
	}
	set_int(sock, IPPROTO_TCP, TCP_NODELAY, 1);
	set_int(sock, IPPROTO_TCP, TCP_USER_TIMEOUT, UNSENT_MS);
	set_int(sock, IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT_BYTES);
	g_socket_set_timeout(sock, CONNECT_S);
	return g_socket_connect(sock, address, stream->cancellable, error);
}

/* Only says why: what is wrong stays refused. */
static gboolean
on_bad_certificate(GTlsConnection *tls, GTlsCertificate *cert, GTlsCertificateFlags flags,
		   gpointer user_data)
{
	set_problem(user_data, nat_certificate_problem(flags));
	return FALSE;
}

static gboolean
shake_hands(NatTurnStream *stream, GError **error)
{
	g_autoptr(GSocketConnectable) identity =
		g_network_address_new(stream->uri->host, stream->uri->port);
	GIOStream *tls = g_tls_client_connection_new(stream->io, identity, error);

	if (!tls)
		return FALSE;
	g_object_unref(stream->io);
	stream->io = tls;
	/* A server that closes without a farewell ends a stream of whole frames. */
	g_tls_connection_set_require_close_notify(G_TLS_CONNECTION(tls), FALSE);
	g_signal_connect(tls, "accept-certificate", G_CALLBACK(on_bad_certificate), stream);
	return g_tls_connection_handshake(G_TLS_CONNECTION(tls), stream->cancellable, error);
}

static gboolean
connect_stream(NatTurnStream *stream, GError **error)
{
	if (!connect_tcp(stream, error))
		return FALSE;
	stream->io = G_IO_STREAM(g_socket_connection_factory_create_connection(stream->socket));
	if (stream->uri->transport == NAT_TURN_TLS && !shake_hands(stream, error))
		return FALSE;
	g_socket_set_timeout(stream->socket, 0);
	return TRUE;
}

static void
connect_failed(NatTurnStream *stream, const GError *error)
{
	if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CONNECTION_REFUSED))
		set_problem(stream, "nothing listens there (connection refused)");
	else if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT))
		set_problem(stream, "no answer");
	else
		set_problem(stream, error->message);
}

static gpointer
run_inward(gpointer data)
{
	NatTurnStream *stream = data;
	g_autoptr(GError) error = NULL;
	g_autoptr(GThread) outward = NULL;

	if (connect_stream(stream, &error)) {
		outward = g_thread_try_new("nat-turn-out", run_outward, stream_ref(stream), &error);
		if (outward)
			copy_inward(stream);
		else
			stream_unref(stream);
	}
	if (error)
		connect_failed(stream, error);
	shut(stream);
	stream_unref(stream);
	return NULL;
}

/* ---- the owner ---- */

static gboolean
open_pair(int pair[2], GError **error)
{
	int size = PAIR_BUFFER;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "socketpair: %s",
			    g_strerror(errno));
		return FALSE;
	}
	setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	return TRUE;
}

static NatTurnUri *
without_credentials(const NatTurnUri *uri)
{
	NatTurnUri server = *uri;

	server.username = server.password = NULL;
	return nat_turn_uri_copy(&server);
}

NatTurnStream *
nat_turn_stream_new(const NatTurnUri *uri, const WgEndpoint *server, guint32 fwmark, int *fd,
		    GError **error)
{
	NatTurnStream *stream;
	GSocketFamily family = (GSocketFamily)wg_endpoint_family(server);
	g_autoptr(GSocket) sock =
		g_socket_new(family, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, error);
	g_autoptr(GThread) thread = NULL;
	int pair[2];

	if (!sock || !open_pair(pair, error))
		return NULL;
	stream = g_new0(NatTurnStream, 1);
	g_atomic_ref_count_init(&stream->refs);
	g_mutex_init(&stream->lock);
	stream->uri = without_credentials(uri);
	stream->server = *server;
	stream->fwmark = fwmark;
	stream->cancellable = g_cancellable_new();
	stream->socket = g_steal_pointer(&sock);
	stream->pair = pair[1];
	thread = g_thread_try_new("nat-turn-in", run_inward, stream_ref(stream), error);
	if (thread) {
		*fd = pair[0];
		return stream;
	}
	close(pair[0]);
	stream_unref(stream);
	stream_unref(stream);
	return NULL;
}

void
nat_turn_stream_free(NatTurnStream *stream)
{
	if (!stream)
		return;
	g_cancellable_cancel(stream->cancellable);
	stream_unref(stream);
}

char *
nat_turn_stream_problem(NatTurnStream *stream)
{
	char *problem;

	g_mutex_lock(&stream->lock);
	problem = g_strdup(stream->problem);
	g_mutex_unlock(&stream->lock);
	return problem;
}
