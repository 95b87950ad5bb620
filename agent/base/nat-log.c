/* SPDX-License-Identifier: MIT */
#include "agent/base/nat-log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What the writer needs to know travels in its user_data: there is no state in this file. */
typedef enum {
	WRITER_JOURNAL = 1 << 0,
	WRITER_DEBUG = 1 << 1,
} WriterFlags;

/* Invisible characters that reorder or join what surrounds them are as bad as control
 * characters. */
static gboolean
is_plain(gunichar c)
{
	return g_unichar_isprint(c) && g_unichar_type(c) != G_UNICODE_FORMAT &&
	       g_unichar_type(c) != G_UNICODE_PRIVATE_USE;
}

char *
nat_log_escape(const char *text, gssize len)
{
	gsize left = len < 0 ? strlen(text) : (gsize)len;
	GString *out = g_string_sized_new(left);

	while (left > 0) {
		gunichar c = g_utf8_get_char_validated(text, (gssize)left);
		gsize n = 1;

		if (c < (gunichar)-2)
			n = (gsize)g_unichar_to_utf8(c, NULL);
		if (c != 0 && c < (gunichar)-2 && is_plain(c))
			g_string_append_len(out, text, (gssize)n);
		else
			for (gsize i = 0; i < n; i++)
				g_string_append_printf(out, "\\x%02x", (guint8)text[i]);
		text += n;
		left -= n;
	}
	return g_string_free(out, FALSE);
}

/* Where a "turn:" or "turns:" ends that begins a word; NULL: none is there. */
static const char *
after_turn_scheme(const char *text)
{
	for (const char *c = text; *c; c++) {
		gsize n = 4;

		if (g_ascii_strncasecmp(c, "turn", n) != 0 || (c > text && g_ascii_isalnum(c[-1])))
			continue;
		if (c[n] == 's' || c[n] == 'S')
			n++;
		if (c[n] == ':' && c[n + 1])
			return c + n + 1;
	}
	return NULL;
}

char *
nat_log_conceal(const char *text)
{
	const char *secret = after_turn_scheme(text);
	g_autofree char *head = NULL;

	if (!secret)
		return nat_log_escape(text, -1);
	head = nat_log_escape(text, secret - text);
	return g_strconcat(head, "...", NULL);
}

static const char *
field(const GLogField *fields, gsize n, const char *key)
{
	for (gsize i = 0; i < n; i++)
		if (g_str_equal(fields[i].key, key) && fields[i].length < 0)
			return fields[i].value;
	return NULL;
}

static const char *
level_prefix(GLogLevelFlags level)
{
	if (level & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL))
		return "error: ";
	return level & G_LOG_LEVEL_WARNING ? "warning: " : "";
}

/* One write, so that lines of two threads do not mix. stderr may be gone: nothing to be done. */
static void
write_line(GLogLevelFlags level, const GLogField *fields, gsize n, WriterFlags flags)
{
	const char *domain = field(fields, n, "GLIB_DOMAIN");
	const char *message = field(fields, n, "MESSAGE");
	g_autofree char *text = nat_log_escape(message ? message : "(no message)", -1);
	g_autoptr(GString) line = g_string_new("nat-agent: ");

	if (flags & WRITER_DEBUG)
		g_string_append_printf(line, "%.6f ", (double)g_get_monotonic_time() / 1e6);
	g_string_append(line, level_prefix(level));
	if (domain)
		g_string_append_printf(line, "%s: ", domain);
	g_string_append(line, text);
	g_string_append_c(line, '\n');
	while (write(STDERR_FILENO, line->str, line->len) < 0 && errno == EINTR)
		;
}

static GLogWriterOutput
writer(GLogLevelFlags level, const GLogField *fields, gsize n, gpointer user_data)
{
	WriterFlags flags = GPOINTER_TO_UINT(user_data);
	const char *domain = field(fields, n, "GLIB_DOMAIN");
	gboolean ours = !domain && (flags & WRITER_DEBUG);

	if (!ours && g_log_writer_default_would_drop(level, domain))
		return G_LOG_WRITER_HANDLED;
	if ((flags & WRITER_JOURNAL) &&
	    g_log_writer_journald(level, fields, n, NULL) == G_LOG_WRITER_HANDLED)
		return G_LOG_WRITER_HANDLED;
	write_line(level, fields, n, flags);
	return G_LOG_WRITER_HANDLED;
}

void
nat_log_init(void)
{
	const char *debug = g_getenv("NAT_AGENT_DEBUG");
	WriterFlags flags = 0;

	if (g_log_writer_is_journald(STDERR_FILENO))
		flags |= WRITER_JOURNAL;
	if (debug && *debug && !g_str_equal(debug, "0"))
		flags |= WRITER_DEBUG;
	g_log_set_writer_func(writer, GUINT_TO_POINTER(flags), NULL);
}

/* syslog(3) levels, as the journal wants them. */
static const char *
priority(GLogLevelFlags level)
{
	if (level & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL))
		return "3";
	if (level & G_LOG_LEVEL_WARNING)
		return "4";
	if (level & G_LOG_LEVEL_MESSAGE)
		return "5";
	return level & G_LOG_LEVEL_INFO ? "6" : "7";
}

void
nat_log_peer(GLogLevelFlags level, const char *interface, const WgKey *peer, const char *format,
	     ...)
{
	char key[WG_KEY_STRLEN] = "";
	g_autofree char *text = NULL, *message = NULL;
	va_list args;
	gsize n = 3;

	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	if (peer)
		wg_key_format_short(peer, key);
	message = g_strdup_printf("%s%s%s: %s", interface, peer ? " " : "", key, text);

	const GLogField fields[] = {
		{"MESSAGE", message, -1},
		{"PRIORITY", priority(level), -1},
		{"NAT_INTERFACE", interface, -1},
		{"NAT_PEER", key, -1},
	};
	if (peer)
		n++;
	g_log_structured_array(level, fields, n);
}
