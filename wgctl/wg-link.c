/* SPDX-License-Identifier: MIT */
#include "wgctl/wg-link.h"

#include "wgctl/wg-ctl.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/time.h>

#define TIMEOUT_S 5
#define BUFFER_SIZE 32768
#define SEQUENCE 1

typedef struct {
	const char *name; /* of the message (transfer none), may be NULL */
	int ifindex;
	gboolean is_wireguard;
} Link;

typedef void (*LinkFunc)(const Link *link, gpointer data);

typedef struct {
	LinkFunc func;
	gpointer data;
} Walk;

gboolean
wg_link_is_name(const char *ifname)
{
	gsize len = strnlen(ifname, IF_NAMESIZE);

	if (len == 0 || len == IF_NAMESIZE || strcmp(ifname, ".") == 0 || strcmp(ifname, "..") == 0)
		return FALSE;
	for (; *ifname; ifname++)
		if (*ifname == '/' || *ifname == ':' || g_ascii_isspace(*ifname))
			return FALSE;
	return TRUE;
}

static gboolean
is_wireguard_kind(const struct nlattr *linkinfo)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested(attr, linkinfo)
	{
		if (mnl_attr_get_type(attr) == IFLA_INFO_KIND)
			return mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0 &&
			       strcmp(mnl_attr_get_str(attr), "wireguard") == 0;
	}
	return FALSE;
}

static int
on_link(const struct nlmsghdr *nlh, void *data)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attr;
	Walk *walk = data;
	Link link = {0};

	if (nlh->nlmsg_type != RTM_NEWLINK || mnl_nlmsg_get_payload_len(nlh) < sizeof *ifi)
		return MNL_CB_OK;
	link.ifindex = ifi->ifi_index;
	mnl_attr_for_each(attr, nlh, sizeof *ifi)
	{
		if (mnl_attr_get_type(attr) == IFLA_IFNAME &&
		    mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0)
			link.name = mnl_attr_get_str(attr);
		else if (mnl_attr_get_type(attr) == IFLA_LINKINFO)
			link.is_wireguard = is_wireguard_kind(attr);
	}
	walk->func(&link, walk->data);
	return MNL_CB_OK;
}

/* Sets errno. */
static gboolean
receive(struct mnl_socket *nl, Walk *walk)
{
	g_autofree char *buf = g_malloc(BUFFER_SIZE);
	int result;

	do {
		ssize_t n = mnl_socket_recvfrom(nl, buf, BUFFER_SIZE);

		if (n < 0 && errno == EINTR)
			result = MNL_CB_OK;
		else if (n < 0)
			return FALSE;
		else
			result = mnl_cb_run(buf, n, SEQUENCE, mnl_socket_get_portid(nl), on_link,
					    walk);
	} while (result > MNL_CB_STOP);
	return result == MNL_CB_STOP;
}

/* One link by name, or all of them. Sets errno. */
static gboolean
walk_links(const char *ifname, LinkFunc func, gpointer data)
{
	char buf[256];
	struct timeval timeout = {.tv_sec = TIMEOUT_S};
	Walk walk = {.func = func, .data = data};
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	gboolean ok;
	int err;

	if (!nl)
		return FALSE;
	nlh->nlmsg_type = RTM_GETLINK;
	nlh->nlmsg_flags = NLM_F_REQUEST | (ifname ? NLM_F_ACK : NLM_F_DUMP);
	nlh->nlmsg_seq = SEQUENCE;
	mnl_nlmsg_put_extra_header(nlh, sizeof(struct ifinfomsg));
	if (ifname)
		mnl_attr_put_strz(nlh, IFLA_IFNAME, ifname);
	mnl_attr_put_u32(nlh, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	setsockopt(mnl_socket_get_fd(nl), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
	ok = mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) == 0 &&
	     mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) >= 0 && receive(nl, &walk);
	err = errno;
	mnl_socket_close(nl);
	errno = err;
	return ok;
}

static void
keep_link(const Link *link, gpointer data)
{
	Link *kept = data;

	*kept = *link;
	kept->name = NULL; /* points into the message */
}

gboolean
wg_link_lookup(const char *ifname, int *ifindex, gboolean *is_wireguard, GError **error)
{
	Link link = {0};

	if (!wg_link_is_name(ifname))
		return FALSE;
	if (!walk_links(ifname, keep_link, &link) && errno != ENODEV) {
		g_set_error(error, WG_ERROR, WG_ERROR_FAILED,
			    "the kernel can't be asked for %s: %s", ifname, g_strerror(errno));
		return FALSE;
	}
	*ifindex = link.ifindex;
	*is_wireguard = link.is_wireguard;
	return link.ifindex != 0;
}

static void
add_wireguard_name(const Link *link, gpointer data)
{
	if (link->is_wireguard && link->name)
		g_ptr_array_add(data, g_strdup(link->name));
}

GPtrArray *
wg_link_list(GError **error)
{
	g_autoptr(GPtrArray) names = NULL;

	/* A dump that was interrupted by a change is started afresh. */
	for (int attempt = 0; attempt < 10; attempt++) {
		g_clear_pointer(&names, g_ptr_array_unref);
		names = g_ptr_array_new_with_free_func(g_free);
		if (walk_links(NULL, add_wireguard_name, names))
			return g_steal_pointer(&names);
		if (errno != EINTR)
			break;
	}
	g_set_error(error, WG_ERROR, WG_ERROR_FAILED, "the kernel can't list interfaces: %s",
		    g_strerror(errno));
	return NULL;
}
