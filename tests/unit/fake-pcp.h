/* SPDX-License-Identifier: MIT */
/* A gateway on loopback that is asked to remove a mapping by PCP or NAT-PMP, and answers as told.
 * For one test program each: all of it is static. */
#pragma once

#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/net-util.h"

typedef struct {
	guint8 code;
	gboolean mute;
	gboolean wrong_nonce;
	guint asked;
	int fd;
	guint watch;
	guint16 port;
} FakePcp;

static gboolean
fake_pcp_asked(int fd, GIOCondition condition, gpointer user_data)
{
	FakePcp *w = user_data;
	guint8 msg[128] = {0}, out[60] = {0};
	WgEndpoint from;
	gssize len = net_recv(fd, msg, sizeof msg, 0, &from);
	gboolean pcp = msg[0] == 2;

	if (len < 12)
		return G_SOURCE_CONTINUE;
	w->asked++;
	/* the lifetime of a removal */
	g_assert_cmpmem(msg + (pcp ? 4 : 8), 4, "\0\0\0\0", 4);
	if (pcp) {
		memcpy(out, msg, sizeof out);
		memset(out + 12, 0, 12);
		out[24] += w->wrong_nonce;
		out[3] = w->code;
	} else {
		memcpy(out + 8, msg + 4, 2);
		out[3] = w->code;
	}
	out[1] = msg[1] | 0x80;
	if (!w->mute)
		sendto(fd, out, pcp ? 60 : 16, 0, &from.sa, wg_endpoint_socklen(&from));
	return G_SOURCE_CONTINUE;
}

static void
fake_pcp_start(FakePcp *w)
{
	struct sockaddr_in sin;
	socklen_t len = sizeof sin;

	w->fd = net_udp("127.0.0.1:0");
	g_assert_cmpint(getsockname(w->fd, (struct sockaddr *)&sin, &len), ==, 0);
	w->port = ntohs(sin.sin_port);
	w->watch = g_unix_fd_add(w->fd, G_IO_IN, fake_pcp_asked, w);
}

static void
fake_pcp_stop(FakePcp *w)
{
	g_source_remove(w->watch);
	close(w->fd);
}
