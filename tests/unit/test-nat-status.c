/* SPDX-License-Identifier: MIT */
#include "agent/nat-status.h"

#include <string.h>

#include "agent/nat-json.h"
#include "agent/nat-text.h"

static WgEndpoint
endpoint(const char *text)
{
	WgEndpoint ep;

	g_assert_true(wg_endpoint_parse(text, &ep));
	return ep;
}

static WgKey
key(guint8 first)
{
	WgKey k = {{first, 1, 2, 3}};

	return k;
}

static NatStatusPeer *
add(NatStatusInterface *iface, guint8 k, const char *name, NatPeerState state, const char *why)
{
	WgKey pub = key(k);
	NatStatusPeer *peer = nat_status_add_peer(iface, &pub);

	peer->name = g_strdup(name);
	peer->state = state;
	peer->managed = state != NAT_PEER_WAITING;
	g_free(peer->why);
	peer->why = g_strdup(why);
	return peer;
}

static void
set_path(NatStatusPeer *peer, NatCandType local, NatCandType remote, const char *to, double rtt)
{
	peer->has_path = TRUE;
	peer->local = (NatCandidate){local, endpoint("192.168.1.2:51820")};
	peer->remote = (NatCandidate){remote, endpoint(to)};
	peer->endpoint = endpoint(to);
	peer->rtt_ms = rtt;
	peer->connect_ms = 312;
	peer->last_handshake_s = 12;
	peer->rx_bytes = 1300000;
	peer->tx_bytes = 353000;
}

static NatStatusInterface *
add_wg0(NatStatus *status)
{
	NatStatusInterface *iface = nat_status_add_interface(status, "wg0");
	NatCandidate host = {NAT_CAND_HOST, endpoint("192.168.1.2:51820")};
	NatCandidate srflx = {NAT_CAND_SRFLX, endpoint("198.51.100.7:51820")};

	iface->public_key = key(200);
	iface->listen_port = 51820;
	iface->backend = g_strdup("kernel");
	iface->signal_url = g_strdup("wss://signal.example");
	iface->signal_state = g_strdup("connected");
	iface->mapping = NAT_MAPPING_ENDPOINT_INDEPENDENT;
	g_array_append_val(iface->public_endpoints, srflx.endpoint);
	g_array_append_val(iface->candidates, host);
	g_array_append_val(iface->candidates, srflx);
	nat_status_set_counter(iface, "mux_to_peer", 42);
	nat_status_set_counter(iface, "drop_stranger", 0);
	return iface;
}

/* One of everything that status can say. */
static NatStatus *
sample(void)
{
	NatStatus *status = nat_status_new();
	NatStatusInterface *wg0 = add_wg0(status), *wg1 = nat_status_add_interface(status, "wg1");
	NatStatusPeer *alice, *phone, *late, *carol;

	alice = add(wg0, 1, "alice", NAT_PEER_CONNECTED,
		    "direct: both NATs keep one mapping for all destinations");
	set_path(alice, NAT_CAND_HOST, NAT_CAND_SRFLX, "203.0.113.9:41020", 21.4);
	alice->reason = g_strdup("direct-easy-nats");
	set_path(add(wg0, 2, NULL, NAT_PEER_CONNECTED, "direct: both are in the same network"),
		 NAT_CAND_HOST, NAT_CAND_HOST, "[2001:db8:85a3:1234:5678:8a2e:370:7334]:51820",
		 0.254);
	phone = add(wg0, 3, "phone", NAT_PEER_CONNECTED,
		    "no agent there: the endpoint is the one that WireGuard has");
	set_path(phone, NAT_CAND_HOST, NAT_CAND_ROAMED, "203.0.113.77:6001", -1);
	memset(&phone->local, 0, sizeof phone->local);
	phone->managed = FALSE;
	phone->connect_ms = -1;
	phone->since_s = 7200;
	late = add(
		wg0, 4, "a-very-long-host-name.example.net", NAT_PEER_CHECKING,
		"checking 12 pairs for 2 s; its NAT gives every destination another port, so that "
		"only a peer-reflexive path is possible");
	late->last_handshake_s = 5000;
	add(wg0, 5, "bob", NAT_PEER_WAITING, "its agent is not at the signaling server");
	carol = add(wg0, 6, "carol", NAT_PEER_FAILED,
		    "no pair answered: a firewall at one end drops UDP to port 51820; open it, or "
		    "wait for another network");
	carol->reason = g_strdup("failed-checks");
	carol->no_relay = g_strdup("no-server");
	wg1->problem = g_strdup("interface wg1 does not exist; waiting for it to appear");
	wg1->signal_url = g_strdup("ws://192.0.2.1:8080");
	wg1->signal_state = g_strdup("waiting");
	wg1->signal_reason = g_strdup("192.0.2.1:8080 refuses the connection; next try in 7 s");
	return status;
}

