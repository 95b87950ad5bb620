/* SPDX-License-Identifier: MIT */
/*
 * The sentence of each reason. What the reason is, nat-why.c has decided: nothing is decided here.
 *
 * A sentence is a pattern with facts in braces: {both} what is known of both ends' NATs, {port}
 * WireGuard's, {blocked} the ends without UDP, {seconds} of the hold-down, {tried} endpoints,
 * {ports} what many ports have brought, {ours} and {theirs} candidates, {signaling} what is wrong
 * with it, {looking} whether a direct path is looked for, {forward} and {Forward} what a forwarded
 * port would do, {alone} where nothing of the peer is touched.
 */
#include "agent/peer/nat-why.h"

#include <string.h>

/* ---- facts ---- */

static const char *
mapping_words(NatMapping mapping)
{
	switch (mapping) {
	case NAT_MAPPING_UNKNOWN:
		return "unknown mapping";
	case NAT_MAPPING_NONE:
		return "no NAT";
	case NAT_MAPPING_ENDPOINT_INDEPENDENT:
		return "one mapping";
	case NAT_MAPPING_ADDRESS_DEPENDENT:
		return "mapping per address";
	case NAT_MAPPING_ADDRESS_AND_PORT_DEPENDENT:
		return "mapping per destination";
	}
	return "unknown mapping";
}

static void
append_end(GString *out, const NatWhyEnd *end)
{
	char address[WG_ENDPOINT_STRLEN];

	if (wg_endpoint_is_set(&end->address))
		g_string_append_printf(out, "%s, ",
				       wg_endpoint_format_address(&end->address, address));
	g_string_append(out, mapping_words(end->mapping));
}

/* "here 203.0.113.1, one mapping; peer 198.51.100.1, mapping per destination" */
static void
append_both(GString *out, const NatWhy *why)
{
	g_string_append(out, "here ");
	append_end(out, &why->here);
	g_string_append(out, "; peer ");
	append_end(out, &why->peer);
}

static const char *
blocked_where(const NatWhy *why)
{
	if (!why->peer.udp_blocked)
		return "here";
	return why->here.udp_blocked ? "here and at the peer" : "at the peer";
}

/* A search needs the peer's agent, and the way to it: as waiting() has it in nat-why.c. */
static const char *
looking(const NatWhy *why)
{
	if (why->online)
		return "Still looking";
	if (why->signal_problem != NULL && !why->innernet)
		return "A search needs signaling";
	return "A search needs the peer's agent";
}

static const char *
ports_words(NatManyPorts many_ports)
{
	switch (many_ports) {
	case NAT_MANY_PORTS_TRYING:
		return ", now by many ports";
	case NAT_MANY_PORTS_FAILED:
		return " (many ports were tried in vain)";
	case NAT_MANY_PORTS_UNTRIED:
	case NAT_MANY_PORTS_USED:
		break;
	}
	return "";
}

/* A mapping of ours that helps this pair nothing: something on the way drops what comes to it. */
static void
append_forward(GString *out, const NatWhy *why, gboolean begins)
{
	if (why->mapped)
		g_string_append_printf(out, "UDP %u is forwarded here, in vain: do so at the peer",
				       why->port);
	else
		g_string_append_printf(out, "%sorward UDP %u on either router", begins ? "F" : "f",
				       why->port);
}

static gboolean
is_named(const char *name, gsize len, const char *fact)
{
	return strlen(fact) == len && memcmp(name, fact, len) == 0;
}

