/* SPDX-License-Identifier: MIT */
#pragma once

#include <sys/socket.h>

#include "agent/relay/nat-relay-plain.h"
#include "tests/unit/fake-turn.h"

/* Plain peers of a WireGuard and two relays, all of which we play ourselves, in a network of our
 * own. */

#define SOON_MS 30000
#define SECOND_US G_TIME_SPAN_SECOND

enum { INITIATION = 1, RESPONSE, COOKIE, TRANSPORT };

typedef struct {
	gboolean up;
	FakeTurn first, second;
	NatFib *fib;
	NatRelay *relay;
	NatRelayPlain *plain;
	int wg; /* a socket in the place of WireGuard's */
	guint16 wg_port;
	WgDevice *device;
	gint64 now_us; /* what plain is told */
	guint changes, passed_on;
	WgEndpoint peer; /* of an address that may come */
} Fixture;

static inline void
on_relay_changed(gpointer user_data)
{
}

static inline void
on_received(const NatUdp *pkt, gpointer user_data)
{
	Fixture *f = user_data;

	if (!f->plain || !nat_relay_plain_receive(f->plain, pkt, f->now_us))
		f->passed_on++;
}

static inline void
on_credentials_wanted(gpointer user_data)
{
}

static const NatRelayFuncs FUNCS = {
	.changed = on_relay_changed,
	.received = on_received,
	.credentials_wanted = on_credentials_wanted,
};

static inline void
on_changed(gpointer user_data)
{
	((Fixture *)user_data)->changes++;
}

static inline guint16
port_of(int fd)
{
	WgEndpoint own = net_own_address(fd);

	return wg_endpoint_port(&own);
}

static inline void
use(Fixture *f, const FakeTurn *server)
{
	g_autoptr(GPtrArray) uris =
		g_ptr_array_new_with_free_func((GDestroyNotify)nat_turn_uri_free);
	char at[WG_ENDPOINT_STRLEN];
	g_autofree char *text =
		g_strdup_printf("turn:" FAKE_USER ":" FAKE_SECRET "@%s?transport=udp",
				wg_endpoint_format(&server->addr, at));

	g_ptr_array_add(uris, nat_turn_uri_parse(text, NULL));
	nat_relay_set_servers(f->relay, uris);
}

static inline void
set_up(Fixture *f, gconstpointer data)
{
	g_autoptr(GError) error = NULL;

	f->up = net_fresh();
	if (!f->up)
		return;
	net_run("ip link set lo up");
	fake_turn_open_at(&f->first, "127.0.0.1:0");
	fake_turn_open_at(&f->second, "127.0.0.2:0");
	f->first.relayed = net_ep("192.0.2.20:50000");
	f->second.relayed = net_ep("192.0.2.21:50000");
	f->fib = nat_fib_new(&error);
	g_assert_no_error(error);
	f->wg = net_udp("127.0.0.1:0");
	f->wg_port = port_of(f->wg);
	f->device = wg_device_new("wg-test");
	f->now_us = g_get_monotonic_time();
	f->peer = net_ep("203.0.113.7:40001");
	f->relay = nat_relay_new("wg-test", NULL, &(WgKey){0}, 0, &FUNCS, f);
	f->plain = nat_relay_plain_new(f->relay, f->fib, f->wg_port, on_changed, f);
	use(f, &f->first);
	nat_relay_set_wanted(f->relay, TRUE);
}

static inline void
tear_down(Fixture *f, gconstpointer data)
{
	if (!f->up)
		return;
	nat_relay_plain_free(f->plain);
	nat_relay_free(f->relay);
	nat_fib_free(f->fib);
	wg_device_free(f->device);
	close(f->wg);
	fake_turn_close(&f->first);
	fake_turn_close(&f->second);
}

