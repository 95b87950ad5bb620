/* SPDX-License-Identifier: MIT */
/* Status as JSON, there and back, and what is left of it by a filter. (For people:
 * test-nat-status-text.c.) */
#include "tests/unit/status-sample.h"

static void
contract(void)
{
	g_autoptr(NatStatus) status = nat_status_new();
	NatStatusInterface *iface = add_wg0(status);
	NatStatusPeer *first = add(iface, 1, NULL, NAT_PEER_CONNECTED, "why");
	g_autofree char *text = NULL;

	status->isolation = g_strdup("rules");
	iface->mapping_lifetime_s = 9;
	set_path(first, NAT_CAND_HOST, NAT_CAND_SRFLX, "203.0.113.9:41020", 21.4);
	first->reason = g_strdup("direct-no-nat");
	add(iface, 2, "bob", NAT_PEER_WAITING, "not there");
	text = json_of(status);
	g_assert_cmpstr(
		text, ==,
		"{\"version\":\"" NAT_VERSION "\",\"interfaces\":[{\"name\":\"wg0\",\"public_key\":"
		"\"yAECAwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\",\"listen_port\":51820,"
		"\"backend\":"
		"\"kernel\",\"signaling\":{\"url\":\"wss://"
		"signal.example\",\"state\":\"connected\","
		"\"reason\":null},\"nat\":{\"mapping\":\"endpoint-independent\",\"filtering\":"
		"\"unknown\",\"allocation\":null,\"public\":"
		"[\"198.51.100.7:51820\"],\"mapping_lifetime_s\":9},\"candidates\":[{\"type\":"
		"\"host\",\"endpoint\":"
		"\"192.168.1.2:51820\"},{\"type\":\"srflx\",\"endpoint\":\"198.51.100.7:51820\"}],"
		"\"peers\":[{\"public_key\":\"AQECAwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\","
		"\"name\":null,\"state\":\"connected\",\"managed\":true,\"path\":{\"kind\":"
		"\"direct\","
		"\"local\":{\"type\":\"host\",\"endpoint\":\"192.168.1.2:51820\"},\"remote\":{"
		"\"type\":"
		"\"srflx\",\"endpoint\":\"203.0.113.9:41020\"},\"rtt_ms\":21.4,"
		"\"loss_ratio\":null,\"mtu_bytes\":null,\"source_port\":null,\"since_s\":null},"
		"\"endpoint\":"
		"\"203.0.113.9:41020\",\"connect_ms\":312,\"last_handshake_s\":12,\"rx_bytes\":"
		"1300000,"
		"\"tx_bytes\":353000,\"why\":\"why\",\"reason\":\"direct-no-nat\","
		"\"no_relay\":null,\"standby\":null,"
		"\"failovers\":0,\"detail\":null},{\"public_key\":"
		"\"AgECAwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\",\"name\":\"bob\",\"state\":"
		"\"waiting\",\"managed\":false,\"path\":null,\"endpoint\":null,\"connect_ms\":null,"
		"\"last_handshake_s\":null,\"rx_bytes\":0,\"tx_bytes\":0,\"why\":\"not there\","
		"\"reason\":null,\"no_relay\":null,\"standby\":null,\"failovers\":0,\"detail\":"
		"null}],"
		"\"problem\":null,\"counters\":{\"drop_stranger\":0,\"mux_to_peer\":42},"
		"\"relays\":[],\"mtu_advice_bytes\":null,\"innernet\":null,"
		"\"port_mapping\":null}],\"isolation\":"
		"\"rules\"}");
}

