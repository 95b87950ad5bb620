/* SPDX-License-Identifier: MIT */
/* Each reason follows from the facts that make it, and its sentence says what they are. */
#include "agent/peer/nat-why.h"
#include "agent/probe/nat-stun-probe.h"

#include <string.h>

#define HARD NAT_MAPPING_ADDRESS_AND_PORT_DEPENDENT
#define EASY NAT_MAPPING_ENDPOINT_INDEPENDENT
#define SENTENCE_MAX 220

static WgEndpoint
ep(const char *text)
{
	WgEndpoint out;

	g_assert_true(wg_endpoint_parse(text, &out));
	return out;
}

static void
assert_sentence(const NatWhy *why, NatReason reason, const char *expected)
{
	g_autofree char *text = nat_why_sentence(why);

	g_assert_cmpstr(nat_reason_to_string(nat_why_reason(why)), ==,
			nat_reason_to_string(reason));
	g_assert_cmpstr(text, ==, expected);
}

/* ---- names ---- */

static void
test_names(void)
{
	NatReason reason;

	for (guint i = 0; i < NAT_N_REASONS; i++) {
		const char *name = nat_reason_to_string((NatReason)i);

		g_assert_nonnull(name);
		g_assert_true(g_regex_match_simple("^[a-z]+(-[a-z]+)+$", name, 0, 0));
		g_assert_true(nat_reason_from_string(name, &reason));
		g_assert_cmpint(reason, ==, i);
	}
	g_assert_false(nat_reason_from_string("relayed", &reason));
	g_assert_false(nat_reason_from_string("", &reason));
	g_assert_false(nat_reason_from_string(NULL, &reason));
	g_assert_null(nat_no_relay_to_string(NAT_NO_RELAY_UNASKED));
	g_assert_cmpstr(nat_no_relay_to_string(NAT_NO_RELAY_SERVER), ==, "no-server");
	g_assert_cmpstr(nat_no_relay_to_string(NAT_NO_RELAY_FAILED), ==, "failed");
}

/* ---- all of them ---- */

#define DIRECT .state = NAT_PEER_CONNECTED, .managed = TRUE, .remote = NAT_CAND_SRFLX
#define RELAYED .state = NAT_PEER_CONNECTED, .managed = TRUE, .online = TRUE, .relay = TRUE
#define FAILED .state = NAT_PEER_FAILED, .managed = TRUE, .online = TRUE, .reachable = TRUE
#define ENDS(h, p) .here.mapping = h, .peer.mapping = p

