/* SPDX-License-Identifier: MIT */
/*
 * The agent's raw sockets beside the kernel's WireGuard, both on one port: STUN between the ports
 * of two devices reaches the raw sockets and leaves WireGuard alone, WireGuard's own packets
 * reach WireGuard only. IPv4 and IPv6.
 */
#include "agent/mux/nat-rawsock.h"
#include "agent/mux/nat-stun.h"
#include "tests/vm/wg-pair.h"

#include <stdio.h>
#include <stdlib.h>

#define PATIENCE_S 30

typedef struct {
	NatRawSock *sock;
	guint received;
	NatStun last; /* its pointers are stale */
	WgEndpoint last_src, last_dst;
} End;

typedef struct {
	WgPair *pair;
	End ends[2];
} Bench;

static void
on_packet(const NatUdp *pkt, gpointer user_data)
{
	End *end = user_data;

	end->received++;
	end->last_src = pkt->src;
	end->last_dst = pkt->dst;
	if (!nat_stun_parse(pkt->payload, pkt->len, &end->last))
		wg_pair_die("FAILED rawsock: the filter let through what is no STUN");
}

static void
bench_init(Bench *bench)
{
	g_autoptr(GError) error = NULL;

	bench->pair = wg_pair_new();
	for (int side = WG_PAIR_A; side <= WG_PAIR_B; side++) {
		End *end = &bench->ends[side];

		wg_pair_enter(bench->pair, side);
		end->received = 0;
		end->sock = nat_raw_sock_new(WG_PAIR_PORT, 0, on_packet, end, &error);
		if (!end->sock)
			wg_pair_die("FAILED rawsock: %s", error->message);
	}
}

static void
bench_clear(Bench *bench)
{
	for (int side = WG_PAIR_A; side <= WG_PAIR_B; side++)
		nat_raw_sock_free(bench->ends[side].sock);
	wg_pair_free(bench->pair);
}

static gboolean
on_time_out(gpointer timed_out)
{
	*(gboolean *)timed_out = TRUE;
	return G_SOURCE_REMOVE;
}

/* Whether the end has received `count` messages in the end. */
static gboolean
await_received(const End *end, guint count)
{
	gboolean timed_out = FALSE;
	guint timer = g_timeout_add_seconds(PATIENCE_S, on_time_out, &timed_out);

	while (end->received < count && !timed_out)
		g_main_context_iteration(NULL, TRUE);
	if (!timed_out)
		g_source_remove(timer);
	return end->received == count;
}

static gboolean
send_stun(Bench *bench, WgPairSide from, WgPairPath path, gboolean request)
{
	WgEndpoint src = wg_pair_endpoint(from, path), dst = wg_pair_endpoint(!from, path);
	const guint8 id[NAT_STUN_ID_LEN] = "twelve bytes";
	g_autoptr(GError) error = NULL;
	guint8 buf[NAT_STUN_MAX];
	gsize len = request ? nat_stun_build_request(buf, sizeof buf, id, "them:us", "password")
			    : nat_stun_build_response(buf, sizeof buf, id, &dst, "password");

	wg_pair_enter(bench->pair, from);
	if (nat_raw_sock_send(bench->ends[from].sock, &src, &dst, buf, len, &error))
		return TRUE;
	fprintf(stderr, "%s\n", error->message);
	return FALSE;
}

/* One message from WireGuard's port to WireGuard's port. */
static gboolean
stun_arrives(Bench *bench, WgPairSide from, WgPairPath path, gboolean request)
{
	const End *to = &bench->ends[!from];
	WgEndpoint src = wg_pair_endpoint(from, path), dst = wg_pair_endpoint(!from, path);

	return send_stun(bench, from, path, request) && await_received(to, to->received + 1) &&
	       to->last.klass == (request ? NAT_STUN_REQUEST : NAT_STUN_SUCCESS) &&
	       wg_endpoint_equal(&to->last_src, &src) && wg_endpoint_equal(&to->last_dst, &dst);
}

static gboolean
there_and_back(Bench *bench, WgPairPath path)
{
	return stun_arrives(bench, WG_PAIR_A, path, TRUE) &&
	       stun_arrives(bench, WG_PAIR_B, path, FALSE);
}

static gboolean
stun_v4(Bench *bench)
{
	return there_and_back(bench, WG_PAIR_PATH_1);
}

static gboolean
stun_v6(Bench *bench)
{
	return there_and_back(bench, WG_PAIR_PATH_1_V6);
}

/* After STUN: neither endpoint nor counters of the peers have changed. */
static gboolean
wireguard_ignores_stun(Bench *bench)
{
	for (int side = WG_PAIR_A; side <= WG_PAIR_B; side++) {
		g_autoptr(WgPeer) peer = wg_pair_read(bench->pair, side);

		if (wg_endpoint_is_set(&peer->endpoint) || peer->rx_bytes || peer->tx_bytes)
			return FALSE;
	}
	return TRUE;
}

static gboolean
await_handshake(Bench *bench)
{
	gint64 deadline = g_get_monotonic_time() + PATIENCE_S * G_USEC_PER_SEC;

	while (g_get_monotonic_time() < deadline) {
		g_autoptr(WgPeer) peer = wg_pair_read(bench->pair, WG_PAIR_A);

		if (peer->last_handshake_s)
			return TRUE;
		g_usleep(20 * 1000);
	}
	return FALSE;
}

/* A handshake on the path, then STUN, of which each raw socket sees just its one message. */
static gboolean
handshake_on(Bench *bench, WgPairPath path)
{
	guint before[2] = {bench->ends[0].received, bench->ends[1].received};

	wg_pair_change(bench->pair, WG_PAIR_A,
		       WG_CHANGE_ENDPOINT | WG_CHANGE_KEEPALIVE | WG_CHANGE_REPLACE, path, 25);
	return await_handshake(bench) && there_and_back(bench, path) &&
	       bench->ends[0].received == before[0] + 1 && bench->ends[1].received == before[1] + 1;
}

static gboolean
handshake_v4(Bench *bench)
{
	return handshake_on(bench, WG_PAIR_PATH_1);
}

static gboolean
handshake_v6(Bench *bench)
{
	return handshake_on(bench, WG_PAIR_PATH_1_V6);
}

static const struct {
	const char *name;
	gboolean (*check)(Bench *bench);
} checks[] = {
	{"STUN from and to WireGuard's port, IPv4", stun_v4},
	{"STUN from and to WireGuard's port, IPv6", stun_v6},
	{"WireGuard does not notice STUN", wireguard_ignores_stun},
	{"handshake beside it, IPv4; not seen by the raw socket", handshake_v4},
	{"handshake beside it, IPv6; not seen by the raw socket", handshake_v6},
};

int
main(void)
{
	gboolean good = TRUE;
	Bench bench;

	bench_init(&bench);
	for (guint i = 0; i < G_N_ELEMENTS(checks); i++) {
		gboolean passed = checks[i].check(&bench);

		printf("%s rawsock: %s\n", passed ? "ok" : "FAILED", checks[i].name);
		fflush(stdout);
		good = good && passed;
	}
	bench_clear(&bench);
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