static void
relay_members(void)
{
	static const char *const PARTS[] = {
		"\"path\":{\"kind\":\"relay\",\"local\":{\"type\":\"relay\",\"endpoint\":\"192.0.2."
		"20:"
		"49152\"}",
		"\"rtt_ms\":42,\"loss_ratio\":0.0125,\"mtu_bytes\":1400,\"source_port\":null,"
		"\"since_s\":90}",
		"\"standby\":{\"kind\":\"direct\",\"remote\":{\"type\":\"prflx\",\"endpoint\":"
		"\"203.0.113.9:51820\"}},\"failovers\":2,\"detail\":null}",
		"\"standby\":{\"kind\":\"relay\",\"remote\":null},\"failovers\":0,\"detail\":null}",
		"\"relays\":[{\"server\":\"turn:192.0.2.20:3478?transport=udp\",\"state\":\"up\","
		"\"relayed\":\"192.0.2.20:49152\",\"problem\":null,\"spare\":false},{\"server\":"
		"\"turns:turn.example:443?transport=tcp\",\"state\":\"failed\",\"relayed\":null,"
		"\"problem\":\"wrong or expired credentials\",\"spare\":false},{\"server\":"
		"\"turn:192.0.2.21:3478?transport=udp\",\"state\":\"up\",\"relayed\":"
		"\"192.0.2.21:49153\",\"problem\":null,\"spare\":true}],"
		"\"mtu_advice_bytes\":1380",
	};
	g_autoptr(NatStatus) status = relayed(), again = NULL;
	g_autofree char *text = json_of(status), *second = NULL;
	g_autoptr(GError) error = NULL;

	for (gsize i = 0; i < G_N_ELEMENTS(PARTS); i++) {
		g_test_message("part %zu", i);
		g_assert_nonnull(strstr(text, PARTS[i]));
	}
	again = status_of(text, &error);
	g_assert_no_error(error);
	second = json_of(again);
	g_assert_cmpstr(text, ==, second);
}

static void
innernet_members(void)
{
	g_autoptr(NatStatus) status = nat_status_new(), again = NULL;
	NatStatusInterface *iface = add_wg0(status);
	g_autofree char *text = NULL, *second = NULL, *well = NULL, *ill = NULL;
	g_autoptr(GError) error = NULL;

	iface->innernet_mode = g_strdup("yes");
	iface->innernet_server = g_strdup("http://10.66.0.1:51820");
	iface->innernet_state = g_strdup("reachable");
	well = nat_status_to_text(status, NULL, NULL, FALSE, 80);
	g_assert_nonnull(strstr(well, "innernet (yes) reachable: http://10.66.0.1:51820\n"));
	g_free(iface->innernet_state);
	iface->innernet_state = g_strdup("refused");
	iface->innernet_reason = g_strdup("it refuses this host");
	ill = nat_status_to_text(status, NULL, NULL, FALSE, 80);
	g_assert_nonnull(strstr(ill, "innernet (yes) refused: it refuses this host\n"));
	text = json_of(status);
	g_assert_nonnull(
		strstr(text, "\"innernet\":{\"mode\":\"yes\",\"server\":\"http://10.66.0.1:51820\","
			     "\"state\":\"refused\",\"reason\":\"it refuses this host\"}"));
	again = status_of(text, &error);
	g_assert_no_error(error);
	second = json_of(again);
	g_assert_cmpstr(text, ==, second);
}

