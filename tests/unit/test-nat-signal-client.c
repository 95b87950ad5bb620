/* SPDX-License-Identifier: MIT */
/* The signaling client against the built nat-signald on loopback. */
#include <glib/gstdio.h>
#include <netinet/tcp.h>

#include "tests/unit/fake-resolver.h"
#include "tests/unit/scratch.h"
#include "tests/unit/signal-agent.h"

/* ---- with a real server ---- */

typedef struct {
	Server server;
	char *url;
} Fixture;

static void
set_up(Fixture *f, gconstpointer data)
{
	f->server.port = free_port();
	f->url = url_of(f->server.port);
	server_start(&f->server, NULL);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
	server_stop(&f->server, SIGKILL);
	g_free(f->url);
}

static void
test_connect(Fixture *f, gconstpointer data)
{
	g_autoptr(Agent) a = agent_new(f->url);

	g_assert_cmpint(a->state, ==, NAT_SIGNAL_CONNECTING);
	nat_signal_client_start(a->client);
	g_assert_cmpuint(a->stun_reports, ==, 0); /* not from inside the call */
	WAIT_FOR(a->stun_reports == 1);
	g_assert_cmpstr(a->stun->str, ==, "127.0.0.1:3478");
	WAIT_FOR(a->state == NAT_SIGNAL_CONNECTED);
	g_assert_null(nat_signal_client_reason(a->client));
	g_assert_cmpuint(a->stun_reports, ==, 2);
	g_assert_null(strstr(a->stun->str, ":3478"));
	g_assert_nonnull(strstr(a->stun->str, "127.0.0.1:"));
	g_assert_cmpuint(nat_signal_client_dropped(a->client), ==, 0);
}

static void
test_messages(Fixture *f, gconstpointer data)
{
	g_autoptr(Agent) a = agent_new(f->url);
	g_autoptr(Agent) b = agent_new(f->url);
	g_autofree char *big = g_strnfill(SIG_WIRE_BODY_MAX, 'x');
	g_autofree char *bigger = g_strnfill(SIG_WIRE_BODY_MAX + 1, 'x');

	introduce(a, b);
	g_assert_false(say(a, b, "too early"));
	nat_signal_client_start(a->client);
	nat_signal_client_start(b->client);
	WAIT_FOR(sees(a, b) && sees(b, a));
	g_assert_true(say(a, b, "hello b"));
	g_assert_true(say(b, a, "hello a"));
	g_assert_true(say(a, b, big));
	g_assert_false(say(a, b, bigger));
	WAIT_FOR(was_told(a, "hello a") && was_told(b, big));
	g_assert_cmpuint(b->received->len, ==, 2);
	g_assert_true(wg_key_equal(&b->last_from, &a->public_key));
}

/* What is said from inside logging_in() leaves with the login and arrives. */
static void
test_first_flight(Fixture *f, gconstpointer data)
{
	g_autoptr(Agent) a = agent_new(f->url);
	g_autoptr(Agent) b = agent_new(f->url);

	introduce(a, b);
	nat_signal_client_start(a->client);
	WAIT_FOR(a->state == NAT_SIGNAL_CONNECTED);
	b->greet = &a->public_key;
	nat_signal_client_start(b->client);
	WAIT_FOR(was_told(a, "first flight"));
	g_assert_true(sees(a, b)); /* presence comes before the message */
}

static void
test_presence(Fixture *f, gconstpointer data)
{
	g_autoptr(Agent) a = agent_new(f->url);
	g_autoptr(Agent) b = agent_new(f->url);

	nat_signal_client_add_interest(a->client, &b->public_key);
	nat_signal_client_start(a->client);
	nat_signal_client_start(b->client);
	WAIT_FOR(a->state == NAT_SIGNAL_CONNECTED && b->state == NAT_SIGNAL_CONNECTED);
	nat_signal_client_add_interest(b->client, &a->public_key);
	WAIT_FOR(sees(a, b) && sees(b, a));
	nat_signal_client_remove_interest(b->client, &a->public_key);
	WAIT_FOR(!sees(a, b));
	nat_signal_client_add_interest(b->client, &a->public_key);
	nat_signal_client_add_interest(b->client, &a->public_key);
	WAIT_FOR(sees(a, b));
	g_clear_pointer(&b->client, nat_signal_client_free); /* closes at once */
	WAIT_FOR(!sees(a, b));
}

