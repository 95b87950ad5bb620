/* SPDX-License-Identifier: MIT */
/*
 * The file of an InnConf. It is written whole beside its place, synced, and then gets its name: who
 * reads it, or runs after a crash, finds the old one or the new one. A new file has no name at all
 * before (O_TMPFILE), so that being killed leaves no private key lying about; where the file system
 * can't do that, a name made for the purpose.
 */
#include "agent/innernet/inn-conf-private.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/nat-log.h"

#define OVERTAKEN EAGAIN /* another writer was faster; no call here has it */
#define ATTEMPTS 5

static gboolean
fail(const char *what, const char *path, int saved, GError **error)
{
	g_autofree char *shown = nat_log_escape(path, -1);

	g_set_error(error, G_FILE_ERROR, (int)g_file_error_from_errno(saved), "cannot %s %s: %s",
		    what, shown, g_strerror(saved));
	return FALSE;
}

void
inn_conf_free_text(char *text, gsize len)
{
	if (text)
		sodium_memzero(text, len);
	g_free(text);
}

/* Up to `size` bytes. Returns how many, -1 with errno. */
static gssize
read_all(int fd, char *buf, gsize size)
{
	gsize done = 0;

	while (done < size) {
		gssize n = read(fd, buf + done, size - done);

		if (n == 0)
			break;
		if (n < 0 && errno != EINTR)
			return -1;
		done += n > 0 ? (gsize)n : 0;
	}
	return (gssize)done;
}

static gboolean
write_all(int fd, const char *text)
{
	gsize left = strlen(text);

	while (left > 0) {
		gssize n = write(fd, text, left);

		if (n < 0 && errno != EINTR)
			return FALSE;
		text += n > 0 ? n : 0;
		left -= n > 0 ? (gsize)n : 0;
	}
	return TRUE;
}

/* One byte more than allowed is read where there is more: the parser says that it is too much.
 * Room for a NUL. */
static char *
read_fd(int fd, const struct stat *st, const char *path, gsize *len, GError **error)
{
	gsize size = INN_CONF_MAX + 1;
	char *text;
	gssize n;

	if (!S_ISREG(st->st_mode)) {
		fail("read", path, S_ISDIR(st->st_mode) ? EISDIR : EINVAL, error);
		return NULL;
	}
	text = g_malloc0(size + 1);
	n = read_all(fd, text, size);
	if (n < 0) {
		fail("read", path, errno, error);
		inn_conf_free_text(text, size);
		return NULL;
	}
	*len = (gsize)n;
	return text;
}

/* A FIFO in its place keeps nobody waiting. */
static char *
read_file(const char *path, gsize *len, struct stat *st, GError **error)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	char *text = NULL;

	if (fd < 0 || fstat(fd, st) < 0)
		fail("read", path, errno, error);
	else
		text = read_fd(fd, st, path, len, error);
	if (fd >= 0)
		close(fd);
	return text;
}

char *
inn_conf_read(const char *path, gsize *len, GError **error)
{
	struct stat st;

	return read_file(path, len, &st, error);
}

InnConf *
inn_conf_load(const char *path, GError **error)
{
	gsize len;
	char *text = inn_conf_read(path, &len, error);
	InnConf *conf = text ? inn_conf_parse(text, len, path, error) : NULL;

	inn_conf_free_text(text, text ? len : 0);
	return conf;
}

/* So that the name is on disk as well. A file system that can't sync a directory has no more to
 * offer. */
gboolean
inn_conf_sync_name(const char *path, GError **error)
{
	g_autofree char *dir = g_path_get_dirname(path);
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	gboolean ok = fd >= 0 && (fsync(fd) == 0 || errno == EINVAL);
	int saved = errno;

	if (fd >= 0)
		close(fd);
	return ok || fail("sync", dir, saved, error);
}

/* A file of the text in the directory of `path`: nameless (*name NULL), or by *name. -1 with errno.
 */
static int
open_beside(const char *path, char **name)
{
	g_autofree char *dir = g_path_get_dirname(path);
	int fd = open(dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);

	*name = NULL;
	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT) ||
	    !g_file_test(dir, G_FILE_TEST_IS_DIR))
		return fd;
	*name = g_strdup_printf("%s.XXXXXX", path);
	return g_mkstemp_full(*name, O_WRONLY | O_CLOEXEC, 0600);
}

