/* SPDX-License-Identifier: MIT */
#include "agent/base/nat-log.h"

#include <stdlib.h>
#include <string.h>

static void
escape(void)
{
	static const struct {
		const char *text, *expected;
	} CASES[] = {
		{"plain", "plain"},
		{"café 漢字", "café 漢字"},
		{"a\nb\tc\x1b[2J\x7f", "a\\x0ab\\x09c\\x1b[2J\\x7f"},
		{"\xff\xc3", "\\xff\\xc3"},
		{"\xc2\x9b", "\\xc2\\x9b"}, /* C1: another way to begin an escape sequence */
		{"\xe2\x80\xae", "\\xe2\\x80\\xae"}, /* right-to-left override */
		{"\\x0a", "\\x0a"},		     /* twice is as good as once */
		{"", ""},
	};
	g_autofree char *nul = nat_log_escape("a\0b", 3);

	for (gsize i = 0; i < G_N_ELEMENTS(CASES); i++) {
		g_autofree char *text = nat_log_escape(CASES[i].text, -1);

		g_assert_cmpstr(text, ==, CASES[i].expected);
	}
	g_assert_cmpstr(nul, ==, "a\\x00b");
}

/* The test runs itself, for nat_log_init changes the whole process. */
static void
lines(void)
{
	g_unsetenv("NAT_AGENT_DEBUG");
	g_unsetenv("G_MESSAGES_DEBUG");
	g_test_trap_subprocess("/log/subprocess", 0, G_TEST_SUBPROCESS_DEFAULT);
	g_test_trap_assert_passed();
	g_test_trap_assert_stderr("nat-agent: wg0 AQECAwAA: connected (direct)\n"
				  "nat-agent: warning: wg0: two\\x0alines\n"
				  "nat-agent: error: libsoup: odd \\x1b\n"
				  "nat-agent: old style\n");
}

static void
debug_lines(void)
{
	g_setenv("NAT_AGENT_DEBUG", "1", TRUE);
	g_test_trap_subprocess("/log/subprocess", 0, G_TEST_SUBPROCESS_DEFAULT);
	g_unsetenv("NAT_AGENT_DEBUG");
	g_test_trap_assert_passed();
	g_test_trap_assert_stderr("nat-agent: *.* wg0: hidden\n*");
	g_test_trap_assert_stderr_unmatched("*foreign*");
}

static void
speak(void)
{
	const WgKey key = {{1, 1, 2, 3}};

	if (!g_test_subprocess())
		return;
	g_log_set_always_fatal(G_LOG_FATAL_MASK);
	nat_log_init();
	nat_log_peer(G_LOG_LEVEL_DEBUG, "wg0", NULL, "hidden");
	g_log_structured("libsoup", G_LOG_LEVEL_DEBUG, "MESSAGE", "foreign");
	nat_log_peer(G_LOG_LEVEL_MESSAGE, "wg0", &key, "connected (%s)", "direct");
	nat_log_peer(G_LOG_LEVEL_WARNING, "wg0", NULL, "two\nlines");
	g_log_structured("libsoup", G_LOG_LEVEL_CRITICAL, "MESSAGE", "odd \x1b");
	g_log(NULL, G_LOG_LEVEL_MESSAGE, "old style");
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/log/escape", escape);
	g_test_add_func("/log/lines", lines);
	g_test_add_func("/log/debug-lines", debug_lines);
	g_test_add_func("/log/subprocess", speak);
	return g_test_run();
}
