/* SPDX-License-Identifier: MIT */
/*
 * Two agents' views of each other in one process: a NatPeer each, real checks between two
 * namespaces (two-hosts.h), and three things made up: a WireGuard device of one peer, the signaling
 * server between them, and what the network lets through.
 *
 * The device: whoever has an endpoint that leads to the other and a keepalive (which makes
 * WireGuard send) initiates; the other end's endpoint follows the packet, as the kernel's does.
 */
#pragma once

#include "agent/peer/nat-peer.h"
#include "agent/session/nat-seal.h"
#include "tests/unit/two-hosts.h"

typedef struct Agents Agents;
typedef struct Agent Agent;

struct Agent {
	Agents *agents;
	Agent *other;
	Host *host;
	NatIceNs *ns;
	NatTun *tun;
	NatOriginals *originals;
	WgKey private_key, public_key;
	NatPeerEnv env;
	NatPeer *peer; /* the other one, as this agent sees it; NULL: no agent runs here */
	WgPeer *wg;    /* the same, as this host's WireGuard has it */
	WgPeer seen;   /* and as this agent last read it; its allowed IPs are wg's */
	GArray *candidates;
	/* what happened */
	guint writes, endpoint_writes, replaces, sent;
	GHashTable *dropped;  /* cause → count */
	GPtrArray *recording; /* GBytes: all it ever sent */
	GPtrArray *late;      /* GBytes: withheld by the server */
};

struct Agents {
	Hosts hosts;
	gboolean up;
	Agent a, b;	     /* a controls: its key is the larger one */
	gboolean handshakes; /* WireGuard's packets pass */
	gboolean talking;    /* data goes to and fro */
	int cut_family;	     /* WireGuard's packets to addresses of it are lost; 0: of none */
	/* the signaling server's doing, to every message of either */
	guint lose;	    /* so many are lost */
	gboolean duplicate; /* each comes twice */
	gboolean reverse;   /* each second one overtakes the one before */
	gboolean withhold;  /* goes to `late` */
	gboolean down;	    /* neither is at the server */
	guint tick;
};

/* ---- the server ---- */

typedef struct {
	Agent *to;
	GBytes *body;
} Delivery;

static inline void
agent_hear(Agent *to, GBytes *body)
{
	gsize len;
	gconstpointer data = g_bytes_get_data(body, &len);

	if (to->peer != NULL)
		nat_peer_message(to->peer, data, len);
}

static inline gboolean
delivery_dispatch(gpointer data)
{
	Delivery *delivery = data;

	agent_hear(delivery->to, delivery->body);
	return G_SOURCE_REMOVE;
}

static inline void
delivery_free(gpointer data)
{
	Delivery *delivery = data;

	g_bytes_unref(delivery->body);
	g_free(delivery);
}

static inline void
agent_deliver(Agent *to, GBytes *body)
{
	Delivery *delivery = g_new0(Delivery, 1);

	delivery->to = to;
	delivery->body = g_bytes_ref(body);
	g_idle_add_full(G_PRIORITY_DEFAULT, delivery_dispatch, delivery, delivery_free);
}

static inline gboolean
env_send(const WgKey *key, GBytes *body, gpointer user_data)
{
	Agent *agent = user_data;
	Agents *agents = agent->agents;

	g_assert_true(wg_key_equal(key, &agent->other->public_key));
	if (agents->down)
		return FALSE;
	agent->sent++;
	g_ptr_array_add(agent->recording, g_bytes_ref(body));
	if (agents->lose > 0) {
		agents->lose--;
		return TRUE;
	}
	if (agents->withhold || (agents->reverse && agent->late->len == 0)) {
		g_ptr_array_add(agent->late, g_bytes_ref(body));
		return TRUE;
	}
	agent_deliver(agent->other, body);
	if (agents->duplicate)
		agent_deliver(agent->other, body);
	for (guint i = 0; i < agent->late->len; i++)
		agent_deliver(agent->other, g_ptr_array_index(agent->late, i));
	g_ptr_array_set_size(agent->late, 0);
	return TRUE;
}

