/* SPDX-License-Identifier: MIT */
#include "agent/netcheck/netcheck.h"

#include <string.h>

#include "agent/base/nat-json.h"
#include "agent/cli/nat-cli.h"
#include "agent/mux/nat-stun.h"
#include "agent/netcheck/net-json.h"
#include "agent/netcheck/net-mtu.h"
#include "agent/netcheck/net-text.h"
#include "agent/netcheck/net-uplink.h"
#include "agent/netcheck/net-verdict.h"
#include "tests/unit/net-util.h"

static void
verdict_has(const Netcheck *check, const char *word)
{
	g_autofree char *verdict = net_verdict(check);

	if (strstr(verdict, word) == NULL)
		g_error("\"%s\" does not say \"%s\"", verdict, word);
	g_assert_null(strchr(verdict, '\n'));
}

static void
test_verdict(void)
{
	g_autoptr(Netcheck) check = netcheck_new();
	NetServer *signal, *turn;

	verdict_has(check, "no network");
	check->v4.has_address = TRUE;
	verdict_has(check, "give --stun HOST");
	signal = netcheck_add_server(check, "signaling", "tcp", "ws://x");
	check->v4.servers = 2;
	verdict_has(check, "is this host online");
	g_assert_false(netcheck_udp_passes(&check->v4));
	g_assert_true(netcheck_udp_passes(&check->v6));
	signal->ok = TRUE;
	check->v4.servers = 0;
	verdict_has(check, "whether UDP passes");
	check->v4.servers = 2;
	verdict_has(check, "a TURN server by TCP or TLS");
	turn = netcheck_add_server(check, "turn", "tls", "turns:x");
	turn->ok = TRUE;
	verdict_has(check, "gets out by the relay only");
	check->v4.udp_passes = TRUE;
	verdict_has(check, "no server answers STUN");
	g_assert_true(netcheck_udp_passes(&check->v4));
	check->v4.answered = 1;
	verdict_has(check, "a second server");
	check->v4.mapping = NAT_MAPPING_NONE;
	verdict_has(check, "as long as no firewall");
	check->v4.filter = NAT_FILTERING_ADDRESS_AND_PORT_DEPENDENT;
	verdict_has(check, "a firewall that lets in only answers");
	check->v4.mapping = NAT_MAPPING_ENDPOINT_INDEPENDENT;
	verdict_has(check, "but hosts behind hard NATs that map");
	check->v4.filter = NAT_FILTERING_ENDPOINT_INDEPENDENT;
	verdict_has(check, "lets anybody in");
	check->v4.mapping = NAT_MAPPING_ADDRESS_DEPENDENT;
	verdict_has(check, "hard NAT");
	check->v6.has_address = TRUE;
	check->v6.servers = check->v6.answered = 1;
	check->v6.mapping = NAT_MAPPING_NONE;
	g_assert_true(wg_endpoint_parse_address("2001:db8::2", 0, &check->v6.source));
	verdict_has(check, "by IPv6 there is no NAT");
}

static void
advice_is(const Netcheck *check, const char *word)
{
	g_autoptr(GPtrArray) advice = net_advice(check);

	g_assert_cmpuint(advice->len, ==, word ? 1 : 0);
	if (word && strstr(g_ptr_array_index(advice, 0), word) == NULL)
		g_error("\"%s\" does not say \"%s\"", (char *)g_ptr_array_index(advice, 0), word);
}

