/* SPDX-License-Identifier: MIT */
/*
 * The kernel's WireGuard by generic netlink (<linux/wireguard.h>). wg-netlink.c translates between
 * messages and values, purely; wg-netlink-socket.c carries the messages.
 */
#pragma once

#include "wgctl/wg-plan.h"

struct nlmsghdr;

/* Whether a whole message begins at `nlh`, `len` bytes before the end. As mnl_nlmsg_ok(), which
 * takes lengths of 2^31 and more for negative ones, and so for small enough. */
gboolean wg_netlink_is_whole(const struct nlmsghdr *nlh, int len);
/* Adds one (whole) message of a GET_DEVICE dump to `dev`. A peer that is the last one of `dev` is
 * continued: the kernel splits long lists anywhere. Unknown attributes are ignored. */
gboolean wg_netlink_parse(WgDevice *dev, const struct nlmsghdr *nlh, GError **error);
/* The request of such a dump (transfer full, g_free). */
struct nlmsghdr *wg_netlink_build_get(guint16 family, const char *ifname);
/* SET_DEVICE messages, of struct nlmsghdr, to be sent in order (transfer full; keys are cleared
 * when the array is freed). Entries that are joined share a message unless that can't be. */
GPtrArray *wg_netlink_build_set(guint16 family, const char *ifname, const WgPlan *plan);

typedef struct WgNetlink WgNetlink;

WgNetlink *wg_netlink_new(void);
void wg_netlink_free(WgNetlink *nl);
/* Blocking; each message is waited for 5 s at most. */
WgDevice *wg_netlink_read(WgNetlink *nl, const char *ifname, GError **error);
gboolean wg_netlink_write(WgNetlink *nl, const char *ifname, const WgPlan *plan, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(WgNetlink, wg_netlink_free)
