/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation. The ICE thread alone is in the private namespace: it unshares, opens the
 * TUN and a rtnetlink socket there, brings up lo and the TUN, reports, and then only runs its main
 * loop. A socket and a TUN fd stay in the namespace that opened them, so the host thread reads and
 * writes packets and changes addresses without ever entering it. The kernel lets the host thread
 * do so when both the opener had and the sender has CAP_NET_ADMIN
 * (tests/platform/netns-rtnl-opener.c).
 *
 * The namespace is silent by itself: no link-local address (addr_gen_mode 1), so no router
 * solicitation and no MLD; addresses are nodad. What comes out of the TUN is libnice's.
 */
#include "agent/nat-ice-ns.h"

#include "agent/nat-privs.h"
#include "agent/nat-rtnl.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define TUN_NAME "ice0"
#define TUN_MTU 1500
#define LOCAL_ROUTE_WAIT (100 * G_TIME_SPAN_MILLISECOND)
#define LO_IFINDEX 1 /* in every namespace: drivers/net/loopback.c, BUG_ON */

struct NatIceNs {
	GThread *thread;
	GMainContext *context;
	GMainLoop *loop;
	int tun_fd;
	int ifindex;
	NatRtnl *rtnl;
	GArray *addrs; /* of WgEndpoint, port 0: what the TUN carries now */

	/* how the thread reports once that it is up, or why not */
	GMutex mutex;
	GCond cond;
	gboolean reported;
	GError *error;
};

G_GNUC_PRINTF(3, 4)
static gboolean
fail(GError **error, int err, const char *format, ...)
{
	g_autofree char *what = NULL;
	va_list args;

	va_start(args, format);
	what = g_strdup_vprintf(format, args);
	va_end(args);
	g_set_error(error, G_IO_ERROR, g_io_error_from_errno(err), "%s: %s", what, g_strerror(err));
	return FALSE;
}

/* ---- setting up, in the ICE thread ---- */

static gboolean
enter_namespace(GError **error)
{
	if (unshare(CLONE_NEWNET) == 0)
		return TRUE;
	if (errno == EPERM)
		return fail(error, errno,
			    "no permission for a private network namespace: CAP_SYS_ADMIN is "
			    "missing (run as root, or grant it in the unit or container)");
	if (errno == ENOSPC)
		return fail(error, errno,
			    "no more network namespaces: raise sysctl user.max_net_namespaces");
	return fail(error, errno, "cannot make a private network namespace (CONFIG_NET_NS)");
}

static gboolean
open_tun(NatIceNs *ns, GError **error)
{
	struct ifreq ifr = {.ifr_name = TUN_NAME, .ifr_flags = IFF_TUN | IFF_NO_PI};

	ns->tun_fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (ns->tun_fd < 0)
		return fail(error, errno,
			    "cannot open /dev/net/tun (load the tun module, or give the container "
			    "the device)");
	if (ioctl(ns->tun_fd, TUNSETIFF, &ifr) == 0)
		return TRUE;
	if (errno == EPERM)
		return fail(error, errno,
			    "no permission for a TUN device: CAP_NET_ADMIN is missing (run as "
			    "root, or grant it in the unit or container)");
	return fail(error, errno, "cannot make a TUN device from /dev/net/tun");
}

static struct nlmsghdr *
begin_link(NatIceNs *ns, int ifindex, unsigned flags)
{
	struct nlmsghdr *nlh = nat_rtnl_begin(ns->rtnl, RTM_NEWLINK, 0);
	struct ifinfomsg *ifi = mnl_nlmsg_put_extra_header(nlh, sizeof *ifi);

	ifi->ifi_family = AF_UNSPEC;
	ifi->ifi_index = ifindex;
	ifi->ifi_flags = flags;
	ifi->ifi_change = flags;
	return nlh;
}

/* addr_gen_mode 1 (none). By netlink, since /proc/sys may be read-only (ProtectKernelTunables, a
 * container). Refused where IPv6 is off, which is fine: then there is nothing to keep silent. */
