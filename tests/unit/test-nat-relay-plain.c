/* SPDX-License-Identifier: MIT */
/*
 * Plain peers through relays that we play ourselves, in a network of our own: who gets a bridge,
 * who does not, and when it goes. (With a real relay and WireGuard: test-nat-relay-plain-wg.c.)
 */
#include "agent/nat-relay-plain.h"
#include "tests/unit/fake-turn.h"

#include <sys/socket.h>

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

static void
on_relay_changed(gpointer user_data)
{
}

static void
on_received(const NatUdp *pkt, gpointer user_data)
{
	Fixture *f = user_data;

	if (!f->plain || !nat_relay_plain_receive(f->plain, pkt, f->now_us))
		f->passed_on++;
}

static void
on_credentials_wanted(gpointer user_data)
{
}

static const NatRelayFuncs FUNCS = {
	.changed = on_relay_changed,
	.received = on_received,
	.credentials_wanted = on_credentials_wanted,
};

static void
on_changed(gpointer user_data)
{
	((Fixture *)user_data)->changes++;
}

static guint16
port_of(int fd)
{
	struct sockaddr_in sa;
	socklen_t len = sizeof sa;

	g_assert_cmpint(getsockname(fd, (struct sockaddr *)&sa, &len), ==, 0);
	return ntohs(sa.sin_port);
}

static void
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

static void
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

static void
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

static gboolean
wait_for(gboolean (*cond)(Fixture *f, guint n), Fixture *f, guint n)
{
	gint64 end = g_get_monotonic_time() + SOON_MS * G_TIME_SPAN_MILLISECOND;

	while (!cond(f, n) && g_get_monotonic_time() < end)
		if (!g_main_context_iteration(NULL, FALSE))
			g_usleep(500);
	return cond(f, n);
}

static gboolean
is_first_up(Fixture *f, guint n)
{
	return wg_endpoint_equal(nat_relay_address(f->relay), &f->first.relayed);
}

static gboolean
is_second_up(Fixture *f, guint n)
{
	return wg_endpoint_equal(nat_relay_address(f->relay), &f->second.relayed);
}

static gboolean
has_changed(Fixture *f, guint n)
{
	return f->changes >= n;
}

static gboolean
has_passed_on(Fixture *f, guint n)
{
	return f->passed_on >= n;
}

static gboolean
has_seen(Fixture *f, guint n)
{
	guint seen = (guint)nat_relay_plain_counter(f->plain, NAT_RELAY_PLAIN_BRIDGES);

	for (int i = NAT_RELAY_PLAIN_DROP_NOT_INITIATION; i < NAT_RELAY_PLAIN_N_COUNTERS; i++)
		seen += (guint)nat_relay_plain_counter(f->plain, (NatRelayPlainCounter)i);
	return seen >= n;
}

static void
run_for(int ms)
{
	static const gboolean never;

	net_wait(&never, ms);
}

static guint
counter(Fixture *f, NatRelayPlainCounter which)
{
	return (guint)nat_relay_plain_counter(f->plain, which);
}

/* The allocation stands, and the address of f->peer may come. */
static void
begin(Fixture *f)
{
	nat_relay_plain_set_addresses(f->plain, &f->peer, 1);
	g_assert_true(nat_relay_plain_wants(f->plain));
	g_assert_true(wait_for(is_first_up, f, 0));
}

/* As the relay tells of it; mark: to know it again. */
static void
message(guint8 *msg, gsize len, guint8 type, guint8 mark)
{
	memset(msg, mark, len);
	memcpy(msg, (guint8[4]){type}, 4);
}

static void
sends(FakeTurn *server, const WgEndpoint *from, guint8 type, gsize len, guint8 mark)
{
	guint8 msg[400];

	message(msg, len, type, mark);
	fake_turn_send_bytes(server, from, msg, len);
}

static void
calls(FakeTurn *server, const WgEndpoint *from, guint8 mark)
{
	sends(server, from, INITIATION, 148, mark);
}

static void
sends_by_channel(FakeTurn *server, guint16 channel, guint8 type, gsize len, guint8 mark)
{
	guint8 msg[4 + 400] = {(guint8)(channel >> 8), (guint8)channel, (guint8)(len >> 8),
			       (guint8)len};

	message(msg + 4, len, type, mark);
	fake_turn_send(server, msg, 4 + len);
}