static const struct {
	NatReason reason;
	NatWhy why;
} CASES[] = {
	{NAT_REASON_DIRECT_NO_NAT, {DIRECT, ENDS(NAT_MAPPING_NONE, NAT_MAPPING_NONE)}},
	{NAT_REASON_DIRECT_OWN_ADDRESSES,
	 {.state = NAT_PEER_CONNECTED, .managed = TRUE, .remote = NAT_CAND_HOST, ENDS(EASY, HARD)}},
	{NAT_REASON_DIRECT_EASY_NATS, {DIRECT, ENDS(EASY, EASY)}},
	{NAT_REASON_DIRECT_PUBLIC_HERE, {DIRECT, ENDS(NAT_MAPPING_NONE, HARD)}},
	{NAT_REASON_DIRECT_PUBLIC_PEER, {DIRECT, ENDS(HARD, NAT_MAPPING_NONE)}},
	{NAT_REASON_DIRECT_HARD_HERE, {DIRECT, ENDS(HARD, EASY)}},
	{NAT_REASON_DIRECT_MANY_PORTS,
	 {DIRECT, ENDS(HARD, EASY), .many_ports = NAT_MANY_PORTS_USED}},
	{NAT_REASON_DIRECT_HARD_PEER, {DIRECT, ENDS(EASY, NAT_MAPPING_ADDRESS_DEPENDENT)}},
	{NAT_REASON_DIRECT_CONFIGURED,
	 {.state = NAT_PEER_CONNECTED,
	  .managed = TRUE,
	  .remote = NAT_CAND_CONFIGURED,
	  ENDS(HARD, EASY)}},
	{NAT_REASON_DIRECT_UNKNOWN_NAT, {DIRECT, ENDS(NAT_MAPPING_UNKNOWN, EASY)}},
	{NAT_REASON_DIRECT_NO_AGENT_CONFIGURED,
	 {.state = NAT_PEER_CONNECTED, .remote = NAT_CAND_CONFIGURED}},
	{NAT_REASON_DIRECT_NO_AGENT_ROAMED,
	 {.state = NAT_PEER_CONNECTED, .remote = NAT_CAND_ROAMED}},
	/* it may have come from elsewhere than where the innernet server knows it */
	{NAT_REASON_DIRECT_NO_AGENT_CONFIGURED,
	 {.state = NAT_PEER_CONNECTED, .remote = NAT_CAND_CONFIGURED, .plain = 2}},
	{NAT_REASON_DIRECT_NO_AGENT_ROAMED,
	 {.state = NAT_PEER_CONNECTED, .remote = NAT_CAND_ROAMED, .plain = 2}},
	{NAT_REASON_DIRECT_NO_AGENT_INNERNET,
	 {.state = NAT_PEER_CONNECTED, .remote = NAT_CAND_SRFLX, .plain = 2}},
	{NAT_REASON_RELAYED_BOTH_HARD, {RELAYED, ENDS(HARD, HARD)}},
	{NAT_REASON_RELAYED_ONE_HARD, {RELAYED, ENDS(EASY, HARD)}},
	{NAT_REASON_RELAYED_ONE_HARD, {RELAYED, ENDS(HARD, NAT_MAPPING_UNKNOWN)}},
	{NAT_REASON_RELAYED_SEARCHING, {RELAYED, ENDS(EASY, EASY)}},
	/* facts about UDP and WireGuard explain more than the NATs do; the most certain first */
	{NAT_REASON_RELAYED_UDP_BLOCKED, {RELAYED, ENDS(HARD, HARD), .here.udp_blocked = TRUE}},
	{NAT_REASON_RELAYED_UDP_BLOCKED, {RELAYED, ENDS(HARD, HARD), .peer.udp_blocked = TRUE}},
	{NAT_REASON_RELAYED_DIRECT_COMING,
	 {RELAYED, .here.udp_blocked = TRUE, .direct_alive = TRUE}},
	{NAT_REASON_RELAYED_HELD_DOWN, {RELAYED, .direct_alive = TRUE, .direct_hold_s = 4}},
	{NAT_REASON_RELAYED_WIREGUARD_RETRY,
	 {RELAYED, .direct_alive = TRUE, .direct_hold_s = 4, .direct_failed = TRUE}},
	{NAT_REASON_RELAYED_WIREGUARD_BLOCKED,
	 {RELAYED, .direct_alive = TRUE, .direct_failed = TRUE, .wireguard_blocked = TRUE}},
	/* what was found about a path that is no more explains nothing */
	{NAT_REASON_RELAYED_SEARCHING, {RELAYED, ENDS(EASY, EASY), .wireguard_blocked = TRUE}},
	/* it has an agent, which is not there now */
	{NAT_REASON_RELAYED_ONE_HARD,
	 {.state = NAT_PEER_CONNECTED,
	  .managed = TRUE,
	  .relay = TRUE,
	  .plain = 3,
	  .signal_problem = "x",
	  ENDS(EASY, HARD)}},
	{NAT_REASON_RELAYED_NO_AGENT,
	 {.state = NAT_PEER_CONNECTED, .relay = TRUE, .plain = 3, .wireguard_blocked = TRUE}},
	{NAT_REASON_FAILED_CHECKS, {FAILED, ENDS(EASY, EASY), .failure = NAT_FAILURE_CHECKS}},
	{NAT_REASON_FAILED_CHECKS, {FAILED, ENDS(EASY, NAT_MAPPING_UNKNOWN)}},
	{NAT_REASON_FAILED_HARD_NATS, {FAILED, ENDS(EASY, HARD), .failure = NAT_FAILURE_CHECKS}},
	{NAT_REASON_FAILED_UDP_BLOCKED, {FAILED, ENDS(HARD, HARD), .peer.udp_blocked = TRUE}},
	{NAT_REASON_FAILED_BEACON,
	 {FAILED, ENDS(HARD, HARD), .here.udp_blocked = TRUE, .beacon = TRUE}},
	{NAT_REASON_FAILED_NO_COMMON_ADDRESS,
	 {.state = NAT_PEER_FAILED, .managed = TRUE, .beacon = TRUE, ENDS(HARD, HARD)}},
	{NAT_REASON_FAILED_PROOF, {.state = NAT_PEER_FAILED, .failure = NAT_FAILURE_PROOF}},
	{NAT_REASON_FAILED_SILENCE, {.state = NAT_PEER_FAILED, .failure = NAT_FAILURE_SILENCE}},
	{NAT_REASON_FAILED_NO_AGENT,
	 {.state = NAT_PEER_FAILED, .plain = 3, .failure = NAT_FAILURE_SILENCE}},
	{NAT_REASON_CHECKING_CANDIDATES, {.state = NAT_PEER_CHECKING}},
	{NAT_REASON_CHECKING_CANDIDATES,
	 {.state = NAT_PEER_CHECKING, .failure = NAT_FAILURE_PROOF}},
	{NAT_REASON_CHECKING_SILENCE, {.state = NAT_PEER_CHECKING, .failure = NAT_FAILURE_SILENCE}},
	{NAT_REASON_CHECKING_NO_AGENT, {.state = NAT_PEER_CHECKING, .plain = 3}},
	{NAT_REASON_WAITING_FOR_SIGNALING,
	 {.state = NAT_PEER_WAITING, .signal_problem = "refused"}},
	{NAT_REASON_WAITING_FOR_PEER, {.state = NAT_PEER_WAITING}},
	{NAT_REASON_WAITING_FOR_ANSWER, {.state = NAT_PEER_WAITING, .online = TRUE}},
	{NAT_REASON_WAITING_FOR_ANSWER,
	 {.state = NAT_PEER_WAITING, .online = TRUE, .innernet = TRUE, .signal_problem = "x"}},
	{NAT_REASON_WAITING_NO_AGENT,
	 {.state = NAT_PEER_WAITING, .innernet = TRUE, .signal_problem = "x"}},
};

