/* SPDX-License-Identifier: MIT */
/*
 * The listen queue, like clients, holds no state that outlives the process: the socket's file does,
 * and open_socket() tells a living one from a stale one by connecting to it, under a lock on the
 * directory, so that two agents starting at once do not unlink each other's.
 */
#include "agent/control/nat-control-socket.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <grp.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define DIR_LOCK_TRIES 100
#define DIR_LOCK_PAUSE_US (10 * 1000)

struct NatControlSocket {
	char *path;
	int fd;
	gid_t gid;
	dev_t dev;
	ino_t ino; /* 0: no file of ours */
};

static gboolean
fail(GError **error, const char *what, const char *path)
{
	int saved = errno;

	g_set_error(error, G_IO_ERROR, (int)g_io_error_from_errno(saved),
		    "cannot %s %s: %s; name another place with --control PATH", what, path,
		    g_strerror(saved));
	return FALSE;
}

/* Whether somebody accepts connections at this address. */
static gboolean
is_alive(const struct sockaddr_un *sun)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	gboolean alive;

	if (fd < 0)
		return TRUE; /* not known: rather refuse than steal */
	/* anything else than a refusal comes from somebody who is there */
	alive = connect(fd, (const struct sockaddr *)sun, sizeof *sun) == 0 ||
		(errno != ECONNREFUSED && errno != ENOENT);
	close(fd);
	return alive;
}

static gboolean
remove_stale(const struct sockaddr_un *sun, GError **error)
{
	const char *path = sun->sun_path;
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? TRUE : fail(error, "look at", path);
	if (!S_ISSOCK(st.st_mode)) {
		g_set_error(
			error, G_IO_ERROR, G_IO_ERROR_EXISTS,
			"%s is not a socket: remove it, or name another place with --control PATH",
			path);
		return FALSE;
	}
	if (is_alive(sun)) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE,
			    "another agent answers at %s: stop it, or give this one its own socket "
			    "with "
			    "--control PATH",
			    path);
		return FALSE;
	}
	return g_unlink(path) == 0 || errno == ENOENT ? TRUE
						      : fail(error, "remove the stale", path);
}

/* The mode is set before bind(2) too: the file is never wider than 0660, whatever the umask; and
 * after it, where the umask took the group's bits. */
static gboolean
bind_socket(NatControlSocket *sock, const struct sockaddr_un *sun, GError **error)
{
	struct stat st;

	sock->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (sock->fd < 0 || fchmod(sock->fd, 0660) < 0 ||
	    bind(sock->fd, (const struct sockaddr *)sun, sizeof *sun) < 0 ||
	    lstat(sun->sun_path, &st) < 0)
		return fail(error, "listen at", sun->sun_path);
	sock->dev = st.st_dev;
	sock->ino = st.st_ino;
	if (chmod(sun->sun_path, 0660) < 0 || listen(sock->fd, 128) < 0)
		return fail(error, "listen at", sun->sun_path);
	return TRUE;
}

/* To give a file to a group that this process is not in takes CAP_CHOWN, which a unit need not
 * allow: the group is then given to the unit. */
static gboolean
give_to_group(NatControlSocket *sock, const char *group, GError **error)
{
	const struct group *entry = group ? getgrnam(group) : NULL;

	sock->gid = getegid();
	if (!group)
		return TRUE;
	if (!entry) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
			    "control_group=%s: there is no such group: groupadd --system %s", group,
			    group);
		return FALSE;
	}
	sock->gid = entry->gr_gid;
	if (sock->gid == getegid() || chown(sock->path, (uid_t)-1, sock->gid) == 0)
		return TRUE;
	g_set_error(error, G_IO_ERROR, (int)g_io_error_from_errno(errno),
		    "control_group=%s: cannot give %s to it: %s; in a unit, say Group=%s instead",
		    group, sock->path, g_strerror(errno), group);
	return FALSE;
}

/* Returns the locked directory. A stranger who keeps the lock (the directory may be a shared one)
 * delays us, and cannot keep us out. */
static int
lock_directory(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (int i = 0; fd >= 0 && i < DIR_LOCK_TRIES && flock(fd, LOCK_EX | LOCK_NB) < 0; i++)
		g_usleep(DIR_LOCK_PAUSE_US);
	return fd;
}

static gboolean
open_socket(NatControlSocket *sock, const char *group, GError **error)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	g_autofree char *dir = g_path_get_dirname(sock->path);
	gboolean ok;
	int lock;

	if (strlen(sock->path) >= sizeof sun.sun_path) {
		errno = ENAMETOOLONG;
		return fail(error, "listen at", sock->path);
	}
	memcpy(sun.sun_path, sock->path, strlen(sock->path));
	if (g_mkdir_with_parents(dir, 0755) < 0)
		return fail(error, "make the directory", dir);
	lock = lock_directory(dir);
	ok = remove_stale(&sun, error) && bind_socket(sock, &sun, error) &&
	     give_to_group(sock, group, error);
	if (lock >= 0)
		close(lock);
	return ok;
}

NatControlSocket *
nat_control_socket_new(const char *path, const char *group, GError **error)
{
	g_autoptr(NatControlSocket) sock = g_new0(NatControlSocket, 1);

	sock->path = g_strdup(path);
	sock->fd = -1;
	return open_socket(sock, group, error) ? g_steal_pointer(&sock) : NULL;
}

void
nat_control_socket_free(NatControlSocket *sock)
{
	struct stat st;

	if (!sock)
		return;
	if (sock->ino && lstat(sock->path, &st) == 0 && st.st_dev == sock->dev &&
	    st.st_ino == sock->ino)
		g_unlink(sock->path);
	if (sock->fd >= 0)
		close(sock->fd);
	g_free(sock->path);
	g_free(sock);
}

int
nat_control_socket_fd(const NatControlSocket *sock)
{
	return sock->fd;
}

static gboolean
has_group(int client, gid_t gid)
{
	g_autofree gid_t *groups = NULL;
	socklen_t len = 0;

	if (getsockopt(client, SOL_SOCKET, SO_PEERGROUPS, NULL, &len) == 0 || errno != ERANGE)
		return FALSE;
	groups = g_malloc0(len);
	if (getsockopt(client, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0)
		return FALSE;
	for (gsize i = 0; i < len / sizeof *groups; i++)
		if (groups[i] == gid)
			return TRUE;
	return FALSE;
}

gboolean
nat_control_socket_admits(const NatControlSocket *sock, int client)
{
	struct ucred cred;
	socklen_t len = sizeof cred;

	if (getsockopt(client, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return FALSE;
	return cred.uid == 0 || cred.uid == geteuid() || cred.gid == sock->gid ||
	       has_group(client, sock->gid);
}
