/* SPDX-License-Identifier: MIT */
#include "agent/relay/nat-turn-msg.h"
#include "agent/relay/nat-turn.h"
#include "tests/unit/fake-turn.h"
#include "tests/unit/net-own.h"

#include <gio/gio.h>

#define SOON_MS 10000

typedef struct {
	FakeTurn server;
	NatTurn *turn;
	gboolean up, down, small_link;
	NatTurnFailure failure;
	char *reason;
	GString *received;
	WgEndpoint from;
	guint bound_calls;
	int channel;
} Fixture;

static void
on_up(NatTurn *turn, const WgEndpoint *relayed, gpointer user_data)
{
	Fixture *f = user_data;

	g_assert_true(wg_endpoint_equal(relayed, &f->server.relayed));
	f->up = TRUE;
}

static void
on_down(NatTurn *turn, NatTurnFailure failure, const char *reason, gpointer user_data)
{
	Fixture *f = user_data;

	g_assert_false(f->down);
	g_assert_null(strstr(reason, FAKE_SECRET));
	f->down = TRUE;
	f->failure = failure;
	f->reason = g_strdup(reason);
	g_test_message("%s", reason);
	/* The owner may do so here. */
	g_clear_pointer(&f->turn, nat_turn_free);
}

static void
on_received(NatTurn *turn, const WgEndpoint *from, const guint8 *data, gsize len,
	    gpointer user_data)
{
	Fixture *f = user_data;

	g_string_append_len(f->received, (const char *)data, (gssize)len);
	f->from = *from;
}

static const NatTurnFuncs FUNCS = {
	.up = on_up,
	.down = on_down,
	.received = on_received,
};

static void
start(Fixture *f, const char *credentials)
{
	char addr[WG_ENDPOINT_STRLEN];
	g_autofree char *text = g_strdup_printf("turn:%s%s", credentials,
						wg_endpoint_format(&f->server.addr, addr));
	g_autoptr(NatTurnUri) uri = nat_turn_uri_parse(text, NULL);

	g_assert_nonnull(uri);
	f->turn = nat_turn_new(uri, &f->server.addr, 0, &FUNCS, f);
	g_assert_false(f->up || f->down);
}

static void
bring_up(Fixture *f)
{
	start(f, FAKE_USER ":" FAKE_SECRET "@");
	g_assert_true(net_wait(&f->up, SOON_MS));
	g_assert_true(nat_turn_is_up(f->turn));
}

static void
set_up(Fixture *f, gconstpointer data)
{
	fake_turn_open(&f->server);
	f->received = g_string_new(NULL);
	f->channel = -1;
}

static void
tear_down(Fixture *f, gconstpointer data)
{
	nat_turn_free(f->turn);
	fake_turn_close(&f->server);
	g_string_free(f->received, TRUE);
	g_free(f->reason);
}

static void
expect_down(Fixture *f, NatTurnFailure failure, int within_ms)
{
	g_assert_true(net_wait(&f->down, within_ms));
	g_assert_cmpint(f->failure, ==, failure);
}

static gboolean
wait_bytes(const gsize *count, gsize n)
{
	gint64 end = g_get_monotonic_time() + SOON_MS * G_TIME_SPAN_MILLISECOND;

	while (*count < n && g_get_monotonic_time() < end)
		if (!g_main_context_iteration(NULL, FALSE))
			g_usleep(500);
	return *count >= n;
}

static gboolean
wait_count(const guint *count, guint n, int timeout_ms)
{
	gint64 end = g_get_monotonic_time() + timeout_ms * G_TIME_SPAN_MILLISECOND;

	while (*count < n && g_get_monotonic_time() < end)
		if (!g_main_context_iteration(NULL, FALSE))
			g_usleep(500);
	return *count >= n;
}

static gboolean
wait_data(Fixture *f)
{
	return wait_bytes(&f->server.data_len, 1);
}

static gboolean
wait_received(Fixture *f)
{
	return wait_bytes(&f->received->len, 1);
}

static void
run_for(int ms)
{
	static const gboolean never;

	net_wait(&never, ms);
}

