/* SPDX-License-Identifier: MIT */
#include "signaling/sig-socket.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <ifaddrs.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 1024
/* Bounds what a connection that reads slowly holds in the kernel, yet takes the answers of some
 * hundred peers at once. The kernel doubles it. */
#define SEND_BUFFER (128 * 1024)

static const char *
remedy(int err)
{
	switch (err) {
	case EADDRINUSE:
		return "the address is in use: stop what uses it (ss -lnp) or choose another port";
	case EADDRNOTAVAIL:
		return "no such address on this host: choose one that `ip address` shows";
	case EACCES:
	case EPERM:
		return "not permitted: choose a port from 1024 up, or grant CAP_NET_BIND_SERVICE";
	case EAFNOSUPPORT:
		return "this host has no such address family: choose another address";
	default:
		return g_strerror(err);
	}
}

static int
fail(int fd, const char *what, const WgEndpoint *address, GError **error)
{
	char text[WG_ENDPOINT_STRLEN];
	int err = errno;

	if (fd >= 0)
		close(fd);
	g_set_error(error, G_IO_ERROR, g_io_error_from_errno(err), "%s %s: %s", what,
		    wg_endpoint_format(address, text), remedy(err));
	return -1;
}

static int
bound_socket(const WgEndpoint *address, int type)
{
	int one = 1;
	int fd = socket(wg_endpoint_family(address), type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	/* so that 0.0.0.0 and [::] can be listened on side by side */
	if (wg_endpoint_family(address) == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
	if (type == SOCK_STREAM)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(fd, &address->sa, wg_endpoint_socklen(address)) == 0)
		return fd;
	one = errno;
	close(fd);
	errno = one;
	return -1;
}

int
sig_socket_listen(SigSocketKind kind, const WgEndpoint *address, GError **error)
{
	int fd = sig_inherit_take(kind, address);

	if (fd >= 0)
		return fd;
	fd = bound_socket(address, SOCK_STREAM);
	if (fd < 0 || listen(fd, BACKLOG) < 0)
		return fail(fd, "cannot listen on", address, error);
	return fd;
}

int
sig_socket_udp(const WgEndpoint *address, GError **error)
{
	int fd = sig_inherit_take(SIG_SOCKET_STUN, address), one = 1;

	if (fd < 0)
		fd = bound_socket(address, SOCK_DGRAM);
	if (fd < 0)
		return fail(fd, "cannot answer STUN on", address, error);
	if (wg_endpoint_family(address) == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof one);
	else
		setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &one, sizeof one);
	return fd;
}

gboolean
sig_socket_address(int fd, WgEndpoint *out)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof ss;

	return getsockname(fd, (struct sockaddr *)&ss, &len) == 0 &&
	       wg_endpoint_from_sockaddr(out, &ss, len);
}

int
sig_socket_accept(int fd, WgEndpoint *peer)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof ss;
	int one = 1, size = SEND_BUFFER;
	int conn = accept4(fd, (struct sockaddr *)&ss, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (conn < 0)
		return -1;
	wg_endpoint_from_sockaddr(peer, &ss, len);
	setsockopt(conn, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	setsockopt(conn, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	return conn;
}

void
sig_socket_abort(int fd)
{
	const struct linger now = {.l_onoff = 1, .l_linger = 0};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	shutdown(fd, SHUT_RDWR);
}

static gboolean
is_global(const WgEndpoint *address)
{
	return wg_endpoint_is_set(address) && !wg_endpoint_is_bogus(address) &&
	       !wg_endpoint_is_private(address);
}

gboolean
sig_socket_is_public(const WgEndpoint *address)
{
	struct ifaddrs *list = NULL;
	gboolean public = FALSE;

	if (!wg_endpoint_is_wildcard(address))
		return is_global(address);
	if (getifaddrs(&list) < 0)
		return TRUE; /* rather warned once too often */
	for (struct ifaddrs *i = list; i && !public; i = i->ifa_next) {
		WgEndpoint own;

		if (!i->ifa_addr || i->ifa_addr->sa_family != wg_endpoint_family(address))
			continue;
		public =
			wg_endpoint_from_sockaddr(&own, i->ifa_addr, sizeof(struct sockaddr_in6)) &&
			is_global(&own);
	}
	freeifaddrs(list);
	return public;
}

guint
sig_socket_raise_files(guint wanted)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 1024;
	if (limit.rlim_cur < wanted) {
		limit.rlim_cur = MIN(wanted, limit.rlim_max);
		setrlimit(RLIMIT_NOFILE, &limit);
		getrlimit(RLIMIT_NOFILE, &limit);
	}
	return MIN(limit.rlim_cur, G_MAXUINT);
}