/* Runs the main loop until WireGuard hears that; *from is the bridge. */
static void
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

static void
wireguard_hears(Fixture *f, guint8 type, gsize len, guint8 mark, WgEndpoint *from)
{
	wireguard_hears_at(f->wg, type, len, mark, from);
}

static void
wireguard_hears_nothing(Fixture *f)
{
	guint8 buf[2000];

	g_assert_cmpint(net_recv(f->wg, buf, sizeof buf, 0, NULL), ==, 0);
}

static void
wireguard_says(int fd, const WgEndpoint *to, guint8 type, gsize len, guint8 mark)
{
	guint8 msg[400];

	message(msg, len, type, mark);
	g_assert_cmpint(sendto(fd, msg, len, 0, &to->sa, wg_endpoint_socklen(to)), ==, (gssize)len);
}

/* WireGuard's answer comes to the server, through the caller's channel. */
static void
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

static void
on_ready(NatRelayBridge *bridge, const WgEndpoint *endpoint, gpointer user_data)
{
	*(WgEndpoint *)user_data = endpoint ? *endpoint : (WgEndpoint){0};
}

/* The pump counts after it has sent: the n-th message of WireGuard's by this bridge was heard, and
 * it counts. */
static void
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
static WgEndpoint
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

static WgEndpoint
with_port(const WgEndpoint *ep, guint port)
{
	WgEndpoint other = *ep;

	wg_endpoint_set_port(&other, (guint16)port);
	return other;
}

static void
tick_after(Fixture *f, gint64 us)
{
	f->now_us += us;
	nat_relay_plain_tick(f->plain, f->device, f->now_us);
}

/* ---- who comes in ---- */

static void
test_handshake(Fixture *f, gconstpointer data)
{
	WgEndpoint bridge, relayed, remote, other, again;

	if (!f->up)
		return;
	begin(f);
	bridge = comes_in(f, &f->first, &f->peer, 0xa1);
	g_assert_cmpuint(f->first.requests[STUN_CREATEPERMISSION], ==, 1);
	g_assert_true(wg_endpoint_equal(&f->first.peer, &f->peer));
	g_assert_cmpuint(f->changes, ==, 1);
	g_assert_true(nat_relay_plain_find(f->plain, &bridge, &relayed, &remote));
	g_assert_true(wg_endpoint_equal(&relayed, &f->first.relayed));
	g_assert_true(wg_endpoint_equal(&remote, &f->peer));
	/* data both ways, through the channel; and what the server had sent around it before */
	sends_by_channel(&f->first, f->first.channel, TRANSPORT, 64, 0xa2);
	wireguard_hears(f, TRANSPORT, 64, 0xa2, &again);
	g_assert_true(wg_endpoint_equal(&again, &bridge));
	wireguard_says(f->wg, &bridge, TRANSPORT, 96, 0xa3);
	server_hears(&f->first, TRANSPORT, 96, 0xa3);
	sends(&f->first, &f->peer, TRANSPORT, 32, 0xa4);
	wireguard_hears(f, TRANSPORT, 32, 0xa4, &again);
	g_assert_true(wg_endpoint_equal(&again, &bridge));
	/* the same peer from another port has another one */
	f->peer = with_port(&f->peer, 40002);
	other = comes_in(f, &f->first, &f->peer, 0xa5);
	g_assert_false(wg_endpoint_equal(&other, &bridge));
	g_assert_cmpuint(nat_relay_plain_count(f->plain), ==, 2);
	g_assert_cmpuint(counter(f, NAT_RELAY_PLAIN_BRIDGES), ==, 2);
	g_assert_cmpuint(f->passed_on, ==, 0);
}

