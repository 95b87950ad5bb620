/* SPDX-License-Identifier: MIT */
/*
 * Two agents (two-peers.h), and a relay server in a third namespace that both reach. One of them,
 * the holder, has a NatRelay; the other reaches its relayed address from port P. What two-peers.h
 * makes up of WireGuard is real UDP here: handshakes and data between sockets at port P, through
 * the bridge's loopback where the endpoint says so.
 *
 *     a ──────── 10.9.0.0/24 ──────── b        (the direct path, of two-hosts.h)
 *     └─ 192.0.2.0/24 ─ relay ─ 198.51.100.0/24 ─┘     203.0.113.2: coturn
 *                                                      203.0.113.3: another (world_add_server())
 */
#pragma once

#include "agent/relay/nat-relay.h"
#include "tests/unit/coturn.h"
#include "tests/unit/two-peers.h"

#include <glib-unix.h>

#define RELAY_IP "203.0.113.2"
#define SPARE_IP "203.0.113.3"
#define RELAY_USER "bob:s3cret"
#define INITIATION_US (5 * G_TIME_SPAN_SECOND)

enum { WG_INITIATION = 1, WG_RESPONSE, WG_DATA = 4 };

typedef struct World World;

/* WireGuard on one host. */
typedef struct {
	World *world;
	Agent *agent;
	guint source;
	guint32 session, offered; /* 0: none */
	gint64 initiated_us;
	guint accepted; /* packets of the other's that its session took */
} Wire;

struct World {
	Agents agents;
	gboolean up;
	Wire a, b;
	Agent *holder;
	int netns;
	Coturn coturn, spare_coturn;
	NatRelay *relay;
	guint tick, slow_tick;
	gboolean direct_drops_wireguard;
	WgEndpoint known; /* to compare with */
};

typedef struct {
	guint8 kind, zero[3];
	guint32 session;
	guint8 rest[120];
} WirePacket;

/* ---- WireGuard ---- */

static inline void
wire_send(Wire *wire, guint8 kind, guint32 session, gsize len)
{
	const WgEndpoint *to = &wire->agent->wg->endpoint;
	WirePacket pkt = {.kind = kind, .session = session};

	if (!wg_endpoint_is_set(to))
		return;
	wire->agent->wg->tx_bytes += len;
	sendto(wire->agent->host->port_holder, &pkt, len, 0, &to->sa, wg_endpoint_socklen(to));
}

static inline void
wire_initiate(Wire *wire)
{
	gint64 now = g_get_monotonic_time();

	if (!wg_endpoint_is_set(&wire->agent->wg->endpoint) ||
	    (wire->initiated_us != 0 && now - wire->initiated_us < INITIATION_US))
		return;
	wire->initiated_us = now;
	wire->offered = g_random_int() | 1;
	wire_send(wire, WG_INITIATION, wire->offered, 100);
}

static inline void
wire_has_session(Wire *wire, guint32 session)
{
	gint64 now = g_get_real_time();

	if (wire->session == session && wire->agent->wg->last_handshake_s != 0)
		return;
	wire->session = session;
	wire->agent->wg->last_handshake_s = now / G_USEC_PER_SEC;
	wire->agent->wg->last_handshake_ns = now % G_USEC_PER_SEC * 1000;
}

static inline gboolean
wire_accept(Wire *wire, const WirePacket *pkt)
{
	/* STUN comes to this port, too */
	if (pkt->zero[0] != 0 || pkt->zero[1] != 0 || pkt->zero[2] != 0)
		return FALSE;
	switch (pkt->kind) {
	case WG_INITIATION:
		wire->offered = pkt->session;
		return TRUE;
	case WG_RESPONSE:
		return pkt->session == wire->offered;
	case WG_DATA:
		return pkt->session != 0 &&
		       (pkt->session == wire->session || pkt->session == wire->offered);
	default:
		return FALSE;
	}
}

static inline gboolean
wire_on_readable(gint fd, GIOCondition condition, gpointer user_data)
{
	Wire *wire = user_data;
	WgPeer *wg = wire->agent->wg;
	WgEndpoint from;
	WirePacket pkt;
	gssize n = net_recv(fd, &pkt, sizeof pkt, 0, &from);

	if (n < 8 || !wire_accept(wire, &pkt))
		return G_SOURCE_CONTINUE;
	if (!wire->world->agents.handshakes ||
	    (wire->world->direct_drops_wireguard &&
	     wg_endpoint_equal(&from, &wire->agent->other->host->addr)))
		return G_SOURCE_CONTINUE;
	wg->rx_bytes += (guint64)n;
	wg->endpoint = from;
	switch (pkt.kind) {
	case WG_INITIATION:
		wire_send(wire, WG_RESPONSE, pkt.session, 92);
		break;
	case WG_RESPONSE:
		wire_has_session(wire, pkt.session);
		wire_send(wire, WG_DATA, wire->session, 32);
		break;
	default:
		wire->accepted++;
		wire_has_session(wire, pkt.session);
		break;
	}
	return G_SOURCE_CONTINUE;
}

