/* SPDX-License-Identifier: MIT */
/*
 * The program from outside: this test calls itself as nat-agent with a daemon that knows only what
 * the file named by NAT_TEST_STATUS says, and checks output, exit status and what is left behind.
 */
#include <gio/gio.h>
#include <gio/gunixsocketaddress.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/nat-json.h"
#include "agent/cli/nat-cli.h"
#include "agent/interface/nat-daemon.h"

#define DEADLINE_US (10 * G_USEC_PER_SEC)
#define AS_AGENT "--as-agent"

#define WG0 "{\"interfaces\":[{\"name\":\"wg0\",\"peers\":["
#define PEER_UP                                                                                    \
	"{\"public_key\":\"AQECAwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\",\"name\":\"alice\","     \
	"\"state\":\"connected\",\"why\":\"direct\"}"
#define PEER_DOWN                                                                                  \
	"{\"public_key\":\"AgECAwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\",\"name\":\"bob\","       \
	"\"state\":\"waiting\",\"why\":\"not there\"}"
#define END "]}]}"

/* --- the daemon's double --- */

/* It has an event at its start, and another one for each configuration. */
struct NatDaemon {
	NatEvents *events;
	const NatConfig *config;
};

static void
add_event(NatDaemon *daemon, const char *text)
{
	WgKey alice = {{1, 1, 2, 3}};

	nat_events_add(daemon->events, "wg0", &alice, "alice", NAT_EVENT_STATE, text);
}

NatDaemon *
nat_daemon_new(const NatConfig *config, void (*opened)(void), GError **error)
{
	NatDaemon *daemon;

	if (g_getenv("NAT_TEST_REFUSE")) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "wg0: refused by the test");
		return NULL;
	}
	daemon = g_new0(NatDaemon, 1);
	daemon->events = nat_events_new();
	daemon->config = config;
	add_event(daemon, "waiting → checking (it began)");
	return daemon;
}

void
nat_daemon_free(NatDaemon *daemon)
{
	if (!daemon)
		return;
	nat_events_free(daemon->events);
	g_free(daemon);
}

GMainContext *
nat_daemon_ice_context(NatDaemon *daemon)
{
	return g_main_context_default();
}

NatEvents *
nat_daemon_events(NatDaemon *daemon)
{
	return daemon->events;
}

NatPeer *
nat_daemon_find_peer(NatDaemon *daemon, const char *interface, const char *peer, GError **error)
{
	g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "no such peer: %s", peer);
	return NULL;
}

/* An interface that the kernel would not allow serves for one that cannot be served. */
gboolean
nat_daemon_reload(NatDaemon *daemon, const NatConfig *config, GError **error)
{
	g_autofree char *text = g_strdup_printf("interfaces: %u", config->interfaces->len);

	if (config->interfaces->len > 2) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "the third is refused");
		return FALSE;
	}
	daemon->config = config;
	add_event(daemon, text);
	return TRUE;
}

gboolean
nat_daemon_uses(const NatDaemon *daemon, const NatConfig *config)
{
	return daemon->config == config;
}

NatStatus *
nat_daemon_status(NatDaemon *daemon, gboolean detail, const char *peer)
{
	g_autofree char *text = NULL;
	g_autoptr(JsonNode) node = NULL;

	g_assert_true(g_file_get_contents(g_getenv("NAT_TEST_STATUS"), &text, NULL, NULL));
	node = nat_json_parse(text, strlen(text), NULL);
	return nat_status_from_json(node, NULL);
}

static int
be_agent(char **argv)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(NatCli) cli = nat_cli_parse((const char *const *)argv, &error);

	if (!cli) {
		g_printerr("nat-agent: %s\n", error->message);
		return NAT_EXIT_USAGE;
	}
	if (cli->command == NAT_CLI_RUN)
		return nat_cli_run(cli);
	if (cli->command == NAT_CLI_EVENTS)
		return nat_cli_events(cli);
	if (cli->command == NAT_CLI_PING)
		return nat_cli_ping(cli);
	if (cli->command == NAT_CLI_RESTART)
		return nat_cli_restart(cli);
	return cli->command == NAT_CLI_RELOAD ? nat_cli_reload(cli) : nat_cli_status(cli);
}

