/* SPDX-License-Identifier: MIT */
/* The spare allocation at a second server: when it is held, when it takes over, and what its
 * troubles do to the first one, which is nothing. */
#include "agent/relay/nat-relay.h"
#include "tests/unit/fake-turn.h"
#include "tests/unit/net-own.h"

#define SOON_MS 30000

typedef struct {
	FakeTurn first, second, beside; /* beside: the first one's host, another port */
	NatRelay *relay;
	guint changes, credentials;
	WgEndpoint peer;
} Fixture;

static void
on_changed(gpointer user_data)
{
	((Fixture *)user_data)->changes++;
}

static void
on_received(const NatUdp *pkt, gpointer user_data)
{
}

static void
on_credentials_wanted(gpointer user_data)
{
	((Fixture *)user_data)->credentials++;
}

static const NatRelayFuncs FUNCS = {
	.changed = on_changed,
	.received = on_received,
	.credentials_wanted = on_credentials_wanted,
};

static void
set_up(Fixture *f, gconstpointer data)
{
	fake_turn_open_at(&f->first, "127.0.0.1:0");
	fake_turn_open_at(&f->second, "127.0.0.2:0");
	fake_turn_open_at(&f->beside, "127.0.0.1:0");
	f->first.relayed = net_ep("192.0.2.20:50000");
	f->second.relayed = net_ep("192.0.2.21:50000");
	f->beside.relayed = net_ep("192.0.2.20:50001");
	f->peer = net_ep("198.51.100.7:51820");
	f->relay = nat_relay_new("wg-test", NULL, &(WgKey){0}, 0, &FUNCS, f);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
	nat_relay_free(f->relay);
	fake_turn_close(&f->first);
	fake_turn_close(&f->second);
	fake_turn_close(&f->beside);
}

/* Up to two servers, asked over UDP alone. */
static void
use(Fixture *f, const char *user, const FakeTurn *a, const FakeTurn *b)
{
	const FakeTurn *servers[] = {a, b};
	g_autoptr(GPtrArray) uris =
		g_ptr_array_new_with_free_func((GDestroyNotify)nat_turn_uri_free);

	for (gsize i = 0; i < G_N_ELEMENTS(servers); i++) {
		char at[WG_ENDPOINT_STRLEN];
		g_autofree char *text = NULL;

		if (!servers[i])
			continue;
		text = g_strdup_printf("turn:%s:" FAKE_SECRET "@%s?transport=udp", user,
				       wg_endpoint_format(&servers[i]->addr, at));
		g_ptr_array_add(uris, nat_turn_uri_parse(text, NULL));
	}
	nat_relay_set_servers(f->relay, uris);
}

static void
run_for(int ms)
{
	static const gboolean never;

	net_wait(&never, ms);
}

/* A request is counted once, however often it is sent. */
static void
wait_count(const guint *count, guint n)
{
	for (int i = 0; i < SOON_MS / 10 && *count < n; i++)
		run_for(10);
	g_assert_cmpuint(*count, >=, n);
}

typedef const WgEndpoint *AddressFunc(const NatRelay *relay);

static gboolean
wait_for(Fixture *f, AddressFunc *which, const WgEndpoint *wanted, int timeout_ms)
{
	static const WgEndpoint unset;
	gint64 end = g_get_monotonic_time() + timeout_ms * G_TIME_SPAN_MILLISECOND;

	if (!wanted)
		wanted = &unset;
	while (memcmp(which(f->relay), wanted, sizeof unset) != 0 && g_get_monotonic_time() < end)
		if (!g_main_context_iteration(NULL, FALSE))
			g_usleep(500);
	return memcmp(which(f->relay), wanted, sizeof unset) == 0;
}

static gboolean
is_main(Fixture *f, const FakeTurn *server)
{
	return wait_for(f, nat_relay_address, &server->relayed, SOON_MS);
}

