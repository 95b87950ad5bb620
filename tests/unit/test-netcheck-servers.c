/* SPDX-License-Identifier: MIT */
/* The servers of a netcheck: whatever becomes of names and servers, it ends. */
#include <errno.h>
#include <libsoup/soup.h>

#include "agent/netcheck/net-servers.h"
#include "agent/netcheck/net-stun.h"
#include "signaling/sig-wire.h"
#include "tests/unit/fake-resolver.h"
#include "tests/unit/net-own.h"
#include "tests/unit/net-util.h"

#define DEADLINE_MS 30000
#define LIMIT_MS 60000 /* not reached */

/* ---- a signaling server that says where it answers STUN, and no more ---- */

typedef struct {
	SoupServer *soup;
	char *url;
	char *hello;
} Announcer;

static void
on_client(SoupServer *soup, SoupServerMessage *msg, const char *path, SoupWebsocketConnection *conn,
	  gpointer user_data)
{
	soup_websocket_connection_send_text(conn, ((Announcer *)user_data)->hello);
}

static void
announcer_start(Announcer *announcer, guint16 stun_port)
{
	char *protocols[] = {(char *)SIG_WIRE_SUBPROTOCOL, NULL};
	SigHello hello = {.version = SIG_WIRE_VERSION, .n_stun = 1, .stun = {stun_port}};
	g_autoptr(GError) error = NULL;
	GSList *uris;

	announcer->hello = sig_wire_encode_hello(&hello);
	announcer->soup = soup_server_new(NULL, NULL);
	soup_server_listen_local(announcer->soup, 0, SOUP_SERVER_LISTEN_IPV4_ONLY, &error);
	g_assert_no_error(error);
	soup_server_add_websocket_handler(announcer->soup, "/", NULL, protocols, on_client,
					  announcer, NULL);
	uris = soup_server_get_uris(announcer->soup);
	announcer->url = g_strdup_printf("ws://signald.example:%d/", g_uri_get_port(uris->data));
	g_slist_free_full(uris, (GDestroyNotify)g_uri_unref);
}

static void
announcer_stop(Announcer *announcer)
{
	soup_server_disconnect(announcer->soup);
	g_object_unref(announcer->soup);
	g_free(announcer->url);
	g_free(announcer->hello);
}

/* ---- asking ---- */

static void
set_done(gpointer user_data)
{
	*(gboolean *)user_data = TRUE;
}

static Netcheck *
ask(const NetServersNamed *named)
{
	Netcheck *check = netcheck_new();
	gboolean done = FALSE;
	NetServers *servers = net_servers_new(check, named, set_done, &done);

	g_assert_false(done);
	g_assert_true(net_wait(&done, DEADLINE_MS));
	net_servers_free(servers);
	while (g_main_context_iteration(NULL, FALSE))
		;
	return check;
}

static const NetServer *
row(const Netcheck *check, guint n)
{
	g_assert_cmpuint(n, <, check->servers->len);
	return g_ptr_array_index(check->servers, n);
}

/* The name is looked up for each of its two rows, and found for the first alone. */
static void
test_announced_without_address(void)
{
	FakeResolver *fake = fake_resolver_install();
	Announcer announcer = {0};
	NetServersNamed named = {.within_ms = LIMIT_MS};
	g_autoptr(Netcheck) check = NULL;

	announcer_start(&announcer, 9);
	fake_resolver_set(fake, "127.0.0.1");
	fake->unknown = 2;
	named.signal_url = announcer.url;
	check = ask(&named);
	g_assert_cmpuint(check->servers->len, ==, 2);
	g_assert_cmpstr(row(check, 0)->problem, ==, NULL);
	g_assert_true(row(check, 0)->ok);
	g_assert_cmpstr(row(check, 1)->kind, ==, "stun");
	g_assert_cmpstr(row(check, 1)->name, ==, "signald.example:3478");
	g_assert_cmpstr(row(check, 1)->problem, ==, "the name is unknown");
	announcer_stop(&announcer);
	fake_resolver_free(fake);
}

/* Where it has an address, it is asked at the port that was announced. */
static void
test_announced(void)
{
	FakeResolver *fake = fake_resolver_install();
	Announcer announcer = {0};
	NetServersNamed named = {.within_ms = LIMIT_MS};
	g_autoptr(Netcheck) check = NULL;

	announcer_start(&announcer, 9);
	fake_resolver_set(fake, "127.0.0.1");
	named.signal_url = announcer.url;
	check = ask(&named);
	g_assert_cmpstr(row(check, 1)->name, ==, "signald.example:9");
	g_assert_cmpstr(row(check, 1)->problem, ==, net_stun_problem(ECONNREFUSED));
	announcer_stop(&announcer);
	fake_resolver_free(fake);
}

/* A row that nobody would ever end does not hold up the others. */
static void
test_limit(void)
{
	static const char *const STUN[] = {"stun.example", "127.0.0.1:9", NULL};
	FakeResolver *fake = fake_resolver_install();
	const NetServersNamed named = {
		.stun = STUN, .signal_url = "ws://signald.example/", .within_ms = 1000};
	g_autoptr(Netcheck) check = NULL;

	fake->hangs = TRUE;
	check = ask(&named);
	g_assert_cmpuint(check->servers->len, ==, 4);
	for (guint i = 0; i < 3; i++)
		g_assert_cmpstr(row(check, i)->problem, ==, "timed out");
	g_assert_cmpstr(row(check, 3)->problem, ==, net_stun_problem(ECONNREFUSED));
	fake_resolver_free(fake);
	while (g_main_context_iteration(NULL, FALSE))
		;
}

int
main(int argc, char **argv)
{
	if (!net_own())
		return 1;
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/netcheck-servers/announced-without-address",
			test_announced_without_address);
	g_test_add_func("/netcheck-servers/announced", test_announced);
	g_test_add_func("/netcheck-servers/limit", test_limit);
	return g_test_run();
}