/* ---- the device ---- */

static inline gboolean
leads_to_other(const Agent *agent)
{
	if (wg_endpoint_family(&agent->wg->endpoint) == agent->agents->cut_family)
		return FALSE;
	return wg_endpoint_equal(&agent->wg->endpoint, &agent->other->host->addr) ||
	       wg_endpoint_equal(&agent->wg->endpoint, &agent->other->host->addr6);
}

static inline void
agent_packet(Agent *from)
{
	gboolean v6 = wg_endpoint_family(&from->wg->endpoint) == AF_INET6;

	from->wg->tx_bytes += 32;
	if (!from->agents->handshakes || !leads_to_other(from))
		return;
	from->other->wg->rx_bytes += 32;
	from->other->wg->endpoint = v6 ? from->host->addr6 : from->host->addr;
}

/* A packet of the user's. It does not wait for anybody's turn to initiate. */
static inline void
agent_data(Agent *from)
{
	from->wg->tx_bytes += 128;
	if (from->agents->handshakes && leads_to_other(from))
		from->other->wg->rx_bytes += 128;
}

static inline gboolean
has_session(const Agent *agent)
{
	return agent->wg->last_handshake_s != 0 && agent->other->wg->last_handshake_s != 0;
}

static inline void
agents_handshake(Agents *agents)
{
	gint64 now_us = g_get_real_time();

	agents->a.wg->last_handshake_s = agents->b.wg->last_handshake_s = now_us / G_USEC_PER_SEC;
	agents->a.wg->last_handshake_ns = agents->b.wg->last_handshake_ns =
		now_us % G_USEC_PER_SEC * 1000;
}

static inline void
agent_initiate(Agent *agent)
{
	if (has_session(agent) || agent->wg->keepalive == 0 ||
	    !wg_endpoint_is_set(&agent->wg->endpoint))
		return;
	agent_packet(agent);
	if (!agent->agents->handshakes || !leads_to_other(agent))
		return;
	agent_packet(agent->other);
	agents_handshake(agent->agents);
}

static inline gboolean
env_write(const WgPeerChange *change, gpointer user_data)
{
	Agent *agent = user_data;

	g_assert_true(wg_key_equal(&change->public_key, &agent->other->public_key));
	nat_originals_keep(agent->originals, &agent->seen, change);
	agent->writes++;
	if (change->flags & WG_CHANGE_REPLACE) {
		agent->replaces++;
		agent->wg->last_handshake_s = agent->wg->last_handshake_ns = 0;
		agent->wg->rx_bytes = agent->wg->tx_bytes = 0;
	}
	if (change->flags & WG_CHANGE_ENDPOINT) {
		g_assert_true(wg_endpoint_is_set(&change->endpoint));
		agent->endpoint_writes++;
		agent->wg->endpoint = change->endpoint;
	}
	if (change->flags & WG_CHANGE_KEEPALIVE)
		agent->wg->keepalive = change->keepalive;
	if (change->flags & WG_CHANGE_REARM && has_session(agent))
		agent_packet(agent);
	return TRUE;
}

static inline void
env_refresh(const WgKey *key, NatPath *path, gpointer user_data)
{
	Agent *agent = user_data;

	nat_originals_observe(agent->originals, agent->wg, g_get_monotonic_time());
	nat_path_refresh(path, agent->wg, g_get_monotonic_time(),
			 g_get_real_time() / G_USEC_PER_SEC);
}

static inline void
agent_observe(Agent *agent)
{
	agent->seen = *agent->wg;
	if (agent->peer != NULL)
		nat_peer_observe(agent->peer, agent->wg, g_get_monotonic_time(),
				 g_get_real_time() / G_USEC_PER_SEC);
}

static inline gboolean
agents_tick(gpointer user_data)
{
	Agents *agents = user_data;

	agent_initiate(&agents->a);
	agent_initiate(&agents->b);
	if (agents->talking && has_session(&agents->a)) {
		agent_data(&agents->a);
		agent_data(&agents->b);
	}
	agent_observe(&agents->a);
	agent_observe(&agents->b);
	return G_SOURCE_CONTINUE;
}