static inline gboolean
wire_write(const WgPeerChange *change, gpointer user_data)
{
	Agent *agent = user_data;
	World *world = (World *)(gpointer)agent->agents;
	Wire *wire = agent == &world->agents.a ? &world->a : &world->b;

	nat_originals_keep(agent->originals, &agent->seen, change);
	agent->writes++;
	if (change->flags & WG_CHANGE_REPLACE) {
		agent->replaces++;
		wire->session = wire->offered = 0;
		wire->initiated_us = 0;
		agent->wg->last_handshake_s = agent->wg->last_handshake_ns = 0;
		agent->wg->rx_bytes = agent->wg->tx_bytes = 0;
		agent->wg->endpoint = (WgEndpoint){0};
	}
	if (change->flags & WG_CHANGE_ENDPOINT) {
		agent->endpoint_writes++;
		agent->wg->endpoint = change->endpoint;
	}
	if (change->flags & WG_CHANGE_KEEPALIVE)
		agent->wg->keepalive = change->keepalive;
	if (change->flags & WG_CHANGE_REARM && wire->session != 0)
		wire_send(wire, WG_DATA, wire->session, 32);
	return TRUE;
}

static inline void
wire_tick(Wire *wire)
{
	if (wire->session == 0 && (wire->agent->wg->keepalive != 0 || wire->agent->agents->talking))
		wire_initiate(wire);
	else if (wire->session != 0 && wire->agent->agents->talking)
		wire_send(wire, WG_DATA, wire->session, 128);
	agent_observe(wire->agent);
}

static inline gboolean
world_tick(gpointer user_data)
{
	World *world = user_data;

	wire_tick(&world->a);
	wire_tick(&world->b);
	return G_SOURCE_CONTINUE;
}

static inline gboolean
world_slow_tick(gpointer user_data)
{
	World *world = user_data;
	gint64 now = g_get_monotonic_time();
	gboolean wanted = FALSE, spare = FALSE;

	if (world->agents.a.peer != NULL)
		nat_peer_tick(world->agents.a.peer, now);
	if (world->agents.b.peer != NULL)
		nat_peer_tick(world->agents.b.peer, now);
	if (world->holder->peer != NULL) {
		wanted = nat_peer_wants_relay(world->holder->peer, now);
		spare = nat_peer_wants_spare(world->holder->peer, now);
	}
	nat_relay_set_wanted(world->relay, wanted);
	nat_relay_set_spare_wanted(world->relay, spare);
	return G_SOURCE_CONTINUE;
}

static inline void
wire_up(Wire *wire, World *world, Agent *agent)
{
	wire->world = world;
	wire->agent = agent;
	agent->env.write = wire_write;
	host_enter(agent->host);
	close(agent->host->port_holder);
	agent->host->port_holder = net_udp("0.0.0.0:51820");
	wire->source = g_unix_fd_add(agent->host->port_holder, G_IO_IN, wire_on_readable, wire);
}

/* ---- the relay ---- */

static inline gboolean
world_is_ours(const WgEndpoint *relayed, gpointer user_data)
{
	return nat_relay_is_ours(user_data, relayed);
}

static inline gboolean
world_send_relayed(const WgEndpoint *relayed, const WgEndpoint *dst, const guint8 *payload,
		   gsize len, gpointer user_data)
{
	return nat_relay_send(user_data, relayed, dst, payload, len);
}

static inline void
world_on_received(const NatUdp *pkt, gpointer user_data)
{
	nat_mux_receive_relayed(((World *)user_data)->holder->host->mux, pkt);
}

static inline void
world_on_changed(gpointer user_data)
{
	World *world = user_data;

	if (world->holder->peer != NULL)
		nat_peer_relay_changed(world->holder->peer);
}

static inline void
world_on_credentials(gpointer user_data)
{
}

static inline GArray *
world_candidates(gpointer user_data)
{
	Agent *agent = user_data;
	World *world = (World *)(gpointer)agent->agents;
	GArray *out = g_array_copy(agent->candidates);
	NatCandidate cand = {.type = NAT_CAND_RELAY, .endpoint = *nat_relay_address(world->relay)};

	if (agent == world->holder && wg_endpoint_is_set(&cand.endpoint))
		g_array_append_val(out, cand);
	return out;
}

