/* SPDX-License-Identifier: MIT */
#include "agent/netcheck/netcheck.h"

#include <string.h>

#include "agent/nat-cli.h"
#include "agent/nat-json.h"
#include "agent/nat-stun.h"

static void
test_ports(void)
{
	static const struct {
		guint16 inside[6], outside[6];
		gsize n;
		NetPorts ports;
		int step;
	} CASES[] = {
		{{1, 2, 3, 4, 5, 6}, {1, 2, 3, 4, 5, 6}, 6, NET_PORTS_PRESERVED, 0},
		/* one was taken by somebody else */
		{{1, 2, 3, 4, 5, 6}, {1, 2, 900, 4, 5, 6}, 6, NET_PORTS_PRESERVED, 0},
		{{9, 8, 7, 6, 5, 4}, {100, 101, 102, 103, 104, 105}, 6, NET_PORTS_SEQUENTIAL, 1},
		{{9, 8, 7, 6, 5, 4}, {100, 102, 104, 108, 110, 112}, 6, NET_PORTS_SEQUENTIAL, 2},
		{{9, 8, 7, 6, 5, 4}, {105, 104, 103, 102, 101, 100}, 6, NET_PORTS_SEQUENTIAL, -1},
		/* another host's mapping came in between */
		{{9, 8, 7, 6, 5, 4}, {100, 101, 103, 104, 105, 106}, 6, NET_PORTS_SEQUENTIAL, 1},
		{{9, 8, 7, 6, 5, 4}, {100, 4000, 23, 60000, 777, 12345}, 6, NET_PORTS_RANDOM, 0},
		{{1, 2}, {1, 2}, 2, NET_PORTS_UNKNOWN, 0},
		{{1}, {1}, 0, NET_PORTS_UNKNOWN, 0},
	};

	for (gsize i = 0; i < G_N_ELEMENTS(CASES); i++) {
		int step = 99;

		g_test_message("case %zu", i);
		g_assert_cmpint(
			net_ports_classify(CASES[i].inside, CASES[i].outside, CASES[i].n, &step),
			==, CASES[i].ports);
		g_assert_cmpint(step, ==, CASES[i].step);
	}
}

static void
verdict_has(const Netcheck *check, const char *word)
{
	g_autofree char *verdict = netcheck_verdict(check);

	if (strstr(verdict, word) == NULL)
		g_error("\"%s\" does not say \"%s\"", verdict, word);
	g_assert_null(strchr(verdict, '\n'));
}

static void
test_verdict(void)
{
	g_autoptr(Netcheck) check = netcheck_new();
	NetServer *signal;

	verdict_has(check, "no network");
	check->v4.has_address = TRUE;
	verdict_has(check, "give --stun HOST");
	check->v4.servers = 2;
	verdict_has(check, "is this host online");
	g_assert_false(netcheck_udp_passes(&check->v4));
	g_assert_true(netcheck_udp_passes(&check->v6));
	signal = netcheck_add_server(check, "signaling", "ws://x");
	signal->ok = TRUE;
	verdict_has(check, "UDP is blocked");
	check->v4.answered = 1;
	verdict_has(check, "a second server");
	check->v4.mapping = NAT_MAPPING_NONE;
	verdict_has(check, "no NAT");
	check->v4.mapping = NAT_MAPPING_ENDPOINT_INDEPENDENT;
	verdict_has(check, "but hosts behind hard NATs that map");
	check->v4.filter = NET_FILTER_ENDPOINT_INDEPENDENT;
	verdict_has(check, "lets anybody in");
	check->v4.mapping = NAT_MAPPING_ADDRESS_DEPENDENT;
	verdict_has(check, "hard NAT");
	check->v6.has_address = TRUE;
	check->v6.servers = check->v6.answered = 1;
	check->v6.mapping = NAT_MAPPING_NONE;
	verdict_has(check, "by IPv6 there is no NAT");
}

/* Names and problems of others stay in their lines and move no cursor, on any terminal. */
static void
test_text(void)
{
	g_autoptr(Netcheck) check = netcheck_new();
	NetServer *server = netcheck_add_server(check, "stun", "e\033[2Jvil\nname.example");

	check->v4.has_address = TRUE;
	check->v4.servers = check->v4.answered = 1;
	check->v4.rtt_ms = 12.3;
	g_assert_true(wg_endpoint_parse("192.168.1.2:0", &check->v4.source));
	g_assert_true(wg_endpoint_parse("203.0.113.1:4000", &check->v4.public_endpoint));
	check->v4.mapping = NAT_MAPPING_ADDRESS_AND_PORT_DEPENDENT;
	check->v4.ports = NET_PORTS_SEQUENTIAL;
	check->v4.step = 2;
	check->v4.hairpin = NET_NO;
	server->problem = g_strdup("a\rb");
	for (guint width = 20; width <= 80; width += 20) {
		g_autofree char *text = netcheck_to_text(check, width);
		g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

		g_assert_null(strchr(text, '\033'));
		g_assert_null(strchr(text, '\r'));
		for (guint i = 0; lines[i]; i++)
			g_assert_cmpuint(strlen(lines[i]), <=, width);
		if (width == 80)
			g_assert_nonnull(strstr(text, "(step 2)"));
	}
}

static void
test_json(void)
{
	g_autoptr(Netcheck) check = netcheck_new();
	g_autoptr(JsonNode) node = NULL;
	g_autofree char *text = NULL;
	NetServer *server = netcheck_add_server(check, "turn", "turn:t.example:3478");

	check->v4.has_address = TRUE;
	check->v4.hairpin = NET_YES;
	server->problem = g_strdup("no answer by UDP");
	node = netcheck_to_json(check);
	text = nat_json_print(node, FALSE);
	g_assert_nonnull(strstr(text, "\"ipv4\":{\"source\":null,\"servers\":0,\"answered\":0,"
				      "\"public\":null,\"rtt_ms\":null,\"mapping\":\"unknown\","
				      "\"filtering\":\"unknown\",\"ports\":\"unknown\","
				      "\"port_step\":null,\"hairpin\":true}"));
	g_assert_nonnull(strstr(text, "{\"kind\":\"turn\",\"name\":\"turn:t.example:3478\","
				      "\"address\":null,\"ok\":false,\"ms\":null,"
				      "\"problem\":\"no answer by UDP\"}"));
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
			      "--turn",	   "turn:t.example", "--json",	 NULL};
	g_autoptr(GError) error = NULL;
	g_autoptr(NatCli) cli = nat_cli_parse(argv, &error);

	g_assert_no_error(error);
	g_assert_cmpint(cli->command, ==, NAT_CLI_NETCHECK);
	g_assert_cmpstr(cli->stun[1], ==, "b.example:7");
	g_assert_true(cli->json);
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
	g_test_add_func("/netcheck/ports", test_ports);
	g_test_add_func("/netcheck/verdict", test_verdict);
	g_test_add_func("/netcheck/text", test_text);
	g_test_add_func("/netcheck/json", test_json);
	g_test_add_func("/netcheck/request", test_request);
	g_test_add_func("/netcheck/flags", test_flags);
	return g_test_run();
}
