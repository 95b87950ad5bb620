/* SPDX-License-Identifier: MIT */
/* Between inn-toml.c (lines, tables, what is given again) and inn-toml-value.c (keys and values).
 */
#pragma once

#include "agent/innernet/inn-toml.h"

/* A place in a text. The text ends with a NUL, which is no part of it, and holds none. */
typedef struct {
	const char *text, *p;
	guint line;
} TomlCursor;

typedef struct {
	InnTomlType type;
	char *string; /* (transfer full) */
	gint64 integer;
} TomlValue;

/* Sets "LINE: what"; FALSE. */
gboolean toml_refuse(const TomlCursor *at, const char *what, GError **error);
void toml_skip_blanks(TomlCursor *at); /* spaces and tabs */
/* Blanks, a comment, and the end of the line or of the text. */
gboolean toml_end_line(TomlCursor *at, GError **error);
/* One part of a key, bare or quoted (transfer full). */
gboolean toml_read_key(TomlCursor *at, char **key, GError **error);
gboolean toml_read_value(TomlCursor *at, TomlValue *value, GError **error);
void toml_value_clear(TomlValue *value);
/* Overwritten, then freed. */
void toml_free_string(char *string);