static void
test_strangers(Fixture *f, gconstpointer data)
{
	const struct {
		guint8 type;
		gsize len;
	} wrong[] = {{TRANSPORT, 148},	{RESPONSE, 92},	   {RESPONSE, 148}, {COOKIE, 64},
		     {INITIATION, 147}, {INITIATION, 149}, {INITIATION, 4}, {TRANSPORT, 32}};
	WgEndpoint stranger = net_ep("203.0.113.8:40001");
	guint8 stun[20] = {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42};

	if (!f->up)
		return;
	begin(f);
	for (gsize i = 0; i < G_N_ELEMENTS(wrong); i++)
		sends(&f->first, &f->peer, wrong[i].type, wrong[i].len, 1);
	g_assert_true(wait_for(has_seen, f, G_N_ELEMENTS(wrong)));
	g_assert_cmpuint(counter(f, NAT_RELAY_PLAIN_DROP_NOT_INITIATION), ==, G_N_ELEMENTS(wrong));
	/* neither of our addresses, nor WireGuard's: for somebody else */
	calls(&f->first, &stranger, 2);
	fake_turn_send_bytes(&f->first, &f->peer, stun, sizeof stun);
	fake_turn_send_bytes(&f->first, &f->peer, "\1\0\0", 3);
	fake_turn_send_bytes(&f->first, &f->peer, "\5\0\0\0", 4);
	g_assert_true(wait_for(has_passed_on, f, 4));
	run_for(50);
	g_assert_cmpuint(f->first.requests[STUN_CHANNELBIND], ==, 0);
	g_assert_cmpuint(nat_relay_plain_count(f->plain), ==, 0);
	wireguard_hears_nothing(f);
}

/* A first message that is sent again while the channel is being bound is one caller. */
static void
test_impatient(Fixture *f, gconstpointer data)
{
	if (!f->up)
		return;
	begin(f);
	run_for(100); /* the server does not speak again before it is asked */
	f->first.lose = 2;
	calls(&f->first, &f->peer, 1);
	sends(&f->first, &f->peer, TRANSPORT, 32, 1);
	calls(&f->first, &f->peer, 2);
	wireguard_hears(f, INITIATION, 148, 2, NULL);
	run_for(50);
	wireguard_hears_nothing(f);
	g_assert_cmpuint(counter(f, NAT_RELAY_PLAIN_BRIDGES), ==, 1);
	g_assert_cmpuint(counter(f, NAT_RELAY_PLAIN_DROP_NOT_INITIATION), ==, 1);
}

static void
test_refused_by_server(Fixture *f, gconstpointer data)
{
	if (!f->up)
		return;
	begin(f);
	f->first.error = 403;
	f->first.only_method = STUN_CHANNELBIND;
	calls(&f->first, &f->peer, 1);
	g_assert_true(wait_for(has_changed, f, 1));
	g_assert_cmpuint(nat_relay_plain_count(f->plain), ==, 0);
	g_assert_cmpuint(counter(f, NAT_RELAY_PLAIN_DROP_SEND), ==, 1);
}

/* ---- how many ---- */

static void
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

static void
test_rate(Fixture *f, gconstpointer data)
{
	WgEndpoint addresses[10];

	if (!f->up)
		return;
	for (guint i = 0; i < G_N_ELEMENTS(addresses); i++) {
		g_autofree char *text = g_strdup_printf("203.0.113.%u:1", 10 + i);

		addresses[i] = net_ep(text);
	}
	nat_relay_plain_set_addresses(f->plain, addresses, G_N_ELEMENTS(addresses));
	g_assert_true(wait_for(is_first_up, f, 0));
	/* of one address */
	call_from_ports(f, &addresses[0], 1000, 20);
	g_assert_cmpuint(counter(f, NAT_RELAY_PLAIN_BRIDGES), ==, 4);
	g_assert_cmpuint(counter(f, NAT_RELAY_PLAIN_DROP_RATE), ==, 16);
	/* which costs another one nothing */
	call_from_ports(f, &addresses[1], 1000, 1);
	g_assert_cmpuint(counter(f, NAT_RELAY_PLAIN_BRIDGES), ==, 5);
	/* a list that names it again forgives nothing */
	nat_relay_plain_set_addresses(f->plain, addresses, 9);
	call_from_ports(f, &addresses[0], 2000, 1);
	g_assert_cmpuint(counter(f, NAT_RELAY_PLAIN_BRIDGES), ==, 5);
	f->now_us += 2 * SECOND_US;
	call_from_ports(f, &addresses[0], 3000, 2);
	g_assert_cmpuint(counter(f, NAT_RELAY_PLAIN_BRIDGES), ==, 6);
	/* altogether: 16, and one more each second; 6 were made, 2 s ago */
	for (guint i = 2; i < 9; i++)
		call_from_ports(f, &addresses[i], 1000, 4);
	g_assert_cmpuint(counter(f, NAT_RELAY_PLAIN_BRIDGES), ==, 18);
	g_assert_cmpuint(f->passed_on, ==, 0);
	g_assert_true(wait_for(has_changed, f, 18));
	g_assert_cmpuint(f->first.requests[STUN_CHANNELBIND], ==, 18);
}

