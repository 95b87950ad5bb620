/* SPDX-License-Identifier: MIT */
/*
 * InnInstallFiles: what an installation has on disk. Our key is there, whole and synced, before
 * anybody hears of it, as DIR/NAME.conf.install, which is DIR/NAME.conf but for its name; it gets
 * that name once the server knows the key. So whatever ends the installer, the next one finds
 * nothing, the key that may have been named, or the finished file. Blocking; any thread.
 */
#pragma once

#include "agent/innernet/inn-conf.h"
#include "agent/innernet/inn-redeem.h"

typedef struct {
	char *path, *pending;
	InnConf *own;	      /* the invitation, with our key instead */
	InnRedeemStart start; /* what was found */
} InnInstallFiles;

/* Finds or makes them; dir (0700) is made when it is missing. FALSE for a file that belongs to
 * another invitation or another member: nothing is ever overwritten. */
InnInstallFiles *inn_install_files_open(const InnConf *invite, const char *dir, const char *ifname,
					GError **error);
void inn_install_files_free(InnInstallFiles *files);
/* The server knows the key: the file gets its name. Does nothing where it has it. */
gboolean inn_install_files_publish(InnInstallFiles *files, GError **error);
/* The server can't know the key: it is forgotten, unless it has been published. */
void inn_install_files_forget(InnInstallFiles *files);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(InnInstallFiles, inn_install_files_free)