static void
test_advice(void)
{
	g_autoptr(Netcheck) check = netcheck_new();
	NetFamily *v4 = &check->v4;
	WgEndpoint gateway;
	NetServer *signal;
	NetUplink *uplink;
	NetRouter *router;

	v4->has_address = TRUE;
	v4->servers = v4->answered = 2;
	advice_is(check, NULL);
	signal = netcheck_add_server(check, "signaling", "tls", "wss://x");
	advice_is(check, "agents can't find each other");
	signal->ok = TRUE;
	v4->mapping = NAT_MAPPING_ADDRESS_DEPENDENT;
	advice_is(check, "forward WireGuard's UDP port on the router");
	g_assert_true(wg_endpoint_parse("203.0.113.1:4000", &v4->public_endpoint));
	g_assert_true(wg_endpoint_parse_address("192.168.1.1", 0, &gateway));
	uplink = netcheck_add_uplink(check, "eth0", AF_INET);
	uplink->gateway = gateway;
	uplink->used = TRUE;
	router = netcheck_add_router(check, "eth0", &gateway);
	router->pmp = NET_YES;
	router->pmp_code = 2; /* switched off */
	advice_is(check, "forward WireGuard's UDP port on the router");
	router->upnp = NET_YES;
	advice_is(check, "192.168.1.1 forwards ports to who asks by UPnP");
	router->external = v4->public_endpoint;
	wg_endpoint_set_port(&router->external, 0);
	advice_is(check, "forwards ports to who asks");
	g_assert_true(wg_endpoint_parse_address("100.64.0.7", 0, &router->external));
	advice_is(check, "behind another NAT itself (it has 100.64.0.7, servers see 203.0.113.1)");
	v4->mapping = NAT_MAPPING_ENDPOINT_INDEPENDENT;
	advice_is(check, NULL);
	v4->lifetime.lost_s = 20;
	advice_is(check, "less than that");
	v4->lifetime.lost_s = 60;
	advice_is(check, NULL);
	v4->path_mtu = 1480;
	advice_is(check, NULL);
	v4->path_mtu = 1440;
	advice_is(check, "has to be 1380 at most");
	v4->path_mtu = 0;
	check->v6.has_address = TRUE;
	uplink->tunnel = TRUE;
	advice_is(check, "eth0, a tunnel");
	uplink->tunnel = FALSE;
	check->v6.servers = 1;
	advice_is(check, "IPv6 has an address that leads out, but no server answers");
}

static void
test_lifetime(void)
{
	NetLifetime lifetime = {.held_s = -1, .lost_s = -1};

	netcheck_note_silence(&lifetime, 5, FALSE, FALSE);
	g_assert_true(lifetime.tested);
	g_assert_cmpint(lifetime.held_s, ==, -1);
	g_assert_cmpuint(lifetime.undecided, ==, 1);
	netcheck_note_silence(&lifetime, 20, TRUE, TRUE);
	netcheck_note_silence(&lifetime, 10, TRUE, TRUE);
	netcheck_note_silence(&lifetime, 60, TRUE, FALSE);
	netcheck_note_silence(&lifetime, 90, TRUE, FALSE);
	netcheck_note_silence(&lifetime, 45, TRUE, FALSE);
	g_assert_cmpint(lifetime.held_s, ==, 20);
	g_assert_cmpint(lifetime.lost_s, ==, 45);
}

/* All that can be filled in, with what others can choose as bad as it can be. */
static Netcheck *
full_check(void)
{
	Netcheck *check = netcheck_new();
	NetServer *server = netcheck_add_server(check, "stun", "udp", "e\033[2Jvil\nname.example");
	NetUplink *uplink = netcheck_add_uplink(check, "eth0", AF_INET);
	WgEndpoint address;
	NetRouter *router;

	check->v4.has_address = TRUE;
	check->v4.servers = check->v4.answered = 1;
	check->v4.rtt_ms = 12.3;
	g_assert_true(wg_endpoint_parse("192.168.1.2:0", &check->v4.source));
	g_assert_true(wg_endpoint_parse("203.0.113.1:4000", &check->v4.public_endpoint));
	check->v4.mapping = NAT_MAPPING_ADDRESS_AND_PORT_DEPENDENT;
	check->v4.by_source = (NatAllocation){.ports = NAT_PORTS_SEQUENTIAL, .step = 2};
	check->v4.by_destination =
		(NatAllocation){.ports = NAT_PORTS_BLOCK, .lowest = 1024, .highest = 2047};
	check->v4.hairpin = NET_NO;
	check->v4.path_mtu = 1492;
	check->v4.link_mtu = 1500;
	check->v4.lifetime = (NetLifetime){.tested = TRUE, .held_s = 20, .lost_s = 30};
	check->nat64.present = NET_YES;
	check->nat64.prefix_len = 96;
	g_assert_true(wg_endpoint_parse_address("64:ff9b::", 0, &check->nat64.prefix));
	g_assert_true(wg_endpoint_parse_address("192.168.1.2", 0, &address));
	g_array_append_val(uplink->addresses, address);
	g_assert_true(wg_endpoint_parse_address("192.168.1.1", 0, &uplink->gateway));
	uplink->used = TRUE;
	uplink->metric = 100;
	router = netcheck_add_router(check, "eth0", &uplink->gateway);
	router->pmp = NET_YES;
	router->pmp_code = 2;
	router->pcp = NET_NO;
	router->upnp = NET_YES;
	router->upnp_host = g_strdup("192.168.1.1:5000");
	server->problem = g_strdup("a\rb");
	server = netcheck_add_server(check, "turn", "tls", "turns:t.example:443");
	server->ok = TRUE;
	server->ms = 4.25;
	server->note = g_strdup("relays at 192.0.2.7");
	return check;
}