static void
test_server_restart(Fixture *f, gconstpointer data)
{
	g_autoptr(Agent) a = agent_new(f->url);
	g_autoptr(Agent) b = agent_new(f->url);

	introduce(a, b);
	nat_signal_client_start(a->client);
	nat_signal_client_start(b->client);
	WAIT_FOR(sees(a, b) && sees(b, a));
	server_stop(&f->server, SIGKILL);
	WAIT_FOR(a->state == NAT_SIGNAL_WAITING && b->state == NAT_SIGNAL_WAITING);
	g_assert_false(say(a, b, "lost"));
	WAIT_FOR(a->reason && strstr(a->reason, "refuses the connection"));
	server_start(&f->server, NULL);
	WAIT_FOR(sees(a, b) && sees(b, a));
	g_assert_cmpuint(a->connects, ==, 2);
	g_assert_true(say(a, b, "again"));
	WAIT_FOR(was_told(b, "again"));
}

static void
test_drain(Fixture *f, gconstpointer data)
{
	g_autoptr(Agent) a = agent_new(f->url);

	nat_signal_client_start(a->client);
	WAIT_FOR(a->state == NAT_SIGNAL_CONNECTED);
	run_for(100); /* welcome */
	server_stop(&f->server, SIGTERM);
	WAIT_FOR(a->state == NAT_SIGNAL_WAITING);
	g_assert_nonnull(strstr(a->reason, "is being restarted"));
	server_start(&f->server, NULL);
	WAIT_FOR(a->state == NAT_SIGNAL_CONNECTED);
}

static void
test_wrong_name(Fixture *f, gconstpointer data)
{
	g_autoptr(Agent) a = agent_new(f->url);

	server_stop(&f->server, SIGKILL);
	server_start(&f->server, "signal.example:443");
	nat_signal_client_start(a->client);
	WAIT_FOR(a->state == NAT_SIGNAL_WAITING);
	g_assert_nonnull(strstr(a->reason, "refuses: "));
	g_assert_nonnull(strstr(a->reason, "use a name of the server in the URL"));
	g_assert_cmpuint(a->connects, ==, 0); /* it was never let in */
	/* It goes on trying, and heals when the server learns the name. */
	server_stop(&f->server, SIGKILL);
	server_start(&f->server, NULL);
	nat_signal_client_kick(a->client, FALSE);
	WAIT_FOR(a->state == NAT_SIGNAL_CONNECTED);
	run_for(300);
	g_assert_cmpint(a->state, ==, NAT_SIGNAL_CONNECTED);
}

static void
test_duplicate(Fixture *f, gconstpointer data)
{
	g_autoptr(Agent) a = agent_new(f->url);
	g_autoptr(Agent) clone = agent_with_key(&a->private_key, f->url, 0, NULL);

	nat_signal_client_start(a->client);
	WAIT_FOR(a->state == NAT_SIGNAL_CONNECTED);
	nat_signal_client_start(clone->client);
	WAIT_FOR(a->state == NAT_SIGNAL_DUPLICATE);
	g_assert_cmpint(clone->state, ==, NAT_SIGNAL_CONNECTED);
	g_assert_nonnull(strstr(a->reason, "a key of its own"));
	nat_signal_client_kick(a->client, FALSE);
	run_for(700);
	g_assert_cmpint(a->state, ==, NAT_SIGNAL_DUPLICATE);
	nat_signal_client_kick(a->client, TRUE);
	WAIT_FOR(a->state == NAT_SIGNAL_CONNECTED && clone->state == NAT_SIGNAL_DUPLICATE);
}

static void
test_kick(Fixture *f, gconstpointer data)
{
	g_autoptr(Agent) a = agent_new(f->url);

	nat_signal_client_kick(a->client, TRUE); /* nothing before the start */
	nat_signal_client_start(a->client);
	WAIT_FOR(a->state == NAT_SIGNAL_CONNECTED);
	nat_signal_client_kick(a->client, FALSE);
	run_for(100);
	g_assert_cmpuint(a->connects, ==, 1);
	nat_signal_client_kick(a->client, TRUE);
	WAIT_FOR(a->connects == 2);
	nat_signal_client_set_fwmark(a->client, 0);
	run_for(100);
	g_assert_cmpuint(a->connects, ==, 2);
}

