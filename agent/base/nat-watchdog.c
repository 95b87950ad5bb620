/* SPDX-License-Identifier: MIT */
/*
 * A question goes round: a timer of the host thread posts it to the other thread, which posts it
 * back; its return is the sign of life of both. It is a box of its own, so that it may come back to
 * a watchdog that is gone.
 */
#include "agent/base/nat-watchdog.h"

#include <systemd/sd-daemon.h>

#define QUESTIONS_PER_INTERVAL 3

/* Its reference count alone is touched by both threads. */
typedef struct {
	NatWatchdog *watchdog; /* NULL: gone; read and written by the host thread */
} Question;

struct NatWatchdog {
	GMainContext *other;
	Question *question; /* on its way; NULL: none is */
	guint timer;
	void (*alive)(gpointer);
	gpointer user_data;
};

static void
post(GMainContext *context, GSourceFunc func, Question *question)
{
	g_autoptr(GSource) source = g_idle_source_new();

	g_source_set_priority(source, G_PRIORITY_DEFAULT);
	g_source_set_static_name(source, "nat-watchdog");
	g_source_set_callback(source, func, g_atomic_rc_box_acquire(question),
			      (GDestroyNotify)g_atomic_rc_box_release);
	g_source_attach(source, context);
}

/* in the host thread */
static gboolean
come_back(gpointer data)
{
	Question *question = data;
	NatWatchdog *watchdog = question->watchdog;

	if (watchdog == NULL)
		return G_SOURCE_REMOVE;
	g_clear_pointer(&watchdog->question, g_atomic_rc_box_release);
	watchdog->alive(watchdog->user_data);
	return G_SOURCE_REMOVE;
}

/* in the other thread */
static gboolean
answer(gpointer data)
{
	post(NULL, come_back, data);
	return G_SOURCE_REMOVE;
}

static gboolean
ask(gpointer user_data)
{
	NatWatchdog *watchdog = user_data;

	if (watchdog->question != NULL)
		return G_SOURCE_CONTINUE;
	watchdog->question = g_atomic_rc_box_new0(Question);
	watchdog->question->watchdog = watchdog;
	post(watchdog->other, answer, watchdog->question);
	return G_SOURCE_CONTINUE;
}

NatWatchdog *
nat_watchdog_new(GMainContext *other, guint64 interval_us, void (*alive)(gpointer),
		 gpointer user_data)
{
	NatWatchdog *watchdog = g_new0(NatWatchdog, 1);
	guint64 period_ms = interval_us / 1000 / QUESTIONS_PER_INTERVAL;

	watchdog->other = g_main_context_ref(other);
	watchdog->alive = alive;
	watchdog->user_data = user_data;
	watchdog->timer = g_timeout_add((guint)CLAMP(period_ms, 1, G_MAXUINT), ask, watchdog);
	return watchdog;
}

static void
tell_systemd(gpointer user_data)
{
	sd_notify(0, "WATCHDOG=1");
}

NatWatchdog *
nat_watchdog_new_for_service(GMainContext *other)
{
	uint64_t interval_us = 0;

	if (sd_watchdog_enabled(0, &interval_us) <= 0)
		return NULL;
	return nat_watchdog_new(other, interval_us, tell_systemd, NULL);
}

void
nat_watchdog_free(NatWatchdog *watchdog)
{
	if (watchdog == NULL)
		return;
	g_source_remove(watchdog->timer);
	if (watchdog->question != NULL) {
		watchdog->question->watchdog = NULL;
		g_atomic_rc_box_release(watchdog->question);
	}
	g_main_context_unref(watchdog->other);
	g_free(watchdog);
}
