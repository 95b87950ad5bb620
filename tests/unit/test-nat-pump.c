/* SPDX-License-Identifier: MIT */
#include "agent/relay/nat-pump.h"
#include "tests/unit/net-own.h"
#include "tests/unit/net-util.h"

#include <errno.h>
#include <gio/gio.h>
#include <string.h>
#include <sys/socket.h>

#define CHANNEL 0x4001
#define WAIT_MS 30000

/* A TURN server (its socket), WireGuard (its socket) and the pump between them. */
typedef struct {
	int server, wg;
	WgEndpoint pump_addr; /* as the server sees the pump */
	guint16 wg_port;
	NatPump *pump;
	NatBridge *bridge;
	gboolean got, failed;
	guint n_control;
	int error;
	guint8 msg[2048];
	gsize len;
	gboolean free_inside;
} Fixture;

static void
on_control(const guint8 *msg, gsize len, gpointer user_data)
{
	Fixture *f = user_data;

	f->len = MIN(len, sizeof f->msg);
	memcpy(f->msg, msg, f->len);
	f->n_control++;
	f->got = TRUE;
	if (!f->free_inside)
		return;
	g_clear_pointer(&f->bridge, nat_bridge_free);
	g_clear_pointer(&f->pump, nat_pump_free);
}

static void
on_failed(int error, gpointer user_data)
{
	Fixture *f = user_data;

	g_assert_false(f->failed);
	f->error = error;
	f->failed = TRUE;
}

static int
connected_to(int server, WgEndpoint *own)
{
	WgEndpoint to = net_own_address(server);
	int fd = net_udp("127.0.0.1:0");

	g_assert_cmpint(connect(fd, &to.sa, wg_endpoint_socklen(&to)), ==, 0);
	*own = net_own_address(fd);
	return fd;
}

static void
start(Fixture *f, int fd)
{
	const NatPumpFuncs funcs = {on_control, on_failed};
	g_autoptr(GError) error = NULL;
	WgEndpoint wg;

	f->wg = net_udp("127.0.0.1:0");
	wg = net_own_address(f->wg);
	f->wg_port = wg_endpoint_port(&wg);
	f->pump = nat_pump_new(fd, &funcs, f, &error);
	g_assert_no_error(error);
	f->bridge = nat_bridge_new(f->pump, CHANNEL, f->wg_port, 0, &error);
	g_assert_no_error(error);
}

static void
set_up(Fixture *f, gconstpointer data)
{
	int big = 4 << 20;

	f->server = net_udp("127.0.0.1:0");
	setsockopt(f->server, SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof big);
	start(f, connected_to(f->server, &f->pump_addr));
	setsockopt(f->wg, SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof big);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
	nat_bridge_free(f->bridge);
	nat_pump_free(f->pump);
	if (f->server >= 0)
		close(f->server);
	close(f->wg);
}

static void
put_frame(guint8 *buf, guint16 channel, guint16 len)
{
	buf[0] = channel >> 8;
	buf[1] = channel & 0xff;
	buf[2] = len >> 8;
	buf[3] = len & 0xff;
}

/* A transport message of WireGuard's look: type 4, and a number to know it by. */
static void
put_data(guint8 *buf, gsize len, guint32 number)
{
	memset(buf, 0x5a, len);
	memset(buf, 0, 4);
	buf[0] = 4;
	memcpy(buf + 4, &number, sizeof number);
}

static void
server_sends(Fixture *f, const guint8 *buf, gsize len)
{
	g_assert_cmpint(sendto(f->server, buf, len, 0, &f->pump_addr.sa,
			       wg_endpoint_socklen(&f->pump_addr)),
			==, (gssize)len);
}

static void
wg_sends(Fixture *f, const NatBridge *bridge, const guint8 *buf, gsize len)
{
	const WgEndpoint *to = nat_bridge_endpoint(bridge);

	g_assert_cmpint(sendto(f->wg, buf, len, 0, &to->sa, wg_endpoint_socklen(to)), ==,
			(gssize)len);
}

static void
frame_to_pump(Fixture *f, guint16 channel, guint32 number, gsize len)
{
	guint8 frame[1600];

	put_frame(frame, channel, (guint16)len);
	put_data(frame + 4, len, number);
	server_sends(f, frame, len + 4);
}

