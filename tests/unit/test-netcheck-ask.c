/* SPDX-License-Identifier: MIT */
/* netcheck's questions against fakes on loopback, which misbehave as told. */
#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/mux/nat-stun.h"
#include "agent/net/nat-certificate.h"
#include "agent/netcheck/net-mtu.h"
#include "agent/netcheck/net-name.h"
#include "agent/netcheck/net-nat64.h"
#include "agent/netcheck/net-reach.h"
#include "agent/netcheck/net-silence.h"
#include "agent/netcheck/net-stun.h"
#include "agent/netcheck/net-thread.h"
#include "tests/unit/fake-resolver.h"
#include "tests/unit/fake-stun.h"
#include "tests/unit/fake-turn.h"
#include "tests/unit/net-own.h"
#include "tests/unit/net-util.h"

#define DEADLINE_MS 30000

static void
set_done(gpointer data)
{
	*(gboolean *)data = TRUE;
}

/* ---- NAT64 ---- */

/* RFC 6052 §2.4's table, with the two addresses of RFC 7050. */
static void
test_nat64(void)
{
	static const struct {
		const char *address, *prefix, *through; /* of 192.0.2.33 */
		guint len;
	} CASES[] = {
		{"2001:db8:c000:aa::", "2001:db8::", "2001:db8:c000:221::", 32},
		{"2001:db8:1c0:0:aa::", "2001:db8:100::", "2001:db8:1c0:2:21::", 40},
		{"2001:db8:122:c000:0:aa00::", "2001:db8:122::", "2001:db8:122:c000:2:2100::", 48},
		{"2001:db8:122:3c0:0:ab::", "2001:db8:122:300::", "2001:db8:122:3c0:0:221::", 56},
		{"2001:db8:122:344:c0:0:aa00:0",
		 "2001:db8:122:344::", "2001:db8:122:344:c0:2:2100::", 64},
		{"64:ff9b::c000:ab", "64:ff9b::", "64:ff9b::c000:221", 96},
	};
	WgEndpoint v4 = net_ep("192.0.2.33:3478"), address, prefix, out, expected;
	guint len;

	for (gsize i = 0; i < G_N_ELEMENTS(CASES); i++) {
		g_test_message("%s", CASES[i].address);
		address = net_ep(CASES[i].address);
		g_assert_true(net_nat64_prefix(&address, &prefix, &len));
		g_assert_cmpuint(len, ==, CASES[i].len);
		expected = net_ep(CASES[i].prefix);
		g_assert_true(wg_endpoint_same_address(&prefix, &expected));
		g_assert_true(net_nat64_through(&prefix, len, &v4, &out));
		expected = net_ep(CASES[i].through);
		g_assert_true(wg_endpoint_same_address(&out, &expected));
		g_assert_cmpuint(wg_endpoint_port(&out), ==, 3478);
	}
	address = net_ep("2001:db8::1");
	g_assert_false(net_nat64_prefix(&address, &prefix, &len));
	g_assert_false(net_nat64_prefix(&v4, &prefix, &len));
	g_assert_false(net_nat64_through(&prefix, 96, &address, &out));
}

/* ---- path MTU ---- */

typedef struct {
	int fd;
	WgEndpoint addr;
	gsize largest; /* of a datagram that gets through */
	gboolean knows;
	NetFamily family;
	gboolean done;
} Narrow;

/* Answers by an error, or not at all where it does not know PADDING. */
static gboolean
on_padded(int fd, GIOCondition condition, gpointer user_data)
{
	const Narrow *narrow = user_data;
	guint8 buf[4096], error[20] = {0x01, 0x11, 0, 0, 0x21, 0x12, 0xa4, 0x42};
	WgEndpoint from;
	gssize len = net_recv(fd, buf, sizeof buf, 0, &from);

	if (len < 20 || (gsize)len > narrow->largest || !narrow->knows)
		return G_SOURCE_CONTINUE;
	memcpy(error + 8, buf + 8, NAT_STUN_ID_LEN);
	sendto(fd, error, sizeof error, 0, &from.sa, wg_endpoint_socklen(&from));
	return G_SOURCE_CONTINUE;
}

static void
probe_mtu(gpointer data)
{
	Narrow *narrow = data;

	net_mtu_probe(&narrow->addr, &narrow->family);
}

static void
on_mtu_done(gpointer data)
{
	set_done(&((Narrow *)data)->done);
}

static guint
path_mtu(const char *address, gsize largest, gboolean knows)
{
	Narrow narrow = {.fd = net_udp(address),
			 .addr = net_ep(address),
			 .largest = largest,
			 .knows = knows};
	guint source = g_unix_fd_add(narrow.fd, G_IO_IN, on_padded, &narrow);

	wg_endpoint_set_port(&narrow.addr, net_stun_local_port(narrow.fd));
	net_thread_run("mtu", probe_mtu, on_mtu_done, &narrow);
	g_assert_true(net_wait(&narrow.done, DEADLINE_MS));
	g_source_remove(source);
	close(narrow.fd);
	g_assert_cmpuint(narrow.family.link_mtu, >, 1500); /* lo's */
	return narrow.family.path_mtu;
}