/* After a network change the connection is asked whether it still works. */
static void
test_network_change(Fixture *f, gconstpointer data)
{
	g_autoptr(Agent) a = agent_new(f->url);

	nat_signal_client_start(a->client);
	WAIT_FOR(a->state == NAT_SIGNAL_CONNECTED);
	nat_signal_client_kick(a->client, FALSE);
	nat_signal_client_kick(a->client, FALSE);
	run_for(5500);
	g_assert_cmpint(a->state, ==, NAT_SIGNAL_CONNECTED);
	g_assert_cmpuint(a->connects, ==, 1);
	g_subprocess_send_signal(f->server.process, SIGSTOP);
	nat_signal_client_kick(a->client, FALSE);
	WAIT_FOR(a->state == NAT_SIGNAL_WAITING);
	g_assert_nonnull(strstr(a->reason, "since the network changed"));
	g_subprocess_send_signal(f->server.process, SIGCONT);
	WAIT_FOR(a->state == NAT_SIGNAL_CONNECTED);
}

/* More keys than a frame holds. */
static void
test_much_interest(Fixture *f, gconstpointer data)
{
	g_autoptr(Agent) a = agent_new(f->url);
	g_autoptr(Agent) b = agent_new(f->url);

	for (guint i = 0; i < 700; i++) {
		WgKey key;

		wg_key_generate_private(&key);
		nat_signal_client_add_interest(a->client, &key);
	}
	introduce(a, b);
	nat_signal_client_start(a->client);
	nat_signal_client_start(b->client);
	WAIT_FOR(sees(a, b) && sees(b, a));
	for (guint i = 0; i < 700; i++) {
		WgKey key;

		wg_key_generate_private(&key);
		nat_signal_client_add_interest(a->client, &key);
	}
	nat_signal_client_remove_interest(a->client, &b->public_key);
	WAIT_FOR(!sees(b, a));
	g_assert_cmpint(a->state, ==, NAT_SIGNAL_CONNECTED);
}

static void
test_free_in_callback(Fixture *f, gconstpointer data)
{
	g_autoptr(Agent) a = agent_new(f->url);
	g_autoptr(Agent) b = agent_new(f->url);

	a->free_on_state = TRUE;
	introduce(a, b);
	nat_signal_client_start(a->client);
	WAIT_FOR(a->client == NULL);
	b->free_on_state = TRUE;
	server_stop(&f->server, SIGKILL);
	nat_signal_client_start(b->client);
	WAIT_FOR(b->client == NULL);
	run_for(50);
}

/* ---- relays ---- */

static char *
server_with_relay(Fixture *f)
{
	g_autofree char *file = NULL;

	close(g_file_open_tmp("secret-XXXXXX", &file, NULL));
	g_assert_true(g_file_set_contents(file, "north\n", -1, NULL));
	server_stop(&f->server, SIGKILL);
	server_start_with(&f->server, NULL, file);
	return g_steal_pointer(&file);
}

static void
test_turn(Fixture *f, gconstpointer data)
{
	g_autoptr(Agent) a = agent_new(f->url);
	g_autoptr(Agent) b = agent_new(f->url);
	g_autofree char *file = server_with_relay(f);

	introduce(a, b);
	g_assert_false(nat_signal_client_want_turn(a->client));
	nat_signal_client_start(a->client);
	WAIT_FOR(a->state == NAT_SIGNAL_CONNECTED);
	g_assert_true(nat_signal_client_want_turn(a->client)); /* in vain: b is not there */
	nat_signal_client_start(b->client);
	WAIT_FOR(sees(a, b) && sees(b, a));
	g_assert_cmpuint(grants(a), ==, 1);
	g_assert_true(a->turn_first && b->turn_first);
	g_assert_true(g_str_has_prefix(a->turn, "turn:192.0.2.7:3478 turns:relay.example:443 "));
	g_assert_cmpuint(a->turn_ttl_s, ==, 3600);
	g_assert_cmpstr(strchr(a->turns->str, ':'), !=, strchr(b->turns->str, ':'));
	g_assert_true(nat_signal_client_want_turn(a->client));
	WAIT_FOR(grants(a) == 2);
	b->free_on_turn = TRUE;
	g_assert_true(nat_signal_client_want_turn(b->client));
	WAIT_FOR(!b->client);
	WAIT_FOR(!sees(a, b));
	g_assert_cmpuint(nat_signal_client_dropped(a->client), ==, 0);
	g_unlink(file);
}

