/* SPDX-License-Identifier: MIT */
/*
 * The signaling client against the built nat-signald on loopback, and against servers that are
 * none.
 */
#include <arpa/inet.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <libsoup/soup.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/nat-signal-client.h"
#include "signaling/sig-wire.h"
#include "tests/unit/fake-resolver.h"
#include "tests/unit/net-own.h"

#define DEADLINE_S 20

/* One client and all that it was told. */
typedef struct {
	NatSignalClient *client;
	WgKey private_key, public_key;
	NatSignalState state;
	char *reason;
	guint connects;
	GHashTable *online;  /* WgKey set */
	GPtrArray *received; /* char*: "text" of every message */
	WgKey last_from;
	GString *turns; /* the username of every grant, in order, each before a space */
	char *turn;	/* URIs and password of the last one */
	guint turn_ttl_s;
	gboolean turn_first; /* the first grant came before any presence */
	GString *stun;	     /* last report */
	guint stun_reports;
	/* what to do on CONNECTED */
	const WgKey *greet;
	gboolean free_on_state, free_on_turn;
} Agent;

typedef struct {
	GSubprocess *process;
	guint16 port;
} Server;

static gboolean
on_deadline(gpointer flag)
{
	*(gboolean *)flag = TRUE;
	return G_SOURCE_REMOVE;
}

/* Runs the main loop until cond, or fails after the deadline. */
#define WAIT_FOR(cond)                                                                             \
	do {                                                                                       \
		gboolean late_ = FALSE;                                                            \
		guint timer_ = g_timeout_add_seconds(DEADLINE_S, on_deadline, &late_);             \
		while (!(cond) && !late_)                                                          \
			g_main_context_iteration(NULL, TRUE);                                      \
		if (!late_)                                                                        \
			g_source_remove(timer_);                                                   \
		g_assert_true(cond);                                                               \
	} while (0)

static void
run_for(guint ms)
{
	gboolean over = FALSE;

	g_timeout_add(ms, on_deadline, &over);
	while (!over)
		g_main_context_iteration(NULL, TRUE);
}

static int
listen_on(const char *address, guint16 *port, int backlog)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(*port)};
	socklen_t len = sizeof sin;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;

	g_assert_cmpint(inet_pton(AF_INET, address, &sin.sin_addr), ==, 1);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	g_assert_cmpint(bind(fd, (struct sockaddr *)&sin, sizeof sin), ==, 0);
	g_assert_cmpint(listen(fd, backlog), ==, 0);
	g_assert_cmpint(getsockname(fd, (struct sockaddr *)&sin, &len), ==, 0);
	*port = ntohs(sin.sin_port);
	return fd;
}

static guint16
free_port(void)
{
	guint16 port = 0;

	close(listen_on("127.0.0.1", &port, 1));
	return port;
}

static gboolean
is_listening(guint16 port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), ret;

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ret = connect(fd, (struct sockaddr *)&sin, sizeof sin);
	close(fd);
	return ret == 0;
}

/* name and secret_file (which makes it hand out a relay) may be NULL. */
static void
server_start_with(Server *server, const char *name, const char *secret_file)
{
	g_autofree char *listen_arg = g_strdup_printf("--listen=127.0.0.1:%u", server->port);
	g_autoptr(GPtrArray) argv = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GError) error = NULL;
	gint64 deadline = g_get_monotonic_time() + DEADLINE_S * G_USEC_PER_SEC;

	g_ptr_array_add(argv, g_strdup(NAT_SIGNALD));
	g_ptr_array_add(argv, g_steal_pointer(&listen_arg));
	g_ptr_array_add(argv, g_strdup("--stun=127.0.0.1:0"));
	if (name)
		g_ptr_array_add(argv, g_strdup_printf("--name=%s", name));
	if (secret_file) {
		g_ptr_array_add(argv, g_strdup("--turn-uri=turn:192.0.2.7:3478"));
		g_ptr_array_add(argv, g_strdup("--turn-uri=turns:relay.example:443"));
		g_ptr_array_add(argv, g_strdup_printf("--turn-secret-file=%s", secret_file));
	}
	g_ptr_array_add(argv, NULL);
	server->process = g_subprocess_newv((const char *const *)argv->pdata,
					    G_SUBPROCESS_FLAGS_STDERR_SILENCE, &error);
	g_assert_no_error(error);
	while (!is_listening(server->port)) {
		g_assert_cmpint(g_get_monotonic_time(), <, deadline);
		g_usleep(5000);
	}
}

