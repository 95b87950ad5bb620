/* SPDX-License-Identifier: MIT */
#include "agent/portmap/map-ssdp.h"

#include <errno.h>
#include <glib-unix.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/portmap/map-xml.h"

#define SENDS_MAX 4 /* at 0, 0.25, 0.75 and 1.75 s; given up at 3.75 s */
#define RTO_MS 250
#define DRAIN_MAX 64
#define TTL 2

struct MapSsdp {
	MapPlace place;
	guint16 port;
	MapSsdpFunc func;
	gpointer user_data;
	int fd;
	guint watch, timer, sends;
	gboolean foreign;
};

void
map_ssdp_cancel(MapSsdp *ssdp)
{
	if (!ssdp)
		return;
	g_clear_handle_id(&ssdp->watch, g_source_remove);
	g_clear_handle_id(&ssdp->timer, g_source_remove);
	close(ssdp->fd);
	g_free(ssdp);
}

static void
finish(MapSsdp *ssdp, guint16 port, const char *path)
{
	MapSsdpFunc func = ssdp->func;
	gpointer user_data = ssdp->user_data;
	gboolean foreign = ssdp->foreign;

	map_ssdp_cancel(ssdp);
	func(port, path, foreign, user_data);
}

static gboolean
is_v6(const MapPlace *place)
{
	return wg_endpoint_family(&place->own) == AF_INET6;
}

static gboolean
on_readable(gint fd, GIOCondition condition, gpointer user_data)
{
	MapSsdp *ssdp = user_data;

	for (guint i = 0; i < DRAIN_MAX; i++) {
		char buf[2048], path[MAP_PATH_MAX];
		struct sockaddr_storage sa;
		socklen_t sa_len = sizeof sa;
		WgEndpoint from;
		guint16 port;
		gboolean foreign;
		ssize_t len =
			recvfrom(fd, buf, sizeof buf, MSG_TRUNC, (struct sockaddr *)&sa, &sa_len);

		if (len < 0)
			return G_SOURCE_CONTINUE;
		if (len > (ssize_t)sizeof buf || !wg_endpoint_from_sockaddr(&from, &sa, sa_len) ||
		    !wg_endpoint_same_address(&from, &ssdp->place.gateway))
			continue;
		if (map_xml_location(buf, (gsize)len, &ssdp->place.gateway, &port, path,
				     &foreign)) {
			ssdp->watch = 0;
			ssdp->foreign = FALSE;
			finish(ssdp, port, path);
			return G_SOURCE_REMOVE;
		}
		ssdp->foreign |= foreign;
	}
	return G_SOURCE_CONTINUE;
}

static void
ask(MapSsdp *ssdp, const WgEndpoint *to, const char *whom)
{
	char buf[512];

	/* what does not leave is not answered */
	if (sendto(ssdp->fd, buf, map_xml_search(buf, to), MSG_NOSIGNAL, &to->sa,
		   wg_endpoint_socklen(to)) < 0)
		g_debug("portmap: cannot ask %s by SSDP: %s", whom, g_strerror(errno));
}

static gboolean
on_timer(gpointer user_data)
{
	MapSsdp *ssdp = user_data;
	WgEndpoint to = ssdp->place.gateway;

	ssdp->timer = 0;
	if (ssdp->sends == SENDS_MAX) {
		finish(ssdp, 0, "");
		return G_SOURCE_REMOVE;
	}
	wg_endpoint_set_port(&to, ssdp->port);
	ask(ssdp, &to, "the gateway");
	if (ssdp->port == MAP_SSDP_PORT &&
	    wg_endpoint_parse_address(is_v6(&ssdp->place) ? MAP_SSDP_GROUP6 : MAP_SSDP_GROUP,
				      MAP_SSDP_PORT, &to)) {
		if (is_v6(&ssdp->place))
			to.v6.sin6_scope_id = (guint32)ssdp->place.ifindex;
		ask(ssdp, &to, "the group");
	}
	ssdp->timer = g_timeout_add(RTO_MS << ssdp->sends++, on_timer, ssdp);
	return G_SOURCE_REMOVE;
}

/* IPv6: from our link-local address, so that the router answers by the one that we know. */
static int
open_v6(const MapPlace *place)
{
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), hops = TTL;

	if (fd < 0)
		return -1;
	if (place->fwmark != 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_MARK, &place->fwmark, sizeof place->fwmark) < 0) {
		close(fd);
		return -1;
	}
	if (setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, &place->ifindex,
		       sizeof place->ifindex) < 0 ||
	    setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &hops, sizeof hops) < 0)
		g_debug("portmap: multicast: %s", g_strerror(errno));
	return fd;
}

static int
open_v4(const MapPlace *place)
{
	struct ip_mreqn by = {.imr_ifindex = place->ifindex};
	int fd = map_place_socket(place, SOCK_DGRAM), ttl = TTL;

	/* without it the group is asked by the route that there is */
	if (fd >= 0 && (setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &by, sizeof by) < 0 ||
			setsockopt(fd, IPPROTO_IP, IP_MULTICAST_TTL, &ttl, sizeof ttl) < 0))
		g_debug("portmap: multicast: %s", g_strerror(errno));
	return fd;
}

MapSsdp *
map_ssdp_start(const MapPlace *place, guint16 ssdp_port, MapSsdpFunc func, gpointer user_data)
{
	int fd = is_v6(place) ? open_v6(place) : open_v4(place);
	MapSsdp *ssdp;

	if (fd < 0)
		return NULL;
	ssdp = g_new0(MapSsdp, 1);
	ssdp->place = *place;
	ssdp->port = ssdp_port;
	ssdp->func = func;
	ssdp->user_data = user_data;
	ssdp->fd = fd;
	ssdp->watch = g_unix_fd_add(fd, G_IO_IN, on_readable, ssdp);
	ssdp->timer = g_timeout_add(0, on_timer, ssdp);
	return ssdp;
}