static gboolean
is_spare(Fixture *f, const FakeTurn *server)
{
	return wait_for(f, nat_relay_spare_address, server ? &server->relayed : NULL, SOON_MS);
}

/* Alone at first: on a busy machine the other one's answer may be the earlier. */
static void
hold_first(Fixture *f, const FakeTurn *other)
{
	use(f, "bob", &f->first, NULL);
	nat_relay_set_wanted(f->relay, TRUE);
	g_assert_true(is_main(f, &f->first));
	use(f, "bob", &f->first, other);
}

/* The first is the main one, the second the spare. */
static void
hold_both(Fixture *f)
{
	hold_first(f, &f->second);
	nat_relay_set_spare_wanted(f->relay, TRUE);
	g_assert_true(is_spare(f, &f->second));
	run_for(50);
}

static void
forgets(FakeTurn *server)
{
	server->error = 437;
	server->only_method = STUN_REFRESH;
}

static void
test_held_while_wanted(Fixture *f, gconstpointer data)
{
	hold_first(f, &f->second);
	run_for(300);
	g_assert_cmpuint(f->second.requests[STUN_ALLOCATE], ==, 0);
	g_assert_null(nat_relay_spare_server(f->relay));
	nat_relay_permit(f->relay, f, &f->peer, 1);
	nat_relay_set_spare_wanted(f->relay, TRUE);
	g_assert_true(is_spare(f, &f->second));
	g_assert_true(wg_endpoint_equal(nat_relay_address(f->relay), &f->first.relayed));
	g_assert_true(nat_relay_is_ours(f->relay, &f->second.relayed));
	g_assert_false(nat_relay_is_retiring(f->relay, &f->second.relayed));
	g_assert_nonnull(strstr(nat_relay_spare_server(f->relay), "127.0.0.2"));
	wait_count(&f->second.requests[STUN_CREATEPERMISSION], 1);
	run_for(300);
	/* who may send to the one may send to the other */
	g_assert_cmpuint(f->second.requests[STUN_CREATEPERMISSION], ==, 1);
	for (int i = 0; i < 100 && f->second.data_len == 0; i++) {
		g_assert_true(nat_relay_send(f->relay, &f->second.relayed, &f->peer,
					     (const guint8 *)"hello", 5));
		run_for(100);
	}
	g_assert_cmpmem(f->second.data, f->second.data_len, "hello", 5);
	/* given back by itself */
	f->second.asked_lifetime_s = 1;
	nat_relay_set_spare_wanted(f->relay, FALSE);
	g_assert_true(wait_for(f, nat_relay_spare_address, NULL, 60000));
	for (int i = 0; i < SOON_MS / 100 && f->second.asked_lifetime_s != 0; i++)
		run_for(100);
	g_assert_cmpuint(f->second.asked_lifetime_s, ==, 0);
	g_assert_true(wg_endpoint_equal(nat_relay_address(f->relay), &f->first.relayed));
}

/* Both go when nobody needs a relay. */
static void
test_nobody_needs_any(Fixture *f, gconstpointer data)
{
	hold_both(f);
	nat_relay_set_spare_wanted(f->relay, FALSE);
	nat_relay_set_wanted(f->relay, FALSE);
	g_assert_true(wait_for(f, nat_relay_address, NULL, 60000));
	g_assert_true(wait_for(f, nat_relay_spare_address, NULL, 60000));
	g_assert_cmpint(nat_relay_state(f->relay), ==, NAT_RELAY_IDLE);
}

/* Another port of the same host dies with it. */
static void
test_same_host_is_none(Fixture *f, gconstpointer data)
{
	hold_first(f, &f->beside);
	nat_relay_set_spare_wanted(f->relay, TRUE);
	run_for(1000);
	g_assert_false(wg_endpoint_is_set(nat_relay_spare_address(f->relay)));
	g_assert_cmpuint(f->beside.requests[STUN_ALLOCATE], ==, 0);
}

