/* SPDX-License-Identifier: MIT */
#include "agent/innernet/inn-toml.h"

#include <string.h>

static InnToml *
parsed(const char *text)
{
	g_autoptr(GError) error = NULL;
	InnToml *toml = inn_toml_parse(text, strlen(text), &error);

	g_test_message("%s", text);
	g_assert_no_error(error);
	g_assert_nonnull(toml);
	return toml;
}

static void
refused(const char *text, gsize len, const char *message)
{
	g_autoptr(GError) error = NULL;

	g_test_message("%s", text);
	g_assert_null(inn_toml_parse(text, len, &error));
	g_assert_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA);
	g_assert_cmpstr(error->message, ==, message);
}

static void
file(void)
{
	g_autoptr(InnToml) toml = parsed("# a comment\r\n"
					 "\r\n"
					 "[interface] # here\r\n"
					 "network-name = \"evilcorp\"\r\n"
					 "\tlisten-port=51_820\r\n"
					 "[ \"ser.ver\" . x ]\n"
					 "'a key' = 'C:\\dir' # said literally\n"
					 "yes = true");
	const InnTomlTable *table;
	const InnTomlEntry *entry;
	guint index;

	table = inn_toml_table(toml, "interface", &index);
	g_assert_nonnull(table);
	g_assert_cmpuint(index, ==, 1);
	g_assert_cmpuint(table->line, ==, 3);
	entry = inn_toml_entry(toml, "interface", "network-name");
	g_assert_cmpint(entry->type, ==, INN_TOML_STRING);
	g_assert_cmpstr(entry->string, ==, "evilcorp");
	entry = inn_toml_entry(toml, "interface", "listen-port");
	g_assert_cmpint(entry->type, ==, INN_TOML_INTEGER);
	g_assert_cmpint(entry->integer, ==, 51820);
	g_assert_cmpuint(entry->line, ==, 5);
	entry = inn_toml_entry(toml, "ser.ver\nx", "a key");
	g_assert_cmpstr(entry->string, ==, "C:\\dir");
	entry = inn_toml_entry(toml, "ser.ver\nx", "yes");
	g_assert_cmpint(entry->type, ==, INN_TOML_BOOLEAN);
	g_assert_cmpint(entry->integer, ==, 1);
	g_assert_null(inn_toml_entry(toml, "interface", "yes"));
	g_assert_null(inn_toml_table(toml, "ser.ver", NULL));
}

/* Where everything stands, byte by byte. */
static void
offsets(void)
{
	static const char TEXT[] =
		"\xef\xbb\xbf[t] #\n  k = \"v\" # c\r\nl = [1, # one\n 2]\nm = 3";
	g_autoptr(InnToml) toml = parsed(TEXT);
	const InnTomlEntry *k = inn_toml_entry(toml, "t", "k");
	const InnTomlEntry *l = inn_toml_entry(toml, "t", "l");
	const InnTomlEntry *m = inn_toml_entry(toml, "t", "m");

	g_assert_cmpuint(inn_toml_table(toml, "t", NULL)->end, ==, strstr(TEXT, "  k") - TEXT);
	g_assert_cmpuint(k->line_start, ==, strstr(TEXT, "  k") - TEXT);
	g_assert_cmpuint(k->value, ==, strstr(TEXT, "\"v\"") - TEXT);
	g_assert_cmpuint(k->value_end, ==, k->value + 3);
	g_assert_cmpuint(k->end, ==, strstr(TEXT, "l =") - TEXT);
	g_assert_cmpint(l->type, ==, INN_TOML_OTHER);
	g_assert_cmpuint(l->value_end, ==, strstr(TEXT, "]\nm") + 1 - TEXT);
	g_assert_cmpuint(l->end, ==, m->line_start);
	g_assert_cmpuint(m->end, ==, strlen(TEXT));
	g_assert_cmpuint(m->line, ==, 5);
}

static void
strings(void)
{
	static const struct {
		const char *text, *value;
	} GOOD[] = {
		{"k = \"\"", ""},
		{"k = ''", ""},
		{"k = \"\\b\\t\\n\\f\\r\\\"\\\\\"", "\b\t\n\f\r\"\\"},
		{"k = \"\\u00e9\\U0001F600\"", "\xc3\xa9\xf0\x9f\x98\x80"},
		{"k = \"a\tb # c\"", "a\tb # c"},
		{"k = 'a\"\\n'", "a\"\\n"},
		{"k = \"it's\"", "it's"},
	};

	for (gsize i = 0; i < G_N_ELEMENTS(GOOD); i++) {
		g_autoptr(InnToml) toml = parsed(GOOD[i].text);

		g_assert_cmpstr(inn_toml_entry(toml, "", "k")->string, ==, GOOD[i].value);
	}
}

