/* SPDX-License-Identifier: MIT */
/*
 * A node of the laboratory (lib.sh), and what runs in it. One program for what would otherwise take
 * unshare, mount, ip, nsenter, env and a shell: starting programs is most of what a scenario costs.
 *
 *   node hold NAME READY         a network, mount, PID and UTS namespace; its PID 1 says "NAME PID"
 *                                into READY, PID as the machine sees it, and reaps until it is
 * killed node daemon PID FILE CMD…    CMD inside the node whose PID 1 is PID; its PID in there into
 * FILE
 *
 * A holder dies with whoever started it, and with it all that runs in the node; but where LAB_KEEP
 * is set it has a session of its own instead.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void
put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_CREAT | O_TRUNC, 0644);
	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) || close(fd))
		err(1, "%s", path);
}

/* What this kernel has of it: no bridges' filter without its module, no IPv6 on some machines. */
static void
put_sysctl(const char *name, const char *value)
{
	char path[128];
	snprintf(path, sizeof path, "/proc/sys/net/%s", name);
	if (access(path, F_OK) == 0)
		put(path, value);
}

static void
set_sysctls(void)
{
	static const char *const conf[] = {
		"ipv4/conf/%s/rp_filter", "ipv4/conf/%s/accept_redirects",
		"ipv4/conf/%s/send_redirects",
		/* Addresses are given out by the lab: nothing to detect, nothing to wait for. */
		"ipv6/conf/%s/accept_dad", "ipv6/conf/%s/accept_ra", "ipv6/conf/%s/disable_ipv6"};
	static const char *const which[] = {"all", "default"};
	char name[96];
	for (size_t w = 0; w < sizeof which / sizeof *which; w++)
		for (size_t c = 0; c < sizeof conf / sizeof *conf; c++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
			snprintf(name, sizeof name, conf[c], which[w]);
#pragma GCC diagnostic pop
			put_sysctl(name, "0");
		}
	/* Frames between two hosts of one LAN must not meet the router's NAT rules. */
	put_sysctl("bridge/bridge-nf-call-iptables", "0");
	put_sysctl("bridge/bridge-nf-call-ip6tables", "0");
	put_sysctl("ipv4/ping_group_range", "0 2147483647");
}

static void
must_mount(const char *source, const char *target, const char *type, unsigned long flags,
	   const char *data)
{
	if (mount(source, target, type, flags, data))
		err(1, "mount %s", target);
}

static void
must_mkdir(const char *path)
{
	if (mkdir(path, 0755))
		err(1, "mkdir %s", path);
}

static void
raise_loopback(void)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request))
		err(1, "lo");
	close(fd);
}

/* The node's private view of the machine. */
static void
furnish(const char *name)
{
	must_mount("proc", "/proc", "proc", 0, NULL);
	must_mount("tmpfs", "/run", "tmpfs", 0, "mode=755");
	must_mkdir("/run/wireguard");
	must_mkdir("/run/state");
	must_mkdir("/run/state/nat-agent");
	must_mkdir("/run/lock");
	/* Daemons run as root: one that takes /dev/null for its own file must not remove the
	 * machine's. */
	must_mount("/dev/null", "/dev/null", NULL, MS_BIND, NULL);
	if (sethostname(name, strlen(name)))
		err(1, "host name %s", name);
	set_sysctls();
	raise_loopback();
}

static void
be_the_first(const char *name, const char *ready)
{
	char self[32] = "", line[128];
	sigset_t child;
	/* still the machine's /proc: our PID out there */
	if (readlink("/proc/self", self, sizeof self - 1) < 0)
		err(1, "/proc/self");
	furnish(name);
	/* PID 1 gets no signal that it does not handle, but for SIGKILL from outside. */
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	snprintf(line, sizeof line, "%s %s\n", name, self);
	put(ready, line);
	for (;;) {
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		sigwaitinfo(&child, NULL);
	}
}

/* The child's end is ours; stops of the child are nobody's business. */
static int
wait_for(pid_t child)
{
	int status;
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			err(1, "wait");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int
is_kept(void)
{
	const char *keep = getenv("LAB_KEEP");

	return keep && *keep;
}

static void
die_with_parent(void)
{
	if (is_kept())
		setsid();
	else
		prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static int
hold(const char *name, const char *ready)
{
	die_with_parent();
	if (unshare(CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWPID))
		err(1, "unshare");
	must_mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
	pid_t child = fork();
	if (child < 0)
		err(1, "fork");
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		be_the_first(name, ready);
	}
	return wait_for(child);
}

static void
enter(const char *pid)
{
	static const char *const kinds[] = {"pid", "net", "uts", "mnt"};
	int fds[4];
	char path[64], cwd[4096];
	if (!getcwd(cwd, sizeof cwd))
		err(1, "getcwd");
	for (int i = 0; i < 4; i++) {
		snprintf(path, sizeof path, "/proc/%s/ns/%s", pid, kinds[i]);
		if ((fds[i] = open(path, O_RDONLY | O_CLOEXEC)) < 0)
			err(1, "%s", path);
	}
	for (int i = 0; i < 4; i++)
		if (setns(fds[i], 0))
			err(1, "%s namespace of %s", kinds[i], pid);
	if (chdir(cwd))
		err(1, "%s", cwd);
}

/* The shell that starts us in the background may ignore these: a daemon must not inherit that. */
static void
heed_signals(void)
{
	signal(SIGINT, SIG_DFL);
	signal(SIGQUIT, SIG_DFL);
}

static int
run_daemon(const char *pid, const char *pid_file, char **command)
{
	char own[32];
	if (is_kept())
		setsid();
	enter(pid);
	pid_t child = fork();
	if (child < 0)
		err(1, "fork");
	if (child > 0)
		return wait_for(child);
	heed_signals();
	setenv("STATE_DIRECTORY", "/run/state/nat-agent", 1);
	snprintf(own, sizeof own, "%d\n", getpid());
	put(pid_file, own);
	execvp(command[0], command);
	err(127, "%s", command[0]);
}

int
main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "hold") == 0)
		return hold(argv[2], argv[3]);
	if (argc >= 5 && strcmp(argv[1], "daemon") == 0)
		return run_daemon(argv[2], argv[3], argv + 4);
	fprintf(stderr, "usage: node hold NAME READY | node daemon PID FILE COMMAND…\n");
	return 2;
}
