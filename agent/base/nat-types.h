/* SPDX-License-Identifier: MIT */
/*
 * The nouns every part of the agent shares, and their names in logs, JSON and on the wire.
 * Values only; pure; any thread.
 */
#pragma once

#include "wgctl/wg-endpoint.h"
#include "wgctl/wg-key.h"

/* RFC 8445 §5.1.1 candidate types, and two of our own that only status shows:
 * CONFIGURED (the endpoint the user wrote) and ROAMED (the kernel moved it by itself). */
typedef enum {
	NAT_CAND_HOST = 1,
	NAT_CAND_SRFLX = 2,
	NAT_CAND_PRFLX = 3,
	NAT_CAND_RELAY = 4,
	NAT_CAND_CONFIGURED = 5,
	NAT_CAND_ROAMED = 6,
} NatCandType;

typedef struct {
	NatCandType type;
	WgEndpoint endpoint;
} NatCandidate;

/* RFC 4787 §4.1, as far as the probes could tell. */
typedef enum {
	NAT_MAPPING_UNKNOWN = 0,
	NAT_MAPPING_NONE = 1, /* the public address is our own: no NAT */
	NAT_MAPPING_ENDPOINT_INDEPENDENT = 2,
	NAT_MAPPING_ADDRESS_DEPENDENT = 3,
	NAT_MAPPING_ADDRESS_AND_PORT_DEPENDENT = 4,
} NatMapping;

typedef enum {
	NAT_PEER_WAITING,
	NAT_PEER_CHECKING,
	NAT_PEER_CONNECTED,
	NAT_PEER_FAILED,
} NatPeerState;

const char *nat_cand_type_to_string(NatCandType type); /* "host", "srflx", … */
gboolean nat_cand_type_from_string(const char *s, NatCandType *out);
const char *nat_mapping_to_string(NatMapping mapping); /* "endpoint-independent", … */
gboolean nat_mapping_from_string(const char *s, NatMapping *out);
/* It depends on the destination: what makes a NAT hard. */
gboolean nat_mapping_is_hard(NatMapping mapping);
const char *nat_peer_state_to_string(NatPeerState state); /* "waiting", … */
gboolean nat_peer_state_from_string(const char *s, NatPeerState *out);
