/* SPDX-License-Identifier: MIT */
#include "agent/netcheck/net-stun.h"

#include <errno.h>
#include <poll.h>
#include <sodium.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define RTO_MS 150 /* then twice that, and so on */
#define SENDS 4

gint64
net_stun_now_ms(void)
{
	return g_get_monotonic_time() / 1000;
}

int
net_stun_open(int af)
{
	WgEndpoint any = {.sa.sa_family = (sa_family_t)af};
	int fd = socket(af, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;

	if (fd < 0)
		return -1;
	if (af == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
	if (bind(fd, &any.sa, wg_endpoint_socklen(&any)) == 0)
		return fd;
	close(fd);
	return -1;
}

guint16
net_stun_local_port(int fd)
{
	WgEndpoint ep = {0};
	socklen_t len = sizeof ep;

	return getsockname(fd, &ep.sa, &len) == 0 ? wg_endpoint_port(&ep) : 0;
}

gboolean
net_stun_source(const WgEndpoint *to, WgEndpoint *out)
{
	WgEndpoint ep = {0};
	socklen_t len = sizeof ep;
	int fd = socket(to->sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	gboolean ok = fd >= 0 && connect(fd, &to->sa, wg_endpoint_socklen(to)) == 0 &&
		      getsockname(fd, &ep.sa, &len) == 0 &&
		      wg_endpoint_from_sockaddr(out, &ep, len) && !wg_endpoint_is_wildcard(out);

	if (fd >= 0)
		close(fd);
	if (ok)
		wg_endpoint_set_port(out, 0);
	return ok;
}

/* The next message of this transaction, from wherever it comes: 0, or ETIMEDOUT, or what the kernel
 * says of the socket. *stun points into buf. */
static int
receive(int fd, const guint8 id[NAT_STUN_ID_LEN], gint64 until, guint8 *buf, gsize size,
	NatStun *stun)
{
	for (;;) {
		struct pollfd p = {fd, POLLIN, 0};
		gint64 left = until - net_stun_now_ms();
		ssize_t len;

		if (left <= 0 || poll(&p, 1, (int)left) == 0)
			return ETIMEDOUT;
		len = recv(fd, buf, size, 0);
		if (len < 0 && errno != EAGAIN && errno != EINTR)
			return errno;
		if (len >= 0 && nat_stun_parse(buf, (gsize)len, stun) &&
		    memcmp(stun->id, id, NAT_STUN_ID_LEN) == 0)
			return 0;
	}
}

static int
receive_answer(int fd, const guint8 id[NAT_STUN_ID_LEN], gint64 until, NetReply *out)
{
	guint8 buf[2048];
	NatStun stun;
	int error = receive(fd, id, until, buf, sizeof buf, &stun);

	if (error != 0)
		return error;
	if (stun.klass != NAT_STUN_SUCCESS || !wg_endpoint_is_set(&stun.mapped))
		return EPROTO;
	out->mapped = stun.mapped;
	out->other = stun.other;
	return 0;
}

int
net_stun_ask(int fd, const WgEndpoint *to, guint change, guint patience_ms, NetReply *out)
{
	guint8 buf[NAT_STUN_DISCOVER_MAX], id[NAT_STUN_ID_LEN];
	gint64 began_us = g_get_monotonic_time(), began = began_us / 1000, due = began;
	gint64 end = began + patience_ms;
	int error = ETIMEDOUT;
	gsize len;

	randombytes_buf(id, sizeof id);
	len = nat_stun_build_request_discover(buf, sizeof buf, id, change);
	for (guint i = 0; i < SENDS && error == ETIMEDOUT && net_stun_now_ms() < end; i++) {
		due += (gint64)RTO_MS << i;
		if (sendto(fd, buf, len, MSG_NOSIGNAL, &to->sa, wg_endpoint_socklen(to)) < 0 &&
		    errno != EAGAIN && errno != ENOBUFS)
			return errno;
		error = receive_answer(fd, id, i + 1 == SENDS ? end : MIN(due, end), out);
	}
	out->ms = (double)(g_get_monotonic_time() - began_us) / G_TIME_SPAN_MILLISECOND;
	return error;
}

int
net_stun_check(const WgEndpoint *to, guint patience_ms, double *ms)
{
	NetReply reply = {.ms = -1};
	int fd = net_stun_open(wg_endpoint_family(to)), error;

	if (fd < 0 || connect(fd, &to->sa, wg_endpoint_socklen(to)) != 0)
		error = errno;
	else
		error = net_stun_ask(fd, to, 0, patience_ms, &reply);
	*ms = reply.ms;
	if (fd >= 0)
		close(fd);
	return error;
}

gboolean
net_stun_hear(int fd, const guint8 id[NAT_STUN_ID_LEN], guint patience_ms)
{
	guint8 buf[2048];
	NatStun stun;

	return receive(fd, id, net_stun_now_ms() + patience_ms, buf, sizeof buf, &stun) == 0 &&
	       stun.klass == NAT_STUN_REQUEST;
}

const char *
net_stun_problem(int error)
{
	switch (error) {
	case ETIMEDOUT:
		return "timed out";
	case ECONNREFUSED:
		return "refused (nothing listens there)";
	case EPROTO:
		return "what answers there is no STUN server";
	case EPERM:
	case EACCES:
		return "this host's firewall forbids it";
	case ENETUNREACH:
	case EHOSTUNREACH:
		return "no route to it";
	default:
		return g_strerror(error);
	}
}
