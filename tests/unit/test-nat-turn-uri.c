/* SPDX-License-Identifier: MIT */
#include <gio/gio.h>
#include <string.h>

#include "agent/relay/nat-turn-uri.h"

static void
test_good(void)
{
	static const struct {
		const char *text, *host, *user, *secret, *shown;
		NatTurnTransport transport;
		guint16 port;
		gboolean tcp_too;
	} cases[] = {
		{"turn:bob:s3cret@relay.example", "relay.example", "bob", "s3cret",
		 "turn:relay.example:3478?transport=udp", NAT_TURN_UDP, 3478, TRUE},
		{"turn:bob:s3cret@192.0.2.20:3479?transport=udp", "192.0.2.20", "bob", "s3cret",
		 "turn:192.0.2.20:3479?transport=udp", NAT_TURN_UDP, 3479, FALSE},
		{"turn:bob:s3cret@[2001:db8::1]:3479?transport=tcp", "2001:db8::1", "bob", "s3cret",
		 "turn:[2001:db8::1]:3479?transport=tcp", NAT_TURN_TCP, 3479, FALSE},
		{"TURNS:bob:s3cret@relay.example", "relay.example", "bob", "s3cret",
		 "turns:relay.example:5349", NAT_TURN_TLS, 5349, FALSE},
		{"turns:relay.example:443?transport=tcp", "relay.example", NULL, NULL,
		 "turns:relay.example:443", NAT_TURN_TLS, 443, FALSE},
		{"turn:1700000000%3Abob:a%40b%3A/+==@relay.example", "relay.example",
		 "1700000000:bob", "a@b:/+==", "turn:relay.example:3478?transport=udp",
		 NAT_TURN_UDP, 3478, TRUE},
		{"turn:bob:what?@relay.example", "relay.example", "bob", "what?",
		 "turn:relay.example:3478?transport=udp", NAT_TURN_UDP, 3478, TRUE},
	};

	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;
		g_autoptr(NatTurnUri) uri = nat_turn_uri_parse(cases[i].text, &error);
		g_autoptr(NatTurnUri) copy = NULL;
		g_autofree char *shown = NULL;

		g_assert_no_error(error);
		copy = nat_turn_uri_copy(uri);
		g_assert_true(nat_turn_uri_same_server(uri, copy));
		shown = nat_turn_uri_format(copy);
		g_assert_cmpstr(shown, ==, cases[i].shown);
		g_assert_cmpstr(copy->host, ==, cases[i].host);
		g_assert_cmpstr(copy->username, ==, cases[i].user);
		g_assert_cmpstr(copy->password, ==, cases[i].secret);
		g_assert_cmpint(copy->transport, ==, cases[i].transport);
		g_assert_cmpuint(copy->port, ==, cases[i].port);
		g_assert_cmpint(copy->tcp_too, ==, cases[i].tcp_too);
	}
}

/* One line that never holds the secret. */
static void
test_bad(void)
{
	g_autofree char *name = g_strnfill(600, 'a');
	g_autofree char *long_host = g_strconcat("turn:bob:s3cret@", name, NULL);
	g_autofree char *long_user = g_strconcat("turn:", name, ":s3cret@host", NULL);
	const char *const texts[] = {
		"",
		"relay.example",
		"stun:relay.example",
		"turn:",
		"turns:",
		"turn:bob:s3cret@",
		"turn://bob:s3cret@relay.example",
		"turn:bob:s3cret@//relay.example",
		"turn:bob:s3cret",
		"turn:bob:s3cret:more",
		"turn:s3cret@relay.example",
		"turn:bob:@relay.example",
		"turn::s3cret@relay.example",
		"turn:1700:bob:s3cret@relay.example",
		"turn:bob:s3cret%@relay.example",
		"turn:bob:s3cret%00@relay.example",
		"turn:bob:s3cret%0a@relay.example",
		"turn:bob:s3cret%ff@relay.example",
		"turn:bob:s3cret@relay.example:0",
		"turn:bob:s3cret@relay.example:65536",
		"turn:bob:s3cret@relay.example:x",
		"turn:bob:s3cret@relay.example?transport=sctp",
		"turn:bob:s3cret@relay.example?",
		"turns:bob:s3cret@relay.example?transport=udp",
		"turn:bob:s3cret@relay example",
		"turn:bob:s3cret@[::1",
		"turn:bob:s3cret@relay.example\n",
		long_host,
		long_user,
	};

	for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
		g_autoptr(GError) error = NULL;
		g_autoptr(NatTurnUri) uri = nat_turn_uri_parse(texts[i], &error);

		g_test_message("%s", texts[i]);
		g_assert_null(uri);
		g_assert_nonnull(error);
		g_assert_null(strstr(error->message, "s3cret"));
		g_assert_null(strchr(error->message, '\n'));
	}
}

static void
test_same_server(void)
{
	g_autoptr(NatTurnUri) a = nat_turn_uri_parse("turn:u:a@Relay.example", NULL);
	g_autoptr(NatTurnUri) b = nat_turn_uri_parse("turn:u2:b@relay.example", NULL);
	g_autoptr(NatTurnUri) c = nat_turn_uri_parse("turn:u:a@relay.example:3479", NULL);
	g_autoptr(NatTurnUri) d = nat_turn_uri_parse("turn:u:a@relay.example?transport=tcp", NULL);

	g_assert_true(nat_turn_uri_same_server(a, b));
	g_assert_false(nat_turn_uri_same_server(a, c));
	g_assert_false(nat_turn_uri_same_server(a, d));
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/turn-uri/good", test_good);
	g_test_add_func("/turn-uri/bad", test_bad);
	g_test_add_func("/turn-uri/same-server", test_same_server);
	return g_test_run();
}
