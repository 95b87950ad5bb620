/* SPDX-License-Identifier: MIT */
#include "signaling/sig-config.h"

#include <gio/gio.h>
#include <string.h>

#include "signaling/sig-auth.h"
#include "signaling/sig-stun-address.h"
#include "signaling/sig-turn.h"

#define TURN_TTL_DEFAULT 3600

typedef struct {
	const char *key;
	gsize offset;
	guint value, min, max;
} Limit;

#define LIMIT(key, member, value, min, max)                                                        \
	{                                                                                          \
		key, G_STRUCT_OFFSET(SigLimits, member), value, min, max                           \
	}

static const Limit limit_table[] = {
	LIMIT("interest", interest, 2048, 1, 1 << 20),
	LIMIT("interest-per-address", interest_per_address, 1 << 19, 0, 1 << 30),
	LIMIT("interest-total", interest_total, 1 << 22, 0, 1 << 30),
	LIMIT("queue", queue, 65536, 32768, 1 << 26),
	LIMIT("login-timeout", login_timeout, 10, 1, 3600),
	LIMIT("unauthenticated", unauthenticated, 1024, 1, 1 << 20),
	LIMIT("unauthenticated-per-address", unauthenticated_per_address, 64, 1, 1 << 20),
	LIMIT("connections", connections, 16384, 1, 1 << 20),
	LIMIT("connections-per-address", connections_per_address, 4096, 0, 1 << 20),
	LIMIT("rate", rate, 200, 0, 1 << 20),
	LIMIT("burst", burst, 4096, 32, 1 << 24),
	LIMIT("destination-rate", destination_rate, 1000, 0, 1 << 20),
	LIMIT("destination-burst", destination_burst, 8192, 1, 1 << 24),
	LIMIT("address-rate", address_rate, 4000, 0, 1 << 20),
	LIMIT("address-burst", address_burst, 65536, 1, 1 << 24),
	LIMIT("connect-rate", connect_rate, 50, 0, 1 << 20),
	LIMIT("connect-burst", connect_burst, 1024, 1, 1 << 24),
	LIMIT("ping", ping, 30, 1, 3600),
	LIMIT("pong", pong, 15, 1, 3600),
	LIMIT("drain", drain, 30, 1, 3600),
	LIMIT("stun-rate", stun_rate, 500, 0, 1 << 20),
	LIMIT("stun-burst", stun_burst, 2000, 16, 1 << 24),
};

static guint *
limit_value(SigLimits *limits, const Limit *limit)
{
	return (guint *)((char *)limits + limit->offset);
}

/* ---- the file ---- */

static gboolean
parse_limit(SigConfig *config, GKeyFile *file, const char *key, const char *name, GError **error)
{
	for (guint i = 0; i < G_N_ELEMENTS(limit_table); i++) {
		const Limit *limit = &limit_table[i];
		g_autofree char *text = NULL;
		guint64 value;

		if (strcmp(limit->key, key) != 0)
			continue;
		text = g_key_file_get_value(file, "limits", key, NULL);
		if (!text || !g_ascii_string_to_unsigned(g_strstrip(text), 10, limit->min,
							 limit->max, &value, NULL)) {
			g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
				    "%s: [limits] %s=%s: must be a number from %u to %u", name, key,
				    text ? text : "", limit->min, limit->max);
			return FALSE;
		}
		*limit_value(&config->limits, limit) = value;
		return TRUE;
	}
	g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
		    "%s: [limits] %s: no such key; see nat-signald(8) for the list", name, key);
	return FALSE;
}

static gboolean
parse_limits(SigConfig *config, GKeyFile *file, const char *name, GError **error)
{
	g_auto(GStrv) keys = g_key_file_get_keys(file, "limits", NULL, NULL);

	for (guint i = 0; keys && keys[i]; i++)
		if (!parse_limit(config, file, keys[i], name, error))
			return FALSE;
	return TRUE;
}

/* What [signald] may hold, as it was found; the command line's come first. */
typedef struct {
	GStrv listen, stun, stun_external, names, turn_uris;
	char *turn_secret_file, *turn_ttl;
	char *tls_cert, *tls_key;
	char *allow_file, *allow_wg;
	char *metrics, *log_addresses;
} Texts;

typedef struct {
	const char *key;
	gboolean list;
	gsize offset;
} Key;

#define LIST(key, member)                                                                          \
	{                                                                                          \
		key, TRUE, G_STRUCT_OFFSET(Texts, member)                                          \
	}
#define WORD(key, member)                                                                          \
	{                                                                                          \
		key, FALSE, G_STRUCT_OFFSET(Texts, member)                                         \
	}