/* An answer that is late is none, and makes the path seem narrower: once in three times it is not.
 */
static void
expect_path_mtu(const char *address, gsize largest, gboolean knows, guint expected)
{
	guint mtu = G_MAXUINT;

	for (int i = 0; i < 3 && mtu != expected; i++)
		mtu = path_mtu(address, largest, knows);
	g_assert_cmpuint(mtu, ==, expected);
}

static void
test_mtu(void)
{
	expect_path_mtu("127.0.0.1:0", 1472, TRUE, 1500);
	expect_path_mtu("127.0.0.1:0", 1446 - 28, TRUE, 1444);
	expect_path_mtu("[::1]:0", 1280 - 48, TRUE, 1280);
	expect_path_mtu("127.0.0.1:0", 1472, FALSE, 0);
}

/* ---- servers ---- */

typedef struct {
	Netcheck *check;
	NetServer *row;
	gboolean done;
} Reach;

static void
on_reached(gpointer user_data)
{
	((Reach *)user_data)->done = TRUE;
}

static void
reach_turn(Reach *reach, const char *uri_text, const WgEndpoint *addrs, gsize n)
{
	g_autoptr(NatTurnUri) uri = nat_turn_uri_parse(uri_text, NULL);
	NetReachTurn *turn;

	reach->check = netcheck_new();
	reach->row = netcheck_add_server(reach->check, "turn", "udp", "turn:x");
	reach->done = FALSE;
	turn = net_reach_turn(reach->row, uri, addrs, n, on_reached, reach);
	g_assert_false(reach->done); /* never from inside */
	g_assert_true(net_wait(&reach->done, DEADLINE_MS));
	net_reach_turn_free(turn);
	g_assert_true(reach->row->ok == (reach->row->problem == NULL));
	g_assert_true(reach->row->ok == (reach->row->ms >= 0));
}

static void
reached(Reach *reach, const char *note)
{
	g_assert_null(reach->row->problem);
	g_assert_cmpstr(reach->row->note, ==, note);
	netcheck_free(reach->check);
}

static void
not_reached(Reach *reach, const char *problem)
{
	g_assert_nonnull(reach->row->problem);
	if (strstr(reach->row->problem, problem) == NULL)
		g_error("\"%s\" is not \"%s\"", reach->row->problem, problem);
	netcheck_free(reach->check);
}

static void
test_turn(void)
{
	FakeTurn fake;
	Reach reach;
	WgEndpoint two[2];

	fake_turn_open(&fake);
	fake.asked_lifetime_s = 99;
	reach_turn(&reach, "turn:bob:s3cret@x", &fake.addr, 1);
	reached(&reach, "relays at 192.0.2.20");
	g_assert_cmpuint(fake.requests[STUN_REFRESH & 15], ==, 1);
	g_assert_cmpuint(fake.asked_lifetime_s, ==, 0); /* given back */
	reach_turn(&reach, "turn:x", &fake.addr, 1);
	reached(&reach, "asks for credentials");
	fake.error = 486;
	reach_turn(&reach, "turn:bob:s3cret@x", &fake.addr, 1);
	not_reached(&reach, "it has no allocation left for us (486");
	fake.error = 0;
	fake.always_challenges = fake.never_content = TRUE;
	reach_turn(&reach, "turn:bob:s3cret@x", &fake.addr, 1);
	not_reached(&reach, "wrong or expired credentials (401");
	fake.always_challenges = fake.never_content = FALSE;
	/* the first address refuses, the second serves */
	two[0] = fake.addr;
	wg_endpoint_set_port(&two[0], 9);
	two[1] = fake.addr;
	reach_turn(&reach, "turn:bob:s3cret@x", two, 2);
	g_assert_true(wg_endpoint_equal(&reach.row->address, &fake.addr));
	reached(&reach, "relays at 192.0.2.20");
	reach_turn(&reach, "turn:bob:s3cret@x", two, 1);
	not_reached(&reach, "connection refused");
	reach_turn(&reach, "turn:bob:s3cret@x?transport=tcp", &fake.addr, 1);
	not_reached(&reach, "connection refused");
	fake.silent = TRUE;
	reach_turn(&reach, "turn:bob:s3cret@x", &fake.addr, 1);
	not_reached(&reach, "timed out");
	fake_turn_close(&fake);
}