static void
is_endpoint(Fixture *f, const WgEndpoint *endpoint)
{
	WgPeer *peer = wg_peer_new();

	peer->endpoint = *endpoint;
	g_ptr_array_add(f->device->peers, peer);
}

/* All are in use: no more. One that WireGuard does not need makes room. */
static void
test_full(Fixture *f, gconstpointer data)
{
	WgEndpoint last = {0};

	if (!f->up)
		return;
	begin(f);
	for (guint i = 0; i < NAT_RELAY_PLAIN_MAX; i++) {
		f->peer = with_port(&f->peer, 1000 + i);
		last = comes_in(f, &f->first, &f->peer, (guint8)i);
		if (i + 1 < NAT_RELAY_PLAIN_MAX)
			is_endpoint(f, &last);
		tick_after(f, 2 * SECOND_US);
	}
	g_assert_cmpuint(nat_relay_plain_count(f->plain), ==, NAT_RELAY_PLAIN_MAX);
	call_from_ports(f, &f->peer, 3000, 1); /* the last one has just come */
	g_assert_cmpuint(counter(f, NAT_RELAY_PLAIN_DROP_FULL), ==, 1);
	tick_after(f, 6 * SECOND_US);
	call_from_ports(f, &f->peer, 3001, 1);
	g_assert_cmpuint(counter(f, NAT_RELAY_PLAIN_DROP_FULL), ==, 1);
	g_assert_cmpuint(counter(f, NAT_RELAY_PLAIN_BRIDGES), ==, NAT_RELAY_PLAIN_MAX + 1);
	g_assert_cmpuint(nat_relay_plain_count(f->plain), ==, NAT_RELAY_PLAIN_MAX);
	g_assert_false(nat_relay_plain_find(f->plain, &last, NULL, NULL));
}

/* ---- how long ---- */

/* Whom WireGuard does not know it does not answer, and a flood of theirs holds nothing. */
static void
test_unanswered(Fixture *f, gconstpointer data)
{
	WgEndpoint bridge = {0};

	if (!f->up)
		return;
	begin(f);
	calls(&f->first, &f->peer, 1);
	wireguard_hears(f, INITIATION, 148, 1, &bridge);
	tick_after(f, 0);
	for (guint i = 0; i < 5; i++) {
		sends_by_channel(&f->first, f->first.channel, INITIATION, 148, (guint8)i);
		wireguard_hears(f, INITIATION, 148, (guint8)i, NULL);
		g_assert_true(nat_relay_plain_find(f->plain, &bridge, NULL, NULL));
		tick_after(f, SECOND_US);
	}
	g_assert_cmpuint(nat_relay_plain_count(f->plain), ==, 1);
	tick_after(f, SECOND_US);
	g_assert_cmpuint(nat_relay_plain_count(f->plain), ==, 0);
	g_assert_false(nat_relay_plain_find(f->plain, &bridge, NULL, NULL));
}

static void
test_silent(Fixture *f, gconstpointer data)
{
	WgEndpoint bridge;

	if (!f->up)
		return;
	begin(f);
	bridge = comes_in(f, &f->first, &f->peer, 1);
	is_endpoint(f, &bridge);
	tick_after(f, 0);
	tick_after(f, 3600 * SECOND_US);
	g_assert_cmpuint(nat_relay_plain_count(f->plain), ==, 1);
	/* the device can't be read: as it was */
	nat_relay_plain_tick(f->plain, NULL, f->now_us += 3600 * SECOND_US);
	g_assert_cmpuint(nat_relay_plain_count(f->plain), ==, 1);
	/* roamed away; what WireGuard still sends counts */
	g_ptr_array_set_size(f->device->peers, 0);
	tick_after(f, 179 * SECOND_US);
	wireguard_says(f->wg, &bridge, TRANSPORT, 48, 2);
	server_hears(&f->first, TRANSPORT, 48, 2);
	is_counted(f, &f->first, &f->peer, 2);
	tick_after(f, 2 * SECOND_US);
	tick_after(f, 179 * SECOND_US);
	g_assert_cmpuint(nat_relay_plain_count(f->plain), ==, 1);
	tick_after(f, 2 * SECOND_US);
	g_assert_cmpuint(nat_relay_plain_count(f->plain), ==, 0);
	g_assert_false(nat_relay_plain_find(f->plain, &bridge, NULL, NULL));
	/* and it may come back, though the channel is an old one */
	comes_in(f, &f->first, &f->peer, 3);
}

