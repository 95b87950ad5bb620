/* SPDX-License-Identifier: MIT */
/*
 * NatPen: text for a terminal: styles, wrapped paragraphs, labelled lines. What is written comes
 * out escaped to printable UTF-8. Pure; any thread.
 */
#pragma once

#include <glib.h>

#define NAT_PEN_INDENT 2
#define NAT_PEN_MIN_WIDTH 40

typedef enum {
	NAT_PEN_PLAIN,
	NAT_PEN_BOLD,
	NAT_PEN_DIM,
	NAT_PEN_RED,
	NAT_PEN_GREEN,
	NAT_PEN_YELLOW,
} NatPenStyle;

typedef struct {
	GString *out;
	guint width; /* cells, at least NAT_PEN_MIN_WIDTH */
	gboolean colour;
} NatPen;

/* What is appended to `out` between the two is shown so. */
void nat_pen_begin(NatPen *pen, NatPenStyle style);
void nat_pen_end(NatPen *pen, NatPenStyle style);
/* Text that is escaped already, from `column` on; further lines after `indent` spaces. */
void nat_pen_wrap(NatPen *pen, const char *plain, guint column, guint indent);
/* A wrapped paragraph, each line of it after `indent` spaces. */
void nat_pen_paragraph(NatPen *pen, guint indent, NatPenStyle style, const char *text);
/* "  label       text", wrapped in the text's column. */
void nat_pen_label(NatPen *pen, const char *label, const char *format, ...) G_GNUC_PRINTF(3, 4);
