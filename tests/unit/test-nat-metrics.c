/* SPDX-License-Identifier: MIT */
/*
 * The page of metrics: histogram, text, what is in it, and that docs/metrics.md (NAT_METRICS_DOC)
 * lists just that.
 */
#include <math.h>
#include <string.h>

#include "agent/mux/nat-mux.h"
#include "agent/relay/nat-relay-plain.h"
#include "agent/status/nat-metrics.h"
#include "agent/status/nat-prom.h"

/* ---- histogram ---- */

static void
histogram(void)
{
	static const double bounds[] = {0.1, 1, 10};
	NatHistogram h;

	nat_histogram_init(&h, bounds, G_N_ELEMENTS(bounds));
	for (guint i = 0; i <= 3; i++)
		g_assert_cmpuint(nat_histogram_below(&h, i), ==, 0);
	nat_histogram_add(&h, 0.05);
	nat_histogram_add(&h, 0.1); /* a bound belongs to what is below it */
	nat_histogram_add(&h, 0.5);
	nat_histogram_add(&h, 1000);
	nat_histogram_add(&h, NAN);
	nat_histogram_add(&h, INFINITY);
	g_assert_cmpuint(nat_histogram_below(&h, 0), ==, 2);
	g_assert_cmpuint(nat_histogram_below(&h, 1), ==, 3);
	g_assert_cmpuint(nat_histogram_below(&h, 2), ==, 3);
	g_assert_cmpuint(nat_histogram_below(&h, 3), ==, 4);
	g_assert_cmpfloat(h.sum, ==, 0.05 + 0.1 + 0.5 + 1000);
}

static void
stats(void)
{
	NatStats s;

	nat_stats_init(&s);
	nat_stats_count(&s, NAT_STAT_SEARCHES);
	nat_stats_count(&s, NAT_STAT_SEARCHES);
	nat_stats_connected(&s, 250 * 1000);
	nat_stats_count(NULL, NAT_STAT_SEARCHES);
	nat_stats_connected(NULL, 1);
	g_assert_cmpuint(s.counts[NAT_STAT_SEARCHES], ==, 2);
	g_assert_cmpuint(nat_histogram_below(&s.connect_s, s.connect_s.n), ==, 1);
	g_assert_cmpfloat(s.connect_s.sum, ==, 0.25);
}

/* ---- the writer ---- */

static void
text(void)
{
	NatProm *prom = nat_prom_new();
	g_autofree char *page = NULL;

	nat_prom_family(prom, "a_total", "counter", "An A.");
	nat_prom_count(prom, G_MAXUINT64, NULL);
	nat_prom_count(prom, 1, NULL); /* there already */
	nat_prom_count(prom, 2, "x", "1", "y", "2", NULL);
	nat_prom_count(prom, 3, "x", "1", "y", "2", NULL);
	nat_prom_count(prom, 4, "x", "1", "y", "3", NULL);
	nat_prom_family(prom, "b_seconds", "gauge", "A B.");
	nat_prom_gauge(prom, 0.0213, "x", "quote \" back \\ line \n end é", NULL);
	nat_prom_gauge(prom, NAN, "x", "no number", NULL);
	nat_prom_gauge(prom, -1e-7, "x", "", NULL);
	page = nat_prom_finish(prom);
	g_assert_cmpstr(page, ==,
			"# HELP a_total An A.\n"
			"# TYPE a_total counter\n"
			"a_total 18446744073709551615\n"
			"a_total{x=\"1\",y=\"2\"} 2\n"
			"a_total{x=\"1\",y=\"3\"} 4\n"
			"# HELP b_seconds A B.\n"
			"# TYPE b_seconds gauge\n"
			"b_seconds{x=\"quote \\\" back \\\\ line \\n end é\"} 0.0213\n"
			"b_seconds{x=\"\"} -1e-07\n");
}