static inline gboolean
wait_for(gboolean (*cond)(Fixture *f, guint n), Fixture *f, guint n)
{
	gint64 end = g_get_monotonic_time() + SOON_MS * G_TIME_SPAN_MILLISECOND;

	while (!cond(f, n) && g_get_monotonic_time() < end)
		if (!g_main_context_iteration(NULL, FALSE))
			g_usleep(500);
	return cond(f, n);
}

static inline gboolean
is_first_up(Fixture *f, guint n)
{
	return wg_endpoint_equal(nat_relay_address(f->relay), &f->first.relayed);
}

static inline gboolean
is_second_up(Fixture *f, guint n)
{
	return wg_endpoint_equal(nat_relay_address(f->relay), &f->second.relayed);
}

static inline gboolean
has_changed(Fixture *f, guint n)
{
	return f->changes >= n;
}

static inline gboolean
has_passed_on(Fixture *f, guint n)
{
	return f->passed_on >= n;
}

static inline gboolean
has_seen(Fixture *f, guint n)
{
	guint seen = (guint)nat_relay_plain_counter(f->plain, NAT_RELAY_PLAIN_BRIDGES);

	for (int i = NAT_RELAY_PLAIN_DROP_NOT_INITIATION; i < NAT_RELAY_PLAIN_N_COUNTERS; i++)
		seen += (guint)nat_relay_plain_counter(f->plain, (NatRelayPlainCounter)i);
	return seen >= n;
}

static inline void
run_for(int ms)
{
	static const gboolean never;

	net_wait(&never, ms);
}

static inline guint
counter(Fixture *f, NatRelayPlainCounter which)
{
	return (guint)nat_relay_plain_counter(f->plain, which);
}

/* The allocation stands, and the address of f->peer may come. */
static inline void
begin(Fixture *f)
{
	nat_relay_plain_set_addresses(f->plain, &f->peer, 1);
	g_assert_true(nat_relay_plain_wants(f->plain));
	g_assert_true(wait_for(is_first_up, f, 0));
}

/* As the relay tells of it; mark: to know it again. */
static inline void
message(guint8 *msg, gsize len, guint8 type, guint8 mark)
{
	memset(msg, mark, len);
	memcpy(msg, (guint8[4]){type}, 4);
}

static inline void
sends(FakeTurn *server, const WgEndpoint *from, guint8 type, gsize len, guint8 mark)
{
	guint8 msg[400];

	message(msg, len, type, mark);
	fake_turn_send_bytes(server, from, msg, len);
}

static inline void
calls(FakeTurn *server, const WgEndpoint *from, guint8 mark)
{
	sends(server, from, INITIATION, 148, mark);
}

static inline void
sends_by_channel(FakeTurn *server, guint16 channel, guint8 type, gsize len, guint8 mark)
{
	guint8 msg[4 + 400] = {(guint8)(channel >> 8), (guint8)channel, (guint8)(len >> 8),
			       (guint8)len};

	message(msg + 4, len, type, mark);
	fake_turn_send(server, msg, 4 + len);
}

/* Runs the main loop until WireGuard hears that; *from is the bridge. */
static inline void
wireguard_hears_at(int fd, guint8 type, gsize len, guint8 mark, WgEndpoint *from)
{
	gint64 end = g_get_monotonic_time() + SOON_MS * G_TIME_SPAN_MILLISECOND;
	guint8 expected[400], buf[2000];
	gssize n = 0;

	message(expected, len, type, mark);
	while (n <= 0 && g_get_monotonic_time() < end) {
		g_main_context_iteration(NULL, FALSE);
		n = net_recv(fd, buf, sizeof buf, 1, from);
	}
	g_assert_cmpmem(buf, (gsize)MAX(n, 0), expected, len);
}

static inline void
wireguard_hears(Fixture *f, guint8 type, gsize len, guint8 mark, WgEndpoint *from)
{
	wireguard_hears_at(f->wg, type, len, mark, from);
}

static inline void
wireguard_hears_nothing(Fixture *f)
{
	guint8 buf[2000];

	g_assert_cmpint(net_recv(f->wg, buf, sizeof buf, 0, NULL), ==, 0);
}

