/* SPDX-License-Identifier: MIT */
#include "agent/nat-why.h"

static const char *
mapping_words(NatMapping mapping)
{
	switch (mapping) {
	case NAT_MAPPING_UNKNOWN:
		return "unknown mapping";
	case NAT_MAPPING_NONE:
		return "no NAT";
	case NAT_MAPPING_ENDPOINT_INDEPENDENT:
		return "one mapping for all destinations";
	case NAT_MAPPING_ADDRESS_DEPENDENT:
		return "a mapping per destination address";
	case NAT_MAPPING_ADDRESS_AND_PORT_DEPENDENT:
		return "a mapping per destination";
	}
	return "unknown mapping";
}

static gboolean
is_hard(NatMapping mapping)
{
	return mapping == NAT_MAPPING_ADDRESS_DEPENDENT ||
	       mapping == NAT_MAPPING_ADDRESS_AND_PORT_DEPENDENT;
}

static gboolean
is_easy(NatMapping mapping)
{
	return mapping == NAT_MAPPING_ENDPOINT_INDEPENDENT;
}

/* Both NATs' classes, for a remark in brackets. */
static char *
both_mappings(const NatWhy *why)
{
	return g_strdup_printf("%s here, %s at the peer", mapping_words(why->local_mapping),
			       mapping_words(why->remote_mapping));
}

/* The most certain cause first: a fact about WireGuard or UDP itself, then the NATs' classes. */
static char *
relayed(const NatWhy *why)
{
	g_autofree char *both = both_mappings(why);

	if (why->plain > 0)
		return g_strdup_printf(
			"relayed: the peer has no agent, and none of the %u "
			"endpoints that the innernet server knows answered directly; "
			"an agent there, or UDP %u forwarded on either router, lets "
			"it go direct",
			why->plain, why->port);
	if (why->wireguard_blocked)
		return g_strdup("relayed: checks pass directly, but WireGuard's packets do not: a "
				"firewall drops WireGuard");
	if (why->direct_alive && why->direct_failed)
		return g_strdup("relayed: checks pass directly, but WireGuard's packets have not "
				"yet; trying again");
	if (why->direct_alive && why->direct_hold_s > 0)
		return g_strdup_printf("relayed: the direct path broke lately and is back; it is "
				       "used again once it has held for %u s",
				       why->direct_hold_s);
	if (why->direct_alive)
		return g_strdup("relayed: a direct path answers, and is about to be used");
	if (why->local_udp_blocked || why->remote_udp_blocked)
		return g_strdup_printf("relayed: UDP is blocked %s: allow it to go direct",
				       !why->remote_udp_blocked	 ? "here"
				       : !why->local_udp_blocked ? "at the peer"
								 : "here and at the peer");
	if (is_hard(why->local_mapping) && is_hard(why->remote_mapping))
		return g_strdup_printf("relayed: both NATs map per destination (%s): forward UDP "
				       "%u on either router, or use IPv6, to go direct",
				       both, why->port);
	if (is_hard(why->local_mapping) || is_hard(why->remote_mapping))
		return g_strdup_printf("relayed: no direct check was answered yet (%s); still "
				       "looking; forward UDP %u on either router, or use IPv6, to "
				       "go direct",
				       both, why->port);
	return g_strdup_printf("relayed: no direct check was answered yet (%s); still looking",
			       both);
}