static char *
json_of(const NatStatus *status)
{
	g_autoptr(JsonNode) node = nat_status_to_json(status);

	return nat_json_print(node, FALSE);
}

static NatStatus *
status_of(const char *text, GError **error)
{
	g_autoptr(JsonNode) node = nat_json_parse(text, strlen(text), error);

	return node ? nat_status_from_json(node, error) : NULL;
}

/* --- JSON --- */

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
		"\"loss_ratio\":null,\"mtu_bytes\":null,\"since_s\":null},\"endpoint\":"
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

static NatStatusRelay *
add_relay(NatStatusInterface *iface, const char *server, const char *state, const char *problem)
{
	NatStatusRelay *relay = nat_status_add_relay(iface, server);

	relay->state = g_strdup(state);
	relay->problem = g_strdup(problem);
	return relay;
}

/* A peer over our relay, one over its own, with all that may be known of a path. */
static NatStatus *
relayed(void)
{
	NatStatus *status = nat_status_new();
	NatStatusInterface *iface = add_wg0(status);
	NatStatusPeer *ours, *theirs;

	add_relay(iface, "turn:192.0.2.20:3478?transport=udp", "up", NULL)->relayed =
		endpoint("192.0.2.20:49152");
	add_relay(iface, "turns:turn.example:443?transport=tcp", "failed",
		  "wrong or expired credentials");
	add_relay(iface, "turn:192.0.2.21:3478?transport=udp", "up", NULL)->relayed =
		endpoint("192.0.2.21:49153");
	((NatStatusRelay *)g_ptr_array_index(iface->relays, 2))->spare = TRUE;
	iface->mtu_advice = 1380;
	ours = add(iface, 1, "alice", NAT_PEER_CONNECTED, "relayed: UDP is blocked here");
	set_path(ours, NAT_CAND_RELAY, NAT_CAND_SRFLX, "203.0.113.9:41020", 42);
	ours->relay = TRUE;
	ours->local.endpoint = endpoint("192.0.2.20:49152");
	ours->endpoint = endpoint("127.0.0.1:40001");
	ours->loss = 0.0125;
	ours->mtu = 1400;
	ours->since_s = 90;
	ours->has_standby = TRUE;
	ours->standby = (NatCandidate){NAT_CAND_PRFLX, endpoint("203.0.113.9:51820")};
	ours->failovers = 2;
	theirs = add(iface, 2, "bob", NAT_PEER_CONNECTED, "");
	set_path(theirs, NAT_CAND_HOST, NAT_CAND_RELAY, "192.0.2.20:50000", 40);
	theirs->relay = TRUE;
	theirs->has_standby = theirs->standby_relay = TRUE;
	return status;
}