/* --- the tests --- */

typedef struct {
	char *dir, *control, *status, *ifname;
	char *notify;	     /* for the next agent; NULL: none */
	char *file;	     /* its configuration; NULL: flags say it all */
	const char *metrics; /* as `notify` */
	gboolean refuse;
	GSubprocess *agent;
} Fixture;

static GSubprocess *
spawn(const Fixture *f, const char *first, ...)
{
	g_autoptr(GSubprocessLauncher) launcher = g_subprocess_launcher_new(
		G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_PIPE);
	g_autoptr(GPtrArray) argv = g_ptr_array_new();
	g_autoptr(GError) error = NULL;
	GSubprocess *process;
	va_list args;

	g_ptr_array_add(argv, (gpointer) "/proc/self/exe");
	g_ptr_array_add(argv, (gpointer)AS_AGENT);
	va_start(args, first);
	for (const char *arg = first; arg; arg = va_arg(args, const char *))
		g_ptr_array_add(argv, (gpointer)arg);
	va_end(args);
	g_ptr_array_add(argv, NULL);
	g_subprocess_launcher_setenv(launcher, "NAT_TEST_STATUS", f->status, TRUE);
	g_subprocess_launcher_setenv(launcher, "NAT_AGENT_CONTROL", f->control, TRUE);
	if (f->notify)
		g_subprocess_launcher_setenv(launcher, "NOTIFY_SOCKET", f->notify, TRUE);
	if (f->refuse)
		g_subprocess_launcher_setenv(launcher, "NAT_TEST_REFUSE", "1", TRUE);
	process = g_subprocess_launcher_spawnv(launcher, (const char *const *)argv->pdata, &error);
	g_assert_no_error(error);
	return process;
}

/* Returns the exit status. */
static int
finish(GSubprocess *process, char **out, char **err)
{
	g_autoptr(GError) error = NULL;
	int code;

	g_subprocess_communicate_utf8(process, NULL, NULL, out, err, &error);
	g_assert_no_error(error);
	g_assert_true(g_subprocess_get_if_exited(process));
	code = g_subprocess_get_exit_status(process);
	g_object_unref(process);
	return code;
}

/* Ends in one line on stderr that has all of the given words, and nothing on stdout. */
static void
fails(GSubprocess *process, int expected, const char *word1, const char *word2)
{
	g_autofree char *out = NULL, *err = NULL;
	int code = finish(process, &out, &err);

	g_test_message("%s", err);
	g_assert_cmpint(code, ==, expected);
	g_assert_cmpstr(out, ==, "");
	g_assert_true(g_str_has_prefix(err, "nat-agent: "));
	g_assert_nonnull(strstr(err, word1));
	g_assert_nonnull(strstr(err, word2));
	g_assert_null(strchr(err, '\033'));
	g_assert_true(strchr(err, '\n') == err + strlen(err) - 1);
}

static void
say(const Fixture *f, const char *status)
{
	g_assert_true(g_file_set_contents(f->status, status, -1, NULL));
}

static int
wait_ready(GSocket *notify)
{
	char buf[64] = "";
	g_autoptr(GError) error = NULL;

	g_socket_set_timeout(notify, 10);
	g_socket_receive(notify, buf, sizeof buf - 1, NULL, &error);
	g_assert_no_error(error);
	return g_str_has_prefix(buf, "READY=1");
}

