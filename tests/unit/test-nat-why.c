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
	assert_why(&why, "public address");
	why.managed = FALSE;
	why.remote = NAT_CAND_CONFIGURED;
	assert_why(&why, "configured endpoint");
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
	g_test_add_func("/why/waiting", test_waiting);
	g_test_add_func("/stun-probe/classify", test_classify);
	return g_test_run();
}
