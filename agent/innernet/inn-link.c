/* SPDX-License-Identifier: MIT */
/*
 * First everything that could forbid it is looked at, then the steps are taken, each of which looks
 * whether it has been taken before: device, address, up, key and port, route.
 *
 * Up comes before the port, because a port that is taken shows then: a device that is down takes
 * any, and a userspace one that goes up says only in its log that it could not bind it.
 *
 * A device without a key is one that an earlier call did not finish: key and port are set in one
 * request, so a device with a key has got its port as well, and keeps it.
 */
#include "agent/innernet/inn-link.h"

#include <errno.h>
#include <gio/gio.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/nat-log.h"
#include "agent/innernet/inn-routes.h"
#include "agent/innernet/inn-userspace.h"
#include "wgctl/wg-ctl.h"
#include "wgctl/wg-link.h"
#include "wgctl/wg-uapi.h"

#define KIND_MAX 32
#define MTU_LEAST 576
/* A userspace implementation that was started a moment ago, or that is about to end. */
#define SOCKET_MS 1000
#define LISTEN_MS 3000
#define POLL_US 5000

typedef struct {
	const char *ifname;
	const InnLinkParams *params;
	NatRtnl *rtnl;
	/* the interface as it was seen last */
	int index; /* 0: there is none */
	guint mtu;
	gboolean up;
	char kind[KIND_MAX];
} Link;

static gboolean
fail(const Link *link, int err, const char *what, const char *remedy, GError **error)
{
	g_set_error(error, G_IO_ERROR, g_io_error_from_errno(err), "%s: cannot %s: %s%s%s",
		    link->ifname, what, err == EPERM ? "CAP_NET_ADMIN is missing" : g_strerror(err),
		    remedy ? ": " : "", remedy ? remedy : "");
	return FALSE;
}

/* ---- what there is ---- */

static void
read_kind(const struct nlattr *info, Link *link)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested(attr, info)
	{
		if (mnl_attr_get_type(attr) == IFLA_INFO_KIND &&
		    mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0)
			g_strlcpy(link->kind, mnl_attr_get_str(attr), sizeof link->kind);
	}
}

static int
on_link(const struct nlmsghdr *nlh, void *data)
{
	const struct nlattr *tb[IFLA_LINKINFO + 1];
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);
	Link *link = data;

	if (nlh->nlmsg_type != RTM_NEWLINK || mnl_nlmsg_get_payload_len(nlh) < sizeof *ifi)
		return MNL_CB_OK;
	nat_rtnl_attrs(nlh, sizeof *ifi, tb, IFLA_LINKINFO);
	link->index = ifi->ifi_index;
	link->up = (ifi->ifi_flags & IFF_UP) != 0;
	if (tb[IFLA_MTU] && mnl_attr_validate(tb[IFLA_MTU], MNL_TYPE_U32) >= 0)
		link->mtu = mnl_attr_get_u32(tb[IFLA_MTU]);
	if (tb[IFLA_LINKINFO])
		read_kind(tb[IFLA_LINKINFO], link);
	return MNL_CB_OK;
}