static void
start_agent(Fixture *f)
{
	g_autofree char *path = g_build_filename(f->dir, "notify", NULL);
	g_autoptr(GSocketAddress) addr = g_unix_socket_address_new(path);
	g_autoptr(GSocket) notify = g_socket_new(G_SOCKET_FAMILY_UNIX, G_SOCKET_TYPE_DATAGRAM,
						 G_SOCKET_PROTOCOL_DEFAULT, NULL);

	g_assert_true(g_socket_bind(notify, addr, FALSE, NULL));
	f->notify = path;
	if (f->file)
		f->agent = spawn(f, "run", "-c", f->file, NULL);
	else
		f->agent = spawn(f, "run", "--interface", f->ifname, "--signal", "ws://192.0.2.1:1",
				 f->metrics ? "--metrics" : NULL, f->metrics, NULL);
	f->notify = NULL;
	g_assert_true(wait_ready(notify));
	g_unlink(path);
}

static void
stop_agent(Fixture *f, int sig)
{
	g_subprocess_send_signal(f->agent, sig);
	g_subprocess_wait(f->agent, NULL, NULL);
	g_clear_object(&f->agent);
}

static void
set_up(Fixture *f, gconstpointer unused)
{
	f->dir = g_dir_make_tmp("nat-agent-XXXXXX", NULL);
	f->control = g_build_filename(f->dir, "c.sock", NULL);
	f->status = g_build_filename(f->dir, "status.json", NULL);
	f->ifname = g_strdup_printf("nt%d", (int)getpid());
	say(f, WG0 PEER_UP END);
}

static void
tear_down(Fixture *f, gconstpointer unused)
{
	if (f->agent)
		stop_agent(f, SIGTERM);
	g_unlink(f->control);
	g_unlink(f->status);
	g_assert_cmpint(g_rmdir(f->dir), ==, 0);
	g_free(f->dir);
	g_free(f->control);
	g_free(f->status);
	g_free(f->ifname);
}

static gboolean
needs_root(void)
{
	if (geteuid() == 0)
		return FALSE;
	g_test_skip("nat-agent run needs root");
	return TRUE;
}

static void
exit_status(Fixture *f, gconstpointer unused)
{
	g_autofree char *out = NULL, *err = NULL, *none = NULL;

	if (needs_root())
		return;
	start_agent(f);
	g_assert_cmpint(finish(spawn(f, "status", NULL), &out, &err), ==, 0);
	g_assert_nonnull(strstr(out, "alice"));
	g_assert_null(strchr(out, '\033'));
	g_assert_cmpstr(err, ==, "");
	say(f, WG0 PEER_UP "," PEER_DOWN END);
	g_assert_cmpint(finish(spawn(f, "status", "--interface", "wg0", NULL), NULL, NULL), ==, 1);
	g_assert_cmpint(finish(spawn(f, "status", "alice", NULL), NULL, NULL), ==, 0);
	g_assert_cmpint(finish(spawn(f, "status", "AgE", NULL), NULL, NULL), ==, 1);
	fails(spawn(f, "status", "carol", NULL), 2, "carol", "public key");
	fails(spawn(f, "status", "--interface", "wg7", NULL), 2, "wg7", "it serves wg0");
	fails(spawn(f, "status", "--bogus", NULL), 2, "--bogus", "--help");
	none = g_build_filename(f->dir, "none", NULL);
	fails(spawn(f, "status", "--control", none, NULL), 3, none, "--control");
}

static void
json(Fixture *f, gconstpointer unused)
{
	g_autofree char *out = NULL, *one = NULL;
	g_autoptr(JsonNode) node = NULL, filtered = NULL;
	JsonArray *interfaces = NULL;

	if (needs_root())
		return;
	say(f, WG0 PEER_UP "," PEER_DOWN END);
	start_agent(f);
	g_assert_cmpint(finish(spawn(f, "status", "--json", NULL), &out, NULL), ==, 1);
	node = nat_json_parse(out, strlen(out), NULL);
	g_assert_nonnull(node);
	g_assert_true(
		nat_json_get_array(json_node_get_object(node), "interfaces", &interfaces, NULL));
	g_assert_cmpuint(json_array_get_length(interfaces), ==, 1);
	g_assert_cmpint(finish(spawn(f, "status", "--json", "alice", NULL), &one, NULL), ==, 0);
	filtered = nat_json_parse(one, strlen(one), NULL);
	g_assert_nonnull(filtered);
	g_assert_null(strstr(one, "bob"));
}