static void
server_start(Server *server, const char *name)
{
	server_start_with(server, name, NULL);
}

static void
server_stop(Server *server, int sig)
{
	if (!server->process)
		return;
	g_subprocess_send_signal(server->process, sig);
	g_subprocess_wait(server->process, NULL, NULL);
	g_clear_object(&server->process);
}

static char *
url_of(guint16 port)
{
	return g_strdup_printf("ws://127.0.0.1:%u/", port);
}

/* ---- an agent's callbacks ---- */

static void
on_state(NatSignalState state, const char *reason, gpointer user_data)
{
	Agent *agent = user_data;

	agent->state = state;
	g_free(agent->reason);
	agent->reason = g_strdup(reason);
	g_hash_table_remove_all(agent->online);
	if (state == NAT_SIGNAL_CONNECTED) {
		agent->connects++;
		g_assert_null(reason);
		if (agent->greet) {
			g_autoptr(GBytes) body = g_bytes_new_static("first flight", 12);

			g_assert_true(nat_signal_client_send(agent->client, agent->greet, body));
		}
	} else if (reason) {
		g_assert_null(strchr(reason, '\n'));
	}
	if (agent->free_on_state)
		g_clear_pointer(&agent->client, nat_signal_client_free);
}

static void
on_stun(const WgEndpoint *stun, gsize n, gpointer user_data)
{
	Agent *agent = user_data;

	agent->stun_reports++;
	g_string_truncate(agent->stun, 0);
	for (gsize i = 0; i < n; i++) {
		char buf[WG_ENDPOINT_STRLEN];

		g_string_append_printf(agent->stun, "%s%s", i ? " " : "",
				       wg_endpoint_format(&stun[i], buf));
	}
}

static void
on_presence(const WgKey *peer, gboolean online, gpointer user_data)
{
	Agent *agent = user_data;

	if (online)
		g_hash_table_add(agent->online, g_memdup2(peer, sizeof *peer));
	else
		g_hash_table_remove(agent->online, peer);
}

static void
on_message(const WgKey *peer, const guint8 *body, gsize len, gpointer user_data)
{
	Agent *agent = user_data;

	agent->last_from = *peer;
	g_ptr_array_add(agent->received, g_strndup((const char *)body, len));
}

static void
on_turn(const char *const *uris, const char *username, const char *password, guint ttl_s,
	gpointer user_data)
{
	Agent *agent = user_data;
	g_autofree char *list = g_strjoinv(" ", (GStrv)uris);

	if (agent->turns->len == 0)
		agent->turn_first = g_hash_table_size(agent->online) == 0;
	g_string_append_printf(agent->turns, "%s ", username);
	g_free(agent->turn);
	agent->turn = g_strdup_printf("%s %s", list, password);
	agent->turn_ttl_s = ttl_s;
	if (agent->free_on_turn)
		g_clear_pointer(&agent->client, nat_signal_client_free);
}

static const NatSignalFuncs FUNCS = {on_state, on_stun, on_presence, on_message, on_turn};
/* as an agent that knows of no relays has them */
static const NatSignalFuncs FUNCS_NO_TURN = {on_state, on_stun, on_presence, on_message};

