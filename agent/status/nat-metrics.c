/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation: a family's series must stand together, so each family is one walk over the
 * interfaces. What can have only few values has a series for each of them from the start, at 0:
 * then a rate() misses nothing.
 */
#include "agent/status/nat-metrics.h"

#include "agent/status/nat-prom.h"

typedef void (*Each)(NatProm *prom, const NatStatusInterface *iface, gconstpointer data);

static void
family(NatProm *prom, const NatStatus *status, const char *name, const char *type, const char *help,
       Each each, gconstpointer data)
{
	nat_prom_family(prom, name, type, help);
	for (guint i = 0; i < status->interfaces->len; i++)
		each(prom, g_ptr_array_index(status->interfaces, i), data);
}

static guint64
counter_of(const NatStatusInterface *iface, const char *name)
{
	const guint64 *value = iface->counters ? g_hash_table_lookup(iface->counters, name) : NULL;

	return value ? *value : 0;
}

/* ---- peers ---- */

static const char *
path_of(const NatStatusPeer *peer)
{
	if (peer->state != NAT_PEER_CONNECTED || !peer->has_path)
		return "none";
	return peer->relay ? "relay" : "direct";
}

static guint
count_peers(const NatStatusInterface *iface, NatPeerState state, const char *path, gboolean managed)
{
	guint n = 0;

	for (guint i = 0; i < iface->peers->len; i++) {
		const NatStatusPeer *peer = g_ptr_array_index(iface->peers, i);

		n += peer->state == state && !peer->managed == !managed &&
		     g_str_equal(path_of(peer), path);
	}
	return n;
}

static void
peers(NatProm *prom, const NatStatusInterface *iface, gconstpointer unused)
{
	static const struct {
		NatPeerState state;
		const char *path;
	} kinds[] = {
		{NAT_PEER_WAITING, "none"},    {NAT_PEER_CHECKING, "none"},
		{NAT_PEER_CONNECTED, "none"},  {NAT_PEER_CONNECTED, "direct"},
		{NAT_PEER_CONNECTED, "relay"}, {NAT_PEER_FAILED, "none"},
	};

	for (guint i = 0; i < G_N_ELEMENTS(kinds); i++)
		for (gboolean managed = FALSE; managed <= TRUE; managed++)
			nat_prom_gauge(prom,
				       count_peers(iface, kinds[i].state, kinds[i].path, managed),
				       "interface", iface->name, "state",
				       nat_peer_state_to_string(kinds[i].state), "path",
				       kinds[i].path, "managed", managed ? "yes" : "no", NULL);
}

typedef enum {
	PEER_CONNECTED,
	PEER_RELAYED,
	PEER_ROUND_TRIP,
	PEER_INFO,
} PeerSeries;

static void
peer_series(NatProm *prom, const NatStatusInterface *iface, const NatStatusPeer *peer,
	    PeerSeries what)
{
	gboolean connected = peer->state == NAT_PEER_CONNECTED;
	char key[WG_KEY_STRLEN];

	wg_key_format(&peer->public_key, key);
	switch (what) {
	case PEER_CONNECTED:
		nat_prom_gauge(prom, connected, "interface", iface->name, "public_key", key, NULL);
		break;
	case PEER_RELAYED:
		nat_prom_gauge(prom, g_str_equal(path_of(peer), "relay"), "interface", iface->name,
			       "public_key", key, NULL);
		break;
	case PEER_ROUND_TRIP:
		if (connected && peer->rtt_ms >= 0)
			nat_prom_gauge(prom, peer->rtt_ms / 1000, "interface", iface->name,
				       "public_key", key, NULL);
		break;
	case PEER_INFO:
		if (peer->name)
			nat_prom_gauge(prom, 1, "interface", iface->name, "public_key", key, "name",
				       peer->name, NULL);
		break;
	}
}

static void
single_peers(NatProm *prom, const NatStatusInterface *iface, gconstpointer data)
{
	const PeerSeries *what = data;

	for (guint i = 0; iface->peers->len <= NAT_METRICS_PEERS && i < iface->peers->len; i++)
		peer_series(prom, iface, g_ptr_array_index(iface->peers, i), *what);
}

/* ---- what was counted ---- */