static const Key key_table[] = {
	LIST("listen", listen),
	LIST("stun", stun),
	LIST("stun-external", stun_external),
	LIST("name", names),
	LIST("turn-uri", turn_uris),
	WORD("turn-secret-file", turn_secret_file),
	WORD("turn-ttl", turn_ttl),
	WORD("tls-cert", tls_cert),
	WORD("tls-key", tls_key),
	WORD("allow-file", allow_file),
	WORD("allow-wg", allow_wg),
	WORD("metrics", metrics),
	WORD("log-addresses", log_addresses),
};

const char *
sig_config_nth_key(guint n, const char **group)
{
	if (n < G_N_ELEMENTS(key_table)) {
		*group = "signald";
		return key_table[n].key;
	}
	n -= G_N_ELEMENTS(key_table);
	*group = "limits";
	return n < G_N_ELEMENTS(limit_table) ? limit_table[n].key : NULL;
}

static gpointer *
text_of(Texts *texts, const Key *key)
{
	return (gpointer *)((char *)texts + key->offset);
}

static void
clear_texts(Texts *texts)
{
	for (guint i = 0; i < G_N_ELEMENTS(key_table); i++) {
		if (key_table[i].list)
			g_strfreev(*text_of(texts, &key_table[i]));
		else
			g_free(*text_of(texts, &key_table[i]));
	}
}

static void
take_args(Texts *texts, const SigArgs *args)
{
	texts->listen = g_strdupv((GStrv)args->listen);
	texts->stun = g_strdupv((GStrv)args->stun);
	texts->stun_external = g_strdupv((GStrv)args->stun_external);
	texts->names = g_strdupv((GStrv)args->names);
	texts->turn_uris = g_strdupv((GStrv)args->turn_uris);
	texts->turn_secret_file = g_strdup(args->turn_secret_file);
	texts->tls_cert = g_strdup(args->tls_cert);
	texts->tls_key = g_strdup(args->tls_key);
	texts->allow_file = g_strdup(args->allow_file);
	texts->allow_wg = g_strdup(args->allow_wg);
	texts->metrics = g_strdup(args->metrics);
	texts->log_addresses = g_strdup(args->log_addresses ? "yes" : NULL);
}

static gboolean
unknown_key(const char *name, const char *key, GError **error)
{
	g_autoptr(GString) known = g_string_new(NULL);

	for (guint i = 0; i < G_N_ELEMENTS(key_table); i++)
		g_string_append_printf(known, "%s%s", i > 0 ? ", " : "", key_table[i].key);
	g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
		    "%s: [signald] %s: no such key; known are %s", name, key, known->str);
	return FALSE;
}

static gboolean
parse_key(Texts *texts, GKeyFile *file, const char *name, const char *key, GError **error)
{
	g_autoptr(GError) cause = NULL;
	const Key *found = NULL;
	gpointer *text;

	for (guint i = 0; i < G_N_ELEMENTS(key_table) && !found; i++)
		if (g_str_equal(key_table[i].key, key))
			found = &key_table[i];
	if (!found)
		return unknown_key(name, key, error);
	text = text_of(texts, found);
	if (*text)
		return TRUE;
	/* GLib gives a value together with an error: one that ends in a backslash is cut */
	*text = found->list
			? (gpointer)g_key_file_get_string_list(file, "signald", key, NULL, &cause)
			: g_key_file_get_string(file, "signald", key, &cause);
	if (!cause)
		return TRUE;
	g_propagate_prefixed_error(error, g_steal_pointer(&cause), "%s: [signald] %s: ", name, key);
	return FALSE;
}

static gboolean
parse_signald(Texts *texts, GKeyFile *file, const char *name, GError **error)
{
	g_auto(GStrv) keys = g_key_file_get_keys(file, "signald", NULL, NULL);

	for (guint i = 0; keys && keys[i]; i++)
		if (!parse_key(texts, file, name, keys[i], error))
			return FALSE;
	return TRUE;
}

static gboolean
parse_file(SigConfig *config, Texts *texts, const char *text, gsize len, const char *name,
	   GError **error)
{
	g_autoptr(GKeyFile) file = g_key_file_new();
	g_auto(GStrv) groups = NULL;

	if (!g_key_file_load_from_data(file, text, len, G_KEY_FILE_NONE, error)) {
		g_prefix_error(error, "%s: ", name);
		return FALSE;
	}
	groups = g_key_file_get_groups(file, NULL);
	for (guint i = 0; groups[i]; i++)
		if (strcmp(groups[i], "signald") != 0 && strcmp(groups[i], "limits") != 0) {
			g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
				    "%s: [%s]: no such group; known are [signald] and [limits]",
				    name, groups[i]);
			return FALSE;
		}
	return parse_signald(texts, file, name, error) && parse_limits(config, file, name, error);
}

