/* SPDX-License-Identifier: MIT */
#include "agent/net/nat-local-socket.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

static int
open_bound(const WgEndpoint *local, int type, guint32 fwmark, WgEndpoint *own)
{
	int fd = socket(wg_endpoint_family(local), type | SOCK_CLOEXEC, 0);
	struct sockaddr_storage sa = {0};
	socklen_t len = sizeof sa;
	int err;

	if (fd >= 0 &&
	    (fwmark == 0 || setsockopt(fd, SOL_SOCKET, SO_MARK, &fwmark, sizeof fwmark) == 0) &&
	    bind(fd, &local->sa, wg_endpoint_socklen(local)) == 0 &&
	    getsockname(fd, (struct sockaddr *)&sa, &len) == 0 &&
	    (own == NULL || wg_endpoint_from_sockaddr(own, &sa, len)))
		return fd;
	err = errno;
	if (fd >= 0)
		close(fd);
	errno = err;
	return -1;
}

int
nat_local_socket(const WgEndpoint *local, int type, guint32 fwmark, WgEndpoint *own)
{
	return open_bound(local, type | SOCK_NONBLOCK, fwmark, own);
}

static WgEndpoint
loopback(guint16 port)
{
	return (WgEndpoint){.v4 = {.sin_family = AF_INET,
				   .sin_port = htons(port),
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}};
}

gboolean
nat_loopback_connect(int fd, guint16 wg_port)
{
	const WgEndpoint wg = loopback(wg_port);

	return connect(fd, &wg.sa, wg_endpoint_socklen(&wg)) == 0;
}

int
nat_loopback_socket(guint16 wg_port, guint32 fwmark, WgEndpoint *own)
{
	const WgEndpoint any = loopback(0);
	int fd = open_bound(&any, SOCK_DGRAM, fwmark, own), err;

	if (fd < 0 || nat_loopback_connect(fd, wg_port))
		return fd;
	err = errno;
	close(fd);
	errno = err;
	return -1;
}