static void
ends_on(Fixture *f, int sig)
{
	g_autofree char *err = NULL;

	start_agent(f);
	g_assert_cmpint(g_access(f->control, F_OK), ==, 0);
	g_subprocess_send_signal(f->agent, sig);
	g_assert_cmpint(finish(g_steal_pointer(&f->agent), NULL, &err), ==, 0);
	g_assert_nonnull(strstr(err, "tunnels stay up"));
	g_assert_cmpint(g_access(f->control, F_OK), ==, -1);
}

static void
clean_exit(Fixture *f, gconstpointer unused)
{
	if (needs_root())
		return;
	ends_on(f, SIGTERM);
	ends_on(f, SIGINT);
	fails(spawn(f, "status", NULL), 3, f->control, "running");
}

/* Nothing is in the way of a new agent after kill -9. */
static void
killed(Fixture *f, gconstpointer unused)
{
	if (needs_root())
		return;
	start_agent(f);
	stop_agent(f, SIGKILL);
	fails(spawn(f, "status", NULL), 3, f->control, "running");
	start_agent(f);
	g_assert_cmpint(finish(spawn(f, "status", NULL), NULL, NULL), ==, 0);
}

static void
second_agent(Fixture *f, gconstpointer unused)
{
	g_autofree char *other = g_strconcat(f->control, "2", NULL);
	g_autofree char *pid = NULL;

	if (needs_root())
		return;
	start_agent(f);
	pid = g_strdup_printf("(pid %s)", g_subprocess_get_identifier(f->agent));
	fails(spawn(f, "run", "--interface", f->ifname, "--signal", "ws://a", "--control", other,
		    NULL),
	      1, pid, f->ifname);
	g_assert_cmpint(g_access(other, F_OK), ==, -1);
	fails(spawn(f, "run", "--interface", "other0", "--signal", "ws://a", NULL), 1, f->control,
	      "--control");
	g_assert_cmpint(finish(spawn(f, "status", NULL), NULL, NULL), ==, 0);
}

static void
refused(Fixture *f, gconstpointer unused)
{
	fails(spawn(f, "run", NULL), 2, "no interface", "--interface IF");
	fails(spawn(f, "run", "--interface", "wg0", NULL), 2, "wg0", "--signal URL");
	fails(spawn(f, "run", "--interface", "wg/0", "--signal", "ws://a", NULL), 2, "--interface",
	      "wg/0");
	fails(spawn(f, "run", "--interface", "wg0", "--signal", "a", NULL), 2, "--signal",
	      "wss://a");
	fails(spawn(f, "run", "-c", f->dir, NULL), 2, f->dir, "directory");
	fails(spawn(f, "run", "-c", f->status, NULL), 2, f->status, ":1: ");
	if (needs_root())
		return;
	f->refuse = TRUE;
	fails(spawn(f, "run", "--interface", f->ifname, "--signal", "ws://a", NULL), 1,
	      "wg0:", "refused");
	g_assert_cmpint(g_access(f->control, F_OK), ==, -1);
}

static char *
get_page(guint16 port)
{
	static const char request[] = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
	g_autoptr(GSocketClient) client = g_socket_client_new();
	g_autoptr(GSocketConnection) link = NULL;
	g_autoptr(GString) page = g_string_new(NULL);
	g_autoptr(GError) error = NULL;
	GIOStream *io;
	char buf[1024];
	gssize n;

	g_socket_client_set_timeout(client, 10);
	link = g_socket_client_connect_to_host(client, "127.0.0.1", port, NULL, &error);
	g_assert_no_error(error);
	io = G_IO_STREAM(link);
	g_output_stream_write_all(g_io_stream_get_output_stream(io), request, strlen(request), NULL,
				  NULL, &error);
	g_assert_no_error(error);
	while ((n = g_input_stream_read(g_io_stream_get_input_stream(io), buf, sizeof buf, NULL,
					&error)) > 0)
		g_string_append_len(page, buf, n);
	g_assert_no_error(error);
	return g_string_free(g_steal_pointer(&page), FALSE);
}