/* The server's grants mean nothing to an agent without the callback. */
static void
test_turn_ignored(Fixture *f, gconstpointer data)
{
	g_autoptr(Agent) a = agent_new(f->url);
	g_autoptr(Agent) b = agent_new(f->url);
	g_autofree char *file = server_with_relay(f);

	nat_signal_client_free(a->client);
	a->client =
		nat_signal_client_new(f->url, &a->private_key, 0, NULL, &FUNCS_NO_TURN, a, NULL);
	introduce(a, b);
	nat_signal_client_start(a->client);
	nat_signal_client_start(b->client);
	WAIT_FOR(sees(a, b) && sees(b, a));
	g_assert_cmpuint(grants(a), ==, 0);
	g_assert_cmpuint(grants(b), ==, 1);
	g_assert_cmpuint(nat_signal_client_dropped(a->client), ==, 0);
	g_unlink(file);
}

static void
test_no_leaks(Fixture *f, gconstpointer data)
{
	g_autoptr(Agent) a = agent_new(f->url);
	guint before;

	nat_signal_client_start(a->client);
	WAIT_FOR(a->state == NAT_SIGNAL_CONNECTED);
	before = scratch_count("/proc/self/fd");
	for (guint i = 0; i < 5; i++) {
		guint connects = a->connects;

		nat_signal_client_kick(a->client, TRUE);
		WAIT_FOR(a->connects > connects);
	}
	WAIT_FOR(scratch_count("/proc/self/fd") <= before);
}

static int
socket_to(guint16 port)
{
	for (int fd = 3; fd < 256; fd++) {
		struct sockaddr_in sin = {0};
		socklen_t len = sizeof sin;

		if (getpeername(fd, (struct sockaddr *)&sin, &len) == 0 &&
		    sin.sin_family == AF_INET && ntohs(sin.sin_port) == port)
			return fd;
	}
	return -1;
}

static guint
option_of(int fd, int level, int option)
{
	guint value = 0;
	socklen_t len = sizeof value;

	g_assert_cmpint(getsockopt(fd, level, option, &value, &len), ==, 0);
	return value;
}

static void
test_socket_options(Fixture *f, gconstpointer data)
{
	g_autoptr(Agent) a = agent_new(f->url);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), mark = 1;
	gboolean may_mark = setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark) == 0;

	close(fd);
	nat_signal_client_start(a->client);
	WAIT_FOR(a->state == NAT_SIGNAL_CONNECTED);
	fd = socket_to(f->server.port);
	g_assert_cmpuint(option_of(fd, SOL_SOCKET, SO_MARK), ==, 0);
	g_assert_cmpuint(option_of(fd, IPPROTO_TCP, TCP_NODELAY), !=, 0);
	g_assert_cmpuint(option_of(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), >, 0);
	if (!may_mark) {
		g_test_skip("SO_MARK needs CAP_NET_ADMIN");
		return;
	}
	nat_signal_client_set_fwmark(a->client, 0xca6c);
	WAIT_FOR(a->connects == 2);
	fd = socket_to(f->server.port);
	g_assert_cmphex(option_of(fd, SOL_SOCKET, SO_MARK), ==, 0xca6c);
}

/* ---- names ---- */

