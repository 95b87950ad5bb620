/* SPDX-License-Identifier: MIT */
/*
 * JSON as the agent reads and writes it, on top of json-glib: text is checked for nesting before
 * the parser (json-glib 1.6 recurses without a limit), members are read with their types checked,
 * and numbers are printed as short as they can be. Pure; any thread.
 */
#pragma once

#include <json-glib/json-glib.h>

#define NAT_JSON_MAX_DEPTH 32

/* An object and nothing else, strict about what stands outside strings (no comments). The caller
 * caps len. G_IO_ERROR_INVALID_DATA. */
JsonNode *nat_json_parse(const char *text, gsize len, GError **error);
/* pretty: two spaces an indent and a line a member; else one line. No newline at the end. */
char *nat_json_print(JsonNode *node, gboolean pretty);

/* An absent or null member leaves *out as it is and is no error; a wrong type is
 * (G_IO_ERROR_INVALID_DATA, naming the member). Strings, objects and arrays stay the parent's. */
gboolean nat_json_get_string(JsonObject *obj, const char *member, const char **out, GError **error);
gboolean nat_json_get_int(JsonObject *obj, const char *member, gint64 *out, GError **error);
gboolean nat_json_get_double(JsonObject *obj, const char *member, double *out, GError **error);
gboolean nat_json_get_boolean(JsonObject *obj, const char *member, gboolean *out, GError **error);
gboolean nat_json_get_object(JsonObject *obj, const char *member, JsonObject **out, GError **error);
gboolean nat_json_get_array(JsonObject *obj, const char *member, JsonArray **out, GError **error);

/* Sets a string, or null when value is NULL. */
void nat_json_set_string(JsonObject *obj, const char *member, const char *value);
/* Sets an integer, or null when value is negative. */
void nat_json_set_int(JsonObject *obj, const char *member, gint64 value);
/* A node holding obj (transfer full, consumes obj). */
JsonNode *nat_json_node_take(JsonObject *obj);
