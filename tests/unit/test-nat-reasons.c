/* SPDX-License-Identifier: MIT */
/*
 * Every reason of `why` is explained to operators (docs/troubleshooting.md), and is reached by real
 * agents: the table in tests/README.md names the scenario or the test, which must look for it.
 */
#include "agent/peer/nat-why.h"

#include <string.h>

static char *
source(const char *path)
{
	g_autofree char *full = g_build_filename(SOURCE_ROOT, path, NULL);
	g_autoptr(GError) error = NULL;
	char *text = NULL;

	g_file_get_contents(full, &text, NULL, &error);
	g_assert_no_error(error);
	return text;
}

/* Each match's first group must be a reason; *seen says which there were, each once. */
static void
note_all(const char *text, const char *pattern, gboolean seen[NAT_N_REASONS])
{
	g_autoptr(GRegex) regex = g_regex_new(pattern, G_REGEX_MULTILINE, 0, NULL);
	g_autoptr(GMatchInfo) match = NULL;

	g_assert_nonnull(regex);
	for (g_regex_match(regex, text, 0, &match); g_match_info_matches(match);
	     g_match_info_next(match, NULL)) {
		g_autofree char *name = g_match_info_fetch(match, 1);
		NatReason reason;

		if (!nat_reason_from_string(name, &reason))
			g_error("there is no reason \"%s\"", name);
		if (seen[reason])
			g_error("\"%s\" is there twice", name);
		seen[reason] = TRUE;
	}
}

static void
assert_all(const gboolean seen[NAT_N_REASONS], const char *where)
{
	for (guint i = 0; i < NAT_N_REASONS; i++)
		if (!seen[i])
			g_error("%s does not have \"%s\"", where,
				nat_reason_to_string((NatReason)i));
}

static void
test_documented(void)
{
	g_autofree char *doc = source("docs/troubleshooting.md");
	gboolean seen[NAT_N_REASONS] = {FALSE};

	note_all(doc, "^### `(.*)`$", seen);
	assert_all(seen, "docs/troubleshooting.md");
	for (guint i = 0; i < NAT_N_NO_RELAYS; i++) {
		const char *name = nat_no_relay_to_string((NatNoRelay)i);
		g_autofree char *heading = g_strdup_printf("\n### no_relay `%s`\n", name);

		g_assert_true(name == NULL || strstr(doc, heading) != NULL);
	}
}

/* "expect_reason a b NAME" in a scenario, "expect_reason(…, "NAME", …" in a test. */
static void
assert_expected(const char *name, const char *path)
{
	g_autofree char *full = g_build_filename("tests", path, NULL), *text = source(full);
	g_autofree char *pattern =
		g_strdup_printf("expect_reason( \\w+ \\w+ %s( |$)|\\([^;]*\"%s\")", name, name);

	if (!g_regex_match_simple(pattern, text, G_REGEX_MULTILINE, 0))
		g_error("%s does not look for \"%s\"", full, name);
}

static void
test_reached(void)
{
	g_autofree char *readme = source("tests/README.md");
	g_autoptr(GRegex) row = g_regex_new("^\\| `(.*)` \\| `(lab/scenarios/.*|unit/.*)` \\|$",
					    G_REGEX_MULTILINE, 0, NULL);
	g_autoptr(GMatchInfo) match = NULL;
	gboolean seen[NAT_N_REASONS] = {FALSE};

	note_all(readme, "^\\| `(.*)` \\| `(?:lab/scenarios/|unit/).*` \\|$", seen);
	assert_all(seen, "tests/README.md");
	for (g_regex_match(row, readme, 0, &match); g_match_info_matches(match);
	     g_match_info_next(match, NULL)) {
		g_autofree char *name = g_match_info_fetch(match, 1);
		g_autofree char *path = g_match_info_fetch(match, 2);

		assert_expected(name, path);
	}
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/reasons/documented", test_documented);
	g_test_add_func("/reasons/reached", test_reached);
	return g_test_run();
}
