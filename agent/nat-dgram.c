/* SPDX-License-Identifier: MIT */
#include "agent/nat-dgram.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* WireGuard's peers send in bursts; the default of some 200 kB loses them when the thread is late.
 */
#define BUFFER (8 * 1024 * 1024)
#define BATCH 64
#define WAIT_MS 5

struct NatDgramIn {
	guint n;
	gsize len[BATCH];
	guint8 data[BATCH][NAT_DGRAM_MAX + 1];
};

struct NatDgramOut {
	guint8 buf[NAT_DGRAM_MAX + 1];
};

static gboolean
set_int(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof value) == 0;
}

static int
get_int(int fd, int level, int option)
{
	int value = 0;
	socklen_t len = sizeof value;

	return getsockopt(fd, level, option, &value, &len) == 0 ? value : -1;
}

static void
size_buffers(int fd)
{
	/* the force needs CAP_NET_ADMIN; else net.core.{r,w}mem_max limits */
	if (!set_int(fd, SOL_SOCKET, SO_RCVBUFFORCE, BUFFER))
		set_int(fd, SOL_SOCKET, SO_RCVBUF, BUFFER);
	if (!set_int(fd, SOL_SOCKET, SO_SNDBUFFORCE, BUFFER))
		set_int(fd, SOL_SOCKET, SO_SNDBUF, BUFFER);
}

void
nat_dgram_init(NatDgram *sock, int fd)
{
	int domain = get_int(fd, SOL_SOCKET, SO_DOMAIN);

	*sock = (NatDgram){.fd = fd};
	sock->udp = (domain == AF_INET || domain == AF_INET6) &&
		    get_int(fd, SOL_SOCKET, SO_TYPE) == SOCK_DGRAM;
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	size_buffers(fd);
}

void
nat_dgram_close(NatDgram *sock)
{
	if (sock->fd >= 0)
		close(sock->fd);
	sock->fd = -1;
}

NatDgramIn *
nat_dgram_in_new(void)
{
	return g_new0(NatDgramIn, 1);
}

void
nat_dgram_in_free(NatDgramIn *in)
{
	g_free(in);
}

int
nat_dgram_read(NatDgram *sock, NatDgramIn *in)
{
	for (in->n = 0; in->n < BATCH; in->n++) {
		gssize len = recv(sock->fd, in->data[in->n], sizeof in->data[0], MSG_DONTWAIT);

		if (len < 0 && in->n == 0)
			return -1;
		if (len < 0)
			break;
		if (len == 0 && !sock->udp)
			break;
		in->len[in->n] = (gsize)len;
	}
	return (int)in->n;
}

const guint8 *
nat_dgram_in_get(const NatDgramIn *in, guint n, gsize *len)
{
	if (n >= in->n)
		return NULL;
	*len = in->len[n];
	return in->data[n];
}

NatDgramOut *
nat_dgram_out_new(void)
{
	return g_new0(NatDgramOut, 1);
}

void
nat_dgram_out_free(NatDgramOut *out)
{
	g_free(out);
}

static gboolean
wait_writable(NatDgram *sock)
{
	struct pollfd p = {.fd = sock->fd, .events = POLLOUT};

	if (!sock->full)
		sock->full = poll(&p, 1, WAIT_MS) <= 0;
	return !sock->full;
}

void
nat_dgram_add(NatDgramOut *out, NatDgram *sock, const guint8 *head, gsize head_len,
	      const guint8 *data, gsize len, NatDgramSent *sent)
{
	gssize n = -1;

	errno = EMSGSIZE;
	if (head_len + len <= NAT_DGRAM_MAX) {
		memcpy(out->buf, head, head_len);
		memcpy(out->buf + head_len, data, len);
		n = send(sock->fd, out->buf, head_len + len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN && wait_writable(sock))
			n = send(sock->fd, out->buf, head_len + len, MSG_DONTWAIT | MSG_NOSIGNAL);
	}
	if (n < 0) {
		sent->dropped++;
		if (errno != EAGAIN)
			sent->error = errno;
		return;
	}
	sock->full = FALSE;
	sent->packets++;
	sent->bytes += len;
}

void
nat_dgram_flush(NatDgramOut *out, NatDgram *sock, NatDgramSent *sent)
{
}
