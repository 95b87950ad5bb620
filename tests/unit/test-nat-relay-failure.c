/* SPDX-License-Identifier: MIT */
/* What a relay does when its servers behave badly. */
#include "agent/relay/nat-relay.h"
#include "tests/unit/fake-resolver.h"
#include "tests/unit/fake-turn.h"
#include "tests/unit/net-own.h"

#define SOON_MS 20000

typedef struct {
	FakeTurn servers[2];
	FakeResolver *resolver;
	NatRelay *relay;
	guint credentials;
	WgEndpoint peer;
	guint offers; /* wrong ones so far */
	gboolean failed;
	guint recoveries; /* from a failure, in name */
} Fixture;

static guint warnings;

static GLogWriterOutput
on_log(GLogLevelFlags level, const GLogField *fields, gsize n, gpointer user_data)
{
	warnings += (level & G_LOG_LEVEL_WARNING) != 0;
	return g_log_writer_default(level, fields, n, NULL);
}

static void
on_changed(gpointer user_data)
{
	Fixture *f = user_data;
	gboolean failed = nat_relay_state(f->relay) == NAT_RELAY_FAILED;

	f->recoveries += f->failed && !failed;
	f->failed = failed;
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
	f->resolver = fake_resolver_install();
	for (guint i = 0; i < G_N_ELEMENTS(f->servers); i++)
		fake_turn_open(&f->servers[i]);
	f->servers[1].relayed = net_ep("192.0.2.21:50000");
	f->peer = net_ep("198.51.100.7:51820");
	f->relay = nat_relay_new("wg-test", NULL, &(WgKey){0}, 0, &FUNCS, f);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
	nat_relay_free(f->relay);
	for (guint i = 0; i < G_N_ELEMENTS(f->servers); i++)
		fake_turn_close(&f->servers[i]);
	fake_resolver_free(f->resolver);
}

/* The first n servers, asked over UDP alone. */
static void
use_with(Fixture *f, const char *user, const char *secret, const char *host, guint n)
{
	g_autoptr(GPtrArray) uris =
		g_ptr_array_new_with_free_func((GDestroyNotify)nat_turn_uri_free);

	for (guint i = 0; i < n; i++) {
		g_autofree char *text =
			g_strdup_printf("turn:%s:%s@%s:%u?transport=udp", user, secret, host,
					wg_endpoint_port(&f->servers[i].addr));

		g_ptr_array_add(uris, nat_turn_uri_parse(text, NULL));
	}
	nat_relay_set_servers(f->relay, uris);
	nat_relay_set_wanted(f->relay, TRUE);
}

static void
use(Fixture *f, const char *user, const char *host, guint n)
{
	use_with(f, user, FAKE_SECRET, host, n);
}

static void
run_for(int ms)
{
	static const gboolean never;

	net_wait(&never, ms);
}

static gboolean
wait_state(Fixture *f, NatRelayState state, int timeout_ms)
{
	gint64 end = g_get_monotonic_time() + timeout_ms * G_TIME_SPAN_MILLISECOND;

	while (nat_relay_state(f->relay) != state && g_get_monotonic_time() < end)
		if (!g_main_context_iteration(NULL, FALSE))
			g_usleep(500);
	return nat_relay_state(f->relay) == state;
}

static gboolean
wait_address(Fixture *f, const WgEndpoint *address, int timeout_ms)
{
	gint64 end = g_get_monotonic_time() + timeout_ms * G_TIME_SPAN_MILLISECOND;

	while (!wg_endpoint_equal(nat_relay_address(f->relay), address) &&
	       g_get_monotonic_time() < end)
		if (!g_main_context_iteration(NULL, FALSE))
			g_usleep(500);
	return wg_endpoint_equal(nat_relay_address(f->relay), address);
}

static void
test_first_is_preferred(Fixture *f, gconstpointer data)
{
	gint64 began = g_get_monotonic_time();

	use(f, "bob", "127.0.0.1", 2);
	g_assert_true(wait_state(f, NAT_RELAY_UP, SOON_MS));
	/* an answer that is late gives way to the other's */
	if (g_get_monotonic_time() - began < 100 * G_TIME_SPAN_MILLISECOND)
		g_assert_true(
			wg_endpoint_equal(nat_relay_address(f->relay), &f->servers[0].relayed));
}

static void
test_first_is_silent(Fixture *f, gconstpointer data)
{
	f->servers[0].silent = TRUE;
	use(f, "bob", "127.0.0.1", 2);
	g_assert_true(wait_state(f, NAT_RELAY_UP, SOON_MS));
	g_assert_true(wg_endpoint_equal(nat_relay_address(f->relay), &f->servers[1].relayed));
	/* It is not asked any more. */
	run_for(100);
	f->servers[0].requests[STUN_ALLOCATE] = 0;
	run_for(500);
	g_assert_cmpuint(f->servers[0].requests[STUN_ALLOCATE], ==, 0);
}

