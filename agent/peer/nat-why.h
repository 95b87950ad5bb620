/* SPDX-License-Identifier: MIT */
/*
 * NatWhy: why a peer is in its state: a reason for programs and a sentence for people, which names
 * the remedy where there is one. docs/troubleshooting.md says of each reason what to do. Pure; any
 * thread: facts in, words out; no facts are guessed.
 */
#pragma once

#include "agent/base/nat-types.h"

/* What ended the last attempt. */
typedef enum {
	NAT_FAILURE_NONE,
	NAT_FAILURE_CHECKS,  /* every pair's checks went unanswered */
	NAT_FAILURE_PROOF,   /* checks passed, WireGuard's handshake did not */
	NAT_FAILURE_SILENCE, /* a path that worked went silent */
} NatFailure;

/* One for each cause. Their names begin with the peer's state, or with the kind of its path. */
typedef enum {
	NAT_REASON_DIRECT_NO_NAT,
	NAT_REASON_DIRECT_OWN_ADDRESSES,
	NAT_REASON_DIRECT_EASY_NATS,
	NAT_REASON_DIRECT_PUBLIC_HERE,
	NAT_REASON_DIRECT_PUBLIC_PEER,
	NAT_REASON_DIRECT_HARD_HERE,
	NAT_REASON_DIRECT_HARD_PEER,
	NAT_REASON_DIRECT_MANY_PORTS,
	NAT_REASON_DIRECT_CONFIGURED,
	NAT_REASON_DIRECT_UNKNOWN_NAT,
	NAT_REASON_DIRECT_NO_AGENT_CONFIGURED,
	NAT_REASON_DIRECT_NO_AGENT_ROAMED,
	NAT_REASON_DIRECT_NO_AGENT_INNERNET,
	NAT_REASON_RELAYED_BOTH_HARD,
	NAT_REASON_RELAYED_ONE_HARD,
	NAT_REASON_RELAYED_SEARCHING,
	NAT_REASON_RELAYED_UDP_BLOCKED,
	NAT_REASON_RELAYED_WIREGUARD_BLOCKED,
	NAT_REASON_RELAYED_WIREGUARD_RETRY,
	NAT_REASON_RELAYED_HELD_DOWN,
	NAT_REASON_RELAYED_DIRECT_COMING,
	NAT_REASON_RELAYED_NO_AGENT,
	NAT_REASON_FAILED_CHECKS,
	NAT_REASON_FAILED_HARD_NATS,
	NAT_REASON_FAILED_UDP_BLOCKED,
	NAT_REASON_FAILED_NO_COMMON_ADDRESS,
	NAT_REASON_FAILED_PROOF,
	NAT_REASON_FAILED_SILENCE,
	NAT_REASON_FAILED_BEACON,
	NAT_REASON_FAILED_NO_AGENT,
	NAT_REASON_CHECKING_CANDIDATES,
	NAT_REASON_CHECKING_SILENCE,
	NAT_REASON_CHECKING_NO_AGENT,
	NAT_REASON_WAITING_FOR_SIGNALING,
	NAT_REASON_WAITING_FOR_PEER,
	NAT_REASON_WAITING_FOR_ANSWER,
	NAT_REASON_WAITING_NO_AGENT,
} NatReason;
#define NAT_N_REASONS (NAT_REASON_WAITING_NO_AGENT + 1)

/* Why no relay carries a peer that no direct path leads to: beside the reason, for any may come
 * together with any. */
typedef enum {
	NAT_NO_RELAY_UNASKED, /* a relay is there, or is not what is missing */
	NAT_NO_RELAY_SERVER,  /* no TURN server is known */
	NAT_NO_RELAY_FAILED,  /* the TURN servers are of no use */
} NatNoRelay;
#define NAT_N_NO_RELAYS (NAT_NO_RELAY_FAILED + 1)

/* One end of the path, as far as it is known. */
typedef struct {
	NatMapping mapping;
	WgEndpoint address;   /* that the internet sees (IPv4); unset: unknown, or several */
	gboolean udp_blocked; /* no STUN server answers */
} NatWhyEnd;

/* Whether many ports (agent/punch) bring together what checks did not. */
typedef enum {
	NAT_MANY_PORTS_UNTRIED,
	NAT_MANY_PORTS_TRYING,
	NAT_MANY_PORTS_FAILED, /* they were tried, and will be again */
	NAT_MANY_PORTS_USED,   /* the path in use is one that they found */
} NatManyPorts;

typedef struct {
	NatPeerState state;
	gboolean managed;	    /* the peer's agent has announced itself */
	gboolean online;	    /* it is at the signaling server, or its beacon is known */
	const char *signal_problem; /* NULL: we are at the signaling server */
	NatCandType remote;	    /* of the path, when connected */
	NatWhyEnd here, peer;
	guint local_candidates, remote_candidates; /* that are being checked */
	gboolean reachable; /* the peer offers some address that this host has a way to */
	guint16 port;
	gboolean mapped; /* a router maps it for this host */
	NatFailure failure;
	gboolean innernet; /* its network has an innernet server, which names it */
	gboolean beacon;   /* its agent is known by its beacon there alone */
	guint plain;	   /* endpoints of its record that are tried by handshake; 0: none are */
	gboolean relay;	   /* the path in use is relayed */
	gboolean wireguard_blocked; /* on a direct path WireGuard's packets did not, again and again
				     */
	gboolean direct_alive;	    /* checks pass on a direct path */
	gboolean direct_failed;	    /* … and WireGuard's packets did not, the last time */
	guint direct_hold_s; /* … and it broke lately: it must hold for so long; 0: need not */
	NatManyPorts many_ports;
	gboolean relay_known;	   /* a TURN server is configured, or was offered */
	const char *relay_problem; /* why there is no relay; NULL: none known */
} NatWhy;

NatReason nat_why_reason(const NatWhy *why);
NatNoRelay nat_why_no_relay(const NatWhy *why);
/* One line. Where it repeats what a server was said to do, it is at most 220 characters longer than
 * that, else in all. (transfer full) */
char *nat_why_sentence(const NatWhy *why);

const char *nat_reason_to_string(NatReason reason); /* "relayed-both-hard", … */
gboolean nat_reason_from_string(const char *s, NatReason *out);
const char *nat_no_relay_to_string(NatNoRelay no_relay); /* "no-server", …; NULL: unasked */

/* The IPv4 address that all of these have; unset where they differ, or none has one. */
void nat_why_address(const WgEndpoint *endpoints, gsize n, WgEndpoint *out);
