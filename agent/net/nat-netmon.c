/* SPDX-License-Identifier: MIT */
/*
 * The kernel repeats itself: wireless statistics as link events, each router advertisement as an
 * event per address. So links and addresses are remembered by what matters of them, and an event
 * that says the same again is none. Routes and rules are not remembered: their events are changes.
 */
#include "agent/net/nat-netmon.h"

#include "agent/net/nat-ice-private.h"
#include "agent/net/nat-rtnl.h"

#include <errno.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>

#define BATCH 64

struct NatNetmon {
	struct mnl_socket *socket;
	GSource *readable;
	GSource *timer; /* runs: a change waits to be told */
	guint debounce_ms;
	gboolean lost;	       /* of the change that waits to be told */
	GArray *changed_links; /* of int, likewise */
	NatNetmonFunc func;
	gpointer user_data;
	GHashTable *links; /* ifindex → flags that matter, with SEEN */
	GHashTable
		*addresses; /* GBytes: index, family and address → flags that matter, with SEEN */
};

#define SEEN (1u << 31)
#define LINK_FLAGS (IFF_UP | IFF_RUNNING | (1u << 16 /* IFF_LOWER_UP */))
#define ADDRESS_FLAGS (IFA_F_TENTATIVE | IFA_F_DADFAILED | IFA_F_DEPRECATED)

/* ---- what an event means ---- */

/* TRUE when the value was another, or none. (transfer full for key) */
static gboolean
remember(GHashTable *table, gpointer key, guint32 value)
{
	guint32 before = GPOINTER_TO_UINT(g_hash_table_lookup(table, key));

	g_hash_table_insert(table, key, GUINT_TO_POINTER(value | SEEN));
	return before != (value | SEEN);
}

static void
note_link(NatNetmon *mon, int ifindex)
{
	for (guint i = 0; i < mon->changed_links->len; i++)
		if (g_array_index(mon->changed_links, int, i) == ifindex)
			return;
	g_array_append_val(mon->changed_links, ifindex);
}

static gboolean
link_changed(NatNetmon *mon, const struct nlmsghdr *nlh)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);
	gpointer key;

	/* AF_BRIDGE: a port's state in its bridge, told beside the link's own event */
	if (mnl_nlmsg_get_payload_len(nlh) < sizeof *ifi || ifi->ifi_family != AF_UNSPEC)
		return FALSE;
	key = GINT_TO_POINTER(ifi->ifi_index);
	if (nlh->nlmsg_type == RTM_DELLINK)
		g_hash_table_remove(mon->links, key);
	else if (!remember(mon->links, key, ifi->ifi_flags & LINK_FLAGS))
		return FALSE;
	note_link(mon, ifi->ifi_index);
	return TRUE;
}

static GBytes *
address_key(const struct ifaddrmsg *ifa, const struct nlattr *addr)
{
	guint8 key[sizeof ifa->ifa_index + 1 + 16] = {0};
	gsize len = MIN(mnl_attr_get_payload_len(addr), 16);

	memcpy(key, &ifa->ifa_index, sizeof ifa->ifa_index);
	key[sizeof ifa->ifa_index] = ifa->ifa_family;
	memcpy(key + sizeof ifa->ifa_index + 1, mnl_attr_get_payload(addr), len);
	return g_bytes_new(key, sizeof key);
}

static gboolean
address_changed(NatNetmon *mon, const struct nlmsghdr *nlh)
{
	const struct nlattr *tb[IFA_FLAGS + 1], *addr;
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(nlh);
	g_autoptr(GBytes) key = NULL;
	guint32 flags;

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof *ifa)
		return FALSE;
	nat_rtnl_attrs(nlh, sizeof *ifa, tb, IFA_FLAGS);
	addr = tb[IFA_LOCAL] ? tb[IFA_LOCAL] : tb[IFA_ADDRESS];
	if (!addr)
		return FALSE;
	flags = tb[IFA_FLAGS] && mnl_attr_validate(tb[IFA_FLAGS], MNL_TYPE_U32) >= 0
			? mnl_attr_get_u32(tb[IFA_FLAGS])
			: ifa->ifa_flags;
	key = address_key(ifa, addr);
	if (nlh->nlmsg_type == RTM_NEWADDR)
		return remember(mon->addresses, g_steal_pointer(&key), flags & ADDRESS_FLAGS);
	g_hash_table_remove(mon->addresses, key);
	return TRUE;
}

static gboolean
route_changed(const struct nlmsghdr *nlh)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);

	/* cloned: the kernel's own cache */
	return mnl_nlmsg_get_payload_len(nlh) >= sizeof *rtm && !(rtm->rtm_flags & RTM_F_CLONED);
}

