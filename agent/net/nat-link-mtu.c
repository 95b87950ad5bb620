/* SPDX-License-Identifier: MIT */
#include "agent/net/nat-link-mtu.h"

#include "agent/base/nat-state-file.h"
#include "agent/net/nat-rtnl.h"

#include <errno.h>
#include <gio/gio.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sys/socket.h>

#define GROUP "mtu"

struct NatLinkMtu {
	char *ifname;
	NatStateFile *file;
	NatRtnl *rtnl;
	int index;
	guint original; /* the user's */
	guint set;	/* by us; 0: nothing is lowered */
};

static void
fail(const NatLinkMtu *link, int err, const char *what, GError **error)
{
	g_set_error(error, G_IO_ERROR, g_io_error_from_errno(err), "%s: cannot %s: %s",
		    link->ifname, what, g_strerror(err));
}

/* ---- the kernel ---- */

static int
on_link(const struct nlmsghdr *nlh, void *data)
{
	const struct nlattr *tb[IFLA_MTU + 1];
	guint *mtu = data;

	if (nlh->nlmsg_type != RTM_NEWLINK ||
	    mnl_nlmsg_get_payload_len(nlh) < sizeof(struct ifinfomsg))
		return MNL_CB_OK;
	nat_rtnl_attrs(nlh, sizeof(struct ifinfomsg), tb, IFLA_MTU);
	if (tb[IFLA_MTU] && mnl_attr_validate(tb[IFLA_MTU], MNL_TYPE_U32) >= 0)
		*mtu = mnl_attr_get_u32(tb[IFLA_MTU]);
	return MNL_CB_OK;
}

static struct nlmsghdr *
begin(NatLinkMtu *link, guint16 type)
{
	struct nlmsghdr *nlh = nat_rtnl_begin(link->rtnl, type, 0);
	struct ifinfomsg *ifi = mnl_nlmsg_put_extra_header(nlh, sizeof *ifi);

	ifi->ifi_index = link->index;
	return nlh;
}

static guint
read_mtu(NatLinkMtu *link, GError **error)
{
	guint mtu = 0;
	int err = nat_rtnl_talk(link->rtnl, begin(link, RTM_GETLINK), on_link, &mtu);

	if (err != 0 || mtu == 0)
		fail(link, err != 0 ? err : ENODEV, "read the MTU", error);
	return err == 0 ? mtu : 0;
}

static gboolean
write_mtu(NatLinkMtu *link, guint mtu, GError **error)
{
	struct nlmsghdr *nlh = begin(link, RTM_NEWLINK);
	int err;

	mnl_attr_put_u32(nlh, IFLA_MTU, mtu);
	err = nat_rtnl_talk(link->rtnl, nlh, NULL, NULL);
	if (err != 0)
		fail(link, err,
		     err == EPERM ? "set the MTU (CAP_NET_ADMIN is missing)" : "set the MTU",
		     error);
	return err == 0;
}

typedef struct {
	guint index;
	gboolean found;
} FindAddress;

/* The kernel made it, and makes it again when there is room. Kernels before 5.18 don't say. */
static gboolean
is_kernels(const struct nlmsghdr *nlh)
{
	const struct nlattr *tb[IFA_PROTO + 1];

	nat_rtnl_attrs(nlh, sizeof(struct ifaddrmsg), tb, IFA_PROTO);
	return tb[IFA_PROTO] && mnl_attr_validate(tb[IFA_PROTO], MNL_TYPE_U8) >= 0 &&
	       mnl_attr_get_u8(tb[IFA_PROTO]) == IFAPROT_KERNEL_LL;
}

static int
on_address(const struct nlmsghdr *nlh, void *data)
{
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(nlh);
	FindAddress *find = data;

	if (nlh->nlmsg_type == RTM_NEWADDR && mnl_nlmsg_get_payload_len(nlh) >= sizeof *ifa &&
	    ifa->ifa_family == AF_INET6 && ifa->ifa_index == find->index && !is_kernels(nlh))
		find->found = TRUE;
	return MNL_CB_OK;
}

static void
forget_found(gpointer data)
{
	((FindAddress *)data)->found = FALSE;
}

/* When in doubt, yes: a tunnel in pieces is better than one without its addresses. */
static gboolean
has_ipv6(NatLinkMtu *link)
{
	FindAddress find = {.index = (guint)link->index};

	return nat_rtnl_dump(link->rtnl, RTM_GETADDR, sizeof(struct ifaddrmsg), on_address,
			     forget_found, &find) != 0 ||
	       find.found;
}