static void
test_stored_address(Fixture *f, gconstpointer data)
{
	FakeResolver *fake = fake_resolver_install();
	g_autofree char *dir = g_dir_make_tmp("nat-signal-client-XXXXXX", NULL);
	g_autofree char *url = g_strdup_printf("ws://signal.example:%u", f->server.port);
	g_autofree char *file = NULL;
	char hex[WG_KEY_HEXLEN];
	Agent *a;
	WgKey key;

	wg_key_generate_private(&key);
	fake_resolver_set(fake, "127.0.0.1");
	a = agent_with_key(&key, url, 0, dir);
	nat_signal_client_start(a->client);
	WAIT_FOR(a->state == NAT_SIGNAL_CONNECTED);
	file = g_strdup_printf("%s/addresses-%s", dir, wg_key_format_hex(&a->public_key, hex));
	agent_free(a);

	/* The name can't be resolved any more: as in a cold start behind a full tunnel. */
	fake_resolver_set(fake, NULL);
	a = agent_with_key(&key, url, 0, dir);
	nat_signal_client_start(a->client);
	WAIT_FOR(a->state == NAT_SIGNAL_CONNECTED);
	agent_free(a);

	/* The resolver is slow, and what is stored refuses at once: the lookup must be left to end.
	 */
	fake_resolver_set(fake, "127.0.0.1");
	fake->hangs = TRUE;
	fake->asked = 0;
	g_assert_true(
		g_file_set_contents(file, "[addresses]\nsignal.example=127.0.0.9;\n", -1, NULL));
	a = agent_with_key(&key, url, 0, dir);
	nat_signal_client_start(a->client);
	WAIT_FOR(a->stun_reports == 1);
	g_assert_cmpstr(a->stun->str, ==, "127.0.0.9:3478");
	for (guint i = 0; i < 3; i++) {
		WAIT_FOR(a->state == NAT_SIGNAL_WAITING);
		WAIT_FOR(a->state == NAT_SIGNAL_CONNECTING);
	}
	g_assert_cmpuint(fake->asked, ==, 1);
	fake_resolver_release(fake);
	WAIT_FOR(a->state == NAT_SIGNAL_CONNECTED);
	g_assert_cmpuint(fake->asked, ==, 1);
	agent_free(a);

	fake_resolver_free(fake);
	g_unlink(file);
	g_rmdir(dir);
}

/* A server that moved while its old address swallows everything: fresh addresses win at once. */
static void
test_fresh_addresses_win(Fixture *f, gconstpointer data)
{
	FakeResolver *fake = fake_resolver_install();
	g_autofree char *dir = g_dir_make_tmp("nat-signal-client-XXXXXX", NULL);
	g_autofree char *url = g_strdup_printf("ws://signal.example:%u", f->server.port);
	g_autofree char *file = NULL;
	guint16 port = f->server.port;
	int silent = listen_on("127.0.0.2", &port, 8); /* takes connections, says nothing */
	char hex[WG_KEY_HEXLEN];
	Agent *a;
	WgKey key, public_key;

	wg_key_generate_private(&key);
	wg_key_public_from_private(&key, &public_key);
	file = g_strdup_printf("%s/addresses-%s", dir, wg_key_format_hex(&public_key, hex));
	g_assert_true(
		g_file_set_contents(file, "[addresses]\nsignal.example=127.0.0.2;\n", -1, NULL));
	fake->hangs = TRUE;
	a = agent_with_key(&key, url, 0, dir);
	nat_signal_client_start(a->client);
	WAIT_FOR(a->stun_reports == 1);
	g_assert_cmpstr(a->stun->str, ==, "127.0.0.2:3478");
	fake_resolver_set(fake, "127.0.0.1");
	fake_resolver_release(fake);
	WAIT_FOR(a->state == NAT_SIGNAL_CONNECTED);
	g_assert_cmpuint(a->connects, ==, 1);
	agent_free(a);
	close(silent);
	fake_resolver_free(fake);
	g_unlink(file);
	g_rmdir(dir);
}

