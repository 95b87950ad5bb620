/* SPDX-License-Identifier: MIT */
/* Values out of the text, and the text of values. Files are in inn-conf-file.c, changes of a text
 * in inn-override.c. */
#include "agent/innernet/inn-conf-private.h"

#include <sodium.h>
#include <string.h>

#include "agent/base/nat-log.h"

#define HOST_MAX 253 /* RFC 1035 §2.3.4, without the final dot */
#define LABEL_MAX 63

typedef struct {
	const InnToml *toml;
	char *name;	   /* of the file, as it may be shown */
	const char *table; /* that is being read */
} Reader;

gboolean
inn_conf_refuse(const char *name, guint line, const char *what, GError **error)
{
	if (line)
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "%s:%u: %s", name, line,
			    what);
	else
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "%s: %s", name, what);
	return FALSE;
}

static gboolean
refuse_value(const Reader *reader, const InnTomlEntry *entry, const char *what, GError **error)
{
	g_autofree char *text = g_strdup_printf("%s: %s", entry->key, what);

	return inn_conf_refuse(reader->name, entry->line, text, error);
}

/* NULL where it is not there. */
static const InnTomlEntry *
find(const Reader *reader, const char *key)
{
	return inn_toml_entry(reader->toml, reader->table, key);
}

/* A string that must be there. */
static const InnTomlEntry *
need(const Reader *reader, const char *key, const char *example, GError **error)
{
	const InnTomlEntry *entry = find(reader, key);

	if (!entry) {
		g_autofree char *what = g_strdup_printf("%s is missing in [%s]: write %s = %s", key,
							reader->table, key, example);

		inn_conf_refuse(reader->name, 0, what, error);
	} else if (entry->type != INN_TOML_STRING) {
		g_autofree char *what = g_strdup_printf("not a text in quotes, as %s", example);

		refuse_value(reader, entry, what, error);
		return NULL;
	}
	return entry;
}

static gboolean
begin_table(Reader *reader, const char *table, GError **error)
{
	const InnTomlEntry *value = inn_toml_entry(reader->toml, "", table);
	g_autofree char *what = NULL;

	reader->table = table;
	if (inn_toml_table(reader->toml, table, NULL))
		return TRUE;
	what = g_strdup_printf(value ? "write [%s] in a line of its own, and its keys below"
				     : "[%s] is missing: not a file of innernet, or a damaged one",
			       table);
	return inn_conf_refuse(reader->name, value ? value->line : 0, what, error);
}

gboolean
inn_conf_parse_ip(const char *text, WgEndpoint *out)
{
	memset(out, 0, sizeof *out);
	return !strchr(text, '%') && wg_endpoint_parse_address(text, 0, out);
}

static gboolean
parse_number(const char *text, guint64 min, guint64 max, guint64 *out)
{
	return g_ascii_isdigit(*text) && g_ascii_string_to_unsigned(text, 10, min, max, out, NULL);
}

static gboolean
parse_net(const char *text, WgEndpoint *address, guint8 *prefix)
{
	const char *slash = strchr(text, '/');
	g_autofree char *ip = slash ? g_strndup(text, (gsize)(slash - text)) : NULL;
	guint64 number;

	if (!ip || !inn_conf_parse_ip(ip, address) || wg_endpoint_is_bogus(address) ||
	    !parse_number(slash + 1, 1, wg_endpoint_family(address) == AF_INET ? 32 : 128, &number))
		return FALSE;
	*prefix = (guint8)number;
	return TRUE;
}

/* Names as a resolver takes them. */
static gboolean
is_name(const char *host)
{
	gsize label = 0, len = strlen(host);

	for (const char *c = host; *c; c++) {
		if (*c == '.' && label == 0)
			return FALSE;
		if (*c != '.' && !g_ascii_isalnum(*c) && *c != '-' && *c != '_')
			return FALSE;
		label = *c == '.' ? 0 : label + 1;
		if (label > LABEL_MAX)
			return FALSE;
	}
	return len > 0 && len <= HOST_MAX;
}

static char *
parse_host(const char *host)
{
	gsize len = strlen(host);
	WgEndpoint ep;

	if (len > 2 && host[0] == '[' && host[len - 1] == ']') {
		g_autofree char *inner = g_strndup(host + 1, len - 2);

		return inn_conf_parse_ip(inner, &ep) && wg_endpoint_family(&ep) == AF_INET6
			       ? g_steal_pointer(&inner)
			       : NULL;
	}
	if (g_hostname_is_non_ascii(host)) {
		g_autofree char *ascii = g_hostname_to_ascii(host);

		return ascii && is_name(ascii) ? g_steal_pointer(&ascii) : NULL;
	}
	return is_name(host) ? g_strdup(host) : NULL;
}