/* ---- the rest of the interface ---- */

static inline GArray *
env_candidates(gpointer user_data)
{
	return g_array_copy(((Agent *)user_data)->candidates);
}

static inline NatMapping
env_mapping(gpointer user_data)
{
	return NAT_MAPPING_NONE;
}

static inline gboolean
env_use_addresses(const WgEndpoint *addrs, gsize n, gpointer user_data)
{
	return nat_ice_ns_set_addresses(((Agent *)user_data)->ns, addrs, n, NULL);
}

static inline const char *
env_signal_problem(gpointer user_data)
{
	return ((Agent *)user_data)->agents->down ? "the server is down" : NULL;
}

static inline void
env_hurry(gpointer user_data)
{
}

static inline guint16
env_keepalive(gpointer user_data)
{
	return 25;
}

static inline void
env_nothing(gpointer user_data)
{
}

static inline const char *
env_relay_problem(gboolean *known, gpointer user_data)
{
	*known = FALSE;
	return NULL;
}

static inline void
env_dropped(const char *cause, gpointer user_data)
{
	Agent *agent = user_data;
	guint count = GPOINTER_TO_UINT(g_hash_table_lookup(agent->dropped, cause));

	g_hash_table_insert(agent->dropped, (gpointer)cause, GUINT_TO_POINTER(count + 1));
}

static inline guint
agent_dropped(const Agent *agent, const char *cause)
{
	return GPOINTER_TO_UINT(g_hash_table_lookup(agent->dropped, cause));
}

/* ---- life ---- */

static inline void
agent_start(Agent *agent)
{
	agent->env.watch_id = g_random_int() | 1;
	agent->peer = nat_peer_new(&agent->env, &agent->other->public_key, NULL);
}

static inline void
agent_stop(Agent *agent)
{
	g_clear_pointer(&agent->peer, nat_peer_free);
}

/* Both at the server and told so, as after two logins. */
static inline void
agents_meet(Agents *agents)
{
	agents->down = FALSE;
	if (agents->a.peer != NULL)
		nat_peer_signal_connected(agents->a.peer);
	if (agents->b.peer != NULL)
		nat_peer_signal_connected(agents->b.peer);
	if (agents->a.peer == NULL || agents->b.peer == NULL)
		return;
	nat_peer_presence(agents->a.peer, TRUE);
	nat_peer_presence(agents->b.peer, TRUE);
}

/* This one's process ends and another begins. */
static inline void
agent_restart(Agent *agent)
{
	agent_stop(agent);
	if (agent->other->peer != NULL)
		nat_peer_presence(agent->other->peer, FALSE);
	agent_start(agent);
	agent_observe(agent);
	nat_peer_signal_connected(agent->peer);
	if (agent->other->peer == NULL)
		return;
	nat_peer_presence(agent->peer, TRUE);
	nat_peer_presence(agent->other->peer, TRUE);
}

static inline void
agent_offer(Agent *agent, const char *endpoint)
{
	NatCandidate cand = {.type = NAT_CAND_HOST, .endpoint = net_ep(endpoint)};

	g_array_append_val(agent->candidates, cand);
}

