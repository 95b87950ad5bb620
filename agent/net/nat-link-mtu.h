/* SPDX-License-Identifier: MIT */
/*
 * NatLinkMtu: the MTU of one interface, lowered where a path carries less, never above what the
 * user had. That value is kept in the state directory too, so that it is put back even after
 * kill -9; a value that somebody else sets meanwhile becomes the user's. Host thread only; calls
 * block for a kernel round trip (microseconds). Setting needs CAP_NET_ADMIN.
 *
 * An interface below 1280 bytes loses IPv6: the kernel takes its addresses away, and raising it
 * again brings back none but its own link-local one (tests/unit/test-nat-link-mtu.c). So an
 * interface with other IPv6 addresses is never set below 1280, whatever the path carries.
 */
#pragma once

#include <glib.h>

#define NAT_LINK_MTU_MIN 576
#define NAT_LINK_MTU_MIN_IPV6 1280

typedef struct NatLinkMtu NatLinkMtu;

/* state_dir NULL: memory only. NULL with an error where there is no such interface. Changes
 * nothing; what an earlier life of ours had lowered is recognised. */
NatLinkMtu *nat_link_mtu_new(const char *ifname, const char *state_dir, GError **error);
void nat_link_mtu_free(NatLinkMtu *link); /* leaves the MTU as it is */
/* As the kernel has it; 0 on error. */
guint nat_link_mtu_get(NatLinkMtu *link, GError **error);
/* What nat_link_mtu_lower() would make of `want`. */
guint nat_link_mtu_allowed(NatLinkMtu *link, guint want);
/* Makes it `want`, or what the user had if that is less, or the least that is allowed if that is
 * more. Returns what it is now, 0 on error. */
guint nat_link_mtu_lower(NatLinkMtu *link, guint want, GError **error);
/* What the user had. TRUE also when nothing was lowered. */
gboolean nat_link_mtu_restore(NatLinkMtu *link, GError **error);
/* What restoring would set; as of the last call of any of the above. */
guint nat_link_mtu_original(const NatLinkMtu *link);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatLinkMtu, nat_link_mtu_free)