static inline void
world_relay_wanted(gpointer user_data)
{
	Agent *agent = user_data;
	World *world = (World *)(gpointer)agent->agents;

	if (agent == world->holder)
		nat_relay_set_wanted(world->relay, TRUE);
}

static inline void
world_start_server(World *world, Coturn *coturn, const char *ip)
{
	if (setns(world->netns, CLONE_NEWNET) < 0)
		g_error("setns: %s", g_strerror(errno));
	net_run("ip addr replace %s/32 dev lo", ip);
	coturn_start(coturn, ip, RELAY_USER, NULL);
	host_enter(world->holder->host);
}

static inline void
world_start_coturn(World *world)
{
	world_start_server(world, &world->coturn, RELAY_IP);
}

static inline void
world_join(World *world, Agent *agent, const char *dev, const char *net)
{
	host_enter(agent->host);
	net_run("ip link add %s type veth peer name %s-r", dev, dev);
	net_run("ip link set %s-r netns /proc/%d/fd/%d", dev, (int)getpid(), world->netns);
	net_run("ip addr add %s.1/24 dev %s", net, dev);
	net_run("ip link set %s up", dev);
	net_run("ip route add 203.0.113.0/24 via %s.2 dev %s onlink", net, dev);
	if (setns(world->netns, CLONE_NEWNET) < 0)
		g_error("setns: %s", g_strerror(errno));
	net_run("ip addr add %s.2/24 dev %s-r", net, dev);
	net_run("ip link set %s-r up", dev);
	host_enter(agent->host);
	net_run("sh -c 'ping -c 1 -w 10 -q " RELAY_IP " >/dev/null'");
}

/* spare_ip: NULL: there is one server. */
static inline void
world_use_servers(World *world, const char *spare_ip)
{
	const char *ips[] = {RELAY_IP, spare_ip};
	g_autoptr(GPtrArray) uris =
		g_ptr_array_new_with_free_func((GDestroyNotify)nat_turn_uri_free);

	for (gsize i = 0; i < G_N_ELEMENTS(ips); i++) {
		g_autofree char *uri =
			g_strdup_printf("turn:" RELAY_USER "@%s:3478?transport=udp", ips[i]);

		if (ips[i] != NULL)
			g_ptr_array_add(uris, nat_turn_uri_parse(uri, NULL));
	}
	nat_relay_set_servers(world->relay, uris);
}

/* A second server is there, and known. */
static inline void
world_add_server(World *world)
{
	world_start_server(world, &world->spare_coturn, SPARE_IP);
	world_use_servers(world, SPARE_IP);
}

static inline void
world_make_relay(World *world)
{
	static const NatRelayFuncs FUNCS = {
		.changed = world_on_changed,
		.received = world_on_received,
		.credentials_wanted = world_on_credentials,
	};
	static const NatMuxRelay MUX_RELAY = {world_is_ours, world_send_relayed};

	world->relay = nat_relay_new("wg0", NULL, &world->holder->public_key, 0, &FUNCS, world);
	world_use_servers(world, NULL);
	nat_mux_set_relay(world->holder->host->mux, &MUX_RELAY, world->relay);
}

/* ---- life ---- */

/* b_holds: the follower has the relay, not the one that chooses. Not yet at the signaling server.
 */
static inline void
world_up(World *world, gboolean b_holds)
{
	NatCandidate cand = {.type = NAT_CAND_SRFLX};

	world->netns = -1;
	if (!coturn_is_there())
		return;
	agents_up(&world->agents);
	world->up = world->agents.up;
	if (!world->up)
		return;
	g_source_remove(world->agents.tick);
	world->holder = b_holds ? &world->agents.b : &world->agents.a;
	if (!net_fresh())
		g_error("no third namespace");
	world->netns = host_netns();
	net_run("ip link set lo up");
	net_run("ip addr add " RELAY_IP "/32 dev lo"); /* to be pinged */
	world_join(world, &world->agents.a, "relay-a", "192.0.2");
	world_join(world, &world->agents.b, "relay-b", "198.51.100");
	cand.endpoint = net_ep("192.0.2.1:51820");
	g_array_append_val(world->agents.a.candidates, cand);
	cand.endpoint = net_ep("198.51.100.1:51820");
	g_array_append_val(world->agents.b.candidates, cand);
	wire_up(&world->a, world, &world->agents.a);
	wire_up(&world->b, world, &world->agents.b);
	host_enter(world->holder->host);
	world_make_relay(world);
	for (int i = 0; i < 2; i++) {
		Agent *agent = i == 0 ? &world->agents.a : &world->agents.b;

		agent->env.candidates = world_candidates;
		agent->env.relay_wanted = world_relay_wanted;
		agent->env.relay = agent == world->holder ? world->relay : NULL;
	}
	world_start_coturn(world);
	world->tick = g_timeout_add(5, world_tick, world);
	world->slow_tick = g_timeout_add(1000, world_slow_tick, world);
}