static inline void
agent_up(Agent *agent, Agents *agents, Agent *other, Host *host)
{
	WgKey none = {{0}};
	g_autoptr(GError) error = NULL;

	agent->agents = agents;
	agent->other = other;
	agent->host = host;
	agent->ns = nat_ice_ns_new(&error);
	g_assert_no_error(error);
	agent->tun = nat_tun_new(agent->ns);
	agent->originals = nat_originals_new("/dev/null/memory-only", &none);
	agent->candidates = g_array_new(FALSE, FALSE, sizeof(NatCandidate));
	agent->dropped = g_hash_table_new(g_str_hash, g_str_equal);
	agent->recording = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
	agent->late = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
	agent->wg = wg_peer_new();
	agent->wg->public_key = other->public_key;
	agent->seen = *agent->wg;
	agent->env = (NatPeerEnv){
		.ifname = "wg0",
		.private_key = agent->private_key,
		.public_key = agent->public_key,
		.ns = agent->ns,
		.tun = agent->tun,
		.mux = host->mux,
		.originals = agent->originals,
		.candidates = env_candidates,
		.mapping = env_mapping,
		.use_addresses = env_use_addresses,
		.send = env_send,
		.signal_problem = env_signal_problem,
		.write = env_write,
		.refresh = env_refresh,
		.hurry = env_hurry,
		.keepalive = env_keepalive,
		.look_again = env_nothing,
		.relay_wanted = env_nothing,
		.relay_problem = env_relay_problem,
		.dropped = env_dropped,
		.user_data = agent,
	};
}

static inline void
agent_down(Agent *agent)
{
	agent_stop(agent);
	nat_originals_free(agent->originals);
	nat_tun_free(agent->tun);
	nat_ice_ns_free(agent->ns);
	g_array_unref(agent->candidates);
	g_hash_table_unref(agent->dropped);
	g_ptr_array_unref(agent->recording);
	g_ptr_array_unref(agent->late);
	wg_peer_free(agent->wg);
}

static inline void
agents_make_keys(Agents *agents)
{
	WgKey keys[2];
	gboolean swap;

	for (int i = 0; i < 2; i++)
		wg_key_generate_private(&keys[i]);
	wg_key_public_from_private(&keys[0], &agents->a.public_key);
	wg_key_public_from_private(&keys[1], &agents->b.public_key);
	swap = wg_key_compare(&agents->a.public_key, &agents->b.public_key) < 0;
	agents->a.private_key = keys[swap ? 1 : 0];
	agents->b.private_key = keys[swap ? 0 : 1];
	wg_key_public_from_private(&agents->a.private_key, &agents->a.public_key);
	wg_key_public_from_private(&agents->b.private_key, &agents->b.public_key);
}

/* Two agents with a host candidate each, not yet at the server. */
static inline void
agents_up(Agents *agents)
{
	agents->up = hosts_up(&agents->hosts);
	if (!agents->up)
		return;
	agents->handshakes = TRUE;
	agents->down = TRUE;
	agents_make_keys(agents);
	agent_up(&agents->a, agents, &agents->b, &agents->hosts.a);
	agent_up(&agents->b, agents, &agents->a, &agents->hosts.b);
	agent_offer(&agents->a, "10.9.0.1:51820");
	agent_offer(&agents->b, "10.9.0.2:51820");
	agent_start(&agents->a);
	agent_start(&agents->b);
	agents_tick(agents);
	agents->tick = g_timeout_add(5, agents_tick, agents);
}

static inline void
agents_down(Agents *agents)
{
	if (!agents->up)
		return;
	g_source_remove(agents->tick);
	agent_down(&agents->a);
	agent_down(&agents->b);
	while (g_main_context_iteration(NULL, FALSE)) /* deliveries point to the agents */
		;
	hosts_down(&agents->hosts);
}

/* ---- conditions ---- */

static inline gboolean
agent_is(const Agent *agent, NatPeerState state)
{
	return agent->peer != NULL && nat_peer_state(agent->peer) == state;
}

static inline gboolean
both_connected(gconstpointer data)
{
	const Agents *agents = data;

	return agent_is(&agents->a, NAT_PEER_CONNECTED) && agent_is(&agents->b, NAT_PEER_CONNECTED);
}

static inline gboolean
a_checking(gconstpointer data)
{
	return agent_is(&((const Agents *)data)->a, NAT_PEER_CHECKING);
}

static inline gboolean
a_failed(gconstpointer data)
{
	return agent_is(&((const Agents *)data)->a, NAT_PEER_FAILED);
}

static inline gboolean
a_waiting(gconstpointer data)
{
	return agent_is(&((const Agents *)data)->a, NAT_PEER_WAITING);
}

