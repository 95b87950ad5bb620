/* SPDX-License-Identifier: MIT */
/*
 * A real TURN server (coturn) in the calling thread's network namespace, with all it writes in a
 * directory of its own.
 */
#pragma once

#include "tests/unit/net-util.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

typedef struct {
	GPid pid; /* 0: not running */
	char *dir;
} Coturn;

static inline gboolean
coturn_is_there(void)
{
	g_autofree char *path = g_find_program_in_path("turnserver");

	if (!path)
		g_test_skip("needs coturn");
	return path != NULL;
}

/* For the address and the name relay.test. */
static inline char *
coturn_certificate(Coturn *turn, const char *ip)
{
	char *cert = g_build_filename(turn->dir, "cert.pem", NULL);

	if (!g_file_test(cert, G_FILE_TEST_EXISTS))
		net_run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes "
			"-days 2 -subj /CN=relay.test -addext subjectAltName=DNS:relay.test,IP:%s "
			"-keyout %s/key.pem -out %s",
			ip, turn->dir, cert);
	return cert;
}

static inline gboolean
coturn_answers(const char *ip)
{
	g_autofree char *text = g_strdup_printf("%s:3478", ip);
	WgEndpoint ep = net_ep(text);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	gboolean ok = connect(fd, &ep.sa, wg_endpoint_socklen(&ep)) == 0;

	close(fd);
	return ok;
}

/* A test that aborts leaves nothing behind. */
static inline void
coturn_dies_with_us(gpointer user_data)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/* user: "NAME:SECRET". extra: one more option, or NULL. Waits until it serves. */
static inline void
coturn_start(Coturn *turn, const char *ip, const char *user, const char *extra)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *cert = NULL, *command = NULL;
	g_auto(GStrv) argv = NULL;
	gint64 end = g_get_monotonic_time() + 20 * G_TIME_SPAN_SECOND;

	if (!turn->dir)
		turn->dir = g_dir_make_tmp("coturn-XXXXXX", &error);
	g_assert_no_error(error);
	cert = coturn_certificate(turn, ip);
	command = g_strdup_printf(
		"turnserver -n --no-cli --simple-log --log-file %s/log --pidfile %s/pid "
		"--userdb %s/db --listening-ip %s --relay-ip %s --listening-port 3478 "
		"--tls-listening-port 5349 --cert %s --pkey %s/key.pem --no-dtls -a "
		"--realm test --user %s %s",
		turn->dir, turn->dir, turn->dir, ip, ip, cert, turn->dir, user, extra ? extra : "");
	g_assert_true(g_shell_parse_argv(command, NULL, &argv, NULL));
	g_spawn_async(turn->dir, argv, NULL,
		      G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDOUT_TO_DEV_NULL |
			      G_SPAWN_STDERR_TO_DEV_NULL,
		      coturn_dies_with_us, NULL, &turn->pid, &error);
	g_assert_no_error(error);
	while (!coturn_answers(ip)) {
		g_assert_cmpint(g_get_monotonic_time(), <, end);
		g_usleep(10000);
	}
}

static inline void
coturn_kill(Coturn *turn)
{
	if (turn->pid == 0)
		return;
	kill(turn->pid, SIGKILL);
	waitpid(turn->pid, NULL, 0);
	turn->pid = 0;
}

static inline void
coturn_clear(Coturn *turn)
{
	coturn_kill(turn);
	if (turn->dir)
		net_run("rm -r %s", turn->dir);
	g_clear_pointer(&turn->dir, g_free);
}
