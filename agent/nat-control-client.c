/* SPDX-License-Identifier: MIT */
/* The blocking client of the control socket. All system calls share one deadline. */
#include "agent/nat-control.h"

#include <errno.h>
#include <gio/gio.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

typedef struct {
	int fd;
	const char *path;
	gint64 deadline; /* monotonic, µs */
} Call;

static gboolean
fail(GError **error, GIOErrorEnum code, const char *path, const char *what)
{
	g_set_error(error, G_IO_ERROR, (int)code, "no agent answers at %s: %s", path, what);
	return FALSE;
}

static gboolean
fail_errno(GError **error, const char *path, int saved)
{
	if (saved == ENOENT || saved == ECONNREFUSED || saved == ENOTDIR)
		return fail(error, G_IO_ERROR_NOT_FOUND, path,
			    "is nat-agent running? Another socket is named with --control PATH");
	if (saved == EACCES || saved == EPERM)
		return fail(error, G_IO_ERROR_PERMISSION_DENIED, path,
			    "permission denied, try as root");
	return fail(error, g_io_error_from_errno(saved), path, g_strerror(saved));
}

static gboolean
wait_for(const Call *call, short events, GError **error)
{
	struct pollfd pfd = {.fd = call->fd, .events = events};

	for (;;) {
		gint64 left = (call->deadline - g_get_monotonic_time() + 999) / 1000;
		int n = left > 0 ? poll(&pfd, 1, (int)MIN(left, G_MAXINT)) : 0;

		if (n > 0)
			return TRUE;
		if (n == 0)
			return fail(error, G_IO_ERROR_TIMED_OUT, call->path,
				    "it is too busy, or stopped");
		if (errno != EINTR)
			return fail_errno(error, call->path, errno);
	}
}

static gboolean
connect_to(Call *call, GError **error)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};

	if (strlen(call->path) >= sizeof sun.sun_path)
		return fail(error, G_IO_ERROR_INVALID_FILENAME, call->path, "the path is too long");
	memcpy(sun.sun_path, call->path, strlen(call->path));
	call->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (call->fd < 0)
		return fail_errno(error, call->path, errno);
	while (connect(call->fd, (struct sockaddr *)&sun, sizeof sun) < 0) {
		/* unix(7): the backlog is full; there is no event to wait for */
		if (errno == EAGAIN && g_get_monotonic_time() < call->deadline)
			g_usleep(10 * 1000);
		else if (errno != EINTR)
			return fail_errno(error, call->path, errno);
	}
	return TRUE;
}

static gboolean
send_all(const Call *call, const char *text, GError **error)
{
	gsize len = strlen(text) + 1, done = 0; /* the NUL is the end of the message */

	while (done < len) {
		gssize n = send(call->fd, text + done, len - done, MSG_NOSIGNAL);

		if (n >= 0)
			done += (gsize)n;
		else if (errno == EAGAIN) {
			if (!wait_for(call, POLLOUT, error))
				return FALSE;
		} else if (errno != EINTR)
			return fail_errno(error, call->path, errno);
	}
	return TRUE;
}

static gboolean
receive_message(const Call *call, GByteArray *in, GError **error)
{
	guint8 buf[16384];

	for (;;) {
		gssize n = recv(call->fd, buf, sizeof buf, 0);
		guint8 *nul;

		if (n < 0 && errno == EAGAIN) {
			if (!wait_for(call, POLLIN, error))
				return FALSE;
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail_errno(error, call->path, errno);
		if (n == 0)
			return fail(error, G_IO_ERROR_CLOSED, call->path,
				    "it closed the connection");
		nul = memchr(buf, '\0', (gsize)n);
		g_byte_array_append(in, buf, nul ? (guint)(nul - buf) : (guint)n);
		if (nul)
			return TRUE;
		if (in->len > NAT_CONTROL_REPLY_MAX)
			return fail(error, G_IO_ERROR_INVALID_DATA, call->path,
				    "the reply is too long");
	}
}

JsonNode *
nat_control_call(const char *path, const char *method, JsonNode *parameters, guint timeout_ms,
		 GError **error)
{
	g_autofree char *text = nat_varlink_call(method, parameters);
	g_autoptr(GByteArray) in = g_byte_array_new();
	Call call = {-1, path, g_get_monotonic_time() + (gint64)timeout_ms * 1000};
	JsonNode *reply = NULL;

	if (connect_to(&call, error) && send_all(&call, text, error) &&
	    receive_message(&call, in, error))
		reply = nat_varlink_parse_reply((const char *)in->data, in->len, error);
	if (call.fd >= 0)
		close(call.fd);
	return reply;
}
