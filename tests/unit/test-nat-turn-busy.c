/* SPDX-License-Identifier: MIT */
/*
 * An allocation over TCP whose stream is full of data. The server is a FakeTurn behind a door of
 * the test's own: it reads the stream as fast as told, and hands on the requests alone.
 */
#include "agent/relay/nat-turn-frame.h"
#include "agent/relay/nat-turn.h"
#include "tests/unit/fake-turn.h"
#include "tests/unit/net-own.h"

#define SOON_MS 20000
#define EVERYTHING G_MAXUINT
#define STEP_MS 5

typedef struct {
	FakeTurn server;
	int listener, peer, inside; /* the door's; inside: towards the server */
	guint accepts, answers, timer;
	guint bytes_per_ms; /* read of the stream; 0: stopped */
	gint64 read_us;	    /* when last */
	gsize have;
	guint8 buf[NAT_TURN_FRAME_MAX];
	WgEndpoint addr;
	NatTurn *turn;
	gboolean up, down, bound;
	guint16 channel;
	/* WireGuard's */
	NatBridge *bridge;
	int wg;
} Fixture;

/* ---- the door ---- */

static gboolean
on_connection(gint fd, GIOCondition condition, gpointer user_data)
{
	Fixture *f = user_data;

	g_assert_cmpint(f->peer, <, 0);
	f->peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	g_assert_cmpint(f->peer, >=, 0);
	f->read_us = g_get_monotonic_time();
	return G_SOURCE_CONTINUE;
}

static gboolean
on_answer(gint fd, GIOCondition condition, gpointer user_data)
{
	Fixture *f = user_data;
	guint8 buf[2000];
	gssize n = recv(fd, buf, sizeof buf, MSG_DONTWAIT);

	if (n > 0 && f->peer >= 0)
		send(f->peer, buf, (gsize)n, MSG_NOSIGNAL);
	return G_SOURCE_CONTINUE;
}

/* RFC 8489 §5: the class is the bits 0x0110. */
static gboolean
is_request(const guint8 *msg)
{
	return (msg[0] & 0xc1) == 0 && (msg[1] & 0x10) == 0;
}

static void
hand_in(Fixture *f)
{
	NatTurnFrame frame;
	gsize at = 0;

	while (nat_turn_frame_next(f->buf + at, f->have - at, &frame) == NAT_TURN_FRAME_COMPLETE) {
		if (is_request(f->buf + at))
			send(f->inside, f->buf + at, frame.len, 0);
		at += frame.whole;
	}
	f->have -= at;
	memmove(f->buf, f->buf + at, f->have);
}

static gboolean
on_step(gpointer user_data)
{
	Fixture *f = user_data;
	gint64 now = g_get_monotonic_time();
	guint64 may = (guint64)(now - f->read_us) * f->bytes_per_ms / 1000;
	gssize n = 1;

	f->read_us = now;
	while (f->peer >= 0 && may > 0 && n > 0) {
		n = recv(f->peer, f->buf + f->have, MIN(sizeof f->buf - f->have, may),
			 MSG_DONTWAIT);
		if (n <= 0)
			break;
		f->have += (gsize)n;
		may -= (guint64)n;
		hand_in(f);
	}
	return G_SOURCE_CONTINUE;
}