static void
integers(void)
{
	static const struct {
		const char *text;
		gint64 value;
	} GOOD[] = {
		{"k = 0", 0},
		{"k = +1", 1},
		{"k = -17", -17},
		{"k = 1_000", 1000},
		{"k = 0xDEAD_beef", 0xdeadbeef},
		{"k = 0o755", 0755},
		{"k = 0b1101", 13},
		{"k = 9223372036854775807", G_MAXINT64},
		{"k = -9223372036854775808", G_MININT64},
	};

	for (gsize i = 0; i < G_N_ELEMENTS(GOOD); i++) {
		g_autoptr(InnToml) toml = parsed(GOOD[i].text);
		const InnTomlEntry *entry = inn_toml_entry(toml, "", "k");

		g_assert_cmpint(entry->type, ==, INN_TOML_INTEGER);
		g_assert_cmpint(entry->integer, ==, GOOD[i].value);
	}
}

/* What is passed over is followed by what is read. */
static void
others(void)
{
	static const char *const GOOD[] = {
		"1.5",
		"-0.1e+10",
		"6E2",
		"inf",
		"-nan",
		"1979-05-27",
		"07:32:00.25",
		"1979-05-27T07:32:00Z",
		"1979-05-27 07:32:00.5-07:00",
		"[]",
		"[ 1, 'a', [ ], { b = 1 } , ]",
		"[\n# comment\n 1\r\n, # other\n]",
		"{}",
		"{ a = 1, \"b\".c = [\n1\n], d = { } }",
		"[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]",
	};

	for (gsize i = 0; i < G_N_ELEMENTS(GOOD); i++) {
		g_autofree char *text = g_strdup_printf("k = %s # c\nl = 1\n", GOOD[i]);
		g_autoptr(InnToml) toml = parsed(text);
		const InnTomlEntry *entry = inn_toml_entry(toml, "", "k");

		g_assert_cmpint(entry->type, ==, INN_TOML_OTHER);
		g_assert_cmpuint(entry->value_end - entry->value, ==, strlen(GOOD[i]));
		g_assert_nonnull(inn_toml_entry(toml, "", "l"));
	}
}

static void
tables(void)
{
	g_autoptr(InnToml) toml = parsed("[a.b]\nk = 1\n[a]\nc = 1\n"
					 "[[l]]\nk = 1\n[l.m]\nk = 1\n[[l]]\nk = 1\n[l.m]\nk = 1\n"
					 "[[l.n]]\n[[l.n]]\n");

	g_assert_nonnull(inn_toml_entry(toml, "a\nb", "k"));
	g_assert_nonnull(inn_toml_entry(toml, "a", "c"));
	/* one of several is not the table of that name */
	g_assert_null(inn_toml_table(toml, "l", NULL));
}