/* The state, or the kind of path, is what its name begins with. */
static const char *
first_word(const NatWhy *why)
{
	if (why->state == NAT_PEER_CONNECTED)
		return why->relay ? "relayed-" : "direct-";
	return nat_peer_state_to_string(why->state);
}

static void
test_reasons(void)
{
	gboolean seen[NAT_N_REASONS] = {FALSE};

	for (gsize i = 0; i < G_N_ELEMENTS(CASES); i++) {
		const char *name = nat_reason_to_string(nat_why_reason(&CASES[i].why));

		g_assert_cmpstr(name, ==, nat_reason_to_string(CASES[i].reason));
		g_assert_true(g_str_has_prefix(name, first_word(&CASES[i].why)));
		seen[CASES[i].reason] = TRUE;
	}
	for (guint i = 0; i < NAT_N_REASONS; i++)
		if (!seen[i])
			g_error("%s follows from nothing", nat_reason_to_string((NatReason)i));
}

/* The longest words in every place. */
static void
test_sentences(void)
{
	for (gsize i = 0; i < 2 * G_N_ELEMENTS(CASES); i++) {
		NatWhy why = CASES[i / 2].why;
		g_autofree char *text = NULL;

		why.online &= i % 2;
		why.here.address = ep("203.113.113.113:65535");
		why.peer.address = ep("198.151.100.117:65535");
		why.port = 65535;
		why.local_candidates = why.remote_candidates = 25;
		text = nat_why_sentence(&why);
		g_test_message("%s", text);
		g_assert_null(strpbrk(text, "\n{}"));
		g_assert_cmpuint(strlen(text), >, 9);
		g_assert_cmpuint(g_utf8_strlen(text, -1), <=, SENTENCE_MAX);
	}
}

/* ---- what they say ---- */

static void
test_relayed(void)
{
	NatWhy why = {
		RELAYED,
		.relay_known = TRUE,
		ENDS(HARD, NAT_MAPPING_ADDRESS_DEPENDENT),
		.here.address = ep("203.0.113.1:40000"),
		.peer.address = ep("198.51.100.1:40001"),
		.port = 51820,
	};

	assert_sentence(&why, NAT_REASON_RELAYED_BOTH_HARD,
			"relayed: both NATs map per destination (here 203.0.113.1, mapping per "
			"destination; peer 198.51.100.1, mapping per address). Forward UDP 51820 "
			"on either router, or use IPv6, to go direct");
	why.mapped = TRUE;
	assert_sentence(&why, NAT_REASON_RELAYED_BOTH_HARD,
			"relayed: both NATs map per destination (here 203.0.113.1, mapping per "
			"destination; peer 198.51.100.1, mapping per address). UDP 51820 is "
			"forwarded here, in vain: do so at the peer, or use IPv6, to go direct");
	why.mapped = FALSE;
	why.peer = (NatWhyEnd){.mapping = EASY};
	assert_sentence(&why, NAT_REASON_RELAYED_ONE_HARD,
			"relayed: no direct check is answered (here 203.0.113.1, mapping per "
			"destination; peer one mapping). Still looking; forward UDP 51820 on "
			"either router, or use IPv6, to go direct");
	why.here.mapping = NAT_MAPPING_NONE;
	assert_sentence(&why, NAT_REASON_RELAYED_SEARCHING,
			"relayed: no direct check is answered (here 203.0.113.1, no NAT; peer "
			"one mapping). Still looking; a firewall may drop UDP 51820");
	why.here.udp_blocked = TRUE;
	assert_sentence(&why, NAT_REASON_RELAYED_UDP_BLOCKED,
			"relayed: UDP is blocked here (no STUN server answers). Let UDP from "
			"WireGuard's port out there to go direct");
	why.peer.udp_blocked = TRUE;
	assert_sentence(&why, NAT_REASON_RELAYED_UDP_BLOCKED,
			"relayed: UDP is blocked here and at the peer (no STUN server answers). "
			"Let UDP from WireGuard's port out there to go direct");
	why.direct_alive = TRUE;
	why.direct_hold_s = 4;
	assert_sentence(&why, NAT_REASON_RELAYED_HELD_DOWN,
			"relayed: the direct path broke lately and is back; it is used again once "
			"it has held for 4 s");
}