/* Served at an address that others reach: said at the start. */
static void
metrics(Fixture *f, gconstpointer unused)
{
	g_autoptr(GSocketListener) listener = g_socket_listener_new();
	guint16 port = g_socket_listener_add_any_inet_port(listener, NULL, NULL);
	g_autofree char *address = g_strdup_printf("0.0.0.0:%u", port);
	g_autofree char *page = NULL, *err = NULL;

	if (needs_root())
		return;
	fails(spawn(f, "run", "--interface", f->ifname, "--signal", "ws://a", "--metrics", address,
		    NULL),
	      1, address, "--metrics");
	fails(spawn(f, "run", "--interface", f->ifname, "--signal", "ws://a", "--metrics",
		    "localhost:1", NULL),
	      2, "--metrics: \"localhost:1\"", "127.0.0.1:PORT");
	g_socket_listener_close(listener);
	f->metrics = address;
	start_agent(f);
	page = get_page(port);
	g_assert_true(g_str_has_prefix(page, "HTTP/1.1 200 OK\r\n"));
	g_assert_nonnull(strstr(page, "\nnat_agent_interface_served{interface=\"wg0\"} 1\n"));
	g_subprocess_send_signal(f->agent, SIGTERM);
	g_assert_cmpint(finish(g_steal_pointer(&f->agent), NULL, &err), ==, 0);
	g_assert_nonnull(strstr(err, "whoever reaches 0.0.0.0:"));
}

/* A closed reader ends --watch, with the peers' exit status. */
static void
watch(Fixture *f, gconstpointer unused)
{
	GSubprocess *process;
	GInputStream *out;
	char buf[64];
	gssize n;

	if (needs_root())
		return;
	say(f, WG0 PEER_DOWN END);
	start_agent(f);
	process = spawn(f, "status", "--watch", NULL);
	out = g_subprocess_get_stdout_pipe(process);
	n = g_input_stream_read(out, buf, sizeof buf - 1, NULL, NULL);
	g_assert_cmpint(n, >, 0);
	g_assert_true(g_str_has_prefix(buf, "wg0: "));
	g_assert_true(g_input_stream_close(out, NULL, NULL));
	g_subprocess_wait(process, NULL, NULL);
	g_assert_true(g_subprocess_get_if_exited(process));
	g_assert_cmpint(g_subprocess_get_exit_status(process), ==, 1);
	g_object_unref(process);
}

/* ---- what is asked of it besides ---- */

/* Until the child says it; what it says is collected. */
static void
read_until(GSubprocess *process, GString *out, const char *text)
{
	GInputStream *in = g_subprocess_get_stdout_pipe(process);
	char buf[512];

	while (!strstr(out->str, text)) {
		gssize n = g_input_stream_read(in, buf, sizeof buf, NULL, NULL);

		g_assert_cmpint(n, >, 0);
		g_string_append_len(out, buf, n);
	}
}

static void
events(Fixture *f, gconstpointer unused)
{
	g_autofree char *once = NULL, *json_lines = NULL;
	g_autoptr(GString) followed = g_string_new(NULL);
	g_autoptr(JsonNode) node = NULL;
	GSubprocess *follower;

	if (needs_root())
		return;
	start_agent(f);
	g_assert_cmpint(finish(spawn(f, "events", "--once", NULL), &once, NULL), ==, 0);
	g_assert_nonnull(strstr(once, "state"));
	g_assert_nonnull(strstr(once, "wg0 alice: waiting -> checking (it began)\n"));
	g_assert_cmpint(finish(spawn(f, "events", "--once", "--json", NULL), &json_lines, NULL), ==,
			0);
	node = nat_json_parse(json_lines, strlen(json_lines) - 1, NULL);
	g_assert_nonnull(node);
	g_assert_cmpstr(json_object_get_string_member(json_node_get_object(node), "event"), ==,
			"state");
	fails(spawn(f, "events", "bob", NULL), 2, "no such peer", "bob");
	/* what comes later, until the agent ends */
	follower = spawn(f, "events", "--interface", "wg0", NULL);
	read_until(follower, followed, "it began");
	g_assert_cmpint(finish(spawn(f, "reload", NULL), NULL, NULL), ==, 0);
	read_until(follower, followed, "interfaces: 1\n");
	g_subprocess_send_signal(f->agent, SIGTERM);
	g_subprocess_wait(f->agent, NULL, NULL);
	g_clear_object(&f->agent);
	fails(follower, 3, f->control, "closed");
	fails(spawn(f, "events", NULL), 3, f->control, "running");
}

