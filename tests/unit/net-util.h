/* SPDX-License-Identifier: MIT */
/*
 * For tests that need a network of their own: the calling thread moves into a fresh namespace,
 * which dies with it or when the next one is made. Nothing outside is touched.
 */
#pragma once

#include "wgctl/wg-endpoint.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

/* FALSE (and the test skipped) without the permission. */
static inline gboolean
net_fresh(void)
{
	if (unshare(CLONE_NEWNET) == 0)
		return TRUE;
	g_test_skip("needs root");
	return FALSE;
}

/* A command line without shell; run in this thread's namespace. */
static inline gboolean
net_try(const char *command)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *err = NULL;
	int status = 0;

	if (!g_spawn_command_line_sync(command, NULL, &err, &status, &error))
		g_error("%s: %s", command, error->message);
	if (status != 0)
		g_test_message("%s: %s", command, err);
	return status == 0;
}

G_GNUC_PRINTF(1, 2)
static inline void
net_run(const char *format, ...)
{
	g_autofree char *command = NULL;
	va_list args;

	va_start(args, format);
	command = g_strdup_vprintf(format, args);
	va_end(args);
	if (!net_try(command))
		g_error("failed: %s", command);
}

/* An IPv6 address is local only once a worker of the kernel has put its route (addrconf_dad_work);
 * what is sent to it before goes elsewhere. */
static inline void
net_wait_local(const char *address)
{
	g_autofree char *command = g_strdup_printf("ip route get %s", address);
	gint64 end = g_get_monotonic_time() + 60 * G_TIME_SPAN_SECOND;

	for (;;) {
		g_autofree char *out = NULL;

		if (g_spawn_command_line_sync(command, &out, NULL, NULL, NULL) &&
		    g_str_has_prefix(out, "local "))
			return;
		if (g_get_monotonic_time() > end)
			g_error("%s is not local: %s", address, out);
		g_usleep(5000);
	}
}

static inline WgEndpoint
net_ep(const char *text)
{
	WgEndpoint ep;

	if (!wg_endpoint_parse(text, &ep) && !wg_endpoint_parse_address(text, 0, &ep))
		g_error("not an address: %s", text);
	return ep;
}

/* Where a socket is bound. */
static inline WgEndpoint
net_own_address(int fd)
{
	struct sockaddr_storage sa = {0};
	socklen_t len = sizeof sa;
	WgEndpoint ep;

	g_assert_cmpint(getsockname(fd, (struct sockaddr *)&sa, &len), ==, 0);
	g_assert_true(wg_endpoint_from_sockaddr(&ep, &sa, len));
	return ep;
}

static inline int
net_udp(const char *bind_to)
{
	WgEndpoint ep = net_ep(bind_to);
	int on = 1, fd = socket(wg_endpoint_family(&ep), SOCK_DGRAM | SOCK_CLOEXEC, 0);

	g_assert_cmpint(fd, >=, 0);
	if (wg_endpoint_family(&ep) == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
	if (bind(fd, &ep.sa, wg_endpoint_socklen(&ep)) < 0)
		g_error("bind %s: %s", bind_to, g_strerror(errno));
	return fd;
}

/* Waits for input; 0 at the deadline. */
static inline gssize
net_recv(int fd, void *buf, gsize size, int timeout_ms, WgEndpoint *from)
{
	GPollFD poll = {.fd = fd, .events = G_IO_IN};
	struct sockaddr_storage sa = {0};
	socklen_t len = sizeof sa;
	gssize n;

	if (g_poll(&poll, 1, timeout_ms) <= 0)
		return 0;
	n = from ? recvfrom(fd, buf, size, 0, (struct sockaddr *)&sa, &len) : read(fd, buf, size);
	if (from)
		wg_endpoint_from_sockaddr(from, &sa, len);
	return n;
}

/* Runs the default context until *done or the deadline. */
static inline gboolean
net_wait(const gboolean *done, int timeout_ms)
{
	gint64 end = g_get_monotonic_time() + timeout_ms * G_TIME_SPAN_MILLISECOND;

	while (!*done && g_get_monotonic_time() < end) {
		if (!g_main_context_iteration(NULL, FALSE))
			g_usleep(1000);
	}
	/* the time may have passed while somebody else had the processor */
	for (int i = 0; i < 1000 && !*done && g_main_context_iteration(NULL, FALSE); i++)
		;
	return *done;
}
