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