/* Who may no longer come goes at once, unless it is a peer of WireGuard's. */
static void
test_address_withdrawn(Fixture *f, gconstpointer data)
{
	WgEndpoint used, unused, later = with_port(&f->peer, 41000);

	if (!f->up)
		return;
	begin(f);
	used = comes_in(f, &f->first, &f->peer, 1);
	f->peer = with_port(&f->peer, 40002);
	unused = comes_in(f, &f->first, &f->peer, 2);
	is_endpoint(f, &used);
	nat_relay_plain_set_addresses(f->plain, NULL, 0);
	g_assert_false(nat_relay_plain_wants(f->plain));
	tick_after(f, SECOND_US);
	g_assert_true(nat_relay_plain_find(f->plain, &used, NULL, NULL));
	g_assert_false(nat_relay_plain_find(f->plain, &unused, NULL, NULL));
	calls(&f->first, &later, 3);
	g_assert_true(wait_for(has_passed_on, f, 1));
}

/* ---- whom we permit ---- */

static guint
permissions(Fixture *f)
{
	run_for(200);
	return f->first.requests[STUN_CREATEPERMISSION];
}

static gboolean
has_permissions(Fixture *f, guint n)
{
	return f->first.requests[STUN_CREATEPERMISSION] >= n;
}

static void
test_refused_addresses(Fixture *f, gconstpointer data)
{
	WgEndpoint addresses[] = {
		net_ep("127.0.0.1:40000"),   net_ep("0.0.0.0:40000"),	  net_ep("224.0.0.1:40000"),
		net_ep("169.254.1.2:40000"), net_ep("198.51.100.9:1000"), /* our own */
		net_ep("10.66.0.9:40000"),				  /* in a tunnel */
		net_ep("192.0.2.99:1"), /* our own, of a link that went down */
		net_ep("255.255.255.255:1"), {.sa.sa_family = AF_UNSPEC},
	};
	WgEndpoint good = net_ep("203.0.113.77:0");

	if (!f->up)
		return;
	net_run("ip link add d0 type veth peer name d1");
	net_run("ip addr add 198.51.100.9/24 dev d0");
	net_run("ip link set d0 up");
	net_run("ip addr add 192.0.2.99/24 dev d1");
	net_run("ip link set d1 up");
	net_run("ip link set d1 down"); /* which takes its routes away */
	net_run("ip tuntap add dev tun9 mode tun");
	net_run("ip link set tun9 up");
	net_run("ip route add 10.66.0.0/16 dev tun9");
	nat_relay_plain_set_addresses(f->plain, addresses, G_N_ELEMENTS(addresses));
	g_assert_false(nat_relay_plain_wants(f->plain));
	g_assert_true(wait_for(is_first_up, f, 0));
	g_assert_cmpuint(permissions(f), ==, 0);
	/* of bogus ones a relay's word is not even heard */
	for (guint i = 0; i < G_N_ELEMENTS(addresses) - 1; i++)
		calls(&f->first, &addresses[i], 1);
	g_assert_true(wait_for(has_passed_on, f, 4));
	g_assert_cmpuint(nat_relay_plain_count(f->plain), ==, 0);
	/* A relay goes where we have no route. */
	nat_relay_plain_set_addresses(f->plain, &good, 1);
	g_assert_true(wait_for(has_permissions, f, 1));
	g_assert_cmpuint(permissions(f), ==, 1);
	g_assert_true(wg_endpoint_equal(&f->first.peer, &good));
	/* and then a tunnel takes the route */
	net_run("ip route add 203.0.113.0/24 dev tun9");
	nat_relay_plain_network_changed(f->plain);
	g_assert_false(nat_relay_plain_wants(f->plain));
	net_run("ip route del 203.0.113.0/24 dev tun9");
	nat_relay_plain_network_changed(f->plain);
	g_assert_true(nat_relay_plain_wants(f->plain));
}

