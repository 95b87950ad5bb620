/* SPDX-License-Identifier: MIT */
/*
 * The built nat-signald as a process, on loopback ports of the kernel's choice; the environment's
 * NAT_SIGNALD, if set, names another build of it (tests/run: one with sanitizers).
 */
#pragma once

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static inline const char *
server_program(void)
{
	const char *other = g_getenv("NAT_SIGNALD");

	return other && *other ? other : NAT_SIGNALD;
}

typedef struct {
	GSubprocess *process;
	GDataInputStream *log;
	guint16 port, stun[2], metrics;
	/* may be set before the start: */
	rlim_t files;	      /* all it is allowed to open */
	gboolean obeys_modes; /* of files, though it be root */
} Server;

static inline char *
read_line(Server *server)
{
	return g_data_input_stream_read_line(server->log, NULL, NULL, NULL);
}

/* The server must not survive a test that fails. */
static inline void
die_with_parent(gpointer unused)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static inline void
in_child(gpointer p)
{
	const Server *server = p;
	const struct rlimit limit = {server->files, server->files};

	die_with_parent(NULL);
	if (server->files > 0)
		setrlimit(RLIMIT_NOFILE, &limit);
	if (server->obeys_modes) { /* who may not drop them has none */
		prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE);
		prctl(PR_CAPBSET_DROP, CAP_DAC_READ_SEARCH);
	}
}

static inline guint16
port_after(const char *line, const char *what)
{
	const char *at = strstr(line, what);

	return at ? (guint16)atoi(at + strlen(what)) : 0;
}

/* Reads its log up to the line that tells the ports. */
static inline void
server_wait_serving(Server *server)
{
	for (;;) {
		g_autofree char *line = read_line(server);
		const char *at;

		g_assert_nonnull(line);
		at = strstr(line, "serving ws");
		if (!at || !strstr(at, "://"))
			continue;
		server->port = port_after(at, "://127.0.0.1:");
		server->metrics = port_after(at, "http://127.0.0.1:");
		server->stun[0] = port_after(at, "UDP ");
		at = strstr(at, "UDP ");
		at = at ? at + strcspn(at, ",;") : NULL;
		server->stun[1] = at && *at == ',' ? (guint16)atoi(at + 1) : 0;
		return;
	}
}

/* Extra arguments end with NULL. */
static inline void
server_start(Server *server, const char *const *args)
{
	g_autoptr(GPtrArray) argv = g_ptr_array_new();
	g_autoptr(GSubprocessLauncher) launcher = NULL;
	g_autoptr(GError) error = NULL;

	g_ptr_array_add(argv, (gpointer)server_program());
	g_ptr_array_add(argv, (gpointer) "--listen=127.0.0.1:0");
	g_ptr_array_add(argv, (gpointer) "--stun=127.0.0.1:0");
	g_ptr_array_add(argv, (gpointer) "--metrics=0");
	for (guint i = 0; args && args[i]; i++)
		g_ptr_array_add(argv, (gpointer)args[i]);
	g_ptr_array_add(argv, NULL);
	launcher = g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDERR_PIPE);
	g_subprocess_launcher_set_child_setup(launcher, in_child, server, NULL);
	server->process =
		g_subprocess_launcher_spawnv(launcher, (const char *const *)argv->pdata, &error);
	g_assert_no_error(error);
	server->log = g_data_input_stream_new(g_subprocess_get_stderr_pipe(server->process));
	server_wait_serving(server);
}

static inline void
server_stop(Server *server)
{
	g_subprocess_send_signal(server->process, SIGTERM);
	g_assert_true(g_subprocess_wait(server->process, NULL, NULL));
	g_assert_cmpint(g_subprocess_get_exit_status(server->process), ==, 0);
	g_object_unref(server->log);
	g_object_unref(server->process);
}

/* ---- its configuration ---- */

static inline char *
write_config(const char *text)
{
	char *file = NULL;
	int fd = g_file_open_tmp("signald-XXXXXX", &file, NULL);

	g_assert_cmpint(fd, >=, 0);
	g_close(fd, NULL);
	g_assert_true(g_file_set_contents(file, text, -1, NULL));
	return file;
}

static inline void
server_start_with(Server *server, const char *config)
{
	g_autofree char *file = write_config(config);
	g_autofree char *arg = g_strdup_printf("--config=%s", file);
	const char *args[] = {arg, NULL};

	server_start(server, args);
	g_unlink(file);
}

/* ---- what it uses ---- */

static inline void
set_files(const Server *server, rlim_t n)
{
	const int pid = atoi(g_subprocess_get_identifier(server->process));
	const struct rlimit limit = {n, 4096};

	g_assert_cmpint(prlimit(pid, RLIMIT_NOFILE, &limit, NULL), ==, 0);
}

static inline rlim_t
files_in_use(const Server *server)
{
	g_autofree char *path =
		g_strdup_printf("/proc/%s/fd", g_subprocess_get_identifier(server->process));
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *name;
	rlim_t n = 0;

	g_assert_nonnull(dir);
	while ((name = g_dir_read_name(dir)))
		n = MAX(n, (rlim_t)atoi(name) + 1);
	return n;
}

/* Open descriptors. */
static inline guint
server_files(const Server *server)
{
	g_autofree char *path =
		g_strdup_printf("/proc/%s/fd", g_subprocess_get_identifier(server->process));
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	guint n = 0;

	g_assert_nonnull(dir);
	while (g_dir_read_name(dir))
		n++;
	return n;
}

/* kB of memory that are its own. */
static inline guint
server_memory(const Server *server)
{
	g_autofree char *path =
		g_strdup_printf("/proc/%s/status", g_subprocess_get_identifier(server->process));
	g_autofree char *text = NULL;

	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	return atoi(strstr(text, "RssAnon:") + strlen("RssAnon:"));
}

/* ---- what it says at its end ---- */

typedef struct {
	guint accepted, logins, routed, unavailable;
	guint rate, address, destination, queue; /* of those */
	guint refused, turned_away, connect;	 /* connections; the last of the second */
} Ended;

static inline void
server_stop_counted(Server *server, Ended *out)
{
	g_autoptr(GDataInputStream) log = g_object_ref(server->log);

	memset(out, 0, sizeof *out);
	server_stop(server);
	for (;;) {
		g_autofree char *line = g_data_input_stream_read_line(log, NULL, NULL, NULL);
		const char *at;

		g_assert_nonnull(line);
		at = strstr(line, "ended: ");
		if (!at)
			continue;
		g_assert_cmpint(sscanf(at,
				       "ended: %u connections, %u logins, %u messages routed, %u "
				       "not deliverable (%u too fast, %u from a fast address, %u "
				       "to a key with too many, %u to a full queue), %u "
				       "connections refused, %u turned away (%u from",
				       &out->accepted, &out->logins, &out->routed,
				       &out->unavailable, &out->rate, &out->address,
				       &out->destination, &out->queue, &out->refused,
				       &out->turned_away, &out->connect),
				==, 11);
		return;
	}
}
