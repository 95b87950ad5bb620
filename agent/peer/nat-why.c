/* SPDX-License-Identifier: MIT */
/* What the reason is: the whole decision; nat-why-text.c says it. */
#include "agent/peer/nat-why.h"

#include <string.h>

static const char *const REASONS[] = {
	[NAT_REASON_DIRECT_NO_NAT] = "direct-no-nat",
	[NAT_REASON_DIRECT_OWN_ADDRESSES] = "direct-own-addresses",
	[NAT_REASON_DIRECT_EASY_NATS] = "direct-easy-nats",
	[NAT_REASON_DIRECT_PUBLIC_HERE] = "direct-public-here",
	[NAT_REASON_DIRECT_PUBLIC_PEER] = "direct-public-peer",
	[NAT_REASON_DIRECT_HARD_HERE] = "direct-hard-here",
	[NAT_REASON_DIRECT_HARD_PEER] = "direct-hard-peer",
	[NAT_REASON_DIRECT_MANY_PORTS] = "direct-many-ports",
	[NAT_REASON_DIRECT_CONFIGURED] = "direct-configured",
	[NAT_REASON_DIRECT_UNKNOWN_NAT] = "direct-unknown-nat",
	[NAT_REASON_DIRECT_NO_AGENT_CONFIGURED] = "direct-no-agent-configured",
	[NAT_REASON_DIRECT_NO_AGENT_ROAMED] = "direct-no-agent-roamed",
	[NAT_REASON_DIRECT_NO_AGENT_INNERNET] = "direct-no-agent-innernet",
	[NAT_REASON_RELAYED_BOTH_HARD] = "relayed-both-hard",
	[NAT_REASON_RELAYED_ONE_HARD] = "relayed-one-hard",
	[NAT_REASON_RELAYED_SEARCHING] = "relayed-searching",
	[NAT_REASON_RELAYED_UDP_BLOCKED] = "relayed-udp-blocked",
	[NAT_REASON_RELAYED_WIREGUARD_BLOCKED] = "relayed-wireguard-blocked",
	[NAT_REASON_RELAYED_WIREGUARD_RETRY] = "relayed-wireguard-retry",
	[NAT_REASON_RELAYED_HELD_DOWN] = "relayed-held-down",
	[NAT_REASON_RELAYED_DIRECT_COMING] = "relayed-direct-coming",
	[NAT_REASON_RELAYED_NO_AGENT] = "relayed-no-agent",
	[NAT_REASON_FAILED_CHECKS] = "failed-checks",
	[NAT_REASON_FAILED_HARD_NATS] = "failed-hard-nats",
	[NAT_REASON_FAILED_UDP_BLOCKED] = "failed-udp-blocked",
	[NAT_REASON_FAILED_NO_COMMON_ADDRESS] = "failed-no-common-address",
	[NAT_REASON_FAILED_PROOF] = "failed-proof",
	[NAT_REASON_FAILED_SILENCE] = "failed-silence",
	[NAT_REASON_FAILED_BEACON] = "failed-beacon",
	[NAT_REASON_FAILED_NO_AGENT] = "failed-no-agent",
	[NAT_REASON_CHECKING_CANDIDATES] = "checking-candidates",
	[NAT_REASON_CHECKING_SILENCE] = "checking-silence",
	[NAT_REASON_CHECKING_NO_AGENT] = "checking-no-agent",
	[NAT_REASON_WAITING_FOR_SIGNALING] = "waiting-for-signaling",
	[NAT_REASON_WAITING_FOR_PEER] = "waiting-for-peer",
	[NAT_REASON_WAITING_FOR_ANSWER] = "waiting-for-answer",
	[NAT_REASON_WAITING_NO_AGENT] = "waiting-no-agent",
};
G_STATIC_ASSERT(G_N_ELEMENTS(REASONS) == NAT_N_REASONS);

const char *
nat_reason_to_string(NatReason reason)
{
	return REASONS[reason];
}

gboolean
nat_reason_from_string(const char *s, NatReason *out)
{
	for (gsize i = 0; i < G_N_ELEMENTS(REASONS); i++) {
		if (g_strcmp0(REASONS[i], s) == 0) {
			*out = (NatReason)i;
			return TRUE;
		}
	}
	return FALSE;
}

const char *
nat_no_relay_to_string(NatNoRelay no_relay)
{
	switch (no_relay) {
	case NAT_NO_RELAY_UNASKED:
		return NULL;
	case NAT_NO_RELAY_SERVER:
		return "no-server";
	case NAT_NO_RELAY_FAILED:
		return "failed";
	}
	return NULL;
}

void
nat_why_address(const WgEndpoint *endpoints, gsize n, WgEndpoint *out)
{
	const WgEndpoint *first = NULL;

	memset(out, 0, sizeof *out);
	for (gsize i = 0; i < n; i++) {
		if (wg_endpoint_family(&endpoints[i]) != AF_INET)
			continue;
		if (first != NULL && !wg_endpoint_same_address(first, &endpoints[i]))
			return;
		first = &endpoints[i];
	}
	if (first != NULL)
		*out = *first;
}

/* ---- the decision ---- */

static gboolean
is_hard(const NatWhyEnd *end)
{
	return nat_mapping_is_hard(end->mapping);
}

static gboolean
is_easy(const NatWhyEnd *end)
{
	return end->mapping == NAT_MAPPING_ENDPOINT_INDEPENDENT;
}

static gboolean
is_public(const NatWhyEnd *end)
{
	return end->mapping == NAT_MAPPING_NONE;
}

