/* SPDX-License-Identifier: MIT */
/*
 * InnToml: a small reader of TOML 1.0, for the files that innernet writes and people edit. It knows
 * where everything stands, so that a file can be changed without being written anew.
 *
 * Read: tables, arrays of tables, bare and quoted keys, one-line strings, integers, booleans,
 * comments, LF and CRLF. Checked and passed over (INN_TOML_OTHER): floats, dates, arrays, inline
 * tables. Refused, although TOML: dotted keys, multi-line strings, NUL and control characters in
 * keys. What TOML forbids is refused: a key or a table given again, bare CR, what is no UTF-8.
 *
 * Pure. Errors (G_IO_ERROR_INVALID_DATA) are one line "LINE: what is wrong" and repeat nothing of
 * the file: anything in it may be a key that slipped out of its place. Strings are cleared when
 * freed.
 */
#pragma once

#include <gio/gio.h>

#define INN_TOML_MAX (64 * 1024) /* bytes of a text */
#define INN_TOML_DEPTH 16	 /* of arrays and inline tables, and parts of a table's name */

typedef enum {
	INN_TOML_STRING,
	INN_TOML_INTEGER,
	INN_TOML_BOOLEAN,
	INN_TOML_OTHER,
} InnTomlType;

/* Offsets are bytes from the beginning of the text. */
typedef struct {
	char *path; /* the parts of its name, joined by '\n'; "" of what stands before any header */
	guint line; /* of its header, from 1; 0: none */
	gboolean element; /* [[one of several]] */
	gsize end;	  /* behind its header's line */
} InnTomlTable;

typedef struct {
	guint table; /* index into tables */
	char *key;
	guint line;
	InnTomlType type;
	char *string;		/* of STRING, else NULL */
	gint64 integer;		/* of INTEGER and BOOLEAN */
	gsize value, value_end; /* the value alone, with its quotes */
	gsize line_start, end;	/* from the beginning of its first line to behind its last */
} InnTomlEntry;

typedef struct {
	GArray *tables;	 /* of InnTomlTable; the first is the nameless one */
	GArray *entries; /* of InnTomlEntry, in the text's order */
} InnToml;

InnToml *inn_toml_parse(const char *text, gsize len, GError **error);
void inn_toml_free(InnToml *toml); /* NULL is fine */
/* The [path] table; *index, its place, may be NULL. (transfer none) NULL where there is none. */
const InnTomlTable *inn_toml_table(const InnToml *toml, const char *path, guint *index);
/* The key of a [path] table. (transfer none) NULL where there is none. */
const InnTomlEntry *inn_toml_entry(const InnToml *toml, const char *path, const char *key);
/* As a basic string, in quotes (transfer full). text is UTF-8. */
char *inn_toml_quote(const char *text);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(InnToml, inn_toml_free)
