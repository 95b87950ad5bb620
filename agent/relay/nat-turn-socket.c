/* SPDX-License-Identifier: MIT */
#include "agent/relay/nat-turn-socket.h"

#include <errno.h>
#include <gio/gio.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/relay/nat-turn-stream.h"

struct NatTurnSocket {
	NatTurnStream *stream; /* NULL: UDP */
	int fd;		       /* the owner's */
	int family;
};

static int
fail(int fd, const char *what, GError **error)
{
	int saved = errno;

	g_set_error(error, G_IO_ERROR, g_io_error_from_errno(saved), "%s: %s", what,
		    g_strerror(saved));
	if (fd >= 0)
		close(fd);
	return -1;
}

/* Which value the families have in common. */
G_STATIC_ASSERT(IP_PMTUDISC_DONT == IPV6_PMTUDISC_DONT);
G_STATIC_ASSERT(IP_PMTUDISC_PROBE == IPV6_PMTUDISC_PROBE);

/* A kernel that refuses does as it did: large packets may be lost, small ones pass. */
static void
set_discover(int fd, int family, int value)
{
	int ret = family == AF_INET
			  ? setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &value, sizeof value)
			  : setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &value, sizeof value);

	if (ret < 0)
		g_debug("path MTU discovery stays as it is: %s", g_strerror(errno));
}

static int
open_udp(const WgEndpoint *server, guint32 fwmark, GError **error)
{
	int fd = socket(wg_endpoint_family(server), SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return fail(fd, "cannot open a socket", error);
	if (fwmark != 0 && setsockopt(fd, SOL_SOCKET, SO_MARK, &fwmark, sizeof fwmark) < 0)
		return fail(fd, "SO_MARK (needs CAP_NET_ADMIN)", error);
	/* WireGuard's packets may be cut on the way, as they may without us: the kernel leaves DF
	 * unset on what it sends. */
	set_discover(fd, wg_endpoint_family(server), IP_PMTUDISC_DONT);
	if (connect(fd, &server->sa, wg_endpoint_socklen(server)) < 0)
		return fail(fd, "there is no way to it", error);
	return fd;
}

NatTurnSocket *
nat_turn_socket_new(const NatTurnUri *uri, const WgEndpoint *server, guint32 fwmark, int *fd,
		    GError **error)
{
	NatTurnSocket *sock;
	NatTurnStream *stream = NULL;

	*fd = -1;
	if (uri->transport == NAT_TURN_UDP)
		*fd = open_udp(server, fwmark, error);
	else
		stream = nat_turn_stream_new(uri, server, fwmark, fd, error);
	if (*fd < 0)
		return NULL;
	sock = g_new0(NatTurnSocket, 1);
	sock->stream = stream;
	sock->fd = *fd;
	sock->family = wg_endpoint_family(server);
	return sock;
}

void
nat_turn_socket_free(NatTurnSocket *sock)
{
	if (!sock)
		return;
	nat_turn_stream_free(sock->stream);
	g_free(sock);
}

gboolean
nat_turn_socket_is_stream(const NatTurnSocket *sock)
{
	return sock->stream != NULL;
}

/* The pump's thread sends beside this: what it sends in these microseconds is a large packet lost
 * at worst, and only while sizes are tried. */
void
nat_turn_socket_set_whole(NatTurnSocket *sock, gboolean whole)
{
	if (!sock->stream)
		set_discover(sock->fd, sock->family, whole ? IP_PMTUDISC_PROBE : IP_PMTUDISC_DONT);
}

char *
nat_turn_socket_problem(const NatTurnSocket *sock, int failed)
{
	char *problem = sock->stream ? nat_turn_stream_problem(sock->stream) : NULL;

	if (problem)
		return problem;
	if (failed == ECONNREFUSED)
		return g_strdup("nothing listens there (connection refused)");
	return g_strdup(g_strerror(failed));
}

gboolean
nat_turn_socket_source(const WgEndpoint *server, guint32 fwmark, WgEndpoint *out)
{
	int fd = open_udp(server, fwmark, NULL);
	struct sockaddr_storage sa = {0};
	socklen_t len = sizeof sa;
	gboolean ok;

	if (fd < 0)
		return FALSE;
	ok = getsockname(fd, (struct sockaddr *)&sa, &len) == 0 &&
	     wg_endpoint_from_sockaddr(out, &sa, len);
	close(fd);
	wg_endpoint_set_port(out, 0);
	return ok;
}
