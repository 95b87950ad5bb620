/* SPDX-License-Identifier: MIT */
#include "agent/innernet/inn-hosts.h"

#include <string.h>

#include "agent/base/nat-log.h"
#include "agent/innernet/inn-hosts-file.h"
#include "agent/innernet/inn-sync.h"

#define LABEL_MAX 63 /* RFC 1035 §2.3.4 */
#define NAME_MAX_BYTES 253
#define RETRY_US (60 * (gint64)G_USEC_PER_SEC)
#define ATTEMPTS 5 /* while others write as well */

struct InnHosts {
	char *ifname, *path;
	char *section;	     /* what was wanted last; NULL: nothing yet */
	InnHostsStamp stamp; /* of the file as it was left */
	gboolean failed;
	gint64 tried_us;
};

/* ---- the section ---- */

/* A name of one part: hostname(7). */
static gboolean
is_label(const char *name)
{
	gsize len = strlen(name);

	for (const char *c = name; *c != '\0'; c++)
		if (!g_ascii_isalnum(*c) && *c != '-')
			return FALSE;
	return len > 0 && len <= LABEL_MAX && *name != '-' && name[len - 1] != '-';
}

/* It is the user's: resolvers take more than host names. */
static gboolean
is_suffix(const char *ifname)
{
	for (const char *c = ifname; *c != '\0'; c++)
		if (!g_ascii_isalnum(*c) && strchr("-_.", *c) == NULL)
			return FALSE;
	return *ifname != '\0';
}

static gboolean
is_listed(const InnPeer *peer, const InnConf *conf)
{
	return !peer->disabled && peer->redeemed && is_label(peer->name) &&
	       inn_sync_within(&peer->address, &conf->address, conf->prefix);
}

/* IPv4 first, then by number. */
static gint
compare(gconstpointer a, gconstpointer b)
{
	const InnPeer *one = *(const InnPeer *const *)a, *two = *(const InnPeer *const *)b;
	gsize len, other;
	const guint8 *x = wg_endpoint_bytes(&one->address, &len);
	const guint8 *y = wg_endpoint_bytes(&two->address, &other);

	return len != other ? (len < other ? -1 : 1) : memcmp(x, y, len);
}

static void
append_peer(GString *out, const InnPeer *peer, const char *ifname)
{
	g_autofree char *name = g_strdup_printf("%s.%s.wg", peer->name, ifname);
	char address[WG_ENDPOINT_STRLEN];

	if (strlen(name) <= NAME_MAX_BYTES)
		g_string_append_printf(out, "%s %s\n",
				       wg_endpoint_format_address(&peer->address, address), name);
}

static char *
marker(const char *ifname, const char *which)
{
	return g_strdup_printf("# DO NOT EDIT innernet %s %s", ifname, which);
}

char *
inn_hosts_section(const char *ifname, const InnState *state, const InnConf *conf)
{
	g_autoptr(GPtrArray) peers = g_ptr_array_new();
	g_autofree char *begin = marker(ifname, "BEGIN"), *end = marker(ifname, "END");
	GString *out = g_string_new(NULL);

	for (guint i = 0; i < state->peers->len; i++)
		if (is_listed(g_ptr_array_index(state->peers, i), conf))
			g_ptr_array_add(peers, g_ptr_array_index(state->peers, i));
	if (peers->len == 0)
		return g_string_free(out, FALSE);
	g_ptr_array_sort(peers, compare);
	g_string_append_printf(out, "%s\n", begin);
	for (guint i = 0; i < peers->len; i++)
		append_peer(out, g_ptr_array_index(peers, i), ifname);
	g_string_append_printf(out, "%s\n", end);
	return g_string_free(out, FALSE);
}

/* ---- a text with it ---- */

/* Where a marker stands. */
typedef struct {
	guint count;
	gsize start, after; /* of its first line */
} Mark;

static gboolean
is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* innernet trims lines before it compares. */
static gboolean
is_marker(const char *line, gsize len, const char *marker)
{
	for (; len > 0 && is_blank(*line); line++)
		len--;
	while (len > 0 && is_blank(line[len - 1]))
		len--;
	return len == strlen(marker) && memcmp(line, marker, len) == 0;
}

static Mark
find_mark(const char *text, gsize len, const char *marker)
{
	Mark mark = {0};

	for (gsize at = 0; at < len;) {
		const char *eol = memchr(text + at, '\n', len - at);
		gsize next = eol != NULL ? (gsize)(eol - text) + 1 : len;

		if (is_marker(text + at, next - at, marker) && mark.count++ == 0) {
			mark.start = at;
			mark.after = next;
		}
		at = next;
	}
	return mark;
}

