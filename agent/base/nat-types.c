/* SPDX-License-Identifier: MIT */
#include "agent/base/nat-types.h"

typedef struct {
	int value;
	const char *name;
} Name;

static const Name CAND_TYPES[] = {
	{NAT_CAND_HOST, "host"},   {NAT_CAND_SRFLX, "srflx"},		{NAT_CAND_PRFLX, "prflx"},
	{NAT_CAND_RELAY, "relay"}, {NAT_CAND_CONFIGURED, "configured"}, {NAT_CAND_ROAMED, "roamed"},
};

static const Name MAPPINGS[] = {
	{NAT_MAPPING_UNKNOWN, "unknown"},
	{NAT_MAPPING_NONE, "none"},
	{NAT_MAPPING_ENDPOINT_INDEPENDENT, "endpoint-independent"},
	{NAT_MAPPING_ADDRESS_DEPENDENT, "address-dependent"},
	{NAT_MAPPING_ADDRESS_AND_PORT_DEPENDENT, "address-and-port-dependent"},
};

static const Name PEER_STATES[] = {
	{NAT_PEER_WAITING, "waiting"},
	{NAT_PEER_CHECKING, "checking"},
	{NAT_PEER_CONNECTED, "connected"},
	{NAT_PEER_FAILED, "failed"},
};

static const char *
name_of(const Name *names, gsize n, int value)
{
	for (gsize i = 0; i < n; i++)
		if (names[i].value == value)
			return names[i].name;
	return "unknown";
}

static gboolean
value_of(const Name *names, gsize n, const char *name, int *out)
{
	for (gsize i = 0; i < n; i++) {
		if (g_strcmp0(names[i].name, name) == 0) {
			*out = names[i].value;
			return TRUE;
		}
	}
	return FALSE;
}

const char *
nat_cand_type_to_string(NatCandType type)
{
	return name_of(CAND_TYPES, G_N_ELEMENTS(CAND_TYPES), (int)type);
}

gboolean
nat_cand_type_from_string(const char *s, NatCandType *out)
{
	int value;

	if (!value_of(CAND_TYPES, G_N_ELEMENTS(CAND_TYPES), s, &value))
		return FALSE;
	*out = (NatCandType)value;
	return TRUE;
}

const char *
nat_mapping_to_string(NatMapping mapping)
{
	return name_of(MAPPINGS, G_N_ELEMENTS(MAPPINGS), (int)mapping);
}

gboolean
nat_mapping_from_string(const char *s, NatMapping *out)
{
	int value;

	if (!value_of(MAPPINGS, G_N_ELEMENTS(MAPPINGS), s, &value))
		return FALSE;
	*out = (NatMapping)value;
	return TRUE;
}

const char *
nat_peer_state_to_string(NatPeerState state)
{
	return name_of(PEER_STATES, G_N_ELEMENTS(PEER_STATES), (int)state);
}

gboolean
nat_peer_state_from_string(const char *s, NatPeerState *out)
{
	int value;

	if (!value_of(PEER_STATES, G_N_ELEMENTS(PEER_STATES), s, &value))
		return FALSE;
	*out = (NatPeerState)value;
	return TRUE;
}

gboolean
nat_mapping_is_hard(NatMapping mapping)
{
	return mapping == NAT_MAPPING_ADDRESS_DEPENDENT ||
	       mapping == NAT_MAPPING_ADDRESS_AND_PORT_DEPENDENT;
}