static void
test_many_addresses(Fixture *f, gconstpointer data)
{
	WgEndpoint addresses[200], caller;

	if (!f->up)
		return;
	for (guint i = 0; i < G_N_ELEMENTS(addresses); i++) {
		g_autofree char *text = g_strdup_printf("203.0.113.%u:%u", 1 + i / 2, 1000 + i);

		addresses[i] = net_ep(text);
	}
	nat_relay_plain_set_addresses(f->plain, addresses, G_N_ELEMENTS(addresses));
	g_assert_true(wait_for(is_first_up, f, 0));
	g_assert_true(wait_for(has_permissions, f, NAT_RELAY_PERMITS_MAX));
	run_for(300);
	g_assert_cmpuint(permissions(f), ==, NAT_RELAY_PERMITS_MAX);
	caller = net_ep("203.0.113.64:7");
	comes_in(f, &f->first, &caller, 1);
	caller = net_ep("203.0.113.65:7");
	calls(&f->first, &caller, 1);
	g_assert_true(wait_for(has_passed_on, f, 1));
}

/* ---- beside others ---- */

/* An agent's pair to the same remote address: one bridge, whoever comes and goes first. */
static void
shares(Fixture *f, gboolean agent_first)
{
	NatRelayBridge *agent = NULL;
	WgEndpoint of_agent = {0}, bridge = {0}, from = {0};
	WgEndpoint late = net_ep("127.0.0.9:51820");

	begin(f);
	if (!agent_first)
		bridge = comes_in(f, &f->first, &f->peer, 1);
	agent = nat_relay_bridge_new(f->relay, &f->first.relayed, &f->peer, f->wg_port, on_ready,
				     &of_agent);
	if (agent_first) /* which is not ready before this comes, perhaps */
		bridge = comes_in(f, &f->first, &f->peer, 1);
	while (!wg_endpoint_is_set(&of_agent))
		g_main_context_iteration(NULL, TRUE);
	g_assert_true(wg_endpoint_equal(&of_agent, &bridge));
	g_assert_cmpuint(f->first.requests[STUN_CHANNELBIND], ==, 1);
	sends_by_channel(&f->first, f->first.channel, TRANSPORT, 32, 2);
	wireguard_hears(f, TRANSPORT, 32, 2, &from);
	g_assert_true(wg_endpoint_equal(&from, &bridge));
	/* what the agent does to late packets ends with it */
	nat_relay_bridge_set_source(agent, &late);
	nat_relay_bridge_free(agent);
	sends_by_channel(&f->first, f->first.channel, TRANSPORT, 32, 3);
	wireguard_hears(f, TRANSPORT, 32, 3, &from);
	g_assert_true(wg_endpoint_equal(&from, &bridge));
	wireguard_says(f->wg, &bridge, TRANSPORT, 32, 4);
	server_hears(&f->first, TRANSPORT, 32, 4);
	agent = nat_relay_bridge_new(f->relay, &f->first.relayed, &f->peer, f->wg_port, on_ready,
				     &of_agent);
	of_agent = (WgEndpoint){0};
	while (!wg_endpoint_is_set(&of_agent))
		g_main_context_iteration(NULL, TRUE);
	g_clear_pointer(&f->plain, nat_relay_plain_free);
	sends_by_channel(&f->first, f->first.channel, TRANSPORT, 32, 5);
	wireguard_hears(f, TRANSPORT, 32, 5, &from);
	g_assert_true(wg_endpoint_equal(&from, &bridge));
	nat_relay_bridge_free(agent);
}

static void
test_agent_after(Fixture *f, gconstpointer data)
{
	if (f->up)
		shares(f, FALSE);
}

static void
test_agent_before(Fixture *f, gconstpointer data)
{
	if (f->up)
		shares(f, TRUE);
}