static int
ask_stun(const WgEndpoint *server)
{
	int fd = net_stun_open(AF_INET), error;
	NetReply reply;

	g_assert_cmpint(connect(fd, &server->sa, wg_endpoint_socklen(server)), ==, 0);
	error = net_stun_ask(fd, server, 0, 300, &reply);
	close(fd);
	return error;
}

static void
test_stun_reasons(void)
{
	WgEndpoint nobody = net_ep("127.0.0.1:9"), mute;
	int fd = net_udp("127.0.0.1:0");

	mute = net_ep("127.0.0.1");
	wg_endpoint_set_port(&mute, net_stun_local_port(fd));
	g_assert_cmpint(ask_stun(&nobody), ==, ECONNREFUSED);
	g_assert_cmpint(ask_stun(&mute), ==, ETIMEDOUT);
	g_assert_cmpstr(net_stun_problem(ETIMEDOUT), ==, "timed out");
	close(fd);
}

static void
test_certificates(void)
{
	g_assert_cmpstr(nat_certificate_problem(G_TLS_CERTIFICATE_EXPIRED), ==,
			"its certificate is expired or not yet valid (or this host's clock is "
			"wrong)");
	g_assert_nonnull(
		strstr(nat_certificate_problem(G_TLS_CERTIFICATE_BAD_IDENTITY), "another name"));
	g_assert_nonnull(strstr(
		nat_certificate_problem(G_TLS_CERTIFICATE_UNKNOWN_CA | G_TLS_CERTIFICATE_EXPIRED),
		"nobody this host trusts"));
}

/* ---- names ---- */

typedef struct {
	WgEndpoint addrs[NET_NAME_MAX];
	gsize n;
	char *problem;
	gboolean done;
} Named;

static void
on_name(const WgEndpoint *addrs, gsize n, const char *problem, gpointer user_data)
{
	Named *named = user_data;

	g_assert_false(named->done);
	g_assert_true((n == 0) == (problem != NULL));
	g_assert_cmpuint(n, <=, NET_NAME_MAX);
	if (n > 0)
		memcpy(named->addrs, addrs, n * sizeof *addrs);
	named->n = n;
	named->problem = g_strdup(problem);
	named->done = TRUE;
}

static void
look_up(Named *named)
{
	NetName *name;

	*named = (Named){.n = 0};
	name = net_name_lookup("name.example", 7, FALSE, on_name, named);
	g_assert_true(net_wait(&named->done, DEADLINE_MS));
	net_name_free(name);
}

static void
test_names(void)
{
	char *many[] = {"192.0.2.1", "192.0.2.2", "192.0.2.3",	 "192.0.2.4",
			"192.0.2.5", "192.0.2.6", "2001:db8::1", NULL};
	FakeResolver *fake = fake_resolver_install();
	Named named;

	fake->answer = many;
	look_up(&named);
	/* no family crowds the other one out */
	g_assert_cmpuint(named.n, ==, 4);
	g_assert_cmpint(wg_endpoint_family(&named.addrs[3]), ==, AF_INET6);
	g_assert_cmpuint(wg_endpoint_port(&named.addrs[3]), ==, 7);
	fake->answer = NULL;
	look_up(&named);
	g_assert_cmpstr(named.problem, ==, "the name is unknown");
	g_free(named.problem);
	fake->hangs = TRUE;
	look_up(&named);
	g_assert_nonnull(strstr(named.problem, "no name server answers"));
	g_free(named.problem);
	fake_resolver_free(fake);
	while (g_main_context_iteration(NULL, FALSE))
		;
}

/* ---- silence ---- */

/* What a server that knows RESPONSE-PORT shows of a NAT that forgets at once. */
static void
test_silence(void)
{
	NetLifetime lifetime = {.held_s = -1, .lost_s = -1};
	FakeStun server = {.timeout_ms = 4000, .knows_port = TRUE};
	gboolean done = FALSE;
	NetSilence *silence;

	fake_stun_open(&server, "127.0.0.1:0");
	silence = net_silence_new(&server.addr, 1, &lifetime, set_done, &done);
	g_assert_true(net_wait(&done, 60000));
	net_silence_free(silence);
	g_assert_true(lifetime.tested);
	g_assert_cmpint(lifetime.lost_s, ==, 5);
	g_assert_cmpint(lifetime.held_s, ==, -1);
	fake_stun_close(&server);
}

int
main(int argc, char **argv)
{
	if (!net_own())
		return 1;
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/netcheck-ask/nat64", test_nat64);
	g_test_add_func("/netcheck-ask/mtu", test_mtu);
	g_test_add_func("/netcheck-ask/turn", test_turn);
	g_test_add_func("/netcheck-ask/stun-reasons", test_stun_reasons);
	g_test_add_func("/netcheck-ask/certificates", test_certificates);
	g_test_add_func("/netcheck-ask/names", test_names);
	g_test_add_func("/netcheck-ask/silence", test_silence);
	return g_test_run();
}