/* Names and problems of others stay in their lines and move no cursor, on any terminal. */
static void
test_text(void)
{
	g_autoptr(Netcheck) check = full_check();

	for (guint width = 20; width <= 100; width += 20) {
		g_autofree char *text = net_text(check, width);
		g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

		g_assert_null(strchr(text, '\033'));
		g_assert_null(strchr(text, '\r'));
		for (guint i = 0; lines[i]; i++)
			g_assert_cmpuint(strlen(lines[i]), <=, width);
		if (width == 100) {
			g_assert_nonnull(strstr(text, "sequential (step 2)"));
			g_assert_nonnull(strstr(text, "seen: 1024 to 2047"));
			g_assert_nonnull(strstr(text, "between 20 and 30 s of silence"));
			g_assert_nonnull(strstr(text, "1492 bytes arrive whole"));
			g_assert_nonnull(strstr(text, "NAT-PMP yes (switched off), PCP no, UPnP "
						      "yes (192.168.1.1:5000)"));
			g_assert_nonnull(strstr(text, "64:ff9b::/96"));
			g_assert_nonnull(strstr(text, "4.2 ms, relays at 192.0.2.7"));
		}
	}
}

static void
json_has(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		g_error("%s is not in %s", part, text);
}

static void
test_json(void)
{
	g_autoptr(Netcheck) check = full_check();
	g_autoptr(JsonNode) node = net_json(check);
	g_autofree char *text = nat_json_print(node, FALSE);

	json_has(text, "\"uplinks\":[{\"interface\":\"eth0\",\"family\":\"ipv4\","
		       "\"gateway\":\"192.168.1.1\",\"metric\":100,\"used\":true,\"tunnel\":false,"
		       "\"addresses\":[\"192.168.1.2\"]}]");
	json_has(text, "\"nat_pmp\":true,\"nat_pmp_result\":2,\"external\":null,\"pcp\":false,"
		       "\"pcp_result\":null,\"upnp\":true,\"upnp_host\":\"192.168.1.1:5000\"}");
	json_has(text, "\"mapping\":\"address-and-port-dependent\",\"filtering\":\"unknown\","
		       "\"ports\":\"sequential\",\"port_step\":2,\"port_lowest\":null,"
		       "\"port_highest\":null,\"port_parity_kept\":null,\"per_destination\":{"
		       "\"ports\":\"block\",\"port_step\":null,\"port_lowest\":1024,"
		       "\"port_highest\":2047,\"port_parity_kept\":null},\"hairpin\":false,"
		       "\"path_mtu_bytes\":1492,\"link_mtu_bytes\":1500,\"route_mtu_bytes\":null,"
		       "\"lifetime\":{\"held_s\":20,\"lost_s\":30,\"undecided\":0}}");
	json_has(text, "\"nat64\":{\"present\":true,\"prefix\":\"64:ff9b::/96\",\"reaches\":null}");
	json_has(text, "{\"kind\":\"turn\",\"transport\":\"tls\",\"name\":\"turns:t.example:443\","
		       "\"address\":null,\"ok\":true,\"ms\":4.25,\"note\":\"relays at 192.0.2.7\","
		       "\"problem\":null}");
	json_has(text, "\"lifetime\":null,\"global\":null}");
	json_has(text, "\"took_s\":null");
}

