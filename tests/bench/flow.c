/* SPDX-License-Identifier: MIT */
/*
 * One flow from another source port, as the agent makes it: flow rewrite|detour LOCAL REMOTE PORT.
 * LOCAL has WireGuard's port. Prints what WireGuard's endpoint must be, and holds the flow until it
 * is ended.
 */
#include <glib-unix.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/punch/punch-detour.h"
#include "agent/punch/punch-rewrite.h"

static gboolean
on_end(gpointer loop)
{
	g_main_loop_quit(loop);
	return G_SOURCE_REMOVE;
}

static int
hold(const PunchFlow *flow)
{
	WgEndpoint own = flow->local;
	int fd = socket(wg_endpoint_family(&own), SOCK_DGRAM | SOCK_CLOEXEC, 0);

	wg_endpoint_set_port(&own, flow->port);
	return fd >= 0 && bind(fd, &own.sa, wg_endpoint_socklen(&own)) == 0 ? fd : -1;
}

static void
on_stun(const guint8 *msg, gsize len, gpointer user_data)
{
}

static void
run(const WgEndpoint *endpoint)
{
	GMainLoop *loop = g_main_loop_new(NULL, FALSE);
	char text[WG_ENDPOINT_STRLEN];

	puts(wg_endpoint_format(endpoint, text));
	fflush(stdout);
	g_unix_signal_add(SIGTERM, on_end, loop);
	g_main_loop_run(loop);
	g_main_loop_unref(loop);
}

static gboolean
rewrite(const PunchFlow *flow, GError **error)
{
	PunchRewrite *rewrite = punch_rewrite_new("bench");
	gboolean ok = punch_rewrite_set(rewrite, flow, 1, error);

	if (ok) {
		run(&flow->remote);
		ok = punch_rewrite_set(rewrite, NULL, 0, error);
	}
	punch_rewrite_free(rewrite);
	return ok;
}

static gboolean
detour(const PunchFlow *flow, int fd, GError **error)
{
	PunchDetour *detour = punch_detour_new(fd, &flow->remote, wg_endpoint_port(&flow->local), 0,
					       on_stun, NULL, error);

	if (detour == NULL)
		return FALSE;
	run(punch_detour_endpoint(detour));
	punch_detour_free(detour);
	return TRUE;
}

int
main(int argc, char **argv)
{
	g_autoptr(GError) error = NULL;
	PunchFlow flow = {0};
	int fd;

	if (argc != 5 || !wg_endpoint_parse(argv[2], &flow.local) ||
	    !wg_endpoint_parse(argv[3], &flow.remote) ||
	    (flow.port = (guint16)atoi(argv[4])) == 0) {
		fputs("flow rewrite|detour LOCAL REMOTE PORT\n", stderr);
		return 2;
	}
	fd = hold(&flow);
	if (fd < 0) {
		perror("flow");
		return 1;
	}
	if (strcmp(argv[1], "detour") == 0 ? detour(&flow, fd, &error) : rewrite(&flow, &error))
		return 0;
	fprintf(stderr, "flow: %s\n", error->message);
	return 1;
}
