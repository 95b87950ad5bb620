/* SPDX-License-Identifier: MIT */
/* Plain peers through relays: whom the relay lets in for us, other users of the same relay, and
 * what becomes of them when it goes. */
#include "tests/unit/relay-plain-world.h"

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
