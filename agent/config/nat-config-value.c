/* SPDX-License-Identifier: MIT */
/* Single values of a configuration: what is right, and how to say what is wrong. */
#include "agent/config/nat-config.h"

#include <net/if.h>
#include <string.h>
#include <sys/un.h>

#include "agent/base/nat-log.h"
#include "agent/relay/nat-turn-uri.h"

/* `value` may be anything that a file or a command line holds, also a relay's secret in the wrong
 * place: it is shown escaped and without that. */
static gboolean
bad(GError **error, const char *value, const char *what)
{
	g_autofree char *plain = nat_log_conceal(value);

	g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "\"%s\" %s", plain, what);
	return FALSE;
}

/* The kernel's dev_valid_name, and printable ASCII only: the name stands in paths and messages. */
gboolean
nat_config_check_interface(const char *name, GError **error)
{
	gsize len = strlen(name);

	if (len == 0 || len >= IFNAMSIZ)
		return bad(error, name, "is not an interface name: it has 1 to 15 characters");
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || *name == '-')
		return bad(error, name, "is not an interface name");
	for (const char *c = name; *c; c++)
		if (!g_ascii_isgraph(*c) || *c == '/' || *c == ':')
			return bad(error, name,
				   "is not an interface name: no spaces, no '/', no ':', no "
				   "control characters");
	return TRUE;
}

static gboolean
is_graph(const char *text)
{
	for (; *text; text++)
		if (!g_ascii_isgraph(*text))
			return FALSE;
	return TRUE;
}

gboolean
nat_config_check_url(const char *url, GError **error)
{
	g_autoptr(GUri) uri = NULL;
	const char *host;

	if (!strstr(url, "://")) {
		g_autofree char *hint = g_strdup_printf(
			"has no scheme: write wss://%s (or ws:// on a trusted network)",
			*url && is_graph(url) && !strchr(url, '@') ? url : "HOST");

		return bad(error, url, hint);
	}
	uri = is_graph(url) ? g_uri_parse(url, G_URI_FLAGS_NONE, NULL) : NULL;
	if (!uri)
		return bad(error, url, "is not a URL: write wss://HOST[:PORT]");
	if (strcmp(g_uri_get_scheme(uri), "ws") != 0 && strcmp(g_uri_get_scheme(uri), "wss") != 0)
		return bad(error, url, "is not a signaling URL: it begins with wss:// or ws://");
	host = g_uri_get_host(uri);
	if (!host || !*host)
		return bad(error, url, "names no host: write wss://HOST[:PORT]");
	if (g_uri_get_port(uri) == 0)
		return bad(error, url, "has port 0: write a port from 1 to 65535, or none");
	if (g_uri_get_userinfo(uri) || g_uri_get_fragment(uri))
		return bad(error, url,
			   "has a user name or a fragment: the interface's key is the identity");
	return TRUE;
}

gboolean
nat_config_check_control(const char *path, GError **error)
{
	struct sockaddr_un sun;

	if (!*path || g_str_has_suffix(path, "/"))
		return bad(error, path, "is not the path of a socket");
	if (strlen(path) >= sizeof sun.sun_path)
		return bad(error, path, "is too long for a socket: at most 107 bytes");
	return TRUE;
}

const char *
nat_config_default_control(void)
{
	const char *path = g_getenv("NAT_AGENT_CONTROL");

	return path && *path ? path : NAT_CONFIG_DEFAULT_CONTROL;
}

static gboolean
parse_port(const char *text, guint16 *port)
{
	guint64 value;

	if (!g_ascii_string_to_unsigned(text, 10, 1, G_MAXUINT16, &value, NULL))
		return FALSE;
	*port = (guint16)value;
	return TRUE;
}

static gboolean
is_host(const char *host)
{
	if (!*host || *host == '.' || *host == '-' || strlen(host) > 253)
		return FALSE;
	for (const char *c = host; *c; c++)
		if (!g_ascii_isalnum(*c) && !strchr(".-_", *c))
			return FALSE;
	return TRUE;
}