static void
append_fact(GString *out, const NatWhy *why, const char *name, gsize len)
{
	const struct {
		const char *name;
		guint value;
	} NUMBERS[] = {
		{"port", why->port},
		{"seconds", why->direct_hold_s},
		{"tried", why->plain},
		{"ours", why->local_candidates},
		{"theirs", why->remote_candidates},
	};

	if (is_named(name, len, "both"))
		append_both(out, why);
	else if (is_named(name, len, "blocked"))
		g_string_append(out, blocked_where(why));
	else if (is_named(name, len, "signaling"))
		g_string_append(out, why->signal_problem);
	else if (is_named(name, len, "looking"))
		g_string_append(out, looking(why));
	else if (is_named(name, len, "ports"))
		g_string_append(out, ports_words(why->many_ports));
	else if (is_named(name, len, "Forward") || is_named(name, len, "forward"))
		append_forward(out, why, *name == 'F');
	else if (is_named(name, len, "alone") && why->plain == 0)
		g_string_append(out, ", so it is left alone");
	for (gsize i = 0; i < G_N_ELEMENTS(NUMBERS); i++)
		if (is_named(name, len, NUMBERS[i].name))
			g_string_append_printf(out, "%u", NUMBERS[i].value);
}

static GString *
fill_in(const char *pattern, const NatWhy *why)
{
	GString *out = g_string_new(NULL);
	const char *brace;

	while ((brace = strchr(pattern, '{')) != NULL) {
		gsize len = strcspn(brace + 1, "}");

		g_string_append_len(out, pattern, brace - pattern);
		append_fact(out, why, brace + 1, len);
		pattern = brace + 1 + len + 1;
	}
	return g_string_append(out, pattern);
}

/* ---- sentences ---- */

/* {NAME}: a fact of this path (append_fact). tests/unit/test-nat-why.c sees that none is missing.
 */
