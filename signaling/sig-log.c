/* SPDX-License-Identifier: MIT */
#include "signaling/sig-log.h"

#include <stdio.h>

/* Files and clients put text into messages; a terminal must not obey it. */
static void
write_text(const char *before, const char *text)
{
	g_autofree char *clean = g_strdup(text);

	for (char *p = clean; *p; p++)
		if (g_ascii_iscntrl(*p))
			*p = '?';
	fprintf(stderr, "nat-signald: %s%s\n", before, clean);
}

static GLogWriterOutput
write_line(GLogLevelFlags level, const GLogField *fields, gsize n, gpointer user_data)
{
	const char *text = "";

	if (g_log_writer_default_would_drop(level, NULL))
		return G_LOG_WRITER_HANDLED;
	if (g_log_writer_is_journald(fileno(stderr)) &&
	    g_log_writer_journald(level, fields, n, NULL) == G_LOG_WRITER_HANDLED)
		return G_LOG_WRITER_HANDLED;
	for (gsize i = 0; i < n; i++)
		if (g_str_equal(fields[i].key, "MESSAGE"))
			text = fields[i].value;
	write_text(level & G_LOG_LEVEL_WARNING ? "warning: " : "", text);
	return G_LOG_WRITER_HANDLED;
}

void
sig_log_init(void)
{
	g_log_set_writer_func(write_line, NULL, NULL);
}

void
sig_log_error(const GError *error)
{
	write_text("", error->message);
}
