/* SPDX-License-Identifier: MIT */
#include "agent/base/nat-state-file.h"

#include <errno.h>
#include <glib/gstdio.h>

#define FILE_MAX (4 << 20) /* peers by the thousand */

struct NatStateFile {
	char *dir, *path; /* NULL: memory only */
	char *cost;
	char *damage;
	gboolean unsaved; /* the last write failed, and was told */
	GKeyFile *keys;
};

/* The disk may have room again by the next one. */
static void
failed(NatStateFile *file, const char *what, const char *problem)
{
	if (!file->unsaved)
		g_warning("%s: %s: %s; make the state directory writable, or set state_dir", what,
			  problem, file->cost);
	file->unsaved = TRUE;
}

static void
succeeded(NatStateFile *file)
{
	if (file->unsaved)
		g_message("%s is kept again", file->path);
	file->unsaved = FALSE;
}

static void
load(NatStateFile *file)
{
	g_autoptr(GKeyFile) keys = g_key_file_new();
	g_autoptr(GError) error = NULL;
	GStatBuf st;

	if (!file->path)
		return;
	g_key_file_unref(file->keys);
	file->keys = g_key_file_new();
	g_clear_pointer(&file->damage, g_free);
	if (g_stat(file->path, &st) < 0)
		return;
	if (!S_ISREG(st.st_mode) || st.st_size > FILE_MAX ||
	    !g_key_file_load_from_file(keys, file->path, G_KEY_FILE_NONE, &error)) {
		g_free(file->damage);
		file->damage = g_strdup(error ? error->message : "not a file of ours");
		return;
	}
	g_key_file_unref(file->keys);
	file->keys = g_steal_pointer(&keys);
}

NatStateFile *
nat_state_file_new(const char *state_dir, const char *name, const char *cost)
{
	NatStateFile *file = g_new0(NatStateFile, 1);

	file->keys = g_key_file_new();
	file->cost = g_strdup(cost);
	if (!state_dir)
		return file;
	file->dir = g_strdup(state_dir);
	file->path = g_build_filename(state_dir, name, NULL);
	load(file);
	return file;
}

NatStateFile *
nat_state_file_new_for_key(const char *state_dir, const char *kind, const WgKey *own_public,
			   const char *cost)
{
	char hex[WG_KEY_HEXLEN];
	g_autofree char *name =
		g_strdup_printf("%s-%.16s.conf", kind, wg_key_format_hex(own_public, hex));

	return nat_state_file_new(state_dir, name, cost);
}

void
nat_state_file_free(NatStateFile *file)
{
	if (!file)
		return;
	g_key_file_unref(file->keys);
	g_free(file->dir);
	g_free(file->path);
	g_free(file->cost);
	g_free(file->damage);
	g_free(file);
}

GKeyFile *
nat_state_file_keys(NatStateFile *file)
{
	return file->keys;
}

const char *
nat_state_file_damage(const NatStateFile *file)
{
	return file->damage;
}

static gboolean
is_empty(GKeyFile *keys)
{
	g_auto(GStrv) groups = g_key_file_get_groups(keys, NULL);

	return groups[0] == NULL;
}

void
nat_state_file_save(NatStateFile *file)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *text = NULL;
	gsize len;

	if (!file->path)
		return;
	if (is_empty(file->keys)) {
		if (g_unlink(file->path) < 0 && errno != ENOENT)
			failed(file, file->path, g_strerror(errno));
		else
			succeeded(file);
		return;
	}
	if (g_mkdir_with_parents(file->dir, 0700) < 0) {
		failed(file, file->dir, g_strerror(errno));
		return;
	}
	text = g_key_file_to_data(file->keys, &len, NULL);
	if (!g_file_set_contents_full(file->path, text, (gssize)len, G_FILE_SET_CONTENTS_CONSISTENT,
				      0600, &error))
		failed(file, file->path, error->message);
	else
		succeeded(file);
}

/* What could not be written yet is newer than what is there. */
void
nat_state_file_reload(NatStateFile *file)
{
	if (file->unsaved)
		nat_state_file_save(file);
	else
		load(file);
}
