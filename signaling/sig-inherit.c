/* SPDX-License-Identifier: MIT */
#include "signaling/sig-inherit.h"

#include <fcntl.h>
#include <gio/gio.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "signaling/sig-socket.h"

typedef struct {
	int fd;
	SigSocketKind kind;
	WgEndpoint address;
} Inherited;

static const char letters[] = {
	[SIG_SOCKET_LISTEN] = 'l',
	[SIG_SOCKET_STUN] = 's',
	[SIG_SOCKET_METRICS] = 'm',
};

static GArray *sockets; /* of Inherited; NULL: none */

char
sig_socket_kind_letter(SigSocketKind kind)
{
	return letters[kind];
}

static gboolean
is_inet(int fd, int type, int listening)
{
	return sd_is_socket_inet(fd, AF_UNSPEC, type, listening, 0) > 0;
}

static gboolean
take(int fd, SigSocketKind kind, GError **error)
{
	Inherited one = {.fd = fd, .kind = kind};
	gboolean udp = kind == SIG_SOCKET_STUN;

	if (!is_inet(fd, udp ? SOCK_DGRAM : SOCK_STREAM, udp ? -1 : 1) ||
	    !sig_socket_address(fd, &one.address)) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
			    "inherited descriptor %d is neither a listening TCP nor a bound UDP "
			    "socket of IPv4 or IPv6: see ListenStream= and ListenDatagram= of the "
			    "socket unit",
			    fd);
		return FALSE;
	}
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	g_array_append_val(sockets, one);
	return TRUE;
}

static gboolean
take_handed_over(const char *kinds, GError **error)
{
	for (guint i = 0; kinds[i]; i++) {
		const char *at = memchr(letters, kinds[i], sizeof letters);

		if (!take(SIG_INHERIT_FIRST + (int)i,
			  at ? (SigSocketKind)(at - letters) : SIG_SOCKET_LISTEN, error))
			return FALSE;
	}
	return TRUE;
}

static SigSocketKind
kind_of(int fd, const char *name)
{
	if (is_inet(fd, SOCK_DGRAM, -1))
		return SIG_SOCKET_STUN;
	return g_strcmp0(name, "metrics") == 0 ? SIG_SOCKET_METRICS : SIG_SOCKET_LISTEN;
}

static gboolean
take_activated(GError **error)
{
	char **names = NULL;
	int n = sd_listen_fds_with_names(TRUE, &names);
	gboolean ok = TRUE;

	for (int i = 0; i < n && ok; i++)
		ok = take(SD_LISTEN_FDS_START + i, kind_of(SD_LISTEN_FDS_START + i, names[i]),
			  error);
	for (int i = 0; i < n; i++)
		free(names[i]);
	free(names);
	return ok;
}

gboolean
sig_inherit_init(GError **error)
{
	g_autofree char *kinds = g_strdup(g_getenv(SIG_INHERIT_ENV));

	g_unsetenv(SIG_INHERIT_ENV);
	sockets = g_array_new(FALSE, FALSE, sizeof(Inherited));
	return kinds ? take_handed_over(kinds, error) : take_activated(error);
}

GArray *
sig_inherit_addresses(SigSocketKind kind)
{
	GArray *out = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));

	for (guint i = 0; sockets && i < sockets->len; i++) {
		const Inherited *one = &g_array_index(sockets, Inherited, i);

		if (one->kind == kind)
			g_array_append_val(out, one->address);
	}
	return out;
}

static gboolean
is_at(const Inherited *one, const WgEndpoint *address)
{
	return wg_endpoint_port(address) == 0 ? wg_endpoint_same_address(&one->address, address)
					      : wg_endpoint_equal(&one->address, address);
}

int
sig_inherit_take(SigSocketKind kind, const WgEndpoint *address)
{
	for (guint i = 0; sockets && i < sockets->len; i++) {
		const Inherited *one = &g_array_index(sockets, Inherited, i);
		int fd = one->fd;

		if (one->kind == kind && is_at(one, address)) {
			g_array_remove_index(sockets, i);
			return fd;
		}
	}
	return -1;
}

guint
sig_inherit_close_rest(void)
{
	guint n = sockets ? sockets->len : 0;

	for (guint i = 0; i < n; i++)
		close(g_array_index(sockets, Inherited, i).fd);
	g_clear_pointer(&sockets, g_array_unref);
	return n;
}
