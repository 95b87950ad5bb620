/* SPDX-License-Identifier: MIT */
/*
 * The socket itself and reading. With UDP_GRO one message may hold up to 64 kB of datagrams of one
 * size, the last of them perhaps shorter; so its slots are big, and few of them are used while
 * that happens: a batch shall stay within the caches, and the other sockets get their turn.
 */
#include "agent/relay/nat-dgram.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

/* Tunnels send in bursts; the default of some 200 kB loses them when the thread is late. What is
 * sent into a socketpair waits for a stream, and all that comes after waits with it: there is room
 * for one burst (the kernel doubles the figure and counts 2304 for a packet of 1400), and what
 * exceeds it is lost early, as at any router. */
#define BUFFER (8 * 1024 * 1024)
#define PAIR_BUFFER (64 * 1024)
#define SLOTS 64
#define SLOTS_GATHERED 8
/* A page more than a message: slots that lie 64 kB apart would fight for the same cache lines. */
#define SLOT_SIZE (65536 + 4096 + 64)

typedef struct {
	const guint8 *data;
	gsize len;
} Slice;

typedef union {
	char buf[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
} Control;

struct NatDgramIn {
	guint n;
	guint used; /* messages that the last read has changed */
	Slice slices[NAT_DGRAM_BATCH];
	struct mmsghdr msgs[SLOTS];
	struct iovec iov[SLOTS];
	Control control[SLOTS];
	guint8 data[SLOTS][SLOT_SIZE];
};

/* ---- the socket ---- */

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
size_buffers(int fd, int size)
{
	/* the force needs CAP_NET_ADMIN; else net.core.{r,w}mem_max limit it */
	if (!set_int(fd, SOL_SOCKET, SO_RCVBUFFORCE, size))
		set_int(fd, SOL_SOCKET, SO_RCVBUF, size);
	if (!set_int(fd, SOL_SOCKET, SO_SNDBUFFORCE, size))
		set_int(fd, SOL_SOCKET, SO_SNDBUF, size);
}

void
nat_dgram_init(NatDgram *sock, int fd)
{
	int domain = get_int(fd, SOL_SOCKET, SO_DOMAIN);

	*sock = (NatDgram){.fd = fd};
	sock->udp = (domain == AF_INET || domain == AF_INET6) &&
		    get_int(fd, SOL_SOCKET, SO_TYPE) == SOCK_DGRAM;
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	size_buffers(fd, sock->udp ? BUFFER : PAIR_BUFFER);
	if (!sock->udp)
		return;
	sock->gro = set_int(fd, SOL_UDP, UDP_GRO, 1);
	sock->gso_below = set_int(fd, SOL_UDP, UDP_SEGMENT, 0) ? NAT_DGRAM_MAX : 0;
}

void
nat_dgram_set_wide(const NatDgram *sock, gboolean wide)
{
	if (!sock->udp)
		size_buffers(sock->fd, wide ? 2 * PAIR_BUFFER : PAIR_BUFFER);
}

void
nat_dgram_close(NatDgram *sock)
{
	if (sock->fd >= 0)
		close(sock->fd);
	sock->fd = -1;
}

/* ---- reading ---- */

NatDgramIn *
nat_dgram_in_new(void)
{
	NatDgramIn *in = g_new0(NatDgramIn, 1);

	for (int i = 0; i < SLOTS; i++) {
		in->iov[i] = (struct iovec){in->data[i], SLOT_SIZE};
		in->msgs[i].msg_hdr.msg_iov = &in->iov[i];
		in->msgs[i].msg_hdr.msg_iovlen = 1;
		in->msgs[i].msg_hdr.msg_control = &in->control[i];
	}
	in->used = SLOTS;
	return in;
}

void
nat_dgram_in_free(NatDgramIn *in)
{
	g_free(in);
}

/* 0: one datagram. */
static gsize
segment_size(struct msghdr *msg)
{
	int size;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_UDP || c->cmsg_type != UDP_GRO ||
		    c->cmsg_len < CMSG_LEN(sizeof size))
			continue;
		memcpy(&size, CMSG_DATA(c), sizeof size);
		return size > 0 ? (gsize)size : 0;
	}
	return 0;
}

static void
add_slice(NatDgramIn *in, const guint8 *data, gsize len)
{
	/* the kernel's own bounds lie below */
	if (in->n < NAT_DGRAM_BATCH)
		in->slices[in->n++] = (Slice){data, len};
}

static void
cut(NatDgram *sock, NatDgramIn *in, guint slot)
{
	struct msghdr *msg = &in->msgs[slot].msg_hdr;
	gsize len = in->msgs[slot].msg_len, size = sock->gro ? segment_size(msg) : 0;

	if (msg->msg_flags & MSG_TRUNC)
		return;
	if (size == 0 || len <= size) {
		add_slice(in, in->data[slot], len);
		return;
	}
	sock->gathered = TRUE;
	for (gsize at = 0; at < len; at += size)
		add_slice(in, in->data[slot] + at, MIN(size, len - at));
}

int
nat_dgram_read(NatDgram *sock, NatDgramIn *in)
{
	guint slots = sock->gathered ? SLOTS_GATHERED : SLOTS;
	int n;

	for (guint i = 0; i < in->used; i++)
		in->msgs[i].msg_hdr.msg_controllen = sizeof in->control[i];
	in->n = 0;
	n = recvmmsg(sock->fd, in->msgs, slots, MSG_DONTWAIT, NULL);
	in->used = n > 0 ? (guint)n : 0;
	if (n < 0)
		return -1;
	sock->gathered = FALSE;
	for (guint i = 0; i < (guint)n; i++) {
		if (!sock->udp && in->msgs[i].msg_len == 0)
			return (int)in->n; /* shut: every further read says the same */
		cut(sock, in, i);
	}
	if (in->n > 0)
		return (int)in->n;
	errno = EMSGSIZE;
	return -1;
}

const guint8 *
nat_dgram_in_get(const NatDgramIn *in, guint n, gsize *len)
{
	if (n >= in->n)
		return NULL;
	*len = in->slices[n].len;
	return in->slices[n].data;
}
