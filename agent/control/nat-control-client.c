/* SPDX-License-Identifier: MIT */
/* The blocking client of the control socket. All system calls of an exchange share one deadline. */
#include "agent/control/nat-control.h"

#include <errno.h>
#include <gio/gio.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct NatControlClient {
	int fd;
	char *path;
	gint64 deadline; /* monotonic, µs; 0: none */
	GByteArray *in;	 /* read already */
	gsize searched;	 /* of it; there is no NUL */
};

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
wait_for(const NatControlClient *client, short events, GError **error)
{
	struct pollfd pfd = {.fd = client->fd, .events = events};

	for (;;) {
		gint64 left = (client->deadline - g_get_monotonic_time() + 999) / 1000;
		int wait_ms = client->deadline == 0 ? -1 : (int)CLAMP(left, 0, G_MAXINT);
		int n = wait_ms != 0 ? poll(&pfd, 1, wait_ms) : 0;

		if (n > 0)
			return TRUE;
		if (n == 0)
			return fail(error, G_IO_ERROR_TIMED_OUT, client->path,
				    "it is too busy, or stopped");
		if (errno != EINTR)
			return fail_errno(error, client->path, errno);
	}
}

static gboolean
connect_to(NatControlClient *client, GError **error)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};

	if (strlen(client->path) >= sizeof sun.sun_path)
		return fail(error, G_IO_ERROR_INVALID_FILENAME, client->path,
			    "the path is too long");
	memcpy(sun.sun_path, client->path, strlen(client->path));
	client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (client->fd < 0)
		return fail_errno(error, client->path, errno);
	while (connect(client->fd, (struct sockaddr *)&sun, sizeof sun) < 0) {
		/* unix(7): the backlog is full; there is no event to wait for */
		if (errno == EAGAIN && g_get_monotonic_time() < client->deadline)
			g_usleep(10 * 1000);
		else if (errno != EINTR)
			return fail_errno(error, client->path, errno);
	}
	return TRUE;
}

static gboolean
send_all(const NatControlClient *client, const char *text, GError **error)
{
	gsize len = strlen(text) + 1, done = 0; /* the NUL is the end of the message */

	while (done < len) {
		gssize n = send(client->fd, text + done, len - done, MSG_NOSIGNAL);

		if (n >= 0)
			done += (gsize)n;
		else if (errno == EAGAIN) {
			if (!wait_for(client, POLLOUT, error))
				return FALSE;
		} else if (errno != EINTR)
			return fail_errno(error, client->path, errno);
	}
	return TRUE;
}

/* What is read behind the message stays for the next one. */
static char *
take_message(NatControlClient *client, gsize *len)
{
	GByteArray *in = client->in;
	guint8 *nul = in->len > client->searched ? memchr(in->data + client->searched, '\0',
							  in->len - client->searched)
						 : NULL;
	char *text;

	client->searched = nul ? 0 : in->len;
	if (!nul)
		return NULL;
	*len = (gsize)(nul - in->data);
	text = g_strndup((const char *)in->data, *len);
	g_byte_array_remove_range(in, 0, (guint)*len + 1);
	return text;
}

static gboolean
receive_some(NatControlClient *client, GError **error)
{
	guint8 buf[16384];

	for (;;) {
		gssize n = recv(client->fd, buf, sizeof buf, 0);

		if (n > 0) {
			g_byte_array_append(client->in, buf, (guint)n);
			return TRUE;
		}
		if (n == 0)
			return fail(error, G_IO_ERROR_CLOSED, client->path,
				    "it closed the connection");
		if (errno == EAGAIN) {
			if (!wait_for(client, POLLIN, error))
				return FALSE;
		} else if (errno != EINTR)
			return fail_errno(error, client->path, errno);
	}
}

static char *
receive_message(NatControlClient *client, gsize *len, GError **error)
{
	for (;;) {
		char *text = take_message(client, len);

		if (text)
			return text;
		if (client->in->len > NAT_CONTROL_REPLY_MAX) {
			fail(error, G_IO_ERROR_INVALID_DATA, client->path, "the reply is too long");
			return NULL;
		}
		if (!receive_some(client, error))
			return NULL;
	}
}

static void
set_deadline(NatControlClient *client, guint timeout_ms)
{
	client->deadline = timeout_ms > 0 ? g_get_monotonic_time() + (gint64)timeout_ms * 1000 : 0;
}

NatControlClient *
nat_control_client_new(const char *path, guint timeout_ms, GError **error)
{
	g_autoptr(NatControlClient) client = g_new0(NatControlClient, 1);

	client->fd = -1;
	client->path = g_strdup(path);
	client->in = g_byte_array_new();
	set_deadline(client, timeout_ms);
	return connect_to(client, error) ? g_steal_pointer(&client) : NULL;
}

void
nat_control_client_free(NatControlClient *client)
{
	if (!client)
		return;
	if (client->fd >= 0)
		close(client->fd);
	g_byte_array_unref(client->in);
	g_free(client->path);
	g_free(client);
}

gboolean
nat_control_client_send(NatControlClient *client, const char *method, JsonNode *parameters,
			gboolean more, guint timeout_ms, GError **error)
{
	g_autofree char *text = nat_varlink_call(method, parameters, more);

	set_deadline(client, timeout_ms);
	return send_all(client, text, error);
}

JsonNode *
nat_control_client_receive(NatControlClient *client, guint timeout_ms, gboolean *continues,
			   GError **error)
{
	g_autofree char *text = NULL;
	gsize len;

	set_deadline(client, timeout_ms);
	text = receive_message(client, &len, error);
	return text ? nat_varlink_parse_reply(text, len, continues, error) : NULL;
}

JsonNode *
nat_control_call(const char *path, const char *method, JsonNode *parameters, guint timeout_ms,
		 GError **error)
{
	g_autoptr(NatControlClient) client = nat_control_client_new(path, timeout_ms, error);

	if (!client ||
	    !nat_control_client_send(client, method, parameters, FALSE, timeout_ms, error))
		return NULL;
	return nat_control_client_receive(client, timeout_ms, NULL, error);
}