static void
bad(void)
{
	static const struct {
		const char *text, *message;
	} BAD[] = {
		{"k", "1: = is missing behind a key"},
		{"\nk =", "2: the value is missing"},
		{"k = # c", "1: the value is missing"},
		{"k = c2VjcmV0", "1: no value of TOML: text stands in quotes"},
		{"k = True", "1: no value of TOML: text stands in quotes"},
		{"k = 01", "1: no value of TOML: text stands in quotes"},
		{"k = 1__0", "1: no value of TOML: text stands in quotes"},
		{"k = 1_", "1: no value of TOML: text stands in quotes"},
		{"k = +0x1", "1: no value of TOML: text stands in quotes"},
		{"k = 9223372036854775808", "1: no value of TOML: text stands in quotes"},
		{"k = .5", "1: no value of TOML: text stands in quotes"},
		{"k = 5.", "1: no value of TOML: text stands in quotes"},
		{"k = 1979-05-27T", "1: no value of TOML: text stands in quotes"},
		{"k = \"c2VjcmV0", "1: the closing quote is missing"},
		{"k = 'c2VjcmV0\n'", "1: the closing quote is missing"},
		{"k = \"\\c2VjcmV0\"", "1: an unknown escape: a backslash is written \\\\"},
		{"k = \"\\u12\"", "1: \\u wants 4 hexadecimal digits, and \\U 8"},
		{"k = \"\\ud800\"", "1: \\u or \\U names no character"},
		{"k = \"\\U00110000\"", "1: \\u or \\U names no character"},
		{"k = \"\\u0000\"", "1: \\u or \\U names no character"},
		{"k = \"a\x01\"", "1: a control character in a string: write it as \\uXXXX"},
		{"k = '\x7f'", "1: a control character in a string: write it as \\uXXXX"},
		{"k = \"\"\"a\"\"\"",
		 "1: a string of several lines is not read here: write it in one"},
		{"k = '''a'''", "1: a string of several lines is not read here: write it in one"},
		{"k = 1 2",
		 "1: something follows where the line should end: one key = value a line"},
		{"k = 1 l = 2",
		 "1: something follows where the line should end: one key = value a line"},
		{"[a] b = 1",
		 "1: something follows where the line should end: one key = value a line"},
		{"# \x02", "1: a control character: remove it"},
		{"k = 1\rl = 2", "1: a control character: remove it"},
		{"\r", "1: a control character: remove it"},
		{"a.b = 1", "1: dotted keys are not read here: write the [table] and its keys"},
		{"= 1", "1: no key: write key = value, [table] or # comment"},
		{"]", "1: no key: write key = value, [table] or # comment"},
		{"[]", "1: no key: write key = value, [table] or # comment"},
		{"[a.]", "1: no key: write key = value, [table] or # comment"},
		{"[a", "1: a table's name ends with ] as it began with ["},
		{"[[a]", "1: a table's name ends with ] as it began with ["},
		{"[a\n]", "1: a table's name ends with ] as it began with ["},
		{"\"a\\nb\" = 1", "1: a control character in a key"},
		{"k = 1\n\nk = 2", "3: this key is there already, since line 1: keep one"},
		{"k = 1\n'k' = 2", "2: this key is there already, since line 1: keep one"},
		{"[a]\n[b]\n[a]", "3: this table is there already, since line 1: keep one"},
		{"[a]\n[[a]]", "2: this table is there already, since line 1: keep one"},
		{"[[a]]\n[a]", "2: this table is there already, since line 1: keep one"},
		{"[a.b]\n[a]\nb = 1", "3: this key is there already, since line 1: keep one"},
		{"a = {}\n[a]", "2: this table is there already, since line 1: keep one"},
		{"a = {}\n[a.b]",
		 "2: this table's name, as a value, is there already, since line 1: keep one"},
		{"k = [1", "1: an array goes on with , or ends with ]"},
		{"k = [1\n2]", "2: an array goes on with , or ends with ]"},
		{"k = [,]", "1: the value is missing"},
		{"k = [\x01]", "1: a control character: remove it"},
		{"k = {a = 1,}", "1: a , before }: remove it"},
		{"k = {a = 1\n}", "1: { goes on with , or ends with } in the same line"},
		{"k = {a}", "1: = is missing behind a key"},
		{"k = [[[[[[[[[[[[[[[[[1", "1: arrays and tables are too deep in each other"},
		{"[a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a]", "1: a table's name of too many parts"},
		{"k = 1\n# \xff", "2: not UTF-8"},
	};

	for (gsize i = 0; i < G_N_ELEMENTS(BAD); i++)
		refused(BAD[i].text, strlen(BAD[i].text), BAD[i].message);
	refused("a = 1\n\0", 7, "2: a NUL byte: not a text");
}

static void
sizes(void)
{
	g_autofree char *comment = g_strnfill(INN_TOML_MAX + 1, '#');
	g_autofree char *open = g_strnfill(INN_TOML_MAX, '[');
	g_autoptr(InnToml) toml = NULL;

	refused(comment, INN_TOML_MAX + 1, "1: more than 64 kB: not such a file");
	comment[INN_TOML_MAX] = '\0';
	toml = parsed(comment);
	g_assert_cmpuint(toml->entries->len, ==, 0);
	open[0] = 'k';
	open[1] = '=';
	refused(open, INN_TOML_MAX, "1: arrays and tables are too deep in each other");
}

static void
quote(void)
{
	static const char *const TEXTS[] = {"", "a", "\"\\\t\n\x7f\x01", "\xc3\xa9", "# ' [x]"};

	for (gsize i = 0; i < G_N_ELEMENTS(TEXTS); i++) {
		g_autofree char *quoted = inn_toml_quote(TEXTS[i]);
		g_autofree char *text = g_strconcat("k = ", quoted, NULL);
		g_autoptr(InnToml) toml = parsed(text);

		g_assert_cmpstr(inn_toml_entry(toml, "", "k")->string, ==, TEXTS[i]);
	}
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/toml/file", file);
	g_test_add_func("/toml/offsets", offsets);
	g_test_add_func("/toml/strings", strings);
	g_test_add_func("/toml/integers", integers);
	g_test_add_func("/toml/others", others);
	g_test_add_func("/toml/tables", tables);
	g_test_add_func("/toml/bad", bad);
	g_test_add_func("/toml/sizes", sizes);
	g_test_add_func("/toml/quote", quote);
	return g_test_run();
}