static void
test_takes_over(Fixture *f, gconstpointer data)
{
	guint first, second;

	hold_both(f);
	first = f->first.requests[STUN_ALLOCATE];
	second = f->second.requests[STUN_ALLOCATE];
	f->first.silent = TRUE;
	nat_relay_check(f->relay, &f->first.relayed);
	g_assert_true(is_main(f, &f->second));
	g_assert_cmpint(nat_relay_state(f->relay), ==, NAT_RELAY_UP);
	g_assert_false(nat_relay_is_retiring(f->relay, &f->second.relayed));
	g_assert_false(nat_relay_is_ours(f->relay, &f->first.relayed));
	g_assert_nonnull(strstr(nat_relay_server(f->relay), "127.0.0.2"));
	g_assert_false(wg_endpoint_is_set(nat_relay_spare_address(f->relay)));
	/* it is looked for where the old one was, aside, and found when that is back */
	wait_count(&f->first.requests[STUN_ALLOCATE], first + 1);
	f->first.silent = FALSE;
	f->first.relayed = net_ep("192.0.2.20:50007");
	g_assert_true(wait_for(f, nat_relay_spare_address, &f->first.relayed, 30000));
	g_assert_true(wg_endpoint_equal(nat_relay_address(f->relay), &f->second.relayed));
	/* no more was asked of the one that took over */
	g_assert_cmpuint(f->second.requests[STUN_ALLOCATE], ==, second);
	g_assert_null(nat_relay_problem(f->relay));
}

/* The main one's credentials expired: it relays until the tunnels have left it. */
static void
test_takes_over_gently(Fixture *f, gconstpointer data)
{
	hold_both(f);
	f->first.always_challenges = TRUE;
	nat_relay_check(f->relay, &f->first.relayed);
	g_assert_true(is_main(f, &f->second));
	g_assert_true(nat_relay_is_ours(f->relay, &f->first.relayed));
	g_assert_true(nat_relay_is_retiring(f->relay, &f->first.relayed));
	for (int i = 0; i < 300 && nat_relay_is_ours(f->relay, &f->first.relayed); i++)
		run_for(100);
	g_assert_false(nat_relay_is_ours(f->relay, &f->first.relayed));
	/* and with fresh ones there is a spare again */
	f->first.always_challenges = FALSE;
	f->first.relayed = net_ep("192.0.2.20:50007");
	use(f, "bob-2", &f->first, &f->second);
	g_assert_true(wait_for(f, nat_relay_spare_address, &f->first.relayed, 30000));
	g_assert_true(is_main(f, &f->second));
}

static void
test_spare_is_lost(Fixture *f, gconstpointer data)
{
	WgEndpoint before = f->second.relayed;

	hold_both(f);
	forgets(&f->second);
	nat_relay_check(f->relay, &before);
	g_assert_true(is_spare(f, NULL));
	f->second.error = 0;
	f->second.relayed = net_ep("192.0.2.21:50007");
	g_assert_true(is_spare(f, &f->second));
	g_assert_true(is_main(f, &f->first));
}

/* Whatever is wrong with the second server: nothing is changed, said or stormed. */
static void
test_fails_silently(Fixture *f, gconstpointer data)
{
	const char *how = data;
	guint before;

	f->second.silent = g_str_equal(how, "dead");
	f->second.error = g_str_equal(how, "quota") ? 486 : 0;
	f->second.always_challenges = g_str_equal(how, "credentials");
	hold_first(f, &f->second);
	run_for(100);
	before = f->changes;
	nat_relay_set_spare_wanted(f->relay, TRUE);
	for (int i = 0; i < 100; i++) {
		run_for(50);
		if (f->second.always_challenges) /* as nat-signald's answer would be */
			use(f, i % 2 == 0 ? "bob-1" : "bob-2", &f->first, &f->second);
		g_assert_cmpint(nat_relay_state(f->relay), ==, NAT_RELAY_UP);
		g_assert_null(nat_relay_problem(f->relay));
	}
	g_assert_true(wg_endpoint_equal(nat_relay_address(f->relay), &f->first.relayed));
	g_assert_cmpuint(f->first.requests[STUN_ALLOCATE], <=, 2);
	g_assert_cmpuint(f->second.requests[STUN_ALLOCATE], >, 0);
	g_assert_cmpuint(f->second.requests[STUN_ALLOCATE], <=, 24);
	g_assert_cmpuint(f->credentials, <=, 10);
	if (!f->second.always_challenges)
		g_assert_cmpuint(f->changes, ==, before);
}