static Agent *
agent_with_key(const WgKey *key, const char *url, guint32 fwmark, const char *state_dir)
{
	Agent *agent = g_new0(Agent, 1);
	g_autoptr(GError) error = NULL;

	agent->private_key = *key;
	wg_key_public_from_private(key, &agent->public_key);
	agent->online = g_hash_table_new_full(wg_key_hash, wg_key_equal, g_free, NULL);
	agent->received = g_ptr_array_new_with_free_func(g_free);
	agent->stun = g_string_new("");
	agent->turns = g_string_new("");
	agent->client = nat_signal_client_new(url, key, fwmark, state_dir, &FUNCS, agent, &error);
	g_assert_no_error(error);
	agent->state = nat_signal_client_state(agent->client);
	return agent;
}

static Agent *
agent_new(const char *url)
{
	WgKey key;

	wg_key_generate_private(&key);
	return agent_with_key(&key, url, 0, NULL);
}

static void
agent_free(Agent *agent)
{
	nat_signal_client_free(agent->client);
	g_hash_table_unref(agent->online);
	g_ptr_array_unref(agent->received);
	g_string_free(agent->stun, TRUE);
	g_string_free(agent->turns, TRUE);
	g_free(agent->turn);
	g_free(agent->reason);
	g_free(agent);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Agent, agent_free)

static gboolean
sees(Agent *agent, Agent *other)
{
	return g_hash_table_contains(agent->online, &other->public_key);
}

static gboolean
say(Agent *agent, Agent *to, const char *text)
{
	g_autoptr(GBytes) body = g_bytes_new(text, strlen(text));

	return nat_signal_client_send(agent->client, &to->public_key, body);
}

static gboolean
was_told(Agent *agent, const char *text)
{
	return g_ptr_array_find_with_equal_func(agent->received, text, g_str_equal, NULL);
}

static void
introduce(Agent *a, Agent *b)
{
	nat_signal_client_add_interest(a->client, &b->public_key);
	nat_signal_client_add_interest(b->client, &a->public_key);
}

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

/* What is said from inside state_changed(CONNECTED) leaves with the login and arrives. */
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

