/* SPDX-License-Identifier: MIT */
#include "agent/session/nat-signal-url.h"

#include <gio/gio.h>
#include <string.h>

#include "agent/base/nat-log.h"
#include "signaling/sig-login.h"
#include "signaling/sig-wire.h"

#define HOST_CHARS G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS ".-_:"

/* As libsoup will parse it. */
#define URI_FLAGS                                                                                  \
	(G_URI_FLAGS_HAS_PASSWORD | G_URI_FLAGS_ENCODED_PATH | G_URI_FLAGS_ENCODED_QUERY |         \
	 G_URI_FLAGS_ENCODED_FRAGMENT | G_URI_FLAGS_SCHEME_NORMALIZE)

/* NULL, or what is wrong with it. */
static const char *
complaint(GUri *uri)
{
	const char *scheme = uri ? g_uri_get_scheme(uri) : "";
	const char *host = uri ? g_uri_get_host(uri) : NULL;

	if (!g_str_equal(scheme, "ws") && !g_str_equal(scheme, "wss"))
		return "write ws://HOST[:PORT] or wss://HOST[:PORT]";
	if (!host || host[0] == '\0')
		return "the host is missing: write ws://HOST[:PORT] or wss://HOST[:PORT]";
	if (strspn(host, HOST_CHARS) != strlen(host))
		return "the host has a character that names don't have";
	if (strlen(host) > SIG_WIRE_AUTHORITY_MAX - strlen("[]:65535"))
		return "the host is too long";
	if (g_uri_get_port(uri) == 0)
		return "port 0 cannot be dialled";
	if (g_uri_get_userinfo(uri))
		return "there is no user or password: the WireGuard key logs in";
	if (g_uri_get_fragment(uri))
		return "leave out what follows #";
	return NULL;
}

NatSignalUrl *
nat_signal_url_parse(const char *text, GError **error)
{
	g_autoptr(GUri) uri = g_uri_parse(text, URI_FLAGS, NULL);
	const char *wrong = complaint(uri);
	NatSignalUrl *url;
	int port;

	if (wrong) {
		g_autofree char *shown = nat_log_escape(text, -1);

		g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
			    "\"%s\" is not a signaling URL: %s", shown, wrong);
		return NULL;
	}
	port = g_uri_get_port(uri);
	if (port < 0)
		port = g_str_equal(g_uri_get_scheme(uri), "wss") ? 443 : 80;
	url = g_new0(NatSignalUrl, 1);
	url->url = g_strdup(text);
	url->host = g_ascii_strdown(g_uri_get_host(uri), -1);
	url->port = (guint16)port;
	url->authority = sig_login_authority(url->host, url->port);
	return url;
}

void
nat_signal_url_free(NatSignalUrl *url)
{
	if (!url)
		return;
	g_free(url->url);
	g_free(url->host);
	g_free(url->authority);
	g_free(url);
}
