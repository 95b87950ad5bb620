/* SPDX-License-Identifier: MIT */
/*
 * Plain peers through relays that we play ourselves: who gets a bridge, who does not, and when it
 * goes. (test-nat-relay-plain-beside.c: beside others. With a real relay and WireGuard:
 * test-nat-relay-plain-wg.c.)
 */
#include "tests/unit/relay-plain-world.h"

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
	return g_test_run();
}