static gboolean
look(Link *link, GError **error)
{
	struct nlmsghdr *nlh = nat_rtnl_begin(link->rtnl, RTM_GETLINK, 0);
	int err;

	link->index = 0;
	link->mtu = 0;
	link->up = FALSE;
	link->kind[0] = '\0';
	mnl_nlmsg_put_extra_header(nlh, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(nlh, IFLA_IFNAME, link->ifname);
	err = nat_rtnl_talk(link->rtnl, nlh, on_link, link);
	return err == 0 || err == ENODEV || fail(link, err, "look for it", NULL, error);
}

static gboolean
is_kernels(const Link *link)
{
	return strcmp(link->kind, "wireguard") == 0;
}

/* A TUN device goes with its program, so one that nobody serves is another program's. */
static gboolean
is_wireguard(const Link *link, GError **error)
{
	if (is_kernels(link) ||
	    (strcmp(link->kind, "tun") == 0 && inn_userspace_wait(link->ifname, TRUE, SOCKET_MS)))
		return TRUE;
	g_set_error(error, G_IO_ERROR, G_IO_ERROR_EXISTS,
		    "%s is there already and is no WireGuard interface%s%s: rename or remove it",
		    link->ifname, link->kind[0] ? " but of kind " : "", link->kind);
	return FALSE;
}

/* ---- making and removing ---- */

static int
request_kernels(Link *link)
{
	struct nlmsghdr *nlh = nat_rtnl_begin(link->rtnl, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
	struct nlattr *info;

	mnl_nlmsg_put_extra_header(nlh, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(nlh, IFLA_IFNAME, link->ifname);
	mnl_attr_put_u32(nlh, IFLA_MTU, link->params->mtu);
	info = mnl_attr_nest_start(nlh, IFLA_LINKINFO);
	mnl_attr_put_strz(nlh, IFLA_INFO_KIND, "wireguard");
	mnl_attr_nest_end(nlh, info);
	return nat_rtnl_talk(link->rtnl, nlh, NULL, NULL);
}

static gboolean
make(Link *link, GError **error)
{
	int err = request_kernels(link);

	/* "Unknown device type": neither built in nor to be loaded. */
	if (err == EOPNOTSUPP) {
		if (!inn_userspace_start(link->ifname, error))
			return FALSE;
	} else if (err != 0) {
		return fail(link, err, "make the interface", NULL, error);
	}
	if (!look(link, error))
		return FALSE;
	return link->index != 0 || fail(link, ENODEV, "find what was made", NULL, error);
}

static gboolean
request_removal(Link *link, GError **error)
{
	struct nlmsghdr *nlh = nat_rtnl_begin(link->rtnl, RTM_DELLINK, 0);
	struct ifinfomsg *ifi = mnl_nlmsg_put_extra_header(nlh, sizeof *ifi);
	int err;

	ifi->ifi_index = link->index;
	err = nat_rtnl_talk(link->rtnl, nlh, NULL, NULL);
	return err == 0 || err == ENODEV || fail(link, err, "remove it", NULL, error);
}

/* A userspace implementation ends with its interface and takes its socket along. It is waited for:
 * one that ends later would take away the socket of its successor. */
static gboolean
remove_link(Link *link, GError **error)
{
	g_autofree char *socket = g_strdup_printf("%s/%s.sock", WG_UAPI_DIRECTORY, link->ifname);

	if (!request_removal(link, error))
		return FALSE;
	if (!is_kernels(link) && inn_userspace_wait(link->ifname, FALSE, SOCKET_MS))
		unlink(socket);
	return TRUE;
}

/* ---- the steps ---- */

/* wireguard-go sets an MTU of its own a little after its interface is there: that is over once it
 * answers. */
static gboolean
wait_until_answered(Link *link, GError **error)
{
	g_autoptr(WgCtl) ctl = wg_ctl_new(link->ifname);
	g_autoptr(WgDevice) dev = wg_ctl_read(ctl, error);

	return dev && look(link, error) &&
	       (link->index != 0 || fail(link, ENODEV, "bring it up", NULL, error));
}

typedef struct {
	const Link *link;
	gboolean found;
} FindAddress;

static int
on_address(const struct nlmsghdr *nlh, void *data)
{
	const struct nlattr *tb[IFA_LOCAL + 1], *attr;
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(nlh);
	FindAddress *find = data;
	WgEndpoint ep;

	if (nlh->nlmsg_type != RTM_NEWADDR || mnl_nlmsg_get_payload_len(nlh) < sizeof *ifa ||
	    (int)ifa->ifa_index != find->link->index ||
	    ifa->ifa_prefixlen != find->link->params->prefix)
		return MNL_CB_OK;
	nat_rtnl_attrs(nlh, sizeof *ifa, tb, IFA_LOCAL);
	attr = tb[IFA_LOCAL] ? tb[IFA_LOCAL] : tb[IFA_ADDRESS];
	if (attr &&
	    wg_endpoint_from_bytes(&ep, mnl_attr_get_payload(attr), mnl_attr_get_payload_len(attr),
				   0) &&
	    wg_endpoint_same_address(&ep, &find->link->params->address))
		find->found = TRUE;
	return MNL_CB_OK;
}

static void
forget_address(gpointer data)
{
	((FindAddress *)data)->found = FALSE;
}

static gboolean
set_address(Link *link, GError **error)
{
	const WgEndpoint *address = &link->params->address;
	FindAddress find = {.link = link};
	struct ifaddrmsg *ifa;
	struct nlmsghdr *nlh;
	const guint8 *bytes;
	gsize len;
	int err = nat_rtnl_dump(link->rtnl, RTM_GETADDR, sizeof *ifa, on_address, forget_address,
				&find);

	if (err == 0 && find.found)
		return TRUE;
	bytes = wg_endpoint_bytes(address, &len);
	nlh = nat_rtnl_begin(link->rtnl, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE);
	ifa = mnl_nlmsg_put_extra_header(nlh, sizeof *ifa);
	ifa->ifa_family = (guint8)wg_endpoint_family(address);
	ifa->ifa_prefixlen = link->params->prefix;
	ifa->ifa_flags = IFA_F_NODAD; /* nobody could answer: it must serve at once */
	ifa->ifa_index = (guint32)link->index;
	mnl_attr_put(nlh, IFA_LOCAL, len, bytes);
	mnl_attr_put(nlh, IFA_ADDRESS, len, bytes);
	err = nat_rtnl_talk(link->rtnl, nlh, NULL, NULL);
	return err == 0 ||
	       fail(link, err, "set its address",
		    err == EACCES ? "IPv6 is switched off (net.ipv6.conf.all.disable_ipv6)" : NULL,
		    error);
}

/* A lower MTU is what a path needs (nat-link-mtu) or the user's; the kernel's and wireguard-go's
 * own is higher. */
static gboolean
set_up(Link *link, gboolean made, GError **error)
{
	gboolean resize = made ? link->mtu != link->params->mtu : link->mtu > link->params->mtu;
	struct ifinfomsg *ifi;
	struct nlmsghdr *nlh;
	int err;

	if (link->up && !resize)
		return TRUE;
	nlh = nat_rtnl_begin(link->rtnl, RTM_NEWLINK, 0);
	ifi = mnl_nlmsg_put_extra_header(nlh, sizeof *ifi);
	ifi->ifi_index = link->index;
	ifi->ifi_flags = ifi->ifi_change = IFF_UP;
	if (resize)
		mnl_attr_put_u32(nlh, IFLA_MTU, link->params->mtu);
	err = nat_rtnl_talk(link->rtnl, nlh, NULL, NULL);
	return err == 0 ||
	       fail(link, err, "bring it up",
		    err == EADDRINUSE ? "another program has its UDP port" : NULL, error);
}

/* (transfer full) Once it listens; a userspace one does so a little after it went up. */
static WgDevice *
read_listening(Link *link, WgCtl *ctl, GError **error)
{
	gint64 end = g_get_monotonic_time() + LISTEN_MS * G_TIME_SPAN_MILLISECOND;

	for (;;) {
		WgDevice *dev = wg_ctl_read(ctl, error);

		if (!dev || dev->listen_port != 0 || g_get_monotonic_time() > end)
			return dev;
		wg_device_free(dev);
		g_usleep(POLL_US);
	}
}

static gboolean
set_key_and_port(Link *link, GError **error)
{
	const InnLinkParams *params = link->params;
	g_autoptr(WgCtl) ctl = wg_ctl_new(link->ifname);
	g_autoptr(WgDevice) dev = read_listening(link, ctl, error);
	gboolean fresh, key, port;

	if (!dev)
		return FALSE;
	fresh = wg_key_is_zero(&dev->private_key) || dev->listen_port == 0;
	key = !wg_key_equal(&dev->private_key, &params->private_key);
	port = fresh && params->listen_port != 0 && dev->listen_port != params->listen_port;
	if ((key || port) && !wg_ctl_set_device(ctl, key ? &params->private_key : NULL,
						port ? &params->listen_port : NULL, NULL, error)) {
		if (port)
			g_prefix_error(error, "%s: is UDP port %u taken by another program? ",
				       link->ifname, params->listen_port);
		return FALSE;
	}
	return port || dev->listen_port != 0 ||
	       fail(link, EADDRINUSE, "listen", "another program has its UDP port", error);
}

static gboolean
set_route(Link *link, GError **error)
{
	const InnLinkParams *params = link->params;
	WgEndpoint network = inn_routes_network(&params->address, params->prefix);
	gboolean routed;
	struct rtmsg *rtm;
	struct nlmsghdr *nlh;
	const guint8 *bytes;
	gsize len;
	int err;

	bytes = wg_endpoint_bytes(&network, &len);
	if (!inn_routes_check(link->rtnl, link->ifname, link->index, &params->address,
			      params->prefix, &routed, error))
		return FALSE;
	/* The kernel sets it with the address. A network of one has none. */
	if (routed || params->prefix == 8 * len)
		return TRUE;
	nlh = nat_rtnl_begin(link->rtnl, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);
	rtm = mnl_nlmsg_put_extra_header(nlh, sizeof *rtm);
	rtm->rtm_family = (guint8)wg_endpoint_family(&network);
	rtm->rtm_dst_len = params->prefix;
	rtm->rtm_table = RT_TABLE_MAIN;
	rtm->rtm_protocol = RTPROT_BOOT;
	rtm->rtm_scope = RT_SCOPE_LINK;
	rtm->rtm_type = RTN_UNICAST;
	mnl_attr_put(nlh, RTA_DST, len, bytes);
	mnl_attr_put_u32(nlh, RTA_OIF, (guint32)link->index);
	err = nat_rtnl_talk(link->rtnl, nlh, NULL, NULL);
	return err == 0 || fail(link, err, "set the route to its network", NULL, error);
}

/* ---- all of it ---- */

static gboolean
check_params(const char *ifname, const InnLinkParams *params, GError **error)
{
	gsize len = 0;
	g_autofree char *shown = nat_log_escape(ifname, -1);

	wg_endpoint_bytes(&params->address, &len);
	if (!wg_link_is_name(ifname))
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
			    "'%s' is no name of an interface: 1 to 15 characters, no '/', ':' or "
			    "space",
			    shown);
	else if (len == 0 || params->prefix == 0 || params->prefix > 8 * len)
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
			    "%s: /%u is no prefix of a network: correct the address in its file",
			    ifname, params->prefix);
	else if (wg_key_is_zero(&params->private_key))
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
			    "%s: there is no private key in its file", ifname);
	else if (params->mtu < (len == 4 ? MTU_LEAST : INN_LINK_MTU))
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
			    "%s: an MTU of %u is too small for its address", ifname, params->mtu);
	else
		return TRUE;
	return FALSE;
}