static void
silence_ipv6(NatIceNs *ns)
{
	struct nlmsghdr *nlh = begin_link(ns, ns->ifindex, 0);
	struct nlattr *spec = mnl_attr_nest_start(nlh, IFLA_AF_SPEC);
	struct nlattr *inet6 = mnl_attr_nest_start(nlh, AF_INET6);
	int err;

	mnl_attr_put_u8(nlh, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	mnl_attr_nest_end(nlh, inet6);
	mnl_attr_nest_end(nlh, spec);
	err = nat_rtnl_talk(ns->rtnl, nlh, NULL, NULL);
	if (err != 0)
		g_debug("ICE namespace: addr_gen_mode: %s", g_strerror(err));
}

static gboolean
bring_up(NatIceNs *ns, GError **error)
{
	struct nlmsghdr *nlh;
	int err;

	ns->ifindex = (int)if_nametoindex(TUN_NAME);
	silence_ipv6(ns);
	err = nat_rtnl_talk(ns->rtnl, begin_link(ns, LO_IFINDEX, IFF_UP), NULL, NULL);
	if (err != 0)
		return fail(error, err, "cannot bring lo up in the ICE namespace");
	nlh = begin_link(ns, ns->ifindex, IFF_UP);
	mnl_attr_put_u32(nlh, IFLA_MTU, TUN_MTU);
	err = nat_rtnl_talk(ns->rtnl, nlh, NULL, NULL);
	if (err != 0)
		return fail(error, err, "cannot bring the TUN up in the ICE namespace");
	return TRUE;
}

static gboolean
set_up(NatIceNs *ns, GError **error)
{
	if (!enter_namespace(error) || !open_tun(ns, error))
		return FALSE;
	ns->rtnl = nat_rtnl_new(error);
	return ns->rtnl && bring_up(ns, error);
}

static gpointer
ice_thread(gpointer data)
{
	NatIceNs *ns = data;
	GError *error = NULL;
	gboolean ok = set_up(ns, &error);

	g_mutex_lock(&ns->mutex);
	ns->error = error;
	ns->reported = TRUE;
	g_cond_signal(&ns->cond);
	g_mutex_unlock(&ns->mutex);
	if (!ok)
		return NULL;
	/* What is changed here later goes by the socket that was opened: libnice needs nothing. */
	nat_privs_drop_all();
	g_main_context_push_thread_default(ns->context);
	g_main_loop_run(ns->loop);
	g_main_context_pop_thread_default(ns->context);
	return NULL;
}

/* ---- the host thread's side ---- */

NatIceNs *
nat_ice_ns_new(GError **error)
{
	NatIceNs *ns = g_new0(NatIceNs, 1);

	ns->tun_fd = -1;
	ns->addrs = g_array_new(FALSE, FALSE, sizeof(WgEndpoint));
	ns->context = g_main_context_new();
	ns->loop = g_main_loop_new(ns->context, FALSE);
	g_mutex_init(&ns->mutex);
	g_cond_init(&ns->cond);
	ns->thread = g_thread_try_new("ice", ice_thread, ns, error);
	if (ns->thread) {
		g_mutex_lock(&ns->mutex);
		while (!ns->reported)
			g_cond_wait(&ns->cond, &ns->mutex);
		g_mutex_unlock(&ns->mutex);
	}
	if (ns->thread && !ns->error)
		return ns;
	if (ns->error)
		g_propagate_error(error, ns->error);
	if (ns->thread)
		g_thread_join(g_steal_pointer(&ns->thread));
	nat_ice_ns_free(ns);
	return NULL;
}

static void
quit(gpointer data)
{
	g_main_loop_quit(data);
}

void
nat_ice_ns_free(NatIceNs *ns)
{
	if (!ns)
		return;
	if (ns->thread) {
		/* after all that was invoked before */
		nat_ice_ns_invoke(ns, quit, ns->loop, NULL);
		g_thread_join(ns->thread);
	}
	if (ns->tun_fd >= 0)
		close(ns->tun_fd);
	nat_rtnl_free(ns->rtnl);
	g_array_unref(ns->addrs);
	g_main_loop_unref(ns->loop);
	g_main_context_unref(ns->context);
	g_mutex_clear(&ns->mutex);
	g_cond_clear(&ns->cond);
	g_free(ns);
}

GMainContext *
nat_ice_ns_context(NatIceNs *ns)
{
	return ns->context;
}

int
nat_ice_ns_tun_fd(NatIceNs *ns)
{
	return ns->tun_fd;
}

typedef struct {
	void (*func)(gpointer);
	gpointer data;
	GDestroyNotify destroy;
} Invocation;

static gboolean
run_invocation(gpointer data)
{
	Invocation *inv = data;

	inv->func(inv->data);
	return G_SOURCE_REMOVE;
}

static void
free_invocation(gpointer data)
{
	Invocation *inv = data;

	if (inv->destroy)
		inv->destroy(inv->data);
	g_free(inv);
}

void
nat_ice_ns_invoke(NatIceNs *ns, void (*func)(gpointer), gpointer data, GDestroyNotify destroy)
{
	g_autoptr(GSource) source = g_idle_source_new();
	Invocation *inv = g_new(Invocation, 1);

	*inv = (Invocation){func, data, destroy};
	/* sources of one priority run in the order in which they were attached */
	g_source_set_priority(source, G_PRIORITY_DEFAULT);
	g_source_set_static_name(source, "nat-ice-ns invoke");
	g_source_set_callback(source, run_invocation, inv, free_invocation);
	g_source_attach(source, ns->context);
}

/* ---- addresses ---- */

static int
change_address(NatIceNs *ns, guint16 type, const WgEndpoint *addr)
{
	guint16 flags = type == RTM_NEWADDR ? NLM_F_CREATE | NLM_F_REPLACE : 0;
	struct nlmsghdr *nlh = nat_rtnl_begin(ns->rtnl, type, flags);
	struct ifaddrmsg *ifa = mnl_nlmsg_put_extra_header(nlh, sizeof *ifa);
	gsize len = 0;
	const guint8 *bytes = wg_endpoint_bytes(addr, &len);

	ifa->ifa_family = (guint8)wg_endpoint_family(addr);
	ifa->ifa_prefixlen = (guint8)(len * 8);
	ifa->ifa_index = (guint32)ns->ifindex;
	ifa->ifa_scope = RT_SCOPE_UNIVERSE;
	mnl_attr_put(nlh, IFA_LOCAL, len, bytes);
	mnl_attr_put(nlh, IFA_ADDRESS, len, bytes);
	/* nodad: no announcement, and sockets can bind at once */
	mnl_attr_put_u32(nlh, IFA_FLAGS, IFA_F_NODAD | IFA_F_NOPREFIXROUTE);
	return nat_rtnl_talk(ns->rtnl, nlh, NULL, NULL);
}

/* The kernel refuses the IPv4 default route before the first address and drops it with the last
 * (fib_disable_ip), so it is put again with every address. */
static int
put_default_route(NatIceNs *ns, int family)
{
	struct nlmsghdr *nlh = nat_rtnl_begin(ns->rtnl, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
	struct rtmsg *rtm = mnl_nlmsg_put_extra_header(nlh, sizeof *rtm);

	rtm->rtm_family = (guint8)family;
	rtm->rtm_table = RT_TABLE_MAIN;
	rtm->rtm_protocol = RTPROT_STATIC;
	rtm->rtm_scope = family == AF_INET ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
	rtm->rtm_type = RTN_UNICAST;
	mnl_attr_put_u32(nlh, RTA_OIF, (guint32)ns->ifindex);
	return nat_rtnl_talk(ns->rtnl, nlh, NULL, NULL);
}

static int
on_route(const struct nlmsghdr *nlh, void *data)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	gboolean *local = data;

	if (nlh->nlmsg_type == RTM_NEWROUTE && mnl_nlmsg_get_payload_len(nlh) >= sizeof *rtm)
		*local = rtm->rtm_type == RTN_LOCAL;
	return MNL_CB_OK;
}

static gboolean
is_local(NatIceNs *ns, const WgEndpoint *addr)
{
	struct nlmsghdr *nlh = nat_rtnl_begin(ns->rtnl, RTM_GETROUTE, 0);
	struct rtmsg *rtm = mnl_nlmsg_put_extra_header(nlh, sizeof *rtm);
	gboolean local = FALSE;
	gsize len = 0;
	const guint8 *bytes = wg_endpoint_bytes(addr, &len);

	rtm->rtm_family = (guint8)wg_endpoint_family(addr);
	rtm->rtm_dst_len = (guint8)(len * 8);
	mnl_attr_put(nlh, RTA_DST, len, bytes);
	return nat_rtnl_talk(ns->rtnl, nlh, on_route, &local) == 0 && local;
}

/* An IPv6 address can be bound at once, but what comes in for it is lost until a kernel worker has
 * put its local route (addrconf_dad_work, also for nodad): mostly well under a millisecond. Past
 * the limit a lost packet is only sent again. */
static void
wait_until_local(NatIceNs *ns)
{
	gint64 end = g_get_monotonic_time() + LOCAL_ROUTE_WAIT;

	for (guint i = 0; i < ns->addrs->len; i++)
		while (!is_local(ns, &g_array_index(ns->addrs, WgEndpoint, i)) &&
		       g_get_monotonic_time() < end)
			g_usleep(200);
}

static gboolean
contains(const WgEndpoint *addrs, gsize n, const WgEndpoint *addr)
{
	for (gsize i = 0; i < n; i++)
		if (wg_endpoint_same_address(&addrs[i], addr))
			return TRUE;
	return FALSE;
}

static gboolean
add_address(NatIceNs *ns, const WgEndpoint *addr, GError **error)
{
	char text[WG_ENDPOINT_STRLEN];
	WgEndpoint plain = *addr;
	int err;

	if (!wg_endpoint_is_set(addr))
		return fail(error, EINVAL, "cannot give the ICE namespace an unset address");
	err = change_address(ns, RTM_NEWADDR, addr);
	if (err == 0) {
		wg_endpoint_set_port(&plain, 0);
		g_array_append_val(ns->addrs, plain);
		err = put_default_route(ns, wg_endpoint_family(addr));
	}
	return err == 0 || fail(error, err, "cannot give the ICE namespace %s",
				wg_endpoint_format_address(addr, text));
}

static void
remove_address(NatIceNs *ns, guint index)
{
	const WgEndpoint *addr = &g_array_index(ns->addrs, WgEndpoint, index);
	int err = change_address(ns, RTM_DELADDR, addr);

	/* only "it is not there" is possible: the TUN lives as long as ns */
	if (err != 0)
		g_debug("ICE namespace: cannot remove an address: %s", g_strerror(err));
	g_array_remove_index(ns->addrs, index);
}

gboolean
nat_ice_ns_set_addresses(NatIceNs *ns, const WgEndpoint *addrs, gsize n, GError **error)
{
	gboolean ok = TRUE;

	/* first the new ones: the routes stay */
	for (gsize i = 0; i < n; i++) {
		const WgEndpoint *now = (const WgEndpoint *)(gpointer)ns->addrs->data;

		/* one that fails must not cost the others; its error is the answer */
		if (!contains(now, ns->addrs->len, &addrs[i]))
			ok = add_address(ns, &addrs[i], ok ? error : NULL) && ok;
	}
	for (guint i = ns->addrs->len; i-- > 0;)
		if (!contains(addrs, n, &g_array_index(ns->addrs, WgEndpoint, i)))
			remove_address(ns, i);
	wait_until_local(ns);
	return ok;
}