/* The request leaves room for an answer with all addresses, and is what RFC 5780 calls for. */
static void
test_request(void)
{
	static const guint8 ID[NAT_STUN_ID_LEN] = {1, 2, 3};
	guint8 buf[NAT_STUN_DISCOVER_MAX];
	gsize plain = nat_stun_build_request_discover(buf, sizeof buf, ID, 0), len;
	NatStun stun;

	g_assert_true(nat_stun_parse(buf, plain, &stun));
	g_assert_cmpint(stun.klass, ==, NAT_STUN_REQUEST);
	len = nat_stun_build_request_discover(buf, sizeof buf, ID,
					      NAT_STUN_CHANGE_IP | NAT_STUN_CHANGE_PORT);
	g_assert_cmpuint(len, ==, plain + 8);
	g_assert_true(nat_stun_parse(buf, len, &stun));
	g_assert_true(buf[20] == 0 && buf[21] == 3 && buf[27] == 6);
	g_assert_cmpuint(nat_stun_build_request_discover(buf, 100, ID, 0), ==, 0);
}

static void
test_mtu_sizes(void)
{
	guint sizes[NET_MTU_SIZES];
	gsize n = net_mtu_sizes(AF_INET, 0, 1501, sizes);

	g_assert_cmpuint(sizes[0], ==, 1500);
	g_assert_cmpuint(sizes[n - 1], ==, 576);
	for (gsize i = 0; i < n; i++)
		g_assert_cmpuint(sizes[i] % 4, ==, 0);
	n = net_mtu_sizes(AF_INET6, 0, 1500, sizes);
	g_assert_cmpuint(sizes[0], ==, 1492);
	g_assert_cmpuint(sizes[n - 1], ==, 1280);
	/* then what is between the last that arrived and the first that did not */
	n = net_mtu_sizes(AF_INET, 1440, 1452, sizes);
	g_assert_cmpuint(n, ==, 2);
	g_assert_cmpuint(sizes[0], ==, 1448);
	g_assert_cmpuint(sizes[1], ==, 1444);
	g_assert_cmpuint(net_mtu_sizes(AF_INET, 1440, 1444, sizes), ==, 0);
	g_assert_cmpuint(net_mtu_sizes(AF_INET, 1500, 1501, sizes), ==, 0);
	g_assert_cmpuint(net_mtu_sizes(AF_INET, 576, 800, sizes), <=, NET_MTU_SIZES);
	g_assert_cmpuint(net_mtu_sizes(AF_INET, 0, 100, sizes), ==, 0);
}

/* Each as "interface gateway addresses", those in use marked; in one line. */
static char *
uplinks(void)
{
	g_autoptr(Netcheck) check = netcheck_new();
	GString *out = g_string_new(NULL);
	char text[WG_ENDPOINT_STRLEN];

	net_uplink_find(check);
	for (guint i = 0; i < check->uplinks->len; i++) {
		const NetUplink *uplink = g_ptr_array_index(check->uplinks, i);

		g_string_append_printf(out, "%s%s %s", uplink->used ? "*" : "", uplink->name,
				       net_gateway_format(&uplink->gateway, text));
		for (guint j = 0; j < uplink->addresses->len; j++)
			g_string_append_printf(
				out, " %s",
				wg_endpoint_format_address(
					&g_array_index(uplink->addresses, WgEndpoint, j), text));
		g_string_append(out, uplink->tunnel ? ", tunnel; " : "; ");
	}
	return g_string_free(out, FALSE);
}

static void
uplinks_are(const char *expected)
{
	g_autofree char *found = uplinks();

	g_assert_cmpstr(found, ==, expected);
}

