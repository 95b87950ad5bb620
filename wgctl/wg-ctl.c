/* SPDX-License-Identifier: MIT */
/*
 * Which backend serves an interface is looked up once per interface index: while the index stays,
 * the implementation stays. An index that came back with another kind shows as a refusal, after
 * which the lookup is made again.
 */
#include "wgctl/wg-ctl.h"

#include "wgctl/wg-link.h"
#include "wgctl/wg-netlink.h"
#include "wgctl/wg-plan.h"
#include "wgctl/wg-uapi.h"

#include <net/if.h>
#include <string.h>

G_DEFINE_QUARK(wg - error - quark, wg_error)

struct WgCtl {
	char *ifname;
	int ifindex; /* of the last look, 0: none */
	WgBackend backend;
	WgNetlink *netlink;
	/* The UAPI does not tell the public key, and deriving it costs more than the rest. */
	WgKey private_key, public_key;
};

WgCtl *
wg_ctl_new(const char *ifname)
{
	WgCtl *ctl = g_new0(WgCtl, 1);

	ctl->ifname = g_strdup(ifname);
	ctl->netlink = wg_netlink_new();
	return ctl;
}

void
wg_ctl_free(WgCtl *ctl)
{
	if (!ctl)
		return;
	wg_key_clear(&ctl->private_key);
	wg_netlink_free(ctl->netlink);
	g_free(ctl->ifname);
	g_free(ctl);
}

/* A socket in /var/run is seen from every network namespace, an interface only from its own: so
 * the interface is looked for first. */
static gboolean
pick_backend(WgCtl *ctl, gboolean *cached, GError **error)
{
	GError *cause = NULL;
	gboolean is_wireguard = FALSE;
	int ifindex = wg_link_is_name(ctl->ifname) ? if_nametoindex(ctl->ifname) : 0;

	*cached = ifindex != 0 && ifindex == ctl->ifindex;
	if (*cached)
		return TRUE;
	ctl->ifindex = 0;
	if (ifindex != 0 && wg_link_lookup(ctl->ifname, &ifindex, &is_wireguard, &cause)) {
		ctl->ifindex = ifindex;
		ctl->backend = is_wireguard ? WG_BACKEND_KERNEL : WG_BACKEND_USERSPACE;
		return TRUE;
	}
	if (cause)
		g_propagate_error(error, cause);
	else
		g_set_error(error, WG_ERROR, WG_ERROR_NO_DEVICE,
			    "there is no interface '%s' in this network namespace: check the name "
			    "with 'wgctl list'",
			    ctl->ifname);
	return FALSE;
}

static void
derive_public_key(WgCtl *ctl, WgDevice *dev)
{
	if (wg_key_is_zero(&dev->private_key))
		return;
	if (!wg_key_equal(&ctl->private_key, &dev->private_key)) {
		ctl->private_key = dev->private_key;
		wg_key_public_from_private(&ctl->private_key, &ctl->public_key);
	}
	dev->public_key = ctl->public_key;
}

static WgDevice *
read_picked(WgCtl *ctl, GError **error)
{
	WgDevice *dev = NULL;

	switch (ctl->backend) {
	case WG_BACKEND_KERNEL:
		dev = wg_netlink_read(ctl->netlink, ctl->ifname, error);
		break;
	case WG_BACKEND_USERSPACE:
		dev = wg_uapi_read(ctl->ifname, error);
		if (dev) {
			dev->ifindex = ctl->ifindex;
			derive_public_key(ctl, dev);
		}
		break;
	}
	return dev;
}

static gboolean
write_picked(WgCtl *ctl, const WgPlan *plan, GError **error)
{
	switch (ctl->backend) {
	case WG_BACKEND_KERNEL:
		return wg_netlink_write(ctl->netlink, ctl->ifname, plan, error);
	case WG_BACKEND_USERSPACE:
		return wg_uapi_write(ctl->ifname, plan, error);
	}
	return FALSE;
}

/* Whether a refusal may mean that the remembered backend no longer serves the interface. */
static gboolean
is_stale(const GError *cause)
{
	return g_error_matches(cause, WG_ERROR, WG_ERROR_NOT_WIREGUARD) ||
	       g_error_matches(cause, WG_ERROR, WG_ERROR_NO_DEVICE);
}

WgDevice *
wg_ctl_read(WgCtl *ctl, GError **error)
{
	g_autoptr(GError) cause = NULL;
	gboolean cached = FALSE;
	WgDevice *dev;

	if (!pick_backend(ctl, &cached, error))
		return NULL;
	dev = read_picked(ctl, &cause);
	if (!dev && cached && is_stale(cause)) {
		g_clear_error(&cause);
		ctl->ifindex = 0;
		if (!pick_backend(ctl, &cached, error))
			return NULL;
		dev = read_picked(ctl, &cause);
	}
	if (!dev)
		g_propagate_error(error, g_steal_pointer(&cause));
	return dev;
}

gboolean
wg_ctl_apply(WgCtl *ctl, const WgPeerChange *changes, gsize n, GError **error)
{
	g_autoptr(WgDevice) dev = NULL;
	g_autoptr(WgPlan) plan = NULL;

	if (n == 0)
		return TRUE;
	/* The read also makes sure of the backend that is written to. */
	dev = wg_ctl_read(ctl, error);
	if (!dev)
		return FALSE;
	plan = wg_plan_new_changes(dev, changes, n, error);
	return plan && write_picked(ctl, plan, error);
}

gboolean
wg_ctl_set_device(WgCtl *ctl, const WgKey *private_key, const guint16 *listen_port,
		  const guint32 *fwmark, GError **error)
{
	g_autoptr(WgPlan) plan = wg_plan_new();
	gboolean cached;

	plan->private_key = private_key;
	plan->listen_port = listen_port;
	plan->fwmark = fwmark;
	ctl->ifindex = 0;
	return pick_backend(ctl, &cached, error) && write_picked(ctl, plan, error);
}

/* Sockets of other network namespaces are there too, and those of programs that have died. */
static void
add_userspace_names(GPtrArray *names)
{
	g_autoptr(GDir) dir = g_dir_open(WG_UAPI_DIRECTORY, 0, NULL);
	const char *entry;

	while (dir && (entry = g_dir_read_name(dir))) {
		g_autofree char *name = NULL;

		if (!g_str_has_suffix(entry, ".sock"))
			continue;
		name = g_strndup(entry, strlen(entry) - strlen(".sock"));
		if (wg_link_is_name(name) && if_nametoindex(name) != 0 &&
		    !g_ptr_array_find_with_equal_func(names, name, g_str_equal, NULL) &&
		    wg_uapi_is_served(name))
			g_ptr_array_add(names, g_steal_pointer(&name));
	}
}

static gint
compare_names(gconstpointer a, gconstpointer b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

GStrv
wg_ctl_list(GError **error)
{
	GPtrArray *names = wg_link_list(error);

	if (!names)
		return NULL;
	add_userspace_names(names);
	g_ptr_array_sort(names, compare_names);
	g_ptr_array_add(names, NULL);
	return (GStrv)g_ptr_array_free(names, FALSE);
}