/* WireGuard's port moves: what it knows as the peer's endpoint goes on. */
static void
test_port(Fixture *f, gconstpointer data)
{
	WgEndpoint bridge, from = {0};
	int wg;

	if (!f->up)
		return;
	begin(f);
	bridge = comes_in(f, &f->first, &f->peer, 1);
	nat_relay_plain_set_port(f->plain, 0);
	g_assert_true(nat_relay_plain_find(f->plain, &bridge, NULL, NULL));
	call_from_ports(f, &f->peer, 2000, 1);
	g_assert_cmpuint(counter(f, NAT_RELAY_PLAIN_DROP_SEND), ==, 1);
	wg = net_udp("127.0.0.1:0");
	nat_relay_plain_set_port(f->plain, port_of(wg));
	sends_by_channel(&f->first, f->first.channel, TRANSPORT, 32, 2);
	wireguard_hears_at(wg, TRANSPORT, 32, 2, &from);
	g_assert_true(wg_endpoint_equal(&from, &bridge));
	wireguard_says(wg, &bridge, TRANSPORT, 48, 3);
	server_hears(&f->first, TRANSPORT, 48, 3);
	/* nobody else's port is heard there */
	wireguard_says(f->wg, &bridge, TRANSPORT, 48, 4);
	wireguard_says(wg, &bridge, TRANSPORT, 48, 5);
	server_hears(&f->first, TRANSPORT, 48, 5);
	wireguard_hears_nothing(f);
	close(wg);
}

/* We begin, and are answered; or the peer does at the same time. */
static void
test_reach(Fixture *f, gconstpointer data)
{
	WgEndpoint bridge = {0}, from = {0}, stranger = net_ep("203.0.113.9:9");

	if (!f->up)
		return;
	g_assert_false(nat_relay_plain_reach(f->plain, &f->peer, f->now_us, &bridge));
	begin(f);
	g_assert_false(nat_relay_plain_reach(f->plain, &stranger, f->now_us, &bridge));
	g_assert_false(nat_relay_plain_reach(f->plain, &f->peer, f->now_us, &bridge));
	g_assert_cmpuint(nat_relay_plain_count(f->plain), ==, 1);
	g_assert_true(wait_for(has_changed, f, 1));
	g_assert_true(nat_relay_plain_reach(f->plain, &f->peer, f->now_us, &bridge));
	g_assert_cmpuint(nat_relay_plain_count(f->plain), ==, 1);
	wireguard_says(f->wg, &bridge, INITIATION, 148, 1);
	server_hears(&f->first, INITIATION, 148, 1);
	sends_by_channel(&f->first, f->first.channel, RESPONSE, 92, 2);
	wireguard_hears(f, RESPONSE, 92, 2, &from);
	g_assert_true(wg_endpoint_equal(&from, &bridge));
	/* it begins, too */
	calls(&f->first, &f->peer, 3);
	wireguard_hears(f, INITIATION, 148, 3, &from);
	g_assert_true(wg_endpoint_equal(&from, &bridge));
	/* wished, and not used */
	f->peer = with_port(&f->peer, 40005);
	g_assert_false(nat_relay_plain_reach(f->plain, &f->peer, f->now_us, &bridge));
	g_assert_true(wait_for(has_changed, f, 2));
	tick_after(f, 0);
	tick_after(f, 6 * SECOND_US);
	g_assert_cmpuint(nat_relay_plain_count(f->plain), ==, 1);
}

/* ---- the allocation goes ---- */

static void
test_lost(Fixture *f, gconstpointer data)
{
	WgEndpoint bridge;

	if (!f->up)
		return;
	begin(f);
	bridge = comes_in(f, &f->first, &f->peer, 1);
	is_endpoint(f, &bridge);
	f->first.error = 437;
	f->first.only_method = STUN_REFRESH;
	f->first.relayed = net_ep("192.0.2.20:50001");
	nat_relay_check(f->relay, nat_relay_address(f->relay));
	g_assert_true(wait_for(has_changed, f, 2));
	g_assert_cmpuint(nat_relay_plain_count(f->plain), ==, 0);
	g_assert_false(nat_relay_plain_find(f->plain, &bridge, NULL, NULL));
	/* The next one lets the same in. */
	g_assert_true(wait_for(is_first_up, f, 0));
	comes_in(f, &f->first, &f->peer, 2);
}

