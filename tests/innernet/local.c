/* SPDX-License-Identifier: MIT */
#include "local.h"
#include "text.h"

#include <json-glib/json-glib.h>
#include <string.h>

#define CANDIDATES_MAX 10

static gboolean
is_told(const char *address)
{
	WgEndpoint ep;
	const guint8 *b;
	gsize len;

	if (!wg_endpoint_parse_address(address, 0, &ep))
		return FALSE;
	b = wg_endpoint_bytes(&ep, &len);
	if (len == 4)
		return TRUE;
	return !wg_endpoint_is_bogus(&ep) && !wg_endpoint_is_private(&ep) &&
	       memcmp(b, "\x20\x01\x0d\xb8", 4) != 0;
}

static void
add_of_link(JsonObject *link, const char *family, guint16 port, GPtrArray *list)
{
	gboolean is_v4 = strcmp(family, "inet") == 0;
	const char *state = json_object_get_string_member_with_default(link, "operstate", "");
	JsonArray *addresses;

	if (!json_object_has_member(link, "addr_info") || (is_v4 && strcmp(state, "UP") != 0))
		return;
	addresses = json_object_get_array_member(link, "addr_info");
	for (guint i = 0; i < json_array_get_length(addresses); i++) {
		JsonObject *item = json_array_get_object_element(addresses, i);
		const char *address = json_object_get_string_member_with_default(item, "local", "");

		if (list->len < CANDIDATES_MAX && is_told(address) &&
		    g_strcmp0(json_object_get_string_member(item, "family"), family) == 0 &&
		    g_strcmp0(json_object_get_string_member(item, "scope"), "global") == 0)
			g_ptr_array_add(list, is_v4 ? g_strdup_printf("%s:%u", address, port)
						    : g_strdup_printf("[%s]:%u", address, port));
	}
}

GPtrArray *
local_candidates(guint16 port)
{
	GPtrArray *list = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(JsonParser) parser = json_parser_new();
	g_autofree char *out = NULL;
	JsonArray *links;

	if (!g_spawn_command_line_sync("ip -j addr", &out, NULL, NULL, NULL) ||
	    !json_parser_load_from_data(parser, out, -1, NULL))
		return list;
	links = json_node_get_array(json_parser_get_root(parser));
	for (guint family = 0; family < 2; family++)
		for (guint i = 0; i < json_array_get_length(links); i++)
			add_of_link(json_array_get_object_element(links, i),
				    family == 0 ? "inet" : "inet6", port, list);
	return list;
}