/* The most certain cause first: a fact about WireGuard or UDP itself, then the NATs' classes. */
static NatReason
relayed(const NatWhy *why)
{
	if (why->plain > 0 && !why->managed)
		return NAT_REASON_RELAYED_NO_AGENT;
	if (why->direct_alive && why->wireguard_blocked)
		return NAT_REASON_RELAYED_WIREGUARD_BLOCKED;
	if (why->direct_alive && why->direct_failed)
		return NAT_REASON_RELAYED_WIREGUARD_RETRY;
	if (why->direct_alive && why->direct_hold_s > 0)
		return NAT_REASON_RELAYED_HELD_DOWN;
	if (why->direct_alive)
		return NAT_REASON_RELAYED_DIRECT_COMING;
	if (why->here.udp_blocked || why->peer.udp_blocked)
		return NAT_REASON_RELAYED_UDP_BLOCKED;
	if (is_hard(&why->here) && is_hard(&why->peer))
		return NAT_REASON_RELAYED_BOTH_HARD;
	if (is_hard(&why->here) || is_hard(&why->peer))
		return NAT_REASON_RELAYED_ONE_HARD;
	return NAT_REASON_RELAYED_SEARCHING;
}

static NatReason
without_agent(const NatWhy *why)
{
	if (why->remote == NAT_CAND_CONFIGURED)
		return NAT_REASON_DIRECT_NO_AGENT_CONFIGURED;
	if (why->remote != NAT_CAND_ROAMED && why->plain > 0)
		return NAT_REASON_DIRECT_NO_AGENT_INNERNET;
	return NAT_REASON_DIRECT_NO_AGENT_ROAMED;
}

static NatReason
direct(const NatWhy *why)
{
	if (!why->managed)
		return without_agent(why);
	if (why->many_ports == NAT_MANY_PORTS_USED)
		return NAT_REASON_DIRECT_MANY_PORTS;
	if (why->remote == NAT_CAND_CONFIGURED)
		return NAT_REASON_DIRECT_CONFIGURED;
	if (why->remote == NAT_CAND_HOST && !is_public(&why->here) && !is_public(&why->peer))
		return NAT_REASON_DIRECT_OWN_ADDRESSES;
	if (is_public(&why->here) && is_public(&why->peer))
		return NAT_REASON_DIRECT_NO_NAT;
	if (is_easy(&why->here) && is_easy(&why->peer))
		return NAT_REASON_DIRECT_EASY_NATS;
	if (is_public(&why->here))
		return NAT_REASON_DIRECT_PUBLIC_HERE;
	if (is_public(&why->peer))
		return NAT_REASON_DIRECT_PUBLIC_PEER;
	if (is_hard(&why->here))
		return NAT_REASON_DIRECT_HARD_HERE;
	if (is_hard(&why->peer))
		return NAT_REASON_DIRECT_HARD_PEER;
	return NAT_REASON_DIRECT_UNKNOWN_NAT;
}

static NatReason
checks_failed(const NatWhy *why)
{
	if (!why->reachable)
		return NAT_REASON_FAILED_NO_COMMON_ADDRESS;
	if (why->beacon)
		return NAT_REASON_FAILED_BEACON;
	if (why->here.udp_blocked || why->peer.udp_blocked)
		return NAT_REASON_FAILED_UDP_BLOCKED;
	if (is_hard(&why->here) || is_hard(&why->peer))
		return NAT_REASON_FAILED_HARD_NATS;
	return NAT_REASON_FAILED_CHECKS;
}

static NatReason
failed(const NatWhy *why)
{
	if (why->plain > 0)
		return NAT_REASON_FAILED_NO_AGENT;
	switch (why->failure) {
	case NAT_FAILURE_PROOF:
		return NAT_REASON_FAILED_PROOF;
	case NAT_FAILURE_SILENCE:
		return NAT_REASON_FAILED_SILENCE;
	case NAT_FAILURE_NONE:
	case NAT_FAILURE_CHECKS:
		break;
	}
	return checks_failed(why);
}

static NatReason
checking(const NatWhy *why)
{
	if (why->plain > 0)
		return NAT_REASON_CHECKING_NO_AGENT;
	return why->failure == NAT_FAILURE_SILENCE ? NAT_REASON_CHECKING_SILENCE
						   : NAT_REASON_CHECKING_CANDIDATES;
}

/* Where there is an innernet server, the other one may be missing. */
static NatReason
waiting(const NatWhy *why)
{
	if (why->innernet && !why->online)
		return NAT_REASON_WAITING_NO_AGENT;
	if (why->signal_problem != NULL && !why->innernet)
		return NAT_REASON_WAITING_FOR_SIGNALING;
	return why->online ? NAT_REASON_WAITING_FOR_ANSWER : NAT_REASON_WAITING_FOR_PEER;
}

NatReason
nat_why_reason(const NatWhy *why)
{
	switch (why->state) {
	case NAT_PEER_CONNECTED:
		return why->relay ? relayed(why) : direct(why);
	case NAT_PEER_FAILED:
		return failed(why);
	case NAT_PEER_CHECKING:
		return checking(why);
	case NAT_PEER_WAITING:
		break;
	}
	return waiting(why);
}

/* A relay would have helped; where one is there and did not, the cause lies elsewhere. */
NatNoRelay
nat_why_no_relay(const NatWhy *why)
{
	if (why->state != NAT_PEER_FAILED)
		return NAT_NO_RELAY_UNASKED;
	if (!why->relay_known)
		return NAT_NO_RELAY_SERVER;
	return why->relay_problem != NULL ? NAT_NO_RELAY_FAILED : NAT_NO_RELAY_UNASKED;
}
