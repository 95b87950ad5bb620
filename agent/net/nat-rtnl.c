/* SPDX-License-Identifier: MIT */
#include "agent/net/nat-rtnl.h"

#include <errno.h>
#include <gio/gio.h>
#include <string.h>
#include <sys/socket.h>

#define REQUEST_MAX 1024
#define ANSWER_MAX 32768 /* the kernel fills dumps up to this (netlink_dump) */
#define DUMP_TRIES 8

struct NatRtnl {
	struct mnl_socket *socket;
	guint32 seq;
	guint8 request[REQUEST_MAX] __attribute__((aligned(MNL_ALIGNTO)));
};

NatRtnl *
nat_rtnl_new(GError **error)
{
	/* The kernel answers within sendmsg(); only a lost answer would block. */
	const struct timeval patience = {.tv_sec = 2};
	g_autoptr(NatRtnl) rtnl = g_new0(NatRtnl, 1);

	rtnl->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!rtnl->socket || mnl_socket_bind(rtnl->socket, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    setsockopt(mnl_socket_get_fd(rtnl->socket), SOL_SOCKET, SO_RCVTIMEO, &patience,
		       sizeof patience) < 0) {
		g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno),
			    "cannot open a rtnetlink socket: %s", g_strerror(errno));
		return NULL;
	}
	return g_steal_pointer(&rtnl);
}

void
nat_rtnl_free(NatRtnl *rtnl)
{
	if (!rtnl)
		return;
	if (rtnl->socket)
		mnl_socket_close(rtnl->socket);
	g_free(rtnl);
}

struct nlmsghdr *
nat_rtnl_begin(NatRtnl *rtnl, guint16 type, guint16 flags)
{
	struct nlmsghdr *nlh;

	memset(rtnl->request, 0, sizeof rtnl->request);
	nlh = mnl_nlmsg_put_header(rtnl->request);
	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	if ((flags & NLM_F_DUMP) != NLM_F_DUMP)
		nlh->nlmsg_flags |= NLM_F_ACK;
	nlh->nlmsg_seq = ++rtnl->seq;
	return nlh;
}

/* What is left of an earlier request that ended in an error is skipped. */
static gboolean
is_answer(const NatRtnl *rtnl, const void *buf, gsize len)
{
	const struct nlmsghdr *nlh = buf;

	return len <= G_MAXINT && mnl_nlmsg_ok(nlh, (int)len) && nlh->nlmsg_seq == rtnl->seq;
}

int
nat_rtnl_talk(NatRtnl *rtnl, struct nlmsghdr *nlh, mnl_cb_t cb, gpointer data)
{
	guint8 buf[ANSWER_MAX] __attribute__((aligned(MNL_ALIGNTO)));
	int more = MNL_CB_OK;

	if (mnl_socket_sendto(rtnl->socket, nlh, nlh->nlmsg_len) < 0)
		return errno;
	while (more > MNL_CB_STOP) {
		gssize len = mnl_socket_recvfrom(rtnl->socket, buf, sizeof buf);

		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0)
			return errno;
		if (!is_answer(rtnl, buf, (gsize)len))
			continue;
		more = mnl_cb_run(buf, (gsize)len, rtnl->seq, mnl_socket_get_portid(rtnl->socket),
				  cb, data);
	}
	return more < 0 ? errno : 0;
}

int
nat_rtnl_dump(NatRtnl *rtnl, guint16 type, gsize header_len, mnl_cb_t cb,
	      void (*reset)(gpointer data), gpointer data)
{
	int err = EINTR;

	for (int i = 0; i < DUMP_TRIES && err == EINTR; i++) {
		struct nlmsghdr *nlh = nat_rtnl_begin(rtnl, type, NLM_F_DUMP);

		mnl_nlmsg_put_extra_header(nlh, header_len);
		reset(data);
		err = nat_rtnl_talk(rtnl, nlh, cb, data);
	}
	return err;
}

void
nat_rtnl_attrs(const struct nlmsghdr *nlh, gsize header_len, const struct nlattr **tb, guint16 max)
{
	const struct nlattr *attr;

	memset(tb, 0, (max + 1u) * sizeof *tb);
	mnl_attr_for_each(attr, nlh, header_len)
	{
		if (mnl_attr_get_type(attr) <= max)
			tb[mnl_attr_get_type(attr)] = attr;
	}
}