static guint
grants(Agent *agent)
{
	guint n = 0;

	for (const char *p = agent->turns->str; (p = strchr(p, ' ')); p++)
		n++;
	return n;
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

static guint
count_fds(void)
{
	g_autoptr(GDir) dir = g_dir_open("/proc/self/fd", 0, NULL);
	guint n = 0;

	while (g_dir_read_name(dir))
		n++;
	return n;
}

static void
test_no_leaks(Fixture *f, gconstpointer data)
{
	g_autoptr(Agent) a = agent_new(f->url);
	guint before;

	nat_signal_client_start(a->client);
	WAIT_FOR(a->state == NAT_SIGNAL_CONNECTED);
	before = count_fds();
	for (guint i = 0; i < 5; i++) {
		guint connects = a->connects;

		nat_signal_client_kick(a->client, TRUE);
		WAIT_FOR(a->connects > connects);
	}
	WAIT_FOR(count_fds() <= before);
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

/* ---- without a proper server ---- */

static void
test_refused(void)
{
	g_autofree char *url = url_of(free_port());
	g_autoptr(Agent) a = agent_new(url);

	nat_signal_client_start(a->client);
	WAIT_FOR(a->state == NAT_SIGNAL_WAITING);
	g_assert_nonnull(strstr(a->reason, "refuses the connection: is nat-signald running"));
	WAIT_FOR(a->state == NAT_SIGNAL_CONNECTING);
	g_assert_nonnull(strstr(a->reason, "refuses the connection")); /* still to be seen */
}

static void
test_says_nothing(void)
{
	guint16 port = 0;
	int fd = listen_on("127.0.0.1", &port, 8);
	g_autofree char *url = url_of(port);
	g_autoptr(Agent) a = agent_new(url);

	nat_signal_client_start(a->client);
	WAIT_FOR(a->state == NAT_SIGNAL_WAITING);
	g_assert_nonnull(strstr(a->reason, "says nothing"));
	close(fd);
}

/* A WebSocket server of our own that misbehaves as told. */
typedef struct {
	SoupServer *soup;
	SoupWebsocketConnection *conn;
	guint16 port;
	guint texts;
	const char *first; /* sent when the connection opens */
	guint clients;
} Liar;

static void
on_liar_text(SoupWebsocketConnection *conn, int type, GBytes *bytes, gpointer user_data)
{
	((Liar *)user_data)->texts++;
}

static void
on_liar_client(SoupServer *soup, SoupServerMessage *msg, const char *path,
	       SoupWebsocketConnection *conn, gpointer user_data)
{
	Liar *liar = user_data;

	liar->clients++;
	g_set_object(&liar->conn, conn);
	g_signal_connect(conn, "message", G_CALLBACK(on_liar_text), liar);
	if (liar->first)
		soup_websocket_connection_send_text(conn, liar->first);
}

static void
liar_start(Liar *liar, const char *protocol)
{
	char *protocols[] = {(char *)protocol, NULL};
	g_autoptr(GError) error = NULL;

	liar->soup = soup_server_new(NULL, NULL);
	liar->port = free_port();
	soup_server_listen_local(liar->soup, liar->port, SOUP_SERVER_LISTEN_IPV4_ONLY, &error);
	g_assert_no_error(error);
	if (protocol)
		soup_server_add_websocket_handler(liar->soup, "/", NULL, protocols, on_liar_client,
						  liar, NULL);
}

static void
liar_stop(Liar *liar)
{
	g_clear_object(&liar->conn);
	soup_server_disconnect(liar->soup);
	g_clear_object(&liar->soup);
}

static void
test_http_server(void)
{
	Liar liar = {0};
	g_autofree char *url = NULL;
	g_autoptr(Agent) a = NULL;

	liar_start(&liar, NULL);
	url = url_of(liar.port);
	a = agent_new(url);
	nat_signal_client_start(a->client);
	WAIT_FOR(a->state == NAT_SIGNAL_WAITING);
	g_assert_nonnull(strstr(a->reason, "answers HTTP 404, it is not a signaling server"));
	liar_stop(&liar);
}

static void
test_other_protocol(void)
{
	Liar liar = {0};
	g_autofree char *url = NULL;
	g_autoptr(Agent) a = NULL;

	liar_start(&liar, "chat");
	url = url_of(liar.port);
	a = agent_new(url);
	nat_signal_client_start(a->client);
	WAIT_FOR(a->state == NAT_SIGNAL_WAITING);
	g_assert_nonnull(strstr(a->reason, "not a signaling server"));
	liar_stop(&liar);
}

static char *
hello_of(gint64 version)
{
	WgKey priv;
	SigHello hello = {.version = version, .n_stun = 1, .stun = {9}};

	wg_key_generate_private(&priv);
	wg_key_public_from_private(&priv, &hello.key);
	return sig_wire_encode_hello(&hello);
}

static void
test_other_version(void)
{
	g_autofree char *hello = hello_of(7);
	Liar liar = {.first = hello};
	g_autofree char *url = NULL;
	g_autoptr(Agent) a = NULL;

	liar_start(&liar, SIG_WIRE_SUBPROTOCOL);
	url = url_of(liar.port);
	a = agent_new(url);
	nat_signal_client_start(a->client);
	WAIT_FOR(a->state == NAT_SIGNAL_WAITING);
	g_assert_nonnull(strstr(a->reason, "version 7"));
	liar_stop(&liar);
}

/* Before a hello, after it, and once too much. */
static void
test_hostile(void)
{
	static const char *const junk[] = {
		"",
		"{}",
		"[",
		"nonsense",
		"{\"t\":\"hello\"}",
		"{\"t\":\"presence\",\"online\":[1]}",
		"{\"t\":\"later\"}",
		"{\"t\":\"drain\",\"within_s\":-1}",
		"{\"t\":\"turn\"}",
		"{\"t\":\"turn\",\"uris\":[],\"username\":\"u\",\"password\":\"p\",\"ttl_s\":60}",
		"{\"t\":\"turn\",\"uris\":[\"turn:a b\"],\"username\":\"u\",\"password\":\"p\","
		"\"ttl_s\":60}",
		"{\"t\":\"turn\",\"uris\":[\"turn:a\"],\"username\":\"u\",\"password\":\"p\","
		"\"ttl_s\":0}",
	};
	g_autofree char *hello = hello_of(SIG_WIRE_VERSION);
	g_autofree char *huge = g_strnfill(SIG_WIRE_MAX + 1, ' ');
	Liar liar = {0};
	g_autofree char *url = NULL;
	g_autoptr(Agent) a = NULL;

	liar_start(&liar, SIG_WIRE_SUBPROTOCOL);
	url = url_of(liar.port);
	a = agent_new(url);
	nat_signal_client_start(a->client);
	WAIT_FOR(liar.conn);
	for (guint round = 0; round < 2; round++) {
		for (gsize i = 0; i < G_N_ELEMENTS(junk); i++)
			soup_websocket_connection_send_text(liar.conn, junk[i]);
		soup_websocket_connection_send_binary(liar.conn, "\x01short", 6);
		soup_websocket_connection_send_text(liar.conn, hello);
		WAIT_FOR(a->state == NAT_SIGNAL_CONNECTED);
	}
	/* all but the unknown one, and the binary one, twice */
	WAIT_FOR(nat_signal_client_dropped(a->client) >= 24);
	g_assert_cmpuint(grants(a), ==, 0);
	g_assert_cmpint(a->state, ==, NAT_SIGNAL_CONNECTED);
	WAIT_FOR(liar.texts == 1); /* one login, no interest */
	soup_websocket_connection_send_text(liar.conn, huge);
	WAIT_FOR(a->state == NAT_SIGNAL_WAITING);
	g_assert_cmpuint(a->received->len, ==, 0);
	liar_stop(&liar);
}

/* Good ones, but from a server that has not been told who we are; then one that is heard. */
static void
test_turn_before_hello(void)
{
	static const char grant[] = "{\"t\":\"turn\",\"uris\":[\"turn:a\"],\"username\":\"u\","
				    "\"password\":\"p\",\"ttl_s\":60}";
	g_autofree char *hello = hello_of(SIG_WIRE_VERSION);
	Liar liar = {.first = grant};
	g_autofree char *url = NULL;
	g_autoptr(Agent) a = NULL;

	liar_start(&liar, SIG_WIRE_SUBPROTOCOL);
	url = url_of(liar.port);
	a = agent_new(url);
	nat_signal_client_start(a->client);
	WAIT_FOR(nat_signal_client_dropped(a->client) == 1);
	g_assert_cmpuint(grants(a), ==, 0);
	soup_websocket_connection_send_text(liar.conn, hello);
	soup_websocket_connection_send_text(liar.conn, "{\"t\":\"turn-wanted\"}");
	soup_websocket_connection_send_text(liar.conn, grant);
	WAIT_FOR(grants(a) == 1);
	g_assert_cmpstr(a->turn, ==, "turn:a p");
	g_assert_cmpuint(a->turn_ttl_s, ==, 60);
	g_assert_cmpuint(nat_signal_client_dropped(a->client), ==, 1);
	liar_stop(&liar);
}

static void
on_raw_listening(GObject *object, GAsyncResult *result, gpointer user_data)
{
	*(GSocketConnection **)user_data =
		g_socket_listener_accept_finish(G_SOCKET_LISTENER(object), result, NULL, NULL);
}

/* Accepts one connection and upgrades it; what follows is up to the caller. */
static GSocketConnection *
accept_upgrade(GSocketListener *listener)
{
	GSocketConnection *conn = NULL;
	char request[4096] = "", *key, *accept;
	gsize len = 0;
	g_autoptr(GChecksum) sha = g_checksum_new(G_CHECKSUM_SHA1);
	g_autofree char *reply = NULL;
	guint8 digest[20];
	gsize digest_len = sizeof digest;
	GInputStream *in;

	g_socket_listener_accept_async(listener, NULL, on_raw_listening, &conn);
	WAIT_FOR(conn);
	in = g_io_stream_get_input_stream(G_IO_STREAM(conn));
	while (!strstr(request, "\r\n\r\n")) {
		gssize n;

		WAIT_FOR(g_pollable_input_stream_is_readable(G_POLLABLE_INPUT_STREAM(in)));
		n = g_input_stream_read(in, request + len, sizeof request - 1 - len, NULL, NULL);
		g_assert_cmpint(n, >, 0);
		len += (gsize)n;
	}
	key = strstr(request, "Sec-WebSocket-Key: ");
	g_assert_nonnull(key);
	key = g_strndup(key + 19, 24);
	g_checksum_update(sha, (guint8 *)key, 24);
	g_checksum_update(sha, (const guint8 *)"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", 36);
	g_checksum_get_digest(sha, digest, &digest_len);
	accept = g_base64_encode(digest, digest_len);
	reply = g_strdup_printf("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
				"Connection: Upgrade\r\nSec-WebSocket-Protocol: %s\r\n"
				"Sec-WebSocket-Accept: %s\r\n\r\n",
				SIG_WIRE_SUBPROTOCOL, accept);
	g_free(key);
	g_free(accept);
	g_assert_true(g_output_stream_write_all(g_io_stream_get_output_stream(G_IO_STREAM(conn)),
						reply, strlen(reply), NULL, NULL, NULL));
	return conn;
}

#define ENDLESS_MAX (64 * 1024 * 1024)

/* A message in ever more frames, each of them within the bound, pongs in between. */
static void
test_endless_message(void)
{
	g_autoptr(GSocketListener) listener = g_socket_listener_new();
	guint16 port = g_socket_listener_add_any_inet_port(listener, NULL, NULL);
	g_autofree char *url = url_of(port);
	g_autoptr(Agent) a = agent_new(url);
	g_autoptr(GSocketConnection) conn = NULL;
	g_autofree guint8 *frame = g_malloc0(2 + 4 + 16000);
	gsize sent = 0, done = 2;

	nat_signal_client_start(a->client);
	conn = accept_upgrade(listener);
	g_socket_set_blocking(g_socket_connection_get_socket(conn), FALSE);
	g_assert_cmpint(
		g_socket_send(g_socket_connection_get_socket(conn), "\x01\x00", 2, NULL, NULL), ==,
		2);
	frame[0] = 0x8a; /* pong */
	frame[3] = 0x7e; /* continued, 16000 bytes */
	frame[4] = 16000 >> 8;
	frame[5] = 16000 & 0xff;
	for (done = 0; a->state != NAT_SIGNAL_WAITING && sent < ENDLESS_MAX;) {
		gssize n = g_socket_send(g_socket_connection_get_socket(conn), (char *)frame + done,
					 2 + 4 + 16000 - done, NULL, NULL);

		if (n > 0) {
			sent += (gsize)n;
			done = (done + (gsize)n) % (2 + 4 + 16000);
		}
		g_main_context_iteration(NULL, FALSE);
	}
	g_assert_cmpuint(sent, <, ENDLESS_MAX);
	WAIT_FOR(a->state == NAT_SIGNAL_WAITING);
	g_assert_nonnull(strstr(a->reason, "a message without end"));
}

/* One that greets, and at once says that it is about to end, is not met in a loop. */
static void
test_ever_draining(void)
{
	g_autofree char *drain = sig_wire_encode_drain(0);
	Liar liar = {.first = drain};
	g_autofree char *url = NULL;
	g_autoptr(Agent) a = NULL;

	liar_start(&liar, SIG_WIRE_SUBPROTOCOL);
	url = url_of(liar.port);
	a = agent_new(url);
	nat_signal_client_start(a->client);
	WAIT_FOR(liar.clients == 1);
	run_for(1000);
	g_assert_cmpuint(liar.clients, <=, 6); /* waits of 200 ms at least */
	WAIT_FOR(liar.clients > 1);
	liar_stop(&liar);
}

/* What is said of interest is said once: it must not be lost among messages nobody answers. */
static void
test_interest_behind_messages(void)
{
	g_autofree char *hello = hello_of(SIG_WIRE_VERSION);
	g_autofree char *big = g_strnfill(SIG_WIRE_BODY_MAX, 'x');
	Liar liar = {.first = hello};
	g_autofree char *url = NULL;
	g_autoptr(Agent) a = NULL;
	guint sent = 0;

	liar_start(&liar, SIG_WIRE_SUBPROTOCOL);
	url = url_of(liar.port);
	a = agent_new(url);
	nat_signal_client_start(a->client);
	WAIT_FOR(a->state == NAT_SIGNAL_CONNECTED && liar.texts == 1);
	while (say(a, a, big) || say(a, a, ""))
		g_assert_cmpuint(++sent, <, 1000);
	nat_signal_client_add_interest(a->client, &a->public_key);
	WAIT_FOR(liar.texts == sent + 2); /* login, messages, interest */
	liar_stop(&liar);
}

static void
test_escaped_refusal(void)
{
	g_autofree char *hello = hello_of(SIG_WIRE_VERSION);
	Liar liar = {.first = hello};
	g_autofree char *url = NULL;
	g_autoptr(Agent) a = NULL;

	liar_start(&liar, SIG_WIRE_SUBPROTOCOL);
	url = url_of(liar.port);
	a = agent_new(url);
	nat_signal_client_start(a->client);
	WAIT_FOR(a->state == NAT_SIGNAL_CONNECTED);
	soup_websocket_connection_send_text(
		liar.conn, "{\"t\":\"error\",\"code\":\"bad\",\"text\":\"a\\u001b[31m\\nb\"}");
	soup_websocket_connection_close(liar.conn, 4000, "x\x1b[2J");
	WAIT_FOR(a->state == NAT_SIGNAL_WAITING);
	g_assert_nonnull(strstr(a->reason, "refuses: a\\x1b[31m\\x0ab"));
	liar_stop(&liar);
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

static void
test_bad_arguments(void)
{
	g_autoptr(GError) error = NULL;
	WgKey key, zero = {{0}};

	wg_key_generate_private(&key);
	g_assert_null(nat_signal_client_new("http://host", &key, 0, NULL, &FUNCS, NULL, &error));
	g_assert_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
	g_assert_null(nat_signal_client_new("ws://host", &zero, 0, NULL, &FUNCS, NULL, NULL));
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
	g_test_add_func("/signal-client/refused", test_refused);
	g_test_add_func("/signal-client/says-nothing", test_says_nothing);
	g_test_add_func("/signal-client/http-server", test_http_server);
	g_test_add_func("/signal-client/other-protocol", test_other_protocol);
	g_test_add_func("/signal-client/other-version", test_other_version);
	g_test_add_func("/signal-client/hostile", test_hostile);
	g_test_add_func("/signal-client/turn-before-hello", test_turn_before_hello);
	g_test_add_func("/signal-client/endless-message", test_endless_message);
	g_test_add_func("/signal-client/ever-draining", test_ever_draining);
	g_test_add_func("/signal-client/interest-behind-messages", test_interest_behind_messages);
	g_test_add_func("/signal-client/escaped-refusal", test_escaped_refusal);
	g_test_add_func("/signal-client/bad-arguments", test_bad_arguments);
	return g_test_run();
}
