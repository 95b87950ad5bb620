/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation: one GSource for the listening socket and one per client. A client's source
 * asks for input while nothing is waiting to be sent to it, and for output else: whoever does not
 * read his replies is not read from, so that a client costs at most one request buffer and one
 * reply. Replies come in the order of the calls because each is made when the one before is sent.
 *
 * The listen queue, like clients, holds no state that outlives the process: the socket's file does,
 * and open_socket() tells a living one from a stale one by connecting to it, under a lock on the
 * directory, so that two agents starting at once do not unlink each other's.
 */
#include "agent/nat-control.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Calls answered before other sources get their turn. */
#define BURST 16
#define ACCEPT_PAUSE_US (G_USEC_PER_SEC / 5)
#define DIR_LOCK_TRIES 100
#define DIR_LOCK_PAUSE_US (10 * 1000)

typedef struct {
	NatControl *control;
	GSource *source;
	gpointer tag;
	int fd;
	GByteArray *in, *out;
	gsize sent;	  /* of out */
	gboolean eof;	  /* no more input will come; what is here is still answered */
	gboolean closing; /* input is ignored; close when out is sent */
} Client;

struct NatControl {
	char *path;
	NatControlFunc func;
	gpointer user_data;
	int fd;
	GSource *source;
	gpointer tag;
	GQueue clients; /* of Client, the longest idle first */
	dev_t dev;
	ino_t ino;
};

typedef struct {
	GSource base;
	gpointer owner;
} Source;

static GSource *
watch(GSourceFuncs *funcs, int fd, gpointer owner, const char *name, gpointer *tag)
{
	GSource *source = g_source_new(funcs, sizeof(Source));

	((Source *)source)->owner = owner;
	*tag = g_source_add_unix_fd(source, fd, G_IO_IN);
	g_source_set_static_name(source, name);
	g_source_attach(source, g_main_context_get_thread_default());
	return source;
}

/* --- one client --- */

static void
client_free(Client *client)
{
	g_queue_remove(&client->control->clients, client);
	g_source_destroy(client->source);
	g_source_unref(client->source);
	close(client->fd);
	g_byte_array_unref(client->in);
	g_byte_array_unref(client->out);
	g_free(client);
}

static gboolean
has_output(const Client *client)
{
	return client->sent < client->out->len;
}

