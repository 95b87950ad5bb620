/* SPDX-License-Identifier: MIT */
#include "agent/base/nat-pen.h"

#include "agent/base/nat-log.h"
#include "agent/base/nat-text.h"

void
nat_pen_begin(NatPen *pen, NatPenStyle style)
{
	static const char *const CODES[] = {"", "1", "2", "31", "32", "33"};

	if (pen->colour && style != NAT_PEN_PLAIN)
		g_string_append_printf(pen->out, "\033[%sm", CODES[style]);
}

void
nat_pen_end(NatPen *pen, NatPenStyle style)
{
	if (pen->colour && style != NAT_PEN_PLAIN)
		g_string_append(pen->out, "\033[0m");
}

void
nat_pen_paragraph(NatPen *pen, guint indent, NatPenStyle style, const char *text)
{
	g_autofree char *plain = nat_log_escape(text, -1);

	g_string_append_printf(pen->out, "%*s", (int)indent, "");
	nat_pen_begin(pen, style);
	nat_pen_wrap(pen, plain, indent, indent);
	nat_pen_end(pen, style);
	g_string_append_c(pen->out, '\n');
}

void
nat_pen_wrap(NatPen *pen, const char *plain, guint column, guint indent)
{
	/* columns within a line stay where the line is not broken */
	if (column + nat_text_width(plain) <= pen->width)
		g_string_append(pen->out, plain);
	else
		nat_text_wrap(pen->out, plain, column, indent, pen->width);
}

void
nat_pen_label(NatPen *pen, const char *label, const char *format, ...)
{
	static const guint COLUMN = NAT_PEN_INDENT + 12;
	g_autofree char *text = NULL, *plain = NULL;
	va_list args;

	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	plain = nat_log_escape(text, -1);
	g_string_append_printf(pen->out, "%*s", NAT_PEN_INDENT, "");
	nat_pen_begin(pen, NAT_PEN_DIM);
	nat_text_cell(pen->out, label, COLUMN - NAT_PEN_INDENT);
	nat_pen_end(pen, NAT_PEN_DIM);
	nat_text_wrap(pen->out, plain, COLUMN, COLUMN, pen->width);
	g_string_append_c(pen->out, '\n');
}