/* ---- what the user had ---- */

/* before: what it is until the deed follows the note. */
static void
save(NatLinkMtu *link, guint before)
{
	GKeyFile *keys = nat_state_file_keys(link->file);

	if (link->set == 0) {
		g_key_file_remove_group(keys, GROUP, NULL);
	} else {
		g_key_file_set_integer(keys, GROUP, "index", link->index);
		g_key_file_set_integer(keys, GROUP, "original", (int)link->original);
		g_key_file_set_integer(keys, GROUP, "set", (int)link->set);
		g_key_file_set_integer(keys, GROUP, "before", (int)before);
	}
	nat_state_file_save(link->file);
}

/* Ours only if it is the same interface, and still at what we set or were about to change. */
static void
load(NatLinkMtu *link, guint current)
{
	GKeyFile *file = nat_state_file_keys(link->file);
	int original, now = (int)current;

	if (!g_key_file_has_group(file, GROUP))
		return;
	original = g_key_file_get_integer(file, GROUP, "original", NULL);
	if (g_key_file_get_integer(file, GROUP, "index", NULL) == link->index && original > now &&
	    original <= G_MAXUINT16 &&
	    (g_key_file_get_integer(file, GROUP, "set", NULL) == now ||
	     g_key_file_get_integer(file, GROUP, "before", NULL) == now)) {
		link->original = (guint)original;
		link->set = current;
	} else {
		save(link, 0); /* nothing is set: removes it */
	}
}

/* Somebody else's change is the user's new value. */
static guint
refresh(NatLinkMtu *link, GError **error)
{
	guint current = read_mtu(link, error);

	if (current == 0)
		return 0;
	if (current != link->set && (link->set != 0 || current != link->original)) {
		link->original = current;
		link->set = 0;
		save(link, 0);
	}
	return current;
}

NatLinkMtu *
nat_link_mtu_new(const char *ifname, const char *state_dir, GError **error)
{
	g_autoptr(NatLinkMtu) link = g_new0(NatLinkMtu, 1);
	g_autofree char *name = g_strdup_printf("mtu-%s.conf", ifname);

	link->ifname = g_strdup(ifname);
	link->index = (int)if_nametoindex(ifname);
	if (link->index == 0) {
		fail(link, errno, "find it", error);
		return NULL;
	}
	link->rtnl = nat_rtnl_new(error);
	if (link->rtnl == NULL)
		return NULL;
	link->original = read_mtu(link, error);
	if (link->original == 0)
		return NULL;
	/* a name such as ".." is the kernel's to refuse, a '/' too */
	link->file = nat_state_file_new(state_dir, name,
					"the interface's MTU is not put back after a crash");
	load(link, link->original);
	return g_steal_pointer(&link);
}

void
nat_link_mtu_free(NatLinkMtu *link)
{
	if (link == NULL)
		return;
	nat_rtnl_free(link->rtnl);
	g_free(link->ifname);
	nat_state_file_free(link->file);
	g_free(link);
}

guint
nat_link_mtu_get(NatLinkMtu *link, GError **error)
{
	return refresh(link, error);
}

guint
nat_link_mtu_allowed(NatLinkMtu *link, guint want)
{
	want = MAX(want, has_ipv6(link) ? NAT_LINK_MTU_MIN_IPV6 : NAT_LINK_MTU_MIN);
	return MIN(want, link->original);
}

guint
nat_link_mtu_lower(NatLinkMtu *link, guint want, GError **error)
{
	guint current = refresh(link, error);

	if (current == 0)
		return 0;
	want = nat_link_mtu_allowed(link, want);
	if (want == current)
		return current;
	/* first the note, then the deed: a crash between them leaves no lowered MTU unknown */
	link->set = want < link->original ? want : 0;
	if (link->set != 0)
		save(link, current);
	if (!write_mtu(link, want, error)) {
		link->set = current < link->original ? current : 0;
		save(link, current);
		return 0;
	}
	if (link->set == 0)
		save(link, 0);
	return want;
}

gboolean
nat_link_mtu_restore(NatLinkMtu *link, GError **error)
{
	return nat_link_mtu_lower(link, G_MAXUINT, error) != 0;
}

guint
nat_link_mtu_original(const NatLinkMtu *link)
{
	return link->original;
}