/* Replaced: who is there stays as long as the old one, who comes is led to the new one only. */
static void
test_replaced(Fixture *f, gconstpointer data)
{
	WgEndpoint old, bridge, relayed, from, late = with_port(&f->peer, 40009);

	if (!f->up)
		return;
	begin(f);
	old = comes_in(f, &f->first, &f->peer, 1);
	use(f, &f->second);
	g_assert_true(wait_for(is_second_up, f, 0));
	g_assert_true(nat_relay_is_retiring(f->relay, &f->first.relayed));
	sends_by_channel(&f->first, f->first.channel, TRANSPORT, 32, 2);
	wireguard_hears(f, TRANSPORT, 32, 2, &from);
	g_assert_true(wg_endpoint_equal(&from, &old));
	calls(&f->first, &late, 3);
	g_assert_true(wait_for(has_seen, f, 2));
	g_assert_cmpuint(counter(f, NAT_RELAY_PLAIN_DROP_RETIRING), ==, 1);
	bridge = comes_in(f, &f->second, &f->peer, 4);
	g_assert_false(wg_endpoint_equal(&bridge, &old));
	g_assert_true(nat_relay_plain_find(f->plain, &bridge, &relayed, NULL));
	g_assert_true(wg_endpoint_equal(&relayed, &f->second.relayed));
	g_assert_true(nat_relay_plain_find(f->plain, &old, &relayed, NULL));
	g_assert_true(wg_endpoint_equal(&relayed, &f->first.relayed));
	/* it goes in its time, bridges or not */
	for (int i = 0; i < 300 && nat_relay_plain_count(f->plain) > 1; i++)
		run_for(100);
	g_assert_false(nat_relay_is_ours(f->relay, &f->first.relayed));
	g_assert_false(nat_relay_plain_find(f->plain, &old, NULL, NULL));
	g_assert_true(nat_relay_plain_find(f->plain, &bridge, NULL, NULL));
}

/* Whom it permitted nobody permits any more. */
static void
test_freed(Fixture *f, gconstpointer data)
{
	if (!f->up)
		return;
	begin(f);
	g_assert_true(wait_for(has_permissions, f, 1));
	g_assert_cmpuint(permissions(f), ==, 1);
	g_clear_pointer(&f->plain, nat_relay_plain_free);
	use(f, &f->second);
	g_assert_true(wait_for(is_second_up, f, 0));
	run_for(200);
	g_assert_cmpuint(f->second.requests[STUN_CREATEPERMISSION], ==, 0);
}

/* Freed while a channel is being bound, and messages are on their way. */
static void
test_freed_any_time(Fixture *f, gconstpointer data)
{
	if (!f->up)
		return;
	begin(f);
	for (guint i = 0; i < 20; i++) {
		nat_relay_plain_set_addresses(f->plain, &f->peer, 1);
		calls(&f->first, &f->peer, 1);
		for (guint j = 0; j < i; j++)
			if (!g_main_context_iteration(NULL, FALSE))
				g_usleep(200);
		g_clear_pointer(&f->plain, nat_relay_plain_free);
		g_main_context_iteration(NULL, FALSE);
		f->plain = nat_relay_plain_new(f->relay, f->fib, f->wg_port, on_changed, f);
	}
	run_for(50);
	g_assert_cmpuint(nat_relay_plain_count(f->plain), ==, 0);
}

#define ADD(name, func) g_test_add("/relay-plain/" name, Fixture, NULL, set_up, func, tear_down)

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_log_set_always_fatal(G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_ERROR);
	ADD("handshake", test_handshake);
	ADD("strangers", test_strangers);
	ADD("impatient", test_impatient);
	ADD("refused-by-server", test_refused_by_server);
	ADD("rate", test_rate);
	ADD("full", test_full);
	ADD("unanswered", test_unanswered);
	ADD("silent", test_silent);
	ADD("address-withdrawn", test_address_withdrawn);
	ADD("refused-addresses", test_refused_addresses);
	ADD("many-addresses", test_many_addresses);
	ADD("agent-after", test_agent_after);
	ADD("agent-before", test_agent_before);
	ADD("port", test_port);
	ADD("reach", test_reach);
	ADD("lost", test_lost);
	ADD("replaced", test_replaced);
	ADD("freed", test_freed);
	ADD("freed-any-time", test_freed_any_time);
	return g_test_run();
}
