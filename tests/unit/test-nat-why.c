/* SPDX-License-Identifier: MIT */
#include "agent/nat-stun-probe.h"
#include "agent/nat-why.h"

static void
assert_why(const NatWhy *why, const char *part)
{
	g_autofree char *text = nat_why_sentence(why);

	g_assert_nonnull(text);
	g_assert_null(strchr(text, '\n'));
	if (strstr(text, part) == NULL)
		g_error("\"%s\" does not say \"%s\"", text, part);
}

static void
assert_sentence(const NatWhy *why, const char *expected)
{
	g_autofree char *text = nat_why_sentence(why);

	g_assert_cmpstr(text, ==, expected);
}

#define HARD NAT_MAPPING_ADDRESS_AND_PORT_DEPENDENT
#define EASY NAT_MAPPING_ENDPOINT_INDEPENDENT

/* The path is relayed: why no direct one is, and what would help. */
static void
test_relayed(void)
{
	NatWhy why = {
		.state = NAT_PEER_CONNECTED,
		.managed = TRUE,
		.relay = TRUE,
		.relay_known = TRUE,
		.local = NAT_CAND_RELAY,
		.remote = NAT_CAND_SRFLX,
		.local_mapping = HARD,
		.remote_mapping = NAT_MAPPING_ADDRESS_DEPENDENT,
		.port = 51820,
	};

	assert_sentence(&why, "relayed: both NATs map per destination (a mapping per destination "
			      "here, a mapping per destination address at the peer): forward UDP "
			      "51820 on either router, or use IPv6, to go direct");
	why.remote_mapping = EASY;
	assert_sentence(&why, "relayed: no direct check was answered yet (a mapping per "
			      "destination here, one mapping for all destinations at the peer); "
			      "still looking; forward UDP 51820 on either router, or use IPv6, to "
			      "go direct");
	why.local_mapping = NAT_MAPPING_NONE;
	assert_sentence(&why, "relayed: no direct check was answered yet (no NAT here, one mapping "
			      "for all destinations at the peer); still looking");
}

/* Facts about UDP and WireGuard explain more than the NATs do. */
static void
test_relayed_blocked(void)
{
	NatWhy why = {
		.state = NAT_PEER_CONNECTED,
		.managed = TRUE,
		.relay = TRUE,
		.local_mapping = HARD,
		.remote_mapping = HARD,
		.local_udp_blocked = TRUE,
	};

	assert_sentence(&why, "relayed: UDP is blocked here: allow it to go direct");
	why.remote_udp_blocked = TRUE;
	assert_sentence(&why, "relayed: UDP is blocked here and at the peer: allow it to go "
			      "direct");
	why.local_udp_blocked = FALSE;
	assert_sentence(&why, "relayed: UDP is blocked at the peer: allow it to go direct");
	why.direct_alive = TRUE;
	assert_sentence(&why, "relayed: a direct path answers, and is about to be used");
	why.direct_hold_s = 4;
	assert_sentence(&why, "relayed: the direct path broke lately and is back; it is used again "
			      "once it has held for 4 s");
	why.direct_failed = TRUE;
	assert_sentence(&why, "relayed: checks pass directly, but WireGuard's packets have not "
			      "yet; trying again");
	why.wireguard_blocked = TRUE;
	assert_sentence(&why, "relayed: checks pass directly, but WireGuard's packets do not: a "
			      "firewall drops WireGuard");
}

/* Every failure says why no relay helped. */
static void
test_failed_without_relay(void)
{
	NatWhy why = {
		.state = NAT_PEER_FAILED,
		.managed = TRUE,
		.failure = NAT_FAILURE_CHECKS,
		.local_mapping = HARD,
		.remote_mapping = EASY,
		.remote_candidates = 2,
		.port = 51820,
	};

	assert_sentence(&why,
			"no direct path: a mapping per destination here, one mapping for all "
			"destinations at the peer: forward UDP 51820 on either router, or use "
			"IPv6; and no TURN server is configured (--turn)");
	why.relay_known = TRUE;
	why.relay_problem = "wrong or expired credentials";
	why.local_mapping = EASY;
	assert_sentence(&why, "no direct path: no check was answered (one mapping for all "
			      "destinations here, one mapping for all destinations at the peer): a "
			      "firewall may drop UDP 51820; and no relay: wrong or expired "
			      "credentials");
	why.remote_candidates = 0;
	assert_why(&why, "through tunnels; and no relay: wrong or expired credentials");
	why.failure = NAT_FAILURE_PROOF;
	assert_why(&why, "keys differ; and no relay: wrong or expired credentials");
	why.failure = NAT_FAILURE_SILENCE;
	assert_sentence(&why, "the path went silent and no other was found yet; and no relay: "
			      "wrong or expired credentials");
	why.relay_problem = NULL;
	assert_sentence(&why, "the path went silent and no other was found yet");
}

