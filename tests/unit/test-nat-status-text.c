/* SPDX-License-Identifier: MIT */
/* Status as people read it. */
#include "agent/base/nat-text.h"
#include "tests/unit/status-sample.h"

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
