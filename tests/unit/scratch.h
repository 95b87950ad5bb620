/* SPDX-License-Identifier: MIT */
/* A test's own directory, as g_dir_make_tmp() makes it, with files in it and nothing else. */
#pragma once

#include <glib.h>
#include <glib/gstdio.h>

static inline guint
scratch_count(const char *path)
{
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	guint n = 0;

	g_assert_nonnull(dir);
	while (g_dir_read_name(dir) != NULL)
		n++;
	return n;
}

/* (transfer full); it may be gone already. */
static inline void
scratch_remove(char *path)
{
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *name;

	while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
		g_autofree char *file = g_build_filename(path, name, NULL);

		g_assert_cmpint(g_remove(file), ==, 0);
	}
	if (dir != NULL)
		g_assert_cmpint(g_rmdir(path), ==, 0);
	g_free(path);
}