static gboolean
take_steps(Link *link, gboolean made, GError **error)
{
	return wait_until_answered(link, error) && set_address(link, error) &&
	       set_up(link, made, error) && set_key_and_port(link, error) && set_route(link, error);
}

gboolean
inn_link_up(const char *ifname, const InnLinkParams *params, gboolean *made, GError **error)
{
	g_autoptr(NatRtnl) rtnl = NULL;
	Link link = {.ifname = ifname, .params = params};
	gboolean make_it;

	if (made)
		*made = FALSE;
	if (!check_params(ifname, params, error))
		return FALSE;
	link.rtnl = rtnl = nat_rtnl_new(error);
	if (!rtnl || !look(&link, error))
		return FALSE;
	make_it = link.index == 0;
	if ((!make_it && !is_wireguard(&link, error)) ||
	    !inn_routes_check(rtnl, ifname, link.index, &params->address, params->prefix, NULL,
			      error))
		return FALSE;
	if (make_it && !make(&link, error))
		return FALSE;
	if (!take_steps(&link, make_it, error)) {
		if (make_it)
			remove_link(&link, NULL);
		return FALSE;
	}
	if (made)
		*made = make_it;
	return TRUE;
}

gboolean
inn_link_down(const char *ifname, GError **error)
{
	g_autoptr(NatRtnl) rtnl = NULL;
	Link link = {.ifname = ifname};

	if (!wg_link_is_name(ifname))
		return TRUE;
	link.rtnl = rtnl = nat_rtnl_new(error);
	if (!rtnl || !look(&link, error))
		return FALSE;
	return link.index == 0 || (is_wireguard(&link, error) && remove_link(&link, error));
}
