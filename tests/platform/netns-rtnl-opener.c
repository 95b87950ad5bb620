/* SPDX-License-Identifier: MIT */
/*
 * A rtnetlink socket stays in the network namespace of the thread that opened it. The kernel asks
 * whether the sender has CAP_NET_ADMIN now, and of a message sent without an address (write, or
 * send on a connected socket) also whether the opener had it when opening
 * (net/netlink/af_netlink.c, __netlink_ns_capable: NETLINK_SKB_DST). So the ICE thread may open the
 * socket, drop everything, and the host thread go on changing addresses there. nat-ice-ns.c
 * stands on this.
 */
#include "tests/platform/prove.h"

#include <linux/capability.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <sys/syscall.h>

/* The calling thread's alone: capabilities are per thread. */
static void
drop_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct sets[2] = {{0}, {0}};

	if (syscall(SYS_capset, &header, sets) != 0)
		g_error("capset: %s", g_strerror(errno));
}

/* 0 or the kernel's errno. */
static int
add_address(struct mnl_socket *rtnl, const char *text, gboolean addressed)
{
	guint8 buf[1024] __attribute__((aligned(MNL_ALIGNTO))) = {0};
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct ifaddrmsg *ifa = mnl_nlmsg_put_extra_header(nlh, sizeof *ifa);
	WgEndpoint addr = net_ep(text);
	gssize len;

	nlh->nlmsg_type = RTM_NEWADDR;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_ACK;
	ifa->ifa_family = AF_INET;
	ifa->ifa_prefixlen = 32;
	ifa->ifa_index = 1;
	mnl_attr_put(nlh, IFA_LOCAL, 4, &addr.v4.sin_addr);
	if (addressed)
		len = mnl_socket_sendto(rtnl, nlh, nlh->nlmsg_len);
	else
		len = send(mnl_socket_get_fd(rtnl), nlh, nlh->nlmsg_len, 0);
	if (len < 0)
		return errno;
	len = mnl_socket_recvfrom(rtnl, buf, sizeof buf);
	return mnl_cb_run(buf, (gsize)MAX(len, 0), 0, mnl_socket_get_portid(rtnl), NULL, NULL) < 0
		       ? errno
		       : 0;
}

static struct mnl_socket *
open_rtnl(void)
{
	struct mnl_socket *rtnl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);

	if (!rtnl || mnl_socket_bind(rtnl, 0, MNL_SOCKET_AUTOPID) < 0)
		g_error("rtnetlink: %s", g_strerror(errno));
	return rtnl;
}

static gboolean
can_bind(const char *text)
{
	WgEndpoint addr = net_ep(text);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	gboolean ok = bind(fd, &addr.sa, sizeof addr.v4) == 0;

	close(fd);
	return ok;
}

typedef struct {
	gboolean drop_first;
	struct mnl_socket *rtnl;
	GAsyncQueue *ready, *ask, *answer;
} Opener;

/* The private namespace lives as long as this thread, which answers what it can bind. */
static gpointer
opener(gpointer data)
{
	Opener *o = data;
	const char *addr;

	if (unshare(CLONE_NEWNET) != 0)
		g_error("unshare: %s", g_strerror(errno));
	net_run("ip link set lo up");
	if (o->drop_first)
		drop_capabilities();
	o->rtnl = open_rtnl();
	if (!o->drop_first)
		drop_capabilities();
	g_async_queue_push(o->ready, o);
	while (*(addr = g_async_queue_pop(o->ask)) != '\0')
		g_async_queue_push(o->answer, can_bind(addr) ? "yes" : "no");
	return NULL;
}

static GThread *
start(Opener *o)
{
	GThread *thread;

	o->ready = g_async_queue_new();
	o->ask = g_async_queue_new();
	o->answer = g_async_queue_new();
	thread = g_thread_new("opener", opener, o);
	g_async_queue_pop(o->ready);
	return thread;
}

static void
stop(Opener *o, GThread *thread)
{
	g_async_queue_push(o->ask, "");
	g_thread_join(thread);
	mnl_socket_close(o->rtnl);
	g_async_queue_unref(o->ready);
	g_async_queue_unref(o->ask);
	g_async_queue_unref(o->answer);
}

static gboolean
bound_there(Opener *o, const char *addr)
{
	g_async_queue_push(o->ask, (gpointer)addr);
	return strcmp(g_async_queue_pop(o->answer), "yes") == 0;
}

static gpointer
powerless(gpointer data)
{
	Opener *o = data;

	drop_capabilities();
	return GINT_TO_POINTER(add_address(o->rtnl, "192.0.2.3", TRUE));
}

int
main(void)
{
	Opener able = {.drop_first = FALSE}, unable = {.drop_first = TRUE};
	GThread *thread;
	gboolean ok;
	int err;

	prove_in_fresh_namespace();
	net_run("ip link set lo up"); /* without a routing table everything can be bound */
	thread = start(&able);
	ok = prove(add_address(able.rtnl, "192.0.2.1", TRUE) == 0 &&
			   add_address(able.rtnl, "192.0.2.2", FALSE) == 0,
		   "opened with CAP_NET_ADMIN there, used with it here: allowed");
	ok &= prove(bound_there(&able, "192.0.2.1") && !can_bind("192.0.2.1"),
		    "and it changed the opener's namespace, not the sender's");
	err = GPOINTER_TO_INT(g_thread_join(g_thread_new("powerless", powerless, &able)));
	ok &= prove(err == EPERM, "a sender without CAP_NET_ADMIN is refused");
	stop(&able, thread);

	thread = start(&unable);
	ok &= prove(add_address(unable.rtnl, "192.0.2.1", FALSE) == EPERM,
		    "opened without it: refused, whoever sends");
	ok &= prove(add_address(unable.rtnl, "192.0.2.1", TRUE) == 0,
		    "unless sent to an explicit address: then only the sender counts");
	stop(&unable, thread);
	return ok ? 0 : 1;
}