static void
buckets(void)
{
	static const double bounds[] = {0.05, 1};
	NatProm *prom = nat_prom_new();
	g_autofree char *page = NULL;
	NatHistogram h;

	nat_histogram_init(&h, bounds, G_N_ELEMENTS(bounds));
	nat_histogram_add(&h, 0.25);
	nat_histogram_add(&h, 0.5);
	nat_histogram_add(&h, 2);
	nat_prom_family(prom, "c_seconds", "histogram", "A C.");
	nat_prom_histogram(prom, &h, "interface", "wg0");
	nat_prom_histogram(prom, &h, "interface", "wg0"); /* there already */
	page = nat_prom_finish(prom);
	g_assert_cmpstr(page, ==,
			"# HELP c_seconds A C.\n"
			"# TYPE c_seconds histogram\n"
			"c_seconds_bucket{interface=\"wg0\",le=\"0.05\"} 0\n"
			"c_seconds_bucket{interface=\"wg0\",le=\"1\"} 2\n"
			"c_seconds_bucket{interface=\"wg0\",le=\"+Inf\"} 3\n"
			"c_seconds_sum{interface=\"wg0\"} 2.75\n"
			"c_seconds_count{interface=\"wg0\"} 3\n");
}

/* ---- what is in it ---- */

static NatStatusPeer *
add_peer(NatStatusInterface *iface, guint number, NatPeerState state)
{
	WgKey key = {{(guint8)number, (guint8)(number >> 8), 1}};
	NatStatusPeer *peer = nat_status_add_peer(iface, &key);

	peer->state = state;
	peer->managed = TRUE;
	peer->has_path = state == NAT_PEER_CONNECTED;
	return peer;
}

/* Something of everything, so that every family has a series. */
static NatStatus *
filled(void)
{
	NatStatus *status = nat_status_new();
	NatStatusInterface *wg0 = nat_status_add_interface(status, "wg0");
	NatStatusInterface *wg1 = nat_status_add_interface(status, "wg1");
	NatStatusPeer *peer = add_peer(wg0, 1, NAT_PEER_CONNECTED);

	peer->name = g_strdup("alice \"the\" peer");
	peer->rtt_ms = 21.4;
	add_peer(wg0, 2, NAT_PEER_CONNECTED)->relay = TRUE;
	add_peer(wg0, 3, NAT_PEER_CONNECTED)->managed = FALSE;
	add_peer(wg0, 4, NAT_PEER_FAILED);
	wg0->signal_state = g_strdup("connected");
	wg0->mapping = NAT_MAPPING_ENDPOINT_INDEPENDENT;
	nat_status_add_relay(wg0, "turn:a")->state = g_strdup("up");
	nat_status_add_relay(wg0, "turn:b")->state = NULL;
	for (guint i = 0; i < NAT_STATS_N; i++)
		wg0->stats.counts[i] = 100 + i;
	nat_stats_connected(&wg0->stats, 300 * 1000);
	nat_status_set_counter(wg0, "relay_in_bytes", 7);
	nat_status_set_counter(wg0, "drop_stranger", 8);
	nat_status_set_counter(wg0, "drop_message_seal", 9);
	wg1->problem = g_strdup("gone");
	return status;
}

static char *
page_of(NatStatus *status)
{
	NatMetricsFacts facts = {.uptime_s = 1.5, .control_clients = 2};

	return nat_metrics_text(status, &facts);
}

static void
has(const char *page, const char *line)
{
	g_autofree char *whole = g_strconcat("\n", line, "\n", NULL);

	if (!strstr(page, whole))
		g_error("\"%s\" is missing in\n%s", line, page);
}

