/* SPDX-License-Identifier: MIT */
#include "agent/ice/nat-ice-link.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define TUN_MTU 1500
#define LOCAL_ROUTE_WAIT (100 * G_TIME_SPAN_MILLISECOND)

struct NatIceLink {
	int fd;
	int ifindex;
	char name[IFNAMSIZ];
	NatRtnl *rtnl;
};

static gboolean
fail(GError **error, int err, const char *what)
{
	g_set_error(error, G_IO_ERROR, g_io_error_from_errno(err), "%s: %s", what, g_strerror(err));
	return FALSE;
}

static gboolean
open_tun(NatIceLink *link, const char *name, GError **error)
{
	struct ifreq ifr = {.ifr_flags = IFF_TUN | IFF_NO_PI};

	g_strlcpy(ifr.ifr_name, name, sizeof ifr.ifr_name);
	link->fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (link->fd < 0)
		return fail(error, errno,
			    "cannot open /dev/net/tun (load the tun module, or give the container "
			    "the device)");
	if (ioctl(link->fd, TUNSETIFF, &ifr) == 0) {
		g_strlcpy(link->name, ifr.ifr_name, sizeof link->name);
		return TRUE;
	}
	if (errno == EPERM)
		return fail(error, errno,
			    "no permission for a TUN device: CAP_NET_ADMIN is missing (run as "
			    "root, or grant it in the unit or container)");
	return fail(error, errno, "cannot make a TUN device from /dev/net/tun");
}

static struct nlmsghdr *
begin_link(NatIceLink *link, unsigned flags)
{
	struct nlmsghdr *nlh = nat_rtnl_begin(link->rtnl, RTM_NEWLINK, 0);
	struct ifinfomsg *ifi = mnl_nlmsg_put_extra_header(nlh, sizeof *ifi);

	ifi->ifi_family = AF_UNSPEC;
	ifi->ifi_index = link->ifindex;
	ifi->ifi_flags = flags;
	ifi->ifi_change = flags;
	return nlh;
}

/* addr_gen_mode 1 (none). By netlink, since /proc/sys may be read-only (ProtectKernelTunables, a
 * container). Refused where IPv6 is off, which is fine: then there is nothing to keep silent. */
