/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation. A raw UDP socket gets a copy of every UDP packet that the host's firewall
 * let in (tests/platform/rawsock-firewall.c), beside the socket that has the port
 * (tests/platform/rawsock-beside-udp-socket.c); a classic BPF filter keeps those that are STUN
 * Binding messages to WireGuard's port, so that data costs no copy. A packet that came before the
 * filter, or under an older one, may lie in the queue: a filter that refuses all is put first, the
 * queue drained, then the real one put.
 *
 * IPv4 hands over the IP header, IPv6 does not. The UDP checksum of IPv4 is left alone: on veth and
 * offloading cards the queue holds packets whose checksum is still to be computed. A damaged
 * message fails its FINGERPRINT or MESSAGE-INTEGRITY.
 */
#include "agent/mux/nat-rawsock.h"

#include "agent/mux/nat-stun.h"

#include <errno.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <linux/filter.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH 64
#define UDP_CHECKSUM_AT 6
#define SEND_MAX 2048

typedef struct {
	int fd; /* -1: the family is missing */
	int family;
	GSource *source;
	NatRawSock *sock;
} Half;

struct NatRawSock {
	guint16 port;
	NatRawSockFunc func;
	gpointer user_data;
	Half v4, v6;
};

static gboolean
fail(GError **error, int err, const char *what)
{
	g_set_error(error, G_IO_ERROR, g_io_error_from_errno(err), "%s: %s", what, g_strerror(err));
	return FALSE;
}

/* ---- the filter ---- */

static gboolean
attach(int fd, const struct sock_filter *code, gsize n)
{
	const struct sock_fprog program = {.len = (unsigned short)n,
					   .filter = (struct sock_filter *)code};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0;
}

/* X holds where the UDP header starts: after the IP header in IPv4, at once in IPv6. The message
 * type decides last and is needed: WireGuard's receiver index, anyone's choice, lies where the
 * cookie is, but its messages start with 1 to 4, then three zeroes. */
static gboolean
attach_stun(int fd, int family, guint16 port)
{
	const struct sock_filter code[] = {
		family == AF_INET ? (struct sock_filter)BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0)
				  : (struct sock_filter)BPF_STMT(BPF_LDX | BPF_IMM, 0),
		BPF_STMT(BPF_LD | BPF_H | BPF_IND, 2),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, port, 0, 8),
		BPF_STMT(BPF_LD | BPF_W | BPF_IND, 12),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NAT_STUN_MAGIC, 0, 6),
		BPF_STMT(BPF_LD | BPF_H | BPF_IND, 8),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x0001, 3, 0), /* request */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x0101, 2, 0), /* success */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x0111, 1, 0), /* error */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x0011, 0, 1), /* indication */
		BPF_STMT(BPF_RET | BPF_K, 0xffff),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};

	return attach(fd, code, G_N_ELEMENTS(code));
}

static gboolean
attach_nothing(int fd)
{
	const struct sock_filter code[] = {BPF_STMT(BPF_RET | BPF_K, 0)};

	return attach(fd, code, G_N_ELEMENTS(code));
}

static void
drain(int fd)
{
	guint8 byte;

	/* ends: nothing more can enter the queue */
	while (recv(fd, &byte, 1, MSG_DONTWAIT | MSG_TRUNC) >= 0 || errno == EINTR)
		;
}

/* Port 0, a WireGuard that is down: all stays refused. */
static gboolean
filter_port(Half *half, guint16 port)
{
	if (half->fd < 0)
		return TRUE;
	if (!attach_nothing(half->fd))
		return FALSE;
	drain(half->fd);
	return port == 0 || attach_stun(half->fd, half->family, port);
}

/* ---- receiving ---- */

static gboolean
read_pktinfo6(struct msghdr *msg, WgEndpoint *dst)
{
	struct in6_pktinfo info;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != IPPROTO_IPV6 || c->cmsg_type != IPV6_PKTINFO ||
		    c->cmsg_len < CMSG_LEN(sizeof info))
			continue;
		memcpy(&info, CMSG_DATA(c), sizeof info);
		wg_endpoint_from_bytes(dst, &info.ipi6_addr, sizeof info.ipi6_addr, 0);
		if (wg_endpoint_is_link_local(dst))
			dst->v6.sin6_scope_id = info.ipi6_ifindex;
		return TRUE;
	}
	return FALSE;
}

static gboolean
read_packet6(const guint8 *buf, gsize len, struct msghdr *msg, NatUdp *out)
{
	memset(out, 0, sizeof *out);
	return wg_endpoint_from_sockaddr(&out->src, msg->msg_name, msg->msg_namelen) &&
	       wg_endpoint_family(&out->src) == AF_INET6 && read_pktinfo6(msg, &out->dst) &&
	       nat_packet_parse_udp(buf, len, out);
}

