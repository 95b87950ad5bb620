/* SPDX-License-Identifier: MIT */
#include "tests/bench/proc.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int64_t
proc_cpu_ns(int pid)
{
	char path[512];
	int64_t sum = 0, ns;
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof path, "/proc/%d/task", pid);
	dir = opendir(path);
	if (!dir) {
		perror(path);
		exit(1);
	}
	while ((entry = readdir(dir)) != NULL) {
		FILE *file;

		if (entry->d_name[0] == '.') /* ".." has a schedstat too, of the first thread */
			continue;
		snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", pid, entry->d_name);
		file = fopen(path, "re");
		if (file && fscanf(file, "%" SCNd64, &ns) == 1)
			sum += ns;
		if (file)
			fclose(file);
	}
	closedir(dir);
	return sum;
}

int64_t
proc_user_ns(int pid)
{
	char path[64], line[1024];
	unsigned long ticks = 0;
	const char *rest = NULL;
	FILE *stream;

	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	stream = fopen(path, "re");
	if (stream && fgets(line, sizeof line, stream))
		rest = strrchr(line, ')'); /* the name may hold anything */
	if (!rest ||
	    sscanf(rest, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu", &ticks) != 1) {
		perror(path);
		exit(1);
	}
	fclose(stream);
	return (int64_t)ticks * (1000000000 / sysconf(_SC_CLK_TCK));
}

unsigned long
proc_kb(int pid, const char *file, const char *name)
{
	char path[64], line[256];
	unsigned long kb = 0;
	FILE *stream;

	snprintf(path, sizeof path, "/proc/%d/%s", pid, file);
	stream = fopen(path, "re");
	if (!stream) {
		perror(path);
		exit(1);
	}
	while (fgets(line, sizeof line, stream))
		if (strncmp(line, name, strlen(name)) == 0)
			kb = strtoul(line + strlen(name), NULL, 10);
	fclose(stream);
	return kb;
}
