/* SPDX-License-Identifier: MIT */
#include "agent/status/nat-prom.h"

#include <math.h>
#include <stdarg.h>

struct NatProm {
	GString *text;
	GHashTable *series; /* of what is in the text: "name{labels}" */
	const char *family;
};

NatProm *
nat_prom_new(void)
{
	NatProm *prom = g_new0(NatProm, 1);

	prom->text = g_string_sized_new(16384);
	prom->series = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	return prom;
}

char *
nat_prom_finish(NatProm *prom)
{
	char *text = g_string_free(prom->text, FALSE);

	g_hash_table_unref(prom->series);
	g_free(prom);
	return text;
}

void
nat_prom_family(NatProm *prom, const char *name, const char *type, const char *help)
{
	prom->family = name;
	g_string_append_printf(prom->text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void
append_label(GString *out, const char *label, const char *value)
{
	g_autofree char *valid = g_utf8_make_valid(value, -1);

	g_string_append_printf(out, "%s%s=\"", out->len > 0 ? "," : "", label);
	for (const char *s = valid; *s; s++) {
		if (*s == '\n')
			g_string_append(out, "\\n");
		else if (*s == '\\' || *s == '"')
			g_string_append_printf(out, "\\%c", *s);
		else
			g_string_append_c(out, *s);
	}
	g_string_append_c(out, '"');
}

static GString *
labels(va_list args)
{
	GString *out = g_string_new(NULL);
	const char *label;

	while ((label = va_arg(args, const char *)))
		append_label(out, label, va_arg(args, const char *));
	return out;
}

static void
add(NatProm *prom, const char *suffix, const char *inside, const char *value)
{
	char *id = *inside ? g_strdup_printf("%s%s{%s}", prom->family, suffix, inside)
			   : g_strconcat(prom->family, suffix, NULL);

	if (g_hash_table_contains(prom->series, id)) {
		g_free(id);
		return;
	}
	g_string_append_printf(prom->text, "%s %s\n", id, value);
	g_hash_table_add(prom->series, id);
}

static void
add_number(NatProm *prom, const char *suffix, const char *inside, double value)
{
	char text[G_ASCII_DTOSTR_BUF_SIZE];

	if (isfinite(value))
		add(prom, suffix, inside, g_ascii_formatd(text, sizeof text, "%.9g", value));
}

static void
add_count(NatProm *prom, const char *suffix, const char *inside, guint64 value)
{
	g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT, value);

	add(prom, suffix, inside, text);
}

void
nat_prom_count(NatProm *prom, guint64 value, ...)
{
	g_autoptr(GString) inside = NULL;
	va_list args;

	va_start(args, value);
	inside = labels(args);
	va_end(args);
	add_count(prom, "", inside->str, value);
}

void
nat_prom_gauge(NatProm *prom, double value, ...)
{
	g_autoptr(GString) inside = NULL;
	va_list args;

	va_start(args, value);
	inside = labels(args);
	va_end(args);
	add_number(prom, "", inside->str, value);
}

void
nat_prom_histogram(NatProm *prom, const NatHistogram *histogram, const char *label,
		   const char *value)
{
	g_autoptr(GString) inside = g_string_new(NULL);
	gsize own;

	append_label(inside, label, value);
	own = inside->len;
	for (guint i = 0; i <= histogram->n; i++) {
		char bound[G_ASCII_DTOSTR_BUF_SIZE] = "+Inf";

		if (i < histogram->n)
			g_ascii_formatd(bound, sizeof bound, "%.9g", histogram->bounds[i]);
		append_label(inside, "le", bound);
		add_count(prom, "_bucket", inside->str, nat_histogram_below(histogram, i));
		g_string_truncate(inside, own);
	}
	add_number(prom, "_sum", inside->str, histogram->sum);
	add_count(prom, "_count", inside->str, nat_histogram_below(histogram, histogram->n));
}