static void
stat_of(NatProm *prom, const NatStatusInterface *iface, gconstpointer data)
{
	const NatStat *what = data;

	nat_prom_count(prom, iface->stats.counts[*what], "interface", iface->name, NULL);
}

/* One series: what the label says, and where the count is. */
typedef struct {
	const char *value;
	NatStat stat;
} Split;

typedef struct {
	const char *label;
	Split splits[4]; /* value NULL: the end */
} Splits;

static void
split_stat(NatProm *prom, const NatStatusInterface *iface, gconstpointer data)
{
	const Splits *all = data;

	for (guint i = 0; i < G_N_ELEMENTS(all->splits) && all->splits[i].value; i++)
		nat_prom_count(prom, iface->stats.counts[all->splits[i].stat], "interface",
			       iface->name, all->label, all->splits[i].value, NULL);
}

/* The same of what `counters` holds by name. */
typedef struct {
	const char *value, *counter;
} Named;

typedef struct {
	const char *label;
	Named names[9]; /* value NULL: the end */
} Names;

static void
named(NatProm *prom, const NatStatusInterface *iface, gconstpointer data)
{
	const Names *all = data;

	for (guint i = 0; i < G_N_ELEMENTS(all->names) && all->names[i].value; i++)
		nat_prom_count(prom, counter_of(iface, all->names[i].counter), "interface",
			       iface->name, all->label, all->names[i].value, NULL);
}

static void
counter(NatProm *prom, const NatStatusInterface *iface, gconstpointer name)
{
	nat_prom_count(prom, counter_of(iface, name), "interface", iface->name, NULL);
}

static void
connect_times(NatProm *prom, const NatStatusInterface *iface, gconstpointer unused)
{
	nat_prom_histogram(prom, &iface->stats.connect_s, "interface", iface->name);
}

/* ---- what is ---- */

static void
serving(NatProm *prom, const NatStatusInterface *iface, gconstpointer unused)
{
	nat_prom_gauge(prom, iface->problem == NULL, "interface", iface->name, NULL);
}

static void
signal_connected(NatProm *prom, const NatStatusInterface *iface, gconstpointer unused)
{
	nat_prom_gauge(prom, g_strcmp0(iface->signal_state, "connected") == 0, "interface",
		       iface->name, NULL);
}

static void
relay_servers(NatProm *prom, const NatStatusInterface *iface, gconstpointer unused)
{
	static const char *const states[] = {"idle", "allocating", "up", "failed"};

	for (guint i = 0; i < G_N_ELEMENTS(states); i++) {
		guint n = 0;

		for (guint j = 0; j < iface->relays->len; j++) {
			const NatStatusRelay *relay = g_ptr_array_index(iface->relays, j);

			n += g_strcmp0(relay->state, states[i]) == 0;
		}
		nat_prom_gauge(prom, n, "interface", iface->name, "state", states[i], NULL);
	}
}

static void
mapping(NatProm *prom, const NatStatusInterface *iface, gconstpointer unused)
{
	for (guint i = NAT_MAPPING_UNKNOWN; i <= NAT_MAPPING_ADDRESS_AND_PORT_DEPENDENT; i++)
		nat_prom_gauge(prom, iface->mapping == i, "interface", iface->name, "mapping",
			       nat_mapping_to_string((NatMapping)i), NULL);
}

/* ---- the page ---- */

static void
process_families(NatProm *prom, const NatStatus *status, const NatMetricsFacts *facts)
{
	nat_prom_family(prom, "nat_agent_build_info", "gauge", "1; the label has the version.");
	nat_prom_gauge(prom, 1, "version", status->version, NULL);
	nat_prom_family(prom, "nat_agent_uptime_seconds", "gauge", "Since the agent's start.");
	nat_prom_gauge(prom, facts->uptime_s, NULL);
	nat_prom_family(prom, "nat_agent_control_clients", "gauge",
			"Programs at the control socket.");
	nat_prom_gauge(prom, facts->control_clients, NULL);
}

