/* SPDX-License-Identifier: MIT */
/*
 * Two hosts in one process: two network namespaces joined by a veth pair. A socket stays in the
 * namespace where it was opened, so each host's mux is made inside its own, and one main loop
 * serves both. The namespaces die with their sockets and with the descriptors held here.
 *
 *     a: 10.9.0.1, fd09::1 ── veth ── b: 10.9.0.2, fd09::2
 */
#pragma once

#include "agent/mux/nat-mux.h"
#include "tests/unit/net-util.h"

#include <string.h>

#define HOST_PORT 51820

typedef struct {
	int netns; /* -1: closed */
	NatFib *fib;
	NatMux *mux;
	int port_holder;  /* a socket in the place of WireGuard's, so that P is open */
	WgEndpoint addr;  /* IPv4, port P */
	WgEndpoint addr6; /* port P */
} Host;

typedef struct {
	Host a, b;
} Hosts;

static inline void
host_enter(const Host *host)
{
	if (setns(host->netns, CLONE_NEWNET) < 0)
		g_error("setns: %s", g_strerror(errno));
}

static inline int
host_netns(void)
{
	int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

	g_assert_cmpint(fd, >=, 0);
	return fd;
}

static inline void
host_up(Host *host, const char *dev, int number)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *v4 = g_strdup_printf("10.9.0.%d:%d", number, HOST_PORT);
	g_autofree char *v6 = g_strdup_printf("[fd09::%d]:%d", number, HOST_PORT);

	host_enter(host);
	net_run("ip link set lo up");
	net_run("ip addr add 10.9.0.%d/24 dev %s", number, dev);
	net_run("ip addr add fd09::%d/64 dev %s nodad", number, dev);
	net_run("ip link set %s up", dev);
	host->addr = net_ep(v4);
	host->addr6 = net_ep(v6);
	host->port_holder = net_udp(v4);
	host->fib = nat_fib_new(&error);
	g_assert_no_error(error);
	host->mux = nat_mux_new(host->fib, HOST_PORT, 0, &error);
	g_assert_no_error(error);
}

/* A fresh link drops what is sent, without a word, until a worker of the kernel has seen that it is
 * up (net/core/link_watch.c: up to a second), and an IPv6 address is local only once another has
 * put its route (addrconf_dad_work). */
static inline void
host_wait_link(const Host *host, const char *dev)
{
	g_autofree char *command = g_strdup_printf("ip -o link show dev %s", dev);
	gint64 end = g_get_monotonic_time() + 60 * G_TIME_SPAN_SECOND;
	NatRoute route;

	host_enter(host);
	for (;;) {
		g_autofree char *out = NULL;

		if (g_spawn_command_line_sync(command, &out, NULL, NULL, NULL) &&
		    strstr(out, "state UP") != NULL &&
		    nat_fib_lookup(host->fib, &host->addr6, 0, &route) && route.local)
			return;
		if (g_get_monotonic_time() > end)
			g_error("%s does not come up: %s", dev, out);
		g_usleep(5000);
	}
}

/* FALSE (and the test skipped) without the permission. Ends in host a. */
static inline gboolean
hosts_up(Hosts *hosts)
{
	hosts->a.netns = hosts->b.netns = -1;
	if (!net_fresh())
		return FALSE;
	hosts->b.netns = host_netns();
	if (!net_fresh())
		return FALSE;
	hosts->a.netns = host_netns();
	net_run("ip link add core-a type veth peer name core-b");
	net_run("ip link set core-b netns /proc/%d/fd/%d", (int)getpid(), hosts->b.netns);
	host_up(&hosts->b, "core-b", 2);
	host_up(&hosts->a, "core-a", 1);
	host_wait_link(&hosts->b, "core-b");
	host_wait_link(&hosts->a, "core-a");
	return TRUE;
}

static inline void
host_down(Host *host)
{
	if (host->netns < 0)
		return;
	nat_mux_free(host->mux);
	nat_fib_free(host->fib);
	close(host->port_holder);
	close(host->netns);
}

static inline void
hosts_down(Hosts *hosts)
{
	host_down(&hosts->a);
	host_down(&hosts->b);
}

/* Runs the default context until cond(data) or the deadline. */
static inline gboolean
hosts_wait(gboolean (*cond)(gconstpointer data), gconstpointer data, int timeout_ms)
{
	gint64 end = g_get_monotonic_time() + timeout_ms * G_TIME_SPAN_MILLISECOND;

	while (!cond(data) && g_get_monotonic_time() < end) {
		if (!g_main_context_iteration(NULL, FALSE))
			g_usleep(500);
	}
	/* the time may have passed while somebody else had the processor */
	for (int i = 0; i < 1000 && !cond(data) && g_main_context_iteration(NULL, FALSE); i++)
		;
	return cond(data);
}

/* Runs the default context for a while, where a test shows that something does not happen. On a
 * loaded machine the time may pass before what came due has been dispatched: it is no way to wait
 * for something. */
static inline void
hosts_run(int ms)
{
	gint64 end = g_get_monotonic_time() + ms * G_TIME_SPAN_MILLISECOND;

	while (g_get_monotonic_time() < end) {
		if (!g_main_context_iteration(NULL, FALSE))
			g_usleep(500);
	}
	for (int i = 0; i < 100 && g_main_context_iteration(NULL, FALSE); i++)
		;
}