static void
relay_members(void)
{
	static const char *const PARTS[] = {
		"\"path\":{\"kind\":\"relay\",\"local\":{\"type\":\"relay\",\"endpoint\":\"192.0.2."
		"20:"
		"49152\"}",
		"\"rtt_ms\":42,\"loss_ratio\":0.0125,\"mtu_bytes\":1400,\"since_s\":90}",
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

/* --- text --- */

static guint
widest(const char *text)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	guint width = 0;

	for (guint i = 0; lines[i]; i++)
		width = MAX(width, nat_text_width(lines[i]));
	return width;
}

static void
text_fits(void)
{
	g_autoptr(NatStatus) status = sample(), more = relayed();

	for (guint width = 40; width <= 200; width++) {
		g_autofree char *relays = nat_status_to_text(more, NULL, NULL, FALSE, width);
		g_autofree char *all = nat_status_to_text(status, NULL, NULL, FALSE, width);
		g_autofree char *one = nat_status_to_text(status, NULL, "carol", FALSE, width);

		g_assert_cmpuint(widest(all), <=, width);
		g_assert_cmpuint(widest(relays), <=, width);
		g_assert_cmpuint(widest(one), <=, width);
		if (width == 80 || width == 50)
			g_test_message("%u columns:\n%s\n%s", width, all, one);
	}
}

static const char TABLE[] =
	"wg0: port 51820, kernel, NAT endpoint-independent, public 198.51.100.7:51820\n"
	"     signaling connected: wss://signal.example\n"
	"  PEER          STATE      PATH                       RTT      SINCE  RX    TX\n"
	"  alice         connected  direct 203.0.113.9:41020   21.4 ms  -      1.2M  345K\n"
	"    direct: both NATs keep one mapping for all destinations\n"
	"  AgECAwAA      connected  direct [2001:db8:85a3:1..  0.25 ms  -      1.2M  345K\n"
	"    direct: both are in the same network\n"
	"  phone         connected  roamed 203.0.113.77:6001   -        2h     1.2M  345K\n"
	"    no agent there: the endpoint is the one that WireGuard has\n"
	"  a-very-lon..  checking   -                          -        -      0B    0B\n"
	"    checking 12 pairs for 2 s; its NAT gives every destination another port, so\n"
	"    that only a peer-reflexive path is possible\n"
	"  bob           waiting    -                          -        -      0B    0B\n"
	"    its agent is not at the signaling server\n"
	"  carol         failed     -                          -        -      0B    0B\n"
	"    no pair answered: a firewall at one end drops UDP to port 51820; open it, or\n"
	"    wait for another network\n";

static const char DETAIL[] =
	"wg0: port 51820, kernel, NAT endpoint-independent, public 198.51.100.7:51820\n"
	"     signaling connected: wss://signal.example\n"
	"\n"
	"  peer        AQECAwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
	"  name        alice\n"
	"  state       connected\n"
	"  why         direct: both NATs keep one mapping for all destinations\n"
	"  reason      direct-easy-nats\n"
	"  path        direct\n"
	"  local       192.168.1.2:51820 (host)\n"
	"  remote      203.0.113.9:41020 (srflx)\n"
	"  round trip  21.4 ms\n"
	"  connected   312 ms after the search began\n"
	"  endpoint    203.0.113.9:41020\n"
	"  handshake   12s ago\n"
	"  traffic     1.2M received, 345K sent\n"
	"  agent       yes: this peer's path is looked after\n";

/* The column is there when something is lost, and goes before the round trip does. */
static void
text_loss(void)
{
	g_autoptr(NatStatus) status = sample();
	NatStatusInterface *wg0 = g_ptr_array_index(status->interfaces, 0);
	NatStatusPeer *alice = g_ptr_array_index(wg0->peers, 0);
	g_autofree char *none = NULL, *some = NULL, *narrow = NULL;

	alice->loss = 0.004;
	none = nat_status_to_text(status, "wg0", NULL, FALSE, 80);
	g_assert_null(strstr(none, "LOSS"));
	alice->loss = 0.124;
	some = nat_status_to_text(status, "wg0", NULL, FALSE, 80);
	g_assert_nonnull(strstr(some, "  RTT      LOSS  RX    TX\n"));
	g_assert_nonnull(strstr(some, "21.4 ms  12%   1.2M  345K\n"));
	narrow = nat_status_to_text(status, "wg0", NULL, FALSE, 50);
	g_assert_null(strstr(narrow, "LOSS"));
	g_assert_cmpuint(widest(narrow), <=, 50);
}

static void
text_detail(void)
{
	g_autoptr(NatStatus) status = sample();
	NatStatusInterface *wg0 = g_ptr_array_index(status->interfaces, 0);
	NatStatusPeer *alice = g_ptr_array_index(wg0->peers, 0);
	NatStatusDetail *detail = alice->detail = nat_status_detail_new();
	NatStatusPair *pair = nat_status_detail_add_pair(detail);
	NatEvent event = {.number = 1,
			  .interface = (char *)"wg0",
			  .text = (char *)"checking → connected (WireGuard proved it)",
			  .kind = NAT_EVENT_STATE,
			  .since_last_us = 312345,
			  .times = 1};
	NatCheck *check;
	g_autofree char *text = NULL, *json = NULL, *again = NULL;
	g_autoptr(NatStatus) back = NULL;

	g_array_append_val(detail->local, alice->local);
	g_array_append_val(detail->remote, alice->remote);
	detail->has_nat = TRUE;
	detail->nat = (NatClass){.mapping = NAT_MAPPING_ADDRESS_DEPENDENT,
				 .ports = NAT_PORTS_BLOCK,
				 .lowest = 1024,
				 .highest = 2047,
				 .parity = TRUE};
	check = nat_checks_of(&detail->checks, &alice->local.endpoint, &alice->remote.endpoint);
	check->sent = 7;
	nat_check_set_error(check, "a firewall on this host drops it");
	pair->local = alice->local;
	pair->remote = alice->remote;
	pair->state = g_strdup("alive");
	pair->chosen = TRUE;
	pair->rtt_ms = 21.4;
	pair->error = g_strdup("the peer's end is not ready");
	nat_status_detail_add_event(detail, &event);
	text = nat_status_to_text(status, NULL, "alice", FALSE, 80);
	g_test_message("%s", text);
	g_assert_cmpuint(widest(text), <=, 80);
	g_assert_nonnull(
		strstr(text, "192.168.1.2:51820 -> 203.0.113.9:41020  7 sent, 0 answered\n"));
	g_assert_nonnull(strstr(text, "    NAT address-dependent, ports block 1024-2047, odd and "
				      "even kept\n"));
	g_assert_nonnull(strstr(text, "      a firewall on this host drops it\n"));
	g_assert_nonnull(
		strstr(text, "* 192.168.1.2:51820 -> 203.0.113.9:41020  direct, alive, 21.4 ms\n"));
	g_assert_nonnull(strstr(text, "+0.312s  state     checking -> connected"));
	/* and by JSON, to and fro */
	json = json_of(status);
	back = status_of(json, NULL);
	g_assert_nonnull(back);
	again = nat_status_to_text(back, NULL, "alice", FALSE, 80);
	g_assert_cmpstr(text, ==, again);
	for (guint width = 40; width < 120; width++) {
		g_autofree char *any = nat_status_to_text(status, NULL, "alice", FALSE, width);

		g_assert_cmpuint(widest(any), <=, width);
	}
}

static void
text_looks(void)
{
	g_autoptr(NatStatus) status = sample();
	g_autofree char *all = nat_status_to_text(status, "wg0", NULL, FALSE, 80);
	g_autofree char *one = nat_status_to_text(status, NULL, "alice", FALSE, 80);
	g_autofree char *failed = nat_status_to_text(status, NULL, "carol", FALSE, 80);

	g_assert_cmpstr(all, ==, TABLE);
	g_assert_cmpstr(one, ==, DETAIL);
	g_assert_nonnull(strstr(failed, "\n  reason      failed-checks, no relay: no-server\n"));
}

/* 25 s is all that is asked for. */
static void
lifetime_looks(void)
{
	g_autoptr(NatStatus) status = nat_status_new();
	NatStatusInterface *iface = add_wg0(status);
	g_autofree char *brief = NULL, *good = NULL;

	status->isolation = g_strdup("rules");
	iface->mapping_lifetime_s = 9;
	brief = nat_status_to_text(status, NULL, NULL, FALSE, 200);
	g_assert_nonnull(strstr(brief, "NAT endpoint-independent, mappings last 9 s, public "));
	iface->mapping_lifetime_s = 25;
	good = nat_status_to_text(status, NULL, NULL, FALSE, 200);
	g_assert_nonnull(strstr(good, "mappings last 25 s or more, "));
}

/* How the NAT behaves, in a heading of 80 columns, and by JSON to and fro. */
static void
nat_looks(void)
{
	g_autoptr(NatStatus) status = nat_status_new(), back = NULL;
	NatStatusInterface *iface = add_wg0(status);
	g_autofree char *text = NULL, *wide = NULL, *json = NULL;

	iface->nat = (NatClass){.filtering = NAT_FILTERING_ADDRESS_AND_PORT_DEPENDENT,
				.ports = NAT_PORTS_SEQUENTIAL,
				.step = -2};
	text = nat_status_to_text(status, NULL, NULL, FALSE, 80);
	g_assert_cmpuint(widest(text), <=, 80);
	wide = nat_status_to_text(status, NULL, NULL, FALSE, 200);
	g_assert_nonnull(strstr(wide,
				"NAT endpoint-independent, filtering address-and-port-dependent, "
				"ports sequential -2, public 198.51.100.7:51820\n"));
	json = json_of(status);
	g_assert_nonnull(strstr(json,
				"\"filtering\":\"address-and-port-dependent\",\"allocation\":{"
				"\"kind\":\"sequential\",\"step\":-2,\"lowest\":null,"
				"\"highest\":null,\"parity\":false}"));
	back = status_of(json, NULL);
	g_assert_nonnull(back);
	iface->nat.mapping = iface->mapping;
	g_assert_true(nat_class_equal(
		&iface->nat, &((NatStatusInterface *)g_ptr_array_index(back->interfaces, 0))->nat));
}

static const char RELAY_TABLE[] =
	"wg0: port 51820, kernel, NAT endpoint-independent, public 198.51.100.7:51820\n"
	"     signaling connected: wss://signal.example\n"
	"     relay up: turn:192.0.2.20:3478?transport=udp, relayed 192.0.2.20:49152\n"
	"     relay failed: turns:turn.example:443?transport=tcp (wrong or expired\n"
	"     credentials)\n"
	"     spare relay up: turn:192.0.2.21:3478?transport=udp, relayed\n"
	"     192.0.2.21:49153\n"
	"     MTU too big for a path: ip link set mtu 1380 dev wg0\n"
	"  PEER   STATE      PATH                        RTT      LOSS  SINCE  RX    TX\n"
	"  alice  connected  relay via 192.0.2.20:49152  42.0 ms  1%    90s    1.2M  345K\n"
	"    relayed: UDP is blocked here\n"
	"  bob    connected  relay via 192.0.2.20:50000  40.0 ms  -     -      1.2M  345K\n";

static const char RELAY_DETAIL[] = "  path        relay via 192.0.2.20:49152\n"
				   "  local       192.0.2.20:49152 (relay)\n"
				   "  remote      203.0.113.9:41020 (srflx)\n"
				   "  round trip  42.0 ms\n"
				   "  loss        1.2 %\n"
				   "  path MTU    1400 bytes\n"
				   "  in use      for 90s\n"
				   "  connected   312 ms after the search began\n"
				   "  standby     direct to 203.0.113.9:51820 (prflx)\n"
				   "  failovers   2\n"
				   "  endpoint    127.0.0.1:40001\n";

static void
relay_looks(void)
{
	g_autoptr(NatStatus) status = relayed();
	g_autofree char *all = nat_status_to_text(status, NULL, NULL, FALSE, 80);
	g_autofree char *one = nat_status_to_text(status, NULL, "alice", FALSE, 80);

	g_assert_cmpstr(all, ==, RELAY_TABLE);
	g_test_message("%s", one);
	g_assert_nonnull(strstr(one, RELAY_DETAIL));
}

static void
colour(void)
{
	g_autoptr(NatStatus) status = sample();
	g_autofree char *plain = nat_status_to_text(status, NULL, NULL, FALSE, 80);
	g_autofree char *bright = nat_status_to_text(status, NULL, NULL, TRUE, 80);

	g_assert_null(strchr(plain, '\033'));
	g_assert_nonnull(strstr(bright, "\033[32mconnected\033[0m"));
	g_assert_nonnull(strstr(bright, "\033[31mfailed   \033[0m"));
}

/* Whatever others put into names and reasons stays in its line and moves no cursor. */
static void
escapes(void)
{
	g_autoptr(NatStatus) status = nat_status_new();
	NatStatusInterface *iface = add_wg0(status);
	g_autofree char *text = NULL, *one = NULL;

	add(iface, 1, "e\033[2Jvil\n\xff\xe2\x80\xae", NAT_PEER_FAILED, "a\nb\033[0m\xc2\x9b");
	g_free(iface->signal_reason);
	iface->signal_reason = g_strdup("line\r\nline");
	iface->innernet_mode = g_strdup("yes");
	iface->innernet_state = g_strdup("invalid");
	iface->innernet_reason = g_strdup("e\033[2Jvil\r");
	text = nat_status_to_text(status, NULL, NULL, FALSE, 80);
	one = nat_status_to_text(status, NULL, "AQE", FALSE, 80);
	g_assert_null(strchr(text, '\033'));
	g_assert_null(strchr(one, '\033'));
	g_assert_null(strchr(text, '\r'));
	g_assert_true(g_utf8_validate(text, -1, NULL));
	g_assert_nonnull(strstr(text, "e\\x1b[2Jvil"));
	g_assert_nonnull(strstr(text, "a\\x0ab\\x1b[0m\\xc2\\x9b"));
}

static void
empty(void)
{
	g_autoptr(NatStatus) status = nat_status_new();
	g_autofree char *none = nat_status_to_text(status, NULL, NULL, FALSE, 80), *text = NULL;

	add_wg0(status);
	text = nat_status_to_text(status, NULL, NULL, FALSE, 80);
	g_assert_cmpstr(none, ==, "no interfaces\n");
	g_assert_true(g_str_has_suffix(text, "  no peers on this interface\n"));
}

static void
units(void)
{
	static const struct {
		guint64 bytes;
		const char *text;
	} BYTES[] = {{0, "0B"},		{999, "999B"},	   {1000, "1.0K"},
		     {10187, "9.9K"},	{10240, "10K"},	   {1022976, "999K"},
		     {1023488, "1.0M"}, {1300000, "1.2M"}, {G_MAXUINT64, "16E"}};

	for (gsize i = 0; i < G_N_ELEMENTS(BYTES); i++) {
		g_autofree char *text = nat_text_bytes(BYTES[i].bytes);

		g_assert_cmpstr(text, ==, BYTES[i].text);
	}
}

static void
wrapped(const char *text, guint column, guint indent, guint width, const char *expected)
{
	g_autoptr(GString) out = g_string_new(NULL);

	nat_text_wrap(out, text, column, indent, width);
	g_assert_cmpstr(out->str, ==, expected);
}

static void
wrap(void)
{
	wrapped("aa bb cc", 0, 0, 5, "aa bb\ncc");
	wrapped("aa bb cc", 3, 2, 5, "aa\n  bb\n  cc");
	wrapped("abcdefgh", 0, 1, 4, "abcd\n efg\n h");
	wrapped("a abcdefgh", 0, 0, 4, "a\nabcd\nefgh");
	wrapped("  a   b ", 0, 0, 10, "a b");
	wrapped("漢字漢字", 0, 0, 5, "漢字\n漢字");
	wrapped("漢", 0, 0, 1, "漢");
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
	g_test_add_func("/status/text/fits", text_fits);
	g_test_add_func("/status/text/looks", text_looks);
	g_test_add_func("/status/text/loss", text_loss);
	g_test_add_func("/status/text/detail", text_detail);
	g_test_add_func("/status/text/mapping-lifetime", lifetime_looks);
	g_test_add_func("/status/text/nat", nat_looks);
	g_test_add_func("/status/text/relay", relay_looks);
	g_test_add_func("/status/text/colour", colour);
	g_test_add_func("/status/text/escapes", escapes);
	g_test_add_func("/status/text/empty", empty);
	g_test_add_func("/status/text/units", units);
	g_test_add_func("/status/text/wrap", wrap);
	return g_test_run();
}
