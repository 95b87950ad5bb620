/* SPDX-License-Identifier: MIT */
/*
 * NatWhy: the one sentence that tells a user why a peer is in its state, and the remedy. Pure:
 * facts in, sentence out; no facts are guessed.
 */
#pragma once

#include "agent/nat-types.h"

/* What ended the last attempt. */
typedef enum {
	NAT_FAILURE_NONE,
	NAT_FAILURE_CHECKS,  /* every pair's checks went unanswered */
	NAT_FAILURE_PROOF,   /* checks passed, WireGuard's handshake did not */
	NAT_FAILURE_SILENCE, /* a path that worked went silent */
} NatFailure;

typedef struct {
	NatPeerState state;
	gboolean managed;	    /* the peer's agent has announced itself */
	gboolean online;	    /* it is at the signaling server now */
	const char *signal_problem; /* NULL: we are at the signaling server */
	NatCandType local, remote;  /* of the path, when connected */
	gboolean same_network;	    /* both candidates are host addresses */
	NatMapping local_mapping, remote_mapping;
	guint local_candidates, remote_candidates;
	guint16 port;
	NatFailure failure;
	gboolean innernet; /* its network has an innernet server, which names it */
	gboolean beacon;   /* its agent is known by its beacon there alone */
	guint plain;	   /* endpoints of its record that are tried by handshake; 0: none are */
	gboolean relay;	   /* the path in use is relayed */
	gboolean wireguard_blocked; /* checks pass on a direct path, WireGuard's packets do not */
	gboolean direct_alive;	/* checks pass on a direct path; nothing is found about it yet */
	gboolean direct_failed; /* … and WireGuard's packets did not, the last time */
	guint direct_hold_s;	/* … and it broke lately: it must hold for so long; 0: need not */
	gboolean local_udp_blocked, remote_udp_blocked;
	gboolean relay_known;	   /* a TURN server is configured, or was offered */
	const char *relay_problem; /* why there is no relay; NULL: none known */
} NatWhy;

char *nat_why_sentence(const NatWhy *why); /* (transfer full) */