static void
port_mapping_members(void)
{
	g_autoptr(NatStatus) status = nat_status_new(), again = NULL;
	NatStatusPortMapping *mapping = &add_wg0(status)->port_mapping;
	g_autofree char *text = NULL, *second = NULL, *well = NULL, *ill = NULL;
	g_autoptr(GError) error = NULL;

	mapping->state = g_strdup("up");
	mapping->protocol = g_strdup("pcp");
	mapping->gateway = endpoint("192.168.1.1:0");
	mapping->external = endpoint("198.51.100.7:4660");
	mapping->lifetime_s = 7111;
	mapping->pinhole = TRUE;
	well = nat_status_to_text(status, NULL, NULL, FALSE, 200);
	g_assert_nonnull(strstr(well, "port mapping up: 198.51.100.7:4660 by pcp, router "
				      "192.168.1.1, 119 min left, IPv6 let in\n"));
	text = json_of(status);
	g_assert_nonnull(strstr(text,
				"\"port_mapping\":{\"state\":\"up\",\"protocol\":\"pcp\","
				"\"gateway\":\"192.168.1.1\",\"external\":\"198.51.100.7:4660\","
				"\"lifetime_s\":7111,\"problem\":null,\"ipv6_pinhole\":true}"));
	again = status_of(text, &error);
	g_assert_no_error(error);
	second = json_of(again);
	g_assert_cmpstr(text, ==, second);
	mapping->external = (WgEndpoint){0};
	mapping->lifetime_s = 0;
	mapping->pinhole = FALSE;
	g_free(mapping->state);
	mapping->state = g_strdup("refused");
	mapping->problem = g_strdup("switched off");
	ill = nat_status_to_text(status, NULL, NULL, FALSE, 200);
	g_assert_nonnull(strstr(ill, "port mapping refused, router 192.168.1.1 (switched off)\n"));
}

static void
loss(void)
{
	static const struct {
		double value;
		const char *text;
	} CASES[] = {{0, "0"}, {1.0 / 3, "0.3333"}, {1, "1"},
		     {7, "1"}, {-1, "null"},	    {0.0 / 0.0, "null"}};

	for (gsize i = 0; i < G_N_ELEMENTS(CASES); i++) {
		g_autoptr(NatStatus) status = relayed();
		const NatStatusInterface *iface = g_ptr_array_index(status->interfaces, 0);
		NatStatusPeer *peer = g_ptr_array_index(iface->peers, 0);
		g_autofree char *text = NULL, *expected = NULL;

		peer->loss = CASES[i].value;
		text = json_of(status);
		expected = g_strdup_printf("\"loss_ratio\":%s,\"mtu_bytes\":1400", CASES[i].text);
		g_assert_nonnull(strstr(text, expected));
	}
}

static void
path_only_when_connected(void)
{
	g_autoptr(NatStatus) status = nat_status_new();
	NatStatusPeer *peer = add(add_wg0(status), 1, NULL, NAT_PEER_CHECKING, "");
	g_autofree char *text = NULL;

	set_path(peer, NAT_CAND_HOST, NAT_CAND_SRFLX, "203.0.113.9:41020", 21.4);
	text = json_of(status);
	g_assert_nonnull(strstr(text, "\"path\":null"));
}

static void
round_trip(void)
{
	g_autoptr(NatStatus) status = sample(), again = NULL, bare = nat_status_new();
	g_autoptr(GError) error = NULL;
	g_autofree char *text = json_of(status), *second = NULL, *empty = json_of(bare);

	again = status_of(text, &error);
	g_assert_no_error(error);
	second = json_of(again);
	g_assert_cmpstr(text, ==, second);
	g_assert_cmpstr(empty, ==,
			"{\"version\":\"" NAT_VERSION "\",\"interfaces\":[],\"isolation\":null}");
}

static void
numbers(void)
{
	static const struct {
		double value;
		const char *text;
	} CASES[] = {{21.4, "21.4"}, {0.1, "0.1"}, {1.0 / 3, "0.333"},	   {1234.5678, "1234.568"},
		     {0, "0"},	     {-1, "null"}, {1e300 * 1e300, "null"}};

	for (gsize i = 0; i < G_N_ELEMENTS(CASES); i++) {
		g_autoptr(NatStatus) status = nat_status_new();
		NatStatusPeer *peer = add(add_wg0(status), 1, NULL, NAT_PEER_CONNECTED, "");
		g_autofree char *text = NULL, *expected = NULL;

		set_path(peer, NAT_CAND_HOST, NAT_CAND_HOST, "192.0.2.1:1", CASES[i].value);
		peer->rx_bytes = G_MAXUINT64;
		text = json_of(status);
		expected = g_strdup_printf("\"rtt_ms\":%s,", CASES[i].text);
		g_assert_nonnull(strstr(text, expected));
		g_assert_nonnull(strstr(text, "\"rx_bytes\":9223372036854775807"));
	}
}

