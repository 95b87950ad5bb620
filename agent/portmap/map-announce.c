/* SPDX-License-Identifier: MIT */
#include "agent/portmap/map-announce.h"

#include <glib-unix.h>
#include <sys/socket.h>
#include <unistd.h>

#define GROUP "224.0.0.1" /* all hosts: nobody needs to join it */

struct MapAnnounce {
	int fd;
	guint watch;
	MapAnnounceFunc func;
	gpointer user_data;
	gint64 second; /* … and how many there were in it */
	guint count;
};

static gboolean
on_readable(gint fd, GIOCondition condition, gpointer user_data)
{
	MapAnnounce *announce = user_data;
	guint8 buf[MAP_CODEC_ANSWER_MAX + 1];
	struct sockaddr_storage sa;
	socklen_t sa_len = sizeof sa;
	gint64 second = g_get_monotonic_time() / G_USEC_PER_SEC;
	ssize_t len = recvfrom(fd, buf, sizeof buf, 0, (struct sockaddr *)&sa, &sa_len);
	WgEndpoint from;
	MapAnswer answer;

	if (second != announce->second)
		announce->count = 0;
	announce->second = second;
	if (len > 0 && announce->count < MAP_ANNOUNCE_MAX &&
	    wg_endpoint_from_sockaddr(&from, &sa, sa_len) &&
	    map_codec_parse(buf, (gsize)len, &answer)) {
		announce->count++;
		announce->func(&from, announce->user_data);
	}
	return G_SOURCE_CONTINUE;
}

MapAnnounce *
map_announce_new(MapAnnounceFunc func, gpointer user_data)
{
	const int on = 1;
	WgEndpoint at;
	MapAnnounce *announce;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return NULL;
	/* every other client of these protocols on this host hears it, too */
	if (!wg_endpoint_parse_address(GROUP, MAP_CODEC_ANNOUNCE_PORT, &at) ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
	    bind(fd, &at.sa, wg_endpoint_socklen(&at)) < 0) {
		close(fd);
		return NULL;
	}
	announce = g_new0(MapAnnounce, 1);
	announce->fd = fd;
	announce->func = func;
	announce->user_data = user_data;
	announce->watch = g_unix_fd_add(fd, G_IO_IN, on_readable, announce);
	return announce;
}

void
map_announce_free(MapAnnounce *announce)
{
	if (!announce)
		return;
	g_clear_handle_id(&announce->watch, g_source_remove);
	close(announce->fd);
	g_free(announce);
}
