/* SPDX-License-Identifier: MIT */
/* The built nat-signald as systemd starts it, on a listening socket that outlives it: whoever dials
 * while it is restarted is answered, by the process that ends or by the one that comes. */
#include "tests/unit/raw-ws.h"

/* The server's grace for frames that are under way (sig-server.c, DRAIN_GRACE), and some. */
#define LATE_US (7 * G_USEC_PER_SEC / 2)

static GSocket *
listen_somewhere(void)
{
	GSocket *listener = g_socket_new(G_SOCKET_FAMILY_IPV4, G_SOCKET_TYPE_STREAM,
					 G_SOCKET_PROTOCOL_TCP, NULL);
	g_autoptr(GInetAddress) loopback = g_inet_address_new_loopback(G_SOCKET_FAMILY_IPV4);
	g_autoptr(GSocketAddress) address = g_inet_socket_address_new(loopback, 0);
	g_autoptr(GError) error = NULL;

	g_assert_true(g_socket_bind(listener, address, FALSE, &error));
	g_assert_true(g_socket_listen(listener, &error));
	return listener;
}

/* The listening socket is descriptor 3. */
static void
start_on(Server *server, GSocket *listener)
{
	g_autoptr(GSubprocessLauncher) launcher =
		g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDERR_PIPE);
	g_autoptr(GError) error = NULL;
	g_autofree char *command =
		g_strdup_printf("LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=x exec %s --stun=none "
				"--metrics=0",
				server_program());

	g_subprocess_launcher_take_fd(launcher, dup(g_socket_get_fd(listener)), 3);
	g_subprocess_launcher_set_child_setup(launcher, die_with_parent, NULL, NULL);
	server->process = g_subprocess_launcher_spawn(launcher, &error, "sh", "-c", command, NULL);
	g_assert_no_error(error);
	server->log = g_data_input_stream_new(g_subprocess_get_stderr_pipe(server->process));
	server_wait_serving(server);
}

/* It has had the signal, and takes nobody any more. */
static void
begin_end(Server *server)
{
	g_autofree char *line = NULL;

	g_subprocess_send_signal(server->process, SIGTERM);
	do {
		g_free(line);
		line = read_line(server);
		g_assert_nonnull(line);
	} while (!strstr(line, ": ending, "));
}

static void
wait_end(Server *server)
{
	g_assert_true(g_subprocess_wait(server->process, NULL, NULL));
	g_assert_cmpint(g_subprocess_get_exit_status(server->process), ==, 0);
	g_clear_object(&server->log);
	g_clear_object(&server->process);
}

static void
test_activated(void)
{
	g_autoptr(GSocket) listener = listen_somewhere();
	Server server = {0};

	start_on(&server, listener);
	raw_free(raw_new(&server));
	server_stop(&server);
}

/* Let in before the end, but slow (TLS on a machine with other things to do): answered, and sent
 * back, by the one that ends. Dialled after that: answered by the one that comes. */
static void
test_restart(void)
{
	g_autoptr(GSocket) listener = listen_somewhere();
	g_auto(SigFrame) frame = {0};
	g_autofree char *answer = NULL;
	Server server = {0};
	Raw *served, *slow, *late;

	start_on(&server, listener);
	slow = raw_dial(&server);
	served = raw_new(&server); /* so the one before it was accepted, too */
	begin_end(&server);
	late = raw_dial(&server);
	g_assert_true(raw_send(late, RAW_UPGRADE, strlen(RAW_UPGRADE)));
	g_usleep(LATE_US);
	g_assert_true(raw_send(slow, RAW_UPGRADE, strlen(RAW_UPGRADE)));
	answer = raw_read_headers(slow);
	g_assert_nonnull(answer);
	raw_expect(slow, SIG_FRAME_DRAIN, &frame);
	raw_expect_close(slow, SIG_CLOSE_RESTART);
	raw_free(slow);
	raw_free(served);
	wait_end(&server);
	g_assert_cmpuint(late->in->len, ==, 0);
	start_on(&server, listener);
	g_free(answer);
	answer = raw_read_headers(late);
	g_assert_nonnull(answer);
	raw_free(late);
	server_stop(&server);
}

/* Who keeps silent is not waited for without end. */
static void
test_restart_silent(void)
{
	g_autoptr(GSocket) listener = listen_somewhere();
	Server server = {0};
	Raw *silent;
	gint64 begin;

	start_on(&server, listener);
	silent = raw_dial(&server);
	raw_free(raw_new(&server));
	begin = g_get_monotonic_time();
	begin_end(&server);
	wait_end(&server);
	g_assert_cmpint(g_get_monotonic_time() - begin, >, LATE_US);
	g_assert_cmpint(g_get_monotonic_time() - begin, <, 60 * G_USEC_PER_SEC);
	raw_free(silent);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/sig/activated/start", test_activated);
	g_test_add_func("/sig/activated/restart", test_restart);
	g_test_add_func("/sig/activated/restart-silent", test_restart_silent);
	return g_test_run();
}
