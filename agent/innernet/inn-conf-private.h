/* SPDX-License-Identifier: MIT */
/* What the parts of InnConf share: inn-conf.c (values), inn-override.c (changes of a text),
 * inn-conf-file.c (files). */
#pragma once

#include "agent/innernet/inn-conf.h"
#include "agent/innernet/inn-toml.h"

#define INN_CONF_OVERRIDES "peer-endpoint-overrides"

/* Sets "NAME:LINE: what", without LINE where it is 0; FALSE. name is shown as it is. */
gboolean inn_conf_refuse(const char *name, guint line, const char *what, GError **error);
/* The TOML of a text; the error names the file. */
InnToml *inn_conf_toml(const char *text, gsize len, const char *name, GError **error);
InnConf *inn_conf_from_toml(const InnToml *toml, const char *name, GError **error);
/* Syncs the directory that `path` stands in. */
gboolean inn_conf_sync_name(const char *path, GError **error);
/* An address alone, without a scope: innernet knows none. FALSE leaves *out unset. */
gboolean inn_conf_parse_ip(const char *text, WgEndpoint *out);
/* The text of a file (transfer full; for inn_conf_free_text()), of at most INN_CONF_MAX bytes and
 * one more, which says that there is too much. Never waits: what is no plain file is refused. */
char *inn_conf_read(const char *path, gsize *len, GError **error);
/* Overwritten, then freed; NULL is fine. */
void inn_conf_free_text(char *text, gsize len);