/* A blank line comes before a new section, as innernet has it. */
static void
append_section(GString *out, const char *section)
{
	if (out->len > 0 && out->str[out->len - 1] != '\n')
		g_string_append_c(out, '\n');
	if (out->len > 1 && out->str[out->len - 2] != '\n')
		g_string_append_c(out, '\n');
	g_string_append(out, section);
}

char *
inn_hosts_insert(const char *text, gsize len, const char *ifname, const char *section,
		 gsize *out_len, GError **error)
{
	g_autofree char *begin = marker(ifname, "BEGIN"), *end = marker(ifname, "END");
	Mark first = find_mark(text, len, begin), last = find_mark(text, len, end);
	GString *out;

	if (first.count != last.count || first.count > 1 ||
	    (first.count == 1 && last.start < first.start)) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
			    "the lines \"%s\" and \"… END\" are not there once each, in this "
			    "order: take out what is left of the section",
			    begin);
		return NULL;
	}
	out = g_string_new_len(text, (gssize)(first.count == 1 ? first.start : len));
	if (first.count == 1) {
		g_string_append(out, section);
		g_string_append_len(out, text + last.after, (gssize)(len - last.after));
	} else if (*section != '\0') {
		append_section(out, section);
	}
	*out_len = out->len;
	return g_string_free(out, FALSE);
}

/* ---- the file ---- */

InnHosts *
inn_hosts_new(const char *ifname, const char *path)
{
	InnHosts *hosts = g_new0(InnHosts, 1);

	hosts->ifname = g_strdup(ifname);
	hosts->path = is_suffix(ifname) ? g_strdup(path) : NULL;
	if (path != NULL && hosts->path == NULL)
		g_warning("%s: innernet: with such an interface's name there can be no names of "
			  "peers in a file of hosts",
			  ifname);
	return hosts;
}

void
inn_hosts_free(InnHosts *hosts)
{
	if (hosts == NULL)
		return;
	g_free(hosts->ifname);
	g_free(hosts->path);
	g_free(hosts->section);
	g_free(hosts);
}

static gboolean
write_once(InnHosts *hosts, GError **error)
{
	g_autoptr(InnHostsFile) file = inn_hosts_file_open(hosts->path, error);
	g_autofree char *out = NULL;
	gsize len, out_len = 0;
	const char *text;

	if (file == NULL)
		return FALSE;
	text = inn_hosts_file_text(file, &len);
	out = inn_hosts_insert(text, len, hosts->ifname, hosts->section, &out_len, error);
	if (out == NULL)
		return FALSE;
	if ((out_len != len || memcmp(out, text, len) != 0) &&
	    !inn_hosts_file_replace(file, out, out_len, error))
		return FALSE;
	inn_hosts_file_stamp(file, &hosts->stamp);
	return TRUE;
}

static gboolean
write_section(InnHosts *hosts, GError **error)
{
	for (guint left = ATTEMPTS; left > 1; left--) {
		g_autoptr(GError) cause = NULL;

		if (write_once(hosts, &cause))
			return TRUE;
		if (!g_error_matches(cause, G_FILE_ERROR, G_FILE_ERROR_AGAIN)) {
			g_propagate_error(error, g_steal_pointer(&cause));
			return FALSE;
		}
	}
	return write_once(hosts, error);
}

static gboolean
is_settled(const InnHosts *hosts, const char *section, gint64 now_us)
{
	InnHostsStamp now;

	if (g_strcmp0(section, hosts->section) != 0)
		return FALSE;
	if (hosts->failed)
		return now_us - hosts->tried_us < RETRY_US;
	inn_hosts_stamp_of(hosts->path, &now);
	return inn_hosts_stamp_equal(&now, &hosts->stamp);
}

static void
say_failed(const InnHosts *hosts, const GError *error)
{
	g_autofree char *path = nat_log_escape(hosts->path, -1);

	g_warning("%s: innernet: the peers' names can't be put into %s: %s (hosts_file= in [agent] "
		  "names another file, or none)",
		  hosts->ifname, path, error->message);
}

void
inn_hosts_set(InnHosts *hosts, const InnState *state, const InnConf *conf, gint64 now_us)
{
	g_autofree char *section = NULL;
	g_autoptr(GError) error = NULL;

	if (hosts->path == NULL)
		return;
	section = inn_hosts_section(hosts->ifname, state, conf);
	if (is_settled(hosts, section, now_us))
		return;
	g_free(hosts->section);
	hosts->section = g_steal_pointer(&section);
	hosts->tried_us = now_us;
	if (write_section(hosts, &error)) {
		hosts->failed = FALSE;
		return;
	}
	if (!hosts->failed)
		say_failed(hosts, error);
	hosts->failed = TRUE;
}