static void
wg_gets(Fixture *f, guint32 number, gsize len, WgEndpoint *from)
{
	guint8 buf[2048], want[2048];

	put_data(want, len, number);
	g_assert_cmpint(net_recv(f->wg, buf, sizeof buf, WAIT_MS, from), ==, (gssize)len);
	g_assert_cmpmem(buf, len, want, len);
}

static void
server_gets(Fixture *f, guint16 channel, guint32 number, gsize len)
{
	guint8 buf[2048], want[2048];

	put_frame(want, channel, (guint16)len);
	put_data(want + 4, len, number);
	g_assert_cmpint(net_recv(f->server, buf, sizeof buf, WAIT_MS, NULL), ==, (gssize)len + 4);
	g_assert_cmpmem(buf, len + 4, want, len + 4);
}

static void
test_both_ways(Fixture *f, gconstpointer data)
{
	static const gsize sizes[] = {32, 148, 1400, 1452, 60};
	NatBridgeStats stats;
	guint8 buf[1500];
	WgEndpoint from;

	for (guint32 i = 0; i < G_N_ELEMENTS(sizes); i++) {
		frame_to_pump(f, CHANNEL, i, sizes[i]);
		wg_gets(f, i, sizes[i], &from);
		g_assert_true(wg_endpoint_equal(&from, nat_bridge_endpoint(f->bridge)));
		put_data(buf, sizes[i], i);
		wg_sends(f, f->bridge, buf, sizes[i]);
		server_gets(f, CHANNEL, i, sizes[i]);
	}
	nat_bridge_stats(f->bridge, &stats);
	g_assert_cmpuint(stats.to_turn_packets, <=, 5);
	g_assert_cmpuint(stats.dropped, ==, 0);
}

/* The thread counts what it has handed out just before. */
static void
wait_sum(Fixture *f, guint64 packets)
{
	gint64 end = g_get_monotonic_time() + WAIT_MS * G_TIME_SPAN_MILLISECOND;
	NatBridgeStats sum;

	for (;;) {
		nat_pump_stats(f->pump, &sum);
		if (sum.to_wg_packets == packets)
			break;
		g_assert_cmpint(g_get_monotonic_time(), <, end);
		g_usleep(1000);
	}
	g_assert_cmpuint(sum.to_wg_bytes, ==, packets * 100);
	g_assert_cmpuint(sum.to_turn_packets, ==, 0);
}

/* Of all bridges: one with two users counts once, and one that is gone still does. */
static void
test_sum(Fixture *f, gconstpointer data)
{
	NatBridge *other = nat_bridge_new(f->pump, CHANNEL + 1, f->wg_port, 0, NULL);
	NatBridge *again = nat_bridge_share(other);
	WgEndpoint from;

	for (guint32 i = 0; i < 10; i++) {
		frame_to_pump(f, CHANNEL + i % 2, i, 100);
		wg_gets(f, i, 100, &from);
	}
	wait_sum(f, 10);
	nat_bridge_free(again);
	wait_sum(f, 10);
	nat_bridge_free(other);
	wait_sum(f, 10);
	frame_to_pump(f, CHANNEL, 11, 100);
	wg_gets(f, 11, 100, &from);
	wait_sum(f, 11);
}

/* Each peer has its channel and its socket. */
static void
test_two_bridges(Fixture *f, gconstpointer data)
{
	NatBridge *other = nat_bridge_new(f->pump, CHANNEL + 1, f->wg_port, 0, NULL);
	guint8 buf[200];
	WgEndpoint from;

	for (guint32 i = 0; i < 50; i++) {
		frame_to_pump(f, CHANNEL + i % 2, i, 100 + i / 3);
		wg_gets(f, i, 100 + i / 3, &from);
		g_assert_true(wg_endpoint_equal(
			&from, nat_bridge_endpoint(i % 2 == 0 ? f->bridge : other)));
	}
	put_data(buf, sizeof buf, 7);
	wg_sends(f, other, buf, sizeof buf);
	server_gets(f, CHANNEL + 1, 7, sizeof buf);
	nat_bridge_free(other);
}