/* ---- lists ---- */

static gboolean
parse_endpoints(GArray *out, GStrv texts, const char *what, GError **error)
{
	for (guint i = 0; texts[i]; i++) {
		WgEndpoint ep;

		if (!wg_endpoint_parse(texts[i], &ep)) {
			g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
				    "%s %s: must be ADDRESS:PORT, numeric, like 0.0.0.0:%u or "
				    "[::]:%u",
				    what, texts[i], SIG_CONFIG_DEFAULT_PORT,
				    SIG_CONFIG_DEFAULT_PORT);
			return FALSE;
		}
		g_array_append_val(out, ep);
	}
	return TRUE;
}

static void
default_listen(GArray *out, guint16 port)
{
	WgEndpoint ep;

	wg_endpoint_parse_address("0.0.0.0", port, &ep);
	g_array_append_val(out, ep);
	wg_endpoint_parse_address("::", port, &ep);
	g_array_append_val(out, ep);
}

/* STUN on every address that is listened on, so that both families find it. */
static void
default_stun(GArray *out, const GArray *listen)
{
	for (guint i = 0; i < listen->len; i++) {
		WgEndpoint ep = g_array_index(listen, WgEndpoint, i);
		gboolean seen = FALSE;

		wg_endpoint_set_port(&ep, SIG_CONFIG_DEFAULT_STUN_PORT);
		for (guint j = 0; j < out->len; j++)
			seen |= wg_endpoint_equal(&ep, &g_array_index(out, WgEndpoint, j));
		if (!seen)
			g_array_append_val(out, ep);
	}
}

static gboolean
check_names(GStrv names, GError **error)
{
	for (guint i = 0; names && names[i]; i++)
		if (!sig_auth_name_valid(names[i])) {
			g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
				    "--name %s: must be HOST or HOST:PORT as clients dial it, "
				    "like signal.example:443",
				    names[i]);
			return FALSE;
		}
	return TRUE;
}

static gboolean
check_turn(SigConfig *config, GError **error)
{
	guint n = config->turn_uris ? g_strv_length(config->turn_uris) : 0;
	const char *wrong = NULL;

	if (n == 0)
		g_clear_pointer(&config->turn_uris, g_strfreev);
	if (n > SIG_WIRE_TURN_URIS_MAX)
		wrong = "--turn-uri: more than 8 relays";
	else if (n > 0 && !config->turn_secret_file)
		wrong = "--turn-uri needs --turn-secret-file, a file with coturn's "
			"static-auth-secret";
	else if (n == 0 && config->turn_secret_file)
		wrong = "--turn-secret-file needs --turn-uri, where the relay is, like "
			"turn:relay.example:3478";
	if (wrong) {
		g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, wrong);
		return FALSE;
	}
	for (guint i = 0; i < n; i++)
		if (!sig_turn_check_uri(config->turn_uris[i], error))
			return FALSE;
	return TRUE;
}

/* "WHAT VALUE: why and what instead" */
static gboolean
wrong(GError **error, const char *what, const char *value, const char *instead)
{
	g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "%s%s: %s", what, value,
		    instead);
	return FALSE;
}

static gboolean
fill_ttl(SigConfig *config, const Texts *texts, GError **error)
{
	guint64 value = TURN_TTL_DEFAULT;

	if (texts->turn_ttl &&
	    !g_ascii_string_to_unsigned(g_strstrip(texts->turn_ttl), 10, SIG_TURN_TTL_MIN,
					SIG_WIRE_TURN_TTL_MAX, &value, NULL))
		return wrong(error, "[signald] turn-ttl=", texts->turn_ttl,
			     "must be a number of seconds from 60 to 86400");
	config->turn_ttl = (guint)value;
	return TRUE;
}

static gboolean
fill_tls(SigConfig *config, Texts *texts, GError **error)
{
	if (!texts->tls_cert != !texts->tls_key)
		return wrong(error, texts->tls_cert ? "--tls-cert " : "--tls-key ",
			     texts->tls_cert ? texts->tls_cert : texts->tls_key,
			     "TLS needs both, --tls-cert and --tls-key");
	config->tls_cert = g_steal_pointer(&texts->tls_cert);
	config->tls_key = g_steal_pointer(&texts->tls_key);
	return TRUE;
}

