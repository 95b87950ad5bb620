/* SPDX-License-Identifier: MIT */
/*
 * GLib's pool workers stay in the network namespace of the thread that caused them and later serve
 * everybody. So nothing that runs in the ICE thread may start one (nat-ice-ns.h); here is what
 * happens where something does.
 */
#include "tests/platform/prove.h"

#include <gio/gio.h>
#include <net/if.h>

#define DEADLINE_US (10 * G_USEC_PER_SEC)
#define PAUSE_US 10000

static void
look(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
	g_task_return_boolean(task, if_nametoindex("pw0") != 0);
}

/* Whether a pool worker sees the interface that only the main thread's namespace has. */
static gboolean
worker_sees(void)
{
	g_autoptr(GTask) task = g_task_new(NULL, NULL, NULL, NULL);

	g_task_run_in_thread_sync(task, look);
	return g_task_propagate_boolean(task, NULL);
}

static gpointer
private_thread(gpointer data)
{
	if (unshare(CLONE_NEWNET) != 0)
		g_error("unshare: %s", g_strerror(errno));
	return GINT_TO_POINTER(worker_sees());
}

/* GLib takes a new worker while the old one is still on its way back to its queue: ask again until
 * the old one serves. */
static gboolean
main_is_served_from_there(void)
{
	gint64 deadline = g_get_monotonic_time() + DEADLINE_US;

	while (worker_sees()) {
		if (g_get_monotonic_time() > deadline)
			return FALSE;
		g_usleep(PAUSE_US);
	}
	return TRUE;
}

int
main(void)
{
	gboolean there;

	prove_in_fresh_namespace();
	net_run("ip link add pw0 type veth peer name pw1");
	there = GPOINTER_TO_INT(g_thread_join(g_thread_new("private", private_thread, NULL)));
	return prove(!there && main_is_served_from_there(),
		     "a worker started from a private namespace serves the main thread from there")
		       ? 0
		       : 1;
}
