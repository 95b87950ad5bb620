/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation. The directory is opened once and everything in it is reached from there, and
 * the file that was read stays open: so nothing that moves meanwhile leads elsewhere, and its inode
 * is nobody else's.
 *
 * Renaming is the way: a reader has the old text or the new one, whatever ends us. It fails with
 * EBUSY where the name is a mount point, and a new file can't be made where the directory is
 * read-only or the file's owner, mode or attributes (SELinux) can't be given to it. Then the text
 * is written into the file: room is taken first, from the first byte that differs on, and back as
 * it was if that fails half-way. Only for want of room nothing is tried: there is none either way.
 */
#include "agent/innernet/inn-hosts-file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "agent/base/nat-log.h"

#define OVERTAKEN EAGAIN /* another writer was faster; no call here has it */
#define NEW_MODE 0644

struct InnHostsFile {
	char *path, *base;
	int dir, fd; /* fd -1: there is no file */
	InnHostsStamp stamp;
	struct stat st;
	char *text;
	gsize len;
};

static gboolean
fail(const char *what, const char *path, int saved, GError **error)
{
	g_autofree char *shown = nat_log_escape(path, -1);

	g_set_error(error, G_FILE_ERROR, (int)g_file_error_from_errno(saved), "cannot %s %s: %s",
		    what, shown,
		    saved == ELOOP   ? "it is a symbolic link; name the file itself"
		    : saved == EFBIG ? "more than 16 MB"
				     : g_strerror(saved));
	return FALSE;
}

static void
set_stamp(InnHostsStamp *stamp, const struct stat *st)
{
	stamp->device = st->st_dev;
	stamp->inode = st->st_ino;
	stamp->size = (guint64)st->st_size;
	stamp->mtime_s = st->st_mtim.tv_sec;
	stamp->mtime_ns = st->st_mtim.tv_nsec;
}

gboolean
inn_hosts_stamp_equal(const InnHostsStamp *a, const InnHostsStamp *b)
{
	return memcmp(a, b, sizeof *a) == 0;
}

static void
stamp_at(int dir, const char *path, InnHostsStamp *stamp)
{
	struct stat st;

	memset(stamp, 0, sizeof *stamp);
	if (fstatat(dir, path, &st, AT_SYMLINK_NOFOLLOW) == 0)
		set_stamp(stamp, &st);
}

void
inn_hosts_stamp_of(const char *path, InnHostsStamp *stamp)
{
	stamp_at(AT_FDCWD, path, stamp);
}

static void
close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

/* ---- reading ---- */

/* FALSE with errno. */
static gboolean
read_text(InnHostsFile *file)
{
	gsize size;

	if (fstat(file->fd, &file->st) < 0)
		return FALSE;
	errno = S_ISREG(file->st.st_mode) ? EFBIG : EINVAL;
	if (!S_ISREG(file->st.st_mode) || file->st.st_size > INN_HOSTS_FILE_MAX)
		return FALSE;
	set_stamp(&file->stamp, &file->st);
	size = (gsize)file->st.st_size;
	file->text = g_malloc0(size + 1);
	while (file->len < size) {
		gssize n = read(file->fd, file->text + file->len, size - file->len);

		if (n == 0 || (n < 0 && errno != EINTR))
			return n == 0;
		file->len += n > 0 ? (gsize)n : 0;
	}
	return TRUE;
}

