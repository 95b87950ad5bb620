/* SPDX-License-Identifier: MIT */
/* What the tests of port mapping share: the main loop turned by hand, and a state directory's end.
 */
#pragma once

#include <glib/gstdio.h>

#include "agent/portmap/map-state.h"

#define DEADLINE_US (60 * G_USEC_PER_SEC)

static inline gboolean
on_turn(gpointer user_data)
{
	return G_SOURCE_REMOVE;
}

static inline void
turn(void)
{
	g_timeout_add(10, on_turn, NULL);
	g_main_context_iteration(NULL, TRUE);
}

#define UNTIL(condition)                                                                           \
	for (gint64 end_ = g_get_monotonic_time() + DEADLINE_US; !(condition);) {                  \
		g_assert_cmpint(g_get_monotonic_time(), <, end_);                                  \
		turn();                                                                            \
	}

static inline void
turn_for(guint ms)
{
	for (gint64 end = g_get_monotonic_time() + ms * 1000; g_get_monotonic_time() < end;)
		turn();
}

/* Nothing but state files may be in it. dir (transfer full) */
static inline void
remove_state_dir(char *dir)
{
	g_auto(GStrv) names = map_state_list(dir);

	for (guint i = 0; names[i]; i++) {
		g_autofree char *path = g_build_filename(dir, names[i], NULL);

		g_remove(path);
	}
	g_assert_cmpint(g_rmdir(dir), ==, 0);
	g_free(dir);
}