/* A reader that goes away ends it quietly. */
static void
events_unread(Fixture *f, gconstpointer unused)
{
	g_autoptr(GString) out = g_string_new(NULL);
	GSubprocess *follower;

	if (needs_root())
		return;
	start_agent(f);
	follower = spawn(f, "events", NULL);
	read_until(follower, out, "it began");
	g_input_stream_close(g_subprocess_get_stdout_pipe(follower), NULL, NULL);
	g_assert_cmpint(finish(spawn(f, "reload", NULL), NULL, NULL), ==, 0);
	g_subprocess_wait(follower, NULL, NULL);
	g_assert_true(g_subprocess_get_if_exited(follower));
	g_assert_cmpint(g_subprocess_get_exit_status(follower), ==, 0);
	g_object_unref(follower);
}

static void
unknown_peer(Fixture *f, gconstpointer unused)
{
	if (needs_root())
		return;
	start_agent(f);
	fails(spawn(f, "ping", "--count", "1", "carol", NULL), 2, "no such peer", "carol");
	fails(spawn(f, "restart", "carol", NULL), 2, "no such peer", "carol");
	fails(spawn(f, "ping", NULL), 2, "whom?", "PEER");
	fails(spawn(f, "restart", "a", "b", NULL), 2, "\"b\"", "too many");
	fails(spawn(f, "reload", "a", NULL), 2, "\"a\"", "too many");
	fails(spawn(f, "ping", "--count", "0", "alice", NULL), 2, "--count", "1000000");
}

/* What listens there is something else, or an agent of another age. */
typedef struct {
	GSocketListener *listener;
	const char *answer; /* NULL: closes */
	gsize len;
} Foreign;

static gpointer
foreign_thread(gpointer data)
{
	const Foreign *foreign = data;
	g_autoptr(GSocketConnection) conn =
		g_socket_listener_accept(foreign->listener, NULL, NULL, NULL);
	char buf[4096];

	g_assert_nonnull(conn);
	g_assert_cmpint(g_input_stream_read(g_io_stream_get_input_stream(G_IO_STREAM(conn)), buf,
					    sizeof buf, NULL, NULL),
			>, 0);
	if (foreign->answer)
		g_output_stream_write_all(g_io_stream_get_output_stream(G_IO_STREAM(conn)),
					  foreign->answer, foreign->len, NULL, NULL, NULL);
	return NULL;
}

