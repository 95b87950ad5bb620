/* SPDX-License-Identifier: MIT */
#include "agent/base/nat-privs.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct {
	int cap;
	const char *name;
	const char *use;
} NEEDED[] = {
	{CAP_NET_ADMIN, "CAP_NET_ADMIN", "WireGuard and the TUN device"},
	{CAP_NET_RAW, "CAP_NET_RAW", "STUN on WireGuard's port"},
};

#define REMEDY "--cap-add NET_ADMIN --cap-add NET_RAW --device /dev/net/tun"
#define TUN "/dev/net/tun"

/* Of the first n that are needed. */
static gboolean
check(guint64 effective, gsize n, GError **error)
{
	g_autoptr(GString) missing = g_string_new(NULL);

	for (gsize i = 0; i < n; i++)
		if (!(effective & (G_GUINT64_CONSTANT(1) << NEEDED[i].cap)))
			g_string_append_printf(missing, "%s%s (%s)", missing->len > 0 ? ", " : "",
					       NEEDED[i].name, NEEDED[i].use);
	if (missing->len == 0)
		return TRUE;
	g_set_error(error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED,
		    "not allowed to run without %s: run it as root, or with %s", missing->str,
		    n > 1 ? "these capabilities (a container: " REMEDY ")" : "this capability");
	return FALSE;
}

gboolean
nat_privs_check_set(guint64 effective, GError **error)
{
	return check(effective, G_N_ELEMENTS(NEEDED), error);
}

/* Less is always allowed: should the kernel refuse, that is not to be hidden. */
static void
keep(guint64 caps)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

	if (syscall(SYS_capget, &header, data) == 0) {
		for (guint i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
			guint32 mask = (guint32)(caps >> (32 * i));

			data[i].effective &= mask;
			data[i].permitted &= mask;
			data[i].inheritable &= mask;
		}
		if (syscall(SYS_capset, &header, data) == 0)
			return;
	}
	g_warning("capabilities can't be given up: %s", g_strerror(errno));
}

void
nat_privs_keep_network(void)
{
	keep(G_GUINT64_CONSTANT(1) << CAP_NET_ADMIN | G_GUINT64_CONSTANT(1) << CAP_NET_RAW);
}

void
nat_privs_drop_all(void)
{
	keep(0);
}

static gboolean
read_effective(guint64 *effective, GError **error)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

	if (syscall(SYS_capget, &header, data) < 0) {
		int saved = errno;

		g_set_error(error, G_IO_ERROR, (int)g_io_error_from_errno(saved),
			    "cannot read this process's capabilities: %s", g_strerror(saved));
		return FALSE;
	}
	*effective = data[0].effective | (guint64)data[1].effective << 32;
	return TRUE;
}

static const char *
tun_remedy(int err)
{
	switch (err) {
	case ENOENT:
	case ENODEV:
	case ENXIO:
		return "load the tun module, and give a container the device: " REMEDY;
	default:
		return "give the unit (DeviceAllow=" TUN " rw) or the container (" REMEDY
		       ") the device";
	}
}

/* Opening it makes nothing. */
static gboolean
check_tun(GError **error)
{
	int fd = open(TUN, O_RDWR | O_CLOEXEC), err = errno;

	if (fd >= 0) {
		close(fd);
		return TRUE;
	}
	g_set_error(error, G_IO_ERROR, (int)g_io_error_from_errno(err),
		    "cannot open " TUN " (%s): %s", g_strerror(err), tun_remedy(err));
	return FALSE;
}

gboolean
nat_privs_check(GError **error)
{
	guint64 effective;

	return read_effective(&effective, error) && nat_privs_check_set(effective, error) &&
	       check_tun(error);
}

gboolean
nat_privs_check_admin(GError **error)
{
	guint64 effective;

	/* it is the first */
	return read_effective(&effective, error) && check(effective, 1, error);
}