static inline void
wireguard_says(int fd, const WgEndpoint *to, guint8 type, gsize len, guint8 mark)
{
	guint8 msg[400];

	message(msg, len, type, mark);
	g_assert_cmpint(sendto(fd, msg, len, 0, &to->sa, wg_endpoint_socklen(to)), ==, (gssize)len);
}

/* WireGuard's answer comes to the server, through the caller's channel. */
static inline void
server_hears(FakeTurn *server, guint8 type, gsize len, guint8 mark)
{
	gint64 end = g_get_monotonic_time() + SOON_MS * G_TIME_SPAN_MILLISECOND;
	guint8 expected[400];

	message(expected, len, type, mark);
	while ((server->data_len != len + 4 || memcmp(server->data + 4, expected, len) != 0) &&
	       g_get_monotonic_time() < end)
		if (!g_main_context_iteration(NULL, FALSE))
			g_usleep(500);
	g_assert_cmpint(server->data[0], ==, server->channel >> 8);
	g_assert_cmpint(server->data[1], ==, server->channel & 0xff);
	g_assert_cmpmem(server->data + 4, server->data_len - 4, expected, len);
}

static inline void
on_ready(NatRelayBridge *bridge, const WgEndpoint *endpoint, gpointer user_data)
{
	*(WgEndpoint *)user_data = endpoint ? *endpoint : (WgEndpoint){0};
}

/* The pump counts after it has sent: the n-th message of WireGuard's by this bridge was heard, and
 * it counts. */
static inline void
is_counted(Fixture *f, FakeTurn *server, const WgEndpoint *from, guint n)
{
	gint64 end = g_get_monotonic_time() + SOON_MS * G_TIME_SPAN_MILLISECOND;
	WgEndpoint endpoint = {0};
	NatRelayBridge *same = nat_relay_bridge_new(f->relay, &server->relayed, from, f->wg_port,
						    on_ready, &endpoint);
	NatBridgeStats stats = {0};

	while (stats.to_turn_packets < n && g_get_monotonic_time() < end) {
		if (!g_main_context_iteration(NULL, FALSE))
			g_usleep(500);
		nat_relay_bridge_stats(same, &stats);
	}
	g_assert_cmpuint(stats.to_turn_packets, ==, n);
	nat_relay_bridge_free(same);
}

/* A handshake and its answer; returns the bridge. */
static inline WgEndpoint
comes_in(Fixture *f, FakeTurn *server, const WgEndpoint *from, guint8 mark)
{
	WgEndpoint bridge = {0};

	calls(server, from, mark);
	wireguard_hears(f, INITIATION, 148, mark, &bridge);
	wireguard_says(f->wg, &bridge, RESPONSE, 92, mark);
	server_hears(server, RESPONSE, 92, mark);
	is_counted(f, server, from, 1);
	g_assert_true(nat_relay_plain_find(f->plain, &bridge, NULL, NULL));
	return bridge;
}

static inline WgEndpoint
with_port(const WgEndpoint *ep, guint port)
{
	WgEndpoint other = *ep;

	wg_endpoint_set_port(&other, (guint16)port);
	return other;
}

static inline void
tick_after(Fixture *f, gint64 us)
{
	f->now_us += us;
	nat_relay_plain_tick(f->plain, f->device, f->now_us);
}

static inline void
call_from_ports(Fixture *f, const WgEndpoint *from, guint first_port, guint n)
{
	guint before = 0;

	while (has_seen(f, before + 1))
		before++;
	for (guint i = 0; i < n; i++) {
		WgEndpoint caller = with_port(from, first_port + i);

		calls(&f->first, &caller, 1);
	}
	g_assert_true(wait_for(has_seen, f, before + n));
}

static inline void
is_endpoint(Fixture *f, const WgEndpoint *endpoint)
{
	WgPeer *peer = wg_peer_new();

	peer->endpoint = *endpoint;
	g_ptr_array_add(f->device->peers, peer);
}