/* What waits shall wait at our side. */
static void
open_door(Fixture *f)
{
	WgEndpoint any = net_ep("127.0.0.1:0");
	int small = 16384;

	f->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(f->listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
	g_assert_cmpint(bind(f->listener, &any.sa, wg_endpoint_socklen(&any)), ==, 0);
	g_assert_cmpint(listen(f->listener, 5), ==, 0);
	f->addr = net_own_address(f->listener);
	f->inside = net_udp("127.0.0.1:0");
	g_assert_cmpint(
		connect(f->inside, &f->server.addr.sa, wg_endpoint_socklen(&f->server.addr)), ==,
		0);
	f->accepts = g_unix_fd_add(f->listener, G_IO_IN, on_connection, f);
	f->answers = g_unix_fd_add(f->inside, G_IO_IN, on_answer, f);
	f->timer = g_timeout_add(STEP_MS, on_step, f);
}

/* ---- the allocation ---- */

static void
on_up(NatTurn *turn, const WgEndpoint *relayed, gpointer user_data)
{
	((Fixture *)user_data)->up = TRUE;
}

static void
on_down(NatTurn *turn, NatTurnFailure failure, const char *reason, gpointer user_data)
{
	g_test_message("%s", reason);
	((Fixture *)user_data)->down = TRUE;
}

static void
on_received(NatTurn *turn, const WgEndpoint *from, const guint8 *data, gsize len,
	    gpointer user_data)
{
}

static void
on_bound(guint16 channel, gpointer user_data)
{
	Fixture *f = user_data;

	f->channel = channel;
	f->bound = TRUE;
}

static void
set_up(Fixture *f, gconstpointer data)
{
	static const NatTurnFuncs funcs = {on_up, on_down, on_received};
	g_autofree char *text = NULL;
	g_autoptr(NatTurnUri) uri = NULL;

	f->peer = f->wg = -1;
	f->bytes_per_ms = EVERYTHING;
	fake_turn_open(&f->server);
	open_door(f);
	text = g_strdup_printf("turn:" FAKE_USER ":" FAKE_SECRET "@127.0.0.1:%u?transport=tcp",
			       wg_endpoint_port(&f->addr));
	uri = nat_turn_uri_parse(text, NULL);
	f->turn = nat_turn_new(uri, &f->addr, 0, &funcs, f);
	g_assert_true(net_wait(&f->up, SOON_MS));
}

static void
tear_down(Fixture *f, gconstpointer data)
{
	if (f->bridge)
		nat_bridge_free(f->bridge);
	nat_turn_free(f->turn);
	g_source_remove(f->accepts);
	g_source_remove(f->answers);
	g_source_remove(f->timer);
	close(f->listener);
	close(f->inside);
	if (f->peer >= 0)
		close(f->peer);
	if (f->wg >= 0)
		close(f->wg);
	fake_turn_close(&f->server);
}

static gboolean
wait_requests(Fixture *f, guint method, guint n, int timeout_ms)
{
	gint64 end = g_get_monotonic_time() + timeout_ms * G_TIME_SPAN_MILLISECOND;

	while (f->server.requests[method] < n && g_get_monotonic_time() < end)
		if (!g_main_context_iteration(NULL, FALSE))
			g_usleep(500);
	return f->server.requests[method] >= n;
}

static void
run_for(int ms)
{
	static const gboolean never;

	net_wait(&never, ms);
}

/* ---- full ---- */

/* Until nothing more is taken, nor a moment later. */
static void
fill(Fixture *f, const WgEndpoint *peer)
{
	static const guint8 packet[1400] = {4};
	guint taken = 1;

	while (taken > 0) {
		for (taken = 0; nat_turn_send(f->turn, peer, packet, sizeof packet);)
			taken++;
		g_usleep(50000);
	}
}

/* A request is no data: it is not dropped where there is no room for it. */
static void
test_stopped(Fixture *f, gconstpointer data)
{
	WgEndpoint peer = net_ep("198.51.100.7:51820");

	f->bytes_per_ms = 0;
	fill(f, &peer);
	nat_turn_check(f->turn);
	nat_turn_permit(f->turn, &peer, 1);
	run_for(200);
	f->bytes_per_ms = EVERYTHING;
	g_assert_true(wait_requests(f, STUN_REFRESH, 1, SOON_MS));
	g_assert_true(wait_requests(f, STUN_CREATEPERMISSION, 1, SOON_MS));
	run_for(5000); /* until no answer would be late */
	g_assert_false(f->down);
	g_assert_true(nat_turn_is_up(f->turn));
	g_assert_cmpuint(f->server.requests[STUN_REFRESH], ==, 1);
}

static gboolean
on_flood(gpointer user_data)
{
	static const guint8 packet[1400] = {4};
	Fixture *f = user_data;
	const WgEndpoint *to = nat_bridge_endpoint(f->bridge);

	for (int i = 0; i < 50; i++)
		sendto(f->wg, packet, sizeof packet, MSG_DONTWAIT, &to->sa,
		       wg_endpoint_socklen(to));
	return G_SOURCE_CONTINUE;
}

static guint
start_flood(Fixture *f, const WgEndpoint *peer)
{
	WgEndpoint own;

	nat_turn_bind(f->turn, peer, on_bound, f);
	g_assert_true(net_wait(&f->bound, SOON_MS));
	f->wg = net_udp("127.0.0.1:0");
	own = net_own_address(f->wg);
	f->bridge =
		nat_bridge_new(nat_turn_pump(f->turn), f->channel, wg_endpoint_port(&own), 0, NULL);
	g_assert_nonnull(f->bridge);
	return g_timeout_add(STEP_MS, on_flood, f);
}

/* WireGuard sends a hundred times what the uplink (2 Mbit/s) carries: what is asked of the server
 * beside it is there in time, each time. */
static void
test_slow(Fixture *f, gconstpointer data)
{
	WgEndpoint peers[4];
	guint flood;

	for (guint i = 0; i < G_N_ELEMENTS(peers); i++) {
		g_autofree char *text = g_strdup_printf("198.51.100.%u:51820", i + 1);

		peers[i] = net_ep(text);
	}
	flood = start_flood(f, &peers[0]);
	f->bytes_per_ms = 250;
	run_for(2000); /* all that can be full is full */
	for (guint i = 0; i < G_N_ELEMENTS(peers); i++) {
		nat_turn_permit(f->turn, peers, i + 1);
		nat_turn_check(f->turn);
		g_assert_true(wait_requests(f, STUN_CREATEPERMISSION, i + 1, 4000));
		g_assert_true(wait_requests(f, STUN_REFRESH, i + 1, 4000));
		run_for(100);
	}
	g_assert_false(f->down);
	g_assert_cmpuint(f->server.requests[STUN_CREATEPERMISSION], ==, G_N_ELEMENTS(peers));
	g_source_remove(flood);
}

#define ADD(name, func) g_test_add(name, Fixture, NULL, set_up, func, tear_down)

int
main(int argc, char **argv)
{
	if (!net_own())
		return 1;
	g_test_init(&argc, &argv, NULL);
	ADD("/turn-busy/stopped", test_stopped);
	ADD("/turn-busy/slow", test_slow);
	return g_test_run();
}
