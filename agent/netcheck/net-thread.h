/* SPDX-License-Identifier: MIT */
/* Blocking work beside the main loop. */
#pragma once

#include <glib.h>

typedef void (*NetThreadFunc)(gpointer data);

/* Runs work(data) in a thread of its own, and then done(data) from the main loop. Between the two
 * nobody else may touch what the work does. */
void net_thread_run(const char *name, NetThreadFunc work, NetThreadFunc done, gpointer data);