static void
peer_families(NatProm *prom, const NatStatus *status)
{
	static const NatStat failovers = NAT_STAT_FAILOVERS;
	static const PeerSeries connected = PEER_CONNECTED, relayed = PEER_RELAYED,
				rtt = PEER_ROUND_TRIP, info = PEER_INFO;

	family(prom, status, "nat_agent_peers", "gauge", "Peers of the WireGuard device.", peers,
	       NULL);
	family(prom, status, "nat_agent_peer_connected", "gauge", "1: WireGuard proved its path.",
	       single_peers, &connected);
	family(prom, status, "nat_agent_peer_relayed", "gauge", "1: its path crosses a relay.",
	       single_peers, &relayed);
	family(prom, status, "nat_agent_peer_round_trip_seconds", "gauge",
	       "Smoothed round trip of its path.", single_peers, &rtt);
	family(prom, status, "nat_agent_peer_info", "gauge", "1; the label has its name.",
	       single_peers, &info);
	family(prom, status, "nat_agent_connect_seconds", "histogram",
	       "From the begin of a search for a peer to WireGuard's proof of a path.",
	       connect_times, NULL);
	family(prom, status, "nat_agent_failovers_total", "counter",
	       "Connected tunnels that changed to another path.", stat_of, &failovers);
}

static void
search_families(NatProm *prom, const NatStatus *status)
{
	static const NatStat searches = NAT_STAT_SEARCHES, sent = NAT_STAT_PROBES_SENT,
			     answered = NAT_STAT_PROBES_ANSWERED,
			     network = NAT_STAT_NETWORK_CHANGES;
	static const Splits failed = {"cause",
				      {{"unanswered", NAT_STAT_SEARCHES_UNANSWERED},
				       {"unproven", NAT_STAT_SEARCHES_UNPROVEN},
				       {"silent", NAT_STAT_SEARCHES_SILENT}}};
	static const Splits writes = {
		"result", {{"written", NAT_STAT_WRITES}, {"refused", NAT_STAT_WRITES_REFUSED}}};
	static const NatStat punches = NAT_STAT_PUNCHES;
	static const Splits punched = {
		"result",
		{{"worked", NAT_STAT_PUNCHES_WORKED}, {"failed", NAT_STAT_PUNCHES_FAILED}}};
	static const Names refused = {
		"cause",
		{{"refused", "drop_candidate_refused"}, {"too_many", "drop_candidate_too_many"}}};

	family(prom, status, "nat_agent_searches_total", "counter",
	       "Searches for a path begun with a peer's agent.", stat_of, &searches);
	family(prom, status, "nat_agent_searches_failed_total", "counter",
	       "Searches that found no path that works.", split_stat, &failed);
	family(prom, status, "nat_agent_searches_postponed_total", "counter",
	       "Searches that a peer asked for too soon.", counter, "drop_search_rate");
	family(prom, status, "nat_agent_many_ports_attempts_total", "counter",
	       "Attempts on hard NATs by many ports that were begun.", stat_of, &punches);
	family(prom, status, "nat_agent_many_ports_results_total", "counter",
	       "How they ended; what came to nothing before a packet was sent is neither.",
	       split_stat, &punched);
	family(prom, status, "nat_agent_candidates_dropped_total", "counter",
	       "Addresses of peers that were not tried.", named, &refused);
	family(prom, status, "nat_agent_probes_sent_total", "counter",
	       "Probes sent to watch known paths.", stat_of, &sent);
	family(prom, status, "nat_agent_probes_answered_total", "counter",
	       "Answers to them that count.", stat_of, &answered);
	family(prom, status, "nat_agent_wireguard_writes_total", "counter",
	       "Changes of a peer's endpoint or keepalive.", split_stat, &writes);
	family(prom, status, "nat_agent_network_changes_total", "counter",
	       "Changes of the network that were acted on.", stat_of, &network);
}

static void
port_mapping(NatProm *prom, const NatStatusInterface *iface, gconstpointer unused)
{
	nat_prom_gauge(prom, g_strcmp0(iface->port_mapping.state, "up") == 0, "interface",
		       iface->name, NULL);
}

