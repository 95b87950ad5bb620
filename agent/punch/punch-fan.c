/* SPDX-License-Identifier: MIT */
#include "agent/punch/punch-fan.h"

#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/net/nat-local-socket.h"

#define EVENTS 16
#define READS 8		  /* of one socket, before the others have their turn */
#define DATAGRAM_MAX 1500 /* what is longer is none of ours */

struct PunchFan {
	int *fds; /* -1: taken */
	guint16 *ports;
	guint n;
	int epoll_fd;
	guint source;
	PunchFanFunc func;
	gpointer user_data;
	gboolean *freed; /* of the call that is under way; NULL: none is */
};

/* FALSE: the fan is gone. */
static gboolean
read_one(PunchFan *fan, guint i)
{
	gboolean freed = FALSE;

	for (guint n = 0; n < READS && fan->fds[i] >= 0; n++) {
		guint8 data[DATAGRAM_MAX];
		WgEndpoint src = {0};
		struct sockaddr_storage sa;
		socklen_t sa_len = sizeof sa;
		gssize len = recvfrom(fan->fds[i], data, sizeof data, MSG_TRUNC,
				      (struct sockaddr *)&sa, &sa_len);

		if (len < 0)
			break; /* EAGAIN, or an ICMP error of somebody that we sent to */
		if ((gsize)len > sizeof data ||
		    !wg_endpoint_from_sockaddr(&src, (struct sockaddr *)&sa, sa_len))
			continue;
		fan->freed = &freed;
		fan->func(i, &src, data, (gsize)len, fan->user_data);
		if (freed)
			return FALSE;
		fan->freed = NULL;
	}
	return TRUE;
}

static gboolean
on_readable(gint fd, GIOCondition condition, gpointer user_data)
{
	PunchFan *fan = user_data;
	struct epoll_event events[EVENTS];
	int n = epoll_wait(fd, events, EVENTS, 0);

	for (int i = 0; i < n; i++)
		if (!read_one(fan, events[i].data.u32))
			return G_SOURCE_REMOVE;
	return G_SOURCE_CONTINUE;
}

static gboolean
add_one(PunchFan *fan, const WgEndpoint *local, guint32 fwmark)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = fan->n};
	WgEndpoint any_port = *local, own;
	int fd;

	wg_endpoint_set_port(&any_port, 0);
	fd = nat_local_socket(&any_port, SOCK_DGRAM, fwmark, &own);
	if (fd < 0)
		return FALSE;
	fan->ports[fan->n] = wg_endpoint_port(&own);
	if (epoll_ctl(fan->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
		close(fd);
		return FALSE;
	}
	fan->fds[fan->n++] = fd;
	return TRUE;
}

PunchFan *
punch_fan_new(const WgEndpoint *local, guint n, guint32 fwmark, PunchFanFunc func,
	      gpointer user_data, GError **error)
{
	PunchFan *fan = g_new0(PunchFan, 1);

	fan->func = func;
	fan->user_data = user_data;
	fan->fds = g_new(int, n);
	fan->ports = g_new0(guint16, n);
	fan->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	while (fan->epoll_fd >= 0 && fan->n < n && add_one(fan, local, fwmark))
		;
	if (fan->n == 0) {
		g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno),
			    "cannot open source ports: %s", g_strerror(errno));
		punch_fan_free(fan);
		return NULL;
	}
	fan->source = g_unix_fd_add(fan->epoll_fd, G_IO_IN, on_readable, fan);
	return fan;
}

void
punch_fan_free(PunchFan *fan)
{
	if (fan == NULL)
		return;
	if (fan->freed != NULL)
		*fan->freed = TRUE;
	g_clear_handle_id(&fan->source, g_source_remove);
	for (guint i = 0; i < fan->n; i++)
		if (fan->fds[i] >= 0)
			close(fan->fds[i]);
	if (fan->epoll_fd >= 0)
		close(fan->epoll_fd);
	g_free(fan->fds);
	g_free(fan->ports);
	g_free(fan);
}

guint
punch_fan_count(const PunchFan *fan)
{
	return fan->n;
}

guint16
punch_fan_port(const PunchFan *fan, guint i)
{
	return fan->ports[i];
}

gboolean
punch_fan_send(PunchFan *fan, guint i, const WgEndpoint *dst, const guint8 *data, gsize len)
{
	/* that an earlier one was refused is told in place of sending this one */
	for (int tries = 0; tries < 2 && fan->fds[i] >= 0; tries++)
		if (sendto(fan->fds[i], data, len, MSG_NOSIGNAL, &dst->sa,
			   wg_endpoint_socklen(dst)) == (gssize)len)
			return TRUE;
	return FALSE;
}

int
punch_fan_take(PunchFan *fan, guint i)
{
	int fd = fan->fds[i];

	epoll_ctl(fan->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
	fan->fds[i] = -1;
	return fd;
}