static void
test_servers_go_from_the_list(Fixture *f, gconstpointer data)
{
	hold_both(f);
	/* the spare's: nothing else can be one */
	use(f, "bob", &f->first, NULL);
	g_assert_true(is_spare(f, NULL));
	g_assert_true(is_main(f, &f->first));
	g_assert_true(nat_relay_is_retiring(f->relay, &f->second.relayed));
	/* the main one's */
	f->second.relayed = net_ep("192.0.2.21:50007");
	use(f, "bob", &f->first, &f->second);
	g_assert_true(is_spare(f, &f->second));
	use(f, "bob", &f->second, NULL);
	g_assert_true(is_main(f, &f->second));
	g_assert_true(is_spare(f, NULL));
	g_assert_true(nat_relay_is_retiring(f->relay, &f->first.relayed));
	use(f, "bob", NULL, NULL);
	g_assert_cmpint(nat_relay_state(f->relay), ==, NAT_RELAY_NONE);
	g_assert_false(wg_endpoint_is_set(nat_relay_address(f->relay)));
}

/* All that is in use went over by itself. */
static void
test_preferred(Fixture *f, gconstpointer data)
{
	guint first, second;

	hold_both(f);
	first = f->first.requests[STUN_ALLOCATE];
	second = f->second.requests[STUN_ALLOCATE];
	nat_relay_prefer(f->relay, &f->peer);
	g_assert_true(wg_endpoint_equal(nat_relay_address(f->relay), &f->first.relayed));
	nat_relay_prefer(f->relay, &f->second.relayed);
	g_assert_true(wg_endpoint_equal(nat_relay_address(f->relay), &f->second.relayed));
	g_assert_true(wg_endpoint_equal(nat_relay_spare_address(f->relay), &f->first.relayed));
	/* and the other way round it would be the same */
	forgets(&f->second);
	nat_relay_check(f->relay, &f->second.relayed);
	g_assert_true(is_main(f, &f->first));
	g_assert_cmpuint(f->first.requests[STUN_ALLOCATE], ==, first);
	g_assert_cmpuint(f->second.requests[STUN_ALLOCATE], >=, second);
}

#define ADD(name, data, func) g_test_add(name, Fixture, data, set_up, func, tear_down)

int
main(int argc, char **argv)
{
	if (!net_own())
		return 1;
	g_test_init(&argc, &argv, NULL);
	/* A warning is a problem that somebody must act on: a spare has none. */
	g_log_set_always_fatal(G_LOG_LEVEL_WARNING | G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_ERROR);
	ADD("/relay-spare/held/while-wanted", NULL, test_held_while_wanted);
	ADD("/relay-spare/unneeded/both", NULL, test_nobody_needs_any);
	ADD("/relay-spare/held/not-at-the-same-host", NULL, test_same_host_is_none);
	ADD("/relay-spare/lost/main", NULL, test_takes_over);
	ADD("/relay-spare/lost/gently", NULL, test_takes_over_gently);
	ADD("/relay-spare/lost/spare", NULL, test_spare_is_lost);
	ADD("/relay-spare/fails/dead", "dead", test_fails_silently);
	ADD("/relay-spare/fails/quota", "quota", test_fails_silently);
	ADD("/relay-spare/fails/credentials", "credentials", test_fails_silently);
	ADD("/relay-spare/lost/from-the-list", NULL, test_servers_go_from_the_list);
	ADD("/relay-spare/lost/preferred", NULL, test_preferred);
	return g_test_run();
}
