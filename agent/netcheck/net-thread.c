/* SPDX-License-Identifier: MIT */
#include "agent/netcheck/net-thread.h"

typedef struct {
	NetThreadFunc work, done;
	gpointer data;
	GThread *thread;
} Job;

static gboolean
on_done(gpointer user_data)
{
	Job *job = user_data;
	NetThreadFunc done = job->done;
	gpointer data = job->data;

	g_thread_join(job->thread);
	g_free(job);
	done(data);
	return G_SOURCE_REMOVE;
}

static gpointer
run(gpointer user_data)
{
	Job *job = user_data;

	job->work(job->data);
	g_idle_add_full(G_PRIORITY_DEFAULT, on_done, job, NULL);
	return NULL;
}

/* The main loop runs in the thread that calls this, so on_done comes after job->thread is set. */
void
net_thread_run(const char *name, NetThreadFunc work, NetThreadFunc done, gpointer data)
{
	Job *job = g_new0(Job, 1);

	*job = (Job){.work = work, .done = done, .data = data};
	job->thread = g_thread_new(name, run, job);
}
