/* SPDX-License-Identifier: MIT */
#include "tests/vm/wg-pair.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct WgPair {
	int netns[2];
	WgKey public_key[2];
	WgCtl *ctl[2]; /* each used in its own namespace only */
};

void
wg_pair_die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(EXIT_FAILURE);
}

static int
new_netns(void)
{
	int fd;

	if (unshare(CLONE_NEWNET) < 0)
		wg_pair_die("cannot make a network namespace: %s; run it as root",
			    g_strerror(errno));
	fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		wg_pair_die("cannot open /proc/self/ns/net: %s", g_strerror(errno));
	return fd;
}

void
wg_pair_enter(WgPair *pair, WgPairSide side)
{
	if (setns(pair->netns[side], CLONE_NEWNET) < 0)
		wg_pair_die("cannot enter a network namespace: %s", g_strerror(errno));
}

/* Runs lines of ip(8) commands in the present namespace. */
static void
ip_batch(const char *lines)
{
	FILE *ip = popen("ip -b -", "w");

	if (!ip || fputs(lines, ip) == EOF || pclose(ip) != 0)
		wg_pair_die("ip(8) refused this; is the module 'wireguard' there?\n%s", lines);
}

static void
set_up_links(WgPair *pair)
{
	g_autofree char *links = NULL;

	wg_pair_enter(pair, WG_PAIR_A);
	links = g_strdup_printf("link add path1 type veth peer name path1 netns /proc/%d/fd/%d\n"
				"link add path2 type veth peer name path2 netns /proc/%d/fd/%d\n",
				getpid(), pair->netns[WG_PAIR_B], getpid(), pair->netns[WG_PAIR_B]);
	ip_batch(links);
}

static void
set_up_side(WgPair *pair, WgPairSide side)
{
	int host = side == WG_PAIR_A ? 1 : 2;
	g_autofree char *lines = g_strdup_printf("link set lo up\n"
						 "link set path1 up\n"
						 "link set path2 up\n"
						 "addr add 10.71.1.%d/24 dev path1\n"
						 "addr add 10.71.2.%d/24 dev path2\n"
						 "addr add fd71::%d/64 dev path1 nodad\n"
						 "link add wg0 type wireguard\n"
						 "addr add 10.72.0.%d/24 dev wg0\n",
						 host, host, host, host);

	wg_pair_enter(pair, side);
	ip_batch(lines);
}

static void
set_up_device(WgPair *pair, WgPairSide side)
{
	g_autoptr(GError) error = NULL;
	const guint16 port = WG_PAIR_PORT;
	WgKey private_key;

	wg_pair_enter(pair, side);
	pair->ctl[side] = wg_ctl_new("wg0");
	wg_key_generate_private(&private_key);
	wg_key_public_from_private(&private_key, &pair->public_key[side]);
	if (!wg_ctl_set_device(pair->ctl[side], &private_key, &port, NULL, &error))
		wg_pair_die("%s", error->message);
	wg_key_clear(&private_key);
	ip_batch("link set wg0 up\n");
}

static void
add_peer(WgPair *pair, WgPairSide side)
{
	g_autoptr(GError) error = NULL;
	WgAllowedIp all;
	WgPeerChange change = {
		.public_key = pair->public_key[!side],
		.flags = WG_CHANGE_CREATE | WG_CHANGE_ALLOWED_IPS,
		.allowed_ips = &all,
		.n_allowed_ips = 1,
	};

	g_assert_true(wg_allowed_ip_parse("10.72.0.0/24", &all));
	wg_pair_enter(pair, side);
	if (!wg_ctl_apply(pair->ctl[side], &change, 1, &error))
		wg_pair_die("%s", error->message);
}

WgPair *
wg_pair_new(void)
{
	WgPair *pair = g_new0(WgPair, 1);

	for (int side = WG_PAIR_A; side <= WG_PAIR_B; side++)
		pair->netns[side] = new_netns();
	set_up_links(pair);
	for (int side = WG_PAIR_A; side <= WG_PAIR_B; side++)
		set_up_side(pair, side);
	for (int side = WG_PAIR_A; side <= WG_PAIR_B; side++)
		set_up_device(pair, side);
	for (int side = WG_PAIR_A; side <= WG_PAIR_B; side++)
		add_peer(pair, side);
	return pair;
}

void
wg_pair_free(WgPair *pair)
{
	if (!pair)
		return;
	for (int side = WG_PAIR_A; side <= WG_PAIR_B; side++) {
		wg_ctl_free(pair->ctl[side]);
		close(pair->netns[side]);
	}
	g_free(pair);
}

WgEndpoint
wg_pair_endpoint(WgPairSide side, WgPairPath path)
{
	int host = side == WG_PAIR_A ? 1 : 2;
	g_autofree char *text = NULL;
	WgEndpoint endpoint;

	switch (path) {
	case WG_PAIR_PATH_1:
		text = g_strdup_printf("10.71.1.%d:%d", host, WG_PAIR_PORT);
		break;
	case WG_PAIR_PATH_2:
		text = g_strdup_printf("10.71.2.%d:%d", host, WG_PAIR_PORT);
		break;
	case WG_PAIR_PATH_1_V6:
		text = g_strdup_printf("[fd71::%d]:%d", host, WG_PAIR_PORT);
		break;
	case WG_PAIR_PATH_NOWHERE:
		text = g_strdup_printf("10.71.1.%d:9", host);
		break;
	}
	g_assert_true(wg_endpoint_parse(text, &endpoint));
	return endpoint;
}

void
wg_pair_change(WgPair *pair, WgPairSide side, WgChangeFlags flags, WgPairPath path,
	       guint16 keepalive)
{
	g_autoptr(GError) error = NULL;
	WgPeerChange change = {
		.public_key = pair->public_key[!side],
		.flags = flags,
		.endpoint = wg_pair_endpoint(!side, path),
		.keepalive = keepalive,
	};

	wg_pair_enter(pair, side);
	if (!wg_ctl_apply(pair->ctl[side], &change, 1, &error))
		wg_pair_die("%s", error->message);
}

WgPeer *
wg_pair_read(WgPair *pair, WgPairSide side)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(WgDevice) dev = NULL;
	WgPeer *peer;

	wg_pair_enter(pair, side);
	dev = wg_ctl_read(pair->ctl[side], &error);
	if (!dev)
		wg_pair_die("%s", error->message);
	peer = wg_device_find(dev, &pair->public_key[!side]);
	if (!peer)
		wg_pair_die("the device has lost its peer");
	return wg_peer_copy(peer);
}