static char *
connected(const NatWhy *why)
{
	g_autofree char *both = both_mappings(why);

	if (why->relay)
		return relayed(why);
	if (!why->managed && why->plain > 0)
		return g_strdup("direct: an endpoint that the innernet server knows answers; the "
				"peer has no agent");
	if (!why->managed)
		return g_strdup(why->remote == NAT_CAND_CONFIGURED
					? "direct: the configured endpoint answers; no agent has "
					  "announced itself there, so it is left alone"
					: "direct: the peer reached us by itself; no agent has "
					  "announced itself there, so it is left alone");
	if (why->remote == NAT_CAND_HOST && why->local_mapping != NAT_MAPPING_NONE &&
	    why->remote_mapping != NAT_MAPPING_NONE)
		return g_strdup("direct: both hosts reach each other's own addresses");
	if (why->local_mapping == NAT_MAPPING_NONE && why->remote_mapping == NAT_MAPPING_NONE)
		return g_strdup("direct: no NAT at either end");
	if (is_easy(why->local_mapping) && is_easy(why->remote_mapping))
		return g_strdup("direct: both NATs keep one mapping for all destinations");
	if (why->local_mapping == NAT_MAPPING_NONE)
		return g_strdup("direct: this host has a public address");
	if (why->remote_mapping == NAT_MAPPING_NONE)
		return g_strdup("direct: the peer has a public address");
	if (is_hard(why->local_mapping))
		return g_strdup("direct: the peer accepts this NAT's mapping though it differs per "
				"destination");
	if (is_hard(why->remote_mapping))
		return g_strdup("direct: this end accepts the peer's mapping though its NAT makes "
				"one per destination");
	return g_strdup_printf("direct: %s", both);
}

static char *
checks_failed(const NatWhy *why)
{
	g_autofree char *both = both_mappings(why);

	if (why->beacon && why->remote_candidates > 0)
		return g_strdup_printf("no check was answered (%s): a firewall may drop UDP %u; or "
				       "the peer is off: the innernet server shows the last word "
				       "of its agent, not whether it runs",
				       both, why->port);

	if (why->remote_candidates == 0)
		return g_strdup("the peer offers no address that this host could reach: no address "
				"family in common, or only routes through tunnels");
	if (is_hard(why->local_mapping) || is_hard(why->remote_mapping))
		return g_strdup_printf("no direct path: %s: forward UDP %u on either router, or "
				       "use IPv6",
				       both, why->port);
	return g_strdup_printf("no direct path: no check was answered (%s): a firewall may drop "
			       "UDP %u",
			       both, why->port);
}

static char *
no_path(const NatWhy *why)
{
	if (why->plain > 0)
		return g_strdup_printf("no handshake at any of the %u endpoints that the innernet "
				       "server knows, and the peer has no agent to check paths "
				       "with: it is off, or behind a NAT that only an agent "
				       "there can open",
				       why->plain);
	switch (why->failure) {
	case NAT_FAILURE_PROOF:
		return g_strdup("checks pass, but WireGuard's handshake does not: a firewall drops "
				"WireGuard, or the keys or preshared keys differ");
	case NAT_FAILURE_SILENCE:
		return g_strdup("the path went silent and no other was found yet");
	case NAT_FAILURE_NONE:
	case NAT_FAILURE_CHECKS:
		break;
	}
	return checks_failed(why);
}

/* A relay would have helped; where one is there and did not, the cause lies elsewhere. */
static char *
failed(const NatWhy *why)
{
	g_autofree char *direct = no_path(why);

	if (!why->relay_known)
		return g_strconcat(direct, "; and no TURN server is configured (--turn)", NULL);
	if (why->relay_problem)
		return g_strconcat(direct, "; and no relay: ", why->relay_problem, NULL);
	return g_steal_pointer(&direct);
}

char *
nat_why_sentence(const NatWhy *why)
{
	switch (why->state) {
	case NAT_PEER_CONNECTED:
		return connected(why);
	case NAT_PEER_FAILED:
		return failed(why);
	case NAT_PEER_CHECKING:
		if (why->plain > 0)
			return g_strdup_printf("trying the %u endpoints that the innernet server "
					       "knows by handshake: the peer has no agent",
					       why->plain);
		if (why->failure == NAT_FAILURE_SILENCE)
			return g_strdup("the path went silent: looking for another");
		return g_strdup_printf("checking %u candidates of the peer from %u of ours",
				       why->remote_candidates, why->local_candidates);
	case NAT_PEER_WAITING:
		break;
	}
	if (why->innernet)
		return g_strdup("waiting: no agent of the peer is known: neither at the signaling "
				"server nor by its record at the innernet server");
	if (why->signal_problem != NULL)
		return g_strdup_printf("waiting: %s", why->signal_problem);
	return g_strdup(why->online ? "waiting: the peer's agent has not answered yet"
				    : "waiting: the peer's agent is not at the signaling server");
}