/* Nothing is looked for without somebody to look with. */
static void
test_looking(void)
{
	NatWhy why = {.state = NAT_PEER_CONNECTED, .managed = TRUE, .relay = TRUE, .port = 51820};

	assert_sentence(&why, NAT_REASON_RELAYED_SEARCHING,
			"relayed: no direct check is answered (here unknown mapping; peer unknown "
			"mapping). A search needs the peer's agent; a firewall may drop UDP "
			"51820");
	why.signal_problem = "refused";
	assert_sentence(&why, NAT_REASON_RELAYED_SEARCHING,
			"relayed: no direct check is answered (here unknown mapping; peer unknown "
			"mapping). A search needs signaling; a firewall may drop UDP 51820");
	/* its beacon would do */
	why.innernet = TRUE;
	why.here.mapping = HARD;
	assert_sentence(&why, NAT_REASON_RELAYED_ONE_HARD,
			"relayed: no direct check is answered (here mapping per destination; peer "
			"unknown mapping). A search needs the peer's agent; forward UDP "
			"51820 on either router, or use IPv6, to go direct");
	/* and is there: signaling is not needed */
	why.online = TRUE;
	assert_sentence(&why, NAT_REASON_RELAYED_ONE_HARD,
			"relayed: no direct check is answered (here mapping per destination; peer "
			"unknown mapping). Still looking; forward UDP 51820 on either router, or "
			"use IPv6, to go direct");
	why = (NatWhy){
		.state = NAT_PEER_FAILED, .failure = NAT_FAILURE_SILENCE, .relay_known = TRUE};
	assert_sentence(&why, NAT_REASON_FAILED_SILENCE,
			"the path went silent and no other was found yet: the peer is off, or "
			"something between drops UDP. A search needs the peer's agent");
}

/* Where innernet's endpoints are tried, no peer is left alone. */
static void
test_no_agent(void)
{
	NatWhy why = {.state = NAT_PEER_CONNECTED, .remote = NAT_CAND_ROAMED};

	assert_sentence(&why, NAT_REASON_DIRECT_NO_AGENT_ROAMED,
			"direct: the peer reached us by itself; no agent has announced itself "
			"there, so it is left alone");
	why.plain = 2;
	assert_sentence(&why, NAT_REASON_DIRECT_NO_AGENT_ROAMED,
			"direct: the peer reached us by itself; no agent has announced itself "
			"there");
	why.remote = NAT_CAND_CONFIGURED;
	assert_sentence(&why, NAT_REASON_DIRECT_NO_AGENT_CONFIGURED,
			"direct: the configured endpoint answers; no agent has announced itself "
			"there");
	why.state = NAT_PEER_FAILED;
	why.relay_known = TRUE;
	assert_sentence(&why, NAT_REASON_FAILED_NO_AGENT,
			"no handshake at any of the 2 endpoints that the innernet server knows, "
			"and no agent of the peer is there: it is off, or behind a NAT that only "
			"an agent there can open");
}