static void
on_bound(guint16 channel, gpointer user_data)
{
	Fixture *f = user_data;

	f->bound_calls++;
	f->channel = channel;
}

/* ---- the good course ---- */

static void
test_allocate(Fixture *f, gconstpointer data)
{
	bring_up(f);
	g_assert_cmpuint(f->server.requests[STUN_ALLOCATE], ==, 2);
	g_assert_cmpuint(f->server.unauthenticated, >=, 1);
	g_clear_pointer(&f->turn, nat_turn_free);
	/* Given back. */
	g_assert_true(wait_count(&f->server.requests[STUN_REFRESH], 1, SOON_MS));
	g_assert_cmpuint(f->server.asked_lifetime_s, ==, 0);
}

static void
test_lost_packets(Fixture *f, gconstpointer data)
{
	f->server.lose = 2;
	bring_up(f);
	g_assert_cmpuint(f->server.requests[STUN_ALLOCATE], ==, 2);
	g_assert_cmpuint(f->server.packets, >=, 4);
}

static void
test_data(Fixture *f, gconstpointer data)
{
	WgEndpoint peer = net_ep("198.51.100.7:51820");

	bring_up(f);
	nat_turn_permit(f->turn, &peer, 1);
	g_assert_true(wait_count(&f->server.requests[STUN_CREATEPERMISSION], 1, SOON_MS));
	g_assert_true(wg_endpoint_same_address(&f->server.peer, &peer));
	g_assert_true(nat_turn_send(f->turn, &peer, (const guint8 *)"hello", 5));
	g_assert_true(wait_data(f));
	g_assert_cmpmem(f->server.data, f->server.data_len, "hello", 5);
	g_assert_true(wg_endpoint_equal(&f->server.peer, &peer));
	fake_turn_send_data(&f->server, &peer, "hi");
	g_assert_true(wait_received(f));
	g_assert_cmpstr(f->received->str, ==, "hi");
	g_assert_true(wg_endpoint_equal(&f->from, &peer));
}

static void
test_channel(Fixture *f, gconstpointer data)
{
	WgEndpoint peer = net_ep("198.51.100.7:51820");
	static const guint8 foreign[] = {0x40, 0x09, 0, 1, 'x', 0, 0, 0};
	static const guint8 too_long[] = {0x40, 0x00, 0, 9, 'x'};
	static const guint8 good[] = {0x40, 0x00, 0, 2, 'h', 'i'};

	bring_up(f);
	nat_turn_bind(f->turn, &peer, on_bound, f);
	g_assert_cmpuint(f->bound_calls, ==, 0);
	g_assert_true(wait_count(&f->bound_calls, 1, SOON_MS));
	g_assert_cmpint(f->channel, ==, 0x4000);
	/* A second one of the same peer is told, and asks nothing. */
	nat_turn_bind(f->turn, &peer, on_bound, &f->bound_calls);
	nat_turn_unbind(f->turn, &peer, &f->bound_calls);
	nat_turn_bind(f->turn, &peer, on_bound, f);
	g_assert_true(wait_count(&f->bound_calls, 2, SOON_MS));
	g_assert_cmpuint(f->server.requests[STUN_CHANNELBIND], ==, 1);
	g_assert_true(nat_turn_send(f->turn, &peer, (const guint8 *)"hello", 5));
	g_assert_true(wait_data(f));
	g_assert_cmpmem(f->server.data, f->server.data_len, "\x40\0\0\5hello", 9);
	fake_turn_send(&f->server, foreign, sizeof foreign);
	fake_turn_send(&f->server, too_long, sizeof too_long);
	fake_turn_send(&f->server, good, sizeof good);
	g_assert_true(wait_received(f));
	g_assert_cmpstr(f->received->str, ==, "hi");
	/* Unbound, its number is not another peer's, and it is still its own. */
	nat_turn_unbind(f->turn, &peer, f);
	nat_turn_unbind(f->turn, &peer, f);
	wg_endpoint_set_port(&peer, 1);
	nat_turn_bind(f->turn, &peer, on_bound, f);
	g_assert_true(wait_count(&f->bound_calls, 3, SOON_MS));
	g_assert_cmpint(f->channel, ==, 0x4001);
}

