/* SPDX-License-Identifier: MIT */
/*
 * NatDgram: a connected datagram socket, read and written many datagrams at a time: recvmmsg and
 * sendmmsg everywhere, UDP_GRO and UDP_SEGMENT (udp(7), Linux 4.18 and 5.0) where the socket is UDP
 * and the kernel has them. No allocation per datagram. Each object belongs to one thread.
 */
#pragma once

#include <glib.h>

/* What a datagram can hold at most (UDP over IPv4). */
#define NAT_DGRAM_MAX 65507u

/* What one read brings at most. */
#define NAT_DGRAM_BATCH 2048

typedef struct {
	int fd;
	gboolean udp;	   /* else one end of a socketpair */
	gboolean gro;	   /* one message may hold several datagrams of one size */
	gboolean gathered; /* the last read had such a one */
	gsize gso_below;   /* smaller ones than this may leave together; 0: none */
	gboolean full;	   /* it stayed full when last waited for */
} NatDgram;

/* Takes fd; makes it non-blocking, sizes its buffers, looks at what it can do. */
void nat_dgram_init(NatDgram *sock, int fd);
/* Room in a socketpair beyond the usual, for what must not wait until data has left. Any thread. */
void nat_dgram_set_wide(const NatDgram *sock, gboolean wide);
void nat_dgram_close(NatDgram *sock);

typedef struct NatDgramIn NatDgramIn; /* what one read brought */

NatDgramIn *nat_dgram_in_new(void);
void nat_dgram_in_free(NatDgramIn *in);
/* Reads what waits, up to a batch. Returns the number of datagrams, -1 with errno set (EAGAIN:
 * none); 0: the other end of a socketpair is shut. (An empty UDP datagram counts as one.) */
int nat_dgram_read(NatDgram *sock, NatDgramIn *in);
/* The n-th of them, NULL when there are not so many. Valid until the next read. */
const guint8 *nat_dgram_in_get(const NatDgramIn *in, guint n, gsize *len);

typedef struct {
	guint packets, dropped;
	guint64 bytes; /* of the data in `packets`, without their heads */
	int error;     /* the last one, unless it was a full socket; 0: none */
} NatDgramSent;

#define NAT_DGRAM_HEAD_MAX 4

typedef struct NatDgramOut NatDgramOut; /* what shall leave by one socket */

NatDgramOut *nat_dgram_out_new(void);
void nat_dgram_out_free(NatDgramOut *out);
/* One more datagram for `sock`: head (copied, at most NAT_DGRAM_HEAD_MAX bytes, of one length until
 * the flush), then data, which must live until the flush. Flushes by itself when no more fit. */
void nat_dgram_add(NatDgramOut *out, NatDgram *sock, const guint8 *head, gsize head_len,
		   const guint8 *data, gsize len, NatDgramSent *sent);
/* Sends what was added and adds to *sent what became of it. A full socket is waited for, some
 * milliseconds at most, and not again before it took something; what does not fit then, is too big
 * or is refused is dropped. */
void nat_dgram_flush(NatDgramOut *out, NatDgram *sock, NatDgramSent *sent);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatDgramIn, nat_dgram_in_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatDgramOut, nat_dgram_out_free)