gboolean
inn_conf_split_endpoint(const char *text, char **host, guint16 *port, GError **error)
{
	const char *colon = strrchr(text, ':');
	g_autofree char *before = colon ? g_strndup(text, (gsize)(colon - text)) : NULL;
	guint64 number;

	*host = NULL;
	if (before && parse_number(colon + 1, 1, G_MAXUINT16, &number))
		*host = parse_host(before);
	if (*host) {
		*port = (guint16)number;
		return TRUE;
	}
	g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
		    "not a host and a port: write \"host:51820\", \"192.0.2.1:51820\" or "
		    "\"[2001:db8::1]:51820\"");
	return FALSE;
}

static gboolean
read_key(const Reader *reader, const char *name, WgKey *key, GError **error)
{
	const InnTomlEntry *entry =
		need(reader, name, "\"the key, 44 characters of base64\"", error);

	if (!entry)
		return FALSE;
	if (!wg_key_parse(entry->string, key))
		return refuse_value(reader, entry,
				    "not a key of WireGuard: 44 characters of base64", error);
	if (wg_key_is_zero(key))
		return refuse_value(reader, entry, "all zero is no key", error);
	return TRUE;
}

/* RFC 7748 §5. Devices say a private key back like this, whatever was written. */
static void
clamp(WgKey *key)
{
	key->b[0] &= 248;
	key->b[31] = (key->b[31] & 127) | 64;
}

static gboolean
read_port(const Reader *reader, InnConf *conf, GError **error)
{
	const InnTomlEntry *entry = find(reader, "listen-port");

	if (!entry)
		return TRUE;
	if (entry->type != INN_TOML_INTEGER || entry->integer < 0 || entry->integer > G_MAXUINT16)
		return refuse_value(reader, entry, "not a port: a number up to 65535, no quotes",
				    error);
	conf->listen_port = (guint16)entry->integer;
	return TRUE;
}

static gboolean
read_interface(Reader *reader, InnConf *conf, GError **error)
{
	const InnTomlEntry *entry;

	if (!begin_table(reader, "interface", error))
		return FALSE;
	entry = need(reader, "network-name", "\"evilcorp\"", error);
	if (!entry)
		return FALSE;
	if (*entry->string == '\0')
		return refuse_value(reader, entry, "it is empty", error);
	conf->network_name = g_strdup(entry->string);
	entry = need(reader, "address", "\"10.66.1.1/16\"", error);
	if (!entry)
		return FALSE;
	if (!parse_net(entry->string, &conf->address, &conf->prefix))
		return refuse_value(reader, entry,
				    "not a host's address and its network's prefix, as "
				    "\"10.66.1.1/16\"",
				    error);
	if (!read_key(reader, "private-key", &conf->private_key, error))
		return FALSE;
	clamp(&conf->private_key);
	return read_port(reader, conf, error);
}

static gboolean
read_server(Reader *reader, InnConf *conf, GError **error)
{
	const InnTomlEntry *entry;
	g_autoptr(GError) cause = NULL;

	if (!begin_table(reader, "server", error) ||
	    !read_key(reader, "public-key", &conf->server_key, error))
		return FALSE;
	entry = need(reader, "external-endpoint", "\"host:51820\"", error);
	if (!entry)
		return FALSE;
	if (!inn_conf_split_endpoint(entry->string, &conf->server_host, &conf->server_port, &cause))
		return refuse_value(reader, entry, cause->message, error);
	entry = need(reader, "internal-endpoint", "\"10.66.0.1:51820\"", error);
	if (!entry)
		return FALSE;
	if (strchr(entry->string, '%') ||
	    !wg_endpoint_parse(entry->string, &conf->server_internal) ||
	    wg_endpoint_is_bogus(&conf->server_internal) ||
	    wg_endpoint_port(&conf->server_internal) == 0)
		return refuse_value(reader, entry,
				    "not an address and a port, as \"10.66.0.1:51820\"", error);
	return TRUE;
}