static void
goes_to_control(Fixture *f, const guint8 *msg, gsize len)
{
	f->got = FALSE;
	server_sends(f, msg, len);
	g_assert_true(net_wait(&f->got, WAIT_MS));
	g_assert_cmpmem(f->msg, f->len, msg, len);
}

static void
test_control(Fixture *f, gconstpointer data)
{
	static const guint8 stun[20] = {0x01, 0x01, 0, 0, 0x21, 0x12, 0xa4, 0x42, 'i', 'd'};
	guint8 frame[64] = {0};

	goes_to_control(f, stun, sizeof stun);
	/* a probe of the path, inside of the channel */
	put_frame(frame, CHANNEL, sizeof stun);
	memcpy(frame + 4, stun, sizeof stun);
	goes_to_control(f, frame, 4 + sizeof stun);
	/* a channel without a bridge */
	put_frame(frame, CHANNEL + 5, 32);
	put_data(frame + 4, 32, 1);
	goes_to_control(f, frame, 36);
	put_frame(frame, CHANNEL, 0);
	goes_to_control(f, frame, 4);
}

static void
test_garbage(Fixture *f, gconstpointer data)
{
	/* no cookie */
	static const guint8 stun[20] = {0x01, 0x01, 0, 0, 0x21, 0x12, 0xa4, 0x43, 'i', 'd'};
	guint8 frame[64] = {0};

	server_sends(f, stun, sizeof stun);
	/* a length that lies, one that is missing */
	put_frame(frame, CHANNEL, 33);
	server_sends(f, frame, 36);
	server_sends(f, frame, 3);
	/* a first byte that neither STUN nor ChannelData has */
	memset(frame, 0xff, sizeof frame);
	server_sends(f, frame, sizeof frame);
	frame_to_pump(f, CHANNEL, 9, 32);
	wg_gets(f, 9, 32, NULL);
	while (g_main_context_iteration(NULL, FALSE))
		;
	g_assert_cmpuint(f->n_control, ==, 0);
	g_assert_cmpuint(nat_pump_dropped(f->pump), ==, 4);
}

/* RFC 8656 §12.5: bytes after the data are padding. */
static void
test_padding(Fixture *f, gconstpointer data)
{
	guint8 frame[64];

	put_frame(frame, CHANNEL, 33);
	put_data(frame + 4, 33, 3);
	server_sends(f, frame, 40);
	wg_gets(f, 3, 33, NULL);
}

static void
test_send(Fixture *f, gconstpointer data)
{
	guint8 buf[32];

	g_assert_true(nat_pump_send(f->pump, (const guint8 *)"hello", 5));
	g_assert_cmpint(net_recv(f->server, buf, sizeof buf, WAIT_MS, NULL), ==, 5);
}

/* ChannelData that carries nothing. */
static const guint8 EMPTY[] = {CHANNEL >> 8, CHANNEL & 0xff, 0, 0};

/* All that was sent lies behind the pump now. */
static void
fence(Fixture *f)
{
	guint8 buf[2048];
	gssize n = 0;

	for (int i = 0; i < 20 && n <= 0; i++) {
		frame_to_pump(f, CHANNEL, 1, 100);
		n = net_recv(f->wg, buf, sizeof buf, 1500, NULL);
	}
	g_assert_cmpint(n, ==, 100);
}

/* A host that does not come to its loop loses what exceeds the bound, and nothing else. (The kernel
 * of a loaded machine may lose a few before.) */
static void
test_control_flood(Fixture *f, gconstpointer data)
{
	for (int i = 0; i < 1000; i++) {
		server_sends(f, EMPTY, sizeof EMPTY);
		if (i % 50 == 49)
			fence(f);
	}
	while (g_main_context_iteration(NULL, FALSE))
		;
	g_assert_cmpuint(f->n_control, ==, 64);
	g_assert_cmpuint(nat_pump_dropped(f->pump), >=, 900 - 64);
	g_assert_cmpuint(nat_pump_dropped(f->pump), <=, 1000 - 64);
	goes_to_control(f, EMPTY, sizeof EMPTY);
}

