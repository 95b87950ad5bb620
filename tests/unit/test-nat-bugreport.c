/* SPDX-License-Identifier: MIT */
#include "agent/status/nat-bugreport.h"

#include <string.h>

static void
secrets(void)
{
	static const char CONFIG[] =
		"[agent]\n"
		"signal=wss://signal.example\n"
		"turn=turn:alice:s3cret@turn.example;turns:bob:hush@turn.example\n"
		"#turn=turn:carol:old@turn.example\n"
		"some_secret = quiet\n"
		"Private_Key=abcdef\n"
		"nonsense turn:dave:psst@x\n"
		"turn = erin:forgot@relay.example;turn:fay:semi@b\n"
		"turn=nothingbutsecret\n"
		"signal=wss://gus:inurl@signal.example/?key=query\n"
		"[interface wg0]\n";
	static const char *const HUSH[] = {"s3cret",	 "hush",  "old",    "quiet",
					   "abcdef",	 "psst",  "forgot", "semi",
					   "nothingbut", "inurl", "query"};
	g_autofree char *shown = nat_bugreport_without_secrets(CONFIG);

	for (guint i = 0; i < G_N_ELEMENTS(HUSH); i++)
		if (strstr(shown, HUSH[i]) != NULL)
			g_error("%s is told:\n%s", HUSH[i], shown);
	g_assert_nonnull(strstr(shown, "signal=wss://signal.example\n"));
	g_assert_nonnull(strstr(shown, "[interface wg0]\n"));
	g_assert_nonnull(strstr(shown, "turn =(left out)@relay.example;(left out)@b\n"));
	g_assert_nonnull(strstr(shown, "signal=(left out)@signal.example/?(left out)\n"));
	g_assert_nonnull(strstr(shown, "some_secret =(left out)\n"));
}

static void
rules(void)
{
	static const char RULESET[] = "table inet filter {\n"
				      "\tchain input {\n"
				      "\t\ttype filter hook input priority 0; policy drop;\n"
				      "\t\ttcp dport 22 accept\n"
				      "\t\tudp dport 51820 accept\n"
				      "\t\tiifname \"wg0\" accept\n"
				      "\t\ttcp dport 25 accept\n"
				      "\t}\n"
				      "}\n";
	static const char *const WORDS[] = {"wg0", "51820", NULL};
	g_autofree char *shown = nat_bugreport_rules(RULESET, WORDS);
	g_autofree char *none = nat_bugreport_rules("", NULL);

	g_assert_cmpstr(shown, ==,
			"table inet filter {\n"
			"  chain input {\n"
			"    type filter hook input priority 0; policy drop;\n"
			"    udp dport 51820 accept\n"
			"    iifname \"wg0\" accept\n"
			"  }\n"
			"  }\n"
			"(2 other lines left out)\n");
	g_assert_cmpstr(none, ==, "");
}

static void
cut(void)
{
	g_autofree char *whole = nat_bugreport_cut("a\nb\n", 4), *some = NULL, *line = NULL;

	g_assert_cmpstr(whole, ==, "a\nb\n");
	some = nat_bugreport_cut("aaa\nbbb\nccc\n", 9);
	g_assert_cmpstr(some, ==, "aaa\nbbb\n(cut: 12 bytes in all)\n");
	line = nat_bugreport_cut("aaaaaaaaaa", 3);
	g_assert_cmpstr(line, ==, "aaa\n(cut: 10 bytes in all)\n");
}

static void
sections(void)
{
	g_autoptr(NatBugreport) report = nat_bugreport_new();
	g_autofree char *text = NULL, *contents = NULL;

	nat_bugreport_add(report, "one", "a\033[2J\n\tb\n");
	nat_bugreport_add(report, "two", "");
	contents = nat_bugreport_contents(report);
	g_assert_nonnull(strstr(contents, "  one "));
	g_assert_nonnull(strstr(contents, "  two "));
	text = nat_bugreport_text(report);
	g_assert_null(strchr(text, '\033'));
	g_assert_nonnull(strstr(text, "\n==== one ====\n\na"));
	g_assert_nonnull(strstr(text, "\n b\n"));
	g_assert_nonnull(strstr(text, "\n==== two ====\n\n"));
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/bugreport/secrets", secrets);
	g_test_add_func("/bugreport/rules", rules);
	g_test_add_func("/bugreport/cut", cut);
	g_test_add_func("/bugreport/sections", sections);
	return g_test_run();
}
