/* SPDX-License-Identifier: MIT */
#include "signaling/sig-config.h"

#include <gio/gio.h>
#include <string.h>

#include "signaling/sig-auth.h"
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
	LIMIT("queue", queue, 65536, 32768, 1 << 26),
	LIMIT("login-timeout", login_timeout, 10, 1, 3600),
	LIMIT("unauthenticated", unauthenticated, 1024, 1, 1 << 20),
	LIMIT("unauthenticated-per-address", unauthenticated_per_address, 64, 1, 1 << 20),
	LIMIT("connections", connections, 16384, 1, 1 << 20),
	LIMIT("rate", rate, 200, 0, 1 << 20),
	LIMIT("burst", burst, 4096, 32, 1 << 24),
	LIMIT("ping", ping, 30, 1, 3600),
	LIMIT("pong", pong, 15, 1, 3600),
	LIMIT("drain", drain, 30, 1, 3600),
	LIMIT("stun-rate", stun_rate, 50, 0, 1 << 20),
	LIMIT("stun-burst", stun_burst, 200, 16, 1 << 24),
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
		    "%s: [limits] %s: no such key; see nat-signald's README for the list", name,
		    key);
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
	GStrv listen, stun;
} Texts;

static gboolean
parse_list(GKeyFile *file, const char *name, const char *key, GStrv *list, GError **error)
{
	if (*list)
		return TRUE;
	*list = g_key_file_get_string_list(file, "signald", key, NULL, error);
	if (!*list)
		g_prefix_error(error, "%s: [signald] %s: ", name, key);
	return *list != NULL;
}

static gboolean
parse_secret_file(SigConfig *config, GKeyFile *file, const char *name, GError **error)
{
	if (!config->turn_secret_file)
		config->turn_secret_file =
			g_key_file_get_string(file, "signald", "turn-secret-file", error);
	if (!config->turn_secret_file)
		g_prefix_error(error, "%s: [signald] turn-secret-file: ", name);
	return config->turn_secret_file != NULL;
}

static gboolean
parse_ttl(SigConfig *config, GKeyFile *file, const char *name, GError **error)
{
	g_autofree char *text = g_key_file_get_value(file, "signald", "turn-ttl", NULL);
	guint64 value;

	if (!text || !g_ascii_string_to_unsigned(g_strstrip(text), 10, SIG_TURN_TTL_MIN,
						 SIG_WIRE_TURN_TTL_MAX, &value, NULL)) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
			    "%s: [signald] turn-ttl=%s: must be a number of seconds from %d to %d",
			    name, text ? text : "", SIG_TURN_TTL_MIN, SIG_WIRE_TURN_TTL_MAX);
		return FALSE;
	}
	config->turn_ttl = (guint)value;
	return TRUE;
}

static gboolean
parse_key(SigConfig *config, Texts *texts, GKeyFile *file, const char *name, const char *key,
	  GError **error)
{
	if (g_str_equal(key, "listen"))
		return parse_list(file, name, key, &texts->listen, error);
	if (g_str_equal(key, "stun"))
		return parse_list(file, name, key, &texts->stun, error);
	if (g_str_equal(key, "name"))
		return parse_list(file, name, key, &config->names, error);
	if (g_str_equal(key, "turn-uri"))
		return parse_list(file, name, key, &config->turn_uris, error);
	if (g_str_equal(key, "turn-secret-file"))
		return parse_secret_file(config, file, name, error);
	if (g_str_equal(key, "turn-ttl"))
		return parse_ttl(config, file, name, error);
	g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
		    "%s: [signald] %s: no such key; known are listen, stun, name, turn-uri, "
		    "turn-secret-file, turn-ttl",
		    name, key);
	return FALSE;
}

static gboolean
parse_signald(SigConfig *config, Texts *texts, GKeyFile *file, const char *name, GError **error)
{
	g_auto(GStrv) keys = g_key_file_get_keys(file, "signald", NULL, NULL);

	for (guint i = 0; keys && keys[i]; i++)
		if (!parse_key(config, texts, file, name, keys[i], error))
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
	return parse_signald(config, texts, file, name, error) &&
	       parse_limits(config, file, name, error);
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
default_listen(GArray *out)
{
	WgEndpoint ep;

	wg_endpoint_parse_address("0.0.0.0", SIG_CONFIG_DEFAULT_PORT, &ep);
	g_array_append_val(out, ep);
	wg_endpoint_parse_address("::", SIG_CONFIG_DEFAULT_PORT, &ep);
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

static gboolean
fill(SigConfig *config, const Texts *texts, GError **error)
{
	config->listen_asked = texts->listen && texts->listen[0];
	config->stun_asked = texts->stun && texts->stun[0];
	if (!config->listen_asked)
		default_listen(config->listen);
	else if (!parse_endpoints(config->listen, texts->listen, "--listen", error))
		return FALSE;
	if (!config->stun_asked)
		default_stun(config->stun, config->listen);
	else if ((strcmp(texts->stun[0], "none") != 0 || texts->stun[1]) &&
		 !parse_endpoints(config->stun, texts->stun, "--stun", error))
		return FALSE;
	return check_names(config->names, error) && check_turn(config, error);
}

SigConfig *
sig_config_parse(const char *text, gsize len, const char *name, const SigArgs *args, GError **error)
{
	g_autoptr(SigConfig) config = g_new0(SigConfig, 1);
	Texts texts = {g_strdupv((GStrv)args->listen), g_strdupv((GStrv)args->stun)};
	gboolean ok;

	config->names = g_strdupv((GStrv)args->names);
	config->turn_uris = g_strdupv((GStrv)args->turn_uris);
	config->turn_secret_file = g_strdup(args->turn_secret_file);
	config->turn_ttl = TURN_TTL_DEFAULT;
	config->listen = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));
	config->stun = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));
	for (guint i = 0; i < G_N_ELEMENTS(limit_table); i++)
		*limit_value(&config->limits, &limit_table[i]) = limit_table[i].value;
	ok = (!text || parse_file(config, &texts, text, len, name, error)) &&
	     fill(config, &texts, error);
	g_strfreev(texts.listen);
	g_strfreev(texts.stun);
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
	g_strfreev(config->names);
	g_strfreev(config->turn_uris);
	g_free(config->turn_secret_file);
	g_free(config);
}