static inline void
world_down(World *world)
{
	if (!world->up)
		return;
	g_source_remove(world->tick);
	g_source_remove(world->slow_tick);
	g_source_remove(world->a.source);
	g_source_remove(world->b.source);
	world->agents.tick = g_timeout_add(1000, agents_tick, &world->agents); /* it is removed */
	agent_stop(&world->agents.a);
	agent_stop(&world->agents.b);
	nat_mux_set_relay(world->holder->host->mux, NULL, NULL);
	nat_relay_free(world->relay);
	agents_down(&world->agents);
	coturn_clear(&world->coturn);
	coturn_clear(&world->spare_coturn);
	close(world->netns);
}

/* Nothing passes between the hosts but by the relay. */
static inline void
world_cut(World *world, gboolean cut)
{
	host_enter(&world->agents.hosts.b);
	if (cut) {
		net_run("nft add table inet cut");
		net_run("nft add chain inet cut in { type filter hook input priority 0; }");
		net_run("nft add chain inet cut out { type filter hook output priority 0; }");
		net_run("nft add rule inet cut in iifname core-b meta l4proto udp drop");
		net_run("nft add rule inet cut out oifname core-b meta l4proto udp drop");
	} else {
		net_run("nft delete table inet cut");
	}
	host_enter(world->holder->host);
}

/* The agent is killed: it cleans nothing up. */
static inline void
world_kill(World *world, Agent *agent)
{
	Wire *wire = agent == &world->agents.a ? &world->a : &world->b;
	Wire before = *wire;
	WgPeer wg = *agent->wg;

	agent_stop(agent);
	wire->session = before.session;
	wire->initiated_us = before.initiated_us;
	*agent->wg = wg;
	if (agent->other->peer != NULL)
		nat_peer_presence(agent->other->peer, FALSE);
}

static inline void
world_start(World *world, Agent *agent)
{
	agent_start(agent);
	agent_observe(agent);
	nat_peer_signal_connected(agent->peer);
	nat_peer_presence(agent->peer, TRUE);
	if (agent->other->peer != NULL)
		nat_peer_presence(agent->other->peer, TRUE);
}

/* ---- conditions ---- */

typedef struct {
	gboolean connected, relay, standby;
	guint moves;
	char why[256];
} Row;

static inline Row
row_of(const Agent *agent)
{
	g_autoptr(NatStatus) status = nat_status_new();
	NatStatusPeer *peer = nat_status_add_peer(nat_status_add_interface(status, "wg0"),
						  &agent->wg->public_key);
	Row row = {0};

	nat_peer_status(agent->peer, agent->wg, peer);
	row.connected = peer->state == NAT_PEER_CONNECTED;
	row.relay = peer->relay;
	row.standby = peer->has_standby && peer->standby_relay;
	row.moves = peer->failovers;
	g_strlcpy(row.why, peer->why, sizeof row.why);
	return row;
}

static inline gboolean
on_relay(const Agent *agent)
{
	Row row = row_of(agent);

	return row.connected && row.relay;
}

static inline gboolean
on_direct(const Agent *agent)
{
	Row row = row_of(agent);

	return row.connected && !row.relay &&
	       wg_endpoint_equal(&agent->wg->endpoint, &agent->other->host->addr);
}

static inline gboolean
both_on_relay(gconstpointer data)
{
	const World *world = data;

	return on_relay(&world->agents.a) && on_relay(&world->agents.b);
}

static inline gboolean
both_on_direct(gconstpointer data)
{
	const World *world = data;

	return on_direct(&world->agents.a) && on_direct(&world->agents.b);
}

/* WireGuard's packets pass both ways now. */
static inline gboolean
world_carries(World *world, int timeout_ms)
{
	gint64 end = g_get_monotonic_time() + timeout_ms * G_TIME_SPAN_MILLISECOND;
	guint a = world->a.accepted, b = world->b.accepted;

	while (g_get_monotonic_time() < end) {
		if (world->a.session != 0)
			wire_send(&world->a, WG_DATA, world->a.session, 40);
		if (world->b.session != 0)
			wire_send(&world->b, WG_DATA, world->b.session, 40);
		hosts_run(20);
		if (world->a.accepted > a && world->b.accepted > b)
			return TRUE;
	}
	return FALSE;
}
