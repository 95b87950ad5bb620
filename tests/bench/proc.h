/* SPDX-License-Identifier: MIT */
/* What a process costs, by /proc; each call ends the program when the process is gone. */
#pragma once

#include <stdint.h>

/* All threads; those that ended are not counted. */
int64_t proc_cpu_ns(int pid);
/* Its share in user space, of all threads that ever were; in steps of the clock's tick (10 ms). */
int64_t proc_user_ns(int pid);
/* A line of /proc/PID/FILE, "NAME 123 kB". */
unsigned long proc_kb(int pid, const char *file, const char *name);