/* FALSE: the connection is broken. */
static gboolean
flush_output(Client *client)
{
	while (has_output(client)) {
		gssize n = send(client->fd, client->out->data + client->sent,
				client->out->len - client->sent, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN;
		client->sent += (gsize)n;
	}
	/* a big reply's memory goes at once: this client may stay for days */
	g_byte_array_unref(client->out);
	client->out = g_byte_array_new();
	client->sent = 0;
	return TRUE;
}

static void
queue_reply(Client *client, char *reply_take)
{
	g_autofree char *reply = reply_take;

	if (reply)
		g_byte_array_append(client->out, (const guint8 *)reply, (guint)strlen(reply) + 1);
}

/* Answers the first complete message. FALSE when there is none. */
static gboolean
answer_one(Client *client)
{
	GByteArray *in = client->in;
	const guint8 *nul = in->len > 0 ? memchr(in->data, '\0', in->len) : NULL;
	NatControl *control = client->control;
	gboolean garbage;

	if (!nul) {
		if (in->len < NAT_CONTROL_REQUEST_MAX)
			return FALSE;
		client->closing = TRUE;
		queue_reply(client, nat_varlink_error(NAT_VARLINK_INVALID_PARAMETER));
		return TRUE;
	}
	queue_reply(client, nat_varlink_answer((const char *)in->data, (gsize)(nul - in->data),
					       control->func, control->user_data, &garbage));
	client->closing = garbage;
	g_byte_array_remove_range(in, 0, (guint)(nul - in->data) + 1);
	return TRUE;
}

/* Answers and sends until something must be waited for. FALSE: the connection is over. */
static gboolean
work(Client *client)
{
	for (int i = 0; i < BURST; i++) {
		if (!flush_output(client))
			return FALSE;
		if (has_output(client))
			return TRUE;
		if (client->closing)
			return FALSE;
		if (!answer_one(client))
			return !client->eof;
	}
	g_source_set_ready_time(client->source, 0); /* again, after the others */
	return TRUE;
}

/* FALSE: the connection is broken. */
static gboolean
read_input(Client *client)
{
	guint8 buf[4096];
	gsize room = NAT_CONTROL_REQUEST_MAX - client->in->len;
	gssize n;

	if (client->eof || room == 0)
		return TRUE;
	n = recv(client->fd, buf, MIN(room, sizeof buf), 0);
	if (n > 0)
		g_byte_array_append(client->in, buf, (guint)n);
	client->eof = n == 0;
	return n >= 0 || errno == EAGAIN || errno == EINTR;
}

static gboolean
client_ready(GSource *source, GSourceFunc unused, gpointer unused_data)
{
	Client *client = ((Source *)source)->owner;
	GIOCondition condition = g_source_query_unix_fd(source, client->tag);
	gboolean alive = TRUE;

	g_source_set_ready_time(source, -1);
	g_queue_remove(&client->control->clients, client);
	g_queue_push_tail(&client->control->clients, client);
	if (condition & G_IO_IN)
		alive = read_input(client);
	else if (condition & (G_IO_HUP | G_IO_ERR))
		alive = FALSE;
	if (!alive || !work(client)) {
		client_free(client);
		return G_SOURCE_REMOVE;
	}
	g_source_modify_unix_fd(source, client->tag,
				has_output(client) ? G_IO_OUT
				: client->eof	   ? 0
						   : G_IO_IN);
	return G_SOURCE_CONTINUE;
}

static GSourceFuncs CLIENT_FUNCS = {NULL, NULL, client_ready, NULL};

static void
client_new(NatControl *control, int fd)
{
	Client *client = g_new0(Client, 1);

	if (g_queue_get_length(&control->clients) >= NAT_CONTROL_CLIENTS_MAX)
		client_free(g_queue_peek_head(&control->clients));
	client->control = control;
	client->fd = fd;
	client->in = g_byte_array_new();
	client->out = g_byte_array_new();
	client->source = watch(&CLIENT_FUNCS, fd, client, "control client", &client->tag);
	g_queue_push_tail(&control->clients, client);
}

/* --- the listening socket --- */

static gboolean
listener_ready(GSource *source, GSourceFunc unused, gpointer unused_data)
{
	NatControl *control = ((Source *)source)->owner;
	int fd = accept4(control->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	/* back from a pause */
	if (g_source_get_ready_time(source) >= 0) {
		g_source_set_ready_time(source, -1);
		g_source_modify_unix_fd(source, control->tag, G_IO_IN);
	}
	if (fd >= 0) {
		client_new(control, fd);
	} else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
		/* the connection stays in the queue and would wake us without end */
		g_source_modify_unix_fd(source, control->tag, 0);
		g_source_set_ready_time(source, g_get_monotonic_time() + ACCEPT_PAUSE_US);
	}
	return G_SOURCE_CONTINUE;
}

static GSourceFuncs LISTENER_FUNCS = {NULL, NULL, listener_ready, NULL};

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
bind_socket(NatControl *control, const struct sockaddr_un *sun, GError **error)
{
	struct stat st;

	control->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (control->fd < 0 || fchmod(control->fd, 0660) < 0 ||
	    bind(control->fd, (const struct sockaddr *)sun, sizeof *sun) < 0 ||
	    lstat(sun->sun_path, &st) < 0)
		return fail(error, "listen at", sun->sun_path);
	control->dev = st.st_dev;
	control->ino = st.st_ino;
	if (chmod(sun->sun_path, 0660) < 0 || listen(control->fd, 128) < 0)
		return fail(error, "listen at", sun->sun_path);
	return TRUE;
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
open_socket(NatControl *control, GError **error)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	g_autofree char *dir = g_path_get_dirname(control->path);
	gboolean ok;
	int lock;

	if (strlen(control->path) >= sizeof sun.sun_path) {
		errno = ENAMETOOLONG;
		return fail(error, "listen at", control->path);
	}
	memcpy(sun.sun_path, control->path, strlen(control->path));
	if (g_mkdir_with_parents(dir, 0755) < 0)
		return fail(error, "make the directory", dir);
	lock = lock_directory(dir);
	ok = remove_stale(&sun, error) && bind_socket(control, &sun, error);
	if (lock >= 0)
		close(lock);
	return ok;
}

NatControl *
nat_control_new(const char *path, NatControlFunc func, gpointer user_data, GError **error)
{
	g_autoptr(NatControl) control = g_new0(NatControl, 1);

	control->path = g_strdup(path);
	control->func = func;
	control->user_data = user_data;
	control->fd = -1;
	g_queue_init(&control->clients);
	if (!open_socket(control, error))
		return NULL;
	control->source = watch(&LISTENER_FUNCS, control->fd, control, "control", &control->tag);
	return g_steal_pointer(&control);
}

guint
nat_control_count(const NatControl *control)
{
	return control->clients.length;
}

void
nat_control_free(NatControl *control)
{
	struct stat st;

	if (!control)
		return;
	while (!g_queue_is_empty(&control->clients))
		client_free(g_queue_peek_head(&control->clients));
	if (control->source) {
		g_source_destroy(control->source);
		g_source_unref(control->source);
	}
	if (control->ino && lstat(control->path, &st) == 0 && st.st_dev == control->dev &&
	    st.st_ino == control->ino)
		g_unlink(control->path);
	if (control->fd >= 0)
		close(control->fd);
	g_free(control->path);
	g_free(control);
}