static void
values(void)
{
	g_autoptr(NatStatus) status = filled();
	g_autofree char *page = page_of(status);

	has(page, "nat_agent_build_info{version=\"" NAT_VERSION "\"} 1");
	has(page, "nat_agent_uptime_seconds 1.5");
	has(page, "nat_agent_control_clients 2");
	has(page, "nat_agent_interface_served{interface=\"wg0\"} 1");
	has(page, "nat_agent_interface_served{interface=\"wg1\"} 0");
	has(page, "nat_agent_peers{interface=\"wg0\",state=\"connected\",path=\"direct\","
		  "managed=\"yes\"} 1");
	has(page, "nat_agent_peers{interface=\"wg0\",state=\"connected\",path=\"direct\","
		  "managed=\"no\"} 1");
	has(page, "nat_agent_peers{interface=\"wg0\",state=\"connected\",path=\"relay\","
		  "managed=\"yes\"} 1");
	has(page, "nat_agent_peers{interface=\"wg1\",state=\"waiting\",path=\"none\","
		  "managed=\"no\"} 0");
	has(page, "nat_agent_connect_seconds_bucket{interface=\"wg0\",le=\"0.2\"} 0");
	has(page, "nat_agent_connect_seconds_bucket{interface=\"wg0\",le=\"0.3\"} 1");
	has(page, "nat_agent_connect_seconds_count{interface=\"wg0\"} 1");
	has(page, "nat_agent_connect_seconds_count{interface=\"wg1\"} 0");
	has(page, "nat_agent_failovers_total{interface=\"wg0\"} 100");
	has(page, "nat_agent_failovers_total{interface=\"wg1\"} 0");
	has(page, "nat_agent_relay_bytes_total{interface=\"wg0\",direction=\"in\"} 7");
	has(page, "nat_agent_stun_dropped_total{interface=\"wg0\",cause=\"stranger\"} 8");
	has(page, "nat_agent_signal_messages_dropped_total{interface=\"wg0\",cause=\"seal\"} 9");
	has(page, "nat_agent_signal_connected{interface=\"wg0\"} 1");
	has(page, "nat_agent_signal_connected{interface=\"wg1\"} 0");
	has(page, "nat_agent_relay_servers{interface=\"wg0\",state=\"up\"} 1");
	has(page, "nat_agent_nat_mapping{interface=\"wg0\",mapping=\"endpoint-independent\"} 1");
	has(page, "nat_agent_nat_mapping{interface=\"wg0\",mapping=\"unknown\"} 0");
	has(page, "nat_agent_peer_round_trip_seconds{interface=\"wg0\",public_key=\""
		  "AQABAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"} 0.0214");
	has(page, "nat_agent_peer_info{interface=\"wg0\",public_key=\""
		  "AQABAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\","
		  "name=\"alice \\\"the\\\" peer\"} 1");
}

/* Every peer counts, also where there are too many for series of their own. */
static void
many_peers(void)
{
	g_autoptr(NatStatus) status = nat_status_new();
	NatStatusInterface *iface = nat_status_add_interface(status, "wg0");
	g_autofree char *some = NULL, *more = NULL;

	for (guint i = 0; i < NAT_METRICS_PEERS; i++)
		add_peer(iface, i, NAT_PEER_WAITING);
	some = page_of(status);
	g_assert_nonnull(strstr(some, "\nnat_agent_peer_connected{"));
	add_peer(iface, NAT_METRICS_PEERS, NAT_PEER_WAITING);
	more = page_of(status);
	g_assert_null(strstr(more, "\nnat_agent_peer_connected{"));
	has(more, "nat_agent_peers{interface=\"wg0\",state=\"waiting\",path=\"none\","
		  "managed=\"yes\"} 513");
}

static void
is_told(const char *counter)
{
	g_autoptr(NatStatus) status = nat_status_new();
	NatStatusInterface *iface = nat_status_add_interface(status, "wg0");
	g_autofree char *page = NULL;

	nat_status_set_counter(iface, counter, 987654);
	page = page_of(status);
	if (!strstr(page, " 987654\n"))
		g_error("%s is in no metric", counter);
}

/* A counter that comes to the status comes to the page, too. */
static void
all_counters(void)
{
	for (guint i = 0; i < NAT_MUX_N_COUNTERS; i++)
		is_told(nat_mux_counter_name(i));
	for (guint i = 0; i < NAT_RELAY_PLAIN_N_COUNTERS; i++)
		is_told(nat_relay_plain_counter_name(i));
}

static void
all_stats(void)
{
	for (guint i = 0; i < NAT_STATS_N; i++) {
		g_autoptr(NatStatus) status = nat_status_new();
		NatStatusInterface *iface = nat_status_add_interface(status, "wg0");
		g_autofree char *page = NULL;

		iface->stats.counts[i] = 987654;
		page = page_of(status);
		if (!strstr(page, " 987654\n"))
			g_error("count %u is in no metric", i);
	}
}

