/* SPDX-License-Identifier: MIT */
/* What an installation says to its user, and what it reads in a state. */
#include "agent/innernet/inn-install-private.h"

#include <string.h>

#include "agent/base/nat-json.h"
#include "agent/base/nat-log.h"

gboolean
inn_install_fail(GError **error, GIOErrorEnum code, const char *format, ...)
{
	g_autofree char *text = NULL;
	va_list args;

	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	g_set_error_literal(error, G_IO_ERROR, (int)code, text);
	return FALSE;
}

void
inn_install_say(const InnInstall *install, const char *format, ...)
{
	g_autofree char *text = NULL;
	va_list args;

	if (!install->params->say)
		return;
	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	install->params->say(text, install->params->user_data);
}

/* What went wrong, in one line. */

static char *
tried_addresses(const InnInstall *install)
{
	g_autoptr(GString) out = g_string_new(NULL);
	char buf[WG_ENDPOINT_STRLEN];

	for (guint i = 0; i < install->addrs->len; i++)
		g_string_append_printf(
			out, "%s%s", i > 0 ? ", " : "",
			wg_endpoint_format(&g_array_index(install->addrs, WgEndpoint, i), buf));
	return g_string_free(g_steal_pointer(&out), FALSE);
}

static gboolean
fail_unreachable(const InnInstall *install, GError **error)
{
	g_autofree char *tried = tried_addresses(install);
	gboolean v6 = strchr(install->invite->server_host, ':') != NULL;

	return inn_install_fail(
		error, G_IO_ERROR_TIMED_OUT,
		v6 ? "no WireGuard handshake with the server [%s]:%u (tried %s, %u s each): %s"
		   : "no WireGuard handshake with the server %s:%u (tried %s, %u s each): %s",
		install->invite->server_host, install->invite->server_port, tried, INN_HANDSHAKE_S,
		install->redeem.entered
			? "the key is registered and stored; run this again, or bring the "
			  "interface up, when UDP gets through"
			: "is it running, and does UDP get through? It does not answer an "
			  "invitation either that was redeemed or withdrawn. Nothing is lost: "
			  "run this again");
}

gboolean
inn_install_fail_redeem(const InnInstall *install, GError **error)
{
	const InnRedeem *redeem = &install->redeem;
	char buf[WG_ENDPOINT_STRLEN];
	const char *server = wg_endpoint_format(&install->invite->server_internal, buf);

	switch (redeem->why) {
	case INN_REDEEM_UNREACHABLE:
		return fail_unreachable(install, error);
	case INN_REDEEM_SILENT:
		return inn_install_fail(
			error, G_IO_ERROR_TIMED_OUT,
			"the server shakes hands, but its API at %s does not answer: %s. "
			"Nothing is lost: run this again when it does",
			server, install->cause ? install->cause : "no answer");
	case INN_REDEEM_TAKEN:
		return inn_install_fail(
			error, G_IO_ERROR_PERMISSION_DENIED,
			"the invitation was redeemed already, with another key, as on another "
			"host: ask for a new invitation");
	case INN_REDEEM_EXPIRED:
		return inn_install_fail(
			error, G_IO_ERROR_PERMISSION_DENIED,
			"the server at %s does not take the invitation any more (401): it has "
			"expired, or its member is disabled; ask for a new invitation",
			server);
	case INN_REDEEM_DISABLED:
		return inn_install_fail(
			error, G_IO_ERROR_PERMISSION_DENIED,
			"the server at %s knows our key and refuses it (401): the member is "
			"disabled; have it enabled and run this again",
			server);
	case INN_REDEEM_STRANGE:
		break;
	}
	return inn_install_fail(
		error, G_IO_ERROR_INVALID_DATA,
		"the server at %s answered what no innernet server does (%u%s): nothing is "
		"lost; see its log, and run this again",
		server, redeem->status, redeem->status == 200 ? ", a state without us" : "");
}

char *
inn_install_summary(const InnInstall *install)
{
	const InnConf *own = install->files->own;
	g_autofree char *path = nat_log_escape(install->files->path, -1);
	g_autofree char *dir = nat_log_escape(install->params->dir, -1);
	gboolean usual = strcmp(install->params->dir, INN_CONF_DIR) == 0;
	char ip[WG_ENDPOINT_STRLEN];

	wg_endpoint_format_address(&own->address, ip);
	return g_strdup_printf("%s (%s) is a member of the network now: %s\n"
			       "The interface %s is up and reaches the server. Next, either let "
			       "nat-agent look after it,\n"
			       "by two lines in its configuration file,\n"
			       "\n"
			       "    [interface %s]\n"
			       "    innernet=yes\n"
			       "\n"
			       "or innernet's own client: innernet%s%s up %s\n",
			       install->name ? install->name : install->ifname, ip, path,
			       install->ifname, install->ifname, usual ? "" : " --config-dir ",
			       usual ? "" : dir, install->ifname);
}

/* A state. */

static gboolean
read_record(JsonObject *peer, const WgEndpoint *address, char **name, WgKey *key)
{
	const char *ip = NULL, *public_key = NULL, *its_name = NULL;
	WgEndpoint found;

	if (!nat_json_get_string(peer, "ip", &ip, NULL) || !ip ||
	    !wg_endpoint_parse_address(ip, 0, &found) || !wg_endpoint_same_address(&found, address))
		return FALSE;
	if (!nat_json_get_string(peer, "public_key", &public_key, NULL) || !public_key ||
	    !wg_key_parse(public_key, key) || !nat_json_get_string(peer, "name", &its_name, NULL))
		return FALSE;
	*name = nat_log_escape(its_name ? its_name : ip, -1);
	return TRUE;
}

gboolean
inn_install_find_record(const char *body, gsize len, const WgEndpoint *address, char **name,
			WgKey *key)
{
	g_autoptr(JsonNode) node = nat_json_parse(body, len, NULL);
	JsonArray *peers = NULL;

	if (!node || !nat_json_get_array(json_node_get_object(node), "peers", &peers, NULL) ||
	    !peers)
		return FALSE;
	for (guint i = 0; i < json_array_get_length(peers); i++) {
		JsonNode *peer = json_array_get_element(peers, i);

		if (JSON_NODE_HOLDS_OBJECT(peer) &&
		    read_record(json_node_get_object(peer), address, name, key))
			return TRUE;
	}
	return FALSE;
}
