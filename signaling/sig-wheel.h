/* SPDX-License-Identifier: MIT */
/*
 * SigWheel: one timer for all connections, in ticks of a second: setting and cancelling cost the
 * same with 20,000 as with one (libwebsockets keeps its timers in one sorted list and walks it).
 * Pure: the server calls sig_wheel_tick() once a second.
 */
#pragma once

#include <glib.h>

typedef struct SigWheel SigWheel;

/* Embedded in its owner; all zero is "not set". */
typedef struct SigTimer {
	struct SigTimer *prev, *next;
	guint64 due; /* tick */
} SigTimer;

typedef void (*SigWheelFunc)(SigTimer *timer, gpointer user_data);

SigWheel *sig_wheel_new(void);
void sig_wheel_free(SigWheel *wheel); /* no timer may be set */
/* Fires in `ticks` ticks (at least one), once; replaces an earlier setting. */
void sig_wheel_set(SigWheel *wheel, SigTimer *timer, guint ticks);
void sig_wheel_cancel(SigTimer *timer);
/* Advances by one tick and calls func for each timer that is due; func may set and cancel any. */
void sig_wheel_tick(SigWheel *wheel, SigWheelFunc func, gpointer user_data);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SigWheel, sig_wheel_free)
