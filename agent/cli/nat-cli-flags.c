/* SPDX-License-Identifier: MIT */
#include "agent/cli/nat-cli-flags.h"

#include "agent/base/nat-log.h"
#include "agent/config/nat-config.h"

gboolean
nat_cli_usage(GError **error, const char *format, ...)
{
	g_autofree char *text = NULL, *plain = NULL;
	va_list args;

	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	plain = nat_log_escape(text, -1);
	g_set_error_literal(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, plain);
	return FALSE;
}

void
nat_cli_flags_clear(NatCliFlags *flags)
{
	g_strfreev(flags->file);
	g_strfreev(flags->interfaces);
	g_strfreev(flags->signal_url);
	g_strfreev(flags->stun);
	g_strfreev(flags->turn);
	g_strfreev(flags->control);
	g_strfreev(flags->metrics);
	g_strfreev(flags->config_dir);
	g_strfreev(flags->count);
	g_strfreev(flags->output);
	g_strfreev(flags->rest);
}

/* GOption takes whatever follows as the value, also the next flag. */
static gboolean
check_values(const char *flag, char **values, GError **error)
{
	for (guint i = 0; values && values[i]; i++) {
		g_autofree char *shown = nat_log_conceal(values[i]);

		if (*values[i] == '\0' || (*values[i] == '-' && values[i][1] != '\0'))
			return nat_cli_usage(error, "%s wants a value, not \"%s\"", flag, shown);
	}
	return TRUE;
}

gboolean
nat_cli_take_one(const char *flag, char **values, char **out, GError **error)
{
	if (!check_values(flag, values, error))
		return FALSE;
	if (values && values[0] && values[1])
		return nat_cli_usage(error, "%s is given twice: keep one", flag);
	*out = values ? g_strdup(values[0]) : NULL;
	return TRUE;
}

gboolean
nat_cli_take_many(const char *flag, char ***values, GStrv *out, GError **error)
{
	if (!check_values(flag, *values, error))
		return FALSE;
	*out = g_steal_pointer(values);
	return TRUE;
}

gboolean
nat_cli_take_control(NatCliFlags *flags, NatCli *cli, GError **error)
{
	if (!nat_cli_take_one("--control", flags->control, &cli->control, error))
		return FALSE;
	if (cli->control && !nat_config_check_control(cli->control, error)) {
		g_prefix_error(error, "--control: ");
		return FALSE;
	}
	return TRUE;
}

gboolean
nat_cli_parse_flags(GOptionContext *context, const GOptionEntry *entries, const char *const *argv,
		    const char *command, GError **error)
{
	g_auto(GStrv) args = g_strdupv((GStrv)argv);
	g_autoptr(GError) cause = NULL;
	g_autofree char *shown = NULL;

	g_option_context_add_main_entries(context, entries, NULL);
	g_option_context_set_help_enabled(context, FALSE);
	if (g_option_context_parse_strv(context, &args, &cause))
		return TRUE;
	shown = nat_log_conceal(cause->message);
	return nat_cli_usage(error, "%s: see nat-agent %s --help", shown, command);
}
