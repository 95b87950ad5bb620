/* SPDX-License-Identifier: MIT */
/* As much of TOML as innernet writes: tables, and keys with a string or a number, a line each. */
#include "plain.h"

#include <gio/gio.h>
#include <string.h>

void
plain_conf_free(PlainConf *conf)
{
	if (conf == NULL)
		return;
	wg_key_clear(&conf->private_key);
	g_free(conf->external_endpoint);
	g_hash_table_unref(conf->overrides);
	g_free(conf);
}

/* Without its quotes, and without a comment behind it; in place. */
static char *
unquote(char *text)
{
	char *end;

	g_strstrip(text);
	if (*text != '"') {
		text[strcspn(text, "#")] = 0;
		return g_strchomp(text);
	}
	end = strchr(text + 1, '"');
	if (end != NULL)
		*end = 0;
	return text + 1;
}

static gboolean
set_interface(PlainConf *conf, const char *key, const char *value)
{
	if (strcmp(key, "address") == 0)
		return text_net_parse(value, &conf->address);
	if (strcmp(key, "private-key") == 0)
		return wg_key_parse(value, &conf->private_key);
	if (strcmp(key, "listen-port") == 0)
		conf->listen_port = (guint16)g_ascii_strtoull(value, NULL, 10);
	return TRUE;
}

static gboolean
set_server(PlainConf *conf, const char *key, const char *value)
{
	if (strcmp(key, "public-key") == 0)
		return wg_key_parse(value, &conf->server_key);
	if (strcmp(key, "internal-endpoint") == 0)
		return wg_endpoint_parse(value, &conf->internal_endpoint);
	if (strcmp(key, "external-endpoint") != 0)
		return TRUE;
	g_free(conf->external_endpoint);
	conf->external_endpoint = text_endpoint(value);
	return conf->external_endpoint != NULL;
}

static gboolean
set_override(PlainConf *conf, const char *key, const char *value)
{
	char *endpoint = text_endpoint(value);
	WgEndpoint address;

	if (endpoint == NULL || !wg_endpoint_parse_address(key, 0, &address)) {
		g_free(endpoint);
		return FALSE;
	}
	return g_hash_table_insert(conf->overrides, g_strdup(key), endpoint);
}

static gboolean
read_line(PlainConf *conf, GString *table, char *line)
{
	char *equals, *key;

	g_strstrip(line);
	if (*line == 0 || *line == '#')
		return TRUE;
	if (*line == '[') {
		g_string_assign(table, line);
		g_string_truncate(table, strcspn(line, "]") + 1);
		return TRUE;
	}
	equals = strchr(line, '=');
	if (equals == NULL)
		return FALSE;
	*equals = 0;
	key = unquote(line);
	if (strcmp(table->str, "[interface]") == 0)
		return set_interface(conf, key, unquote(equals + 1));
	if (strcmp(table->str, "[server]") == 0)
		return set_server(conf, key, unquote(equals + 1));
	if (strcmp(table->str, "[peer-endpoint-overrides]") == 0)
		return set_override(conf, key, unquote(equals + 1));
	return TRUE;
}

PlainConf *
plain_conf_load(const char *path, GError **error)
{
	g_autoptr(PlainConf) conf = g_new0(PlainConf, 1);
	g_autoptr(GString) table = g_string_new(NULL);
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;

	conf->overrides = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	if (!g_file_get_contents(path, &text, NULL, error))
		return NULL;
	lines = g_strsplit(text, "\n", -1);
	for (guint i = 0; lines[i] != NULL; i++) {
		if (read_line(conf, table, lines[i]))
			continue;
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "%s: line %u", path, i + 1);
		return NULL;
	}
	if (conf->external_endpoint != NULL && wg_endpoint_is_set(&conf->internal_endpoint) &&
	    wg_endpoint_is_set(&conf->address.address) && !wg_key_is_zero(&conf->private_key))
		return g_steal_pointer(&conf);
	g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "%s: incomplete", path);
	return NULL;
}