static gboolean
is_change(NatNetmon *mon, const struct nlmsghdr *nlh)
{
	if (nat_ice_private_is_event(nlh))
		return FALSE;
	switch (nlh->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		return link_changed(mon, nlh);
	case RTM_NEWADDR:
	case RTM_DELADDR:
		return address_changed(mon, nlh);
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		return route_changed(nlh);
	case RTM_NEWRULE:
	case RTM_DELRULE:
		return TRUE;
	default:
		return FALSE;
	}
}

/* ---- telling ---- */

static gboolean
on_timer(gpointer user_data)
{
	NatNetmon *mon = user_data;
	g_autoptr(GArray) links = g_steal_pointer(&mon->changed_links);
	const NatNetChange change = {
		.lost = mon->lost,
		.links = (const int *)(gpointer)links->data,
		.n_links = links->len,
	};

	g_clear_pointer(&mon->timer, g_source_unref);
	mon->changed_links = g_array_new(FALSE, FALSE, sizeof(int));
	mon->lost = FALSE;
	mon->func(&change, mon->user_data); /* may free mon */
	return G_SOURCE_REMOVE;
}

/* The wait starts with the first event and is not prolonged by others: a network that never rests
 * is told about all the same. */
static void
note_change(NatNetmon *mon)
{
	if (mon->timer)
		return;
	mon->timer = g_timeout_source_new(mon->debounce_ms);
	g_source_set_callback(mon->timer, on_timer, mon, NULL);
	g_source_set_static_name(mon->timer, "nat-netmon debounce");
	g_source_attach(mon->timer, g_main_context_get_thread_default());
}

static gboolean
read_events(NatNetmon *mon)
{
	guint8 buf[16384] __attribute__((aligned(MNL_ALIGNTO)));
	const struct nlmsghdr *nlh = (const struct nlmsghdr *)buf;
	gssize len = mnl_socket_recvfrom(mon->socket, buf, sizeof buf);
	int left = (int)len;

	if (len < 0 && errno == ENOBUFS) {
		/* events are lost: anything may have happened, and what is remembered is old */
		g_hash_table_remove_all(mon->links);
		g_hash_table_remove_all(mon->addresses);
		mon->lost = TRUE;
		note_change(mon);
		return TRUE;
	}
	if (len < 0)
		return errno == EINTR;
	for (; mnl_nlmsg_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left))
		if (is_change(mon, nlh))
			note_change(mon);
	return TRUE;
}

static gboolean
on_readable(int fd, GIOCondition condition, gpointer user_data)
{
	for (int i = 0; i < BATCH && read_events(user_data); i++)
		;
	return G_SOURCE_CONTINUE;
}

static gboolean
join_groups(struct mnl_socket *socket)
{
	static const int GROUPS[] = {
		RTNLGRP_LINK,	    RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE,
		RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_RULE,	 RTNLGRP_IPV6_RULE,
	};

	for (gsize i = 0; i < G_N_ELEMENTS(GROUPS); i++) {
		int group = GROUPS[i];

		if (mnl_socket_setsockopt(socket, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) < 0)
			return FALSE;
	}
	return TRUE;
}

NatNetmon *
nat_netmon_new(guint debounce_ms, NatNetmonFunc func, gpointer user_data, GError **error)
{
	NatNetmon *mon = g_new0(NatNetmon, 1);

	mon->debounce_ms = debounce_ms;
	mon->changed_links = g_array_new(FALSE, FALSE, sizeof(int));
	mon->func = func;
	mon->user_data = user_data;
	mon->links = g_hash_table_new(NULL, NULL);
	mon->addresses = g_hash_table_new_full(g_bytes_hash, g_bytes_equal,
					       (GDestroyNotify)g_bytes_unref, NULL);
	mon->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!mon->socket || mnl_socket_bind(mon->socket, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    !join_groups(mon->socket)) {
		g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno),
			    "cannot watch the network by rtnetlink: %s", g_strerror(errno));
		nat_netmon_free(mon);
		return NULL;
	}
	mon->readable = g_unix_fd_source_new(mnl_socket_get_fd(mon->socket), G_IO_IN);
	g_source_set_callback(mon->readable, G_SOURCE_FUNC(on_readable), mon, NULL);
	g_source_set_static_name(mon->readable, "nat-netmon");
	g_source_attach(mon->readable, g_main_context_get_thread_default());
	return mon;
}

static void
drop_source(GSource *source)
{
	if (!source)
		return;
	g_source_destroy(source);
	g_source_unref(source);
}

void
nat_netmon_free(NatNetmon *mon)
{
	if (!mon)
		return;
	drop_source(mon->readable);
	drop_source(mon->timer);
	if (mon->socket)
		mnl_socket_close(mon->socket);
	g_hash_table_unref(mon->links);
	g_hash_table_unref(mon->addresses);
	g_array_unref(mon->changed_links);
	g_free(mon);
}

void
nat_netmon_set_debounce(NatNetmon *mon, guint ms)
{
	mon->debounce_ms = ms;
}