/* Their searches have ended: what is left of a connected peer is its watch. */
static inline gboolean
both_released(gconstpointer data)
{
	const Agents *agents = data;

	return nat_peer_addresses(agents->a.peer)->len == 0 &&
	       nat_peer_addresses(agents->b.peer)->len == 0;
}

static inline void
expect_direct(const Agents *agents)
{
	g_assert_true(wg_endpoint_equal(&agents->a.wg->endpoint, &agents->hosts.b.addr));
	g_assert_true(wg_endpoint_equal(&agents->b.wg->endpoint, &agents->hosts.a.addr));
	g_assert_cmpuint(agents->a.wg->keepalive, ==, 25);
	g_assert_cmpuint(agents->b.wg->keepalive, ==, 25);
}

/* What this end's status says. */
static inline gboolean
agent_has_reason(Agent *agent, const char *reason)
{
	g_autoptr(NatStatus) status = nat_status_new();
	NatStatusPeer *row = nat_status_add_peer(nat_status_add_interface(status, "wg0"),
						 &agent->wg->public_key);

	if (agent->peer == NULL)
		return FALSE;
	nat_peer_status(agent->peer, agent->wg, row);
	return g_strcmp0(row->reason, reason) == 0;
}

/* Waits until one of the two says so (some reasons pass, and only the choosing end sees them):
 * tests/README.md has a table of who does. */
static inline void
expect_reason(Agents *agents, const char *reason, int timeout_ms)
{
	gint64 end = g_get_monotonic_time() + timeout_ms * G_TIME_SPAN_MILLISECOND;

	while (!agent_has_reason(&agents->a, reason) && !agent_has_reason(&agents->b, reason)) {
		if (g_get_monotonic_time() > end)
			g_error("neither end is %s within %d ms", reason, timeout_ms);
		if (!g_main_context_iteration(NULL, FALSE))
			g_usleep(500);
	}
}

/* The round trip as this end's status has it; negative: none. */
static inline double
agent_rtt(Agent *agent)
{
	g_autoptr(NatStatus) status = nat_status_new();
	NatStatusPeer *row = nat_status_add_peer(nat_status_add_interface(status, "wg0"),
						 &agent->wg->public_key);

	nat_peer_status(agent->peer, agent->wg, row);
	return row->rtt_ms;
}

static inline gboolean
both_measured(gconstpointer data)
{
	Agents *agents = (Agents *)data;

	return both_connected(data) && agent_rtt(&agents->a) >= 0 && agent_rtt(&agents->b) >= 0;
}

/* Drops all UDP to WireGuard's port at host b, as a firewall or a dead router would. */
static inline void
agents_cut(Agents *agents, gboolean cut)
{
	host_enter(&agents->hosts.b);
	if (cut) {
		net_run("nft add table inet cut");
		net_run("nft add chain inet cut in { type filter hook input priority 0; }");
		net_run("nft add chain inet cut out { type filter hook output priority 0; }");
		net_run("nft add rule inet cut in meta l4proto udp drop");
		net_run("nft add rule inet cut out meta l4proto udp drop");
	} else {
		net_run("nft delete table inet cut");
	}
	host_enter(&agents->hosts.a);
	agents->handshakes = !cut;
}

/* ---- common to the test programs ---- */

#define CONNECT_MS 20000

static inline GLogWriterOutput
agents_log(GLogLevelFlags level, const GLogField *fields, gsize n, gpointer user_data)
{
	return g_test_verbose() && !(level & G_LOG_LEVEL_WARNING)
		       ? g_log_writer_default(level, fields, n, NULL)
		       : G_LOG_WRITER_HANDLED;
}

static inline void
agents_set_up(Agents *agents, gconstpointer data)
{
	agents_up(agents);
}

static inline void
agents_tear_down(Agents *agents, gconstpointer data)
{
	agents_down(agents);
}

static inline void
connect_both(Agents *agents)
{
	agents_meet(agents);
	g_assert_true(hosts_wait(both_connected, agents, CONNECT_MS));
	g_assert_true(hosts_wait(both_measured, agents, CONNECT_MS));
}