static gboolean
fill_allow(SigConfig *config, Texts *texts, GError **error)
{
	if (texts->allow_file && texts->allow_wg)
		return wrong(error, "--allow-file ", texts->allow_file,
			     "goes not together with --allow-wg: choose one");
	config->allow_file = g_steal_pointer(&texts->allow_file);
	config->allow_wg = g_steal_pointer(&texts->allow_wg);
	return TRUE;
}

/* "none", PORT (on loopback), ADDR:PORT */
static gboolean
fill_metrics(SigConfig *config, const Texts *texts, GError **error)
{
	const char *text = texts->metrics;
	guint64 port = SIG_CONFIG_DEFAULT_METRICS_PORT;

	config->metrics_asked = text != NULL;
	if (text && g_str_equal(text, "none"))
		return TRUE;
	if (text && wg_endpoint_parse(text, &config->metrics))
		return TRUE;
	if (text && !g_ascii_string_to_unsigned(text, 10, 0, G_MAXUINT16, &port, NULL))
		return wrong(error, "--metrics ", text,
			     "must be ADDRESS:PORT, numeric, a port (on 127.0.0.1), or none");
	wg_endpoint_parse_address("127.0.0.1", (guint16)port, &config->metrics);
	return TRUE;
}

static gboolean
fill_log(SigConfig *config, const Texts *texts, GError **error)
{
	const char *text = texts->log_addresses ? texts->log_addresses : "no";

	config->log_addresses = g_str_equal(text, "yes");
	return config->log_addresses || g_str_equal(text, "no") ||
	       wrong(error, "[signald] log-addresses=", text, "must be yes or no");
}

static gboolean
fill_listen(SigConfig *config, const Texts *texts, GError **error)
{
	config->listen_asked = texts->listen && texts->listen[0];
	if (config->listen_asked)
		return parse_endpoints(config->listen, texts->listen, "--listen", error);
	default_listen(config->listen,
		       config->tls_cert ? SIG_CONFIG_TLS_PORT : SIG_CONFIG_DEFAULT_PORT);
	return TRUE;
}

static gboolean
fill_stun(SigConfig *config, const Texts *texts, GError **error)
{
	config->stun_asked = texts->stun && texts->stun[0];
	if (!config->stun_asked)
		default_stun(config->stun, config->listen);
	else if ((strcmp(texts->stun[0], "none") != 0 || texts->stun[1]) &&
		 !parse_endpoints(config->stun, texts->stun, "--stun", error))
		return FALSE;
	return sig_stun_external_parse(config->stun_external,
				       (const char *const *)texts->stun_external, config->stun,
				       error);
}

static gboolean
fill(SigConfig *config, Texts *texts, GError **error)
{
	config->names = g_steal_pointer(&texts->names);
	config->turn_uris = g_steal_pointer(&texts->turn_uris);
	config->turn_secret_file = g_steal_pointer(&texts->turn_secret_file);
	return fill_ttl(config, texts, error) && fill_tls(config, texts, error) &&
	       fill_allow(config, texts, error) && fill_metrics(config, texts, error) &&
	       fill_log(config, texts, error) && fill_listen(config, texts, error) &&
	       fill_stun(config, texts, error) && check_names(config->names, error) &&
	       check_turn(config, error);
}

SigConfig *
sig_config_parse(const char *text, gsize len, const char *name, const SigArgs *args, GError **error)
{
	g_autoptr(SigConfig) config = g_new0(SigConfig, 1);
	Texts texts = {0};
	gboolean ok;

	take_args(&texts, args);
	config->listen = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));
	config->stun = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));
	config->stun_external = g_array_new(FALSE, FALSE, sizeof(SigStunExternal));
	for (guint i = 0; i < G_N_ELEMENTS(limit_table); i++)
		*limit_value(&config->limits, &limit_table[i]) = limit_table[i].value;
	ok = (!text || parse_file(config, &texts, text, len, name, error)) &&
	     fill(config, &texts, error);
	clear_texts(&texts);
	return ok ? g_steal_pointer(&config) : NULL;
}

SigConfig *
sig_config_load(const char *file, const SigArgs *args, GError **error)
{
	g_autofree char *text = NULL;
	gsize len = 0;

	if (file && !g_file_get_contents(file, &text, &len, error))
		return NULL;
	return sig_config_parse(text, len, file, args, error);
}

void
sig_config_free(SigConfig *config)
{
	g_array_unref(config->listen);
	g_array_unref(config->stun);
	g_array_unref(config->stun_external);
	g_strfreev(config->names);
	g_strfreev(config->turn_uris);
	g_free(config->turn_secret_file);
	g_free(config->tls_cert);
	g_free(config->tls_key);
	g_free(config->allow_file);
	g_free(config->allow_wg);
	g_free(config);
}