/* innernet refuses the whole file for one of them. */
static gboolean
check_overrides(Reader *reader, GError **error)
{
	guint table;

	reader->table = INN_CONF_OVERRIDES;
	if (inn_toml_entry(reader->toml, "", INN_CONF_OVERRIDES))
		return begin_table(reader, INN_CONF_OVERRIDES, error);
	if (!inn_toml_table(reader->toml, INN_CONF_OVERRIDES, &table))
		return TRUE;
	for (guint i = 0; i < reader->toml->entries->len; i++) {
		const InnTomlEntry *entry = &g_array_index(reader->toml->entries, InnTomlEntry, i);
		g_autofree char *host = NULL;
		WgEndpoint ip;
		guint16 port;

		if (entry->table == table &&
		    (entry->type != INN_TOML_STRING || !inn_conf_parse_ip(entry->key, &ip) ||
		     !inn_conf_split_endpoint(entry->string, &host, &port, NULL)))
			return inn_conf_refuse(reader->name, entry->line,
					       "not an override: write \"10.66.1.2\" = "
					       "\"192.0.2.1:51820\"",
					       error);
	}
	return TRUE;
}

InnConf *
inn_conf_from_toml(const InnToml *toml, const char *name, GError **error)
{
	g_autoptr(InnConf) conf = g_new0(InnConf, 1);
	Reader reader = {.toml = toml, .name = nat_log_escape(name, -1)};
	gboolean ok = read_interface(&reader, conf, error) && read_server(&reader, conf, error) &&
		      check_overrides(&reader, error);

	g_free(reader.name);
	return ok ? g_steal_pointer(&conf) : NULL;
}

InnConf *
inn_conf_parse(const char *text, gsize len, const char *name, GError **error)
{
	g_autoptr(InnToml) toml = inn_conf_toml(text, len, name, error);

	return toml ? inn_conf_from_toml(toml, name, error) : NULL;
}

InnToml *
inn_conf_toml(const char *text, gsize len, const char *name, GError **error)
{
	InnToml *toml = inn_toml_parse(text, len, error);

	if (!toml) {
		g_autofree char *shown = nat_log_escape(name, -1);

		g_prefix_error(error, "%s:", shown);
	}
	return toml;
}

void
inn_conf_free(InnConf *conf)
{
	if (!conf)
		return;
	wg_key_clear(&conf->private_key);
	g_free(conf->network_name);
	g_free(conf->server_host);
	g_free(conf);
}

InnConf *
inn_conf_copy(const InnConf *conf)
{
	InnConf *copy = g_new(InnConf, 1);

	*copy = *conf;
	copy->network_name = g_strdup(conf->network_name);
	copy->server_host = g_strdup(conf->server_host);
	return copy;
}

static void
append(GString *out, const char *key, const char *value)
{
	g_autofree char *quoted = inn_toml_quote(value);

	g_string_append_printf(out, "%s = %s\n", key, quoted);
}

static void
append_interface(GString *out, const InnConf *conf)
{
	char ip[WG_ENDPOINT_STRLEN], net[WG_ENDPOINT_STRLEN + 4];
	char key[WG_KEY_STRLEN];

	g_string_append(out, "[interface]\n");
	append(out, "network-name", conf->network_name);
	g_snprintf(net, sizeof net, "%s/%u", wg_endpoint_format_address(&conf->address, ip),
		   conf->prefix);
	append(out, "address", net);
	/* not by append(): no copy of it stays in memory. Nothing in base64 needs an escape. */
	g_string_append_printf(out, "private-key = \"%s\"\n",
			       wg_key_format(&conf->private_key, key));
	sodium_memzero(key, sizeof key);
	if (conf->listen_port)
		g_string_append_printf(out, "listen-port = %u\n", conf->listen_port);
}

char *
inn_conf_format(const InnConf *conf)
{
	/* the room is never outgrown: a buffer that moves leaves the key behind */
	GString *out = g_string_sized_new(strlen(conf->network_name) * 6 +
					  strlen(conf->server_host) + 1024);
	gboolean v6 = strchr(conf->server_host, ':') != NULL;
	g_autofree char *external =
		g_strdup_printf(v6 ? "[%s]:%u" : "%s:%u", conf->server_host, conf->server_port);
	char buf[WG_ENDPOINT_STRLEN], key[WG_KEY_STRLEN];

	append_interface(out, conf);
	g_string_append(out, "\n[server]\n");
	append(out, "public-key", wg_key_format(&conf->server_key, key));
	append(out, "external-endpoint", external);
	append(out, "internal-endpoint", wg_endpoint_format(&conf->server_internal, buf));
	return g_string_free(out, FALSE);
}
