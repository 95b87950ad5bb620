/* SPDX-License-Identifier: MIT */
#include <gio/gio.h>
#include <string.h>

#include "agent/session/nat-signal-url.h"

static void
test_good(void)
{
	static const struct {
		const char *text, *host, *authority;
		guint16 port;
	} cases[] = {
		{"ws://signal.example", "signal.example", "signal.example:80", 80},
		{"wss://Signal.Example/path?x", "signal.example", "signal.example:443", 443},
		{"WSS://signal.example:8443", "signal.example", "signal.example:8443", 8443},
		{"ws://192.0.2.1:8080/", "192.0.2.1", "192.0.2.1:8080", 8080},
		{"ws://[2001:DB8::1]:8080", "2001:db8::1", "[2001:db8::1]:8080", 8080},
		{"ws://h\xc3\xb6st", "xn--hst-sna", "xn--hst-sna:80", 80},
	};

	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;
		g_autoptr(NatSignalUrl) url = nat_signal_url_parse(cases[i].text, &error);

		g_assert_no_error(error);
		g_assert_cmpstr(url->url, ==, cases[i].text);
		g_assert_cmpstr(url->host, ==, cases[i].host);
		g_assert_cmpuint(url->port, ==, cases[i].port);
		g_assert_cmpstr(url->authority, ==, cases[i].authority);
	}
}

static void
test_bad(void)
{
	g_autofree char *name = g_strnfill(300, 'a');
	g_autofree char *endless = g_strconcat("ws://", name, NULL);
	const char *const texts[] = {
		"",
		"x",
		"http://host",
		"ws://",
		"ws:///path",
		"ws://user@host",
		"ws://u:p@host",
		"ws://host:0",
		"ws://host:65536",
		"ws://host:-1",
		"ws://ho st",
		"ws://host#x",
		"wss:host",
		"ws://ho%0ast",
		"ws://[::1",
		"\n",
		endless,
	};

	for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
		g_autoptr(GError) error = NULL;

		g_assert_null(nat_signal_url_parse(texts[i], &error));
		g_assert_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
		g_assert_null(strchr(error->message, '\n'));
	}
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/signal-url/good", test_good);
	g_test_add_func("/signal-url/bad", test_bad);
	return g_test_run();
}
