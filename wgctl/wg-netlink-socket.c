/* SPDX-License-Identifier: MIT */
/*
 * The socket is kept between calls, and closed after every failure, so that no late answer can be
 * taken for that of a later request.
 */
#include "wgctl/wg-netlink.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <string.h>
#include <sys/time.h>

#define FAMILY_NAME "wireguard"
#define TIMEOUT_S 5
/* The kernel fills dump messages up to what it has seen the reader take, 32 kB at most. */
#define BUFFER_SIZE 32768
#define MAX_ATTEMPTS 20

struct WgNetlink {
	struct mnl_socket *socket; /* NULL: not open */
	guint32 portid;
	guint32 sequence;
	guint16 family;
};

typedef struct {
	char bytes[BUFFER_SIZE]; /* holds keys: cleared before it goes */
} Buffer;

static void
buffer_free(Buffer *buf)
{
	explicit_bzero(buf, sizeof *buf);
	g_free(buf);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Buffer, buffer_free)

WgNetlink *
wg_netlink_new(void)
{
	return g_new0(WgNetlink, 1);
}

static void
close_socket(WgNetlink *nl)
{
	if (nl->socket)
		mnl_socket_close(nl->socket);
	nl->socket = NULL;
	nl->family = 0;
}

void
wg_netlink_free(WgNetlink *nl)
{
	if (!nl)
		return;
	close_socket(nl);
	g_free(nl);
}

static void
set_errno_error(GError **error, const char *ifname, int err)
{
	if (err == EPERM || err == EACCES)
		g_set_error(error, WG_ERROR, WG_ERROR_PERMISSION,
			    "no permission for WireGuard interface %s: run as root or with "
			    "CAP_NET_ADMIN",
			    ifname);
	else if (err == ENODEV)
		g_set_error(error, WG_ERROR, WG_ERROR_NO_DEVICE,
			    "there is no interface %s: create it with 'ip link add %s type "
			    "wireguard'",
			    ifname, ifname);
	else if (err == EOPNOTSUPP)
		g_set_error(error, WG_ERROR, WG_ERROR_NOT_WIREGUARD,
			    "%s is no kernel WireGuard interface: see 'ip -d link show %s'", ifname,
			    ifname);
	else if (err == ENOENT)
		g_set_error(error, WG_ERROR, WG_ERROR_NOT_WIREGUARD,
			    "the kernel has no WireGuard to serve %s: load it with 'modprobe "
			    "wireguard'",
			    ifname);
	else if (err == EAGAIN)
		g_set_error(error, WG_ERROR, WG_ERROR_FAILED,
			    "the kernel did not answer for %s within %d s: try again", ifname,
			    TIMEOUT_S);
	else
		g_set_error(error, WG_ERROR, WG_ERROR_FAILED, "WireGuard interface %s: %s", ifname,
			    g_strerror(err));
}

static int
on_family(const struct nlmsghdr *nlh, void *data)
{
	const struct nlattr *attr;
	guint16 *family = data;

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(struct genlmsghdr))
		return MNL_CB_OK;
	mnl_attr_for_each(attr, nlh, sizeof(struct genlmsghdr))
	{
		if (mnl_attr_get_type(attr) == CTRL_ATTR_FAMILY_ID &&
		    mnl_attr_validate(attr, MNL_TYPE_U16) >= 0)
			*family = mnl_attr_get_u16(attr);
	}
	return MNL_CB_OK;
}

/* EINTR is a signal, not an end. Sets errno. */
static ssize_t
receive(WgNetlink *nl, Buffer *buf)
{
	ssize_t n;

	do
		n = mnl_socket_recvfrom(nl->socket, buf->bytes, sizeof buf->bytes);
	while (n < 0 && errno == EINTR);
	return n;
}

/* Sends a request that ends with an acknowledgement. Sets errno. */
static gboolean
exchange(WgNetlink *nl, struct nlmsghdr *nlh, mnl_cb_t func, gpointer data)
{
	g_autoptr(Buffer) buf = g_new(Buffer, 1);
	int result;

	nlh->nlmsg_seq = ++nl->sequence;
	if (mnl_socket_sendto(nl->socket, nlh, nlh->nlmsg_len) < 0)
		return FALSE;
	do {
		ssize_t n = receive(nl, buf);

		if (n < 0)
			return FALSE;
		result = mnl_cb_run(buf->bytes, n, nl->sequence, nl->portid, func, data);
	} while (result > MNL_CB_STOP);
	return result == MNL_CB_STOP;
}

/* Sets errno. */
static gboolean
resolve_family(WgNetlink *nl)
{
	char buf[256];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct genlmsghdr *genl;

	nlh->nlmsg_type = GENL_ID_CTRL;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	genl = mnl_nlmsg_put_extra_header(nlh, sizeof *genl);
	genl->cmd = CTRL_CMD_GETFAMILY;
	genl->version = 1;
	mnl_attr_put_strz(nlh, CTRL_ATTR_FAMILY_NAME, FAMILY_NAME);
	if (!exchange(nl, nlh, on_family, &nl->family))
		return FALSE;
	errno = ENOENT;
	return nl->family != 0;
}