/* A newer agent says more, an older one less. */
static void
tolerant(void)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(NatStatus) empty = status_of("{}", &error);
	g_autoptr(NatStatus) bare =
		status_of("{\"interfaces\":[{\"peers\":[{}],\"new\":[1]}]}", &error);
	g_autoptr(NatStatus) newer =
		status_of("{\"interfaces\":[{\"name\":\"wg0\",\"nat\":{\"mapping\":\"novel\"},"
			  "\"candidates\":[{\"type\":\"novel\",\"endpoint\":\"192.0.2.1:1\"}],"
			  "\"peers\":[{\"state\":\"connected\",\"path\":{\"kind\":\"novel\",\"rtt_"
			  "ms\":3},\"reason\":\"direct-novel\",\"no_relay\":\"novel\"}]}]}",
			  &error);
	const NatStatusInterface *iface;
	const NatStatusPeer *peer;

	g_assert_no_error(error);
	g_assert_cmpuint(empty->interfaces->len, ==, 0);
	iface = g_ptr_array_index(bare->interfaces, 0);
	peer = g_ptr_array_index(iface->peers, 0);
	g_assert_cmpstr(peer->why, ==, "");
	g_assert_null(peer->reason);
	g_assert_null(peer->no_relay);
	g_assert_cmpint(peer->last_handshake_s, ==, -1);
	iface = g_ptr_array_index(newer->interfaces, 0);
	peer = g_ptr_array_index(iface->peers, 0);
	g_assert_cmpint(iface->mapping, ==, NAT_MAPPING_UNKNOWN);
	g_assert_cmpuint(iface->candidates->len, ==, 0);
	g_assert_true(peer->has_path);
	g_assert_cmpfloat(peer->rtt_ms, ==, 3);
	/* kept for whoever reads our JSON of it */
	g_assert_cmpstr(peer->reason, ==, "direct-novel");
	g_assert_cmpstr(peer->no_relay, ==, "novel");
}

static void
wrong_types(void)
{
	static const char *const BAD[] = {
		"{\"interfaces\":{}}",
		"{\"interfaces\":[1]}",
		"{\"version\":1}",
		"{\"interfaces\":[{\"name\":[]}]}",
		"{\"interfaces\":[{\"listen_port\":\"1\"}]}",
		"{\"interfaces\":[{\"listen_port\":65536}]}",
		"{\"interfaces\":[{\"listen_port\":-1}]}",
		"{\"interfaces\":[{\"public_key\":\"x\"}]}",
		"{\"interfaces\":[{\"nat\":{\"public\":[null]}}]}",
		"{\"interfaces\":[{\"nat\":{\"public\":[{}]}}]}",
		"{\"interfaces\":[{\"candidates\":[[]]}]}",
		"{\"interfaces\":[{\"counters\":{\"x\":\"y\"}}]}",
		"{\"interfaces\":[{\"peers\":[{\"state\":\"dreaming\"}]}]}",
		"{\"interfaces\":[{\"peers\":[{\"managed\":1}]}]}",
		"{\"interfaces\":[{\"peers\":[{\"reason\":1}]}]}",
		"{\"interfaces\":[{\"peers\":[{\"no_relay\":true}]}]}",
		"{\"interfaces\":[{\"peers\":[{\"rx_bytes\":-1}]}]}",
		"{\"interfaces\":[{\"peers\":[{\"path\":{\"rtt_ms\":\"1\"}}]}]}",
		"{\"interfaces\":[{\"peers\":[{\"path\":{\"local\":\"x\"}}]}]}",
		"{\"interfaces\":[{\"peers\":[{\"endpoint\":\"x\"}]}]}",
		"{\"interfaces\":[{\"peers\":[{\"path\":{\"mtu_bytes\":65576}}]}]}",
		"{\"interfaces\":[{\"peers\":[{\"path\":{\"loss_ratio\":\"1\"}}]}]}",
		"{\"interfaces\":[{\"peers\":[{\"standby\":[]}]}]}",
		"{\"interfaces\":[{\"peers\":[{\"failovers\":4294967296}]}]}",
		"{\"interfaces\":[{\"relays\":{}}]}",
		"{\"interfaces\":[{\"relays\":[null]}]}",
		"{\"interfaces\":[{\"relays\":[{\"relayed\":\"x\"}]}]}",
		"{\"interfaces\":[{\"relays\":[{\"state\":1}]}]}",
		"{\"interfaces\":[{\"relays\":[{\"spare\":1}]}]}",
		"{\"interfaces\":[{\"mtu_advice_bytes\":-1}]}",
	};

	for (gsize i = 0; i < G_N_ELEMENTS(BAD); i++) {
		g_autoptr(GError) error = NULL;

		g_test_message("case %zu", i);
		g_assert_null(status_of(BAD[i], &error));
		g_assert_true(g_str_has_prefix(error->message, "malformed status: member "));
	}
}