static void
test_stale_nonce(Fixture *f, gconstpointer data)
{
	WgEndpoint peers[40];

	bring_up(f);
	for (guint i = 0; i < G_N_ELEMENTS(peers); i++) {
		g_autofree char *text = g_strdup_printf("198.51.100.%u:1", i + 1);

		peers[i] = net_ep(text);
	}
	f->server.nonce++; /* while many are under way */
	nat_turn_permit(f->turn, peers, G_N_ELEMENTS(peers));
	g_assert_true(wait_count(&f->server.requests[STUN_CREATEPERMISSION], 80, SOON_MS));
	run_for(200);
	g_assert_false(f->down);
	g_assert_cmpuint(f->server.requests[STUN_CREATEPERMISSION], ==, 80);
}

/* Hundreds of peers: some at a time, each once, and no more than the bound. */
static void
test_many_permissions(Fixture *f, gconstpointer data)
{
	WgEndpoint peers[400];
	guint *asked = &f->server.requests[STUN_CREATEPERMISSION];

	bring_up(f);
	for (guint i = 0; i < G_N_ELEMENTS(peers); i++) {
		g_autofree char *text =
			g_strdup_printf("198.51.%u.%u:1", 100 + i / 200, i % 200 + 1);

		peers[i] = net_ep(text);
	}
	g_assert_false(nat_turn_permit(f->turn, peers, G_N_ELEMENTS(peers)));
	g_assert_false(nat_turn_permit(f->turn, peers, G_N_ELEMENTS(peers)));
	g_assert_true(wait_count(asked, 256, SOON_MS));
	run_for(200);
	g_assert_cmpuint(*asked, ==, 256);
	nat_turn_permit(f->turn, peers, 1);
	nat_turn_permit(f->turn, peers, 2);
	g_assert_true(wait_count(asked, 257, SOON_MS));
}

/* Addresses of a family that the allocation can't reach take no other's place. */
static void
test_permissions_of_other_family(Fixture *f, gconstpointer data)
{
	WgEndpoint peers[257];
	guint *asked = &f->server.requests[STUN_CREATEPERMISSION];

	for (guint i = 0; i < 256; i++) {
		g_autofree char *text = g_strdup_printf("[2001:db8::%x]:1", i + 1);

		peers[i] = net_ep(text);
	}
	peers[256] = net_ep("198.51.100.7:1");
	bring_up(f);
	g_assert_true(nat_turn_permit(f->turn, peers, G_N_ELEMENTS(peers)));
	g_assert_true(wait_count(asked, 1, SOON_MS));
	g_assert_true(wg_endpoint_same_address(&f->server.peer, &peers[256]));
}

/* Said before the allocation stands, too: its family is not known by then. */
static void
test_permissions_before_up(Fixture *f, gconstpointer data)
{
	WgEndpoint peers[257];

	for (guint i = 0; i < 256; i++) {
		g_autofree char *text = g_strdup_printf("[2001:db8::%x]:1", i + 1);

		peers[i] = net_ep(text);
	}
	peers[256] = net_ep("198.51.100.7:1");
	start(f, FAKE_USER ":" FAKE_SECRET "@");
	g_assert_true(nat_turn_permit(f->turn, peers, G_N_ELEMENTS(peers)));
	g_assert_true(wait_count(&f->server.requests[STUN_CREATEPERMISSION], 1, SOON_MS));
	g_assert_true(wg_endpoint_same_address(&f->server.peer, &peers[256]));
}

static void
test_check(Fixture *f, gconstpointer data)
{
	bring_up(f);
	nat_turn_check(f->turn);
	nat_turn_check(f->turn);
	g_assert_true(wait_count(&f->server.requests[STUN_REFRESH], 1, SOON_MS));
	run_for(300);
	g_assert_cmpuint(f->server.requests[STUN_REFRESH], ==, 1);
	g_assert_false(f->down);
	f->server.silent = TRUE;
	nat_turn_check(f->turn);
	expect_down(f, NAT_TURN_LOST, SOON_MS);
}

