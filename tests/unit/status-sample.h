/* SPDX-License-Identifier: MIT */
#pragma once

#include <string.h>

#include "agent/base/nat-json.h"
#include "agent/status/nat-status.h"

/* Statuses that have one of everything. */

static inline WgEndpoint
endpoint(const char *text)
{
	WgEndpoint ep;

	g_assert_true(wg_endpoint_parse(text, &ep));
	return ep;
}

static inline WgKey
key(guint8 first)
{
	WgKey k = {{first, 1, 2, 3}};

	return k;
}

static inline NatStatusPeer *
add(NatStatusInterface *iface, guint8 k, const char *name, NatPeerState state, const char *why)
{
	WgKey pub = key(k);
	NatStatusPeer *peer = nat_status_add_peer(iface, &pub);

	peer->name = g_strdup(name);
	peer->state = state;
	peer->managed = state != NAT_PEER_WAITING;
	g_free(peer->why);
	peer->why = g_strdup(why);
	return peer;
}

static inline void
set_path(NatStatusPeer *peer, NatCandType local, NatCandType remote, const char *to, double rtt)
{
	peer->has_path = TRUE;
	peer->local = (NatCandidate){local, endpoint("192.168.1.2:51820")};
	peer->remote = (NatCandidate){remote, endpoint(to)};
	peer->endpoint = endpoint(to);
	peer->rtt_ms = rtt;
	peer->connect_ms = 312;
	peer->last_handshake_s = 12;
	peer->rx_bytes = 1300000;
	peer->tx_bytes = 353000;
}

static NatStatusInterface *
add_wg0(NatStatus *status)
{
	NatStatusInterface *iface = nat_status_add_interface(status, "wg0");
	NatCandidate host = {NAT_CAND_HOST, endpoint("192.168.1.2:51820")};
	NatCandidate srflx = {NAT_CAND_SRFLX, endpoint("198.51.100.7:51820")};

	iface->public_key = key(200);
	iface->listen_port = 51820;
	iface->backend = g_strdup("kernel");
	iface->signal_url = g_strdup("wss://signal.example");
	iface->signal_state = g_strdup("connected");
	iface->mapping = NAT_MAPPING_ENDPOINT_INDEPENDENT;
	g_array_append_val(iface->public_endpoints, srflx.endpoint);
	g_array_append_val(iface->candidates, host);
	g_array_append_val(iface->candidates, srflx);
	nat_status_set_counter(iface, "mux_to_peer", 42);
	nat_status_set_counter(iface, "drop_stranger", 0);
	return iface;
}

/* One of everything that status can say. */
static inline NatStatus *
sample(void)
{
	NatStatus *status = nat_status_new();
	NatStatusInterface *wg0 = add_wg0(status), *wg1 = nat_status_add_interface(status, "wg1");
	NatStatusPeer *alice, *phone, *late, *carol;

	alice = add(wg0, 1, "alice", NAT_PEER_CONNECTED,
		    "direct: both NATs keep one mapping for all destinations");
	set_path(alice, NAT_CAND_HOST, NAT_CAND_SRFLX, "203.0.113.9:41020", 21.4);
	alice->reason = g_strdup("direct-easy-nats");
	set_path(add(wg0, 2, NULL, NAT_PEER_CONNECTED, "direct: both are in the same network"),
		 NAT_CAND_HOST, NAT_CAND_HOST, "[2001:db8:85a3:1234:5678:8a2e:370:7334]:51820",
		 0.254);
	phone = add(wg0, 3, "phone", NAT_PEER_CONNECTED,
		    "no agent there: the endpoint is the one that WireGuard has");
	set_path(phone, NAT_CAND_HOST, NAT_CAND_ROAMED, "203.0.113.77:6001", -1);
	memset(&phone->local, 0, sizeof phone->local);
	phone->managed = FALSE;
	phone->connect_ms = -1;
	phone->since_s = 7200;
	late = add(
		wg0, 4, "a-very-long-host-name.example.net", NAT_PEER_CHECKING,
		"checking 12 pairs for 2 s; its NAT gives every destination another port, so that "
		"only a peer-reflexive path is possible");
	late->last_handshake_s = 5000;
	add(wg0, 5, "bob", NAT_PEER_WAITING, "its agent is not at the signaling server");
	carol = add(wg0, 6, "carol", NAT_PEER_FAILED,
		    "no pair answered: a firewall at one end drops UDP to port 51820; open it, or "
		    "wait for another network");
	carol->reason = g_strdup("failed-checks");
	carol->no_relay = g_strdup("no-server");
	wg1->problem = g_strdup("interface wg1 does not exist; waiting for it to appear");
	wg1->signal_url = g_strdup("ws://192.0.2.1:8080");
	wg1->signal_state = g_strdup("waiting");
	wg1->signal_reason = g_strdup("192.0.2.1:8080 refuses the connection; next try in 7 s");
	return status;
}

static inline char *
json_of(const NatStatus *status)
{
	g_autoptr(JsonNode) node = nat_status_to_json(status);

	return nat_json_print(node, FALSE);
}

static inline NatStatus *
status_of(const char *text, GError **error)
{
	g_autoptr(JsonNode) node = nat_json_parse(text, strlen(text), error);

	return node ? nat_status_from_json(node, error) : NULL;
}

static inline NatStatusRelay *
add_relay(NatStatusInterface *iface, const char *server, const char *state, const char *problem)
{
	NatStatusRelay *relay = nat_status_add_relay(iface, server);

	relay->state = g_strdup(state);
	relay->problem = g_strdup(problem);
	return relay;
}

/* A peer over our relay, one over its own, with all that may be known of a path. */
static inline NatStatus *
relayed(void)
{
	NatStatus *status = nat_status_new();
	NatStatusInterface *iface = add_wg0(status);
	NatStatusPeer *ours, *theirs;

	add_relay(iface, "turn:192.0.2.20:3478?transport=udp", "up", NULL)->relayed =
		endpoint("192.0.2.20:49152");
	add_relay(iface, "turns:turn.example:443?transport=tcp", "failed",
		  "wrong or expired credentials");
	add_relay(iface, "turn:192.0.2.21:3478?transport=udp", "up", NULL)->relayed =
		endpoint("192.0.2.21:49153");
	((NatStatusRelay *)g_ptr_array_index(iface->relays, 2))->spare = TRUE;
	iface->mtu_advice = 1380;
	ours = add(iface, 1, "alice", NAT_PEER_CONNECTED, "relayed: UDP is blocked here");
	set_path(ours, NAT_CAND_RELAY, NAT_CAND_SRFLX, "203.0.113.9:41020", 42);
	ours->relay = TRUE;
	ours->local.endpoint = endpoint("192.0.2.20:49152");
	ours->endpoint = endpoint("127.0.0.1:40001");
	ours->loss = 0.0125;
	ours->mtu = 1400;
	ours->since_s = 90;
	ours->has_standby = TRUE;
	ours->standby = (NatCandidate){NAT_CAND_PRFLX, endpoint("203.0.113.9:51820")};
	ours->failovers = 2;
	theirs = add(iface, 2, "bob", NAT_PEER_CONNECTED, "");
	set_path(theirs, NAT_CAND_HOST, NAT_CAND_RELAY, "192.0.2.20:50000", 40);
	theirs->relay = TRUE;
	theirs->has_standby = theirs->standby_relay = TRUE;
	return status;
}