/* "[v6]" or "[v6]:port"; rest points behind the bracket. */
static char *
take_brackets(const char *text, const char **rest)
{
	const char *end = strchr(text, ']');

	if (!end)
		return NULL;
	*rest = end + 1;
	return g_strndup(text + 1, (gsize)(end - text - 1));
}

gboolean
nat_config_split_stun(const char *text, char **host, guint16 *port, GError **error)
{
	static const char WHAT[] = "is not a STUN server: write HOST, HOST:PORT or [IPv6]:PORT";
	g_autofree char *name = NULL;
	const char *rest = "";
	guint16 number = NAT_CONFIG_STUN_PORT;
	WgEndpoint ep;
	gboolean v6 = wg_endpoint_parse_address(text, 0, &ep) && ep.sa.sa_family == AF_INET6;

	if (g_str_has_prefix(text, "stun:"))
		return bad(error, text, "begins with a scheme: write HOST[:PORT] alone");
	if (v6) {
		name = g_strdup(text);
	} else if (*text == '[') {
		name = take_brackets(text, &rest);
		v6 = name && wg_endpoint_parse_address(name, 0, &ep) && ep.sa.sa_family == AF_INET6;
	} else {
		rest = text + strcspn(text, ":");
		name = g_strndup(text, (gsize)(rest - text));
	}
	if (!name || (!v6 && (*text == '[' || !is_host(name))))
		return bad(error, text, WHAT);
	if (*rest && (*rest != ':' || !parse_port(rest + 1, &number)))
		return bad(error, text, WHAT);
	if (host)
		*host = g_steal_pointer(&name);
	if (port)
		*port = number;
	return TRUE;
}

gboolean
nat_config_check_turn(const char *text, GError **error)
{
	g_autoptr(NatTurnUri) uri = nat_turn_uri_parse(text, error);

	return uri != NULL;
}

gboolean
nat_config_parse_mtu(const char *text, NatMtuMode *out, GError **error)
{
	if (strcmp(text, "auto") == 0)
		*out = NAT_MTU_AUTO;
	else if (strcmp(text, "advise") == 0)
		*out = NAT_MTU_ADVISE;
	else if (strcmp(text, "off") == 0)
		*out = NAT_MTU_OFF;
	else
		return bad(error, text, "is none of auto, advise and off");
	return TRUE;
}

gboolean
nat_config_parse_switch(const char *text, gboolean *out, GError **error)
{
	*out = strcmp(text, "yes") == 0;
	return *out || strcmp(text, "no") == 0 || bad(error, text, "is neither yes nor no");
}

gboolean
nat_config_parse_innernet(const char *text, NatInnernet *out, GError **error)
{
	if (strcmp(text, "beside") == 0)
		*out = NAT_INNERNET_BESIDE;
	else if (strcmp(text, "yes") == 0)
		*out = NAT_INNERNET_YES;
	else if (strcmp(text, "off") == 0)
		*out = NAT_INNERNET_OFF;
	else
		return bad(error, text, "is none of beside, yes and off");
	return TRUE;
}

gboolean
nat_config_parse_standby(const char *text, guint *out, GError **error)
{
	guint64 value;

	if (!g_ascii_string_to_unsigned(text, 10, 0, NAT_CONFIG_MAX_STANDBY, &value, NULL))
		return bad(error, text, "is not a number from 0 to 256");
	*out = (guint)value;
	return TRUE;
}

gboolean
nat_config_parse_metrics(const char *text, WgEndpoint *out, GError **error)
{
	guint64 port = 0;

	memset(out, 0, sizeof *out);
	if (strcmp(text, "none") == 0)
		return TRUE;
	if (g_ascii_string_to_unsigned(text, 10, 1, G_MAXUINT16, &port, NULL))
		return wg_endpoint_parse_address("127.0.0.1", (guint16)port, out);
	if (wg_endpoint_parse(text, out) && wg_endpoint_port(out) != 0)
		return TRUE;
	memset(out, 0, sizeof *out);
	return bad(error, text,
		   "is no address for metrics: write 127.0.0.1:PORT, another numeric ADDRESS:PORT, "
		   "a PORT alone, or none");
}