static void
json_text(void)
{
	static const char *const BAD[] = {
		"",
		"[]",
		"1",
		"null",
		"{",
		"}",
		"{\"a\":1}}",
		"{\"a\":'x'}",
		"{/* */}",
		"{} // x",
		"{\"a\"}",
		"{\"a",
		"{\"a\":\"\\",
		"var x = {}",
		"{} {}",
		"{},",
		"a{}",
		"\"\"{}",
		"1,{}",
		"{\"a\":\xff}",
		"{\"a\":\"\xff\"}",
		"{\"a\":\"\\236\"}",
	};
	g_autofree char *deep = g_strnfill(60000, '[');
	g_autofree char *hidden = g_strconcat("{\"]]]\":", deep, NULL);

	for (gsize i = 0; i < G_N_ELEMENTS(BAD); i++) {
		g_autoptr(GError) error = NULL;

		g_test_message("case %zu", i);
		g_assert_null(nat_json_parse(BAD[i], strlen(BAD[i]), &error));
		g_assert_nonnull(error);
		g_assert_null(strchr(error->message, '\n'));
	}
	g_assert_null(nat_json_parse(deep, strlen(deep), NULL));
	g_assert_null(nat_json_parse(hidden, strlen(hidden), NULL));
}

static void
json_printing(void)
{
	static const char TEXT[] =
		"{\"a\":[],\"b\":{},\"c\":[1,\"\\\"\\\\\\u0001\",null,true],\"d\":-0.5}";
	g_autoptr(JsonNode) node = nat_json_parse(TEXT, strlen(TEXT), NULL);
	g_autofree char *compact = nat_json_print(node, FALSE),
			*pretty = nat_json_print(node, TRUE);

	g_assert_cmpstr(compact, ==, TEXT);
	g_assert_cmpstr(
		pretty, ==,
		"{\n  \"a\": [],\n  \"b\": {},\n  \"c\": [\n    1,\n    \"\\\"\\\\\\u0001\",\n    "
		"null,\n    true\n  ],\n  \"d\": -0.5\n}");
}

/* json-glib makes no UTF-8 of half a surrogate pair; what we print is some all the same. */
static void
json_surrogate(void)
{
	static const char TEXT[] = "{\"a\":\"x\\ud800y\"}";
	g_autoptr(JsonNode) node = nat_json_parse(TEXT, strlen(TEXT), NULL);
	g_autofree char *text = node ? nat_json_print(node, FALSE) : NULL;

	g_assert_true(!text || g_utf8_validate(text, -1, NULL));
}

/* --- exit status, filter --- */

