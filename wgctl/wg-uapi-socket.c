/* SPDX-License-Identifier: MIT */
/*
 * One request, one answer, one connection: some implementations serve no more than that.
 */
#include "wgctl/wg-uapi.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define TIMEOUT_US (5 * G_USEC_PER_SEC)
#define FIRST_SIZE 65536
#define MAX_SIZE (64 * 1024 * 1024) /* some 200,000 peers */

typedef struct {
	char *text; /* holds keys: cleared before it goes */
	gsize len, size;
} Answer;

static void
answer_clear(Answer *answer)
{
	if (answer->text)
		explicit_bzero(answer->text, answer->size);
	g_free(answer->text);
	answer->text = NULL;
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Answer, answer_clear)

static void
answer_grow(Answer *answer)
{
	gsize size = answer->size ? answer->size * 2 : FIRST_SIZE;
	char *text = g_malloc(size);

	if (answer->len)
		memcpy(text, answer->text, answer->len);
	answer_clear(answer);
	answer->text = text;
	answer->size = size;
}

static void
set_errno_error(GError **error, const char *ifname, const char *what)
{
	int err = errno;

	if (err == EACCES || err == EPERM)
		g_set_error(error, WG_ERROR, WG_ERROR_PERMISSION,
			    "no permission to use %s/%s.sock: run as root", WG_UAPI_DIRECTORY,
			    ifname);
	else if (err == ENOENT)
		g_set_error(error, WG_ERROR, WG_ERROR_NOT_WIREGUARD,
			    "%s is no WireGuard interface: neither the kernel's nor served at "
			    "%s/%s.sock",
			    ifname, WG_UAPI_DIRECTORY, ifname);
	else if (err == ECONNREFUSED)
		g_set_error(error, WG_ERROR, WG_ERROR_NOT_WIREGUARD,
			    "nothing serves %s/%s.sock any more: start wireguard-go for %s again",
			    WG_UAPI_DIRECTORY, ifname, ifname);
	else if (err == ETIMEDOUT || err == EAGAIN)
		g_set_error(error, WG_ERROR, WG_ERROR_FAILED,
			    "%s/%s.sock does not answer: restart what serves it", WG_UAPI_DIRECTORY,
			    ifname);
	else
		g_set_error(error, WG_ERROR, WG_ERROR_FAILED, "%s/%s.sock: %s: %s",
			    WG_UAPI_DIRECTORY, ifname, what, g_strerror(err));
}

/* Sets errno. A listener with a full backlog answers EAGAIN at once. */
static int
connect_socket(const char *ifname)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd, err;

	g_snprintf(addr.sun_path, sizeof addr.sun_path, "%s/%s.sock", WG_UAPI_DIRECTORY, ifname);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	if (connect(fd, (struct sockaddr *)&addr, sizeof addr) == 0)
		return fd;
	err = errno;
	close(fd);
	errno = err;
	return -1;
}

/* Sets errno. */
static gboolean
wait_for(int fd, short events, gint64 deadline)
{
	struct pollfd pfd = {.fd = fd, .events = events};

	for (;;) {
		gint64 left = deadline - g_get_monotonic_time();
		int n = left > 0 ? poll(&pfd, 1, left / 1000 + 1) : 0;

		if (n > 0)
			return TRUE;
		if (n == 0) {
			errno = ETIMEDOUT;
			return FALSE;
		}
		if (errno != EINTR)
			return FALSE;
	}
}

static gboolean
send_all(int fd, const char *text, gsize len, gint64 deadline)
{
	while (len) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

		if (n > 0) {
			text += n;
			len -= n;
		} else if (errno == EAGAIN) {
			if (!wait_for(fd, POLLOUT, deadline))
				return FALSE;
		} else if (errno != EINTR) {
			return FALSE;
		}
	}
	return TRUE;
}

static gboolean
is_complete(const Answer *answer)
{
	return answer->len >= 2 && memcmp(answer->text + answer->len - 2, "\n\n", 2) == 0;
}

/* Until the empty line or the end of the stream; the parser judges what came. */
static gboolean
receive_all(int fd, Answer *answer, gint64 deadline)
{
	while (!is_complete(answer)) {
		ssize_t n;

		if (answer->len + 1 >= answer->size) {
			if (answer->size >= MAX_SIZE) {
				errno = EMSGSIZE;
				return FALSE;
			}
			answer_grow(answer);
		}
		n = recv(fd, answer->text + answer->len, answer->size - answer->len - 1, 0);
		if (n == 0)
			break;
		if (n > 0)
			answer->len += n;
		else if (errno == EAGAIN && !wait_for(fd, POLLIN, deadline))
			return FALSE;
		else if (errno != EAGAIN && errno != EINTR)
			return FALSE;
	}
	answer->text[answer->len] = '\0';
	return TRUE;
}

static gboolean
exchange(const char *ifname, const char *request, gsize len, Answer *answer, GError **error)
{
	gint64 deadline = g_get_monotonic_time() + TIMEOUT_US;
	gboolean ok;
	int fd = connect_socket(ifname);

	if (fd < 0) {
		set_errno_error(error, ifname, "connecting");
		return FALSE;
	}
	ok = send_all(fd, request, len, deadline) && receive_all(fd, answer, deadline);
	if (!ok)
		set_errno_error(error, ifname, "asking");
	close(fd);
	return ok;
}

WgDevice *
wg_uapi_read(const char *ifname, GError **error)
{
	static const char request[] = "get=1\n\n";
	g_auto(Answer) answer = {0};

	if (!exchange(ifname, request, sizeof request - 1, &answer, error))
		return NULL;
	return wg_uapi_parse(ifname, answer.text, error);
}

gboolean
wg_uapi_write(const char *ifname, const WgPlan *plan, GError **error)
{
	g_auto(Answer) answer = {0};
	GString *request = wg_uapi_format_set(plan);
	gboolean ok = exchange(ifname, request->str, request->len, &answer, error);

	explicit_bzero(request->str, request->len);
	g_string_free(request, TRUE);
	return ok && wg_uapi_parse_result(ifname, answer.text, error);
}

gboolean
wg_uapi_is_served(const char *ifname)
{
	int fd = connect_socket(ifname);

	if (fd < 0)
		return FALSE;
	close(fd);
	return TRUE;
}
