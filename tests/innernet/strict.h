/* SPDX-License-Identifier: MIT */
/*
 * JSON with nothing forgiven (RFC 8259), as innernet's parser has it: json-glib overlooks comments,
 * commas and what follows. No key twice in one object, no more than 128 levels. Pure.
 */
#pragma once

#include <json-glib/json-glib.h>

JsonNode *strict_parse(const char *text, gsize len, GError **error);

/* What a strictly typed struct takes. NULL, or FALSE with *ok FALSE, where the member is missing
 * or of another type; *ok is never set to TRUE. */
const char *strict_string(JsonObject *object, const char *name, gboolean *ok);
gboolean strict_boolean(JsonObject *object, const char *name, gboolean *ok);
gint64 strict_int(JsonObject *object, const char *name, gint64 min, gint64 max, gboolean *ok);
/* Option<…>: NULL also where it is null or missing, without a word. */
const char *strict_optional_string(JsonObject *object, const char *name, gboolean *ok);
/* A present, not null member. */
JsonNode *strict_optional(JsonObject *object, const char *name);