static void
exit_status(void)
{
	g_autoptr(NatStatus) none = nat_status_new(), all = nat_status_new(), some = sample(),
			     problem = nat_status_new();

	add(add_wg0(all), 1, NULL, NAT_PEER_CONNECTED, "");
	add_wg0(problem)->problem = g_strdup("gone");
	g_assert_cmpint(nat_status_exit_code(none), ==, 0);
	g_assert_cmpint(nat_status_exit_code(all), ==, 0);
	g_assert_cmpint(nat_status_exit_code(some), ==, 1);
	g_assert_cmpint(nat_status_exit_code(problem), ==, 1);
}

static guint
n_peers(const NatStatus *status)
{
	guint n = 0;

	for (guint i = 0; i < status->interfaces->len; i++) {
		const NatStatusInterface *iface = g_ptr_array_index(status->interfaces, i);

		n += iface->peers->len;
	}
	return n;
}

static void
filtered(const char *interface, const char *peer, guint interfaces, guint peers, int code)
{
	g_autoptr(NatStatus) status = sample();
	g_autoptr(GError) error = NULL;

	g_assert_true(nat_status_filter(status, interface, peer, &error));
	g_assert_no_error(error);
	g_assert_cmpuint(status->interfaces->len, ==, interfaces);
	g_assert_cmpuint(n_peers(status), ==, peers);
	g_assert_cmpint(nat_status_exit_code(status), ==, code);
}

static void
filter_fails(const char *interface, const char *peer, const char *message)
{
	g_autoptr(NatStatus) status = sample();
	g_autoptr(GError) error = NULL;

	g_assert_false(nat_status_filter(status, interface, peer, &error));
	g_assert_cmpstr(error->message, ==, message);
}

static void
filter(void)
{
	filtered(NULL, NULL, 2, 6, 1);
	filtered("wg1", NULL, 1, 0, 1);
	filtered(NULL, "alice", 1, 1, 0);
	filtered("wg0", "bob", 1, 1, 1);
	filtered(NULL, "AgE", 1, 1, 0);
	filtered(NULL, "AgECAwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", 1, 1, 0);
	filter_fails("wg7", NULL, "this agent has no interface \"wg7\": it serves wg0, wg1");
	filter_fails(NULL, "dave\n",
		     "no peer \"dave\\x0a\": give a name, a public key or how the key begins");
	filter_fails(NULL, "A", "\"A\" begins several peers' keys: give more of it");
	filter_fails("wg1", "alice",
		     "no peer \"alice\": give a name, a public key or how the key begins");
}

/* A peer may be named like the beginning of another's key. */
static void
name_before_key(void)
{
	g_autoptr(NatStatus) status = nat_status_new();
	NatStatusInterface *iface = add_wg0(status);

	add(iface, 1, NULL, NAT_PEER_CONNECTED, "");
	add(iface, 2, "AQ", NAT_PEER_WAITING, "");
	g_assert_true(nat_status_filter(status, NULL, "AQ", NULL));
	g_assert_cmpuint(iface->peers->len, ==, 1);
	g_assert_cmpint(nat_status_exit_code(status), ==, 1);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/status/json/contract", contract);
	g_test_add_func("/status/json/relay", relay_members);
	g_test_add_func("/status/json/innernet", innernet_members);
	g_test_add_func("/status/json/port-mapping", port_mapping_members);
	g_test_add_func("/status/json/loss", loss);
	g_test_add_func("/status/json/path-only-when-connected", path_only_when_connected);
	g_test_add_func("/status/json/round-trip", round_trip);
	g_test_add_func("/status/json/numbers", numbers);
	g_test_add_func("/status/json/tolerant", tolerant);
	g_test_add_func("/status/json/wrong-types", wrong_types);
	g_test_add_func("/status/json/text", json_text);
	g_test_add_func("/status/json/printing", json_printing);
	g_test_add_func("/status/json/surrogate", json_surrogate);
	g_test_add_func("/status/exit-status", exit_status);
	g_test_add_func("/status/filter", filter);
	g_test_add_func("/status/filter/name-before-key", name_before_key);
	return g_test_run();
}