static void
test_free_inside_control(Fixture *f, gconstpointer data)
{
	f->free_inside = TRUE;
	for (int i = 0; i < 10; i++)
		server_sends(f, EMPTY, sizeof EMPTY);
	g_assert_true(net_wait(&f->got, WAIT_MS));
	g_assert_null(f->pump);
	g_usleep(1000);
	while (g_main_context_iteration(NULL, FALSE))
		;
	g_assert_cmpuint(f->n_control, ==, 1);
}

/* ---- thousands ---- */

#define THOUSANDS 10000

typedef struct {
	guint32 next, count;
} Run;

static gsize
nth_len(guint32 n)
{
	return n % 100 < 90 ? 1400 : 40 + n % 100;
}

/* Reads until the last one of those sent is there, or nothing more comes. */
static void
read_burst(Run *run, int fd, gsize head, guint32 last)
{
	guint8 buf[2048], want[2048];
	gssize n;

	while (run->next <= last && (n = net_recv(fd, buf, sizeof buf, 1000, NULL)) > 0) {
		guint32 number;

		g_assert_cmpint(n, >=, (gssize)(head + 4 + sizeof number));
		memcpy(&number, buf + head + 4, sizeof number);
		g_assert_cmpuint(number, >=, run->next);
		g_assert_cmpuint(number, <=, last);
		put_frame(want, CHANNEL, (guint16)nth_len(number));
		put_data(want + head, nth_len(number), number);
		g_assert_cmpmem(buf, (gsize)n, want, head + nth_len(number));
		run->next = number + 1;
		run->count++;
	}
}

/* Bursts of a hundred, each waited for: order is kept, and nothing is lost but what the kernel of a
 * loaded machine may lose. */
static void
test_thousands_in(Fixture *f, gconstpointer data)
{
	Run run = {0};

	for (guint32 i = 0; i < THOUSANDS; i++) {
		frame_to_pump(f, CHANNEL, i, nth_len(i));
		if (i % 100 == 99)
			read_burst(&run, f->wg, 0, i);
	}
	g_test_message("%u of %u", run.count, THOUSANDS);
	g_assert_cmpuint(run.count, >=, THOUSANDS - 100);
}

static void
test_thousands_out(Fixture *f, gconstpointer data)
{
	guint8 buf[1500];
	Run run = {0};

	for (guint32 i = 0; i < THOUSANDS; i++) {
		put_data(buf, nth_len(i), i);
		wg_sends(f, f->bridge, buf, nth_len(i));
		if (i % 100 == 99)
			read_burst(&run, f->server, 4, i);
	}
	g_test_message("%u of %u", run.count, THOUSANDS);
	g_assert_cmpuint(run.count, >=, THOUSANDS - 100);
}

static void
test_bridge_freed_under_load(Fixture *f, gconstpointer data)
{
	guint8 buf[1400];

	put_data(buf, sizeof buf, 1);
	for (int round = 0; round < 50; round++) {
		for (guint32 i = 0; i < 50; i++) {
			frame_to_pump(f, CHANNEL, i, 1400);
			wg_sends(f, f->bridge, buf, sizeof buf);
		}
		nat_bridge_free(f->bridge);
		f->bridge = nat_bridge_new(f->pump, CHANNEL, f->wg_port, 0, NULL);
		g_assert_nonnull(f->bridge);
		while (recv(f->wg, buf, sizeof buf, MSG_DONTWAIT) > 0)
			;
		while (g_main_context_iteration(NULL, FALSE))
			;
		put_data(buf, sizeof buf, 1);
	}
}

/* Two refusals that lie apart are a server that is gone; what it sends between them clears it. */
static void
test_server_gone(Fixture *f, gconstpointer data)
{
	gint64 end = g_get_monotonic_time() + WAIT_MS * G_TIME_SPAN_MILLISECOND;

	close(f->server);
	f->server = -1;
	while (!f->failed && g_get_monotonic_time() < end) {
		nat_pump_send(f->pump, (const guint8 *)"hello", 5);
		net_wait(&f->failed, 20);
	}
	g_assert_true(f->failed);
	g_assert_cmpint(f->error, ==, ECONNREFUSED);
	g_assert_false(nat_pump_send(f->pump, (const guint8 *)"hello", 5));
}

