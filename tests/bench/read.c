/* SPDX-License-Identifier: MIT */
/*
 * read IF TIMES [COMMAND…]: reads the device TIMES times through wgctl, as the agent does once a
 * second, or runs COMMAND as often instead. Prints microseconds for one time: on the CPU, and by
 * the clock.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "wgctl/wg-ctl.h"

static double
cpu_us(int who)
{
	struct rusage ru;

	getrusage(who, &ru);
	return (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1e6 +
	       (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec);
}

static gboolean
read_device(const char *ifname, int times)
{
	g_autoptr(WgCtl) ctl = wg_ctl_new(ifname);

	for (int i = 0; i < times; i++) {
		g_autoptr(GError) error = NULL;
		g_autoptr(WgDevice) device = wg_ctl_read(ctl, &error);

		if (device == NULL) {
			fprintf(stderr, "read: %s\n", error->message);
			return FALSE;
		}
	}
	return TRUE;
}

static gboolean
run(char **argv, int times)
{
	for (int i = 0; i < times; i++) {
		int status;
		pid_t pid = fork();

		if (pid == 0) {
			if (freopen("/dev/null", "w", stdout) != NULL)
				execvp(argv[0], argv);
			_exit(127);
		}
		if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
			fprintf(stderr, "read: %s failed\n", argv[0]);
			return FALSE;
		}
	}
	return TRUE;
}

int
main(int argc, char **argv)
{
	int who = argc > 3 ? RUSAGE_CHILDREN : RUSAGE_SELF;
	int times = argc < 3 ? 0 : atoi(argv[2]);
	gint64 began;
	double cpu;

	if (times <= 0) {
		fputs("usage: read IF TIMES [COMMAND...]\n", stderr);
		return 2;
	}
	if (argc == 3 && !read_device(argv[1], 1)) /* the first one opens sockets */
		return 1;
	began = g_get_monotonic_time();
	cpu = cpu_us(who);
	if (argc > 3 ? !run(argv + 3, times) : !read_device(argv[1], times))
		return 1;
	printf("%.1f %.1f\n", (cpu_us(who) - cpu) / times,
	       (double)(g_get_monotonic_time() - began) / times);
	return 0;
}