static gboolean
on_peer_sends(gpointer user_data)
{
	Fixture *f = user_data;

	fake_turn_send_data(&f->server, &f->server.peer, "x");
	return G_SOURCE_CONTINUE;
}

/* A server that sends us a peer's data knows us, whatever became of its answer. */
static void
test_check_sign_of_life(Fixture *f, gconstpointer data)
{
	guint sends;

	bring_up(f);
	f->server.peer = net_ep("198.51.100.7:51820");
	f->server.silent = TRUE;
	sends = g_timeout_add(50, on_peer_sends, f);
	nat_turn_check(f->turn);
	run_for(4000);
	g_assert_false(f->down);
	g_source_remove(sends);
	expect_down(f, NAT_TURN_LOST, SOON_MS);
}

static void
test_refused_peer(Fixture *f, gconstpointer data)
{
	WgEndpoint peer = net_ep("198.51.100.7:51820"), v6 = net_ep("[2001:db8::7]:51820");

	bring_up(f);
	f->server.error = 403;
	nat_turn_permit(f->turn, &peer, 1);
	nat_turn_bind(f->turn, &peer, on_bound, f);
	g_assert_true(wait_count(&f->bound_calls, 1, SOON_MS));
	g_assert_cmpint(f->channel, ==, 0);
	/* Of a family that the relayed address is not of: nobody is asked. */
	f->server.requests[STUN_CHANNELBIND] = 0;
	nat_turn_bind(f->turn, &v6, on_bound, &f->server);
	nat_turn_unbind(f->turn, &v6, &f->server);
	nat_turn_bind(f->turn, &v6, on_bound, f);
	g_assert_true(wait_count(&f->bound_calls, 2, SOON_MS));
	g_assert_cmpint(f->channel, ==, 0);
	run_for(200);
	g_assert_cmpuint(f->server.requests[STUN_CHANNELBIND], ==, 0);
	g_assert_false(f->down);
}

/* ---- servers that behave badly ---- */

static void
test_silent(Fixture *f, gconstpointer data)
{
	f->server.silent = TRUE;
	start(f, FAKE_USER ":" FAKE_SECRET "@");
	expect_down(f, NAT_TURN_UNREACHABLE, SOON_MS);
	g_assert_cmpuint(f->server.requests[STUN_ALLOCATE], ==, 1);
	g_assert_cmpuint(f->server.packets, >=, 3);
	g_assert_cmpuint(f->server.packets, <=, 8);
}

static void
test_refused_port(Fixture *f, gconstpointer data)
{
	wg_endpoint_set_port(&f->server.addr, 1);
	start(f, FAKE_USER ":" FAKE_SECRET "@");
	expect_down(f, NAT_TURN_UNREACHABLE, SOON_MS);
}

static void
test_wrong_password(Fixture *f, gconstpointer data)
{
	start(f, FAKE_USER ":wrong@");
	expect_down(f, NAT_TURN_CREDENTIALS, SOON_MS);
	g_assert_cmpuint(f->server.requests[STUN_ALLOCATE], ==, 2);
}

static void
test_no_credentials(Fixture *f, gconstpointer data)
{
	start(f, "");
	expect_down(f, NAT_TURN_CREDENTIALS, SOON_MS);
	g_assert_cmpuint(f->server.requests[STUN_ALLOCATE], ==, 1);
}

static void
test_endless_challenges(Fixture *f, gconstpointer data)
{
	f->server.always_challenges = f->server.never_content = TRUE;
	start(f, FAKE_USER ":" FAKE_SECRET "@");
	expect_down(f, NAT_TURN_CREDENTIALS, SOON_MS);
	g_assert_cmpuint(f->server.requests[STUN_ALLOCATE], <=, 5);
}

/* Dropped, so it is as if nobody had answered. */
static void
test_wrong_integrity(Fixture *f, gconstpointer data)
{
	f->server.wrong_integrity = TRUE;
	start(f, FAKE_USER ":" FAKE_SECRET "@");
	expect_down(f, NAT_TURN_UNREACHABLE, SOON_MS);
	g_assert_false(f->up);
}

