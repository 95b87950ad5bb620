/* SPDX-License-Identifier: MIT */
#include "agent/status/nat-bugreport.h"

#include <string.h>

#include "agent/base/nat-log.h"

typedef struct {
	char *title, *text;
} Section;

struct NatBugreport {
	GArray *sections; /* of Section */
};

static void
section_clear(gpointer p)
{
	Section *section = p;

	g_free(section->title);
	g_free(section->text);
}

NatBugreport *
nat_bugreport_new(void)
{
	NatBugreport *report = g_new0(NatBugreport, 1);

	report->sections = g_array_new(FALSE, FALSE, sizeof(Section));
	g_array_set_clear_func(report->sections, section_clear);
	return report;
}

void
nat_bugreport_free(NatBugreport *report)
{
	if (report == NULL)
		return;
	g_array_unref(report->sections);
	g_free(report);
}

void
nat_bugreport_add(NatBugreport *report, const char *title, const char *text)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	GString *out = g_string_new(NULL);
	Section section;

	for (guint i = 0; lines[i] != NULL; i++) {
		g_autofree char *plain = NULL;

		g_strdelimit(lines[i], "\t", ' ');
		plain = nat_log_escape(lines[i], -1);
		if (lines[i + 1] != NULL || *plain != '\0')
			g_string_append_printf(out, "%s\n", plain);
	}
	section = (Section){g_strdup(title), g_string_free(out, FALSE)};
	g_array_append_val(report->sections, section);
}

char *
nat_bugreport_contents(const NatBugreport *report)
{
	GString *out = g_string_new(NULL);

	for (guint i = 0; i < report->sections->len; i++) {
		const Section *section = &g_array_index(report->sections, Section, i);

		g_string_append_printf(out, "  %-34s %6" G_GSIZE_FORMAT " bytes\n", section->title,
				       strlen(section->text));
	}
	return g_string_free(out, FALSE);
}

char *
nat_bugreport_text(const NatBugreport *report)
{
	g_autofree char *contents = nat_bugreport_contents(report);
	GString *out = g_string_new("nat-agent bugreport\n\n");

	g_string_append_printf(out, "%s", contents);
	for (guint i = 0; i < report->sections->len; i++) {
		const Section *section = &g_array_index(report->sections, Section, i);

		g_string_append_printf(out, "\n==== %s ====\n\n%s", section->title, section->text);
	}
	return g_string_free(out, FALSE);
}

/* ---- what is left out ---- */

static gboolean
sounds_secret(const char *key)
{
	static const char *const WORDS[] = {"secret", "password",  "passwd", "private",
					    "psk",    "preshared", "token"};
	g_autofree char *lower = g_ascii_strdown(key, -1);

	for (guint i = 0; i < G_N_ELEMENTS(WORDS); i++)
		if (strstr(lower, WORDS[i]) != NULL)
			return TRUE;
	return FALSE;
}

/* Of each server of the list its host and what follows: all before it may be a secret, also where
 * the scheme was forgotten, which is just what is looked for. */
static void
append_servers(GString *out, const char *value)
{
	g_auto(GStrv) servers = g_strsplit(value, ";", -1);

	for (guint i = 0; servers[i] != NULL; i++) {
		const char *at = strrchr(servers[i], '@');

		g_string_append_printf(out, "%s%s", i > 0 ? ";" : "",
				       at != NULL	     ? "(left out)"
				       : *servers[i] == '\0' ? ""
							     : "(left out: no '@')");
		if (at != NULL)
			g_string_append(out, at);
	}
}

/* Any other value: a URL may hold a user and a query. */
static void
append_value(GString *out, const char *value)
{
	g_autofree char *shown = nat_log_conceal(value);
	const char *at = strrchr(shown, '@'), *from = at != NULL ? at : shown;
	gsize len = strcspn(from, "?");

	if (at != NULL)
		g_string_append(out, "(left out)");
	g_string_append_len(out, from, (gssize)len);
	if (from[len] == '?')
		g_string_append(out, "?(left out)");
}

static void
append_line(GString *out, const char *line)
{
	const char *equals = strchr(line, '=');
	g_autofree char *key = equals != NULL ? g_strndup(line, (gsize)(equals - line)) : NULL;
	g_autofree char *bare = key != NULL ? g_strdup(key) : NULL;

	if (bare != NULL)
		g_strstrip(g_strdelimit(bare, "#", ' '));
	if (key != NULL)
		g_string_append_printf(out, "%s=", key);
	if (key == NULL)
		append_value(out, line);
	else if (sounds_secret(key))
		g_string_append(out, "(left out)");
	else if (g_ascii_strcasecmp(bare, "turn") == 0)
		append_servers(out, equals + 1);
	else
		append_value(out, equals + 1);
	g_string_append_c(out, '\n');
}

char *
nat_bugreport_without_secrets(const char *config)
{
	g_auto(GStrv) lines = g_strsplit(config, "\n", -1);
	GString *out = g_string_new(NULL);

	for (guint i = 0; lines[i] != NULL; i++)
		if (lines[i + 1] != NULL || *lines[i] != '\0')
			append_line(out, lines[i]);
	return g_string_free(out, FALSE);
}

char *
nat_bugreport_cut(const char *text, gsize max)
{
	const char *end = strlen(text) > max ? g_strrstr_len(text, (gssize)max, "\n") : NULL;

	if (strlen(text) <= max)
		return g_strdup(text);
	return g_strdup_printf("%.*s\n(cut: %" G_GSIZE_FORMAT " bytes in all)\n",
			       (int)(end != NULL ? (gsize)(end - text) : max), text, strlen(text));
}

static gboolean
matters(const char *rule, const char *const *words)
{
	static const char *const ALWAYS[] = {"udp",    "drop", "reject", "masquerade",
					     "snat",   "dnat", "hook",	 "redirect",
					     "policy", "jump", "goto",	 "mark"};

	for (guint i = 0; i < G_N_ELEMENTS(ALWAYS); i++)
		if (strstr(rule, ALWAYS[i]) != NULL)
			return TRUE;
	for (; words != NULL && *words != NULL; words++)
		if (strstr(rule, *words) != NULL)
			return TRUE;
	return FALSE;
}

char *
nat_bugreport_rules(const char *ruleset, const char *const *words)
{
	g_auto(GStrv) lines = g_strsplit(ruleset, "\n", -1);
	GString *out = g_string_new(NULL);
	guint left_out = 0;

	for (guint i = 0; lines[i] != NULL; i++) {
		const char *rule = g_strstrip(lines[i]);
		gboolean frame = g_str_has_suffix(rule, "{") || strcmp(rule, "}") == 0;
		guint depth = g_str_has_prefix(rule, "table ") || *rule == '\0'	 ? 0
			      : g_str_has_prefix(rule, "chain ") || *rule == '}' ? 1
										 : 2;

		if (*rule == '\0')
			continue;
		if (frame || matters(rule, words))
			g_string_append_printf(out, "%*s%s\n", (int)depth * 2, "", rule);
		else
			left_out++;
	}
	if (left_out > 0)
		g_string_append_printf(out, "(%u other lines left out)\n", left_out);
	return g_string_free(out, FALSE);
}
