/* SPDX-License-Identifier: MIT */
#include "signaling/sig-metrics.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static void
describe(GString *out, const char *name, const char *type, const char *help)
{
	g_string_append_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void
counter(GString *out, const char *name, const char *help, guint64 value)
{
	describe(out, name, "counter", help);
	g_string_append_printf(out, "%s %" G_GUINT64_FORMAT "\n", name, value);
}

static void
gauge(GString *out, const char *name, const char *help, gint64 value)
{
	describe(out, name, "gauge", help);
	g_string_append_printf(out, "%s %" G_GINT64_FORMAT "\n", name, value);
}

static void
labelled(GString *out, const char *name, const char *label, const char *value, guint64 n)
{
	g_string_append_printf(out, "%s{%s=\"%s\"} %" G_GUINT64_FORMAT "\n", name, label, value, n);
}

static void
connections(GString *out, const SigHub *hub, const SigMetricsFacts *facts)
{
	static const char name[] = "nat_signald_connections";
	guint waiting = sig_gate_total(hub->gate);

	describe(out, name, "gauge", "Connections of agents.");
	labelled(out, name, "state", "unauthenticated", waiting);
	labelled(out, name, "state", "logged_in",
		 facts->connections - MIN(waiting, facts->connections));
	gauge(out, "nat_signald_connections_max", "Connections that there is room for.",
	      hub->limits.connections);
	counter(out, "nat_signald_connections_accepted_total", "TCP connections taken.",
		hub->stats.accepted);
	describe(out, "nat_signald_connections_turned_away_total", "counter",
		 "TCP connections closed at once.");
	labelled(out, "nat_signald_connections_turned_away_total", "reason", "limit",
		 hub->stats.turned_away - hub->stats.connect_limited);
	labelled(out, "nat_signald_connections_turned_away_total", "reason", "address_limit",
		 hub->stats.connect_limited);
	labelled(out, "nat_signald_connections_turned_away_total", "reason", "no_descriptor",
		 facts->no_descriptor);
	counter(out, "nat_signald_logins_total", "Logins accepted.", hub->stats.logins);
	describe(out, "nat_signald_closed_total", "counter",
		 "Connections that the server ended, by the code it gave.");
	for (guint i = 0; sig_close_at(i) != SIG_CLOSE_NONE; i++)
		labelled(out, "nat_signald_closed_total", "code", sig_close_code(sig_close_at(i)),
			 sig_close_at(i) == SIG_CLOSE_RESTART ? hub->stats.drained
							      : hub->stats.closed[i]);
}

static void
messages(GString *out, const SigStats *stats)
{
	static const char name[] = "nat_signald_messages_undelivered_total";

	counter(out, "nat_signald_messages_routed_total", "Messages delivered to a queue.",
		stats->routed);
	describe(out, name, "counter", "Messages that were not; their senders were told.");
	labelled(out, name, "reason", "sender_too_fast", stats->rate_limited);
	labelled(out, name, "reason", "address_too_fast", stats->address_limited);
	labelled(out, name, "reason", "too_many_for_receiver", stats->destination_limited);
	labelled(out, name, "reason", "queue_full", stats->queue_full);
	labelled(out, name, "reason", "not_there",
		 stats->unavailable - stats->rate_limited - stats->address_limited -
			 stats->destination_limited - stats->queue_full);
}

static void
stun(GString *out, const SigStunCounts *counts)
{
	static const char name[] = "nat_signald_stun_requests_total";

	describe(out, name, "counter", "STUN requests, by what became of them.");
	labelled(out, name, "result", "answered", counts->answered);
	labelled(out, name, "result", "refused", counts->refused);
	labelled(out, name, "result", "malformed", counts->malformed);
	labelled(out, name, "result", "rate_limited", counts->rate_limited);
	labelled(out, name, "result", "unsent", counts->unsent);
}

static guint
open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	guint n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n > 3 ? n - 3 : 0; /* ".", "..", and the directory itself */
}

static gint64
resident_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	long size, resident = 0;

	if (!file)
		return 0;
	if (fscanf(file, "%ld %ld", &size, &resident) != 2)
		resident = 0;
	fclose(file);
	return resident * (gint64)sysconf(_SC_PAGESIZE);
}

/* The names that Prometheus's own clients give to these. */
static void
process(GString *out, const SigMetricsFacts *facts)
{
	struct rusage usage;
	struct rlimit files;
	char cpu[G_ASCII_DTOSTR_BUF_SIZE];

	getrusage(RUSAGE_SELF, &usage);
	getrlimit(RLIMIT_NOFILE, &files);
	g_ascii_formatd(cpu, sizeof cpu, "%.3f",
			usage.ru_utime.tv_sec + usage.ru_stime.tv_sec +
				(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
	describe(out, "process_cpu_seconds_total", "counter", "CPU time spent.");
	g_string_append_printf(out, "process_cpu_seconds_total %s\n", cpu);
	gauge(out, "process_resident_memory_bytes", "Memory resident.", resident_bytes());
	gauge(out, "process_open_fds", "File descriptors open.", open_files());
	gauge(out, "process_max_fds", "File descriptors allowed.", (gint64)files.rlim_cur);
	gauge(out, "process_start_time_seconds", "Start, since 1970.", facts->started_s);
}

char *
sig_metrics_page(const SigHub *hub, const SigMetricsFacts *facts)
{
	GString *out = g_string_sized_new(4096);

	describe(out, "nat_signald_build_info", "gauge", "The version that runs.");
	labelled(out, "nat_signald_build_info", "version", NAT_VERSION, 1);
	connections(out, hub, facts);
	gauge(out, "nat_signald_keys",
	      "Keys that are online or that somebody online wants to meet.",
	      sig_directory_n_known(hub->directory));
	if (facts->allowed_keys != G_MAXUINT)
		gauge(out, "nat_signald_allowed_keys", "Keys that may log in.",
		      facts->allowed_keys);
	messages(out, &hub->stats);
	stun(out, &facts->stun);
	gauge(out, "nat_signald_draining", "1 while the server is ending.", facts->draining);
	if (facts->tls_expires_s != 0)
		gauge(out, "nat_signald_tls_certificate_expires_seconds",
		      "When the TLS certificate expires, since 1970.", facts->tls_expires_s);
	process(out, facts);
	return g_string_free(out, FALSE);
}