/* Returns what recvmsg does; pkt->payload is NULL where the packet is not for us. */
static gssize
receive(Half *half, guint8 *buf, gsize size, NatUdp *pkt)
{
	guint8 control[CMSG_SPACE(sizeof(struct in6_pktinfo))] __attribute__((aligned(8)));
	struct sockaddr_in6 from = {0};
	struct iovec iov = {buf, size};
	struct msghdr msg = {.msg_name = &from,
			     .msg_namelen = sizeof from,
			     .msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof control};
	gssize len = recvmsg(half->fd, &msg, MSG_DONTWAIT);
	gboolean ok = len >= 0 && !(msg.msg_flags & MSG_TRUNC);

	if (ok && half->family == AF_INET)
		ok = nat_packet_parse_ip(buf, (gsize)len, pkt);
	else if (ok)
		ok = read_packet6(buf, (gsize)len, &msg, pkt);
	/* multicast and broadcast are no local address that a pair could have */
	if (!ok || wg_endpoint_port(&pkt->dst) != half->sock->port ||
	    wg_endpoint_is_bogus(&pkt->dst))
		pkt->payload = NULL;
	return len;
}

static gboolean
on_readable(int fd, GIOCondition condition, gpointer user_data)
{
	Half *half = user_data;
	/* the callback may free the socket; the main loop holds the source meanwhile */
	GSource *source = g_main_current_source();
	guint8 buf[NAT_PACKET_MAX];
	NatUdp pkt;

	for (int i = 0; i < BATCH; i++) {
		gssize len = receive(half, buf, sizeof buf, &pkt);

		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0)
			break; /* empty, or a pending error, which reading has cleared */
		if (!pkt.payload)
			continue;
		half->sock->func(&pkt, half->sock->user_data);
		if (g_source_is_destroyed(source))
			return G_SOURCE_REMOVE;
	}
	return G_SOURCE_CONTINUE;
}

/* ---- opening ---- */

static gboolean
set_int(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof value) == 0;
}

static gboolean
set_mark(Half *half, guint32 fwmark)
{
	return half->fd < 0 || set_int(half->fd, SOL_SOCKET, SO_MARK, (int)fwmark);
}

static gboolean
set_options(Half *half, guint32 fwmark)
{
	if (half->family == AF_INET6 &&
	    (!set_int(half->fd, IPPROTO_IPV6, IPV6_CHECKSUM, UDP_CHECKSUM_AT) ||
	     !set_int(half->fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)))
		return FALSE;
	return set_mark(half, fwmark);
}

static int
open_half(NatRawSock *sock, Half *half, int family, guint32 fwmark)
{
	half->sock = sock;
	half->family = family;
	half->fd = socket(family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_UDP);
	if (half->fd < 0)
		return errno;
	if (!filter_port(half, sock->port) || !set_options(half, fwmark))
		return errno;
	half->source = g_unix_fd_source_new(half->fd, G_IO_IN);
	g_source_set_callback(half->source, G_SOURCE_FUNC(on_readable), half, NULL);
	g_source_set_static_name(half->source, "nat-rawsock");
	g_source_attach(half->source, g_main_context_get_thread_default());
	return 0;
}

static void
close_half(Half *half)
{
	if (half->source) {
		g_source_destroy(half->source);
		g_source_unref(half->source);
	}
	if (half->fd >= 0)
		close(half->fd);
}

static gboolean
is_missing(int err)
{
	return err == EAFNOSUPPORT || err == EPROTONOSUPPORT;
}

NatRawSock *
nat_raw_sock_new(guint16 port, guint32 fwmark, NatRawSockFunc func, gpointer user_data,
		 GError **error)
{
	g_autoptr(NatRawSock) sock = g_new0(NatRawSock, 1);
	int err4, err6, err;

	sock->port = port;
	sock->func = func;
	sock->user_data = user_data;
	err4 = open_half(sock, &sock->v4, AF_INET, fwmark);
	err6 = open_half(sock, &sock->v6, AF_INET6, fwmark);
	if ((err4 == 0 || is_missing(err4)) && (err6 == 0 || is_missing(err6)) &&
	    (err4 == 0 || err6 == 0))
		return g_steal_pointer(&sock);
	err = err4 != 0 && !is_missing(err4) ? err4 : err6;
	fail(error, err,
	     err == EPERM ? "cannot open a raw socket: CAP_NET_RAW, or CAP_NET_ADMIN for the "
			    "fwmark, is missing (run as root, or grant them in the unit)"
			  : "cannot open a raw socket");
	return NULL;
}