static void
silence_ipv6(NatIceLink *link)
{
	struct nlmsghdr *nlh = begin_link(link, 0);
	struct nlattr *spec = mnl_attr_nest_start(nlh, IFLA_AF_SPEC);
	struct nlattr *inet6 = mnl_attr_nest_start(nlh, AF_INET6);
	int err;

	mnl_attr_put_u8(nlh, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	mnl_attr_nest_end(nlh, inet6);
	mnl_attr_nest_end(nlh, spec);
	err = nat_rtnl_talk(link->rtnl, nlh, NULL, NULL);
	if (err != 0)
		g_debug("%s: addr_gen_mode: %s", link->name, g_strerror(err));
}

int
nat_ice_link_up(NatIceLink *link)
{
	struct nlmsghdr *nlh = begin_link(link, IFF_UP);

	mnl_attr_put_u32(nlh, IFLA_MTU, TUN_MTU);
	return nat_rtnl_talk(link->rtnl, nlh, NULL, NULL);
}

static gboolean
bring_up(NatIceLink *link, GError **error)
{
	int err;

	link->ifindex = (int)if_nametoindex(link->name);
	silence_ipv6(link);
	err = nat_ice_link_up(link);
	return err == 0 || fail(error, err, "cannot bring the TUN up");
}

NatIceLink *
nat_ice_link_new(const char *name, GError **error)
{
	g_autoptr(NatIceLink) link = g_new0(NatIceLink, 1);

	link->fd = -1;
	if (!open_tun(link, name, error))
		return NULL;
	link->rtnl = nat_rtnl_new(error);
	if (!link->rtnl || !bring_up(link, error))
		return NULL;
	return g_steal_pointer(&link);
}

void
nat_ice_link_free(NatIceLink *link)
{
	if (!link)
		return;
	if (link->fd >= 0)
		close(link->fd);
	nat_rtnl_free(link->rtnl);
	g_free(link);
}

int
nat_ice_link_fd(const NatIceLink *link)
{
	return link->fd;
}

const char *
nat_ice_link_name(const NatIceLink *link)
{
	return link->name;
}

NatRtnl *
nat_ice_link_rtnl(NatIceLink *link)
{
	return link->rtnl;
}

/* ---- addresses ---- */

static struct nlmsghdr *
begin_address(NatIceLink *link, guint16 type, guint16 flags, const WgEndpoint *addr, guint8 scope)
{
	struct nlmsghdr *nlh = nat_rtnl_begin(link->rtnl, type, flags);
	struct ifaddrmsg *ifa = mnl_nlmsg_put_extra_header(nlh, sizeof *ifa);
	gsize len = 0;
	const guint8 *bytes = wg_endpoint_bytes(addr, &len);

	ifa->ifa_family = (guint8)wg_endpoint_family(addr);
	ifa->ifa_prefixlen = (guint8)(len * 8);
	ifa->ifa_index = (guint32)link->ifindex;
	ifa->ifa_scope = scope;
	mnl_attr_put(nlh, IFA_LOCAL, len, bytes);
	mnl_attr_put(nlh, IFA_ADDRESS, len, bytes);
	return nlh;
}

int
nat_ice_link_add(NatIceLink *link, const WgEndpoint *addr, gboolean unnoticed)
{
	gboolean v4 = wg_endpoint_family(addr) == AF_INET;
	struct nlmsghdr *nlh = begin_address(link, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, addr,
					     unnoticed && v4 ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE);

	/* nodad: no announcement, and sockets can bind at once */
	mnl_attr_put_u32(nlh, IFA_FLAGS, IFA_F_NODAD | IFA_F_NOPREFIXROUTE);
	if (unnoticed && !v4) {
		struct ifa_cacheinfo life = {.ifa_prefered = 0, .ifa_valid = G_MAXUINT32};

		mnl_attr_put(nlh, IFA_CACHEINFO, sizeof life, &life);
	}
	return nat_rtnl_talk(link->rtnl, nlh, NULL, NULL);
}

int
nat_ice_link_remove(NatIceLink *link, const WgEndpoint *addr)
{
	return nat_rtnl_talk(link->rtnl, begin_address(link, RTM_DELADDR, 0, addr, 0), NULL, NULL);
}

int
nat_ice_link_put_default_route(NatIceLink *link, int family, guint32 table)
{
	struct nlmsghdr *nlh =
		nat_rtnl_begin(link->rtnl, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
	struct rtmsg *rtm = mnl_nlmsg_put_extra_header(nlh, sizeof *rtm);

	rtm->rtm_family = (guint8)family;
	rtm->rtm_protocol = RTPROT_STATIC;
	rtm->rtm_scope = family == AF_INET ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
	rtm->rtm_type = RTN_UNICAST;
	mnl_attr_put_u32(nlh, RTA_TABLE, table);
	mnl_attr_put_u32(nlh, RTA_OIF, (guint32)link->ifindex);
	return nat_rtnl_talk(link->rtnl, nlh, NULL, NULL);
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
is_local(NatIceLink *link, const WgEndpoint *addr)
{
	struct nlmsghdr *nlh = nat_rtnl_begin(link->rtnl, RTM_GETROUTE, 0);
	struct rtmsg *rtm = mnl_nlmsg_put_extra_header(nlh, sizeof *rtm);
	gboolean local = FALSE;
	gsize len = 0;
	const guint8 *bytes = wg_endpoint_bytes(addr, &len);

	rtm->rtm_family = (guint8)wg_endpoint_family(addr);
	rtm->rtm_dst_len = (guint8)(len * 8);
	mnl_attr_put(nlh, RTA_DST, len, bytes);
	return nat_rtnl_talk(link->rtnl, nlh, on_route, &local) == 0 && local;
}

/* An IPv6 address can be bound at once, but what comes in for it is lost until a kernel worker has
 * put its local route (addrconf_dad_work, also for nodad): mostly well under a millisecond. Past
 * the limit a lost packet is only sent again. */
void
nat_ice_link_wait(NatIceLink *link, const WgEndpoint *addr)
{
	gint64 end = g_get_monotonic_time() + LOCAL_ROUTE_WAIT;

	while (!is_local(link, addr) && g_get_monotonic_time() < end)
		g_usleep(200);
}
