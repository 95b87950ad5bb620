/* SPDX-License-Identifier: MIT */
/*
 * stamp FILE COMMAND…: writes "MONOTONIC REALTIME" in seconds to FILE and becomes COMMAND, so that
 * its age is known to the microsecond, in the agents' clock and in the captures'.
 */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static double
seconds(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

int
main(int argc, char **argv)
{
	FILE *file;

	if (argc < 3) {
		fputs("usage: stamp FILE COMMAND...\n", stderr);
		return 2;
	}
	file = fopen(argv[1], "we");
	if (!file) {
		perror(argv[1]);
		return 1;
	}
	fprintf(file, "%.6f %.6f\n", seconds(CLOCK_MONOTONIC), seconds(CLOCK_REALTIME));
	if (fclose(file) != 0) {
		perror(argv[1]);
		return 1;
	}
	execvp(argv[2], argv + 2);
	perror(argv[2]);
	return 127;
}