/* ---- docs/metrics.md ---- */

/* name → "type, labels, help" */
static GHashTable *
table_new(void)
{
	return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
}

/* "| `name` | type | labels | meaning |" */
static GHashTable *
read_doc(void)
{
	GHashTable *table = table_new();
	g_autofree char *all = NULL;
	g_auto(GStrv) lines = NULL;

	g_assert_true(g_file_get_contents(NAT_METRICS_DOC, &all, NULL, NULL));
	lines = g_strsplit(all, "\n", -1);
	for (guint i = 0; lines[i]; i++) {
		g_auto(GStrv) cells = g_strsplit(lines[i], "|", -1);
		char *name;

		if (!g_str_has_prefix(lines[i], "| `nat_agent_"))
			continue;
		g_assert_cmpuint(g_strv_length(cells), ==, 6);
		for (guint j = 0; cells[j]; j++)
			g_strstrip(cells[j]);
		name = g_strndup(cells[1] + 1, strlen(cells[1]) - 2);
		g_assert_true(g_hash_table_insert(
			table, name,
			g_strdup_printf("%s | %s | %s", cells[2], cells[3], cells[4])));
	}
	return table;
}

/* The labels of a series, without those of a histogram's own: "interface, state". */
static char *
labels_of(const char *line)
{
	g_autoptr(GRegex) label = g_regex_new("[{,]([a-z_]+)=\"(\\\\.|[^\"\\\\])*\"", 0, 0, NULL);
	g_autoptr(GMatchInfo) match = NULL;
	g_autoptr(GString) names = g_string_new(NULL);

	for (g_regex_match(label, line, 0, &match); g_match_info_matches(match);
	     g_match_info_next(match, NULL)) {
		g_autofree char *name = g_match_info_fetch(match, 1);

		if (strcmp(name, "le") != 0)
			g_string_append_printf(names, "%s%s", names->len > 0 ? ", " : "", name);
	}
	return g_string_free(g_steal_pointer(&names), FALSE);
}

static GHashTable *
read_page(const char *page)
{
	GHashTable *table = table_new();
	g_auto(GStrv) lines = g_strsplit(page, "\n", -1);

	for (guint i = 0; lines[i]; i++) {
		g_auto(GStrv) help = g_strsplit(lines[i], " ", 4), type = NULL;
		g_autofree char *labels = NULL;

		if (!g_str_has_prefix(lines[i], "# HELP "))
			continue;
		type = g_strsplit(lines[i + 1], " ", 4);
		g_assert_true(g_str_has_prefix(lines[i + 2], help[2]));
		labels = labels_of(lines[i + 2]);
		g_assert_true(g_hash_table_insert(
			table, g_strdup(help[2]),
			g_strdup_printf("%s | %s | %s", type[3], labels, help[3])));
	}
	return table;
}

static void
documented(void)
{
	g_autoptr(NatStatus) status = filled();
	g_autofree char *page = page_of(status);
	g_autoptr(GHashTable) doc = read_doc(), have = read_page(page);
	GHashTableIter iter;
	gpointer name, row;

	g_hash_table_iter_init(&iter, have);
	while (g_hash_table_iter_next(&iter, &name, &row)) {
		g_test_message("%s", (char *)name);
		g_assert_cmpstr(row, ==, g_hash_table_lookup(doc, name));
	}
	g_hash_table_iter_init(&iter, doc);
	while (g_hash_table_iter_next(&iter, &name, &row))
		if (!g_hash_table_contains(have, name))
			g_error("docs/metrics.md has %s, and the page has not", (char *)name);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/metrics/histogram", histogram);
	g_test_add_func("/metrics/stats", stats);
	g_test_add_func("/metrics/text", text);
	g_test_add_func("/metrics/buckets", buckets);
	g_test_add_func("/metrics/values", values);
	g_test_add_func("/metrics/many-peers", many_peers);
	g_test_add_func("/metrics/all-counters", all_counters);
	g_test_add_func("/metrics/all-stats", all_stats);
	g_test_add_func("/metrics/documented", documented);
	return g_test_run();
}
