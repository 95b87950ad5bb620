/* SPDX-License-Identifier: MIT */
#include "agent/innernet/inn-install-files.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

#include "agent/base/nat-log.h"
#include "agent/innernet/inn-conf-private.h"

/* Whether `conf` is what this invitation becomes. */
static gboolean
comes_of(const InnConf *conf, const InnConf *invite)
{
	return wg_key_equal(&conf->server_key, &invite->server_key) &&
	       wg_endpoint_equal(&conf->address, &invite->address) &&
	       strcmp(conf->network_name, invite->network_name) == 0;
}

static gboolean
refuse(const char *path, const char *what, GError **error)
{
	g_autofree char *shown = nat_log_escape(path, -1);

	g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_EXIST, "%s %s", shown, what);
	return FALSE;
}

/* TRUE with *conf NULL where there is no such file. */
static gboolean
load(const char *path, InnConf **conf, GError **error)
{
	g_autoptr(GError) cause = NULL;

	*conf = inn_conf_load(path, &cause);
	if (*conf || g_error_matches(cause, G_FILE_ERROR, G_FILE_ERROR_NOENT))
		return TRUE;
	g_propagate_error(error, g_steal_pointer(&cause));
	return FALSE;
}

/* Both names are there where a file system had to link (inn_conf_rename) and was interrupted. */
static void
drop_twin(const InnInstallFiles *files)
{
	g_autoptr(InnConf) twin = inn_conf_load(files->pending, NULL);

	if (twin && wg_key_equal(&twin->private_key, &files->own->private_key))
		g_unlink(files->pending);
}

/* The finished file: of this invitation, then there is little left to do, or none of ours. */
static gboolean
find_finished(InnInstallFiles *files, const InnConf *invite, GError **error)
{
	if (!load(files->path, &files->own, error))
		return FALSE;
	if (!files->own)
		return TRUE;
	if (!comes_of(files->own, invite))
		return refuse(files->path,
			      "exists and is not of this invitation: choose another --interface",
			      error);
	if (wg_key_equal(&files->own->private_key, &invite->private_key))
		return refuse(files->path,
			      "holds the invitation's own key: move it away to install anew",
			      error);
	files->start = INN_REDEEM_ENTERED;
	drop_twin(files);
	return TRUE;
}

static gboolean
find_pending(InnInstallFiles *files, const InnConf *invite, GError **error)
{
	if (!load(files->pending, &files->own, error))
		return FALSE;
	if (!files->own)
		return TRUE;
	if (!comes_of(files->own, invite))
		return refuse(files->pending,
			      "holds an installation begun with another invitation: finish it with "
			      "that one, or remove the file if its member is not wanted",
			      error);
	files->start = INN_REDEEM_AGAIN;
	return TRUE;
}

static gboolean
make_pending(InnInstallFiles *files, const InnConf *invite, const char *dir, GError **error)
{
	if (g_mkdir_with_parents(dir, 0700) < 0) {
		int saved = errno;
		g_autofree char *shown = nat_log_escape(dir, -1);

		g_set_error(error, G_FILE_ERROR, (int)g_file_error_from_errno(saved),
			    "cannot make the directory %s: %s", shown, g_strerror(saved));
		return FALSE;
	}
	files->own = inn_conf_copy(invite);
	wg_key_generate_private(&files->own->private_key);
	files->start = INN_REDEEM_FRESH;
	/* the directory's own name too: it may be new */
	return inn_conf_create(files->own, files->pending, error) && inn_conf_sync_name(dir, error);
}

InnInstallFiles *
inn_install_files_open(const InnConf *invite, const char *dir, const char *ifname, GError **error)
{
	g_autoptr(InnInstallFiles) files = g_new0(InnInstallFiles, 1);

	files->path = g_strdup_printf("%s/%s.conf", dir, ifname);
	files->pending = g_strdup_printf("%s.install", files->path);
	if (!find_finished(files, invite, error) ||
	    (!files->own && !find_pending(files, invite, error)) ||
	    (!files->own && !make_pending(files, invite, dir, error)))
		return NULL;
	return g_steal_pointer(&files);
}

void
inn_install_files_free(InnInstallFiles *files)
{
	if (!files)
		return;
	inn_conf_free(files->own);
	g_free(files->path);
	g_free(files->pending);
	g_free(files);
}

gboolean
inn_install_files_publish(InnInstallFiles *files, GError **error)
{
	if (files->start == INN_REDEEM_ENTERED)
		return TRUE;
	if (!inn_conf_rename(files->pending, files->path, error))
		return FALSE;
	files->start = INN_REDEEM_ENTERED;
	return TRUE;
}

void
inn_install_files_forget(InnInstallFiles *files)
{
	if (files->start != INN_REDEEM_ENTERED)
		g_unlink(files->pending);
}