static void
foreign(Fixture *f, gconstpointer unused)
{
	static const struct {
		const char *answer, *command, *word;
		int code;
	} CASES[] = {
		{NULL, "status", "closed", 3},
		{"HTTP/1.1 400 Bad Request\r\n\r\n", "status", "JSON", 3},
		{"{\"parameters\":{}}", "status", "is not nat-agent", 3},
		{"{\"parameters\":{\"status\":{\"interfaces\":7}}}", "status", "interfaces", 3},
		{"{\"error\":\"org.varlink.service.MethodNotFound\",\"parameters\":{\"method\":"
		 "\"io.github.nat-agent.Events\"}}",
		 "events", "older", 1},
		{"{\"error\":\"io.github.nat-agent.Failed\",\"parameters\":{\"reason\":"
		 "\"\\u001b[2J\"}}",
		 "reload", "2J", 1},
	};
	g_autoptr(GSocketAddress) address = g_unix_socket_address_new(f->control);
	g_autoptr(GSocketListener) listener = g_socket_listener_new();

	g_assert_true(g_socket_listener_add_address(listener, address, G_SOCKET_TYPE_STREAM,
						    G_SOCKET_PROTOCOL_DEFAULT, NULL, NULL, NULL));
	for (guint i = 0; i < G_N_ELEMENTS(CASES); i++) {
		Foreign there = {listener, CASES[i].answer,
				 CASES[i].answer ? strlen(CASES[i].answer) + 1 : 0};
		GThread *thread = g_thread_new("foreign", foreign_thread, &there);

		g_test_message("%s", CASES[i].answer);
		fails(spawn(f, CASES[i].command, NULL), CASES[i].code, CASES[i].word, "");
		g_thread_join(thread);
	}
	g_socket_listener_close(listener);
}

static void
reload(Fixture *f, gconstpointer unused)
{
	g_autofree char *file = g_build_filename(f->dir, "agent.conf", NULL);
	g_autofree char *group = g_strdup_printf("[interface %s]\n", f->ifname);
	g_autofree char *two = g_strconcat(
		"[agent]\nsignal=ws://192.0.2.1:1\n[interface nt-other]\n", group, NULL);
	g_autofree char *three = g_strconcat(two, "[interface nt-third]\n", NULL);
	g_autofree char *moved =
		g_strconcat("[agent]\nsignal=ws://192.0.2.1:1\nstate_dir=/nowhere\n", group, NULL);
	g_autofree char *one = g_strconcat("[agent]\nsignal=ws://192.0.2.1:1\n", group, NULL);
	g_autofree char *out = NULL;

	if (needs_root())
		return;
	g_assert_true(g_file_set_contents(file, one, -1, NULL));
	f->file = file;
	start_agent(f);
	g_assert_true(g_file_set_contents(file, two, -1, NULL));
	g_assert_cmpint(finish(spawn(f, "reload", NULL), NULL, NULL), ==, 0);
	/* none of these is taken */
	g_assert_true(g_file_set_contents(file, "[agent]\nsingal=x\n", -1, NULL));
	fails(spawn(f, "reload", NULL), 1, file, "singal");
	g_assert_true(g_file_set_contents(file, moved, -1, NULL));
	fails(spawn(f, "reload", NULL), 1, "state_dir", "restart");
	g_assert_true(g_file_set_contents(file, three, -1, NULL));
	fails(spawn(f, "reload", NULL), 1, "the third is refused", "");
	/* by signal, which says it in the log alone */
	g_assert_true(g_file_set_contents(file, one, -1, NULL));
	g_subprocess_send_signal(f->agent, SIGHUP);
	for (int i = 0; i < 200 && (!out || !strstr(out, "interfaces: 1")); i++) {
		g_free(out);
		g_assert_cmpint(finish(spawn(f, "events", "--once", NULL), &out, NULL), ==, 0);
	}
	g_assert_nonnull(strstr(out, "interfaces: 2"));
	g_assert_nonnull(strstr(out, "interfaces: 1"));
	g_assert_null(strstr(out, "interfaces: 3"));
	f->file = NULL;
	g_unlink(file);
}

#define ADD(name, func) g_test_add("/agent/" name, Fixture, NULL, set_up, func, tear_down)

int
main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], AS_AGENT) == 0)
		return be_agent(argv + 1);
	g_test_init(&argc, &argv, NULL);
	ADD("exit-status", exit_status);
	ADD("json", json);
	ADD("clean-exit", clean_exit);
	ADD("killed", killed);
	ADD("second-agent", second_agent);
	ADD("refused", refused);
	ADD("metrics", metrics);
	ADD("watch", watch);
	ADD("events", events);
	ADD("events-unread", events_unread);
	ADD("unknown-peer", unknown_peer);
	ADD("foreign", foreign);
	ADD("reload", reload);
	return g_test_run();
}
