/* SPDX-License-Identifier: MIT */
#include "agent/base/nat-text.h"

#include <math.h>
#include <string.h>

static guint
char_width(gunichar c)
{
	if (g_unichar_iszerowidth(c))
		return 0;
	return g_unichar_iswide(c) ? 2 : 1;
}

guint
nat_text_width(const char *text)
{
	guint width = 0;

	for (; *text; text = g_utf8_next_char(text))
		width += char_width(g_utf8_get_char(text));
	return width;
}

/* How many bytes of text fit into width cells; *used: the cells they take. */
static gsize
fit(const char *text, guint width, guint *used)
{
	const char *c = text;

	*used = 0;
	for (; *c; c = g_utf8_next_char(c)) {
		guint w = char_width(g_utf8_get_char(c));

		if (*used + w > width)
			break;
		*used += w;
	}
	return (gsize)(c - text);
}

static void
append_spaces(GString *out, guint n)
{
	g_string_append_printf(out, "%*s", (int)n, "");
}

void
nat_text_cell(GString *out, const char *text, guint width)
{
	guint used = nat_text_width(text);

	if (used > width) {
		guint dots = MIN(width, 2);

		g_string_append_len(out, text, (gssize)fit(text, width - dots, &used));
		g_string_append_len(out, "..", dots);
		used += dots;
	} else {
		g_string_append(out, text);
	}
	append_spaces(out, width - used);
}

/* A word that no line can hold. Returns the column. */
static guint
break_word(GString *out, const char *word, guint column, guint indent, guint width)
{
	while (*word) {
		guint used;
		gsize n = fit(word, width > column ? width - column : 0, &used);

		/* a line narrower than one character takes it all the same: no endless loop */
		if (n == 0 && column <= indent)
			n = (gsize)(g_utf8_next_char(word) - word);
		g_string_append_len(out, word, (gssize)n);
		word += n;
		column += used;
		if (*word) {
			g_string_append_c(out, '\n');
			append_spaces(out, indent);
			column = indent;
		}
	}
	return column;
}

guint
nat_text_wrap(GString *out, const char *text, guint column, guint indent, guint width)
{
	g_auto(GStrv) words = g_strsplit(text, " ", -1);
	gboolean first = TRUE;

	for (guint i = 0; words[i]; i++) {
		guint w = nat_text_width(words[i]);

		if (*words[i] == '\0')
			continue;
		if (!first && column + 1 + w <= width) {
			g_string_append_c(out, ' ');
			column++;
		} else if (!first || (column > indent && column + w > width)) {
			g_string_append_c(out, '\n');
			append_spaces(out, indent);
			column = indent;
		}
		column = break_word(out, words[i], column, indent, width);
		first = FALSE;
	}
	return column;
}

char *
nat_text_age(gint64 seconds)
{
	if (seconds < 0)
		return g_strdup("-");
	if (seconds < 120)
		return g_strdup_printf("%ds", (int)seconds);
	if (seconds < 120 * 60)
		return g_strdup_printf("%dm", (int)(seconds / 60));
	if (seconds < 48 * 3600)
		return g_strdup_printf("%dh", (int)(seconds / 3600));
	return g_strdup_printf("%" G_GINT64_FORMAT "d", seconds / 86400);
}

char *
nat_text_bytes(guint64 bytes)
{
	static const char UNITS[] = "KMGTPE";
	double value = (double)bytes;
	int unit = -1;

	if (bytes < 1000)
		return g_strdup_printf("%uB", (guint)bytes);
	while (value >= 999.5 && UNITS[unit + 1]) {
		value /= 1024;
		unit++;
	}
	if (value < 9.95)
		return g_strdup_printf("%.1f%c", value, UNITS[unit]);
	return g_strdup_printf("%.0f%c", value, UNITS[unit]);
}

char *
nat_text_ms(double ms)
{
	if (!isfinite(ms) || ms < 0)
		return g_strdup("-");
	if (ms < 9.995)
		return g_strdup_printf("%.2f ms", ms);
	return g_strdup_printf(ms < 99.95 ? "%.1f ms" : "%.0f ms", ms);
}