/* The old allocation relays until the new one stands. */
static void
test_refresh_refused(Fixture *f, gconstpointer data)
{
	FakeTurn *server = &f->servers[0];
	WgEndpoint first = server->relayed;

	use(f, "bob", "127.0.0.1", 1);
	g_assert_true(wait_state(f, NAT_RELAY_UP, SOON_MS));
	server->always_challenges = TRUE;
	nat_relay_check(f->relay, &first);
	for (int i = 0; i < 1000 && f->credentials == 0; i++)
		run_for(10);
	g_assert_cmpuint(f->credentials, >, 0);
	g_assert_true(wg_endpoint_equal(nat_relay_address(f->relay), &first));
	server->data_len = 0;
	for (int i = 0; i < 100 && server->data_len == 0; i++) {
		g_assert_true(
			nat_relay_send(f->relay, &first, &f->peer, (const guint8 *)"hello", 5));
		run_for(100);
	}
	g_assert_cmpmem(server->data, server->data_len, "hello", 5);
	server->always_challenges = FALSE;
	server->relayed = net_ep("192.0.2.20:50001");
	use(f, "bob-2", "127.0.0.1", 1);
	g_assert_true(wait_address(f, &server->relayed, SOON_MS));
	g_assert_true(nat_relay_is_ours(f->relay, &first));
	for (int i = 0; i < 300 && nat_relay_is_ours(f->relay, &first); i++)
		run_for(100);
	g_assert_false(nat_relay_is_ours(f->relay, &first));
}

static gboolean
wait_more(const guint *count, guint than)
{
	gint64 end = g_get_monotonic_time() + SOON_MS * G_TIME_SPAN_MILLISECOND;

	while (*count <= than && g_get_monotonic_time() < end)
		if (!g_main_context_iteration(NULL, FALSE))
			g_usleep(500);
	return *count > than;
}

static void
offer_wrong(Fixture *f)
{
	g_autofree char *secret = g_strdup_printf("wrong-%u", f->offers++);

	use_with(f, "bob", secret, "127.0.0.1", 1);
}

/* A server that refuses whatever credentials are handed out for it: fresh ones are tried at once,
 * for the first may have expired; then it is left alone for longer each time, and the problem stays
 * one. 12 s hold five rounds of two requests as a rule, more than eight once in 10,000 times; each
 * second one, it would be twelve. */
static void
test_refuses_all(Fixture *f, gconstpointer data)
{
	gint64 end = g_get_monotonic_time() + 12 * G_TIME_SPAN_SECOND, since = 0;
	const guint *asked = &f->servers[0].requests[STUN_ALLOCATE];
	guint before;

	warnings = 0;
	offer_wrong(f);
	while (g_get_monotonic_time() < end) {
		run_for(10);
		if (f->credentials > 0 && since == 0)
			since = g_get_monotonic_time();
		if (since == 0 || g_get_monotonic_time() - since < G_TIME_SPAN_SECOND)
			continue;
		f->credentials = 0;
		since = 0;
		before = *asked;
		offer_wrong(f);
		if (f->offers == 2)
			g_assert_true(wait_more(asked, before));
	}
	g_assert_cmpuint(f->offers, >=, 2);
	g_assert_cmpint(nat_relay_state(f->relay), ==, NAT_RELAY_FAILED);
	g_assert_cmpuint(*asked, >=, 4);
	g_assert_cmpuint(*asked, <=, 16);
	g_assert_cmpuint(warnings, ==, 1);
	g_assert_cmpuint(f->recoveries, ==, 0);
	/* the right ones are not forgotten meanwhile */
	use(f, "bob", "127.0.0.1", 1);
	nat_relay_network_changed(f->relay);
	g_assert_true(wait_state(f, NAT_RELAY_UP, SOON_MS));
}

/* Granted and taken back: no storm. */
static void
test_flapping(Fixture *f, gconstpointer data)
{
	FakeTurn *server = &f->servers[0];

	server->error = 437;
	server->only_method = STUN_REFRESH;
	use(f, "bob", "127.0.0.1", 1);
	for (int i = 0; i < 200; i++) {
		nat_relay_check(f->relay, nat_relay_address(f->relay));
		run_for(10);
	}
	g_assert_cmpuint(server->requests[STUN_ALLOCATE], >=, 2);
	g_assert_cmpuint(server->requests[STUN_ALLOCATE], <=, 24);
}