static void
test_no_integrity(Fixture *f, gconstpointer data)
{
	f->server.no_integrity = TRUE;
	start(f, FAKE_USER ":" FAKE_SECRET "@");
	expect_down(f, NAT_TURN_UNREACHABLE, SOON_MS);
	g_assert_false(f->up);
}

static void
test_garbage(Fixture *f, gconstpointer data)
{
	f->server.garbage_first = TRUE;
	start(f, FAKE_USER ":" FAKE_SECRET "@");
	g_assert_true(net_wait(&f->up, SOON_MS));
	g_assert_cmpuint(nat_turn_dropped(f->turn), >, 0);
	g_assert_cmpuint(f->received->len, ==, 0);
}

/* Our mapping towards the server must not die between two Refreshes. */
static void
test_keeps_mapping(Fixture *f, gconstpointer data)
{
	guint before;

	bring_up(f);
	run_for(50);
	g_assert_cmpuint(f->server.keepalives, ==, 0);
	/* shorter than what was waited for: at once, for the silence may be that old */
	nat_turn_set_keepalive(f->turn, 15);
	g_assert_true(wait_count(&f->server.keepalives, 1, SOON_MS));
	nat_turn_set_keepalive(f->turn, 1);
	g_assert_true(wait_count(&f->server.keepalives, 4, SOON_MS));
	/* nobody waits an hour */
	nat_turn_set_keepalive(f->turn, 3600);
	nat_turn_set_keepalive(f->turn, 20);
	run_for(100); /* one may be under way */
	before = f->server.keepalives;
	run_for(1500);
	g_assert_cmpuint(f->server.keepalives, ==, before);
	g_assert_false(f->down);
}

static void
set_up_small_link(Fixture *f, gconstpointer data)
{
	f->small_link = net_fresh();
	if (f->small_link)
		net_run("ip link set lo mtu 1400 up");
	set_up(f, data);
}

/* WireGuard's packets may be cut on their way to the server; probes of the path's size may not. */
static void
test_large_data(Fixture *f, gconstpointer data)
{
	WgEndpoint peer = net_ep("198.51.100.7:51820");
	g_autoptr(GError) error = NULL;
	guint8 large[1500] = {1};

	if (!f->small_link)
		return;
	bring_up(f);
	nat_turn_permit(f->turn, &peer, 1);
	g_assert_false(nat_turn_send_probe(f->turn, &peer, large, sizeof large, &error));
	g_assert_error(error, G_IO_ERROR, G_IO_ERROR_MESSAGE_TOO_LARGE);
	g_assert_true(nat_turn_send(f->turn, &peer, large, sizeof large));
	g_assert_true(wait_data(f));
	g_assert_cmpmem(f->server.data, f->server.data_len, large, sizeof large);
	f->server.data_len = 0;
	g_assert_true(nat_turn_send_probe(f->turn, &peer, large, 1200, NULL));
	g_assert_true(wait_data(f));
	g_assert_cmpuint(f->server.data_len, ==, 1200);
}

static void
test_quota(Fixture *f, gconstpointer data)
{
	f->server.error = 486;
	start(f, FAKE_USER ":" FAKE_SECRET "@");
	expect_down(f, NAT_TURN_QUOTA, SOON_MS);
}

static void
test_allocation_gone(Fixture *f, gconstpointer data)
{
	bring_up(f);
	f->server.error = 437;
	nat_turn_check(f->turn);
	expect_down(f, NAT_TURN_LOST, SOON_MS);
}

/* Noticed also when only a permission is refused so. */
static void
test_allocation_gone_for_permission(Fixture *f, gconstpointer data)
{
	WgEndpoint peer = net_ep("198.51.100.7:51820");

	bring_up(f);
	f->server.error = 437;
	nat_turn_permit(f->turn, &peer, 1);
	expect_down(f, NAT_TURN_LOST, SOON_MS);
}

static void
test_refresh_refused(Fixture *f, gconstpointer data)
{
	bring_up(f);
	f->server.always_challenges = TRUE;
	nat_turn_check(f->turn);
	expect_down(f, NAT_TURN_CREDENTIALS, SOON_MS);
}