void
nat_raw_sock_free(NatRawSock *sock)
{
	if (!sock)
		return;
	close_half(&sock->v4);
	close_half(&sock->v6);
	g_free(sock);
}

gboolean
nat_raw_sock_set_port(NatRawSock *sock, guint16 port, GError **error)
{
	sock->port = port;
	return (filter_port(&sock->v4, port) && filter_port(&sock->v6, port)) ||
	       fail(error, errno, "cannot change the raw sockets' filter");
}

gboolean
nat_raw_sock_set_fwmark(NatRawSock *sock, guint32 fwmark, GError **error)
{
	return (set_mark(&sock->v4, fwmark) && set_mark(&sock->v6, fwmark)) ||
	       fail(error, errno, "cannot change the raw sockets' fwmark (CAP_NET_ADMIN)");
}

/* ---- sending ---- */

static void
put_cmsg(struct msghdr *msg, int level, int type, const void *data, gsize len)
{
	struct cmsghdr *c;

	msg->msg_controllen = CMSG_SPACE(len);
	c = CMSG_FIRSTHDR(msg);
	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(c), data, len);
}

static void
put_source(struct msghdr *msg, const WgEndpoint *src)
{
	struct in6_pktinfo info6 = {.ipi6_addr = src->v6.sin6_addr};
	struct in_pktinfo info4 = {.ipi_spec_dst = src->v4.sin_addr};

	if (wg_endpoint_family(src) == AF_INET) {
		put_cmsg(msg, IPPROTO_IP, IP_PKTINFO, &info4, sizeof info4);
		return;
	}
	if (wg_endpoint_is_link_local(src))
		info6.ipi6_ifindex = src->v6.sin6_scope_id;
	put_cmsg(msg, IPPROTO_IPV6, IPV6_PKTINFO, &info6, sizeof info6);
}

static gboolean
send_from(Half *half, const WgEndpoint *src, const WgEndpoint *dst, const guint8 *payload,
	  gsize len, GError **error)
{
	guint8 control[CMSG_SPACE(sizeof(struct in6_pktinfo))] __attribute__((aligned(8))) = {0};
	guint8 buf[SEND_MAX];
	gsize total = nat_packet_build_udp(buf, sizeof buf, src, dst, payload, len);
	WgEndpoint to = *dst;
	struct iovec iov = {buf, total};
	struct msghdr msg = {.msg_name = &to.sa,
			     .msg_namelen = wg_endpoint_socklen(dst),
			     .msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control};

	if (total == 0)
		return fail(error, EINVAL, "cannot send such a packet");
	if (half->fd < 0)
		return fail(error, EAFNOSUPPORT, "cannot send");
	/* for a raw socket the port is the protocol number, and IPv6 refuses any but 0 or its own
	 */
	wg_endpoint_set_port(&to, 0);
	put_source(&msg, src);
	/* A packet that the link dropped at once is lost like any other: of IPv4's the kernel says
	 * nothing (raw_sendmsg), of IPv6's it does. */
	if (sendmsg(half->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno != ENOBUFS)
		return fail(error, errno, "cannot send");
	return TRUE;
}

static Half *
half_for(NatRawSock *sock, const WgEndpoint *dst)
{
	return wg_endpoint_family(dst) == AF_INET ? &sock->v4 : &sock->v6;
}

gboolean
nat_raw_sock_send(NatRawSock *sock, const WgEndpoint *src, const WgEndpoint *dst,
		  const guint8 *payload, gsize len, GError **error)
{
	return send_from(half_for(sock, dst), src, dst, payload, len, error);
}

/* There is no control message for it: the option is set for the one send. PROBE is DF (IPv6: no
 * fragment header) whatever PMTU is cached (tests/platform/rawsock-df.c). */
static gboolean
set_discover(const Half *half, gboolean probe)
{
	if (half->family == AF_INET)
		return set_int(half->fd, IPPROTO_IP, IP_MTU_DISCOVER,
			       probe ? IP_PMTUDISC_PROBE : IP_PMTUDISC_WANT);
	return set_int(half->fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER,
		       probe ? IPV6_PMTUDISC_PROBE : IPV6_PMTUDISC_WANT);
}

gboolean
nat_raw_sock_send_probe(NatRawSock *sock, const WgEndpoint *src, const WgEndpoint *dst,
			const guint8 *payload, gsize len, GError **error)
{
	Half *half = half_for(sock, dst);
	gboolean sent;

	if (half->fd >= 0 && !set_discover(half, TRUE))
		return fail(error, errno, "cannot send unfragmented");
	sent = send_from(half, src, dst, payload, len, error);
	set_discover(half, FALSE);
	return sent;
}
