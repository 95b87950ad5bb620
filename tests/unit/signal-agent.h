/* SPDX-License-Identifier: MIT */
#pragma once

#include <arpa/inet.h>
#include <gio/gio.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/session/nat-signal-client.h"
#include "signaling/sig-wire.h"
#include "tests/unit/net-own.h"

/* Signaling clients, and the built nat-signald on loopback. */

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
	GString *seen; /* where peers were said to be, in order, each before a space */
} Agent;

typedef struct {
	GSubprocess *process;
	guint16 port;
} Server;

static inline gboolean
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

static inline void
run_for(guint ms)
{
	gboolean over = FALSE;

	g_timeout_add(ms, on_deadline, &over);
	while (!over)
		g_main_context_iteration(NULL, TRUE);
}

static inline int
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

static inline guint16
free_port(void)
{
	guint16 port = 0;

	close(listen_on("127.0.0.1", &port, 1));
	return port;
}

static inline gboolean
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
static inline void
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

static inline void
server_start(Server *server, const char *name)
{
	server_start_with(server, name, NULL);
}

static inline void
server_stop(Server *server, int sig)
{
	if (!server->process)
		return;
	g_subprocess_send_signal(server->process, sig);
	g_subprocess_wait(server->process, NULL, NULL);
	g_clear_object(&server->process);
}

static inline char *
url_of(guint16 port)
{
	return g_strdup_printf("ws://127.0.0.1:%u/", port);
}

/* ---- an agent's callbacks ---- */

static inline void
on_logging_in(gpointer user_data)
{
	Agent *agent = user_data;
	g_autoptr(GBytes) body = g_bytes_new_static("first flight", 12);

	if (agent->greet)
		g_assert_true(nat_signal_client_send(agent->client, agent->greet, body));
}

static inline void
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
	} else if (reason) {
		g_assert_null(strchr(reason, '\n'));
	}
	if (agent->free_on_state)
		g_clear_pointer(&agent->client, nat_signal_client_free);
}

static inline void
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

static inline void
on_presence(const WgKey *peer, gboolean online, gpointer user_data)
{
	Agent *agent = user_data;

	if (online)
		g_hash_table_add(agent->online, g_memdup2(peer, sizeof *peer));
	else
		g_hash_table_remove(agent->online, peer);
}

static inline void
on_message(const WgKey *peer, const guint8 *body, gsize len, gpointer user_data)
{
	Agent *agent = user_data;

	agent->last_from = *peer;
	g_ptr_array_add(agent->received, g_strndup((const char *)body, len));
}

static inline void
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

static inline void
on_seen(const WgKey *peer, const WgEndpoint *address, gpointer user_data)
{
	char text[WG_ENDPOINT_STRLEN];

	g_string_append_printf(((Agent *)user_data)->seen, " %s",
			       wg_endpoint_format_address(address, text));
}

static const NatSignalFuncs FUNCS = {on_logging_in, on_state, on_stun, on_presence,
				     on_message,    on_turn,  on_seen};
/* as an agent that knows of no relays has them */
static const NatSignalFuncs FUNCS_NO_TURN = {on_logging_in, on_state, on_stun, on_presence,
					     on_message};

static inline Agent *
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
	agent->seen = g_string_new("");
	agent->client = nat_signal_client_new(url, key, fwmark, state_dir, &FUNCS, agent, &error);
	g_assert_no_error(error);
	agent->state = nat_signal_client_state(agent->client);
	return agent;
}

static inline Agent *
agent_new(const char *url)
{
	WgKey key;

	wg_key_generate_private(&key);
	return agent_with_key(&key, url, 0, NULL);
}

static inline void
agent_free(Agent *agent)
{
	nat_signal_client_free(agent->client);
	g_hash_table_unref(agent->online);
	g_ptr_array_unref(agent->received);
	g_string_free(agent->stun, TRUE);
	g_string_free(agent->turns, TRUE);
	g_string_free(agent->seen, TRUE);
	g_free(agent->turn);
	g_free(agent->reason);
	g_free(agent);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Agent, agent_free)

static inline gboolean
sees(Agent *agent, Agent *other)
{
	return g_hash_table_contains(agent->online, &other->public_key);
}

static inline gboolean
say(Agent *agent, Agent *to, const char *text)
{
	g_autoptr(GBytes) body = g_bytes_new(text, strlen(text));

	return nat_signal_client_send(agent->client, &to->public_key, body);
}

static inline gboolean
was_told(Agent *agent, const char *text)
{
	return g_ptr_array_find_with_equal_func(agent->received, text, g_str_equal, NULL);
}

static inline void
introduce(Agent *a, Agent *b)
{
	nat_signal_client_add_interest(a->client, &b->public_key);
	nat_signal_client_add_interest(b->client, &a->public_key);
}

static inline guint
grants(Agent *agent)
{
	guint n = 0;

	for (const char *p = agent->turns->str; (p = strchr(p, ' ')); p++)
		n++;
	return n;
}
