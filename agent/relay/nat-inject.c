/* SPDX-License-Identifier: MIT */
#include "agent/relay/nat-inject.h"

#include "agent/net/nat-packet.h"

#include <errno.h>
#include <gio/gio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PACKET_MAX 65535

struct NatInject {
	int fd;
	WgEndpoint source, own; /* own: with WireGuard's port */
	guint8 packet[PACKET_MAX];
};

static gboolean
fail(GError **error, const char *what)
{
	int err = errno;

	g_set_error(error, G_IO_ERROR, g_io_error_from_errno(err), "%s: %s", what, g_strerror(err));
	return FALSE;
}

static gboolean
set_int(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof value) == 0;
}

/* Asked as WireGuard's own socket would be: connecting looks the route up, mark and all. */
static gboolean
find_own(NatInject *inject, guint16 port, guint32 fwmark, GError **error)
{
	const WgEndpoint *to = &inject->source;
	struct sockaddr_storage sa = {0};
	socklen_t len = sizeof sa;
	int fd = socket(wg_endpoint_family(to), SOCK_DGRAM | SOCK_CLOEXEC, 0);
	gboolean ok = fd >= 0 && (fwmark == 0 || set_int(fd, SOL_SOCKET, SO_MARK, (int)fwmark)) &&
		      connect(fd, &to->sa, wg_endpoint_socklen(to)) == 0 &&
		      getsockname(fd, (struct sockaddr *)&sa, &len) == 0;

	if (!ok)
		fail(error, "which address of ours packets would carry");
	if (fd >= 0)
		close(fd);
	if (ok)
		wg_endpoint_from_sockaddr(&inject->own, &sa, len);
	wg_endpoint_set_port(&inject->own, port);
	return ok;
}

static gboolean
open_raw(NatInject *inject, guint32 fwmark, GError **error)
{
	int family = wg_endpoint_family(&inject->own);
	gboolean v4 = family == AF_INET;

	inject->fd = socket(family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW);
	if (inject->fd < 0)
		return fail(error, "cannot open a raw socket");
	if (!set_int(inject->fd, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_HDRINCL : IPV6_HDRINCL,
		     1) ||
	    (fwmark != 0 && !set_int(inject->fd, SOL_SOCKET, SO_MARK, (int)fwmark)))
		return fail(error, "cannot prepare a raw socket");
	return TRUE;
}

NatInject *
nat_inject_new(const WgEndpoint *source, guint16 port, guint32 fwmark, GError **error)
{
	g_autoptr(NatInject) inject = g_new0(NatInject, 1);

	inject->fd = -1;
	inject->source = *source;
	if (!find_own(inject, port, fwmark, error) || !open_raw(inject, fwmark, error))
		return NULL;
	return g_steal_pointer(&inject);
}

void
nat_inject_free(NatInject *inject)
{
	if (!inject)
		return;
	if (inject->fd >= 0)
		close(inject->fd);
	g_free(inject);
}

gboolean
nat_inject_send(NatInject *inject, const guint8 *data, gsize len)
{
	WgEndpoint to = inject->own;
	gsize total = nat_packet_build_ip(inject->packet, sizeof inject->packet, &inject->source,
					  &inject->own, data, len);

	/* for a raw socket the port is the protocol number */
	wg_endpoint_set_port(&to, 0);
	return total > 0 && sendto(inject->fd, inject->packet, total, MSG_DONTWAIT | MSG_NOSIGNAL,
				   &to.sa, wg_endpoint_socklen(&to)) == (gssize)total;
}