InnHostsFile *
inn_hosts_file_open(const char *path, GError **error)
{
	g_autoptr(InnHostsFile) file = g_new0(InnHostsFile, 1);
	g_autofree char *dir = g_path_get_dirname(path);

	file->path = g_strdup(path);
	file->base = g_path_get_basename(path);
	file->fd = -1;
	file->dir = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (file->dir < 0) {
		fail("open", dir, errno, error);
		return NULL;
	}
	/* a FIFO in its place keeps nobody waiting */
	file->fd = openat(file->dir, file->base,
			  O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (file->fd < 0 && errno == ENOENT) {
		file->text = g_strdup("");
		return g_steal_pointer(&file);
	}
	if (file->fd < 0 || !read_text(file)) {
		fail("read", path, errno, error);
		return NULL;
	}
	return g_steal_pointer(&file);
}

void
inn_hosts_file_free(InnHostsFile *file)
{
	if (!file)
		return;
	close_fd(file->fd);
	close_fd(file->dir);
	g_free(file->text);
	g_free(file->base);
	g_free(file->path);
	g_free(file);
}

const char *
inn_hosts_file_text(const InnHostsFile *file, gsize *len)
{
	*len = file->len;
	return file->text;
}

void
inn_hosts_file_stamp(const InnHostsFile *file, InnHostsStamp *stamp)
{
	*stamp = file->stamp;
}

/* ---- writing: all return FALSE with errno ---- */

static gboolean
write_at(int fd, const char *text, gsize len, gsize at)
{
	while (at < len) {
		gssize n = pwrite(fd, text + at, len - at, (off_t)at);

		if (n < 0 && errno != EINTR)
			return FALSE;
		at += n > 0 ? (gsize)n : 0;
	}
	return TRUE;
}

static gboolean
copy_xattr(int from, int to, const char *name)
{
	g_autofree char *value = g_malloc(XATTR_SIZE_MAX);
	gssize len = fgetxattr(from, name, value, XATTR_SIZE_MAX);

	return len < 0 ? errno == ENODATA : fsetxattr(to, name, value, (gsize)len, 0) == 0;
}

static gboolean
copy_xattrs(int from, int to)
{
	g_autofree char *names = g_malloc(XATTR_LIST_MAX);
	gssize len = flistxattr(from, names, XATTR_LIST_MAX);

	if (len < 0)
		return errno == ENOTSUP;
	for (const char *name = names; name < names + len; name += strlen(name) + 1)
		if (!copy_xattr(from, to, name))
			return FALSE;
	return TRUE;
}

/* Owners need privileges only where they are not ours. */
static gboolean
dress(const InnHostsFile *file, int fd)
{
	struct stat st;

	if (file->fd < 0)
		return fchmod(fd, NEW_MODE) == 0;
	if (fstat(fd, &st) < 0)
		return FALSE;
	if ((st.st_uid != file->st.st_uid || st.st_gid != file->st.st_gid) &&
	    fchown(fd, file->st.st_uid, file->st.st_gid) < 0)
		return FALSE;
	/* after the owner, whose change takes set-user-ID away; an ACL is one of the attributes */
	return fchmod(fd, file->st.st_mode & 07777) == 0 && copy_xattrs(file->fd, fd);
}

static gboolean
give_name(InnHostsFile *file, const char *name)
{
	InnHostsStamp now;

	stamp_at(file->dir, file->base, &now);
	if (!inn_hosts_stamp_equal(&now, &file->stamp)) {
		errno = OVERTAKEN;
		return FALSE;
	}
	if (file->fd >= 0)
		return renameat(file->dir, name, file->dir, file->base) == 0;
	if (linkat(file->dir, name, file->dir, file->base, 0) == 0)
		return unlinkat(file->dir, name, 0) == 0;
	errno = errno == EEXIST ? OVERTAKEN : errno;
	return FALSE;
}

/* So that the name is on disk as well. What a file system can't sync is there all the same. */
static void
sync_dir(const InnHostsFile *file)
{
	int fd = openat(file->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0 && fsync(fd) < 0)
		g_debug("cannot sync the directory of %s", file->base);
	close_fd(fd);
}

static gboolean
replace_by_rename(InnHostsFile *file, const char *text, gsize len)
{
	g_autofree char *name =
		g_strdup_printf("%s.%08x%08x", file->base, g_random_int(), g_random_int());
	int fd =
		openat(file->dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	struct stat st;
	gboolean ok = fd >= 0 && dress(file, fd) && write_at(fd, text, len, 0) && fsync(fd) == 0 &&
		      fstat(fd, &st) == 0 && give_name(file, name);
	int saved = errno;

	if (fd >= 0 && !ok)
		unlinkat(file->dir, name, 0);
	close_fd(fd);
	if (ok) {
		set_stamp(&file->stamp, &st);
		sync_dir(file);
	}
	errno = saved;
	return ok;
}

static gboolean
is_full(int saved)
{
	return saved == ENOSPC || saved == EDQUOT;
}

static gboolean
overwrite(const InnHostsFile *file, int fd, const char *text, gsize len)
{
	gsize at = 0;
	int saved;

	while (at < len && at < file->len && text[at] == file->text[at])
		at++;
	if (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)MAX(len, 1)) < 0 && is_full(errno))
		return FALSE;
	if (write_at(fd, text, len, at) && ftruncate(fd, (off_t)len) == 0 && fsync(fd) == 0)
		return TRUE;
	saved = errno;
	if (!write_at(fd, file->text, file->len, at) || ftruncate(fd, (off_t)file->len) < 0)
		g_warning("%s was written in part, and can't be put back", file->path);
	errno = saved;
	return FALSE;
}

static gboolean
is_as_read(const InnHostsFile *file, int fd)
{
	InnHostsStamp now;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return FALSE;
	set_stamp(&now, &st);
	errno = OVERTAKEN;
	return inn_hosts_stamp_equal(&now, &file->stamp);
}

static gboolean
replace_in_place(InnHostsFile *file, const char *text, gsize len)
{
	int fd = openat(file->dir, file->base,
			O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;
	gboolean ok = fd >= 0 && is_as_read(file, fd) && overwrite(file, fd, text, len) &&
		      fstat(fd, &st) == 0;
	int saved = errno;

	if (ok)
		set_stamp(&file->stamp, &st);
	close_fd(fd);
	errno = saved;
	return ok;
}

gboolean
inn_hosts_file_replace(InnHostsFile *file, const char *text, gsize len, GError **error)
{
	if (replace_by_rename(file, text, len))
		return TRUE;
	if (file->fd >= 0 && errno != OVERTAKEN && !is_full(errno) &&
	    replace_in_place(file, text, len))
		return TRUE;
	return fail("write", file->path, errno, error);
}