/* clang-format off */
static const char *const PATTERNS[NAT_N_REASONS] = {
	[NAT_REASON_DIRECT_NO_NAT] =
		"direct: no NAT at either end",
	[NAT_REASON_DIRECT_OWN_ADDRESSES] =
		"direct: both hosts reach each other's own addresses",
	[NAT_REASON_DIRECT_EASY_NATS] =
		"direct: both NATs keep one mapping for all destinations",
	[NAT_REASON_DIRECT_PUBLIC_HERE] =
		"direct: this host has a public address",
	[NAT_REASON_DIRECT_PUBLIC_PEER] =
		"direct: the peer has a public address",
	[NAT_REASON_DIRECT_HARD_HERE] =
		"direct: the peer accepts this NAT's mapping though it differs per destination",
	[NAT_REASON_DIRECT_HARD_PEER] =
		"direct: this end accepts the peer's mapping though its NAT makes one per "
		"destination",
	[NAT_REASON_DIRECT_MANY_PORTS] =
		"direct: one of many ports that were tried leads through NATs that checks do "
		"not pass ({both})",
	[NAT_REASON_DIRECT_CONFIGURED] =
		"direct: the endpoint that is configured here for the peer answers",
	[NAT_REASON_DIRECT_UNKNOWN_NAT] =
		"direct: checks pass ({both})",
	[NAT_REASON_DIRECT_NO_AGENT_CONFIGURED] =
		"direct: the configured endpoint answers; no agent has announced itself "
		"there{alone}",
	[NAT_REASON_DIRECT_NO_AGENT_ROAMED] =
		"direct: the peer reached us by itself; no agent has announced itself "
		"there{alone}",
	[NAT_REASON_DIRECT_NO_AGENT_INNERNET] =
		"direct: an endpoint that the innernet server knows answers; no agent has "
		"announced itself there",
	[NAT_REASON_RELAYED_BOTH_HARD] =
		"relayed: both NATs map per destination ({both}). {Forward}, or use IPv6, to go "
		"direct",
	[NAT_REASON_RELAYED_ONE_HARD] =
		"relayed: no direct check is answered ({both}). {looking}{ports}; {forward}, or "
		"use IPv6, to go direct",
	[NAT_REASON_RELAYED_SEARCHING] =
		"relayed: no direct check is answered ({both}). {looking}; a firewall may drop "
		"UDP {port}",
	[NAT_REASON_RELAYED_UDP_BLOCKED] =
		"relayed: UDP is blocked {blocked} (no STUN server answers). Let UDP from "
		"WireGuard's port out there to go direct",
	[NAT_REASON_RELAYED_WIREGUARD_BLOCKED] =
		"relayed: checks pass directly, but WireGuard's packets do not: a firewall "
		"drops WireGuard; have it let them pass to go direct",
	[NAT_REASON_RELAYED_WIREGUARD_RETRY] =
		"relayed: checks pass directly, but WireGuard's packets have not yet; trying "
		"again",
	[NAT_REASON_RELAYED_HELD_DOWN] =
		"relayed: the direct path broke lately and is back; it is used again once it "
		"has held for {seconds} s",
	[NAT_REASON_RELAYED_DIRECT_COMING] =
		"relayed: a direct path answers, and is about to be used",
	[NAT_REASON_RELAYED_NO_AGENT] =
		"relayed: no agent of the peer is known, and none of the {tried} endpoints that "
		"the innernet server knows answers directly. An agent there, or UDP {port} "
		"forwarded on a router, lets it go direct",
	[NAT_REASON_FAILED_CHECKS] =
		"no direct path: no check was answered ({both}). A firewall may drop UDP {port}",
	[NAT_REASON_FAILED_HARD_NATS] =
		"no direct path ({both}). {Forward}, or use IPv6",
	[NAT_REASON_FAILED_UDP_BLOCKED] =
		"no direct path: UDP is blocked {blocked} (no STUN server answers). Let it out "
		"there, or give a TURN server by TCP",
	[NAT_REASON_FAILED_NO_COMMON_ADDRESS] =
		"the peer offers no address that this host could reach: no address family in "
		"common, or only routes through tunnels. Give both IPv4, or both IPv6",
	[NAT_REASON_FAILED_PROOF] =
		"checks pass, but WireGuard's handshake does not: a firewall drops WireGuard, "
		"or the keys or preshared keys differ",
	[NAT_REASON_FAILED_SILENCE] =
		"the path went silent and no other was found yet: the peer is off, or something "
		"between drops UDP. {looking}",
	[NAT_REASON_FAILED_BEACON] =
		"nobody answers ({both}): the peer is off, or a firewall or a NAT drops UDP "
		"{port}",
	[NAT_REASON_FAILED_NO_AGENT] =
		"no handshake at any of the {tried} endpoints that the innernet server knows, "
		"and no agent of the peer is there: it is off, or behind a NAT that only an "
		"agent there can open",
	[NAT_REASON_CHECKING_CANDIDATES] =
		"checking {theirs} candidates of the peer from {ours} of ours",
	[NAT_REASON_CHECKING_SILENCE] =
		"the path went silent: looking for another",
	[NAT_REASON_CHECKING_NO_AGENT] =
		"trying the {tried} endpoints that the innernet server knows by handshake: no "
		"agent of the peer is there",
	[NAT_REASON_WAITING_FOR_SIGNALING] =
		"waiting: {signaling}",
	[NAT_REASON_WAITING_FOR_PEER] =
		"waiting: the peer's agent is not at the signaling server. Start it there, with "
		"the same server; each host must be a peer of the other's interface",
	[NAT_REASON_WAITING_FOR_ANSWER] =
		"waiting: the peer's agent is there, and has not answered yet; if that lasts, "
		"see its log",
	[NAT_REASON_WAITING_NO_AGENT] =
		"waiting: no agent of the peer is known: neither at the signaling server nor by "
		"its record at the innernet server. Start one there",
};
/* clang-format on */

static void
append_no_relay(GString *out, const NatWhy *why)
{
	switch (nat_why_no_relay(why)) {
	case NAT_NO_RELAY_UNASKED:
		break;
	case NAT_NO_RELAY_SERVER:
		g_string_append(out, "; and no TURN server is known (--turn)");
		break;
	case NAT_NO_RELAY_FAILED:
		g_string_append_printf(out, "; and no relay: %s", why->relay_problem);
		break;
	}
}

char *
nat_why_sentence(const NatWhy *why)
{
	GString *out = fill_in(PATTERNS[nat_why_reason(why)], why);

	append_no_relay(out, why);
	return g_string_free(out, FALSE);
}
