/* SPDX-License-Identifier: MIT */
#include "agent/punch/punch-plan.h"

gboolean
punch_is_foretold(const NatClass *nat)
{
	return nat->ports == NAT_PORTS_SEQUENTIAL || nat->ports == NAT_PORTS_PRESERVED;
}

/* Whether `opener` lets in what comes from an address that it has sent to, but from a port that it
 * could not know. */
static gboolean
lets_in_by_address(const NatClass *nat)
{
	return nat->filtering == NAT_FILTERING_ADDRESS_DEPENDENT ||
	       nat->filtering == NAT_FILTERING_ENDPOINT_INDEPENDENT;
}

/* Many mappings of `opener` await packets of `sprayer`, whose own mapping is known, or is of no
 * account. */
static gboolean
can_open(const NatClass *opener, const NatClass *sprayer)
{
	return nat_mapping_is_hard(opener->mapping) &&
	       (!nat_mapping_is_hard(sprayer->mapping) || lets_in_by_address(opener));
}

static PunchRole
choose(const NatClass *here, const NatClass *there, gboolean controlling)
{
	gboolean foretold = punch_is_foretold(here);

	/* whose ports are found sooner */
	if (foretold != punch_is_foretold(there))
		return foretold ? PUNCH_OPEN : PUNCH_SPRAY;
	return controlling ? PUNCH_OPEN : PUNCH_SPRAY;
}

PunchRole
punch_plan(const NatClass *here, const NatClass *there, gboolean controlling, PunchWhyNot *why_not)
{
	PunchWhyNot unused;
	gboolean can, other_can;

	if (why_not == NULL)
		why_not = &unused;
	*why_not = PUNCH_WHY_NOT_NONE;
	if (here->mapping == NAT_MAPPING_UNKNOWN || there->mapping == NAT_MAPPING_UNKNOWN) {
		*why_not = PUNCH_WHY_NOT_UNKNOWN;
		return PUNCH_NONE;
	}
	if (!nat_mapping_is_hard(here->mapping) && !nat_mapping_is_hard(there->mapping)) {
		*why_not = PUNCH_WHY_NOT_EASY;
		return PUNCH_NONE;
	}
	can = can_open(here, there);
	other_can = can_open(there, here);
	if (can && other_can)
		return choose(here, there, controlling);
	if (can)
		return PUNCH_OPEN;
	if (other_can)
		return PUNCH_SPRAY;
	if (punch_is_foretold(here) && punch_is_foretold(there))
		return PUNCH_AIM;
	*why_not = here->ports == NAT_PORTS_UNKNOWN || there->ports == NAT_PORTS_UNKNOWN
			   ? PUNCH_WHY_NOT_UNKNOWN
			   : PUNCH_WHY_NOT_BOTH_RANDOM;
	return PUNCH_NONE;
}

PunchRole
punch_counterpart(PunchRole role)
{
	switch (role) {
	case PUNCH_OPEN:
		return PUNCH_SPRAY;
	case PUNCH_SPRAY:
		return PUNCH_OPEN;
	case PUNCH_AIM:
	case PUNCH_NONE:
		break;
	}
	return role;
}

guint
punch_ports_wanted(PunchRole role, const NatClass *here)
{
	switch (role) {
	case PUNCH_OPEN:
		return punch_is_foretold(here) ? PUNCH_OPEN_FORETOLD : PUNCH_OPEN_MAX;
	case PUNCH_AIM:
		return PUNCH_AIM_PORTS;
	case PUNCH_SPRAY:
	case PUNCH_NONE:
		break;
	}
	return 0;
}

const char *
punch_role_to_string(PunchRole role)
{
	static const char *const NAMES[] = {"none", "open", "spray", "aim"};

	return NAMES[role];
}
