/* SPDX-License-Identifier: MIT */
#include "agent/relay/nat-turn-uri.h"

#include <gio/gio.h>
#include <sodium.h>
#include <string.h>

#include "agent/base/nat-log.h"
#include "agent/net/nat-resolve.h"

#define PORT 3478
#define TLS_PORT 5349
#define USERNAME_MAX 508 /* RFC 8489 §14.3 */
#define PASSWORD_MAX 508
#define HOST_MAX 255
#define HOST_CHARS G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS ".-_:"
#define FORM "turn:USER:SECRET@HOST[:PORT][?transport=udp|tcp] or turns:USER:SECRET@HOST[:PORT]"

static void
free_secret(char *text)
{
	if (text)
		sodium_memzero(text, strlen(text));
	g_free(text);
}

/* Only what follows '@' is ever shown: before it, or where it was forgotten, stands the secret. */
static NatTurnUri *
refuse(const char *server, const char *wrong, GError **error)
{
	g_autofree char *shown = nat_log_escape(server ? server : "…", -1);

	g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "the TURN server \"%s\": %s",
		    shown, wrong);
	return NULL;
}

static gboolean
is_text(const char *text, gsize max)
{
	if (text == NULL || text[0] == '\0' || strlen(text) > max ||
	    !g_utf8_validate(text, -1, NULL))
		return FALSE;
	for (const char *c = text; *c != '\0'; c++)
		if (g_ascii_iscntrl(*c))
			return FALSE;
	return TRUE;
}

/* "user:secret", percent-encoded. */
static const char *
read_credentials(NatTurnUri *uri, const char *info, gsize len)
{
	const char *colon = memchr(info, ':', len);
	gsize user_len;

	if (colon == NULL)
		return "a secret is missing: write USER:SECRET@HOST";
	user_len = (gsize)(colon - info);
	if (memchr(colon + 1, ':', len - user_len - 1) != NULL)
		return "user and secret are separated by one ':'; write %3A for another one";
	uri->username = g_uri_unescape_segment(info, colon, NULL);
	uri->password = g_uri_unescape_segment(colon + 1, info + len, NULL);
	if (!is_text(uri->username, USERNAME_MAX))
		return "the user is empty, too long or not percent-encoded text";
	if (!is_text(uri->password, PASSWORD_MAX))
		return "the secret is empty, too long or not percent-encoded text";
	return NULL;
}

static const char *
read_transport(NatTurnUri *uri, const char *query)
{
	gboolean tls = uri->transport == NAT_TURN_TLS;

	uri->tcp_too = query == NULL && !tls;
	if (query == NULL || (tls && g_str_equal(query, "transport=tcp")))
		return NULL;
	if (tls)
		return "turns: is TLS over TCP: leave out what follows '?'";
	if (g_str_equal(query, "transport=tcp"))
		uri->transport = NAT_TURN_TCP;
	else if (!g_str_equal(query, "transport=udp"))
		return "after '?' comes transport=udp or transport=tcp";
	return NULL;
}

/* HOST[:PORT] */
static const char *
read_host(NatTurnUri *uri, const char *text)
{
	guint16 port = uri->transport == NAT_TURN_TLS ? TLS_PORT : PORT;
	WgEndpoint numeric;

	if (!nat_resolve_split(text, port, &uri->host, &uri->port, NULL))
		return "the host is missing or the port is no number: write " FORM;
	if (strlen(uri->host) > HOST_MAX)
		return "the host is too long";
	if (strspn(uri->host, HOST_CHARS) != strlen(uri->host) ||
	    (strchr(uri->host, ':') && !wg_endpoint_parse_address(uri->host, 1, &numeric)))
		return "the host has a character that names don't have";
	return NULL;
}

static const char *
read_server(NatTurnUri *uri, const char *server)
{
	const char *query = strchr(server, '?');
	g_autofree char *host = query ? g_strndup(server, (gsize)(query - server)) : NULL;
	const char *wrong;

	wrong = read_transport(uri, query ? query + 1 : NULL);
	return wrong ? wrong : read_host(uri, host ? host : server);
}

NatTurnUri *
nat_turn_uri_parse(const char *text, GError **error)
{
	g_autoptr(NatTurnUri) uri = g_new0(NatTurnUri, 1);
	const char *at = strrchr(text, '@'), *server = at ? at + 1 : NULL, *wrong = NULL;
	gsize scheme;

	if (g_ascii_strncasecmp(text, "turn:", 5) == 0)
		scheme = 5;
	else if (g_ascii_strncasecmp(text, "turns:", 6) == 0)
		scheme = 6;
	else
		return refuse(server, "write " FORM, error);
	uri->transport = scheme == 6 ? NAT_TURN_TLS : NAT_TURN_UDP;
	if (g_str_has_prefix(text + scheme, "//"))
		wrong = "there is no // in it: write " FORM;
	else if (at)
		wrong = read_credentials(uri, text + scheme, (gsize)(at - text) - scheme);
	if (!wrong)
		wrong = read_server(uri, at ? server : text + scheme);
	if (wrong)
		return refuse(server, wrong, error);
	return g_steal_pointer(&uri);
}

NatTurnUri *
nat_turn_uri_copy(const NatTurnUri *uri)
{
	NatTurnUri *copy = g_new0(NatTurnUri, 1);

	*copy = *uri;
	copy->host = g_strdup(uri->host);
	copy->username = g_strdup(uri->username);
	copy->password = g_strdup(uri->password);
	return copy;
}

void
nat_turn_uri_free(NatTurnUri *uri)
{
	if (!uri)
		return;
	g_free(uri->host);
	free_secret(uri->username);
	free_secret(uri->password);
	g_free(uri);
}

gboolean
nat_turn_uri_same_server(const NatTurnUri *a, const NatTurnUri *b)
{
	return a->port == b->port && a->transport == b->transport &&
	       g_ascii_strcasecmp(a->host, b->host) == 0;
}

char *
nat_turn_uri_format(const NatTurnUri *uri)
{
	gboolean v6 = strchr(uri->host, ':') != NULL;

	return g_strdup_printf("%s:%s%s%s:%u%s", uri->transport == NAT_TURN_TLS ? "turns" : "turn",
			       v6 ? "[" : "", uri->host, v6 ? "]" : "", uri->port,
			       uri->transport == NAT_TURN_UDP	? "?transport=udp"
			       : uri->transport == NAT_TURN_TCP ? "?transport=tcp"
								: "");
}
