/* SPDX-License-Identifier: MIT */
/*
 * InnPoll: when the innernet server is asked next. It costs the server a scan of its peers each
 * time, so: every 2 s for as long as that may bring something (a peer lacks a path and something
 * changed lately), less and less often while nothing comes of it; every 5 s while a tunnel is in
 * use whose peer could say by its record alone that it has moved; else every 30 s; with back-off
 * while the server does not answer. Pure; any thread.
 */
#pragma once

#include <glib.h>

typedef struct {
	guint ms;	/* the last pause */
	guint failures; /* in a row */
	gint64 event_us;
} InnPoll;

typedef struct {
	gboolean failed;      /* the last call */
	gboolean unconnected; /* some peer without a path */
	gboolean in_use; /* some tunnel of a peer that has nothing but its beacon to say that it
			  * has moved */
} InnPollFacts;

#define INN_POLL_FAST_MS 2000
#define INN_POLL_USED_MS 5000
#define INN_POLL_REST_MS 30000
#define INN_POLL_KEEN_US (60 * (gint64)G_USEC_PER_SEC) /* after an event */

/* Something happened (a start, another network, a peer's new beacon, a path lost). */
void inn_poll_event(InnPoll *poll, gint64 now_us);
/* Milliseconds until the next call; to be asked once after each. */
guint inn_poll_next(InnPoll *poll, const InnPollFacts *facts, gint64 now_us);
