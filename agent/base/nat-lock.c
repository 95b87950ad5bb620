/* SPDX-License-Identifier: MIT */
#include "agent/base/nat-lock.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* A start that sweeps (see sweep) holds others' locks for an instant. */
#define BUSY_TRIES 5
#define BUSY_PAUSE_US (20 * 1000)

/* A holder that ends unlinks its file; whoever waited on the old inode starts again. More rounds
 * than this means that something else is wrong. */
#define ROUNDS 100
#define PREFIX "lock-"

struct NatLock {
	char *path;
	int fd;
};

static gboolean
fail(GError **error, const char *what, const char *path)
{
	int saved = errno;

	g_set_error(error, G_IO_ERROR, (int)g_io_error_from_errno(saved), "cannot %s %s: %s", what,
		    path, g_strerror(saved));
	return FALSE;
}

/* The namespace of this thread, not of the process: the ICE thread has its own. */
static gboolean
netns_inode(guint64 *inode, GError **error)
{
	static const char NS[] = "/proc/thread-self/ns/net";
	struct stat st;

	if (stat(NS, &st) < 0)
		return fail(error, "read", NS);
	*inode = st.st_ino;
	return TRUE;
}

static gboolean
is_still_at(int fd, const char *path)
{
	struct stat mine, there;

	return fstat(fd, &mine) == 0 && lstat(path, &there) == 0 && mine.st_dev == there.st_dev &&
	       mine.st_ino == there.st_ino;
}

static void
set_busy(GError **error, int fd, const char *ifname)
{
	char text[16] = {0};
	guint64 pid = 0;
	g_autofree char *who = NULL;

	if (pread(fd, text, sizeof text - 1, 0) > 0)
		pid = g_ascii_strtoull(text, NULL, 10);
	who = pid ? g_strdup_printf(" (pid %" G_GUINT64_FORMAT ")", pid) : g_strdup("");
	g_set_error(error, G_IO_ERROR, G_IO_ERROR_BUSY,
		    "another nat-agent%s serves %s in this network namespace: stop it, or choose "
		    "another "
		    "--interface",
		    who, ifname);
}

static gboolean
lock_file(int fd)
{
	for (int i = 0; i < BUSY_TRIES; i++) {
		if (i > 0)
			g_usleep(BUSY_PAUSE_US);
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return TRUE;
		if (errno != EWOULDBLOCK)
			return FALSE;
	}
	errno = EWOULDBLOCK;
	return FALSE;
}

/* Agents that were killed leave their files, under the numbers of namespaces that may be long gone.
 * What nobody holds is removed. */
static void
sweep(const char *dir)
{
	GDir *entries = g_dir_open(dir, 0, NULL);
	const char *name;

	while (entries && (name = g_dir_read_name(entries))) {
		g_autofree char *path = g_build_filename(dir, name, NULL);
		int fd = -1;

		if (g_str_has_prefix(name, PREFIX))
			fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
		if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && is_still_at(fd, path))
			g_unlink(path);
		if (fd >= 0)
			close(fd);
	}
	g_clear_pointer(&entries, g_dir_close);
}

/* Returns a locked fd whose file is at path; -1 with an error; -2: the file went away, try again.
 */
static int
try_lock(const char *path, const char *ifname, GError **error)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0) {
		fail(error, "open the lock", path);
		return -1;
	}
	if (!lock_file(fd)) {
		if (errno == EWOULDBLOCK)
			set_busy(error, fd, ifname);
		else
			fail(error, "lock", path);
		close(fd);
		return -1;
	}
	if (!is_still_at(fd, path)) {
		close(fd);
		return -2;
	}
	return fd;
}

static gboolean
write_pid(int fd, const char *path, GError **error)
{
	char text[16];
	int len = g_snprintf(text, sizeof text, "%d\n", (int)getpid());

	if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)len, 0) != len)
		return fail(error, "write", path);
	return TRUE;
}

NatLock *
nat_lock_acquire_in(const char *dir, const char *ifname, GError **error)
{
	guint64 inode;
	g_autofree char *path = NULL;
	NatLock *lock;
	int fd = -2;

	if (!netns_inode(&inode, error))
		return NULL;
	if (g_mkdir_with_parents(dir, 0755) < 0) {
		fail(error, "make the directory", dir);
		return NULL;
	}
	sweep(dir);
	path = g_strdup_printf("%s/" PREFIX "%" G_GUINT64_FORMAT "-%s", dir, inode, ifname);
	for (int i = 0; i < ROUNDS && fd == -2; i++)
		fd = try_lock(path, ifname, error);
	if (fd == -2)
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED,
			    "cannot lock %s: it keeps vanishing", path);
	if (fd < 0)
		return NULL;
	if (!write_pid(fd, path, error)) {
		close(fd);
		return NULL;
	}
	lock = g_new0(NatLock, 1);
	lock->path = g_steal_pointer(&path);
	lock->fd = fd;
	return lock;
}

NatLock *
nat_lock_acquire(const char *ifname, GError **error)
{
	return nat_lock_acquire_in(NAT_LOCK_DIR, ifname, error);
}

void
nat_lock_free(NatLock *lock)
{
	if (!lock)
		return;
	/* Unlinked while still held: nobody can lock this inode and believe in it, see
	 * is_still_at. */
	if (is_still_at(lock->fd, lock->path))
		g_unlink(lock->path);
	close(lock->fd);
	g_free(lock->path);
	g_free(lock);
}