static gboolean
give_name(int fd, const char *name, const char *path)
{
	g_autofree char *self = g_strdup_printf("/proc/self/fd/%d", fd);

	if (linkat(AT_FDCWD, name ? name : self, AT_FDCWD, path, name ? 0 : AT_SYMLINK_FOLLOW) < 0)
		return FALSE;
	return TRUE;
}

static gboolean
create_file(const char *text, const char *path, GError **error)
{
	g_autofree char *name = NULL;
	int fd = open_beside(path, &name);
	gboolean ok = fd >= 0 && fchmod(fd, 0600) == 0 && write_all(fd, text) && fsync(fd) == 0 &&
		      give_name(fd, name, path);
	int saved = errno;

	if (fd >= 0)
		close(fd);
	if (name && fd >= 0)
		g_unlink(name);
	return ok ? inn_conf_sync_name(path, error) : fail("create", path, saved, error);
}

gboolean
inn_conf_create(const InnConf *conf, const char *path, GError **error)
{
	char *text = inn_conf_format(conf);
	gboolean ok = create_file(text, path, error);

	inn_conf_free_text(text, strlen(text));
	return ok;
}

gboolean
inn_conf_rename(const char *from, const char *to, GError **error)
{
	/* file systems that do not know the flag (EINVAL) can link */
	if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) < 0 &&
	    (errno != EINVAL || link(from, to) < 0 || unlink(from) < 0))
		return fail("make", to, errno, error);
	return inn_conf_sync_name(to, error);
}

static gboolean
is_as_read(const char *path, const struct stat *read)
{
	struct stat now;

	return stat(path, &now) == 0 && now.st_dev == read->st_dev && now.st_ino == read->st_ino &&
	       now.st_size == read->st_size && now.st_mtim.tv_sec == read->st_mtim.tv_sec &&
	       now.st_mtim.tv_nsec == read->st_mtim.tv_nsec;
}

/* innernet changes the file as well, and nobody locks it: what came in between would be lost. */
static gboolean
rename_over(const char *name, const char *path, const struct stat *read)
{
	if (is_as_read(path, read))
		return rename(name, path) == 0;
	errno = OVERTAKEN;
	return FALSE;
}

/* In the place of a file that is there, with its mode and owner. */
static gboolean
replace_file(const char *text, const char *path, const struct stat *st, GError **error)
{
	g_autofree char *name = g_strdup_printf("%s.XXXXXX", path);
	int fd = g_mkstemp_full(name, O_WRONLY | O_CLOEXEC, 0600);
	gboolean ok = fd >= 0 && fchown(fd, st->st_uid, st->st_gid) == 0 &&
		      fchmod(fd, st->st_mode & 07777) == 0 && write_all(fd, text) &&
		      fsync(fd) == 0 && rename_over(name, path, st);
	int saved = errno;

	if (fd >= 0)
		close(fd);
	if (!ok && fd >= 0)
		g_unlink(name);
	return ok ? inn_conf_sync_name(path, error) : fail("write", path, saved, error);
}

/* `name` is used in messages. */
static gboolean
override_file(const char *path, const char *name, const InnOverride *overrides, gsize n,
	      GError **error)
{
	struct stat st;
	gsize len = 0;
	char *text = read_file(path, &len, &st, error);
	char *changed = text ? inn_conf_override(text, len, name, overrides, n, error) : NULL;
	gboolean ok =
		changed && (strcmp(text, changed) == 0 || replace_file(changed, path, &st, error));

	inn_conf_free_text(text, len);
	inn_conf_free_text(changed, changed ? strlen(changed) : 0);
	return ok;
}

gboolean
inn_conf_write_overrides(const char *path, const InnOverride *overrides, gsize n, GError **error)
{
	g_autofree char *real = realpath(path, NULL);

	if (!real)
		return fail("read", path, errno, error);
	for (guint left = ATTEMPTS; left > 0; left--) {
		g_autoptr(GError) cause = NULL;

		if (override_file(real, path, overrides, n, &cause))
			return TRUE;
		if (left == 1 || !g_error_matches(cause, G_FILE_ERROR,
						  (int)g_file_error_from_errno(OVERTAKEN))) {
			g_propagate_error(error, g_steal_pointer(&cause));
			break;
		}
	}
	return FALSE;
}
