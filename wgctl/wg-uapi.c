/* SPDX-License-Identifier: MIT */
#include "wgctl/wg-uapi.h"

#include <string.h>

#define NS_PER_S 1000000000

typedef enum {
	LINE_OK,
	LINE_UNKNOWN,
	LINE_MALFORMED,
} LineResult;

static gboolean
parse_unsigned(const char *text, guint64 max, guint64 *out)
{
	return g_ascii_isdigit(text[0]) && g_ascii_string_to_unsigned(text, 10, 0, max, out, NULL);
}

/* v4-mapped addresses become IPv4. One that can't be read, say for the name of an interface that
 * has just gone, is no endpoint rather than the end of all reading. */
static void
parse_endpoint(const char *text, WgEndpoint *out)
{
	WgEndpoint raw;

	if (wg_endpoint_parse(text, &raw))
		wg_endpoint_from_sockaddr(out, &raw, sizeof raw);
	else
		memset(out, 0, sizeof *out);
}

static LineResult
parse_device_line(WgDevice *dev, const char *key, const char *value)
{
	guint64 number;

	if (strcmp(key, "private_key") == 0)
		return wg_key_parse_hex(value, &dev->private_key) ? LINE_OK : LINE_MALFORMED;
	if (strcmp(key, "listen_port") == 0) {
		if (!parse_unsigned(value, G_MAXUINT16, &number))
			return LINE_MALFORMED;
		dev->listen_port = number;
		return LINE_OK;
	}
	if (strcmp(key, "fwmark") == 0) {
		if (!parse_unsigned(value, G_MAXUINT32, &number))
			return LINE_MALFORMED;
		dev->fwmark = number;
		return LINE_OK;
	}
	return LINE_UNKNOWN;
}

static LineResult
parse_peer_number(WgPeer *peer, const char *key, const char *value)
{
	gboolean is_keepalive = strcmp(key, "persistent_keepalive_interval") == 0;
	guint64 *unsigned_slot = NULL, number;
	gint64 *signed_slot = NULL;
	guint64 max = G_MAXUINT64;

	if (strcmp(key, "rx_bytes") == 0) {
		unsigned_slot = &peer->rx_bytes;
	} else if (strcmp(key, "tx_bytes") == 0) {
		unsigned_slot = &peer->tx_bytes;
	} else if (strcmp(key, "last_handshake_time_sec") == 0) {
		signed_slot = &peer->last_handshake_s;
		max = G_MAXINT64;
	} else if (strcmp(key, "last_handshake_time_nsec") == 0) {
		signed_slot = &peer->last_handshake_ns;
		max = NS_PER_S - 1;
	} else if (is_keepalive) {
		max = G_MAXUINT16;
	} else {
		return LINE_UNKNOWN;
	}
	if (!parse_unsigned(value, max, &number))
		return LINE_MALFORMED;
	if (unsigned_slot)
		*unsigned_slot = number;
	else if (signed_slot)
		*signed_slot = number;
	else
		peer->keepalive = number;
	return LINE_OK;
}

static LineResult
parse_peer_line(WgPeer *peer, const char *key, const char *value)
{
	WgAllowedIp ip;

	if (strcmp(key, "allowed_ip") == 0) {
		if (!wg_allowed_ip_parse(value, &ip))
			return LINE_MALFORMED;
		g_array_append_val(peer->allowed_ips, ip);
		return LINE_OK;
	}
	if (strcmp(key, "endpoint") == 0) {
		parse_endpoint(value, &peer->endpoint);
		return LINE_OK;
	}
	if (strcmp(key, "preshared_key") == 0)
		return wg_key_parse_hex(value, &peer->preshared_key) ? LINE_OK : LINE_MALFORMED;
	return parse_peer_number(peer, key, value);
}

static LineResult
parse_line(WgDevice *dev, WgPeer **current, const char *key, const char *value)
{
	WgKey public_key;

	if (strcmp(key, "public_key") == 0) {
		if (!wg_key_parse_hex(value, &public_key))
			return LINE_MALFORMED;
		*current = wg_peer_new();
		(*current)->public_key = public_key;
		g_ptr_array_add(dev->peers, *current);
		return LINE_OK;
	}
	if (*current)
		return parse_peer_line(*current, key, value);
	return parse_device_line(dev, key, value);
}

/* Cuts the next line off *text; NULL at the empty line that ends a message, or at its end. */
static char *
next_line(char **text)
{
	char *line = *text;
	char *newline = strchr(line, '\n');

	if (!newline || newline == line)
		return NULL;
	*newline = '\0';
	*text = newline + 1;
	return line;
}

