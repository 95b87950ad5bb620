/* SPDX-License-Identifier: MIT */
/*
 * What the counters of a WireGuard interface of the kernel's count: data, and beside it keepalives
 * and handshakes, in both directions. So the agent takes no difference of a few packets for data
 * (NatTraffic).
 */
#include "agent/net/nat-traffic.h"
#include "tests/vm/wg-pair.h"

#include <net/if.h>
#include <stdio.h>
#include <unistd.h>

#define PATIENCE_US (60 * G_USEC_PER_SEC)
#define KEEPALIVES 3
#define KEEPALIVE_BYTES 32
#define DATA 100

typedef struct {
	guint64 rx, tx;
} Counters;

typedef struct {
	WgPair *pair;
	NatTraffic *traffic[2];
	gboolean failed;
} Bench;

static void
judge(Bench *bench, gboolean ok, const char *what, guint64 n)
{
	printf("%s counters: %s (%" G_GUINT64_FORMAT ")\n", ok ? "ok" : "FAILED", what, n);
	bench->failed |= !ok;
}

static Counters
counters(Bench *bench, WgPairSide side)
{
	Counters c;

	if (!nat_traffic_read(bench->traffic[side], &c.rx, &c.tx))
		wg_pair_die("FAILED counters: this kernel has none");
	return c;
}

/* Until B has received so many bytes more on the outside, be it data or not. */
static void
await_bytes(Bench *bench, guint64 before, guint64 more)
{
	gint64 end = g_get_monotonic_time() + PATIENCE_US;

	for (;;) {
		g_autoptr(WgPeer) peer = wg_pair_read(bench->pair, WG_PAIR_B);

		if (peer->rx_bytes - before >= more)
			return;
		if (g_get_monotonic_time() > end)
			wg_pair_die("FAILED counters: B received %" G_GUINT64_FORMAT " bytes only",
				    peer->rx_bytes - before);
		g_usleep(20000);
	}
}

static guint64
bytes(Bench *bench)
{
	g_autoptr(WgPeer) peer = wg_pair_read(bench->pair, WG_PAIR_B);

	return peer->rx_bytes;
}

static void
silent_tunnel(Bench *bench)
{
	Counters a, b;
	guint64 before;

	wg_pair_change(bench->pair, WG_PAIR_A, WG_CHANGE_ENDPOINT | WG_CHANGE_KEEPALIVE,
		       WG_PAIR_PATH_1, 1);
	await_bytes(bench, 0, 148 + KEEPALIVE_BYTES);
	a = counters(bench, WG_PAIR_A);
	b = counters(bench, WG_PAIR_B);
	judge(bench, a.rx > 0 && a.tx > 0, "a handshake counts for who began it, rx", a.rx);
	judge(bench, b.rx > 0 && b.tx > 0, "and for who answered, tx", b.tx);
	before = bytes(bench);
	a = counters(bench, WG_PAIR_A);
	b = counters(bench, WG_PAIR_B);
	await_bytes(bench, before, (guint64)KEEPALIVES * KEEPALIVE_BYTES);
	judge(bench, counters(bench, WG_PAIR_A).tx - a.tx >= KEEPALIVES,
	      "keepalives sent count in tx", counters(bench, WG_PAIR_A).tx - a.tx);
	judge(bench, counters(bench, WG_PAIR_B).rx - b.rx >= KEEPALIVES,
	      "keepalives received count in rx", counters(bench, WG_PAIR_B).rx - b.rx);
}

static void
data(Bench *bench)
{
	WgEndpoint to;
	guint64 before = bytes(bench);
	Counters a = counters(bench, WG_PAIR_A), b = counters(bench, WG_PAIR_B);
	int fd;

	g_assert_true(wg_endpoint_parse("10.72.0.2:9", &to));
	wg_pair_enter(bench->pair, WG_PAIR_A);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	for (int i = 0; i < DATA; i++)
		if (sendto(fd, "x", 1, 0, &to.sa, wg_endpoint_socklen(&to)) != 1)
			wg_pair_die("FAILED counters: cannot send into the tunnel");
	close(fd);
	await_bytes(bench, before, (guint64)DATA * 64);
	judge(bench, counters(bench, WG_PAIR_A).tx - a.tx >= DATA, "data sent counts in tx",
	      counters(bench, WG_PAIR_A).tx - a.tx);
	judge(bench, counters(bench, WG_PAIR_B).rx - b.rx >= DATA, "data received counts in rx",
	      counters(bench, WG_PAIR_B).rx - b.rx);
}

int
main(void)
{
	Bench bench = {.pair = wg_pair_new()};

	for (int side = WG_PAIR_A; side <= WG_PAIR_B; side++) {
		g_autoptr(GError) error = NULL;

		wg_pair_enter(bench.pair, side);
		bench.traffic[side] = nat_traffic_new(if_nametoindex("wg0"), &error);
		if (!bench.traffic[side])
			wg_pair_die("FAILED counters: %s", error->message);
	}
	silent_tunnel(&bench);
	data(&bench);
	for (int side = WG_PAIR_A; side <= WG_PAIR_B; side++)
		nat_traffic_free(bench.traffic[side]);
	wg_pair_free(bench.pair);
	return bench.failed ? 1 : 0;
}