static void
test_server_goes_from_the_list(Fixture *f, gconstpointer data)
{
	WgEndpoint first = f->servers[0].relayed;
	FakeTurn swapped;

	use(f, "bob", "127.0.0.1", 1);
	g_assert_true(wait_state(f, NAT_RELAY_UP, SOON_MS));
	swapped = f->servers[0]; /* the list's first is another one now */
	f->servers[0].addr = f->servers[1].addr;
	use(f, "bob", "127.0.0.1", 1);
	f->servers[0].addr = swapped.addr;
	g_assert_true(wg_endpoint_equal(nat_relay_address(f->relay), &first));
	g_assert_true(wait_address(f, &f->servers[1].relayed, SOON_MS));
	g_assert_true(nat_relay_is_ours(f->relay, &first));
	use(f, "bob", "127.0.0.1", 0);
	g_assert_cmpint(nat_relay_state(f->relay), ==, NAT_RELAY_NONE);
	g_assert_false(wg_endpoint_is_set(nat_relay_address(f->relay)));
}

static void
test_name(Fixture *f, gconstpointer data)
{
	fake_resolver_set(f->resolver, NULL);
	use(f, "bob", "relay.example", 1);
	g_assert_true(wait_state(f, NAT_RELAY_FAILED, SOON_MS));
	g_assert_nonnull(strstr(nat_relay_problem(f->relay), "relay.example can't be resolved"));
	fake_resolver_set(f->resolver, "127.0.0.1");
	nat_relay_network_changed(f->relay);
	g_assert_true(wait_state(f, NAT_RELAY_UP, SOON_MS));
	g_assert_null(nat_relay_problem(f->relay));
	g_assert_true(g_str_has_prefix(nat_relay_server(f->relay), "turn:relay.example:"));
}

static void
test_unwanted_while_allocating(Fixture *f, gconstpointer data)
{
	f->servers[0].silent = TRUE;
	use(f, "bob", "127.0.0.1", 1);
	g_assert_cmpint(nat_relay_state(f->relay), ==, NAT_RELAY_ALLOCATING);
	nat_relay_set_wanted(f->relay, FALSE);
	g_assert_cmpint(nat_relay_state(f->relay), ==, NAT_RELAY_IDLE);
	run_for(100);
	f->servers[0].requests[STUN_ALLOCATE] = 0;
	run_for(500);
	g_assert_cmpuint(f->servers[0].requests[STUN_ALLOCATE], ==, 0);
}

/* More peers than an allocation admits: said, and said once. */
static void
test_too_many_peers(Fixture *f, gconstpointer data)
{
	WgEndpoint peers[5][NAT_RELAY_PERMITS_MAX];

	for (guint i = 0; i < G_N_ELEMENTS(peers); i++)
		for (guint j = 0; j < NAT_RELAY_PERMITS_MAX; j++) {
			g_autofree char *text = g_strdup_printf("198.51.%u.%u:1", 100 + i, j + 1);

			peers[i][j] = net_ep(text);
		}
	warnings = 0;
	use(f, "bob", "127.0.0.1", 1);
	g_assert_true(wait_state(f, NAT_RELAY_UP, SOON_MS));
	for (guint i = 0; i < 4; i++)
		nat_relay_permit(f->relay, &peers[i], peers[i], NAT_RELAY_PERMITS_MAX);
	/* the same ones once more take no room */
	nat_relay_permit(f->relay, f, peers[0], NAT_RELAY_PERMITS_MAX);
	g_assert_cmpuint(warnings, ==, 0);
	nat_relay_permit(f->relay, f, peers[4], 1);
	nat_relay_permit(f->relay, f, peers[4], NAT_RELAY_PERMITS_MAX);
	g_assert_cmpuint(warnings, ==, 1);
}

#define ADD(name, func) g_test_add(name, Fixture, NULL, set_up, func, tear_down)

int
main(int argc, char **argv)
{
	if (!net_own())
		return 1;
	g_test_init(&argc, &argv, NULL);
	g_log_set_always_fatal(G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_ERROR);
	g_log_set_writer_func(on_log, NULL, NULL);
	ADD("/relay/first-is-preferred", test_first_is_preferred);
	ADD("/relay/first-is-silent", test_first_is_silent);
	ADD("/relay/refresh-refused", test_refresh_refused);
	ADD("/relay/refuses-all", test_refuses_all);
	ADD("/relay/flapping", test_flapping);
	ADD("/relay/server-goes-from-the-list", test_server_goes_from_the_list);
	ADD("/relay/name", test_name);
	ADD("/relay/too-many-peers", test_too_many_peers);
	ADD("/relay/unwanted-while-allocating", test_unwanted_while_allocating);
	return g_test_run();
}
