/* SPDX-License-Identifier: MIT */
/*
 * The new process gets the sockets as descriptors from 3 on and, behind them, one end of a pipe: a
 * byte says that it serves, its end that it does not. libuv maps descriptors by itself; what is not
 * mapped is close-on-exec.
 */
#include "signaling/sig-handover.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define READY_ENV "NAT_SIGNALD_READY_FD"
#define WAIT_TICKS 30 /* for a machine that is slow, and starts it under load */

extern char **environ;

/* Both outlive a SigHandover that is freed: libuv closes them when the loop runs. */
typedef struct {
	uv_process_t process;
	uv_poll_t ready;
	SigHandover *handover; /* NULL: nobody waits any more */
	int fd;
	guint open; /* handles */
} Attempt;

struct SigHandover {
	uv_loop_t *loop;
	GStrv argv;
	SigHandoverFunc func;
	gpointer user_data;
	Attempt *attempt; /* NULL: none is under way */
	guint left;	  /* ticks */
};

SigHandover *
sig_handover_new(uv_loop_t *loop, const char *const *argv, SigHandoverFunc func, gpointer user_data)
{
	SigHandover *handover = g_new0(SigHandover, 1);

	handover->loop = loop;
	handover->argv = g_strdupv((GStrv)argv);
	handover->func = func;
	handover->user_data = user_data;
	return handover;
}

static void
handle_closed(uv_handle_t *handle)
{
	Attempt *attempt = handle->data;

	if (--attempt->open > 0)
		return;
	close(attempt->fd);
	g_free(attempt);
}

static void
end_attempt(Attempt *attempt)
{
	if (attempt->handover)
		attempt->handover->attempt = NULL;
	attempt->handover = NULL;
	uv_poll_stop(&attempt->ready);
	uv_close((uv_handle_t *)&attempt->ready, handle_closed);
	/* the process itself, if it lives, lives on */
	uv_close((uv_handle_t *)&attempt->process, handle_closed);
}

void
sig_handover_free(SigHandover *handover)
{
	if (handover->attempt)
		end_attempt(handover->attempt);
	g_strfreev(handover->argv);
	g_free(handover);
}

static void
finish(SigHandover *handover, gboolean ok)
{
	Attempt *attempt = handover->attempt;
	int pid = attempt->process.pid;

	if (!ok && uv_is_active((uv_handle_t *)&attempt->process))
		uv_process_kill(&attempt->process, SIGTERM);
	end_attempt(attempt);
	handover->func(ok, pid, handover->user_data);
}

static void
on_ready(uv_poll_t *poll, int status, int events)
{
	Attempt *attempt = poll->data;
	char byte;

	if (attempt->handover)
		finish(attempt->handover, read(attempt->fd, &byte, 1) == 1);
}

/* Its end of the pipe is closed with it: on_ready() follows. */
static void
on_exit_of_new(uv_process_t *process, int64_t status, int sig)
{
}

/* ---- the new process's world ---- */

static GStrv
make_env(const GArray *sockets)
{
	g_autoptr(GString) kinds = g_string_new(NULL);
	g_autofree char *ready = g_strdup_printf("%u", SIG_INHERIT_FIRST + sockets->len);
	GStrv env = g_strdupv(environ);

	for (guint i = 0; i < sockets->len; i++)
		g_string_append_c(
			kinds,
			sig_socket_kind_letter(g_array_index(sockets, SigHandoverSocket, i).kind));
	/* systemd's watchdog waits for us, by our number, and then for that one */
	env = g_environ_unsetenv(env, "WATCHDOG_PID");
	env = g_environ_setenv(env, SIG_INHERIT_ENV, kinds->str, TRUE);
	return g_environ_setenv(env, READY_ENV, ready, TRUE);
}

/* 0, 1, 2, the sockets, the pipe. (transfer full) */
static uv_stdio_container_t *
make_stdio(const GArray *sockets, int pipe_fd, int *n)
{
	uv_stdio_container_t *stdio =
		g_new0(uv_stdio_container_t, SIG_INHERIT_FIRST + sockets->len + 1);

	for (*n = 0; *n < SIG_INHERIT_FIRST; (*n)++)
		stdio[*n].data.fd = *n;
	for (guint i = 0; i < sockets->len; i++)
		stdio[(*n)++].data.fd = g_array_index(sockets, SigHandoverSocket, i).fd;
	stdio[(*n)++].data.fd = pipe_fd;
	for (int i = 0; i < *n; i++)
		stdio[i].flags = UV_INHERIT_FD;
	return stdio;
}

static int
spawn(SigHandover *handover, Attempt *attempt, const GArray *sockets, int pipe_fd)
{
	g_auto(GStrv) env = make_env(sockets);
	int n;
	g_autofree uv_stdio_container_t *stdio = make_stdio(sockets, pipe_fd, &n);
	uv_process_options_t options = {
		.file = handover->argv[0],
		.args = handover->argv,
		.env = env,
		.exit_cb = on_exit_of_new,
		.stdio_count = n,
		.stdio = stdio,
	};

	return uv_spawn(handover->loop, &attempt->process, &options);
}

gboolean
sig_handover_begin(SigHandover *handover, const GArray *sockets, GError **error)
{
	Attempt *attempt;
	int pipe_fds[2], status;

	if (handover->attempt) {
		g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_PENDING,
				    "a new server is being started already");
		return FALSE;
	}
	if (pipe2(pipe_fds, O_CLOEXEC) < 0) {
		g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "pipe: %s",
			    g_strerror(errno));
		return FALSE;
	}
	attempt = handover->attempt = g_new0(Attempt, 1);
	attempt->handover = handover;
	attempt->fd = pipe_fds[0];
	attempt->open = 2;
	attempt->process.data = attempt->ready.data = attempt;
	uv_poll_init(handover->loop, &attempt->ready, attempt->fd);
	status = spawn(handover, attempt, sockets, pipe_fds[1]);
	close(pipe_fds[1]);
	if (status < 0) {
		end_attempt(attempt);
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "%s: %s", handover->argv[0],
			    uv_strerror(status));
		return FALSE;
	}
	handover->left = WAIT_TICKS;
	uv_poll_start(&attempt->ready, UV_READABLE, on_ready);
	return TRUE;
}

void
sig_handover_tick(SigHandover *handover)
{
	if (handover->attempt && --handover->left == 0)
		finish(handover, FALSE);
}

void
sig_handover_say_ready(void)
{
	const char *text = g_getenv(READY_ENV);
	guint64 fd;

	if (!text || !g_ascii_string_to_unsigned(text, 10, SIG_INHERIT_FIRST, 1 << 20, &fd, NULL))
		return;
	g_unsetenv(READY_ENV);
	(void)!write((int)fd, "r", 1);
	close((int)fd);
}
