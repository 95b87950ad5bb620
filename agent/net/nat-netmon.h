/* SPDX-License-Identifier: MIT */
/*
 * NatNetmon: tells when the network changed: link, address, route or rule events of rtnetlink,
 * gathered for `debounce_ms`, then one call. A lost event (ENOBUFS) counts as a change.
 * Host thread only.
 */
#pragma once

#include <glib.h>

typedef struct NatNetmon NatNetmon;
typedef void (*NatNetmonFunc)(gpointer user_data);

NatNetmon *nat_netmon_new(guint debounce_ms, NatNetmonFunc func, gpointer user_data,
			  GError **error);
void nat_netmon_free(NatNetmon *mon);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NatNetmon, nat_netmon_free)