/* Sets errno. */
static gboolean
open_socket(WgNetlink *nl)
{
	struct timeval timeout = {.tv_sec = TIMEOUT_S};

	if (nl->socket)
		return TRUE;
	nl->socket = mnl_socket_open2(NETLINK_GENERIC, SOCK_CLOEXEC);
	if (!nl->socket)
		return FALSE;
	setsockopt(mnl_socket_get_fd(nl->socket), SOL_SOCKET, SO_RCVTIMEO, &timeout,
		   sizeof timeout);
	if (mnl_socket_bind(nl->socket, 0, MNL_SOCKET_AUTOPID) < 0)
		return FALSE;
	nl->portid = mnl_socket_get_portid(nl->socket);
	return resolve_family(nl);
}

typedef enum {
	DUMP_MORE,
	DUMP_DONE,
	DUMP_FAILED, /* *error is set, or errno */
} DumpResult;

typedef struct {
	WgDevice *dev;
	gboolean interrupted; /* the device changed meanwhile: what we have fits no moment */
	GError *error;
} Dump;

/* A dump ends in NLMSG_DONE with an error number, a refused one in NLMSG_ERROR. Sets errno. */
static DumpResult
end_dump(const struct nlmsghdr *nlh)
{
	int err = -EBADMSG;

	/* struct nlmsgerr begins with the error number too. */
	if (mnl_nlmsg_get_payload_len(nlh) >= sizeof err)
		memcpy(&err, mnl_nlmsg_get_payload(nlh), sizeof err);
	errno = -err;
	return err == 0 ? DUMP_DONE : DUMP_FAILED;
}

static DumpResult
take_dump_messages(const WgNetlink *nl, const Buffer *buf, int len, Dump *dump)
{
	const struct nlmsghdr *nlh = (const struct nlmsghdr *)buf->bytes;

	for (; wg_netlink_is_whole(nlh, len); nlh = mnl_nlmsg_next(nlh, &len)) {
		if (nlh->nlmsg_seq != nl->sequence)
			continue;
		if (nlh->nlmsg_flags & NLM_F_DUMP_INTR)
			dump->interrupted = TRUE;
		if (nlh->nlmsg_type == NLMSG_DONE || nlh->nlmsg_type == NLMSG_ERROR)
			return end_dump(nlh);
		if (nlh->nlmsg_type == nl->family &&
		    !wg_netlink_parse(dump->dev, nlh, &dump->error))
			return DUMP_FAILED;
	}
	return DUMP_MORE;
}

static DumpResult
run_dump(WgNetlink *nl, const char *ifname, Dump *dump)
{
	g_autoptr(Buffer) buf = g_new(Buffer, 1);
	g_autofree struct nlmsghdr *request = wg_netlink_build_get(nl->family, ifname);
	DumpResult result;

	request->nlmsg_seq = ++nl->sequence;
	if (mnl_socket_sendto(nl->socket, request, request->nlmsg_len) < 0)
		return DUMP_FAILED;
	do {
		ssize_t n = receive(nl, buf);

		if (n < 0)
			return DUMP_FAILED;
		result = take_dump_messages(nl, buf, n, dump);
	} while (result == DUMP_MORE);
	return result;
}

static WgDevice *
fail_read(WgNetlink *nl, const char *ifname, GError *cause, GError **error)
{
	int err = errno;

	close_socket(nl);
	if (cause)
		g_propagate_error(error, cause);
	else
		set_errno_error(error, ifname, err);
	return NULL;
}

WgDevice *
wg_netlink_read(WgNetlink *nl, const char *ifname, GError **error)
{
	if (!open_socket(nl))
		return fail_read(nl, ifname, NULL, error);
	for (int attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
		g_autoptr(WgDevice) dev = wg_device_new(ifname);
		Dump dump = {.dev = dev};

		dev->backend = WG_BACKEND_KERNEL;
		if (run_dump(nl, ifname, &dump) != DUMP_DONE)
			return fail_read(nl, ifname, dump.error, error);
		if (!dump.interrupted)
			return g_steal_pointer(&dev);
	}
	errno = EINTR;
	return fail_read(nl, ifname, NULL, error);
}

gboolean
wg_netlink_write(WgNetlink *nl, const char *ifname, const WgPlan *plan, GError **error)
{
	g_autoptr(GPtrArray) messages = NULL;

	if (!open_socket(nl))
		return fail_read(nl, ifname, NULL, error) != NULL;
	messages = wg_netlink_build_set(nl->family, ifname, plan);
	for (guint i = 0; i < messages->len; i++)
		if (!exchange(nl, g_ptr_array_index(messages, i), NULL, NULL))
			return fail_read(nl, ifname, NULL, error) != NULL;
	return TRUE;
}
