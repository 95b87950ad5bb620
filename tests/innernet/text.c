/* SPDX-License-Identifier: MIT */
#include "text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gio/gio.h>
#include <string.h>

#define NAME_MAX_LEN 63

static char *
print_v6(const guint8 bytes[16])
{
	GString *out = g_string_new("[");
	int best = -1, best_len = 1;

	for (int i = 0; i < 8; i++) {
		int n = 0;

		while (i + n < 8 && bytes[2 * (i + n)] == 0 && bytes[2 * (i + n) + 1] == 0)
			n++;
		if (n > best_len) {
			best = i;
			best_len = n;
		}
	}
	for (int i = 0; i < 8; i++) {
		if (i == best) {
			g_string_append(out, i == 0 ? "::" : ":");
			i += best_len - 1;
			continue;
		}
		g_string_append_printf(out, "%x%s", bytes[2 * i] << 8 | bytes[2 * i + 1],
				       i < 7 ? ":" : "");
	}
	g_string_append_c(out, ']');
	return g_string_free(out, FALSE);
}

/* One part of an IPv4 address: decimal, 0 and octal, 0x and hex; an empty hex number is 0. */
static gboolean
read_part(const char *part, guint64 *out)
{
	const char *digits = part;
	guint base = 10;
	char *end = NULL;

	if (*part == 0)
		return FALSE;
	if (part[0] == '0' && (part[1] == 'x' || part[1] == 'X')) {
		base = 16;
		digits = part + 2;
	} else if (part[0] == '0' && part[1] != 0) {
		base = 8;
		digits = part + 1;
	}
	*out = 0;
	if (*digits == 0)
		return TRUE;
	if (!g_ascii_isxdigit(*digits))
		return FALSE;
	errno = 0;
	*out = g_ascii_strtoull(digits, &end, base);
	if (base == 16 && (digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X')))
		return FALSE;
	return *end == 0 && errno == 0;
}

static gboolean
only_digits(const char *text)
{
	return *text != 0 && strspn(text, "0123456789") == strlen(text);
}

/* The last part decides whether a host is an IPv4 address or a name. */
static gboolean
ends_in_number(char **parts, guint n)
{
	guint64 value;

	if (n > 1 && parts[n - 1][0] == 0)
		n--;
	if (only_digits(parts[n - 1]))
		return TRUE;
	return g_ascii_strncasecmp(parts[n - 1], "0x", 2) == 0 && read_part(parts[n - 1], &value);
}

static char *
read_v4(char **parts, guint n)
{
	guint64 value[4], address = 0;

	if (n > 1 && parts[n - 1][0] == 0)
		n--;
	if (n > 4)
		return NULL;
	for (guint i = 0; i < n; i++)
		if (!read_part(parts[i], &value[i]))
			return NULL;
	for (guint i = 0; i + 1 < n; i++) {
		if (value[i] > 255)
			return NULL;
		address |= value[i] << (24 - 8 * i);
	}
	if (value[n - 1] >= G_GUINT64_CONSTANT(1) << (8 * (5 - n)))
		return NULL;
	address |= value[n - 1];
	return g_strdup_printf("%u.%u.%u.%u", (guint)(address >> 24), (guint)(address >> 16 & 255),
			       (guint)(address >> 8 & 255), (guint)(address & 255));
}

static char *
read_v6(const char *host)
{
	gsize len = strlen(host);
	g_autofree char *inside = NULL;
	guint8 bytes[16];

	if (len < 2 || host[len - 1] != ']')
		return NULL;
	inside = g_strndup(host + 1, len - 2);
	return inet_pton(AF_INET6, inside, bytes) == 1 ? print_v6(bytes) : NULL;
}

static char *
read_name(const char *host)
{
	g_autofree char *decoded = g_uri_unescape_string(host, NULL);
	g_autofree char *lower = NULL;
	g_auto(GStrv) parts = NULL;

	if (decoded == NULL || !g_utf8_validate(decoded, -1, NULL))
		return NULL;
	lower = g_str_is_ascii(decoded) ? g_ascii_strdown(decoded, -1)
					: g_hostname_to_ascii(decoded);
	if (lower == NULL || *lower == 0)
		return NULL;
	for (const char *p = lower; *p != 0; p++)
		if (*p <= ' ' || *p == 0x7f || strchr("#/:<>?@[\\]^|%", *p) != NULL)
			return NULL;
	parts = g_strsplit(lower, ".", -1);
	if (ends_in_number(parts, g_strv_length(parts)))
		return read_v4(parts, g_strv_length(parts));
	return g_steal_pointer(&lower);
}

/* As Rust reads an u16: a '+' is fine, and zeros in front. */
static gboolean
read_port(const char *text, guint *out)
{
	if (*text == '+')
		text++;
	if (!only_digits(text))
		return FALSE;
	while (text[0] == '0' && text[1] != 0)
		text++;
	if (strlen(text) > 5)
		return FALSE;
	*out = (guint)g_ascii_strtoull(text, NULL, 10);
	return *out <= G_MAXUINT16;
}

char *
text_endpoint(const char *text)
{
	const char *colon = strrchr(text, ':');
	g_autofree char *host = NULL, *printed = NULL;
	guint port;

	if (colon == NULL || !read_port(colon + 1, &port))
		return NULL;
	host = g_strndup(text, colon - text);
	printed = host[0] == '[' ? read_v6(host) : read_name(host);
	return printed == NULL ? NULL : g_strdup_printf("%s:%u", printed, port);
}

char *
text_endpoint_print(const WgEndpoint *ep)
{
	gsize len;
	const guint8 *bytes = wg_endpoint_bytes(ep, &len);
	g_autofree char *host = NULL;
	char buf[WG_ENDPOINT_STRLEN];

	if (bytes == NULL)
		return NULL;
	host = len == 16 ? print_v6(bytes) : g_strdup(wg_endpoint_format_address(ep, buf));
	return g_strdup_printf("%s:%u", host, wg_endpoint_port(ep));
}

gboolean
text_endpoint_is_unspecified(const char *endpoint)
{
	return g_str_has_prefix(endpoint, "0.0.0.0:") || g_str_has_prefix(endpoint, "[::]:");
}

guint16
text_endpoint_port(const char *endpoint)
{
	return (guint16)g_ascii_strtoull(strrchr(endpoint, ':') + 1, NULL, 10);
}

gboolean
text_endpoint_resolve(const char *endpoint, WgEndpoint *out)
{
	const char *colon = strrchr(endpoint, ':');
	g_autofree char *host = g_strndup(endpoint, colon - endpoint);
	g_autoptr(GResolver) resolver = NULL;
	g_autolist(GInetAddress) list = NULL;
	GInetAddress *first;

	if (wg_endpoint_parse(endpoint, out))
		return TRUE;
	resolver = g_resolver_get_default();
	list = g_resolver_lookup_by_name(resolver, host, NULL, NULL);
	if (list == NULL)
		return FALSE;
	first = list->data;
	return wg_endpoint_from_bytes(out, g_inet_address_to_bytes(first),
				      g_inet_address_get_native_size(first),
				      text_endpoint_port(endpoint));
}

gboolean
text_is_name(const char *text)
{
	gsize len = strlen(text);

	if (len == 0 || len > NAME_MAX_LEN || text[0] == '-' || text[len - 1] == '-')
		return FALSE;
	return strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == len &&
	       strstr(text, "--") == NULL;
}

gboolean
text_net_parse(const char *text, TextNet *out)
{
	g_auto(GStrv) parts = g_strsplit(text, "/", -1);
	guint prefix;

	if (g_strv_length(parts) != 2 || !wg_endpoint_parse_address(parts[0], 0, &out->address) ||
	    !only_digits(parts[1]) || !read_port(parts[1], &prefix))
		return FALSE;
	out->prefix = (guint8)prefix;
	return prefix <= (wg_endpoint_family(&out->address) == AF_INET ? 32 : 128);
}

char *
text_net_print(const TextNet *net)
{
	char buf[WG_ENDPOINT_STRLEN];

	return g_strdup_printf("%s/%u", wg_endpoint_format_address(&net->address, buf),
			       net->prefix);
}

void
text_net_truncate(TextNet *net)
{
	gsize len;
	guint8 *bytes = (guint8 *)wg_endpoint_bytes(&net->address, &len);

	for (guint i = net->prefix; bytes != NULL && i < 8 * len; i++)
		bytes[i / 8] &= (guint8) ~(0x80 >> i % 8);
}

static gboolean
same_bits(const guint8 *a, const guint8 *b, guint n)
{
	guint rest = n % 8;

	if (memcmp(a, b, n / 8) != 0)
		return FALSE;
	return rest == 0 || (a[n / 8] ^ b[n / 8]) >> (8 - rest) == 0;
}

gboolean
text_net_contains(const TextNet *net, const WgEndpoint *address)
{
	gsize net_len, len;
	const guint8 *a = wg_endpoint_bytes(&net->address, &net_len);
	const guint8 *b = wg_endpoint_bytes(address, &len);

	return a != NULL && b != NULL && net_len == len && same_bits(a, b, net->prefix);
}

/* Whether all bits behind the prefix are `bit`. */
static gboolean
host_bits_are(const TextNet *net, const WgEndpoint *address, guint bit)
{
	gsize len;
	const guint8 *bytes = wg_endpoint_bytes(address, &len);

	for (guint i = net->prefix; i < 8 * len; i++)
		if ((bytes[i / 8] >> (7 - i % 8) & 1) != bit)
			return FALSE;
	return TRUE;
}

gboolean
text_net_is_assignable(const TextNet *net, const WgEndpoint *address)
{
	gboolean v4 = wg_endpoint_family(address) == AF_INET;

	if (!text_net_contains(net, address))
		return FALSE;
	if (net->prefix >= (v4 ? 31 : 127))
		return TRUE;
	return !host_bits_are(net, address, 0) && !(v4 && host_bits_are(net, address, 1));
}

gboolean
text_net_overlaps(const TextNet *a, const TextNet *b)
{
	return a->prefix <= b->prefix ? text_net_contains(a, &b->address)
				      : text_net_contains(b, &a->address);
}
