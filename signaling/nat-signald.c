/* SPDX-License-Identifier: MIT */
/* nat-signald: where agents meet. All of it is in sig-*.c; see README.md and PROTOCOL.md. */
#include <locale.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "signaling/sig-inherit.h"
#include "signaling/sig-log.h"
#include "signaling/sig-server.h"
#include "signaling/sig-turn.h"

/* A flag or a configuration that makes no sense, as nat-agent has it too. */
#define EXIT_USAGE 2

typedef struct {
	char *file, *turn_secret_file;
	char *tls_cert, *tls_key, *allow_file, *allow_wg, *metrics;
	GStrv listen, stun, stun_external, names, turn_uris;
	gboolean log_addresses, version;
} Options;

static gboolean
parse_options(Options *options, int *argc, char ***argv, GError **error)
{
	const GOptionEntry entries[] = {
		{"config", 'c', 0, G_OPTION_ARG_FILENAME, &options->file,
		 "Read this file; the command line wins over it", "FILE"},
		{"listen", 0, 0, G_OPTION_ARG_STRING_ARRAY, &options->listen,
		 "Serve WebSocket here; may be repeated (default 0.0.0.0:8080 and [::]:8080; with "
		 "TLS "
		 "port 443)",
		 "ADDR:PORT"},
		{"stun", 0, 0, G_OPTION_ARG_STRING_ARRAY, &options->stun,
		 "Answer STUN on this UDP port and the next; may be repeated, or \"none\" "
		 "(default: port 3478 of the listening addresses). Two addresses with one port let "
		 "clients find out how their NAT filters (RFC 5780)",
		 "ADDR:PORT"},
		{"stun-external", 0, 0, G_OPTION_ARG_STRING_ARRAY, &options->stun_external,
		 "Clients know this STUN address by that one (one-to-one NAT); may be repeated",
		 "LOCAL=PUBLIC"},
		{"name", 0, 0, G_OPTION_ARG_STRING_ARRAY, &options->names,
		 "A name agents dial this server by; may be repeated. Others are refused",
		 "HOST[:PORT]"},
		{"turn-uri", 0, 0, G_OPTION_ARG_STRING_ARRAY, &options->turn_uris,
		 "A relay agents may use, like turn:relay.example:3478?transport=udp; may be "
		 "repeated",
		 "URI"},
		{"turn-secret-file", 0, 0, G_OPTION_ARG_FILENAME, &options->turn_secret_file,
		 "Make the relays' credentials from coturn's static-auth-secret in this file",
		 "FILE"},
		{"tls-cert", 0, 0, G_OPTION_ARG_FILENAME, &options->tls_cert,
		 "Serve TLS with this certificate and those that signed it (PEM)", "FILE"},
		{"tls-key", 0, 0, G_OPTION_ARG_FILENAME, &options->tls_key,
		 "The certificate's private key (PEM, not encrypted)", "FILE"},
		{"allow-file", 0, 0, G_OPTION_ARG_FILENAME, &options->allow_file,
		 "Let in only the keys of this list, one a line, in [NETWORK]s that do not see "
		 "each "
		 "other",
		 "FILE"},
		{"allow-wg", 0, 0, G_OPTION_ARG_STRING, &options->allow_wg,
		 "Let in only the peers of this WireGuard interface, through their tunnels",
		 "INTERFACE"},
		{"metrics", 0, 0, G_OPTION_ARG_STRING, &options->metrics,
		 "Serve /metrics (Prometheus) and /healthz here by HTTP, or \"none\" (default "
		 "127.0.0.1:9478)",
		 "ADDR:PORT"},
		{"log-addresses", 0, 0, G_OPTION_ARG_NONE, &options->log_addresses,
		 "Write clients' addresses into the log", NULL},
		{"version", 0, 0, G_OPTION_ARG_NONE, &options->version, "Say the version", NULL},
		{NULL},
	};
	g_autoptr(GOptionContext) context = g_option_context_new(NULL);

	g_option_context_set_summary(context, "The signaling and STUN server of nat-agent.");
	g_option_context_add_main_entries(context, entries, NULL);
	if (!g_option_context_parse(context, argc, argv, error))
		return FALSE;
	if (*argc > 1)
		g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED,
			    "%s: not understood; see nat-signald --help", (*argv)[1]);
	return *argc == 1;
}

static void
clear_options(Options *options)
{
	g_free(options->file);
	g_strfreev(options->listen);
	g_strfreev(options->stun);
	g_strfreev(options->stun_external);
	g_strfreev(options->names);
	g_strfreev(options->turn_uris);
	g_free(options->turn_secret_file);
	g_free(options->tls_cert);
	g_free(options->tls_key);
	g_free(options->allow_file);
	g_free(options->allow_wg);
	g_free(options->metrics);
}

/* *out stays NULL when the configuration names no relay. */
static gboolean
load_turn(const SigConfig *config, SigTurn **out, GError **error)
{
	gboolean readable = FALSE;
	char *secret;

	if (!config->turn_uris)
		return TRUE;
	secret = sig_turn_read_secret(config->turn_secret_file, &readable, error);
	if (!secret)
		return FALSE;
	/* A group is often how it is shared with coturn. */
	if (readable)
		g_warning("%s: every user of this machine may read it, and use the relay without "
			  "limit: chmod o= it",
			  config->turn_secret_file);
	*out = sig_turn_new((const char *const *)config->turn_uris, secret, config->turn_ttl);
	sodium_memzero(secret, strlen(secret));
	g_free(secret);
	return TRUE;
}

static int
serve(const Options *options, const char *const *argv, GError **error)
{
	const SigArgs args = {
		.listen = (const char *const *)options->listen,
		.stun = (const char *const *)options->stun,
		.stun_external = (const char *const *)options->stun_external,
		.names = (const char *const *)options->names,
		.turn_uris = (const char *const *)options->turn_uris,
		.turn_secret_file = options->turn_secret_file,
		.tls_cert = options->tls_cert,
		.tls_key = options->tls_key,
		.allow_file = options->allow_file,
		.allow_wg = options->allow_wg,
		.metrics = options->metrics,
		.log_addresses = options->log_addresses,
	};
	g_autoptr(SigConfig) config = sig_config_load(options->file, &args, error);
	g_autoptr(SigTurn) turn = NULL;
	g_autoptr(SigServer) server = NULL;

	if (!config || !load_turn(config, &turn, error) || !sig_inherit_init(error))
		return EXIT_USAGE;
	server = sig_server_new(config, turn, argv, error);
	if (!server)
		return EXIT_FAILURE;
	sig_server_run(server);
	return EXIT_SUCCESS;
}

int
main(int argc, char **argv)
{
	Options options = {0};
	g_autoptr(GError) error = NULL;
	g_auto(GStrv) command = g_strdupv(argv);
	int status = EXIT_USAGE;

	setlocale(LC_ALL, "");
	sig_log_init();
	if (sodium_init() < 0)
		g_error("libsodium does not start");
	if (!parse_options(&options, &argc, &argv, &error)) {
		sig_log_error(error);
	} else if (options.version) {
		g_print("nat-signald %s\n", NAT_VERSION);
		status = EXIT_SUCCESS;
	} else {
		status = serve(&options, (const char *const *)command, &error);
		if (error)
			sig_log_error(error);
	}
	clear_options(&options);
	return status;
}
