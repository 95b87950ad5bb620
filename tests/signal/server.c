/* SPDX-License-Identifier: MIT */
#include "tests/signal/server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct Server {
	char *config, *log;
	char **argv;
	struct sockaddr_in address;
	pid_t pid;  /* 0: none */
	int signal; /* it was sent; 0: none */
	guint generation;
};

/* One that is free now, on loopback. */
static struct sockaddr_in
choose_address(void)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof sa;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof sa) < 0 ||
	    getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
		g_error("no port: %s", g_strerror(errno));
	close(fd);
	return sa;
}

static char **
make_argv(char **command, char *config)
{
	guint n = g_strv_length(command);
	char **argv = g_new0(char *, n + 3);

	memcpy(argv, command, n * sizeof *command);
	argv[n] = (char *)"-c";
	argv[n + 1] = config;
	return argv;
}

Server *
server_new(const char *dir, char **command)
{
	Server *server = g_new0(Server, 1);
	g_autofree char *text = NULL;

	server->config = g_build_filename(dir, "signald.conf", NULL);
	server->log = g_build_filename(dir, "signald.log", NULL);
	server->argv = make_argv(command, server->config);
	server->address = choose_address();
	text = g_strdup_printf("[signald]\nlisten=127.0.0.1:%u\nstun=none\nname=signal.test\n"
			       "[limits]\ndrain=2\n",
			       ntohs(server->address.sin_port));
	if (!g_file_set_contents(server->config, text, -1, NULL))
		g_error("cannot write %s", server->config);
	return server;
}

void
server_free(Server *server)
{
	if (server->pid > 0) {
		kill(server->pid, SIGKILL);
		waitpid(server->pid, NULL, 0);
	}
	g_free(server->argv);
	g_free(server->config);
	g_free(server->log);
	g_free(server);
}

const struct sockaddr_in *
server_address(const Server *server)
{
	return &server->address;
}

/* In the child; all that happens between fork and exec is safe there. */
static void
become(const Server *server, pid_t parent)
{
	int fd = open(server->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent || fd < 0)
		_exit(126);
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	execvp(server->argv[0], server->argv);
	_exit(127);
}

void
server_start(Server *server)
{
	pid_t parent = getpid();

	server->signal = 0;
	server->pid = fork();
	if (server->pid < 0)
		g_error("fork: %s", g_strerror(errno));
	if (server->pid == 0)
		become(server, parent);
}

gboolean
server_serves(const Server *server)
{
	g_autofree char *text = NULL;

	return g_file_get_contents(server->log, &text, NULL, NULL) && strstr(text, "serving ");
}

void
server_kill(Server *server, int number)
{
	server->signal = number;
	server->generation++;
	kill(server->pid, number);
}

gboolean
server_is_ending(const Server *server)
{
	return server->pid == 0 || server->signal != 0;
}

guint
server_generation(const Server *server)
{
	return server->generation;
}

static char *
judge(const Server *server, int status)
{
	if (server->signal == SIGKILL)
		return NULL;
	if (server->signal == SIGTERM && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return NULL;
	return g_strdup_printf("the server %s: %s %d",
			       server->signal ? "did not end well" : "ended by itself",
			       WIFEXITED(status) ? "exit status" : "signal",
			       WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
}

gboolean
server_reap(Server *server, char **why)
{
	int status;

	if (server->pid == 0 || waitpid(server->pid, &status, WNOHANG) != server->pid)
		return FALSE;
	*why = judge(server, status);
	server->pid = 0;
	return TRUE;
}

guint
server_files(const Server *server)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/fd", server->pid);
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	guint n = 0;

	while (dir && g_dir_read_name(dir))
		n++;
	return n;
}

guint
server_memory(const Server *server)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/status", server->pid);
	g_autofree char *text = NULL;
	const char *line;

	if (!g_file_get_contents(path, &text, NULL, NULL))
		return 0;
	line = strstr(text, "RssAnon:");
	return line ? (guint)strtoul(line + strlen("RssAnon:"), NULL, 10) : 0;
}