/* Every failure says why no relay helped. */
static void
test_failed(void)
{
	NatWhy why = {
		FAILED,
		ENDS(HARD, EASY),
		.failure = NAT_FAILURE_CHECKS,
		.port = 51820,
	};

	g_assert_cmpint(nat_why_no_relay(&why), ==, NAT_NO_RELAY_SERVER);
	assert_sentence(&why, NAT_REASON_FAILED_HARD_NATS,
			"no direct path (here mapping per destination; peer one mapping). Forward "
			"UDP 51820 on either router, or use IPv6; and no TURN server is known "
			"(--turn)");
	why.relay_known = TRUE;
	why.relay_problem = "wrong or expired {port}";
	why.here.mapping = EASY;
	g_assert_cmpint(nat_why_no_relay(&why), ==, NAT_NO_RELAY_FAILED);
	assert_sentence(&why, NAT_REASON_FAILED_CHECKS,
			"no direct path: no check was answered (here one mapping; peer one "
			"mapping). A firewall may drop UDP 51820; and no relay: wrong or expired "
			"{port}");
	why.relay_problem = NULL;
	g_assert_cmpint(nat_why_no_relay(&why), ==, NAT_NO_RELAY_UNASKED);
	assert_sentence(&why, NAT_REASON_FAILED_CHECKS,
			"no direct path: no check was answered (here one mapping; peer one "
			"mapping). A firewall may drop UDP 51820");
	why.state = NAT_PEER_CONNECTED;
	why.relay_known = FALSE;
	g_assert_cmpint(nat_why_no_relay(&why), ==, NAT_NO_RELAY_UNASKED);
}

static void
test_others(void)
{
	NatWhy why = {.state = NAT_PEER_CHECKING, .local_candidates = 2, .remote_candidates = 3};

	assert_sentence(&why, NAT_REASON_CHECKING_CANDIDATES,
			"checking 3 candidates of the peer from 2 of ours");
	why.plain = 4;
	assert_sentence(&why, NAT_REASON_CHECKING_NO_AGENT,
			"trying the 4 endpoints that the innernet server knows by handshake: no "
			"agent of the peer is there");
	why.state = NAT_PEER_WAITING;
	why.signal_problem = "192.0.2.1:8080 refuses {tried}";
	assert_sentence(&why, NAT_REASON_WAITING_FOR_SIGNALING,
			"waiting: 192.0.2.1:8080 refuses {tried}");
}

/* ---- addresses ---- */

static void
assert_address(const WgEndpoint *eps, gsize n, const char *expected)
{
	char text[WG_ENDPOINT_STRLEN];
	WgEndpoint out;

	nat_why_address(eps, n, &out);
	g_assert_cmpstr(wg_endpoint_is_set(&out) ? wg_endpoint_format_address(&out, text) : NULL,
			==, expected);
}

/* Nobody is told an address that is only one of several. */
static void
test_address(void)
{
	const WgEndpoint eps[] = {
		ep("[2001:db8::1]:1"),
		ep("203.0.113.1:40000"),
		ep("203.0.113.1:40001"),
		ep("203.0.113.2:40000"),
	};

	assert_address(eps, 0, NULL);
	assert_address(eps, 1, NULL);
	assert_address(eps, 3, "203.0.113.1");
	assert_address(eps, 4, NULL);
}

/* ---- the NATs' classes ---- */

static NatStunAnswer
answer(const char *server, const char *mapped)
{
	return (NatStunAnswer){ep(server), ep(mapped)};
}

static void
test_classify(void)
{
	WgEndpoint local = ep("192.168.1.2:51820");
	NatStunAnswer a[2];

	g_assert_cmpint(nat_stun_classify(&local, a, 0), ==, NAT_MAPPING_UNKNOWN);
	a[0] = answer("203.0.113.1:3478", "192.168.1.2:51820");
	g_assert_cmpint(nat_stun_classify(&local, a, 1), ==, NAT_MAPPING_NONE);
	a[0] = answer("203.0.113.1:3478", "198.51.100.7:51820");
	g_assert_cmpint(nat_stun_classify(&local, a, 1), ==, NAT_MAPPING_UNKNOWN);
	a[1] = answer("203.0.113.1:3479", "198.51.100.7:51820");
	g_assert_cmpint(nat_stun_classify(&local, a, 2), ==, NAT_MAPPING_ENDPOINT_INDEPENDENT);
	a[1] = answer("203.0.113.1:3479", "198.51.100.7:51821");
	g_assert_cmpint(nat_stun_classify(&local, a, 2), ==,
			NAT_MAPPING_ADDRESS_AND_PORT_DEPENDENT);
	a[1] = answer("203.0.113.9:3478", "198.51.100.7:51821");
	g_assert_cmpint(nat_stun_classify(&local, a, 2), ==, NAT_MAPPING_ADDRESS_DEPENDENT);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/why/names", test_names);
	g_test_add_func("/why/reasons", test_reasons);
	g_test_add_func("/why/sentences", test_sentences);
	g_test_add_func("/why/relayed", test_relayed);
	g_test_add_func("/why/looking", test_looking);
	g_test_add_func("/why/no-agent", test_no_agent);
	g_test_add_func("/why/failed", test_failed);
	g_test_add_func("/why/others", test_others);
	g_test_add_func("/why/address", test_address);
	g_test_add_func("/stun-probe/classify", test_classify);
	return g_test_run();
}