static void
stun_families(NatProm *prom, const NatStatus *status)
{
	static const NatStat requests = NAT_STAT_STUN_REQUESTS;
	static const Names packets = {"direction", {{"in", "stun_in"}, {"out", "stun_out"}}};
	static const Names bytes = {"direction",
				    {{"in", "stun_in_bytes"}, {"out", "stun_out_bytes"}}};
	static const Names dropped = {"cause",
				      {{"malformed", "drop_malformed"},
				       {"stranger", "drop_stranger"},
				       {"unasked_response", "drop_unasked_response"},
				       {"wrong_source", "drop_wrong_source"},
				       {"refused_destination", "drop_refused_destination"},
				       {"rate", "drop_rate"},
				       {"send", "drop_send"}}};

	family(prom, status, "nat_agent_stun_requests_total", "counter",
	       "Requests sent to STUN servers from WireGuard's port.", stat_of, &requests);
	family(prom, status, "nat_agent_stun_packets_total", "counter",
	       "STUN packets on WireGuard's port, and of watches by relay.", named, &packets);
	family(prom, status, "nat_agent_stun_bytes_total", "counter", "Their payloads.", named,
	       &bytes);
	family(prom, status, "nat_agent_stun_dropped_total", "counter",
	       "STUN packets that were dropped.", named, &dropped);
	family(prom, status, "nat_agent_nat_mapping", "gauge",
	       "1 at the mapping behaviour of the NAT that STUN found.", mapping, NULL);
	family(prom, status, "nat_agent_port_mapping_up", "gauge",
	       "1: a router maps WireGuard's port at an address that the internet reaches.",
	       port_mapping, NULL);
}

static void
signal_families(NatProm *prom, const NatStatus *status)
{
	static const NatStat logins = NAT_STAT_LOGINS;
	static const Splits messages = {
		"direction", {{"in", NAT_STAT_MESSAGES_RECEIVED}, {"out", NAT_STAT_MESSAGES_SENT}}};
	static const Names dropped = {"cause",
				      {{"frame", "drop_signal_frame"},
				       {"stranger", "drop_message_stranger"},
				       {"seal", "drop_message_seal"},
				       {"malformed", "drop_message_malformed"},
				       {"replayed", "drop_message_replayed"}}};

	family(prom, status, "nat_agent_signal_connected", "gauge", "1: at the signaling server.",
	       signal_connected, NULL);
	family(prom, status, "nat_agent_signal_logins_total", "counter",
	       "Logins at the signaling server.", stat_of, &logins);
	family(prom, status, "nat_agent_signal_messages_total", "counter",
	       "Messages between agents.", split_stat, &messages);
	family(prom, status, "nat_agent_signal_messages_dropped_total", "counter",
	       "Messages and frames received that were dropped.", named, &dropped);
}

static void
relay_families(NatProm *prom, const NatStatus *status)
{
	static const Names packets = {"direction", {{"in", "relay_in"}, {"out", "relay_out"}}};
	static const Names bytes = {"direction",
				    {{"in", "relay_in_bytes"}, {"out", "relay_out_bytes"}}};
	static const Names dropped = {"cause",
				      {{"full", "drop_relay_full"},
				       {"unknown", "drop_turn_message"},
				       {"plain_not_initiation", "drop_plain_not_initiation"},
				       {"plain_rate", "drop_plain_rate"},
				       {"plain_full", "drop_plain_full"},
				       {"plain_retiring", "drop_plain_retiring"},
				       {"plain_send", "drop_plain_send"}}};

	family(prom, status, "nat_agent_relay_servers", "gauge",
	       "TURN servers, by what is known of an allocation there.", relay_servers, NULL);
	family(prom, status, "nat_agent_relay_packets_total", "counter",
	       "WireGuard's packets through relayed addresses of ours; in: to WireGuard.", named,
	       &packets);
	family(prom, status, "nat_agent_relay_bytes_total", "counter",
	       "Their bytes, without headers.", named, &bytes);
	family(prom, status, "nat_agent_relay_dropped_total", "counter",
	       "Packets by a relay that were dropped.", named, &dropped);
	family(prom, status, "nat_agent_relay_plain_bridges_total", "counter",
	       "Bridges made for peers without an agent.", counter, "plain_bridges");
}

char *
nat_metrics_text(const NatStatus *status, const NatMetricsFacts *facts)
{
	NatProm *prom = nat_prom_new();

	process_families(prom, status, facts);
	family(prom, status, "nat_agent_interface_served", "gauge",
	       "1: the interface is served, and nothing is wrong with it.", serving, NULL);
	peer_families(prom, status);
	search_families(prom, status);
	stun_families(prom, status);
	signal_families(prom, status);
	relay_families(prom, status);
	return nat_prom_finish(prom);
}
