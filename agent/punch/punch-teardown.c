/* SPDX-License-Identifier: MIT */
#include "agent/punch/punch-teardown.h"

#include "agent/base/nat-state-file.h"
#include "agent/punch/punch-flows.h"

#define COST "what is removed is looked for again"

/* The files of all interfaces, of the present key or an older one. (transfer full) */
static GPtrArray *
open_files(const char *state_dir)
{
	GPtrArray *files = g_ptr_array_new_with_free_func((GDestroyNotify)nat_state_file_free);
	g_autoptr(GDir) dir = g_dir_open(state_dir, 0, NULL);
	const char *name;

	while (dir != NULL && (name = g_dir_read_name(dir)) != NULL)
		if (g_str_has_prefix(name, PUNCH_FLOWS_KIND "-") && g_str_has_suffix(name, ".conf"))
			g_ptr_array_add(files, nat_state_file_new(state_dir, name, COST));
	return files;
}

/* Of one file: ifname NULL: adds the names to `out`, else removes that interface's groups and
 * counts them. */
static guint
go_through(NatStateFile *file, const char *ifname, GPtrArray *out)
{
	GKeyFile *keys = nat_state_file_keys(file);
	g_auto(GStrv) groups = g_key_file_get_groups(keys, NULL);
	guint n = 0;

	for (gsize i = 0; groups[i] != NULL; i++) {
		g_autofree char *name =
			g_key_file_get_string(keys, groups[i], PUNCH_FLOWS_INTERFACE, NULL);

		if (name == NULL)
			continue;
		if (out != NULL && !g_ptr_array_find_with_equal_func(out, name, g_str_equal, NULL))
			g_ptr_array_add(out, g_strdup(name));
		if (g_strcmp0(name, ifname) == 0) {
			g_key_file_remove_group(keys, groups[i], NULL);
			n++;
		}
	}
	return n;
}

GStrv
punch_teardown_interfaces(const char *state_dir)
{
	g_autoptr(GPtrArray) files = open_files(state_dir);
	GPtrArray *names = g_ptr_array_new();

	for (guint i = 0; i < files->len; i++)
		go_through(g_ptr_array_index(files, i), NULL, names);
	g_ptr_array_add(names, NULL);
	return (GStrv)g_ptr_array_free(names, FALSE);
}

guint
punch_teardown(const char *state_dir, const char *ifname, guint *left)
{
	g_autoptr(GPtrArray) files = open_files(state_dir);
	PunchRewrite *rewrite = punch_rewrite_new(ifname);
	gboolean ok;
	guint n = 0;

	for (guint i = 0; i < files->len; i++)
		n += go_through(g_ptr_array_index(files, i), ifname, NULL);
	ok = n == 0 || punch_rewrite_set(rewrite, NULL, 0, NULL);
	punch_rewrite_free(rewrite);
	*left = ok ? 0 : n;
	for (guint i = 0; ok && n > 0 && i < files->len; i++)
		nat_state_file_save(g_ptr_array_index(files, i));
	return ok ? n : 0;
}
