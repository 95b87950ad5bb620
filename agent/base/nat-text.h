/* SPDX-License-Identifier: MIT */
/*
 * Text in columns of a terminal: widths in cells (wide characters take two), never in bytes. Input
 * is valid UTF-8 without control characters (nat_log_escape). Pure; any thread.
 */
#pragma once

#include <glib.h>

guint nat_text_width(const char *text);
/* Appends text in exactly `width` cells: padded, or cut with ".." at the end. */
void nat_text_cell(GString *out, const char *text, guint width);
/* Appends text, breaking lines at spaces so that none is longer than `width` cells; the line in
 * progress is at `column`, later ones begin with `indent` spaces. Words longer than a line are
 * broken. Returns the column where it ended. */
guint nat_text_wrap(GString *out, const char *text, guint column, guint indent, guint width);

/* "12s", "3m", "5h", "12d"; "-" when negative. At most 4 cells up to 999 days (transfer full). */
char *nat_text_age(gint64 seconds);
/* "999B", "9.9K", "345K", "1.2M": at most 4 cells (transfer full). */
char *nat_text_bytes(guint64 bytes);
/* "0.25 ms", "21.4 ms", "312 ms", "-" when negative (transfer full). */
char *nat_text_ms(double ms);