static void
test_one_refusal(Fixture *f, gconstpointer data)
{
	g_autofree char *at = NULL;
	char text[WG_ENDPOINT_STRLEN];
	WgEndpoint server = net_own_address(f->server);

	at = g_strdup(wg_endpoint_format(&server, text));
	for (int i = 0; i < 3; i++) {
		close(f->server);
		nat_pump_send(f->pump, (const guint8 *)"hello", 5);
		g_usleep(60000);
		f->server = net_udp(at);
		goes_to_control(f, EMPTY, sizeof EMPTY);
		g_usleep(60000);
	}
	g_assert_false(f->failed);
}

/* One end of a socketpair, as the adaptor of a stream has it. */
static void
set_up_pair(Fixture *f, gconstpointer data)
{
	int fds[2];

	g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), ==, 0);
	f->server = fds[1];
	start(f, fds[0]);
}

static void
test_pair(Fixture *f, gconstpointer data)
{
	guint8 frame[1404];

	for (guint32 i = 0; i < 200; i++) {
		put_frame(frame, CHANNEL, 1400);
		put_data(frame + 4, 1400, i);
		g_assert_cmpint(send(f->server, frame, sizeof frame, 0), ==, sizeof frame);
		wg_gets(f, i, 1400, NULL);
		wg_sends(f, f->bridge, frame + 4, 1400);
		server_gets(f, CHANNEL, i, 1400);
	}
	g_assert_false(f->failed);
	close(f->server);
	f->server = -1;
	g_assert_true(net_wait(&f->failed, WAIT_MS));
	g_assert_cmpint(f->error, ==, EPIPE);
}

/* An adaptor that reads nothing: what does not fit is dropped and counted, the other way works. */
static void
test_pair_full(Fixture *f, gconstpointer data)
{
	gint64 end = g_get_monotonic_time() + 4 * WAIT_MS * G_TIME_SPAN_MILLISECOND;
	guint8 buf[1404];
	NatBridgeStats stats = {0};

	put_data(buf, 1400, 1);
	while (stats.dropped == 0 && g_get_monotonic_time() < end) {
		wg_sends(f, f->bridge, buf, 1400);
		nat_bridge_stats(f->bridge, &stats);
	}
	g_assert_cmpuint(stats.dropped, >, 0);
	put_frame(buf, CHANNEL, 1400);
	put_data(buf + 4, 1400, 1);
	g_assert_cmpint(send(f->server, buf, sizeof buf, 0), ==, sizeof buf);
	wg_gets(f, 1, 1400, NULL);
}

/* Sent again until it is there, for the kernel of a loaded machine may lose it. */
static void
frame_passes(Fixture *f, guint32 number, WgEndpoint *from)
{
	guint8 buf[2048], want[1400];
	gssize n = 0;

	put_data(want, sizeof want, number);
	for (int i = 0; i < 20 && n <= 0; i++) {
		frame_to_pump(f, CHANNEL, number, sizeof want);
		n = net_recv(f->wg, buf, sizeof buf, 1500, from);
	}
	g_assert_cmpmem(buf, (gsize)MAX(n, 0), want, sizeof want);
}

/* Late packets come as from the direct endpoint. */
static void
spoofed(const char *wg_at, const char *source)
{
	WgEndpoint server_addr, from, src = net_ep(source), wg = net_ep(wg_at);
	const NatPumpFuncs funcs = {on_control, on_failed};
	Fixture f = {.server = net_udp("127.0.0.1:0"), .wg_port = wg_endpoint_port(&wg)};

	f.pump = nat_pump_new(connected_to(f.server, &f.pump_addr), &funcs, &f, NULL);
	f.bridge = nat_bridge_new(f.pump, CHANNEL, f.wg_port, 0x51820, NULL);
	f.wg = net_udp(wg_at);
	server_addr = *nat_bridge_endpoint(f.bridge);
	g_assert_true(nat_bridge_set_source(f.bridge, &src));
	frame_passes(&f, 1, &from);
	g_assert_true(wg_endpoint_equal(&from, &src));
	close(f.wg);
	f.wg = net_udp("127.0.0.1:51820");
	g_assert_true(nat_bridge_set_source(f.bridge, NULL));
	frame_passes(&f, 2, &from);
	g_assert_true(wg_endpoint_equal(&from, &server_addr));
	tear_down(&f, NULL);
}

