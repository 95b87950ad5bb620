/* SPDX-License-Identifier: MIT */
/*
 * Sending. Datagrams that follow each other and have one size (the last may be shorter) form a run,
 * which leaves as one message with UDP_SEGMENT; sendmmsg takes all runs at once. Heads and data are
 * gathered by the kernel; nothing is copied here.
 *
 * A run may be refused where its single datagrams would not be: EINVAL or, from newer kernels,
 * EMSGSIZE when they exceed the path's MTU and would be fragmented, EIO on a path that cannot
 * compute checksums (IPsec). From then on such ones go alone.
 */
#include "agent/relay/nat-dgram.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

#define RUNS 64
#define RUN_MAX 64 /* UDP_MAX_SEGMENTS of old kernels */
#define PARTS 1024 /* datagrams */
#define WAIT_US (5 * 1000)

typedef union {
	char buf[CMSG_SPACE(sizeof(guint16))];
	struct cmsghdr align;
} Control;

typedef struct {
	guint n;	  /* datagrams */
	gsize size;	  /* of the first */
	gsize total;	  /* all bytes */
	gsize head_total; /* of these: heads */
	gboolean ended;	  /* a shorter one was the last */
} Run;

struct NatDgramOut {
	guint n_runs, n_parts, n_iov;
	Run runs[RUNS];
	struct mmsghdr msgs[RUNS];
	Control control[RUNS];
	struct iovec iov[PARTS * 2];
	guint8 heads[PARTS][NAT_DGRAM_HEAD_MAX];
};

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

/* ---- gathering ---- */

static gboolean
joins(const NatDgramOut *out, const NatDgram *sock, gsize size)
{
	const Run *run = out->n_runs > 0 ? &out->runs[out->n_runs - 1] : NULL;

	return run && !run->ended && run->n < RUN_MAX && size > 0 && size <= run->size &&
	       run->size < sock->gso_below && run->total + size <= NAT_DGRAM_MAX;
}

static void
begin_run(NatDgramOut *out, gsize size)
{
	struct msghdr *msg = &out->msgs[out->n_runs].msg_hdr;

	out->runs[out->n_runs] = (Run){.size = size};
	*msg = (struct msghdr){.msg_iov = &out->iov[out->n_iov]};
	out->n_runs++;
}

static void
add_iov(NatDgramOut *out, const guint8 *data, gsize len)
{
	out->iov[out->n_iov++] = (struct iovec){(guint8 *)data, len};
	out->msgs[out->n_runs - 1].msg_hdr.msg_iovlen++;
}

void
nat_dgram_add(NatDgramOut *out, NatDgram *sock, const guint8 *head, gsize head_len,
	      const guint8 *data, gsize len, NatDgramSent *sent)
{
	gsize size = head_len + len;
	Run *run;

	if (size > NAT_DGRAM_MAX || head_len > NAT_DGRAM_HEAD_MAX) {
		sent->dropped++;
		return;
	}
	if (!joins(out, sock, size)) {
		if (out->n_runs == RUNS)
			nat_dgram_flush(out, sock, sent);
		begin_run(out, size);
	}
	run = &out->runs[out->n_runs - 1];
	if (head_len > 0) {
		memcpy(out->heads[out->n_parts], head, head_len);
		add_iov(out, out->heads[out->n_parts], head_len);
	}
	add_iov(out, data, len);
	out->n_parts++;
	run->n++;
	run->total += size;
	run->head_total += head_len;
	run->ended = size < run->size;
	if (out->n_parts == PARTS)
		nat_dgram_flush(out, sock, sent);
}

/* ---- leaving ---- */

static void
put_segment_size(NatDgramOut *out, guint i)
{
	struct msghdr *msg = &out->msgs[i].msg_hdr;
	guint16 size = (guint16)out->runs[i].size;
	struct cmsghdr *c;

	if (out->runs[i].n < 2)
		return;
	msg->msg_control = &out->control[i];
	msg->msg_controllen = sizeof out->control[i];
	c = CMSG_FIRSTHDR(msg);
	c->cmsg_level = SOL_UDP;
	c->cmsg_type = UDP_SEGMENT;
	c->cmsg_len = CMSG_LEN(sizeof size);
	memcpy(CMSG_DATA(c), &size, sizeof size);
}

static void
count_sent(const NatDgramOut *out, guint from, guint n, NatDgramSent *sent)
{
	for (guint i = from; i < from + n; i++) {
		sent->packets += out->runs[i].n;
		sent->bytes += out->runs[i].total - out->runs[i].head_total;
	}
}

/* One deadline for a whole flush. */
static gboolean
wait_writable(NatDgram *sock, gint64 *end)
{
	gint64 now = g_get_monotonic_time();
	struct pollfd p = {.fd = sock->fd, .events = POLLOUT};

	if (sock->full)
		return FALSE;
	if (*end == 0)
		*end = now + WAIT_US;
	if (now < *end && poll(&p, 1, (int)((*end - now + 999) / 1000)) > 0)
		return TRUE;
	sock->full = TRUE;
	return FALSE;
}

/* An error that is told in place of sending (ECONNREFUSED: of an earlier datagram) leaves the
 * message unsent: once more, then. Returns 0 or an errno. */
static int
send_alone(NatDgram *sock, const struct msghdr *msg)
{
	for (int i = 0; i < 2; i++) {
		if (sendmsg(sock->fd, msg, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
			return 0;
		if (errno != ECONNREFUSED && errno != EINTR)
			break;
	}
	return errno;
}

static void
send_singly(NatDgramOut *out, NatDgram *sock, guint i, NatDgramSent *sent)
{
	const struct msghdr *run = &out->msgs[i].msg_hdr;
	gsize per = run->msg_iovlen / out->runs[i].n;

	for (gsize at = 0; at < run->msg_iovlen; at += per) {
		const struct msghdr msg = {.msg_iov = run->msg_iov + at, .msg_iovlen = per};
		int error = send_alone(sock, &msg);

		if (error != 0) {
			sent->dropped++;
			sent->error = error == EAGAIN ? sent->error : error;
			continue;
		}
		sent->packets++;
		sent->bytes += run->msg_iov[at + per - 1].iov_len;
	}
}

/* The i-th message could not be sent with the others. */
static void
send_refused(NatDgramOut *out, NatDgram *sock, guint i, int error, NatDgramSent *sent)
{
	const Run *run = &out->runs[i];

	if (run->n > 1 && (error == EINVAL || error == EMSGSIZE || error == EIO))
		sock->gso_below = error == EIO ? 0 : MIN(run->size, sock->gso_below);
	else if (error != ECONNREFUSED) {
		sent->error = error;
		sent->dropped += run->n;
		return;
	} else
		sent->error = error;
	send_singly(out, sock, i, sent);
}

void
nat_dgram_flush(NatDgramOut *out, NatDgram *sock, NatDgramSent *sent)
{
	gint64 end = 0;
	guint i = 0;

	for (guint j = 0; j < out->n_runs; j++)
		put_segment_size(out, j);
	while (i < out->n_runs) {
		int n = sendmmsg(sock->fd, out->msgs + i, out->n_runs - i,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0) {
			sock->full = FALSE;
			count_sent(out, i, (guint)n, sent);
			i += (guint)n;
		} else if (errno == EAGAIN) {
			if (!wait_writable(sock, &end))
				break;
		} else if (errno != EINTR) {
			send_refused(out, sock, i, errno, sent);
			i++;
		}
	}
	for (; i < out->n_runs; i++)
		sent->dropped += out->runs[i].n;
	out->n_runs = out->n_parts = out->n_iov = 0;
}