/* The first address drops every SYN (a full backlog), as broken IPv6 does. */
static void
test_black_hole(Fixture *f, gconstpointer data)
{
	FakeResolver *fake = fake_resolver_install();
	g_autofree char *url = g_strdup_printf("ws://signal.example:%u", f->server.port);
	g_autoptr(Agent) a = agent_new(url);
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(f->server.port)};
	guint16 port = f->server.port;
	int hole = listen_on("127.0.0.2", &port, 0), fillers[4];
	gint64 start, took_ms;

	g_assert_cmpint(inet_pton(AF_INET, "127.0.0.2", &sin.sin_addr), ==, 1);
	for (gsize i = 0; i < G_N_ELEMENTS(fillers); i++) {
		fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (connect(fillers[i], (struct sockaddr *)&sin, sizeof sin) < 0)
			continue; /* EINPROGRESS: by the last one the backlog is full */
	}
	fake_resolver_set(fake, "127.0.0.2 127.0.0.1");
	start = g_get_monotonic_time();
	nat_signal_client_start(a->client);
	WAIT_FOR(a->state == NAT_SIGNAL_CONNECTED);
	took_ms = (g_get_monotonic_time() - start) / 1000;
	g_test_message("connected past a black hole after %" G_GINT64_FORMAT " ms", took_ms);
	g_assert_cmpint(took_ms, >=, 200);
	g_assert_cmpint(took_ms, <, 10000); /* 250 on an idle machine */
	g_assert_nonnull(strstr(a->stun->str, "127.0.0.1:"));
	g_assert_nonnull(strstr(a->stun->str, "127.0.0.2:"));
	for (gsize i = 0; i < G_N_ELEMENTS(fillers); i++)
		close(fillers[i]);
	close(hole);
	fake_resolver_free(fake);
}

static void
test_no_such_name(void)
{
	FakeResolver *fake = fake_resolver_install();
	g_autoptr(Agent) a = agent_new("ws://signal.example");

	nat_signal_client_start(a->client);
	WAIT_FOR(a->state == NAT_SIGNAL_WAITING);
	g_assert_nonnull(strstr(a->reason, "signal.example can't be resolved"));
	WAIT_FOR(fake->asked >= 3); /* it goes on trying */
	fake_resolver_free(fake);
}

/* The kernel of a stopped server still acknowledges what we send: only the missing pongs tell. */
static void
test_dead_server(Fixture *f, gconstpointer data)
{
	g_autoptr(Agent) a = agent_new(f->url);
	gint64 start;

	if (!g_test_slow()) {
		g_test_skip("takes a minute: -m slow");
		return;
	}
	nat_signal_client_start(a->client);
	WAIT_FOR(a->state == NAT_SIGNAL_CONNECTED);
	run_for(32000);
	g_assert_cmpuint(a->connects, ==, 1); /* idle is not dead */
	g_assert_cmpint(a->state, ==, NAT_SIGNAL_CONNECTED);
	g_subprocess_send_signal(f->server.process, SIGSTOP);
	start = g_get_monotonic_time();
	run_for(15000);
	WAIT_FOR(a->state != NAT_SIGNAL_CONNECTED);
	g_assert_cmpint(g_get_monotonic_time() - start, <, 33 * G_USEC_PER_SEC);
	g_assert_nonnull(strstr(a->reason, "has not been heard of"));
	g_subprocess_send_signal(f->server.process, SIGCONT);
	WAIT_FOR(a->state == NAT_SIGNAL_CONNECTED);
}

int
main(int argc, char **argv)
{
	if (!net_own())
		return 1;
	g_test_init(&argc, &argv, NULL);
#define ADD(name, func) g_test_add("/signal-client/" name, Fixture, NULL, set_up, func, tear_down)
	ADD("connect", test_connect);
	ADD("messages", test_messages);
	ADD("first-flight", test_first_flight);
	ADD("presence", test_presence);
	ADD("server-restart", test_server_restart);
	ADD("drain", test_drain);
	ADD("wrong-name", test_wrong_name);
	ADD("duplicate", test_duplicate);
	ADD("kick", test_kick);
	ADD("network-change", test_network_change);
	ADD("much-interest", test_much_interest);
	ADD("free-in-callback", test_free_in_callback);
	ADD("no-leaks", test_no_leaks);
	ADD("socket-options", test_socket_options);
	ADD("stored-address", test_stored_address);
	ADD("fresh-addresses-win", test_fresh_addresses_win);
	ADD("black-hole", test_black_hole);
	ADD("dead-server", test_dead_server);
	ADD("turn", test_turn);
	ADD("turn-ignored", test_turn_ignored);
#undef ADD
	g_test_add_func("/signal-client/no-such-name", test_no_such_name);
	return g_test_run();
}