static void
test_uplinks(void)
{
	if (!net_fresh())
		return;
	uplinks_are("");
	for (guint i = 0; i < 2; i++) {
		net_run("ip link add up%u type veth peer name far%u", i, i);
		net_run("ip link set up%u addrgenmode none up", i);
		net_run("ip link set far%u up", i);
		net_run("ip addr add 192.0.%u.2/24 dev up%u", i, i);
	}
	uplinks_are("");
	net_run("ip route add default via 192.0.1.1 dev up1 metric 50");
	net_run("ip route add default via 192.0.0.1 dev up0 metric 60");
	uplinks_are("*up1 192.0.1.1 192.0.1.2; up0 192.0.0.1 192.0.0.2; ");
	/* what is more specific leads out all the same */
	net_run("ip route add 128.0.0.0/1 dev up0");
	uplinks_are("*up0 192.0.0.1 192.0.0.2; up1 192.0.1.1 192.0.1.2; ");
	net_run("ip route del 128.0.0.0/1");
	net_run("ip -4 route flush default");
	/* a gateway of the other family, and two ways of one route */
	net_run("ip -6 addr add fe80::2/64 dev up0 nodad");
	net_run("ip -4 route add 0.0.0.0/0 via inet6 fe80::1 dev up0");
	uplinks_are("*up0 fe80::1 192.0.0.2; ");
	net_run("ip -4 route flush default");
	net_run("ip addr add 2001:db8::2/64 dev up0 nodad");
	net_run("ip -6 route add default nexthop via 2001:db8::1 dev up0 nexthop via fe80::1 dev "
		"up0");
	uplinks_are("*up0 2001:db8::1 2001:db8::2; up0 fe80::1 2001:db8::2; ");
	net_run("ip -6 route flush default");
	if (!net_try("ip tuntap add vpn mode tun"))
		return;
	net_run("ip link set vpn up");
	net_run("ip addr add 10.7.0.2/24 dev vpn");
	net_run("ip route add default dev vpn");
	uplinks_are("*vpn (none) 10.7.0.2, tunnel; ");
}

static void
refused(const char *flag, const char *value, const char *word)
{
	const char *argv[] = {"nat-agent", "netcheck", flag, value, NULL};
	g_autoptr(GError) error = NULL;

	g_assert_null(nat_cli_parse(argv, &error));
	if (strstr(error->message, word) == NULL)
		g_error("\"%s\" does not say \"%s\"", error->message, word);
}

static void
test_flags(void)
{
	const char *argv[] = {"nat-agent", "netcheck",	     "--stun",	 "a.example",
			      "--stun",	   "b.example:7",    "--signal", "wss://s.example",
			      "--turn",	   "turn:t.example", "--json",	 "--slow",
			      NULL};
	g_autoptr(GError) error = NULL;
	g_autoptr(NatCli) cli = nat_cli_parse(argv, &error);

	g_assert_no_error(error);
	g_assert_cmpint(cli->command, ==, NAT_CLI_NETCHECK);
	g_assert_cmpstr(cli->stun[1], ==, "b.example:7");
	g_assert_true(cli->json);
	g_assert_true(cli->slow);
	refused("--stun", "stun:x", "--stun: ");
	refused("--signal", "http://x", "--signal: ");
	refused("--turn", "turn:u:geheim@", "--turn: ");
	refused("--stun", "--json", "wants a value");
	refused("host", NULL, "is not a flag");
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/netcheck/verdict", test_verdict);
	g_test_add_func("/netcheck/advice", test_advice);
	g_test_add_func("/netcheck/lifetime", test_lifetime);
	g_test_add_func("/netcheck/mtu-sizes", test_mtu_sizes);
	g_test_add_func("/netcheck/text", test_text);
	g_test_add_func("/netcheck/json", test_json);
	g_test_add_func("/netcheck/request", test_request);
	g_test_add_func("/netcheck/flags", test_flags);
	g_test_add_func("/netcheck/uplinks", test_uplinks);
	return g_test_run();
}