static void
test_set_source(void)
{
	WgEndpoint unreachable = net_ep("203.0.113.1:51820");
	g_autoptr(GError) error = NULL;
	Fixture f = {0};

	if (!net_fresh())
		return;
	net_run("ip link set lo up");
	set_up(&f, NULL);
	g_assert_false(nat_bridge_set_source(f.bridge, &unreachable));
	tear_down(&f, NULL);
	net_run("ip link add name eth0 type veth peer name eth1");
	net_run("ip link set eth1 up");
	net_run("ip link set eth0 up");
	net_run("ip addr add 192.0.2.1/24 dev eth0");
	net_run("ip addr add 2001:db8::1/64 dev eth0 nodad");
	net_wait_local("2001:db8::1");
	spoofed("192.0.2.1:51820", "192.0.2.99:4500");
	spoofed("[2001:db8::1]:51820", "[2001:db8::99]:4500");
}

static void
test_failing(void)
{
	const NatPumpFuncs funcs = {on_control, on_failed};
	Fixture f = {0};
	int fd = net_udp("127.0.0.1:0");
	NatPump *pump = nat_pump_new(fd, &funcs, &f, NULL);

	/* unconnected: nothing can be sent, and the pump says so rather than die */
	g_assert_nonnull(pump);
	g_assert_false(nat_pump_send(pump, (const guint8 *)"hello", 5));
	nat_pump_free(pump);
	g_assert_cmpint(close(fd), ==, -1); /* taken */
}

/* An order that is given while the thread takes up the one before must not wait for ever: the end
 * of a pump is waited for. */
static void
test_orders_in_a_row(void)
{
	const NatPumpFuncs funcs = {on_control, on_failed};
	gint64 end = g_get_monotonic_time() + 3 * G_TIME_SPAN_SECOND;
	Fixture f = {.server = net_udp("127.0.0.1:0")};
	guint rounds = 0;

	while (g_get_monotonic_time() < end) {
		NatPump *pump =
			nat_pump_new(connected_to(f.server, &f.pump_addr), &funcs, &f, NULL);
		NatBridge *bridge = nat_bridge_new(pump, CHANNEL, 9, 0, NULL);

		g_assert_nonnull(bridge);
		nat_bridge_free(bridge);
		nat_pump_free(pump);
		rounds++;
	}
	g_test_message("%u pumps", rounds);
	close(f.server);
}

int
main(int argc, char **argv)
{
	if (!net_own())
		return 1;
	g_test_init(&argc, &argv, NULL);
#define CASE(path, func) g_test_add(path, Fixture, NULL, set_up, func, tear_down)
	CASE("/pump/both-ways", test_both_ways);
	CASE("/pump/two-bridges", test_two_bridges);
	CASE("/pump/sum", test_sum);
	CASE("/pump/padding", test_padding);
	CASE("/pump/send", test_send);
	CASE("/pump/control", test_control);
	CASE("/pump/garbage", test_garbage);
	CASE("/pump/control/flood", test_control_flood);
	CASE("/pump/control/free-inside", test_free_inside_control);
	CASE("/pump/thousands/in", test_thousands_in);
	CASE("/pump/thousands/out", test_thousands_out);
	CASE("/pump/bridge-freed-under-load", test_bridge_freed_under_load);
	CASE("/pump/server-gone", test_server_gone);
	CASE("/pump/one-refusal", test_one_refusal);
	g_test_add("/pump/pair", Fixture, NULL, set_up_pair, test_pair, tear_down);
	g_test_add("/pump/pair/full", Fixture, NULL, set_up_pair, test_pair_full, tear_down);
	g_test_add_func("/pump/not-connected", test_failing);
	g_test_add_func("/pump/orders-in-a-row", test_orders_in_a_row);
	g_test_add_func("/pump/set-source", test_set_source);
	return g_test_run();
}
