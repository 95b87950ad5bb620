/* SPDX-License-Identifier: MIT */
/*
 * InnHostsFile: a small text of the system's that others change as well, /etc/hosts: read, and
 * replaced as a whole. Blocking; any thread.
 */
#pragma once

#include <gio/gio.h>

#define INN_HOSTS_FILE_MAX (16 * 1024 * 1024) /* bytes; lists of advertisers' names are long */

/* Tells one state of a file from the next; all 0: there is none. */
typedef struct {
	guint64 device, inode, size;
	gint64 mtime_s, mtime_ns;
} InnHostsStamp;

typedef struct InnHostsFile InnHostsFile;

/* Reads it. One that is missing is empty. Refused are symbolic links (whoever made it decides what
 * is written then), and what is no regular file or too long. The error's message is one line. */
InnHostsFile *inn_hosts_file_open(const char *path, GError **error);
void inn_hosts_file_free(InnHostsFile *file);
/* NUL-terminated, and may have others inside. (transfer none) */
const char *inn_hosts_file_text(const InnHostsFile *file, gsize *len);
/* As it was when it was read, or as it has been replaced since. */
void inn_hosts_file_stamp(const InnHostsFile *file, InnHostsStamp *stamp);
/* Puts another text in its place, with its mode, owner and extended attributes: by a new file and
 * rename; where that can't be, as with the file that a container is given (a bind mount, whose name
 * is not ours to change), by writing into it. A missing one is made, 0644. Once for each open.
 * G_FILE_ERROR_AGAIN: it is not any more what was read; nothing was written. */
gboolean inn_hosts_file_replace(InnHostsFile *file, const char *text, gsize len, GError **error);

/* Of what stands there now. */
void inn_hosts_stamp_of(const char *path, InnHostsStamp *stamp);
gboolean inn_hosts_stamp_equal(const InnHostsStamp *a, const InnHostsStamp *b);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(InnHostsFile, inn_hosts_file_free)