/* "errno=0" is the last line of each answer; the sign differs between implementations. */
static gboolean
check_errno(const char *ifname, const char *value, GError **error)
{
	guint64 number;

	if (value[0] == '-')
		value++;
	if (!parse_unsigned(value, G_MAXINT, &number)) {
		g_set_error(error, WG_ERROR, WG_ERROR_PROTOCOL,
			    "%s/%s.sock: errno is no number: restart what serves it",
			    WG_UAPI_DIRECTORY, ifname);
		return FALSE;
	}
	if (number != 0) {
		g_set_error(error, WG_ERROR, WG_ERROR_FAILED,
			    "%s/%s.sock refused: %s (see the log of what serves it)",
			    WG_UAPI_DIRECTORY, ifname, g_strerror(number));
		return FALSE;
	}
	return TRUE;
}

/* Values are not shown: they may be keys. */
static void
set_malformed(const char *ifname, const char *what, GError **error)
{
	g_autofree char *name = g_strndup(what, 40);
	g_autofree char *printable = g_strescape(name, NULL);

	g_set_error(error, WG_ERROR, WG_ERROR_PROTOCOL,
		    "%s/%s.sock: malformed answer (%s): restart or update what serves it",
		    WG_UAPI_DIRECTORY, ifname, printable);
}

WgDevice *
wg_uapi_parse(const char *ifname, char *text, GError **error)
{
	g_autoptr(WgDevice) dev = wg_device_new(ifname);
	WgPeer *current = NULL;
	char *line, *value;

	dev->backend = WG_BACKEND_USERSPACE;
	while ((line = next_line(&text))) {
		value = strchr(line, '=');
		if (!value) {
			set_malformed(ifname, "a line without '='", error);
			return NULL;
		}
		*value++ = '\0';
		if (strcmp(line, "errno") == 0)
			return check_errno(ifname, value, error) ? g_steal_pointer(&dev) : NULL;
		if (parse_line(dev, &current, line, value) == LINE_MALFORMED) {
			set_malformed(ifname, line, error);
			return NULL;
		}
	}
	set_malformed(ifname, "no errno at its end", error);
	return NULL;
}

gboolean
wg_uapi_parse_result(const char *ifname, char *text, GError **error)
{
	char *line;

	while ((line = next_line(&text)))
		if (g_str_has_prefix(line, "errno="))
			return check_errno(ifname, line + strlen("errno="), error);
	set_malformed(ifname, "no errno at its end", error);
	return FALSE;
}

static void
format_key(GString *out, const char *name, const WgKey *key)
{
	char hex[WG_KEY_HEXLEN];

	g_string_append_printf(out, "%s=%s\n", name, wg_key_format_hex(key, hex));
	explicit_bzero(hex, sizeof hex);
}

static void
format_entry(GString *out, const WgPlanEntry *entry)
{
	char buf[WG_ENDPOINT_STRLEN];

	format_key(out, "public_key", &entry->public_key);
	if (entry->flags & WG_ENTRY_REMOVE)
		g_string_append(out, "remove=true\n");
	if (entry->flags & WG_ENTRY_UPDATE_ONLY)
		g_string_append(out, "update_only=true\n");
	if (entry->flags & WG_ENTRY_PSK)
		format_key(out, "preshared_key", &entry->preshared_key);
	if (entry->flags & WG_ENTRY_ENDPOINT)
		g_string_append_printf(out, "endpoint=%s\n",
				       wg_endpoint_format(&entry->endpoint, buf));
	if (entry->flags & WG_ENTRY_KEEPALIVE)
		g_string_append_printf(out, "persistent_keepalive_interval=%u\n", entry->keepalive);
	if (entry->flags & WG_ENTRY_REPLACE_ALLOWED_IPS)
		g_string_append(out, "replace_allowed_ips=true\n");
	for (gsize i = 0; i < entry->n_allowed_ips; i++) {
		g_autofree char *ip = wg_allowed_ip_format(&entry->allowed_ips[i]);

		g_string_append_printf(out, "allowed_ip=%s\n", ip);
	}
}

/* Enough for the whole text, so that growing leaves no copies of keys behind. */
static gsize
estimate_size(const WgPlan *plan)
{
	gsize size = 256;

	for (guint i = 0; i < plan->entries->len; i++)
		size += 384 + 64 * g_array_index(plan->entries, WgPlanEntry, i).n_allowed_ips;
	return size;
}

GString *
wg_uapi_format_set(const WgPlan *plan)
{
	GString *out = g_string_sized_new(estimate_size(plan));

	g_string_append(out, "set=1\n");

	if (plan->private_key)
		format_key(out, "private_key", plan->private_key);
	if (plan->listen_port)
		g_string_append_printf(out, "listen_port=%u\n", *plan->listen_port);
	if (plan->fwmark)
		g_string_append_printf(out, "fwmark=%u\n", *plan->fwmark);
	for (guint i = 0; i < plan->entries->len; i++)
		format_entry(out, &g_array_index(plan->entries, WgPlanEntry, i));
	g_string_append_c(out, '\n');
	return out;
}
