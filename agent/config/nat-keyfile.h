/* SPDX-License-Identifier: MIT */
/*
 * NatKeyFile: a GKeyFile that knows its lines. GKeyFile silently merges groups and keys given twice
 * and cannot say where a mistake is; a short scan before it can. Pure.
 */
#pragma once

#include <glib.h>

#define NAT_KEY_FILE_MAX 65536 /* bytes */

typedef struct NatKeyFile NatKeyFile;

/* Whether a group, or (key not NULL) a key of it, is known; NULL says yes, else what to write
 * instead
 * ("the groups are [agent], …"). */
typedef const char *(*NatKeyFileCheck)(const char *group, const char *key);

/* Errors (G_KEY_FILE_ERROR) begin with "name:line: ". */
NatKeyFile *nat_key_file_new(const char *text, gsize len, const char *name, NatKeyFileCheck check,
			     GError **error);
void nat_key_file_free(NatKeyFile *file);
GStrv nat_key_file_groups(NatKeyFile *file); /* in the file's order (transfer full) */
/* Line of a group (key NULL) or key; 0 when it is not there. */
guint nat_key_file_line(NatKeyFile *file, const char *group, const char *key);
/* FALSE on a malformed value; *out NULL when the key is not there (transfer full). */
gboolean nat_key_file_string(NatKeyFile *file, const char *group, const char *key, char **out,
			     GError **error);
/* Values separated by ';'. */
gboolean nat_key_file_list(NatKeyFile *file, const char *group, const char *key, GStrv *out,
			   GError **error);
/* Prefixes *error with "name:line: key: " and returns FALSE. */
gboolean nat_key_file_blame(NatKeyFile *file, const char *group, const char *key, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatKeyFile, nat_key_file_free)