/* A life of none is taken for a short one: no storm of Refreshes. */
static void
test_lifetime_zero(Fixture *f, gconstpointer data)
{
	f->server.lifetime_s = 0;
	bring_up(f);
	run_for(500);
	g_assert_cmpuint(f->server.requests[STUN_REFRESH], ==, 0);
	nat_turn_check(f->turn);
	expect_down(f, NAT_TURN_LOST, SOON_MS);
}

static void
test_lifetime_huge(Fixture *f, gconstpointer data)
{
	f->server.lifetime_s = G_MAXUINT32;
	bring_up(f);
	run_for(300);
	g_assert_cmpuint(f->server.requests[STUN_REFRESH], ==, 0);
	nat_turn_check(f->turn);
	g_assert_true(wait_count(&f->server.requests[STUN_REFRESH], 1, SOON_MS));
	g_assert_cmpuint(f->server.asked_lifetime_s, ==, 3600);
}

static void
test_useless_relayed_address(Fixture *f, gconstpointer data)
{
	static const char *const USELESS[] = {"127.0.0.1:5", "0.0.0.0:5", "224.0.0.1:5",
					      "192.0.2.1:0"};

	for (guint i = 0; i < G_N_ELEMENTS(USELESS); i++) {
		f->server.relayed = net_ep(USELESS[i]);
		start(f, FAKE_USER ":" FAKE_SECRET "@");
		expect_down(f, NAT_TURN_OTHER, SOON_MS);
		f->down = FALSE;
		g_clear_pointer(&f->reason, g_free);
	}
}

static void
test_freed_while_busy(Fixture *f, gconstpointer data)
{
	WgEndpoint peer = net_ep("198.51.100.7:51820");

	bring_up(f);
	nat_turn_bind(f->turn, &peer, on_bound, f);
	nat_turn_permit(f->turn, &peer, 1);
	nat_turn_check(f->turn);
	g_clear_pointer(&f->turn, nat_turn_free);
	run_for(200);
	g_assert_cmpuint(f->bound_calls, ==, 0);
	g_assert_false(f->down);
}

#define ADD(name, func) g_test_add(name, Fixture, NULL, set_up, func, tear_down)

int
main(int argc, char **argv)
{
	if (!net_own())
		return 1;
	g_test_init(&argc, &argv, NULL);
	ADD("/turn/allocate", test_allocate);
	ADD("/turn/lost-packets", test_lost_packets);
	ADD("/turn/data", test_data);
	ADD("/turn/channel", test_channel);
	ADD("/turn/stale-nonce", test_stale_nonce);
	ADD("/turn/many-permissions", test_many_permissions);
	ADD("/turn/permissions/other-family", test_permissions_of_other_family);
	ADD("/turn/permissions/before-up", test_permissions_before_up);
	ADD("/turn/check", test_check);
	ADD("/turn/check/sign-of-life", test_check_sign_of_life);
	ADD("/turn/refused-peer", test_refused_peer);
	ADD("/turn/silent", test_silent);
	ADD("/turn/refused-port", test_refused_port);
	ADD("/turn/wrong-password", test_wrong_password);
	ADD("/turn/no-credentials", test_no_credentials);
	ADD("/turn/endless-challenges", test_endless_challenges);
	ADD("/turn/wrong-integrity", test_wrong_integrity);
	ADD("/turn/no-integrity", test_no_integrity);
	ADD("/turn/garbage", test_garbage);
	ADD("/turn/keeps-mapping", test_keeps_mapping);
	ADD("/turn/quota", test_quota);
	ADD("/turn/allocation-gone", test_allocation_gone);
	ADD("/turn/allocation-gone-for-permission", test_allocation_gone_for_permission);
	ADD("/turn/refresh-refused", test_refresh_refused);
	ADD("/turn/lifetime-zero", test_lifetime_zero);
	ADD("/turn/lifetime-huge", test_lifetime_huge);
	ADD("/turn/useless-relayed-address", test_useless_relayed_address);
	ADD("/turn/freed-while-busy", test_freed_while_busy);
	/* in a namespace of its own, where the others would do as well: the last one */
	g_test_add("/turn/large-data", Fixture, NULL, set_up_small_link, test_large_data,
		   tear_down);
	return g_test_run();
}