static void
test_checking(void)
{
	NatWhy why = {.state = NAT_PEER_CHECKING, .local_candidates = 2, .remote_candidates = 3};

	assert_sentence(&why, "checking 3 candidates of the peer from 2 of ours");
	why.failure = NAT_FAILURE_SILENCE;
	assert_sentence(&why, "the path went silent: looking for another");
}

static void
test_connected(void)
{
	NatWhy why = {
		.state = NAT_PEER_CONNECTED,
		.managed = TRUE,
		.remote = NAT_CAND_SRFLX,
		.local_mapping = NAT_MAPPING_ENDPOINT_INDEPENDENT,
		.remote_mapping = NAT_MAPPING_ENDPOINT_INDEPENDENT,
	};

	assert_why(&why, "both NATs keep one mapping");
	why.remote = NAT_CAND_HOST;
	assert_why(&why, "each other's own addresses");
	why.remote = NAT_CAND_PRFLX;
	why.remote_mapping = NAT_MAPPING_ADDRESS_AND_PORT_DEPENDENT;
	assert_why(&why, "makes one per destination");
	why.local_mapping = NAT_MAPPING_NONE;
	assert_why(&why, "this host has a public address");
	why.remote_mapping = NAT_MAPPING_NONE;
	assert_sentence(&why, "direct: no NAT at either end");
	why.local_mapping = EASY;
	assert_sentence(&why, "direct: the peer has a public address");
	why.local_mapping = HARD;
	why.remote_mapping = EASY;
	assert_why(&why, "the peer accepts this NAT's mapping");
	why.local_mapping = NAT_MAPPING_UNKNOWN;
	assert_sentence(&why, "direct: unknown mapping here, one mapping for all destinations at "
			      "the peer");
	why.managed = FALSE;
	why.remote = NAT_CAND_CONFIGURED;
	assert_why(&why, "configured endpoint");
	why.remote = NAT_CAND_ROAMED;
	assert_why(&why, "the peer reached us by itself");
}

static void
test_failed_names_the_remedy(void)
{
	NatWhy why = {
		.state = NAT_PEER_FAILED,
		.managed = TRUE,
		.failure = NAT_FAILURE_CHECKS,
		.local_mapping = NAT_MAPPING_ADDRESS_AND_PORT_DEPENDENT,
		.remote_mapping = NAT_MAPPING_ENDPOINT_INDEPENDENT,
		.remote_candidates = 2,
		.port = 51820,
	};

	assert_why(&why, "forward UDP 51820");
	why.local_mapping = NAT_MAPPING_ENDPOINT_INDEPENDENT;
	assert_why(&why, "firewall");
	why.remote_candidates = 0;
	assert_why(&why, "no address");
	why.failure = NAT_FAILURE_PROOF;
	assert_why(&why, "handshake does not");
}

static void
test_waiting(void)
{
	NatWhy why = {.state = NAT_PEER_WAITING};

	assert_why(&why, "not at the signaling server");
	why.signal_problem = "192.0.2.1:8080 refuses the connection";
	assert_why(&why, "192.0.2.1:8080 refuses");
	why.signal_problem = NULL;
	why.online = TRUE;
	assert_sentence(&why, "waiting: the peer's agent has not answered yet");
}

static NatStunAnswer
answer(const char *server, const char *mapped)
{
	NatStunAnswer a;

	g_assert_true(wg_endpoint_parse(server, &a.server));
	g_assert_true(wg_endpoint_parse(mapped, &a.mapped));
	return a;
}

static void
test_classify(void)
{
	WgEndpoint local;
	NatStunAnswer a[2];

	g_assert_true(wg_endpoint_parse("192.168.1.2:51820", &local));
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
	g_test_add_func("/why/connected", test_connected);
	g_test_add_func("/why/failed-names-the-remedy", test_failed_names_the_remedy);
	g_test_add_func("/why/relayed", test_relayed);
	g_test_add_func("/why/relayed/blocked", test_relayed_blocked);
	g_test_add_func("/why/failed/without-relay", test_failed_without_relay);
	g_test_add_func("/why/checking", test_checking);
	g_test_add_func("/why/waiting", test_waiting);
	g_test_add_func("/stun-probe/classify", test_classify);
	return g_test_run();
}
